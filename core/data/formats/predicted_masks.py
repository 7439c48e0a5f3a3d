"""Masks predicted elsewhere, in a folder: the likeliest class of each pixel, and its probability.

K classes, images (H, W). For every image there is either a `.npz` with `probs` (K, H, W), or with `class` and
`confidence` (H, W); or a PNG of class ids (grey, or the indices of a palette) and a grey one of 8 or 16 bits, in which
the largest value is a probability of 1: in folders `labels/` and `confidence/`, or side by side as `x.png` and
`x_confidence.png`. A `classes.csv` names the ids; else they are in the dataset's order.

The probability of a given label is read from `probs`. A class and its probability give that of one class only; the
rest is then spread evenly over the other classes. `given` and `given_probability` beside them, as Outfold writes them,
give that of one more class. `images.csv` (image, file, fold) maps files to images.
"""

import csv
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from PIL import Image

from core.data.export.names import safe_name
from core.data.export.tables import write_csv
from core.data.formats.mask_pairs import save_mask
from core.data.formats.probabilities import LIST_NAMES, rows_of_files, some_names
from core.data.formats.walk import is_ignored
from core.data.images import MaskError
from core.data.masks.classes import OWN, read_declared, write_classes
from core.data.masks.colours import IGNORED, UNKNOWN
from core.data.masks.files import grey_values, open_mask
from core.data.masks.items import MaskItem, place_in
from core.data.predictions import CERTAIN
from core.data.storage import atomic_folder, is_within
from core.types import ByteArray, ClassTable, DatasetError, FloatArray, IntArray, SourceSample, ignore_of, mask_dtype

LABELS = ("labels", "masks", "classes", "class", "predictions", "predicted")
CONFIDENCE = ("confidence", "confidences", "probability", "probabilities")
GIVEN, GIVEN_PROBABILITY = "given", "given_probability"
IMAGES = "images.csv"
_CONFIDENCE_ENDINGS = ("_confidence", "_probability", "_conf", "_prob")
_COLUMNS = ("image", "file", "fold")
_MEMBERS = ("class", "confidence", GIVEN, GIVEN_PROBABILITY)
MOST_FOLDS = 1000
_OFF = 0.01  # by which probabilities may miss 0, 1 or their sum
_ID = 1 << 16  # ids are below
_REAL = "biuf"  # NumPy's kinds of real numbers
_HEADER = 4096  # bytes that an array takes beside its values, at most
# RuntimeError: an archive with a password, or a method of compression that zipfile has not
_DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error, RuntimeError)


@dataclass(frozen=True, slots=True)
class MaskFiles:
    """Files of one image, or a single `.npz`; `name` is the image's name in them, without their ending."""

    name: str
    classes: Path
    confidence: Path | None = None
    given: Path | None = None
    given_probability: Path | None = None


@dataclass(frozen=True, slots=True)
class MaskFolder:
    """A folder of predicted masks. `ids` maps ids of the files to classes, None: the dataset's own ids."""

    files: list[MaskFiles]
    ids: Mapping[int, int] | None
    images: Mapping[str, str] = field(default_factory=dict)  # name of a file -> name of its image, if stated
    folds: Mapping[str, int] = field(default_factory=dict)  # name of a file -> the fold that predicted it

    @property
    def named(self) -> bool:
        """Return whether the folder maps ids to classes; each archive may also have a map of its own."""
        return self.ids is not None


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrediction:
    """One image's predicted classes, (H, W) in `mask_dtype(K)`, and their probabilities, (H, W), round(255 p)."""

    predicted: IntArray
    confidence: ByteArray
    classes: int
    probs: FloatArray | None = None  # (K, H, W)
    other: tuple[IntArray, ByteArray] | None = None  # another class of each pixel and its probability
    named: bool = False  # the file or its folder names the class of each id

    def given_probability(self, given: IntArray) -> ByteArray:
        """Return the probability of each pixel's class in a mask of the same dtype, round(255 p); 255 at IGNORE."""
        known = given != ignore_of(given)
        if self.probs is not None:
            index = np.where(known, given, 0)[None].astype(np.int64)
            own = _as_bytes(np.take_along_axis(self.probs, index, axis=0)[0])
        else:
            own = np.rint((CERTAIN - self.confidence.astype(np.float32)) / max(1, self.classes - 1)).astype(np.uint8)
            if self.other is not None:
                own = np.where(self.other[0] == given, self.other[1], own)
            own = np.where(self.predicted == given, self.confidence, own)
        return np.where(known, own, CERTAIN).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class WrittenMask:
    """One image's prediction of a round, as written by `write_predicted`; all (H, W)."""

    image: str
    fold: int
    predicted: IntArray
    confidence: ByteArray
    given: IntArray | None = None  # the mask that the round judged
    given_probability: ByteArray | None = None


