"""Where prediction and given mask of one image differ: the regions worth a look, and those that are a border's wobble.

Masks are (H, W), uint8 or uint16 with IGNORE as `core.types.masks` has it; probabilities (H, W) uint8, round(255 p).
A region is a connected part (8-neighbour) of the differing pixels with one given class X and one predicted class Y.
IGNORE pixels and settled ones belong to none.

Networks and people rarely agree on a border to the pixel, and such slivers would bury the rest. With `boundary` b:

- a region that holds a square of b + 1 pixels is real, and so are all its pixels: an opening, and the reconstruction
  of what survives it. No two masks that are each other's shift by up to b pixels along x and y have such a square;
- a thinner one is wobble if a shift of up to b pixels explains most of it: Y stands that near in the given mask, and X
  in the predicted one. So an overlooked pole is real, though it is thin; one three pixels beside its place is not.

What lies outside the image or is IGNORE may be of any class. All work is on the differing pixels and their runs along
the rows: most pixels agree, and those cost one comparison.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.judge.connected import Runs, parts, regions_of, spread, touching
from core.types import ByteArray, IntArray, Region, ignore_of

BoolArray = NDArray[np.bool_]
_CERTAIN = 255  # a probability of 1
_CLASS_BITS = 16
_LOG = np.log(np.arange(_CERTAIN + 1) + 1.0)  # of 255 p + 1: no probability is quite 0
_MOST = 0.5  # of a thin region's pixels


@dataclass(frozen=True, slots=True, eq=False)
class Suspect:
    """A region and what the models say of it, as means over its pixels."""

    region: Region
    area: int  # pixels
    given: int
    pseudo: int
    confidence: float  # of the predicted class, in [0, 1]
    self_confidence: float  # of the given class
    log_odds: float  # natural logarithm of predicted over given probability, its mean


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """All regions of one image, sorted into three."""

    suspects: list[Suspect]  # top to bottom
    wobble: int  # regions that are a border's
    tiny: int  # regions too small to be looked at


def differing_pixels(given: IntArray, predicted: IntArray) -> IntArray:
    """Return where prediction and given mask differ and something is given, as ascending flat indexes, (P,)."""
    index = np.flatnonzero(given != predicted)
    known: IntArray = index[given.reshape(-1)[index] != ignore_of(given)]
    return known


def find_regions(
    given: IntArray,
    predicted: IntArray,
    confidence: ByteArray,
    given_probability: ByteArray,
    settled: IntArray | None = None,
    *,
    boundary: int,
    least: int,
    differing: IntArray | None = None,
) -> Regions:
    """Return the regions of one image.

    Args:
        given: (H, W) classes, of the same dtype as `predicted`.
        predicted: (H, W) classes.
        confidence: (H, W) of the predicted class.
        given_probability: (H, W) of the given class.
        settled: (H, W), nonzero where people have judged; None: nowhere.
        boundary: pixels, see the module.
        least: pixels; smaller regions are tiny.
        differing: what `differing_pixels` says, where it is known already.
    """
    index = differing_pixels(given, predicted) if differing is None else differing
    if settled is not None:
        index = index[settled.reshape(-1)[index] == 0]
    if not len(index):
        return Regions([], 0, 0)
    runs = _runs(index, given, predicted)
    source, target = touching(runs)
    part = parts(len(runs.y), source, target)
    area = np.bincount(part, weights=runs.end - runs.start).astype(np.int64)
    pair = np.empty(len(area), dtype=np.int64)
    pair[part] = runs.kind
    large = area >= least
    real = _thick(runs, source, target, part, boundary + 1) & large
    for number, region in regions_of(runs, part, large & ~real):
        real[number] = not _is_wobble(region, given, predicted, boundary)
    own, others = (values.reshape(-1)[index] for values in (confidence, given_probability))
    weighed = (own / _CERTAIN, others / _CERTAIN, _LOG[own] - _LOG[others])
    sure, likely, odds = (np.bincount(part, np.add.reduceat(values, runs.first)) / area for values in weighed)
    suspects = [
        Suspect(
            region=region,
            area=int(area[number]),
            given=int(pair[number]) >> _CLASS_BITS,
            pseudo=int(pair[number]) & ((1 << _CLASS_BITS) - 1),
            confidence=float(sure[number]),
            self_confidence=float(likely[number]),
            log_odds=float(odds[number]),
        )
        for number, region in regions_of(runs, part, real)
    ]
    return Regions(suspects, int(large.sum()) - len(suspects), int((~large).sum()))


def _runs(index: IntArray, given: IntArray, predicted: IntArray) -> Runs:
    height, width = given.shape
    pair = given.reshape(-1)[index].astype(np.int64) << _CLASS_BITS
    pair |= predicted.reshape(-1)[index]
    begins = np.empty(len(index), dtype=bool)
    begins[0] = True
    np.not_equal(index[1:], index[:-1] + 1, out=begins[1:])
    begins[1:] |= pair[1:] != pair[:-1]
    rows = np.searchsorted(index, np.arange(1, height) * width)
    begins[rows[rows < len(index)]] = True
    first = np.flatnonzero(begins)
    length = np.diff(first, append=len(index))
    y, start = np.divmod(index[first], width)
    return Runs(y, start, start + length, pair[first], first)


def _thick(runs: Runs, source: IntArray, target: IntArray, part: IntArray, side: int) -> BoolArray:
    """Return which parts hold a square of `side` pixels, (C,): runs that have so many pixels in common, row by row."""
    links = np.bincount(source, minlength=len(part))
    first_link = np.cumsum(links) - links
    last: IntArray = np.flatnonzero(runs.end - runs.start >= side)
    low, high = runs.start[last], runs.end[last]
    for _ in range(side - 1):
        owner, link = spread(first_link[last], links[last])
        last = target[link]
        low, high = np.maximum(low[owner], runs.start[last]), np.minimum(high[owner], runs.end[last])
        wide = high - low >= side
        last, low, high = last[wide], low[wide], high[wide]
    thick = np.zeros(int(part.max()) + 1, dtype=bool)
    thick[part[last]] = True
    return thick


def _is_wobble(region: Region, given: IntArray, predicted: IntArray, boundary: int) -> bool:
    """Whether a shift of both masks' borders by at most `boundary` pixels explains most of a region."""
    left, top, width, height = region.box
    y, x, _ = region.runs[0].tolist()
    rows = slice(max(0, top - boundary), top + height + boundary)
    columns = slice(max(0, left - boundary), left + width + boundary)
    inside = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
    Region(region.runs - np.array([rows.start, columns.start, 0], dtype=np.int32)).paint(inside, 1)
    near_given = _near(given[rows, columns], int(predicted[y, x]), boundary)
    near_predicted = _near(predicted[rows, columns], int(given[y, x]), boundary)
    inside = inside[: near_given.shape[0], : near_given.shape[1]]
    explained = cv2.countNonZero(cv2.bitwise_and(inside, cv2.bitwise_and(near_given, near_predicted)))
    return explained > _MOST * region.area


def _near(mask: IntArray, label: int, reach: int) -> ByteArray:
    """Return 1 where a pixel of the class, of no class or of no image lies at most `reach` pixels away, else 0."""
    may = ((mask == label) | (mask == ignore_of(mask))).astype(np.uint8)
    box = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
    return cv2.dilate(may, box, borderType=cv2.BORDER_CONSTANT, borderValue=1).astype(np.uint8, copy=False)
