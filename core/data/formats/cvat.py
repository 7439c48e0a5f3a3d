"""CVAT for images 1.1: XML with the shapes, or the tags, of all images; one file, or one for each split.

Polygons, painted masks and ellipses are the classes of pixels, drawn by `z_order` and then in the order of the file;
boxes say nothing of their pixels (`boxes`). Polylines, points and cuboids are counted. Where nothing is drawn at all
the tags are the classes of the images. An image with nothing on it is not labelled. Files are foreign: a document type
is refused, so no entity is ever expanded.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from core.data.formats.annotations import Images, image_root, split_in
from core.data.formats.boxes import box_shape, boxes_question
from core.data.formats.mask_folders import bases
from core.data.formats.questions import together
from core.data.formats.source import (
    Problems,
    ReadOptions,
    SourceListing,
    natural_order,
    refuse_leaving,
    split_name,
)
from core.data.formats.turned import ask_turned
from core.data.formats.walk import is_ignored
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.classes import BACKGROUND, is_nobody
from core.data.masks.colours import IGNORED, class_table
from core.data.masks.runs import encode_coco
from core.data.masks.segments import segments
from core.types import DatasetError, SourceSample

_AREAS = frozenset({"polygon", "mask", "ellipse", "box"})
_PASSED_OVER = frozenset({"polyline", "points", "cuboid", "skeleton"})
_HEAD = 1 << 16  # bytes by which a file is told
_LOOKED_AT = 50  # files
_MOST_PIXELS = 1 << 28
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_START = re.compile(r"<([A-Za-z_][^\s/>]*)")
_SIDE = re.compile(r"[1-9][0-9]{0,6}")
_ORDER = re.compile(r"-?[0-9]{1,18}")
_CURE = "draw it again in CVAT, or remove it"

Attributes = dict[str, str]


@dataclass(slots=True)
class _Image:
    """One image of the file: its attributes, and its shapes and tags as (kind, attributes)."""

    attributes: Attributes
    shapes: list[tuple[str, Attributes]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _File:
    """What a file holds: images, the names of labels that it lists, and how many shapes without an area."""

    path: Path
    images: list[_Image] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    tracks: int = 0


def recognise(source: Path) -> str:
    """Say why this is such a file; empty: it is none."""
    found = _find(source)
    return f"{found[0].name} has annotations of images, as CVAT writes them" if found else ""


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every image that the file names.

    Raises:
        DatasetError: there is no such file, it is broken, or it is of a video.
    """
    found = _find(source)
    if not found:
        raise DatasetError(f"{source}: has no annotations.xml of CVAT for images; name the file itself")
    files = [_parsed(refuse_leaving(path, source, options)) for path in found]
    problems = Problems()
    images = Images(image_root(source) if source.is_file() else source, options, problems)
    for kind, count in sum((file.passed_over for file in files), Counter[str]()).items():
        problems.warn("not a mask", kind, f"{count:,} shapes are {kind}; only shapes with an area are read", "nothing")
    drawn = [shape for file in files for image in file.images for shape in image.shapes]
    if not drawn:
        return SourceListing(_classes(files, images), problems)
    names = {values.get("label", "") for _, values in drawn}.union(*(file.labels for file in files))
    names = {name for name in names if name and not is_nobody(name) and name.lower() != BACKGROUND}
    table = class_table([BACKGROUND, *sorted(names, key=natural_order)])
    ids = {name: number for number, name in enumerate(table.names)}
    _note_tags(files, problems)
    boxes = sum(kind == "box" for kind, _ in drawn)
    photos = [photo for file in files for photo in _photos(file, images)]
    shown = together(questions=[*boxes_question(boxes, options), *ask_turned(photos, options)])
    return SourceListing(_samples(files, images, ids, options), problems, table, shown)


def _photos(file: _File, images: Images) -> Iterator[tuple[str, tuple[int, int] | None]]:
    """Yield the photos of a file that are there, with the size that it gives them."""
    for image in file.images:
        name, size = images.look(image.attributes.get("name", ""), file.path.parent), _size(image.attributes)
        if name is not None:
            yield f"{images.root}/{name}", (size[1], size[0]) if size else None


