"""Judgement of a round of masks: suspicious regions, the worst first, and the round's figures.

Then come proposed regions of unlabelled pixels, the surest first: of images that came without a mask, the pixels that
are still IGNORE and have no verdict. In an image that came with a mask IGNORE was meant.

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
from core.data.children import cores
from core.data.masks.store import MaskStore
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path
from core.data.votes import forget_votes, read_votes
from core.judge.mask_images import JudgedPart, MaskRound, RegionFinding, judge_chunk
from core.judge.mask_metrics import round_metrics
from core.judge.region_ranking import worst_first
from core.judge.tallies import Tallies
from core.types import (
    FindingKind,
    Progress,
    Report,
    RoundCancelledError,
    RoundError,
)

IMAGE_SCORES = "image_scores.npy"
_CHUNK = 16  # images a thread takes at once: what is mapped of the folds' files stays small
_WAITING_PER_CORE = 4  # chunks, so that no finished ones pile up
_LOOK_SECONDS = 0.1  # between two looks at should_stop


@dataclass(frozen=True, slots=True)
class MaskJudgement:
    """A round's findings, the most suspicious first, unlabelled ones last, and its figures as JSON values."""

    findings: list[RegionFinding]
    metrics: dict[str, Any]


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
        RoundCancelledError: `should_stop` returned true.
    """
    snapshot = Snapshot.load(folder)
    if snapshot.masks is None:
        raise RoundError(f"the round of {folder} has no masks to judge; start a new one")
    unseen = snapshot.is_unseen()
    missing = int(((read_predictions(folder, snapshot.masks.sizes).fold < 0) & ~unseen).sum())
    if missing:
        raise RoundError(f"{missing} of {len(snapshot)} images were not predicted; start the round again")
    if not any(snapshot.masks.labels):
        raise RoundError("no image has a mask to learn from; label some first")
    shared = np.flatnonzero(unseen)
    votes = read_votes(folder, config.folds, snapshot.masks.sizes, shared)
    tallies = Tallies(len(snapshot.classes), config.folds)
    judged = MaskRound(
        folder,
        config,
        snapshot,
        snapshot.masks,
        masks,
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
    with atomic_path(folder / IMAGE_SCORES) as partial, partial.open("wb") as file:
        np.save(file, scores.astype(np.float32), allow_pickle=False)
    forget_votes(folder)
    tally = tallies.total()
    suspicious = [one for one in findings if one.kind is FindingKind.SUSPICIOUS]
    suspicious = [suspicious[place] for place in worst_first(suspicious, tally.confusion)]
    proposed = sorted((one for one in findings if one.kind is FindingKind.UNLABELLED), key=lambda one: -one.confidence)
    metrics = round_metrics(snapshot, tally, suspicious, scores)
    return MaskJudgement([*suspicious, *proposed], metrics | {"unlabelled_regions": len(proposed)})


def _in_threads(judged: MaskRound, should_stop: Callable[[], bool]) -> Iterator[JudgedPart]:
    """Yield the judgement of each chunk of images, in order; threads run in parallel, since numpy and OpenCV do."""
    count = len(judged.snapshot)
    chunks = deque(range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK))
    running: deque[Future[JudgedPart]] = deque()
    with ThreadPoolExecutor(cores()) as threads:
        try:
            while chunks or running:
                while chunks and len(running) < _WAITING_PER_CORE * cores():
                    running.append(threads.submit(judge_chunk, judged, chunks.popleft()))
                wait([running[0]], timeout=_LOOK_SECONDS)
                if should_stop():
                    raise RoundCancelledError
                if running[0].done():
                    yield running.popleft().result()
        finally:
            judged.stopped.set()  # for those still running, whether it went well or not
