"""Findings of a finished round as rows to store, for every kind of label, computed from the folds' files.

Class labels give one finding per image, masks one per suspicious or proposed region.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.config import RoundConfig
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.judge.judgement import Judgement, judge_probabilities as judge_given_labels, judge_round
from core.judge.similarity import ORDER
from core.types import EVERY_FOLD, NO_LABEL, FindingKind, IntArray, Region, Report, Task


class Found(NamedTuple):
    """Finding on one row of the snapshot, or on a region of its mask, in plain Python numbers."""

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
    contradicting: int | None = None  # number of networks that contradict the given label, if there are several


@dataclass(frozen=True, slots=True)
class Judged:
    """Findings of a round, the most suspicious first, and its figures as JSON values."""

    found: Iterator[Found]
    metrics: dict[str, Any]


def judge_folds(
    folder: Path, config: RoundConfig, masks: Path, image_cache: Path, report: Report, should_stop: Callable[[], bool]
) -> Judged:
    """Judge a round whose folds are all done; `masks` is the folder of the store of masks.

    Neighbours of images are kept in `image_cache` for other rounds.

    Raises:
        RoundError: a fold is missing, or a sample was not predicted exactly once.
        RoundCancelledError: `should_stop` returned true.
    """
    return _JUDGES[Snapshot.load(folder).task](folder, config, masks, image_cache, report, should_stop)


def _judge_labels(
    folder: Path,
    config: RoundConfig,
    _masks: Path,
    image_cache: Path,
    _report: Report,
    _should_stop: Callable[[], bool],
) -> Judged:
    judgement = judge_round(folder, config, image_cache)
    return Judged(_label_findings(Snapshot.load(folder), judgement), judgement.metrics)


def judge_given(
    folder: Path, config: RoundConfig, masks: Path, image_cache: Path, report: Report, should_stop: Callable[[], bool]
) -> Judged:
    """Judge a round by imported predictions; otherwise as `judge_folds`."""
    return _GIVEN_JUDGES[Snapshot.load(folder).task](folder, config, masks, image_cache, report, should_stop)


def _judge_given_labels(
    folder: Path,
    _config: RoundConfig,
    _masks: Path,
    _image_cache: Path,
    _report: Report,
    _should_stop: Callable[[], bool],
) -> Judged:
    judgement = judge_given_labels(folder)
    return Judged(_label_findings(Snapshot.load(folder), judgement), judgement.metrics)


def judge_unlabelled(folder: Path) -> Judged:
    """Return the unlabelled images of a round without suggestions, similar ones adjacent.

    The figures are the number of images of each class that were labelled when the round opened.
    """
    snapshot = Snapshot.load(folder)
    place = np.load(folder / ORDER, allow_pickle=False)
    labelled = snapshot.labels != NO_LABEL
    counts = np.bincount(snapshot.labels[labelled], minlength=len(snapshot.classes))
    return Judged(_unlabelled_findings(place, labelled), {"labelled": counts.tolist()})


def _unlabelled_findings(place: IntArray, labelled: NDArray[np.bool_]) -> Iterator[Found]:
    for row in np.argsort(place, kind="stable"):
        if not labelled[row]:
            yield Found(
                row=int(row),
                kind=FindingKind.UNLABELLED,
                given=NO_LABEL,
                pseudo=NO_LABEL,
                confidence=0.0,
                self_confidence=1.0,
                margin=1.0,
                fold=EVERY_FOLD,
                top=[],
                similarity_rank=int(place[row]),
                region=None,
            )


def _label_findings(snapshot: Snapshot, judgement: Judgement) -> Iterator[Found]:
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
    folder: Path, config: RoundConfig, masks: Path, _image_cache: Path, report: Report, should_stop: Callable[[], bool]
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


_Judge = Callable[[Path, RoundConfig, Path, Path, Report, Callable[[], bool]], Judged]
_JUDGES: Mapping[Task, _Judge] = {Task.CLASSIFICATION: _judge_labels, Task.SEGMENTATION: _judge_masks}
_GIVEN_JUDGES: Mapping[Task, _Judge] = {
    Task.CLASSIFICATION: _judge_given_labels,
    Task.SEGMENTATION: _judge_masks,  # imported predictions of masks are stored as a round's own
}
