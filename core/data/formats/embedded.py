"""Parquet with embedded images, as Hugging Face stores and converts datasets: one file or shards, see `shards`.

The label is the column of type ClassLabel, with the names in the schema, or one found as in other tables. A second
column of images called `mask`, `annotation`, `label` or similar holds masks; their meaning is found as for folders of
masks. Images are unpacked into files (`unpacking`); a preview unpacks those that it shows, and all masks.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.data.formats.cells import SeveralLabelsError, split_tags
from core.data.formats.mask_meaning import DefaultClasses, find_meaning
from core.data.formats.rows import (
    GROUP_NAMES,
    LABEL_NAMES,
    SPLIT_NAMES,
    TAG_NAMES,
    Columns,
    RowReader,
    find_labels,
)
from core.data.formats.shards import (
    IMAGE_NAMES,
    CellReader,
    Cells,
    Shard,
    find_shard,
    mismatch_error,
    note_missing_shards,
    open_shards,
    text_rows,
)
from core.data.formats.source import (
    NO_MEANING,
    MaskMeaning,
    Problems,
    ReadOptions,
    SourceListing,
    combine_meanings,
    group_name,
    is_storable,
    split_name,
)
from core.data.formats.table import Row, Rows, Table, cell_text
from core.data.formats.unpacking import FileStore, shown_name
from core.data.masks.pixels import PixelCode
from core.data.masks.turning import ask_turned
from core.data.reading import spread
from core.types import ClassTable, Cure, DatasetError, SourceSample

_MASK_NAMES = ("mask", "masks", "label", "labels", "annotation", "segmentation", "semantic_segmentation", "seg",
               "segmentation_mask", "label_mask", "gt", "target", "annotations")  # fmt: skip
_NO_CLASS = -1  # value of a ClassLabel without a class
_TURNED_LOOKED_AT = 50  # photos with a mask


@dataclass(slots=True)
class _Source:
    """Shards of a source and the roles of their columns; `masks` are the unpacked files, by shard and row."""

    shards: Mapping[str, Shard]
    columns: Columns
    options: ReadOptions
    problems: Problems
    store: FileStore
    masks: dict[tuple[str, int], str] = field(default_factory=dict)
    code: PixelCode | None = None


def recognise(source: Path) -> str:
    """Return the evidence that the source is such a table or folder, empty if it is not."""
    found = find_shard(source)
    return "" if found is None else f"{found.name} holds images in a column"


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List the rows of all shards.

    Raises:
        DatasetError: there are none, they cannot be read, or no column is known to be the label.
    """
    shards = open_shards(source, options)
    problems = Problems()
    if source.is_dir():
        note_missing_shards(shards, problems)
    columns = _columns(shards[0], options)
    used = {columns.label, columns.split, columns.group, columns.tags} - {None}
    for shard in shards[1:]:
        if not used.issubset(shard.columns):
            raise mismatch_error(shards[0], shard)
    store = FileStore(options.unpack_into)
    opened = _Source({str(shard.path): shard for shard in shards}, columns, options, problems, store)
    _warn_of_others(shards[0], columns, problems)
    table: ClassTable | None = None
    shown = NO_MEANING
    if columns.mask is not None:
        table, shown = _find_masks(opened, source if source.is_dir() else source.parent)
    names = shards[0].class_names(columns.label) if columns.label is not None else None
    _refuse_twins(shards[0], names or {})
    empty = () if names is None else tuple(names.values())
    return SourceListing(_samples(opened), problems, table, shown, empty, lambda asked: _unpack(opened, asked))


def _refuse_twins(shard: Shard, names: Mapping[int, str]) -> None:
    twins = [name for name, count in Counter(names.values()).items() if count > 1]
    if twins:
        raise DatasetError(
            f"{shard.shown}: the schema calls several classes {twins[0]}", "give each class a name of its own"
        )


def _columns(shard: Shard, options: ReadOptions) -> Columns:
    """Return the roles of a shard's columns."""
    image = _image_column(shard, options)
    table = Table(shard.path, shard.columns, lambda: _text_rows(shard, shard.columns))
    mask = _mask_column(shard, image, options)
    if mask is not None:
        split, group = table.find(options.split_column, SPLIT_NAMES), table.find(options.group_column, GROUP_NAMES)
        return Columns(image, None, split, group, mask, table.find("", TAG_NAMES))
    label = options.label_column or table.find("", LABEL_NAMES)
    if label is None:
        classes = [name for name in shard.columns if shard.class_names(name) is not None]
        if len(classes) > 1:
            raise DatasetError(
                f"{shard.shown}: which column is the label, {', '.join(classes)}? Choose it: {Cure.LABEL_COLUMN}"
            )
        label = classes[0] if classes else None
    if label is not None and shard.class_names(label) is not None:
        options = replace(options, label_column=label)  # a list of names suffices
    return replace(find_labels(table, options, image, only_other=False), mask=None, one_hot=())  # flags are not classes


