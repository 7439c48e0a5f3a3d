"""CVAT for images 1.1: XML with the shapes, or the tags, of all images; one file, or one for each split.

Polygons, painted masks and ellipses are the classes of pixels, drawn by `z_order` and then in the order of the file;
boxes do not label their pixels (option `boxes`). Polylines, points and cuboids are counted. If nothing is drawn at all,
the tags are the classes of the images. An image without shapes is unlabelled. Files are untrusted: a document type is
refused, so no entity is ever expanded.
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

from core.data.formats.annotations import ImageIndex, box_shape, boxes_question, image_root, split_in
from core.data.formats.mask_folders import bases
from core.data.formats.source import (
    Problems,
    ReadOptions,
    SourceListing,
    combine_meanings,
    natural_order,
    refuse_leaving,
    split_name,
)
from core.data.formats.walk import is_ignored
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.classes import BACKGROUND, is_void
from core.data.masks.colours import IGNORED, class_table
from core.data.masks.runs import encode_coco
from core.data.masks.segments import segments
from core.data.masks.turning import ask_turned
from core.types import DatasetError, SourceSample

_AREAS = frozenset({"polygon", "mask", "ellipse", "box"})
_PASSED_OVER = frozenset({"polyline", "points", "cuboid", "skeleton"})
_HEAD = 1 << 16  # bytes read to recognise a file
_LOOKED_AT = 50  # files
_MOST_PIXELS = 1 << 28
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_START = re.compile(r"<([A-Za-z_][^\s/>]*)")
_SIDE = re.compile(r"[1-9][0-9]{0,6}")
_ORDER = re.compile(r"-?[0-9]{1,18}")
_CURE = "draw it again in CVAT, or remove it"

Attributes = dict[str, str]
Shapes = list[tuple[str, Attributes]]  # kind and attributes


@dataclass(slots=True)
class _File:
    """Content of a file: images as (attributes, shapes, tags), names of its labels, and counts of what is left out."""

    path: Path
    images: list[tuple[Attributes, Shapes, list[str]]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    tracks: int = 0


def recognise(source: Path) -> str:
    """Return the evidence that the source is such a file, empty if it is not."""
    found = _find(source)
    return f"{found[0].name} has annotations of images, as CVAT writes them" if found else ""


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every image that the file names.

    Raises:
        DatasetError: there is no such file, it is broken, or it is of a video.
    """
    found = _find(source)
    if not found:
        raise DatasetError(f"{source}: has no annotations.xml of CVAT for images", "name the file itself")
    files = [_parse(refuse_leaving(path, source, options)) for path in found]
    problems = Problems()
    images = ImageIndex(image_root(source) if source.is_file() else source, options, problems)
    for kind, count in sum((file.passed_over for file in files), Counter[str]()).items():
        problems.warn("not a mask", kind, f"{count:,} shapes are {kind}; only shapes with an area are read", "nothing")
    shapes = [shape for file in files for _, shapes, _ in file.images for shape in shapes]
    if not shapes:
        return SourceListing(_classes(files, images), problems)
    names = {values.get("label", "") for _, values in shapes}.union(*(file.labels for file in files))
    names = {name for name in names if name and not is_void(name) and name.lower() != BACKGROUND}
    table = class_table([BACKGROUND, *sorted(names, key=natural_order)])
    ids = {name: number for number, name in enumerate(table.names)}
    _note_tags(files, problems)
    boxes = sum(kind == "box" for kind, _ in shapes)
    photos = [photo for file in files for photo in _photos(file, images)]
    shown = combine_meanings(questions=[*boxes_question(boxes, options), *ask_turned(photos, options)])
    return SourceListing(_samples(files, images, ids, options), problems, table, shown)


def _photos(file: _File, images: ImageIndex) -> Iterator[tuple[str, tuple[int, int] | None]]:
    """Yield the existing photos of a file, with their size in the file."""
    for attributes, _, _ in file.images:
        name, size = images.look(attributes.get("name", ""), file.path.parent), _size(attributes)
        if name is not None:
            yield f"{images.root}/{name}", (size[1], size[0]) if size else None


def _find(source: Path) -> list[Path]:
    """Return the files that look like this format."""
    if source.is_file():
        return [source] if source.suffix.lower() == ".xml" and _is_cvat(source) else []
    for base in bases(source):
        files = [path for path in sorted(base.glob("*.xml"))[:_LOOKED_AT] if path.is_file()]
        if found := [path for path in files if not is_ignored(path.name) and _is_cvat(path)]:
            return found
    return []


