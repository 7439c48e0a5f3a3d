"""Class probabilities predicted elsewhere, read from files and matched to a dataset's images by name.

N images, K classes. Formats: `.npy` (N, K) with names of images in a second file, `.npz` with `pred_probs` and `ids`,
tables (`.csv`, `.tsv`, `.parquet`) and JSON lines. A table has a column of names and either one column per class,
perhaps all with the same prefix (`p_cat`), or one column of lists in the order of the classes, as cleanlab's
`pred_probs` and Hugging Face's columns have it. JSON lines hold a list too, or an object from class to probability.

`rows_of` and `rows_of_files` match names to images: by name or path, then by the end of the path, then by the stem.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy

from core.data.storage import atomic_path
from core.types import DatasetError, FloatArray, IntArray, SourceSample

if TYPE_CHECKING:
    import pandas as pd

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

SHOWN = 3  # of many images or rows that an error names
_NONE = -1  # in a row's place, where no image is meant
_Spell = Callable[[str], list[str]]

ID_NAMES = ("image", "path", "file_name", "filename", "file", "name", "id", "image_id", "ids")
LIST_NAMES = ("pred_probs", "probabilities", "probs", "scores")
SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
_SEPARATORS = (",", ";", "\t")
_DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, BadZipFile, csv.Error)
_OFF = 0.01  # by which a row's sum may differ from 1: probabilities are often written with two or three decimals


_Find = Callable[[Sequence[str], Sequence[SourceSample]], IntArray]


def rows_of(ids: Sequence[str], images: Sequence[SourceSample], noun: str = "row") -> IntArray:
    """Return the index of each row's image, (N,); `thing` names a row in messages.

    It is the image of the same name or path; else the only one whose path ends in it (`cat/1.png` of
    `/data/train/cat/1.png`); else the only one of the same name without folder and ending.

    Raises:
        DatasetError: a row does not match exactly one image, or an image not exactly one row.
    """
    return _check_matches(_in_any_form(_places, ids, images), ids, images, noun)


def rows_of_files(files: Sequence[str], images: Sequence[SourceSample]) -> IntArray:
    """Return the index of each file's image, (N,); paths of files are given without their own ending.

    It is the image of the same name (`a.jpg.png` of `a.jpg`); else the only one of the same name without its ending;
    else the only one whose path ends in it, or in whose name it ends.

    Raises:
        DatasetError: a file does not match exactly one image, or an image not exactly one file.
    """
    return _check_matches(_in_any_form(_places_of_files, files, images), files, images, "file")


def _in_any_form(find: _Find, ids: Sequence[str], images: Sequence[SourceSample]) -> IntArray:
    """Return the index of each name's image, (M,), -1 for none or several: as written, else in Unicode's form NFC.

    Some file systems store an accent apart from its letter.
    """
    place = find(ids, images)
    left = np.flatnonzero(place == _NONE)
    if len(left) and not all(ids[row].isascii() for row in left.tolist()):
        composed = [SourceSample(_compose(image.path), _compose(image.name)) for image in images]
        place[left] = find([_compose(ids[row]) for row in left.tolist()], composed)
    return place


def _places_of_files(files: Sequence[str], images: Sequence[SourceSample]) -> IntArray:
    """Return the index of each file's image, (M,), -1 for none or several."""
    paths = list(files)
    whole = {one: row for row, image in enumerate(images) for one in (image.path, image.name)}
    place = np.array([whole.get(name, _NONE) for name in paths], np.int64).reshape(-1)
    left = np.flatnonzero(place == _NONE).tolist()
    bare = [SourceSample(_without_ending(image.path), _without_ending(image.name)) for image in images]
    names = _unique([[image.name] for image in bare], None)
    endings = _unique([_endings(image.path) for image in bare], {paths[row] for row in left})
    for row in left:
        found = (names[one] for one in (paths[row], *_endings(paths[row])) if one in names)
        place[row] = next(found, endings.get(paths[row], _NONE))
    return place


