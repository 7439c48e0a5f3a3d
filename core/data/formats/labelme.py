"""labelme: a JSON file of shapes beside each image, with its name.

Polygons, rectangles, circles and painted masks are read in the order of the file, later ones on top; lines and points
are counted. Uncovered pixels are the class `background`; `__ignore__` is IGNORE. An image without a JSON file is
unlabelled.
"""

import base64
import binascii
import io
import math
import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from core.data.formats.annotations import objects, read_json
from core.data.formats.mask_folders import bases, image_files
from core.data.formats.source import (
    SPLITS,
    Problems,
    ReadOptions,
    SourceListing,
    combine_meanings,
    natural_order,
    refuse_leaving,
    split_name,
)
from core.data.formats.walk import folders_in
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.classes import BACKGROUND, is_void
from core.data.masks.colours import IGNORED, class_table
from core.data.masks.runs import encode_coco
from core.data.masks.segments import segments
from core.data.masks.turning import ask_turned
from core.types import DatasetError, SourceSample

_BACKGROUNDS = {BACKGROUND, "_background_"}
_IGNORE = "__ignore__"
_PASSED_OVER = {"line", "linestrip", "point", "points"}
_CURE = "draw it again in labelme, or remove it"
_NO_LABEL = ["fault", ["no label", "a shape has no label", "give it one in labelme, or remove it"]]
_LOOKED_AT = 20  # files of a folder
_FOLDERS, _NAMES = 5, 2_000  # that are looked through
_MOST_CORNERS = 1_000  # of a circle
_MOST_PIXELS = 1 << 28
_KEYS = ('"shapes"', '"imagePath"')


_File = tuple[list[list[Any]], list[int] | None]
"""One image's shapes, each [label, kind, values], and its [height, width], None if unknown."""


