"""Comparison of a round's network with the installed one, and of a frozen one with other scalings of its weights.

A small sample of a fold's labels decides, out of fold: a regression on each candidate's features is fitted to learn
rows and asked about held rows; a network that was trained has learnt all learn rows. A candidate is better only by
comparison on the same labels, so neither hard images nor wrong labels count against a network, which has to be behind
by more than chance. N held labels, D features.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.config import BACKBONE, SMALL_NETWORK, Method, RoundConfig, Weights
from core.data.keeping import lock_of
from core.data.locks import alone
from core.data.storage import atomic_path
from core.learn.batches import Images, Scaling
from core.learn.crossfold import Held, Telling
from core.learn.models.classifier import first_scaling
from core.learn.models.inference import for_inference
from core.learn.probe import fitted_regression, frozen
from core.learn.training import predicted
from core.types import NO_LABEL, ConfigError, FloatArray, IntArray, Progress

SCALING = "scaling"
_SCALINGS = (
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # ImageNet's
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
)
_LEARNT, _HELD, _FEWEST_HELD = 750, 750, 60  # labels of the sample
_TRIED_AT_ONCE = 64  # images, beside a trained network that still takes memory
_DECAY = 0.3
_SAME_WEIGHTS = 3.0, 0.02  # least z of the probabilities' paired differences, and least gain in agreement
_OTHER_NETWORK = 4.0, 0.08  # a good network that sees small images is .05 behind the installed one


@dataclass(frozen=True, slots=True)
class BackboneCheck:
    """Agreement of a round's network with `held_out` labels, and of what is clearly better, "" where none is.

    `better` is `SCALING` (the same weights with `mean`, `std` and `padding`) or the installed network's name.
    """

    held_out: int
    agreement: float
    better: str = ""
    better_agreement: float = 0.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    padding: str = ""
    trained: bool = False  # whether the network was trained, not frozen


@dataclass(frozen=True, slots=True)
class Trial:
    """Inputs of a comparison: the round's images and classes, and a builder of networks."""

    images: Images
    classes: int
    build: Callable[[RoundConfig], nn.Module]
    telling: Telling


@dataclass(frozen=True, slots=True)
class _Sample:
    learn: Tensor  # rows
    held: Tensor
    labels: IntArray  # of all rows


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Probability that each held label is given, (N,), and the share of them that is agreed with.

    Not its logarithm, which a few outlying images decide. Of a trained network, whose probabilities are not calibrated
    yet, 1 where it agrees and 0 elsewhere.
    """

    given: FloatArray
    agreement: float

    def is_behind(self, other: "_Seen", least: tuple[float, float]) -> bool:
        """Return whether another one is better by more than chance, and by so much in agreement."""
        gains = other.given - self.given
        z = float(gains.mean() / max(gains.std(), 1e-12) * np.sqrt(len(gains)))
        return z >= least[0] and other.agreement - self.agreement >= least[1]


_Judge = Callable[[Tensor, _Sample], _Seen]
"""Logits of the held rows, (N, K) -> how these judge the held labels."""


def needs_check(config: RoundConfig) -> bool:
    """Return whether a frozen network is another than the installed one, or a trained one not made for small images."""
    if config.method is Method.PROBE:
        return config.weights is not Weights.PACKAGED
    return config.model != SMALL_NETWORK


def check_backbone(
    config: RoundConfig,
    embeddings: FloatArray,
    held: Held,
    learnable: NDArray[np.bool_],
    trial: Trial,
    *,
    path: Path,
) -> None:
    """Compare the round's frozen network once and write the outcome to `path`; of too few labels nothing is written."""

    def check(sample: _Sample) -> BackboneCheck:
        rows = torch.cat([sample.learn, sample.held]).numpy()
        own = torch.from_numpy(np.asarray(embeddings[rows], np.float32))
        return _compared(config, own, sample, trial, held.fold)

    _check_once(config, held, learnable, check, trial, path=path)


def check_trained(
    config: RoundConfig,
    logits: FloatArray,
    held: Held,
    learnable: NDArray[np.bool_],
    trial: Trial,
    *,
    path: Path,
) -> None:
    """Compare a trained network, by its logits of the held rows, (M, K), with the installed one, as `check_backbone`.

    It has learnt many times the labels of the installed network's regression.
    """

    def check(sample: _Sample) -> BackboneCheck:
        asked = np.searchsorted(held.held_rows, sample.held.numpy())  # held rows ascend
        own = _agreeing(torch.from_numpy(logits[asked]), sample)
        frozen_config = replace(config, method=Method.PROBE, batch_size=min(config.batch_size, _TRIED_AT_ONCE))
        other = _of_installed(frozen_config, sample, trial, held.fold, judge=_agreeing)
        found = BackboneCheck(len(sample.held), own.agreement, trained=True)
        if not own.is_behind(other, _OTHER_NETWORK):
            return found
        return replace(found, better=BACKBONE, better_agreement=other.agreement)

    _check_once(config, held, learnable, check, trial, path=path)


