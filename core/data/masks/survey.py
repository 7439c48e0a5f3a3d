"""A survey of mask files before they are read: which values and colours they hold, in how many pixels and files.

Nothing is interpreted here. A file that cannot be decoded is passed over; it is named when it is read.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.children import cores
from core.data.masks.colours import UNKNOWN, codes_of, text_of
from core.data.masks.faults import MaskError
from core.data.masks.files import COLOURED, LOSSY, grey_values, is_grey, opened, palette_of
from core.types import FloatArray, IntArray

_MOST_COLOURS = 1_024  # kept; a photograph has more


@dataclass(slots=True)
class Survey:
    """Pixels and files of each value or colour code, and how many files store what."""

    files: int = 0
    kinds: Counter[str] = field(default_factory=lambda: Counter(values=0, colours=0))
    value_pixels: Counter[int] = field(default_factory=Counter)
    value_files: Counter[int] = field(default_factory=Counter)
    colour_pixels: Counter[int] = field(default_factory=Counter)
    colour_files: Counter[int] = field(default_factory=Counter)
    alpha: set[int] = field(default_factory=set)  # values of it; empty where any file has none
    palette: list[str] = field(default_factory=list)  # of the first file that has one
    lossy: int = 0  # files
    floats: int = 0
    whole: bool = True  # all floats are whole numbers from 0 to 65,533
    unit: bool = True  # all floats lie from 0 to 1

    @property
    def values(self) -> set[int]:
        """Return every value found."""
        return set(self.value_pixels)

    @property
    def is_alpha(self) -> bool:
        """Whether all files have one and the same colour everywhere, and differ in their alpha alone."""
        return len(self.colour_pixels) == 1 and len(self.alpha) > 1


@dataclass(slots=True)
class _File:
    kind: str
    counts: dict[int, int]
    colours: dict[int, int]
    alpha: set[int]
    palette: list[str]
    lossy: bool = False
    whole: bool = True
    unit: bool = True


def survey(masks: Sequence[str], *, grey_is_colour: bool = False, thrice: bool = True, channel: str = "") -> Survey:
    """Return what these files hold, read on all cores.

    Colours that are all grey are values, three times, unless `grey_is_colour`; they are counted if `thrice`. `channel`
    "alpha" reads that one.
    """
    found = Survey()
    with ThreadPoolExecutor(cores()) as pool:
        for file in pool.map(partial(_look, grey_is_colour=grey_is_colour, thrice=thrice, channel=channel), masks):
            if file is not None:
                _add(found, file)
    return found


def _add(found: Survey, file: _File) -> None:
    found.kinds[file.kind] += 1
    found.value_pixels.update(file.counts)
    found.value_files.update(file.counts.keys())
    for code, pixels in file.colours.items():
        if code in found.colour_pixels or len(found.colour_pixels) < _MOST_COLOURS:
            found.colour_pixels[code] += pixels
            found.colour_files[code] += 1
    found.alpha = found.alpha | file.alpha if found.files == 0 or found.alpha else set()
    if not file.alpha:
        found.alpha = set()
    found.palette = found.palette or file.palette
    found.lossy += file.lossy
    found.floats += file.kind == "floats"
    found.whole &= file.whole
    found.unit &= file.unit
    found.files += 1


def _look(path: str, *, grey_is_colour: bool, thrice: bool, channel: str) -> _File | None:
    try:
        with opened(Path(path)) as image:
            image.load()
            return _seen(image, grey_is_colour=grey_is_colour, thrice=thrice, channel=channel)
    except MaskError:
        return None


def _seen(image: Image.Image, *, grey_is_colour: bool, thrice: bool, channel: str) -> _File:
    lossy = image.format in LOSSY
    if image.mode == "F":
        floats: FloatArray = np.asarray(image)
        whole = bool((floats == np.round(floats)).all() and floats.min() >= 0 and floats.max() < UNKNOWN)
        counts = _counts(floats.astype(np.int64)) if whole else {}
        unit = bool(floats.min() >= 0 and floats.max() <= 1)
        return _File("floats", counts, {}, set(), [], lossy, whole, unit)
    if channel == "alpha" and image.mode in {"RGBA", "LA"}:
        return _File("values", _counts(np.asarray(image.getchannel("A"))), {}, set(), [], lossy)
    values = grey_values(image)
    if values is not None:
        palette = [text_of(int(code)) for code in palette_of(image)] if image.mode == "P" else []
        return _File("values", _counts(values), {}, set(), palette, lossy)
    if image.mode not in COLOURED:
        return _File("others", {}, {}, set(), [], lossy)
    pixels = np.asarray(image)
    codes = codes_of(pixels)
    alpha = set(np.unique(pixels[..., 3]).tolist()) if image.mode == "RGBA" else set()
    if not grey_is_colour and is_grey(codes):
        return _File("values", _counts(codes & 255) if thrice else {}, _colours(codes), alpha, [], lossy)
    return _File("colours", {}, _colours(codes), alpha, [], lossy)


def _counts(values: IntArray) -> dict[int, int]:
    counts = np.bincount(values.ravel())
    found = np.flatnonzero(counts)
    return dict(zip(found.tolist(), counts[found].tolist(), strict=True))


def _colours(codes: IntArray) -> dict[int, int]:
    """Return the pixels of each colour; runs are counted, since masks are nearly nothing else."""
    flat = codes.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(np.append(starts, flat.size))
    found, place = np.unique(flat[starts], return_inverse=True)
    pixels = np.bincount(place, weights=lengths).astype(np.int64)
    return dict(zip(found.tolist(), pixels.tolist(), strict=True))
