"""Pascal VOC: `JPEGImages/`, palette masks in `SegmentationClass/`, lists in `ImageSets/Segmentation/`.

Index 255, the border around objects, is IGNORE. The lists give the split; an image in none of them is read if it has a
mask. Without a `labelmap.txt` the classes are VOC's own 21. A palette saved as colours is recognised by VOC's colours.
Written masks hold at most 255 classes; a list `default.txt` has the images without a split. `labelmap.txt` names the
colours for other readers, the border as `ignored`; `classes.csv` does so for this reader.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath

import numpy as np
from PIL import Image

from core.data.export.names import safe_name
from core.data.formats.mask_folders import Pairing, Pairs, bases, find_pairs, mask_files, relative_folder, sample_of
from core.data.formats.mask_meaning import DefaultClasses, find_meaning
from core.data.formats.mask_pairs import save_mask
from core.data.formats.source import (
    SPLITS,
    Problems,
    ReadOptions,
    SourceListing,
    combine_meanings,
    refuse_leaving,
    split_name,
)
from core.data.formats.walk import folders_in, is_image_name
from core.data.masks.classes import declare, without_values, write_classes
from core.data.masks.colours import rgb_of, voc_colour
from core.data.masks.items import MaskItem, place_in, unused_name
from core.data.masks.pixels import PixelCode
from core.data.masks.turning import ask_turned
from core.types import IGNORE, ClassTable, DatasetError, ExportError, SourceSample

IMAGES, MASKS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
_LABELMAP, _IGNORED = "labelmap.txt", "ignored"
_ESCAPED = {ord(letter): f"%{ord(letter):02X}" for letter in ":\r\n"}
_BORDER = "#e0e0c0"
_NO_SPLIT = "default"
_MERGED = "trainval"  # both lists once more
_AUGMENTED = {"train_aug": "train", "trainaug": "train"}
_NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
)
_CLASSES = without_values(
    declare([*((name, voc_colour(at)) for at, name in enumerate(_NAMES.split(" "))), (None, _BORDER)])
)
NAMES = _CLASSES.table.names
USUAL = DefaultClasses(_CLASSES, _CLASSES, len(_CLASSES.table) - 1, coloured=False)


def recognise(source: Path) -> str:
    """Return the evidence that the source is VOC's layout, empty if it is not."""
    if not source.is_dir():
        return ""
    found = _find(source)
    if found is not None:
        return f"{found[1].mask_folder} and {found[1].image_folder} are VOC's folders"
    alone = _masks_alone(source)
    return "" if alone is None else f"{alone.name} has masks as VOC does, but there is no {IMAGES}"


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List the images that a list names or that have a mask.

    Raises:
        DatasetError: there are no such folders, or a list or a file of classes cannot be read.
    """
    found = _find(source) if source.is_dir() else None
    if found is None and source.is_dir() and (alone := _masks_alone(source)):
        raise DatasetError(
            f"{alone}: has masks, but their images are not there",
            f"put the images into {alone.parent / IMAGES}, under "
            "the names of their masks, and import again (CVAT exports them with `Save images`)",
        )
    if found is None:
        raise DatasetError(f"{source}: has no folders {IMAGES} and {MASKS}", "name them so, or choose another format")
    base, pairing = found
    problems = Problems()
    pairs = find_pairs(source, [pairing], options, problems)
    meaning = find_meaning(mask_files(source, pairs), [base, source], options, USUAL, problems, source=source)
    keys = {_key(name, pairing) for _, images, _ in pairs for name in images}
    splits = _read_lists(base, keys, lambda path: refuse_leaving(path, source, options))
    ((_, images, of_images),) = pairs
    photos = [
        (f"{source}/{name}", f"{source}/{mask}") for name in images if (mask := of_images.get(_key(name, pairing)))
    ]
    shown = combine_meanings(meaning.shown, questions=ask_turned(photos, options))
    code = replace(meaning.code, turn=options.exif_masks == "turn")
    return SourceListing(_samples(source, pairs, splits, code, problems), problems, meaning.table, shown)


def place(items: Sequence[MaskItem]) -> list[str]:
    """Return the place of each image: `JPEGImages/name`."""
    return place_in(items, lambda _: IMAGES)


def write(folder: Path, items: Sequence[MaskItem], table: ClassTable, files: Sequence[str]) -> None:
    """Write a palette PNG for every labelled image, and a list of the images of each split.

    Raises:
        ExportError: there are more classes than a palette holds.
    """
    if len(table) > IGNORE:
        raise ExportError(f"VOC's palettes hold {IGNORE} classes, there are {len(table)}", "export another format")
    written, border = write_classes(folder, table, _BORDER)
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(written)] = [rgb_of(colour) for colour in written.colours]
    palette[IGNORE] = rgb_of(border)
    (folder / _LABELMAP).write_text(_labelmap(written, border), encoding="utf-8")
    lists: dict[str, list[str]] = {}
    for item, file in zip(items, files, strict=True):
        name = PurePosixPath(file)
        lists.setdefault(safe_name(item.split or _NO_SPLIT), []).append(name.stem)
        if item.mask is not None:
            mask = Image.fromarray(item.mask())
            mask.putpalette(palette.tobytes())
            save_mask(folder / MASKS / name.name, mask)
    (folder / LISTS).mkdir(parents=True, exist_ok=True)
    for split, stems in lists.items():
        (folder / LISTS / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")


def _labelmap(table: ClassTable, border: str) -> str:
    """Return lines `name:r,g,b::`; characters with a meaning there, and line breaks, are written as %XX."""
    lines = ["# label:color_rgb:parts:actions"]
    rows = [*zip(table.names, table.colours, strict=True), (unused_name(table, _IGNORED), border)]
    for name, colour in rows:
        written = name.translate(_ESCAPED)
        written = f"%23{written[1:]}" if written.startswith("#") else written
        lines.append(f"{written}:{','.join(map(str, rgb_of(colour)))}::")
    return "\n".join([*lines, ""])


def _find(source: Path) -> tuple[Path, Pairing] | None:
    for base in bases(source):
        by_name = {name.lower(): name for name in folders_in(base)}
        images = by_name.get(IMAGES.lower())
        masks = next((name for key, name in sorted(by_name.items()) if key.startswith(MASKS.lower())), None)
        if images and masks:
            return base, Pairing(relative_folder(source, base / images), relative_folder(source, base / masks))
    return None


def _masks_alone(source: Path) -> Path | None:
    """Return the folder of masks of an export without its images."""
    for base in bases(source):
        by_name = {name.lower(): name for name in folders_in(base)}
        masks = by_name.get(MASKS.lower())
        if masks and ("imagesets" in by_name or (base / "labelmap.txt").is_file()):
            return base / masks
    return None


def _key(name: str, pairing: Pairing) -> str:
    """Return the path of an image below its folder, without its ending, as lists name it."""
    return str(PurePath(name).relative_to(pairing.image_folder or ".").with_suffix(""))


def _read_lists(base: Path, keys: set[str], checked: Callable[[Path], Path]) -> dict[str, str] | None:
    """Return the split of each image by its path without ending, None if there are no lists."""
    folder = base / LISTS
    paths = {path.stem: path for path in folder.glob("*.txt")} if folder.is_dir() else {}
    if not paths:
        return None
    if len(paths) > 1:
        paths.pop(_MERGED, None)
    splits: dict[str, str] = {}
    for stem in sorted(paths, key=lambda stem: (stem not in SPLITS, stem)):
        split = "" if stem == _NO_SPLIT else split_name(_AUGMENTED.get(stem, stem))
        try:
            lines = checked(paths[stem]).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(f"{paths[stem]}: cannot be read ({error})", "save it as UTF-8 text") from error
        for line in lines:
            if line.strip():
                splits.setdefault(_image_of_line(line, keys), split)
    return splits


def _image_of_line(line: str, keys: set[str]) -> str:
    """Return the image of a line: its name, its path, or the paths of image and mask."""
    if line in keys:
        return line
    path = PurePath(line.strip())
    if "/" in line and not is_image_name(path.name) and str(path) in keys:
        return str(path)
    path = PurePath(line.split(maxsplit=1)[0]) if "/" in line else path
    whole = path.with_suffix("") if is_image_name(path.name) else path
    parts = whole.parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))  # `JPEGImages/cam1/f0` is cam1/f0
    return next((end for end in ends if end in keys), whole.name)


def _samples(
    source: Path, pairs: Pairs, splits: dict[str, str] | None, code: PixelCode, problems: Problems
) -> Iterator[SourceSample]:
    ((pairing, images, masks),) = pairs
    stems = set()
    for name in images:
        stem = _key(name, pairing)
        stems.add(stem)
        mask = masks.get(stem)
        listed = splits is None or stem in splits
        if not listed and mask is None:
            continue  # VOC has four times as many images as masks
        if mask is None:
            problems.warn(
                "missing mask",
                name,
                f"{pairing.mask_folder} has no {stem}.png; the image is read as not labelled",
                "put the mask there, or nothing if it is unlabelled",
            )
        yield sample_of(source, name, (splits or {}).get(stem, ""), mask, code)
    for stem in sorted(set(splits or {}) - stems):
        problems.error(
            "unknown image",
            stem,
            f"a list names it, {pairing.image_folder} has no such image",
            "put it there, or remove the line",
        )
    for stem in sorted(masks.keys() - stems):
        problems.warn("mask without image", masks[stem], "no image has its name", "put the image there, or nothing")
