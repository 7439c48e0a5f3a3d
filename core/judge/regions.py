"""Regions of an image to review: suspicious ones, where given and predicted mask differ, and proposed ones.

A suspicious region is a connected part (8-neighbour) of the differing pixels with one given class X and one predicted
class Y, without IGNORE and settled pixels (`find_regions`).

Networks and people rarely agree on a border to the pixel, and such slivers would bury the rest. With `boundary` b:

- a region that holds a square of b + 1 pixels is suspicious, with all its pixels: an opening, and the reconstruction of
  what remains. No two masks that are each other's shift by up to b pixels along x and y have such a square;
- a thinner one is a boundary difference if a shift of up to b pixels explains most of it: Y is given, and X predicted,
  within b pixels. So an overlooked pole is suspicious, though it is thin; one drawn three pixels off is not.

Pixels outside the image and IGNORE pixels may be of any class. All work is on the differing pixels and their runs along
the rows: most pixels agree, and cost one comparison. Several images are laid out on one sheet, one below the other with
a free row between and a free column at the side, and searched at once, since for small images the overhead of each step
exceeds its work, and threads would wait for each other.

A proposed region is a connected part of the unlabelled pixels of one predicted class (`propose_regions`). Nothing is
given, so there are no boundary differences. Pixels of regions below the least area stay IGNORE, as do those that are
predicted as IGNORE; accepting a region paints it and no other pixel.

Connected parts are found from runs: R runs in reading order, C parts. Two runs touch where one lies in the row below
the other, side by side or diagonally; only runs of one kind are joined. Work and memory grow with the number of runs,
not with that of kinds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from core.judge.differing_pixels import DifferingPixels, MaskPair, differing_pixels
from core.types import EVERY_FOLD, NO_LABEL, ByteArray, FindingKind, IntArray, Region, ignore_of

BoolArray = NDArray[np.bool_]
_CERTAIN = 255  # a probability of 1
_CLASS_BITS = 16
_LOG = np.log(np.arange(_CERTAIN + 1) + 1.0)  # of 255 p + 1, which is never 0
_MOST = 0.5  # of a thin region's pixels
_UNLABELLED_CONFIDENCE = 1.0  # p(given) where nothing is given, as of images without a class


@dataclass(frozen=True, slots=True, eq=False)
class RegionFinding:
    """Region to review; probabilities are means over its pixels, in [0, 1]."""

    region: Region
    area: int  # pixels
    given: int  # `NO_LABEL` if proposed
    pseudo: int
    confidence: float  # of the predicted class
    self_confidence: float  # of the given class
    log_odds: float  # natural logarithm of predicted over given probability, its mean
    row: int = 0  # its image in the snapshot
    fold: int = EVERY_FOLD  # whose model predicted it

    @property
    def kind(self) -> FindingKind:
        """Return suspicious or unlabelled."""
        return FindingKind.UNLABELLED if self.given == NO_LABEL else FindingKind.SUSPICIOUS

    @property
    def margin(self) -> float:
        """Return (p(given) - p(pseudo) + 1) / 2; 1 if nothing is given."""
        return 1.0 if self.given == NO_LABEL else (self.self_confidence - self.confidence + 1) / 2

    @property
    def likeliest(self) -> list[list[float]]:
        """Return the predicted class and the given one, if there is one, as [class, probability]."""
        classes = [self.pseudo] if self.given == NO_LABEL else [self.pseudo, self.given]
        return [
            [int(one), round(float(p), 6)]
            for one, p in zip(classes, (self.confidence, self.self_confidence), strict=False)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Suspicious regions of one image, and the numbers of the others."""

    suspects: list[RegionFinding]  # top to bottom
    at_boundary: int  # boundary differences
    tiny: int  # regions too small to be reviewed


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Pixels as runs of one kind along the rows, in reading order; every column is (R,)."""

    y: IntArray
    start: IntArray  # x of the first pixel
    end: IntArray  # x behind the last one
    kind: IntArray


def find_regions(
    pairs: Sequence[MaskPair], *, boundary: int, least: int, differing: DifferingPixels | None = None
) -> list[Regions]:
    """Return the regions of each image.

    Args:
        pairs: at least one image's masks.
        boundary: pixels, see the module.
        least: pixels; smaller regions are tiny.
        differing: `differing_pixels` of the images, where they are known already.
    """
    if differing is None:
        differing = differing_pixels([pair.given for pair in pairs], [pair.predicted for pair in pairs])
    open_ones = _unsettled(differing, pairs)
    if not len(open_ones):
        return [Regions([], 0, 0) for _ in pairs]
    runs, top = _runs(open_ones, pairs)
    source, target = touching_runs(runs)
    part = connected_parts(len(runs.y), source, target)
    area = np.bincount(part, weights=runs.end - runs.start).astype(np.int64)
    large = area >= least
    real = _thick(runs, source, target, part, boundary + 1) & large
    image = np.empty(len(area), dtype=np.int64)
    image[part] = own_image = np.searchsorted(top, runs.y, "right") - 1
    runs = replace(runs, y=runs.y - top[own_image])
    for number, region in regions_of(runs, part, large & ~real):
        pair = pairs[int(image[number])]
        real[number] = not _is_boundary_difference(region, pair.given, pair.predicted, boundary)
    found = [
        Regions([], at_boundary, tiny)
        for at_boundary, tiny in zip(*_count_left_out(image, large, real, len(pairs)), strict=True)
    ]
    for number, suspect in _suspects(runs, part, real, area=area, pixels=open_ones, pairs=pairs):
        found[int(image[number])].suspects.append(suspect)
    return found


def propose_regions(predicted: IntArray, confidence: ByteArray, least: int) -> list[RegionFinding]:
    """Return the proposed regions of one image, top to bottom, with `given` NO_LABEL and their mean confidence.

    Args:
        predicted: (H, W) classes; where it is IGNORE nothing is proposed.
        confidence: (H, W) of the predicted class, round(255 p).
        least: pixels; smaller regions are left out.
    """
    runs, sure = _class_runs(predicted, confidence)
    if not len(runs.y):
        return []
    part = connected_parts(len(runs.y), *touching_runs(runs))
    area = np.bincount(part, weights=runs.end - runs.start).astype(np.int64)
    mean = np.bincount(part, weights=sure) / (area * _CERTAIN)
    label = np.empty(len(area), dtype=np.int64)
    label[part] = runs.kind
    return [
        RegionFinding(
            region=region,
            area=int(area[number]),
            given=NO_LABEL,
            pseudo=int(label[number]),
            confidence=float(mean[number]),
            self_confidence=_UNLABELLED_CONFIDENCE,
            log_odds=0.0,
        )
        for number, region in regions_of(runs, part, area >= least)
    ]


def regions_of(runs: Runs, part: IntArray, chosen: NDArray[np.bool_]) -> Iterator[tuple[int, Region]]:
    """Yield the number and the region of each chosen part, (C,); all regions are views of one table, to save memory."""
    taken = np.flatnonzero(chosen[part])
    taken = taken[np.argsort(part[taken], kind="stable")]
    start = runs.start[taken]
    table = np.stack([runs.y[taken], start, runs.end[taken] - start], axis=1).astype(np.int32)
    numbers, first = np.unique(part[taken], return_index=True)
    for number, (begin, end) in zip(numbers.tolist(), pairwise([*first.tolist(), len(taken)]), strict=True):
        yield number, Region(table[begin:end])


def touching_runs(runs: Runs) -> tuple[IntArray, IntArray]:
    """Return the pairs of runs of one kind, (E,) and (E,), that touch from one row to the next."""
    step = int(runs.end.max()) + 2  # wider than any row, so that no run touches one of another row
    at, below = runs.y * step, (runs.y + 1) * step
    low = np.searchsorted(at + runs.end, below + runs.start, "left")
    high = np.searchsorted(at + runs.start, below + runs.end, "right")
    source, target = expand_ranges(low, np.maximum(high - low, 0))
    same = runs.kind[source] == runs.kind[target]
    return source[same], target[same]


def expand_ranges(first: IntArray, count: IntArray) -> tuple[IntArray, IntArray]:
    """Return the range that each number is of, and the number, for ranges of `count` numbers from `first` on."""
    owner = np.repeat(np.arange(len(first)), count)
    return owner, np.arange(len(owner)) + np.repeat(first - (np.cumsum(count) - count), count)


def connected_parts(count: int, source: IntArray, target: IntArray) -> IntArray:
    """Return the connected part of each run, (R,), numbered from 0 on in reading order."""
    links = coo_array((np.ones(len(source), np.int8), (source, target)), (count, count))
    _, part = connected_components(links, directed=False)
    return part.astype(np.int64)


def _unsettled(differing: DifferingPixels, pairs: Sequence[MaskPair]) -> DifferingPixels:
    """Return the pixels without a verdict."""
    if all(pair.settled is None for pair in pairs):
        return differing
    settled = [np.zeros(pair.given.shape, np.uint8) if pair.settled is None else pair.settled for pair in pairs]
    return differing.where(differing.values_of(settled) == 0)


def _runs(pixels: DifferingPixels, pairs: Sequence[MaskPair]) -> tuple[Runs, IntArray]:
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


def _count_left_out(image: IntArray, large: BoolArray, real: BoolArray, images: int) -> tuple[list[int], list[int]]:
    """Return the numbers of boundary differences and of tiny regions of each image."""
    at_boundary, tiny = (np.bincount(image[chosen], minlength=images).tolist() for chosen in (large & ~real, ~large))
    return at_boundary, tiny


def _suspects(
    runs: Runs, part: IntArray, real: BoolArray, *, area: IntArray, pixels: DifferingPixels, pairs: Sequence[MaskPair]
) -> Iterator[tuple[int, RegionFinding]]:
    """Yield the number and the region of each suspicious part."""
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
            RegionFinding(
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
    """Return True for parts that hold a square of `side` pixels, (C,): runs that overlap by so many, row by row."""
    links = np.bincount(source, minlength=len(part))
    first_link = np.cumsum(links) - links
    last: IntArray = np.flatnonzero(runs.end - runs.start >= side)
    low, high = runs.start[last], runs.end[last]
    for _ in range(side - 1):
        owner, link = expand_ranges(first_link[last], links[last])
        last = target[link]
        low, high = np.maximum(low[owner], runs.start[last]), np.minimum(high[owner], runs.end[last])
        wide = high - low >= side
        last, low, high = last[wide], low[wide], high[wide]
    thick = np.zeros(int(part.max()) + 1, dtype=bool)
    thick[part[last]] = True
    return thick


def _is_boundary_difference(region: Region, given: IntArray, predicted: IntArray, boundary: int) -> bool:
    """Return True if a shift of the borders by at most `boundary` pixels explains most of a region."""
    left, top, width, height = region.box
    y, x, _ = region.runs[0].tolist()
    rows = slice(max(0, top - boundary), top + height + boundary)
    columns = slice(max(0, left - boundary), left + width + boundary)
    inside = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
    Region(region.runs - np.array([rows.start, columns.start, 0], dtype=np.int32)).paint(inside, 1)
    near_given = _near_class(given[rows, columns], int(predicted[y, x]), boundary)
    near_predicted = _near_class(predicted[rows, columns], int(given[y, x]), boundary)
    inside = inside[: near_given.shape[0], : near_given.shape[1]]
    explained = cv2.countNonZero(cv2.bitwise_and(inside, cv2.bitwise_and(near_given, near_predicted)))
    return explained > _MOST * region.area


def _near_class(mask: IntArray, label: int, reach: int) -> ByteArray:
    """Return 1 within `reach` pixels of the class, of IGNORE or of the image's edge, else 0."""
    may = ((mask == label) | (mask == ignore_of(mask))).astype(np.uint8)
    box = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
    return cv2.dilate(may, box, borderType=cv2.BORDER_CONSTANT, borderValue=1).astype(np.uint8, copy=False)


def _class_runs(predicted: IntArray, confidence: ByteArray) -> tuple[Runs, IntArray]:
    """Return the runs of one class, R of them, and the sum of confidence along each, (R,)."""
    begins = np.empty(predicted.shape, dtype=bool)
    begins[:, 0] = True
    np.not_equal(predicted[:, 1:], predicted[:, :-1], out=begins[:, 1:])
    first: IntArray = np.flatnonzero(begins)
    length = np.diff(first, append=predicted.size)
    sure = np.add.reduceat(confidence.reshape(-1), first, dtype=np.int64)
    kind = predicted.reshape(-1)[first].astype(np.int64)
    known = kind != ignore_of(predicted)
    first, length = first[known], length[known]
    y, start = np.divmod(first, predicted.shape[1])
    return Runs(y, start, start + length, kind[known]), sure[known]
