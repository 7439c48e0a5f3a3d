"""Folders of images beside folders of masks: common parts of all formats with one mask per file.

A mask belongs to the image of the same path below its folder, without the endings. Else names are compared without
case and in one Unicode form, then without the image's ending (`1.jpg.png`) and usual additions (`_mask`, `_L`,
`_seg0`, of photos `_leftImg8bit`); a mask that fits two images belongs to none.
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath

from core.data.formats.source import SPLITS, UNLABELLED_FOLDERS, Problems, ReadOptions, split_name
from core.data.formats.walk import folders_in, has_images, is_image_name, walk
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.pixels import PixelCode
from core.types import Problem, SourceSample

IMAGES = ("images", "image", "imgs", "img", "jpegimages", "leftimg8bit", "img_dir", "photos", "image_2")
MASKS = (
    "labels",
    "label",
    "masks",
    "mask",
    "annotations",
    "annotation",
    "segmentation",
    "segmentations",
    "gt",
    "ann_dir",
    "groundtruth",
    "ground_truth",
    "semantic",
)
LABELS_OF = "_labels"  # the masks of the folder `train` as CamVid's folders call them
ANNOTATIONS_OF = "annot"  # as its version made for SegNet does
MASKS_OF = (LABELS_OF, ANNOTATIONS_OF, "_masks", "_mask", "_annotations", "_gt")
_KITTI = ("semantic_rgb", "instance")  # the masks of KITTI's `semantic` once more
_ROLES = frozenset(
    {*IMAGES, *MASKS, *SPLITS, *UNLABELLED_FOLDERS, "segmentationclass", "segmentationobject", "imagesets", "gtfine"}
    | {*_KITTI}
)
COLLECTIONS = frozenset({"images", "image", "imgs", "img", "photos", "pictures", "pics", "data", "all", "raw"})
_OF_PHOTOS = frozenset({*IMAGES, *SPLITS, *COLLECTIONS})
_PSEUDO = "_pseudo"
_DEEPEST_WRAPPER = 3
_LOOKED_AT = 2_000  # names
_SHORT = 2  # letters of an addition
_ADDITION = re.compile(
    r"[_.\- ](?:l|masks?(?:[_\- ]?\d+)?|labels?|(?:gtfine_)?label(?:train)?ids|gt|groundtruth|annotations?|matte"
    r"|seg(?:mentation)?_?\d*)$",
    re.IGNORECASE,
)
_PHOTO = re.compile(r"[_.\-](?:leftimg8bit|image|img|sat|rgb)$", re.IGNORECASE)
_ENDING = re.compile(r"\.(?:jpe?g|png|tiff?|bmp|webp|gif)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pairing:
    """A folder of images and that of their masks (None: unlabelled), relative to the source.

    `split` is "" if the first folder below may name it. `is_one_folder`: masks are among their images, recognised by an
    addition to their names.
    """

    image_folder: str
    mask_folder: str | None
    split: str = ""
    is_one_folder: bool = False


Pairs = list[tuple[Pairing, list[str], dict[str, str]]]
"""Found pairings, each with its images and its masks by key, relative to the source."""


@dataclass(slots=True)
class _OfImages(Problems):
    """Forwards problems, except those of files that are not images."""

    problems: Problems = field(default_factory=Problems)

    def add(self, problem: Problem) -> None:
        """Forward a problem, unless its file is not an image."""
        if problem.kind != "not an image":
            self.problems.add(problem)


def are_roles(names: Collection[str]) -> bool:
    """Return whether the names of all these sibling folders are roles such as images and masks, not classes.

    A name that only ends like those of masks (`train_labels`) is a role if the folder of its images is known:
    `with_mask` and `without_mask` are classes.
    """
    lower = {name.lower() for name in names}
    photos = not lower.isdisjoint(_OF_PHOTOS)
    return all(name in _ROLES | COLLECTIONS or _is_of_masks(name, lower, photos=photos) for name in lower)


def _is_of_masks(name: str, photos_of_folder: Collection[str], *, photos: bool) -> bool:
    stems = [name.removesuffix(ending) for ending in MASKS_OF if name.endswith(ending)]
    return bool(stems) and (photos or any(stem in photos_of_folder or stem in _OF_PHOTOS for stem in stems))


def bases(source: Path) -> Iterator[Path]:
    """Yield the folder itself, and a single folder that it wraps, as in archives."""
    base = source
    for _ in range(_DEEPEST_WRAPPER):
        yield base
        folders = folders_in(base)
        if len(folders) != 1:
            return
        base = base / folders[0]
    yield base


def unlabelled_pairings(source: Path, base: Path) -> list[Pairing]:
    """Return the folders of unlabelled images; pseudo masks beside them are skipped."""
    found = []
    for name in folders_in(base):
        if name.lower() not in UNLABELLED_FOLDERS:
            continue
        below = [folder for folder in folders_in(base / name) if _PSEUDO not in folder.lower()]
        if has_images(base / name) or not below:
            found.append(Pairing(relative_folder(source, base / name), None))
        else:
            found += [
                Pairing(relative_folder(source, base / name / folder), None, split_name(folder)) for folder in below
            ]
    return found


def one_folder_pairings(source: Path, base: Path) -> list[Pairing]:
    """Return this folder and its folders of splits, if masks are among their images."""
    folders = [(base, "")] + [(base / name, split_name(name)) for name in folders_in(base) if name.lower() in SPLITS]
    return [
        Pairing(relative_folder(source, folder), relative_folder(source, folder), split, is_one_folder=True)
        for folder, split in folders
        if _holds_masks_and_images(folder)
    ]


def paired_folders(source: Path) -> list[str]:
    """Return the folders below the source, also below its splits, with masks among their images."""
    found: dict[str, None] = {}
    for base in bases(source):
        for parent in (base, *(base / name for name in folders_in(base) if name.lower() in SPLITS)):
            found |= {
                relative_folder(source, parent / name): None
                for name in folders_in(parent)
                if _holds_masks_and_images(parent / name)
            }
    return list(found)


def usual_folders(base: Path) -> tuple[Path | None, Path | None]:
    """Return the folders of images and of masks below by their usual names, None for each that is not there."""
    by_name = {name.lower(): base / name for name in folders_in(base)}
    image_folder, mask_folder = (
        next((by_name[name] for name in names if name in by_name), None) for names in (IMAGES, MASKS)
    )
    return image_folder, mask_folder


def has_pair(source: Path, pairing: Pairing) -> bool:
    """Return whether one of the first images has a mask, by name only."""
    if pairing.mask_folder is None:
        return False
    if pairing.is_one_folder:
        return True
    keys = {_plain(key) for key in _first_keys(source / pairing.mask_folder)}
    return any(_plain(key) in keys for key in _first_keys(source / pairing.image_folder))


def _holds_masks_and_images(folder: Path) -> bool:
    """Return whether at least half of the images directly in a folder have a mask beside them."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _LOOKED_AT) if is_image_name(entry.name)]
    except OSError:
        return False  # named when its images are read
    images, masks = split_masks(names)
    return bool(masks) and 2 * len(masks) >= len(images)


