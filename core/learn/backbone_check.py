"""Comparison of a round's network with the installed one, and of a frozen one with other scalings of its inputs.

The comparison is out of fold, on a small sample of a fold's labels: a regression on the features of each candidate is
fitted to training rows and predicts held-out rows; a fine-tuned network was trained on all training rows. All
candidates are compared on the same labels, so neither hard images nor wrong labels count against a network, and only
significant differences count. N held-out labels, D features.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.config import BACKBONE, SMALL_NETWORK, ProbabilityMethod, RoundConfig, Weights
from core.data.array_cache import lock_path
from core.data.likeliest import LikelyLogits
from core.data.storage import atomic_path, exclusive_lock
from core.learn.batches import ImageBatches, Scaling
from core.learn.crossfold import FoldCallbacks, FoldSplit
from core.learn.devices import for_inference
from core.learn.models.classifier import initial_scaling
from core.learn.probe import build_frozen, fit_regression
from core.learn.training import predict_batches
from core.types import NO_LABEL, ConfigError, FloatArray, IntArray, Progress

SCALING = "scaling"
_SCALINGS = (
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # ImageNet's
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
)
_LEARNT, _TESTED, _FEWEST_TESTED = 750, 750, 60  # labels of the sample
_TRIED_AT_ONCE = 64  # images, since a trained network still takes memory
_DECAY = 0.3
_SAME_WEIGHTS = 3.0, 0.02  # least z of the probabilities' paired differences, and least gain in agreement
_OTHER_NETWORK = 4.0, 0.08  # a good network for small images is .05 behind the installed one


@dataclass(frozen=True, slots=True)
class BackboneCheck:
    """Agreement of a round's network with `held_out` labels, and of a clearly better candidate, "" without one.

    `better` is `SCALING` (the same weights with `mean`, `std` and `padding`) or the installed network's name.
    """

    held_out: int
    agreement: float
    better: str = ""
    better_agreement: float = 0.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    padding: str = ""
    trained: bool = False  # the network was fine-tuned, not frozen


@dataclass(frozen=True, slots=True)
class BackboneTrial:
    """Inputs of a comparison: the round's images and classes, and a builder of networks.

    `read` decodes some rows where `images` holds none.
    """

    images: ImageBatches
    classes: int
    build: Callable[[RoundConfig], nn.Module]
    callbacks: FoldCallbacks
    read: Callable[[IntArray], ImageBatches] | None = None

    def shown(self, rows: IntArray) -> tuple[ImageBatches, Tensor]:
        """Return images, and the places of these rows among them, (M,)."""
        if self.read is None:
            return self.images, torch.from_numpy(rows)
        return self.read(rows), torch.arange(len(rows))


@dataclass(frozen=True, slots=True, eq=False)
class _CandidateScore:
    """Probability of each held-out label, (N,), and the agreement with them.

    Its logarithm would be dominated by a few outliers. Of a trained network, whose probabilities are not calibrated
    yet, 1 where it agrees and 0 elsewhere.
    """

    given: FloatArray
    agreement: float

    def is_behind(self, other: "_CandidateScore", least: tuple[float, float]) -> bool:
        """Return True if another one is significantly better, and by this least gain in agreement."""
        gains = other.given - self.given
        z = float(gains.mean() / max(gains.std(), 1e-12) * np.sqrt(len(gains)))
        return z >= least[0] and other.agreement - self.agreement >= least[1]


_Judge = Callable[[Tensor, FoldSplit], _CandidateScore]
"""Logits of the held-out rows, (N, K) -> the score of the candidate."""


def needs_check(config: RoundConfig) -> bool:
    """Return True for frozen networks but the installed one, and for trained networks not made for small images."""
    if config.method is ProbabilityMethod.PROBE:
        return config.weights is not Weights.PACKAGED
    return config.model != SMALL_NETWORK


def check_backbone(
    config: RoundConfig,
    embeddings: FloatArray,
    fold: FoldSplit,
    learnable: NDArray[np.bool_],
    trial: BackboneTrial,
    *,
    path: Path,
) -> None:
    """Compare the round's frozen network once and write the outcome to `path`, unless there are too few labels."""

    def check(sample: FoldSplit) -> BackboneCheck:
        own = torch.from_numpy(np.asarray(embeddings[_rows(sample)], np.float32))
        return _compare(config, own, sample, trial)

    _check_once(config, fold, learnable, check, trial, path=path)


