import pytest
import timm
import torch

from core.learn.models.probes import Backbone, Resized, stages_of


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
def test_features_of_all_stages_follow_the_last_ones(name: str, stages: int) -> None:
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


def test_small_images_are_seen_enlarged() -> None:
    network = made("resnet18")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(images, (96, 96), mode="bilinear", align_corners=False)
    with torch.inference_mode():
        torch.testing.assert_close(Resized(network, 96)(images), network(large))
