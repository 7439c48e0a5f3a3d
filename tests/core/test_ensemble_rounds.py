"""Rounds of several networks: the method's promises hold for each of them, and their opinions are mixed by evidence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.config import Member, ProbabilityMethod, RoundConfig, Weights
from core.data.networks import kept_networks, network_folder
from core.data.predictions import fold_file
from core.judge import calibration
from core.judge.judgement import judge_round
from core.rounds import run_fold, versions
from core.types import NO_LABEL, ConfigError, FindingKind, Progress, RoundError
from tests.core.scenes import drawn as drawn_scenes
from tests.core.test_rounds import CONFIG, drawn, hashes, logits_of, memorising, one_fold, run

WHOLE = Member.of(replace(CONFIG, epochs=3))
PROBE = Member(method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, batch_size=32)
SEVERAL = replace(CONFIG, epochs=1, members=(WHOLE, PROBE))


def test_every_network_predicts_every_sample_exactly_once(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    labels = snapshot.labels.copy()
    labels[:4] = NO_LABEL
    judged = run(replace(snapshot, labels=labels), tmp_path, replace(SEVERAL, folds=3))
    for number in range(3):
        folder = network_folder(tmp_path / "round", number)
        rows = [np.load(fold_file(folder, fold))["rows"].tolist() for fold in range(3)]
        assert sorted(row for some in rows for row in some if row >= 4) == list(range(4, 60))
        assert all({0, 1, 2, 3} <= set(some) for some in rows)
    assert sorted(judged.rank.tolist()) == list(range(60))
    np.testing.assert_allclose(judged.top_probs.sum(axis=1), 1, rtol=1e-4)
    assert judged.contradicting is not None
    assert (judged.contradicting[:4] == 0).all()


@pytest.mark.parametrize("together", ["nothing", "group", "content"])
def test_no_network_scores_a_sample_it_was_trained_on(tmp_path: Path, together: str) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    twins = [f"pair {index // 2}" for index in range(60)]
    if together != "nothing":  # each image twice: told apart only by group or content
        snapshot = replace(snapshot, paths=[snapshot.paths[index // 2 * 2] for index in range(60)])
    if together == "group":
        snapshot = replace(snapshot, groups=twins)
    if together == "content":
        snapshot = replace(snapshot, content_hashes=twins)
    folder = tmp_path / "round"
    snapshot.save(folder)
    config = replace(CONFIG, folds=3, epochs=1, batch_size=1)
    config = replace(config, members=(Member.of(config),) * 2)
    for fold in range(3):
        one_fold(folder, config, fold, task=memorising())
        for number in range(3):
            assert (logits_of(network_folder(folder, number), fold)[:, 0] == 0).all()


def test_the_first_network_equals_that_of_a_round_with_one_network(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    run(snapshot, tmp_path, SEVERAL, "several")
    run(snapshot, tmp_path, replace(SEVERAL, members=()), "one")
    assert hashes(tmp_path / "several") == hashes(tmp_path / "one")
    for fold in range(2):
        np.testing.assert_array_equal(logits_of(tmp_path / "several", fold), logits_of(tmp_path / "one", fold))


def test_equal_networks_predict_the_same_as_one(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    one = replace(CONFIG, epochs=2)
    alone, both = (
        run(snapshot, tmp_path, one, "a"),
        run(snapshot, tmp_path, replace(one, members=(Member.of(one),)), "b"),
    )
    np.testing.assert_allclose(both.self_confidence, alone.self_confidence, atol=1e-5)
    np.testing.assert_array_equal(both.contradicting, 2 * (alone.kind == FindingKind.SUSPICIOUS))


def test_the_mix_is_reported_to_be_at_least_as_likely_as_each_network(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    judged = run(snapshot, tmp_path, SEVERAL)
    *networks, mix = judged.metrics["networks"]
    assert [one["model"] for one in networks] == ["small_cnn", "small_cnn", "test_resnet"]
    assert sum(one["weight"] for one in networks) == pytest.approx(1)
    assert mix["log_likelihood"] >= max(one["log_likelihood"] for one in networks)
    assert judged.similarity_rank is not None  # by the features of the first probe
    found = np.zeros(60, dtype=int)
    for number in range(3):
        logits = np.zeros((60, 3))
        for fold in range(2):
            with np.load(fold_file(network_folder(tmp_path / "round", number), fold)) as file:
                logits[file["rows"]] = file["logits"]
        found += logits.argmax(axis=1) != snapshot.labels
    np.testing.assert_array_equal(judged.contradicting, found)


def test_labels_of_evaluation_splits_do_not_affect_the_weights(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    protected = np.arange(60) >= 40
    snapshot = replace(snapshot, protected=protected)
    run(snapshot, tmp_path, SEVERAL)
    before = judge_round(tmp_path / "round", SEVERAL).metrics["networks"]
    replace(snapshot, labels=np.where(protected, (snapshot.labels + 1) % 3, snapshot.labels)).save(tmp_path / "round")
    assert judge_round(tmp_path / "round", SEVERAL).metrics["networks"] == before


def test_unlabelled_samples_get_the_mix_of_each_networks_mean(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images", wrong=0)
    labels = snapshot.labels.copy()
    labels[:3] = NO_LABEL
    config, folder = replace(SEVERAL, members=(WHOLE,)), tmp_path / "round"
    judged = run(replace(snapshot, labels=labels), tmp_path, config)
    expected = np.zeros((3, 3))
    for number, weight in enumerate(one["weight"] for one in judged.metrics["networks"][:-1]):
        for kept in kept_networks(network_folder(folder, number)):
            with np.load(network_folder(folder, number) / f"{kept.name}.npz") as file:
                logits = file["logits"][np.isin(file["rows"], range(3))]
            assert kept.about.weight == pytest.approx(weight)
            expected += weight * calibration.probabilities(logits, kept.about.temperature) / 2
    expected **= 1 / kept.about.sharpening
    np.testing.assert_allclose(
        np.load(folder / "probabilities.npy")[:3], expected / expected.sum(axis=1, keepdims=True), atol=2e-3
    )


@pytest.mark.slow
def test_a_killed_fold_resumes_with_its_finished_networks(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    for name in ("straight", "resumed"):
        snapshot.save(tmp_path / name)
    one_fold(tmp_path / "straight", SEVERAL)

    def killed_in_the_second(progress: Progress) -> None:
        if "network 2 of 3" in progress.stage and progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one_fold(tmp_path / "resumed", SEVERAL, report=killed_in_the_second)
    first = fold_file(tmp_path / "resumed", 0).stat().st_mtime_ns
    seen: list[Progress] = []
    one_fold(tmp_path / "resumed", SEVERAL, report=seen.append)
    assert fold_file(tmp_path / "resumed", 0).stat().st_mtime_ns == first
    assert not any("network 1" in progress.stage for progress in seen)
    shares = [progress.fraction for progress in seen if "reading" not in progress.stage]
    assert min(shares) >= 1 / 3
    for number in range(3):
        straight, resumed = (network_folder(tmp_path / name, number) for name in ("straight", "resumed"))
        np.testing.assert_array_equal(logits_of(straight), logits_of(resumed))


def test_a_network_whose_fold_is_missing_is_named(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    run(snapshot, tmp_path, SEVERAL)
    fold_file(network_folder(tmp_path / "round", 2), 1).unlink()
    with pytest.raises(RoundError, match="fold 2 of 2 is not done"):
        judge_round(tmp_path / "round", SEVERAL)


@pytest.mark.slow
def test_a_network_of_other_folds_is_refused(tmp_path: Path) -> None:
    snapshot, _ = drawn(tmp_path / "images")
    run(snapshot, tmp_path, SEVERAL)
    folder = network_folder(tmp_path / "round", 1)
    one, other = fold_file(folder, 0), fold_file(folder, 1)
    columns = dict(np.load(one)), dict(np.load(other))
    np.savez(one, **columns[1])
    np.savez(other, **columns[0])
    with pytest.raises(RoundError, match="network 2 held out other images"):
        judge_round(tmp_path / "round", SEVERAL)


def test_several_networks_are_refused_for_masks(tmp_path: Path) -> None:
    scenes = drawn_scenes(tmp_path / "scenes", 4)
    scenes.snapshot.save(tmp_path / "round")
    with pytest.raises(ConfigError, match="for class labels only; name one network"):
        run_fold(
            tmp_path / "round",
            RoundConfig(model="small_unet", members=(Member(model="small_unet"),)),
            0,
            image_cache=tmp_path / "cache",
            masks=scenes.store,
            report=lambda _: None,
            should_stop=lambda: False,
        )


def test_versions_name_the_initial_weights_of_each_network(tmp_path: Path) -> None:
    (tmp_path / "own.pth").write_bytes(b"weights")
    file = Member(model="resnet18", weights=Weights.FILE, weights_file=str(tmp_path / "own.pth"))
    found = versions("cpu", RoundConfig(members=(Member(), file)))
    assert [name for name in found if name.startswith("weights")] == ["weights of network 3"]
    assert found["weights of network 3"].startswith("own.pth, sha256 ")


@pytest.mark.slow
def test_each_network_is_compared_with_the_installed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.learn.backbone_check._FEWEST_TESTED", 20)
    snapshot, _ = drawn(tmp_path / "images")
    trained = Member(method=ProbabilityMethod.FINE_TUNE, model="test_resnet", input_size=32, batch_size=32)
    judged = run(snapshot, tmp_path, replace(CONFIG, epochs=1, members=(PROBE, trained)))
    *checks, _mix = [one.get("backbone_check") for one in judged.metrics["networks"]]
    assert [check and check["trained"] for check in checks] == [None, False, True]
    assert judged.metrics["backbone_check"] is None
    assert checks[1]["held_out"] == checks[2]["held_out"] == 30
