"""YOLO's segmentation labels: `images/train/1.jpg` with `labels/train/1.txt`, classes in `data.yaml`.

Also a folder for each split with both in it, as Roboflow exports: `train/images/1.jpg` with `train/labels/1.txt`.

A line is the number of a class and the corners of a polygon, x and y as shares of width and height. Uncovered pixels
are the class `background`, all of them for an empty file; an image without a file is unlabelled. A line of four numbers
is a box, which labels no pixels: see the option `boxes`.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from core.data.formats.annotations import box_shape, boxes_question
from core.data.formats.mask_folders import bases, image_files, relative_folder
from core.data.formats.source import (
    SPLITS,
    Problems,
    ReadOptions,
    SourceListing,
    combine_meanings,
    refuse_leaving,
    split_name,
)
from core.data.formats.walk import folders_in
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.classes import BACKGROUND
from core.data.masks.colours import class_table
from core.data.masks.segments import segments
from core.types import DatasetError, SourceSample

_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_LARGEST = 1 << 20  # bytes of a list of classes
_BOX = 4  # numbers
_LOOKED_AT = 50  # files
_CURE = "write a class and at least three corners x y, as shares of width and height"


def recognise(source: Path) -> str:
    """Return the evidence that the source is YOLO's labels of segmentation, empty if it is not."""
    found = _find(source) if source.is_dir() else None
    if found is None:
        return ""
    texts = islice((text for place in _places(found.parent) for text in (place / "labels").rglob("*.txt")), _LOOKED_AT)
    has_polygon = any(len(line.split()) > 1 + _BOX for path in texts for line in _lines(path))
    return f"{found.name} names classes, and labels has polygons, as YOLO has them" if has_polygon else ""


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every image, with its polygons if there are any.

    Raises:
        DatasetError: there are no such files, or the classes cannot be read.
    """
    found = _find(source) if source.is_dir() else None
    if found is None:
        raise DatasetError(
            f"{source}: has no data.yaml beside folders images and labels, or train with both", "choose another format"
        )
    names = _classes(refuse_leaving(found, source, options))
    background = next((number for number, name in enumerate(names) if name.strip().lower() == BACKGROUND), None)
    table = class_table(names if background is not None else [BACKGROUND, *names])
    problems = Problems()
    reader = _Labels(
        source, relative_folder(source, found.parent), options, 0 if background is not None else 1, len(names)
    )
    samples = list(reader.samples(background or 0, problems))
    shown = combine_meanings(questions=boxes_question(reader.boxes, options))
    return SourceListing(iter(samples), problems, table, shown)


class _Labels:
    """The label files of a source; `boxes` counts the lines that are boxes."""

    def __init__(self, source: Path, base: str, options: ReadOptions, shift: int, count: int) -> None:
        self.source = source
        self.base = f"{base}/" if base else ""
        self.options = options
        self.shift = shift
        self.count = count
        self.boxes = 0

    def samples(self, background: int, problems: Problems) -> Iterator[SourceSample]:
        """Yield every image below the folder of images."""
        for name in image_files(self.source, self.options, problems):
            parts = PurePosixPath(name.removeprefix(self.base)).parts
            places = [at for at, part in enumerate(parts[:-1]) if part.lower() == "images"]
            if not places:
                continue
            written = [*parts[: places[-1]], "labels", *parts[places[-1] + 1 :]]
            file = self.source / self.base / PurePosixPath(*written).with_suffix(".txt")
            split = next((split_name(part) for part in parts[:-1] if part.lower() in SPLITS), "")
            mask = None
            if file.is_file():
                file = refuse_leaving(file, self.source, self.options)
                shapes = [shape for line in _lines(file) if (shape := self._shape(line)) is not None]
                mask = segments(file.name, background, shapes)
            yield SourceSample(f"{self.source}/{name}", name, None, split, sequence_of(name), mask)

    def _shape(self, line: str) -> list[Any] | None:
        label, *written = line.split()
        try:
            number, corners = int(label.removesuffix(".0")), [100 * float(text) for text in written]
        except ValueError:
            return [0, "fault", ["bad polygon", f"the line {line[:60]!r} holds more than numbers", _CURE]]
        if not 0 <= number < self.count:
            message = f"the line {line[:60]!r} has the class {number}, but {self.count} are named"
            return [
                0,
                "fault",
                ["ids outside the classes", message, "name all classes in data.yaml, or correct the line"],
            ]
        if len(corners) % 2:
            return [0, "fault", ["bad polygon", f"the line {line[:60]!r} has x without y", _CURE]]
        if len(corners) == _BOX:
            self.boxes += 1
            x, y, width, height = corners
            left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
            box = [[left, top], [right, top], [right, bottom], [left, bottom]]
            return box_shape("percent", box, f"the line {line[:60]!r} is a box", self.options)
        return [number + self.shift, "percent", [list(pair) for pair in zip(corners[::2], corners[1::2], strict=True)]]


def _find(source: Path) -> Path | None:
    for base in bases(source):
        found = next((base / name for name in _NAMES if (base / name).is_file()), None)
        if found is not None and _places(base):
            return found
    return None


def _places(base: Path) -> list[Path]:
    """Return the parents of the folders of images and labels: this folder, or those of its splits."""
    splits = (base / name for name in folders_in(base) if name.lower() in SPLITS)
    return [place for place in (base, *splits) if (place / "labels").is_dir() and (place / "images").is_dir()]


def _classes(path: Path) -> list[str]:
    """Return the names of the classes in the order of their numbers.

    Raises:
        DatasetError: the file is not YOLO's.
    """
    cure = "write names: {0: cat, 1: dog}, or a list of names"
    try:
        if path.stat().st_size > _LARGEST:
            raise DatasetError(f"{path.name}: is too large for a list of classes", cure)
        text = path.read_text(encoding="utf-8-sig")
        # a few lines of nested aliases expand to more values than fit in memory
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise DatasetError(f"{path.name}: has YAML aliases, which are not read", cure)
        values = yaml.safe_load(text)
        names = values.get("names") if isinstance(values, dict) else None
        if isinstance(names, dict) and set(names) == set(range(len(names))):
            names = [names[number] for number in range(len(names))]
        if not isinstance(names, list) or not all(isinstance(name, str | int | float) for name in names):
            names = []
        texts = list(map(str, names))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise DatasetError(f"{path.name}: cannot be read ({error})", cure) from error
    if len(set(texts)) < max(len(texts), 1):
        raise DatasetError(f"{path.name}: has no list of distinct class names from 0 on", cure)
    return texts


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines() if line.strip()]
    except OSError:
        return []
