"""Setup of a before/after comparison: two snapshots, the training rows of each side, and the shared test rows.

The held-out fold is the evaluation split, for both sides the same: nothing of it is learnt from, nor anything of its
groups and contents. The side with fewer labels (some were excluded) learns some of them twice an epoch, so that both
take the same steps. The truth is what people judged: the labels of those samples in the cleaned snapshot.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from core.config import RoundConfig
from core.data.aligning import aligned, rows_of
from core.data.snapshot import Snapshot
from core.types import NO_LABEL, IntArray, RoundError


class Side(StrEnum):
    """The two models of each seed."""

    ORIGINAL = "original"
    CLEANED = "cleaned"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Rows of both sides of a comparison, as ids of samples."""

    original: Snapshot
    cleaned: Snapshot
    judged: IntArray  # (M,) those of the evaluation split that people judged: what the sides are measured on
    protected: IntArray  # all of the evaluation split: never learnt from; what is judged never is anyhow
    config: RoundConfig  # its folds and its seed are of no account here
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise RoundError(f"seeds are {self.seeds}, must be one or more different numbers")


@dataclass(frozen=True, slots=True)
class Plan:
    """Both sides' snapshots over the same samples, and rows of them; the judged ones carry the true labels in both."""

    snapshots: Mapping[Side, Snapshot]
    learn_rows: Mapping[Side, IntArray]  # equally many; those of a side with fewer labels stand in it more than once
    judged: IntArray  # (M,) ascending
    changed: int  # samples that may be learnt from and have another label, or one on one side alone

    @property
    def hash(self) -> str:
        """Return 32 hex digits that change with anything that is learnt or judged."""
        digest = blake2b(self.judged.astype("<i8").tobytes(), digest_size=16)
        for side, snapshot in self.snapshots.items():
            digest.update(snapshot.hash.encode() + self.learn_rows[side].astype("<i8").tobytes())
        return digest.hexdigest()


def planned(comparison: Comparison) -> Plan:
    """Return what each side learns from and is judged on.

    Raises:
        RoundError: a judged sample has no label, or the two snapshots do not belong together.
    """
    original, cleaned = aligned(comparison.original, comparison.cleaned)
    judged, wanted = rows_of(cleaned, comparison.judged), len(np.unique(comparison.judged))
    missing = wanted - int((cleaned.labels[judged] != NO_LABEL).sum())
    if missing:
        raise RoundError(
            f"{missing} of the {wanted} judged samples have no label in the cleaned snapshot; "
            "leave out those that are excluded or ambiguous"
        )
    groups = cleaned.whole_groups()
    protected = rows_of(cleaned, np.union1d(comparison.protected, comparison.judged))
    may_learn = ~np.isin(groups, groups[protected])
    sides = dict(zip(Side, (original, cleaned), strict=True))
    own = {side: np.flatnonzero(may_learn & (one.labels != NO_LABEL)) for side, one in sides.items()}
    most = max(len(rows) for rows in own.values())
    return Plan(
        {side: one.relabelled(without=protected, true=judged, truth=cleaned) for side, one in sides.items()},
        {side: _filled(rows, most) for side, rows in own.items()},
        judged,
        int(_differing(original, cleaned)[may_learn].sum()),
    )


def _filled(rows: IntArray, count: int) -> IntArray:
    """Return the rows, and so many of them again, drawn evenly, that there are `count`."""
    if not len(rows):
        return rows
    again = np.random.default_rng(len(rows)).permutation(rows)
    return np.concatenate([rows, np.resize(again, count - len(rows))])


def _differing(original: Snapshot, cleaned: Snapshot) -> NDArray[np.bool_]:
    """Return which samples have another label, (N,); of masks `labels` says nothing: it is the rarest class of each."""
    differing: NDArray[np.bool_] = original.labels != cleaned.labels
    if original.masks is not None and cleaned.masks is not None:
        differing = np.array(original.masks.labels) != np.array(cleaned.masks.labels)
    return differing
