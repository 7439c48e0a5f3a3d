import pytest
import torch

from core.learn import devices
from core.types import ConfigError


def test_auto_finds_a_device_that_works() -> None:
    device = devices.choose("auto")
    torch.zeros(1, device=device)
    assert devices.describe(device)


@pytest.mark.parametrize("name", ["cuda:99", "toaster"])
def test_a_device_that_is_not_there_is_refused_with_a_cure(name: str) -> None:
    with pytest.raises(ConfigError, match="choose 'auto' or 'cpu'"):
        devices.choose(name)


def test_the_cpu_runs_in_full_precision() -> None:
    with devices.fast_precision(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