def recognise(source: Path) -> str:
    """Return the evidence that the source is files of labelme, empty if it is not."""
    found = _find(source)
    return "" if found is None else f"{found.name} has shapes for an image, as labelme writes them"


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every image, with its shapes if there are any.

    Raises:
        DatasetError: there are no such files.
    """
    if _find(source) is None:
        raise DatasetError(f"{source}: has no JSON files of labelme beside its images", "choose another format")
    problems = Problems()
    passed: Counter[str] = Counter()
    files: dict[str, _File] = {}
    names = list(image_files(source, options, problems))
    for name in names:
        path = (source / name).with_suffix(".json")
        if not path.is_file():
            continue
        try:
            values = read_json(refuse_leaving(path, source, options), dict)
        except DatasetError as error:
            problems.error("broken JSON", path.name, str(error), "save it again in labelme, or remove it")
            continue
        files[name] = _file(values, passed)
    labels = {shape[0] for shapes, _ in files.values() for shape in shapes}
    classes = sorted((label for label in labels if not _is_none(label)), key=natural_order)
    ids = {label: number for number, label in enumerate([BACKGROUND, *classes])}
    for kind, count in passed.items():
        problems.warn("not a mask", kind, f"{count:,} shapes are {kind}; only shapes with an area are read", "nothing")
    photos = [(f"{source}/{name}", _swap_size(size)) for name, (_, size) in files.items()]
    shown = combine_meanings(questions=ask_turned(photos, options))
    samples = _samples(source, names, files, ids, turned=options.exif_masks == "turn")
    return SourceListing(samples, problems, class_table([BACKGROUND, *classes]), shown)


def _find(source: Path) -> Path | None:
    """Return the first file that looks like this format, in the folder or its subfolders."""
    if not source.is_dir():
        return None
    for base in bases(source):
        for folder in (base, *(base / name for name in folders_in(base)[:_FOLDERS])):
            for path in _json_in(folder):
                if path.is_file() and all(key in _text(path) for key in _KEYS):
                    return path
    return None


def _json_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _NAMES) if entry.name.lower().endswith(".json")]
    except OSError:
        return []  # named when its images are read
    return [folder / name for name in sorted(names)[:_LOOKED_AT]]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _file(values: dict[str, Any], passed: Counter[str]) -> _File:
    height, width = values.get("imageHeight"), values.get("imageWidth")
    size = [height, width] if isinstance(height, int) and isinstance(width, int) else None
    shapes = []
    for shape in objects(values, "shapes"):
        kind = shape.get("shape_type") or "polygon"
        if kind in _PASSED_OVER:
            passed[str(kind)] += 1
        else:
            label = _label(shape.get("label"))
            shape_values = _NO_LABEL if label is None else _shape(str(kind), shape, size)
            shapes.append([_IGNORE if label is None else label, *shape_values])
    return shapes, size


def _label(value: object) -> str | None:
    """Return a label as text, None if it is invalid."""
    is_label = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value) if is_label and str(value).strip() else None


def _shape(kind: str, shape: dict[str, Any], size: list[int] | None) -> list[Any]:
    """Return a shape as in `segments`."""
    points = shape.get("points")
    try:
        if kind == "polygon":
            return ["polygons", [[number for x, y in points or [] for number in (x, y)]]]
        if kind in {"rectangle", "circle", "mask"}:
            (left, top), (right, bottom) = points or []
            if kind == "rectangle":
                return ["polygons", [[left, top, right, top, right, bottom, left, bottom]]]
            if kind == "circle":
                return ["polygons", [_circle(left, top, math.hypot(right - left, bottom - top))]]
            return ["rle", _mask_runs(shape.get("mask"), round(left), round(top), size)]
    except (TypeError, ValueError, ArithmeticError) as error:
        return ["fault", ["bad shape", f"its points or pixels cannot be read ({error})", _CURE]]
    return ["fault", ["bad shape", f"shapes of the kind {kind[:40]} are not read", _CURE]]


def _circle(x: float, y: float, radius: float) -> list[float]:
    """Return a circle as a polygon that deviates less than a tenth of a pixel."""
    corners = min(_MOST_CORNERS, max(12, math.ceil(math.pi / math.acos(max(0.0, 1 - 0.1 / max(radius, 0.2))))))
    turns = [2 * math.pi * at / corners for at in range(corners)]
    return [number for turn in turns for number in (x + radius * math.cos(turn), y + radius * math.sin(turn))]


def _mask_runs(packed: Any, left: int, top: int, size: list[int] | None) -> dict[str, Any]:  # noqa: ANN401 as the file has it
    """Return a mask painted within its box as run lengths of the whole image."""
    if size is None or not 0 < size[0] * size[1] <= _MOST_PIXELS:
        raise ValueError("the size of the image is not given, or cannot be")
    try:
        with Image.open(io.BytesIO(base64.b64decode(packed, validate=True)), formats=["PNG"]) as image:
            pixels = np.asarray(image.convert("L")) > 0
    except (binascii.Error, OSError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error
    inside = np.zeros(size, dtype=bool)
    part = inside[top : top + pixels.shape[0], left : left + pixels.shape[1]]
    if part.shape != pixels.shape:
        raise ValueError("it reaches beyond the image")
    part[:] = pixels
    return encode_coco(inside)


def _samples(
    source: Path, names: list[str], files: dict[str, _File], ids: dict[str, int], *, turned: bool
) -> Iterator[SourceSample]:
    for name in names:
        top = name.split("/")[0]
        split = split_name(top) if "/" in name and top.lower() in SPLITS else ""
        path = f"{source}/{name}"
        file = files.get(name)
        mask = None
        if file is not None:
            shapes_of_file, size = file
            shapes = [[_number(label, ids), *rest] for label, *rest in shapes_of_file]
            where = f"{PurePosixPath(name).with_suffix('.json').name}"
            mask = segments(where, 0, shapes, size, path, turned=turned)
        yield SourceSample(path, name, None, split, sequence_of(name), mask)


def _number(label: str, ids: dict[str, int]) -> int:
    if _is_none(label):
        return 0 if label.strip().lower() in _BACKGROUNDS else IGNORED
    return ids[label]


def _is_none(label: str) -> bool:
    return label.strip().lower() in _BACKGROUNDS or label == _IGNORE or is_void(label)


def _swap_size(size: list[int] | None) -> tuple[int, int] | None:
    return None if size is None else (size[1], size[0])
