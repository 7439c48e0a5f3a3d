import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import nn

from core.learn import training
from core.learn.augment import Augment, jitter_labels, scene_jitter
from core.learn.batches import ClassTargets, ImageBatches, MaskTargets, Scaling
from core.learn.cross_training import class_aware_loss
from core.learn.training import (
    Hyperparameters,
    Labelled,
    LabelsBeside,
    TrainingCallbacks,
    cycle,
    halve_batch,
    median_frequency,
    predict_batches,
    supervised_loss,
    train,
    weighed_loss,
)
from core.types import IGNORE, NO_LABEL, RoundError

CPU = torch.device("cpu")


def test_the_learning_rate_rises_once_then_falls_to_zero() -> None:
    rates = [cycle(step / 100) for step in range(101)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert max(rates) == pytest.approx(1)
    assert rates[-1] == pytest.approx(0)


def test_halving_changes_only_the_batch_and_ends_at_two() -> None:
    recipe = Hyperparameters(epochs=3, batch_size=5, learning_rate=0.1, seed=4)
    assert halve_batch(recipe) == Hyperparameters(epochs=3, batch_size=2, learning_rate=0.1, seed=4)
    with pytest.raises(RoundError, match="smaller network or input size"):
        halve_batch(halve_batch(recipe))


def pixels(count: int = 12) -> ImageBatches:
    array = np.random.default_rng(0).integers(0, 256, (count, 8, 10, 3), dtype=np.uint8)
    return ImageBatches(array, Scaling((0.5,) * 3, (0.5,) * 3), CPU)


def scene_masks(count: int = 12) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, (count, 8, 10), dtype=np.uint8)


def learnt(network: nn.Module, labelled: Labelled, augment: Augment, *, epochs: int = 2) -> list[float]:
    """Train and return the mean loss of each epoch."""
    losses: list[float] = []
    callbacks = TrainingCallbacks(lambda _, loss: losses.append(loss), lambda *_: None, lambda: False)
    recipe = Hyperparameters(epochs=epochs, batch_size=4, learning_rate=0.01)
    train(network, pixels(), labelled, recipe, augment=augment, callbacks=callbacks)
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
        (classifier, ClassTargets(np.arange(12) % 3, CPU), jitter_labels),
        (segmenter, MaskTargets(scene_masks(), CPU), scene_jitter(0, mirror=True)),
        (segmenter, MaskTargets(scene_masks(), CPU), scene_jitter(6, mirror=False)),
    ],
)
def test_one_loop_trains_on_labels_and_masks(build: Callable[[], nn.Module], targets: Any, augment: Augment) -> None:
    rows = torch.arange(12)
    first, again = (learnt(build(), Labelled(rows, targets), augment, epochs=12) for _ in range(2))
    assert first == again
    assert first[-1] < first[0]


def test_masks_without_labelled_pixels_add_neither_loss_nor_gradient() -> None:
    network = segmenter()
    before = network.weight.clone()
    nothing = MaskTargets(np.full((12, 8, 10), IGNORE, np.uint8), CPU)
    plain = Labelled(torch.arange(12), nothing)
    weighted = Labelled(torch.arange(12), nothing, torch.ones(3))
    assert learnt(network, plain, as_they_are, epochs=1) == [0.0]
    assert learnt(network, weighted, as_they_are, epochs=1) == [0.0]
    torch.testing.assert_close(network.weight, before, rtol=1e-3, atol=1e-3)  # but for the decay


def test_a_class_of_zero_weight_is_never_learnt() -> None:
    network, masks = segmenter(), scene_masks()
    weights = torch.tensor([1.0, 1.0, 0.0])
    learnt(network, Labelled(torch.arange(12), MaskTargets(masks, CPU), weights), as_they_are, epochs=30)
    rows, logits = next(
        predict_batches(network, pixels(), torch.arange(12), 12, on_progress=print, should_stop=lambda: False)
    )
    assert rows.tolist() == list(range(12))
    assert logits.shape == (12, 3, 8, 10)
    assert (logits.softmax(dim=1)[:, 2].mean()) < 0.2


