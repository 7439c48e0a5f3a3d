"""Rows of a table as samples: common part of the readers of manifests and Hugging Face metadata.

A guess about a column is checked before it is used (`find_columns`): a column with nearly one value per image is no
label, columns of zeros and ones are one class each, and several labels per image are refused.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from core.data.formats.cells import (
    PathFinder,
    SeveralLabelsError,
    compose_letters,
    is_url,
    label_of,
    split_tags,
    unescape_cell,
)
from core.data.formats.source import SPLITS, Problems, ReadOptions, group_name, is_allowed, is_storable, split_name
from core.data.formats.table import TEXT_SUFFIXES, Row, Table
from core.data.masks.pixels import PixelCode
from core.data.storage import is_within
from core.types import Cure, DatasetError, SourceSample, counted

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
LONGEST_LABEL = 255  # characters, as many as the name of a folder has
_SHOWN_CHARACTERS = 40
SURVEYED = 20_000  # rows examined
_LEAST_SURVEYED = 8  # labels; fewer are not informative
_CAPTION_SHARE = 0.8  # of images with a value of their own
_SEVERAL_SHARE = 2  # at least every second label


@dataclass(frozen=True, slots=True)
class Columns:
    """Roles of a table's columns; None: no column has this role."""

    path: str
    label: str | None
    split: str | None
    group: str | None
    mask: str | None = None
    tags: str | None = None
    one_hot: tuple[str, ...] = ()  # one column per class, 1 where the image is of it


