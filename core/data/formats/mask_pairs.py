"""A folder of images beside a folder of masks: `images/` and `labels/` or `masks/`, also once for each split.

Also `train/` with `train_masks/`, and masks among their images (`1.jpg`, `1_mask.png`).

Masks hold ids in grey of 8 or 16 bits or in a palette, or colours that `label_colors.txt` or the like declares.

Written: `train/images/` with `train/masks/`, `images/` with `masks/` without splits. Masks are grey PNG, 8
bits up to 255 classes; IGNORE is 255 or 65535. `classes.csv` has names and colours, and so has `dataset_meta.json`
beside each pair of folders, for other readers. On request `class_masks/` or `piece_masks/` has a black and white PNG
for each class or connected piece of each image as well.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from core.data.export.names import folder_names, safe_name
from core.data.formats import mask_stacks
from core.data.formats.mask_folders import (
    MASKS_OF,
    Pairing,
    bases,
    find_pairs,
    has_pair,
    mask_files,
    match,
    one_folder_pairings,
    relative_folder,
    samples_of,
    unlabelled_pairings,
    usual_folders,
)
from core.data.formats.mask_meaning import CAMVID, DefaultClasses, find_meaning
from core.data.formats.source import SPLITS, Problems, ReadOptions, SourceListing, combine_meanings, split_name
from core.data.formats.walk import folders_in
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.classes import write_classes
from core.data.masks.items import MaskItem, Per, annotations, place_in, write_meta
from core.data.masks.turning import ask_turned
from core.types import ClassTable, DatasetError, IntArray

_FRAMES = 50  # names examined to recognise the frames


def recognise(source: Path) -> str:
    """Return the evidence that the source is images and masks, empty if it is not."""
    if not source.is_dir():
        return ""
    if (numbered := mask_stacks.find_numbered(source)) is not None:
        return mask_stacks.describe(numbered)
    _, pairings = find(source)
    pairing = next((pairing for pairing in pairings if has_pair(source, pairing)), None)
    if pairing is None:
        layout = mask_stacks.find(source)
        return "" if layout is None else mask_stacks.describe(layout)
    if pairing.is_one_folder:
        return f"{pairing.image_folder or 'the folder'} has images with their masks beside them"
    return f"{pairing.mask_folder} has masks for the images of {pairing.image_folder}"


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every image, with its mask if there is one.

    Raises:
        DatasetError: there are no such folders, or the meaning of the masks is unknown.
    """
    if source.is_dir() and (numbered := mask_stacks.find_numbered(source)) is not None:
        return mask_stacks.read(source, numbered, options)
    base, pairings = find(source) if source.is_dir() else (source, [])
    if not any(has_pair(source, pairing) for pairing in pairings) and source.is_dir():
        layout = mask_stacks.find(source)
        if layout is not None:
            return mask_stacks.read(source, layout, options)
    if all(pairing.mask_folder is None for pairing in pairings):
        raise DatasetError(f"{source}: has no folders images and labels (or masks)", "name them so, or choose a format")
    return read_pairings(source, base, pairings, options, Problems())


def read_pairings(
    source: Path,
    base: Path,
    pairings: list[Pairing],
    options: ReadOptions,
    problems: Problems,
    *,
    usual: DefaultClasses | None = None,
) -> SourceListing:
    """List the images of these pairings, with the meaning of their masks.

    Raises:
        DatasetError: the meaning of the masks is unknown.
    """
    pairs = find_pairs(source, pairings, options, problems)
    masks = mask_files(source, pairs)
    frames = [name for _, images, _ in pairs for name in images[:_FRAMES]]
    if usual is None:
        usual = CAMVID if frames and all(map(sequence_of, frames)) else DefaultClasses()
    parents = {(source / pairing.mask_folder).parent for pairing in pairings if pairing.mask_folder}
    inside = {source / pairing.mask_folder for pairing in pairings if pairing.mask_folder is not None}
    folders = [base, source, *sorted(parents), *sorted(inside)]
    meaning = find_meaning(masks, folders, options, usual, problems, source=source)
    code = replace(meaning.code, turn=options.exif_masks == "turn")
    matched = (pair for pairing, images, masks in pairs for pair in match(pairing, images, masks).items())
    photos = [(f"{source}/{image}", f"{source}/{mask}") for image, mask in matched]
    shown = combine_meanings(meaning.shown, questions=ask_turned(photos, options))
    return SourceListing(samples_of(source, pairs, code, problems), problems, meaning.table, shown)


