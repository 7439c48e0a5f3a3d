import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core.learn.augment import Augment, jittered_labels, jittered_scenes
from core.learn.batches import Images, Labels, MaskTargets, Scaling
from core.learn.optimizing import cycle
from core.learn.training import Labelled, Recipe, Watcher, halved, predicted, train
from core.types import IGNORE, RoundError

CPU = torch.device("cpu")


def test_the_rate_rises_once_then_falls_to_nothing() -> None:
    rates = [cycle(step / 100) for step in range(101)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert max(rates) == pytest.approx(1)
    assert rates[-1] == pytest.approx(0)


def test_halving_changes_the_batch_alone_and_ends_at_two() -> None:
    recipe = Recipe(epochs=3, batch_size=5, learning_rate=0.1, seed=4)
    assert halved(recipe) == Recipe(epochs=3, batch_size=2, learning_rate=0.1, seed=4)
    with pytest.raises(RoundError, match="smaller network or input size"):
        halved(halved(recipe))


def pixels(count: int = 12) -> Images:
    array = np.random.default_rng(0).integers(0, 256, (count, 8, 10, 3), dtype=np.uint8)
    return Images(array, Scaling((0.5,) * 3, (0.5,) * 3), CPU)


def scene_masks(count: int = 12) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, (count, 8, 10), dtype=np.uint8)


def learnt(network: nn.Module, labelled: Labelled, augment: Augment, *, epochs: int = 2) -> list[float]:
    """Train and return the mean loss of each epoch."""
    losses: list[float] = []
    watcher = Watcher(lambda _, loss: losses.append(loss), lambda _: None, lambda: False)
    recipe = Recipe(epochs=epochs, batch_size=4, learning_rate=0.01)
    train(network, pixels(), labelled, recipe, augment=augment, watcher=watcher)
    return losses


def as_they_are(images: torch.Tensor, targets: torch.Tensor, _: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    return images, targets


def segmenter() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 3, 3, padding=1)


def classifier() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(240, 3))


@pytest.mark.parametrize(
    ("build", "targets", "augment"),
    [
        (classifier, Labels(np.arange(12) % 3, CPU), jittered_labels),
        (segmenter, MaskTargets(scene_masks(), CPU), jittered_scenes(0, mirror=True)),
        (segmenter, MaskTargets(scene_masks(), CPU), jittered_scenes(6, mirror=False)),
    ],
)
def test_one_loop_learns_labels_and_masks(build: Callable[[], nn.Module], targets: Any, augment: Augment) -> None:
    rows = torch.arange(12)
    first, again = (learnt(build(), Labelled(rows, targets), augment, epochs=12) for _ in range(2))
    assert first == again
    assert first[-1] < first[0]


def test_masks_of_unknown_pixels_cost_nothing_and_teach_nothing() -> None:
    network = segmenter()
    before = network.weight.clone()
    nothing = MaskTargets(np.full((12, 8, 10), IGNORE, np.uint8), CPU)
    plain = Labelled(torch.arange(12), nothing)
    weighted = Labelled(torch.arange(12), nothing, torch.ones(3))
    assert learnt(network, plain, as_they_are, epochs=1) == [0.0]
    assert learnt(network, weighted, as_they_are, epochs=1) == [0.0]
    torch.testing.assert_close(network.weight, before, rtol=1e-3, atol=1e-3)  # but for the decay


def test_a_class_that_weighs_nothing_is_never_learnt() -> None:
    network, masks = segmenter(), scene_masks()
    weights = torch.tensor([1.0, 1.0, 0.0])
    learnt(network, Labelled(torch.arange(12), MaskTargets(masks, CPU), weights), as_they_are, epochs=30)
    rows, logits = next(predicted(network, pixels(), torch.arange(12), 12, on_look=print, should_stop=lambda: False))
    assert rows.tolist() == list(range(12))
    assert logits.shape == (12, 3, 8, 10)
    assert (logits.softmax(dim=1)[:, 2].mean()) < 0.2


def test_to_predict_no_rows_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.learn.training.LOOK_SECONDS", -1.0)
    none = torch.empty(0, dtype=torch.int64)
    batches = predicted(segmenter(), pixels(), none, 12, on_look=lambda *_: None, should_stop=lambda: False)
    assert sum(len(rows) for rows, _ in batches) == 0


def test_the_first_loss_of_a_network_that_says_nothing_is_that_of_a_guess() -> None:
    network = segmenter()
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    labelled = Labelled(torch.arange(4), MaskTargets(scene_masks(), CPU))
    assert learnt(network, labelled, as_they_are, epochs=1) == [pytest.approx(math.log(3))]
