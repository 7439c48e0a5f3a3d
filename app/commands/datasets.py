"""`datasets`: list and show datasets and problems of their files; protect splits, move roots, set windows."""

import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.console import ByName, DatasetName, JsonFlag, echo, echo_json, echo_table, help_of, inform
from app.commands.imports import move
from core.types import counted

if TYPE_CHECKING:
    from app.services.datasets import DatasetCard, DatasetInfo, WrongLabels

datasets = typer.Typer(name="datasets", rich_markup_mode=None, invoke_without_command=True)


def list_(ctx: typer.Context, *, as_json: JsonFlag = False) -> None:
    """List datasets; or show one, or list the problems that its import found.

    Examples:
      python -m app datasets
      python -m app datasets show pets
      python -m app datasets problems pets --csv > problems.csv
      python -m app datasets protect pets --split test
      python -m app datasets move pets /mnt/pets
    """
    if ctx.invoked_subcommand is not None:
        return
    from app.commands.lookup import app_context
    from app.services.datasets import list_datasets, wrong_labels
    from app.services.members import members_by_dataset

    opened = app_context()
    cards = list_datasets(opened)
    wrong = wrong_labels(opened, cards)
    if as_json:
        seen_by = members_by_dataset(opened)
        echo_json(
            [
                _card_values(card, wrong.get(card.dataset.id)) | {"members": seen_by.get(card.dataset.id)}
                for card in cards
            ]
        )
        return
    columns = (
        "id", "name", "images", "classes", "rounds", "newest round", "left", "proposed", "decided", "wrong labels",
        "problems",
    )  # fmt: skip
    rows = []
    for card in cards:
        known = wrong.get(card.dataset.id)
        values = _card_values(card, known) | {"wrong_labels": known.short if known else None}
        rows.append([values[column.replace(" ", "_")] for column in columns])
    echo_table(columns, rows, numbers={*columns} - {"name", "newest round"})
    if not cards:
        inform("no dataset yet; import one: python -m app import FOLDER")


