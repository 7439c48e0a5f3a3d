"""Labels of few images, spread to many others over the nearest neighbours of their frozen features.

Labels spread over a graph of nearest neighbours (D. Zhou et al., *Learning with local and global consistency*, NIPS
2003), in rounds that take the surest part of each class as labels of the next one, a growing one (M. Lazarou et al.,
*Iterative label cleaning for transductive and semi-supervised few-shot learning*, ICCV 2021). In each round graph and
regression are asked, both scaled to the classes' shares (Sinkhorn), and their mean log probability counts.
The last one is what a regression learns of all images, so that new images are predicted as by a probe.

Sinkhorn's scaling supposes that the images have the classes' shares of the labels, which balanced labels of unbalanced
images do not have. So labels are spread without it first. Where the shares that come out differ from those of the
labels by more than chance may make of so few labels (`ALIKE`), it stays at that; else they are spread again with it.

N images, M of them labelled, D features, C components, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from core.learn.models.probes import LinearHead
from core.learn.probe import fit_regression
from core.learn.training import stop_if
from core.types import NO_LABEL, FloatArray, IntArray

_COMPONENTS = 128  # leading principal ones
_WHITENING = 0.25  # power of the eigenvalues that components are divided by: between none (0) and whole (.5)
_NEIGHBOURS = 10
_STAYS = 0.99  # share of a label that spreads in a step; the rest stays at its source
_STEPS = 50
_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)  # of each class, taken as labels of the next round
_SCALINGS = 20  # of Sinkhorn
_DECAY = 0.03  # of the regressions' weights
ALIKE = 0.4  # total variation that chance makes of one draw from one class; it goes with the root of classes a draw
_LEAST = 1e-6  # probability
_ABSENT = 1e-3  # pseudo-count of a class without labels


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSpace:
    """Features of all images reduced to their leading components, and the graph of nearest neighbours.

    It depends on no label, so one serves all labels that are tried on these images.
    """

    mean: Tensor  # (D,), of each feature
    std: Tensor  # (D,)
    axes: Tensor  # (D, C), from standardised features to components of mean length 1 a component
    components: Tensor  # (N, C)
    graph: sparse.csr_matrix  # (N, N), symmetric, scaled so that its largest eigenvalue is 1


def feature_space(embeddings: FloatArray) -> FeatureSpace:
    """Return the space of these images, (N, D), of which at least two must differ. Time grows with N^2."""
    features = torch.from_numpy(np.asarray(embeddings, np.float32))
    mean, std = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    features = (features - mean) / std
    values, vectors = torch.linalg.eigh((features.T @ features).double() / len(features))
    count = min(_COMPONENTS, len(values), len(features) - 1)
    values, vectors = values.flip(0)[:count].clamp_min(1e-12), vectors.flip(1)[:, :count]
    axes = (vectors / values.pow(_WHITENING)).float()
    components = features @ axes
    size = components.square().mean().sqrt()
    return FeatureSpace(mean, std, axes / size, components / size, _neighbour_graph(components.numpy()))


def spread_labels(
    space: FeatureSpace, labels: IntArray, classes: int, should_stop: Callable[[], bool] = lambda: False
) -> FloatArray:
    """Return the probabilities of all images after the labels, (N,) with `NO_LABEL` where unknown, were spread, (N, K).

    Those of a labelled image are 1 for its label.

    Raises:
        ValueError: no image is labelled.
        RoundCancelledError: `should_stop` returned true.
    """
    known = np.flatnonzero(labels != NO_LABEL)
    if not len(known):
        raise ValueError("no image is labelled")
    given = np.zeros((len(labels), classes), np.float32)
    given[known, labels[known]] = 1
    found = _spread_over(space, given, None, should_stop)
    shares = given.sum(axis=0) / len(known)
    chance = ALIKE * np.sqrt((shares > 0).sum() / len(known))
    if total_variation(found.mean(axis=0), shares) <= chance:
        prior = (shares * len(known) + _ABSENT) / (len(known) + _ABSENT * classes)
        found = _spread_over(space, given, torch.from_numpy(prior.astype(np.float32)), should_stop)
    return found


def total_variation(first: FloatArray, second: FloatArray) -> float:
    """Return the distance of two sets of shares, (K,), from 0 for the same to 1."""
    return float(np.abs(first - second).sum() / 2)


def _spread_over(
    space: FeatureSpace, given: FloatArray, prior: Tensor | None, should_stop: Callable[[], bool]
) -> FloatArray:
    """Return the probabilities after the given labels, (N, K) of 0 and 1, were spread; (K,) the classes' shares."""
    known = given.sum(axis=1) > 0

    def scaled(probs: Tensor) -> Tensor:
        return probs if prior is None else _balance(probs, prior)

    taken, probs = given, torch.from_numpy(given)
    for share in _SHARES:
        stop_if(should_stop)
        near = scaled(torch.from_numpy(_spread(space.graph, taken)))
        learnt = scaled(_fit(space, taken, should_stop)(space.components).softmax(dim=1).detach())
        logs = (near.clamp_min(_LEAST).log() + learnt.clamp_min(_LEAST).log()) / 2
        probs = scaled(logs.softmax(dim=1))
        taken = _surest(probs.numpy(), share)
        taken[known] = given[known]
    found: FloatArray = probs.numpy().copy()
    found[known] = given[known]
    return found


