"""The method's promises, end to end on drawn shapes, without database or web."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from core.config import BACKBONE, PACKAGED, ProbabilityMethod, RoundConfig, Weights
from core.data import likeliest
from core.data.networks import kept_networks
from core.data.predictions import fold_file
from core.data.snapshot import Snapshot
from core.judge.judgement import Judgement, judge_round
from core.learn import devices, training
from core.rounds import FoldSummary, run_fold, run_round, versions
from core.tasks import CLASSIFICATION, TaskDefinition
from core.types import EVERY_FOLD, NO_LABEL, ConfigError, FindingKind, Progress, RoundCancelledError, RoundError

CONFIG = RoundConfig(folds=2, input_size=16, grey=True, epochs=8, batch_size=16, seed=3)
CLASSES = ["disc", "square", "bar"]


def drawn(folder: Path, count: int = 60, *, wrong: float = 0.1, seed: int = 0) -> tuple[Snapshot, np.ndarray]:
    """Draw shapes and return them with some labels changed, and which ones."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    truth, paths = np.arange(count) % 3, []
    for index, label in enumerate(truth):
        image = Image.fromarray(rng.integers(0, 60, (16, 16), dtype=np.uint8))
        x, y = rng.integers(1, 5, 2).tolist()
        draw = ImageDraw.Draw(image)
        if label == 0:
            draw.ellipse((x, y, x + 10, y + 10), fill=220)
        elif label == 1:
            draw.rectangle((x, y, x + 9, y + 9), outline=220, width=2)
        else:
            draw.rectangle((x + 3, y, x + 5, y + 10), fill=220)
        paths.append(str(folder / f"{index}.png"))
        image.save(paths[-1])
    flipped = np.zeros(count, bool)
    flipped[rng.permutation(count)[: round(wrong * count)]] = True
    given = np.where(flipped, (truth + rng.integers(1, 3, count)) % 3, truth).astype(np.int32)
    hashes = [f"{seed}-{index}" for index in range(count)]
    return Snapshot(np.arange(count) + 1, paths, given, [""] * count, hashes, CLASSES), flipped


def run(
    snapshot: Snapshot, tmp_path: Path, config: RoundConfig = CONFIG, name: str = "round", cache: str = "cache"
) -> Judgement:
    return run_round(snapshot, config, tmp_path / name, image_cache=tmp_path / cache, report=lambda _: None)


def one_fold(
    folder: Path,
    config: RoundConfig,
    fold: int = 0,
    *,
    task: TaskDefinition = CLASSIFICATION,
    **changes: Callable[..., Any],
) -> FoldSummary:
    asked: dict[str, Callable[..., Any]] = {"report": lambda _: None, "should_stop": lambda: False} | changes
    return run_fold(folder, config, fold, image_cache=folder / "cache", task=task, **asked)


def logits_of(folder: Path, fold: int = 0) -> np.ndarray:
    with np.load(fold_file(folder, fold)) as file:
        return np.array(file["logits"])


def hashes(folder: Path) -> list[str]:
    return [kept.hash for kept in kept_networks(folder)]


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, epochs=1),
        replace(CONFIG, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, grey=False),
    ],
    ids=["trained", "probe"],
)
def test_folds_of_very_many_samples_store_only_the_likeliest_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: RoundConfig
) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    snapshot = replace(snapshot, classes=[*CLASSES, *(f"other {number}" for number in range(11))])
    whole = run(snapshot, tmp_path, config, name="whole")
    monkeypatch.setattr(likeliest, "_MOST_WHOLE", 10)
    short = run(snapshot, tmp_path, config, name="short")
    with np.load(fold_file(tmp_path / "short", 0)) as one, np.load(fold_file(tmp_path / "whole", 0)) as other:
        assert "logits" not in one
        kept = one["likeliest"]
        np.testing.assert_array_equal(kept["class"], np.argsort(-other["logits"], axis=1, kind="stable")[:, :5])
    assert not (tmp_path / "short" / "probabilities.npy").exists()
    np.testing.assert_array_equal(short.pseudo, whole.pseudo)
    np.testing.assert_array_equal(short.fold, whole.fold)
    assert np.abs(short.self_confidence - whole.self_confidence).mean() < 0.02
    assert short.metrics["accuracy_per_fold"] == whole.metrics["accuracy_per_fold"]


