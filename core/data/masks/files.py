"""Untrusted mask files: open them, read their values, colours and palette, and survey many of them.

A survey counts the values and colours of mask files, in pixels and files, and interprets nothing. A file that cannot be
decoded is skipped; it is reported when it is read. A `MaskError` is the problem of one mask, collected so that the
others are still read.

Shapes: values and codes (H, W).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from core.data.children import cores
from core.data.images import MaskError
from core.data.masks.colours import UNKNOWN, codes_of, text_of
from core.data.store import local
from core.types import WIDE_IGNORE, FloatArray, IntArray

FORMATS = ("PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG", "PPM", "TGA")
_GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}
COLOURED = {"RGB", "RGBA", "RGBX", "RGBa"}
LOSSY = {"JPEG"}

_COPY_AGAIN = "copy it again from its source, or remove it"
_MOST_COLOURS = 1_024  # counted at most; a photograph has more


@contextmanager
def open_mask(path: Path) -> Iterator[Image.Image]:
    """Open a mask's file; any exception of a decoder becomes a MaskError.

    Raises:
        MaskError: it cannot be opened, or, later, decoded.
        StorageError: it lies in a bucket, and the store cannot be used.
    """
    found = local(path)
    try:
        with found.open("rb") as file:
            yield Image.open(file, formats=FORMATS)
    except MaskError:
        raise
    except FileNotFoundError as error:
        raise MaskError("missing mask", f"{path.name}: there is no such file", "put it back") from error
    except PermissionError as error:
        raise MaskError("unreadable mask", f"{path.name}: {error.strerror}", "give this user its rights") from error
    except Image.DecompressionBombError as error:
        raise MaskError("mask too large", f"{path.name}: {error}", "write it again in its image's size") from error
    except UnidentifiedImageError as error:  # its text names an object of Python
        what = "it is empty" if found.stat().st_size == 0 else "it is not an image"
        raise MaskError("corrupt mask", f"{path.name}: {what}", _COPY_AGAIN) from error
    except Exception as error:  # decoders raise anything on damaged files
        raise MaskError(
            "corrupt mask",
            f"{path.name}: it cannot be decoded ({type(error).__name__}: {error})",
            _COPY_AGAIN,
        ) from error


def grey_values(image: Image.Image) -> IntArray | None:
    """Return the values of a grey or palette file, (H, W) uint8 or uint16; None if it stores colours."""
    if image.mode == "P":
        return np.asarray(image)
    if image.mode not in _GREY:
        return None
    values = np.asarray(image.getchannel(0) if image.mode == "LA" else image)
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.itemsize > 2:  # noqa: PLR2004 two bytes hold every id there can be
        return np.where((values < 0) | (values > WIDE_IGNORE), UNKNOWN, values).astype(np.uint16)
    return values if values.dtype == np.uint8 else values.astype(np.uint16)


def palette_of(image: Image.Image) -> IntArray:
    """Return the colour code of each palette index, (256,); missing ones are black."""
    codes = np.zeros(256, dtype=np.uint32)
    stored = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    codes[: len(stored)] = codes_of(stored)
    return codes


def is_grey(codes: IntArray) -> bool:
    """Return whether red, green and blue are equal in all these colour codes."""
    return bool(((codes & 255) * 0x010101 == codes).all())


@dataclass(slots=True)
class Survey:
    """Counts of pixels and files by value or colour code, and of files by kind."""

    files: int = 0
    kinds: Counter[str] = field(default_factory=lambda: Counter(values=0, colours=0))
    value_pixels: Counter[int] = field(default_factory=Counter)
    value_files: Counter[int] = field(default_factory=Counter)
    colour_pixels: Counter[int] = field(default_factory=Counter)
    colour_files: Counter[int] = field(default_factory=Counter)
    alpha: set[int] = field(default_factory=set)  # values of the files; empty if any file has none
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
        """Return whether all files have one common colour, and differ only in their alpha."""
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
    """Return the survey of these files, read on all cores.

    Colours that are all grey are values stored three times, unless `grey_is_colour`; they are counted if `thrice`.
    `channel` "alpha" reads that one.
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
        with open_mask(Path(path)) as image:
            image.load()
            return _survey_image(image, grey_is_colour=grey_is_colour, thrice=thrice, channel=channel)
    except MaskError:
        return None


def _survey_image(image: Image.Image, *, grey_is_colour: bool, thrice: bool, channel: str) -> _File:
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
    """Return the pixels of each colour, counted by runs, of which masks consist."""
    flat = codes.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(np.append(starts, flat.size))
    found, place = np.unique(flat[starts], return_inverse=True)
    pixels = np.bincount(place, weights=lengths).astype(np.int64)
    return dict(zip(found.tolist(), pixels.tolist(), strict=True))
