"""`delete`, `remove-images`, `undo-import`, `restore`: deletions that can be restored for a week."""

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
    inform,
    shell_quote,
)

if TYPE_CHECKING:
    from app.services.app_context import AppContext
    from app.services.deletions import Deletion
    from app.services.removals import RemovalFilter


def delete(
    *,
    dataset: DatasetName,
    round_: Annotated[int | None, typer.Option("--round", help="Only this round of it, by its number.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Delete a dataset, or one round of it. Image files stay where they are; `restore` brings it back for a week.

    A deleted round loses its findings, predictions and networks; verdicts and labels accepted in it stay.

    Examples:
      python -m app delete pets
      python -m app delete pets --round 2 --yes
    """
    from app.commands.lookup import app_context, get_dataset, person
    from app.services import deletions
    from app.services.rounds import jobs as rounds
    from core.types import RoundError

    opened = app_context()
    info = get_dataset(opened, dataset)
    found = next((one for one in rounds.list_rounds(opened, info.id) if one.number == round_), None)
    if round_ is not None and found is None:
        raise RoundError(
            f"{info.name} has no round {round_}", f"list them: python -m app rounds {shell_quote(info.name)}"
        )
    if found is None:
        name, held = info.name, deletions.dataset_contents(opened, info.id)
    else:
        name, held = f"{info.name}, {found.name}", deletions.round_contents(opened, found.id)
    if not yes:
        confirm(f"{name} holds {deletions.contents_text(held)}. Delete it?", doing="delete")
    if found is None:
        gone = deletions.delete_dataset(opened, info.id, person(by))
    else:
        gone = deletions.delete_round(opened, found.id, person(by))
    _echo_deleted(gone, "deleted", as_json=as_json)


def remove_images(
    *,
    dataset: DatasetName,
    given: Annotated[str | None, typer.Option(help="Only of this given class.")] = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="Only images without a label.")] = False,
    split: Annotated[str | None, typer.Option(help="Only of this split.")] = None,
    path: Annotated[str, typer.Option(help="Only paths that contain this text.")] = "",
    found: Annotated[
        str | None,
        typer.Option(
            help="Only findings of a check: copies (all but the first of near-duplicates with one label), outliers "
            "(needs a round that embedded the images), empty (without content). Reads every image once."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Remove images from a dataset. Image files stay where they are; `restore` brings them back for a week.

    Removed images are in no queue, count, export or later round. An import that finds them again leaves them removed,
    except with `import --bring-back`.

    Examples:
      python -m app remove-images pets --path thumbnails/
      python -m app remove-images pets --given cat --split test --yes
      python -m app remove-images pets --found copies
    """
    from app.commands.lookup import app_context, get_dataset, person, present_class
    from app.services import image_checks, removals
    from core.types import NO_LABEL

    if given is None and not unlabelled and split is None and not path and found is None:
        raise typer.BadParameter("say which images: --given, --unlabelled, --split, --path or --found")
    if given is not None and unlabelled:
        raise typer.BadParameter("--given and --unlabelled exclude each other")
    if found not in (None, *image_checks.Removable):
        raise typer.BadParameter(f"--found is {found}: choose from {', '.join(image_checks.Removable)}")
    opened = app_context()
    info = get_dataset(opened, dataset)
    label = NO_LABEL if unlabelled else present_class(info, given)
    within = removals.RemovalFilter(dataset_id=info.id, label=label, split=split, path_contains=path)
    chosen = within if found is None else _checked_images(opened, within, found)
    words = {"given": given, "split": split, "path contains": path or None, "found as": found}
    what = ", ".join(
        ["no label"] * unlabelled + [f"{name} {value}" for name, value in words.items() if value is not None]
    )
    removal = removals.preview_removal(opened, info.id, chosen)
    if removal.ids and not yes:
        confirm(f"{info.name}: {removal.text} ({what}). Remove them?", doing="remove")
    gone = removals.remove(opened, info.id, chosen, person(by), what=what, expected=len(removal.ids) or None)
    _echo_deleted(gone, "removed", as_json=as_json)


def _checked_images(opened: "AppContext", chosen: "RemovalFilter", found: str) -> list[int]:
    """Return the ids of a filter's images with this finding of the image checks."""
    from app.services import image_checks, removals

    checked = image_checks.find_known(opened, chosen.dataset_id) or image_checks.find(opened, chosen.dataset_id)
    in_filter = set(removals.preview_removal(opened, chosen.dataset_id, chosen).ids)
    return [one for one in image_checks.removable(checked, image_checks.Removable(found)) if one in in_filter]


def undo_import(
    *,
    dataset: DatasetName,
    number: Annotated[int | None, typer.Option("--import", help="Its number; default: the newest.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Only list the dataset's imports.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Undo an import: its new images go, and its changes of others are reverted; `restore` redoes it.

    Later changes stay, as do classes and files. The import that made a dataset is undone by `delete`.

    Examples:
      python -m app undo-import pets --list
      python -m app undo-import pets
      python -m app undo-import pets --import 7 --yes
    """
    from app.commands.lookup import app_context, get_dataset, person
    from app.services.imports import undo as import_undo
    from core.types import DatasetError

    opened = app_context()
    info = get_dataset(opened, dataset)
    found = import_undo.list_imports(opened, info.id)
    if list_:
        rows = [
            (
                one.id,
                f"{one.created_at:%Y-%m-%d %H:%M}",
                one.request["source"],
                why_not or "possible",
            )
            for one, why_not in found
        ]
        columns = ["import", "at", "source", "undo"]
        if as_json:
            echo_json([dict(zip(columns, row, strict=True)) for row in rows])
        else:
            echo_table(columns, rows, numbers=["import"])
        return
    chosen = next((one.id for one, _ in found if number in (None, one.id)), None)
    if chosen is None:
        raise DatasetError(
            f"{info.name} has no import {number}",
            f"list them: python -m app undo-import {shell_quote(info.name)} --list",
        )
    effect = import_undo.preview_undo(opened, chosen)
    if not yes:
        confirm(f"import {chosen} into {info.name}: {effect.text}. Undo it?", doing="undo it")
    _echo_deleted(import_undo.undo(opened, chosen, person(by)), "undone", as_json=as_json)


def restore(
    *,
    name: Annotated[str | None, typer.Argument(help="Name of the deletion, as this command lists it.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the deletions of the last week, or restore one.

    Examples:
      python -m app restore
      python -m app restore pets
      python -m app restore "pets, Round 2"
    """
    from app.commands.lookup import app_context
    from app.services import deletions

    opened = app_context()
    if name is not None:
        restored = deletions.restore(opened, deletions.find(opened, name).id)
        if as_json:
            echo_json({"restored": restored})
        else:
            echo(f"restored {restored}")
        return
    found = deletions.restorable(opened)
    if as_json:
        echo_json([{"name": one.name, "held": one.held, "days_left": deletions.days_left(one)} for one in found])
        return
    rows = [(one.name, deletions.contents_text(one.held), one.deleted_by, deletions.days_left(one)) for one in found]
    echo_table(["name", "held", "by", "days left"], rows, numbers=["days left"])
    if not found:
        inform("nothing was deleted in the last week")


def _echo_deleted(gone: "Deletion", word: str, *, as_json: bool) -> None:
    from app.services import deletions

    if as_json:
        echo_json({word: gone.name, "held": gone.held})
        return
    echo(f"{word} {gone.name}: {deletions.contents_text(gone.held)}")
    inform(f"bring it back within a week: python -m app restore {shell_quote(gone.name)}")