def place(items: Sequence[MaskItem]) -> list[str]:
    """Return the place of each image: `split/images/name`; unusual splits are folders below `images`."""

    def folder_of(item: MaskItem) -> str:
        if item.split in SPLITS.values():
            return f"{item.split}/images"
        return f"images/{safe_name(item.split)}" if item.split else "images"

    return place_in(items, folder_of)


def write(
    folder: Path, items: Sequence[MaskItem], table: ClassTable, files: Sequence[str], *, per: Per = Per.USUAL
) -> None:
    """Write a grey PNG of ids for every labelled image."""
    written, _ = write_classes(folder, table)
    for parent in {_parts(file)[0] for file in files}:
        (folder / parent / "masks").mkdir(parents=True, exist_ok=True)
        write_meta(folder / parent, written)
    for item, file in zip(items, files, strict=True):
        if item.mask is None:
            continue
        mask = item.mask()
        parent, name = _parts(file)
        save_mask(folder / parent / "masks" / name, Image.fromarray(mask))
        if per is not Per.USUAL:
            _write_each(folder / f"{per}_masks" / parent / name.with_suffix(""), mask, written, per)


def _parts(file: str) -> tuple[str, PurePosixPath]:
    """Return the parent of `images`, and the path of a file below `images`."""
    parts = PurePosixPath(file).parts
    at = parts.index("images")
    return "/".join(parts[:at]), PurePosixPath(*parts[at + 1 :])


def _write_each(folder: Path, mask: IntArray, table: ClassTable, per: Per) -> None:
    """Write a black and white PNG for each annotation of a mask: `cat.png`, or `001_cat.png` of pieces."""
    names = folder_names(table.names)
    for number, (label, inside) in enumerate(annotations(mask, per), start=1):
        prefix = f"{number:03d}_" if per is Per.PIECE else ""
        path = folder / f"{prefix}{names[table.names[label]]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)).save(path, format="PNG", compress_level=4)


def save_mask(image_path: Path, mask: Image.Image) -> None:
    """Write a mask as PNG under its image's name."""
    image_path.parent.mkdir(parents=True, exist_ok=True)
    mask.save(image_path.with_suffix(".png"), format="PNG", compress_level=4)


def find(source: Path) -> tuple[Path, list[Pairing]]:
    """Return the folder of the pairs, and the pairs."""
    for base in bases(source):
        names = folders_in(base)
        found = [*_pair_in(source, base, "")]
        for name in names:
            if name.lower() in SPLITS:
                found += _pair_in(source, base / name, split_name(name)) or _masks_of(source, base, name, names)
        if found:
            return base, [*found, *unlabelled_pairings(source, base)]
    for base in bases(source):
        if found := one_folder_pairings(source, base):
            return base, found
    return source, []


def _masks_of(source: Path, base: Path, name: str, names: list[str]) -> list[Pairing]:
    """Return the folder of a split with that of its masks beside it, as in `train` and `train_masks`."""
    mask_folder = next((f"{name}{ending}" for ending in MASKS_OF if f"{name}{ending}" in names), None)
    if mask_folder is None:
        return []
    images, masks = (relative_folder(source, base / folder) for folder in (name, mask_folder))
    return [Pairing(images, masks, split_name(name))]


def _pair_in(source: Path, folder: Path, split: str) -> list[Pairing]:
    image_folder, mask_folder = usual_folders(folder)
    if image_folder is None or (mask_folder is None and not split):
        return []
    images = relative_folder(source, image_folder)
    if mask_folder is None:
        return [Pairing(images, None, split)]
    pairing = Pairing(images, relative_folder(source, mask_folder), split)
    if has_pair(source, pairing):
        return [pairing]
    return [replace(pairing, mask_folder=relative_folder(source, mask_stacks.folder_of_ids(mask_folder)))]
