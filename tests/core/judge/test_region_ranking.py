"""In which order regions are looked at, and which threshold is proposed."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from core.judge.region_ranking import propose, rank_regions, typical_confidence
from core.types import Region


@dataclass(frozen=True)
class Found:
    """A finding of a square."""

    given: int = 0
    pseudo: int = 1
    log_odds: float = 2.0
    side: int = 10
    fold: int = 0
    row: int = 0

    @property
    def region(self) -> Region:
        return Region.of(np.ones((self.side, self.side), np.uint8))


CONFUSION = np.array([[900, 90, 10], [100, 900, 0], [10, 10, 980]])


@pytest.mark.parametrize(("more", "less"), [(Found(log_odds=3), Found(log_odds=2)), (Found(side=20), Found(side=10))])
def test_likelier_and_larger_regions_come_first(more: Found, less: Found) -> None:
    assert rank_regions([less, more], CONFUSION) == [1, 0]
    assert rank_regions([more, less], CONFUSION) == [0, 1]


def test_frequent_confusions_of_a_fold_rank_after_rare_ones() -> None:
    usual = [Found(pseudo=1, row=row) for row in range(9)]
    assert rank_regions([*usual, Found(pseudo=2, row=9)], CONFUSION)[0] == 9
    others = [replace(one, fold=1) for one in usual]  # the usual mix-up of another fold's network
    rest = [Found(given=2, pseudo=0, log_odds=0.1, row=row) for row in range(10, 18)]
    assert rank_regions([*others, Found(pseudo=1, row=9), *rest], CONFUSION)[0] == 9


def test_the_strongest_finding_of_a_frequent_pair_is_raised_most() -> None:
    usual = [Found(pseudo=1, row=row, log_odds=2 - row / 100) for row in range(50)]
    order = rank_regions([*usual, Found(pseudo=2, row=50, log_odds=1.5)], CONFUSION)
    assert order[:2] == [50, 0]


def test_equal_findings_keep_their_order() -> None:
    assert rank_regions([Found(), Found(), Found()], CONFUSION) == [0, 1, 2]
    assert rank_regions([], CONFUSION) == []


def test_renaming_classes_changes_no_order() -> None:
    rng = np.random.default_rng(0)
    findings = [
        Found(*rng.permutation(3)[:2].tolist(), log_odds=float(rng.uniform(0, 5)), side=int(rng.integers(5, 30)))
        for _ in range(40)
    ]
    name = rng.permutation(3)
    renamed = [Found(int(name[one.given]), int(name[one.pseudo]), one.log_odds, one.side) for one in findings]
    order = np.argsort(name)
    assert rank_regions(renamed, CONFUSION[np.ix_(order, order)]) == rank_regions(findings, CONFUSION)


def test_the_usual_confidence_matches_a_hand_made_example() -> None:
    usual = typical_confidence(np.array([2, 4, 0]), np.array([255, 4 * 51, 0]))
    np.testing.assert_allclose(usual, [0.5, 0.2, 1.0])


def test_the_threshold_is_the_lowest_with_enough_agreement() -> None:
    every, right = np.zeros(256, int), np.zeros(256, int)
    every[[150, 204, 250]], right[[150, 204, 250]] = 1000, [800, 997, 1000]
    assert propose(every, right) == {"threshold": 0.6, "agreement": pytest.approx(1997 / 2000), "basis": "agreement"}


def test_the_threshold_is_a_cautious_default_without_enough_agreement() -> None:
    every, right = np.full(256, 100), np.full(256, 90)
    assert propose(every, right) == {"threshold": 0.99, "agreement": pytest.approx(0.9), "basis": "default"}
    nothing = np.zeros(256, int)
    assert propose(nothing, nothing) == {"threshold": 0.99, "agreement": None, "basis": "default"}


def test_a_handful_of_confident_pixels_gives_no_proposal() -> None:
    every, right = np.zeros(256, int), np.zeros(256, int)
    every[[200, 255]], right[[200, 255]] = [10_000, 10], [9_000, 10]
    assert propose(every, right)["basis"] == "default"


def test_the_proposal_never_goes_below_one_half() -> None:
    every = np.full(256, 100)
    assert propose(every, every)["threshold"] == 0.5 + 0.01  # level 128 of 255, in hundredths
