import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from core.config.iterated import MEAN_GROWTH
from core.learn.augment import jitter_labels, scene_jitter, strong_views
from core.learn.batches import ClassTargets, ImageBatches, MaskTargets, Scaling
from core.learn.consistency import Consistency, Mix, adaptive_thresholds, consistency_loss, draw_mix, grown, mixed
from core.learn.training import Hyperparameters, Labelled, TrainingCallbacks, supervised_loss, train

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_loss_matches_hand_made_examples() -> None:
    weak = torch.tensor([[0.0, math.log(9)], [0.0, 0.0], [math.log(9), 0.0]])  # sure of 1 by .9, unsure, sure of 0
    strong = torch.tensor([[0.0, math.log(3)], [5.0, 0.0], [0.0, math.log(3)]])
    everywhere = torch.tensor([True, True, True])
    wanted = (-math.log(0.75) - math.log(0.25)) / 3
    assert consistency_loss(weak, strong, everywhere, 0.9 - 1e-6).item() == pytest.approx(wanted)
    assert consistency_loss(weak, strong, everywhere, 0.95).item() == 0
    first = torch.tensor([True, False, False])
    assert consistency_loss(weak, strong, first, 0.8).item() == pytest.approx(-math.log(0.75))


@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5, 7)])
def test_loss_and_gradient_are_zero_without_valid_pixels(shape: tuple[int, ...]) -> None:
    weak, strong = torch.randn(shape, generator=generator()), torch.randn(shape, generator=generator(1))
    strong.requires_grad_()
    nowhere = torch.zeros(shape[0], *shape[2:], dtype=torch.bool)
    loss = consistency_loss(weak, strong, nowhere, 0.0)
    loss.backward()
    assert loss.item() == 0
    assert strong.grad.abs().sum() == 0


def test_only_the_strong_view_gets_a_gradient() -> None:
    weak = torch.randn(5, 3, generator=generator()).requires_grad_()
    strong = torch.randn(5, 3, generator=generator(1)).requires_grad_()
    consistency_loss(weak, strong, torch.ones(5, dtype=torch.bool), 0.0).backward()
    assert weak.grad is None
    assert strong.grad.abs().sum() > 0


def test_the_loss_without_a_threshold_is_that_of_the_likeliest_class() -> None:
    weak, strong = torch.randn(8, 5, generator=generator()), torch.randn(8, 5, generator=generator(1))
    loss = consistency_loss(weak, strong, torch.ones(8, dtype=torch.bool), 0.0)
    torch.testing.assert_close(loss, F.cross_entropy(strong, weak.argmax(1)))


def test_a_pixel_counts_like_an_image_and_classes_have_no_order() -> None:
    weak, strong = 3 * torch.randn(6, 4, generator=generator()), torch.randn(6, 4, generator=generator(1))
    valid = torch.tensor([True, True, False, True, True, False])
    loss = consistency_loss(weak, strong, valid, 0.6)
    pixels = consistency_loss(weak[:, :, None, None], strong[:, :, None, None], valid[:, None, None], 0.6)
    torch.testing.assert_close(pixels, loss)
    order = torch.randperm(4, generator=generator(2))
    torch.testing.assert_close(consistency_loss(weak[:, order], strong[:, order], valid, 0.6), loss)


def test_a_higher_threshold_never_increases_the_loss() -> None:
    weak, strong = 2 * torch.randn(50, 4, generator=generator()), torch.randn(50, 4, generator=generator(1))
    everywhere = torch.ones(50, dtype=torch.bool)
    losses = [consistency_loss(weak, strong, everywhere, threshold / 10).item() for threshold in range(11)]
    assert losses == sorted(losses, reverse=True)


def test_each_class_can_have_its_own_threshold() -> None:
    weak = torch.tensor([[0.0, math.log(9)], [math.log(9), 0.0]])  # sure of 1, and of 0, by .9
    strong = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]])
    everywhere = torch.tensor([True, True])
    loss = consistency_loss(weak, strong, everywhere, torch.tensor([0.95, 0.8]))
    assert loss.item() == pytest.approx(-math.log(0.75) / 2)


