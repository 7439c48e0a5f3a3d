"""Read one mask that lies in several files: one for each object or class, black and white, united by class.

Pixels that no file covers are the background. Where two files overlap the later one is on top. Values are 0 and another
one; greys of smoothed edges are cut at 128. A file with more pixels of 1 to 31 than of 255 holds ids, not greys.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.masks.faults import MaskError
from core.data.masks.files import COLOURED, LOSSY, grey_values, opened
from core.data.masks.pixels import Mask
from core.data.masks.survey import Survey
from core.data.masks.turning import TURNED, UPRIGHT, orientation_of, turn
from core.types import IGNORE, mask_dtype

_HALF = 128
_LARGEST_ID = 31  # taken for an id beside 255, not for the grey of an edge
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


def holds_ids(found: Survey) -> bool:
    """Whether files with these values hold the ids of several classes, not one class in black and white."""
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
    with opened(path) as image:
        if image.size != size:
            raise MaskError(
                "wrong mask size",
                f"{path.name}: it has {image.width} x {image.height} pixels, its image {size[0]} x {size[1]}",
                _CURE,
            )
        lossy = image.format in LOSSY  # its black is no 0
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
