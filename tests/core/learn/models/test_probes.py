import numpy as np
import pytest
import timm
import torch
from torch import Tensor

from core.learn.models.probes import (
    Backbone,
    MapShape,
    PixelHead,
    PixelProbe,
    Resized,
    SceneEncoder,
    features_at,
    split_maps,
    stages_of,
)


def made(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=0).eval()


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("tf_efficientnet_lite0", 7),
        ("resnet18", 4),
        ("convnext_atto", 4),
        ("mobilenetv3_small_050", 6),
        ("vit_tiny_patch16_224", 4),
        ("swin_tiny_patch4_window7_224", 4),
    ],
)
def test_features_of_all_stages_follow_those_of_the_last(name: str, stages: int) -> None:
    network = made(name)
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = Backbone(network, all_stages=True, flip=False)(images)
        last = network(images)
    assert len(stages_of(network)) == stages
    torch.testing.assert_close(features[:, : last.shape[1]], last)
    widths = [info["num_chs"] for info in network.feature_info]
    assert features.shape[1] >= last.shape[1] + max(widths)
    assert features.isfinite().all()


def test_a_stages_features_are_the_means_of_its_maps() -> None:
    network = made("resnet18")
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        _, maps = network.forward_intermediates(images)
        features = Backbone(network, all_stages=True, flip=False)(images)
    torch.testing.assert_close(features[:, 512:], torch.cat([one.mean(dim=(2, 3)) for one in maps[1:]], dim=1))


def test_an_image_and_its_mirror_image_have_the_same_features_with_flip() -> None:
    backbone = Backbone(made("resnet18"), all_stages=True, flip=True)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(backbone(images), backbone(images.flip(3)), atol=1e-4, rtol=1e-3)


def test_small_images_are_enlarged_for_the_encoder() -> None:
    network = made("resnet18")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(images, (96, 96), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        torch.testing.assert_close(Resized(network, 96)(images), network(large))


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
def test_the_output_size_of_an_encoder_matches_its_shapes(height: int, width: int, scales: tuple[float, ...]) -> None:
    network = encoder(*scales)
    shapes = network.shapes(height, width)
    with torch.inference_mode():
        maps = network(torch.randn(2, 3, height, width))
    assert maps.shape == (2, sum(int(np.prod(shape)) for shape in shapes))
    assert len(shapes) == 3 * len(scales)


def test_encoder_and_head_give_logits_at_the_size_of_the_images() -> None:
    network = encoder(1.0)
    head = drawn_head(sum(shape.channels for shape in network.shapes(32, 32)), classes=3)
    with torch.inference_mode():
        assert PixelProbe(network, head)(torch.randn(2, 3, 40, 72)).shape == (2, 3, 40, 72)
