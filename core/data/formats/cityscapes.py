"""Cityscapes: `leftImg8bit/train/aachen/*_leftImg8bit.png` with `gtFine/.../*_gtFine_labelTrainIds.png` or `labelIds`.

Both give the 19 classes that are evaluated, in the order of their train ids; every other label id is IGNORE, as the
benchmark has it. Colours, instances and polygons beside them say the same again and are passed over. Frames of one
sequence (a city and its number) are one group.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from core.data.formats.mask_folders import bases, image_files, within
from core.data.formats.questions import Decision, How, MaskMeaning
from core.data.formats.source import Problems, ReadOptions, SourceListing, split_name
from core.data.formats.walk import folders_in
from core.data.masks.colours import IGNORED
from core.data.masks.pixels import PixelCode
from core.types import ClassTable, DatasetError, SourceSample

_IMAGES = "leftimg8bit"
_MASKS = ("gtfine", "gtcoarse")
_PHOTO = re.compile(r"(?P<key>(?P<group>.+?_\d+)_\d+)_leftImg8bit")
_LABEL = re.compile(r"(?P<key>.+_\d+_\d+)_gt(?:Fine|Coarse)_(?P<kind>labelIds|labelTrainIds)")
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


def recognise(source: Path) -> str:
    """Say why these are Cityscapes' folders; empty: they are not."""
    found = _find(source) if source.is_dir() else None
    return "" if found is None else f"{found[0].name} and {found[1].name} are Cityscapes' folders"


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every photo, with its mask where there is one.

    Raises:
        DatasetError: there are no such folders.
    """
    found = _find(source) if source.is_dir() else None
    if found is None:
        raise DatasetError(
            f"{source}: has no folders leftImg8bit and gtFine; unpack both archives of Cityscapes into one folder"
        )
    images, masks = (within(source, folder) for folder in found)
    problems = Problems()
    photos: list[tuple[str, str, str]] = []
    labels: dict[str, dict[str, str]] = {"labelTrainIds": {}, "labelIds": {}}
    for name in image_files(source, options, problems):
        stem = PurePosixPath(name).stem
        if name.startswith(f"{images}/") and (photo := _PHOTO.fullmatch(stem)):
            photos.append((name, photo["key"], photo["group"]))
        elif name.startswith(f"{masks}/") and (label := _LABEL.fullmatch(stem)):
            labels[label["kind"]][label["key"]] = name
    kind = "labelTrainIds" if labels["labelTrainIds"] else "labelIds"
    decisions = [
        Decision(str(at if kind == "labelTrainIds" else number), name, How.CONVENTION, None, None)
        for at, (number, name, _) in enumerate(_CLASSES)
    ]
    code = _TRAIN_IDS if kind == "labelTrainIds" else _LABEL_IDS
    samples = _samples(source, photos, labels[kind], code, problems)
    return SourceListing(samples, problems, _TABLE, MaskMeaning(tuple(decisions)))


def _samples(
    source: Path, photos: list[tuple[str, str, str]], labels: dict[str, str], code: PixelCode, problems: Problems
) -> Iterator[SourceSample]:
    for name, key, group in photos:
        mask = labels.get(key)
        split = split_name(PurePosixPath(name).parts[-3]) if len(PurePosixPath(name).parts) > 2 else ""  # noqa: PLR2004
        if mask is None:
            problems.warn(
                "missing mask",
                name,
                f"there is no {key}_gtFine_labelIds.png; the image is read as not labelled",
                "put the mask there, or nothing if nobody labelled it",
            )
        path = f"{source}/{name}"
        reference = None if mask is None else code.reference(f"{source}/{mask}", path)
        yield SourceSample(path, name, None, split, group, reference)


def _find(source: Path) -> tuple[Path, Path] | None:
    for base in bases(source):
        by_name = {name.lower(): name for name in folders_in(base)}
        masks = next((by_name[name] for name in _MASKS if name in by_name), None)
        if _IMAGES in by_name and masks is not None:
            return base / by_name[_IMAGES], base / masks
    return None
