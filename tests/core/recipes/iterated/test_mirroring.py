"""Choice of mirroring, for two drawn kinds of images: labels that hold for mirror images, and labels that do not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import IteratedSettings, RoundConfig
from core.data.snapshot import Snapshot
from core.recipes.data import RecipeData
from core.recipes.iterated.mirroring import LEAST, shows_loss
from core.recipes.iterated.proposals import run_and_propose
from core.recipes.iterated.recipe import IteratedResult
from core.types import ConfigError

NETWORK = RoundConfig(model="small_cnn", input_size=16, epochs=6, batch_size=8, device="cpu")
SETTINGS = IteratedSettings(iterations=1, least_confidence=0.0, labelled_share=0.5)
UPRIGHT = (np.s_[:8], np.s_[8:])  # bright above or below: the same in a mirror
SIDEWAYS = (np.s_[:, :8], np.s_[:, 8:])  # on the left or on the right: the other one

pytestmark = pytest.mark.usefixtures("one_thread")


def parts(folder: Path, bright: tuple[object, object], validation: int = 24) -> RecipeData:
    folder.mkdir(parents=True)
    rng, count = np.random.default_rng(0), 80
    labels = np.arange(count) % 2
    paths = []
    for row, label in enumerate(labels.tolist()):
        pixels = rng.integers(60, 140, (16, 16, 3))
        pixels[bright[label]] += 90
        paths.append(str(folder / f"{row}.png"))
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    hashes = [f"{folder.name}-{row}" for row in range(count)]
    snapshot = Snapshot(np.arange(count) + 1, paths, labels.astype(np.int32), [""] * count, hashes, ["one", "other"])
    return RecipeData(
        snapshot=snapshot,
        labelled=np.arange(20),
        unlabelled=np.arange(20, 40),
        validation=np.arange(40, 40 + validation),
        test=np.arange(64, 80),
    )


def run(data: RecipeData, folder: Path, settings: IteratedSettings = SETTINGS) -> IteratedResult:
    cache = folder.parent / "cache"
    return run_and_propose(
        data, NETWORK, settings, folder, to_predict=data.unlabelled, image_cache=cache, report=lambda _: None
    )


def test_images_are_mirrored_if_their_labels_survive_it(tmp_path: Path) -> None:
    data = parts(tmp_path / "pictures", UPRIGHT)
    result = run(data, tmp_path / "run")
    assert result.mirror is not None
    assert result.mirror["mirror"]
    assert result.mirror["right"] == result.mirror["right_mirrored"] == 1
    assert (tmp_path / "run" / "mirrored.json").exists()
    alone = [json.loads((tmp_path / "run" / f"{name}.json").read_text())["score"] for name in ("baseline", "mirrored")]
    assert result.baseline.value == max(score["value"] for score in alone)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("*.safetensors")}
    assert run(data, tmp_path / "run") == result  # a finished run is only read
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_images_are_not_mirrored_if_that_changes_their_labels(tmp_path: Path) -> None:
    data = parts(tmp_path / "pictures", SIDEWAYS)
    result = run(data, tmp_path / "run")
    assert result.mirror is not None
    assert not result.mirror["mirror"]
    assert result.mirror["right_mirrored"] < 0.5 < result.mirror["right"]
    assert result.mirror["lost_by_learning"] is None
    assert not (tmp_path / "run" / "mirrored.json").exists()
    off = run(data, tmp_path / "off", replace(SETTINGS, mirror="off"))
    assert off.mirror is None
    student = "student_1.safetensors"
    assert (tmp_path / "run" / student).read_bytes() == (tmp_path / "off" / student).read_bytes()
    on = run(data, tmp_path / "on", replace(SETTINGS, mirror="on"))
    assert on.baseline.value is not None
    assert on.baseline.value < result.baseline.value  # half of what it learnt says the other label


def test_too_few_validation_images_turn_mirroring_off(tmp_path: Path) -> None:
    result = run(parts(tmp_path / "pictures", UPRIGHT, validation=LEAST - 1), tmp_path / "run")
    assert result.mirror is not None
    assert not result.mirror["mirror"]
    assert result.mirror["right"] is None


def test_a_loss_counts_above_two_standard_errors() -> None:
    rng = np.random.default_rng(0)
    assert shows_loss(rng.normal(0.5, 1, 100))
    assert not shows_loss(rng.normal(0.1, 1, 25))
    assert not shows_loss(np.zeros(20))
    assert not shows_loss(-np.abs(rng.normal(size=20)))


def test_an_unknown_mirror_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="mirror is 'maybe', must be 'on', 'off' or 'decide'"):
        IteratedSettings(mirror="maybe")
