from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core.config import SGD
from core.learn.augment import jittered_scenes
from core.learn.batches import Images, MaskTargets, Scaling
from core.learn.cross_training.optimizing import JointRecipe, optimizer_of, set_rate
from core.learn.cross_training.stage1 import LOSSES, Pair, Sources, dealt, train_pair
from core.learn.cross_training.views import strong_views
from core.learn.models.small_unet import SmallUnet
from core.learn.optimizing import cycle
from core.learn.training import State, Watcher
from core.types import IGNORE, ConfigError, RoundCancelledError

CPU = torch.device("cpu")
RECIPE = JointRecipe(steps=7, batch_size=4, learning_rate=0.01, block=3, seed=5)
AUGMENT = jittered_scenes(0, mirror=False)
CLASSES = 3
S = ([0, 1], [2, 3])


pytestmark = pytest.mark.usefixtures("one_thread")


def pair() -> Pair:
    torch.manual_seed(0)
    return Pair(SmallUnet(3, CLASSES), SmallUnet(3, CLASSES))


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
    images = Images(array, Scaling.measured(array), CPU)
    return Sources(images, MaskTargets(shown, CPU), tags, torch.arange(4), torch.arange(4, 12), None)


def learnt(
    recipe: JointRecipe = RECIPE, given: Sources | None = None, state: State | None = None
) -> tuple[Pair, list[State]]:
    both, states = pair(), []

    def keep(state: State, _: float) -> None:
        states.append({name: _copied(value) for name, value in state.items()})

    watcher = Watcher(keep, lambda _: None, lambda: False)
    train_pair(both, given or sources(), recipe, augment=AUGMENT, watcher=watcher, state=state)
    return both, states


def _copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {name: _copied(own) for name, own in value.items()}
    return [_copied(own) for own in value] if isinstance(value, list) else value


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_as_published_both_rates_decay_and_the_classifiers_is_ten_times_the_rest() -> None:
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
    with pytest.raises(ConfigError, match="no head"):
        optimizer_of(nn.Linear(2, 2), recipe)


def test_usually_both_networks_are_optimised_as_all_others_are() -> None:
    optimizer = optimizer_of(pair().pseudo, RECIPE)
    assert isinstance(optimizer, torch.optim.AdamW)
    for step in range(RECIPE.steps):
        set_rate(optimizer, RECIPE, step)
        rates = {group["lr"] for group in optimizer.param_groups}
        assert rates == {RECIPE.learning_rate * cycle(step / RECIPE.steps)}


def test_in_training_pseudonets_rate_falls_like_hybridnets() -> None:
    _, states = learnt(replace(RECIPE, optimizer=SGD))
    for state in states:
        rates = [[group["lr"] for group in state["optimizers"][name]["param_groups"]] for name in ("hybrid", "pseudo")]
        assert rates[0] == rates[1]
    first, last = (state["optimizers"]["pseudo"]["param_groups"][0]["lr"] for state in (states[0], states[-1]))
    assert first == pytest.approx(0.01 * (1 - 2 / 7) ** 0.9)
    assert last == pytest.approx(0.01 * (1 - 6 / 7) ** 0.9)


def test_a_resumed_run_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    straight, states = learnt()
    assert [state["epochs_done"] for state in states] == [1, 2, 3]  # blocks of 3, 3 and 1 steps
    torch.save(states[0], tmp_path / "state")
    resumed, more = learnt(state=torch.load(tmp_path / "state", weights_only=True))
    assert same(resumed.hybrid, straight.hybrid)
    assert same(resumed.pseudo, straight.pseudo)
    assert more[-1]["history"] == states[-1]["history"]
    assert torch.equal(more[-1]["trust"], states[-1]["trust"])


def test_a_seed_decides_everything() -> None:
    first, again, other = (learnt(recipe)[0] for recipe in (RECIPE, RECIPE, replace(RECIPE, seed=6)))
    assert same(first.hybrid, again.hybrid)
    assert same(first.pseudo, again.pseudo)
    assert not same(first.hybrid, other.hybrid)


def test_pseudonet_never_learns_from_images_with_masks() -> None:
    """Where W has masks, HybridNet says nothing to PseudoNet: it must then become the same whatever S is made of."""
    networks = [learnt(given=replace(sources(weak_masks=True), strong_rows=torch.tensor(rows)))[0] for rows in S]
    assert same(networks[0].pseudo, networks[1].pseudo)
    assert not same(networks[0].hybrid, networks[1].hybrid)


def test_it_learns_and_trust_grows() -> None:
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


def test_images_of_w_with_a_mask_teach_by_it_fully_trusted() -> None:
    _, hidden = learnt()
    _, shown = learnt(given=sources(weak_masks=True))
    assert shown[0]["history"][0][-1] == 1
    assert hidden[0]["history"][0][-1] < 0.1


def test_it_stops_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.learn.cross_training.stage1.LOOK_SECONDS", 0.0)
    looks: list[float] = []
    watcher = Watcher(lambda *_: None, lambda look: looks.append(look.share), lambda: len(looks) == 2)
    with pytest.raises(RoundCancelledError):
        train_pair(pair(), sources(), RECIPE, augment=AUGMENT, watcher=watcher)
    assert looks == [pytest.approx(1 / 3), pytest.approx(2 / 3)]


def test_every_row_is_dealt_once_before_any_comes_again() -> None:
    rows = torch.tensor([3, 5, 7, 11, 13])
    stream = torch.cat([dealt(rows, 2, step, seed=4) for step in range(10)]).tolist()
    for lap in range(4):
        assert sorted(stream[5 * lap : 5 * lap + 5]) == rows.tolist()
    assert stream[:5] != stream[5:10]
    assert dealt(torch.tensor([9]), 3, 0, seed=0).tolist() == [9, 9, 9]


def test_strong_views_change_every_image_and_not_the_one_given() -> None:
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
def test_what_cannot_work_is_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(RECIPE, **changes)
