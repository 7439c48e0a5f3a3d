"""Recalibration of confidences by verdicts on a random sample: share right, threshold, wrong labels left.

L = 101 levels of confidence in whole percents, rounded down (`class_thresholds.level_of`); a set of findings is its
histogram, (L,); n judged cards, drawn uniformly at random from the findings of one kind; M posterior draws.

P(right) = sigmoid(o + s * logit(confidence)), and P(given label kept | not right) likewise, each with normal priors.
With one label per image and one set of probabilities, label noise cannot be distinguished from the systematic errors
of a network (Liu, Cheng & Zhang, *Identifiability of label noise transition matrix*, arXiv 2202.02016), so everything
here is fitted to verdicts only. A set is a finite population: judged cards count as they are, the others are drawn from
the posterior predictive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from core.judge.class_thresholds import LEVELS
from core.judge.error_total import Interval
from core.types import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
LEAST_VERDICTS = 30  # of a round's own sample; with fewer nothing is shown
_DRAWS = 2000
_PROPOSED = 4  # proposals for each draw
_TAIL = 5  # degrees of freedom of the proposal: heavier tails than any posterior of a logistic regression
_THRESHOLDS = 100  # in hundredths from 0, since low confidences may prove right
_WIDER = np.diag([1.0, 0.3]) ** 2  # added to the covariance of a former round's fit
_CAUTIOUS = 0.05  # a threshold is proposed where this quantile of the gain is above 0,
_RARELY, _LOSS = 0.01, 0.005  # where this quantile loses no more than this share of all labels,
_FEWEST_JUDGED = 3  # least number of random cards at or above it: with fewer only the prior would count


class CardVerdict(IntEnum):
    """Verdict on a judged card. An error of the given label is everything but KEPT."""

    RIGHT = 0  # the suggestion is right
    KEPT = 1  # the given label is right
    OTHER = 2  # neither: another class, ambiguous, excluded


@dataclass(frozen=True, slots=True, eq=False)
class JudgedCards:
    """Judged random cards, each column (n,)."""

    level: IntArray
    outcome: IntArray
    pixels: FloatArray | None = None  # of regions, where shares of pixels are asked for

    def __post_init__(self) -> None:
        """Refuse invalid levels and outcomes."""
        if len(self.level) != len(self.outcome) or (self.pixels is not None and len(self.pixels) != len(self.level)):
            raise ValueError("levels, outcomes and pixels are of the same cards, so they must be equally many")
        if len(self.level) and not (self.level.min() >= 0 and self.level.max() < LEVELS):
            raise ValueError(f"levels are whole percents from 0 to {LEVELS - 1}; use class_thresholds.level_of")
        if not np.isin(self.outcome, list(CardVerdict)).all():
            raise ValueError(f"outcomes are {', '.join(f'{one.value} ({one.name})' for one in CardVerdict)}")


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Set of findings as a histogram over confidence, judged cards included."""

    counts: IntArray  # (L,)
    pixels: FloatArray | None = None  # (L,) of regions, where shares of pixels are asked for


