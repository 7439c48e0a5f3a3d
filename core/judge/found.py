"""Findings of a finished round as rows to store, for every kind of label; no network is needed.

The snapshot decides who judges: labels that are classes give a row for every image, masks one for each suspicious
region and for each proposed one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from core.config import RoundConfig
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.judge.judgement import Judgement, judge_round
from core.judge.judgement import judge_given as judge_given_labels
from core.types import NO_LABEL, FindingKind, Region, Report, Task


class Found(NamedTuple):
    """Finding on one row of the snapshot, or on a region of its mask; plain Python numbers."""

    row: int
    kind: FindingKind
    given: int
    pseudo: int
    confidence: float
    self_confidence: float
    margin: float
    fold: int
    top: list[list[float]]  # the likeliest classes as [class, probability]
    similarity_rank: int | None
    region: Region | None
    contradicting: int | None = None  # networks that contradict the given label, where the round has several


@dataclass(frozen=True, slots=True)
class Judged:
    """Findings of a round, the most suspicious first, and its figures as JSON values."""

    found: Iterator[Found]
    metrics: dict[str, Any]


def judge_any(
    folder: Path, config: RoundConfig, masks: Path, report: Report, should_stop: Callable[[], bool]
) -> Judged:
    """Judge a round whose folds are all done; `masks` is the folder of the store of masks.

    Raises:
        RoundError: a fold is missing, or a sample was not predicted exactly once.
        RoundCancelledError: `should_stop` returned true.
    """
    return _JUDGES[Snapshot.load(folder).task](folder, config, masks, report, should_stop)


def _judge_labels(
    folder: Path, config: RoundConfig, _masks: Path, _report: Report, _should_stop: Callable[[], bool]
) -> Judged:
    judgement = judge_round(folder, config)
    return Judged(_of_labels(Snapshot.load(folder), judgement), judgement.metrics)


def judge_given(
    folder: Path, config: RoundConfig, masks: Path, report: Report, should_stop: Callable[[], bool]
) -> Judged:
    """Judge a round by predictions that were made elsewhere; otherwise as `judge_any`."""
    return _GIVEN_JUDGES[Snapshot.load(folder).task](folder, config, masks, report, should_stop)


def _judge_given_labels(
    folder: Path, _config: RoundConfig, _masks: Path, _report: Report, _should_stop: Callable[[], bool]
) -> Judged:
    judgement = judge_given_labels(folder)
    return Judged(_of_labels(Snapshot.load(folder), judgement), judgement.metrics)


def _of_labels(snapshot: Snapshot, judgement: Judgement) -> Iterator[Found]:
    similarity, counted = judgement.similarity_rank, judgement.contradicting
    for row in np.argsort(judgement.rank, kind="stable"):
        likeliest = zip(judgement.top[row], judgement.top_probs[row], strict=True)
        yield Found(
            row=int(row),
            kind=FindingKind(int(judgement.kind[row])),
            given=int(snapshot.labels[row]),
            pseudo=int(judgement.pseudo[row]),
            confidence=float(judgement.confidence[row]),
            self_confidence=float(judgement.self_confidence[row]),
            margin=float(judgement.margin[row]),
            fold=int(judgement.fold[row]),
            top=[[int(label), round(float(probability), 6)] for label, probability in likeliest],
            similarity_rank=None if similarity is None else int(similarity[row]),
            region=None,
            contradicting=None if counted is None or snapshot.labels[row] == NO_LABEL else int(counted[row]),
        )


def _judge_masks(
    folder: Path, config: RoundConfig, masks: Path, report: Report, should_stop: Callable[[], bool]
) -> Judged:
    from core.judge.mask_judgement import judge_masks  # noqa: PLC0415  # OpenCV, which labels need not load
    from core.judge.tag_checks import check_tags  # noqa: PLC0415

    store = MaskStore(masks)
    judgement = judge_masks(folder, config, store, report=report, should_stop=should_stop)
    tagged = check_tags(folder, Snapshot.load(folder), store, config.min_region)
    found = (
        Found(
            row=int(one.row),
            kind=one.kind,
            given=int(one.given),
            pseudo=int(one.pseudo),
            confidence=float(one.confidence),
            self_confidence=float(one.self_confidence),
            margin=float(one.margin),
            fold=int(one.fold),
            top=one.likeliest,
            similarity_rank=None,
            region=one.region,
        )
        for one in judgement.findings
    )
    return Judged(found, judgement.metrics | ({"tags": tagged} if tagged else {}))


_Judge = Callable[[Path, RoundConfig, Path, Report, Callable[[], bool]], Judged]
_JUDGES: Mapping[Task, _Judge] = {Task.CLASSIFICATION: _judge_labels, Task.SEGMENTATION: _judge_masks}
_GIVEN_JUDGES: Mapping[Task, _Judge] = {
    Task.CLASSIFICATION: _judge_given_labels,
    Task.SEGMENTATION: _judge_masks,  # what is stored of a mask's prediction is the same wherever it was made
}
