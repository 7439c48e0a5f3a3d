"""Folds trained by two processes on the CPU, of classes and of masks: whole, reproducible, resumed after a kill."""

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core import ranked_folds
from core.config import ProbabilityMethod, RoundConfig
from core.data.networks import kept_networks
from core.data.predictions import fold_file, read_predictions
from core.ranked_folds import train_by_ranks
from core.rounds import FoldSummary, checkpoint_path, fold_split, run_fold, versions
from core.types import KilledError, Progress, RoundError
from tests.core.scenes import drawn as drawn_scenes
from tests.core.test_rounds import drawn

CONFIG = RoundConfig(folds=2, input_size=16, grey=True, epochs=30, batch_size=8, seed=3, device="cpu")
MASKS = RoundConfig(folds=2, model="small_unet", input_size=64, epochs=2, batch_size=2, seed=3, device="cpu")
CHANCE = 1 / 3


def by_two(
    folder: Path,
    config: RoundConfig = CONFIG,
    *,
    masks: Path | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> FoldSummary:
    cache = folder.parent / "cache"
    asked = {"report": report, "should_stop": lambda: False}
    train_by_ranks(folder, config, 0, 2, image_cache=cache, masks=masks, **asked)
    return run_fold(folder, config, 0, image_cache=cache, masks=masks, **asked)


@pytest.mark.slow
def test_a_fold_by_two_processes_is_complete_and_reproducible_even_after_a_kill(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images", wrong=0.0)
    heard: list[Progress] = []
    for name in ("a", "b"):
        snapshot.save(tmp_path / name)
    summary = by_two(tmp_path / "a", report=heard.append)

    def kill_one(progress: Progress) -> None:
        if progress.epoch == 3 and progress.stage == "training":
            multiprocessing.active_children()[-1].kill()

    with pytest.raises(KilledError):
        by_two(tmp_path / "b", report=kill_one)
    assert checkpoint_path(tmp_path / "b", 0).exists()
    assert not fold_file(tmp_path / "b", 0).exists()
    again = by_two(tmp_path / "b")

    assert again.model_hash == summary.model_hash is not None
    assert again.accuracy == summary.accuracy > CHANCE + 0.2
    with np.load(fold_file(tmp_path / "a", 0)) as first, np.load(fold_file(tmp_path / "b", 0)) as second:
        assert sorted(first["rows"].tolist()) == sorted(fold_split(snapshot, CONFIG, 0).held_rows.tolist())
        assert len(first["logits"]) == len(first["rows"]) == 30
        np.testing.assert_array_equal(first["logits"], second["logits"])
    assert {one.message for one in heard if one.stage == "starting"} == {"2 processes"}
    assert max(one.epoch for one in heard) == CONFIG.epochs
    assert not checkpoint_path(tmp_path / "a", 0).exists()
    assert not multiprocessing.active_children()
    tensors = load_file(tmp_path / "a" / "fold_0.safetensors")
    norms = [name for name in tensors if name.endswith("running_var")]
    assert norms
    assert all((tensors[name] != 1).all() for name in norms)  # one step an epoch, and rank 0 alone counts
    assert {int(tensors[name]) for name in tensors if name.endswith("num_batches_tracked")} == {CONFIG.epochs}


@pytest.mark.slow
def test_two_processes_can_train_on_masks(tmp_path: Path) -> None:
    scenes = drawn_scenes(tmp_path / "scenes", 12)
    folder = tmp_path / "round"
    scenes.snapshot.save(folder)
    summary = by_two(folder, MASKS, masks=scenes.store)
    held = fold_split(scenes.snapshot, MASKS, 0).held_rows
    predictions = read_predictions(folder, np.asarray(scenes.snapshot.masks.sizes))
    assert summary.count == len(held) == 6
    assert np.flatnonzero(predictions.fold == 0).tolist() == sorted(held.tolist())
    assert kept_networks(folder)[0].hash == summary.model_hash


def test_a_batch_too_large_for_memory_is_halved_until_it_fits_or_is_too_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def launch(count: int, _function: object, arguments: tuple[Any, ...], **_: object) -> None:
        assert count == 2
        assert arguments[-1] == (str(tmp_path),)  # the processes may read weights where this one may
        tried.append(arguments[0].batch_size)
        if tried[-1] > fits:
            raise torch.OutOfMemoryError

    monkeypatch.setattr(ranked_folds, "launch", launch)
    monkeypatch.setattr("core.config.weight_files._ROOTS", [str(tmp_path)])
    heard: list[Progress] = []
    asked = {"image_cache": tmp_path, "report": heard.append, "should_stop": lambda: False}
    fits = 2
    train_by_ranks(tmp_path, CONFIG, 0, 2, **asked)
    assert tried == [8, 4, 2]
    assert heard[-1].message == "out of memory: batch halved to 2"
    fits = 0
    with pytest.raises(RoundError, match="not even two images"):
        train_by_ranks(tmp_path, CONFIG, 0, 2, **asked)
    tried.clear()
    train_by_ranks(tmp_path, replace(CONFIG, method=ProbabilityMethod.PROBE), 0, 2, **asked)
    assert not tried


def test_the_versions_of_a_round_name_the_number_of_training_processes() -> None:
    alone = versions("cpu", CONFIG)["device"]
    assert versions("cpu", CONFIG, ranks=1)["device"] == alone
    assert versions("cpu", CONFIG, ranks=2)["device"] == f"2 x {alone}"
    assert versions("cpu", replace(CONFIG, method=ProbabilityMethod.PROBE), ranks=2)["device"] == alone
