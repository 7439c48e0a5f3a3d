"""JavaScript of the components: its tests, its types and the linter, run by the node that comes from pip."""

import subprocess
from pathlib import Path

import pytest

from app.services.programs import NODE, find_node
from tests.needs import lack
from tools.provide import CHECKERS

ROOT = Path(__file__).parents[3]
MODULES = sorted((ROOT / "app" / "components").rglob("*.js"))
TESTS = sorted((ROOT / "tests" / "js").glob("*.test.js"))
TSC = Path("typescript", "bin", "tsc")
ESLINT = Path("eslint", "bin", "eslint.js")
LINT = ("-c", "tests/js/eslint.config.js", "--max-warnings", "0")


@pytest.fixture(scope="module")
def node() -> str:
    return find_node() or lack(NODE)


@pytest.fixture(scope="module")
def checkers() -> Path:
    return Path(CHECKERS.find() or lack(CHECKERS))


def check(node: str, program: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [node, str(program), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=240, check=False, cwd=ROOT)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name.removesuffix(".test.js"))
def test_the_tests_of_the_modules_pass(path: Path, node: str) -> None:
    ran = subprocess.run(
        [node, "--test", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_module_has_valid_syntax(node: str) -> None:
    script = "const { pathToFileURL } = require('node:url'); for (const f of process.argv.slice(1)) "
    script += "require('node:vm').SourceTextModule && new (require('node:vm').SourceTextModule)("
    script += "require('node:fs').readFileSync(f, 'utf8'), { identifier: pathToFileURL(f).href });"
    ran = subprocess.run(
        [node, "--experimental-vm-modules", "--no-warnings", "-e", script, *MODULES],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_types_are_right(node: str, checkers: Path) -> None:
    done = check(node, checkers / TSC, "-p", "tests/js/tsconfig.json")
    assert done.returncode == 0, done.stdout


def test_the_linter_finds_nothing(node: str, checkers: Path) -> None:
    done = check(node, checkers / ESLINT, *LINT, "app/components", "tests/js")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_is_checked(node: str, checkers: Path) -> None:
    listed = check(node, checkers / TSC, "-p", "tests/js/tsconfig.json", "--listFilesOnly").stdout.splitlines()
    assert set(map(str, MODULES)) <= set(listed)
    unused = ["--stdin", "--stdin-filename", "app/components/shared/unused.js"]
    assert "no-unused-vars" in check(node, checkers / ESLINT, *LINT, *unused, text="const unused = 1;").stdout


def test_data_is_never_inserted_as_markup() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert "innerHTML" not in text, path.name
        assert "insertAdjacentHTML" not in text, path.name
