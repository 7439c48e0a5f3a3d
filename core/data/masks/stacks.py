"""Read one mask that lies in several files: one for each object or class, black and white, united by class.

Pixels that no file covers are the background. Where two files overlap the later one is on top. Values are 0 and another
one; greys of smoothed edges are cut at 128.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.masks.faults import MaskError
from core.data.masks.files import COLOURED, grey_values, opened
from core.data.masks.pixels import Mask
from core.data.masks.turning import TURNED, UPRIGHT, orientation_of, turn
from core.types import IGNORE, mask_dtype

_HALF = 128
_CURE = "write each object or class as its own black and white PNG, in its image's size"


def stack(files: list[tuple[int, str]], image: str = "", *, turned: bool = False) -> dict[str, Any]:
    """Return a reference, JSON values: class id and path of each file, and the photo's path."""
    return {"kind": "stack", "files": [list(file) for file in files], "image": image, "turn": turned}


def read_stack(reference: dict[str, Any], width: int, height: int, classes: int) -> Mask:
    """Return the mask of a reference, uint8 or uint16 as `classes` ask for, and what deserves a look.

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


def _inside(path: Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    with opened(path) as image:
        if image.size != size:
            raise MaskError(
                "wrong mask size",
                f"{path.name}: it has {image.width} x {image.height} pixels, its image {size[0]} x {size[1]}",
                _CURE,
            )
        values = grey_values(image.convert("L") if image.mode in COLOURED else image)
        if values is None:
            raise MaskError("not a mask", f"{path.name}: images of mode {image.mode} hold no classes", _CURE)
    if values.max(initial=0) == IGNORE:
        found: NDArray[np.bool_] = values >= _HALF
        return found
    if len(np.flatnonzero(np.bincount(values.ravel()))) > 2:  # noqa: PLR2004 outside and inside
        raise MaskError("several values", f"{path.name}: it holds more than two values", _CURE)
    return values > 0
