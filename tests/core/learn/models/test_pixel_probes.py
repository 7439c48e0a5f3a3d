import numpy as np
import pytest
import timm
import torch
from torch import Tensor

from core.learn.models.pixel_probes import MapShape, PixelHead, PixelProbe, SceneEncoder, features_at, split_maps

SHAPES = [MapShape(3, 2, 3), MapShape(2, 4, 6), MapShape(4, 1, 1)]


def drawn_head(channels: int, classes: int = 5) -> PixelHead:
    torch.manual_seed(0)
    head = PixelHead(torch.randn(channels), torch.rand(channels) + 0.5, classes)
    torch.nn.init.normal_(head.norm.running_mean)
    return head.eval()


def drawn_maps(shapes: list[MapShape], count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, sum(int(np.prod(shape)) for shape in shapes), generator=generator)


def encoder(*scales: float) -> SceneEncoder:
    torch.manual_seed(2)
    return SceneEncoder(
        timm.create_model("test_efficientnet", features_only=True, out_indices=(2, 3, 4)), scales
    ).eval()


def test_a_painted_cell_has_the_logits_of_the_features_at_its_centre() -> None:
    head, maps = drawn_head(9), drawn_maps(SHAPES)
    painted = head.paint(maps, SHAPES)  # (2, 5, 4, 6)
    y, x = (grid.flatten() for grid in torch.meshgrid(torch.arange(4), torch.arange(6), indexing="ij"))
    centres = torch.stack(((2 * x + 1) / 6 - 1, (2 * y + 1) / 4 - 1), dim=1)
    for image in range(2):
        alone = head(features_at(maps[image], SHAPES, centres))  # (24, 5)
        torch.testing.assert_close(painted[image].flatten(1).T, alone, atol=1e-4, rtol=1e-4)


def test_maps_are_split_into_the_shapes_they_were_flattened_from() -> None:
    maps = drawn_maps(SHAPES)
    parts = split_maps(maps, SHAPES)
    assert [tuple(part.shape[1:]) for part in parts] == [tuple(shape) for shape in SHAPES]
    torch.testing.assert_close(torch.cat([part.flatten(1) for part in parts], dim=1), maps)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (50, 70), (5, 33)])
@pytest.mark.parametrize("scales", [(1.0,), (1.0, 2.0), (0.5, 1.0)])
def test_an_encoder_gives_as_many_numbers_as_its_shapes_hold(
    height: int, width: int, scales: tuple[float, ...]
) -> None:
    network = encoder(*scales)
    shapes = network.shapes(height, width)
    with torch.inference_mode():
        maps = network(torch.randn(2, 3, height, width))
    assert maps.shape == (2, sum(int(np.prod(shape)) for shape in shapes))
    assert len(shapes) == 3 * len(scales)


def test_both_together_give_logits_at_the_size_of_the_images() -> None:
    network = encoder(1.0)
    head = drawn_head(sum(shape.channels for shape in network.shapes(32, 32)), classes=3)
    with torch.inference_mode():
        assert PixelProbe(network, head)(torch.randn(2, 3, 40, 72)).shape == (2, 3, 40, 72)