def some_names(names: Sequence[str]) -> str:
    """Return the first few names as text, with an ellipsis if there are more."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _check_matches(place: IntArray, ids: Sequence[str], images: Sequence[SourceSample], noun: str) -> IntArray:
    if not images:
        raise DatasetError("the dataset has no images", "import some first")
    unknown = [ids[row] for row in np.flatnonzero(place == _NONE).tolist()]
    if unknown:
        raise DatasetError(
            f"{len(unknown):,} {noun}s name no image of the dataset, or several ({some_names(unknown)})",
            f"call them as the dataset does, for example {images[0].name}",
        )
    times = np.bincount(place, minlength=len(images))
    if (times > 1).any():
        twice = [images[row].name for row in np.flatnonzero(times > 1).tolist()]
        raise DatasetError(f"{len(twice):,} images have several {noun}s ({some_names(twice)})", "leave one of each")
    if (times == 0).any():
        missing = [images[row].name for row in np.flatnonzero(times == 0).tolist()]
        raise DatasetError(f"{len(missing):,} images have no {noun} ({some_names(missing)})", "predict them too")
    return place


def _places(ids: Sequence[str], images: Sequence[SourceSample]) -> IntArray:
    """Return the index of each name's image, (M,), -1 for none or several."""
    plain = [_plain(name) for name in ids]
    place = np.full(len(plain), _NONE, np.int64)
    exact = {one: row for row, image in enumerate(images) for one in (image.path, image.name)}
    ways: tuple[tuple[_Spell, Callable[[], Mapping[str, int]]], ...] = (
        (lambda name: [name], lambda: exact),
        (_endings, lambda: {image.name: row for row, image in enumerate(images)}),  # the path on another machine
        (lambda name: [name], lambda: _unique([_endings(image.path) for image in images], set(plain))),
        (_stem, lambda: _unique([_stem(image.name) for image in images], {PurePosixPath(one).stem for one in plain})),
    )
    for spellings, known in ways:
        left = np.flatnonzero(place == _NONE).tolist()
        if not left:
            break
        rows = known()
        for row in left:
            place[row] = next((rows[one] for one in spellings(plain[row]) if one in rows), _NONE)
    return place


def _unique(spelt: Iterable[Sequence[str]], wanted: set[str] | None) -> dict[str, int]:
    """Return the index of the image of each wanted spelling that only one image has; None: of every spelling."""
    rows: dict[str, int] = {}
    several: set[str] = set()
    for row, spellings in enumerate(spelt):
        for one in spellings if wanted is None else wanted.intersection(spellings):
            if rows.setdefault(one, row) != row:
                several.add(one)
    return {one: row for one, row in rows.items() if one not in several}


