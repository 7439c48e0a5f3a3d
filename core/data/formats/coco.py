"""COCO JSON: categories, images, and a segmentation for each annotation: polygons, or run lengths, packed or not.

Each pixel gets the category of the last annotation of the file that covers it, crowds included. Uncovered pixels are
the category `background`, which is added if missing; in files written here they are IGNORE instead, as stated in
`info` (`"unannotated_pixels": "ignore"`). A category called void, ignore or unlabelled is IGNORE. An annotation with
only a box has no pixels: see the option `boxes`. The split is in the file's name, as in `instances_val.json`.

Written: `images/<split>/` with `annotations/instances_<split>.json`, where file names are those in that folder; a
dataset without splits is the split `default`. One annotation for each connected piece of a class, or for each class,
packed run lengths; none is a crowd. Category ids begin at 1.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from core.data.export.names import safe_name
from core.data.formats.annotations import (
    FOLDER,
    ImageIndex,
    box_shape,
    boxes_question,
    find_json,
    image_root,
    objects,
    read_all,
    split_in,
)
from core.data.formats.source import (
    READING,
    Problems,
    ReadOptions,
    SourceListing,
    combine_meanings,
    refuse_leaving,
    split_name,
)
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.classes import BACKGROUND, is_void
from core.data.masks.colours import IGNORED, class_table, rgb_of
from core.data.masks.items import MaskItem, Per, annotations, place_in
from core.data.masks.runs import Inside, encode_coco
from core.data.masks.segments import segments
from core.data.masks.turning import ask_turned
from core.data.storage import atomic_path
from core.types import ClassTable, DatasetError, SourceSample

_UNANNOTATED = "unannotated_pixels"
_INSTANCES = "instances"
_IMAGES, _NO_SPLIT = "images", "default"
_KEYS = tuple(re.compile(rf'"{key}"\s*:\s*\[') for key in ("images", "categories"))
_SPREAD = 200  # photos of a file
_CURE = "correct the annotation, or remove it"


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    split: str
    values: dict[str, Any]


def recognise(source: Path) -> str:
    """Return the evidence that the source is COCO annotations, empty if it is not."""
    found = _find(source)
    return f"{found[0].name} has images and categories as COCO does" if found else ""


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every image that the files name.

    Raises:
        DatasetError: there is no such file, or all are broken.
    """
    found = _find(source)
    if not found:
        raise DatasetError(
            f"{source}: has no JSON file with images and categories, here or in {FOLDER}", "name it itself"
        )
    problems = Problems()
    files = list(_files([refuse_leaving(path, source, options) for path in found], problems))
    _refuse_panoptic(files)
    ids: dict[str, int] = {}
    colours: list[str | None] = []
    own = all(map(_ignores_unannotated, files))
    for file in files:
        for category in sorted(objects(file.values, "categories"), key=lambda item: _number(item.get("id"))):
            if options.reading >= READING and not own and is_void(str(category.get("name"))):
                continue
            if ids.setdefault(str(category.get("name")), len(ids)) == len(colours):
                colours.append(_colour(category.get("color")))
    background = next((name for name in ids if name.strip().lower() == BACKGROUND), None)
    if background is None and not own:
        background = BACKGROUND
        ids = {background: 0, **{name: number + 1 for name, number in ids.items()}}
        colours.insert(0, "#000000" if "#000000" not in colours else None)
    if not ids:
        raise DatasetError(f"{found[0].name}: has no categories", "export the annotations again")
    base = IGNORED if background is None else ids[background]
    images = ImageIndex(image_root(source), options, problems)
    boxes = sum(_is_box(annotation) for file in files for annotation in objects(file.values, "annotations"))
    _warn_of_ignored(files, ids, problems)
    read = _Reading(images, ids, base, options)
    photos = [photo for file in files for photo in read.photos(file)]
    shown = combine_meanings(questions=[*boxes_question(boxes, options), *ask_turned(photos, options)])
    return SourceListing(read.samples(files), problems, class_table(list(ids), colours), shown)


def place(items: Sequence[MaskItem]) -> list[str]:
    """Return the place of each image: `images/split/name`."""
    return place_in(items, lambda item: f"{_IMAGES}/{_folder_of(item.split)}")


def write(
    folder: Path, items: Sequence[MaskItem], table: ClassTable, files: Sequence[str], *, per: Per = Per.USUAL
) -> None:
    """Write one file of annotations for each split; usually with one annotation for each connected piece."""
    by_split: dict[str, list[tuple[MaskItem, str]]] = defaultdict(list)
    for item, file in zip(items, files, strict=True):
        by_split[item.split].append((item, PurePosixPath(file).name))
    for split, placed in by_split.items():
        with atomic_path(folder / FOLDER / f"{_INSTANCES}_{_folder_of(split)}.json") as path:
            _write_file(path, split, placed, table, per)