def _find(source: Path) -> list[Path]:
    """Return the files that look right."""
    if source.is_file():
        return [source] if source.suffix.lower() == ".xml" and _looks_so(source) else []
    for base in bases(source):
        files = [path for path in sorted(base.glob("*.xml"))[:_LOOKED_AT] if path.is_file()]
        if found := [path for path in files if not is_ignored(path.name) and _looks_so(path)]:
            return found
    return []


def _looks_so(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return False
    root = _START.search(_COMMENT.sub("", head))
    return root is not None and root[1] == "annotations" and ("<image " in head or "<meta>" in head)


class _Parser:
    """Fills a file's parts from its elements as they come."""

    def __init__(self, path: Path) -> None:
        self.file = _File(path)
        self.inside: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _refuse(self, *_: object) -> None:
        raise DatasetError(
            f"{self.file.path.name}: has a document type, which annotations of CVAT have not; export it again"
        )

    def _start(self, tag: str, attributes: Attributes) -> None:
        if tag == "image":
            self.file.images.append(_Image(attributes))
        elif tag == "track":
            self.file.tracks += 1
        elif self.file.images and self.inside[-1:] == ["image"]:
            _add(self.file, tag, attributes)
        self.inside.append(tag)

    def _text(self, data: str) -> None:
        if self.inside[-2:] == ["label", "name"]:
            self.file.labels.append(data.strip())

    def _end(self, _: str) -> None:
        self.inside.pop()


def _parsed(path: Path) -> _File:
    """Return what a file holds.

    Raises:
        DatasetError: it is broken, has a document type, or holds the tracks of a video.
    """
    parser = _Parser(path)
    try:
        with path.open("rb") as file:
            parser.parser.ParseFile(file)
    except (expat.ExpatError, LookupError) as error:  # the latter: an encoding that does not exist
        raise DatasetError(f"{path.name}: is broken XML ({error}); export it again") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error}); check its rights") from error
    if not parser.file.images and parser.file.tracks:
        raise DatasetError(f"{path.name}: holds tracks of a video; export from CVAT as `CVAT for images 1.1`")
    return parser.file


def _add(found: _File, tag: str, attributes: Attributes) -> None:
    if tag in _AREAS:
        found.images[-1].shapes.append((tag, attributes))
    elif tag == "tag":
        found.images[-1].tags.append(attributes.get("label", "").strip())
    elif tag in _PASSED_OVER:
        found.passed_over[tag] += 1


def _note_tags(files: list[_File], problems: Problems) -> None:
    count = sum(len(image.tags) for file in files for image in file.images)
    if count:
        problems.warn(
            "tags beside masks",
            files[0].path.name,
            f"{count:,} tags stand beside shapes; the labels are the shapes, and the tags are passed over",
            "nothing; or remove the shapes, if the tags are the labels",
        )


def _classes(files: list[_File], images: Images) -> Iterator[SourceSample]:
    """Yield the images with the class that they are tagged with."""
    for _, image, name, split in _found(files, images):
        tags = list(dict.fromkeys(tag for tag in image.tags if tag))
        if len(tags) > 1:
            images.problems.error(
                "several labels",
                name,
                f"it is tagged {', '.join(tags)}; a class is one an image, so it comes without",
                "leave one tag in CVAT",
            )
        label = tags[0] if len(tags) == 1 else None
        yield SourceSample(f"{images.root}/{name}", name, label, split, sequence_of(name))


def _samples(files: list[_File], images: Images, ids: dict[str, int], options: ReadOptions) -> Iterator[SourceSample]:
    """Yield the images with their shapes."""
    bare = 0
    for file, image, name, split in _found(files, images):
        path, size = f"{images.root}/{name}", _size(image.attributes)
        ordered = sorted(image.shapes, key=lambda shape: _number(shape[1].get("z_order", "0")))
        shapes = [drawn for kind, values in ordered if (drawn := _drawn(kind, values, size, ids, options)) is not None]
        bare += not image.shapes
        where = f"{file.path.name}, {name}"
        mask = segments(where, 0, shapes, size, path, turned=options.exif_masks == "turn") if image.shapes else None
        yield SourceSample(path, name, None, split, sequence_of(name), mask)
    if bare:
        images.problems.warn(
            "nothing drawn",
            files[0].path.name,
            f"nothing is drawn on {bare:,} images; they are read as not labelled",
            "nothing, or draw what is there",
        )