def split_masks(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the images, and the masks among them: names with an addition to that of an image."""
    known = {fold(name_key(name, "")) for name in names}
    masks = [name for name in names if _is_addition(name_key(name, ""), known)]
    return sorted(set(names) - set(masks)), masks


def _is_addition(key: str, known: set[str]) -> bool:
    base = _ADDITION.sub("", key)
    if len(key) - len(base) <= _SHORT:  # `1_l.jpg` beside `1.jpg` is a photo in another size
        return False
    return not {fold(base), fold(f"{base}_image"), fold(f"{base}_sat")}.isdisjoint(known)


def find_pairs(source: Path, pairings: list[Pairing], options: ReadOptions, problems: Problems) -> Pairs:
    """List all images and masks of these pairings; images elsewhere are one problem per folder."""
    found: Pairs = [(pairing, [], {}) for pairing in pairings]
    elsewhere: dict[str, int] = {}
    for name in image_files(source, options, problems):
        for pairing, images, masks in found:
            if _is_below(name, pairing.image_folder):
                images.append(name)
                break
            if pairing.mask_folder is not None and _is_below(name, pairing.mask_folder):
                first = masks.setdefault(name_key(name, pairing.mask_folder), name)
                if first != name:
                    problems.warn("two masks", name, f"{first} is read for the same image", "remove one of the two")
                break
        else:
            folder = str(PurePath(name).parent)
            elsewhere[folder] = elsewhere.get(folder, 0) + 1
    for folder, count in elsewhere.items():
        if any(map(_holds_masks, PurePath(folder).parts)):
            continue  # pseudo masks, masks of another kind
        problems.warn(
            "outside the pairs", folder, f"{count:,} images are in folders without masks", "nothing, or move them"
        )
    for pairing, images, masks in found:
        if pairing.is_one_folder:
            images[:], of_images = split_masks(images)
            masks.update({name_key(name, pairing.image_folder): name for name in of_images})
    return found


def mask_files(source: Path, pairs: Pairs) -> list[str]:
    """Return the path of every mask, sorted."""
    return [f"{source}/{name}" for name in sorted({mask for _, _, masks in pairs for mask in masks.values()})]


def samples_of(source: Path, pairs: Pairs, code: PixelCode, problems: Problems) -> Iterator[SourceSample]:
    """Yield every image with the reference of its mask."""
    for pairing, images, masks in pairs:
        matched = match(pairing, images, masks)
        for name in images:
            mask = matched.get(name)
            if mask is None and pairing.mask_folder is not None:
                problems.warn(
                    "missing mask",
                    name,
                    f"{pairing.mask_folder or 'its folder'} has no mask of this name; the image is read as not "
                    "labelled",
                    "put the mask there, or nothing if it is unlabelled",
                )
            yield sample_of(source, name, pairing.split or _split_below(name, pairing.image_folder), mask, code)
        for mask in sorted(set(masks.values()) - set(matched.values())):
            problems.warn("mask without image", mask, "no image has its name", "put the image there, or nothing")


def match(pairing: Pairing, images: Sequence[str], masks: dict[str, str]) -> dict[str, str]:
    """Return the mask of each image that has one; `masks` are by their keys."""
    left = {name: name_key(name, pairing.image_folder) for name in images}
    free = dict(masks)
    found: dict[str, str] = {}
    for alike in (str, fold, _plain):
        by_likeness: dict[str, list[str]] = defaultdict(list)
        for name, key in left.items():
            by_likeness[alike(key)].append(name)
        for key in list(free):
            (name, *others) = by_likeness.get(alike(key), [""])
            if name and not others and name not in found:
                found[name] = free.pop(key)
        left = {name: key for name, key in left.items() if name not in found}
    return found


def sample_of(source: Path, name: str, split: str, mask: str | None, code: PixelCode) -> SourceSample:
    """Return one image; frames of one drive are one group."""
    reference = None if mask is None else code.reference(f"{source}/{mask}", f"{source}/{name}")
    return SourceSample(f"{source}/{name}", name, None, split, sequence_of(name), reference)


def image_files(source: Path, options: ReadOptions, problems: Problems) -> Iterator[str]:
    """Return all images below, as `walk` does, without problems for other files: lists and annotations are expected."""
    return walk(source, options, _OfImages(problems=problems))


def relative_folder(source: Path, folder: Path) -> str:
    """Return the path of a folder relative to the source, "" for the source itself."""
    return "" if folder == source else folder.relative_to(source).as_posix()


def _holds_masks(folder: str) -> bool:
    name = folder.lower()
    if name in MASKS or name in _KITTI or name.endswith(MASKS_OF):
        return True
    return name.startswith("segmentation") or _PSEUDO in name


def _first_keys(folder: Path) -> Iterable[str]:
    names = (path for path in folder.rglob("*") if is_image_name(path.name))
    return (name_key(path.relative_to(folder).as_posix(), "") for path in islice(names, _LOOKED_AT))


def _is_below(name: str, folder: str) -> bool:
    return not folder or name.startswith(f"{folder}/")


def base_key(key: str) -> str:
    """Return the key of the image that a mask's name adds to: `1` of `1_mask_2`."""
    return _ADDITION.sub("", key)


def name_key(name: str, folder: str) -> str:
    """Return the path of a file below a folder, without its ending."""
    return str(PurePath(name[len(folder) :].lstrip("/")).with_suffix(""))


def fold(key: str) -> str:
    """Return a key that is equal for names that differ only in case or Unicode form."""
    return unicodedata.normalize("NFC", key).casefold()


def _plain(key: str) -> str:
    return fold(_PHOTO.sub("", _ADDITION.sub("", _ENDING.sub("", key))))


def _split_below(name: str, folder: str) -> str:
    top = name[len(folder) :].lstrip("/").split("/")[0]
    return split_name(top) if top.lower() in SPLITS else ""
