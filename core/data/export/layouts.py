"""Where each image lies in an export, and the tables beside the images, for every form labels leave in.

A layout names the file of every row of a plan (relative, with `/`; empty: the original stays where it is), then
the tables are written around the placed files. What is written here is read by the readers in `core.data.formats`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from core.data.export.items import ExportFormat, Plan, Row, Unsettled
from core.data.export.names import LABELS, NO_SPLIT, FileNames, Layout, folder_names
from core.data.export.tables import COLUMNS, Cell, cells, write_csv, write_jsonl, write_parquet
from core.data.formats import label_studio
from core.data.formats.cells import is_formula, is_missing
from core.data.formats.source import SPLITS, UNLABELLED_FOLDERS
from core.data.formats.walk import is_image_name

MEANINGFUL = frozenset(SPLITS) | UNLABELLED_FOLDERS  # what readers of folders take for more than a class
_WORDS = {"true", "false", "inf", "infinity"}
_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
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
    write_csv(folder / LABELS, _records(laid), raw=laid.plan.options.raw)
    if form in (ExportFormat.HUGGING_FACE, ExportFormat.HUGGING_FACE_JSONL):
        _write_metadata(folder, laid)
    if form is ExportFormat.LABEL_STUDIO_CHOICES:
        rows = [(file, row.item.split, row.label) for row, file in zip(laid.plan.rows, laid.files, strict=True)]
        label_studio.write_choices(folder, rows, laid.plan.source.classes)
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
    """`[split/]class/file`; what stands apart `_reason/[split/]file`.

    There a split called `test` has the folder `%74est`, which no program takes for one. Without splits, classes lie in
    `images` where anything stands apart: beside them it would be one more class.
    """
    labels = [*plan.source.classes, *(row.label for row in plan.rows if row.label is not None)]
    classes = folder_names(labels, reserved=MEANINGFUL)
    reasons = {reason: f"_{reason.value}" for reason in Unsettled if any(row.apart is reason for row in plan.rows)}
    splits = _split_folders(plan)
    aside = folder_names([split for split in splits if split], reserved=MEANINGFUL)
    if reasons and not splits:
        splits = {"": IMAGES}
    names = FileNames()

    def place(row: Row) -> str:
        if row.apart:
            parts = [reasons[row.apart], *([aside[row.item.split]] if row.item.split in aside else [])]
        else:
            parts = [*([splits[row.item.split]] if splits else []), classes[row.label or ""]]
        folder = "/".join(parts)
        return f"{folder}/{names.give(folder, file_name(Path(row.item.path)), row.item.content_hash)}"

    files = tuple(place(row) for row in plan.rows)
    used = {row.label for row in plan.rows}
    layout = Layout(
        classes={folder: name for name, folder in classes.items() if name in used},
        splits={folder: name for name, folder in splits.items()},
        splits_apart={folder: name for name, folder in aside.items()} if reasons else {},
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


def metadata_name(laid: LaidOut) -> str:
    """Return the name of the metadata files: CSV where that is asked for and can hold all labels as text."""
    is_csv = laid.plan.options.format is ExportFormat.HUGGING_FACE
    spelt = all(row.label is None or csv_spells(row.label) for row in laid.plan.rows)
    return "metadata.csv" if is_csv and spelt else "metadata.jsonl"


def csv_spells(label: str) -> bool:
    """Whether programs that guess the types of CSV cells read this label as the text that it is."""
    text = label.strip()
    return not (is_missing(text) or is_formula(label) or text.lower() in _WORDS or _NUMBER.fullmatch(text))


def metadata_tables(laid: LaidOut) -> dict[str, list[Mapping[str, Cell]]]:
    """Return the rows of each metadata file that the `datasets` library reads, by its folder.

    Splits of other names than train, val and test are not found by their folder; then one file at the top has all.
    """
    tables: dict[str, list[Mapping[str, Cell]]] = {}
    known = bool(laid.layout.splits) and all(name in SPLITS for name in laid.layout.splits)
    for row, file in zip(laid.plan.rows, laid.files, strict=True):
        home, _, name = file.partition("/")
        where, shown = (home, name) if known else ("", file)
        record = {"file_name": shown} | {key: value for key, value in cells(row, "").items() if key != "path"}
        tables.setdefault(where, []).append(record)
    return tables


def _write_metadata(folder: Path, laid: LaidOut) -> None:
    name = metadata_name(laid)
    for where, records in sorted(metadata_tables(laid).items()):
        if name.endswith(".jsonl"):
            write_jsonl(folder / where / name, records)
        else:
            write_csv(folder / where / name, records, ("file_name", *COLUMNS[1:]), raw=laid.plan.options.raw)
