import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import nn

from core.config import IMAGE_TRUST, PIXEL_TRUST, SGD
from core.learn.augment import scene_jitter
from core.learn.batches import ImageBatches, MaskTargets, Scaling
from core.learn.cross_training import (
    LOSSES,
    JointRecipe,
    NetworkPair,
    Sources,
    Trust,
    class_aware_loss,
    deal_rows,
    likeliest_classes,
    optimizer_of,
    presence_loss,
    set_rate,
    strong_views,
    train_pair,
)
from core.learn.models.segmenter import SmallUnet
from core.learn.training import State, TrainingCallbacks, cycle
from core.types import IGNORE, NO_LABEL, ConfigError, RoundCancelledError

CPU = torch.device("cpu")
RECIPE = JointRecipe(steps=7, batch_size=4, learning_rate=0.01, block=3, seed=5)
AUGMENT = scene_jitter(0, mirror=False)
CLASSES = 3
S = ([0, 1], [2, 3])


pytestmark = pytest.mark.usefixtures("one_thread")


def pair() -> NetworkPair:
    torch.manual_seed(0)
    return NetworkPair(SmallUnet(3, CLASSES), SmallUnet(3, CLASSES))


def sources(*, weak_masks: bool = False) -> Sources:
    """Return twelve images of three coloured bands; the first four have masks."""
    rng = np.random.default_rng(0)
    masks = np.zeros((12, 16, 24), np.uint8)
    for mask in masks:
        first, second = np.sort(rng.integers(3, 21, 2))
        mask[:, first:second], mask[:, second:] = 1, 2
    tags = torch.tensor([[bool((mask == label).any()) for label in range(CLASSES)] for mask in masks])
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])
    array = np.clip(colours[masks] + rng.normal(0, 20, (*masks.shape, 3)), 0, 255).astype(np.uint8)
    shown = masks.copy()
    if not weak_masks:
        shown[4:] = IGNORE
    images = ImageBatches(array, Scaling.measured(array), CPU)
    return Sources(images, MaskTargets(shown, CPU), tags, torch.arange(4), torch.arange(4, 12), None)


def learnt(
    recipe: JointRecipe = RECIPE, given: Sources | None = None, state: State | None = None
) -> tuple[NetworkPair, list[State]]:
    both, states = pair(), []

    def keep(state: State, _: float) -> None:
        states.append({name: _copied(value) for name, value in state.items()})

    callbacks = TrainingCallbacks(keep, lambda *_: None, lambda: False)
    train_pair(both, given or sources(), recipe, augment=AUGMENT, callbacks=callbacks, state=state)
    return both, states


def _copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {name: _copied(own) for name, own in value.items()}
    return [_copied(own) for own in value] if isinstance(value, list) else value


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_published_rates_decay_and_that_of_the_classifier_is_ten_times_higher() -> None:
    """PseudoNet's rate never decays in the released code."""
    recipe = replace(RECIPE, learning_rate=0.1, steps=10, optimizer=SGD)
    for network in (pair().hybrid, pair().pseudo):
        optimizer = optimizer_of(network, recipe)
        rates = []
        for step in range(10):
            set_rate(optimizer, recipe, step)
            rates.append([group["lr"] for group in optimizer.param_groups])
        np.testing.assert_allclose([rest for rest, _ in rates], [0.1 * (1 - step / 10) ** 0.9 for step in range(10)])
        np.testing.assert_allclose([head / rest for rest, head in rates], 10)
        head = {id(parameter) for parameter in optimizer.param_groups[1]["params"]}
        assert head == {id(parameter) for name, parameter in network.named_parameters() if name.startswith("head.")}
        assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(network.parameters()))
        assert all(group["momentum"] == 0.9 and group["weight_decay"] == 4e-5 for group in optimizer.param_groups)
    with pytest.raises(ConfigError, match="no known classifier"):
        optimizer_of(nn.Linear(2, 2), recipe)


