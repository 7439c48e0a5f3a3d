"""Read one mask that is stored as pixels: class ids in a grey or palette file, colours, or a stack of files.

Files are foreign: their size is compared with the image's before anything is decoded, and every value is looked up in
the classes. Nothing is rounded, scaled or guessed in silence.

A stack is one black and white file for each object or class, united by class. Pixels that no file covers are the
background; where two files overlap the later one is on top. Values are 0 and another one; greys of smoothed edges are
cut at 128. A file with more pixels of 1 to 31 than of 255 holds ids, not greys.

Shapes: codes and masks (H, W). Ids in look-up tables are uint16: 65535 is IGNORE, UNKNOWN is not a class.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.images import MaskError
from core.data.masks.colours import IGNORED, UNKNOWN, Code, codes_of, ids_of, text_of
from core.data.masks.files import COLOURED, LOSSY, Survey, grey_values, is_grey, open_mask, palette_of
from core.data.masks.turning import TURNED, UPRIGHT, orientation_of, turn
from core.types import IGNORE, WIDE_IGNORE, Cure, FloatArray, IntArray, mask_dtype

_SHOWN = 6  # values or colours named in a message

Mask = tuple[IntArray, MaskError | None]  # the mask and a warning

_HALF = 128
_LARGEST_ID = 31  # taken for an id beside 255, not for the grey of an edge
_CURE = "write each object or class as its own black and white PNG, in its image's size"


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelCode:
    """Meaning of pixel values in all masks of a source; -1 is IGNORE.

    `values` has only those values whose class id differs from the value itself, or, if `explicit`, all. `ramp` (last
    background, first object): greys between are IGNORE and take precedence over `values`.
    """

    coloured: bool  # classes are given by colours, else by values
    colours: tuple[Code, ...] = ()
    others_ignored: bool = False  # any other colour or value is IGNORE
    values: tuple[tuple[int, int], ...] = ()
    explicit: bool = False
    ramp: tuple[int, int] | None = None
    channel: str = ""  # "alpha": the values are there
    floats: bool = False  # whole numbers may be stored as floats
    turn: bool = False  # a mask of the stored pixels is turned as its photo's EXIF says

    def reference(self, path: str, image: str = "") -> dict[str, Any]:
        """Return a reference to the mask at `path` of the photo at `image`, as JSON values."""
        return {"kind": "pixels", "path": path, "image": image, **asdict(self)}

    @classmethod
    def of(cls, reference: dict[str, Any]) -> "PixelCode":
        """Return the code within a reference."""
        return cls(
            coloured=reference["coloured"],
            colours=tuple((code, number) for code, number in reference["colours"]),
            others_ignored=reference["others_ignored"],
            values=tuple((value, number) for value, number in reference["values"]),
            explicit=reference["explicit"],
            ramp=None if reference["ramp"] is None else (reference["ramp"][0], reference["ramp"][1]),
            channel=reference["channel"],
            floats=reference["floats"],
            turn=reference["turn"],
        )


def read_pixels(reference: dict[str, Any], width: int, height: int, classes: int) -> Mask:
    """Return the mask of a reference, uint8 or uint16 by the number of `classes`, and a warning or None.

    Raises:
        MaskError: the file is missing, damaged, of another size, or has a value of no class.
    """
    path, code = Path(reference["path"]), PixelCode.of(reference)
    turned = orientation_of(reference["image"]) if code.turn else UPRIGHT
    with open_mask(path) as image:
        wanted = (height, width) if turned in TURNED else (width, height)
        if image.size != wanted:
            raise _wrong_size(path, image.size, (width, height), reference["image"])
        if image.format in LOSSY and code.ramp is None:
            raise MaskError(
                "lossy mask",
                f"{path.name}: a mask stored as {image.format} has lost its exact values",
                f"write it again as PNG from its source; black and white ones by {Cure.THRESHOLD_MASKS_HALF}",
            )
        image.load()
        ids, warning = _ids(path.name, image, code, classes)
    if turned != UPRIGHT:
        ids = turn(ids, turned)
    if classes <= IGNORE:
        ids[ids == WIDE_IGNORE] = IGNORE
    return ids.astype(mask_dtype(classes)), warning


def _wrong_size(path: Path, size: tuple[int, int], wanted: tuple[int, int], image: str) -> MaskError:
    if size == (wanted[1], wanted[0]) and orientation_of(image) in TURNED:
        return MaskError(
            "mask not turned",
            f"{path.name}: the photo's EXIF turns it to {wanted[0]} x {wanted[1]} pixels, the mask was drawn on the "
            f"unturned {size[0]} x {size[1]}",
            f"turn the masks with their photos, by {Cure.EXIF_MASKS_TURN}",
        )
    return MaskError(
        "wrong mask size",
        f"{path.name}: the mask has {size[0]} x {size[1]} pixels, its image {wanted[0]} x {wanted[1]}",
        "write the mask again in its image's size, without smoothing",
    )


def _ids(name: str, image: Image.Image, code: PixelCode, classes: int) -> tuple[NDArray[np.uint16], MaskError | None]:
    if code.channel == "alpha" and image.mode in {"RGBA", "LA"}:
        return _of_values(name, np.asarray(image.getchannel("A")), code, classes), None
    values = _whole(name, image) if image.mode == "F" and code.floats else grey_values(image)
    if values is None:
        if image.mode == "F":
            raise MaskError(
                "floating-point mask",
                f"{name}: holds floating-point numbers",
                f"write it as PNG; whole numbers are read with {Cure.FLOAT_MASKS_IDS}",
            )
        if image.mode not in COLOURED:
            raise MaskError("not a mask", f"{name}: images of mode {image.mode} hold no classes", "write it as PNG")
        return _of_colours(name, codes_of(np.asarray(image)), code, classes)
    if image.mode == "P":
        return _of_palette(name, values, palette_of(image), code, classes)
    if code.coloured:
        codes = np.minimum(values, IGNORE).astype(np.uint32) * 0x010101
        found = _ids_of_colours(codes, code)
        if not (found == UNKNOWN).any():
            return found, None  # a colour image with only greys, saved as grey
        return _of_values(name, values, code, classes), _note(
            "ids among colour masks", f"{name}: holds class ids, the other masks colours; the ids are read"
        )
    return _of_values(name, values, code, classes), None


def _whole(name: str, image: Image.Image) -> IntArray:
    values: FloatArray = np.asarray(image)
    if not (values == np.round(values)).all() or values.min() < 0 or values.max() >= UNKNOWN:
        raise MaskError(
            "floating-point mask",
            f"{name}: holds numbers that are not ids",
            "write it again as PNG, with whole numbers",
        )
    return values.astype(np.uint16)


def _of_values(name: str, values: IntArray, code: PixelCode, classes: int) -> NDArray[np.uint16]:
    ids = _table_of_values(values.dtype.itemsize, code, classes)[values]
    if (ids == UNKNOWN).any():
        counts = np.bincount(values[ids == UNKNOWN])
        raise MaskError(
            "ids outside the classes",
            f"{name}: there are {classes} classes (0 to {classes - 1}), but it holds "
            + _list_counts(counts, [str(value) for value in np.nonzero(counts)[0]]),
            f"name all classes, ignore the others with {Cure.UNNAMED_IDS_IGNORE}, or correct the mask",
        )
    return ids


def _of_palette(
    name: str, values: IntArray, palette: IntArray, code: PixelCode, classes: int
) -> tuple[NDArray[np.uint16], MaskError | None]:
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    by_colour = _ids_of_colours(palette[used], code) if code.colours else np.full(len(used), UNKNOWN, np.uint16)
    if code.coloured:
        return _of_colours(name, palette[values], code, classes)
    by_value = _table_of_values(1, code, classes)[used]
    all_known = not (by_colour == UNKNOWN).any()
    if all_known and (by_colour != by_value).any():
        found = np.zeros(256, dtype=np.uint16)
        found[used] = by_colour
        return found[values], _note(
            "palette in another order", f"{name}: its colours and its palette's order disagree; the colours are read"
        )
    return _of_values(name, values, code, classes), None


def _of_colours(
    name: str, codes: IntArray, code: PixelCode, classes: int
) -> tuple[NDArray[np.uint16], MaskError | None]:
    if code.colours:
        ids = _ids_of_colours(codes, code)
        if not (ids == UNKNOWN).any():
            return ids, _doubt(name, ids, code)
    if not code.coloured and is_grey(codes):
        return _of_values(name, (codes & 255).astype(np.uint8), code, classes), _note(
            "ids saved as colours", f"{name}: holds each id three times, as a colour; the ids are read"
        )
    colours, counts = np.unique(codes[ids == UNKNOWN] if code.colours else codes, return_counts=True)
    raise MaskError(
        "colours not in the map",
        f"{name}: no class has " + _list_counts(counts, [text_of(int(colour)) for colour in colours]),
        f"add them to the colour map, choose another, ignore them by {Cure.UNKNOWN_COLOURS_IGNORE}, or correct it"
        if code.coloured
        else "write ids or a palette instead of colours, or choose a colour map",
    )


def _doubt(name: str, ids: IntArray, code: PixelCode) -> MaskError | None:
    if not code.coloured:
        return _note("palette saved as colours", f"{name}: holds colours instead of ids; read by the classes' colours")
    if code.others_ignored and (ids == WIDE_IGNORE).all():
        return _note("no colour of a class", f"{name}: none of its colours is a class, so all of it is ignored")
    return None


def _ids_of_colours(codes: IntArray, code: PixelCode) -> NDArray[np.uint16]:
    ids = ids_of(codes, code.colours)
    if code.others_ignored:
        ids[ids == UNKNOWN] = WIDE_IGNORE
    return ids


@lru_cache(maxsize=4)
def _table_of_values(itemsize: int, code: PixelCode, classes: int) -> NDArray[np.uint16]:
    """Return the class id of every possible value of a file with this number of bytes per pixel."""
    size = 1 << 8 * itemsize
    table = np.full(size, WIDE_IGNORE if code.others_ignored and not code.coloured else UNKNOWN, dtype=np.uint16)
    if code.ramp is not None:
        table[:] = WIDE_IGNORE
        table[: code.ramp[0] + 1] = 0
        table[code.ramp[1] : IGNORE + 1] = 1
        return table
    if not code.explicit:
        table[: min(classes, size)] = np.arange(min(classes, size))
    if classes <= IGNORE:
        table[IGNORE] = WIDE_IGNORE
    table[WIDE_IGNORE:] = WIDE_IGNORE
    for value, number in code.values:
        table[value : value + 1] = WIDE_IGNORE if number == IGNORED else number  # a slice: a byte has no 300
    return table


def _list_counts(counts: IntArray, names: list[str]) -> str:
    """Return a text such as `a (12 pixels), b (3 pixels)`, the most frequent first."""
    counts = counts[counts > 0]
    order = np.argsort(-counts, kind="stable")
    shown = [f"{names[at]} ({int(counts[at]):,} pixels)" for at in order[:_SHOWN]]
    more = f" and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
    return ", ".join(shown) + more


def _note(kind: str, message: str) -> MaskError:
    return MaskError(kind, message, "look at a few of them; write them again as their siblings are, if they are wrong")


def stack(files: list[tuple[int, str]], image: str = "", *, turned: bool = False) -> dict[str, Any]:
    """Return a reference, JSON values: class id and path of each file, and the photo's path."""
    return {"kind": "stack", "files": [list(file) for file in files], "image": image, "turn": turned}


