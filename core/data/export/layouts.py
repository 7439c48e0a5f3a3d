"""Layouts of an export of class labels: the place of each image, and the tables beside the images.

A layout names the file of every row of a plan (relative, with `/`; empty: the original is not copied), then the tables
are written around the placed files. The readers in `core.data.formats` read these layouts.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from core.data.export.items import ExportFormat, ExportPlan, Row, Unsettled
from core.data.export.names import LABELS, NO_SPLIT, FileNames, FolderNames, folder_names
from core.data.export.tables import COLUMNS, Cell, cells, write_csv, write_jsonl, write_parquet
from core.data.formats import label_studio
from core.data.formats.cells import is_formula, is_missing
from core.data.formats.source import SPLITS, UNLABELLED_FOLDERS
from core.data.formats.walk import is_image_name

MEANINGFUL = frozenset(SPLITS) | UNLABELLED_FOLDERS  # names with another meaning for readers of folders
_WORDS = {"true", "false", "inf", "infinity"}
_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
IMAGES = "images"  # folder of the images of an export without splits, beside its metadata


@dataclass(frozen=True, slots=True)
class ExportLayout:
    """A plan with a place for every row."""

    plan: ExportPlan
    layout: FolderNames
    files: tuple[str, ...]  # as long as plan.rows


def lay_out(plan: ExportPlan) -> ExportLayout:
    """Return the place of every image of a plan."""
    if plan.options.format is ExportFormat.CLASS_FOLDERS:
        return _class_folders(plan)
    if plan.options.format.with_files and not plan.options.format.embeds:
        return _one_folder_a_split(plan)
    return ExportLayout(plan, FolderNames(), ("",) * len(plan.rows))


def write_tables(folder: Path, laid: ExportLayout) -> str:
    """Write the tables of an export into `folder` and return the name of the one with all rows."""
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
    """Return an image's own file name, with an ending that readers of folders accept."""
    name = path.name
    if is_image_name(name):
        return name
    try:
        with Image.open(path) as image:
            return f"{name}.{(image.format or 'png').lower()}"
    except OSError:
        return name  # missing or damaged: reported when it is placed


def _records(laid: ExportLayout) -> Iterable[dict[str, Cell]]:
    for row, file in zip(laid.plan.rows, laid.files, strict=True):
        yield cells(row, file or row.item.path)


def _class_folders(plan: ExportPlan) -> ExportLayout:
    """Place images at `[split/]class/file`, those kept apart at `_reason/[split/]file`.

    A split called `test` has the folder `%74est` there, so that programs do not read it as a split. Without splits,
    classes are below `images` if any image is kept apart, since its folder would be read as a class beside them.
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
    layout = FolderNames(
        classes={folder: name for name, folder in classes.items() if name in used},
        splits={folder: name for name, folder in splits.items()},
        splits_apart={folder: name for name, folder in aside.items()} if reasons else {},
        apart={folder: reason.value for reason, folder in reasons.items()},
    )
    return ExportLayout(plan, layout, files)


def _one_folder_a_split(plan: ExportPlan) -> ExportLayout:
    """Place images at `split/file`, or `images/file` without splits: no folder name contradicts the table's labels."""
    splits = _split_folders(plan)
    names = FileNames()

    def place(row: Row) -> str:
        folder = splits[row.item.split] if splits else IMAGES
        return f"{folder}/{names.give(folder, file_name(Path(row.item.path)), row.item.content_hash)}"

    layout = FolderNames(splits={folder: name for name, folder in splits.items()})
    return ExportLayout(plan, layout, tuple(place(row) for row in plan.rows))


def _split_folders(plan: ExportPlan) -> dict[str, str]:
    """Return the folder of each split, empty if no image has one."""
    found = sorted({row.item.split for row in plan.rows})
    names = [split for split in found if split]
    if not names:
        return {}
    return folder_names(names) | ({"": NO_SPLIT} if "" in found else {})


def metadata_name(laid: ExportLayout) -> str:
    """Return the name of the metadata files: CSV if that is requested and can hold all labels as text."""
    is_csv = laid.plan.options.format is ExportFormat.HUGGING_FACE
    spelt = all(row.label is None or is_text_in_csv(row.label) for row in laid.plan.rows)
    return "metadata.csv" if is_csv and spelt else "metadata.jsonl"


def is_text_in_csv(label: str) -> bool:
    """Return whether programs that guess the types of CSV cells read this label as text."""
    text = label.strip()
    return not (is_missing(text) or is_formula(label) or text.lower() in _WORDS or _NUMBER.fullmatch(text))


def metadata_tables(laid: ExportLayout) -> dict[str, list[Mapping[str, Cell]]]:
    """Return the rows of each metadata file that the `datasets` library reads, by its folder.

    It does not find splits by a folder other than train, val and test; then one file at the top has all rows.
    """
    tables: dict[str, list[Mapping[str, Cell]]] = {}
    known = bool(laid.layout.splits) and all(name in SPLITS for name in laid.layout.splits)
    for row, file in zip(laid.plan.rows, laid.files, strict=True):
        home, _, name = file.partition("/")
        where, shown = (home, name) if known else ("", file)
        record = {"file_name": shown} | {key: value for key, value in cells(row, "").items() if key != "path"}
        tables.setdefault(where, []).append(record)
    return tables


def _write_metadata(folder: Path, laid: ExportLayout) -> None:
    name = metadata_name(laid)
    for where, records in sorted(metadata_tables(laid).items()):
        if name.endswith(".jsonl"):
            write_jsonl(folder / where / name, records)
        else:
            write_csv(folder / where / name, records, ("file_name", *COLUMNS[1:]), raw=laid.plan.options.raw)