def test_both_networks_use_the_usual_optimizer_by_default() -> None:
    optimizer = optimizer_of(pair().pseudo, RECIPE)
    assert isinstance(optimizer, torch.optim.AdamW)
    for step in range(RECIPE.steps):
        set_rate(optimizer, RECIPE, step)
        rates = {group["lr"] for group in optimizer.param_groups}
        assert rates == {RECIPE.learning_rate * cycle(step / RECIPE.steps)}


def test_the_rate_of_pseudonet_decays_like_that_of_hybridnet() -> None:
    _, states = learnt(replace(RECIPE, optimizer=SGD))
    for state in states:
        rates = [[group["lr"] for group in state["optimizers"][name]["param_groups"]] for name in ("hybrid", "pseudo")]
        assert rates[0] == rates[1]
    first, last = (state["optimizers"]["pseudo"]["param_groups"][0]["lr"] for state in (states[0], states[-1]))
    assert first == pytest.approx(0.01 * (1 - 2 / 7) ** 0.9)
    assert last == pytest.approx(0.01 * (1 - 6 / 7) ** 0.9)


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    straight, states = learnt()
    assert [state["epochs_done"] for state in states] == [1, 2, 3]  # blocks of 3, 3 and 1 steps
    torch.save(states[0], tmp_path / "state")
    resumed, more = learnt(state=torch.load(tmp_path / "state", weights_only=True))
    assert same(resumed.hybrid, straight.hybrid)
    assert same(resumed.pseudo, straight.pseudo)
    assert more[-1]["history"] == states[-1]["history"]
    assert torch.equal(more[-1]["trust"], states[-1]["trust"])


def test_the_seed_determines_the_result() -> None:
    first, again, other = (learnt(recipe)[0] for recipe in (RECIPE, RECIPE, replace(RECIPE, seed=6)))
    assert same(first.hybrid, again.hybrid)
    assert same(first.pseudo, again.pseudo)
    assert not same(first.hybrid, other.hybrid)


def test_pseudonet_is_never_trained_on_images_with_masks() -> None:
    """Where W has masks, HybridNet says nothing to PseudoNet: it must then become the same whatever S is made of."""
    networks = [learnt(given=replace(sources(weak_masks=True), strong_rows=torch.tensor(rows)))[0] for rows in S]
    assert same(networks[0].pseudo, networks[1].pseudo)
    assert not same(networks[0].hybrid, networks[1].hybrid)


@pytest.mark.slow
def test_training_improves_the_networks_and_trust_grows() -> None:
    recipe = replace(RECIPE, steps=120, block=40, learning_rate=0.02)
    given = sources()
    both, states = learnt(recipe, given)
    history = states[-1]["history"]
    assert all(len(means) == len(LOSSES) + 1 for means in history)
    assert history[-1][0] < history[0][0]
    assert history[0][-1] < history[-1][-1] <= 1
    rows = torch.arange(4, 12)
    true = sources(weak_masks=True).targets.batch(rows)
    for network in (both.hybrid, both.pseudo):
        network.eval()
        found = network(given.images.batch(rows)).argmax(dim=1)
        assert (found == true).float().mean() > 0.8


def test_masks_of_weakly_labelled_images_are_used_with_full_trust() -> None:
    _, hidden = learnt()
    _, shown = learnt(given=sources(weak_masks=True))
    assert shown[0]["history"][0][-1] == 1
    assert hidden[0]["history"][0][-1] < 0.1


def test_training_stops_on_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.learn.cross_training.LOOK_SECONDS", 0.0)
    looks: list[float] = []
    callbacks = TrainingCallbacks(lambda *_: None, lambda blocks, _: looks.append(blocks), lambda: len(looks) == 2)
    with pytest.raises(RoundCancelledError):
        train_pair(pair(), sources(), RECIPE, augment=AUGMENT, callbacks=callbacks)
    assert looks == [pytest.approx(1 / 3), pytest.approx(2 / 3)]


