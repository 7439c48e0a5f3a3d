"""Greys of 10 to 16 bits as bytes: a range of their values (a *window*) becomes 0 to 255, what is beyond is cut.

Files of 16 bits often hold 10 or 12 bits; by the full range of 16 bits they would be nearly black, with few levels
left. One window holds for all images of a dataset, so they stay comparable. Images of 8 bits have none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.types import ByteArray, DatasetError, IntArray

Window = tuple[int, int]  # the values that become black and white

FULL = "full"  # the whole range of 16 bits
_LARGEST = 65_535
FULL_RANGE: Window = (0, _LARGEST)
_MOST_SHARE = 0.5  # of the 16 bits: data that takes more of them needs no window
_TAIL = 1e-4  # of the pixels at each end that are cut: dead pixels and markers set into the image


def parse_window(text: str) -> Window | None:
    """Return the window that people write as `0-4095`; None for `full` and nothing.

    Raises:
        DatasetError: it is none.
    """
    if text in ("", FULL):
        return None
    low, _, high = text.partition("-")
    if low.strip().isdecimal() and high.strip().isdecimal() and int(low) < int(high) <= _LARGEST:
        return int(low), int(high)
    raise DatasetError(f"{text} is no range of greys; write two values from 0 to 65535, as in 0-4095, or {FULL}")


def from_pair(pair: Sequence[int] | None) -> Window | None:
    """Return the window that JSON or an array holds as two values, None for None."""
    if pair is None:
        return None
    low, high = pair
    return low, high


def in_options(options: Mapping[str, Any]) -> Window | None:
    """Return the window among the options of a dataset; without one its greys are seen by their full range."""
    return parse_window(options.get("window", FULL))


def written(window: Window | None) -> str:
    """Return a window as people write it."""
    return FULL if window is None else f"{window[0]}-{window[1]}"


def applied(values: NDArray[Any], window: Window) -> ByteArray:
    """Return whole numbers as bytes, (H, W) each: the window's ends become 0 and 255."""
    low, high = window
    span = high - low
    inside = np.clip(values, low, high).astype(np.int64) - low
    scaled: ByteArray = ((inside * 255 + span // 2) // span).astype(np.uint8)
    return scaled


def survey_window(counts: Sequence[IntArray]) -> Window | None:
    """Return the window for images with these histograms, (65536,) each; None where they use the range of 16 bits."""
    if not counts:
        return None
    total = np.sum(counts, axis=0).cumsum()
    low, high = (int(np.searchsorted(total, total[-1] * share)) for share in (_TAIL, 1 - _TAIL))
    return (low, high) if low < high <= low + _MOST_SHARE * _LARGEST else None
