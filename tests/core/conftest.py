"""Fixtures of the tests of training."""

import pytest

from core.learn import crossfold


@pytest.fixture(autouse=True)
def checkpoint_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of tests are so short that else hardly any would be affordable."""
    monkeypatch.setattr(crossfold, "CHECKPOINT_SHARE", 1.0)
