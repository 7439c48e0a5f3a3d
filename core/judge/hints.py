"""Hints on a round: warnings from its metrics, to be checked before anything is accepted.

K classes, N samples. Hints are derived from the stored metrics alone, so old rounds have them as well, except those
whose metrics they did not store. The confusion of a round of masks counts pixels.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.types import Cure, FloatArray, IntArray

BoolArray = NDArray[np.bool_]
LOOKALIKES, BACKBONE = "lookalike_share", "backbone_check"  # keys of the metrics
_FIRST = "network"  # word for the first network of a round
_SCALING = {"mean": Cure.WEIGHTS_MEAN, "std": Cure.WEIGHTS_STD, "padding": Cure.WEIGHTS_PADDING}
_LOW_AGREEMENT = 0.8
_MANY_DISAGREE, _HARDLY_BELIEVED = 0.1, 0.1  # of all labels; of the disagreements
_FEWEST_CHANGES = 20  # a share of fewer is unreliable
_ONE_PAIR = 0.5  # of the changes
_SHIFTED = 0.1  # total variation distance between predicted and given shares of the classes
_WINDOW, _ONE_CLUSTER = 0.05, 0.25  # of the images in their order of similarity, of the changes
_FEW_IMAGES = 20  # of a class
_PERFECT = 0.999  # agreement that models hardly reach on images outside of their training set
_ENOUGH = 200  # labels from which such an agreement is significant
PREDICTIONS = "predictions"  # metric of a round of imported predictions


class HintKey(StrEnum):
    """Kinds of hints."""

    LOW_AGREEMENT = "low-agreement"
    NO_ERROR_BELIEVED = "no-error-believed"
    ONE_PAIR = "one-pair"
    SHIFTED_SHARES = "shifted-shares"
    LOOKALIKES = "lookalikes"
    FEW_IMAGES = "few-images"
    SEEN = "seen"
    WRONG_SCALING = "wrong-scaling"
    WEAK_NETWORK = "weak-network"


@dataclass(frozen=True, slots=True)
class Hint:
    """Hint with its reason and advice; `classes` are the two classes concerned, if there are two."""

    key: HintKey
    text: str
    advice: str
    classes: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Confusion:
    """Sums of a confusion, (K,), and its disagreements by unordered pair of classes."""

    right: FloatArray
    given: FloatArray
    predicted: FloatArray
    pairs: Mapping[tuple[int, int], int]

    @property
    def changes(self) -> float:
        """Number of labels that the round contradicts."""
        return float(self.given.sum() - self.right.sum())


def hints(metrics: Mapping[str, Any]) -> list[Hint]:
    """Return the hints on a round, from its stored metrics."""
    if "confusion" not in metrics or "per_class" not in metrics:
        return []
    confusion = _read(metrics["confusion"])
    if not confusion.given.sum():
        return []
    names = [str(row["name"]) for row in metrics["per_class"]]
    found = (
        _seen_labels(confusion, metrics.get(PREDICTIONS)),
        _weak_network(metrics.get(BACKBONE), _FIRST),
        *(
            _weak_network(row.get(BACKBONE), f"network {number} ({row['model']})")
            for number, row in enumerate(metrics.get("networks") or (), 1)
            if number > 1
        ),
        _low_agreement(confusion),
        _no_error_believed(confusion, metrics.get("estimated_error_rate")),
        _one_pair(confusion, names),
        _shifted_shares(confusion, names),
        _lookalikes(metrics.get(LOOKALIKES)),
        None if "regions" in metrics else _few_images(confusion, names, metrics.get("offered")),
    )
    return [hint for hint in found if hint is not None]


def lookalike_share(similarity_rank: IntArray, suspicious: BoolArray) -> float | None:
    """Return the largest share of the changes within a twentieth of the images, adjacent by similarity.

    Both arguments (N,). The share expected by chance is a twentieth. None: there are too few changes.
    """
    changes = int(suspicious.sum())
    if changes < _FEWEST_CHANGES:
        return None
    ordered = np.zeros(len(suspicious) + 1, np.int64)
    ordered[1 + similarity_rank] = suspicious
    upto = np.cumsum(ordered)
    width = max(1, round(_WINDOW * len(suspicious)))
    return float((upto[width:] - upto[:-width]).max() / changes)


def _read(stored: Sequence[Sequence[int]] | Mapping[str, Any]) -> _Confusion:
    """Return a confusion from its JSON values, see `confusions.as_json`."""
    if isinstance(stored, Mapping):
        right, given, predicted = (np.array(stored[name], np.float64) for name in ("right", "given", "predicted"))
        cells = [(int(one), int(other), int(count)) for one, other, count in stored["pairs"]]
    else:
        counts = np.array(stored, np.float64)
        right, given, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
        places = np.argwhere(counts).tolist()
        cells = [(one, other, int(counts[one, other])) for one, other in places if one != other]
    pairs: dict[tuple[int, int], int] = {}
    for one, other, count in cells:
        pair = (min(one, other), max(one, other))
        pairs[pair] = pairs.get(pair, 0) + count
    return _Confusion(right, given, predicted, pairs)


def _seen_labels(confusion: _Confusion, predictions: Mapping[str, Any] | None) -> Hint | None:
    """Return the hint on imported predictions of models that were trained on the same labels, or seem to be."""
    if predictions is None:
        return None
    advice = "Predict each image by a model that was not trained on it (cross-validation), and import these."
    if not predictions["out_of_fold"]:
        text = "These predictions may be of models that had learnt the same labels: they repeat many of the wrong ones."
        return Hint(HintKey.SEEN, text, advice)
    count, agreement = confusion.given.sum(), confusion.right.sum() / confusion.given.sum()
    if count < _ENOUGH or agreement < _PERFECT:
        return None
    text = f"Agrees with {agreement:.2%} of the labels, as models do that have learnt them."
    return Hint(HintKey.SEEN, text, advice)


def _weak_network(check: Mapping[str, Any] | None, network: str) -> Hint | None:
    """Return the hint on a network that is clearly worse than others, by `core.learn.backbone_check`."""
    if check is None or not check["better"]:
        return None
    agrees = f"The {network} agrees with {check['agreement']:.0%} of {check['held_out']} labels that were held out"
    if check["better"] != "scaling":
        seen = "frozen and seen" if check.get("trained") else "seen"
        text = (
            f"{agrees}; the installed {check['better']}, {seen} at the same size, agrees with "
            f"{check['better_agreement']:.0%} of the same."
        )
        if check.get("trained"):
            advice = "Train it for more epochs, or start a round with the installed network as a probe."
            return Hint(HintKey.WEAK_NETWORK, text, advice)
        advice = "Check that the weights belong to this network, or start a round with the installed network."
        return Hint(HintKey.WEAK_NETWORK, text, advice)
    mean, std = (",".join(f"{value:g}" for value in check[name]) for name in ("mean", "std"))
    padding = f" and padding {check['padding']}" if check["padding"] else " and the network's own padding"
    text = (
        f"{agrees}; with mean {mean}, deviation {std}{padding} the same weights agree with "
        f"{check['better_agreement']:.0%} of them, so they were probably trained with these."
    )
    facts = {"mean": mean, "std": std} | ({"padding": check["padding"]} if check["padding"] else {})
    options = ", ".join(f"{_SCALING[name]} {value}" for name, value in facts.items())
    of_it = "with its file" if network == _FIRST else "in which it is the first network"
    advice = f"Start another round {of_it} and {options}."
    return Hint(HintKey.WRONG_SCALING, text, advice)


def _low_agreement(confusion: _Confusion) -> Hint | None:
    agreement = float(confusion.right.sum() / confusion.given.sum())
    if agreement >= _LOW_AGREEMENT:
        return None
    text = f"Agrees with {agreement:.0%} of the labels: either the labels or the network are at fault."
    return Hint(HintKey.LOW_AGREEMENT, text, "Only a random sample tells which; check one before accepting.")


def _no_error_believed(confusion: _Confusion, error_rate: float | None) -> Hint | None:
    differing = confusion.changes / float(confusion.given.sum())
    if error_rate is None or differing < _MANY_DISAGREE or error_rate >= _HARDLY_BELIEVED * differing:
        return None
    text = (
        f"Contradicts {differing:.0%} of the labels, yet by the model's own estimate (unverified) {error_rate:.1%} are"
        " wrong: it explains the contradictions by its own weakness, or it has learnt the wrong labels."
    )
    return Hint(HintKey.NO_ERROR_BELIEVED, text, "Check a random sample of the suspicious images, at every confidence.")


def _one_pair(confusion: _Confusion, names: Sequence[str]) -> Hint | None:
    if confusion.changes < _FEWEST_CHANGES or not confusion.pairs:
        return None
    pair = max(confusion.pairs, key=lambda one: confusion.pairs[one])
    share = confusion.pairs[pair] / confusion.changes
    if len(confusion.right) <= len(pair) or share <= _ONE_PAIR:  # two classes have no other pair
        return None
    one, other = (names[number] for number in pair)
    text = (
        f"{share:.0%} of the changes are between {one} and {other}: the two may look alike, or overlap by definition."
    )
    advice = "Agree on what tells them apart, then check a random sample of this pair alone."
    return Hint(HintKey.ONE_PAIR, text, advice, pair)


def _shifted_shares(confusion: _Confusion, names: Sequence[str]) -> Hint | None:
    given, predicted = (sums / sums.sum() for sums in (confusion.given, confusion.predicted))
    away = predicted - given
    if np.abs(away).sum() / 2 < _SHIFTED:
        return None
    worst = int(np.abs(away).argmax())
    text = (
        f"Predicted class shares are far from the given ones: {names[worst]} is {given[worst]:.0%} of the labels and"
        f" {predicted[worst]:.0%} of the predictions."
    )
    advice = (
        "The network may favour classes, as one trained on balanced classes does; sample the changes to that class."
    )
    return Hint(HintKey.SHIFTED_SHARES, text, advice)


def _lookalikes(share: float | None) -> Hint | None:
    if share is None or share <= _ONE_CLUSTER:
        return None
    text = (
        f"{share:.0%} of the changes lie in one cluster of look-alikes, a twentieth of the images: the network may be"
        " wrong about all of them in the same way."
    )
    return Hint(
        HintKey.LOOKALIKES, text, "Order the queue by similarity and look at a few cards of that cluster first."
    )


def _few_images(confusion: _Confusion, names: Sequence[str], offered: Collection[int] | None) -> Hint | None:
    """Return the hint on rare classes, of the `offered` ones where some were merged or undone since."""
    few = np.flatnonzero(confusion.given < _FEW_IMAGES)
    if offered is not None:
        few = few[np.isin(few, list(offered))]
    if not len(few):
        return None
    rarest = int(few[confusion.given[few].argmin()])
    count = int(confusion.given[rarest])
    every = len(names if offered is None else offered)
    text = (
        f"{len(few)} of {every} classes have fewer than {_FEW_IMAGES} labelled images (rarest: {names[rarest]},"
        f" {count}): hardly any network can learn these."
    )
    return Hint(HintKey.FEW_IMAGES, text, "Label more images of them, or judge their findings one by one.")