def test_predicting_no_rows_returns_no_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.learn.training.LOOK_SECONDS", -1.0)
    none = torch.empty(0, dtype=torch.int64)
    batches = predict_batches(segmenter(), pixels(), none, 12, on_progress=lambda *_: None, should_stop=lambda: False)
    assert sum(len(rows) for rows, _ in batches) == 0


def test_the_initial_loss_is_that_of_a_uniform_guess() -> None:
    network = segmenter()
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    labelled = Labelled(torch.arange(4), MaskTargets(scene_masks(), CPU))
    assert learnt(network, labelled, as_they_are, epochs=1) == [pytest.approx(math.log(3))]


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 4, 5, generator=generator), torch.randint(0, 3, (2, 4, 5), generator=generator)


def test_the_loss_is_the_mean_cross_entropy_for_labels_and_pixels() -> None:
    logits, masks = drawn()
    torch.testing.assert_close(supervised_loss(logits, masks), F.cross_entropy(logits, masks))
    torch.testing.assert_close(
        supervised_loss(logits[:, :, 0, 0], masks[:, 0, 0]), F.cross_entropy(logits[:, :, 0, 0], masks[:, 0, 0])
    )


def test_a_pixel_counts_like_an_image() -> None:
    logits, masks = drawn()
    flat = logits.permute(0, 2, 3, 1).reshape(-1, 3)
    torch.testing.assert_close(supervised_loss(logits, masks), supervised_loss(flat, masks.flatten()))


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.0])])
def test_unlabelled_items_get_no_gradient(weights: torch.Tensor | None) -> None:
    logits, masks = drawn()
    masks[0] = NO_LABEL
    torch.testing.assert_close(supervised_loss(logits, masks, weights), supervised_loss(logits[1:], masks[1:], weights))
    logits.requires_grad_()
    supervised_loss(logits, masks, weights).backward()
    assert (logits.grad[0] == 0).all()
    assert (logits.grad[1] != 0).any()


@pytest.mark.parametrize("weights", [None, torch.ones(3)])
def test_loss_and_gradient_are_zero_without_labels(weights: torch.Tensor | None) -> None:
    logits, masks = drawn()
    logits.requires_grad_()
    loss = supervised_loss(logits, torch.full_like(masks, NO_LABEL), weights)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_class_weights_work_as_in_cross_entropy() -> None:
    logits, masks = drawn()
    weights = torch.tensor([0.2, 3.0, 1.0])
    torch.testing.assert_close(supervised_loss(logits, masks, weights), F.cross_entropy(logits, masks, weights))


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0])])
def test_pixels_of_low_confidence_get_a_small_gradient(weights: torch.Tensor | None) -> None:
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    masks = torch.arange(40).view(2, 4, 5) % 3
    masks[0, 0] = NO_LABEL
    known = masks != NO_LABEL
    whole = supervised_loss(logits, masks, weights)
    for weight in (255, 51, 0):
        coded = torch.where(known, masks * 256 + weight, NO_LABEL)
        torch.testing.assert_close(weighed_loss(logits, coded, weights), whole * weight / 255)
    halves = torch.where(known, masks * 256 + torch.where(torch.arange(5) < 2, 255, 0), NO_LABEL)
    seen = masks.clone()
    seen[:, :, 2:] = NO_LABEL
    part = (known if weights is None else weights[masks.clamp_min(0)] * known)[:, :, :2].sum() / (
        known if weights is None else weights[masks.clamp_min(0)] * known
    ).sum()
    torch.testing.assert_close(weighed_loss(logits, halves, weights), supervised_loss(logits, seen, weights) * part)
    assert weighed_loss(logits, torch.full_like(masks, NO_LABEL), weights).item() == 0