def _is_cvat(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return False
    root = _START.search(_COMMENT.sub("", head))
    return root is not None and root[1] == "annotations" and ("<image " in head or "<meta>" in head)


class _Parser:
    """Parser that collects a file's images, shapes and labels."""

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
            f"{self.file.path.name}: has a document type, which annotations of CVAT have not", "export it again"
        )

    def _start(self, tag: str, attributes: Attributes) -> None:
        if tag == "image":
            self.file.images.append((attributes, [], []))
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


def _parse(path: Path) -> _File:
    """Return the content of a file.

    Raises:
        DatasetError: it is broken, has a document type, or holds the tracks of a video.
    """
    parser = _Parser(path)
    try:
        with path.open("rb") as file:
            parser.parser.ParseFile(file)
    except (expat.ExpatError, LookupError) as error:  # LookupError: an unknown encoding
        raise DatasetError(f"{path.name}: is broken XML ({error})", "export it again") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})", "check its rights") from error
    if not parser.file.images and parser.file.tracks:
        raise DatasetError(f"{path.name}: holds tracks of a video", "export from CVAT as `CVAT for images 1.1`")
    return parser.file


def _add(found: _File, tag: str, attributes: Attributes) -> None:
    _, shapes, tags = found.images[-1]
    if tag in _AREAS:
        shapes.append((tag, attributes))
    elif tag == "tag":
        tags.append(attributes.get("label", "").strip())
    elif tag in _PASSED_OVER:
        found.passed_over[tag] += 1


def _note_tags(files: list[_File], problems: Problems) -> None:
    count = sum(len(tags) for file in files for _, _, tags in file.images)
    if count:
        problems.warn(
            "tags beside masks",
            files[0].path.name,
            f"{count:,} tags are given beside shapes; the labels are the shapes, and the tags are skipped",
            "nothing; or remove the shapes, if the tags are the labels",
        )


def _classes(files: list[_File], images: ImageIndex) -> Iterator[SourceSample]:
    """Yield the images with the class of their tag."""
    for _, (_, _, found), name, split in _find_images(files, images):
        tags = list(dict.fromkeys(tag for tag in found if tag))
        if len(tags) > 1:
            images.problems.error(
                "several labels",
                name,
                f"it has the tags {', '.join(tags)}; an image has one class, so it is unlabelled",
                "leave one tag in CVAT",
            )
        label = tags[0] if len(tags) == 1 else None
        yield SourceSample(f"{images.root}/{name}", name, label, split, sequence_of(name))


def _samples(
    files: list[_File], images: ImageIndex, ids: dict[str, int], options: ReadOptions
) -> Iterator[SourceSample]:
    """Yield the images with their shapes."""
    bare = 0
    for file, (attributes, found, _), name, split in _find_images(files, images):
        path, size = f"{images.root}/{name}", _size(attributes)
        ordered = sorted(found, key=lambda shape: _number(shape[1].get("z_order", "0")))
        shapes = [drawn for kind, values in ordered if (drawn := _shape(kind, values, size, ids, options)) is not None]
        bare += not found
        where = f"{file.path.name}, {name}"
        mask = segments(where, 0, shapes, size, path, turned=options.exif_masks == "turn") if found else None
        yield SourceSample(path, name, None, split, sequence_of(name), mask)
    if bare:
        images.problems.warn(
            "nothing drawn",
            files[0].path.name,
            f"nothing is drawn on {bare:,} images; they are read as not labelled",
            "nothing, or draw the objects",
        )


def _find_images(
    files: list[_File], images: ImageIndex
) -> Iterator[tuple[_File, tuple[Attributes, Shapes, list[str]], str, str]]:
    """Yield each existing image with its file, its name and its split: its own, or that in its file's name."""
    for file in files:
        for image in file.images:
            split = split_name(image[0].get("subset", "")) or split_in(file.path.stem)
            name = images.find(image[0].get("name", ""), file.path.parent, split)
            if name is not None:
                yield file, image, name, split
    images.note_unnamed()


def _shape(
    kind: str, values: Attributes, size: list[int] | None, ids: dict[str, int], options: ReadOptions
) -> list[Any] | None:
    """Return a shape as in `segments`; None to skip it."""
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
        return [number, *(_mask_runs(values, size) if kind == "mask" else _ellipse(values, size))]
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


def _mask_runs(values: Attributes, size: list[int]) -> list[Any]:
    """Return a mask painted within its box (runs of its rows, outside first) as run lengths of the image."""
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
    """Return height and width of an image in the file, None if missing."""
    sides = [attributes.get(name, "") for name in ("height", "width")]
    return [int(side) for side in sides] if all(map(_SIDE.fullmatch, sides)) else None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a number")
    return number


def _number(text: str) -> int:
    return int(text) if _ORDER.fullmatch(text) else 0
