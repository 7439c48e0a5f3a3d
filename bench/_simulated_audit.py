"""An audit whose verdicts are the truth: random findings and agreeing images are judged, then a threshold follows.

N images; labels are classes. People are taken never to err: a card is right, or its given label is kept, or neither.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.judge.bulk_thresholds import LEVELS
from core.judge.error_total import Interval, Stratum, wrong_labels
from core.judge.recalibration import Findings, Outcome, Point, Sample, curve, fit, propose, share_right
from core.types import IntArray

JUDGED = 60  # findings, and as many agreeing images


@dataclass(frozen=True, slots=True)
class Audit:
    """What a finished audit knows of a round."""

    proposed: Point | None
    right: Interval  # share right of all disagreements
    errors: Interval  # in all labels

    @property
    def percent(self) -> int:
        """The proposed threshold in percents; above all levels where nothing is proposed."""
        return LEVELS if self.proposed is None else round(self.proposed.threshold * 100)


def outcomes(pseudo: IntArray, given: IntArray, true: IntArray) -> IntArray:
    """Return the verdicts on findings, (N,)."""
    return np.where(pseudo == true, Outcome.RIGHT, np.where(given == true, Outcome.KEPT, Outcome.OTHER))


def audited(level: IntArray, pseudo: IntArray, given: IntArray, true: IntArray, seed: int) -> Audit:
    """Return what an audit of a round finds out, all (N,)."""
    rng = np.random.default_rng(seed)
    found, agreeing = np.flatnonzero(pseudo != given), np.flatnonzero(pseudo == given)
    cards, asked = rng.permutation(found)[:JUDGED], rng.permutation(agreeing)[:JUDGED]
    sample = Sample(level[cards], outcomes(pseudo[cards], given[cards], true[cards]))
    findings = Findings(np.bincount(level[found], minlength=LEVELS))
    fitted = fit(sample)
    return Audit(
        proposed=propose(curve(fitted, findings, sample), len(given)),
        right=share_right(fitted, findings, sample),
        errors=wrong_labels([_stratum(found, cards, given != true), _stratum(agreeing, asked, given != true)]),
    )


def _stratum(rows: IntArray, judged: IntArray, wrong: NDArray[np.bool_]) -> Stratum:
    return Stratum(len(rows), len(judged), int(wrong[judged].sum()))
