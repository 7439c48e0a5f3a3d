"""Times of proposed rounds: measured by a real process, kept, and never in the way."""

import json
import logging
import time
from pathlib import Path

import pytest

from app.services import timings
from app.services.timings import about, estimate_times, known_times
from app.services.workspace import Workspace
from core.config import RoundConfig
from core.types import ConfigError
from db.models import SampleRow
from tests.app.small import add_dataset

CONFIG = RoundConfig(input_size=8, grey=True, epochs=1, batch_size=4, folds=2)
LONGEST = 120.0


def add_digits(workspace: Workspace, folder: Path) -> int:
    """Store a dataset of twelve real digits."""
    dataset_id = add_dataset(workspace, [0, 1] * 6)
    with workspace.database.write() as session:
        for row, path in zip(session.query(SampleRow).all(), sorted(folder.rglob("*.png")), strict=False):
            row.path = str(path)
    return dataset_id


def waited(workspace: Workspace, dataset_id: int) -> timings.Estimates:
    """Return what is known once no trial runs any more."""
    began = time.monotonic()
    while (known := known_times(workspace, dataset_id, [CONFIG])).pending:
        assert time.monotonic() - began < LONGEST
        time.sleep(0.1)
    return known


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "about 5 s"), (38, "about 40 s"), (58, "about 1 min"), (130, "about 2 min"), (1490, "about 25 min"),
     (5000, "about 85 min"), (10_000, "about 3 h")],
)  # fmt: skip
def test_estimates_are_said_as_coarsely_as_they_are_known(seconds: float, text: str) -> None:
    assert about(seconds) == text


def test_a_trial_runs_in_the_background_and_its_answer_is_kept(workspace: Workspace, digits_folder: Path) -> None:
    dataset_id = add_digits(workspace, digits_folder)
    assert known_times(workspace, dataset_id, [CONFIG]).pending
    known = waited(workspace, dataset_id)
    assert known.seconds[0] is not None
    assert known.seconds == estimate_times(workspace, dataset_id, [CONFIG])  # read, not measured again
    (kept,) = (workspace.files / "timings").iterdir()
    assert json.loads(kept.read_text())["seconds"] == list(known.seconds)


def test_a_trial_that_fails_is_logged_and_shows_nothing(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    dataset_id = add_dataset(workspace, [0, 1] * 6)  # whose images do not exist
    with caplog.at_level(logging.WARNING, "outfold.timings"):
        known = waited(workspace, dataset_id)
    assert known.seconds == (None,)
    assert "can no longer be read" in caplog.text
    with pytest.raises(ConfigError, match="can no longer be read"):
        estimate_times(workspace, dataset_id, [CONFIG])


def test_a_damaged_answer_is_measured_anew(workspace: Workspace, digits_folder: Path) -> None:
    dataset_id = add_digits(workspace, digits_folder)
    first = estimate_times(workspace, dataset_id, [CONFIG])
    (kept,) = (workspace.files / "timings").iterdir()
    kept.write_text("{")
    assert estimate_times(workspace, dataset_id, [CONFIG])[0] > 0
    assert first[0] > 0
