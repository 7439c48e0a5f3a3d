"""Greys of 10 to 16 bits as bytes: a range of their values (a *window*) becomes 0 to 255, values outside are clipped.

Files of 16 bits often hold 10 or 12 bits; by the full range of 16 bits they would be nearly black, with few levels
left. All images of a dataset have the same window, so they stay comparable. Images of 8 bits have none.
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
_MOST_SHARE = 0.5  # of the 16 bits: data that uses more of them needs no window
_TAIL = 1e-4  # of the pixels, clipped at each end: dead pixels and markers in the image


def parse_window(text: str) -> Window | None:
    """Return the window written as `0-4095`; None for `full` and an empty text.

    Raises:
        DatasetError: the text is not a window.
    """
    if text in ("", FULL):
        return None
    low, _, high = text.partition("-")
    if low.strip().isdecimal() and high.strip().isdecimal() and int(low) < int(high) <= _LARGEST:
        return int(low), int(high)
    raise DatasetError(f"{text} is not a range of greys", f"write two values from 0 to 65535, as in 0-4095, or {FULL}")


def from_pair(pair: Sequence[int] | None) -> Window | None:
    """Return the window of two values from JSON or an array, None for None."""
    if pair is None:
        return None
    low, high = pair
    return low, high


def window_option(options: Mapping[str, Any]) -> Window | None:
    """Return the window in the options of a dataset; None for the full range of greys."""
    return parse_window(options.get("window", FULL))


def window_text(window: Window | None) -> str:
    """Return a window as text, such as `0-4095`."""
    return FULL if window is None else f"{window[0]}-{window[1]}"


def apply_window(values: NDArray[Any], window: Window) -> ByteArray:
    """Return integers as bytes, (H, W) each: the window's ends become 0 and 255."""
    low, high = window
    span = high - low
    inside = np.clip(values, low, high).astype(np.int64) - low
    scaled: ByteArray = ((inside * 255 + span // 2) // span).astype(np.uint8)
    return scaled


def survey_window(counts: Sequence[IntArray]) -> Window | None:
    """Return the window for images with these histograms, (65536,) each; None if they use the range of 16 bits."""
    if not counts:
        return None
    total = np.sum(counts, axis=0).cumsum()
    low, high = (int(np.searchsorted(total, total[-1] * share)) for share in (_TAIL, 1 - _TAIL))
    return (low, high) if low < high <= low + _MOST_SHARE * _LARGEST else None