def _check_once(
    config: RoundConfig,
    held: Held,
    learnable: NDArray[np.bool_],
    check: Callable[[_Sample], BackboneCheck],
    trial: Trial,
    *,
    path: Path,
) -> None:
    known = held.held_rows[learnable[held.held_rows] & (held.labels[held.held_rows] != NO_LABEL)]
    if len(known) < _FEWEST_HELD:
        return
    rng = np.random.default_rng(config.seed)
    learn, asked = rng.permutation(held.learn_rows)[:_LEARNT], rng.permutation(known)[:_HELD]
    sample = _Sample(torch.from_numpy(learn), torch.from_numpy(asked), held.labels)
    with alone(lock_of(path), trial.telling.should_stop):
        if not path.exists():
            found = check(sample)
            with atomic_path(path) as partial:
                partial.write_text(json.dumps(asdict(found)), encoding="utf-8")


def _compared(config: RoundConfig, features: Tensor, sample: _Sample, trial: Trial, fold: int) -> BackboneCheck:
    """Compare a network, by its features of the sample, with other scalings of a file and with the installed one."""
    own = _probable(_logits(features, sample, trial), sample)
    check = BackboneCheck(len(sample.held), own.agreement)
    if config.weights is Weights.FILE:
        best, found = config, own
        for candidates in (_rescaled, _repadded):
            for candidate in candidates(best, trial.images.scaling):
                try:
                    other = _seen(candidate, sample, trial, fold, judge=_probable)
                except ConfigError:  # a network without a choice of padding
                    continue
                if other.given.mean() > found.given.mean():
                    best, found = candidate, other
        if own.is_behind(found, _SAME_WEIGHTS):
            scaling = first_scaling(best, trial.images.channels)
            return replace(
                check,
                better=SCALING,
                better_agreement=found.agreement,
                mean=best.weights_mean or scaling.mean,
                std=best.weights_std or scaling.std,
                padding=best.weights_padding,
            )
    other = _of_installed(config, sample, trial, fold, judge=_probable)
    if own.is_behind(other, _OTHER_NETWORK):
        return replace(check, better=BACKBONE, better_agreement=other.agreement)
    return check


def _of_installed(config: RoundConfig, sample: _Sample, trial: Trial, fold: int, *, judge: _Judge) -> _Seen:
    """Return how the installed network, frozen and at the size of the config, judges the held labels."""
    plain = replace(config, model=BACKBONE, weights=Weights.PACKAGED, weights_file="", weights_padding="")
    return _seen(replace(plain, weights_mean=(), weights_std=()), sample, trial, fold, judge=judge)


def _seen(candidate: RoundConfig, sample: _Sample, trial: Trial, fold: int, *, judge: _Judge) -> _Seen:
    """Return how a regression on a candidate's features judges the held labels."""
    message = "comparing with other scalings and networks"
    trial.telling.report(Progress("embedding", fold, candidate.folds, message=message))
    return judge(_logits(_features(candidate, sample, trial), sample, trial), sample)


def _rescaled(config: RoundConfig, own: Scaling) -> Iterator[RoundConfig]:
    """Yield the config with each usual scaling that is not its own."""
    for mean, std in _SCALINGS:
        candidate = replace(config, weights_mean=mean, weights_std=std)
        if first_scaling(candidate, len(own.mean)) != own:
            yield candidate


def _repadded(config: RoundConfig, _own: Scaling) -> Iterator[RoundConfig]:
    """Yield the config with the other padding."""
    yield replace(config, weights_padding="" if config.weights_padding else "same")


def _features(config: RoundConfig, sample: _Sample, trial: Trial) -> Tensor:
    """Return the candidate's features of the sample, learn rows first, (M, D)."""
    images, should_stop = trial.images, trial.telling.should_stop
    network = frozen(config, lambda: trial.build(config))
    network = for_inference(network, images.device, images.channels, config.input_size)
    shown = images.rescaled(first_scaling(config, images.channels))
    rows = torch.cat([sample.learn, sample.held])
    parts = predicted(network, shown, rows, config.batch_size, on_look=lambda *_: None, should_stop=should_stop)
    return torch.cat([part for _, part in parts]).cpu()


def _logits(features: Tensor, sample: _Sample, trial: Trial) -> Tensor:
    """Return the logits of the held rows, (N, K), by a regression on the features of the learn rows."""
    learn, held = features[: len(sample.learn)], features[len(sample.learn) :]
    mean, std = learn.mean(dim=0), learn.std(dim=0).clamp_min(1e-6)
    labels = torch.from_numpy(sample.labels[sample.learn.numpy()])
    should_stop = trial.telling.should_stop
    layer = fitted_regression((learn - mean) / std, labels, trial.classes, decay=_DECAY, should_stop=should_stop)
    with torch.inference_mode():
        logits: Tensor = layer((held - mean) / std)
    return logits


def _probable(logits: Tensor, sample: _Sample) -> _Seen:
    """Judge by the probability of each held label."""
    wanted = torch.from_numpy(sample.labels[sample.held.numpy()])
    given: FloatArray = logits.softmax(dim=1).gather(1, wanted[:, None])[:, 0].numpy()
    return _Seen(given, float((logits.argmax(1) == wanted).float().mean()))


def _agreeing(logits: Tensor, sample: _Sample) -> _Seen:
    """Judge by whether each held label is the likeliest class."""
    agrees: FloatArray = (logits.argmax(1) == torch.from_numpy(sample.labels[sample.held.numpy()])).float().numpy()
    return _Seen(agrees, float(agrees.mean()))