def _folder_of(split: str) -> str:
    return safe_name(split) if split else _NO_SPLIT


def _find(source: Path) -> list[Path]:
    found = find_json(source, lambda text: all(key.search(text) for key in _KEYS))
    return [path for path in found if path.name.startswith(_INSTANCES)] or found


def _files(paths: list[Path], problems: Problems) -> Iterator[_File]:
    for path, values in read_all(paths, dict, problems):
        info = values.get("info")
        written = info.get("split") if isinstance(info, dict) else None
        split = split_name(written) if isinstance(written, str) else split_in(path.stem) or split_in(path.parent.name)
        yield _File(path, split, values)


def _ignores_unannotated(file: _File) -> bool:
    info = file.values.get("info")
    return isinstance(info, dict) and info.get(_UNANNOTATED) == "ignore"


def _refuse_panoptic(files: list[_File]) -> None:
    """Check that the annotations are shapes.

    Raises:
        DatasetError: they are segments of panoptic PNG files.
    """
    for file in files:
        annotations = objects(file.values, "annotations")
        if annotations and all("segments_info" in annotation for annotation in annotations):
            raise DatasetError(
                f"{file.path.name}: panoptic annotations are not read",
                "name the JSON file of the instances, or write "
                "masks of ids with panopticapi's panoptic2semantic_segmentation.py and import them with their images",
            )


def _warn_of_ignored(files: list[_File], ids: dict[str, int], problems: Problems) -> None:
    names = {str(category.get("name")) for file in files for category in objects(file.values, "categories")}
    for name in sorted(names - ids.keys()):
        problems.warn(
            "category ignored",
            name,
            "pixels of a category of this name are read as unlabelled (IGNORE)",
            "nothing; or rename the category, if it is to be learnt",
        )


def _is_box(annotation: dict[str, Any]) -> bool:
    return not _polygons(annotation.get("segmentation")) and _box(annotation) is not None


def _polygons(polygons: Any) -> Any:  # noqa: ANN401 as the file has it
    """Return a list of polygons without the empty ones that tools write for erased shapes; other values unchanged."""
    return [polygon for polygon in polygons if polygon != []] if isinstance(polygons, list) else polygons


def _box(annotation: dict[str, Any]) -> list[list[float]] | None:
    """Return the box as a polygon, None if there is none."""
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(side, int | float) for side in box):  # noqa: PLR2004
        return None
    left, top, width, height = box
    return [[left, top, left + width, top, left + width, top + height, left, top + height]]


