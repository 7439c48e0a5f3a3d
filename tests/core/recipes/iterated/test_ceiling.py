"""The ceiling that an earlier round in folds sets, by whether it had learnt the labels that are hidden now."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.config import RoundConfig
from core.data.masks.store import MaskStore
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot, masks_of
from core.judge.judgement import PROBABILITIES
from core.recipes.data import RecipeData, given_mask
from core.recipes.iterated.ceiling import Ceiling, known_ceiling, read_ceiling, write_ceiling
from core.rounds import run_mask_round
from core.types import IGNORE, NO_LABEL
from tests.core.scenes import drawn

COUNT = 40


def snapshot(labels: np.ndarray) -> Snapshot:
    names = [f"{row}.png" for row in range(len(labels))]
    return Snapshot(np.arange(len(labels)) + 1, names, labels.astype(np.int32), [""] * len(labels), names, ["a", "b"])


def data_of(shown: Snapshot) -> RecipeData:
    """Ten labelled images, ten to validate by, the rest unlabelled."""
    return RecipeData(
        snapshot=shown, labelled=np.arange(10), unlabelled=np.arange(20, COUNT), validation=np.arange(10, 20)
    )


def round_in(folder: Path, labels: np.ndarray) -> None:
    """A finished round that was right about eight of the ten validation images."""
    folder.mkdir()
    snapshot(labels).save(folder)
    said = np.arange(COUNT) % 2
    said[[11, 14]] = 1 - said[[11, 14]]
    np.save(folder / PROBABILITIES, np.eye(2, dtype=np.float16)[said])


def test_only_a_round_trained_on_nearly_all_labels_sets_the_ceiling(tmp_path: Path) -> None:
    truth = np.arange(COUNT) % 2
    now = data_of(snapshot(np.where(np.arange(COUNT) < 20, truth, NO_LABEL)))
    round_in(tmp_path / "all", truth)
    assert known_ceiling(tmp_path / "all", now, tmp_path) == 0.8
    round_in(tmp_path / "nearly", np.where(np.arange(COUNT) == 39, NO_LABEL, truth))
    assert known_ceiling(tmp_path / "nearly", now, tmp_path) == 0.8
    round_in(tmp_path / "few", now.snapshot.labels)
    assert known_ceiling(tmp_path / "few", now, tmp_path) is None
    round_in(tmp_path / "unjudged", np.where(np.arange(COUNT) == 12, NO_LABEL, truth))
    assert known_ceiling(tmp_path / "unjudged", now, tmp_path) is None
    later = replace(now.snapshot, sample_ids=now.snapshot.sample_ids + 5)  # five images that were not there then
    assert known_ceiling(tmp_path / "all", data_of(later), tmp_path) is None
    assert known_ceiling(tmp_path / "gone", now, tmp_path) is None


@pytest.mark.usefixtures("one_thread")
def test_the_ceiling_of_masks_is_the_out_of_fold_mean_iou(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 9)
    network = RoundConfig(folds=2, model="small_unet", input_size=32, epochs=1, batch_size=4, device="cpu")
    folder = tmp_path / "round"
    run_mask_round(scenes.snapshot, network, folder, image_cache=tmp_path, masks=scenes.store, report=lambda _: None)
    data = RecipeData(
        snapshot=scenes.snapshot, labelled=np.arange(3), unlabelled=np.arange(6, 9), validation=np.arange(3, 6)
    )
    value = known_ceiling(folder, data, scenes.store)
    predicted = read_predictions(folder, masks_of(scenes.snapshot).sizes)
    pairs = [(given_mask(scenes.snapshot, MaskStore(scenes.store), row), predicted.of(row)[0]) for row in (3, 4, 5)]
    given, said = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in range(2))
    known = given != IGNORE
    ious = [
        (known & (given == label) & (said == label)).sum() / (known & ((given == label) | (said == label))).sum()
        for label in np.unique([*given[known], *said[known]])
    ]
    assert value == pytest.approx(np.mean(ious))


def test_a_written_ceiling_reads_back(tmp_path: Path) -> None:
    assert read_ceiling(tmp_path) is None
    own = Ceiling(value=0.97, source="round 1")
    write_ceiling(tmp_path, own)
    assert read_ceiling(tmp_path) == own
