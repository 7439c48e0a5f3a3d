"""The recipe "iterated" on a frozen network of random weights, on little pictures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.config import IteratedSettings, ProbabilityMethod, RoundConfig
from core.config.iterated import PROBE, SPREAD
from core.data.networks import BACKBONE, find_network, kept_networks
from core.judge.proposals import PROPOSALS, proposal_thresholds
from core.learn import propagation
from core.recipes.data import RecipeData
from core.recipes.iterated.proposals import run_and_propose
from core.recipes.iterated.recipe import IteratedResult
from core.types import ConfigError, IntArray, RoundError, Task
from tests.core.recipes.iterated.test_recipe import parts_of, pictures
from tests.core.scenes import drawn

NETWORK = RoundConfig(method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, batch_size=32, device="cpu")

pytestmark = pytest.mark.usefixtures("one_thread")


def run(data: RecipeData, folder: Path, settings: IteratedSettings | None = None) -> IteratedResult:
    folder.mkdir(parents=True, exist_ok=True)
    data.snapshot.save(folder)
    chosen: dict[str, Any] = {"image_cache": folder.parent / "cache", "report": lambda _: None}
    return run_and_propose(data, NETWORK, settings or IteratedSettings(), folder, to_predict=data.unlabelled, **chosen)


def proposed(folder: Path) -> dict[str, IntArray]:
    with np.load(folder / PROPOSALS) as file:
        return dict(file)


def test_the_result_records_the_chosen_learner_and_its_scores(tmp_path: Path) -> None:
    data = parts_of(pictures(tmp_path / "pictures"))
    result = run(data, tmp_path / "run")
    taught = len(data.labelled) + len(data.validation)
    assert result.choice is not None
    assert result.choice["held_out"] == taught  # no label is set apart
    better = result.choice["spread_right"] >= result.choice["probe_right"]
    assert result.choice["spread"] == better
    assert result.best == ("spread" if better else "baseline")
    assert result.validation.value == max(result.choice["spread_right"], result.choice["probe_right"])
    assert result.iterations == []
    assert result.test.value > 0.5
    assert json.loads((tmp_path / "run" / "result.json").read_text())["choice"] == result.choice


def test_networks_are_kept_and_the_chosen_network_predicts(tmp_path: Path) -> None:
    result = run(parts_of(pictures(tmp_path / "pictures")), tmp_path / "run")
    assert {one.name for one in kept_networks(tmp_path / "run")} == {BACKBONE, "baseline", "spread"}
    assert [one.name for one in kept_networks(tmp_path / "run") if one.about.predicts] == [result.best]
    assert find_network(tmp_path / "run", result.best).about.temperature > 0


@pytest.mark.parametrize(("asked", "best"), [(PROBE, "baseline"), (SPREAD, "spread")])
def test_the_named_learner_is_used(tmp_path: Path, asked: str, best: str) -> None:
    data = parts_of(pictures(tmp_path / "pictures"))
    assert run(data, tmp_path / "run", IteratedSettings(frozen=asked)).best == best
    found = proposed(tmp_path / "run")
    assert found["rows"].tolist() == data.unlabelled.tolist()
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, atol=1e-5)
    right = found["probabilities"].argmax(axis=1) == data.snapshot.labels[data.unlabelled]
    assert right.mean() > 0.5
    assert len(found["checked"]) == len(found["checked_labels"])
    assert len(proposal_thresholds(tmp_path / "run")) == 3


def test_no_image_is_predicted_from_its_own_or_its_groups_spread_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [f"of {row // 2}" for row in range(60)]
    data = parts_of(pictures(tmp_path / "pictures", groups=groups))
    learnt: list[IntArray] = []
    fit = propagation.fit_head
    monkeypatch.setattr(
        propagation, "fit_head", lambda space, targets, stop: learnt.append(targets) or fit(space, targets, stop)
    )
    run(data, tmp_path / "run", IteratedSettings(frozen=SPREAD))
    pool = np.concatenate([np.sort(np.concatenate([data.labelled, data.validation])), data.unlabelled])
    found, group = proposed(tmp_path / "run"), np.arange(60) // 2
    for half, targets in enumerate(learnt[-2:]):
        rows = pool[targets.sum(axis=1) > 0]
        assert len(rows)
        assert not np.isin(group[rows], group[found["rows"][found["network"] == half]]).any()


def test_one_label_per_class_is_enough(tmp_path: Path) -> None:
    snapshot = pictures(tmp_path / "pictures")
    rows = np.arange(len(snapshot))
    data = RecipeData(snapshot=snapshot, labelled=rows[:2], unlabelled=rows[3:], validation=rows[2:3])
    result = run(data, tmp_path / "run")
    assert result.best == "spread"
    assert result.choice["held_out"] == 0
    assert result.validation.value is None
    assert proposal_thresholds(tmp_path / "run") is None


def test_a_named_validation_split_is_used_only_for_scoring(tmp_path: Path) -> None:
    data = parts_of(pictures(tmp_path / "pictures"))
    result = run(data, tmp_path / "run", IteratedSettings(validation_split="val"))
    assert result.choice["held_out"] == len(data.labelled)


def test_a_second_run_only_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = parts_of(pictures(tmp_path / "pictures"))
    first = run(data, tmp_path / "run")
    monkeypatch.setattr(propagation, "spread_labels", None)
    assert run(data, tmp_path / "run") == first


def test_masks_are_refused(tmp_path: Path) -> None:
    scenes = drawn(tmp_path / "scenes", 12)
    rows = np.arange(12)
    data = RecipeData(snapshot=scenes.snapshot, labelled=rows[:4], unlabelled=rows[4:10], validation=rows[10:])
    assert data.snapshot.task is Task.SEGMENTATION
    with pytest.raises(ConfigError, match="labels of images only"):
        run(data, tmp_path / "run")


def test_labels_only_from_the_groups_of_the_predicted_images_are_refused(tmp_path: Path) -> None:
    data = parts_of(pictures(tmp_path / "pictures"))
    one_group = replace(data.snapshot, groups=["all"] * 60)
    parts = {name: getattr(data, name) for name in ("labelled", "unlabelled", "validation")}
    with pytest.raises(RoundError, match="would learn their groups"):
        run(RecipeData(snapshot=one_group, **parts), tmp_path / "run")


def test_an_unknown_learner_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be 'probe', 'spread' or empty"):
        IteratedSettings(frozen="knn")
