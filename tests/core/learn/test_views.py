import pytest
import torch
from torch import Tensor, nn

from core.learn.views import View, window_edges


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
def test_windows_overlap_and_cover_a_side(side: int, crop: int, edges: list[tuple[int, int]]) -> None:
    assert window_edges(side, crop) == edges


def test_however_a_scene_is_looked_at_each_pixel_keeps_its_place() -> None:
    images = torch.randn(2, 1, 70, 90)
    plain = Pixelwise()(images)
    for crop, flip in [(0, False), (0, True), (32, False), (32, True)]:
        network = Pixelwise()
        torch.testing.assert_close(View(network, crop=crop, scales=(1.0,), flip=flip)(images), plain)
        assert set(network.seen) == ({(32, 32)} if crop else {(70, 90)})


def test_several_sizes_are_averaged_at_the_scenes_own() -> None:
    smooth = torch.linspace(-1, 1, 40)[None, None, None].expand(1, 1, 30, 40)
    network = Pixelwise()
    found = View(network, crop=0, scales=(0.5, 1.0, 2.0), flip=False)(smooth)
    assert network.seen == [(15, 20), (30, 40), (60, 80)]
    torch.testing.assert_close(found, Pixelwise()(smooth), atol=0.03, rtol=0)


def test_a_mirrored_look_is_turned_back_before_it_is_averaged() -> None:
    class LeftSeeing(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits = torch.zeros_like(images)
            logits[..., :2] = 1
            return logits

    found = View(LeftSeeing(), crop=0, scales=(1.0,), flip=True)(torch.zeros(1, 1, 1, 6))
    assert found.flatten().tolist() == [0.5, 0.5, 0, 0, 0.5, 0.5]
