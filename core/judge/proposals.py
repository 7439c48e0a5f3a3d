"""Proposals of the recipe "iterated" for unlabelled images, as findings read from its files; no network is needed.

`proposals.npz` holds the rows, (M,), the number of the network that speaks for each, and of classes the probabilities,
(M, K), as well as those of the validation images by each of the networks, with their labels. Masks lie as a round's
predictions do.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.judge import bulk_thresholds
from core.judge.found import Found
from core.judge.painted_masks import find_painted
from core.types import NO_LABEL, FindingKind, FloatArray, IntArray, RoundError, Task

PROPOSALS = "proposals.npz"
_TOP = 5

Find = Callable[[Path, MaskStore, int, Callable[[], bool], Callable[[float], None]], list[Found]]


def find_proposals(
    folder: Path, store: MaskStore, least: int, should_stop: Callable[[], bool], report: Callable[[float], None]
) -> list[Found]:
    """Return what a round's folder proposes, the surest first; of masks regions of at least `least` pixels.

    `store` is of the masks, if there are any; `report` receives the share done.

    Raises:
        RoundError: there is nothing.
        RoundCancelledError: `should_stop` returned true.
    """
    if not (folder / PROPOSALS).exists():
        raise RoundError(f"{folder} holds no proposals; start the round again and it goes on there")
    return _FINDS[Snapshot.load(folder).task](folder, store, least, should_stop, report)


def class_thresholds(folder: Path) -> list[dict[str, Any]] | None:
    """Return from which confidence on each class may be accepted, judged by the validation images; None for masks.

    See `bulk_thresholds`; the validation images also chose the network, so agreement is a little too good.
    """
    with np.load(folder / PROPOSALS, allow_pickle=False) as file:
        if "checked" not in file:
            return None
        probs, checked, labels = file["probabilities"], file["checked"], file["checked_labels"]
    right = checked.argmax(axis=1) == labels
    every, agreeing, waiting = (_counted(some) for some in (checked, checked[right], probs))
    return bulk_thresholds.as_json(bulk_thresholds.estimate(every, agreeing, waiting))


def _counted(probs: FloatArray) -> IntArray:
    level = bulk_thresholds.level_of(probs.max(axis=1))
    return bulk_thresholds.counted(probs.argmax(axis=1), level, probs.shape[1])


def _of_classes(
    folder: Path,
    _store: MaskStore,
    _least: int,
    _should_stop: Callable[[], bool],
    _report: Callable[[float], None],
) -> list[Found]:
    with np.load(folder / PROPOSALS, allow_pickle=False) as file:
        rows, network, probs = file["rows"], file["network"], file["probabilities"]
    order = np.argsort(-probs.max(axis=1), kind="stable")
    return list(_images(rows[order], network[order], probs[order]))


def _images(rows: IntArray, network: IntArray, probs: FloatArray) -> Iterator[Found]:
    top = np.argsort(-probs, axis=1, kind="stable")[:, :_TOP]
    for row, number, likeliest, own in zip(rows.tolist(), network.tolist(), top.tolist(), probs, strict=True):
        yield Found(
            row=row,
            kind=FindingKind.UNLABELLED,
            given=NO_LABEL,
            pseudo=likeliest[0],
            confidence=min(1.0, float(own[likeliest[0]])),
            self_confidence=1.0,  # nothing is given that could be doubted
            margin=1.0,
            fold=number,
            top=[[label, round(float(own[label]), 6)] for label in likeliest],
            similarity_rank=None,
            region=None,
        )


def _of_masks(
    folder: Path, store: MaskStore, least: int, should_stop: Callable[[], bool], report: Callable[[float], None]
) -> list[Found]:
    with np.load(folder / PROPOSALS, allow_pickle=False) as file:
        rows, network = file["rows"], dict(zip(file["rows"].tolist(), file["network"].tolist(), strict=True))
    found = find_painted(folder, rows, store, least, should_stop=should_stop, report=report)
    return [one._replace(fold=network[one.row]) for one in found]


_FINDS: Mapping[Task, Find] = {Task.CLASSIFICATION: _of_classes, Task.SEGMENTATION: _of_masks}
