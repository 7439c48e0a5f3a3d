import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import hypergeom

from core.judge.error_total import Stratum, wrong_labels


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 60), st.integers(0, 400), st.data())
def test_the_bounds_of_one_part_equal_clopper_pearson(judged: int, others: int, data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, judged))
    size = judged + others
    found = wrong_labels([Stratum(size, judged, wrong)], level=0.95)
    possible = np.arange(wrong, size - (judged - wrong) + 1)
    at_most = hypergeom.cdf(wrong, size, possible, judged) > 0.025
    at_least = hypergeom.sf(wrong - 1, size, possible, judged) > 0.025
    tolerance = 1 + 0.02 * size
    assert found.high == pytest.approx(possible[at_most].max(), abs=tolerance)
    assert found.low == pytest.approx(possible[at_least].min(), abs=tolerance)
    assert found.low <= found.estimate <= found.high


@pytest.mark.parametrize(("errors_found", "errors_agreeing"), [(900, 0), (900, 30), (40, 300), (500, 2000)])
def test_the_interval_of_all_errors_contains_the_truth(errors_found: int, errors_agreeing: int) -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(200):
        parts = [
            Stratum(size, 60, int(rng.hypergeometric(errors, size - errors, 60)))
            for size, errors in ((1000, errors_found), (30_000, errors_agreeing))
        ]
        found = wrong_labels(parts)
        held.append(found.low <= errors_found + errors_agreeing <= found.high)
    assert np.mean(held) >= 0.93


def test_a_part_without_a_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="judge a random sample"):
        wrong_labels([Stratum(100, 0, 0)])