def test_class_weights_are_the_median_frequency_divided_by_their_own() -> None:
    masks = np.zeros((3, 10, 10), np.uint8)
    masks[0, :, :2] = 1  # frequency 20 of the 100 pixels of the only mask it occurs in
    masks[1, 0, :5] = 2  # 5 of 90
    masks[1, 9] = IGNORE
    masks[2] = 3  # not among the rows that teach
    frequency = np.array([(80 + 85) / 190, 20 / 100, 5 / 90])
    found = median_frequency(masks, np.array([0, 1]), 5)
    np.testing.assert_allclose(found, [*np.median(frequency) / frequency, 0, 0], rtol=1e-6)


def test_masks_without_labelled_pixels_have_no_weights() -> None:
    assert (median_frequency(np.full((2, 3, 3), IGNORE, np.uint8), np.array([0, 1]), 4) == 0).all()


def rows_seen(count: int, **recipe: Any) -> list[list[list[int]]]:
    """Return the rows of each batch of each epoch of a training on `count` images."""
    array = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    images, targets = ImageBatches(array, Scaling((0.0,), (1 / 255,)), CPU), ClassTargets(np.zeros(count, int), CPU)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    epochs: list[list[list[int]]] = [[]]

    def watched(shown: nn.Module, batch: torch.Tensor, *_: Any) -> torch.Tensor:
        epochs[-1].append(batch[:, 0, 0, 0].round().int().tolist())
        return shown(batch).sum() * 0

    callbacks = TrainingCallbacks(lambda *_: epochs.append([]), lambda *_: None, lambda: False)
    own = Hyperparameters(epochs=2, batch_size=4, learning_rate=0.01, **recipe)
    train(
        network,
        images,
        Labelled(torch.arange(count), targets),
        own,
        augment=lambda shown, labels, _: (shown, labels),
        callbacks=callbacks,
        objective=watched,
    )
    return epochs[:-1]


def test_an_epoch_sees_each_row_once_or_a_given_number_of_images() -> None:
    once = rows_seen(8)
    assert [sorted(np.concatenate(epoch).tolist()) for epoch in once] == [list(range(8))] * 2
    assert once[0] != once[1]
    few, many = rows_seen(8, seen=4), rows_seen(8, seen=21)
    assert [len(epoch) for epoch in few] == [1, 1]
    assert [len(epoch) for epoch in many] == [5, 5]
    times = np.bincount(np.concatenate(many[0]), minlength=8)
    assert times.sum() == 20
    assert set(times.tolist()) == {2, 3}  # two orders of all, and half of a third


def test_each_batch_mixes_real_labels_and_pseudo_labels() -> None:
    array = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    images = ImageBatches(array, Scaling((0.0,), (1 / 255,)), CPU)
    targets = ClassTargets(np.arange(20) % 2, CPU)
    seen: list[torch.Tensor] = []

    class Watched(nn.Module):
        def forward(self, shown: torch.Tensor) -> torch.Tensor:
            seen.append(shown[:, 0, 0, 0].round().long())
            return torch.stack((1 - seen[-1] % 2, seen[-1] % 2), dim=1) * 100.0

    beside = LabelsBeside(
        images=images,
        targets=targets,
        rows=torch.arange(16, 20),
        augment=lambda shown, labels, _: (shown, labels),
        share=0.25,
    )
    pseudo = torch.arange(6)
    loss = beside(Watched(), images.batch(pseudo), targets.batch(pseudo), None, torch.Generator().manual_seed(0), 0.5)
    assert loss.item() == 0  # each image with its own label
    assert seen[0][:6].tolist() == pseudo.tolist()
    assert len(seen[0]) == 8
    assert set(seen[0][6:].tolist()) <= {16, 17, 18, 19}