def check_trained(
    config: RoundConfig,
    logits: FloatArray | LikelyLogits,
    fold: FoldSplit,
    learnable: NDArray[np.bool_],
    trial: BackboneTrial,
    *,
    path: Path,
) -> None:
    """Compare a trained network, by its logits of the held-out rows, (M, K), with the installed one once.

    It was trained on many times the labels of the installed network's regression.
    """

    def check(sample: FoldSplit) -> BackboneCheck:
        places = np.searchsorted(fold.held_rows, sample.held_rows)  # held-out rows ascend
        own = _judge_by_agreement(torch.from_numpy(logits[places]), sample)
        frozen_config = replace(
            config, method=ProbabilityMethod.PROBE, batch_size=min(config.batch_size, _TRIED_AT_ONCE)
        )
        other = _judge_installed(frozen_config, sample, trial, judge=_judge_by_agreement)
        found = BackboneCheck(len(sample.held_rows), own.agreement, trained=True)
        if not own.is_behind(other, _OTHER_NETWORK):
            return found
        return replace(found, better=BACKBONE, better_agreement=other.agreement)

    _check_once(config, fold, learnable, check, trial, path=path)


def _check_once(
    config: RoundConfig,
    fold: FoldSplit,
    learnable: NDArray[np.bool_],
    check: Callable[[FoldSplit], BackboneCheck],
    trial: BackboneTrial,
    *,
    path: Path,
) -> None:
    known = fold.held_rows[learnable[fold.held_rows] & (fold.labels[fold.held_rows] != NO_LABEL)]
    if len(known) < _FEWEST_TESTED:
        return
    rng = np.random.default_rng(config.seed)
    learn, tested = rng.permutation(fold.learn_rows)[:_LEARNT], rng.permutation(known)[:_TESTED]
    sample = replace(fold, learn_rows=learn, held_rows=tested)
    with exclusive_lock(lock_path(path), trial.callbacks.should_stop):
        if not path.exists():
            found = check(sample)
            with atomic_path(path) as partial:
                partial.write_text(json.dumps(asdict(found)), encoding="utf-8")


def _compare(config: RoundConfig, features: Tensor, sample: FoldSplit, trial: BackboneTrial) -> BackboneCheck:
    """Compare a network, by its features of the sample, with other scalings of a file and with the installed one."""
    own = _judge_by_probability(_logits(features, sample, trial), sample)
    check = BackboneCheck(len(sample.held_rows), own.agreement)
    if config.weights is Weights.FILE:
        best, found = config, own
        for candidates in (_with_other_scalings, _with_other_padding):
            for candidate in candidates(best, trial.images.scaling):
                try:
                    other = _judge_candidate(candidate, sample, trial, judge=_judge_by_probability)
                except ConfigError:  # a network without a choice of padding
                    continue
                if other.given.mean() > found.given.mean():
                    best, found = candidate, other
        if own.is_behind(found, _SAME_WEIGHTS):
            scaling = initial_scaling(best, trial.images.channels)
            return replace(
                check,
                better=SCALING,
                better_agreement=found.agreement,
                mean=best.weights_mean or scaling.mean,
                std=best.weights_std or scaling.std,
                padding=best.weights_padding,
            )
    other = _judge_installed(config, sample, trial, judge=_judge_by_probability)
    if own.is_behind(other, _OTHER_NETWORK):
        return replace(check, better=BACKBONE, better_agreement=other.agreement)
    return check


