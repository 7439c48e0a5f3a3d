"""Judgement of a round of masks: suspicious regions, proposed regions, scores of the images, and the round's figures.

Findings are the suspicious regions, worst first, then the proposed ones, most confident first. Regions are proposed in
images that came without a mask, for the pixels that are still IGNORE and have no verdict. In an image that came with a
mask, IGNORE pixels are IGNORE on purpose.

Images are read one by one from the folds' files (`core.data.predictions`), on all cores, and not kept: memory grows
with the number of findings, not with that of images. N samples in the snapshot's order; masks (H, W) as
`core.types.labels` has them, probabilities (H, W) uint8, round(255 p).

Predictions of several models for one image are merged to one (`merge_votes`). The probability of a class is the mean of
those that the models give it, but of each model only the likeliest class and its probability are stored, since K
probabilities a pixel and model would be too many; its other classes count as 0. So where all models agree on the class,
its confidence is the exact mean; elsewhere it is a lower bound, by at most the mean of the probability that the other
models do not account for. A proposal is never more confident than the models are.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from core.config import RoundConfig
from core.data.children import cores
from core.data.masks.store import MaskStore
from core.data.predictions import CERTAIN, PredictionFiles, Votes, forget_votes, read_predictions, read_votes
from core.data.snapshot import BoolArray, Snapshot, SnapshotMasks, masks_of
from core.data.storage import save_array
from core.judge import mask_scoring
from core.judge.differing_pixels import MaskPair, differing_pixels
from core.judge.mask_metrics import Tallies, Tally, round_metrics
from core.judge.open_pixels import given_and_settled, open_pixels
from core.judge.region_ranking import rank_regions
from core.judge.regions import RegionFinding, find_regions, propose_regions
from core.types import (
    EVERY_FOLD,
    ByteArray,
    FindingKind,
    FloatArray,
    IntArray,
    Progress,
    Report,
    RoundCancelledError,
    RoundError,
)

_PIXELS_AT_ONCE = 1_000_000  # small images are judged together: fewer, longer steps, and threads that do not wait
IMAGE_SCORES = "image_scores.npy"
_CHUNK = 16  # images a thread takes at once, so that little of the folds' files is mapped
_WAITING_PER_CORE = 4  # chunks, so that finished ones do not pile up
_POLL_SECONDS = 0.1  # between two calls of should_stop

JudgedPart = tuple[range, list[RegionFinding], FloatArray]  # rows, their findings and scores


@dataclass(frozen=True, slots=True, eq=False)
class MaskRound:
    """Inputs for judging each image of a round independently."""

    folder: Path
    config: RoundConfig
    snapshot: Snapshot
    masks: SnapshotMasks
    store: MaskStore
    votes: Sequence[Votes]  # of the folds, on images that all predicted; empty if they are already merged
    shared: frozenset[int]  # rows that all folds predicted
    decides: BoolArray  # (N,) samples whose labels are trainable
    stopped: Event
    tallies: Tallies


@dataclass(frozen=True, slots=True)
class MaskJudgement:
    """Findings of a round, the most suspicious first, unlabelled ones last, and its figures as JSON values."""

    findings: list[RegionFinding]
    metrics: dict[str, Any]


def judge_masks(
    folder: Path,
    config: RoundConfig,
    store: MaskStore,
    *,
    report: Report = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> MaskJudgement:
    """Judge every mask of a round whose folds are all done; write `image_scores.npy`, (N,), 1 without a mask.

    Raises:
        RoundError: an image was not predicted, or a mask cannot be read; the text names the cure.
        RoundCancelledError: `should_stop` returned true.
    """
    snapshot = Snapshot.load(folder)
    masks = masks_of(snapshot)
    unseen = snapshot.is_unseen()
    missing = int(((read_predictions(folder, masks.sizes).fold < 0) & ~unseen).sum())
    if missing:
        raise RoundError(f"{missing} of {len(snapshot)} images were not predicted", "start the round again")
    if not any(masks.labels):
        raise RoundError("no image has a mask to learn from", "label some first")
    shared = np.flatnonzero(unseen)
    votes = read_votes(folder, config.folds, masks.sizes, shared)
    tallies = Tallies(len(snapshot.classes), config.folds)
    judged = MaskRound(
        folder,
        config,
        snapshot,
        masks,
        store,
        votes,
        frozenset(shared.tolist()),
        snapshot.learnable,
        Event(),
        tallies,
    )
    findings: list[RegionFinding] = []
    scores = np.ones(len(snapshot))
    for rows, found, own_scores in _in_threads(judged, should_stop):
        findings += found
        scores[rows] = own_scores
        report(Progress("judging", config.folds - 1, config.folds, fraction=rows.stop / len(snapshot)))
    save_array(folder / IMAGE_SCORES, scores.astype(np.float32))
    forget_votes(folder)
    tally = tallies.total()
    suspicious = [one for one in findings if one.kind is FindingKind.SUSPICIOUS]
    suspicious = [suspicious[place] for place in rank_regions(suspicious, tally.confusion)]
    proposed = sorted((one for one in findings if one.kind is FindingKind.UNLABELLED), key=lambda one: -one.confidence)
    metrics = round_metrics(snapshot, tally, suspicious, scores)
    return MaskJudgement([*suspicious, *proposed], metrics | {"unlabelled_regions": len(proposed)})


def _in_threads(judged: MaskRound, should_stop: Callable[[], bool]) -> Iterator[JudgedPart]:
    """Yield the judgement of each chunk of images, in order; numpy and OpenCV let threads run in parallel."""
    count = len(judged.snapshot)
    chunks = deque(range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK))
    running: deque[Future[JudgedPart]] = deque()
    with ThreadPoolExecutor(cores()) as threads:
        try:
            while chunks or running:
                while chunks and len(running) < _WAITING_PER_CORE * cores():
                    running.append(threads.submit(judge_chunk, judged, chunks.popleft()))
                wait([running[0]], timeout=_POLL_SECONDS)
                if should_stop():
                    raise RoundCancelledError("stopped while judging")
                if running[0].done():
                    yield running.popleft().result()
        finally:
            judged.stopped.set()  # ends chunks that still run after an error


def judge_chunk(judged: MaskRound, rows: range) -> JudgedPart:
    """Judge some images; those that remain when the round is stopped are left out."""
    # memory maps of its own, closed with the chunk
    predictions = read_predictions(judged.folder, judged.masks.sizes, writing=bool(judged.votes))
    tally = judged.tallies.mine()
    findings: list[RegionFinding] = []
    scores = np.ones(len(rows))
    judged_rows = [row for row in rows if judged.masks.labels[row] or judged.masks.is_bare(row)]
    for batch in batches(judged_rows, judged.masks.sizes):
        if judged.stopped.is_set():
            break
        pairs = [(row, _open_masks(judged, predictions, row)) for row in batch]
        labelled = [(row, pair) for row, pair in pairs if judged.masks.labels[row]]
        weighed = weigh_images([pair for _, pair in labelled], judged.config, tally) if labelled else []
        for (row, pair), (suspects, score) in zip(labelled, weighed, strict=True):
            findings += [replace(one, row=row, fold=pair.fold) for one in suspects]
            scores[row - rows.start] = score
        for row, pair in pairs:
            if judged.masks.is_bare(row):
                findings += _propose(row, pair, judged.config, tally)
    return rows, findings, scores


def batches(rows: Sequence[int], sizes: IntArray) -> Iterator[list[int]]:
    """Yield the rows in groups that are judged at once; `sizes` are (N, 2) height, width."""
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


def _open_masks(judged: MaskRound, predictions: PredictionFiles, row: int) -> MaskPair:
    """Return the masks of one image; predictions of all folds are merged first."""
    if row in judged.shared and judged.votes:
        _write_merged(judged, predictions, row)
    given, settled = given_and_settled(judged.snapshot, judged.masks, judged.store, row)
    fold = EVERY_FOLD if row in judged.shared else int(predictions.fold[row])
    return MaskPair(given, *predictions.of(row), settled, fold, bool(judged.decides[row]))


def _write_merged(judged: MaskRound, predictions: PredictionFiles, row: int) -> None:
    """Write the merged predictions of all folds for an image; writing them again changes nothing."""
    predicted, confidence, given_probability = predictions.of(row)
    predicted[:], confidence[:] = merge_votes([one.of(row) for one in judged.votes])
    given_probability[:] = CERTAIN


def merge_votes(votes: Sequence[tuple[IntArray, ByteArray]]) -> tuple[IntArray, ByteArray]:
    """Return the likeliest class and its confidence; of equally likely classes that of the first model."""
    predicted = votes[0][0].copy()
    most = np.zeros(predicted.shape, dtype=np.uint16)
    for candidate, _ in votes:
        total = np.zeros(predicted.shape, dtype=np.uint16)
        for vote, confidence in votes:
            np.add(total, confidence, out=total, where=vote == candidate)
        better = total > most
        predicted[better] = candidate[better]
        most[better] = total[better]
    return predicted, ((most + len(votes) // 2) // len(votes)).astype(np.uint8)


def _propose(row: int, pair: MaskPair, config: RoundConfig, tally: Tally) -> list[RegionFinding]:
    """Return the regions proposed for the unlabelled pixels of an image."""
    unlabelled = open_pixels(pair.predicted, pair.given, pair.settled)
    tally.count_unlabelled(unlabelled, pair.confidence)
    proposed = propose_regions(unlabelled, pair.confidence, config.min_region)
    return [replace(one, row=row, fold=pair.fold) for one in proposed]


def weigh_images(
    pairs: Sequence[MaskPair], config: RoundConfig, tally: Tally
) -> list[tuple[list[RegionFinding], float]]:
    """Return the suspicious regions and the score of each image; add the other counts to `tally`."""
    differing = differing_pixels([pair.given for pair in pairs], [pair.predicted for pair in pairs])
    found = find_regions(pairs, boundary=config.boundary, least=config.min_region, differing=differing)
    tally.count_pixels(pairs, differing)
    inner = [_inner_pixels(pair, config.boundary) for pair in pairs]
    counted = differing.where(differing.values_of(inner) != 0)
    confidence = [pair.confidence for pair in pairs]
    every, right = mask_scoring.agreement_by_confidence(confidence, inner, counted)
    tally.count_agreement(pairs, every, right)
    likely = mask_scoring.given_histograms(right, [pair.given_probability for pair in pairs], counted)
    tally.at_boundary += sum(one.at_boundary for one in found)
    tally.tiny += sum(one.tiny for one in found)
    return [(one.suspects, mask_scoring.softmin_score(row)) for one, row in zip(found, likely, strict=True)]


def _inner_pixels(pair: MaskPair, boundary: int) -> ByteArray:
    """Return the pixels away from borders and without a verdict as nonzero, (H, W)."""
    inner = mask_scoring.inner_pixels(pair.given, boundary)
    if pair.settled is not None:
        inner[pair.settled != 0] = 0
    return inner
