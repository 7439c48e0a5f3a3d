"""`classes`: list a dataset's classes, add, rename and merge them, put them in order."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.console import (
    ByName,
    DatasetName,
    JsonFlag,
    confirm,
    echo,
    echo_json,
    echo_table,
    fail,
    help_of,
    inform,
    shell_quote,
)

if TYPE_CHECKING:
    from app.services.reviews import ListedClass, Saved

classes = typer.Typer(name="classes", rich_markup_mode=None, no_args_is_help=True)


def list_(*, dataset: DatasetName, as_json: JsonFlag = False) -> None:
    """List a dataset's classes in their order, with their ids and how many images were given each.

    Examples:
      python -m app classes list pets
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services import reviews

    opened = app_context()
    info = get_dataset(opened, dataset)
    found = reviews.list_classes(opened, info.id)
    if as_json:
        echo_json([asdict(one) for one in found])
        return
    rows = [(one.id, one.name, one.given, _state(one, info.classes)) for one in found]
    echo_table(["id", "class", "given", ""], rows, numbers=["id", "given"])


def add(
    *,
    dataset: DatasetName,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the new class.")],
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Add a class at the end of a dataset's classes; `undo` takes it back while no label carries it.

    Examples:
      python -m app classes add pets ferret
    """
    from app.commands.lookup import app_context, get_dataset, person
    from app.services import reviews

    opened = app_context()
    info = get_dataset(opened, dataset)
    added = reviews.add_class(opened, info.id, name, by=person(by))
    if added.saved is None:
        fail(f"{added.name} is a class of {info.name} already")
    if as_json:
        echo_json({"class": added.id, "name": added.name, "changeset": added.saved.changeset})
        return
    _echo_done(f"added the class {added.name}", info.name, added.saved)


def rename(
    *,
    dataset: DatasetName,
    old: Annotated[str, typer.Argument(metavar="CLASS", help="The class, by its present name.")],
    new: Annotated[str, typer.Argument(metavar="NAME", help="Its new name.")],
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Give a class another name. Labels stay, and sources that use the former name are still understood.

    Examples:
      python -m app classes rename pets cat "domestic cat"
    """
    from app.commands.lookup import app_context, class_id, get_dataset, person
    from app.services import reviews

    opened = app_context()
    info = get_dataset(opened, dataset)
    saved = reviews.rename_class(opened, info.id, class_id(info, old), new, by=person(by))
    if saved.changeset is None:
        fail(f"the class is called {old} already")
    if as_json:
        echo_json({"changeset": saved.changeset})
        return
    _echo_done(f"renamed {old}", info.name, saved)


def merge(
    *,
    dataset: DatasetName,
    merged: Annotated[list[str], typer.Argument(metavar="CLASS...", help="The classes that go.")],
    into: Annotated[str, typer.Option("--into", metavar="CLASS", help="The class that they go into.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Merge classes into another one. No label is rewritten, and `undo` restores the classes.

    Labels, regions and tags of a merged class mean the class that it went into, in the review, in exports and in later
    rounds. A source that still has the merged class is understood.

    Examples:
      python -m app classes merge pets kitten tomcat --into cat --dry-run
      python -m app classes merge pets kitten tomcat --into cat --yes
    """
    from app.commands.lookup import app_context, class_id, get_dataset, person
    from app.services import reviews

    opened = app_context()
    info = get_dataset(opened, dataset)
    ids, target = [class_id(info, name) for name in merged], class_id(info, into)
    seen = reviews.preview_merge(opened, info.id, ids, target)
    if not as_json:
        columns = ("class", "images", "decided", "regions", "tagged", "open findings")
        rows = [
            (one.name, one.images, one.decided, one.regions, one.tagged, one.open_findings)
            for one in (*seen.merged, seen.into)
        ]
        echo_table(columns, rows, numbers=columns[1:])
        echo(f"{seen.settled_findings:,} open findings between these classes would leave the queue")
    if dry_run:
        if as_json:
            echo_json(asdict(seen))
        return
    if not yes:
        confirm(f"Merge {', '.join(merged)} into {into}?", doing="merge")
    saved = reviews.merge_classes(opened, info.id, ids, target, by=person(by))
    if as_json:
        echo_json({"changeset": saved.changeset, **asdict(seen)})
        return
    _echo_done(f"merged {', '.join(merged)} into {into}", info.name, saved)


def order(
    *,
    dataset: DatasetName,
    first: Annotated[list[str], typer.Argument(metavar="CLASS...", help="The classes that come first, in this order.")],
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Put classes in order: these first, then the others as they were.

    They are listed and exported so, and the values of exported masks follow the order. Labels stay.

    Examples:
      python -m app classes order pets dog cat
    """
    from app.commands.lookup import app_context, class_id, get_dataset, person
    from app.services import reviews

    opened = app_context()
    info = get_dataset(opened, dataset)
    chosen = list(dict.fromkeys(class_id(info, name) for name in first))
    others = [one for one in info.class_state.offered if one not in chosen]
    saved = reviews.reorder_classes(opened, info.id, [*chosen, *others], by=person(by))
    if saved.changeset is None:
        fail("the classes are in this order already")
    if as_json:
        echo_json({"changeset": saved.changeset})
        return
    _echo_done("reordered the classes", info.name, saved)


def _echo_done(what: str, dataset: str, saved: "Saved") -> None:
    echo(f"{what} (changeset {saved.changeset})")
    inform(f"take it back: python -m app undo {shell_quote(dataset)} --changeset {saved.changeset}")


def _state(one: "ListedClass", names: Sequence[str]) -> str:
    if one.merged_into is not None:
        return f"merged into {names[one.merged_into]}"
    return "taken back" if one.retired else ""


classes.callback(help="A dataset's classes: list, add, rename and merge them, put them in order.")(lambda: None)
COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_,
    "add": add,
    "rename": rename,
    "merge": merge,
    "order": order,
}
for name, command in COMMANDS.items():
    classes.command(name, help=help_of(command))(command)
