"""What a round says of one image after the other: merged votes, suspicious regions, proposed ones, a score, counts.

In an image that came with a mask IGNORE was meant. In one that came without, what is still IGNORE and was judged by
nobody is to be labelled: there regions are proposed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from core.config import RoundConfig
from core.data.canvases import read_mask
from core.data.masks.store import MaskStore
from core.data.predictions import CERTAIN, Predictions, read_predictions
from core.data.snapshot import Masks, Snapshot
from core.data.votes import Votes
from core.judge import mask_scoring
from core.judge.mask_metrics import Tallies, Tally
from core.judge.regions import Suspect, differing_pixels, find_regions
from core.judge.unlabelled_regions import propose_regions
from core.judge.votes import merged
from core.types import (
    EVERY_FOLD,
    ByteArray,
    DatasetError,
    FindingKind,
    FloatArray,
    IntArray,
    Region,
    RoundError,
    ignore_of,
)


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
    """What it takes to judge a round's images, each by itself."""

    folder: Path
    config: RoundConfig
    snapshot: Snapshot
    masks: Masks
    store: MaskStore
    votes: Sequence[Votes]  # of the folds, on images that all predicted; none where they are merged
    shared: frozenset[int]  # the rows of these
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
    for place, row in enumerate(rows):
        if judged.stopped.is_set():
            break
        if row in judged.shared and judged.votes:
            _merge(judged, predictions, row)
        if judged.masks.labels[row] or judged.masks.is_bare(row):
            found, scores[place] = _judge_image(judged, predictions, row, tally)
            findings += found
    return rows, findings, scores


def _merge(judged: MaskRound, predictions: Predictions, row: int) -> None:
    """Write what all folds say of an image together; a judging that is done again writes the same."""
    predicted, confidence, given_probability = predictions.of(row)
    predicted[:], confidence[:] = merged([one.of(row) for one in judged.votes])
    given_probability[:] = CERTAIN


def _judge_image(
    judged: MaskRound, predictions: Predictions, row: int, tally: Tally
) -> tuple[list[RegionFinding], float]:
    given, settled = _read(judged, row)
    predicted, confidence, likely = predictions.of(row)
    fold = EVERY_FOLD if row in judged.shared else int(predictions.fold[row])
    found: list[tuple[FindingKind, Suspect]] = []
    score = 1.0
    if judged.masks.labels[row]:
        suspects, score = weigh_image(
            given, settled, predicted, confidence, likely, config=judged.config, fold=fold, tally=tally
        )
        found += [(FindingKind.SUSPICIOUS, one) for one in suspects]
    if judged.masks.is_bare(row):
        unlabelled = _still_open(given, settled, predicted)
        tally.count_unlabelled(unlabelled, confidence)
        proposed = propose_regions(unlabelled, confidence, judged.config.min_region)
        found += [(FindingKind.UNLABELLED, one) for one in proposed]
    return [_finding(row, kind, fold, one) for kind, one in found], score


def _still_open(given: IntArray, settled: IntArray | None, predicted: IntArray) -> IntArray:
    """Return the prediction where nothing is given and nobody judged, IGNORE elsewhere, (H, W)."""
    closed = given != ignore_of(given)
    if settled is not None:
        closed |= settled != 0
    unlabelled = predicted.copy()
    unlabelled[closed] = ignore_of(predicted)
    return unlabelled


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


def weigh_image(
    given: IntArray,
    settled: IntArray | None,
    predicted: IntArray,
    confidence: ByteArray,
    given_probability: ByteArray,
    *,
    config: RoundConfig,
    fold: int,
    tally: Tally,
) -> tuple[list[Suspect], float]:
    """Return one image's suspicious regions and its score; what else there is to count goes into `tally`.

    Args:
        given: (H, W) classes.
        settled: (H, W), nonzero where people have judged; None: nowhere.
        predicted: (H, W) classes.
        confidence: (H, W) of the predicted class, round(255 p).
        given_probability: (H, W) of the given class.
        config: of the round.
        fold: the one that predicted the image.
        tally: of this or any other images.
    """
    differing = differing_pixels(given, predicted)
    regions = find_regions(
        given,
        predicted,
        confidence,
        given_probability,
        settled,
        boundary=config.boundary,
        least=config.min_region,
        differing=differing,
    )
    inner = mask_scoring.inner_pixels(given, config.boundary)
    if settled is not None:
        inner[settled != 0] = 0
    tally.count_confusion(fold, given, predicted, differing)
    every, right = mask_scoring.agreement_by_confidence(confidence, inner, differing)
    tally.count_agreement(every, right)
    tally.count_likely(given, given_probability)
    tally.count_classes(given, predicted, confidence)
    tally.wobble += regions.wobble
    tally.tiny += regions.tiny
    return regions.suspects, mask_scoring.softmin_score(
        mask_scoring.given_histogram(right, given_probability, inner, differing)
    )


def _read(judged: MaskRound, row: int) -> tuple[IntArray, IntArray | None]:
    """Return an image's given mask and the pixels people have judged, or None for these."""
    height, width = judged.masks.sizes[row].tolist()
    try:  # without a mask: all IGNORE
        given = read_mask(judged.store, judged.masks.labels[row], height, width, len(judged.snapshot.classes))
        settled = judged.store.get(judged.masks.settled[row]) if judged.masks.settled[row] else None
    except DatasetError as error:
        raise RoundError(f"{judged.snapshot.paths[row]}: {error}") from error
    if settled is not None and settled.shape != given.shape:
        raise RoundError(f"{judged.snapshot.paths[row]}: what was judged of it has another size; start a new round")
    return given, settled
