"""Predictions of new images, written so that the import reads them as labels: a table of classes, or a folder of masks.

Both appear whole or not at all, and are written image by image, so memory stays flat.

- The table, CSV or Parquet, has `path,label,confidence`, then the likeliest classes (`top1`, `top1_probability` ...).
  Paths are absolute. A row below the threshold has an empty label, which the import reads as unlabelled.
- The folder has `images/` (hard links where possible), `labels/` (grey PNG of ids, IGNORE below the threshold),
  `classes.csv`, `predictions.csv` (a row per image), and on request `confidence/` (grey PNG, round(255 p)).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow.lib as pa
import pyarrow.parquet as pq
from PIL import Image

from core.data.export.items import Link
from core.data.export.placing import Placement, bring
from core.data.export.tables import Cell, write_csv
from core.data.formats import mask_pairs
from core.data.masks.classes import write_classes
from core.data.masks.items import MaskItem
from core.data.storage import atomic_folder, atomic_path
from core.types import ByteArray, ClassTable, ExportError, IntArray, SourceSample, Task, ignore_of

TOP = 5
PREDICTIONS = "predictions.csv"
_CERTAIN = 255
_ROWS = 4096  # of a table that are written at once
_SUFFIXES: Mapping[Task, tuple[str, ...]] = {Task.CLASSIFICATION: (".csv", ".parquet"), Task.SEGMENTATION: ()}
_COLUMNS = ("file", "source", "confidence", "unsure_pixels")


@dataclass(frozen=True, slots=True)
class LabelPrediction:
    """An image's likeliest classes with their probabilities, the likeliest first."""

    image: SourceSample
    top: list[tuple[int, float]]


@dataclass(frozen=True, slots=True, eq=False)
class ExportedMask:
    """An image's mask, (H, W), IGNORE below the threshold, and its confidence, (H, W), round(255 p)."""

    image: SourceSample
    mask: IntArray
    confidence: ByteArray


@dataclass(slots=True)
class PredictionCounts:
    """Counts of written images, of labelled ones (or labelled pixels) by class, and of those below the threshold."""

    images: int = 0
    unsure: int = 0  # images without a label, or pixels
    by_class: Counter[int] = field(default_factory=Counter)  # images, or pixels


def suffixes_for(task: Task) -> tuple[str, ...]:
    """Return the endings for a file of predictions, () if they are a folder."""
    return _SUFFIXES[task]


def refuse_target(target: Path, suffixes: Sequence[str] = ()) -> None:
    """Check the target before anything is predicted.

    Raises:
        ExportError: it exists, or its name ends in none of the suffixes.
    """
    if suffixes and target.suffix.lower() not in suffixes:
        raise ExportError(
            f"{target.name} is not a table", f"call it {' or '.join(f'something{one}' for one in suffixes)}"
        )
    if target.exists() or target.is_symlink():
        raise ExportError(f"{target} exists already", "choose another name, or remove it")


def write_labels(
    target: Path, predictions: Iterable[LabelPrediction], classes: Sequence[str], above: float
) -> PredictionCounts:
    """Write a table of predictions, in the format of its ending.

    Raises:
        ExportError: the file exists already, or ends neither in .csv nor .parquet.
    """
    refuse_target(target, suffixes_for(Task.CLASSIFICATION))
    tally, top = PredictionCounts(), min(TOP, len(classes))
    columns = ("path", "label", "confidence", *_top_columns(top))
    rows = _rows(predictions, classes, above, tally)
    with atomic_path(target) as partial:
        if target.suffix.lower() == ".csv":
            write_csv(partial, rows, columns)
        else:
            _write_parquet(partial, rows, columns)
        _refuse_nothing(tally)
    return tally


def write_masks(
    target: Path,
    images: Sequence[SourceSample],
    predictions: Iterable[ExportedMask],
    table: ClassTable,
    *,
    link: Link = Link.HARD_LINK,
    confidence: bool = False,
) -> PredictionCounts:
    """Write a new folder of predicted masks; `predictions` are of some of the `images`, in their order.

    Raises:
        ExportError: the folder exists already, or an image cannot be placed in it.
    """
    refuse_target(target)
    items = [MaskItem(image.name, "", Path(image.path), 0, 0, None) for image in images]
    places = dict(zip((image.path for image in images), mask_pairs.place(items), strict=True))
    tally = PredictionCounts()
    with atomic_folder(target) as folder:
        for name in ("images", "labels"):
            (folder / name).mkdir()
        rows = (
            _write_mask(folder, places[one.image.path], one, link, tally, confidence=confidence) for one in predictions
        )
        write_csv(folder / PREDICTIONS, rows, _COLUMNS)
        _refuse_nothing(tally)
        write_classes(folder, table)
    return tally


def _refuse_nothing(tally: PredictionCounts) -> None:
    if not tally.images:
        raise ExportError("not one of these images can be read, so nothing was written", "mend them, or name others")


def _write_mask(
    folder: Path, file: str, one: ExportedMask, link: Link, tally: PredictionCounts, *, confidence: bool
) -> dict[str, Cell]:
    name = PurePosixPath(file).relative_to("images")
    bring(Placement(Path(one.image.path), folder / file, ""), link, copy_if_needed=True)
    mask_pairs.save_mask(folder / "labels" / name, Image.fromarray(one.mask))
    if confidence:
        mask_pairs.save_mask(folder / "confidence" / name, Image.fromarray(one.confidence))
    counts = np.bincount(one.mask.ravel(), minlength=ignore_of(one.mask) + 1)
    unsure = int(counts[ignore_of(one.mask)])
    tally.images += 1
    tally.unsure += unsure
    tally.by_class.update({label: int(counts[label]) for label in np.flatnonzero(counts[:-1]).tolist()})
    sure = round(float(one.confidence.mean()) / _CERTAIN, 6)
    return {"file": file, "source": one.image.path, "confidence": sure, "unsure_pixels": unsure}


def _rows(
    predictions: Iterable[LabelPrediction], classes: Sequence[str], above: float, tally: PredictionCounts
) -> Iterator[dict[str, Cell]]:
    for one in predictions:
        label, sure = one.top[0]
        tally.images += 1
        if sure < above:
            tally.unsure += 1
        else:
            tally.by_class[label] += 1
        cells: dict[str, Cell] = {"path": one.image.path, "label": classes[label] if sure >= above else None}
        likeliest = [cell for number, p in one.top for cell in (classes[number], round(p, 6))]
        yield cells | {"confidence": round(sure, 6)} | dict(zip(_top_columns(len(one.top)), likeliest, strict=True))


def _top_columns(count: int) -> list[str]:
    return [name for place in range(1, count + 1) for name in (f"top{place}", f"top{place}_probability")]


def _write_parquet(path: Path, rows: Iterator[dict[str, Cell]], columns: Sequence[str]) -> None:
    types = [pa.float64() if name.endswith(("confidence", "probability")) else pa.string() for name in columns]
    schema: Any = pa.schema(list(zip(columns, types, strict=True)))
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:  # type: ignore[no-untyped-call]
        while some := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_pylist(some, schema=schema))