def test_every_row_is_drawn_once_before_any_repeats() -> None:
    rows = torch.tensor([3, 5, 7, 11, 13])
    stream = torch.cat([deal_rows(rows, 2, step, seed=4) for step in range(10)]).tolist()
    for lap in range(4):
        assert sorted(stream[5 * lap : 5 * lap + 5]) == rows.tolist()
    assert stream[:5] != stream[5:10]
    assert deal_rows(torch.tensor([9]), 3, 0, seed=0).tolist() == [9, 9, 9]


def test_strong_views_change_every_image_but_not_the_original() -> None:
    images = sources().images.batch(torch.arange(12))
    before = images.clone()
    views = [strong_views(images, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(images, before)
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert views[0].isfinite().all()
    change = (views[0] - images).abs().flatten(1).mean(dim=1)
    assert (change > 0).all()
    assert (change < 1).all()  # images have a deviation of 1: a scene stays what it is


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"batch_size": 5}, "even"), ({"batch_size": 2}, "at least 4"), ({"steps": 0}, "steps"), ({"block": 0}, "block")],
)
def test_impossible_settings_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(RECIPE, **changes)


def drawn(*, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return logits, masks and the tags of all classes."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, classes, 5, 6, generator=generator)
    masks = torch.randint(0, classes, (3, 5, 6), generator=generator)
    return logits, masks, torch.ones(3, classes, dtype=torch.bool)


def test_the_loss_of_one_pixel_matches_a_hand_made_example() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]])[:, :, None, None]
    tags = torch.tensor([[True, False, True]])
    mask = torch.tensor([[[2]]])
    expected = -math.log(math.exp(2) / (math.exp(1) + math.exp(2)))  # class 1 has no share
    assert class_aware_loss(logits, mask, tags).item() == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(0.3132617)
    half = class_aware_loss(logits, mask, tags, torch.tensor([0.5]))
    assert half.item() == pytest.approx(expected / 2, rel=1e-6)


def test_the_loss_is_cross_entropy_if_every_class_is_present() -> None:
    logits, masks, tags = drawn()
    masks[0, 0] = NO_LABEL
    torch.testing.assert_close(
        class_aware_loss(logits, masks, tags), F.cross_entropy(logits, masks, ignore_index=NO_LABEL)
    )


def test_the_loss_is_cross_entropy_among_the_present_classes() -> None:
    logits, masks, tags = drawn()
    tags[:, 1] = False
    masks[masks == 1] = 3
    among = logits[:, [0, 2, 3]]
    renamed = torch.tensor([0, -9, 1, 2])[masks]
    torch.testing.assert_close(class_aware_loss(logits, masks, tags), F.cross_entropy(among, renamed))


def test_absent_classes_get_no_gradient_whatever_their_logits() -> None:
    logits, masks, tags = drawn()
    tags[0, 2] = tags[1, 0] = False
    logits[0, 2], logits[1, 0] = 80.0, -80.0
    logits.requires_grad_()
    class_aware_loss(logits, masks, tags).backward()
    assert (logits.grad[0, 2] == 0).all()
    assert (logits.grad[1, 0] == 0).all()
    assert (logits.grad[2] != 0).any()
    assert logits.grad.isfinite().all()


def test_the_gradient_equals_the_numerical_one() -> None:
    logits, masks, tags = drawn()
    tags[0, 2] = tags[1, 0] = False
    masks[0, 1] = NO_LABEL
    small, few = logits[:, :, :2, :2].double().requires_grad_(), masks[:, :2, :2].contiguous()
    weights = torch.tensor([1.0, 0.3, 0.0], dtype=torch.float64)

    def loss_of(values: torch.Tensor) -> torch.Tensor:  # the loss itself works in single precision
        return class_aware_loss(values, few, tags, weights)

    loss = loss_of(small)
    (own,) = torch.autograd.grad(loss, small)
    step = 1e-2
    for place in [(0, 0, 0, 0), (0, 2, 0, 0), (0, 1, 1, 1), (1, 1, 0, 1), (1, 3, 1, 0), (2, 0, 0, 0)]:
        moved = torch.zeros_like(small)
        moved[place] = step
        numeric = (loss_of(small.detach() + moved) - loss_of(small.detach() - moved)) / (2 * step)
        assert own[place].item() == pytest.approx(numeric.item(), abs=2e-5)


