"""Turn the rows of a table into samples: what the manifest and the Hugging Face reader have in common."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from core.data.formats.table import Row, Table
from core.data.formats.tags import split_tags
from core.data.masks.pixels import PixelCode
from core.types import SourceSample

LABEL_NAMES = ("label", "labels", "class", "class_name", "category", "target", "label_name")
SPLIT_NAMES = ("split", "subset", "set", "partition")
GROUP_NAMES = ("group", "group_id", "sequence")
MASK_NAMES = ("mask", "mask_path", "mask_file", "segmentation")
TAG_NAMES = ("tags", "image_tags", "present")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of a table holds what; None: no column does."""

    path: str
    label: str | None
    split: str | None
    group: str | None
    mask: str | None = None
    tags: str | None = None


@dataclass(slots=True)
class RowReader:
    """Reads tables of one root; a path is only ever listed once, the first row counts."""

    root: Path  # names are shown relative to it
    options: ReadOptions
    problems: Problems
    confined: bool  # files must not leave the root
    listed: dict[str, str | None]
    code: PixelCode | None = None  # how the masks say their classes, where labels are masks

    def read(self, table: Table, columns: Columns) -> Iterator[SourceSample]:
        """Yield the samples of one table, in its order; paths are relative to the table's folder."""
        for number, row in table.rows:
            where = f"{table.path.name}, row {number}"
            sample = self._sample(table.path.parent, columns, row, where)
            if sample is not None:
                yield sample

    def _sample(self, folder: Path, columns: Columns, row: Row | None, where: str) -> SourceSample | None:
        error = self.problems.error
        if row is None:
            error("damaged row", where, "it does not have the header's number of cells", "mend the row")
            return None
        written, label = row.get(columns.path), row.get(columns.label or "")
        if written is None:
            error("no path", where, f"its {columns.path} is empty", "fill it in, or remove the row")
            return None
        if not is_storable(written) or not is_storable(label or ""):
            error("name is not UTF-8", where, "its path or label holds what is no text", "rename it")
            return None
        path = absolute(folder, written)
        name = os.path.relpath(path, self.root) if is_within(path, str(self.root)) else path
        if not self._may_read(path, name):
            return None
        label = None if label is None or self.code is not None else label.strip()
        if path in self.listed:
            self._note_repeated(where, name, label, self.listed[path])
            return None
        self.listed[path] = label
        split = row.get(columns.split or "") or _split_of(name)
        group = group_name(row.get(columns.group or "") or "")
        tags = split_tags(row.get(columns.tags or "") or "") or None
        mask = self._mask(folder, row.get(columns.mask or ""), path)
        return SourceSample(path, name, label, split_name(split), group, mask, tags)

    def _mask(self, folder: Path, written: str | None, image: str) -> dict[str, Any] | None:
        if written is None or self.code is None:
            return None
        path = absolute(folder, written)
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
        if self.confined and not self.options.allow_outside_links and not is_within(_real(path), str(self.root)):
            self.problems.error(
                "link leaves the folder", name, "it leads out of the folder", "copy the file into the folder"
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


def first_of(find: Callable[[str, tuple[str, ...]], str | None], options: ReadOptions) -> tuple[str | None, ...]:
    """Return the label, split and group columns of a table."""
    return (
        find(options.label_column, LABEL_NAMES),
        find(options.split_column, SPLIT_NAMES),
        find(options.group_column, GROUP_NAMES),
    )


def absolute(folder: Path, written: str) -> str:
    """Return the path that a cell of a table in this folder means."""
    path = os.path.normpath(os.path.join(folder, written))  # noqa: PTH118 normalised without following links
    if "\\" in written and not os.path.lexists(path):
        on_windows = os.path.normpath(os.path.join(folder, written.replace("\\", "/")))  # noqa: PTH118
        return on_windows if os.path.lexists(on_windows) else path
    return path


def _real(path: str) -> str:
    return os.path.realpath(path)


def _split_of(name: str) -> str:
    top = name.split("/", 1)[0]
    return top if top.lower() in SPLITS else ""
