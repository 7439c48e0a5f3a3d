import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit

from core.learn.losses import median_frequency, supervised_loss
from core.types import IGNORE, NO_LABEL


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 4, 5, generator=generator), torch.randint(0, 3, (2, 4, 5), generator=generator)


def test_it_is_the_mean_cross_entropy_for_labels_and_for_pixels() -> None:
    logits, masks = drawn()
    torch.testing.assert_close(supervised_loss(logits, masks), F.cross_entropy(logits, masks))
    torch.testing.assert_close(
        supervised_loss(logits[:, :, 0, 0], masks[:, 0, 0]), F.cross_entropy(logits[:, :, 0, 0], masks[:, 0, 0])
    )


def test_a_pixel_is_an_image() -> None:
    logits, masks = drawn()
    flat = logits.permute(0, 2, 3, 1).reshape(-1, 3)
    torch.testing.assert_close(supervised_loss(logits, masks), supervised_loss(flat, masks.flatten()))


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.0])])
def test_what_is_unknown_teaches_nothing(weights: torch.Tensor | None) -> None:
    logits, masks = drawn()
    masks[0] = NO_LABEL
    torch.testing.assert_close(supervised_loss(logits, masks, weights), supervised_loss(logits[1:], masks[1:], weights))
    logits.requires_grad_()
    supervised_loss(logits, masks, weights).backward()
    assert (logits.grad[0] == 0).all()
    assert (logits.grad[1] != 0).any()


@pytest.mark.parametrize("weights", [None, torch.ones(3)])
def test_nothing_known_costs_zero_and_moves_nothing(weights: torch.Tensor | None) -> None:
    logits, masks = drawn()
    logits.requires_grad_()
    loss = supervised_loss(logits, torch.full_like(masks, NO_LABEL), weights)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_weights_are_those_of_cross_entropy() -> None:
    logits, masks = drawn()
    weights = torch.tensor([0.2, 3.0, 1.0])
    torch.testing.assert_close(supervised_loss(logits, masks, weights), F.cross_entropy(logits, masks, weights))


def test_rare_classes_weigh_the_median_by_their_own_frequency() -> None:
    masks = np.zeros((3, 10, 10), np.uint8)
    masks[0, :, :2] = 1  # frequency 20 of the 100 pixels of the only mask it occurs in
    masks[1, 0, :5] = 2  # 5 of 90
    masks[1, 9] = IGNORE
    masks[2] = 3  # not among the rows that teach
    frequency = np.array([(80 + 85) / 190, 20 / 100, 5 / 90])
    found = median_frequency(masks, np.array([0, 1]), 5)
    np.testing.assert_allclose(found, [*np.median(frequency) / frequency, 0, 0], rtol=1e-6)


def test_masks_without_anything_known_have_no_weights() -> None:
    assert (median_frequency(np.full((2, 3, 3), IGNORE, np.uint8), np.array([0, 1]), 4) == 0).all()