def read_stack(reference: dict[str, Any], width: int, height: int, classes: int) -> Mask:
    """Return the mask of a reference, uint8 or uint16 by the number of `classes`, and a warning or None.

    Raises:
        MaskError: a file is missing, damaged, of another size, or holds more than one object or class.
    """
    orientation = orientation_of(reference["image"]) if reference["turn"] else UPRIGHT
    size = (height, width) if orientation in TURNED else (width, height)
    mask = np.zeros((height, width), dtype=mask_dtype(classes))
    for number, path in reference["files"]:
        inside = _inside(Path(path), size)
        mask[turn(inside, orientation) if orientation != UPRIGHT else inside] = number
    return mask, None


def holds_ids(found: Survey) -> bool:
    """Return whether files with these values hold ids of several classes, not one class in black and white."""
    if found.lossy:
        return False
    if found.kinds["colours"] > found.kinds["values"]:
        return len(found.colour_pixels) > 2  # noqa: PLR2004 outside and inside
    ids = found.values - {0, IGNORE}
    if IGNORE not in found.values:
        return len(ids) > 1
    small = sum(found.value_pixels[number] for number in ids if number <= _LARGEST_ID)
    return bool(ids) and (max(ids) <= _LARGEST_ID or small > found.value_pixels[IGNORE])


def _inside(path: Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    with open_mask(path) as image:
        if image.size != size:
            raise MaskError(
                "wrong mask size",
                f"{path.name}: it has {image.width} x {image.height} pixels, its image {size[0]} x {size[1]}",
                _CURE,
            )
        lossy = image.format in LOSSY  # its black is not 0
        values = grey_values(image.convert("L") if image.mode in COLOURED else image)
        if values is None:
            raise MaskError("not a mask", f"{path.name}: images of mode {image.mode} hold no classes", _CURE)
    pixels = np.bincount(values.ravel(), minlength=IGNORE + 1)
    smoothed = values.max(initial=0) == IGNORE and (lossy or pixels[1 : _LARGEST_ID + 1].sum() <= pixels[IGNORE])
    if smoothed:
        found: NDArray[np.bool_] = values >= _HALF
        return found
    if np.count_nonzero(pixels) > 2:  # noqa: PLR2004 outside and inside
        raise MaskError("several values", f"{path.name}: it holds more than two values", _CURE)
    return values > 0
