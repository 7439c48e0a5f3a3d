"""Teacher and student through the worker's steps: few labels in, findings of all other images and figures out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from app.components.insight_sections import result_on_test
from app.services import datasets, reviews
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.masks import current as masks, round_masks
from app.services.recipes.iterated import as_one_piece
from app.services.reviews import Choice
from app.services.reviews.store import NotFoundError
from app.services.rounds import jobs as rounds, resume as resuming
from app.worker import steps
from core.config import SMALL_MASK_NETWORK, IteratedSettings, RoundConfig
from core.data.networks import kept_networks
from core.recipes.iterated.roles import IteratedParts
from core.types import (
    NO_LABEL,
    ConfigError,
    DatasetError,
    Finding,
    FindingFilter,
    FindingKind,
    JobStatus,
    Order,
    Progress,
    Recipe,
    RoundCancelledError,
    RoundError,
    Status,
    Verdict,
)
from db.models import SampleRow
from tools.fixtures.scenes import add_scenes

CLASSES = RoundConfig(folds=2, input_size=8, grey=True, epochs=3, batch_size=16, seed=1)
MASKS = RoundConfig(folds=2, model=SMALL_MASK_NETWORK, input_size=32, epochs=1, batch_size=4, min_region=4, seed=1)
SETTINGS: dict[str, Any] = {"iterations": 1, "least_confidence": 0.0}
COUNT, BARE = 12, 6

pytestmark = pytest.mark.usefixtures("one_thread")


def go_on() -> bool:
    return False


@pytest.fixture
def digits(app_context: AppContext, digits_folder: Path) -> AppContext:
    """Return 300 digits of which every third has a label."""
    imports.run_import(
        app_context, imports.add_import(app_context, ImportRequest(name="digits", source=str(digits_folder)))
    )
    with app_context.database.write() as session:
        for sample in session.query(SampleRow):
            sample.label = sample.label if sample.id % 3 == 0 else None
    return app_context


@pytest.fixture
def scenes(app_context: AppContext, tmp_path: Path) -> AppContext:
    """Return twelve scenes; the last six have no mask. Every third is of the split "test"."""
    add_scenes(app_context, tmp_path / "scenes", COUNT, unlabelled=BARE)
    return app_context


def start(app_context: AppContext, config: RoundConfig, **settings: Any) -> int:
    return rounds.start_round(
        app_context, 1, config, "ada", recipe=Recipe.ITERATED, recipe_config=SETTINGS | settings
    ).id


def done(app_context: AppContext, round_id: int) -> None:
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    steps.train_fold(app_context, go_on, round_id=round_id, fold=0)
    steps.judge(app_context, go_on, round_id=round_id)


def found_in(app_context: AppContext, round_id: int) -> list[Finding]:
    every = FindingFilter(round_id=round_id, kinds=frozenset(FindingKind), statuses=frozenset(Status))
    return list(reviews.page(app_context, every, Order.SUSPICION, None, 200).items)


def test_labels_are_proposed_for_unlabelled_images(digits: AppContext) -> None:
    round_id = start(digits, CLASSES)
    done(digits, round_id)
    info = rounds.get_round(digits, round_id)
    assert info.status is JobStatus.DONE
    parts = IteratedParts.load(digits.round_folder(round_id))
    assert len(parts.to_predict) == len(parts.data.unlabelled) == 200
    assert len(parts.data.labelled) + len(parts.data.validation) == 100
    assert len(parts.data.validation) == 20

    measured = rounds.metrics(digits, round_id)
    assert [one["number"] for one in measured["iterations"]] == [1]
    assert measured["parts"] == {"labelled": 80, "unlabelled": 200, "validation": 20, "test": 0}
    assert measured["accuracy"] == measured["validation"]["value"] == info.accuracy
    assert measured["test"] is None
    thresholds = measured["class_thresholds"]
    assert [one["label"] for one in thresholds] == list(range(10))
    assert all(50 <= one["percent"] <= 100 for one in thresholds)
    assert "not measured separately" in result_on_test(measured)

    found = found_in(digits, round_id)
    assert len(found) == 200
    assert {one.sample_id for one in found} == set(parts.data.snapshot.sample_ids[parts.to_predict].tolist())
    assert {one.kind for one in found} == {FindingKind.UNLABELLED}
    assert {one.given for one in found} == {NO_LABEL}
    confidences = [one.confidence for one in found]
    assert confidences == sorted(confidences, reverse=True)
    assert all(one.top[0][0] == one.pseudo and len(one.top) == 5 for one in found)
    (asked,) = [kept for kept in kept_networks(digits.round_folder(round_id)) if kept.about.predicts]
    assert asked.name == measured["best"]
    (run,) = rounds.progress(digits, round_id).folds
    assert run.model_hash == asked.hash

    reviews.decide(digits, [Choice(found[0].id, Verdict.ACCEPT)], by="ada")
    again = start(digits, CLASSES)
    steps.take_snapshot(digits, go_on, round_id=again)
    assert len(IteratedParts.load(digits.round_folder(again)).to_predict) == 199


def test_a_former_round_with_the_hidden_labels_is_the_ceiling(digits: AppContext) -> None:
    with digits.database.write() as session:
        hidden = {sample.id: sample.label for sample in session.query(SampleRow)}
        for sample in session.query(SampleRow):
            sample.label = sample.id % 2
    earlier = rounds.start_round(digits, 1, replace(CLASSES, epochs=1), "ada").id
    steps.take_snapshot(digits, go_on, round_id=earlier)
    for fold in range(2):
        steps.train_fold(digits, go_on, round_id=earlier, fold=fold)
    steps.judge(digits, go_on, round_id=earlier)
    with digits.database.write() as session:
        for sample in session.query(SampleRow):
            sample.label = hidden[sample.id]
    round_id = start(digits, CLASSES)
    assert rounds.progress(digits, round_id).ceiling is None  # not opened yet
    steps.take_snapshot(digits, go_on, round_id=round_id)
    ceiling = rounds.progress(digits, round_id).ceiling
    assert ceiling is not None
    assert ceiling.source == "Round 1"
    assert 0 <= ceiling.value <= 1


def test_regions_are_proposed_for_images_without_a_mask(scenes: AppContext) -> None:
    round_id = start(scenes, MASKS, test_split="test")
    done(scenes, round_id)
    assert rounds.get_round(scenes, round_id).status is JobStatus.DONE
    parts = IteratedParts.load(scenes.round_folder(round_id))
    assert parts.data.snapshot.sample_ids[parts.data.test].tolist() == [1, 4]
    assert parts.data.snapshot.sample_ids[parts.to_predict].tolist() == [7, 8, 9, 10, 11, 12]

    measured = rounds.metrics(scenes, round_id)
    assert measured["miou"] == measured["test"]["value"]
    assert "class_thresholds" not in measured
    assert result_on_test(measured).startswith("On the test images: ")
    found = found_in(scenes, round_id)
    assert len(found) == measured["found"] > 0
    assert {one.sample_id for one in found} <= {7, 8, 9, 10, 11, 12}
    assert {one.given for one in found} == {NO_LABEL}
    predicted = round_masks.predicted_mask(scenes, round_id, found[0].sample_id)
    x, y, width, height = found[0].box
    assert (predicted[y : y + height, x : x + width] == found[0].pseudo).sum() >= found[0].area
    with pytest.raises(NotFoundError, match="without a mask only"):
        round_masks.predicted_mask(scenes, round_id, 2)
    assert (scenes.round_folder(round_id) / "camvid" / "unlabeled" / "train_pseudoIt1").is_dir()

    reviews.decide(scenes, [Choice(found[0].id, Verdict.ACCEPT)], by="ada")
    _, mask = masks.read_mask(scenes, found[0].sample_id)
    assert (mask == found[0].pseudo).sum() == found[0].area


def test_a_round_cancelled_after_each_stage_gives_the_same_result(
    digits: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.learn import training

    monkeypatch.setattr(training, "LOOK_SECONDS", 0.0)
    first = start(digits, CLASSES)
    steps.take_snapshot(digits, go_on, round_id=first)
    for stage in ("baseline", "student_1"):

        def stop(stage: str = stage) -> bool:
            return (digits.round_folder(first) / f"{stage}.json").exists()

        with pytest.raises(RoundCancelledError):
            steps.train_fold(digits, stop, round_id=first, fold=0)
        rounds.cancel_round(digits, first)
        resuming.resume_round(digits, first)
        steps.take_snapshot(digits, go_on, round_id=first)
    steps.train_fold(digits, go_on, round_id=first, fold=0)
    steps.judge(digits, go_on, round_id=first)
    again = start(digits, CLASSES)
    done(digits, again)
    results = [(digits.round_folder(one) / "result.json").read_bytes() for one in (first, again)]
    assert results[0] == results[1]
    told = [
        [(one.sample_id, one.pseudo, one.confidence) for one in found_in(digits, number)] for number in (first, again)
    ]
    assert told[0] == told[1]


def test_a_cancelled_round_stops_and_leaves_no_findings(digits: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.learn import training

    monkeypatch.setattr(training, "LOOK_SECONDS", 0.0)
    round_id = start(digits, CLASSES)
    steps.take_snapshot(digits, go_on, round_id=round_id)
    with pytest.raises(RoundCancelledError):
        steps.train_fold(digits, lambda: True, round_id=round_id, fold=0)
    rounds.cancel_round(digits, round_id)
    assert rounds.get_round(digits, round_id).status is JobStatus.CANCELLED
    assert found_in(digits, round_id) == []


def test_unusable_labels_are_refused_with_a_cure(scenes: AppContext, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="iterations is 0"):
        start(scenes, MASKS, iterations=0)
    whole = add_scenes(scenes, tmp_path / "whole", 4, name="whole")
    with pytest.raises(RoundError, match="every image of whole has a label"):
        rounds.start_round(scenes, whole, MASKS, "ada", recipe=Recipe.ITERATED)
    with scenes.database.write() as session:
        session.execute(update(SampleRow).where(SampleRow.mask_hash.is_(None)).values(split="bare"))
    round_id = start(scenes, MASKS, validation_split="bare")
    with pytest.raises(DatasetError, match="'bare' has no labelled image"):
        steps.take_snapshot(scenes, go_on, round_id=round_id)


def test_progress_is_reported_as_one_fold_with_named_stages(tmp_path: Path) -> None:
    told: list[Progress] = []
    report = as_one_piece(told.append, IteratedSettings(iterations=2), tmp_path)
    for number in range(9):
        report(Progress("training", number, 9, fraction=0.5))
    fractions = [one.fraction for one in told]
    assert fractions == sorted(fractions)
    np.testing.assert_allclose(fractions[0], 0.5 / 9)
    assert {(one.fold, one.folds) for one in told} == {(0, 1)}
    usual = IteratedSettings(iterations=1)
    (tmp_path / "baseline.json").write_text(json.dumps({"score": {"value": 0.914}}))
    (tmp_path / "pseudo_1.json").write_text(json.dumps({"labels": {}}))
    as_one_piece(told.append, usual, tmp_path)(Progress("training", 2, 9, message="a"))
    assert told[-1].message == "student 1 of 1 · a · labels alone 91.4%"


def test_an_unknown_split_is_refused_at_the_start(scenes: AppContext, digits: AppContext) -> None:
    with pytest.raises(ConfigError, match="'nope', which is not a split of scenes; name one of test, train, or none"):
        start(scenes, MASKS, validation_split="nope")
    number = next(card.dataset.id for card in datasets.list_datasets(digits) if card.dataset.name == "digits")
    wanted = {"test_split": "test"}
    with pytest.raises(ConfigError, match="test_split is 'test', which is not a split of digits; it has no splits"):
        rounds.start_round(digits, number, CLASSES, "ada", recipe=Recipe.ITERATED, recipe_config=wanted)
