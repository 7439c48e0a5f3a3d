import pytest
import torch
from torch import Tensor, nn

from core.learn.augment import (
    MultiViewNetwork,
    jitter_images,
    jitter_labels,
    scene_jitter,
    strong_labels,
    strong_moved_views,
    strong_views,
    window_edges,
)
from core.types import NO_LABEL


def pictures() -> torch.Tensor:
    images = torch.zeros(64, 1, 28, 28)
    images[:, :, 10:18, 12:16] = 1
    return images


def test_augmentation_keeps_shape_and_range_and_moves_each_image_differently() -> None:
    moved = jitter_images(pictures(), torch.Generator().manual_seed(0))
    assert moved.shape == (64, 1, 28, 28)
    assert moved.min() >= 0
    assert moved.max() <= 1.0001
    assert len({image.sum().item() for image in moved}) > 60


def test_most_of_an_image_stays_visible() -> None:
    moved = jitter_images(pictures(), torch.Generator().manual_seed(0))
    mass = moved.sum(dim=(1, 2, 3)) / pictures().sum(dim=(1, 2, 3))
    assert mass.min() > 0.7
    assert mass.max() < 1.4


def test_the_same_seed_gives_the_same_augmentation() -> None:
    one, again = (jitter_images(pictures(), torch.Generator().manual_seed(5)) for _ in range(2))
    torch.testing.assert_close(one, again, rtol=0, atol=0)


def test_labels_stay_with_their_images() -> None:
    images, labels = jitter_labels(pictures(), torch.arange(64), torch.Generator().manual_seed(0))
    torch.testing.assert_close(images, jitter_images(pictures(), torch.Generator().manual_seed(0)))
    assert labels.tolist() == list(range(64))


def scenes(height: int = 40, width: int = 56) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scenes whose pixels are 3 where their mask is 1, left of the middle, and -3 elsewhere."""
    masks = torch.zeros(32, height, width, dtype=torch.long)
    masks[:, 8:32, 6:20] = 1
    return (masks.float() * 6 - 3)[:, None].expand(-1, 3, -1, -1).clone(), masks


@pytest.mark.parametrize("crop", [0, 24, 48])
def test_image_and_mask_move_together(crop: int) -> None:
    images, masks = scenes()
    shown, wanted = scene_jitter(crop, mirror=True)(images, masks, torch.Generator().manual_seed(0))
    window = (min(crop, 40), min(crop, 56)) if crop else (40, 56)
    assert shown.shape == (32, 3, *window)
    assert wanted.shape == (32, *window)
    known = wanted != NO_LABEL
    bright = shown.mean(dim=1) > 0
    assert ((bright == (wanted == 1))[known]).float().mean() > 0.97  # but for borders between two pixels
    assert set(wanted.unique().tolist()) <= {NO_LABEL, 0, 1}


def test_pixels_beyond_a_scene_are_unknown_and_unknown_pixels_stay_unknown() -> None:
    images, masks = scenes()
    masks[:, :4] = NO_LABEL
    _, wanted = scene_jitter(40, mirror=False)(images, masks, torch.Generator().manual_seed(1))
    unknown = (wanted == NO_LABEL).float().mean(dim=(1, 2))
    assert unknown.max() > 0.3  # seen from afar
    assert unknown.min() < 0.05  # seen from near


def test_scenes_are_mirrored_only_on_request() -> None:
    images, masks = scenes()
    masks[:, :, :28], masks[:, :, 28:] = 0, 1
    for mirror in (False, True):
        _, wanted = scene_jitter(0, mirror=mirror)(images, masks, torch.Generator().manual_seed(2))
        both = wanted[((wanted == 0).any(dim=2) & (wanted == 1).any(dim=2)).any(dim=1)]
        turned = [int(mask[20][mask[20] != NO_LABEL][0]) == 1 for mask in both]
        assert any(turned) == mirror
        assert not all(turned)


def test_the_same_seed_gives_the_same_scenes_also_with_one_channel() -> None:
    images, masks = scenes()
    jitter = scene_jitter(24, mirror=True)
    one, again = (jitter(images[:, :1], masks, torch.Generator().manual_seed(5)) for _ in range(2))
    for first, second in zip(one, again, strict=True):
        torch.testing.assert_close(first, second)


class Pixelwise(nn.Module):
    """Logits that depend on the pixel alone; remembers the sizes it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape[2:]))
        return torch.cat([images, -images, images * 2], dim=1)


