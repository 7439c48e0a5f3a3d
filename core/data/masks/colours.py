"""Colours of classes: as text `#rrggbb`, as 24-bit codes 0xrrggbb, and as pixels (H, W, 3) uint8.

A class without a given colour gets one that only depends on its id and on the colours in use, so that it is the same
on every machine and after every import.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from core.types import ByteArray, ClassTable, IntArray

IGNORED = -1  # the class id of unlabelled pixels, where ids are not yet pixels
UNKNOWN = 65_534  # in a look-up table: no class and not ignored
_WIDE_IGNORE = 65_535
_COLOUR = re.compile(r"#[0-9a-f]{6}")

# far apart from each other, also for most colour-blind people (S. Trubetskoy, 20 distinct colours; order ours)
_DISTINCT = (
    "#e6194b",
    "#3cb44b",
    "#ffe119",
    "#4363d8",
    "#f58231",
    "#911eb4",
    "#46f0f0",
    "#f032e6",
    "#bcf60c",
    "#fabebe",
    "#008080",
    "#e6beff",
    "#9a6324",
    "#fffac8",
    "#800000",
    "#aaffc3",
    "#808000",
    "#ffd8b1",
    "#000075",
    "#808080",
)

Code = tuple[int, int]  # colour code, class id or IGNORED


def voc_colour(number: int) -> str:
    """Return Pascal VOC's colour of a palette index: three bits of it at a time, from the top bit down."""
    red = green = blue = 0
    for shift in range(7, -1, -1):
        red |= (number & 1) << shift
        green |= (number >> 1 & 1) << shift
        blue |= (number >> 2 & 1) << shift
        number >>= 3
    return f"#{red:02x}{green:02x}{blue:02x}"


def code_of(colour: str) -> int:
    """Return the code of `#rrggbb`."""
    return int(colour[1:], 16)


def text_of(code: int) -> str:
    """Return `#rrggbb` of a code."""
    return f"#{code:06x}"


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue of `#rrggbb`, 0 to 255."""
    code = code_of(colour)
    return code >> 16, code >> 8 & 255, code & 255


def class_table(names: Sequence[str], colours: Sequence[str | None] = ()) -> ClassTable:
    """Return the table of these classes; a missing, repeated or unreadable colour is replaced by a free one."""
    wanted = [colour.lower() if colour else "" for colour in [*colours, *[None] * len(names)][: len(names)]]
    taken = {colour for colour in wanted if _COLOUR.fullmatch(colour)}
    free = _free_colours(taken, background=bool(names) and names[0].strip().lower() in {"background", "bg"})
    chosen: list[str] = []
    used: set[str] = set()
    for colour in wanted:
        mine = colour if colour in taken and colour not in used else next(free)
        used.add(mine)
        chosen.append(mine)
    return ClassTable(tuple(names), tuple(chosen))


def free_colour(table: ClassTable, wanted: Iterable[str]) -> str:
    """Return the first of the `wanted` colours that no class has, else any free colour."""
    taken = {colour.lower() for colour in table.colours}
    return next((colour for colour in wanted if colour not in taken), next(_free_colours(taken, background=False)))


def codes_of(pixels: ByteArray) -> IntArray:
    """Return the colour code of each pixel, (H, W), of (H, W, 3 or 4)."""
    wide = pixels[..., :3].astype(np.uint32)
    codes: IntArray = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    return codes


def ids_of(codes: IntArray, known: tuple[Code, ...]) -> NDArray[np.uint16]:
    """Return the class id of each colour code; 65535 is IGNORE, UNKNOWN a colour that is not in `known`."""
    return _look_up(known)[codes]


def paint_colours(mask: IntArray, colours: Sequence[str], ignore_colour: str) -> ByteArray:
    """Return a mask as the colours of its classes, (H, W, 3)."""
    table = np.empty((int(np.iinfo(mask.dtype).max) + 1, 3), dtype=np.uint8)
    table[:] = rgb_of(ignore_colour)
    table[: len(colours)] = [rgb_of(colour) for colour in colours]
    return table[mask]


@lru_cache(maxsize=2)
def _look_up(known: tuple[Code, ...]) -> NDArray[np.uint16]:
    table = np.full(1 << 24, UNKNOWN, dtype=np.uint16)  # 32 MB for one step a pixel
    for code, number in known:
        table[code] = _WIDE_IGNORE if number == IGNORED else number
    return table


def _free_colours(taken: set[str], *, background: bool) -> Iterator[str]:
    used = {*taken, "#000000"} - ({"#000000"} if background and "#000000" not in taken else set())
    proposed = chain(["#000000"], _DISTINCT, (c for c in map(voc_colour, range(1, 1 << 24)) if c not in _DISTINCT))
    return (colour for colour in proposed if colour not in used)
