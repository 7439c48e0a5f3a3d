import math

import pytest
import torch

from core.learn.cross_training.trust import Trust
from core.types import NO_LABEL

CPU = torch.device("cpu")


def masks(*rows: list[int]) -> torch.Tensor:
    return torch.tensor([rows])


def tagged(*classes: int, of: int = 3) -> torch.Tensor:
    tags = torch.zeros(1, of, dtype=torch.bool)
    tags[0, list(classes)] = True
    return tags


def test_one_step_by_hand() -> None:
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


def test_ignored_pixels_do_not_count_as_predicted() -> None:
    """The released code counts them, so that a class next to unlabelled pixels is never trusted."""
    trust = Trust(3, CPU)
    trust.update(masks([0, 0, 1, 1, 1]), masks([0, 0, 1, NO_LABEL, NO_LABEL]))
    assert trust.counts[1].tolist() == [2, 1, 0]
    assert trust.ious()[:2].tolist() == [1, 1]
    assert trust.weights(tagged(0, 1)).item() == 1


def test_a_class_that_was_never_right_is_worth_nothing() -> None:
    """The released code takes 0 for 'absent' and makes it 1: what is always wrong would be trusted most."""
    trust = Trust(3, CPU)
    trust.update(masks([0, 0, 0, 0]), masks([0, 0, 1, 1]))
    assert trust.ious()[1].item() == 0
    assert trust.weights(tagged(1)).item() == 0
    assert trust.weights(tagged(0, 1)).item() == 0
    assert trust.weights(tagged(0)).item() == pytest.approx((1 / 2) ** 8)


def test_a_class_that_was_predicted_but_never_given_is_worth_nothing() -> None:
    trust = Trust(3, CPU)
    trust.update(masks([0, 2]), masks([0, 0]))
    assert trust.ious()[2].item() == 0
    assert trust.weights(tagged(0, 2)).item() == 0


def test_a_class_never_seen_is_left_out() -> None:
    trust = Trust(3, CPU)
    trust.update(masks([0, 0, 1]), masks([0, 0, 1]))
    assert math.isnan(trust.ious()[2].item())
    assert trust.weights(tagged(0, 2)).item() == 1
    assert trust.weights(tagged(2)).item() == 0  # nothing is known of it


def test_before_anything_is_seen_nothing_is_trusted() -> None:
    trust = Trust(3, CPU)
    assert trust.weights(torch.cat([tagged(0, 1, 2), tagged()])).tolist() == [0, 0]
    trust.update(masks([0, 1]), masks([NO_LABEL, NO_LABEL]))
    assert trust.counts.sum().item() == 0
    assert trust.weights(tagged(0)).item() == 0


def test_renaming_classes_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(1)
    given, predicted = (torch.randint(0, 4, (2, 8, 8), generator=generator) for _ in range(2))
    renamed = torch.tensor([2, 0, 3, 1])
    plain, other = Trust(4, CPU), Trust(4, CPU)
    plain.update(predicted, given)
    other.update(renamed[predicted], renamed[given])
    torch.testing.assert_close(other.ious()[renamed], plain.ious())
