"""Recalibrates confidences by people's verdicts on a random sample: share right, threshold, wrong labels left.

L = 101 levels of confidence in whole percents, rounded down (`bulk_thresholds.level_of`); a set of findings is its
histogram, (L,); n judged cards, drawn uniformly at random from the findings of one kind; M posterior draws.

P(right) = sigmoid(o + s * logit(confidence)), and P(given label kept | not right) likewise, each with normal priors.
From one label an image and one set of probabilities label noise cannot be told from a network's structured mistakes
(Liu, Cheng & Zhang, *Identifiability of label noise transition matrix*, arXiv 2202.02016), so nothing here is fitted to
labels: only to verdicts. A set is a finite population: judged cards count as they are, the others are drawn from the
posterior predictive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from core.judge.bulk_thresholds import LEVELS
from core.judge.error_total import Interval
from core.types import FloatArray, IntArray

BoolArray = NDArray[np.bool_]
LEAST_VERDICTS = 30  # of a round's own sample; of fewer nothing is shown
_DRAWS = 2000
_PROPOSED = 4  # proposals for each draw
_TAIL = 5  # degrees of freedom of the proposal: heavier tails than any posterior of a logistic regression
_THRESHOLDS = 100  # in hundredths from 0: a low confidence alone is no reason to leave a finding out
_WIDER = np.diag([1.0, 0.3]) ** 2  # added to the covariance of a former round's fit
_CAUTIOUS = 0.05  # a threshold is proposed where this quantile of what accepting gains is above 0,
_RARELY, _LOSS = 0.01, 0.005  # where this quantile loses no more than this share of all labels,
_FEWEST_JUDGED = 3  # and where so many random cards lie from it on: of fewer nothing but the prior would speak


class Outcome(IntEnum):
    """Verdict on a judged card. An error of the given label is everything but KEPT."""

    RIGHT = 0  # the suggestion is right
    KEPT = 1  # the given label is right
    OTHER = 2  # neither: another class, ambiguous, excluded


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The judged random cards, each (n,)."""

    level: IntArray
    outcome: IntArray
    pixels: FloatArray | None = None  # of regions, where shares of pixels are asked for

    def __post_init__(self) -> None:
        """Refuse levels and outcomes that do not exist."""
        if len(self.level) != len(self.outcome) or (self.pixels is not None and len(self.pixels) != len(self.level)):
            raise ValueError("levels, outcomes and pixels are of the same cards, so they must be equally many")
        if len(self.level) and not (self.level.min() >= 0 and self.level.max() < LEVELS):
            raise ValueError(f"levels are whole percents from 0 to {LEVELS - 1}; use bulk_thresholds.level_of")
        if not np.isin(self.outcome, list(Outcome)).all():
            raise ValueError(f"outcomes are {', '.join(f'{one.value} ({one.name})' for one in Outcome)}")


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """A set of findings as a histogram over confidence; it holds the judged cards, too."""

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
    """The recalibration of one kind of findings."""

    right: Line
    kept: Line  # of those that are not right
    labelled: bool  # False: the cards have no given label, so nothing is kept
    judged: int

    @property
    def rises(self) -> bool:
        """The probability of being right grows with confidence (posterior mean of the slope above 0)."""
        return bool(self.right.draws[:, 1].mean() > 0)

    def as_json(self) -> dict[str, Any]:
        """Return what the round that follows needs of this fit as its prior."""
        return {"judged": self.judged, "right": self.right.as_json(), "kept": self.kept.as_json()}


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """Priors of P(right) and of P(kept | not right).

    A slope below 1: confidences are surer than they should be, and a threshold that no judged card is near must not be
    proposed because the prior alone says that the surest cards are right.
    """

    right: Normal = Normal(np.array([0.0, 0.7]), np.diag([2.0, 0.4]) ** 2)
    kept: Normal = Normal(np.array([0.0, 0.0]), np.diag([2.0, 0.5]) ** 2)

    @classmethod
    def after(cls, stored: Mapping[str, Any]) -> Self:
        """Return the prior of a round that follows one whose `Fit.as_json` was stored.

        It is widened: another network judges, and what was accepted since is gone from the findings.
        """
        right, kept = (
            Normal(np.array(stored[name]["mean"]), np.array(stored[name]["covariance"]) + _WIDER)
            for name in ("right", "kept")
        )
        return cls(right, kept)


@dataclass(frozen=True, slots=True)
class Point:
    """Accepting everything from one threshold on."""

    threshold: float
    changes: int
    judged: int  # of the random cards
    right: Interval  # share of the changes; all 0 where there are none
    gain: Interval  # labels made right less labels made wrong; `low` and `high` are the 5 % and 95 % quantiles
    rarely: float  # the 1 % quantile of the gain


def _middle_of_levels() -> FloatArray:
    middle = np.clip((np.arange(LEVELS) + 0.5) / 100, None, 0.995)
    logits: FloatArray = np.log(middle / (1 - middle))
    return logits


_LOGITS = _middle_of_levels()


