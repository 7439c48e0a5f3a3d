"""The method's promises for masks, end to end on drawn scenes, without database or web."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.config import ProbabilityMethod, RoundConfig, Weights
from core.data.masks.store import MaskStore
from core.data.networks import find_network, kept_networks
from core.data.predictions import (
    CONFIDENCE,
    FOLD,
    GIVEN_PROBABILITY,
    PREDICTED,
    fold_file,
    read_predictions,
    read_votes,
)
from core.data.snapshot import SnapshotMasks
from core.judge.mask_judgement import judge_masks, merge_votes as votes_merged
from core.learn import training
from core.learn.kept_networks import load_network
from core.learn.models.segmenter import build_segmenter
from core.rounds import FoldSummary, run_fold, run_mask_round
from core.tasks import SEGMENTATION, TaskDefinition
from core.types import EVERY_FOLD, NO_LABEL, ConfigError, FindingKind, Progress, RoundCancelledError, RoundError
from tests.core.scenes import Scenes, drawn

CONFIG = RoundConfig(folds=2, model="small_unet", input_size=64, epochs=8, batch_size=2, seed=3, device="cpu")
PROBE = replace(
    CONFIG, method=ProbabilityMethod.PROBE, model="deeplabv3plus-test_efficientnet", batch_size=4, scales=(1.0, 2.0)
)
FILES = (PREDICTED, CONFIDENCE, GIVEN_PROBABILITY, FOLD)


pytestmark = pytest.mark.usefixtures("one_thread")


def one_fold(
    scenes: Scenes,
    folder: Path,
    config: RoundConfig,
    fold: int = 0,
    *,
    task: TaskDefinition | None = None,
    **changes: Any,
) -> FoldSummary:
    asked: dict[str, Callable[..., Any]] = {"report": lambda _: None, "should_stop": lambda: False} | changes
    cache = scenes.store.parent / "cache"
    return run_fold(folder, config, fold, image_cache=cache, masks=scenes.store, task=task, **asked)


def all_folds(
    scenes: Scenes, folder: Path, config: RoundConfig = CONFIG, *, task: TaskDefinition | None = None
) -> None:
    scenes.snapshot.save(folder)
    for fold in range(config.folds):
        one_fold(scenes, folder, config, fold, task=task)


def files_of(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


@pytest.mark.slow
def test_swapped_objects_rank_first(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes")
    config = replace(CONFIG, epochs=16, min_region=30)
    cache = tmp_path / "cache"
    judged = run_mask_round(
        scenes.snapshot, config, tmp_path / "round", image_cache=cache, masks=scenes.store, report=lambda _: None
    )
    predictions = read_predictions(tmp_path / "round", np.asarray(scenes.snapshot.masks.sizes))
    right = [(predictions.of(row)[0] == true)[true != 255].mean() for row, true in enumerate(scenes.true)]
    assert np.mean(right) > 0.95
    first = judged.findings[: len(scenes.swapped)]
    assert sum(one.row in scenes.swapped and (one.given, one.pseudo) == (3, 2) for one in first) >= 3  # of 4
    assert judged.metrics["miou"] > 0.7


def test_every_sample_is_predicted_exactly_once_at_its_own_size(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 12)
    config = replace(CONFIG, folds=3, epochs=1, input_size=40)
    all_folds(scenes, tmp_path / "round", config)
    rows = [np.load(fold_file(tmp_path / "round", fold))["rows"] for fold in range(3)]
    assert sorted(np.concatenate(rows).tolist()) == list(range(12))
    sizes = np.asarray(scenes.snapshot.masks.sizes)
    predictions = read_predictions(tmp_path / "round", sizes)
    for fold, held in enumerate(rows):
        assert (predictions.fold[held] == fold).all()
    for row, true in enumerate(scenes.true):
        predicted, confidence, given_probability = predictions.of(row)
        assert predicted.shape == true.shape
        assert predicted.max() < 4
        assert confidence.min() >= 255 // 4 - 1  # the likeliest of four
        assert (given_probability[true == 255] == 255).all()
        agreed = (predicted == true) & (true != 255) if row not in scenes.swapped else np.zeros(true.shape, bool)
        np.testing.assert_array_equal(given_probability[agreed], confidence[agreed])
        assert (given_probability <= np.where(true == 255, 255, confidence)).all()


def test_a_round_is_reproduced_by_its_config_snapshot_and_seed(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 10)
    config = replace(CONFIG, epochs=2)
    for name in ("a", "b"):
        all_folds(scenes, tmp_path / name, config)
    all_folds(scenes, tmp_path / "c", replace(config, seed=4))
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert files_of(tmp_path / "a") != files_of(tmp_path / "c")


def test_a_round_of_probes_is_reproduced_and_keeps_its_networks(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 20)
    config = replace(PROBE, min_region=30)
    for name in ("a", "b"):
        all_folds(scenes, tmp_path / name, config)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    kept, again = (kept_networks(tmp_path / name) for name in ("a", "b"))
    assert [one.name for one in kept] == ["backbone", "fold_0", "fold_1"]
    assert [one.hash for one in kept] == [one.hash for one in again]
    judged = judge_masks(tmp_path / "a", config, MaskStore(scenes.store))
    assert judged.metrics["miou"] > 0.5


def test_a_resumed_fold_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 10)
    config = replace(CONFIG, epochs=3)
    all_folds(scenes, tmp_path / "straight", config)
    scenes.snapshot.save(tmp_path / "resumed")

    def killed(progress: Progress) -> None:
        if progress.epoch == 2 and progress.loss is not None:
            raise KeyboardInterrupt

    for fold in range(2):
        with pytest.raises(KeyboardInterrupt):
            one_fold(scenes, tmp_path / "resumed", config, fold, report=killed)
        one_fold(scenes, tmp_path / "resumed", config, fold)
    assert files_of(tmp_path / "resumed") == files_of(tmp_path / "straight")
    fold_file(tmp_path / "resumed", 1).unlink()
    one_fold(scenes, tmp_path / "resumed", config, 1)
    assert files_of(tmp_path / "resumed") == files_of(tmp_path / "straight")
    kept, again = (kept_networks(tmp_path / name) for name in ("straight", "resumed"))
    assert [one.hash for one in kept] == [one.hash for one in again]
    assert not list((tmp_path / "resumed").glob("*.checkpoint"))


class Memory(nn.Module):
    """A network that is sure of class 3 wherever it was shown the image while training, and of class 0 elsewhere."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.known: set[bytes] = set()
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        keys = [image.contiguous().numpy().tobytes() for image in images.detach()]
        if self.training:
            self.known |= set(keys)
        logits = torch.zeros(len(images), self.classes, *images.shape[2:])
        logits[:, 0] = 1
        for place, key in enumerate(keys):
            logits[place, 3] = 2.0 * (key in self.known)
        return logits * self.scale


