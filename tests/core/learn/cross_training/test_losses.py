import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit

from core.learn.cross_training.losses import class_aware_loss, likeliest, presence_loss
from core.types import NO_LABEL


def drawn(*, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return logits, masks and the tags of all classes."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, classes, 5, 6, generator=generator)
    masks = torch.randint(0, classes, (3, 5, 6), generator=generator)
    return logits, masks, torch.ones(3, classes, dtype=torch.bool)


def test_one_pixel_by_hand() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]])[:, :, None, None]
    tags = torch.tensor([[True, False, True]])
    mask = torch.tensor([[[2]]])
    expected = -math.log(math.exp(2) / (math.exp(1) + math.exp(2)))  # class 1 has no share
    assert class_aware_loss(logits, mask, tags).item() == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(0.3132617)
    half = class_aware_loss(logits, mask, tags, torch.tensor([0.5]))
    assert half.item() == pytest.approx(expected / 2, rel=1e-6)


def test_with_every_class_present_it_is_cross_entropy() -> None:
    logits, masks, tags = drawn()
    masks[0, 0] = NO_LABEL
    torch.testing.assert_close(
        class_aware_loss(logits, masks, tags), F.cross_entropy(logits, masks, ignore_index=NO_LABEL)
    )


def test_it_is_cross_entropy_among_the_present_classes() -> None:
    logits, masks, tags = drawn()
    tags[:, 1] = False
    masks[masks == 1] = 3
    among = logits[:, [0, 2, 3]]
    renamed = torch.tensor([0, -9, 1, 2])[masks]
    torch.testing.assert_close(class_aware_loss(logits, masks, tags), F.cross_entropy(among, renamed))


def test_absent_classes_get_no_gradient_at_all_however_large_their_logits() -> None:
    logits, masks, tags = drawn()
    tags[0, 2] = tags[1, 0] = False
    logits[0, 2], logits[1, 0] = 80.0, -80.0
    logits.requires_grad_()
    class_aware_loss(logits, masks, tags).backward()
    assert (logits.grad[0, 2] == 0).all()
    assert (logits.grad[1, 0] == 0).all()
    assert (logits.grad[2] != 0).any()
    assert logits.grad.isfinite().all()


def test_the_gradient_is_the_numeric_one() -> None:
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


def test_little_trust_means_little_loss() -> None:
    logits, masks, tags = drawn()
    plain = class_aware_loss(logits, masks, tags)
    torch.testing.assert_close(class_aware_loss(logits, masks, tags, torch.full((3,), 0.25)), plain / 4)
    only = class_aware_loss(logits, masks, tags, torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(only, class_aware_loss(logits[1:2], masks[1:2], tags[1:2]) / 3)


@pytest.mark.parametrize("what", ["unknown", "untagged", "contradicted"])
def test_nothing_known_costs_zero_and_moves_nothing(what: str) -> None:
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


def test_one_image_without_tags_leaves_the_others_as_they_are() -> None:
    logits, masks, tags = drawn()
    tags[0] = False
    torch.testing.assert_close(class_aware_loss(logits, masks, tags), class_aware_loss(logits[1:], masks[1:], tags[1:]))


def test_presence_by_hand() -> None:
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 0] = 50.0  # background: not asked
    logits[0, 1, 0, 1] = 2.0  # its largest
    logits[0, 2] = torch.tensor([[-3.0, -1.0], [-2.0, -5.0]])
    tags = torch.tensor([[True, True, False]])
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2
    assert presence_loss(logits, tags, 0).item() == pytest.approx(expected, rel=1e-6)
    everything = (2 * expected + math.log(1 + math.exp(-50))) / 3
    assert presence_loss(logits, tags, None).item() == pytest.approx(everything, rel=1e-6)


def test_presence_moves_the_largest_pixel_of_each_asked_class_alone() -> None:
    logits, _, tags = drawn()
    tags[0, 1] = False
    logits.requires_grad_()
    presence_loss(logits, tags, 0).backward()
    moved = logits.grad != 0
    assert moved.flatten(2).sum(dim=2).tolist() == [[0, 1, 1, 1]] * 3
    assert logits.grad[0, 1].sum() > 0
    assert logits.grad[0, 2].sum() < 0
    assert presence_loss(logits[:, :1], tags[:, :1], 0).item() == 0


def test_the_likeliest_is_one_of_the_present_and_carries_no_gradient() -> None:
    logits, _, tags = drawn()
    tags[0] = torch.tensor([False, True, False, True])
    tags[1] = False
    logits.requires_grad_()
    found = likeliest(logits, tags)
    assert not found.requires_grad
    assert set(found[0].unique().tolist()) == {1, 3}
    expected = torch.where(logits[0, 1] >= logits[0, 3], 1, 3)
    assert (found[0] == expected).all()
    assert (found[1] == NO_LABEL).all()
    assert (found[2] == logits[2].argmax(dim=0)).all()


def test_labels_are_masks_of_one_pixel() -> None:
    logits, masks, tags = drawn()
    tags[0, 2] = False
    one = class_aware_loss(logits[:, :, 0, 0], masks[:, 0, 0], tags)
    torch.testing.assert_close(one, class_aware_loss(logits[:, :, :1, :1], masks[:, :1, :1], tags))
