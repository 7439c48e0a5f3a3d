"""Setup of a before/after comparison: two snapshots, the training rows of each side, and the shared test rows.

The held-out fold is the evaluation split, the same for both sides: neither it nor its groups and contents are trained
on. The side with fewer labels (some were excluded) sees some of them twice an epoch, so that both take the same number
of steps. The truth is people's verdicts: the labels of the judged samples in the cleaned snapshot.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from core.config import RoundConfig
from core.data.snapshot import Snapshot, align, rows_of
from core.types import NO_LABEL, IntArray, RoundError


class Side(StrEnum):
    """Sides of a comparison: the two models of each seed."""

    ORIGINAL = "original"
    CLEANED = "cleaned"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparisonInput:
    """Rows of both sides of a comparison, as ids of samples."""

    original: Snapshot
    cleaned: Snapshot
    judged: IntArray  # (M,) samples of the evaluation split with a verdict: the test set of both sides
    protected: IntArray  # all of the evaluation split, excluded from training as the judged samples are
    config: RoundConfig  # its folds and its seed are ignored
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise RoundError(f"seeds are {self.seeds}, must be one or more different numbers")


@dataclass(frozen=True, slots=True)
class ComparisonPlan:
    """Snapshots of both sides over the same samples, and rows of them; judged rows have the true labels in both."""

    snapshots: Mapping[Side, Snapshot]
    learn_rows: Mapping[Side, IntArray]  # equally many; some rows of a side with fewer labels are repeated
    judged: IntArray  # (M,) ascending
    changed: int  # training samples whose labels differ, or that only one side has a label of

    @property
    def hash(self) -> str:
        """Return 32 hex digits of everything that is trained or judged on."""
        digest = blake2b(self.judged.astype("<i8").tobytes(), digest_size=16)
        for side, snapshot in self.snapshots.items():
            digest.update(snapshot.hash.encode() + self.learn_rows[side].astype("<i8").tobytes())
        return digest.hexdigest()


def plan_comparison(comparison: ComparisonInput) -> ComparisonPlan:
    """Return the training rows of each side and the shared test rows.

    Raises:
        RoundError: a judged sample has no label, or the two snapshots do not belong together.
    """
    original, cleaned = align(comparison.original, comparison.cleaned)
    judged, wanted = rows_of(cleaned, comparison.judged), len(np.unique(comparison.judged))
    missing = wanted - int((cleaned.labels[judged] != NO_LABEL).sum())
    if missing:
        raise RoundError(
            f"{missing} of the {wanted} judged samples have no label in the cleaned snapshot",
            "leave out those that are excluded or ambiguous",
        )
    groups = cleaned.whole_groups()
    protected = rows_of(cleaned, np.union1d(comparison.protected, comparison.judged))
    may_learn = ~np.isin(groups, groups[protected])
    sides = dict(zip(Side, (original, cleaned), strict=True))
    own = {side: np.flatnonzero(may_learn & (one.labels != NO_LABEL)) for side, one in sides.items()}
    most = max(len(rows) for rows in own.values())
    return ComparisonPlan(
        {side: one.relabel(without=protected, true=judged, truth=cleaned) for side, one in sides.items()},
        {side: _repeat_to(rows, most) for side, rows in own.items()},
        judged,
        int(_changed_rows(original, cleaned)[may_learn].sum()),
    )


def _repeat_to(rows: IntArray, count: int) -> IntArray:
    """Return `count` rows: all of them, then random ones again."""
    if not len(rows):
        return rows
    again = np.random.default_rng(len(rows)).permutation(rows)
    return np.concatenate([rows, np.resize(again, count - len(rows))])


def _changed_rows(original: Snapshot, cleaned: Snapshot) -> NDArray[np.bool_]:
    """Return True for samples whose labels differ, (N,); masks are compared by name."""
    differing: NDArray[np.bool_] = original.own_labels != cleaned.own_labels
    return differing