def fit(sample: Sample, *, prior: Prior | None = None, labelled: bool = True) -> Fit:
    """Return the recalibration by these verdicts; with `sample.pixels` each card weighs as many pixels as it has."""
    prior = prior or Prior()
    weights = np.ones(len(sample.level)) if sample.pixels is None else sample.pixels.astype(np.float64)
    if len(weights):  # scaled to as many cards of equal size as would say as much (Kish's effective sample size)
        weights = weights * (weights.sum() / np.square(weights).sum())
    is_right = sample.outcome == Outcome.RIGHT
    right = _posterior(sample.level, is_right, weights, prior.right)
    is_kept = sample.outcome == Outcome.KEPT
    kept = _posterior(sample.level[~is_right], is_kept[~is_right], weights[~is_right], prior.kept)
    return Fit(right, kept, labelled, len(sample.level))


def share_right(fitted: Fit, findings: Findings, sample: Sample, *, level: float = 0.9) -> Interval:
    """Return which share of a set is right; of its pixels where the findings carry them (then fit with pixels, too)."""
    right, _ = _outcomes(fitted, findings, sample)
    total = (findings.counts if findings.pixels is None else findings.pixels).sum()
    return _interval(right.sum(axis=1), level, float(total))


def curve(fitted: Fit, findings: Findings, sample: Sample, *, level: float = 0.9) -> list[Point]:
    """Return what accepting from each threshold on would do, thresholds in hundredths from .00 to .99.

    The intervals of the share right hold at all thresholds at once (a simultaneous credible band), since a threshold is
    picked after looking at them: at the one picked, an interval made for one threshold alone would promise too much.
    """
    right, spoilt = _outcomes(fitted, Findings(findings.counts), Sample(sample.level, sample.outcome))
    right, spoilt = _from_here_on(right), _from_here_on(spoilt)  # (M, 100)
    counts = _from_here_on(findings.counts)
    judged = _from_here_on(np.bincount(sample.level, minlength=LEVELS))
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
    """Return the point that is expected to gain most of those that surely gain, or None: no threshold is proposed.

    Surely: with 95 % more labels are made right than wrong, with 99 % no more than a two hundredth of all labels is
    lost, and at least three random cards from the threshold on were judged. `labels` are all labels of the dataset.
    """
    surely = [
        point
        for point in points
        if point.gain.low > 0 and point.rarely >= -_LOSS * labels and point.judged >= _FEWEST_JUDGED
    ]
    return max(surely, key=lambda point: (point.gain.estimate, point.threshold), default=None)


def expected_errors(fitted: Fit, levels: IntArray, *, level: float = 0.9) -> Interval:
    """Return how many of these cards, none of them judged, have a wrong given label: the next hundred of a queue."""
    counts = np.bincount(levels, minlength=LEVELS)
    nothing = Sample(np.zeros(0, np.int64), np.zeros(0, np.int64))
    _, kept = _outcomes(fitted, Findings(counts), nothing)
    return _interval(len(levels) - kept.sum(axis=1), level)


def _outcomes(fitted: Fit, findings: Findings, sample: Sample) -> tuple[FloatArray, FloatArray]:
    """Return how many of each level are right, and how many accepting would spoil, for each draw, (M, L); or pixels."""
    judged = np.bincount(sample.level, minlength=LEVELS)
    rest = findings.counts - judged
    if (rest < 0).any():
        raise ValueError("more cards are judged than the set holds; hand over only those of the set")
    rng = np.random.default_rng(0)
    chances = fitted.right.probabilities()
    right = rng.binomial(rest, chances)
    wrong = rest - right
    spoilt = rng.binomial(wrong, fitted.kept.probabilities()) if fitted.labelled else wrong
    spoils = sample.outcome == Outcome.KEPT if fitted.labelled else sample.outcome != Outcome.RIGHT
    found: list[FloatArray] = []
    for drawn, happened in ((right, sample.outcome == Outcome.RIGHT), (spoilt, spoils)):
        if findings.pixels is None:
            found.append((drawn + np.bincount(sample.level[happened], minlength=LEVELS)).astype(np.float64))
            continue
        if sample.pixels is None:
            raise ValueError("the set carries pixels but the judged cards do not")
        seen = np.bincount(sample.level, weights=sample.pixels, minlength=LEVELS)
        weight = np.maximum(findings.pixels - seen, 0) / np.maximum(rest, 1)
        true = np.bincount(sample.level[happened], weights=sample.pixels[happened], minlength=LEVELS)
        found.append(drawn * weight + true)
    return found[0], found[1]


def _posterior(level: IntArray, happened: BoolArray, weights: FloatArray, prior: Normal) -> Line:
    """Return offset and slope given these cards, by importance sampling around the mode.

    A normal approximation alone would be symmetric, which it is not where hardly any card is right.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 a second with the others, which a start must not pay for
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


def _from_here_on(counts: Any) -> Any:  # noqa: ANN401 of whole or other numbers
    """Return the sums from each threshold on, (..., L) -> (..., 100)."""
    return np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1][..., :_THRESHOLDS]


def _tail_of_band(drawn: FloatArray, level: float) -> float:
    """Return which quantile at each threshold makes a band that a share `level` of the draws lies in everywhere."""
    from scipy.stats import rankdata  # noqa: PLC0415  as above

    at_most = rankdata(drawn, method="max", axis=0)
    at_least = len(drawn) + 1 - rankdata(drawn, method="min", axis=0)
    extreme = np.minimum(at_most, at_least).min(axis=1) / len(drawn)
    return float(np.quantile(extreme, 1 - level))


def _interval(drawn: FloatArray, level: float, total: float = 1.0) -> Interval:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    mean, total = float(drawn.mean()), max(total, 1.0)
    return Interval(mean / total, min(float(low), mean) / total, max(float(high), mean) / total)