def test_the_loss_grows_with_trust() -> None:
    logits, masks, tags = drawn()
    plain = class_aware_loss(logits, masks, tags)
    torch.testing.assert_close(class_aware_loss(logits, masks, tags, torch.full((3,), 0.25)), plain / 4)
    only = class_aware_loss(logits, masks, tags, torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(only, class_aware_loss(logits[1:2], masks[1:2], tags[1:2]) / 3)


def test_class_weights_work_as_in_cross_entropy() -> None:
    logits, masks, tags = drawn()
    masks[0, 0] = NO_LABEL
    weights = torch.tensor([0.2, 1.0, 0.5, 2.0])
    wanted = F.cross_entropy(logits, masks, weight=weights, ignore_index=NO_LABEL)
    torch.testing.assert_close(class_aware_loss(logits, masks, tags, class_weights=weights), wanted)
    trusted = class_aware_loss(logits, masks, tags, torch.full((3,), 0.25), class_weights=weights)
    torch.testing.assert_close(trusted, wanted / 4)
    masks[:] = NO_LABEL
    assert class_aware_loss(logits, masks, tags, class_weights=weights).item() == 0


def test_class_weights_affect_both_networks() -> None:
    plain, equal, weighted = (
        learnt(given=replace(sources(), class_weights=weights))[0]
        for weights in (None, torch.ones(CLASSES), torch.tensor([0.1, 1.0, 1.0]))
    )
    for name in ("hybrid", "pseudo"):
        of = [getattr(network, name) for network in (plain, equal, weighted)]
        for one, other in zip(of[0].state_dict().values(), of[1].state_dict().values(), strict=True):
            torch.testing.assert_close(one, other)
        assert not same(of[0], of[2])


@pytest.mark.parametrize("what", ["unknown", "untagged", "contradicted"])
def test_loss_and_gradient_are_zero_without_labels(what: str) -> None:
    logits, masks, tags = drawn()
    if what == "unknown":
        masks[:] = NO_LABEL
    elif what == "untagged":
        tags[:] = False
    else:
        tags[:, 1] = False
        masks[:] = 1
    logits.requires_grad_()
    loss = class_aware_loss(logits, masks, tags)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_an_image_without_tags_does_not_affect_the_others() -> None:
    logits, masks, tags = drawn()
    tags[0] = False
    torch.testing.assert_close(class_aware_loss(logits, masks, tags), class_aware_loss(logits[1:], masks[1:], tags[1:]))


def test_the_presence_loss_matches_a_hand_made_example() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 0] = 50.0  # background: not asked
    logits[0, 1, 0, 1] = 2.0  # its largest
    logits[0, 2] = torch.tensor([[-3.0, -1.0], [-2.0, -5.0]])
    tags = torch.tensor([[True, True, False]])
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2
    assert presence_loss(logits, tags, 0).item() == pytest.approx(expected, rel=1e-6)
    everything = (2 * expected + math.log(1 + math.exp(-50))) / 3
    assert presence_loss(logits, tags, None).item() == pytest.approx(everything, rel=1e-6)


def test_the_presence_loss_moves_only_the_largest_pixel_of_each_tagged_class() -> None:
    logits, _, tags = drawn()
    tags[0, 1] = False
    logits.requires_grad_()
    presence_loss(logits, tags, 0).backward()
    moved = logits.grad != 0
    assert moved.flatten(2).sum(dim=2).tolist() == [[0, 1, 1, 1]] * 3
    assert logits.grad[0, 1].sum() > 0
    assert logits.grad[0, 2].sum() < 0
    assert presence_loss(logits[:, :1], tags[:, :1], 0).item() == 0


