"""What a round says of the masks it opened with: suspicious regions, the worst first, and the round's figures.

Everything is read image by image from the folds' files (`core.data.predictions`), on all cores, and forgotten again:
memory does not grow with the number of images, but for the findings themselves. N samples in the snapshot's order.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from core.config import RoundConfig
from core.data.canvases import read_mask
from core.data.children import cores
from core.data.masks.store import MaskStore
from core.data.predictions import Predictions, read_predictions
from core.data.snapshot import Masks, Snapshot
from core.data.storage import atomic_path
from core.judge import mask_scoring
from core.judge.mask_metrics import Tally, round_metrics
from core.judge.region_ranking import worst_first
from core.judge.regions import Suspect, differing_pixels, find_regions
from core.types import (
    ByteArray,
    DatasetError,
    FloatArray,
    IntArray,
    Progress,
    Region,
    Report,
    RoundCancelledError,
    RoundError,
)

IMAGE_SCORES = "image_scores.npy"
_CHUNK = 16  # images a thread takes at once: what is mapped of the folds' files stays small
_WAITING_PER_CORE = 4  # chunks, so that no finished ones pile up
_LOOK_SECONDS = 0.1  # how often somebody who wants to stop is asked


@dataclass(frozen=True, slots=True, eq=False)
class RegionFinding:
    """One suspicious region; probabilities are means over its pixels, in [0, 1]."""

    row: int  # of the snapshot
    given: int
    pseudo: int
    confidence: float
    self_confidence: float
    margin: float  # (p(given) - p(pseudo) + 1) / 2
    log_odds: float  # of p(pseudo) over p(given)
    fold: int
    region: Region


@dataclass(frozen=True, slots=True)
class MaskJudgement:
    """A round's findings, the most suspicious first, and its figures as JSON values."""

    findings: list[RegionFinding]
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Round:
    """What every thread needs."""

    folder: Path
    config: RoundConfig
    snapshot: Snapshot
    masks: Masks
    store: MaskStore
    stopped: Event


def judge_masks(
    folder: Path,
    config: RoundConfig,
    masks: MaskStore,
    *,
    report: Report = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> MaskJudgement:
    """Judge every mask of a round whose folds are all done; writes `image_scores.npy`, (N,), 1 where there is no mask.

    Raises:
        RoundError: an image was not predicted, or a mask cannot be read; the text says the cure.
        RoundCancelledError: `should_stop` said so.
    """
    snapshot = Snapshot.load(folder)
    if snapshot.masks is None:
        raise RoundError(f"the round of {folder} has no masks to judge; start a new one")
    missing = int((read_predictions(folder, snapshot.masks.sizes).fold < 0).sum())
    if missing:
        raise RoundError(f"{missing} of {len(snapshot)} images were not predicted; start the round again")
    if not any(snapshot.masks.labels):
        raise RoundError("no image has a mask to learn from; label some first")
    judged = _Round(folder, config, snapshot, snapshot.masks, masks, Event())
    findings: list[RegionFinding] = []
    tally, scores = Tally(len(snapshot.classes), config.folds), np.ones(len(snapshot))
    for rows, found, own_scores, part in _in_threads(judged, should_stop):
        findings += found
        scores[rows] = own_scores
        tally += part
        report(Progress("judging", config.folds - 1, config.folds, fraction=rows.stop / len(snapshot)))
    with atomic_path(folder / IMAGE_SCORES) as partial, partial.open("wb") as file:
        np.save(file, scores.astype(np.float32), allow_pickle=False)
    findings = [findings[place] for place in worst_first(findings, tally.confusion.sum(axis=0))]
    return MaskJudgement(findings, round_metrics(snapshot, tally, findings, scores))


_Part = tuple[range, list[RegionFinding], FloatArray, Tally]


def _in_threads(judged: _Round, should_stop: Callable[[], bool]) -> Iterator[_Part]:
    """Yield what is said of each chunk of images, in order; numpy and OpenCV let the threads run side by side."""
    count = len(judged.snapshot)
    chunks = deque(range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK))
    running: deque[Future[_Part]] = deque()
    with ThreadPoolExecutor(cores()) as threads:
        try:
            while chunks or running:
                while chunks and len(running) < _WAITING_PER_CORE * cores():
                    running.append(threads.submit(_judge_chunk, judged, chunks.popleft()))
                wait([running[0]], timeout=_LOOK_SECONDS)
                if should_stop():
                    raise RoundCancelledError
                if running[0].done():
                    yield running.popleft().result()
        finally:
            judged.stopped.set()  # for those still running, whether it went well or not


def _judge_chunk(judged: _Round, rows: range) -> _Part:
    predictions = read_predictions(judged.folder, judged.masks.sizes)  # maps of its own, gone with the chunk
    tally = Tally(len(judged.snapshot.classes), judged.config.folds)
    findings: list[RegionFinding] = []
    scores = np.ones(len(rows))
    for place, row in enumerate(rows):
        if judged.masks.labels[row] and not judged.stopped.is_set():
            found, scores[place] = _judge_image(judged, predictions, row, tally)
            findings += found
    return rows, findings, scores, tally


def _judge_image(judged: _Round, predictions: Predictions, row: int, tally: Tally) -> tuple[list[RegionFinding], float]:
    given, settled = _read(judged, row)
    fold = int(predictions.fold[row])
    suspects, score = weigh_image(given, settled, *predictions.of(row), config=judged.config, fold=fold, tally=tally)
    findings = [
        RegionFinding(
            row=row,
            given=one.given,
            pseudo=one.pseudo,
            confidence=one.confidence,
            self_confidence=one.self_confidence,
            margin=(one.self_confidence - one.confidence + 1) / 2,
            log_odds=one.log_odds,
            fold=fold,
            region=one.region,
        )
        for one in suspects
    ]
    return findings, score


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
    tally.confusion[fold] += mask_scoring.pixel_confusion(given, predicted, differing, tally.classes)
    every, right = mask_scoring.agreement_by_confidence(confidence, inner, differing)
    tally.count_agreement(every, right)
    tally.count_likely(given, given_probability)
    tally.wobble += regions.wobble
    tally.tiny += regions.tiny
    return regions.suspects, mask_scoring.softmin_score(
        mask_scoring.given_histogram(right, given_probability, inner, differing)
    )


def _read(judged: _Round, row: int) -> tuple[IntArray, IntArray | None]:
    """Return an image's given mask and the pixels people have judged, or None for these."""
    height, width = judged.masks.sizes[row].tolist()
    try:
        given = read_mask(judged.store, judged.masks.labels[row], height, width, len(judged.snapshot.classes))
        settled = judged.store.get(judged.masks.settled[row]) if judged.masks.settled[row] else None
    except DatasetError as error:
        raise RoundError(f"{judged.snapshot.paths[row]}: {error}") from error
    if settled is not None and settled.shape != given.shape:
        raise RoundError(f"{judged.snapshot.paths[row]}: what was judged of it has another size; start a new round")
    return given, settled
