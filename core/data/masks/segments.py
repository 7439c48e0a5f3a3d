"""Read one mask that is written as shapes: polygons, COCO's run lengths, Label Studio's brush.

The shapes are painted in the order of the file, so where two overlap the later one is on top. A polygon of one or two
corners has no area: it is left out and counted. A mask with any other bad shape is not read at all: half a mask would
be a wrong label that nobody sees.
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
from core.data.masks.turning import TURNED, UPRIGHT, orientation_of, turn
from core.types import ignore_of, mask_dtype

FIGURES: Mapping[str, Callable[[Any, int, int], Inside]] = {"rectangle": inside_rectangle, "ellipse": inside_ellipse}
_FEWEST = 6  # numbers: three corners
_FAR = 4  # times the image's longer side; what lies farther out is a wrong number


def segments(
    where: str,
    base: int,
    shapes: list[list[Any]],
    size: Any = None,  # noqa: ANN401 as the file has it
    image: str = "",
    *,
    turned: bool = False,
) -> dict[str, Any]:
    """Return a reference, JSON values.

    `where` names file and image in messages, `base` is the class of pixels no shape covers (-1: IGNORE), each shape
    [class id or -1, kind, values]: "rle" {"size", "counts"}, "polygons" [[x, y, x, y, ...], ...] in pixels,
    "percent" [[x, y], ...] of width and height, "rectangle" and "ellipse" (see `figures`), "brush" {"size", "rle"},
    "fault" [kind, message, cure] for one that could not be listed. A size is [height, width]; `size` is the image's as
    the file says it, None: it does not. `turned`: the shapes lie on the stored pixels of the photo at `image`.
    """
    return {
        "kind": "segments",
        "where": where,
        "base": base,
        "shapes": shapes,
        "size": size,
        "image": image,
        "turn": turned,
    }


def read_segments(reference: dict[str, Any], width: int, height: int, classes: int) -> Mask:
    """Return the mask of a reference, uint8 or uint16 as `classes` ask for, and how many shapes were left out.

    Raises:
        MaskError: a shape is damaged, or of another size.
    """
    orientation = orientation_of(reference["image"]) if reference["turn"] else UPRIGHT
    if orientation in TURNED:
        width, height = height, width
    size = _whole(reference["size"])
    if size not in (None, [height, width]):
        if size == [width, height] and orientation_of(reference["image"]) in TURNED:
            raise _not_turned(reference["where"], width, height)
        raise _wrong_size(f"{reference['where']}: the mask", size, width, height)
    mask = np.zeros((height, width), dtype=mask_dtype(classes))
    ignored = ignore_of(mask)
    mask[:] = ignored if reference["base"] == IGNORED else reference["base"]
    left_out = 0
    for number, (label, what, values) in enumerate(reference["shapes"], start=1):
        try:
            inside = _inside(what, values, width, height)
        except MaskError as error:
            message = f"{reference['where']}, shape {number}: {error}"
            raise MaskError(error.kind, message, error.cure) from error
        if inside is None:
            left_out += 1
        else:
            mask[inside] = ignored if label == IGNORED else label
    if orientation != UPRIGHT:
        mask = turn(mask, orientation)
    return mask, _left_out(reference["where"], left_out)


def _left_out(where: str, count: int) -> MaskError | None:
    if not count:
        return None
    several = "1 polygon has" if count == 1 else f"{count:,} polygons have"
    return MaskError(
        "shape left out",
        f"{where}: {several} fewer than three corners, so no area; left out",
        "nothing, or finish drawing it",
    )


def _inside(what: str, values: Any, width: int, height: int) -> Inside | None:  # noqa: ANN401 as the file has it
    """Return the pixels of a shape; None: it has no area."""
    if what == "polygons":
        polygons = [values] if values and all(map(_is_number, values)) else values
        return _drawn([_corners(polygon, width, height) for polygon in polygons], width, height)
    if what == "percent":
        if not isinstance(values, list):
            raise MaskError("bad polygon", "it has no points", "draw it again, or remove the annotation")
        points = [(x * width / 100, y * height / 100) for x, y in map(_pair, values)]
        return _drawn([_corners([number for point in points for number in point], width, height)], width, height)
    if what in FIGURES:
        return FIGURES[what](values, width, height)
    if what == "fault":
        raise MaskError(*values)
    size = _whole(values.get("size"))
    if size != [height, width]:
        raise _wrong_size("it", size, width, height)
    if what == "rle":
        return decode_coco(values.get("counts"), height, width)
    return decode_brush(values.get("rle"), height, width)


def _whole(size: Any) -> Any:  # noqa: ANN401 as the file has it
    """Return a size with numbers that are written as text or with a point as whole ones."""
    if not isinstance(size, list):
        return size
    return [int(side) if isinstance(side, str) and side.isascii() and side.isdigit() else side for side in size]


def _drawn(polygons: list[list[float]], width: int, height: int) -> Inside | None:
    """Return the pixels inside any of the polygons that have an area; None: none has."""
    if not polygons:
        raise MaskError("bad polygon", "it has no polygon", "draw it again, or remove the annotation")
    polygons = [polygon for polygon in polygons if len(polygon) >= _FEWEST]
    if not polygons:
        return None
    drawn = coco.merge(coco.frPyObjects(polygons, height, width))
    return decode_coco(drawn["counts"].decode("ascii"), height, width)


def _corners(polygon: Any, width: int, height: int) -> list[float]:  # noqa: ANN401 as the file has it
    """Return the polygon's numbers once they can be drawn, if there are enough of them."""
    cure = "draw it again, or remove the annotation"
    if not isinstance(polygon, list) or not all(map(_is_number, polygon)):
        raise MaskError("bad polygon", "a polygon is a list of numbers x, y, x, y, ...; it is not", cure)
    if not polygon or len(polygon) % 2:
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


def _not_turned(where: str, width: int, height: int) -> MaskError:
    return MaskError(
        "mask not turned",
        f"{where}: the photo's EXIF turns it to {width} x {height} pixels, the mask was drawn on the unturned "
        f"{height} x {width}",
        "turn the masks with their photos (--exif-masks turn)",
    )


def _wrong_size(what: str, size: Any, width: int, height: int) -> MaskError:  # noqa: ANN401 as the file has it
    drawn = f"{size[1]} x {size[0]}" if isinstance(size, list) and len(size) == 2 else str(size)[:40]  # noqa: PLR2004
    return MaskError(
        "wrong mask size",
        f"{what} was drawn on {drawn} pixels, the image has {width} x {height}",
        "put the image it was drawn on there, or draw it again",
    )
