"""Class probabilities in files: those that were predicted elsewhere are read and matched to a dataset's images.

N images, K classes. Read are `.npy` (N, K) with names of images in a second file, `.npz` with `pred_probs` and `ids`,
tables (`.csv`, `.tsv`, `.parquet`) and JSON lines. A table has a column of names and either a column a class, perhaps
all with the same prefix (`p_cat`), or one column of lists in the order of the classes, as cleanlab's `pred_probs` and
Hugging Face's columns have it. JSON lines hold a list too, or an object from class to probability.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from core.data.formats.known_images import NAMED, KnownImage, rows_of, some_of
from core.data.storage import atomic_path
from core.types import DatasetError, FloatArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

ID_NAMES = ("image", "path", "file_name", "filename", "file", "name", "id", "image_id", "ids")
LIST_NAMES = ("pred_probs", "probabilities", "probs", "scores")
SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
WRITTEN = (".npz", ".csv", ".parquet", ".jsonl")
_SEPARATORS = (",", ";", "\t")
_DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, BadZipFile, csv.Error)
_OFF = 0.01  # by which a row's sum may differ from 1: probabilities are often written with two or three decimals


@dataclass(frozen=True, slots=True, eq=False)
class Probabilities:
    """Names of images as the file has them, N, and the probability of each class, (N, K) float32.

    Not `named`: the file does not say which column is which class.
    """

    ids: list[str]
    probs: FloatArray
    named: bool = False


def read_probabilities(path: Path, classes: Sequence[str], ids: Path | None = None) -> Probabilities:
    """Return what a file predicts of these classes; `ids` holds the images' names where `path` has none.

    Raises:
        DatasetError: it cannot be read, lacks names or a class, or holds numbers that are no probabilities.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DatasetError(f"{path.name} is none of {', '.join(SUFFIXES)}; save the probabilities as one of these")
    try:
        found = _of_arrays(path, classes, ids) if suffix in (".npy", ".npz") else _of_rows(path, classes, ids)
    except _DAMAGED as error:
        raise DatasetError(f"{path.name} cannot be read: {error}; check that it is whole") from None
    return _checked(path, found, classes)


def matched(found: Probabilities, images: Sequence[KnownImage]) -> FloatArray:
    """Return the probabilities in the order of these images, (N, K) float32.

    Raises:
        DatasetError: a row belongs to no image or to several, or an image has no row, or several.
    """
    place = rows_of(found.ids, images)
    values = np.empty((len(images), found.probs.shape[1]), np.float32)
    values[place] = found.probs
    return values


def _of_arrays(path: Path, classes: Sequence[str], ids: Path | None) -> Probabilities:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return Probabilities(_read_ids(path, ids), _numbers(loaded))
    with loaded:
        name = next((one for one in LIST_NAMES if one in loaded), None)
        if name is None:
            raise DatasetError(
                f"{path.name} holds {', '.join(loaded.files) or 'nothing'}; "
                "name the array pred_probs, (images, classes)"
            )
        own = next((one for one in ID_NAMES if one in loaded), None)
        names = [str(one) for one in loaded[own].tolist()] if own and ids is None else _read_ids(path, ids)
        probs = _numbers(loaded[name])
        if "classes" not in loaded:
            return Probabilities(names, probs)
        columns = [str(one) for one in loaded["classes"].tolist()]
        if sorted(columns) != sorted(classes) or probs.shape[1:] != (len(columns),):
            raise DatasetError(
                f"{path.name} has the classes {some_of(columns)}, the dataset {some_of(classes)}; give one column a "
                "class"
            )
        return Probabilities(names, probs[:, [columns.index(one) for one in classes]], named=True)


def _of_rows(path: Path, classes: Sequence[str], ids: Path | None) -> Probabilities:
    table = _table(path)
    named = {str(column).strip().lower(): column for column in table.columns}
    own = next((named[one] for one in ID_NAMES if one in named), None)
    if own is None and ids is None:
        raise DatasetError(
            f"{path.name}: no column names the images; call it one of {', '.join(ID_NAMES[:4])}. "
            f"Columns are {', '.join(map(str, table.columns[:12]))}"
        )
    names = _read_ids(path, ids) if ids is not None else [str(one) for one in table[own].tolist()]
    listed = next((named[one] for one in LIST_NAMES if one in named), None)
    if listed is not None:
        return _of_lists(path, names, table[listed].tolist(), classes)
    prefix = _prefix([str(column) for column in table.columns if column != own], classes)
    if prefix is None:
        missing = [one for one in classes if one not in table.columns]
        raise DatasetError(
            f"{path.name} has no column of {some_of(missing)}; it needs a column a class, or one called pred_probs"
        )
    return Probabilities(names, _numbers(table[[f"{prefix}{one}" for one in classes]].to_numpy()), named=True)


