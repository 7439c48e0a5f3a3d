"""Every command and every option that a message names exists, and the command has the option."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main

from app.cli import app

ROOT = Path(__file__).parents[3]
SOURCES = sorted(path for wing in ("core", "app", "db") for path in (ROOT / wing).rglob("*.py"))
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-]*[:(])")  # a colon makes it a variable of a style sheet
_COMMAND = re.compile(r"python -m app ((?:[a-z][a-z-]* ?){1,2})")
_STYLE = re.compile(r"var\(--|<style|</style")
_OTHERS = {
    "--server",
    "--no-sandbox",
    "--force-reinstall",
    "--with-deps",
    "--version",
    "--ends-with-parent",
}  # of other programs, of the worker


def commands() -> dict[str, click.Command]:
    """Return every command and group by its words, "" for the program itself."""
    found: dict[str, click.Command] = {}

    def walk(name: str, command: click.Command) -> None:
        found[name] = command
        for word, each in getattr(command, "commands", {}).items():
            walk(f"{name} {word}".strip(), each)

    walk("", typer.main.get_command(app))
    return found


def _named(parameter: click.Parameter) -> list[str]:
    return [*parameter.opts, *parameter.secondary_opts]


COMMANDS = commands()
OPTIONS = {option for command in COMMANDS.values() for each in command.params for option in _named(each)} | {"--help"}


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module that people may read, with blanks where values stand; no style sheets."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else " " for part in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_message_names_exists(path: Path) -> None:
    for text in texts(path):
        if _STYLE.search(text):
            continue
        assert set(_OPTION.findall(text)) - OPTIONS - _OTHERS == set(), text
        for words in _COMMAND.findall(text):
            first, *rest = words.split()
            assert first in COMMANDS, text
            if isinstance(COMMANDS[first], click.Group) and rest:
                assert f"{first} {rest[0]}" in COMMANDS, text


@pytest.mark.parametrize("name", sorted(filter(None, COMMANDS)))
def test_the_examples_of_a_command_have_options_that_it_has(name: str) -> None:
    for line in filter(None, map(str.strip, (COMMANDS[name].help or "").splitlines())):
        said = line.removeprefix("python -m app ")
        if said == line:
            continue
        own = max((one for one in COMMANDS if f"{said} ".startswith(f"{one} ")), key=len)
        known = {option for each in COMMANDS[own].params for option in _named(each)}
        assert own, line
        assert set(re.findall(r"(?<!\S)--[a-z][a-z-]*", said)) <= known, line
