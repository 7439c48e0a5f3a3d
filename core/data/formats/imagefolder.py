"""Class folders: `cat/1.png`, or `train/cat/1.png` below folders named as splits.

The first folder below the root (or the split) is the class, at any depth of the image; if each of them holds only
folders (`animal/cat`, `vehicle/car`) the reader asks for the level. A folder that only wraps another one, as in
archives, is ignored. An empty folder beside others is a class without images. Images in a folder named `unlabelled`
have no label. Outfold's own exports are read by the map in their manifest, so that classes and splits of any name are
restored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.data.export import names, provenance
from core.data.formats.cells import compose_letters
from core.data.formats.mask_folders import are_roles
from core.data.formats.source import SPLITS, UNLABELLED_FOLDERS, Problems, ReadOptions, SourceListing, split_name
from core.data.formats.walk import folders_in, has_images, holds_image, walk
from core.types import Cure, DatasetError, SourceSample

_DEEPEST_WRAPPER = 3
_FOLDERS_LOOKED_AT = 5
_SHOWN = 3  # folders in a message


@dataclass(frozen=True, slots=True)
class ClassLayout:
    """Position of the class folders: below `wrapper`, and below folders named as splits if `has_splits`."""

    wrapper: tuple[str, ...]
    has_splits: bool
    classes: tuple[str, ...]


def recognise(source: Path) -> str:
    """Return the evidence that the source is a folder of classes, empty if it is not."""
    if not source.is_dir():
        return ""
    layout = find_layout(source)
    if are_roles(layout.classes):  # no images of classes, or empty
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
    """List every image, labelled with its folder's name.

    Raises:
        DatasetError: this is not a folder, or has no folders in it.
    """
    if not source.is_dir():
        raise DatasetError(f"{source}: is a file", "class folders need the folder that holds them")
    problems = Problems()
    exported = provenance.find_layout(source)
    if exported is not None:
        return SourceListing(_samples_of_export(source, exported, options, problems), problems)
    layout = find_layout(source)
    if not layout.classes:
        raise DatasetError(f"{source}: has no folders in it", "put each class into its own, or import without labels")
    level = options.class_level or _level(source, layout)
    empty = () if options.literal_labels else tuple(_empty(source, layout, level))
    return SourceListing(_samples(source, layout, options, problems, level), problems, empty_classes=empty)


def _parents(source: Path, layout: ClassLayout) -> list[Path]:
    """Return the parents of class folders."""
    base = source.joinpath(*layout.wrapper)
    return [base / name for name in folders_in(base) if name.lower() in SPLITS] if layout.has_splits else [base]


def _level(source: Path, layout: ClassLayout) -> int:
    """Return 1, the level of the class folders.

    Raises:
        DatasetError: each of them holds only folders, so those may be the classes.
    """
    tops = [parent / name for parent in _parents(source, layout) for name in layout.classes if (parent / name).is_dir()]
    folders = [_only_folders(top) for top in tops]
    if not folders or not all(folders):
        return 1
    below = [name for names in folders for name in names]
    if are_roles(below):  # as in cat/images, dog/images
        return 1
    first, second = ", ".join(layout.classes[:_SHOWN]), ", ".join(sorted(set(below))[:_SHOWN])
    raise DatasetError(
        f"{source}: every folder holds only folders",
        f"say which are the classes with {Cure.CLASS_LEVEL}: 1 for {first}; 2 for {second}",
    )


def _only_folders(folder: Path) -> list[str]:
    """Return the folders in `folder`; empty if it holds images too, or may not be read."""
    try:
        return [] if has_images(folder) else folders_in(folder)
    except OSError:
        return []


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:
        return False


def _empty(source: Path, layout: ClassLayout, level: int) -> Iterator[str]:
    """Yield the empty class folders at the first level, if others are not."""
    if level > 1:
        return
    for name in layout.classes:
        found = [parent / name for parent in _parents(source, layout) if (parent / name).is_dir()]
        if all(map(_is_empty, found)):
            yield compose_letters(name)


def find_layout(source: Path) -> ClassLayout:
    """Return the position of a folder's classes."""
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
    return ClassLayout(wrapper, has_splits, tuple(sorted(classes - UNLABELLED_FOLDERS)))


def _samples(
    source: Path, layout: ClassLayout, options: ReadOptions, problems: Problems, level: int
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
            label = compose_letters(label)
        yield SourceSample(f"{source}/{name}", name, label, split)
    for empty in sorted(set(layout.classes) - filled):
        problems.warn("empty class folder", empty, "no image was found in it", "nothing, or put its images there")


def _samples_of_export(
    source: Path, layout: names.FolderNames, options: ReadOptions, problems: Problems
) -> Iterator[SourceSample]:
    for name in walk(source, options, problems):
        meaning = layout.meaning(name.split("/")[:-1])
        if meaning is None:
            problems.error("outside the classes", name, "it lies in no exported folder", "move it, or leave it out")
            continue
        label, split = meaning
        yield SourceSample(f"{source}/{name}", name, label, split)
