"""Planted errors: realistic mistakes put into a right mask, to test and to measure their detection.

Masks are (H, W), uint8 or uint16. An object is a connected part (8-neighbour) of one class that is neither the image's
most frequent class nor much of the image; its surroundings are the most frequent class along its rim. IGNORE pixels
stay IGNORE, and no other pixel becomes IGNORE. The same mask, kind and generator always give the same error.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from core.types import IntArray, Region, ignore_of

_LEAST_PIXELS = 48
_LEAST_SHARE = 1 / 700  # of the image: smaller objects are too small to be seen
_MOST_SHARE = 0.2
_DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
_SQUARE = np.ones((3, 3), np.uint8)


class Planting(StrEnum):
    """Kinds of planted errors."""

    SWAPPED = "swapped"  # the object has the class of something else
    DROPPED = "dropped"  # it has the class of its surroundings, as if overlooked
    SHIFTED = "shifted"  # it lies beside its place
    DILATED = "dilated"  # it reaches far into its surroundings
    MERGED = "merged"  # it and the object next to it are one, of that one's class


@dataclass(frozen=True, slots=True, eq=False)
class _Object:
    """One object of a mask and the pixels that may change."""

    mask: IntArray
    inside: NDArray[np.bool_]  # (H, W)
    free: NDArray[np.bool_]  # (H, W), pixels that may change
    label: int
    around: int  # class of the surroundings
    size: float  # pixels, the root of its area


def plant(mask: IntArray, kind: Planting, random: np.random.Generator, *, classes: int = 0) -> tuple[IntArray, Region]:
    """Return a copy of the mask with one planted error, and its wrong pixels.

    Args:
        mask: the true classes, (H, W).
        kind: of error.
        random: chooses the object and the change.
        classes: number of classes; 0: those in the mask.

    Raises:
        ValueError: the mask has no object that fits this kind of error.
    """
    known = np.arange(classes) if classes else np.unique(mask[mask != ignore_of(mask)])
    for item in _objects(mask, random):
        spoilt = _KINDS[kind](item, known, random)
        wrong = spoilt != mask
        if np.count_nonzero(wrong) >= _least(mask):
            return spoilt, Region.of(wrong)
    raise ValueError(f"this mask has no object that could be {kind}; take one with more in it")


def _least(mask: IntArray) -> float:
    return max(_LEAST_PIXELS, _LEAST_SHARE * mask.size)


def _objects(mask: IntArray, random: np.random.Generator) -> Iterator[_Object]:
    """Yield the mask's objects in a random order."""
    free = mask != ignore_of(mask)
    known, count = np.unique(mask[free], return_counts=True)
    found = []
    for label in known[np.arange(len(known)) != count.argmax()] if len(known) else ():
        _, parts, facts, _ = cv2.connectedComponentsWithStats((mask == label).astype(np.uint8), connectivity=8)
        areas = facts[1:, cv2.CC_STAT_AREA]
        fit = (areas >= _least(mask)) & (areas <= _MOST_SHARE * mask.size)
        found += [(int(label), parts, int(number) + 1) for number in np.flatnonzero(fit)]
    for chosen in random.permutation(len(found)):
        label, parts, number = found[chosen]
        inside = parts == number
        rim = (cv2.dilate(inside.astype(np.uint8), _SQUARE) > 0) & ~inside & free
        if rim.any():
            around = int(np.bincount(mask[rim]).argmax())
            yield _Object(mask, inside, free, label, around, float(np.sqrt(inside.sum())))


def _swap(item: _Object, known: IntArray, random: np.random.Generator) -> IntArray:
    others = known[(known != item.label) & (known != item.around)]
    return _paint(item.mask, item.inside, int(random.choice(others))) if len(others) else item.mask


def _drop(item: _Object, _known: IntArray, _random: np.random.Generator) -> IntArray:
    return _paint(item.mask, item.inside, item.around)


def _shift(item: _Object, _known: IntArray, random: np.random.Generator) -> IntArray:
    """Move it by a quarter to half of its size, at least 6 pixels; pixels outside of the image are lost."""
    distance = max(6.0, random.uniform(0.25, 0.5) * item.size)
    angle = random.uniform(0, 2 * np.pi)
    step = np.array([[1, 0, round(distance * np.cos(angle))], [0, 1, round(distance * np.sin(angle))]], np.float64)
    height, width = item.mask.shape
    moved = cv2.warpAffine(item.inside.astype(np.uint8), step, (width, height), flags=cv2.INTER_NEAREST) > 0
    return _paint(_paint(item.mask, item.inside, item.around), moved & item.free, item.label)


def _dilate(item: _Object, _known: IntArray, random: np.random.Generator) -> IntArray:
    """Grow it on all sides by a sixth to a third of its size, at least 6 pixels."""
    reach = max(6, round(random.uniform(1 / 6, 1 / 3) * item.size))
    return _paint(item.mask, (_distance(item.inside) <= reach) & item.free, item.label)


def _merge(item: _Object, _known: IntArray, _random: np.random.Generator) -> IntArray:
    """Give it the class of the nearest other object, and close the gap to it."""
    other = item.free & (item.mask != item.label) & (item.mask != item.around)
    if not other.any():
        return item.mask
    from_item = _distance(item.inside)
    gap = float(from_item[other].min())
    label = int(item.mask[other & (from_item <= gap)][0])
    between = (from_item + _distance(item.mask == label) <= gap + 2) & (item.mask == item.around)
    bridge = cv2.dilate(between.astype(np.uint8), _DISC, iterations=2) > 0 if gap <= item.size else between & False
    return _paint(item.mask, item.inside | (bridge & (item.mask == item.around)), label)


def _distance(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the distance of every pixel to the nearest true one, (H, W), in pixels."""
    return cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5).astype(np.float32)


def _paint(mask: IntArray, where: NDArray[np.bool_], label: int) -> IntArray:
    changed = mask.copy()
    changed[where] = label
    return changed


_KINDS: Mapping[Planting, Callable[[_Object, IntArray, np.random.Generator], IntArray]] = {
    Planting.SWAPPED: _swap,
    Planting.DROPPED: _drop,
    Planting.SHIFTED: _shift,
    Planting.DILATED: _dilate,
    Planting.MERGED: _merge,
}
