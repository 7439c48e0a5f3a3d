"""`tags`: import, list and export the classes that images show, and their contradictions with masks."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from app.commands.console import DatasetName, JsonFlag, echo, echo_json, echo_table, fail, help_of, inform
from core.types import counted

tags = typer.Typer(name="tags", rich_markup_mode=None, no_args_is_help=True)

MASKS = "Also the images with a mask, by its classes."
_SHOWN = 20  # problems that are printed one by one

FromMasks = Annotated[bool, typer.Option("--from-masks", help=MASKS)]


def import_(
    *,
    dataset: DatasetName,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, Parquet or JSON lines with path and tags.")],
    over_people: Annotated[bool, typer.Option("--over-people", help="The table outweighs the tags of people.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Import tags from a table with the columns path and tags, as in street/7.jpg,road;car.

    Examples:
      python -m app tags import scenes tags.csv
      python -m app tags import scenes tags.parquet --over-people
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services.tags.tables import import_tags

    opened = app_context()
    done = import_tags(opened, get_dataset(opened, dataset).id, table, over_people=over_people)
    if as_json:
        echo_json(done)
    else:
        echo(f"{counted(done.stored, 'image')} tagged, {done.unchanged:,} were already")
        if done.kept:
            inform(f"{done.kept:,} images are as people tagged them; --over-people lets the table outweigh them")
        for problem in done.problems[:_SHOWN]:
            inform(f"{problem.path}: {problem.message}; {problem.cure}")
        for kind, count in Counter(problem.kind for problem in done.problems).items():
            inform(f"{count:,} x {kind}")
    if done.problems and not done.stored + done.unchanged + done.kept:
        fail(f"no row of {table.name} was used", "" if as_json else "see above")


def list_(*, dataset: DatasetName, from_masks: FromMasks = False, as_json: JsonFlag = False) -> None:
    """List the tags of a dataset's images, and who set them.

    Examples:
      python -m app tags list scenes
      python -m app tags list scenes --from-masks --json
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services.tags.tables import known_tags

    opened = app_context()
    info = get_dataset(opened, dataset)
    found = known_tags(opened, info.id, from_masks=from_masks)
    rows = [(one.name, [info.classes[number] for number in one.classes], one.by) for one in found]
    if as_json:
        echo_json([{"path": name, "tags": classes, "by": by} for name, classes, by in rows])
        return
    echo_table(["path", "tags", "by"], [(name, "; ".join(classes), by) for name, classes, by in rows])
    if not rows:
        inform("no image has tags yet; import a table, or tag images on the Tags page")


def export(
    *,
    dataset: DatasetName,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="The .csv to write; it must not exist yet.")],
    from_masks: FromMasks = False,
    as_json: JsonFlag = False,
) -> None:
    """Write the tags of a dataset's images as a CSV that can be imported again.

    Examples:
      python -m app tags export scenes tags.csv
      python -m app tags export scenes tags.csv --from-masks
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services.tags.tables import export_tags

    opened = app_context()
    count = export_tags(opened, get_dataset(opened, dataset).id, table, from_masks=from_masks)
    if as_json:
        echo_json({"rows": count, "table": str(table)})
    else:
        echo(f"{counted(count, 'image')} in {table}")


def missing(*, dataset: DatasetName, as_json: JsonFlag = False) -> None:
    """List contradictions of tags and masks: tagged classes that are missing, and classes that are not tagged.

    Examples:
      python -m app tags missing scenes
    """
    from app.commands.lookup import app_context, get_dataset
    from app.services.tags.tables import find_doubts

    opened = app_context()
    info = get_dataset(opened, dataset)
    rows = [
        {
            "path": one.name,
            "class": info.classes[one.doubt.label],
            "contradiction": one.doubt.contradiction.value,
            "in": "prediction" if one.doubt.predicted else "mask",
            "pixels": one.doubt.pixels,
        }
        for one in find_doubts(opened, info.id)
    ]
    if as_json:
        echo_json(rows)
        return
    columns = ("path", "class", "contradiction", "in", "pixels")
    echo_table(columns, [[one[column] for column in columns] for one in rows], numbers=["pixels"])
    inform(f"{len(rows):,} contradictions" if rows else "tags and masks agree")


tags.callback(help="Classes that images show: import, list, export, and contradictions with masks.")(lambda: None)
COMMANDS: dict[str, Callable[..., None]] = {"import": import_, "list": list_, "export": export, "missing": missing}
for name, command in COMMANDS.items():
    tags.command(name, help=help_of(command))(command)
