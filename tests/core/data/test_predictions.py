from pathlib import Path

import numpy as np
import pytest

from core.data.predictions import (
    CONFIDENCE,
    create_predictions,
    create_votes,
    forget_votes,
    offsets,
    read_predictions,
    read_votes,
)
from core.types import RoundError

SIZES = np.array([[2, 3], [4, 1], [1, 5]], np.int32)


def test_each_sample_has_its_own_pixels(tmp_path: Path) -> None:
    written = create_predictions(tmp_path, SIZES, 11)
    for row in range(3):
        for array in written.of(row):
            array[:] = row + 1
    written.fold[:] = [1, 0, 1]
    written.flush()
    read = read_predictions(tmp_path, SIZES)
    assert [read.of(row)[0].shape for row in range(3)] == [(2, 3), (4, 1), (1, 5)]
    for flat in (read.predicted, read.confidence, read.given_probability):
        np.testing.assert_array_equal(flat, [1] * 6 + [2] * 4 + [3] * 5)
    assert read.fold.tolist() == [1, 0, 1]
    assert offsets(SIZES).tolist() == [0, 6, 10, 15]


def test_existing_files_are_kept_and_new_ones_have_no_fold(tmp_path: Path) -> None:
    first = create_predictions(tmp_path, SIZES, 300)
    assert first.predicted.dtype == np.uint16
    assert (first.fold == -1).all()
    first.of(1)[1][:] = 9
    first.flush()
    assert (create_predictions(tmp_path, SIZES, 300).of(1)[1] == 9).all()


def test_missing_files_and_files_of_other_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RoundError, match="start the round again"):
        read_predictions(tmp_path, SIZES)
    create_predictions(tmp_path, SIZES, 3)
    with pytest.raises(RoundError, match="15 pixels, the images have 30"):
        read_predictions(tmp_path, SIZES * [1, 2])
    (tmp_path / CONFIDENCE).write_bytes(b"no array")
    with pytest.raises(RoundError):
        read_predictions(tmp_path, SIZES)


SHARED = np.array([0, 2])


def test_each_fold_keeps_its_own_predictions_of_the_shared_images(tmp_path: Path) -> None:
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


def test_merged_votes_are_removed_and_a_missing_fold_is_refused(tmp_path: Path) -> None:
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
