"""The house rules that a linter cannot hold."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command

from app.services.workspace import Workspace
from app.settings import Settings
from db.engine import alembic_config

ROOT = Path(__file__).parents[1]
SOURCES = [path for folder in ("app", "core", "db") for path in sorted((ROOT / folder).rglob("*.py"))]
MOST_LINES = 500


def test_the_web_process_never_loads_torch() -> None:
    """torch costs seconds and half a gigabyte, in every process that serves pages."""
    code = "import sys, streamlit_app, app.cli; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_model_has_its_migration(workspace: Workspace) -> None:
    command.check(alembic_config(workspace.database.url))


def test_only_one_place_asks_which_task_it_is() -> None:
    """`core/tasks.py` holds everything that differs; a comparison with a Task member elsewhere is a second seam."""
    asking = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        if path != ROOT / "core" / "tasks.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare) and "Task." in ast.unparse(node)
    ]
    assert asking == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_crowded(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES or "migrations" in path.parts


def test_pages_are_short_scripts() -> None:
    for page in (ROOT / "app" / "pages").glob("*.py"):
        assert len(page.read_text().splitlines()) <= 80, page.name


def test_every_promise_has_its_test() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(named) >= 7
    for path, function in named:
        assert f"def {function}(" in (ROOT / path).read_text(), f"{path}::{function}"


def test_every_benchmark_finds_the_projects_packages_when_it_is_run_as_a_file() -> None:
    for path in (ROOT / "bench").glob("[!_]*.py"):
        before, found, _ = path.read_text().partition("sys.path.insert(0, str(ROOT))")
        ours = r"^(from|import) (app|bench|core|db)\b"
        assert not re.search(ours, before, re.MULTILINE), f"{path.name} imports before it sets the path"
        assert found or not re.search(ours, path.read_text(), re.MULTILINE), path.name


def test_the_readme_names_every_setting() -> None:
    text = (ROOT / "README.md").read_text()
    for name, field in Settings.model_fields.items():
        row = f"| `OUTFOLD_{name.upper()}` |"
        assert row in text, f"{row} {field.description}"


def test_the_image_is_built_with_the_makefiles_own_commands() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert "make install TORCH=$TORCH" in dockerfile
    for script in re.findall(r"tools/\w+\.sh", makefile.partition("$(VENV)/installed:")[2]):
        assert f"COPY {script} tools/" in dockerfile, script
    assert '"python", "-m", "app", "serve"' in dockerfile
    assert "-m app serve" in makefile
    assert '["python", "-m", "app", "worker"]' in (ROOT / "compose.yaml").read_text()