def train_on_four(recipe: Hyperparameters, states: list[Any], **more: Any) -> int:
    """Train a linear network on four empty images; add a copy of the state after each epoch, return the steps."""
    return train(
        nn.Sequential(nn.Flatten(), nn.Linear(4, 2)),
        ImageBatches(np.zeros((4, 2, 2, 1), np.uint8), Scaling((0.0,), (1.0,)), CPU),
        Labelled(torch.arange(4), ClassTargets(np.zeros(4, int), CPU)),
        recipe,
        augment=lambda shown, labels, _: (shown, labels),
        callbacks=TrainingCallbacks(lambda kept, _: states.append(copy.deepcopy(kept)), lambda *_: None, lambda: False),
        **more,
    )


def test_changes_by_an_objective_are_kept_in_the_state() -> None:
    running = torch.ones(2)

    def counting(network: nn.Module, shown: torch.Tensor, *_: Any) -> torch.Tensor:
        running.add_(1)
        return network(shown).sum()

    def run(epochs: int, state: Any = None) -> list[Any]:
        states: list[Any] = []
        recipe = Hyperparameters(epochs=epochs, batch_size=2, learning_rate=0.01)
        train_on_four(recipe, states, objective=counting, state=state, running=(running,))
        return states

    states = run(3)
    assert [state["running"][0].tolist() for state in states] == [[2, 2], [4, 4], [6, 6]]
    assert run(3, states[0])[-1]["running"][0].tolist() == [6, 6]
    of_an_earlier_release = {name: value for name, value in states[0].items() if name != "running"}
    assert run(3, of_an_earlier_release)[-1]["running"][0].tolist() == [4, 4]


def test_a_budget_of_seconds_ends_on_time_and_the_learning_rate_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now, shares = [0.0], []

    def clock() -> float:
        return now[0]

    def slow(network: nn.Module, shown: torch.Tensor, *more: Any) -> torch.Tensor:
        shares.append(more[-1])
        now[0] += 3.0
        return network(shown).sum()

    monkeypatch.setattr(training.time, "monotonic", clock)
    states: list[Any] = []

    def run(state: Any = None) -> int:
        recipe = Hyperparameters(epochs=2, batch_size=2, learning_rate=0.01, seconds=20)
        return train_on_four(recipe, states, objective=slow, state=state)

    assert run() == 8  # of 3 s, so 4 in each half of 20 s
    assert shares == pytest.approx([0, 0.15, 0.3, 0.45, 0.5, 0.65, 0.8, 0.95])
    assert [state["steps_done"] for state in states] == [4, 8]
    assert run(states[0]) == 8


def test_all_weighted_losses_are_averaged_by_one_rule() -> None:
    """Class weights count in the mean, trust in the sum alone, and what is not labelled in neither."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    targets = torch.randint(0, 3, (2, 4, 5), generator=generator)
    targets[0, 0] = NO_LABEL
    weights, trust = torch.tensor([0.5, 1.0, 4.0]), torch.randint(0, 256, (2, 4, 5), generator=generator)
    known = targets != NO_LABEL
    coded = torch.where(known, targets * 256 + trust, NO_LABEL)
    cost = F.cross_entropy(logits, targets, ignore_index=NO_LABEL, reduction="none")
    everything = torch.ones(2, 3, dtype=torch.bool)
    for chosen in (None, weights):
        own = torch.where(known, 1.0 if chosen is None else weights[targets.clamp_min(0)], 0.0)
        torch.testing.assert_close(supervised_loss(logits, targets, chosen), (cost * own).sum() / own.sum())
        trusted = (cost * own * trust / 255).sum() / own.sum()
        torch.testing.assert_close(weighed_loss(logits, coded, chosen), trusted)
        aware = class_aware_loss(logits, targets, everything, trust / 255, class_weights=chosen)
        torch.testing.assert_close(aware, trusted)
    nothing = torch.full_like(targets, NO_LABEL)
    for loss in (supervised_loss(logits, nothing, weights), weighed_loss(logits, nothing, weights)):
        assert loss.item() == 0
