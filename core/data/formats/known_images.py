"""Images of a dataset, found by the names that a file made elsewhere gives them."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from core.types import DatasetError, IntArray

NAMED = 3  # of many images or rows that an error names
_NONE = -1  # in a row's place, where no image is meant
_Spell = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class KnownImage:
    """An image of the dataset by what a file may call it: its name within the dataset and its absolute path."""

    name: str
    path: str


_Find = Callable[[Sequence[str], Sequence[KnownImage]], IntArray]


def rows_of(ids: Sequence[str], images: Sequence[KnownImage], thing: str = "row") -> IntArray:
    """Return the image that each `thing` belongs to, (N,): each has one.

    It belongs to the image of its name or path; else to the only one that ends in it (`cat/1.png` of
    `/data/train/cat/1.png`); else to the only one of the same name without folder and ending.

    Raises:
        DatasetError: one belongs to no image or to several, or an image has none, or several.
    """
    return _checked(_in_any_form(_places, ids, images), ids, images, thing)


def rows_of_files(files: Sequence[str], images: Sequence[KnownImage]) -> IntArray:
    """Return the image that each file belongs to, (N,); its path comes without an ending of its own.

    It belongs to the image of this name (`a.jpg.png` to `a.jpg`); else to the only one of this name without its ending;
    else to the only one that ends in it, or in which it ends.

    Raises:
        DatasetError: a file belongs to no image or to several, or an image has none, or several.
    """
    return _checked(_in_any_form(_places_of_files, files, images), files, images, "file")


def _in_any_form(find: _Find, ids: Sequence[str], images: Sequence[KnownImage]) -> IntArray:
    """Return which image each name belongs to, (M,), -1 for none or several: as written, else in Unicode's form NFC.

    Some file systems store an accent apart from its letter.
    """
    place = find(ids, images)
    left = np.flatnonzero(place == _NONE)
    if len(left) and not all(ids[row].isascii() for row in left.tolist()):
        composed = [KnownImage(_composed(image.name), _composed(image.path)) for image in images]
        place[left] = find([_composed(ids[row]) for row in left.tolist()], composed)
    return place


def _places_of_files(files: Sequence[str], images: Sequence[KnownImage]) -> IntArray:
    """Return which image each file belongs to, (M,), -1 for none or several."""
    said = list(files)
    whole = {one: row for row, image in enumerate(images) for one in (image.path, image.name)}
    place = np.array([whole.get(name, _NONE) for name in said], np.int64).reshape(-1)
    left = np.flatnonzero(place == _NONE).tolist()
    bare = [KnownImage(_without_ending(image.name), _without_ending(image.path)) for image in images]
    names = _unique([[image.name] for image in bare], None)
    endings = _unique([_endings(image.path) for image in bare], {said[row] for row in left})
    for row in left:
        found = (names[one] for one in (said[row], *_endings(said[row])) if one in names)
        place[row] = next(found, endings.get(said[row], _NONE))
    return place


def some_of(names: Sequence[str]) -> str:
    """Return the first few names, and that there are more."""
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _checked(place: IntArray, ids: Sequence[str], images: Sequence[KnownImage], thing: str) -> IntArray:
    if not images:
        raise DatasetError("the dataset has no images; import some first")
    unknown = [ids[row] for row in np.flatnonzero(place == _NONE).tolist()]
    if unknown:
        raise DatasetError(
            f"{len(unknown):,} {thing}s name no image of the dataset, or several ({some_of(unknown)}); call them as "
            f"the dataset does, for example {images[0].name}"
        )
    times = np.bincount(place, minlength=len(images))
    if (times > 1).any():
        twice = [images[row].name for row in np.flatnonzero(times > 1).tolist()]
        raise DatasetError(f"{len(twice):,} images have several {thing}s ({some_of(twice)}); leave one of each")
    if (times == 0).any():
        missing = [images[row].name for row in np.flatnonzero(times == 0).tolist()]
        raise DatasetError(f"{len(missing):,} images have no {thing} ({some_of(missing)}); predict them too")
    return place


def _places(ids: Sequence[str], images: Sequence[KnownImage]) -> IntArray:
    """Return which image each name belongs to, (M,), -1 for none or several."""
    said = [_plain(name) for name in ids]
    place = np.full(len(said), _NONE, np.int64)
    exact = {one: row for row, image in enumerate(images) for one in (image.path, image.name)}
    ways: tuple[tuple[_Spell, Callable[[], Mapping[str, int]]], ...] = (
        (lambda name: [name], lambda: exact),
        (_endings, lambda: {image.name: row for row, image in enumerate(images)}),  # the path on another machine
        (lambda name: [name], lambda: _unique([_endings(image.path) for image in images], set(said))),
        (_stem, lambda: _unique([_stem(image.name) for image in images], {PurePosixPath(one).stem for one in said})),
    )
    for spellings, known in ways:
        left = np.flatnonzero(place == _NONE).tolist()
        if not left:
            break
        rows = known()
        for row in left:
            place[row] = next((rows[one] for one in spellings(said[row]) if one in rows), _NONE)
    return place


def _unique(spelt: Iterable[Sequence[str]], wanted: set[str] | None) -> dict[str, int]:
    """Return the image of each wanted spelling that only one image has; None: of every spelling."""
    rows: dict[str, int] = {}
    several: set[str] = set()
    for row, spellings in enumerate(spelt):
        for one in spellings if wanted is None else wanted.intersection(spellings):
            if rows.setdefault(one, row) != row:
                several.add(one)
    return {one: row for one, row in rows.items() if one not in several}


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _plain(name: str) -> str:
    return name.strip().replace("\\", "/").removeprefix("./")


def _endings(path: str) -> list[str]:
    """Return what a path ends in, from the longest to the bare file name."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(1, len(parts))] or [path]


def _stem(name: str) -> list[str]:
    return [PurePosixPath(name).stem]


def _without_ending(path: str) -> str:
    return str(PurePosixPath(path).with_suffix("")) if PurePosixPath(path).name else path