def _compose(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _plain(name: str) -> str:
    return name.strip().replace("\\", "/").removeprefix("./")


def _endings(path: str) -> list[str]:
    """Return the endings of a path, from the longest to the bare file name."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(1, len(parts))] or [path]


def _stem(name: str) -> list[str]:
    return [PurePosixPath(name).stem]


def _without_ending(path: str) -> str:
    return str(PurePosixPath(path).with_suffix("")) if PurePosixPath(path).name else path


@dataclass(frozen=True, slots=True, eq=False)
class Probabilities:
    """Names of images in the file, N, and the probability of each class, (N, K) float32.

    Not `named`: the file does not name the classes of its columns.
    """

    ids: list[str]
    probs: FloatArray
    named: bool = False


def read_probabilities(path: Path, classes: Sequence[str], ids: Path | None = None) -> Probabilities:
    """Return a file's predictions of these classes; `ids` is a file with the images' names if `path` has none.

    Raises:
        DatasetError: it cannot be read, lacks names or a class, or holds invalid probabilities.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DatasetError(f"{path.name} is none of {', '.join(SUFFIXES)}", "save the probabilities as one of these")
    try:
        found = _of_arrays(path, classes, ids) if suffix in (".npy", ".npz") else _of_rows(path, classes, ids)
    except _DAMAGED as error:
        raise DatasetError(f"{path.name} cannot be read: {error}", "check that it is whole") from None
    return check_probabilities(path.name, found, classes)


def match_images(found: Probabilities, images: Sequence[SourceSample]) -> FloatArray:
    """Return the probabilities in the order of these images, (N, K) float32.

    Raises:
        DatasetError: a row does not match exactly one image, or an image not exactly one row.
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
                f"{path.name} holds {', '.join(loaded.files) or 'nothing'}",
                "name the array pred_probs, (images, classes)",
            )
        own = next((one for one in ID_NAMES if one in loaded), None)
        names = [str(one) for one in loaded[own].tolist()] if own and ids is None else _read_ids(path, ids)
        probs = _numbers(loaded[name])
        if "classes" not in loaded:
            return Probabilities(names, probs)
        columns = [str(one) for one in loaded["classes"].tolist()]
        if sorted(columns) != sorted(classes) or probs.shape[1:] != (len(columns),):
            raise DatasetError(
                f"{path.name} has the classes {some_names(columns)}, the dataset {some_names(classes)}",
                "give one column per class",
            )
        return Probabilities(names, probs[:, [columns.index(one) for one in classes]], named=True)


def _of_rows(path: Path, classes: Sequence[str], ids: Path | None) -> Probabilities:
    table = _table(path)
    named = {str(column).strip().lower(): column for column in table.columns}
    own = next((named[one] for one in ID_NAMES if one in named), None)
    if own is None and ids is None:
        raise DatasetError(
            f"{path.name}: no column names the images",
            f"call it one of {', '.join(ID_NAMES[:4])}. Columns are {', '.join(map(str, table.columns[:12]))}",
        )
    names = _read_ids(path, ids) if ids is not None else [str(one) for one in table[own].tolist()]
    listed = next((named[one] for one in LIST_NAMES if one in named), None)
    if listed is not None:
        return _of_lists(path, names, table[listed].tolist(), classes)
    prefix = _prefix([str(column) for column in table.columns if column != own], classes)
    if prefix is None:
        missing = [one for one in classes if one not in table.columns]
        raise DatasetError(
            f"{path.name} has no column of {some_names(missing)}",
            "it needs one column per class, or one called pred_probs",
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
            raise DatasetError(f"{path.name}: row {number} has no list of probabilities", "give one a class")
        if isinstance(value, Mapping):
            missing = [one for one in classes if value.get(one) is None]
            if missing:
                raise DatasetError(
                    f"{path.name}: row {number} has no value of {some_names(missing)}", "name every class"
                )
            value = [value[one] for one in classes]
        else:
            named = False
        if len(value) != len(classes):
            raise DatasetError(
                f"{path.name}: row {number} has {len(value)} probabilities, the dataset {len(classes)} classes "
                f"({some_names(classes)})",
                "give one each, in this order",
            )
        rows.append(value)
    return Probabilities(names, _numbers(np.asarray(rows)), named)


def _prefix(columns: Sequence[str], classes: Sequence[str]) -> str | None:
    """Return the common prefix of the classes' names in the columns, None if a class has no column."""
    known = set(columns)
    wanted = [column.removesuffix(classes[0]) for column in columns if column.endswith(classes[0])]
    return next((one for one in sorted(wanted, key=len) if all(f"{one}{name}" in known for name in classes)), None)


def _numbers(values: np.ndarray[Any, Any]) -> FloatArray:
    """Return an array as float32; raises ValueError for texts that are not numbers."""
    found: FloatArray = np.asarray(values).astype(np.float64).astype(np.float32)
    return found


def _read_ids(path: Path, ids: Path | None) -> list[str]:
    if ids is None:
        raise DatasetError(f"{path.name} does not name its images", "give the names with --ids, one per line")
    if ids.suffix.lower() == ".npy":
        return [str(one) for one in np.load(ids, allow_pickle=False).tolist()]
    return [line.strip() for line in ids.read_text("utf-8-sig").splitlines() if line.strip()]


def check_probabilities(name: str, found: Probabilities, classes: Sequence[str]) -> Probabilities:
    """Return the probabilities with rows that sum to 1; `name` is for messages.

    Raises:
        DatasetError: they do not fit the classes or the ids, or are invalid.
    """
    values = found.probs
    if values.ndim != 2 or values.shape[1] != len(classes):  # noqa: PLR2004 images and classes
        raise DatasetError(
            f"{name} holds an array of shape {values.shape}, the dataset has {len(classes)} classes "
            f"({some_names(classes)})",
            "give one probability a class, in this order",
        )
    if len(found.ids) != len(values):
        raise DatasetError(f"{name} has {len(values):,} rows for {len(found.ids):,} names", "give one name a row")
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        raise DatasetError(f"{name}: {len(bad):,} rows hold no number ({_rows(found, bad)})", "predict these anew")
    sums = values.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero((values < -_OFF).any(axis=1) | (np.abs(sums - 1) > _OFF))
    if len(wrong):
        raise DatasetError(
            f"{name}: {len(wrong):,} rows are not probabilities ({_rows(found, wrong)}; the first has the sum "
            f"{sums[wrong[0]]:.3g})",
            "apply a softmax, so that each row is at least 0 and sums to 1",
        )
    positive = np.maximum(values, 0)
    return Probabilities(found.ids, positive / positive.sum(axis=1, keepdims=True), found.named)


def _rows(found: Probabilities, rows: IntArray) -> str:
    return some_names([found.ids[row] for row in rows[: SHOWN + 1].tolist()])


def write_probabilities(path: Path, ids: Sequence[str], blocks: Iterable[FloatArray], classes: Sequence[str]) -> None:
    """Write probabilities as `read_probabilities` reads them, in the format of the file's ending.

    `blocks` are those of the images `ids`, in their order, (B, K) float32 each, of which one exists at a time. A table
    has a column `image` and one per class; if a class has the name of another column, all columns of classes begin with
    `p_`.

    Raises:
        DatasetError: the ending is unknown.
    """
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise DatasetError(f"{path.name} is none of {', '.join(WRITTEN)}", "choose one of these endings")
    with atomic_path(path) as partial:
        write(partial, ids, blocks, classes)


def _write_arrays(path: Path, ids: Sequence[str], blocks: Iterable[FloatArray], classes: Sequence[str]) -> None:
    """Write them as `np.savez` does."""
    with ZipFile(path, "w") as archive:
        with archive.open("pred_probs.npy", "w", force_zip64=True) as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(ids), len(classes))}
            npy.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(block.astype("<f4").tobytes())
        for name, texts in (("ids", ids), ("classes", classes)):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy.write_array(file, np.array(texts))


