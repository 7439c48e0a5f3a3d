"""Turn the rows of a table into samples: what the manifest and the Hugging Face reader have in common.

A guess about a column is looked at before it is used (`find_columns`): a column with nearly one value an image is no
label, columns of zeros and ones are one class each, and several labels an image are refused.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from core.data.formats.cells import SeveralLabelsError, label_of, spelt, unescaped
from core.data.formats.paths import PathFinder, is_url
from core.data.formats.source import (
    SPLITS,
    Problems,
    ReadOptions,
    group_name,
    is_allowed,
    is_storable,
    is_within,
    split_name,
)
from core.data.formats.table import TEXT_SUFFIXES, Row, Table
from core.data.formats.tags import split_tags
from core.data.masks.pixels import PixelCode
from core.types import DatasetError, SourceSample

PATH_NAMES = (
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "img",
    "image_id",
)
LABEL_NAMES = ("label", "labels", "class", "class_name", "category", "target", "label_name")
SPLIT_NAMES = ("split", "subset", "set", "partition")
GROUP_NAMES = ("group", "group_id", "sequence")
MASK_NAMES = ("mask", "mask_path", "mask_file", "segmentation")
TAG_NAMES = ("tags", "image_tags", "present")
ONES = ("1", "1.0", "True", "true")
_BITS = (*ONES, "0", "0.0", "False", "false", "")
SURVEYED = 20_000  # rows looked at
_LEAST_SURVEYED = 8  # labels; with fewer nothing can be told from their number
_CAPTION_SHARE = 0.8  # of images with a value of their own
_SEVERAL_SHARE = 2  # at least every second label


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a table holds what; None: no column does."""

    path: str
    label: str | None
    split: str | None
    group: str | None
    mask: str | None = None
    tags: str | None = None
    one_hot: tuple[str, ...] = ()  # a column a class, 1 where the image is of it


