"""Every command and option that a message names exists; texts of pages name controls of the pages instead."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main

from app.cli import app
from core.data.formats.detect import FORMATS
from core.data.formats.source import CHOICES
from core.types import Cure, command_text

ROOT = Path(__file__).parents[3]
SOURCES = sorted(path for wing in ("core", "app", "db") for path in (ROOT / wing).rglob("*.py"))
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-]*[:(])")  # a colon makes it a variable of a style sheet
_COMMAND = re.compile(r"python -m app ((?:[a-z][a-z-]* ?){1,2})")
_STYLE = re.compile(r"var\(--|<style|</style")
_COMMAND_LINE = re.compile(r"(?<![\w(-])--[a-z]|python -m app|(?:pip|apt|npm) install|ulimit -")
_CONSOLE = {  # modules whose texts appear in a terminal alone: of commands, of starting programs
    "app/__main__.py",
    "app/cli.py",
    "app/lifespan.py",
    "app/services/doctor.py",
    "app/services/ports.py",
    "app/services/programs.py",
    "app/services/shared_files.py",
    "app/worker/embedded.py",
    "app/worker/main.py",
    "core/checking.py",
    "core/data/formats/probabilities.py",
    "core/predicting.py",
    "core/types/errors.py",
}
_PAGES = [
    path for path in SOURCES if "commands" not in path.parts and path.relative_to(ROOT).as_posix() not in _CONSOLE
]
_OTHERS = {
    "--server",
    "--no-sandbox",
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
    """Yield the strings of a module, with blanks where values stand; no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else " " for part in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_and_options_named_in_messages_exist(path: Path) -> None:
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


@pytest.mark.parametrize("path", _PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_never_show_a_command_line(path: Path) -> None:
    assert [text for text in texts(path) if _COMMAND_LINE.search(text)] == []


@pytest.mark.parametrize("cure", Cure)
def test_options_named_by_a_cure_exist(cure: Cure) -> None:
    words = (_COMMAND.findall(cure.command) or ["round" if cure.name.startswith("WEIGHTS_") else "import"])[0].split()
    name = next(one for one in (" ".join(words), words[0]) if one in COMMANDS)
    options = {option: each for each in COMMANDS[name].params for option in _named(each)}
    named = re.findall(r"(--[a-z][a-z-]*)(?: ([a-z][a-z-]*))?", cure.command)
    assert named or cure in (Cure.MOVE, Cure.RENAME_CLASS)
    for option, value in named:
        assert option in options
        choices = {"--format": FORMATS, **{f"--{one.replace('_', '-')}": values for one, values in CHOICES.items()}}
        assert not value or option not in choices or value in choices[option]


def test_controls_named_by_a_cure_exist_on_a_page() -> None:
    folders = (ROOT / "app" / "components", ROOT / "core" / "data" / "formats", ROOT / "core" / "data" / "masks")
    places = [path for folder in folders for path in folder.glob("*.py")]
    shown = " ".join(text.lower() for path in places for text in texts(path))
    for cure in Cure:
        for control in re.findall("“(.*?)”", cure.page):
            for part in re.split("…|: 255|: ", control):
                label = part.strip().lower()
                assert label in shown or re.sub("(label|path)$", "", label) in shown, control


def test_commands_replace_controls_by_their_options() -> None:
    assert command_text(f"follow such links: {Cure.ALLOW_OUTSIDE_LINKS}") == "follow such links: --allow-outside-links"
    assert "“" not in command_text(" ".join(map(str, Cure)))
    assert command_text("“a quoted name”") == "“a quoted name”"