def _table(path: Path) -> "pd.DataFrame":
    import pandas as pd  # noqa: PLC0415 half a second, which a start must not pay for

    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return pd.read_parquet(path)
    if suffix in (".jsonl", ".ndjson"):
        return pd.DataFrame.from_records(
            [json.loads(line) for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
        )
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    separator = max(_SEPARATORS, key=header.count)  # the first of several that are as frequent
    # Names stay text ("007"), and only empty cells are missing: a class may be called NA.
    table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig")
    return table.loc[:, [not str(column).startswith("Unnamed:") for column in table.columns]]


def _of_lists(path: Path, names: list[str], cells: Sequence[Any], classes: Sequence[str]) -> Probabilities:
    rows, named = [], True
    for number, cell in enumerate(cells, start=1):
        value = json.loads(cell) if isinstance(cell, str) else cell
        if not isinstance(value, Mapping | Sequence | np.ndarray):
            raise DatasetError(f"{path.name}: row {number} has no list of probabilities; give one a class")
        if isinstance(value, Mapping):
            missing = [one for one in classes if value.get(one) is None]
            if missing:
                raise DatasetError(f"{path.name}: row {number} says nothing of {some_of(missing)}; name every class")
            value = [value[one] for one in classes]
        else:
            named = False
        if len(value) != len(classes):
            raise DatasetError(
                f"{path.name}: row {number} has {len(value)} probabilities, the dataset {len(classes)} classes "
                f"({some_of(classes)}); give one each, in this order"
            )
        rows.append(value)
    return Probabilities(names, _numbers(np.asarray(rows)), named)


def _prefix(columns: Sequence[str], classes: Sequence[str]) -> str | None:
    """Return what stands before every class's name in the columns, None where a class has none."""
    known = set(columns)
    wanted = [column.removesuffix(classes[0]) for column in columns if column.endswith(classes[0])]
    return next((one for one in sorted(wanted, key=len) if all(f"{one}{name}" in known for name in classes)), None)


def _numbers(values: np.ndarray[Any, Any]) -> FloatArray:
    """Return an array as float32; raises ValueError for texts that are no numbers."""
    found: FloatArray = np.asarray(values).astype(np.float64).astype(np.float32)
    return found


def _read_ids(path: Path, ids: Path | None) -> list[str]:
    if ids is None:
        raise DatasetError(f"{path.name} does not name its images; give the names with --ids, one a line")
    if ids.suffix.lower() == ".npy":
        return [str(one) for one in np.load(ids, allow_pickle=False).tolist()]
    return [line.strip() for line in ids.read_text("utf-8-sig").splitlines() if line.strip()]


def _checked(path: Path, found: Probabilities, classes: Sequence[str]) -> Probabilities:
    """Return the rows with sum 1."""
    values = found.probs
    if values.ndim != 2 or values.shape[1] != len(classes):  # noqa: PLR2004 images and classes
        raise DatasetError(
            f"{path.name} holds an array of shape {values.shape}, the dataset has {len(classes)} classes "
            f"({some_of(classes)}); give one probability a class, in this order"
        )
    if len(found.ids) != len(values):
        raise DatasetError(f"{path.name} has {len(values):,} rows for {len(found.ids):,} names; give one name a row")
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        raise DatasetError(f"{path.name}: {len(bad):,} rows hold no number ({_rows(found, bad)}); predict these anew")
    sums = values.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero((values < -_OFF).any(axis=1) | (np.abs(sums - 1) > _OFF))
    if len(wrong):
        raise DatasetError(
            f"{path.name}: {len(wrong):,} rows are no probabilities ({_rows(found, wrong)}; the first has the "
            f"sum {sums[wrong[0]]:.3g}); apply a softmax, so that each row is at least 0 and sums to 1"
        )
    positive = np.maximum(values, 0)
    return Probabilities(found.ids, positive / positive.sum(axis=1, keepdims=True), found.named)


def _rows(found: Probabilities, rows: IntArray) -> str:
    return some_of([found.ids[row] for row in rows[: NAMED + 1].tolist()])


def write_probabilities(path: Path, found: Probabilities, classes: Sequence[str]) -> None:
    """Write probabilities as `read_probabilities` reads them; the ending of the name says which form.

    A table has a column `image` and one a class; where a class has a name that means something else to readers, all
    their columns begin with `p_`.

    Raises:
        DatasetError: there is no such form.
    """
    import pandas as pd  # noqa: PLC0415 see _table

    suffix = path.suffix.lower()
    if suffix not in WRITTEN:
        raise DatasetError(f"{path.name} is none of {', '.join(WRITTEN)}; choose one of these endings")
    with atomic_path(path) as partial:
        if suffix == ".npz":
            with partial.open("wb") as file:
                np.savez(file, pred_probs=found.probs, ids=np.array(found.ids), classes=np.array(classes))
            return
        if suffix == ".jsonl":
            with partial.open("w", encoding="utf-8") as lines:
                for name, row in zip(found.ids, found.probs, strict=True):
                    probs = dict(zip(classes, row.tolist(), strict=True))
                    lines.write(json.dumps({"image": name, "probabilities": probs}, ensure_ascii=False) + "\n")
            return
        prefix = "p_" if {name.strip().lower() for name in classes} & {*ID_NAMES, *LIST_NAMES} else ""
        table = pd.DataFrame(found.probs, columns=[f"{prefix}{name}" for name in classes])
        table.insert(0, "image", found.ids)
        if suffix == ".parquet":
            table.to_parquet(partial, index=False)
        else:
            table.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n")
