"""Where each image lies in an export, and the tables beside the images, for every form labels leave in.

A layout names the file of every row of a plan (relative, with `/`; empty: the original stays where it is), then
the tables are written around the placed files. What is written here is read by the readers in `core.data.formats`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from core.data.export.items import ExportFormat, Plan, Row, Unsettled
from core.data.export.names import LABELS, NO_SPLIT, FileNames, Layout, folder_names
from core.data.export.tables import COLUMNS, Cell, cells, write_csv, write_jsonl, write_parquet
from core.data.formats.source import SPLITS, UNLABELLED_FOLDERS
from core.data.formats.walk import is_image_name

MEANINGFUL = frozenset(SPLITS) | UNLABELLED_FOLDERS  # what readers of folders take for more than a class
IMAGES = "images"  # where the files of an export without splits lie beside its metadata


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A plan with a place for every row."""

    plan: Plan
    layout: Layout
    files: tuple[str, ...]  # as long as plan.rows


def lay_out(plan: Plan) -> LaidOut:
    """Return the place of every image of a plan."""
    if plan.options.format is ExportFormat.CLASS_FOLDERS:
        return _class_folders(plan)
    if plan.options.format.with_files and not plan.options.format.embeds:
        return _one_folder_a_split(plan)
    return LaidOut(plan, Layout(), ("",) * len(plan.rows))


def write_tables(folder: Path, laid: LaidOut) -> str:
    """Write the tables of an export into `folder` and return the name of the one that holds every row."""
    form = laid.plan.options.format
    if form is ExportFormat.PARQUET:
        write_parquet(folder / "labels.parquet", _records(laid))
        return "labels.parquet"
    write_csv(folder / LABELS, _records(laid))
    if form in (ExportFormat.HUGGING_FACE, ExportFormat.HUGGING_FACE_JSONL):
        _write_metadata(folder, laid, lines=form is ExportFormat.HUGGING_FACE_JSONL)
    return LABELS


def file_name(path: Path) -> str:
    """Return an image's own file name, with an ending that readers of folders know."""
    name = path.name
    if is_image_name(name):
        return name
    try:
        with Image.open(path) as image:
            return f"{name}.{(image.format or 'png').lower()}"
    except OSError:
        return name  # it is gone or damaged: placing it says so


def _records(laid: LaidOut) -> Iterable[dict[str, Cell]]:
    for row, file in zip(laid.plan.rows, laid.files, strict=True):
        yield cells(row, file or row.item.path)


def _class_folders(plan: Plan) -> LaidOut:
    """`[split/]class/file`; what stands apart `_reason/[split/]file`."""
    labels = [*plan.source.classes, *(row.label for row in plan.rows if row.label is not None)]
    classes = folder_names(labels, reserved=MEANINGFUL)
    splits = _split_folders(plan)
    reasons = {reason: f"_{reason.value}" for reason in Unsettled if any(row.apart is reason for row in plan.rows)}
    names = FileNames()

    def place(row: Row) -> str:
        parts = [splits[row.item.split]] if splits else []
        parts = [reasons[row.apart], *parts] if row.apart else [*parts, classes[row.label or ""]]
        folder = "/".join(parts)
        return f"{folder}/{names.give(folder, file_name(Path(row.item.path)), row.item.content_hash)}"

    files = tuple(place(row) for row in plan.rows)
    used = {row.label for row in plan.rows}
    layout = Layout(
        classes={folder: name for name, folder in classes.items() if name in used},
        splits={folder: name for name, folder in splits.items()},
        apart={folder: reason.value for reason, folder in reasons.items()},
    )
    return LaidOut(plan, layout, files)


def _one_folder_a_split(plan: Plan) -> LaidOut:
    """`split/file`, or `images/file` where there are no splits: no folder says a label that the table corrects."""
    splits = _split_folders(plan)
    names = FileNames()

    def place(row: Row) -> str:
        folder = splits[row.item.split] if splits else IMAGES
        return f"{folder}/{names.give(folder, file_name(Path(row.item.path)), row.item.content_hash)}"

    layout = Layout(splits={folder: name for name, folder in splits.items()})
    return LaidOut(plan, layout, tuple(place(row) for row in plan.rows))


def _split_folders(plan: Plan) -> dict[str, str]:
    """Return the folder of each split, nothing if no image has one."""
    found = sorted({row.item.split for row in plan.rows})
    named = [split for split in found if split]
    if not named:
        return {}
    return folder_names(named) | ({"": NO_SPLIT} if "" in found else {})


def _write_metadata(folder: Path, laid: LaidOut, *, lines: bool) -> None:
    """Write what the `datasets` library reads: `file_name` relative to a metadata file in each split's folder.

    Splits of other names than train, val and test are not found by their folder; then one file at the top has all.
    """
    tables: dict[str, list[Mapping[str, Cell]]] = {}
    known = bool(laid.layout.splits) and all(name in SPLITS for name in laid.layout.splits)
    for row, file in zip(laid.plan.rows, laid.files, strict=True):
        home, _, name = file.partition("/")
        where, shown = (home, name) if known else ("", file)
        record = {"file_name": shown} | {key: value for key, value in cells(row, "").items() if key != "path"}
        tables.setdefault(where, []).append(record)
    for where, records in sorted(tables.items()):
        if lines:
            write_jsonl(folder / where / "metadata.jsonl", records)
        else:
            write_csv(folder / where / "metadata.csv", records, ("file_name", *COLUMNS[1:]))
