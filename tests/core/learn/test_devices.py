import pytest
import timm
import torch
from torch import nn

from core.learn import devices
from core.learn.devices import Bfloat16, for_inference, has_bfloat16
from core.types import ConfigError


def test_auto_selects_a_working_device() -> None:
    device = devices.choose("auto")
    torch.zeros(1, device=device)
    assert devices.describe(device)


@pytest.mark.parametrize("name", ["cuda:99", "toaster"])
def test_a_missing_device_is_refused_with_a_cure(name: str) -> None:
    with pytest.raises(ConfigError, match="choose 'auto' or 'cpu'"):
        devices.choose(name)


def test_the_cpu_runs_in_full_precision() -> None:
    with devices.fast_precision(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


CPU = torch.device("cpu")


def used(name: str, channels: int = 3) -> nn.Module:
    """Return a network whose norms have seen images, so that they change something."""
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0, in_chans=channels)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet10t"])
def test_a_folded_network_gives_the_same_answers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_bfloat16(monkeypatch)
    network = used(name)
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    found = for_inference(network, CPU, 3, 96)
    with torch.inference_mode():
        torch.testing.assert_close(found(images), network(images), atol=1e-4, rtol=1e-3)
    assert norms(found) == 0
    assert norms(network) > 0


def test_norms_are_not_folded_if_that_changes_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    without_bfloat16(monkeypatch)
    network = used("resnetv2_18")  # norms come before convolutions
    assert for_inference(network, CPU, 3, 64) is network


def test_a_network_that_cannot_compute_in_bfloat16_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wide(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.linalg.svdvals(images.flatten(1))[:, None]  # there is none for bfloat16

    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    found = for_inference(Wide(), CPU, 3, 16)
    assert found(torch.rand(2, 3, 16, 16)).dtype is torch.float32


@pytest.mark.parametrize("able", [True, False])
def test_a_cpu_computes_in_bfloat16_if_possible_and_leaves_the_network_unchanged(
    *, able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})
    network = used("tf_efficientnet_lite0", 1)
    images = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = network(images)
        found = for_inference(network, CPU, 1, 64)(images)
        torch.testing.assert_close(network(images), before)
    assert found.dtype is torch.float32
    assert (found - before).norm() < (0.05 if able else 1e-4) * before.norm()
    assert has_bfloat16() is able


@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
def test_networks_without_batch_norm_compute_in_bfloat16_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    network = used(name)
    images = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))
    found = for_inference(network, CPU, 3, 160)
    assert isinstance(found, Bfloat16)
    with torch.inference_mode():
        assert (found(images) - network(images)).norm() < 0.05 * network(images).norm()