def show(*, dataset: DatasetName, as_json: JsonFlag = False) -> None:
    """Show one dataset: where it lies, its classes and splits, its rounds.

    Examples:
      python -m app datasets show pets
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services.datasets import list_datasets, wrong_labels
    from app.services.members import members_by_dataset
    from app.services.rounds import jobs as rounds
    from core.data.buckets import displayed_path

    opened = app_context()
    info = get_dataset(opened, dataset)
    card = next(card for card in list_datasets(opened) if card.dataset.id == info.id)
    done = rounds.list_rounds(opened, info.id)
    wrong = wrong_labels(opened, [card]).get(info.id)
    if as_json:
        finished = [{"number": each.number, "status": each.status, "accuracy": each.accuracy} for each in done]
        splits, classes = dict(card.split_counts), dict(card.class_counts)
        echo_json(_card_values(card, wrong) | {"class_counts": classes, "split_counts": splits, "rounds": finished})
        return
    masks = "" if card.masks is None else f", {card.masks:,} with a mask"
    place = displayed_path(info.root)
    names = counted(len(info.classes), "class", "classes")
    echo(f"{info.name}: {counted(card.images, 'image')}{masks}, {names}, {info.format}, {place}")
    if (seen_by := members_by_dataset(opened).get(info.id)) is not None:
        echo(_seen_by(seen_by))
    if info.evaluation_splits:
        echo(f"for evaluation only: {', '.join(info.evaluation_splits)}")
    echo_table(["class", "images"], card.class_counts.items(), numbers=["images"])
    if done:
        shown = [(each.name, each.status, "" if each.accuracy is None else f"{each.accuracy:.1%}") for each in done]
        echo_table(["round", "status", "out-of-fold accuracy"], shown, numbers=["out-of-fold accuracy"])
    if wrong:
        echo(wrong.text)


def problems(
    *,
    dataset: DatasetName,
    import_id: Annotated[int | None, typer.Option("--import", help="This import instead of the last ones.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the problems of a dataset's files in their last import, each with its cure.

    Images of an added folder keep their problems until that folder is imported again.

    Examples:
      python -m app datasets problems pets
      python -m app datasets problems pets --csv > problems.csv
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services.imports import jobs as imports

    opened = app_context()
    chosen = (import_id,) if import_id else _last_imports(get_dataset(opened, dataset))
    found = imports.problems(opened, *chosen, limit=None)
    if as_json:
        echo_json(found)
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["severity", "kind", "path", "message", "cure"])
        writer.writerows(asdict(each).values() for each in found)
    else:
        echo_table(
            ["", "path", "problem", "cure"], [(each.severity, each.path, each.message, each.cure) for each in found]
        )
        inform({0: "no problems", 1: "1 problem"}.get(len(found), f"{len(found):,} problems"))


def protect(
    *,
    dataset: DatasetName,
    split: Annotated[str, typer.Option(help="The split for evaluation, excluded from training.")] = "",
    draw: Annotated[float, typer.Option(min=0, max=1, help="Draw this share of the images for it.")] = 0,
    off: Annotated[bool, typer.Option("--off", help="Remove the mark.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Mark a split as evaluation split: it is excluded from training, and no bulk act changes its labels.

    Look-alikes of its images outside the split are listed and excluded from training too, since they would leak. People
    judge the split's images one by one; `python -m app impact` measures the impact of cleaning on those. --draw draws
    at least as many images as that needs, but at most half of them: from the images without a split, else from the
    largest split. Without --split the command prints the dataset's evaluation splits.

    Examples:
      python -m app datasets protect pets --split test
      python -m app datasets protect pets --split test --off
      python -m app datasets protect pets --draw 0.1
      python -m app datasets protect pets
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services.evaluation import splits as evaluation

    opened = app_context()
    info = get_dataset(opened, dataset)
    if draw:
        evaluation.draw(opened, info.id, share=draw)
    elif split or off:
        evaluation.protect(opened, info.id, split, on=not off)
    seen = evaluation.protection(opened, info.id, find=True)
    if as_json:
        echo_json(seen)
        return
    rows = [(one.name or "(none)", one.images, "evaluation" if one.protected else "") for one in seen.splits]
    echo_table(["split", "images", "for"], rows, numbers=["images"])
    for line in seen.lines():
        echo(line)
    if seen.alike and seen.alike.pairs:
        pairs = [(one.protected, one.other, one.kind) for one in seen.alike.pairs]
        echo_table(["for evaluation", "outside", "which"], pairs)


def window(
    *,
    dataset: DatasetName,
    greys: Annotated[str, typer.Argument(metavar="LOW-HIGH", help="As in 0-4095; full: 0-65535.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Choose the greys of 10 to 16 bits that become black and white, in pictures and in later rounds.

    Images of 8 bits have no window. Existing rounds keep the range they opened with.

    Examples:
      python -m app datasets window lungs
      python -m app datasets window lungs 0-4095
      python -m app datasets window lungs full
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services.datasets import set_window
    from core.data.windows import window_option, window_text

    opened = app_context()
    info = get_dataset(opened, dataset)
    if greys:
        set_window(opened, info.id, greys)
        info = get_dataset(opened, dataset)
    now = window_text(window_option(info.options))
    if as_json:
        echo_json({"dataset": info.name, "window": now})
        return
    echo(f"{info.name}: greys of more than 8 bits become black and white from {now}")


def members(
    *,
    dataset: DatasetName,
    add: Annotated[list[str] | None, typer.Option(help="Make this user a member; several times for several.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="Make this user no member any more.")] = None,
    everybody: Annotated[bool, typer.Option("--everybody", help="Make it visible to all users again.")] = False,
    by: ByName = "",
    as_json: JsonFlag = False,
) -> None:
    """Show who sees a dataset in the web app; restrict it to members and admins, or open it to everybody.

    The first member restricts it. Commands see every dataset: who runs them can read the database.

    Examples:
      python -m app datasets members pets
      python -m app datasets members pets --add ben --add eve
      python -m app datasets members pets --everybody
    """
    from app.commands.lookup import app_context, get_dataset, person
    from app.services import members as service

    opened = app_context()
    info = get_dataset(opened, dataset)
    now = service.membership(opened, info.id)
    if add or remove or everybody:
        gone = {name.casefold() for name in remove or ()}
        kept = [name for name in (*(now.members or ()), *(add or ())) if name.casefold() not in gone]
        now = service.set_members(opened, info.id, None if everybody else kept, by=person(by))
    if as_json:
        echo_json({"dataset": info.name, "members": now.members})
    elif now.members is None:
        echo(f"everybody who is signed in sees {info.name}")
    else:
        echo(f"{info.name} is {_seen_by(now.members)}")


def _seen_by(members: Sequence[str]) -> str:
    """Return the members of a restricted dataset, in words."""
    return f"seen by admins and: {', '.join(members) or 'nobody else'}"


def _last_imports(info: "DatasetInfo") -> tuple[int, ...]:
    from app.commands.lookup import app_context
    from app.services.datasets import list_datasets

    return next(card.standing for card in list_datasets(app_context()) if card.dataset.id == info.id)


def _card_values(card: "DatasetCard", wrong: "WrongLabels | None") -> dict[str, Any]:
    from core.data.buckets import displayed_path

    newest, found = card.newest, card.reviewable
    judging = card.contradicting if found and found.recipe.proposes else found
    proposed = (found.left if found.recipe.proposes else found.proposed) if found else None
    return {
        "id": card.dataset.id,
        "name": card.dataset.name,
        "root": displayed_path(card.dataset.root),
        "format": card.dataset.format,
        "images": card.images,
        "masks": card.masks,
        "classes": len(card.dataset.classes),
        "rounds": card.rounds,
        "newest_round": f"{newest.number}: {newest.status}" if newest else None,
        "left": judging.left if judging else (0 if found else None),
        "proposed": proposed,
        "decided": found.decided if found else None,
        "wrong_labels": wrong.as_json() if wrong else None,
        "problems": card.problems,
        "window": card.dataset.options.get("window", "full"),
        "evaluation_splits": card.dataset.evaluation_splits,
    }


datasets.callback(help=help_of(list_))(list_)
_COMMANDS: dict[str, Callable[..., None]] = {
    "show": show, "problems": problems, "protect": protect, "move": move, "window": window, "members": members,
}  # fmt: skip
for name, command in _COMMANDS.items():
    datasets.command(name, help=help_of(command))(command)
