import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from core.learn.probe import _DECAY, fitted_regression
from core.types import RoundCancelledError


def drawn() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    centres = torch.randn(3, 5, generator=generator)
    return centres[labels] + torch.randn(300, 5, generator=generator), labels


def test_the_regression_is_scikit_learns() -> None:
    features, labels = drawn()
    ours = fitted_regression(features, labels, 3, lambda: False)
    theirs = LogisticRegression(C=1 / (_DECAY * len(labels)), max_iter=1000).fit(features.numpy(), labels.numpy())
    expected = theirs.predict_proba(features.numpy())
    np.testing.assert_allclose(ours(features).softmax(dim=1).detach().numpy(), expected, atol=0.01)


def test_it_stops_when_told() -> None:
    with pytest.raises(RoundCancelledError):
        fitted_regression(*drawn(), 3, lambda: True)
