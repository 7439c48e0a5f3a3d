"""How often labels are wrong: what confident learning counts, as far as the labels themselves bear it out.

Shapes: N items, K classes; logits (N, K), labels (N,), `NO_LABEL` where unlabelled; the joint is `scoring`'s, (K, K)
given label x true class, in items. Row i of the rates says how often an item truly of class i was given each label.

Confident learning calls a label wrong that a network contradicts confidently. It cannot tell a wrong label from a weak
network: where one is right about half of the labels it counts two fifths as wrong, though a twentieth may be. So a
second number is fitted, the *share* of the counted errors that are believed, together with the sharpening of the
networks: label j is expected with probability sum_i p(i) rates[i, j], and chosen is what makes the given labels
likeliest. A network that is weak is also unsure, and explains most contradictions by that; wrong labels contradict it
where it is sure of everything else. An item's own contradiction counts nowhere against its own label: of pairs of
classes seen once, each would prove itself.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from core.judge.calibration import probabilities
from core.types import NO_LABEL, FloatArray, IntArray

_SHARPER = (-2.5, 0.0)  # logarithms; noise in the labels can only have made a network less sure
_SHARES = np.array([0, 0.03, 0.08, 0.15, 0.25, 0.4, 0.6, 0.8, 1])
_FIT_VALUES = 1_000_000  # of logits: two numbers need no more
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class LabelNoise:
    """The joint with which confident learning counts errors, and the share of them that is believed, in [0, 1]."""

    counted: FloatArray
    share: float

    @property
    def joint(self) -> FloatArray:
        """Return the joint as it is believed, (K, K); every given label keeps its number of items."""
        given = np.diag(self.counted.sum(axis=1))
        joint: FloatArray = self.share * self.counted + (1 - self.share) * given
        return joint

    @property
    def rates(self) -> FloatArray:
        """Return how often each true class (row) is given each label, (K, K), rows sum to 1."""
        seen = self._seen()
        rates: FloatArray = seen / seen.sum(axis=1, keepdims=True)
        return rates

    def likelihoods(self, labels: IntArray, pseudo: IntArray) -> FloatArray:
        """Return how likely each item's label is where it truly is of each class, (N, K); its own vote counts nowhere.

        Args:
            labels: (N,) without `NO_LABEL`.
            pseudo: (N,) the class that the network votes for.
        """
        seen, line = self._seen(), np.arange(len(labels))
        total = seen.sum(axis=1)
        likely: FloatArray = (seen / total[:, None]).T[labels]
        vote = np.minimum(1, self.counted[labels, pseudo])
        contradicts = pseudo != labels
        here = vote * np.where(contradicts, self.share, 1)
        likely[line, pseudo] = (seen[pseudo, labels] - here) / (total[pseudo] - here)
        back = (vote * (1 - self.share))[contradicts]  # what the contradiction gave back to the label
        own = labels[contradicts]
        likely[line[contradicts], own] = (seen[own, own] - back) / (total[own] - back)
        return likely

    def _seen(self) -> FloatArray:
        """Return true class x label in items; one right and one wrong one are added, so that nothing is impossible."""
        classes = len(self.counted)
        seen: FloatArray = self.joint.T + (1 - np.eye(classes)) / max(1, classes - 1) + np.eye(classes)
        return seen


def fit_noise(logits: FloatArray, labels: IntArray, joint: FloatArray) -> tuple[LabelNoise, float]:
    """Return the noise that makes the given labels likeliest, and by what all temperatures are to be multiplied.

    One number for the networks of all folds, since a single small fold could be explained by noise alone and would
    become sure of everything.
    """
    known = np.flatnonzero(labels != NO_LABEL)
    known = known[:: max(1, known.size * logits.shape[1] // _FIT_VALUES)]
    logits, labels = logits[known], labels[known]
    pseudo = logits.argmax(axis=1)

    def best_of(share: float) -> tuple[float, float]:
        """Return the surprise, and the logarithm of the sharpening, that are best with this share."""
        likely = LabelNoise(joint, share).likelihoods(labels, pseudo).astype(np.float32)

        def surprise(sharper: float) -> float:
            expected = np.einsum("nk,nk->n", probabilities(logits, float(np.exp(sharper))), likely)
            return float(-np.log(np.maximum(expected, _SMALLEST)).mean())

        found = minimize_scalar(surprise, bounds=_SHARPER, method="bounded", options={"xatol": 1e-2})
        return float(found.fun), float(found.x)

    tried = {share: best_of(share) for share in _SHARES.tolist()}
    place = _SHARES.tolist().index(min(tried, key=lambda share: tried[share][0]))
    around = _SHARES[max(0, place - 1)], _SHARES[min(len(_SHARES) - 1, place + 1)]
    tried |= {share: best_of(share) for share in np.linspace(*around, 7)[1:-1].tolist()}
    share = min(tried, key=lambda share: tried[share][0])
    return LabelNoise(joint, share), float(np.exp(tried[share][1]))
