"""Findings from masks that a recipe painted: a region for each connected unlabelled part of one class."""

from collections.abc import Callable, Iterator
from pathlib import Path

from core.data.masks.store import MaskStore
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot
from core.judge.found import Found
from core.judge.still_open import given_and_settled, still_open
from core.judge.unlabelled_regions import propose_regions
from core.types import FindingKind, IntArray, RoundCancelledError, RoundError


def find_painted(
    folder: Path,
    rows: IntArray,
    store: MaskStore,
    least: int,
    *,
    should_stop: Callable[[], bool],
    report: Callable[[float], None],
) -> list[Found]:
    """Return the regions of the painted rows of a round's folder, the surest first; `least` pixels each.

    `store` holds their given and judged masks, where nothing is found; `report` receives the share done.

    Raises:
        RoundError: the predictions are not there, or a mask cannot be read.
        RoundCancelledError: `should_stop` returned true.
    """
    found: list[Found] = []
    for done, some in enumerate(_by_image(folder, rows, store, least), start=1):
        if should_stop():
            raise RoundCancelledError
        found += some
        report(done / len(rows))
    return sorted(found, key=lambda one: -one.confidence)


def _by_image(folder: Path, rows: IntArray, store: MaskStore, least: int) -> Iterator[list[Found]]:
    snapshot = Snapshot.load(folder)
    if (masks := snapshot.masks) is None:
        raise RoundError(f"the round of {folder} is not about masks; start a new one")
    predictions = read_predictions(folder, masks.sizes)
    for row in rows.tolist():
        predicted, confidence, _ = predictions.of(row)
        unlabelled = still_open(predicted, *given_and_settled(snapshot, masks, store, row))
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
