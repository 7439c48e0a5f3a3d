import torch
from torch import nn

from core.learn.models.ensemble import NetworkEnsemble


class Fixed(nn.Module):
    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.logits


def test_ensemble_probabilities_are_the_mean_of_the_networks() -> None:
    own = [torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    seen = NetworkEnsemble([Fixed(logits) for logits in own])(torch.zeros(5, 1, 2, 2))
    wanted = torch.stack([logits.softmax(1) for logits in own]).mean(0)
    torch.testing.assert_close(seen.exp(), wanted)


def test_an_ensemble_of_one_equals_its_network() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(NetworkEnsemble([Fixed(logits)])(torch.zeros(4, 1)), logits.log_softmax(1))
