import pytest
import torch

from core.learn.augment import jittered, jittered_labels, jittered_scenes
from core.types import NO_LABEL


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


def test_labels_stay_with_their_images() -> None:
    images, labels = jittered_labels(pictures(), torch.arange(64), torch.Generator().manual_seed(0))
    torch.testing.assert_close(images, jittered(pictures(), torch.Generator().manual_seed(0)))
    assert labels.tolist() == list(range(64))


def scenes(height: int = 40, width: int = 56) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scenes whose pixels are 3 where their mask is 1, left of the middle, and -3 elsewhere."""
    masks = torch.zeros(32, height, width, dtype=torch.long)
    masks[:, 8:32, 6:20] = 1
    return (masks.float() * 6 - 3)[:, None].expand(-1, 3, -1, -1).clone(), masks


@pytest.mark.parametrize("crop", [0, 24, 48])
def test_image_and_mask_move_together(crop: int) -> None:
    images, masks = scenes()
    shown, wanted = jittered_scenes(crop, mirror=True)(images, masks, torch.Generator().manual_seed(0))
    window = (min(crop, 40), min(crop, 56)) if crop else (40, 56)
    assert shown.shape == (32, 3, *window)
    assert wanted.shape == (32, *window)
    known = wanted != NO_LABEL
    bright = shown.mean(dim=1) > 0
    assert ((bright == (wanted == 1))[known]).float().mean() > 0.97  # but for borders between two pixels
    assert set(wanted.unique().tolist()) <= {NO_LABEL, 0, 1}


def test_what_lies_beyond_a_scene_is_unknown_and_what_was_unknown_stays() -> None:
    images, masks = scenes()
    masks[:, :4] = NO_LABEL
    _, wanted = jittered_scenes(40, mirror=False)(images, masks, torch.Generator().manual_seed(1))
    unknown = (wanted == NO_LABEL).float().mean(dim=(1, 2))
    assert unknown.max() > 0.3  # seen from afar
    assert unknown.min() < 0.05  # seen from near


def test_scenes_are_mirrored_only_when_wished() -> None:
    images, masks = scenes()
    masks[:, :, :28], masks[:, :, 28:] = 0, 1
    for mirror in (False, True):
        _, wanted = jittered_scenes(0, mirror=mirror)(images, masks, torch.Generator().manual_seed(2))
        both = wanted[((wanted == 0).any(dim=2) & (wanted == 1).any(dim=2)).any(dim=1)]
        turned = [int(mask[20][mask[20] != NO_LABEL][0]) == 1 for mask in both]
        assert any(turned) == mirror
        assert not all(turned)


def test_the_same_seed_shows_scenes_the_same_way_and_one_channel_will_do() -> None:
    images, masks = scenes()
    jitter = jittered_scenes(24, mirror=True)
    one, again = (jitter(images[:, :1], masks, torch.Generator().manual_seed(5)) for _ in range(2))
    for first, second in zip(one, again, strict=True):
        torch.testing.assert_close(first, second)