def test_the_likeliest_class_is_a_present_one_and_has_no_gradient() -> None:
    logits, _, tags = drawn()
    tags[0] = torch.tensor([False, True, False, True])
    tags[1] = False
    logits.requires_grad_()
    found = likeliest_classes(logits, tags)
    assert not found.requires_grad
    assert set(found[0].unique().tolist()) == {1, 3}
    expected = torch.where(logits[0, 1] >= logits[0, 3], 1, 3)
    assert (found[0] == expected).all()
    assert (found[1] == NO_LABEL).all()
    assert (found[2] == logits[2].argmax(dim=0)).all()


def test_labels_are_handled_like_masks_of_one_pixel() -> None:
    logits, masks, tags = drawn()
    tags[0, 2] = False
    one = class_aware_loss(logits[:, :, 0, 0], masks[:, 0, 0], tags)
    torch.testing.assert_close(one, class_aware_loss(logits[:, :, :1, :1], masks[:, :1, :1], tags))


def masks(*rows: list[int]) -> torch.Tensor:
    return torch.tensor([rows])


def tagged(*classes: int, of: int = 3) -> torch.Tensor:
    tags = torch.zeros(1, of, dtype=torch.bool)
    tags[0, list(classes)] = True
    return tags


def test_trust_after_one_step_matches_a_hand_made_example() -> None:
    trust = Trust(3, CPU)
    trust.update(masks([0, 0, 1, 1]), masks([0, 0, 0, 1]))
    assert trust.counts.tolist() == [[3, 1, 0], [2, 2, 0], [2, 1, 0]]  # given, predicted, both
    assert trust.ious()[:2].tolist() == [pytest.approx(2 / 3), pytest.approx(1 / 2)]
    weights = trust.weights(torch.cat([tagged(0), tagged(0, 1)]))
    assert weights.tolist() == [pytest.approx((2 / 3) ** 8, rel=1e-6), pytest.approx((1 / 2) ** 8, rel=1e-6)]


def test_earlier_steps_fade_by_a_hundredth_each() -> None:
    trust = Trust(2, CPU)
    trust.update(masks([0, 0, 0, 1]), masks([0, 0, 0, 0]))
    for _ in range(2):
        trust.update(masks([0, 1]), masks([0, 1]))
    old = 0.99**2
    new = 0.99 + 1
    assert trust.counts[0].tolist() == [pytest.approx(4 * old + new), pytest.approx(new)]
    assert trust.counts[1].tolist() == [pytest.approx(3 * old + new), pytest.approx(old + new)]
    assert trust.counts[2].tolist() == [pytest.approx(3 * old + new), pytest.approx(new)]
    assert trust.ious()[0].item() == pytest.approx((3 * old + new) / (4 * old + new))


def test_ignored_pixels_are_not_counted_as_predictions() -> None:
    """The released code counts them, so that a class next to unlabelled pixels is never trusted."""
    trust = Trust(3, CPU)
    trust.update(masks([0, 0, 1, 1, 1]), masks([0, 0, 1, NO_LABEL, NO_LABEL]))
    assert trust.counts[1].tolist() == [2, 1, 0]
    assert trust.ious()[:2].tolist() == [1, 1]
    assert trust.weights(tagged(0, 1)).item() == 1


def test_a_class_that_was_never_right_has_no_trust() -> None:
    """The released code takes 0 for 'absent' and makes it 1: what is always wrong would be trusted most."""
    trust = Trust(3, CPU)
    trust.update(masks([0, 0, 0, 0]), masks([0, 0, 1, 1]))
    assert trust.ious()[1].item() == 0
    assert trust.weights(tagged(1)).item() == 0
    assert trust.weights(tagged(0, 1)).item() == 0
    assert trust.weights(tagged(0)).item() == pytest.approx((1 / 2) ** 8)


