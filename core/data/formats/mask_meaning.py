"""Find out what the pixel values of a source's mask files mean: which class, which colour, what is ignored.

What people declare counts most (an option, then a file of classes beside the masks), then what is usual for the
format, then what the files hold: every id found is a class called by its number. Colours are never guessed.
"""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.data.children import cores
from core.data.formats.source import Problems, ReadOptions, is_allowed, refuse_leaving
from core.data.masks import camvid_maps
from core.data.masks.classes import Declared, declare, find_declared, names_from, read_declared
from core.data.masks.colours import IGNORED, class_table, text_of
from core.data.masks.faults import MaskError
from core.data.masks.files import grey_values, holds_colours, opened, palette_of
from core.data.masks.pixels import PixelCode
from core.types import IGNORE, WIDE_IGNORE, ClassTable, DatasetError

_PEEKED = 24  # masks whose kind is looked at
_SCANNED = 5_000  # masks whose ids are collected, spread over all, where nobody names the classes
_MOST_UNNAMED = 4_096  # ids beyond are instances or heights, not classes
_BINARY = {0, 255}


@dataclass(frozen=True, slots=True)
class Usual:
    """What a format's masks mean where nobody declares anything: by colour, and by id while no id is larger."""

    colours: Declared | None = None
    ids: Declared | None = None
    largest_id: int = 0
    coloured: bool | None = None  # None: the files tell


CAMVID = Usual(camvid_maps.MAPS[camvid_maps.EXACT], camvid_maps.SEGNET, camvid_maps.SEGNET_VOID)


@dataclass(frozen=True, slots=True)
class Meaning:
    """The classes of a source and how its mask files say them."""

    table: ClassTable
    code: PixelCode


def find_meaning(
    masks: Sequence[str],
    folders: Sequence[Path],
    options: ReadOptions,
    usual: Usual,
    problems: Problems,
    *,
    source: Path | None,
) -> Meaning:
    """Return what the masks at these paths mean; files that declare classes are looked for in `folders`.

    `source` None: its files may lie anywhere that the installation allows.

    Raises:
        DatasetError: what is declared cannot be read or leaves the source by a link, or nothing says what colours mean.
    """
    declared = find_classes(folders, options, source)
    kinds, palette = _peek(masks, grey_is_colour=declared is not None and bool(declared.colours))
    coloured = kinds["colours"] >= max(kinds["values"], 1) if usual.coloured is None else usual.coloured
    if coloured:
        declared = declared if declared is not None and declared.colours else usual.colours
        if declared is None:
            raise DatasetError(
                f"{_name(masks)}: the masks are colours, and nothing says which colour is which class; choose a colour "
                "map, or put a label_colors.txt with lines like `128 0 0 Building` beside the masks"
            )
    elif declared is None:
        declared = _found(masks, palette, options, usual, problems)
    ignored = [] if options.ignore_id is None else [(options.ignore_id, IGNORED)]
    values = tuple({**dict(declared.values), **dict(ignored)}.items())
    return Meaning(
        declared.table,
        PixelCode(coloured=coloured, colours=declared.colours, others_ignored=declared.others_ignored, values=values),
    )


def find_classes(folders: Sequence[Path], options: ReadOptions, source: Path | None) -> Declared | None:
    """Return the classes as the options or a file in one of these folders declare them; None: nothing does.

    Raises:
        DatasetError: what declares them cannot be read, or may not be, or leaves the source by a link.
    """
    if options.colour_map in camvid_maps.MAPS:
        return camvid_maps.MAPS[options.colour_map]
    if options.colour_map:
        declared = read_declared(_allowed(options.colour_map, options))
        if not declared.colours:
            raise DatasetError(f"{options.colour_map}: has no colours; write one class a line, as in: 128 0 0 Building")
        return declared
    if options.class_names:
        is_list = "," in options.class_names and not os.path.isfile(options.class_names)  # noqa: PTH113 any length
        return names_from(options.class_names) if is_list else read_declared(_allowed(options.class_names, options))
    found = find_declared(*folders)
    if found is None:
        return None
    return read_declared(_allowed(str(found), options) if source is None else refuse_leaving(found, source, options))


def _allowed(path: str, options: ReadOptions) -> Path:
    if not is_allowed(str(Path(path).expanduser()), options):
        raise DatasetError(f"{path}: this installation does not read there; copy it into an allowed folder")
    return Path(path).expanduser()


def _found(
    masks: Sequence[str], palette: list[str], options: ReadOptions, usual: Usual, problems: Problems
) -> Declared:
    """Return the usual classes where they hold every id that the files do, else one class for each id."""
    found = _scan(masks)
    if found == _BINARY and options.ignore_id is None:
        problems.warn(
            "only 0 and 255",
            _name(masks),
            "the masks hold 0 and 255 only, so 255 is read as a class",
            "nothing; or say that 255 means ignore (ignore id 255)",
        )
        return replace(declare([("background", None), ("object", None)]), values=((255, 1),))
    ids = {value for value in found if value != options.ignore_id} - {IGNORE, WIDE_IGNORE}
    largest = max(ids, default=0)
    if usual.ids is not None and largest <= usual.largest_id:
        return usual.ids
    if largest >= _MOST_UNNAMED:
        raise DatasetError(
            f"{_name(masks)}: the masks hold ids up to {largest}; if these are classes, name all of them in a "
            "classes.txt, one a line"
        )
    if len(masks) > _SCANNED:
        problems.warn(
            "classes not named",
            _name(masks),
            f"the ids of {_SCANNED:,} of {len(masks):,} masks were looked at; a rarer one would be missing",
            "put a classes.txt with one name a line beside the masks",
        )
    table = class_table([str(number) for number in range(largest + 1)], palette)
    return declare(zip(table.names, table.colours if palette else [None] * len(table), strict=True))


def _peek(masks: Sequence[str], *, grey_is_colour: bool) -> tuple[Counter[str], list[str]]:
    """Return how many masks hold values and how many colours, and the first palette's colours.

    Files of colours that are all grey may hold each id three times, unless declared colours say otherwise.
    """
    kinds: Counter[str] = Counter(values=0, colours=0)
    palette: list[str] = []
    for path in _spread(masks, _PEEKED):
        try:
            with opened(Path(path)) as image:
                kinds["colours" if holds_colours(image, grey_is_colour=grey_is_colour) else "values"] += 1
                if image.mode == "P" and not palette:
                    palette = [text_of(int(code)) for code in palette_of(image)]
        except MaskError:
            continue  # named when it is read
    return kinds, palette


def _scan(masks: Sequence[str]) -> set[int]:
    """Return every id in the masks, on all cores; damaged ones are named when they are read."""
    with ThreadPoolExecutor(cores()) as pool:
        found: set[int] = set()
        for values in pool.map(_values, _spread(masks, _SCANNED)):
            found |= values
    return found


def _values(path: str) -> set[int]:
    try:
        with opened(Path(path)) as image:
            values = grey_values(image)
    except MaskError:
        return set()
    return set() if values is None else set(np.flatnonzero(np.bincount(values.ravel())).tolist())


def _spread(masks: Sequence[str], count: int) -> Sequence[str]:
    """Return at most so many of them, evenly spread."""
    step = max(1, -(-len(masks) // count))
    return masks[::step]


def _name(masks: Sequence[str]) -> str:
    return Path(masks[0]).parent.name if masks else "masks"
