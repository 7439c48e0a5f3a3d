"""The components' JavaScript, tested by node from pip, so that no node needs to be installed."""

import subprocess
from pathlib import Path

import pytest

from app.services.programs import NODE, find_node
from tests.needs import lack

ROOT = Path(__file__).parents[3]
TESTS = sorted((ROOT / "tests" / "js").glob("*.test.js"))


@pytest.fixture(scope="module")
def node() -> str:
    return find_node() or lack(NODE)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name.removesuffix(".test.js"))
def test_the_modules_do_what_their_tests_say(path: Path, node: str) -> None:
    ran = subprocess.run(
        [node, "--test", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_module_is_tested_for_syntax(node: str) -> None:
    modules = sorted((ROOT / "app" / "components").rglob("*.js"))
    script = "const { pathToFileURL } = require('node:url'); for (const f of process.argv.slice(1)) "
    script += "require('node:vm').SourceTextModule && new (require('node:vm').SourceTextModule)("
    script += "require('node:fs').readFileSync(f, 'utf8'), { identifier: pathToFileURL(f).href });"
    ran = subprocess.run(
        [node, "--experimental-vm-modules", "--no-warnings", "-e", script, *modules],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_data_never_becomes_markup() -> None:
    for path in (ROOT / "app" / "components").rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert "innerHTML" not in text, path.name
        assert "insertAdjacentHTML" not in text, path.name
