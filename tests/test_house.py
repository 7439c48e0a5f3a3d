"""The house rules that a linter cannot hold."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml
from alembic import command

from app import __version__
from app.services.app_context import AppContext
from app.settings import Settings
from db.engine import alembic_config

ROOT = Path(__file__).parents[1]
SOURCES = [path for folder in ("app", "core", "db") for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def test_the_web_process_never_loads_torch() -> None:
    """torch costs seconds and half a gigabyte, in every process that serves pages."""
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SOURCES if path.stem != "__init__"]
    loaded = [name for name in modules if name.startswith(("app.services.", "app.components.", "app.routes."))]
    code = f"import sys, streamlit_app, app.cli, {', '.join(loaded)}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_model_has_its_migration(app_context: AppContext) -> None:
    command.check(alembic_config(app_context.database.url))


def test_only_one_module_compares_the_task() -> None:
    """`core/tasks.py` holds everything that differs; a comparison with a Task member elsewhere is a second seam."""
    asking = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        if path != ROOT / "core" / "tasks.py"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Compare) and "Task." in ast.unparse(node)
    ]
    assert asking == []


def test_docstrings_begin_with_a_noun_or_an_imperative() -> None:
    riddle = re.compile(r"\A(What|How|Which|Where|Who|Whose|Whether)\b|\b([Nn]obody|[Ss]omebody)\b")
    found = [
        f"{path.relative_to(ROOT)}: {text.splitlines()[0]}"
        for folder in ("app", "core", "db", "bench", "tools")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "versions" not in path.parts
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if riddle.search(text := ast.get_docstring(node) or "")
    ]
    assert found == []


def test_no_text_names_a_class_of_the_code() -> None:
    """A rename of classes by search and replace once changed labels of forms."""
    trees = {path: parse(path) for path in SOURCES if "versions" not in path.parts}
    names = {node.name for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    camel = {name for name in names if re.search(r"[a-z0-9][A-Z]", name)} - {"McNemar"}  # who lends a test his name
    pattern = re.compile(rf"\b({'|'.join(sorted(camel))})\b")
    found = [
        f"{path.relative_to(ROOT)}:{text.lineno}: {text.value!r}"
        for path, tree in trees.items()
        for text in texts(tree)
        if pattern.search(text.value)
    ]
    assert found == []


def texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield the strings of a module that may be shown: neither docstrings nor annotations nor `__all__`."""
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            continue
        for name, child in ast.iter_fields(node):
            if name not in {"annotation", "returns"}:
                nodes += [one for one in (child if isinstance(child, list) else [child]) if isinstance(one, ast.AST)]


def test_pages_are_short_scripts() -> None:
    for page in (ROOT / "app" / "pages").glob("*.py"):
        assert len(page.read_text().splitlines()) <= 90, page.name


def test_every_promise_has_its_test() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(named) >= 7
    for path, function in named:
        assert f"def {function}(" in (ROOT / path).read_text(), f"{path}::{function}"


def test_every_benchmark_can_be_run_as_a_file() -> None:
    for path in (ROOT / "bench").glob("[!_]*.py"):
        before, found, _ = path.read_text().partition("sys.path.insert(0, str(ROOT))")
        ours = r"^(from|import) (app|bench|core|db|tools)\b"
        assert not re.search(ours, before, re.MULTILINE), f"{path.name} imports before it sets the path"
        assert found or not re.search(ours, path.read_text(), re.MULTILINE), path.name


def test_tests_and_benchmarks_share_only_fixtures() -> None:
    """`tools/fixtures/` holds what both need; neither imports the other, and the tools import neither."""
    others = {"tests": {"bench"}, "bench": {"tests"}, "tools": {"tests", "bench"}}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder, banned in others.items()
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(parse(path))
        if not banned.isdisjoint(name.partition(".")[0] for name in imported(node))
    ]
    assert found == []


def imported(node: ast.AST) -> list[str]:
    """Return the modules that a statement imports."""
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [node.module or ""]
    return [name.name for name in node.names] if isinstance(node, ast.Import) else []


def test_the_readme_names_every_setting() -> None:
    text = (ROOT / "README.md").read_text()
    for name, field in Settings.model_fields.items():
        row = f"| `OUTFOLD_{name.upper()}` |"
        assert row in text, f"{row} {field.description}"


def test_no_file_declares_a_wheel() -> None:
    """The packages are called app, core and db, which no environment should get from elsewhere."""
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))) == {"tool"}


def test_the_workflow_calls_the_ci_script_and_every_hook_an_existing_tool() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    assert {"run": ".ci/run", "env": {"TORCH": "cpu"}} in workflow["jobs"]["test"]["steps"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    for hook in hooks:
        tool = Path(hook["entry"].split()[0]).name
        assert tool in makefile, f"{hook['id']} runs {tool}, which make lint does not"


def test_the_image_is_built_with_the_commands_of_the_makefile() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert "make install TORCH=$TORCH" in dockerfile
    for script in re.findall(r"tools/\w+\.sh", makefile.partition("$(VENV)/installed:")[2]):
        assert f"COPY {script} tools/" in dockerfile, script
    assert '"python", "-m", "app", "serve"' in dockerfile
    assert "-m app serve" in makefile
    assert '["python", "-m", "app", "worker"]' in (ROOT / "compose.yaml").read_text()


def test_the_changelog_has_one_fact_per_line_under_the_usual_groups() -> None:
    """By Keep a Changelog; the version has its place in `app/__init__.py`."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    unreleased, *released = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert unreleased.startswith("Unreleased\n")
    assert released[0].split()[0] == __version__
    for section in (unreleased, *released):
        title, *lines = section.splitlines()
        assert section is unreleased or re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}", title)
        groups = [line.removeprefix("### ") for line in lines if line.startswith("### ")]
        usual = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
        assert groups == [group for group in usual if group in groups]
        others = [line for line in lines if line and not line.startswith(("### ", "- ", "**"))]
        assert others == [], title