@pytest.mark.slow
def test_flipped_labels_rank_first(tmp_path: Path) -> None:
    found = 0
    for seed in range(3):
        snapshot, flipped = drawn(tmp_path / f"images-{seed}", seed=seed)
        judged = run(snapshot, tmp_path, name=f"round-{seed}")
        found += int(flipped[judged.rank < flipped.sum()].sum())
    assert found >= 9  # of 18; by chance 1.8


def test_every_sample_is_predicted_exactly_once_and_every_column_fits(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    labels = snapshot.labels.copy()
    labels[:4] = NO_LABEL
    snapshot = replace(snapshot, labels=labels)
    judged = run(snapshot, tmp_path, replace(CONFIG, folds=3, epochs=1))
    rows = [np.load(fold_file(tmp_path / "round", fold))["rows"].tolist() for fold in range(3)]
    assert sorted(row for some in rows for row in some if row >= 4) == list(range(4, 60))
    assert all({0, 1, 2, 3} <= set(some) for some in rows)  # without a label: by every model
    assert (judged.fold[:4] == EVERY_FOLD).all()
    assert sorted(set(judged.fold[4:].tolist())) == [0, 1, 2]
    assert sorted(judged.rank.tolist()) == list(range(60))
    assert set(judged.rank[:4].tolist()) == {56, 57, 58, 59}  # nothing to suspect without a label
    assert (judged.kind[:4] == FindingKind.UNLABELLED).all()
    np.testing.assert_array_equal(judged.kind[4:] == FindingKind.SUSPICIOUS, judged.pseudo[4:] != labels[4:])
    np.testing.assert_array_equal(judged.top[:, 0], judged.pseudo)
    np.testing.assert_allclose(judged.top_probs.sum(axis=1), 1, rtol=1e-4)
    stored = np.load(tmp_path / "round" / "probabilities.npy", mmap_mode="r")
    assert (stored.shape, stored.dtype) == ((60, 3), np.float16)
    assert np.sum(judged.metrics["confusion"]) == 56
    assert [one["label"] for one in judged.metrics["class_thresholds"]] == [0, 1, 2]
    assert judged.similarity_rank is None


def test_a_missing_fold_is_named(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    snapshot.save(tmp_path / "round")
    with pytest.raises(RoundError, match="fold 1 of 2 is not done"):
        judge_round(tmp_path / "round", CONFIG)


def test_a_round_is_reproduced_by_its_config_snapshot_and_seed(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    config = replace(CONFIG, epochs=2)
    first, again = run(snapshot, tmp_path, config, "a"), run(snapshot, tmp_path, config, "b")
    np.testing.assert_array_equal(first.confidence, again.confidence)
    np.testing.assert_array_equal(first.rank, again.rank)
    assert first.metrics == again.metrics
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    other = run(snapshot, tmp_path, replace(config, seed=4), "c")
    assert not set(hashes(tmp_path / "a")) & set(hashes(tmp_path / "c"))
    assert (first.fold != other.fold).any()


class Memory(nn.Module):
    """A network that knows every image it was trained on by heart, and nothing of any other."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.known: dict[bytes, int] = {}
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        keys = [image.contiguous().numpy().tobytes() for image in images.detach()]
        if self.training:
            self.known |= dict.fromkeys(keys, 1)
        seen = torch.tensor([float(key in self.known) for key in keys])
        return self.scale * torch.stack([seen] + [torch.zeros(len(images))] * (self.classes - 1), dim=1)


def memorising() -> TaskDefinition:
    return replace(
        CLASSIFICATION,
        build_network=lambda _config, _channels, classes: Memory(classes),
        augment=lambda _config: lambda images, targets, _: (images, targets),
    )


def test_unlabelled_samples_get_the_mean_of_all_folds_not_trained_on_their_group(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images", wrong=0)
    labels, groups = snapshot.labels.copy(), list(snapshot.groups)
    labels[:6] = NO_LABEL
    groups[0] = groups[30] = "partly labelled"  # its models learnt from image 30, but for one
    groups[1] = groups[2] = "unlabelled"
    snapshot = replace(snapshot, labels=labels, groups=groups)
    config, folder = replace(CONFIG, folds=3, epochs=2), tmp_path / "round"
    judged = run(snapshot, tmp_path, config)
    files = [dict(np.load(fold_file(folder, fold))) for fold in range(3)]
    times = [sum(row in file["rows"] for file in files) for row in range(60)]
    assert times == [1, 3, 3, 3, 3, 3] + [1] * 54
    assert judged.fold[0] == judged.fold[30]
    stored = np.load(folder / "probabilities.npy")
    expected = np.zeros((5, 3))
    for file, temperature in zip(files, judged.metrics["temperature"], strict=True):
        own = file["logits"][np.isin(file["rows"], range(1, 6))] / temperature
        shares = np.exp(own - own.max(axis=1, keepdims=True))
        expected += shares / shares.sum(axis=1, keepdims=True) / 3
    np.testing.assert_allclose(stored[1:6], expected, atol=2e-3)
    np.testing.assert_allclose(judged.confidence[1:6], expected.max(axis=1), atol=1e-5)


def test_a_fold_with_missing_predictions_is_refused(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    labels = snapshot.labels.copy()
    labels[:2] = NO_LABEL
    run(replace(snapshot, labels=labels), tmp_path, replace(CONFIG, epochs=1))
    path = fold_file(tmp_path / "round", 1)
    columns = dict(np.load(path))
    np.savez(path, **(columns | {name: columns[name][1:] for name in ("rows", "logits")}))
    with pytest.raises(RoundError, match="1 samples were not predicted by just the models that may"):
        judge_round(tmp_path / "round", CONFIG)


@pytest.mark.parametrize("together", ["nothing", "group", "content"])
@pytest.mark.parametrize("labelled", ["all", "one of two"])
def test_no_model_scores_a_sample_it_was_trained_on(tmp_path: Path, together: str, labelled: str) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    if labelled != "all":
        labels = snapshot.labels.copy()
        labels[::2] = NO_LABEL
        snapshot = replace(snapshot, labels=labels)
    twins = [f"pair {index // 2}" for index in range(60)]
    if together != "nothing":  # each image twice: told apart only by group or content
        paths = [snapshot.paths[index // 2 * 2] for index in range(60)]
        snapshot = replace(snapshot, paths=paths)
    if together == "group":
        snapshot = replace(snapshot, groups=twins)
    if together == "content":
        snapshot = replace(snapshot, content_hashes=twins)
    folder = tmp_path / "round"
    snapshot.save(folder)
    config = replace(CONFIG, folds=3, epochs=1, batch_size=1)
    for fold in range(3):
        one_fold(folder, config, fold, task=memorising())
        assert (logits_of(folder, fold)[:, 0] == 0).all()


def test_protected_samples_are_predicted_and_never_trained_on(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    paths = [snapshot.paths[index // 2 * 2] for index in range(60)]  # each image twice, in whatever folds
    protected = np.arange(60) < 20
    snapshot = replace(snapshot, paths=paths, protected=protected)
    folder = tmp_path / "round"
    snapshot.save(folder)
    rows, recognised = [], []
    for fold in range(3):
        one_fold(folder, replace(CONFIG, folds=3, epochs=1, batch_size=1), fold, task=memorising())
        with np.load(folder / f"fold_{fold}.npz") as kept:
            rows.append(kept["rows"])
        recognised.append(logits_of(folder, fold)[:, 0] != 0)
    everything, seen = np.concatenate(rows), np.concatenate(recognised)
    assert sorted(everything.tolist()) == list(range(60))
    assert not seen[protected[everything]].any()
    assert seen[~protected[everything]].any(), "twins that may teach are recognised, so the others would have been"


def test_a_memorising_network_is_detected(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    snapshot = replace(snapshot, paths=[snapshot.paths[index // 2 * 2] for index in range(60)])
    folder = tmp_path / "round"
    snapshot.save(folder)  # twins without a common group are split, and then recognised
    one_fold(folder, replace(CONFIG, epochs=1, batch_size=1), task=memorising())
    assert (logits_of(folder)[:, 0] != 0).any()


def test_a_resumed_fold_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    config = replace(CONFIG, epochs=4)
    for name in ("straight", "resumed"):
        snapshot.save(tmp_path / name)
    one_fold(tmp_path / "straight", config)

    def killed_after_two(progress: Progress) -> None:
        if progress.epoch == 2 and progress.loss is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one_fold(tmp_path / "resumed", config, report=killed_after_two)
    assert (tmp_path / "resumed" / "fold_0.checkpoint").exists()
    epochs: list[int] = []
    one_fold(tmp_path / "resumed", config, report=lambda progress: epochs.append(progress.epoch))
    assert min(epoch for epoch in epochs if epoch) == 3
    np.testing.assert_array_equal(logits_of(tmp_path / "resumed"), logits_of(tmp_path / "straight"))
    assert hashes(tmp_path / "resumed") == hashes(tmp_path / "straight")
    assert not (tmp_path / "resumed" / "fold_0.checkpoint").exists()


def test_a_finished_fold_is_only_read(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    snapshot.save(tmp_path / "round")
    config = replace(CONFIG, epochs=1)
    first = one_fold(tmp_path / "round", config)
    seen: list[Progress] = []
    assert one_fold(tmp_path / "round", config, report=seen.append) == first
    assert seen == []
    assert first.count == 30
    assert [first.model_hash] == hashes(tmp_path / "round")


class Greedy(nn.Module):
    """A network that wants more memory than there is for more than eight images at once."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(256, classes)

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > 8:
            raise torch.OutOfMemoryError("too many at once")
        return self.layer(images.flatten(1))


def test_out_of_memory_halves_the_batch_and_is_reported(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    snapshot.save(tmp_path / "round")
    greedy = replace(CLASSIFICATION, build_network=lambda _config, _channels, classes: Greedy(classes))
    seen: list[Progress] = []
    summary = one_fold(tmp_path / "round", replace(CONFIG, epochs=2), task=greedy, report=seen.append)
    assert summary.batch_size == 4
    assert "out of memory" in summary.message
    assert any("halved to 8" in progress.message for progress in seen)


def test_an_error_with_a_cure_is_raised_when_no_batch_fits(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    snapshot.save(tmp_path / "round")

    class Hopeless(Greedy):
        def forward(self, images: Tensor) -> Tensor:  # noqa: ARG002 it does not come to that
            raise torch.OutOfMemoryError("never")

    hopeless = replace(CLASSIFICATION, build_network=lambda _config, _channels, classes: Hopeless(classes))
    with pytest.raises(RoundError, match="choose a smaller network"):
        one_fold(tmp_path / "round", CONFIG, task=hopeless)


def test_a_round_stops_soon_after_a_cancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    snapshot.save(tmp_path / "round")
    monkeypatch.setattr(training, "LOOK_SECONDS", 0.0)
    asked = iter([False] * 5)
    with pytest.raises(RoundCancelledError):
        one_fold(tmp_path / "round", replace(CONFIG, epochs=500), should_stop=lambda: next(asked, True))
    assert not fold_file(tmp_path / "round", 0).exists()


def test_labels_of_a_single_class_are_refused(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    replace(snapshot, labels=np.zeros(60, np.int32)).save(tmp_path / "round")
    with pytest.raises(RoundError, match="fewer than two classes"):
        one_fold(tmp_path / "round", CONFIG)


def test_a_class_with_fewer_samples_than_folds_does_no_harm(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    labels = np.where(snapshot.labels == 2, 1, snapshot.labels)
    labels[0] = 2
    judged = run(replace(snapshot, labels=labels), tmp_path, replace(CONFIG, folds=3, epochs=1))
    assert np.isfinite(judged.confidence).all()
    assert judged.metrics["per_class"][2]["count"] == 1


def test_a_probe_embeds_once_and_orders_by_similarity(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images", count=90)
    config = RoundConfig(folds=3, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, batch_size=32)
    stages: list[str] = []
    judged = run_round(
        snapshot,
        config,
        tmp_path / "round",
        image_cache=tmp_path / "cache",
        report=lambda progress: stages.append(progress.stage),
    )
    assert sorted(judged.similarity_rank.tolist()) == list(range(90))
    assert len(list((tmp_path / "cache").glob("*.embeddings.npy"))) == 1
    assert judged.metrics["accuracy"] > 0.4  # a random network's features already tell discs from bars


def test_a_kept_network_can_predict_again(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    judged = run(snapshot, tmp_path, replace(CONFIG, epochs=1))
    kept = kept_networks(tmp_path / "round")
    assert [one.name for one in kept] == ["fold_0", "fold_1"]
    assert [one.about.temperature for one in kept] == judged.metrics["temperature"]
    assert {one.about.classes for one in kept} == {tuple(CLASSES)}
    assert {len(one.about.mean) for one in kept} == {1}
    assert all(one.about.predicts and one.about.canvas == (16, 16) for one in kept)


def test_a_round_of_probes_keeps_their_backbone_once(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images", count=40)
    config = RoundConfig(folds=2, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, batch_size=32)
    run(snapshot, tmp_path, config)
    backbone, *heads = kept_networks(tmp_path / "round")
    assert [one.name for one in heads] == ["fold_0", "fold_1"]
    assert not backbone.about.predicts
    assert {one.about.backbone for one in heads} == {backbone.hash}
    run(snapshot, tmp_path, config, "again")  # all embeddings are known, and the network is made anew
    assert hashes(tmp_path / "again") == hashes(tmp_path / "round")


def test_a_probe_with_an_unavailable_backbone_is_reported_and_not_kept(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images", count=40)
    config = RoundConfig(folds=2, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, batch_size=32)
    run(snapshot, tmp_path, config)
    snapshot.save(tmp_path / "again")

    def out_of_reach(*_: object) -> nn.Module:
        raise ConfigError("check the connection")

    task = replace(CLASSIFICATION, build_network=out_of_reach)
    summary = run_fold(
        tmp_path / "again",
        config,
        0,
        image_cache=tmp_path / "cache",
        report=lambda _: None,
        should_stop=lambda: False,
        task=task,
    )
    assert summary.model_hash is None
    assert summary.message == "the network is not kept: check the connection"
    assert hashes(tmp_path / "again") == []


def test_versions_name_everything_the_outcome_depends_on() -> None:
    assert {"python", "torch", "timm", "scipy", "device"} <= set(versions("cpu"))
    assert "weights" not in versions("cpu", RoundConfig())


def test_versions_name_the_initial_weights_with_hash_and_licence(tmp_path: Path) -> None:
    known = PACKAGED[BACKBONE]
    packaged = versions("cpu", RoundConfig(model=BACKBONE, weights=Weights.PACKAGED))["weights"]
    assert packaged == f"{known.package}, ImageNet, Apache-2.0, sha256 {known.sha256}"
    (tmp_path / "own.pth").write_bytes(b"weights")
    file = RoundConfig(model="resnet18", weights=Weights.FILE, weights_file=str(tmp_path / "own.pth"))
    assert versions("cpu", file)["weights"] == f"own.pth, sha256 {hashlib.sha256(b'weights').hexdigest()}"
    hub = RoundConfig(model="resnet18", weights=Weights.PRETRAINED)
    assert versions("cpu", hub)["weights"] == "timm, timm/resnet18.a1_in1k, apache-2.0"


def test_versions_tolerate_a_missing_optional_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_scipy(name: str) -> str:
        if name == "scipy":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(devices, "version", without_scipy)
    assert versions("cpu")["scipy"] == "not installed"


def test_a_probe_with_a_few_more_images_embeds_only_those(tmp_path: Path) -> None:
    config = RoundConfig(folds=2, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, batch_size=32)
    run(drawn(tmp_path / "images", count=58)[0], tmp_path, config, "fewer")
    (earlier,) = (tmp_path / "cache").glob("*.embeddings.npy")
    marked = np.load(earlier)
    marked[0] = 7  # as no network says
    np.save(earlier, marked)
    run(drawn(tmp_path / "images", count=60)[0], tmp_path, config, "more")
    (later,) = set((tmp_path / "cache").glob("*.embeddings.npy")) - {earlier}
    found = np.load(later)
    np.testing.assert_array_equal(found[:58], marked)
    assert found.shape == (60, marked.shape[1])
    assert np.isfinite(found).all()
    assert found[58:].any(axis=1).all()
    run(drawn(tmp_path / "images", count=60)[0], tmp_path, config, "anew", cache="other")
    (anew,) = (tmp_path / "other").glob("*.embeddings.npy")
    np.testing.assert_allclose(np.load(anew)[58:], found[58:], atol=0.01)  # they depend on no other image