@dataclass(frozen=True, slots=True)
class _Reading:
    """State shared by the samples of all files."""

    images: ImageIndex
    ids: dict[str, int]
    base: int
    options: ReadOptions

    def photos(self, file: _File) -> Iterator[tuple[str, tuple[int, int] | None]]:
        """Yield photos spread over a file, with their size in the file."""
        listed = objects(file.values, "images")
        for image in listed[:: max(1, len(listed) // _SPREAD)]:
            name = self.images.look(self._path_of(image, file), file.path.parent, file.split)
            height, width = image.get("height"), image.get("width")
            size = (width, height) if isinstance(width, int) and isinstance(height, int) else None
            if name is not None:
                yield f"{self.images.root}/{name}", size

    def _path_of(self, image: dict[str, Any], file: _File) -> str:
        """Return the path of an image, in the folder named like its annotation file if it is there."""
        name = str(image.get("file_name", ""))
        path = f"{_IMAGES}/{file.path.stem.removeprefix(f'{_INSTANCES}_')}/{name}"
        return path if self.images.has(path) else name

    def samples(self, files: list[_File]) -> Iterator[SourceSample]:
        """Yield every image that the files name."""
        for file in files:
            yield from self._of_file(file)
        self.images.note_unnamed()

    def _of_file(self, file: _File) -> Iterator[SourceSample]:
        names = {_key(item.get("id")): str(item.get("name")) for item in objects(file.values, "categories")}
        shapes: dict[str, list[list[Any]]] = defaultdict(list)
        for annotation in objects(file.values, "annotations"):
            shape = self._shape(annotation, names)
            if shape is not None:
                shapes[_key(annotation.get("image_id"))].append(shape)
        unannotated = IGNORED if _ignores_unannotated(file) else self.base
        turned = self.options.exif_masks == "turn"
        for image in objects(file.values, "images"):
            mine = shapes.pop(_key(image.get("id")), [])
            name = self.images.find(self._path_of(image, file), file.path.parent, file.split)
            if name is None:
                continue
            size = [image.get("height"), image.get("width")]
            where = f"{file.path.name}, {name}"
            path = f"{self.images.root}/{name}"
            mask = segments(where, unannotated, mine, size if None not in size else None, path, turned=turned)
            labelled = image.get("labelled") is not False
            yield SourceSample(path, name, None, file.split, sequence_of(name), mask if labelled else None)
        for key, left in shapes.items():
            self.images.problems.error(
                "unknown image",
                file.path.name,
                f"{len(left)} annotations are of the image {key}, which is not listed",
                _CURE,
            )

    def _shape(self, annotation: dict[str, Any], names: dict[str, str]) -> list[Any] | None:
        """Return the shape of an annotation as in `segments`; None to skip it."""
        name = names.get(_key(annotation.get("category_id")))
        where = f"annotation {annotation.get('id')}"
        if name is None:
            message = f"{where} has the category {annotation.get('category_id')}, which is not listed"
            return [0, "fault", ["ids outside the classes", message, _CURE]]
        number = self.ids.get(name, IGNORED)
        written = annotation.get("segmentation")
        shape = _polygons(written) if self.options.reading >= READING else written
        if isinstance(shape, dict):
            return [number, "rle", {"size": shape.get("size"), "counts": shape.get("counts")}]
        if isinstance(shape, list) and shape:
            return [number, "polygons", shape]
        box = _box(annotation)
        if box is not None and self.options.reading >= READING:
            return box_shape("polygons", box, f"{where} has a box", self.options)
        if written and self.options.reading >= READING:
            return [number, "polygons", [[0, 0]]]  # no area: left out and counted, as others of too few corners
        return [0, "fault", ["bad polygon", f"{where} has no segmentation", _CURE]]


def _write_file(path: Path, split: str, placed: list[tuple[MaskItem, str]], table: ClassTable, per: Per) -> None:
    """Write piece by piece, with one mask in memory at a time."""
    info = {"description": "exported by Outfold", "split": split, _UNANNOTATED: "ignore"}
    categories = [
        {"id": number + 1, "name": name, "color": list(rgb_of(colour))}
        for number, (name, colour) in enumerate(
            zip(table.names, class_table(table.names, table.colours).colours, strict=True)
        )
    ]
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"info": {json.dumps(info)},\n"categories": {json.dumps(categories)},\n"images": [')
        _write_list(file.write, (_image(number, item, name) for number, (item, name) in enumerate(placed, start=1)))
        file.write('],\n"annotations": [')
        _write_list(file.write, _annotations(placed, per))
        file.write("]}\n")


def _write_list(write_text: Any, values: Iterable[dict[str, Any]]) -> None:  # noqa: ANN401 a file's method
    for number, value in enumerate(values):
        write_text(f"{',' if number else ''}\n{json.dumps(value)}")


def _image(number: int, item: MaskItem, file: str) -> dict[str, Any]:
    image = {"id": number, "file_name": file, "width": item.width, "height": item.height}
    return image if item.mask is not None else {**image, "labelled": False}


def _annotations(placed: list[tuple[MaskItem, str]], per: Per) -> Iterator[dict[str, Any]]:
    number = 0
    for image, (item, _) in enumerate(placed, start=1):
        if item.mask is None:
            continue
        for label, inside in annotations(item.mask(), per):
            number += 1
            yield {"id": number, "image_id": image, "category_id": label + 1, **_annotation(inside)}


def _annotation(inside: Inside) -> dict[str, Any]:
    y, x = np.nonzero(inside)
    left, top = int(x.min()), int(y.min())
    return {
        "segmentation": encode_coco(inside),
        "area": len(x),
        "bbox": [left, top, int(x.max()) + 1 - left, int(y.max()) + 1 - top],
        "iscrowd": 0,
    }


def _key(value: Any) -> str:  # noqa: ANN401 ids are numbers or text
    return str(value)


def _number(value: Any) -> float:  # noqa: ANN401 whatever the file holds
    return value if isinstance(value, int | float) else 0


def _colour(value: Any) -> str | None:  # noqa: ANN401 whatever the file holds
    try:
        red, green, blue = bytes(value if isinstance(value, list) else [])
    except (TypeError, ValueError):
        return None
    return f"#{red:02x}{green:02x}{blue:02x}"