def memorising() -> TaskDefinition:
    return replace(
        SEGMENTATION,
        build_network=lambda _config, _channels, classes: Memory(classes),
        augment=lambda _config: lambda images, targets, _: (images, targets),
    )


@pytest.mark.parametrize("together", ["nothing", "group", "content", "split"])
@pytest.mark.parametrize("labelled", ["all", "one of two"])
def test_no_model_scores_an_image_it_was_trained_on(tmp_path: Path, together: str, labelled: str) -> None:
    scenes = drawn(tmp_path / "scenes", 20)
    twins = [f"pair {row // 2}" for row in range(20)]
    if together != "nothing":  # each image twice: told apart only by group or content
        original = [row // 2 * 2 for row in range(20)]
        masks = scenes.snapshot.masks
        twice = SnapshotMasks([masks.labels[row] for row in original], masks.settled, np.asarray(masks.sizes)[original])
        paths = [scenes.snapshot.paths[row] for row in original]
        scenes = replace(scenes, snapshot=replace(scenes.snapshot, paths=paths, masks=twice))
    if together == "group":
        scenes = replace(scenes, snapshot=replace(scenes.snapshot, groups=twins))
    if together == "content":
        scenes = replace(scenes, snapshot=replace(scenes.snapshot, content_hashes=twins))
    if labelled != "all":
        scenes = without_masks(scenes, range(0, 20, 2))
    all_folds(scenes, tmp_path / "round", replace(CONFIG, folds=3, epochs=1), task=memorising())
    files = [tmp_path / "round" / PREDICTED, *(tmp_path / "round").glob("votes/predicted_*.npy")]
    assert len(files) == (1 if labelled == "all" or together in ("group", "content") else 4)
    recognised = any((np.load(file) == 3).any() for file in files)
    assert recognised == (together == "split")  # twins that nothing holds together would be caught


def test_a_fold_reports_its_progress_and_a_finished_fold_is_only_read(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 10)
    scenes.snapshot.save(tmp_path / "round")
    seen: list[Progress] = []
    summary = one_fold(scenes, tmp_path / "round", replace(CONFIG, epochs=2), report=seen.append)
    assert (summary.count, summary.batch_size) == (5, 2)
    assert 0 < summary.mean_iou <= summary.accuracy <= 1
    assert [progress.epoch for progress in seen if progress.loss is not None] == [1, 2]
    assert all(0 <= progress.accuracy <= 1 for progress in seen if progress.loss is not None)
    again: list[Progress] = []
    assert one_fold(scenes, tmp_path / "round", replace(CONFIG, epochs=2), report=again.append) == summary
    assert again == []


def test_images_without_a_mask_are_not_trained_on_and_predicted_by_all_folds(tmp_path: Path) -> None:
    scenes = without_masks(drawn(tmp_path / "scenes", 10), range(4))
    sizes, folder = np.asarray(scenes.snapshot.masks.sizes), tmp_path / "round"
    config = replace(CONFIG, folds=3, epochs=1)
    all_folds(scenes, folder, config)
    rows = [np.load(fold_file(folder, fold))["rows"].tolist() for fold in range(3)]
    assert sorted(row for some in rows for row in some if row >= 4) == list(range(4, 10))
    assert all({0, 1, 2, 3} <= set(some) for some in rows)
    votes = [one.of(row) for one in read_votes(folder, 3, sizes, np.arange(4)) for row in range(4)]
    assert all((confidence > 0).all() for _, confidence in votes)
    merged = [[mask.copy() for mask in votes_merged([votes[4 * fold + row] for fold in range(3)])] for row in range(4)]
    judged = judge_masks(folder, config, MaskStore(scenes.store))
    assert not list(folder.glob("votes*"))
    predictions = read_predictions(folder, sizes)
    for row in range(4):
        predicted, confidence, given_probability = predictions.of(row)
        np.testing.assert_array_equal(predicted, merged[row][0])
        np.testing.assert_array_equal(confidence, merged[row][1])
        assert (given_probability == 255).all()
    proposed = [one for one in judged.findings if one.row < 4]
    assert {(one.kind, one.given, one.fold) for one in proposed} == {(FindingKind.UNLABELLED, NO_LABEL, EVERY_FOLD)}
    again = judge_masks(folder, config, MaskStore(scenes.store))  # a judging that was killed after its last step
    assert [one.region.to_bytes() for one in again.findings] == [one.region.to_bytes() for one in judged.findings]
    assert again.metrics == judged.metrics


def without_masks(scenes: Scenes, rows: Iterable[int]) -> Scenes:
    masks, labels = scenes.snapshot.masks, scenes.snapshot.labels.copy()
    names = list(masks.labels)
    for row in rows:
        labels[row], names[row] = NO_LABEL, ""
    return replace(scenes, snapshot=replace(scenes.snapshot, masks=replace(masks, labels=names), labels=labels))


@pytest.mark.parametrize(
    "changes",
    [
        {"crop": 32},
        {"crop": 32, "scales": (0.75, 1.25), "flip": True},
        {"class_weights": True, "grey": True},
        {"model": "swiftnet_rn18"},
        {"model": "deeplabv3plus-test_resnet"},
    ],
)
def test_every_pixel_is_predicted_with_each_training_and_prediction_setting(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    scenes = drawn(tmp_path / "scenes", 6)
    all_folds(scenes, tmp_path / "round", replace(CONFIG, epochs=1, **changes))
    predictions = read_predictions(tmp_path / "round", np.asarray(scenes.snapshot.masks.sizes))
    assert sorted(set(predictions.fold.tolist())) == [0, 1]
    assert (predictions.confidence > 0).all()


class Greedy(nn.Module):
    """A network that wants more memory than there is for more than eight images at once."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > 8:
            raise torch.OutOfMemoryError("too many at once")
        return self.layer(images)


def test_out_of_memory_halves_the_batch_and_is_reported(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 40)
    scenes.snapshot.save(tmp_path / "round")
    greedy = replace(SEGMENTATION, build_network=lambda _config, _channels, classes: Greedy(classes))
    summary = one_fold(scenes, tmp_path / "round", replace(CONFIG, epochs=2, batch_size=16), task=greedy)
    assert summary.batch_size == 4
    assert "out of memory" in summary.message


def test_a_round_stops_soon_after_a_cancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = drawn(tmp_path / "scenes", 10)
    scenes.snapshot.save(tmp_path / "round")
    monkeypatch.setattr(training, "LOOK_SECONDS", 0.0)
    asked = iter([False] * 5)
    with pytest.raises(RoundCancelledError):
        one_fold(scenes, tmp_path / "round", replace(CONFIG, epochs=500), should_stop=lambda: next(asked, True))
    assert not fold_file(tmp_path / "round", 0).exists()


def test_a_missing_mask_is_named_with_a_cure(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 6)
    scenes.snapshot.save(tmp_path / "round")
    for file in scenes.store.rglob("*.png"):
        file.unlink()
    with pytest.raises(RoundError, match="import the dataset again"):
        one_fold(scenes, tmp_path / "round", CONFIG)


@pytest.mark.slow
def test_a_fold_can_train_on_a_single_image(tmp_path: Path) -> None:
    """Where a network pools an image to one cell, its norms need two."""
    scenes = drawn(tmp_path / "scenes", 4)
    replace(scenes.snapshot, groups=["g", "g", "g", ""]).save(tmp_path / "round")
    config = replace(CONFIG, model="deeplabv3plus-resnet18", epochs=1, batch_size=4)
    for fold in range(2):
        one_fold(scenes, tmp_path / "round", config, fold)
    assert (read_predictions(tmp_path / "round", scenes.snapshot.masks.sizes).fold >= 0).all()


def test_the_packaged_encoder_is_trained_with_its_decoder_on_request(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 6)
    scenes.snapshot.save(tmp_path / "round")
    model = "deeplabv3plus-tf_efficientnet_lite0"
    config = replace(CONFIG, model=model, weights=Weights.PACKAGED, epochs=1, batch_size=3)
    one_fold(scenes, tmp_path / "round", config)
    kept = find_network(tmp_path / "round", "fold_0")
    assert kept is not None
    assert kept.about.mean == kept.about.std == (0.5, 0.5, 0.5)
    trained, began = (
        network.state_dict()["network.encoder.model.conv_stem.weight"]
        for network in (load_network(kept, torch.device("cpu")), build_segmenter(config, 3, 4))
    )
    assert not torch.equal(trained, began)
    torch.testing.assert_close(trained, began, atol=0.05, rtol=0)


def test_a_probe_of_a_network_without_an_encoder_and_a_classifier_are_refused(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 6)
    scenes.snapshot.save(tmp_path / "round")
    with pytest.raises(ConfigError, match="no encoder that a probe of masks can freeze"):
        one_fold(scenes, tmp_path / "round", replace(CONFIG, method=ProbabilityMethod.PROBE))
    with pytest.raises(ConfigError, match="no network 'resnet18' for masks"):
        one_fold(scenes, tmp_path / "round", replace(CONFIG, model="resnet18"))


def test_a_round_without_any_mask_is_refused(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 6)
    replace(scenes.snapshot, labels=np.full(6, NO_LABEL, np.int32)).save(tmp_path / "round")
    with pytest.raises(RoundError, match="labels of fewer than one class to train on"):
        one_fold(scenes, tmp_path / "round", CONFIG)
