"""Judgement of masks image by image: merged votes, suspicious regions, proposed ones, a score, counts.

In an image that came with a mask IGNORE was meant. In one that came without, IGNORE pixels without a verdict are
unlabelled: there regions are proposed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from core.config import RoundConfig
from core.data.masks.store import MaskStore
from core.data.predictions import CERTAIN, Predictions, read_predictions
from core.data.snapshot import BoolArray, Masks, Snapshot
from core.data.votes import Votes
from core.judge import mask_scoring
from core.judge.differing import MaskPair, differing_pixels
from core.judge.regions import Suspect, find_regions
from core.judge.still_open import given_and_settled, still_open
from core.judge.tallies import Tallies, Tally
from core.judge.unlabelled_regions import propose_regions
from core.judge.votes import merged
from core.types import (
    EVERY_FOLD,
    ByteArray,
    FindingKind,
    FloatArray,
    IntArray,
    Region,
)

_PIXELS_AT_ONCE = 1_000_000  # small images are weighed together: fewer, longer steps, and threads that do not wait


@dataclass(frozen=True, slots=True, eq=False)
class RegionFinding:
    """One region; probabilities are means over its pixels, in [0, 1]."""

    row: int  # of the snapshot
    kind: FindingKind  # suspicious, or unlabelled
    given: int
    pseudo: int
    confidence: float
    self_confidence: float
    margin: float  # (p(given) - p(pseudo) + 1) / 2
    log_odds: float  # of p(pseudo) over p(given)
    fold: int
    region: Region

    @property
    def likeliest(self) -> list[list[float]]:
        """Return the classes it may be of as [class, probability]: the predicted and, if there is one, the given."""
        classes = [self.pseudo] if self.kind is FindingKind.UNLABELLED else [self.pseudo, self.given]
        return [
            [int(one), round(float(p), 6)]
            for one, p in zip(classes, (self.confidence, self.self_confidence), strict=False)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class MaskRound:
    """Inputs for judging each of a round's images by itself."""

    folder: Path
    config: RoundConfig
    snapshot: Snapshot
    masks: Masks
    store: MaskStore
    votes: Sequence[Votes]  # of the folds, on images that all predicted; none where they are merged
    shared: frozenset[int]  # the rows of these
    decides: BoolArray  # (N,) whose labels may be learnt from
    stopped: Event
    tallies: Tallies


JudgedPart = tuple[range, list[RegionFinding], FloatArray]  # rows, their findings and scores


def judge_chunk(judged: MaskRound, rows: range) -> JudgedPart:
    """Judge some images; whatever is left when the round was stopped is left out."""
    # maps of its own, gone with the chunk
    predictions = read_predictions(judged.folder, judged.masks.sizes, writing=bool(judged.votes))
    tally = judged.tallies.mine()
    findings: list[RegionFinding] = []
    scores = np.ones(len(rows))
    asked = [row for row in rows if judged.masks.labels[row] or judged.masks.is_bare(row)]
    for batch in batches(asked, judged.masks.sizes):
        if judged.stopped.is_set():
            break
        pairs = [(row, _opened(judged, predictions, row)) for row in batch]
        labelled = [(row, pair) for row, pair in pairs if judged.masks.labels[row]]
        weighed = weigh_images([pair for _, pair in labelled], judged.config, tally) if labelled else []
        for (row, pair), (suspects, score) in zip(labelled, weighed, strict=True):
            findings += [_finding(row, FindingKind.SUSPICIOUS, pair.fold, one) for one in suspects]
            scores[row - rows.start] = score
        for row, pair in pairs:
            if judged.masks.is_bare(row):
                findings += _proposed(row, pair, judged.config, tally)
    return rows, findings, scores


def batches(rows: Sequence[int], sizes: IntArray) -> Iterator[list[int]]:
    """Yield the rows in groups that are weighed at once; `sizes` are (N, 2) height, width."""
    batch: list[int] = []
    pixels = 0
    for row in rows:
        batch.append(row)
        pixels += int(sizes[row].prod())
        if pixels >= _PIXELS_AT_ONCE:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _opened(judged: MaskRound, predictions: Predictions, row: int) -> MaskPair:
    """Return one image's masks; what all folds predicted is put together first."""
    if row in judged.shared and judged.votes:
        _merge(judged, predictions, row)
    given, settled = given_and_settled(judged.snapshot, judged.masks, judged.store, row)
    fold = EVERY_FOLD if row in judged.shared else int(predictions.fold[row])
    return MaskPair(given, *predictions.of(row), settled, fold, bool(judged.decides[row]))


def _merge(judged: MaskRound, predictions: Predictions, row: int) -> None:
    """Write what all folds say of an image together; a judging that is done again writes the same."""
    predicted, confidence, given_probability = predictions.of(row)
    predicted[:], confidence[:] = merged([one.of(row) for one in judged.votes])
    given_probability[:] = CERTAIN


def _proposed(row: int, pair: MaskPair, config: RoundConfig, tally: Tally) -> list[RegionFinding]:
    """Return the regions proposed where an image has no label yet."""
    unlabelled = still_open(pair.predicted, pair.given, pair.settled)
    tally.count_unlabelled(unlabelled, pair.confidence)
    proposed = propose_regions(unlabelled, pair.confidence, config.min_region)
    return [_finding(row, FindingKind.UNLABELLED, pair.fold, one) for one in proposed]


def _finding(row: int, kind: FindingKind, fold: int, one: Suspect) -> RegionFinding:
    unlabelled = kind is FindingKind.UNLABELLED
    return RegionFinding(
        row=row,
        kind=kind,
        given=one.given,
        pseudo=one.pseudo,
        confidence=one.confidence,
        self_confidence=one.self_confidence,
        margin=1.0 if unlabelled else (one.self_confidence - one.confidence + 1) / 2,
        log_odds=one.log_odds,
        fold=fold,
        region=one.region,
    )


def weigh_images(pairs: Sequence[MaskPair], config: RoundConfig, tally: Tally) -> list[tuple[list[Suspect], float]]:
    """Return each image's suspicious regions and its score; what else there is to count goes into `tally`."""
    differing = differing_pixels([pair.given for pair in pairs], [pair.predicted for pair in pairs])
    found = find_regions(pairs, boundary=config.boundary, least=config.min_region, differing=differing)
    tally.count_pixels(pairs, differing)
    inner = [_inner_pixels(pair, config.boundary) for pair in pairs]
    counted = differing.where(differing.values_of(inner) != 0)
    confidence = [pair.confidence for pair in pairs]
    every, right = mask_scoring.agreement_by_confidence(confidence, inner, counted)
    tally.count_agreement(pairs, every, right)
    likely = mask_scoring.given_histograms(right, [pair.given_probability for pair in pairs], counted)
    tally.wobble += sum(one.wobble for one in found)
    tally.tiny += sum(one.tiny for one in found)
    return [(one.suspects, mask_scoring.softmin_score(row)) for one, row in zip(found, likely, strict=True)]


def _inner_pixels(pair: MaskPair, boundary: int) -> ByteArray:
    """Return the pixels away from borders and without a verdict as nonzero, (H, W)."""
    inner = mask_scoring.inner_pixels(pair.given, boundary)
    if pair.settled is not None:
        inner[pair.settled != 0] = 0
    return inner
