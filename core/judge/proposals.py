"""Proposals of recipes for unlabelled images, as findings read from the files of a recipe.

The recipe "iterated" writes `proposals.npz`: the rows, (M,), the number of the network that predicts each, and for
classes the probabilities, (M, K), as well as those of the validation images by each of the networks, with their labels.
Predicted masks, also those of cross-training, are stored as a round's predictions are (`core.data.predictions`): each
connected unlabelled part of one class is a region.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.data.masks.store import MaskStore
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot, masks_of
from core.judge import class_thresholds
from core.judge.found import Found
from core.judge.open_pixels import given_and_settled, open_pixels
from core.judge.regions import propose_regions
from core.types import NO_LABEL, FindingKind, FloatArray, IntArray, RoundCancelledError, RoundError, Task

PROPOSALS = "proposals.npz"
_TOP = 5
Find = Callable[[Path, MaskStore, int, Callable[[], bool], Callable[[float], None]], list[Found]]


def find_proposals(
    folder: Path, store: MaskStore, least: int, should_stop: Callable[[], bool], report: Callable[[float], None]
) -> list[Found]:
    """Return the proposals in a round's folder, most confident first; of masks regions of at least `least` pixels.

    `store` holds the masks, if there are any; `report` receives the share done.

    Raises:
        RoundError: there are none.
        RoundCancelledError: `should_stop` returned true.
    """
    if not (folder / PROPOSALS).exists():
        raise RoundError(f"{folder} holds no proposals", "start the round again and it goes on there")
    return _FINDS[Snapshot.load(folder).task](folder, store, least, should_stop, report)


def find_painted(
    folder: Path,
    rows: IntArray,
    store: MaskStore,
    least: int,
    *,
    should_stop: Callable[[], bool],
    report: Callable[[float], None],
) -> list[Found]:
    """Return the regions of the predicted rows of a round's folder, most confident first, of at least `least` pixels.

    `store` holds the given masks and the settled pixels, which are left out; `report` receives the share done.

    Raises:
        RoundError: the predictions are missing, or a mask cannot be read.
        RoundCancelledError: `should_stop` returned true.
    """
    found: list[Found] = []
    for done, some in enumerate(_image_regions(folder, rows, store, least), start=1):
        if should_stop():
            raise RoundCancelledError("stopped while judging")
        found += some
        report(done / len(rows))
    return sorted(found, key=lambda one: -one.confidence)


def proposal_thresholds(folder: Path) -> list[dict[str, Any]] | None:
    """Return the thresholds of all classes by the validation images, as JSON values; None for masks.

    See `core.judge.class_thresholds`; the network was chosen by the same images, so agreement is a little too high.
    """
    with np.load(folder / PROPOSALS, allow_pickle=False) as file:
        if "checked" not in file:
            return None
        probs, checked, labels = file["probabilities"], file["checked"], file["checked_labels"]
    right = checked.argmax(axis=1) == labels
    every, agreeing, waiting = (_level_counts(some) for some in (checked, checked[right], probs))
    return class_thresholds.as_json(class_thresholds.estimate(every, agreeing, waiting))


def _level_counts(probs: FloatArray) -> IntArray:
    level = class_thresholds.level_of(probs.max(axis=1))
    return class_thresholds.level_counts(probs.argmax(axis=1), level, probs.shape[1])


def _propose_classes(
    folder: Path,
    _store: MaskStore,
    _least: int,
    _should_stop: Callable[[], bool],
    _report: Callable[[float], None],
) -> list[Found]:
    with np.load(folder / PROPOSALS, allow_pickle=False) as file:
        rows, network, probs = file["rows"], file["network"], file["probabilities"]
    order = np.argsort(-probs.max(axis=1), kind="stable")
    return list(_image_findings(rows[order], network[order], probs[order]))


def _image_findings(rows: IntArray, network: IntArray, probs: FloatArray) -> Iterator[Found]:
    top = np.argsort(-probs, axis=1, kind="stable")[:, :_TOP]
    for row, number, likeliest, own in zip(rows.tolist(), network.tolist(), top.tolist(), probs, strict=True):
        yield Found(
            row=row,
            kind=FindingKind.UNLABELLED,
            given=NO_LABEL,
            pseudo=likeliest[0],
            confidence=min(1.0, float(own[likeliest[0]])),
            self_confidence=1.0,  # as of findings without a given label
            margin=1.0,
            fold=number,
            top=[[label, round(float(own[label]), 6)] for label in likeliest],
            similarity_rank=None,
            region=None,
        )


def _propose_masks(
    folder: Path, store: MaskStore, least: int, should_stop: Callable[[], bool], report: Callable[[float], None]
) -> list[Found]:
    with np.load(folder / PROPOSALS, allow_pickle=False) as file:
        rows, network = file["rows"], dict(zip(file["rows"].tolist(), file["network"].tolist(), strict=True))
    found = find_painted(folder, rows, store, least, should_stop=should_stop, report=report)
    return [one._replace(fold=network[one.row]) for one in found]


def _image_regions(folder: Path, rows: IntArray, store: MaskStore, least: int) -> Iterator[list[Found]]:
    snapshot = Snapshot.load(folder)
    masks = masks_of(snapshot)
    predictions = read_predictions(folder, masks.sizes)
    for row in rows.tolist():
        predicted, confidence, _ = predictions.of(row)
        unlabelled = open_pixels(predicted, *given_and_settled(snapshot, masks, store, row))
        yield [
            Found(
                row=row,
                kind=FindingKind.UNLABELLED,
                given=one.given,
                pseudo=one.pseudo,
                confidence=one.confidence,
                self_confidence=one.self_confidence,
                margin=1.0,
                fold=0,
                top=[[one.pseudo, round(one.confidence, 6)]],
                similarity_rank=None,
                region=one.region,
            )
            for one in propose_regions(unlabelled, confidence, least)
        ]


_FINDS: Mapping[Task, Find] = {Task.CLASSIFICATION: _propose_classes, Task.SEGMENTATION: _propose_masks}
