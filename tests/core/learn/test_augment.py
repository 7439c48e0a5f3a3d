import torch

from core.learn.augment import jittered


def pictures() -> torch.Tensor:
    images = torch.zeros(64, 1, 28, 28)
    images[:, :, 10:18, 12:16] = 1
    return images


def test_shape_and_range_stay_and_each_image_moves_its_own_way() -> None:
    moved = jittered(pictures(), torch.Generator().manual_seed(0))
    assert moved.shape == (64, 1, 28, 28)
    assert moved.min() >= 0
    assert moved.max() <= 1.0001
    assert len({image.sum().item() for image in moved}) > 60


def test_what_matters_stays_in_the_picture() -> None:
    moved = jittered(pictures(), torch.Generator().manual_seed(0))
    mass = moved.sum(dim=(1, 2, 3)) / pictures().sum(dim=(1, 2, 3))
    assert mass.min() > 0.7
    assert mass.max() < 1.4


def test_the_same_seed_moves_the_same_way() -> None:
    one, again = (jittered(pictures(), torch.Generator().manual_seed(5)) for _ in range(2))
    torch.testing.assert_close(one, again, rtol=0, atol=0)
