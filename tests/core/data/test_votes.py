from pathlib import Path

import numpy as np
import pytest

from core.data.votes import create_votes, forget_votes, read_votes
from core.types import RoundError

SIZES = np.array([[2, 3], [4, 1], [1, 5]], np.int32)
SHARED = np.array([0, 2])


def test_each_fold_keeps_its_own_and_only_of_what_all_predict(tmp_path: Path) -> None:
    for fold in range(2):
        written = create_votes(tmp_path, fold, SIZES, SHARED, 11)
        for row in SHARED.tolist():
            for array in written.of(row):
                array[:] = 10 * fold + row
        written.flush()
    create_votes(tmp_path, 1, SIZES, SHARED, 11)  # a fold that is run again finds what it wrote
    read = read_votes(tmp_path, 2, SIZES, SHARED)
    assert [one.predicted.tolist() for one in read] == [[0] * 6 + [2] * 5, [10] * 6 + [12] * 5]
    assert [one.of(2)[1].shape for one in read] == [(1, 5), (1, 5)]


def test_many_classes_need_two_bytes(tmp_path: Path) -> None:
    assert create_votes(tmp_path, 0, SIZES, SHARED, 300).predicted.dtype == np.uint16


def test_what_is_merged_is_gone_and_a_missing_fold_is_refused(tmp_path: Path) -> None:
    assert read_votes(tmp_path, 2, SIZES, SHARED) == []
    create_votes(tmp_path, 0, SIZES, SHARED, 11)
    with pytest.raises(RoundError, match="start the round again"):
        read_votes(tmp_path, 2, SIZES, SHARED)
    create_votes(tmp_path, 1, SIZES, SHARED, 11)
    with pytest.raises(RoundError, match="other images"):
        read_votes(tmp_path, 2, SIZES, np.array([0]))
    forget_votes(tmp_path)
    assert list(tmp_path.iterdir()) == []
    forget_votes(tmp_path)
