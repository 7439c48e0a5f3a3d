"""Output of commands: text and progress bars for people, JSON for scripts, errors on standard error.

With `--json` standard output holds one JSON value and nothing else. Progress is only drawn on a terminal.
Exit codes: 0 done, 1 failed (error and cure on standard error), 2 wrong usage, 130 interrupted.
"""

import inspect
import json
import math
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol

import typer
from typer.core import TyperGroup

from app.services.faults import file_errors
from core.types import OutfoldError, command_text

if TYPE_CHECKING:
    from core.judge.hints import Hint

FAILED, INTERRUPTED = 1, 130
PIPED_WIDTH = 200  # columns of a table that is not printed to a terminal

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for scripts, and nothing else.")]
DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's name or number.")]
ByName = Annotated[str, typer.Option("--by", metavar="NAME", help="Name for these verdicts; default: your user name.")]


class Commands(TyperGroup):
    """All commands; errors of any of them are printed here."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 as the parent declares it
        """Run the command, print its error, set the exit code."""
        try:
            with file_errors():
                return super().invoke(ctx)
        except OutfoldError as error:
            inform(f"error: {error}")
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            inform("interrupted")
            raise typer.Exit(INTERRUPTED) from None


def help_of(command: Callable[..., None]) -> str:
    """Return a command's help from its docstring, with the line breaks of its examples."""
    return inspect.cleandoc(command.__doc__ or "").replace("Examples:", "\b\nExamples:")


class ShowProgress(Protocol):
    """Moves a progress bar to `done` of `total`, with a text."""

    def __call__(self, done: float, total: float, text: str) -> None:
        """Move the bar."""


def echo(text: str) -> None:
    """Print an answer for people; cures are named by their options."""
    typer.echo(command_text(text))


def echo_hints(hints: "Iterable[Hint]") -> None:
    """Print the hints on a round, each with its reason and advice."""
    for hint in hints:
        echo(f"Hint: {hint.text} {hint.advice}")


def inform(text: str) -> None:
    """Print beside the answer, on standard error: errors, hints, progress; cures are named by their options."""
    typer.echo(command_text(text), err=True)


def fail(message: str, cure: str = "") -> NoReturn:
    """End the command as failed, with the reason and what to do about it.

    Raises:
        typer.Exit: always.
    """
    inform(f"error: {message}" + (f"; {cure}" if cure else ""))
    raise typer.Exit(FAILED)


def echo_json(value: object) -> None:
    """Print one JSON value."""
    typer.echo(command_text(json.dumps(value, ensure_ascii=False, indent=2, default=_plain)))


def echo_table(columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[str] = ()) -> None:
    """Print a table, or nothing without rows; the columns in `numbers` are aligned to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    right = frozenset(numbers)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else command_text(str(cell))) for cell in row))
    if table.rows:
        console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
        console.print(table)


@contextmanager
def progress_bar(text: str, *, quiet: bool = False) -> Iterator[ShowProgress]:
    """Yield a function that moves a bar on standard error; nothing is drawn outside of a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    is_hidden = quiet or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=is_hidden) as bar:
        task = bar.add_task(text, total=None)

        def step(done: float, total: float, text: str) -> None:
            bar.update(task, completed=done, total=total or None, description=text)

        yield step


def shell_quote(text: str) -> str:
    """Return text as one word of a shell command."""
    return shlex.quote(text)


def whole_percent(share: float) -> str:
    """Return 0.948 as "94 %": rounded down, as on the pages."""
    return f"{math.floor(share * 100 + 1e-9)} %"


def can_ask() -> bool:
    """Return whether standard input and standard error are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, doing: str) -> None:
    """Ask in the terminal; `doing` ends the sentence "add --yes to ...".

    Raises:
        typer.BadParameter: there is no terminal to ask in.
        typer.Exit: the answer is no.
    """
    if not can_ask():
        raise typer.BadParameter(f"there is no terminal to ask in; add --yes to {doing}")
    if not typer.confirm(question, default=False, err=True):
        inform("nothing was changed")
        raise typer.Exit(1)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    msg = f"{type(value).__name__} is no JSON value"
    raise TypeError(msg)
