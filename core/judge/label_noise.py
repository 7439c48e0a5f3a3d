"""Rates of label noise: the counts of confident learning, scaled to maximise the likelihood of the given labels.

Shapes: N items, K classes; logits (N, K), labels (N,), `NO_LABEL` where unlabelled; joints are (K, K), given label x
true class, in items, as in `scoring`. Row i of the rates is the distribution of given labels of items truly of class i.

Confident learning counts a label as wrong that a network contradicts confidently. It cannot distinguish wrong labels
from a weak network: with a network that agrees with half of the labels it counts two fifths as wrong, where a twentieth
may be. And its rates of single pairs of classes rest on a handful of items each. So three numbers are fitted together:
the *share* of the counted errors that is believed, how *evenly* these are spread over all pairs of classes instead of
those in which they were counted, and the sharpening of the networks. Label j is expected with probability
sum_i p(i) rates[i, j] (as in the forward correction of Patrini et al., *Making deep neural networks robust to label
noise*, CVPR 2017), and the three numbers maximise the likelihood of the given labels. A weak network is also unsure,
which explains most contradictions; wrong labels contradict a network that is sure of all other labels. The likelihood
of an item's label is computed without its own vote, since a pair of classes seen once would prove itself.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from core.judge.calibration import probabilities
from core.judge.row_blocks import Rows
from core.judge.scoring import ConfidentVotes
from core.types import NO_LABEL, FloatArray, IntArray

_SHARPER = (-2.5, 0.0)  # logarithms; noise in the labels only makes a network less sure
_SHARES = (0.0, 0.1, 0.25, 0.5, 1.0)
_EVENLY = (0.0, 0.25, 0.5, 0.75, 1.0)
_FIT_VALUES, _FIT_ITEMS = 300_000, 10_000  # logits, or items where these are more; enough for three numbers
_SMALLEST = 1e-12


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """Counts of confident learning, and the share of them that is believed; both shares lie in [0, 1]."""

    votes: ConfidentVotes
    share: float  # of the errors
    evenly: float = 0.0  # share of these that is spread evenly over all pairs of classes

    @cached_property
    def joint(self) -> FloatArray:
        """Return the believed joint, (K, K); each given label keeps its number of items."""
        counted, classes = self.votes.joint, len(self.votes.joint)
        given = counted.sum(axis=1)
        wrong = 1 - counted.trace() / max(1.0, counted.sum())
        even = np.full((classes, classes), wrong / max(1, classes - 1))
        even[np.diag_indices(classes)] = 1 - wrong
        errors = (1 - self.evenly) * counted + self.evenly * given[:, None] * even
        joint: FloatArray = self.share * errors + (1 - self.share) * np.diag(given)
        return joint

    @property
    def rates(self) -> FloatArray:
        """Return the distribution of given labels of each true class (row), (K, K); rows sum to 1."""
        seen = self._seen
        rates: FloatArray = seen / seen.sum(axis=1, keepdims=True)
        return rates

    def likelihoods(self, labels: IntArray, rows: IntArray) -> FloatArray:
        """Return the likelihood of each item's label under each true class, (M, K), without the item's own vote.

        Args:
            labels: (M,) without `NO_LABEL`.
            rows: (M,) of the items among all whose votes were counted.
        """
        seen, voted = self._seen, self.votes.voted[rows]
        total = seen.sum(axis=1)
        likely: FloatArray = (seen / total[:, None]).T[labels]
        (line,) = np.nonzero(voted != NO_LABEL)
        own, other = labels[line], voted[line]
        vote = np.minimum(self.votes.weight[own], self.votes.joint[own, other])
        contradicts = other != own
        here = vote * np.where(contradicts, self.share * (1 - self.evenly), 1 - self.share * self.evenly)
        likely[line, other] = (seen[other, own] - here) / (total[other] - here)
        back = (vote * (1 - self.share))[contradicts]  # part of a contradiction that counts for the label
        line, own = line[contradicts], own[contradicts]
        likely[line, own] = (seen[own, own] - back) / (total[own] - back)
        return likely

    @cached_property
    def _seen(self) -> FloatArray:
        """Return true class x label in items, plus one right and one wrong item, so that no pair is impossible."""
        classes = len(self.votes.joint)
        seen: FloatArray = self.joint.T + (1 - np.eye(classes)) / max(1, classes - 1) + np.eye(classes)
        return seen


def fit_noise(logits: Rows, labels: IntArray, votes: ConfidentVotes) -> tuple[LabelNoise, float]:
    """Return the noise that maximises the likelihood of the given labels, and a factor for all temperatures.

    `votes` are of the same items, at least one of which has a label. One factor serves all folds, since a single small
    fold could be explained by noise alone, and its network would become too sure.
    """
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 a third of a second, which commands need not wait for

    rows = _sample_rows(np.flatnonzero(labels != NO_LABEL), logits.shape[1])
    sampled, labels = logits[rows], labels[rows]

    def best_of(share: float, evenly: float) -> tuple[float, float]:
        """Return the least negative log likelihood with these shares, and the logarithm of its sharpening."""
        likely = LabelNoise(votes, share, evenly).likelihoods(labels, rows).astype(np.float32)

        def surprise(sharper: float) -> float:
            expected = np.einsum("nk,nk->n", probabilities(sampled, float(np.exp(sharper))), likely)
            return float(-np.log(np.maximum(expected, _SMALLEST)).mean())

        found = minimize_scalar(surprise, bounds=_SHARPER, method="bounded", options={"xatol": 1e-2})
        return float(found.fun), float(found.x)

    tried = {pair: best_of(*pair) for pair in [(0.0, 1.0), *product(_SHARES[1:], _EVENLY)]}
    share, evenly = min(tried, key=lambda pair: tried[pair][0])
    place = _SHARES.index(share)
    around = _SHARES[max(0, place - 1)], _SHARES[min(len(_SHARES) - 1, place + 1)]
    tried |= {(one, evenly): best_of(one, evenly) for one in np.linspace(*around, 7)[1:-1].tolist()}
    chosen = min(tried, key=lambda pair: tried[pair][0])
    return LabelNoise(votes, *chosen), float(np.exp(tried[chosen][1]))


def _sample_rows(rows: IntArray, classes: int) -> IntArray:
    """Return a random sample of rows that is enough for the fit, ascending."""
    most = max(_FIT_ITEMS, _FIT_VALUES // classes)
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