def find_predicted(folder: Path, classes: Sequence[str]) -> MaskFolder:
    """Return the predicted masks of a folder, without reading them.

    Raises:
        DatasetError: there are none, a file has no confidence, or `classes.csv` has other classes than the dataset.
    """
    try:
        archives, pictures = (_below(folder, endings) for endings in ((".npz",), (".png",)))
        if archives and pictures:
            raise DatasetError(f"{folder} holds both .npz and .png files", "name a folder with one kind alone")
        files = [MaskFiles(name, path) for name, path in archives.items()] or _of_pictures(pictures)
        images, folds = _read_images(folder / IMAGES)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read ({error})", "check path and rights") from None
    if not files:
        raise DatasetError(
            f"{folder} holds no predicted masks",
            "write one .npz per image (class and confidence, or probs), or PNGs in labels/ and confidence/",
        )
    return MaskFolder(files, _ids(folder, classes), images, folds)


def files_of(folder: MaskFolder, images: Sequence[SourceSample]) -> list[MaskFiles]:
    """Return the files of each of these images, (N,), by `images.csv` or by their names.

    Raises:
        DatasetError: a file does not match exactly one image, or an image not exactly one file.
    """
    by_name = {image.name: row for row, image in enumerate(images)}
    rows = [by_name.get(folder.images.get(files.name, "")) for files in folder.files]
    listed = [row for row in rows if row is not None]
    if len({*listed}) == len(folder.files) == len(images):
        return [folder.files[place] for place in np.argsort(listed).tolist()]
    place = rows_of_files([files.name for files in folder.files], images)
    return [folder.files[row] for row in np.argsort(place).tolist()]


def read_predicted(
    folder: MaskFolder, files: MaskFiles, shape: tuple[int, int], classes: Sequence[str]
) -> MaskPrediction:
    """Return one image's prediction.

    Raises:
        DatasetError: it cannot be read, has another size than the image, a pixel without a class, or invalid
            probabilities.
    """
    if files.confidence is not None:
        values = _read_values(files.classes, shape)
        confidence = _read_probability(files.confidence, shape)
        other = None
        if files.given is not None and files.given_probability is not None:
            other = (_read_values(files.given, shape), _read_probability(files.given_probability, shape))
        return _prediction(files.classes, folder.ids, len(classes), values, confidence, other=other)
    try:
        return _of_archive(folder, files.classes, shape, classes)
    except _DAMAGED as error:
        raise DatasetError(f"{files.classes.name} cannot be read: {error}", "check that it is whole") from None


def _below(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """Return the files below a folder with one of these endings, by their path without it; links out are skipped."""
    root = os.path.realpath(folder)
    found: dict[str, Path] = {}
    for base, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not is_ignored(name))
        for file in sorted(files):
            path = Path(base, file)
            if path.suffix.lower() in endings and not is_ignored(file) and is_within(os.path.realpath(path), root):
                name = path.relative_to(folder).with_suffix("").as_posix()
                if name in found:
                    raise DatasetError(f"{found[name].name} and {file} are files of one image", "leave one of them")
                found[name] = path
    return found