@dataclass(slots=True)
class RowReader:
    """Reads tables of one root; a path is only ever listed once, the first row counts."""

    root: Path  # names are shown relative to it
    options: ReadOptions
    problems: Problems
    confined: bool  # files must not leave the root
    listed: dict[str, str | None]
    code: PixelCode | None = None  # how the masks say their classes, where labels are masks
    escapes: bool = False  # CSV is of an export of ours that has an apostrophe before formulas

    def read(self, table: Table, columns: Columns) -> Iterator[SourceSample]:
        """Yield the samples of one table, in its order; paths are relative to the table's folder."""
        if table.warning:
            self.problems.warn(
                "encoding guessed", table.path.name, table.warning, "save it as UTF-8, if names look wrong"
            )
        finder = PathFinder(table.path.parent, self.options.image_root)
        missing: Counter[str] = Counter()
        told = (columns.label, columns.split, columns.group)
        escaped = {name for name in told if name is not None and self._has_escapes(table)}
        for number, row in table.rows:
            where = f"{table.path.name}, row {number}"
            if row is not None:
                row |= {name: cell and unescaped(cell) for name in escaped for cell in [row.get(name)]}
            sample = self._sample(finder, columns, row, where, missing)
            if sample is not None:
                yield sample
        self.note_missing(table.path.name, missing)

    def note_missing(self, name: str, missing: Counter[str]) -> None:
        """Warn of cells of the table `name` that were read as no label."""
        for text, count in missing.items():
            self.problems.warn(
                "missing label",
                name,
                f"{count:,} labels {text} were read as no label",
                "nothing; where it is the name of a class, import into a new dataset with --literal-labels",
            )

    def _has_escapes(self, table: Table) -> bool:
        """Whether an apostrophe before a formula is no part of the text, as spreadsheets and Outfold write CSV."""
        is_csv = table.path.suffix.lower() in TEXT_SUFFIXES
        return is_csv and (self.escapes or not self.options.literal_labels)

    def _sample(
        self, finder: PathFinder, columns: Columns, row: Row | None, where: str, missing: Counter[str]
    ) -> SourceSample | None:
        if row is None:
            cause = "it does not have the header's number of cells"
            self.problems.error("damaged row", where, cause, "mend the row")
            return None
        path = self._path(finder, columns, row, where)
        if path is None:
            return None
        name = self._name(path)
        try:
            label = self.label(columns, row, missing)
        except SeveralLabelsError:
            cure = "leave one of them, or name another column: --label-column"
            self.problems.error("several labels", where, f"{name} has several labels; a class is one an image", cure)
            return None
        if path in self.listed:
            self._note_repeated(where, name, label, self.listed[path])
            return None
        self.listed[path] = label
        split = _of(row, columns.split) or _split_of(name)
        group = group_name(_of(row, columns.group) or "")
        tags = split_tags(_of(row, columns.tags) or "") or None
        mask = self._mask(finder, _of(row, columns.mask), path)
        return SourceSample(path, name, label, split_name(split), group, mask, tags)

    def _path(self, finder: PathFinder, columns: Columns, row: Row, where: str) -> str | None:
        """Return the file a row names, None where it names none that may be read."""
        written, error = row.get(columns.path), self.problems.error
        if written is None:
            error("no path", where, f"its {columns.path} is empty", "fill it in, or remove the row")
        elif not is_storable(written) or not is_storable(_of(row, columns.label) or ""):
            error("name is not UTF-8", where, "its path or label holds what is no text", "rename it")
        else:
            path = finder.find(written)
            if is_url(written) and not os.path.lexists(path):
                cure = "download the images and name their folder: --image-root"
                error("URL", where, f"{written} is a URL, and URLs are not fetched", cure)
            elif self._may_read(path, self._name(path)):
                return path
        return None

    def _name(self, path: str) -> str:
        for base in (self.options.image_root, str(self.root)):
            if base and is_within(path, base):
                return os.path.relpath(path, base)
        return path

    def label(self, columns: Columns, row: Row, missing: Counter[str]) -> str | None:
        """Return the class a row names, None for none; cells that mean no value are counted as `missing`.

        Raises:
            SeveralLabelsError: it names several.
        """
        if self.code is not None:
            return None
        if columns.one_hot:
            named = [name for name in columns.one_hot if (row.get(name) or "").strip() in ONES]
            if len(named) > 1:
                raise SeveralLabelsError
            return spelt(named[0].strip()) if named else None
        cell = _of(row, columns.label)
        label = label_of(cell, literal=self.options.literal_labels)
        if label is None and cell is not None and cell.strip() not in ("", "[]"):
            missing[cell.strip()] += 1
        return label

    def _mask(self, finder: PathFinder, written: str | None, image: str) -> dict[str, Any] | None:
        if written is None or self.code is None:
            return None
        path = finder.find(written)
        return self.code.reference(path, image) if self._may_read(path, written) else None

    def _may_read(self, path: str, name: str) -> bool:
        if not is_allowed(path, self.options):
            self.problems.error(
                "outside the allowed folders",
                name,
                "this installation does not read there",
                "copy it into an allowed folder, or have the folder added to OUTFOLD_ALLOWED_ROOTS",
            )
            return False
        if self.confined and not self.options.allow_outside_links and not not_outside(path, self.root, self.options):
            self.problems.error(
                "link leaves the folder",
                name,
                "it leads out of the folder",
                "copy the file into the folder, or follow such links: --allow-outside-links",
            )
            return False
        return True

    def _note_repeated(self, where: str, name: str, label: str | None, first: str | None) -> None:
        if label == first:
            self.problems.warn("listed twice", name, f"{where} repeats an earlier row", "remove one of the rows")
        else:
            self.problems.error(
                "listed with two labels",
                name,
                f"{where} says {label or 'nothing'}, an earlier row {first or 'nothing'}; the earlier one counts",
                "keep the row that is right",
            )


def not_outside(path: str, root: Path, options: ReadOptions) -> bool:
    """Whether a file, links followed, lies below the root or the folder that the options name for images."""
    real = os.path.realpath(path)
    roots = [str(root), *([os.path.realpath(options.image_root)] if options.image_root else [])]
    return any(is_within(real, one) for one in roots)