def _write_lines(path: Path, ids: Sequence[str], blocks: Iterable[FloatArray], classes: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8") as lines:
        for names, block in _with_names(ids, blocks):
            for name, row in zip(names, block.tolist(), strict=True):
                probs = dict(zip(classes, row, strict=True))
                lines.write(json.dumps({"image": name, "probabilities": probs}, ensure_ascii=False) + "\n")


def _write_csv(path: Path, ids: Sequence[str], blocks: Iterable[FloatArray], classes: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, table in enumerate(_tables(ids, blocks, classes)):
            table.to_csv(file, index=False, header=not number, float_format="%.6g", lineterminator="\n")


def _write_parquet(path: Path, ids: Sequence[str], blocks: Iterable[FloatArray], classes: Sequence[str]) -> None:
    """Write one row group a block."""
    from pyarrow import lib, parquet  # noqa: PLC0415 see _table

    arrow: Any = lib  # they have no types
    open_writer: Any = parquet.ParquetWriter
    with ExitStack() as opened:
        writer = None
        for one in _tables(ids, blocks, classes):
            table = arrow.Table.from_pandas(one, preserve_index=False)
            writer = writer or opened.enter_context(open_writer(path, table.schema))
            writer.write_table(table)


_WRITERS = {".npz": _write_arrays, ".csv": _write_csv, ".parquet": _write_parquet, ".jsonl": _write_lines}
WRITTEN = tuple(_WRITERS)


def _with_names(ids: Sequence[str], blocks: Iterable[FloatArray]) -> Iterator[tuple[Sequence[str], FloatArray]]:
    start = 0
    for block in blocks:
        yield ids[start : start + len(block)], block
        start += len(block)


def _tables(ids: Sequence[str], blocks: Iterable[FloatArray], classes: Sequence[str]) -> Iterator["pd.DataFrame"]:
    import pandas as pd  # noqa: PLC0415 see _table

    prefix = "p_" if {name.strip().lower() for name in classes} & {*ID_NAMES, *LIST_NAMES} else ""
    for names, block in _with_names(ids, blocks):
        table = pd.DataFrame(block, columns=[f"{prefix}{name}" for name in classes])
        table.insert(0, "image", names)
        yield table
