"""Class folders: `cat/1.png`, or `train/cat/1.png` below folders named as splits.

The first folder below the root (or the split) is the class, however deep the image lies; where each of them holds only
folders (`animal/cat`, `vehicle/car`) the level is asked for. A folder that only wraps another one, as archives do, is
passed through. An empty folder beside full ones is a class without images. Images in a folder named `unlabelled` have
no label. What Outfold exported itself is read by the map in its manifest, so that classes and splits of any name come
back as they were.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.data.export import names, provenance
from core.data.formats.cells import spelt
from core.data.formats.mask_folders import are_roles
from core.data.formats.source import SPLITS, UNLABELLED_FOLDERS, Problems, ReadOptions, SourceListing, split_name
from core.data.formats.walk import folders_in, has_images, holds_image, walk
from core.types import DatasetError, SourceSample

_DEEPEST_WRAPPER = 3
_FOLDERS_LOOKED_AT = 5
_NAMED = 3  # folders in a message


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the classes are: below `wrapper` folders, and below folders named as splits if `has_splits`."""

    wrapper: tuple[str, ...]
    has_splits: bool
    classes: tuple[str, ...]


def recognise(source: Path) -> str:
    """Say why this is a folder of classes; empty: it is none."""
    if not source.is_dir():
        return ""
    layout = find_layout(source)
    if are_roles(layout.classes):  # no images of classes, or none
        return ""
    base = source.joinpath(*layout.wrapper)
    if len(layout.classes) == 1 and not layout.has_splits and has_images(base):  # images aside of some others
        return ""
    parents = [base / name for name in folders_in(base) if name.lower() in SPLITS] if layout.has_splits else [base]
    looked_at = [parent / name for parent in parents for name in folders_in(parent)][:_FOLDERS_LOOKED_AT]
    if not any(holds_image(folder) for folder in looked_at):
        return ""
    below = f" in {', '.join(parent.name for parent in parents)}" if layout.has_splits else ""
    count = len(layout.classes)
    return (
        f"{count} folders{below} hold images, one class each"
        if count > 1
        else f"a folder{below} holds images of one class"
    )


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List every image with its folder's name as its label.

    Raises:
        DatasetError: this is no folder, or has no folders in it.
    """
    if not source.is_dir():
        raise DatasetError(f"{source}: is a file; class folders need the folder that holds them")
    problems = Problems()
    exported = provenance.find_layout(source)
    if exported is not None:
        return SourceListing(_samples_of_export(source, exported, options, problems), problems)
    layout = find_layout(source)
    if not layout.classes:
        raise DatasetError(f"{source}: has no folders in it; put each class into its own, or import without labels")
    level = options.class_level or _level(source, layout)
    empty = () if options.literal_labels else tuple(_empty(source, layout, level))
    return SourceListing(_samples(source, layout, options, problems, level), problems, empty_classes=empty)


def _parents(source: Path, layout: Layout) -> list[Path]:
    """Return the folders that class folders lie in."""
    base = source.joinpath(*layout.wrapper)
    return [base / name for name in folders_in(base) if name.lower() in SPLITS] if layout.has_splits else [base]


def _level(source: Path, layout: Layout) -> int:
    """Return 1, the level of the class folders.

    Raises:
        DatasetError: each of them holds only folders, so the classes may be these.
    """
    tops = [parent / name for parent in _parents(source, layout) for name in layout.classes if (parent / name).is_dir()]
    folders = [_only_folders(top) for top in tops]
    if not folders or not all(folders):
        return 1
    below = [name for names in folders for name in names]
    if are_roles(below):  # as in cat/images, dog/images
        return 1
    first, second = ", ".join(layout.classes[:_NAMED]), ", ".join(sorted(set(below))[:_NAMED])
    raise DatasetError(
        f"{source}: every folder holds only folders; say which are the classes: --class-level 1 for {first}, "
        f"--class-level 2 for {second}"
    )


def _only_folders(folder: Path) -> list[str]:
    """Return the folders in `folder`; none where images lie in it too, or it may not be looked at."""
    try:
        return [] if has_images(folder) else folders_in(folder)
    except OSError:
        return []


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:
        return False


def _empty(source: Path, layout: Layout, level: int) -> Iterator[str]:
    """Yield the class folders at the first level that hold no file at all, beside others."""
    if level > 1:
        return
    for name in layout.classes:
        found = [parent / name for parent in _parents(source, layout) if (parent / name).is_dir()]
        if all(map(_is_empty, found)):
            yield spelt(name)


def find_layout(source: Path) -> Layout:
    """Return where the classes of a folder are."""
    wrapper: tuple[str, ...] = ()
    while len(wrapper) < _DEEPEST_WRAPPER:
        base = source.joinpath(*wrapper)
        folders = folders_in(base)
        if len(folders) != 1 or folders[0].lower() in SPLITS or has_images(base):
            break
        if has_images(base / folders[0]) or not folders_in(base / folders[0]):
            break
        wrapper = (*wrapper, folders[0])
    base = source.joinpath(*wrapper)
    folders = folders_in(base)
    splits = [name for name in folders if name.lower() in SPLITS]
    has_splits = (len(splits) == len(folders) or "train" in map(split_name, splits)) and any(
        folders_in(base / name) for name in splits
    )
    classes = {name for split in splits for name in folders_in(base / split)} if has_splits else set(folders)
    return Layout(wrapper, has_splits, tuple(sorted(classes - UNLABELLED_FOLDERS)))


def _samples(
    source: Path, layout: Layout, options: ReadOptions, problems: Problems, level: int
) -> Iterator[SourceSample]:
    depth = len(layout.wrapper)
    filled: set[str] = set()
    for name in walk(source, options, problems):
        parts = name.split("/")[depth:]
        split = split_name(parts[0]) if layout.has_splits and parts[0].lower() in SPLITS else ""
        folders = parts[1 if split else 0 : -1]
        if len(folders) < level or (layout.has_splits and not split):
            where = "train, val or test folder" if layout.has_splits and not split else "class folder"
            problems.error("outside the classes", name, f"it lies in no {where}", "move it into one, or leave it out")
            continue
        filled.add(folders[0])
        label = None if folders[0] in UNLABELLED_FOLDERS else folders[level - 1]
        if label is not None and not options.literal_labels:
            label = spelt(label)
        yield SourceSample(f"{source}/{name}", name, label, split)
    for empty in sorted(set(layout.classes) - filled):
        problems.warn("empty class folder", empty, "no image was found in it", "nothing, or put its images there")


def _samples_of_export(
    source: Path, layout: names.Layout, options: ReadOptions, problems: Problems
) -> Iterator[SourceSample]:
    for name in walk(source, options, problems):
        meaning = layout.meaning(name.split("/")[:-1])
        if meaning is None:
            problems.error("outside the classes", name, "it lies in no exported folder", "move it, or leave it out")
            continue
        label, split = meaning
        yield SourceSample(f"{source}/{name}", name, label, split)