def find_columns(table: Table, options: ReadOptions, *, only_other: bool) -> Columns:
    """Return which column of a table holds what, after a look at its rows.

    `only_other`: without a usual name the label is the one column that is left, as in metadata of Hugging Face.

    Raises:
        DatasetError: a column is not there, or cannot be what it would have to be.
    """
    path = table.find(options.path_column, PATH_NAMES)
    if path is None and table.nested:
        raise DatasetError(
            f"{table.path.name}: its column {table.nested[0]} holds images themselves or structures, and no column the "
            "paths of images; read images in a table with --format huggingface-parquet"
        )
    if path is None:
        raise DatasetError(
            f"{table.path.name}: no column holds the path of the image; {table.described}. Call it `path` or "
            "`file_name`, or choose it: --path-column"
        )
    return find_labels(table, options, path, only_other=only_other)


def find_labels(table: Table, options: ReadOptions, path: str, *, only_other: bool) -> Columns:
    """Return which columns hold the rest, where images are in the column `path`.

    Raises:
        DatasetError: a column is not there, or cannot be what it would have to be.
    """
    split, group = table.find(options.split_column, SPLIT_NAMES), table.find(options.group_column, GROUP_NAMES)
    mask, tags = table.find("", MASK_NAMES), table.find("", TAG_NAMES)
    label = table.find(options.label_column, LABEL_NAMES)
    if options.label_column:
        return Columns(path, label, split, group, None, tags)
    known = {"", *SPLIT_NAMES, *GROUP_NAMES, *TAG_NAMES, *MASK_NAMES}
    taken = {path, split, group}
    others = [name for name in table.columns if name not in taken and name.strip().lower() not in known]
    if label is None and mask is None:
        if len(others) > 1 and _are_one_hot(table, others):
            return Columns(path, None, split, group, None, tags, tuple(others))
        if only_other and len(others) == 1:
            label = others[0]
        elif only_other and others:
            raise DatasetError(
                f"{table.path.name}: which column is the label? {table.described}. Call it `label`, or choose it: "
                "--label-column"
            )
    if label is not None and mask is None and not options.literal_labels:
        _refuse_implausible(table, label)
    return Columns(path, label, split, group, mask, tags)


def _are_one_hot(table: Table, names: list[str]) -> bool:
    """Whether these columns hold nothing but 0 and 1, in the rows that are looked at."""
    seen = [row for _, row in islice(table.rows, SURVEYED) if row is not None]
    return bool(seen) and all((row.get(name) or "").strip() in _BITS for row in seen for name in names)


def _refuse_implausible(table: Table, label: str) -> None:
    """Check that a column that was found by its name holds one of a few classes for each image.

    Raises:
        DatasetError: it holds nearly one value an image, as captions do, or several classes an image.
    """
    cells = [cell for _, row in islice(table.rows, SURVEYED) if row and (cell := row.get(label))]
    values = Counter(cell.strip() for cell in cells)
    joined = [text for text in values if _names_several(text, values)]
    if joined and sum(values[text] for text in joined) * _SEVERAL_SHARE >= len(cells):
        raise DatasetError(
            f"{table.path.name}: the column {label.strip()} has several labels an image, as in {joined[0]}; they are "
            "not supported. Leave one label an image, or choose another column: --label-column"
        )
    if len(cells) >= _LEAST_SURVEYED and len(values) > _CAPTION_SHARE * len(cells):
        raise DatasetError(
            f"{table.path.name}: the column {label.strip()} has {len(values):,} values for {len(cells):,} images, as "
            f"captions do, so it is no label; {table.described}. Choose one if it is: --label-column"
        )


def _names_several(text: str, values: Mapping[str, int]) -> bool:
    """Whether this is a list of several, or joins with `|` what elsewhere in the column stands alone."""
    parts = [part.strip() for part in text.split("|")]
    if len(parts) > 1 and all(parts):
        return any(part in values for part in parts)
    try:
        label_of(text, literal=False)
    except SeveralLabelsError:
        return True
    return False


def _of(row: Row, column: str | None) -> str | None:
    return None if column is None else row.get(column)


def _split_of(name: str) -> str:
    top = name.split("/", 1)[0]
    return top if top.lower() in SPLITS else ""
