"""Read one mask that is an image: class ids in grey or palette files, or one colour for each class.

Files are foreign: their size is compared with the image's before anything is decoded, and what is written in them is
looked up, value by value, in the classes. Nothing is rounded, scaled or guessed in silence.

Shapes: codes and masks (H, W). Ids in look-up tables are uint16: 65535 is IGNORE, UNKNOWN is no class.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.masks.colours import IGNORED, UNKNOWN, Code, codes_of, ids_of, text_of
from core.data.masks.faults import MaskError
from core.data.masks.files import COLOURED, LOSSY, grey_values, is_grey, opened, palette_of
from core.data.masks.turning import TURNED, UPRIGHT, orientation_of, turn
from core.types import IGNORE, WIDE_IGNORE, FloatArray, IntArray, mask_dtype

_SHOWN = 6  # values or colours named in a message

Mask = tuple[IntArray, MaskError | None]  # the mask and what deserves a look


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelCode:
    """What pixel values mean, one for all masks of a source; -1 is IGNORE.

    `values` names only those values whose class id is another number than the value itself, or, where `explicit`, all.
    `ramp` (last background, first object): greys between are IGNORE, whatever `values` says.
    """

    coloured: bool  # colours say the class; else values do
    colours: tuple[Code, ...] = ()
    others_ignored: bool = False  # any other colour or value is IGNORE
    values: tuple[tuple[int, int], ...] = ()
    explicit: bool = False
    ramp: tuple[int, int] | None = None
    channel: str = ""  # "alpha": the values are there
    floats: bool = False  # whole numbers may be stored as floats
    turn: bool = False  # a mask of the stored pixels is turned as its photo's EXIF says

    def reference(self, path: str, image: str = "") -> dict[str, Any]:
        """Return how the mask at `path` of the photo at `image` is read, as JSON values."""
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
    """Return the mask of a reference, uint8 or uint16 as `classes` ask for, and what deserves a look.

    Raises:
        MaskError: the file is missing, damaged, of another size, or holds what is no class.
    """
    path, code = Path(reference["path"]), PixelCode.of(reference)
    turned = orientation_of(reference["image"]) if code.turn else UPRIGHT
    with opened(path) as image:
        wanted = (height, width) if turned in TURNED else (width, height)
        if image.size != wanted:
            raise _wrong_size(path, image.size, (width, height), reference["image"])
        if image.format in LOSSY and code.ramp is None:
            raise MaskError(
                "lossy mask",
                f"{path.name}: a mask stored as {image.format} has lost its exact values",
                "write it again as PNG from its source; black and white ones are read with --threshold-masks half",
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
            "turn the masks with their photos (--exif-masks turn)",
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
                "write it as PNG; whole numbers are read with --float-masks ids",
            )
        if image.mode not in COLOURED:
            raise MaskError("not a mask", f"{name}: images of mode {image.mode} hold no classes", "write it as PNG")
        return _of_colours(name, codes_of(np.asarray(image)), code, classes)
    if image.mode == "P":
        return _of_palette(name, values, palette_of(image), code, classes)
    if code.coloured:
        codes = np.minimum(values, IGNORE).astype(np.uint32) * 0x010101
        found = _coloured(codes, code)
        if not (found == UNKNOWN).any():
            return found, None  # a colour image with nothing but grey in it, saved as grey
        return _of_values(name, values, code, classes), _note(
            "ids among colour masks", f"{name}: holds class ids, the other masks colours; the ids are read"
        )
    return _of_values(name, values, code, classes), None


def _whole(name: str, image: Image.Image) -> IntArray:
    values: FloatArray = np.asarray(image)
    if not (values == np.round(values)).all() or values.min() < 0 or values.max() >= UNKNOWN:
        raise MaskError(
            "floating-point mask", f"{name}: holds numbers that are no ids", "write it again as PNG, with whole numbers"
        )
    return values.astype(np.uint16)


def _of_values(name: str, values: IntArray, code: PixelCode, classes: int) -> NDArray[np.uint16]:
    ids = _table_of_values(values.dtype.itemsize, code, classes)[values]
    if (ids == UNKNOWN).any():
        counts = np.bincount(values[ids == UNKNOWN])
        raise MaskError(
            "ids outside the classes",
            f"{name}: there are {classes} classes (0 to {classes - 1}), but it holds "
            + _listed(counts, [str(value) for value in np.nonzero(counts)[0]]),
            "name all classes, ignore the others (--unnamed-ids ignore), or correct the mask",
        )
    return ids


def _of_palette(
    name: str, values: IntArray, palette: IntArray, code: PixelCode, classes: int
) -> tuple[NDArray[np.uint16], MaskError | None]:
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    by_colour = _coloured(palette[used], code) if code.colours else np.full(len(used), UNKNOWN, np.uint16)
    if code.coloured:
        return _of_colours(name, palette[values], code, classes)
    by_value = _table_of_values(1, code, classes)[used]
    named = not (by_colour == UNKNOWN).any()
    if named and (by_colour != by_value).any():
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
        ids = _coloured(codes, code)
        if not (ids == UNKNOWN).any():
            return ids, _doubt(name, ids, code)
    if not code.coloured and is_grey(codes):
        return _of_values(name, (codes & 255).astype(np.uint8), code, classes), _note(
            "ids saved as colours", f"{name}: holds each id three times, as a colour; the ids are read"
        )
    colours, counts = np.unique(codes[ids == UNKNOWN] if code.colours else codes, return_counts=True)
    raise MaskError(
        "colours not in the map",
        f"{name}: no class has " + _listed(counts, [text_of(int(colour)) for colour in colours]),
        "add them to the colour map, choose another map, ignore their pixels (--unknown-colours ignore), or correct it"
        if code.coloured
        else "write ids or a palette instead of colours, or choose a colour map",
    )


def _doubt(name: str, ids: IntArray, code: PixelCode) -> MaskError | None:
    if not code.coloured:
        return _note("palette saved as colours", f"{name}: holds colours instead of ids; read by the classes' colours")
    if code.others_ignored and (ids == WIDE_IGNORE).all():
        return _note("no colour of a class", f"{name}: none of its colours is a class, so all of it is ignored")
    return None


def _coloured(codes: IntArray, code: PixelCode) -> NDArray[np.uint16]:
    ids = ids_of(codes, code.colours)
    if code.others_ignored:
        ids[ids == UNKNOWN] = WIDE_IGNORE
    return ids


@lru_cache(maxsize=4)
def _table_of_values(itemsize: int, code: PixelCode, classes: int) -> NDArray[np.uint16]:
    """Return the class id of every value a file of so many bytes a pixel can hold."""
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


def _listed(counts: IntArray, names: list[str]) -> str:
    """Return `a (12 pixels), b (3 pixels)`, the most frequent first."""
    counts = counts[counts > 0]
    order = np.argsort(-counts, kind="stable")
    shown = [f"{names[at]} ({int(counts[at]):,} pixels)" for at in order[:_SHOWN]]
    more = f" and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
    return ", ".join(shown) + more


def _note(kind: str, message: str) -> MaskError:
    return MaskError(kind, message, "look at a few of them; write them again as their siblings are, if they are wrong")
