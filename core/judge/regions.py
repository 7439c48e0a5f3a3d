"""Differences between prediction and given mask of an image: regions to review, and those that are a border's wobble.

A region is a connected part (8-neighbour) of the differing pixels with one given class X and one predicted class Y.
IGNORE pixels and settled ones belong to none.

Networks and people rarely agree on a border to the pixel, and such slivers would bury the rest. With `boundary` b:

- a region that holds a square of b + 1 pixels is real, and so are all its pixels: an opening, and the reconstruction
  of what survives it. No two masks that are each other's shift by up to b pixels along x and y have such a square;
- a thinner one is wobble if a shift of up to b pixels explains most of it: Y stands that near in the given mask, and X
  in the predicted one. So an overlooked pole is real, though it is thin; one three pixels beside its place is not.

What lies outside the image or is IGNORE may be of any class. All work is on the differing pixels and their runs along
the rows: most pixels agree, and those cost one comparison. Several images are laid out on one sheet, one below the
other with a free row between and a free column at the side, and searched at once: of small ones each step would take
longer to begin than to do, and threads would wait for each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from core.judge.connected import Runs, parts, regions_of, spread, touching
from core.judge.differing import Differing, MaskPair, differing_pixels
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


def find_regions(
    pairs: Sequence[MaskPair], *, boundary: int, least: int, differing: Differing | None = None
) -> list[Regions]:
    """Return the regions of each image.

    Args:
        pairs: at least one image's masks.
        boundary: pixels, see the module.
        least: pixels; smaller regions are tiny.
        differing: what `differing_pixels` says of the images, where it is known already.
    """
    if differing is None:
        differing = differing_pixels([pair.given for pair in pairs], [pair.predicted for pair in pairs])
    open_ones = _unsettled(differing, pairs)
    if not len(open_ones):
        return [Regions([], 0, 0) for _ in pairs]
    runs, top = _runs(open_ones, pairs)
    source, target = touching(runs)
    part = parts(len(runs.y), source, target)
    area = np.bincount(part, weights=runs.end - runs.start).astype(np.int64)
    large = area >= least
    real = _thick(runs, source, target, part, boundary + 1) & large
    image = np.empty(len(area), dtype=np.int64)
    image[part] = own_image = np.searchsorted(top, runs.y, "right") - 1
    runs = replace(runs, y=runs.y - top[own_image])
    for number, region in regions_of(runs, part, large & ~real):
        pair = pairs[int(image[number])]
        real[number] = not _is_wobble(region, pair.given, pair.predicted, boundary)
    found = [Regions([], wobble, tiny) for wobble, tiny in zip(*_left_out(image, large, real, len(pairs)), strict=True)]
    for number, suspect in _suspects(runs, part, real, area=area, pixels=open_ones, pairs=pairs):
        found[int(image[number])].suspects.append(suspect)
    return found


def _unsettled(differing: Differing, pairs: Sequence[MaskPair]) -> Differing:
    """Return the pixels without a verdict."""
    if all(pair.settled is None for pair in pairs):
        return differing
    settled = [np.zeros(pair.given.shape, np.uint8) if pair.settled is None else pair.settled for pair in pairs]
    return differing.where(differing.values_of(settled) == 0)


def _runs(pixels: Differing, pairs: Sequence[MaskPair]) -> tuple[Runs, IntArray]:
    """Return the runs of all images on one sheet, and the row where each image begins, (I,)."""
    heights, widths = np.array([pair.given.shape for pair in pairs]).T
    top, pitch = np.cumsum(heights + 1) - (heights + 1), int(widths.max()) + 1
    place = np.empty(len(pixels), dtype=np.int64)
    for begin, end, row, width in zip(pixels.bounds[:-1], pixels.bounds[1:], top, widths.tolist(), strict=True):
        index = pixels.index[begin:end]
        place[begin:end] = index + index // width * (pitch - width) + row * pitch
    kind = pixels.given.astype(np.uint32) << _CLASS_BITS | pixels.predicted
    begins = np.empty(len(place), dtype=bool)
    begins[0] = True
    np.not_equal(place[1:], place[:-1] + 1, out=begins[1:])
    begins[1:] |= kind[1:] != kind[:-1]
    first = np.flatnonzero(begins)
    y, start = np.divmod(place[first], pitch)
    return Runs(y, start, start + np.diff(first, append=len(place)), kind[first]), top


def _left_out(image: IntArray, large: BoolArray, real: BoolArray, images: int) -> tuple[list[int], list[int]]:
    """Return each image's number of regions that are wobble, and of those that are tiny."""
    wobble, tiny = (np.bincount(image[chosen], minlength=images).tolist() for chosen in (large & ~real, ~large))
    return wobble, tiny


def _suspects(
    runs: Runs, part: IntArray, real: BoolArray, *, area: IntArray, pixels: Differing, pairs: Sequence[MaskPair]
) -> Iterator[tuple[int, Suspect]]:
    """Yield each real part and what the models say of it."""
    taken, length = real[part], runs.end - runs.start
    inside, of = np.repeat(taken, length), np.repeat(part[taken], length[taken])
    own = pixels.values_of([pair.confidence for pair in pairs])[inside]
    others = pixels.values_of([pair.given_probability for pair in pairs])[inside]
    weighed = (own / _CERTAIN, others / _CERTAIN, _LOG[own] - _LOG[others])
    sure, likely, odds = (np.bincount(of, values, len(area)) / area for values in weighed)
    kind = np.empty(len(area), dtype=np.int64)
    kind[part] = runs.kind
    for number, region in regions_of(runs, part, real):
        yield (
            number,
            Suspect(
                region=region,
                area=int(area[number]),
                given=int(kind[number]) >> _CLASS_BITS,
                pseudo=int(kind[number]) & ((1 << _CLASS_BITS) - 1),
                confidence=float(sure[number]),
                self_confidence=float(likely[number]),
                log_odds=float(odds[number]),
            ),
        )


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
    """Return whether a shift of both masks' borders by at most `boundary` pixels explains most of a region."""
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