def test_a_class_that_was_predicted_but_never_given_has_no_trust() -> None:
    trust = Trust(3, CPU)
    trust.update(masks([0, 2]), masks([0, 0]))
    assert trust.ious()[2].item() == 0
    assert trust.weights(tagged(0, 2)).item() == 0


def test_a_class_that_was_never_seen_is_left_out() -> None:
    trust = Trust(3, CPU)
    trust.update(masks([0, 0, 1]), masks([0, 0, 1]))
    assert math.isnan(trust.ious()[2].item())
    assert trust.weights(tagged(0, 2)).item() == 1
    assert trust.weights(tagged(2)).item() == 0  # nothing is known of it


def test_nothing_is_trusted_initially() -> None:
    trust = Trust(3, CPU)
    assert trust.weights(torch.cat([tagged(0, 1, 2), tagged()])).tolist() == [0, 0]
    trust.update(masks([0, 1]), masks([NO_LABEL, NO_LABEL]))
    assert trust.counts.sum().item() == 0
    assert trust.weights(tagged(0)).item() == 0


def test_the_trust_of_a_pixel_depends_only_on_its_class() -> None:
    trust = Trust(4, CPU)
    trust.update(torch.tensor([[[0, 0, 1, 1]]]), torch.tensor([[[0, 0, 0, 1]]]))  # IoU 2/3, 1/2; 2 was never given
    trust.update(torch.tensor([[[3]]]), torch.tensor([[[2]]]))  # never rightly: 2 and 3 have IoU 0
    predicted, tags = torch.tensor([[[0, 1, 2, 3, NO_LABEL]]]), torch.tensor([[True, True, False, False]])
    weights = trust.pixel_weights(predicted, tags)
    assert weights.shape == (1, 1, 5)
    assert weights.flatten().tolist() == pytest.approx(
        [(7 / 12) ** 4, (1 / 2) ** 4, 0, 0, 0], rel=1e-6
    )  # at most the mean
    behind = trust.pixel_weights(predicted, tags, background=0)  # the ground counts no more than the object
    assert behind.flatten().tolist() == pytest.approx([(1 / 2) ** 4, (1 / 2) ** 4, 0, 0, 0], rel=1e-6)
    assert Trust(4, CPU).pixel_weights(torch.tensor([[[0]]]), tags).item() == 0  # nothing is known yet


def test_equal_pixel_weights_give_the_loss_of_the_image_weight() -> None:
    logits = torch.randn(2, CLASSES, 3, 4, generator=torch.Generator().manual_seed(0))
    masks, tags = torch.arange(24).view(2, 3, 4) % CLASSES, torch.ones(2, CLASSES, dtype=torch.bool)
    of_images = torch.tensor([0.2, 0.9])
    of_pixels = of_images[:, None, None].expand(2, 3, 4)
    torch.testing.assert_close(
        class_aware_loss(logits, masks, tags, of_pixels), class_aware_loss(logits, masks, tags, of_images)
    )


def test_the_trust_rule_is_chosen_by_name_and_defaults_to_that_of_the_paper() -> None:
    assert JointRecipe().trust == IMAGE_TRUST
    trust = {}
    for name in (IMAGE_TRUST, PIXEL_TRUST):
        _, states = learnt(replace(RECIPE, trust=name))
        assert all(math.isfinite(loss) for means in states[-1]["history"] for loss in means)
        trust[name] = states[-1]["history"][0][-1]
    assert 0 <= trust[IMAGE_TRUST] < trust[PIXEL_TRUST] <= 1  # in the first block both measure the same network
    with pytest.raises(ConfigError, match="must be image or pixel"):
        JointRecipe(trust="blind")


def test_renaming_classes_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(1)
    given, predicted = (torch.randint(0, 4, (2, 8, 8), generator=generator) for _ in range(2))
    renamed = torch.tensor([2, 0, 3, 1])
    plain, other = Trust(4, CPU), Trust(4, CPU)
    plain.update(predicted, given)
    other.update(renamed[predicted], renamed[given])
    torch.testing.assert_close(other.ious()[renamed], plain.ious())
