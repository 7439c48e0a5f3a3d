import pytest

from core.learn.training import Recipe, cycle, halved
from core.types import RoundError


def test_the_rate_rises_once_then_falls_to_nothing() -> None:
    rates = [cycle(step / 100) for step in range(101)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert max(rates) == pytest.approx(1)
    assert rates[-1] == pytest.approx(0)


def test_halving_changes_the_batch_alone_and_ends_at_two() -> None:
    recipe = Recipe(epochs=3, batch_size=5, learning_rate=0.1, seed=4)
    assert halved(recipe) == Recipe(epochs=3, batch_size=2, learning_rate=0.1, seed=4)
    with pytest.raises(RoundError, match="smaller network or input size"):
        halved(halved(recipe))