@dataclass(slots=True)
class RowReader:
    """Reads tables of one root; a path is listed once, the first row counts."""

    root: Path  # names are shown relative to it
    options: ReadOptions
    problems: Problems
    confined: bool  # files must not leave the root
    listed: dict[str, str | None]
    code: PixelCode | None = None  # encoding of the masks, if labels are masks
    escapes: bool = False  # CSV of an export of Outfold with an apostrophe before formulas

    def read(self, table: Table, columns: Columns) -> Iterator[SourceSample]:
        """Yield the samples of one table, in its order; paths are relative to the table's folder."""
        if table.warning:
            self.problems.warn(
                "encoding guessed", table.path.name, table.warning, "save it as UTF-8, if names look wrong"
            )
        finder = PathFinder(table.path.parent, self.options.image_root)
        missing: Counter[str] = Counter()
        chosen = (columns.label, columns.split, columns.group)
        escaped = {name for name in chosen if name is not None and self._has_escapes(table)}
        for number, row in table.rows:
            where = f"{table.path.name}, row {number}"
            if row is not None:
                row |= {name: cell and unescape_cell(cell) for name in escaped for cell in [row.get(name)]}
            sample = self._sample(finder, columns, row, where, missing)
            if sample is not None:
                yield sample
        self.note_missing(table.path.name, missing)

    def note_missing(self, name: str, missing: Counter[str]) -> None:
        """Warn of cells of the table `name` that were read as missing labels."""
        for text, count in missing.items():
            self.problems.warn(
                "missing label",
                name,
                f"{counted(count, 'label')} {text} read as no label",
                f"nothing; where it is the name of a class, import into a new dataset with {Cure.LITERAL_LABELS}",
            )

    def _has_escapes(self, table: Table) -> bool:
        """Return whether an apostrophe before a formula is an escape, as spreadsheets and Outfold write CSV."""
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
            cure = f"leave one of them, or name another column: {Cure.LABEL_COLUMN}"
            self.problems.error("several labels", where, f"{name} has several labels; a class is one an image", cure)
            return None
        if label is not None and len(label) > LONGEST_LABEL:
            cause = f"its label has {len(label):,} characters, beginning with {label[:_SHOWN_CHARACTERS]}"
            cure = f"name a class by {LONGEST_LABEL} characters at most, or another column: {Cure.LABEL_COLUMN}"
            self.problems.error("label too long", where, cause, cure)
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
        """Return the file of a row, None if it names none that may be read."""
        written, error = row.get(columns.path), self.problems.error
        if written is None:
            error("no path", where, f"its {columns.path} is empty", "fill it in, or remove the row")
        elif not is_storable(written) or not is_storable(_of(row, columns.label) or ""):
            error("name is not UTF-8", where, "its path or label is not text", "rename it")
        else:
            path = finder.find(written)
            if is_url(written) and not os.path.lexists(path):
                cure = f"download the images and name their folder: {Cure.IMAGE_ROOT}"
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
        """Return the class of a row, None if it has none; cells for missing values are counted in `missing`.

        Raises:
            SeveralLabelsError: it has several.
        """
        if self.code is not None:
            return None
        if columns.one_hot:
            named = [name for name in columns.one_hot if (row.get(name) or "").strip() in ONES]
            if len(named) > 1:
                raise SeveralLabelsError
            return compose_letters(named[0].strip()) if named else None
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
        if self.confined and not self.options.allow_outside_links and not is_inside(path, self.root, self.options):
            self.problems.error(
                "link leaves the folder",
                name,
                "it leads out of the folder",
                f"copy the file into the folder, or follow such links: {Cure.ALLOW_OUTSIDE_LINKS}",
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


def is_inside(path: str, root: Path, options: ReadOptions) -> bool:
    """Return whether a file, links followed, is below the root or the options' folder of images."""
    real = os.path.realpath(path)
    roots = [str(root), *([os.path.realpath(options.image_root)] if options.image_root else [])]
    return any(is_within(real, one) for one in roots)


def find_columns(table: Table, options: ReadOptions, *, only_other: bool) -> Columns:
    """Return the roles of a table's columns, after examining its rows.

    `only_other`: without a usual name the label is the only remaining column, as in metadata of Hugging Face.

    Raises:
        DatasetError: a column is missing, or implausible in its role.
    """
    path = table.find(options.path_column, PATH_NAMES)
    if path is None and table.nested:
        raise DatasetError(
            f"{table.path.name}: its column {table.nested[0]} holds images themselves or structures, and no column the "
            f"paths of images",
            f"import such a table with {Cure.FORMAT_PARQUET}, and export it anew instead of applying a patch",
        )
    if path is None and any(os.path.isfile(PathFinder(table.path.parent).find(name)) for name in table.columns):  # noqa: PTH113
        raise DatasetError(
            f"{table.path.name}: its first row names an image, but no columns",
            "put a row above it that names them, as in path,label",
        )
    if path is None:
        raise DatasetError(
            f"{table.path.name}: no column holds the path of the image",
            f"{table.columns_text}. Call it `path` or `file_name`, or choose it: {Cure.PATH_COLUMN}",
        )
    return find_labels(table, options, path, only_other=only_other)


def find_labels(table: Table, options: ReadOptions, path: str, *, only_other: bool) -> Columns:
    """Return the roles of the other columns, if images are in the column `path`.

    Raises:
        DatasetError: a column is missing, or implausible in its role.
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
                f"{table.path.name}: which column is the label? {table.columns_text}. Call it `label`, or choose it: "
                f"{Cure.LABEL_COLUMN}"
            )
    if label is not None and mask is None and not options.literal_labels:
        _refuse_implausible(table, label)
    return Columns(path, label, split, group, mask, tags)


def _are_one_hot(table: Table, names: list[str]) -> bool:
    """Return whether these columns hold only 0 and 1 in the examined rows."""
    seen = [row for _, row in islice(table.rows, SURVEYED) if row is not None]
    return bool(seen) and all((row.get(name) or "").strip() in _BITS for row in seen for name in names)


def _refuse_implausible(table: Table, label: str) -> None:
    """Check that a column found by its name holds one of a few classes for each image.

    Raises:
        DatasetError: it holds nearly one value per image, as captions do, or several classes per image.
    """
    cells = [cell for _, row in islice(table.rows, SURVEYED) if row and (cell := row.get(label))]
    values = Counter(cell.strip() for cell in cells)
    joined = [text for text in values if _names_several(text, values)]
    if joined and sum(values[text] for text in joined) * _SEVERAL_SHARE >= len(cells):
        raise DatasetError(
            f"{table.path.name}: the column {label.strip()} has several labels per image, as in {joined[0]}",
            f"they are not supported. Leave one label per image, or choose another column: {Cure.LABEL_COLUMN}",
        )
    if len(cells) >= _LEAST_SURVEYED and len(values) > _CAPTION_SHARE * len(cells):
        raise DatasetError(
            f"{table.path.name}: the column {label.strip()} has {len(values):,} values for {len(cells):,} images, as "
            f"captions do, so it is not a label",
            f"{table.columns_text}. Choose one if it is: {Cure.LABEL_COLUMN}",
        )


def _names_several(text: str, values: Mapping[str, int]) -> bool:
    """Return whether this is a list of several, or joins with `|` values that occur singly in the column."""
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
