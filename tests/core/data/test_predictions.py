from pathlib import Path

import numpy as np
import pytest

from core.data.predictions import CONFIDENCE, create_predictions, offsets, read_predictions
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


def test_files_that_are_there_are_kept_and_start_without_a_fold(tmp_path: Path) -> None:
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
