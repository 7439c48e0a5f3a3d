from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.learn.models.swiftnet import Pyramid, SwiftNet, UpBlock


def network(channels: int = 3, classes: int = 19) -> SwiftNet:
    torch.manual_seed(0)
    encoder = timm.create_model(
        "resnet18", pretrained=False, in_chans=channels, num_classes=0, global_pool="", zero_init_last=False
    )
    return SwiftNet(encoder, classes)


def test_the_number_of_parameters_equals_that_of_the_paper() -> None:
    """11.8 million: 11,176,512 in the encoder, 116,476 in the pyramid, 501,376 in the steps, the rest in the head."""
    parts = network().named_children()
    counts = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts}
    assert counts == {"encoder": 11_176_512, "pyramid": 116_476, "steps": 501_376, "head": 2_707}
    assert round(sum(counts.values()) / 1e6, 1) == 11.8


@pytest.mark.parametrize(("height", "width"), [(64, 96), (37, 101), (33, 33), (8, 150)])
@pytest.mark.parametrize("channels", [1, 3])
def test_logits_have_the_size_of_the_input(height: int, width: int, channels: int) -> None:
    built = network(channels, 7).eval()
    with torch.inference_mode():
        assert built(torch.randn(2, channels, height, width)).shape == (2, 7, height, width)


def test_skips_are_taken_before_the_last_relu_and_the_next_stage_starts_after_it() -> None:
    built = network().eval()
    skips: list[Tensor] = []
    entered: list[Tensor] = []
    encoder: Any = built.encoder
    for stage in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
        stage.register_forward_hook(lambda _module, given, made: (entered.append(given[0]), skips.append(made))[0])
    with torch.inference_mode():
        built(torch.randn(1, 3, 64, 64))
    assert [tuple(skip.shape[1:]) for skip in skips] == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
    assert all((skip < 0).any() for skip in skips)
    for before, after in zip(skips, entered[1:], strict=False):
        torch.testing.assert_close(after, F.relu(before))


def test_the_encoder_equals_resnet18_except_for_its_skips() -> None:
    built, plain = network().eval(), timm.create_model("resnet18", pretrained=False, num_classes=0, global_pool="")
    plain.load_state_dict(built.encoder.state_dict())
    deepest: list[Tensor] = []
    encoder: Any = built.encoder
    encoder.layer4.register_forward_hook(lambda _module, _given, made: deepest.append(made))
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        built(images)
        torch.testing.assert_close(F.relu(deepest[0]), plain.eval().forward_features(images))


def test_decoder_units_are_norm_relu_convolution_and_only_the_logits_have_a_bias() -> None:
    built = network()
    decoder = [module for part in (built.pyramid, built.steps, built.head) for module in part.modules()]
    units = [module for module in decoder if isinstance(module, nn.Sequential)]
    assert len(units) == 5 + 6 + 1
    for unit in units:
        assert [type(layer) for layer in unit] == [nn.BatchNorm2d, nn.ReLU, nn.Conv2d]
    biased = [module for module in decoder if isinstance(module, nn.Conv2d) and module.bias is not None]
    assert biased == [built.head[2]]
    norms = [module.momentum for module in built.pyramid.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms == [0.005] * 5


def test_the_pyramid_pools_cells_in_the_proportions_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    pool = F.adaptive_avg_pool2d
    monkeypatch.setattr(F, "adaptive_avg_pool2d", lambda x, size: (asked.append(size), pool(x, size))[1])
    assert Pyramid(512).eval()(torch.randn(1, 512, 12, 16)).shape == (1, 128, 12, 16)
    assert asked == [(8, 11), (4, 5), (2, 3)]


def test_an_upsampling_block_has_the_size_of_its_skip() -> None:
    assert UpBlock(64).eval()(torch.randn(1, 128, 3, 4), torch.randn(1, 64, 7, 9)).shape == (1, 128, 7, 9)
