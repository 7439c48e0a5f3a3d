"""The pixels inside rectangles and ellipses as Label Studio writes them: in percent of the image, turned by degrees.

A pixel is inside when its centre is. A rectangle is turned about its corner (x, y), an ellipse about its centre (x, y),
both clockwise, on square pixels.
"""

import math
from typing import Any

import numpy as np

from core.data.masks.faults import MaskError
from core.data.masks.runs import Inside
from core.types import FloatArray

_FAR = 400.0  # percent; what lies farther out is a wrong number
_CURE = "draw it again, or remove the annotation"


def inside_rectangle(values: Any, width: int, height: int) -> Inside:  # noqa: ANN401 as the file has it
    """Return the pixels, (H, W) bool, inside {"x", "y", "width", "height", "rotation"}.

    Raises:
        MaskError: these are no numbers of a rectangle.
    """
    x, y, across, down, turn = _numbers(values, ("x", "y", "width", "height", "rotation"))
    along, beside = _turned(x, y, turn, width, height)
    inside: Inside = (along >= 0) & (along < across * width / 100) & (beside >= 0) & (beside < down * height / 100)
    return inside


def inside_ellipse(values: Any, width: int, height: int) -> Inside:  # noqa: ANN401 as the file has it
    """Return the pixels, (H, W) bool, inside {"x", "y", "radiusX", "radiusY", "rotation"}.

    Raises:
        MaskError: these are no numbers of an ellipse.
    """
    x, y, across, down, turn = _numbers(values, ("x", "y", "radiusX", "radiusY", "rotation"))
    along, beside = _turned(x, y, turn, width, height)
    wide, high = across * width / 100, down * height / 100
    if not wide or not high:
        return np.zeros((height, width), dtype=bool)
    inside: Inside = (along / wide) ** 2 + (beside / high) ** 2 <= 1
    return inside


def _turned(x: float, y: float, turn: float, width: int, height: int) -> tuple[FloatArray, FloatArray]:
    """Return how far each pixel's centre lies from (x, y) along the figure's two axes, in pixels, both (H, W)."""
    dx = np.arange(width)[None, :] + 0.5 - x * width / 100
    dy = np.arange(height)[:, None] + 0.5 - y * height / 100
    cosine, sine = (math.cos(math.radians(turn)), math.sin(math.radians(turn))) if turn else (1.0, 0.0)
    return dx * cosine + dy * sine, dy * cosine - dx * sine


def _numbers(values: Any, names: tuple[str, ...]) -> list[float]:  # noqa: ANN401 as the file has it
    found = [values.get(name, 0 if name == "rotation" else None) for name in names]
    for name, value in zip(names, found, strict=True):
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise MaskError("bad figure", f"its {name} is no number", _CURE)
    if max(map(abs, found[:4])) > _FAR or min(found[2:4]) < 0:
        raise MaskError("bad figure", f"it lies far outside of the image, or has a side below 0: {found[:4]}", _CURE)
    return [float(value) for value in found]
