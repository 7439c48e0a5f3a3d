"""Several masks per image: one file for each object or class, united by class.

Four layouts: a folder for each image with `images/` and `masks/` in it (2018 Data Science Bowl), a folder for each
class below the masks (`masks/cat/1.png`), numbered masks (`1_mask.png`, `1_mask_1.png`) beside their images or in the
folder of masks, and Label Studio's export of brushes as PNG (`task-1-annotation-7-by-1-tag-cat-0.png`), where the
tasks' numbers must be the images' names. A single folder below the masks whose files hold ids has ordinary masks
instead.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.data.formats.mask_folders import (
    IMAGES,
    MASKS,
    base_key,
    bases,
    fold,
    image_files,
    name_key,
    relative_folder,
    split_masks,
    usual_folders,
)
from core.data.formats.source import (
    SPLITS,
    Problems,
    ReadOptions,
    SourceListing,
    combine_meanings,
    natural_order,
    split_name,
)
from core.data.formats.walk import folders_in, has_images, is_image_name
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.classes import BACKGROUND
from core.data.masks.colours import class_table
from core.data.masks.files import survey
from core.data.masks.pixels import holds_ids, stack
from core.data.masks.turning import ask_turned
from core.data.reading import spread
from core.types import DatasetError, SourceSample

_OBJECT = "object"
_BRUSH = re.compile(r"task-(\d+)-annotation-\d+-by-\d+-[^-]+-(.+)-\d+")
_LOOKED_AT = 2_000  # names
_SURVEYED = 24  # masks


@dataclass(frozen=True, slots=True)
class StackLayout:
    """Folders of images and of masks, relative to the source; `by_image`: each image has folders of its own.

    `numbered`: names of masks number them per image; they are beside their images if both folders are one.
    """

    images: str
    masks: str
    by_image: bool = False
    brushes: bool = False
    numbered: bool = False


def find(source: Path) -> StackLayout | None:
    """Return the layout of several masks per image, None if there is none."""
    for base in bases(source):
        if (found := _by_class(source, base)) is not None:
            return found
        parents = [base, *(base / name for name in folders_in(base) if name.lower() in SPLITS)]
        if any(_is_by_image(parent) for parent in parents):
            return StackLayout(relative_folder(source, base), relative_folder(source, base), by_image=True)
    return None


def find_numbered(source: Path) -> StackLayout | None:
    """Return the layout of numbered masks, such as `1_mask.png` and `1_mask_1.png`; None if there are none."""
    for base in bases(source):
        for images, masks in _pairs_of_folders(base):
            layout = StackLayout(relative_folder(source, images), relative_folder(source, masks), numbered=True)
            names = _first_names(images)
            files = names if images == masks else _first_names(masks)
            keys, found = _group_by_number(names, files, ("", ""), is_one_folder=images == masks)
            if any(_are_several(found[key], key) for key in found.keys() & keys.keys()):
                return layout
    return None


def _are_several(files: list[tuple[str, str]], key: str) -> bool:
    """Return whether the names of these masks of one image differ by numbers."""
    additions = {fold(name_key(name, ""))[len(key) :] for _, name in files}
    return len(additions) > 1 and any(letter.isdecimal() for addition in additions for letter in addition)


def _pairs_of_folders(base: Path) -> Iterator[tuple[Path, Path]]:
    """Yield folders of images and of masks; both are one if images are in the folder itself."""
    image_folder, mask_folder = usual_folders(base)
    if image_folder is not None and mask_folder is not None:
        yield image_folder, mask_folder
    elif has_images(base) or any(name.lower() in SPLITS and has_images(base / name) for name in folders_in(base)):
        yield base, base


def folder_of_ids(masks: Path) -> Path:
    """Return the folder below `masks` if it is the only one and its masks hold ids, as `masks/gt`; else `masks`."""
    below = folders_in(masks)
    if len(below) != 1 or below[0].lower() in SPLITS or has_images(masks) or (masks / below[0]).is_symlink():
        return masks
    folder = masks / below[0]
    files = [path for name in _first_names(folder) if not (path := folder / name).is_symlink()]
    return folder if holds_ids(survey(spread([str(path) for path in sorted(files)], _SURVEYED))) else masks


def describe(layout: StackLayout) -> str:
    """Return the evidence for several masks per image."""
    if layout.by_image:
        return "each image has a folder of its own, with its masks, one for each object"
    if layout.numbered:
        return f"{layout.masks or 'the folder'} has several masks of an image, as 1_mask.png and 1_mask_1.png"
    kind = "brushes of Label Studio, one file each" if layout.brushes else "a folder for each class"
    return f"{layout.masks} has masks for the images of {layout.images}: {kind}"


def read(source: Path, layout: StackLayout, options: ReadOptions) -> SourceListing:
    """List every image with all of its masks.

    Raises:
        DatasetError: masks of brushes do not name their images.
    """
    problems = Problems()
    names = list(image_files(source, options, problems))
    if layout.by_image:
        images, masks = _of_images(names)
    elif layout.numbered:
        inside = [name for name in names if _is_below(name, layout.images)]
        below = [name for name in names if _is_below(name, layout.masks)]
        images, masks = _group_by_number(
            inside, below, (layout.images, layout.masks), is_one_folder=layout.images == layout.masks
        )
    else:
        images, masks = _of_folders(names, layout)
    classes = sorted({label for files in masks.values() for label, _ in files}, key=natural_order)
    ordered = [BACKGROUND, *(label for label in classes if label.lower() != BACKGROUND)]
    problems.warn(
        "several masks per image",
        layout.masks or ".",
        f"they are united by class, in this order: {', '.join(ordered)}; where two overlap the later one is on top",
        "nothing, or write one mask per image",
    )
    if layout.brushes:
        problems.warn(
            "brushes by task",
            layout.masks,
            "these files name tasks, not images; the brushes of task 7 are taken for those of the image 7",
            "compare a few of them; or export as JSON from Label Studio, whose tasks name their images",
        )
    for key in sorted(masks.keys() - images.keys()):
        problems.warn(
            "mask without image", masks[key][0][1], "no image has its name", "put the image there, or nothing"
        )
    ids = {label: number for number, label in enumerate(ordered)} | {
        label: 0 for label in classes if label.lower() == BACKGROUND
    }
    numbered = {key: [(ids[label], name) for label, name in files] for key, files in masks.items()}
    samples = _samples(source, images, numbered, problems, turned=options.exif_masks == "turn")
    photos = [(f"{source}/{name}", f"{source}/{masks[key][0][1]}") for key, name in images.items() if key in masks]
    shown = combine_meanings(questions=ask_turned(photos, options))
    return SourceListing(samples, problems, class_table(ordered), shown)


def _samples(
    source: Path, images: dict[str, str], masks: dict[str, list[tuple[int, str]]], problems: Problems, *, turned: bool
) -> Iterator[SourceSample]:
    for key, name in images.items():
        files = sorted(masks.get(key, []))
        if not files:
            problems.warn(
                "missing mask",
                name,
                "there is no mask of this name; the image is read as not labelled",
                "put the mask there, or nothing if it is unlabelled",
            )
        path = f"{source}/{name}"
        mask = stack([(number, f"{source}/{file}") for number, file in files], path, turned=turned) if files else None
        yield SourceSample(path, name, None, _split_of(name), sequence_of(name), mask)


def _by_class(source: Path, base: Path) -> StackLayout | None:
    image_folder, mask_folder = usual_folders(base)
    if image_folder is None or mask_folder is None:
        return None
    layout = StackLayout(relative_folder(source, image_folder), relative_folder(source, mask_folder))
    keys = {fold(name_key(name, "")) for name in _first_names(image_folder)}
    names = _first_names(mask_folder)
    if any(fold(name_key(name, "")) in keys for name in names):
        return None  # ordinary pairs
    brushes = [found for name in names if (found := _BRUSH.fullmatch(name_key(name, "")))]
    if brushes and len(brushes) == len(names):
        if not any(fold(found[1]) in keys for found in brushes):
            raise DatasetError(
                f"{mask_folder.name}: these are brushes that Label Studio exported as PNG, named by task and not by "
                "image",
                "export as JSON instead, whose tasks name their images",
            )
        return StackLayout(layout.images, layout.masks, brushes=True)
    below = [name.partition("/")[2] for name in names if "/" in name and name.split("/")[0].lower() not in SPLITS]
    return layout if any(fold(name_key(name, "")) in keys for name in below) else None


def _is_by_image(folder: Path) -> bool:
    """Return whether the first folders below have one image each, and masks."""
    names = folders_in(folder)[:3]
    return bool(names) and all(_has_own_folders(folder / name) for name in names)


def _has_own_folders(folder: Path) -> bool:
    """Return whether a folder has one image in a folder of images, and masks in another."""
    try:
        image_folder, mask_folder = usual_folders(folder)
        if image_folder is None or mask_folder is None or not has_images(mask_folder):
            return False
        return sum(is_image_name(path.name) for path in image_folder.iterdir()) == 1
    except OSError:
        return False  # named when its images are read


def _of_images(names: list[str]) -> tuple[dict[str, str], dict[str, list[tuple[str, str]]]]:
    images: dict[str, str] = {}
    masks: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in names:
        path = PurePosixPath(name)
        owner, kind = path.parent.parent.as_posix(), path.parent.name.lower()
        if kind in IMAGES:
            images.setdefault(owner, name)
        elif kind in MASKS:
            masks[owner].append((_OBJECT, name))
    return images, dict(masks)


def _group_by_number(
    images: list[str], masks: list[str], folders: tuple[str, str], *, is_one_folder: bool
) -> tuple[dict[str, str], dict[str, list[tuple[str, str]]]]:
    """Return images by key, and masks by the key of their image; keys are paths below `folders`."""
    if is_one_folder:
        images, masks = split_masks(images)
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in masks:
        found[fold(base_key(name_key(name, folders[1])))].append((_OBJECT, name))
    by_key: dict[str, str] = {}
    for name in images:
        by_key.setdefault(fold(name_key(name, folders[0])), name)
    return by_key, dict(found)


def _is_below(name: str, folder: str) -> bool:
    return not folder or name.startswith(f"{folder}/")


def _of_folders(names: list[str], layout: StackLayout) -> tuple[dict[str, str], dict[str, list[tuple[str, str]]]]:
    images: dict[str, str] = {}
    masks: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in names:
        if name.startswith(f"{layout.images}/"):
            images.setdefault(fold(name_key(name, layout.images)), name)
        elif name.startswith(f"{layout.masks}/"):
            key = name_key(name, layout.masks)
            label, _, rest = key.partition("/")
            if layout.brushes and (found := _BRUSH.fullmatch(key)):
                label, rest = found[2], found[1]
            masks[fold(rest)].append((label, name))
    return images, dict(masks)


def _first_names(folder: Path) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        if is_image_name(path.name):
            found.append(path.relative_to(folder).as_posix())
        if len(found) == _LOOKED_AT:
            break
    return found


def _split_of(name: str) -> str:
    return next((split_name(part) for part in PurePosixPath(name).parts[:-1] if part.lower() in SPLITS), "")
