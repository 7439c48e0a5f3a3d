"""Read one mask that is written as shapes: polygons, COCO's run lengths, Label Studio's brush.

The shapes are painted in the order of the file, so where two overlap the later one is on top. A mask with one bad
shape is not read at all: half a mask would be a wrong label that nobody sees.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pycocotools import mask as coco

from core.data.masks.colours import IGNORED
from core.data.masks.faults import MaskError
from core.data.masks.figures import inside_ellipse, inside_rectangle
from core.data.masks.pixels import Mask
from core.data.masks.runs import Inside, decode_brush, decode_coco
from core.types import ignore_of, mask_dtype

FIGURES: Mapping[str, Callable[[Any, int, int], Inside]] = {"rectangle": inside_rectangle, "ellipse": inside_ellipse}
_FEWEST = 6  # numbers: three corners
_FAR = 4  # times the image's longer side; what lies farther out is a wrong number


def segments(where: str, base: int, shapes: list[list[Any]], size: Any = None) -> dict[str, Any]:  # noqa: ANN401
    """Return a reference, JSON values.

    `where` names file and image in messages, `base` is the class of pixels no shape covers (-1: IGNORE), each shape
    [class id, what it is, its values]: "rle" {"size", "counts"}, "polygons" [[x, y, x, y, ...], ...] in pixels,
    "percent" [[x, y], ...] of width and height, "rectangle" and "ellipse" (see `figures`), "brush" {"size", "rle"},
    "fault" [kind, message, cure] for one that could not be listed. A size is [height, width]; `size` is the image's as
    the file says it, None: it does not.
    """
    return {"kind": "segments", "where": where, "base": base, "shapes": shapes, "size": size}


def read_segments(reference: dict[str, Any], width: int, height: int, classes: int) -> Mask:
    """Return the mask of a reference, uint8 or uint16 as `classes` ask for; nothing else deserves a look.

    Raises:
        MaskError: a shape is damaged, or of another size.
    """
    if reference["size"] not in (None, [height, width]):
        raise _wrong_size(f"{reference['where']}: the mask", reference["size"], width, height)
    mask = np.zeros((height, width), dtype=mask_dtype(classes))
    mask[:] = ignore_of(mask) if reference["base"] == IGNORED else reference["base"]
    for number, (label, what, values) in enumerate(reference["shapes"], start=1):
        try:
            mask[_inside(what, values, width, height)] = label
        except MaskError as error:
            message = f"{reference['where']}, shape {number}: {error}"
            raise MaskError(error.kind, message, error.cure) from error
    return mask, None


def _inside(what: str, values: Any, width: int, height: int) -> Inside:  # noqa: ANN401 as the file has it
    if what == "polygons":
        return _drawn([_corners(polygon, width, height) for polygon in values], width, height)
    if what == "percent":
        if not isinstance(values, list):
            raise MaskError("bad polygon", "it has no points", "draw it again, or remove the annotation")
        points = [(x * width / 100, y * height / 100) for x, y in map(_pair, values)]
        return _drawn([_corners([number for point in points for number in point], width, height)], width, height)
    if what in FIGURES:
        return FIGURES[what](values, width, height)
    if what == "fault":
        raise MaskError(*values)
    if values.get("size") != [height, width]:
        raise _wrong_size("it", values.get("size"), width, height)
    if what == "rle":
        return decode_coco(values.get("counts"), height, width)
    return decode_brush(values.get("rle"), height, width)


def _drawn(polygons: list[list[float]], width: int, height: int) -> Inside:
    if not polygons:
        raise MaskError("bad polygon", "it has no polygon", "draw it again, or remove the annotation")
    drawn = coco.merge(coco.frPyObjects(polygons, height, width))
    return decode_coco(drawn["counts"].decode("ascii"), height, width)


def _corners(polygon: Any, width: int, height: int) -> list[float]:  # noqa: ANN401 as the file has it
    """Return the polygon's numbers once they can be drawn."""
    cure = "draw it again, or remove the annotation"
    if not isinstance(polygon, list) or not all(map(_is_number, polygon)):
        raise MaskError("bad polygon", "a polygon is a list of numbers x, y, x, y, ...; it is not", cure)
    if len(polygon) < _FEWEST or len(polygon) % 2:
        raise MaskError("bad polygon", f"{len(polygon)} numbers make no polygon of at least three corners", cure)
    if max(map(abs, polygon)) > _FAR * max(width, height):
        raise MaskError("bad polygon", f"a corner lies far outside of the {width} x {height} pixels", cure)
    return [float(number) for number in polygon]


def _pair(point: Any) -> tuple[float, float]:  # noqa: ANN401 as the file has it
    if not isinstance(point, list) or len(point) != 2 or not all(map(_is_number, point)):  # noqa: PLR2004 x and y
        raise MaskError("bad polygon", "a corner is a pair of numbers; one is not", "draw it again, or remove it")
    return point[0], point[1]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _wrong_size(what: str, size: Any, width: int, height: int) -> MaskError:  # noqa: ANN401 as the file has it
    drawn = f"{size[1]} x {size[0]}" if isinstance(size, list) and len(size) == 2 else str(size)[:40]  # noqa: PLR2004
    return MaskError(
        "wrong mask size",
        f"{what} was drawn on {drawn} pixels, the image has {width} x {height}",
        "put the image it was drawn on there, or draw it again",
    )