def _image_column(shard: Shard, options: ReadOptions) -> str:
    by_name = {name.strip().lower(): name for name in reversed(list(shard.images))}
    if options.path_column:
        if options.path_column.strip().lower() not in by_name:
            raise DatasetError(
                f"{shard.shown}: no column {options.path_column!r} holds images", f"{', '.join(shard.images)} do"
            )
        return by_name[options.path_column.strip().lower()]
    usual = [by_name[name] for name in IMAGE_NAMES if name in by_name]
    photos = [column for name, column in by_name.items() if name not in _MASK_NAMES]
    return (usual or photos or list(shard.images))[0]


def _mask_column(shard: Shard, image: str, options: ReadOptions) -> str | None:
    by_name = {name.strip().lower(): name for name in reversed(list(shard.images)) if name != image}
    if options.label_column:
        return by_name.get(options.label_column.strip().lower())
    return next((by_name[name] for name in _MASK_NAMES if name in by_name), None)


def _warn_of_others(shard: Shard, columns: Columns, problems: Problems) -> None:
    others = [*(name for name in shard.images if name not in (columns.path, columns.mask)), *shard.passed_over]
    if others:
        problems.warn(
            "columns not read",
            shard.shown,
            f"the columns {', '.join(others)} hold images or structures, of which nothing is read",
            f"nothing; or choose other columns: {Cure.PATH_COLUMN} for the images, {Cure.LABEL_COLUMN} for labels",
        )


def _text_rows(shard: Shard, columns: tuple[str, ...]) -> Rows:
    for row, cells in text_rows(shard, columns):
        yield row + 1, {name: cell_text(value) for name, value in cells.items()}


def _find_masks(opened: _Source, folder: Path) -> tuple[ClassTable, MaskMeaning]:
    """Unpack all masks and some of their photos, and return the classes and the meaning of the masks' values."""
    assert opened.columns.mask is not None
    cells = CellReader(opened.shards, (opened.columns.mask,), opened.problems)
    for path, shard in opened.shards.items():
        for row in range(shard.starts[-1]):
            found = cells.get(shard, row)
            data = None if found is None else found[opened.columns.mask]
            if data is not None:
                opened.masks[path, row] = str(opened.store.put(data, f"{row:06d}_mask"))
    opened.store.finish()
    files = sorted(set(opened.masks.values()))
    if not files:
        raise DatasetError(
            f"{folder}: the column {opened.columns.mask} has no bytes in any row",
            f"choose another: {Cure.LABEL_COLUMN}",
        )
    meaning = find_meaning(files, [folder], opened.options, DefaultClasses(), opened.problems, source=None)
    opened.code = replace(meaning.code, turn=opened.options.exif_masks == "turn")
    again = replace(opened, problems=Problems())  # the listing reads these rows again, with their problems
    rows = spread([f"{path}#{row}" for path, row in opened.masks], _TURNED_LOOKED_AT)
    photos = list(_unpack(again, (SourceSample(place, place, None, mask=_reference(again, place)) for place in rows)))
    turned = ask_turned([(photo.path, (photo.mask or {}).get("path")) for photo in photos], opened.options)
    return meaning.table, combine_meanings(meaning.shown, questions=turned)


