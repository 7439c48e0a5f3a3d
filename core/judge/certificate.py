"""Certificate of a bulk accept: a lower bound on the share of right labels in a fixed set, from a random sample of it.

A set of N cards is fixed before any of them is judged. A card is right where a person's verdict equals its suggestion.
Cards are judged in the order of one uniform permutation; n are judged, f of these are wrong, E of all N are wrong
(unknown). The promise of target precision t breaks from E0 = N - ceil(t N) + 1 wrong cards on.

The prior-posterior ratio without replacement (Waudby-Smith & Ramdas, *Confidence sequences for sampling without
replacement*, NeurIPS 2020) compares the verdicts under a prior on E with the verdicts under one E:

    evidence(E) = log P_prior(verdicts) - log P_E(verdicts)

Under the true E its exponential is a martingale that starts at 1. By Ville's inequality it reaches 1 / alpha at any
moment with probability alpha at most, however often one looks. The counts it has not reached 1 / alpha for are an
interval; the intersection of these intervals over time bounds E at confidence 1 - alpha, at every moment at once.

The guarantee needs all of these (each simulated with and without in `bench/certificates.py`):
- The evidence runs over the longest prefix of the permutation in which each card is judged; a skipped card
  ends it.
- A set keeps one permutation.
- The k-th set of a round that overlaps an earlier one has a smaller error rate: `alpha_of`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, log
from numbers import Rational

import numpy as np
from numpy.typing import NDArray

from core.types import ConfigError, FloatArray, IntArray

BoolArray = NDArray[np.bool_]
TARGET = Fraction(95, 100)
ALPHA = 0.05
QUARTERS = 4  # parts of a failed set by confidence, each certified at alpha / QUARTERS
_PRIOR_WEIGHT = 1.5  # of b = 1.5 / (1 - t); a uniform prior needs about twice as many verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Promise that at least the target share of a fixed set is right, with the probability of certifying it falsely."""

    size: int  # N, cards of the set
    target: Fraction = TARGET  # t; exact, since t * N is off by one for some floats (.8, .9)
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        """Refuse values without a meaningful promise."""
        if self.size < 1:
            raise ConfigError(f"a set of {self.size} cards cannot be certified", "choose a set with at least one card")
        if not isinstance(self.target, Rational):
            raise ConfigError(f"the target precision {self.target!r} must be exact", f"write Fraction('{self.target}')")
        if not 0 < self.target <= 1:
            raise ConfigError(f"the target precision is {float(self.target):g}", "it must be above 0 and at most 1")
        if not 0 < self.alpha < 1:
            raise ConfigError(f"the error rate alpha is {self.alpha:g}", "it must lie between 0 and 1")

    @property
    def least_breaking(self) -> int:
        """Fewest wrong cards that break the promise, E0."""
        return self.size - ceil(self.target * self.size) + 1

    @property
    def threshold(self) -> float:
        """Evidence from which on a count of wrong cards is rejected."""
        return log(1 / self.alpha)

    @property
    def prior(self) -> float:
        """Second parameter b of the prior Beta(1, b) on the share of wrong cards, which is never finer than a card."""
        return _PRIOR_WEIGHT / float(max(1 - self.target, Fraction(1, self.size)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Evidence about a claim after the judged prefix.

    The wrong cards of the set, those found included, number from `least_wrong` to `most_wrong` at confidence 1 - alpha.
    """

    claim: Claim
    judged: int
    wrong: int
    least_wrong: int
    most_wrong: int
    log_evidence: float  # against every count that breaks the promise, now; inf where the verdicts exclude them all
    certified_at: int | None  # verdicts after which the certificate was reached
    flawless_needed: int | None  # further right verdicts until the certificate; None: too many wrong ones were found

    @property
    def certified(self) -> bool:
        """The promise holds at confidence 1 - alpha."""
        return self.most_wrong < self.claim.least_breaking

    @property
    def failed(self) -> bool:
        """The promise is broken at confidence 1 - alpha, or because enough wrong cards were found."""
        return self.least_wrong >= self.claim.least_breaking

    @property
    def least_right_share(self) -> float:
        """Lower bound of the share of the set that is right after accepting it with the wrong cards found corrected."""
        return 1 - (self.most_wrong - self.wrong) / self.claim.size


def alpha_of(kth_set: int, base: float = ALPHA) -> float:
    """Return the error rate of the k-th set of a round that overlaps earlier ones, k from 1.

    Over all sets of a round that overlap its first one the probability of any false certificate is at most 1.5 * base.
    """
    if kth_set < 1:
        raise ValueError(f"sets are counted from 1, not {kth_set}")
    return base if kth_set == 1 else base / 2**kth_set


def follow(claim: Claim, right: Sequence[bool] | BoolArray) -> Evidence:
    """Return the evidence after the verdicts of the judged prefix, (n,), in the order of the permutation.

    Each moment has an interval of credible counts, and all of them hold the true one at once with probability
    1 - alpha, so their intersection is reported. Where it becomes empty the verdicts contradict earlier ones, and the
    intersection starts again at that moment: a certificate that its own audit rejects is withdrawn.
    """
    verdicts: BoolArray = np.asarray(right, dtype=np.bool_)
    if len(verdicts) > claim.size:
        raise ValueError(f"{len(verdicts)} verdicts on a set of {claim.size} cards")
    judged, wrong = np.arange(len(verdicts) + 1), np.concatenate([[0], np.cumsum(~verdicts)])
    least, most = credible_counts(claim, judged, wrong)
    start = 0
    while True:
        low, high = np.maximum.accumulate(least[start:]), np.minimum.accumulate(most[start:])
        empty = np.flatnonzero(low > high)
        if not len(empty):
            break
        start += int(empty[0])
    reached = np.flatnonzero(high < claim.least_breaking)
    return Evidence(
        claim=claim,
        judged=len(verdicts),
        wrong=int(wrong[-1]),
        least_wrong=int(low[-1]),
        most_wrong=int(high[-1]),
        log_evidence=float(_against_breaking(claim, judged[-1:], wrong[-1:])[0]),
        certified_at=start + int(reached[0]) if len(reached) else None,
        flawless_needed=0 if len(reached) else flawless_needed(claim, len(verdicts), int(wrong[-1])),
    )


def flawless_needed(claim: Claim, judged: int = 0, wrong: int = 0) -> int | None:
    """Return the least number of further right verdicts that lead to the certificate; None if none can.

    It depends on the counts alone, so a certificate reached earlier in the prefix is ignored.
    """
    if not 0 <= wrong <= judged <= claim.size:
        raise ValueError(f"{wrong} wrong of {judged} judged cards in a set of {claim.size}")
    if wrong >= claim.least_breaking:
        return None
    short, enough = -1, claim.size - judged  # once everything is judged the count decides
    while enough - short > 1:  # evidence grows with every right verdict once it is positive
        middle = (short + enough) // 2
        evidence = _against_breaking(claim, np.array([judged + middle]), np.array([wrong]))[0]
        short, enough = (short, middle) if evidence >= claim.threshold else (middle, enough)
    return enough


def log_evidence(claim: Claim, judged: IntArray, wrong: IntArray, count: IntArray) -> FloatArray:
    """Return the evidence against these counts of wrong cards in the set; all of one shape, inf where impossible."""
    return _log_prior(claim, judged, wrong) - _log_likelihood(claim, judged, wrong, count)


def credible_counts(claim: Claim, judged: IntArray, wrong: IntArray) -> tuple[IntArray, IntArray]:
    """Return the least and the most wrong cards in the set that each pair of counts, (M,), does not reject.

    Evidence falls up to the likeliest count and grows from there, and is never positive at it, so bisection finds both.
    """
    likeliest = _likeliest(claim, judged, wrong)
    credible = np.stack([likeliest, likeliest])  # (2, M)
    rejected = np.stack([wrong - 1, claim.size - (judged - wrong) + 1])
    least_likely = _log_prior(claim, judged, wrong) - claim.threshold
    while (np.abs(rejected - credible) > 1).any():
        middle = (credible + rejected) // 2
        too_far = _log_likelihood(claim, judged, wrong, middle) <= least_likely
        credible, rejected = np.where(too_far, credible, middle), np.where(too_far, middle, rejected)
    return credible[0], credible[1]


def _log_prior(claim: Claim, judged: IntArray, wrong: IntArray) -> FloatArray:
    """Return the log probability of the verdicts, in their order, under the prior."""
    from scipy.special import betaln  # noqa: PLC0415 a third of a second, which starting the app need not wait for

    log_prior: FloatArray = betaln(1.0 + wrong, claim.prior + judged - wrong) - betaln(1.0, claim.prior)
    return log_prior


def _log_likelihood(claim: Claim, judged: IntArray, wrong: IntArray, count: IntArray) -> FloatArray:
    """Return the log probability of the verdicts, in their order, for counts of wrong cards in the set."""
    from scipy.special import gammaln  # noqa: PLC0415 see _log_prior

    right, count_right = judged - wrong, claim.size - count
    possible = (count >= wrong) & (count_right >= right)
    wrong_ones = gammaln(count + 1.0) - gammaln(np.maximum(count - wrong, 0) + 1.0)
    right_ones = gammaln(count_right + 1.0) - gammaln(np.maximum(count_right - right, 0) + 1.0)
    orders = gammaln(claim.size + 1.0) - gammaln(claim.size - judged + 1.0)
    log_likelihood: FloatArray = np.where(possible, wrong_ones + right_ones - orders, -np.inf)
    return log_likelihood


def _against_breaking(claim: Claim, judged: IntArray, wrong: IntArray) -> FloatArray:
    """Return the evidence against the likeliest of the counts that break the promise, so against all of them."""
    return log_evidence(claim, judged, wrong, np.maximum(claim.least_breaking, _likeliest(claim, judged, wrong)))


def _likeliest(claim: Claim, judged: IntArray, wrong: IntArray) -> IntArray:
    """Return the count of wrong cards in the set under which the verdicts are likeliest."""
    mode: IntArray = wrong * (claim.size + 1) // np.maximum(judged, 1)
    return np.asarray(np.minimum(mode, claim.size - (judged - wrong)))