@dataclass(frozen=True, slots=True, eq=False)
class Normal:
    """Normal distribution of the offset and slope of a logistic regression: mean (2,), covariance (2, 2)."""

    mean: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Posterior of offset and slope: draws (M, 2)."""

    draws: FloatArray

    def probabilities(self) -> FloatArray:
        """Return the probability at each level for each draw, (M, L)."""
        from scipy.special import expit  # noqa: PLC0415 see _posterior

        chances: FloatArray = expit(self.draws[:, :1] + self.draws[:, 1:] * _LOGITS)
        return chances

    def as_json(self) -> dict[str, Any]:
        """Return mean and covariance."""
        return {"mean": self.draws.mean(axis=0).tolist(), "covariance": np.cov(self.draws.T).tolist()}


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Recalibration of one kind of findings."""

    right: Line
    kept: Line  # of those that are not right
    labelled: bool  # False: the cards have no given label, so nothing is kept
    judged: int

    @property
    def rises(self) -> bool:
        """The probability of being right grows with confidence (posterior mean of the slope above 0)."""
        return bool(self.right.draws[:, 1].mean() > 0)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values from which `Prior.after` makes the prior of the next round."""
        return {"judged": self.judged, "right": self.right.as_json(), "kept": self.kept.as_json()}


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """Priors of P(right) and of P(kept | not right).

    The slope is below 1: confidences are too high, and a threshold without judged cards near it must not be proposed
    only because of the prior.
    """

    right: Normal = Normal(np.array([0.0, 0.7]), np.diag([2.0, 0.4]) ** 2)
    kept: Normal = Normal(np.array([0.0, 0.0]), np.diag([2.0, 0.5]) ** 2)

    @classmethod
    def after(cls, stored: Mapping[str, Any]) -> Self:
        """Return the prior of the round after one with this `Fit.as_json`.

        It is wider, since the network is another one, and findings accepted since are missing.
        """
        right, kept = (
            Normal(np.array(stored[name]["mean"]), np.array(stored[name]["covariance"]) + _WIDER)
            for name in ("right", "kept")
        )
        return cls(right, kept)


@dataclass(frozen=True, slots=True)
class Point:
    """Expected outcome of accepting all findings from one threshold on."""

    threshold: float
    changes: int
    judged: int  # of the random cards
    right: Interval  # share of the changes; all 0 without changes
    gain: Interval  # labels made right less labels made wrong; `low` and `high` are the 5 % and 95 % quantiles
    rarely: float  # the 1 % quantile of the gain


def _middle_of_levels() -> FloatArray:
    middle = np.clip((np.arange(LEVELS) + 0.5) / 100, None, 0.995)
    logits: FloatArray = np.log(middle / (1 - middle))
    return logits


_LOGITS = _middle_of_levels()


def fit(sample: JudgedCards, *, prior: Prior | None = None, labelled: bool = True) -> Fit:
    """Return the recalibration by these verdicts; with `sample.pixels` cards are weighted by their pixels."""
    prior = prior or Prior()
    weights = np.ones(len(sample.level)) if sample.pixels is None else sample.pixels.astype(np.float64)
    if len(weights):  # scaled to Kish's effective sample size
        weights = weights * (weights.sum() / np.square(weights).sum())
    is_right = sample.outcome == CardVerdict.RIGHT
    right = _posterior(sample.level, is_right, weights, prior.right)
    is_kept = sample.outcome == CardVerdict.KEPT
    kept = _posterior(sample.level[~is_right], is_kept[~is_right], weights[~is_right], prior.kept)
    return Fit(right, kept, labelled, len(sample.level))


def share_right(fitted: Fit, findings: Findings, sample: JudgedCards, *, level: float = 0.9) -> Interval:
    """Return the share of a set that is right; of its pixels, if findings and fit have them."""
    right, _ = _outcomes(fitted, findings, sample)
    total = (findings.counts if findings.pixels is None else findings.pixels).sum()
    return _interval(right.sum(axis=1), level, float(total))


def curve(fitted: Fit, findings: Findings, sample: JudgedCards, *, level: float = 0.9) -> list[Point]:
    """Return the expected outcome of each threshold, in hundredths from .00 to .99.

    The intervals of the share right form a simultaneous credible band, valid at all thresholds at once, since the
    threshold is selected by them; a pointwise interval would be too narrow at the selected threshold.
    """
    right, spoilt = _outcomes(fitted, Findings(findings.counts), JudgedCards(sample.level, sample.outcome))
    right, spoilt = _sums_from_threshold(right), _sums_from_threshold(spoilt)  # (M, 100)
    counts = _sums_from_threshold(findings.counts)
    judged = _sums_from_threshold(np.bincount(sample.level, minlength=LEVELS))
    gain = right - spoilt
    tail = _tail_of_band(right, level)
    low, high = np.quantile(right, [tail, 1 - tail], axis=0)
    worst, least, most = np.quantile(gain, [_RARELY, _CAUTIOUS, 1 - _CAUTIOUS], axis=0)
    total = np.maximum(1, counts)
    shares = np.stack([right.mean(axis=0), low, high], axis=1) / total[:, None]
    gains = np.stack([gain.mean(axis=0), least, most], axis=1)
    return [
        Point(
            percent / 100,
            int(counts[percent]),
            int(judged[percent]),
            Interval(*shares[percent].tolist()),
            Interval(*gains[percent].tolist()),
            float(worst[percent]),
        )
        for percent in range(_THRESHOLDS)
    ]


def propose(points: Sequence[Point], labels: int) -> Point | None:
    """Return the point with the largest expected gain among the safe ones, or None without one.

    Safe: with 95 % probability more labels become right than wrong, with 99 % at most a two hundredth of all labels is
    lost, and at least three random cards at or above the threshold were judged. `labels` is the number of all labels.
    """
    surely = [
        point
        for point in points
        if point.gain.low > 0 and point.rarely >= -_LOSS * labels and point.judged >= _FEWEST_JUDGED
    ]
    return max(surely, key=lambda point: (point.gain.estimate, point.threshold), default=None)


def expected_errors(fitted: Fit, levels: IntArray, *, level: float = 0.9) -> Interval:
    """Return the number of wrong given labels among these unjudged cards, such as the next hundred of a queue."""
    counts = np.bincount(levels, minlength=LEVELS)
    nothing = JudgedCards(np.zeros(0, np.int64), np.zeros(0, np.int64))
    _, kept = _outcomes(fitted, Findings(counts), nothing)
    return _interval(len(levels) - kept.sum(axis=1), level)


def _outcomes(fitted: Fit, findings: Findings, sample: JudgedCards) -> tuple[FloatArray, FloatArray]:
    """Return by level the right findings, and those that acceptance would spoil, (M, L) each; or their pixels."""
    judged = np.bincount(sample.level, minlength=LEVELS)
    rest = findings.counts - judged
    if (rest < 0).any():
        raise ValueError("more cards are judged than the set holds; give only those of the set")
    rng = np.random.default_rng(0)
    chances = fitted.right.probabilities()
    right = rng.binomial(rest, chances)
    wrong = rest - right
    spoilt = rng.binomial(wrong, fitted.kept.probabilities()) if fitted.labelled else wrong
    spoils = sample.outcome == CardVerdict.KEPT if fitted.labelled else sample.outcome != CardVerdict.RIGHT
    found: list[FloatArray] = []
    for draws, happened in ((right, sample.outcome == CardVerdict.RIGHT), (spoilt, spoils)):
        if findings.pixels is None:
            found.append((draws + np.bincount(sample.level[happened], minlength=LEVELS)).astype(np.float64))
            continue
        if sample.pixels is None:
            raise ValueError("the set carries pixels but the judged cards do not")
        seen = np.bincount(sample.level, weights=sample.pixels, minlength=LEVELS)
        weight = np.maximum(findings.pixels - seen, 0) / np.maximum(rest, 1)
        true = np.bincount(sample.level[happened], weights=sample.pixels[happened], minlength=LEVELS)
        found.append(draws * weight + true)
    return found[0], found[1]


def _posterior(level: IntArray, happened: BoolArray, weights: FloatArray, prior: Normal) -> Line:
    """Return the posterior of offset and slope, by importance sampling around the mode.

    A normal approximation would be symmetric, which the posterior is not where hardly any card is right.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 a second with the others, which starting the app need not wait for
    from scipy.special import expit  # noqa: PLC0415
    from scipy.stats import multivariate_t  # noqa: PLC0415

    centre, precision = prior.mean, np.linalg.inv(prior.covariance)
    yes = np.bincount(level[happened], weights=weights[happened], minlength=LEVELS)
    no = np.bincount(level[~happened], weights=weights[~happened], minlength=LEVELS)
    met = np.flatnonzero(yes + no)  # a sum over levels costs the same for any number of cards
    inputs = np.stack([np.ones(len(met)), _LOGITS[met]], axis=1)
    yes, no = yes[met], no[met]

    def surprise(lines: FloatArray) -> Any:  # noqa: ANN401 a float of one line, as scipy's minimize wants it
        """Return the negative log posterior of each line, (..., 2) -> (...)."""
        away, logits = lines - centre, lines @ inputs.T
        fits = np.logaddexp(0, -logits) @ yes + np.logaddexp(0, logits) @ no
        return fits + 0.5 * np.einsum("...i,ij,...j->...", away, precision, away)

    mode = minimize(surprise, centre.astype(np.float64), method="BFGS").x
    spread = expit(inputs @ mode)
    curvature = (inputs * ((yes + no) * spread * (1 - spread))[:, None]).T @ inputs + precision
    rng = np.random.default_rng(0)
    proposal = multivariate_t(mode, np.linalg.inv(curvature), df=_TAIL, seed=rng)
    proposed = proposal.rvs(_DRAWS * _PROPOSED)
    weight = -surprise(proposed) - proposal.logpdf(proposed)
    weight = np.exp(weight - weight.max())
    steps = (np.arange(_DRAWS) + rng.random()) / _DRAWS  # systematic resampling
    return Line(rng.permutation(proposed[np.searchsorted(np.cumsum(weight) / weight.sum(), steps)]))


def _sums_from_threshold(counts: Any) -> Any:  # noqa: ANN401 of whole or other numbers
    """Return the sums from each threshold on, (..., L) -> (..., 100)."""
    return np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1][..., :_THRESHOLDS]


def _tail_of_band(draws: FloatArray, level: float) -> float:
    """Return the pointwise tail probability of a band that contains a share `level` of the draws at all thresholds."""
    from scipy.stats import rankdata  # noqa: PLC0415  as above

    at_most = rankdata(draws, method="max", axis=0)
    at_least = len(draws) + 1 - rankdata(draws, method="min", axis=0)
    extreme = np.minimum(at_most, at_least).min(axis=1) / len(draws)
    return float(np.quantile(extreme, 1 - level))


def _interval(draws: FloatArray, level: float, total: float = 1.0) -> Interval:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    mean, total = float(draws.mean()), max(total, 1.0)
    return Interval(mean / total, min(float(low), mean) / total, max(float(high), mean) / total)
