"""Cityscapes: `leftImg8bit/train/aachen/*_leftImg8bit.png` with `gtFine/.../*_gtFine_labelTrainIds.png` or `labelIds`.

Both give the 19 classes that are evaluated, in the order of their train ids; every other label id is IGNORE, as in the
benchmark. If a file beside them declares other classes, as datumaro writes it, the ids are those. Colours, instances
and polygons repeat the same labels and are skipped. Frames of one sequence (a city and its number) are one group.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from core.data.formats.mask_folders import bases, image_files, relative_folder
from core.data.formats.mask_meaning import DefaultClasses, find_meaning
from core.data.formats.source import (
    SPLITS,
    Grounds,
    MaskMeaning,
    Problems,
    ReadOptions,
    SourceListing,
    ValueMeaning,
    split_name,
)
from core.data.formats.walk import folders_in
from core.data.masks.classes import find_declared
from core.data.masks.colours import IGNORED
from core.data.masks.pixels import PixelCode
from core.types import ClassTable, DatasetError, SourceSample

_IMAGES = "leftimg8bit"
_MASKS = ("gtfine", "gtcoarse")
_PHOTO = re.compile(r"(?P<key>.+)_leftImg8bit")
_FRAME = re.compile(r"(.+?_\d+)_\d+")
_LABEL = re.compile(r"(?P<key>.+)_gt(?:Fine|Coarse)_(?P<kind>labelIds|labelTrainIds)")
_CLASSES = (  # label id, name, colour (cityscapesScripts, labels.py)
    (7, "road", "#804080"),
    (8, "sidewalk", "#f423e8"),
    (11, "building", "#464646"),
    (12, "wall", "#66669c"),
    (13, "fence", "#be9999"),
    (17, "pole", "#999999"),
    (19, "traffic light", "#faaa1e"),
    (20, "traffic sign", "#dcdc00"),
    (21, "vegetation", "#6b8e23"),
    (22, "terrain", "#98fb98"),
    (23, "sky", "#4682b4"),
    (24, "person", "#dc143c"),
    (25, "rider", "#ff0000"),
    (26, "car", "#00008e"),
    (27, "truck", "#000046"),
    (28, "bus", "#003c64"),
    (31, "train", "#005064"),
    (32, "motorcycle", "#0000e6"),
    (33, "bicycle", "#770b20"),
)
_LARGEST_ID = 33
_TABLE = ClassTable(tuple(name for _, name, _ in _CLASSES), tuple(colour for *_, colour in _CLASSES))
_TRAIN_IDS = PixelCode(coloured=False)
_IDS = {number: at for at, (number, *_) in enumerate(_CLASSES)}
_LABEL_IDS = PixelCode(
    coloured=False,
    explicit=True,
    values=tuple((number, _IDS.get(number, IGNORED)) for number in range(_LARGEST_ID + 1)),
)


_Photo = tuple[str, str, str, str]  # name, key (folder and name, which its mask has too), group and split


def recognise(source: Path) -> str:
    """Return the evidence that the source is Cityscapes' folders, empty if it is not."""
    found = _find(source) if source.is_dir() else None
    return "" if found is None else f"{found[0].name} and {found[1].name} are Cityscapes' folders"


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every photo, with its mask if there is one.

    Raises:
        DatasetError: there are no such folders.
    """
    found = _find(source) if source.is_dir() else None
    if found is None:
        raise DatasetError(
            f"{source}: has no folders leftImg8bit and gtFine", "unpack both archives of Cityscapes into one folder"
        )
    images, masks = (relative_folder(source, folder) for folder in found)
    problems = Problems()
    photos: list[_Photo] = []
    labels: dict[str, dict[str, str]] = {"labelTrainIds": {}, "labelIds": {}}
    for name in image_files(source, options, problems):
        stem = PurePosixPath(name).stem
        if name.startswith(f"{images}/") and (photo := _PHOTO.fullmatch(stem)):
            frame, folder = _FRAME.fullmatch(photo["key"]), PurePosixPath(name).relative_to(images).parent
            has_split = len(folder.parts) > 1 or folder.name.lower() in SPLITS  # split, city
            split = split_name(folder.parts[0]) if has_split else ""
            photos.append((name, str(folder / photo["key"]), frame[1] if frame else "", split))
        elif name.startswith(f"{masks}/") and (label := _LABEL.fullmatch(stem)):
            labels[label["kind"]][str(PurePosixPath(name).relative_to(masks).parent / label["key"])] = name
    kind = "labelTrainIds" if labels["labelTrainIds"] else "labelIds"
    if find_declared(found[0].parent) is not None:
        files = sorted(f"{source}/{name}" for name in labels[kind].values())
        meaning = find_meaning(
            files, [found[0].parent], options, DefaultClasses(coloured=False), problems, source=source
        )
        samples = _samples(source, photos, labels[kind], meaning.code, problems)
        return SourceListing(samples, problems, meaning.table, meaning.shown)
    decisions = [
        ValueMeaning(str(at if kind == "labelTrainIds" else number), name, Grounds.CONVENTION, None, None)
        for at, (number, name, _) in enumerate(_CLASSES)
    ]
    code = _TRAIN_IDS if kind == "labelTrainIds" else _LABEL_IDS
    samples = _samples(source, photos, labels[kind], code, problems)
    return SourceListing(samples, problems, _TABLE, MaskMeaning(tuple(decisions)))


def _samples(
    source: Path, photos: list[_Photo], labels: dict[str, str], code: PixelCode, problems: Problems
) -> Iterator[SourceSample]:
    for name, key, group, split in photos:
        mask = labels.get(key)
        if mask is None:
            problems.warn(
                "missing mask",
                name,
                f"there is no {key}_gtFine_labelIds.png; the image is read as not labelled",
                "put the mask there, or nothing if it is unlabelled",
            )
        path = f"{source}/{name}"
        reference = None if mask is None else code.reference(f"{source}/{mask}", path)
        yield SourceSample(path, name, None, split, group, reference)


def _find(source: Path) -> tuple[Path, Path] | None:
    for base in bases(source):
        by_name = {name.lower(): name for name in folders_in(base)}
        mask_folder = next((by_name[name] for name in _MASKS if name in by_name), None)
        if _IMAGES in by_name and mask_folder is not None:
            return base / by_name[_IMAGES], base / mask_folder
    return None