def test_adaptive_thresholds_follow_the_confidence_and_are_lower_for_rare_classes() -> None:
    running = torch.zeros(4)
    unsure = torch.zeros(8, 3)
    first = adaptive_thresholds(unsure, torch.ones(8, dtype=torch.bool), running)
    torch.testing.assert_close(first, torch.full((3,), 1 / 3))
    sure = torch.tensor([[9.0, 0, 0]] * 6 + [[0, 9.0, 0]] * 2)  # class 2 never
    for _ in range(1_000):
        later = adaptive_thresholds(sure, torch.ones(8, dtype=torch.bool), running)
    assert later[0].item() == pytest.approx(sure.softmax(1).max().item(), abs=1e-3)
    assert later[1].item() == pytest.approx(later[0].item() / 3, abs=1e-2)
    assert later[2] < 0.01
    nothing = running.clone()
    adaptive_thresholds(unsure, torch.zeros(8, dtype=torch.bool), running)
    torch.testing.assert_close(running, nothing)


def test_adaptive_thresholds_of_pixels_equal_those_of_as_many_images() -> None:
    weak = torch.randn(6, 3, generator=generator())
    images, pixels = torch.zeros(4), torch.zeros(4)
    valid = torch.tensor([True, True, False, True, True, True])
    of_images = adaptive_thresholds(weak, valid, images)
    of_pixels = adaptive_thresholds(weak.T.reshape(1, 3, 2, 3), valid.view(1, 2, 3), pixels)
    torch.testing.assert_close(of_images, of_pixels)
    torch.testing.assert_close(images, pixels)


def two_kinds(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return images that are dark or bright on the left, and which; (N, 12, 12, 3), (N,)."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    array = rng.integers(90, 170, (count, 12, 12, 3))
    array[:, :, :6] += np.where(labels, 70, -70)[:, None, None, None]
    return np.clip(array, 0, 255).astype(np.uint8), labels


def trained(ratio: int, threshold: float | None = 0.8) -> tuple[list[float], nn.Module]:
    array, labels = two_kinds()
    images = ImageBatches(array, Scaling.measured(array), CPU)
    targets = ClassTargets(labels, CPU)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(432, 2))
    running = torch.zeros(3)
    objective = Consistency(
        images=images,
        targets=targets,
        rows=torch.arange(8, 60),
        augment=jitter_labels,
        strong=strong_views,
        threshold=threshold,
        ratio=ratio,
        running=running,
        views=torch.zeros(1, dtype=torch.int64),
    )
    losses: list[float] = []
    callbacks = TrainingCallbacks(lambda _, loss: losses.append(loss), lambda *_: None, lambda: False)
    recipe = Hyperparameters(epochs=20, batch_size=4, learning_rate=0.01)
    taught = Labelled(torch.arange(8), targets)
    train(
        network,
        images,
        taught,
        recipe,
        augment=jitter_labels,
        callbacks=callbacks,
        objective=objective,
        running=(running,),
    )
    return losses, network


@pytest.mark.parametrize("threshold", [0.8, None])
def test_training_with_consistency_learns_and_is_deterministic(threshold: float | None) -> None:
    losses, network = trained(2, threshold)
    assert trained(2, threshold)[0] == losses
    assert trained(3, threshold)[0] != losses
    array, labels = two_kinds()
    logits = network(ImageBatches(array, Scaling.measured(array), CPU).batch(torch.arange(60)))
    assert (logits.argmax(1).numpy() == labels).mean() > 0.95


def test_masks_are_trained_only_within_the_scene() -> None:
    array, _ = two_kinds(12)
    images = ImageBatches(array, Scaling.measured(array), CPU)
    targets = MaskTargets(np.full((12, 12, 12), 255, np.uint8), CPU)  # nothing is given
    seen: list[Tensor] = []

    def far_out(shown: Tensor, masks: Tensor, _: torch.Generator) -> tuple[Tensor, Tensor]:
        seen.append(masks)
        return shown, torch.full_like(masks, -1)

    network = nn.Conv2d(3, 2, 1)
    asked: dict[str, Any] = {"images": images, "targets": targets, "rows": torch.arange(12), "threshold": 0.0}
    asked |= {"ratio": 2, "strong": strong_views, "running": torch.zeros(3)}
    asked |= {"views": torch.zeros(1, dtype=torch.int64)}
    batch, known = images.batch(torch.arange(3)), torch.zeros(3, 12, 12, dtype=torch.int64)
    own = supervised_loss(network(batch), known)
    beyond = Consistency(augment=far_out, **asked)(network, batch, known, None, generator())
    torch.testing.assert_close(beyond, own)
    assert seen[0].shape == (6, 12, 12)
    assert (seen[0] == 0).all()
    inside = Consistency(augment=scene_jitter(8, mirror=True), **asked)
    windows = scene_jitter(8, mirror=True)(batch, known, generator())
    assert inside(network, *windows, None, generator()) > supervised_loss(network(windows[0]), windows[1])


