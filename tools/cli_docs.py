"""Write docs/cli.md from the commands themselves: `python -m tools.cli_docs`."""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.cli import get_docs_for_click
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from app.cli import app

TARGET = Path(__file__).parents[1] / "docs" / "cli.md"
PROGRAM = "python -m app"
INTRODUCTION = """\
# Command line

Written by `python -m tools.cli_docs` from the commands; change their docstrings and options, not this file. Exit codes:
0 done, 1 failed (standard error names the cause and the cure), 2 wrong usage, 130 interrupted. With `--json` standard
output holds one JSON value and nothing else.
"""
Runnable = TyperCommand | TyperGroup


def document() -> str:
    """Return the whole page."""
    root = get_command(app)
    assert isinstance(root, Runnable)
    context = typer.Context(root, info_name=PROGRAM)
    commands = list(runnable(root, context))
    index = [f"| [`{name}`](#{anchor(name)}) | {summary(command)} |" for name, command in commands]
    sections = [section(name, command, context) for name, command in commands]
    return "\n".join([INTRODUCTION, "| command | |\n|---|---|", *index, "", *sections])


def runnable(command: Runnable, context: typer.Context, before: str = "") -> Iterator[tuple[str, Runnable]]:
    """Yield each runnable command, with the words that call it."""
    if not isinstance(command, TyperGroup):
        yield before, command
        return
    if command.invoke_without_command:
        yield before, command
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert isinstance(found, Runnable)
        if not found.hidden:  # a former name
            yield from runnable(found, context, f"{before} {name}".strip())


def section(name: str, command: Runnable, context: typer.Context) -> str:
    """Return a command's help, usage, arguments and options."""
    text = get_docs_for_click(obj=command, ctx=context, indent=1, title=f"`{name}`", name=f"{PROGRAM} {name}")
    own = text.partition("**Commands**")[0].rstrip() + "\n"  # subcommands of a group have sections of their own
    return re.sub(r"\s*\x08\nExamples:\n((?: +\S.*\n)+)", _examples, own).replace("\n\n\n", "\n\n")


def summary(command: Runnable) -> str:
    """Return the first sentence of a command's help."""
    paragraph = inspect.cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=\.) ", paragraph, maxsplit=1)[0].replace("|", r"\|")


def anchor(name: str) -> str:
    """Return the anchor that GitHub gives a command's heading."""
    return name.replace(" ", "-")


def _examples(found: re.Match[str]) -> str:
    lines = inspect.cleandoc(" \n" + found[1])
    return f"\n\n```console\n{lines}\n```\n"


def main() -> int:
    """Write the page."""
    TARGET.write_text(document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