def _samples(opened: _Source) -> Iterator[SourceSample]:
    """Yield each row; its path is the shard and the row number."""
    reader = RowReader(Path(), opened.options, opened.problems, confined=False, listed={})
    missing: Counter[str] = Counter()
    columns = opened.columns
    counted: Counter[str] = Counter()
    for path, shard in opened.shards.items():
        wanted = {columns.label, columns.split, columns.group, columns.tags}
        texts = [name for name in shard.columns if name in wanted]
        with_path = [f"{columns.path}.path"] if shard.images[columns.path] else []
        names = shard.class_names(columns.label) if columns.label else None
        for row, cells in text_rows(shard, [*texts, *with_path], opened.problems):
            where = f"{shard.shown}, row {row + 1}"
            text = {name: cell_text(cells.get(name)) for name in texts}
            split = split_name(text.get(columns.split) or "" if columns.split else shard.split)
            written = _stored_path(cells, columns.path, where, opened.problems)
            name = shown_name(written, split, counted[split])
            counted[split] += 1
            try:
                label = _label(reader, columns, names, text, missing)
            except SeveralLabelsError:
                cure = f"leave one of them, or name another column: {Cure.LABEL_COLUMN}"
                opened.problems.error("several labels", where, "it has several labels; a class is one an image", cure)
                continue
            except KeyError:
                opened.problems.error(
                    "no such class",
                    where,
                    f"its label is {text[columns.label or '']}, the schema has names of {len(names or ())} classes",
                    "correct it, or write the names of all classes into the schema",
                )
                continue
            group = group_name(text.get(columns.group or "") or "")
            tags = split_tags(text.get(columns.tags or "") or "") or None
            place = f"{path}#{row}"
            yield SourceSample(place, name, label, split, group, _reference(opened, place), tags)
        reader.note_missing(shard.shown, missing)
        missing.clear()


def _stored_path(cells: Cells, column: str, where: str, problems: Problems) -> str | None:
    """Return the path stored with an image's bytes; it names the image and is never opened."""
    cell = cells.get(column)
    written = cell.get("path") if isinstance(cell, dict) else None
    if not isinstance(written, str) or not is_storable(written):
        return None
    if ".." in written.replace("\\", "/").split("/"):
        problems.warn(
            "path goes up",
            where,
            f"the path {written} beside its image is not followed; the image is read from its bytes",
            "nothing, or write the file's name alone",
        )
    return written


def _label(
    reader: RowReader, columns: Columns, names: Mapping[int, str] | None, text: Row, missing: Counter[str]
) -> str | None:
    """Return the class of a row.

    Raises:
        SeveralLabelsError: it has several.
        KeyError: its number has no name.
    """
    if columns.mask is not None:
        return None
    cell = text.get(columns.label or "")
    if names is None or cell is None:
        return reader.label(columns, text, missing) if columns.label else None
    if not cell.lstrip("-").isdecimal():
        return reader.label(columns, text, missing)
    return None if int(cell) == _NO_CLASS else names[int(cell)].strip() or None


def _reference(opened: _Source, place: str) -> dict[str, Any] | None:
    path, _, row = place.rpartition("#")
    mask = opened.masks.get((path, int(row)))
    return None if mask is None or opened.code is None else opened.code.reference(mask)


def _unpack(opened: _Source, samples: Iterable[SourceSample]) -> Iterator[SourceSample]:
    """Yield samples with the files of their images; damaged, empty or repeated rows are problems."""
    cells = CellReader(opened.shards, (opened.columns.path,), opened.problems)
    listed: dict[str, str | None] = {}
    for sample in samples:
        path, _, row = sample.path.rpartition("#")
        shard = opened.shards[path]
        where = f"{shard.shown}, row {int(row) + 1}"
        found = cells.get(shard, int(row))
        if found is None:
            continue
        data = found[opened.columns.path]
        if data is None:
            opened.problems.error(
                "no image",
                where,
                f"{sample.name} has no bytes in the column {opened.columns.path}",
                "write the image itself into the table, or files beside a table with a column `path`",
            )
            continue
        file = str(opened.store.put(data, sample.name))
        if file in listed:
            _note_repeated(opened.problems, where, sample, listed[file])
            continue
        listed[file] = sample.label
        if opened.columns.mask is not None and sample.mask is None:
            opened.problems.warn(
                "missing mask", sample.name, "its cell holds no mask; it is read as not labelled", "nothing, if so"
            )
        yield replace(sample, path=file, mask=None if sample.mask is None else sample.mask | {"image": file})
    opened.store.finish()


def _note_repeated(problems: Problems, where: str, sample: SourceSample, first: str | None) -> None:
    if sample.label == first:
        problems.warn(
            "listed twice", sample.name, f"{where} repeats an earlier row, image and name", "remove one of the rows"
        )
    else:
        problems.error(
            "listed with two labels",
            sample.name,
            f"{where} says {sample.label or 'nothing'}, an earlier row with the same image and name "
            f"{first or 'nothing'}; the earlier one counts",
            "keep the row that is right",
        )
