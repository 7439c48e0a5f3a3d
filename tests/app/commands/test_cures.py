"""Every option that a message about an import names is an option of a command."""

import re
from pathlib import Path

import click
import pytest
import typer.main

from app.cli import app

ROOT = Path(__file__).parents[3]
SOURCES = [
    *sorted((ROOT / "core/data/formats").glob("*.py")),
    *sorted((ROOT / "core/data/masks").glob("*.py")),
    *sorted((ROOT / "app/services").glob("import*.py")),
]


def options() -> set[str]:
    found: set[str] = set()

    def walk(command: click.Command) -> None:
        for parameter in command.params:
            found.update(parameter.opts)
        for each in getattr(command, "commands", {}).values():
            walk(each)

    walk(typer.main.get_command(app))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_cure_names_options_that_exist(path: Path) -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", path.read_text()))
    assert named - options() == set()
