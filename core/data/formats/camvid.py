"""CamVid's folders: `train/` beside `train_labels/`, or `trainannot/` of SegNet's version; `unlabeled/train/`.

Masks are colours: "exact 11" unless a map is chosen or declared beside them. Folders of pseudo masks
(`unlabeled/train_pseudoIt1/`) are skipped. The layout `train/images/`, `train/labels/` is read too, where the
images are frames of CamVid; their ids are those of the 480 x 360 version. Frames of one drive are one group.

Written masks are RGB in the classes' colours; `classes.csv` lists these, with the colour of IGNORE. `label_colors.txt`,
`dataset_meta.json` and a list of images and masks for each split (`train.txt`) are for other readers.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from core.data.export.names import safe_name
from core.data.formats import mask_pairs
from core.data.formats.mask_folders import (
    ANNOTATIONS_OF,
    LABELS_OF,
    Pairing,
    bases,
    has_pair,
    relative_folder,
    unlabelled_pairings,
)
from core.data.formats.mask_meaning import CAMVID
from core.data.formats.source import SPLITS, Problems, ReadOptions, SourceListing, split_name
from core.data.formats.walk import folders_in, has_images, is_image_name
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.classes import write_classes
from core.data.masks.colours import paint_colours, rgb_of
from core.data.masks.items import MaskItem, place_in, unused_name, write_meta
from core.types import ClassTable, DatasetError

_WITHOUT_SPLIT = "train"
_UNLABELLED = "unlabeled"
_COLOURS = "label_colors.txt"
_VOID = "Void"  # CamVid's own name for pixels of no class


def recognise(source: Path) -> str:
    """Return the evidence that the source is CamVid's folders, empty if it is not."""
    if not source.is_dir():
        return ""
    _, pairings = _find(source)
    pairing = next((pairing for pairing in pairings if has_pair(source, pairing)), None)
    if pairing is not None:
        return f"{pairing.mask_folder} has masks for the images of {pairing.image_folder}"
    why = mask_pairs.recognise(source)
    return f"{why}, and these are frames of CamVid" if why and _has_frames(source) else ""


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every image, with its mask if there is one.

    Raises:
        DatasetError: there are no such folders, or a colour map cannot be read.
    """
    base, pairings = _find(source) if source.is_dir() else (source, [])
    if any(pairing.mask_folder for pairing in pairings):
        return mask_pairs.read_pairings(source, base, pairings, options, Problems(), usual=CAMVID)
    try:
        return mask_pairs.read(source, options)
    except DatasetError as error:
        raise DatasetError(
            f"{source}: has no folders train and train_labels or trainannot", "name them so, or choose another format"
        ) from error


def place(items: Sequence[MaskItem]) -> list[str]:
    """Return the place of each image: `split/name`, of unlabelled ones `unlabeled/split/name`."""

    def folder_of(item: MaskItem) -> str:
        split = safe_name(item.split or _WITHOUT_SPLIT)
        return f"{_UNLABELLED}/{split}" if item.mask is None else split

    return place_in(items, folder_of)


def write(folder: Path, items: Sequence[MaskItem], table: ClassTable, files: Sequence[str]) -> None:
    """Write a PNG in the classes' colours for every labelled image; a colour that two classes share is changed."""
    written, ignored = write_classes(folder, table)
    classes = ClassTable((*written.names, unused_name(written, _VOID)), (*written.colours, ignored))
    rows = zip(map(rgb_of, classes.colours), classes.names, strict=True)
    lines = [f"{' '.join(map(str, colour))} {' '.join(name.split())}\n" for colour, name in rows]
    (folder / _COLOURS).write_text("".join(lines), encoding="utf-8")
    write_meta(folder, classes)
    lists: dict[str, list[str]] = {}
    for item, file in zip(items, files, strict=True):
        if item.mask is not None:
            split, name = PurePosixPath(file).parts
            path = f"{split}{LABELS_OF}/{PurePosixPath(name).with_suffix('.png')}"
            lists.setdefault(split, []).append(f'"/{file}" "{path}"\n')
            mask = Image.fromarray(paint_colours(item.mask(), written.colours, ignored))
            mask_pairs.save_mask(folder / path, mask)
    for split, pairs in lists.items():
        (folder / f"{split}.txt").write_text("".join(pairs), encoding="utf-8")


def _find(source: Path) -> tuple[Path, list[Pairing]]:
    """Return the folder that holds the splits, and the splits with their masks."""
    for base in bases(source):
        names = folders_in(base)
        found = [
            Pairing(
                relative_folder(source, base / name),
                relative_folder(source, base / f"{name}{ending}"),
                split_name(name),
            )
            for name in names
            for ending in (LABELS_OF, ANNOTATIONS_OF)
            if f"{name}{ending}" in names
        ]
        if found:
            paired = {pairing.image_folder for pairing in found}
            alone = [name for name in names if name.lower() in SPLITS and has_images(base / name)]
            bare = [Pairing(relative_folder(source, base / name), None, split_name(name)) for name in alone]
            extra = [pairing for pairing in bare if pairing.image_folder not in paired]
            return base, [*found, *extra, *unlabelled_pairings(source, base)]
    return source, []


def _has_frames(source: Path) -> bool:
    """Return whether the first images are named like CamVid's frames."""
    _, pairings = mask_pairs.find(source)
    if not pairings:
        return False
    names = [path.name for path in (source / pairings[0].image_folder).rglob("*") if is_image_name(path.name)]
    return bool(names) and all(map(sequence_of, names))
