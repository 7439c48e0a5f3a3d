"""Cross training end to end on drawn scenes, in seconds."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from core.config import CrossTrainingSettings, RoundConfig
from core.data.masks.store import MaskStore
from core.learn import cross_training, crossfold, training
from core.learn.batches import ImageBatches
from core.recipes.cross_training import stages as cross_stages
from core.recipes.cross_training.recipe import CrossTrainingConfig, CrossTrainingResult, run_cross_training
from core.recipes.data import RecipeData
from core.recipes.scores import MaskScore
from core.types import ConfigError, DatasetError, Progress, RoundCancelledError, RoundError
from tests.core.scenes import COLOURS, Scenes, drawn

NETWORK = RoundConfig(model="small_unet", input_size=48, epochs=2, batch_size=4, seed=2, device="cpu", mirror=False)
SETTINGS = CrossTrainingSettings(steps=6, batch_size=4, learning_rate=0.02, block=2)
SHORT = CrossTrainingConfig(network=NETWORK, settings=SETTINGS)
NO_BASELINE = CrossTrainingConfig(network=NETWORK, settings=replace(SETTINGS, baseline=False))


pytestmark = pytest.mark.usefixtures("one_thread")


def thinned(folder: Path, count: int) -> Scenes:
    """Draw scenes, and take the disc out of every other and the box out of every third: their tags differ."""
    scenes, store = drawn(folder, count), MaskStore(folder / "masks")
    names, true = [], []
    for row, (path, mask) in enumerate(zip(scenes.snapshot.paths, scenes.true, strict=True)):
        pixels, own = np.array(Image.open(path)), mask.copy()
        for label, instead, every in ((2, 0, 2), (3, 1, 3)):
            if row % every == 0:
                pixels[own == label] = COLOURS[instead]
                own[own == label] = instead
        Image.fromarray(pixels).save(path)
        true.append(own)
        names.append(store.put(own))
    masks = replace(scenes.snapshot.masks, labels=names)
    hashes = [f"thinned-{name}" for name in scenes.snapshot.content_hashes]
    snapshot = replace(scenes.snapshot, masks=masks, content_hashes=hashes)
    return replace(scenes, snapshot=snapshot, true=true, swapped=[])


def parts(scenes: Scenes, *, validation: bool = False) -> RecipeData:
    """Return scenes of which the first four have masks; those with wrong ones are not used but to be painted."""
    rows = np.array([row for row in range(len(scenes.true)) if row not in scenes.swapped])
    judged = rows[-6:]
    return RecipeData(
        snapshot=scenes.snapshot,
        labelled=rows[:4],
        unlabelled=np.sort(np.concatenate([rows[4:-6], scenes.swapped])).astype(np.int64),
        validation=judged[:2] if validation else judged[:0],
        test=judged[2:],
    )


def run(scenes: Scenes, folder: Path, config: CrossTrainingConfig = SHORT, **changes: Any) -> CrossTrainingResult:
    asked: dict[str, Any] = {"report": lambda _: None, "data": parts(scenes)} | changes
    cache = scenes.store.parent / "cache"
    return run_cross_training(config=config, folder=folder, image_cache=cache, masks=scenes.store, **asked)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def true_tags(scenes: Scenes) -> np.ndarray:
    return np.array([[bool((mask == label).any()) for label in range(4)] for mask in scenes.true])


@pytest.mark.slow
def test_tags_produce_the_missing_masks(tmp_path: Path) -> None:
    scenes = thinned(tmp_path / "scenes", 28)
    network = replace(NETWORK, epochs=12, scales=(0.75, 1.0), flip=True)
    settings = CrossTrainingSettings(steps=110, block=55, baseline=False)
    config = CrossTrainingConfig(network=network, settings=settings)
    result = run(scenes, tmp_path / "run", config, data=parts(scenes, validation=True))
    tags = true_tags(scenes)
    assert not tags.all()
    for score in (result.hybrid, result.pseudo, result.retrained, result.retrained_tagged):
        assert score.mean_iou > 0.75
    store = MaskStore(tmp_path / "run" / "masks")
    assert sorted(result.painted) == parts(scenes, validation=True).unlabelled.tolist()
    for row, name in result.painted.items():
        painted, true = store.get(name), scenes.true[row]
        assert painted.shape == true.shape
        assert tags[row][np.unique(painted)].all()
        assert (painted == true)[true != 255].mean() > 0.85
    assert result.history[-1][0] < result.history[0][0]
    assert result.history[-1][-1] > result.history[0][-1]  # trust grows


def test_tags_never_make_a_right_pixel_wrong(tmp_path: Path) -> None:
    """What was right among all classes is right among those that are there."""
    scenes = thinned(tmp_path / "scenes", 16)
    context = cross_stages.CrossTrainingContext(
        data=parts(scenes),
        network=NETWORK,
        joint=SHORT.joint(16),
        background=None,
        folder=tmp_path,
        image_cache=tmp_path,
        store=MaskStore(scenes.store),
        tags=true_tags(scenes),
        callbacks=crossfold.FoldCallbacks(lambda _: None, lambda: False),
    )
    logits = torch.randn(6, 4, 48, 48, generator=torch.Generator().manual_seed(0))
    kept = cross_stages._score_test(context)(None, lambda rows, _: [(rows, logits[: len(rows)])])
    plain, tagged = (MaskScore.of(kept.columns[name]) for name in ("plain", "tagged"))
    pixels = sum(int((scenes.true[row] != 255).sum()) for row in parts(scenes).test)
    assert kept.columns["plain"].sum() == kept.columns["tagged"].sum() == pixels
    assert tagged.accuracy > plain.accuracy + 0.02
    assert tagged.mean_iou > plain.mean_iou


def test_all_stages_are_stored_and_a_second_run_only_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = drawn(tmp_path / "scenes", 16)
    said: list[Progress] = []
    result = run(scenes, tmp_path / "run", report=said.append)
    before = files_of(tmp_path / "run")
    names = {"recipe", "baseline", "pair", "painted", "retrained", "result"}
    assert {f"{name}.json" for name in names} <= set(before)
    assert not [name for name in before if name.endswith((".checkpoint", ".partial"))]
    for name in ("baseline", "hybrid", "pseudo", "retrained"):
        assert "head.weight" in load_file(tmp_path / "run" / f"{name}.safetensors")
    assert json.loads(before["result.json"])["retrained"]["mean_iou"] == result.retrained.mean_iou
    stages = dict.fromkeys((progress.fold, progress.stage) for progress in said)
    wanted = [(0, "training"), (1, "training both"), (2, "painting"), (3, "training")]
    assert [stage for stage in stages if stage in wanted] == wanted
    assert all(0 <= progress.fraction <= 1 for progress in said)
    for module in (cross_stages, crossfold):
        monkeypatch.delattr(module, "train_pair" if module is cross_stages else "train")
    assert run(scenes, tmp_path / "run") == result
    assert files_of(tmp_path / "run") == before


def test_the_baseline_trains_for_as_many_steps_as_stage_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = drawn(tmp_path / "scenes", 16)
    lessons: list[np.ndarray] = []
    original = cross_stages.learn_fold

    def watched(config: RoundConfig, training_data: Any, held: Any, *rest: Any, **more: Any) -> Any:
        assert config.epochs == NETWORK.epochs
        lessons.append(held.learn_rows)
        return original(config, training_data, held, *rest, **more)

    monkeypatch.setattr(cross_stages, "learn_fold", watched)
    run(scenes, tmp_path / "run")
    data = parts(scenes)
    baseline, retrained = lessons
    assert len(baseline) == len(retrained) == len(data.labelled) + len(data.unlabelled)
    assert sorted(set(baseline.tolist())) == data.labelled.tolist()
    assert np.ptp(np.unique_counts(baseline).counts) <= 1


def test_all_networks_weigh_classes_by_the_same_exponent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = drawn(tmp_path / "scenes", 16)
    seen: dict[Any, Any] = {}
    originals = cross_stages.learn_fold, cross_stages.train_pair

    def watched_fold(config: RoundConfig, training_data: Any, held: Any, *rest: Any, **more: Any) -> Any:
        seen[held.fold] = training_data.class_weights(np.unique(held.learn_rows))
        return originals[0](config, training_data, held, *rest, **more)

    def watched_pair(pair: Any, sources: Any, *rest: Any, **more: Any) -> Any:
        seen["pair"] = sources.class_weights
        return originals[1](pair, sources, *rest, **more)

    monkeypatch.setattr(cross_stages, "learn_fold", watched_fold)
    monkeypatch.setattr(cross_stages, "train_pair", watched_pair)
    run(scenes, tmp_path / "whole", replace(SHORT, network=replace(NETWORK, class_weights=True)))
    whole = dict(seen)
    run(scenes, tmp_path / "run", replace(SHORT, settings=replace(SETTINGS, balance=0.5)))
    for stage in (cross_stages.BASELINE, "pair"):
        np.testing.assert_allclose(np.asarray(seen[stage]), np.asarray(whole[cross_stages.BASELINE]) ** 0.5, rtol=1e-5)
    assert (seen[cross_stages.RETRAINING] > 0).all()
    run(scenes, tmp_path / "plain", replace(NO_BASELINE, settings=replace(NO_BASELINE.settings, balance=0)))
    assert seen["pair"] is None
    assert seen[cross_stages.RETRAINING] is None
    assert SETTINGS.exponent(replace(NETWORK, class_weights=True)) == 1
    with pytest.raises(ConfigError, match="balance is 2, must be from 0 to 1"):
        CrossTrainingSettings(balance=2)


def killed_after(times: int, stage: str) -> Callable[[Progress], None]:
    """Return a report that kills at the so-manieth time that a stage has a loss to tell."""
    seen = []

    def report(progress: Progress) -> None:
        if progress.stage == stage and (progress.loss is not None or stage == "painting"):
            seen.append(progress)
            if len(seen) == times:
                raise KeyboardInterrupt

    return report


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 16)
    result = run(scenes, tmp_path / "straight")
    kills = [(1, "training"), (2, "training both"), (1, "training both"), (2, "painting"), (1, "training")]
    for times, stage in kills:  # in the baseline, twice in stage 1, while painting, in stage 2
        with pytest.raises(KeyboardInterrupt):
            run(scenes, tmp_path / "resumed", report=killed_after(times, stage))
    assert run(scenes, tmp_path / "resumed") == result
    assert files_of(tmp_path / "resumed") == files_of(tmp_path / "straight")


def test_a_cancelled_run_stops_and_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (training, cross_training):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    scenes = drawn(tmp_path / "scenes", 16)
    with pytest.raises(RoundCancelledError):
        run(scenes, tmp_path / "run", NO_BASELINE, should_stop=lambda: True)
    assert run(scenes, tmp_path / "run", NO_BASELINE).baseline is None


@pytest.mark.slow
def test_hidden_masks_do_not_affect_training(tmp_path: Path) -> None:
    """Two runs whose unlabelled images have the same tags, but other masks, are one run."""
    scenes = drawn(tmp_path / "scenes", 16)
    tags = true_tags(scenes)
    data = parts(scenes)
    one = run(scenes, tmp_path / "a", tags=tags)
    store = MaskStore(scenes.store)
    masks = scenes.snapshot.masks
    labels = list(masks.labels)
    for row in data.unlabelled.tolist():
        labels[row] = store.put(np.ascontiguousarray(store.get(labels[row])[::-1]))
    other = replace(scenes.snapshot, masks=replace(masks, labels=labels))
    assert run(scenes, tmp_path / "b", tags=tags, data=replace(data, snapshot=other)) == one


def test_pseudo_masks_contain_only_tagged_classes_and_reviewed_masks_are_used(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 16)
    data = parts(scenes)
    tags = true_tags(scenes)
    tags[data.unlabelled[0]] = [True, False, False, True]
    reviewed = data.unlabelled[1:3]
    result = run(scenes, tmp_path / "run", NO_BASELINE, data=data, tags=tags, weak_masks=reviewed)
    store = MaskStore(tmp_path / "run" / "masks")
    assert set(np.unique(store.get(result.painted[int(data.unlabelled[0])])).tolist()) <= {0, 3}
    assert not set(reviewed.tolist()) & set(result.painted)
    with pytest.raises(DatasetError, match="not an unlabelled image with a mask"):
        run(scenes, tmp_path / "other", NO_BASELINE, data=data, weak_masks=data.labelled[:1])


def test_stage_two_is_shuffled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not in the released code: there, the same neighbours meet in every epoch."""
    scenes = drawn(tmp_path / "scenes", 16)
    run(scenes, tmp_path / "run", NO_BASELINE)
    (tmp_path / "run" / "retrained.json").unlink()
    seen: list[list[int]] = []
    original = ImageBatches.batch

    def watched(self: ImageBatches, rows: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            seen.append(rows.tolist())
        return original(self, rows)

    monkeypatch.setattr(ImageBatches, "batch", watched)
    run(scenes, tmp_path / "run", NO_BASELINE)
    data = parts(scenes)
    learnable = sorted([*data.labelled.tolist(), *data.unlabelled.tolist()])
    steps = len(learnable) // NETWORK.batch_size
    epochs = [[row for batch in seen[start : start + steps] for row in batch] for start in (0, steps)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == steps * NETWORK.batch_size
        assert set(epoch) <= set(learnable)
        assert epoch != sorted(epoch)
    assert epochs[0] != epochs[1]


def test_a_folder_belongs_to_one_run_and_bad_input_is_refused(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 16)
    data = parts(scenes)
    run(scenes, tmp_path / "run", NO_BASELINE)
    with pytest.raises(RoundError, match="another config or other data"):
        run(scenes, tmp_path / "run", replace(NO_BASELINE, settings=replace(NO_BASELINE.settings, steps=7)))
    with pytest.raises(RoundError, match="another config or other data"):
        run(scenes, tmp_path / "run", NO_BASELINE, data=replace(data, test=data.test[1:]))
    with pytest.raises(DatasetError, match=r"has no tags \(\d+ such images\)"):
        run(scenes, tmp_path / "b", NO_BASELINE, tags=np.zeros((16, 4), np.bool_))
    with pytest.raises(DatasetError, match="images x classes"):
        run(scenes, tmp_path / "b", NO_BASELINE, tags=np.zeros((16, 3), np.bool_))
    with pytest.raises(DatasetError, match="background is 'sea', which is not a class; name one of sky, "):
        run(scenes, tmp_path / "b", replace(NO_BASELINE, settings=replace(NO_BASELINE.settings, background="sea")))
    with pytest.raises(DatasetError, match="no image is left to paint"):
        run(scenes, tmp_path / "b", NO_BASELINE, data=replace(data, unlabelled=data.unlabelled[:0]))
    with pytest.raises(DatasetError, match="labels are classes"):
        run(
            scenes,
            tmp_path / "b",
            NO_BASELINE,
            data=replace(data, snapshot=replace(scenes.snapshot, masks=None, labels=np.zeros(16, np.int32))),
        )
    with pytest.raises(ConfigError, match="batch_size"):
        CrossTrainingSettings(batch_size=3)
