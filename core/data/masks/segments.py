"""Read one mask that is written as shapes: polygons, run lengths of COCO, brush and figures of Label Studio.

Shapes are painted in the order of the file, so where two overlap the later one is on top. A polygon of one or two
corners has no area: it is left out and counted. A mask with any other bad shape is not read at all: half a mask would
be an unnoticed wrong label.

A pixel is inside a figure when its centre is. Figures are in percent of the image. A rectangle is turned about
its corner (x, y), an ellipse about its centre (x, y), both clockwise, on square pixels.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pycocotools import mask as coco

from core.data.images import MaskError
from core.data.masks.colours import IGNORED
from core.data.masks.pixels import Mask
from core.data.masks.runs import Inside, decode_brush, decode_coco
from core.data.masks.turning import TURNED, UPRIGHT, orientation_of, turn
from core.types import Cure, FloatArray, ignore_of, mask_dtype

_FEWEST = 6  # numbers: three corners
_FAR = 4  # times the image's longer side; numbers beyond are wrong
_FARTHEST_PERCENT = 400.0  # numbers beyond are wrong
_CURE = "draw it again, or remove the annotation"


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

    `where` names file and image in messages, `base` is the class of uncovered pixels (-1: IGNORE), each shape
    [class id or -1, kind, values]: "rle" {"size", "counts"}, "polygons" [[x, y, x, y, ...], ...] in pixels,
    "percent" [[x, y], ...] of width and height, "rectangle" and "ellipse" (see `FIGURES`), "brush" {"size", "rle"},
    "fault" [kind, message, cure] for one that could not be listed. A size is [height, width]; `size` is that of the
    image in the file, None if missing. `turned`: the shapes are on the stored pixels of the photo at `image`.
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
    """Return the mask of a reference, uint8 or uint16 by the number of `classes`, and a warning for omitted shapes.

    Raises:
        MaskError: a shape is damaged, or of another size.
    """
    orientation = orientation_of(reference["image"]) if reference["turn"] else UPRIGHT
    if orientation in TURNED:
        width, height = height, width
    size = _whole(reference["size"])
    if size not in (None, [height, width]):
        if size == [width, height] and orientation_of(reference["image"]) in TURNED:
            raise _turning_error(reference["where"], width, height)
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
    """Return the pixels of a shape, None if it has no area."""
    if what == "polygons":
        polygons = [values] if values and all(map(_is_number, values)) else values
        return _fill_polygons([_corners(polygon, width, height) for polygon in polygons], width, height)
    if what == "percent":
        if not isinstance(values, list):
            raise MaskError("bad polygon", "it has no points", "draw it again, or remove the annotation")
        points = [(x * width / 100, y * height / 100) for x, y in map(_pair, values)]
        return _fill_polygons(
            [_corners([number for point in points for number in point], width, height)], width, height
        )
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
    """Return a size as integers, also if written as text or with a decimal point."""
    if not isinstance(size, list):
        return size
    return [int(side) if isinstance(side, str) and side.isascii() and side.isdigit() else side for side in size]


def _fill_polygons(polygons: list[list[float]], width: int, height: int) -> Inside | None:
    """Return the pixels inside any of the polygons with an area, None if none has one."""
    if not polygons:
        raise MaskError("bad polygon", "it has no polygon", "draw it again, or remove the annotation")
    polygons = [polygon for polygon in polygons if len(polygon) >= _FEWEST]
    if not polygons:
        return None
    merged = coco.merge(coco.frPyObjects(polygons, height, width))
    return decode_coco(merged["counts"].decode("ascii"), height, width)


def _corners(polygon: Any, width: int, height: int) -> list[float]:  # noqa: ANN401 as the file has it
    """Return the polygon's numbers after checking them, if there are enough of them."""
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


def _turning_error(where: str, width: int, height: int) -> MaskError:
    return MaskError(
        "mask not turned",
        f"{where}: the photo's EXIF turns it to {width} x {height} pixels, the mask was drawn on the unturned "
        f"{height} x {width}",
        f"turn the masks with their photos, by {Cure.EXIF_MASKS_TURN}",
    )


def _wrong_size(what: str, size: Any, width: int, height: int) -> MaskError:  # noqa: ANN401 as the file has it
    shown_size = f"{size[1]} x {size[0]}" if isinstance(size, list) and len(size) == 2 else str(size)[:40]  # noqa: PLR2004
    return MaskError(
        "wrong mask size",
        f"{what} was drawn on {shown_size} pixels, the image has {width} x {height}",
        "put the image it was drawn on there, or draw it again",
    )


def inside_rectangle(values: Any, width: int, height: int) -> Inside:  # noqa: ANN401 as the file has it
    """Return the pixels, (H, W) bool, inside {"x", "y", "width", "height", "rotation"}.

    Raises:
        MaskError: a number is missing or invalid.
    """
    x, y, across, down, turn = _numbers(values, ("x", "y", "width", "height", "rotation"))
    along, over = _axis_offsets(x, y, turn, width, height)
    inside: Inside = (along >= 0) & (along < across * width / 100) & (over >= 0) & (over < down * height / 100)
    return inside


def inside_ellipse(values: Any, width: int, height: int) -> Inside:  # noqa: ANN401 as the file has it
    """Return the pixels, (H, W) bool, inside {"x", "y", "radiusX", "radiusY", "rotation"}.

    Raises:
        MaskError: a number is missing or invalid.
    """
    x, y, across, down, turn = _numbers(values, ("x", "y", "radiusX", "radiusY", "rotation"))
    along, over = _axis_offsets(x, y, turn, width, height)
    wide, high = across * width / 100, down * height / 100
    if not wide or not high:
        return np.zeros((height, width), dtype=bool)
    inside: Inside = (along / wide) ** 2 + (over / high) ** 2 <= 1
    return inside


def _axis_offsets(x: float, y: float, turn: float, width: int, height: int) -> tuple[FloatArray, FloatArray]:
    """Return each pixel's offset from (x, y) along the figure's two axes, in pixels, both (H, W)."""
    dx = np.arange(width)[None, :] + 0.5 - x * width / 100
    dy = np.arange(height)[:, None] + 0.5 - y * height / 100
    cosine, sine = (math.cos(math.radians(turn)), math.sin(math.radians(turn))) if turn else (1.0, 0.0)
    return dx * cosine + dy * sine, dy * cosine - dx * sine


def _numbers(values: Any, names: tuple[str, ...]) -> list[float]:  # noqa: ANN401 as the file has it
    found = [values.get(name, 0 if name == "rotation" else None) for name in names]
    for name, value in zip(names, found, strict=True):
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise MaskError("bad figure", f"its {name} is not a number", _CURE)
    if max(map(abs, found[:4])) > _FARTHEST_PERCENT or min(found[2:4]) < 0:
        raise MaskError("bad figure", f"it lies far outside of the image, or has a side below 0: {found[:4]}", _CURE)
    return [float(value) for value in found]


FIGURES: Mapping[str, Callable[[Any, int, int], Inside]] = {"rectangle": inside_rectangle, "ellipse": inside_ellipse}