@pytest.mark.parametrize(
    ("side", "crop", "edges"),
    [
        (100, 0, [(0, 100)]),
        (100, 100, [(0, 100)]),
        (150, 100, [(0, 150)]),
        (151, 100, [(0, 100), (51, 151)]),
        (300, 100, [(0, 100), (67, 167), (133, 233), (200, 300)]),
    ],
)
def test_sliding_windows_overlap_and_cover_a_side(side: int, crop: int, edges: list[tuple[int, int]]) -> None:
    assert window_edges(side, crop) == edges


def test_pixels_keep_their_place_in_every_view() -> None:
    images = torch.randn(2, 1, 70, 90)
    plain = Pixelwise()(images)
    for crop, flip in [(0, False), (0, True), (32, False), (32, True)]:
        network = Pixelwise()
        torch.testing.assert_close(MultiViewNetwork(network, crop=crop, scales=(1.0,), flip=flip)(images), plain)
        assert set(network.seen) == ({(32, 32)} if crop else {(70, 90)})


def test_several_scales_are_averaged_at_the_size_of_the_scene() -> None:
    smooth = torch.linspace(-1, 1, 40)[None, None, None].expand(1, 1, 30, 40)
    network = Pixelwise()
    found = MultiViewNetwork(network, crop=0, scales=(0.5, 1.0, 2.0), flip=False)(smooth)
    assert network.seen == [(15, 20), (30, 40), (60, 80)]
    torch.testing.assert_close(found, Pixelwise()(smooth), atol=0.03, rtol=0)


def test_a_mirrored_view_is_mirrored_back_before_averaging() -> None:
    class LeftSeeing(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits = torch.zeros_like(images)
            logits[..., :2] = 1
            return logits

    found = MultiViewNetwork(LeftSeeing(), crop=0, scales=(1.0,), flip=True)(torch.zeros(1, 1, 1, 6))
    assert found.flatten().tolist() == [0.5, 0.5, 0, 0, 0.5, 0.5]


def test_strong_views_change_every_image_differently_and_leave_the_originals() -> None:
    images = torch.randn(1, 3, 16, 20, generator=torch.Generator().manual_seed(0)).expand(8, 3, 16, 20).clone()
    before = images.clone()
    changed, again = (strong_views(images, torch.Generator().manual_seed(3)) for _ in range(2))
    torch.testing.assert_close(images, before)
    torch.testing.assert_close(changed, again)
    assert changed.shape == images.shape
    assert changed.isfinite().all()
    assert all((one != images[0]).any() for one in changed)
    assert len({round(one.sum().item(), 3) for one in changed}) == 8


def test_strong_views_move_no_pixel() -> None:
    """A bright spot stays where it is, unless it was cut out."""
    images = torch.zeros(40, 3, 15, 15)
    images[:, :, 4, 9] = 30.0
    seen = strong_views(images, torch.Generator().manual_seed(1)).sum(dim=1).flatten(1)
    spread = seen.amax(1) - seen.amin(1)
    kept = spread > 20
    assert kept.sum() > 20
    assert (seen[kept] - seen[kept].median(dim=1, keepdim=True).values).abs().argmax(1).eq(4 * 15 + 9).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_strong_views_for_classification_also_move_every_image_differently(channels: int) -> None:
    images = pictures().expand(64, channels, 28, 28).clone()
    before = images.clone()
    seen, labels = strong_labels(images, torch.arange(64), torch.Generator().manual_seed(0))
    torch.testing.assert_close(images, before)
    assert labels.tolist() == list(range(64))
    assert seen.shape == images.shape
    assert seen.isfinite().all()
    assert len({round(image.sum().item(), 3) for image in seen}) > 60
    moved = strong_moved_views(images, torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen, moved)
    weak = jitter_images(images, torch.Generator().manual_seed(0))
    assert (seen - images).abs().mean() > (weak - images).abs().mean()


def test_strong_views_of_digits_keep_their_ink() -> None:
    """Grey levels are not changed, only moved and cut, so nothing is brighter than it was."""
    seen = strong_moved_views(pictures(), torch.Generator().manual_seed(0))
    assert seen.min() >= 0
    assert seen.max() <= 1.0001