def fit_head(space: FeatureSpace, targets: FloatArray, should_stop: Callable[[], bool] = lambda: False) -> LinearHead:
    """Return the regression on these probabilities, (N, K), of the images' own features; rows of 0 are left out."""
    return _as_head(space, _fit(space, targets, should_stop))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadChoice:
    """Choice between spread labels and the probe, by cross-validation; None if no label could be held out."""

    spread: bool
    held_out: int  # labels that chose
    probe_right: float | None  # share of them
    spread_right: float | None


def choose(probe: FloatArray, spread: FloatArray, labels: IntArray) -> SpreadChoice:
    """Return the choice by the held-out labels, (M,), and the logits of both for them, (M, K).

    The probe is chosen if it is right about more of them.
    """
    if not len(labels):
        return SpreadChoice(spread=True, held_out=0, probe_right=None, spread_right=None)
    right = [logits.argmax(axis=1) == labels for logits in (probe, spread)]
    return SpreadChoice(
        spread=bool(right[1].sum() >= right[0].sum()),
        held_out=len(labels),
        probe_right=float(right[0].mean()),
        spread_right=float(right[1].mean()),
    )


def _neighbour_graph(points: FloatArray) -> sparse.csr_matrix:
    """Return the graph of the nearest neighbours by cosine, each edge weighing its cube: Zhou's normalised matrix S."""
    unit = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    count = min(_NEIGHBOURS, len(unit) - 1)
    distances, neighbours = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(unit).kneighbors()
    weights = np.maximum(1 - distances**2 / 2, _LEAST) ** 3
    rows = np.repeat(np.arange(len(unit)), count)
    edges = sparse.csr_matrix((weights.ravel(), (rows, neighbours.ravel())), shape=(len(unit), len(unit)))
    both = edges + edges.T
    scale = sparse.diags(1 / np.sqrt(np.asarray(both.sum(axis=1)).ravel()))
    return (scale @ both @ scale).astype(np.float32).tocsr()


def _spread(graph: sparse.csr_matrix, taken: FloatArray) -> FloatArray:
    """Return the labels, (N, K) of 0 and 1, after spreading, as probabilities; all classes begin with the same mass."""
    begin = taken / np.maximum(taken.sum(axis=0), 1)
    spread = begin
    for _ in range(_STEPS):
        spread = _STAYS * (graph @ spread) + (1 - _STAYS) * begin
    total = spread.sum(axis=1, keepdims=True)
    even = np.float32(1 / spread.shape[1])
    found: FloatArray = np.where(total > 0, spread / np.maximum(total, 1e-30), even).astype(np.float32)
    return found


def _balance(probs: Tensor, prior: Tensor) -> Tensor:
    """Return the probabilities, (N, K), scaled so that their mean is the prior, (K,), and each row sums to 1."""
    for _ in range(_SCALINGS):
        probs = probs * (prior * len(probs) / probs.sum(dim=0).clamp_min(1e-12))
        probs = probs / probs.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return probs


def _surest(probs: FloatArray, share: float) -> FloatArray:
    """Return the likeliest classes of this share of each class's images, the surest ones, (N, K) of 0 and 1."""
    taken = np.zeros_like(probs)
    likeliest, sure = probs.argmax(axis=1), probs.max(axis=1)
    for label in range(probs.shape[1]):
        rows = np.flatnonzero(likeliest == label)
        best = rows[np.argsort(-sure[rows], kind="stable")[: int(np.ceil(share * len(rows)))]]
        taken[best, label] = 1
    return taken


def _fit(space: FeatureSpace, targets: FloatArray, should_stop: Callable[[], bool]) -> nn.Linear:
    """Return the regression of the components of all rows with a target, (N, K) of probabilities or 0 throughout."""
    rows = np.flatnonzero(targets.sum(axis=1) > 0)
    wanted = torch.from_numpy(targets[rows])
    return fit_regression(space.components[rows], wanted, targets.shape[1], decay=_DECAY, should_stop=should_stop)


def _as_head(space: FeatureSpace, layer: nn.Linear) -> LinearHead:
    """Return the same regression on the features themselves."""
    whole = nn.Linear(len(space.mean), layer.out_features)
    with torch.no_grad():
        whole.weight.copy_(layer.weight @ space.axes.T)
        whole.bias.copy_(layer.bias)
    return LinearHead(space.mean, space.std, whole)