def test_a_mixed_box_is_a_rectangle_of_the_requested_size() -> None:
    scenes = torch.arange(200.0).view(200, 1, 1, 1).expand(200, 3, 24, 32)
    mix = draw_mix(scenes, generator())
    shown = mixed(scenes, mix)
    areas = []
    for number in range(200):
        inside = mix.inside[number]
        rows, columns = inside.any(dim=1), inside.any(dim=0)
        assert torch.equal(inside, rows[:, None] & columns)
        assert (shown[number][:, ~inside] == number).all()
        assert (shown[number][:, inside] == mix.others[number]).all()
        areas.append(inside.float().mean().item())
    assert not (mix.others == torch.arange(200)).any()
    boxed = np.array([area for area in areas if area])
    assert 0.35 < len(boxed) / 200 < 0.65
    assert boxed.max() < 0.5
    assert 0.15 < boxed.mean() < 0.27  # uniform from .02 to .4
    again = draw_mix(scenes, generator())
    assert torch.equal(again.inside, mix.inside)


def test_mixed_pixels_keep_their_predictions_and_validity() -> None:
    logits, valid = torch.randn(2, 3, 4, 5, generator=generator()), torch.ones(2, 4, 5, dtype=torch.bool)
    valid[1, 0] = False
    inside = torch.zeros(2, 4, 5, dtype=torch.bool)
    inside[0, :2, :3] = True
    mix = Mix(torch.tensor([1, 0]), inside)
    assert torch.equal(mixed(logits, mix)[0, :, :2, :3], logits[1, :, :2, :3])
    assert torch.equal(mixed(logits, mix)[1], logits[1])
    assert mixed(valid, mix)[0, 0].tolist() == [False] * 3 + [True] * 2
    assert mixed(valid, None) is valid


def test_mixed_views_are_trained_on_the_predictions_of_the_pixels_in_them() -> None:
    """A network that sees each pixel alone says of a mixed view what it says of its parts: nothing is left to learn."""
    array, _ = two_kinds(12)
    images = ImageBatches(array, Scaling.measured(array), CPU)
    targets = MaskTargets(np.zeros((12, 12, 12), np.uint8), CPU)
    network, seen = nn.Conv2d(3, 2, 1), []
    nn.init.normal_(network.weight, std=30.0, generator=generator())  # sure everywhere
    network.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    asked: dict[str, Any] = {"images": images, "targets": targets, "rows": torch.arange(12), "threshold": 0.0}
    asked |= {"augment": scene_jitter(0, mirror=False), "strong": lambda views, _: views, "running": torch.zeros(3)}
    asked |= {"views": torch.zeros(1, dtype=torch.int64)}
    batch = images.batch(torch.arange(4))
    wanted = network(batch).argmax(dim=1)
    seen.clear()
    loss = Consistency(ratio=2, mixed_views=2, **asked)(network, batch, wanted, None, generator())
    learnt, weak = seen
    assert len(learnt) == 4 + 2 * 8
    assert len(weak) == 8
    first, second = learnt[4:12], learnt[12:]
    assert not torch.equal(first, second)
    assert (first != weak).any()
    assert loss.item() < 0.05


def test_a_growing_ratio_rises_from_zero_to_one() -> None:
    shares = np.linspace(0, 1, 10_001)
    parts = np.array([grown(share) for share in shares])
    assert parts[0] == 0
    assert parts[-1] == 1
    assert (np.diff(parts) > 0).all()
    assert parts[5_000] == pytest.approx(1 - 0.5 / 0.65)
    assert parts.mean() == pytest.approx(MEAN_GROWTH, abs=1e-4)

    array, labels = two_kinds(12)
    images, targets = ImageBatches(array, Scaling.measured(array), CPU), ClassTargets(labels, CPU)
    seen: list[int] = []
    network = nn.Sequential(nn.Flatten(), nn.Linear(432, 2))
    network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    views = torch.zeros(1, dtype=torch.int64)
    objective = Consistency(
        images=images,
        targets=targets,
        rows=torch.arange(8, 12),
        augment=jitter_labels,
        strong=strong_views,
        threshold=0.8,
        ratio=3,
        growing=True,
        running=torch.zeros(3),
        views=views,
    )
    rows = torch.arange(4)
    for share in (0.0, 0.5, 1.0):
        objective(network, images.batch(rows), targets.batch(rows), None, generator(), share)
    assert seen[1::2] == [1, 3, 12]  # of 12; the labels and the strong views are shown together before
    assert views.item() == 16