def _judge_installed(config: RoundConfig, sample: FoldSplit, trial: BackboneTrial, *, judge: _Judge) -> _CandidateScore:
    """Return the score of the installed network, frozen and at the size of the config."""
    plain = replace(config, model=BACKBONE, weights=Weights.PACKAGED, weights_file="", weights_padding="")
    return _judge_candidate(replace(plain, weights_mean=(), weights_std=()), sample, trial, judge=judge)


def _judge_candidate(
    candidate: RoundConfig, sample: FoldSplit, trial: BackboneTrial, *, judge: _Judge
) -> _CandidateScore:
    """Return the score of a regression on the features of a candidate."""
    message = "comparing with other scalings and networks"
    trial.callbacks.report(Progress("embedding", sample.fold, candidate.folds, message=message))
    return judge(_logits(_features(candidate, sample, trial), sample, trial), sample)


def _with_other_scalings(config: RoundConfig, own: Scaling) -> Iterator[RoundConfig]:
    """Yield the config with each common scaling but its own."""
    for mean, std in _SCALINGS:
        candidate = replace(config, weights_mean=mean, weights_std=std)
        if initial_scaling(candidate, len(own.mean)) != own:
            yield candidate


def _with_other_padding(config: RoundConfig, _own: Scaling) -> Iterator[RoundConfig]:
    """Yield the config with the other padding."""
    yield replace(config, weights_padding="" if config.weights_padding else "same")


def _features(config: RoundConfig, sample: FoldSplit, trial: BackboneTrial) -> Tensor:
    """Return the candidate's features of the sample, training rows first, (M, D)."""
    (images, rows), should_stop = trial.shown(_rows(sample)), trial.callbacks.should_stop
    network = build_frozen(config, lambda: trial.build(config))
    network = for_inference(network, images.device, images.channels, config.input_size)
    shown = images.rescaled(initial_scaling(config, images.channels))
    parts = predict_batches(
        network, shown, rows, config.batch_size, on_progress=lambda *_: None, should_stop=should_stop
    )
    return torch.cat([part for _, part in parts]).cpu()


def _rows(sample: FoldSplit) -> IntArray:
    """Return the rows of the sample, training rows first, (M,)."""
    return np.concatenate([sample.learn_rows, sample.held_rows])


def _logits(features: Tensor, sample: FoldSplit, trial: BackboneTrial) -> Tensor:
    """Return the logits of the held-out rows, (N, K), by a regression on the features of the training rows."""
    learn, tested = features[: len(sample.learn_rows)], features[len(sample.learn_rows) :]
    mean, std = learn.mean(dim=0), learn.std(dim=0).clamp_min(1e-6)
    labels = torch.from_numpy(sample.labels[sample.learn_rows])
    should_stop = trial.callbacks.should_stop
    layer = fit_regression((learn - mean) / std, labels, trial.classes, decay=_DECAY, should_stop=should_stop)
    with torch.inference_mode():
        logits: Tensor = layer((tested - mean) / std)
    return logits


def _judge_by_probability(logits: Tensor, sample: FoldSplit) -> _CandidateScore:
    """Score a candidate by the probability of each held-out label."""
    wanted = torch.from_numpy(sample.labels[sample.held_rows])
    given: FloatArray = logits.softmax(dim=1).gather(1, wanted[:, None])[:, 0].numpy()
    return _CandidateScore(given, float((logits.argmax(1) == wanted).float().mean()))


def _judge_by_agreement(logits: Tensor, sample: FoldSplit) -> _CandidateScore:
    """Score a candidate by its agreement with each held-out label."""
    agrees: FloatArray = (logits.argmax(1) == torch.from_numpy(sample.labels[sample.held_rows])).float().numpy()
    return _CandidateScore(agrees, float(agrees.mean()))
