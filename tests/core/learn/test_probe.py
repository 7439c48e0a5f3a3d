from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from core.config import ProbabilityMethod, RoundConfig, Weights
from core.learn.batches import Scaling
from core.learn.crossfold import FoldCallbacks, FoldSplit
from core.learn.probe import DECAYS, DecayChoice, choose_decay, features_key, fit_regression
from core.types import NO_LABEL, FloatArray, RoundCancelledError


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    centres = torch.randn(3, 5, generator=generator)
    return centres[labels] + torch.randn(300, 5, generator=generator), labels


def test_the_regression_equals_scikit_learns() -> None:
    features, labels = drawn()
    ours = fit_regression(features, labels, 3, decay=0.01, should_stop=lambda: False)
    theirs = LogisticRegression(C=1 / (0.01 * len(labels)), max_iter=1000).fit(features.numpy(), labels.numpy())
    expected = theirs.predict_proba(features.numpy())
    np.testing.assert_allclose(ours(features).softmax(dim=1).detach().numpy(), expected, atol=0.01)


def test_fitting_stops_on_cancel() -> None:
    with pytest.raises(RoundCancelledError):
        fit_regression(*drawn(), 3, decay=0.01, should_stop=lambda: True)


def test_the_regression_converges_to_the_same_weights_from_any_start() -> None:
    features, labels = drawn()
    strong = fit_regression(features, labels, 3, decay=1.0, should_stop=lambda: False)
    cold = fit_regression(features, labels, 3, decay=0.1, should_stop=lambda: False)
    warm = fit_regression(features, labels, 3, decay=0.1, should_stop=lambda: False, begin=strong)
    torch.testing.assert_close(warm.weight, cold.weight, atol=1e-3, rtol=0)


def noisy(*, spread: float, seed: int = 0, count: int = 600) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = rng.normal(size=(3, 40))
    return (centres[labels] + spread * rng.normal(size=(count, 40))).astype(np.float16), labels


def halves(labels: FloatArray) -> list[FoldSplit]:
    rows = np.arange(len(labels))
    return [FoldSplit(fold, rows[rows % 2 != fold], rows[rows % 2 == fold], labels) for fold in range(2)]


def choose(path: Path, embeddings: FloatArray, labels: FloatArray, learnable: FloatArray | None = None) -> DecayChoice:
    return choose_decay(
        embeddings,
        halves(labels),
        np.ones(len(labels), bool) if learnable is None else learnable,
        3,
        path=path,
        device=torch.device("cpu"),
        callbacks=FoldCallbacks(lambda _: None, lambda: False),
    )


def test_the_chosen_decay_has_the_best_held_out_likelihood(tmp_path: Path) -> None:
    embeddings, labels = noisy(spread=3.0)
    choice = choose(tmp_path / "decay.json", embeddings, labels)
    found = {}
    for decay in DECAYS:
        losses = []
        for held in halves(labels):
            learn = embeddings[held.learn_rows].astype(np.float32)
            mean, std = learn.mean(axis=0), learn.std(axis=0, ddof=1)
            model = LogisticRegression(C=1 / (decay * len(learn)), max_iter=2000)
            model.fit((learn - mean) / std, labels[held.learn_rows])
            given = model.predict_proba((embeddings[held.held_rows].astype(np.float32) - mean) / std)
            losses.append(log_loss(labels[held.held_rows], given))
        found[decay] = -np.mean(losses)
    assert choice.decay == max(found, key=found.__getitem__)
    assert choice.held_out == len(labels)
    for decay, value in choice.log_likelihood.items():
        assert value == pytest.approx(found[float(decay)], abs=2e-3)


def test_the_decay_of_a_round_is_chosen_once_and_then_read(tmp_path: Path) -> None:
    path = tmp_path / "decay.json"
    first = choose(path, *noisy(spread=3.0))
    assert choose(path, *noisy(spread=0.1, seed=1)) == first


def test_labels_of_evaluation_splits_do_not_affect_the_decay(tmp_path: Path) -> None:
    embeddings, labels = noisy(spread=3.0)
    learnable = np.arange(len(labels)) % 5 != 0
    spoilt = np.where(learnable, labels, (labels + 1) % 3)
    held = [
        (FoldSplit(one.fold, one.learn_rows[learnable[one.learn_rows]], one.held_rows, spoilt))
        for one in halves(spoilt)
    ]
    callbacks = FoldCallbacks(lambda _: None, lambda: False)
    device = torch.device("cpu")
    found = choose_decay(embeddings, held, learnable, 3, path=tmp_path / "a", device=device, callbacks=callbacks)
    hidden = np.where(learnable, labels, NO_LABEL)
    without = [FoldSplit(one.fold, one.learn_rows, one.held_rows, hidden) for one in held]
    assert found == choose_decay(
        embeddings, without, learnable, 3, path=tmp_path / "b", device=device, callbacks=callbacks
    )


def test_the_cache_key_of_embeddings_depends_on_the_padding() -> None:
    config = RoundConfig(
        method=ProbabilityMethod.PROBE, model="mobilenetv2_050", weights=Weights.FILE, weights_file="gone.pth"
    )
    scaling = Scaling((0.5,) * 3, (0.5,) * 3)
    assert features_key(config, scaling) != features_key(replace(config, weights_padding="same"), scaling)