def _of_pictures(pictures: Mapping[str, Path]) -> list[MaskFiles]:
    """Return the images of a folder of PNGs, each with its confidence."""
    layers: dict[str, dict[str, Path]] = {}
    for name, path in pictures.items():
        layer, _, rest = name.partition("/")
        layers.setdefault(layer.lower() if rest else "", {})[rest or name] = path
    labels = next((layers[name] for name in LABELS if name in layers), None)
    confidence = next((layers[name] for name in CONFIDENCE if name in layers), None)
    if labels is None or confidence is None:
        labels, confidence = _side_by_side(pictures)
    missing = sorted(set(labels) - set(confidence))
    if missing:
        raise DatasetError(
            f"{len(missing):,} masks have no confidence, for example {missing[0]}.png",
            "write a grey PNG of the same name in confidence/, 255 (or 65535) where the model is sure",
        )
    given, likely = (layers.get(name, {}) for name in (GIVEN, GIVEN_PROBABILITY))
    return [MaskFiles(name, path, confidence[name], given.get(name), likely.get(name)) for name, path in labels.items()]


def _side_by_side(pictures: Mapping[str, Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the masks with a confidence beside them, and the confidences by the masks' names."""
    labels = {name: path for name, path in pictures.items() if not name.lower().endswith(_CONFIDENCE_ENDINGS)}
    confidence = {
        name.removesuffix(name[-len(ending) :]): path
        for name, path in pictures.items()
        for ending in _CONFIDENCE_ENDINGS
        if name.lower().endswith(ending)
    }
    return labels, confidence


def _read_images(path: Path) -> tuple[dict[str, str], dict[str, int]]:
    if not path.is_file():
        return {}, {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        images = {row["file"]: row["image"] for row in rows}
        folds = {row["file"]: int(row["fold"]) for row in rows if row.get("fold")}
    except (UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path.name} cannot be read ({error})", f"give it the columns {', '.join(_COLUMNS)}, or remove it"
        ) from None
    wrong = sorted({fold for fold in folds.values() if not 0 <= fold < MOST_FOLDS})
    if wrong:
        raise DatasetError(f"{path.name} names fold {wrong[0]}", f"folds are numbered from 0 to {MOST_FOLDS - 1}")
    return images, folds


def _ids(folder: Path, classes: Sequence[str]) -> dict[int, int] | None:
    """Return the dataset's class of each id that the folder declares, None if it declares none."""
    path = folder / OWN
    if not path.is_file():
        return None
    declared = read_declared(path)
    if sorted(declared.table.names) != sorted(classes):
        raise DatasetError(
            f"{OWN} names the classes {some_names(declared.table.names)}, the dataset has {some_names(classes)}",
            f"name the same ones, or remove {OWN} where the ids are the dataset's",
        )
    own = [classes.index(name) for name in declared.table.names]
    return {number: own[label] for number, label in declared.by_id.items() if label != IGNORED}


def _read_values(path: Path, shape: tuple[int, int]) -> IntArray:
    """Return the values stored in a PNG, (H, W)."""
    try:
        with open_mask(path) as image:
            width, height = image.size
            values = grey_values(image) if (height, width) == shape else None
    except MaskError as error:
        raise DatasetError(str(error), error.cure) from None
    if (height, width) != shape:
        raise _other_size(path, f"{width} x {height}", shape)
    if values is None:
        raise DatasetError(f"{path.name} holds colours", "save one number a pixel (grey, or a palette's index)")
    return values


def _read_probability(path: Path, shape: tuple[int, int]) -> ByteArray:
    """Return the probabilities in a grey PNG, (H, W), round(255 p)."""
    try:
        with open_mask(path) as image:
            mode = image.mode
    except MaskError as error:
        raise DatasetError(str(error), error.cure) from None
    if mode == "P":  # an index is not a probability
        raise DatasetError(f"{path.name} has a palette", "save its probabilities as grey with 8 or 16 bits")
    values = _read_values(path, shape)
    most = 1 if mode == "1" else np.iinfo(values.dtype).max
    return _as_bytes(values.astype(np.float32) / most)


def _of_archive(folder: MaskFolder, path: Path, shape: tuple[int, int], classes: Sequence[str]) -> MaskPrediction:
    _refuse_larger(path, shape[0] * shape[1] * len(classes) * 8)
    with np.load(path, allow_pickle=False) as file:
        ids = folder.ids
        if ids is None and "classes" in file:
            names = [str(one) for one in file["classes"].tolist()]
            if sorted(names) != sorted(classes):
                raise DatasetError(
                    f"{path.name} has the classes {some_names(names)}, the dataset {some_names(classes)}", "give these"
                )
            ids = {number: classes.index(name) for number, name in enumerate(names)}
        listed = next((name for name in LIST_NAMES if name in file), None)
        if listed is not None:
            found = _of_probs(path, np.asarray(file[listed]), ids, shape, len(classes))
            return replace(found, named=ids is not None)
        if "class" not in file or "confidence" not in file:
            raise DatasetError(
                f"{path.name} holds {', '.join(file.files) or 'nothing'}",
                "it needs class and confidence, (height, width), or probs, (classes, height, width)",
            )
        columns = {name: np.asarray(file[name]) for name in _MEMBERS if name in file}
    for values in columns.values():
        if values.shape != shape:
            raise _other_size(path, " x ".join(map(str, values.shape[::-1])), shape)
    likely = {name: _probability(path, columns[name]) for name in ("confidence", GIVEN_PROBABILITY) if name in columns}
    other = (
        (_whole(path, columns[GIVEN]), likely[GIVEN_PROBABILITY]) if {GIVEN, GIVEN_PROBABILITY} <= {*columns} else None
    )
    predicted = _whole(path, columns["class"])
    return replace(
        _prediction(path, ids, len(classes), predicted, likely["confidence"], other=other), named=ids is not None
    )


def _of_probs(
    path: Path, probs: FloatArray, ids: Mapping[int, int] | None, shape: tuple[int, int], classes: int
) -> MaskPrediction:
    if probs.shape != (classes, *shape):
        raise DatasetError(
            f"{path.name} holds probabilities of shape {probs.shape}, must be {(classes, *shape)}",
            "save one for each class and pixel, (classes, height, width)",
        )
    probs = _reals(path, probs)
    _refuse_unlikely(path, probs)
    sums = probs.sum(axis=0, dtype=np.float32)
    wrong = np.abs(sums - 1) > _OFF
    if wrong.any():
        raise DatasetError(
            f"{path.name}: {int(wrong.sum()):,} pixels have probabilities that do not sum to 1 (the first "
            f"{float(sums[wrong][0]):.3g})",
            "apply a softmax over the classes",
        )
    probs = np.maximum(probs, 0)
    probs /= probs.sum(axis=0, keepdims=True)
    if ids is not None:
        if sorted(ids) != list(range(classes)):
            raise DatasetError(
                f"{path.name}: the classes of its {classes} channels are not ids from 0 to {classes - 1}"
            )
        own = np.empty_like(probs)
        own[[ids[channel] for channel in range(classes)]] = probs
        probs = own
    return MaskPrediction(
        probs.argmax(axis=0).astype(mask_dtype(classes)), _as_bytes(probs.max(axis=0)), classes, probs=probs
    )


def _prediction(
    path: Path,
    ids: Mapping[int, int] | None,
    classes: int,
    values: IntArray,
    confidence: ByteArray,
    *,
    other: tuple[IntArray, ByteArray] | None,
) -> MaskPrediction:
    """Return a prediction after checking that each pixel has a class."""
    meant = np.full(_ID, UNKNOWN, np.uint16)
    for number, label in (ids if ids is not None else {label: label for label in range(classes)}).items():
        meant[number] = label
    predicted = meant[values]
    unknown = predicted == UNKNOWN
    if unknown.any():
        numbers = some_names([str(number) for number in np.unique(values[unknown]).tolist()])
        raise DatasetError(
            f"{path.name}: {int(unknown.sum()):,} pixels hold {numbers}, which is not a class",
            "give every pixel one of the dataset's classes (predictions above a threshold do not)",
        )
    dtype = mask_dtype(classes)
    if other is not None:  # a pixel of no class is compared with none: IGNORE is not a given label
        second = meant[other[0]]
        other = (np.where(second == UNKNOWN, np.iinfo(dtype).max, second).astype(dtype), other[1])
    return MaskPrediction(predicted.astype(dtype), confidence, classes, other=other)


def _whole(path: Path, values: np.ndarray[Any, Any]) -> IntArray:
    """Return ids as uint16; raise `DatasetError` for other numbers."""
    with np.errstate(invalid="ignore"):  # a value that is not a number matches no integer, and is refused below
        found = values.astype(np.int64) if values.dtype.kind in _REAL else None
    if found is None or not np.array_equal(found, values) or found.min(initial=0) < 0 or found.max(initial=0) >= _ID:
        raise DatasetError(f"{path.name}: the classes are not ids from 0 to {_ID - 1}", "save them as whole numbers")
    return found.astype(np.uint16)


def _probability(path: Path, values: np.ndarray[Any, Any]) -> ByteArray:
    """Return probabilities as round(255 p); integers of 8 or 16 bits are shares of their largest value."""
    if values.dtype in (np.uint8, np.uint16):
        return _as_bytes(values.astype(np.float32) / np.iinfo(values.dtype).max)
    found = _reals(path, values)
    _refuse_unlikely(path, found)
    return _as_bytes(found)


def _reals(path: Path, values: np.ndarray[Any, Any]) -> FloatArray:
    if values.dtype.kind not in _REAL:
        raise DatasetError(f"{path.name} holds {values.dtype} values, no probabilities", "save them as float32")
    return values.astype(np.float32)


def _refuse_unlikely(path: Path, values: FloatArray) -> None:
    if not np.isfinite(values).all():
        wrong = int((~np.isfinite(values)).sum())
        raise DatasetError(f"{path.name}: {wrong:,} values are not numbers", "predict the image anew")
    if values.min(initial=0) < -_OFF or values.max(initial=0) > 1 + _OFF:
        raise DatasetError(
            f"{path.name} holds values from {values.min():.3g} to {values.max():.3g}, no probabilities",
            "apply a softmax",
        )


def _refuse_larger(path: Path, most: int) -> None:
    """Refuse an archive with a larger array than an image of this size has, before it is decoded."""
    with ZipFile(path) as archive:
        large = [one.filename for one in archive.infolist() if one.file_size > most + _HEADER]
    if large:
        raise DatasetError(f"{path.name}: {large[0]} is larger than probabilities of its image", "keep those alone")


def _other_size(path: Path, has: str, shape: tuple[int, int]) -> DatasetError:
    message = f"{path.name} is {has}, its image {shape[1]} x {shape[0]}"
    return DatasetError(message, "predict the image at its own size")


def _as_bytes(probabilities: FloatArray) -> ByteArray:
    return np.rint(np.clip(probabilities, 0, 1) * CERTAIN).astype(np.uint8)


def write_predicted(
    target: Path, masks: Iterable[WrittenMask], names: Sequence[str], table: ClassTable, *, archives: bool
) -> int:
    """Write a round's predictions so that `find_predicted` finds them; return the number of images.

    `names` are those of all images, so that each gets a file of its own. `archives`: a `.npz` per image, else PNGs.
    """
    places = _file_names(names)
    with atomic_folder(target) as folder:
        rows = []
        for one in masks:
            file = places[one.image]
            (_write_archive if archives else _write_pictures)(folder, file, one)
            rows.append({"image": one.image, "file": file, "fold": one.fold if one.fold >= 0 else None})
        write_csv(folder / IMAGES, rows, _COLUMNS)
        write_classes(folder, table)
    return len(rows)


def _file_names(names: Sequence[str]) -> dict[str, str]:
    """Return the name of each image's files, without an ending, by the image's name."""
    items = [MaskItem(name, "", Path(name), 0, 0, None) for name in names]
    places = place_in(items, lambda item: "/".join(["images", *map(safe_name, PurePosixPath(item.name).parts[:-1])]))
    return {
        name: PurePosixPath(place).relative_to("images").with_suffix("").as_posix()
        for name, place in zip(names, places, strict=True)
    }


def _write_archive(folder: Path, file: str, one: WrittenMask) -> None:
    columns = {"class": one.predicted, "confidence": one.confidence}
    if one.given is not None and one.given_probability is not None:
        columns |= {GIVEN: one.given, GIVEN_PROBABILITY: one.given_probability}
    path = folder / f"{file}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, allow_pickle=False, **columns)


def _write_pictures(folder: Path, file: str, one: WrittenMask) -> None:
    layers = {"labels": one.predicted, "confidence": one.confidence}
    layers |= {} if one.given is None else {GIVEN: one.given}
    layers |= {} if one.given_probability is None else {GIVEN_PROBABILITY: one.given_probability}
    for layer, values in layers.items():
        save_mask(folder / layer / f"{file}.png", Image.fromarray(np.ascontiguousarray(values)))
