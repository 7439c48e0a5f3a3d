from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.config import ProbabilityMethod, RoundConfig
from core.learn.batches import ImageBatches, MaskTargets, Scaling
from core.learn.crossfold import FoldCallbacks, FoldOutput, FoldSplit, Predict, Probed, TrainingData
from core.learn.models.probes import SceneEncoder
from core.learn.models.segmenter import build_segmenter
from core.learn.pixel_probe import feature_maps, probe_scenes, refuse_larger
from core.types import IGNORE, RoundCancelledError, RoundError

CONFIG = RoundConfig(
    method=ProbabilityMethod.PROBE, model="deeplabv3plus-test_efficientnet", input_size=64, batch_size=3, device="cpu"
)
QUIET = FoldCallbacks(lambda _: None, lambda: False)

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 32, 64, 3) whose right part is bright, and masks (N, 32, 64) of it with an unlabelled edge."""
    rng = np.random.default_rng(0)
    masks = np.zeros((count, 32, 64), np.uint8)
    for mask in masks:
        mask[:, rng.integers(16, 48) :] = 1
    images = np.clip(60 + 130 * masks[..., None] + rng.normal(0, 10, (count, 32, 64, 3)), 0, 255).astype(np.uint8)
    masks[:, :2] = IGNORE
    return images, masks


def material_of(images: np.ndarray, masks: np.ndarray) -> TrainingData:
    device = torch.device("cpu")
    scaling = Scaling((0.5,) * 3, (0.5,) * 3)
    return TrainingData(ImageBatches(images, scaling, device), MaskTargets(masks, device), 8, lambda _: None)


def kept_predictions(held: FoldSplit, predict: Predict) -> FoldOutput:
    parts = [logits.argmax(1).numpy() for _, logits in predict(held.held_rows, "predicting")]
    return FoldOutput({"predicted": np.concatenate(parts)}, None)


class Counting(nn.Module):
    """An encoder that notes how many images it saw."""

    def __init__(self, network: SceneEncoder, seen: list[int]) -> None:
        super().__init__()
        self.network, self.seen, self.scales, self.shapes = network, seen, network.scales, network.shapes

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        maps: Tensor = self.network(images)
        return maps


def probed(folder: Path, count: int, seen: list[int] | None = None) -> Probed:
    def build() -> nn.Module:
        network = build_segmenter(CONFIG, 3, 0)
        assert isinstance(network, SceneEncoder)
        return network if seen is None else Counting(network, seen)

    hashes = [f"image {row}" for row in range(count)]
    return Probed(build=build, content_hashes=hashes, cache=folder, classes=2, keep=kept_predictions)


def held_of(count: int) -> FoldSplit:
    return FoldSplit(0, np.arange(4, count), np.arange(4), np.zeros(count, np.int64))


def test_feature_maps_are_computed_once_and_only_for_new_images(tmp_path: Path) -> None:
    images, masks = drawn(9)
    seen: list[int] = []
    few = feature_maps(CONFIG, material_of(images[:7], masks[:7]), probed(tmp_path, 7, seen), 0, QUIET)
    assert sum(seen) == 7
    feature_maps(CONFIG, material_of(images[:7], masks[:7]), probed(tmp_path, 7, seen), 1, QUIET)
    assert sum(seen) == 7
    more = feature_maps(CONFIG, material_of(images, masks), probed(tmp_path, 9, seen), 0, QUIET)
    assert sum(seen) == 9
    np.testing.assert_array_equal(more.array[:7], few.array)
    assert more.array.dtype == np.float16


def test_images_are_predicted_by_a_classifier_of_the_other_images(tmp_path: Path) -> None:
    images, masks = drawn(12)
    outcome = probe_scenes(CONFIG, material_of(images, masks), held_of(12), probed(tmp_path, 12), QUIET)
    predicted = outcome.kept.columns["predicted"]
    assert (predicted == masks[:4])[masks[:4] != IGNORE].mean() > 0.85


def test_masks_of_the_predicted_fold_do_not_affect_training(tmp_path: Path) -> None:
    images, masks = drawn(8)
    other = masks.copy()
    other[:4] = 1 - np.minimum(other[:4], 1)
    states = [
        probe_scenes(CONFIG, material_of(images, given), held_of(8), probed(tmp_path, 8), QUIET).network.state_dict()
        for given in (masks, other)
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_resumed_probe_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    images, masks = drawn(8)
    run = partial(probe_scenes, CONFIG, material_of(images, masks), held_of(8))
    straight = run(probed(tmp_path / "straight", 8), QUIET).network.state_dict()
    for stage in ("training", "predicting"):
        with pytest.raises(RoundCancelledError):
            run(probed(tmp_path / "stopped", 8), stopping_at(stage))
    resumed = run(probed(tmp_path / "stopped", 8), QUIET).network.state_dict()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def stopping_at(stage: str) -> FoldCallbacks:
    """Return what asks to stop once a stage has begun."""
    stages: list[str] = []
    should_stop: Callable[[], bool] = lambda: stage in stages  # noqa: E731 read by the probe
    return FoldCallbacks(lambda progress: stages.append(progress.stage), should_stop)


def test_masks_without_a_labelled_pixel_are_refused(tmp_path: Path) -> None:
    images, masks = drawn(6)
    with pytest.raises(RoundError, match="no pixel of the masks to learn from is labelled"):
        probe_scenes(CONFIG, material_of(images, np.full_like(masks, IGNORE)), held_of(6), probed(tmp_path, 6), QUIET)


def test_the_batch_is_halved_when_memory_runs_out(tmp_path: Path) -> None:
    images, masks = drawn(6)
    seen: list[int] = []

    class Small(Counting):
        def forward(self, images: Tensor) -> Tensor:
            if len(images) > 1:
                raise torch.OutOfMemoryError
            return super().forward(images)

    def build() -> nn.Module:
        network = build_segmenter(CONFIG, 3, 0)
        assert isinstance(network, SceneEncoder)
        return Small(network, seen)

    wanted = Probed(build=build, content_hashes=list("abcdef"), cache=tmp_path, classes=2, keep=kept_predictions)
    assert feature_maps(CONFIG, material_of(images, masks), wanted, 0, QUIET).array.any(axis=1).all()
    assert seen == [1] * 6


@pytest.mark.parametrize(
    ("free_gigabytes", "cure"),
    [(12, "1 as the only size (4.6 GB) or at most 320 pixels"), (3.5, "at most 128 pixels"), (1.2, "; free some disk")],
)
def test_feature_maps_too_large_for_the_disk_are_refused_with_settings_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_gigabytes: float, cure: str
) -> None:
    config = RoundConfig(method=ProbabilityMethod.PROBE, model=CONFIG.model, input_size=480, scales=(1.0, 2.0))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=int(free_gigabytes * 1e9)))
    with pytest.raises(RoundError, match=r"10,000 images take 23\.0 GB") as refused:
        refuse_larger(config, tmp_path, images=10_000, bytes_an_image=2_300_000, scales=config.scales)
    assert cure in str(refused.value)
    refuse_larger(config, tmp_path, images=50, bytes_an_image=2_300_000, scales=config.scales)
