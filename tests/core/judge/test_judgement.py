"""Judging in blocks of rows: nothing moves, and no more than a block of probabilities exists at once."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from core.data import likeliest
from core.judge import calibration, row_blocks
from core.judge.fold_predictions import NetworkLogits
from core.judge.judgement import GIVEN, PROBABILITIES, judge_probabilities, judge_round
from core.types import IntArray
from tools.fixtures.judging import DrawnRound, judge_whole, write_round

COLUMNS = ("fold", "pseudo", "confidence", "self_confidence", "margin", "top", "top_probs")
ROUNDS = st.builds(
    DrawnRound,
    count=st.integers(40, 300),
    classes=st.integers(2, 40),
    folds=st.integers(2, 4),
    members=st.integers(0, 2),
    unlabelled=st.sampled_from([0.0, 0.4]),
    signal=st.sampled_from([0.0, 2.0, 20.0]),
)


@given(ROUNDS, st.integers(1, 5000), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_judging_in_blocks_equals_judging_all_probabilities_at_once(drawn: DrawnRound, values: int, seed: int) -> None:
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        write_round(folder, drawn, seed)
        whole = judge_whole(folder, drawn.config)
        patch.setattr(row_blocks, "_VALUES", values)
        judged = judge_round(folder, drawn.config)
        for column in COLUMNS:
            np.testing.assert_array_equal(getattr(judged, column), whole[column], err_msg=column)
        np.testing.assert_array_equal(np.load(folder / PROBABILITIES), whole["probabilities"])


@pytest.mark.parametrize("members", [0, 1])
def test_figures_do_not_depend_on_the_size_of_blocks(
    tmp_path: Path, members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = DrawnRound(500, 12, members=members, unlabelled=0.2)
    write_round(tmp_path, drawn)
    once = judge_round(tmp_path, drawn.config)
    for values in (1, 100, 777, 5000):
        monkeypatch.setattr(row_blocks, "_VALUES", values)
        again = judge_round(tmp_path, drawn.config)
        np.testing.assert_array_equal(again.rank, once.rank)
        calibrations = again.metrics.pop("calibration"), once.metrics["calibration"]
        assert again.metrics == {name: value for name, value in once.metrics.items() if name != "calibration"}
        for one, other in zip(*calibrations, strict=True):  # sums over classes, which may be added in other pieces
            assert one == pytest.approx(other, rel=1e-9)


def test_given_probabilities_are_judged_in_blocks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = DrawnRound(300, 7, unlabelled=0.3)
    write_round(tmp_path, drawn)
    probs = np.random.default_rng(1).dirichlet(np.ones(7), 300).astype(np.float32)
    np.save(tmp_path / GIVEN, probs)
    once = judge_probabilities(tmp_path)
    monkeypatch.setattr(row_blocks, "_VALUES", 50)
    again = judge_probabilities(tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / PROBABILITIES), probs.astype(np.float16))
    for column in (*COLUMNS, "rank"):
        np.testing.assert_array_equal(getattr(again, column), getattr(once, column), err_msg=column)


def test_at_most_a_block_or_the_rows_of_a_fit_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = NetworkLogits.__getitem__

    def noted(self: NetworkLogits, rows: IntArray) -> Any:
        asked.append(len(rows))
        return read(self, rows)

    drawn = DrawnRound(4000, 5)
    write_round(tmp_path, drawn)
    monkeypatch.setattr(NetworkLogits, "__getitem__", noted)
    monkeypatch.setattr(row_blocks, "_VALUES", 500)
    monkeypatch.setattr(calibration, "_FIT_ITEMS", 100)
    monkeypatch.setattr("core.judge.label_noise._FIT_ITEMS", 150)
    monkeypatch.setattr("core.judge.label_noise._FIT_VALUES", 0)
    judge_round(tmp_path, drawn.config)
    assert sum(asked) > drawn.count
    assert max(asked) <= 200


class Moved(NamedTuple):
    """Differences between a round's results and those of full vectors."""

    other_suggestions: float  # share of samples
    other_kinds: float
    confidence: float  # mean difference
    self_confidence: float
    worst: float  # largest difference of the latter
    errors: float  # of the estimated number of wrong labels, relative


def moved(folder: Path, drawn: DrawnRound, patch: pytest.MonkeyPatch) -> Moved:
    whole, short = folder / "whole", folder / "short"
    write_round(whole, drawn)
    exact = judge_round(whole, drawn.config)
    patch.setattr(likeliest, "_MOST_WHOLE", 0)
    write_round(short, drawn)
    found = judge_round(short, drawn.config)
    assert not (short / PROBABILITIES).exists()
    errors = [one.metrics["estimated_error_rate"] for one in (found, exact)]
    return Moved(
        float((found.pseudo != exact.pseudo).mean()),
        float((found.kind != exact.kind).mean()),
        float(np.abs(found.confidence - exact.confidence).mean()),
        float(np.abs(found.self_confidence - exact.self_confidence).mean()),
        float(np.abs(found.self_confidence - exact.self_confidence).max()),
        abs(errors[0] - errors[1]) / max(errors[1], 1e-9),
    )


@pytest.mark.parametrize(
    ("drawn", "most"),
    [
        (DrawnRound(3000, 50, signal=20.0), Moved(0, 0, 0.005, 0.01, 0.1, 0.03)),
        (DrawnRound(3000, 50, signal=6.0), Moved(0, 0, 0.02, 0.03, 0.1, 0.1)),
        (DrawnRound(3000, 50, signal=6.0, members=1), Moved(0.03, 0.01, 0.02, 0.02, 0.1, 0.05)),
        (DrawnRound(3000, 50, signal=0.0), Moved(0, 0, 0.03, 0.01, 0.05, 0.01)),
    ],
    ids=["sure", "peaked", "mixed", "random"],
)
def test_five_classes_give_nearly_the_results_of_all_for_very_many_samples(
    tmp_path: Path, drawn: DrawnRound, most: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = moved(tmp_path, drawn, monkeypatch)
    assert all(one <= limit for one, limit in zip(found, most, strict=True)), found
