import json

import numpy as np
import pytest

from core.judge import confusions
from core.judge.confusions import as_json
from core.judge.mask_scoring import pixel_confusion
from core.judge.tallies import Tallies
from core.types import WIDE_IGNORE


def test_few_classes_are_kept_whole() -> None:
    confusion = np.arange(16).reshape(4, 4)
    assert as_json(confusion) == confusion.tolist()


def test_of_many_classes_the_sums_and_the_largest_pairs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confusions, "MOST_PAIRS", 3)
    confusion = np.diag(np.full(1000, 50))
    for given, predicted, count in ((1, 2, 9), (999, 0, 30), (5, 6, 4), (7, 8, 3)):
        confusion[given, predicted] = count
    kept = as_json(confusion)
    assert isinstance(kept, dict)
    assert kept["pairs"] == [[999, 0, 30], [1, 2, 9], [5, 6, 4]]
    assert (kept["left_out"], kept["given"][999], kept["predicted"][0], kept["right"][7]) == (3, 80, 80, 50)
    assert len(json.dumps(kept)) < 20_000


def test_pairs_of_many_classes_are_counted_as_those_of_few() -> None:
    random = np.random.default_rng(0)
    given, predicted = (random.integers(0, 60, (40, 50)).astype(np.uint16) for _ in range(2))
    given[:3] = WIDE_IGNORE
    many = pixel_confusion(given, predicted, 1000)
    np.testing.assert_array_equal(many[:60, :60], pixel_confusion(given, predicted, 60))
    assert many.sum() == 37 * 50


def test_a_thread_counts_in_one_tally() -> None:
    tallies = Tallies(3, 2)
    first = tallies.mine()
    assert tallies.mine() is first
    first.wobble += 2
    total = tallies.total()
    assert (total.wobble, total.confusion.shape) == (2, (3, 3))