def _found(files: list[_File], images: Images) -> Iterator[tuple[_File, _Image, str, str]]:
    """Yield each image that is there, with its file, its name, and its split: what it says, or its file's name."""
    for file in files:
        for image in file.images:
            split = split_name(image.attributes.get("subset", "")) or split_in(file.path.stem)
            name = images.find(image.attributes.get("name", ""), file.path.parent, split)
            if name is not None:
                yield file, image, name, split
    images.note_unnamed()


def _drawn(
    kind: str, values: Attributes, size: list[int] | None, ids: dict[str, int], options: ReadOptions
) -> list[Any] | None:
    """Return a shape as `segments` knows it; None: it is to be skipped."""
    label = values.get("label", "")
    if not label:
        return [0, "fault", ["no label", f"a {kind} has no label", "give it one in CVAT, or remove it"]]
    number = 0 if label.lower() == BACKGROUND else ids.get(label, IGNORED)
    try:
        if kind == "box":
            return box_shape("polygons", [_box(values)], f"a {label} has a box", options)
        if kind == "polygon":
            pairs = [pair.split(",") for pair in values.get("points", "").split(";") if pair]
            return [number, "polygons", [[_finite(part) for x, y in pairs for part in (x, y)]]]
        if size is None:
            return [0, "fault", ["bad shape", f"the size of the image of a {label} is not given", _CURE]]
        return [number, *(_painted(values, size) if kind == "mask" else _ellipse(values, size))]
    except (KeyError, ValueError) as error:
        return [0, "fault", ["bad shape", f"a {kind} of {label} cannot be read ({error})", _CURE]]


def _box(values: Attributes) -> list[float]:
    """Return a box as the corners of a polygon, turned by its rotation in degrees."""
    left, top, right, bottom = (_finite(values[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(_finite(values.get("rotation", "0")))
    x, y, cosine, sine = (left + right) / 2, (top + bottom) / 2, math.cos(angle), math.sin(angle)
    corners = [(across - x, down - y) for across, down in ((left, top), (right, top), (right, bottom), (left, bottom))]
    return [
        number
        for across, down in corners
        for number in (x + across * cosine - down * sine, y + across * sine + down * cosine)
    ]


def _ellipse(values: Attributes, size: list[int]) -> list[Any]:
    height, width = size
    return [
        "ellipse",
        {
            "x": 100 * _finite(values["cx"]) / width,
            "y": 100 * _finite(values["cy"]) / height,
            "radiusX": 100 * _finite(values["rx"]) / width,
            "radiusY": 100 * _finite(values["ry"]) / height,
            "rotation": _finite(values.get("rotation", "0")),
        },
    ]


def _painted(values: Attributes, size: list[int]) -> list[Any]:
    """Return a mask that was painted within its box, runs of its rows, outside first, as run lengths of the image."""
    left, top, width, height = (int(values[name]) for name in ("left", "top", "width", "height"))
    lengths = [int(length) for length in values.get("rle", "").split(",") if length.strip()]
    fits = 0 <= left <= left + width <= size[1] and 0 <= top <= top + height <= size[0]
    if not fits or size[0] * size[1] > _MOST_PIXELS:
        raise ValueError("its box reaches beyond the image")
    if min(lengths, default=0) < 0 or sum(lengths) > width * height:
        raise ValueError("its run lengths hold more pixels than its box")
    runs = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    inside = np.zeros(size, dtype=bool)
    part = np.zeros(width * height, dtype=bool)
    part[: len(runs)] = runs
    inside[top : top + height, left : left + width] = part.reshape(height, width)
    return ["rle", encode_coco(inside)]


def _size(attributes: Attributes) -> list[int] | None:
    """Return height and width of an image as the file has them; None: it has not."""
    sides = [attributes.get(name, "") for name in ("height", "width")]
    return [int(side) for side in sides] if all(map(_SIDE.fullmatch, sides)) else None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number


def _number(text: str) -> int:
    return int(text) if _ORDER.fullmatch(text) else 0
