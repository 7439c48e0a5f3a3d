"""A whole round of masks, judged from its folds' files."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given as drawn, settings, strategies as st

from core.config import RoundConfig
from core.data.masks.store import MaskStore
from core.data.planting import Planting, plant
from core.data.predictions import create_predictions
from core.data.snapshot import Snapshot, SnapshotMasks
from core.judge.mask_judgement import IMAGE_SCORES, judge_masks, merge_votes
from core.types import (
    IGNORE,
    NO_LABEL,
    ByteArray,
    FindingKind,
    FloatArray,
    IntArray,
    Progress,
    Region,
    RoundCancelledError,
    RoundError,
)

CLASSES = ["ground", "disc", "block", "bar"]
CONFIG = RoundConfig(folds=2, min_region=20, boundary=3)


def scene(seed: int, height: int = 60, width: int = 80) -> IntArray:
    """Return ground with a disc, a block and a bar at places of their own."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (int(rng.integers(15, 25)), int(rng.integers(15, 40))), 9, 1, -1)
    left, top = rng.integers(40, 55), rng.integers(5, 25)
    mask[top : top + 14, left : left + 16] = 2
    mask[52:56, 5:75] = 3
    return mask


class FinishedRound:
    """A round's folder whose folds are done: models that know the true masks and are as sure as told."""

    def __init__(self, folder: Path, given: list[IntArray | None], true: list[IntArray], sure: float = 0.9) -> None:
        self.folder, self.store = folder / "round", MaskStore(folder / "masks")
        self.true, self.given = true, given
        names = ["" if mask is None else self.store.put(mask, durable=False) for mask in given]
        sizes = np.array([mask.shape for mask in true], np.int32)
        count = len(true)
        self.masks = SnapshotMasks(names, [""] * count, sizes)
        self.snapshot = Snapshot(
            sample_ids=np.arange(100, 100 + count),
            paths=[f"/images/{number:03}.png" for number in range(count)],
            labels=np.zeros(count, np.int32),
            groups=[""] * count,
            content_hashes=[str(number) for number in range(count)],
            classes=CLASSES,
            masks=self.masks,
        )
        self.snapshot.save(self.folder)
        predictions = create_predictions(self.folder, sizes, len(CLASSES))
        for row, (mask, label) in enumerate(zip(true, given, strict=True)):
            predicted, confidence, likely = predictions.of(row)
            predicted[:] = mask
            confidence[:] = round(255 * sure)
            likely[:] = np.where(mask == (mask if label is None else label), round(255 * sure), 5)
            likely[mask * 0 == 1 if label is None else label == IGNORE] = 255
            predictions.fold[row] = row % 2
        predictions.flush()

    def settle(self, row: int, settled: IntArray) -> None:
        self.masks.settled[row] = self.store.put(settled, durable=False)
        self.snapshot.save(self.folder)


@pytest.fixture
def spoilt(tmp_path: Path) -> tuple[FinishedRound, dict[int, Region]]:
    """Return a round of 40 scenes, one in eight of them with a class swapped or an object dropped."""
    true = [scene(seed) for seed in range(40)]
    given: list[IntArray | None] = list(true)
    planted = {}
    for row in range(0, 40, 8):
        kind = Planting.SWAPPED if row % 16 else Planting.DROPPED
        given[row], planted[row] = plant(true[row], kind, np.random.default_rng(row))
    return FinishedRound(tmp_path, given, true), planted


def test_planted_errors_are_found_with_their_classes(
    spoilt: tuple[FinishedRound, dict[int, Region]],
) -> None:
    finished, planted = spoilt
    judgement = judge_masks(finished.folder, CONFIG, finished.store)
    assert {one.row for one in judgement.findings} == set(planted)
    for one in judgement.findings:
        given = finished.given[one.row]
        assert given is not None
        inside = np.zeros(given.shape, np.uint8)
        one.region.paint(inside, 1)
        np.testing.assert_array_equal(inside == 1, given != finished.true[one.row])
        assert set(given[inside == 1].tolist()) == {one.given}
        assert set(finished.true[one.row][inside == 1].tolist()) == {one.pseudo}
        assert one.confidence == pytest.approx(0.9, abs=0.003)
        assert one.self_confidence == pytest.approx(5 / 255)
        assert one.margin == pytest.approx((one.self_confidence - one.confidence + 1) / 2)
        assert one.fold == one.row % 2


def test_the_metrics_are_json_and_cover_all_pixels(spoilt: tuple[FinishedRound, dict[int, Region]]) -> None:
    finished, planted = spoilt
    metrics = judge_masks(finished.folder, CONFIG, finished.store).metrics
    assert json.loads(json.dumps(metrics)) == metrics
    wrong = sum(region.area for region in planted.values())
    assert metrics["task"] == "segmentation"
    assert metrics["accuracy"] == pytest.approx(1 - wrong / (40 * 60 * 80))
    assert np.sum(metrics["confusion"]) == 40 * 60 * 80
    assert len(metrics["accuracy_per_fold"]) == 2
    assert 0.9 < metrics["miou"] < 1
    assert metrics["regions"] == metrics["estimated_errors"] == len(planted)
    assert [row["name"] for row in metrics["per_class"]] == CLASSES
    assert sum(row["count"] for row in metrics["per_class"]) == 40 * 60 * 80
    [bin_] = metrics["calibration"]
    assert bin_["mean_confidence"] == pytest.approx(0.9, abs=0.003)
    assert bin_["lower"] <= 0.9 < bin_["upper"]
    assert 0.5 <= metrics["proposed_threshold"] <= 1


def test_masks_of_an_evaluation_split_affect_nothing_outside_it(tmp_path: Path) -> None:
    true = [scene(seed) for seed in range(20)]
    wrong: list[IntArray | None] = [mask if row < 15 else (3 - mask).astype(np.uint8) for row, mask in enumerate(true)]
    said = []
    for name, given in (("right", list(true)), ("wrong", wrong)):
        finished = FinishedRound(tmp_path / name, given, true)
        replace(finished.snapshot, protected=np.arange(20) >= 15).save(finished.folder)
        said.append(judge_masks(finished.folder, CONFIG, finished.store).metrics)
    for figure in ("proposed_threshold", "proposal", "class_thresholds", "calibration"):
        assert said[0][figure] == said[1][figure]
    assert said[1]["regions"] > said[0]["regions"] == 0  # they are judged all the same


def test_images_with_wrong_masks_rank_worst(spoilt: tuple[FinishedRound, dict[int, Region]]) -> None:
    finished, planted = spoilt
    metrics = judge_masks(finished.folder, CONFIG, finished.store).metrics
    scores = np.load(finished.folder / IMAGE_SCORES)
    assert scores.shape == (40,)
    assert set(np.argsort(scores)[: len(planted)].tolist()) == set(planted)
    worst = metrics["worst_images"][0]
    assert (worst["sample_id"], worst["name"]) == (100 + worst["row"], f"{worst['row']:03}.png")


def test_a_border_shifted_by_three_pixels_is_counted_separately(tmp_path: Path) -> None:
    true = [scene(seed) for seed in range(6)]
    given: list[IntArray | None] = [np.roll(mask, (2, -3), axis=(0, 1)) for mask in true]
    judgement = judge_masks(*_of(FinishedRound(tmp_path, given, true)))
    assert judgement.findings == []
    assert judgement.metrics["wobble_regions"] > 6
    assert judgement.metrics["estimated_errors"] == 0


def test_regions_settled_by_people_are_not_found_again(spoilt: tuple[FinishedRound, dict[int, Region]]) -> None:
    finished, planted = spoilt
    before = {one.row for one in judge_masks(*_of(finished)).findings}
    settled = np.zeros(finished.true[8].shape, np.uint8)
    planted[8].paint(settled, 1)
    finished.settle(8, settled)
    assert {one.row for one in judge_masks(*_of(finished)).findings} == before - {8}


def test_all_regions_of_images_without_a_mask_are_proposed_after_the_suspicious_ones(tmp_path: Path) -> None:
    true = [scene(seed) for seed in range(4)]
    finished = FinishedRound(tmp_path, [true[0], None, scene(9), None], true)
    judgement = judge_masks(*_of(finished))
    suspicious = [one for one in judgement.findings if one.kind is FindingKind.SUSPICIOUS]
    proposed = judgement.findings[len(suspicious) :]
    assert {one.row for one in suspicious} == {2}
    assert {(one.row, one.kind, one.given) for one in proposed} == {
        (row, FindingKind.UNLABELLED, NO_LABEL) for row in (1, 3)
    }
    for row in (1, 3):
        painted = np.full(true[row].shape, IGNORE, np.uint8)
        for one in proposed:
            if one.row == row:
                one.region.paint(painted, one.pseudo)
        np.testing.assert_array_equal(painted, true[row])
    assert (judgement.metrics["regions"], judgement.metrics["unlabelled_regions"]) == (len(suspicious), len(proposed))
    assert np.load(finished.folder / IMAGE_SCORES)[[1, 3]].tolist() == [1, 1]
    assert np.sum(judgement.metrics["confusion"]) == 2 * 60 * 80
    assert {worst["row"] for worst in judgement.metrics["worst_images"]} == {0, 2}


def test_unsettled_regions_of_an_image_imported_without_a_mask_are_proposed_again(tmp_path: Path) -> None:
    true = [scene(seed) for seed in range(3)]
    accepted = np.full(true[1].shape, IGNORE, np.uint8)
    accepted[true[1] == 1] = 1  # in a former round
    meant = np.where(true[2] == 2, IGNORE, true[2]).astype(np.uint8)  # came like this: left out on purpose
    finished = FinishedRound(tmp_path, [true[0], accepted, meant], true)
    settled = (true[1] == 3).astype(np.uint8)  # people said that the bar is none of the classes
    finished.masks = replace(finished.masks, bare=np.array([False, True, False]))
    finished.snapshot = replace(finished.snapshot, masks=finished.masks)
    finished.settle(1, settled)
    found = judge_masks(*_of(finished)).findings
    assert sorted((one.row, one.pseudo) for one in found) == [(1, 0), (1, 2)]


def test_unlabelled_pixels_and_absent_classes_are_handled(tmp_path: Path) -> None:
    true = [np.zeros((30, 30), np.uint8)] * 2
    blank = np.full((30, 30), IGNORE, np.uint8)
    judgement = judge_masks(*_of(FinishedRound(tmp_path, [blank, true[1]], true)))
    assert judgement.findings == []
    assert judgement.metrics["iou_per_class"] == [1.0, None, None, None]
    assert judgement.metrics["accuracy_per_fold"] == [None, 1.0]
    assert judgement.metrics["miou"] == 1.0


def test_an_unfinished_round_is_refused(tmp_path: Path) -> None:
    true = [scene(0), scene(1)]
    finished = FinishedRound(tmp_path, list(true), true)
    predictions = create_predictions(finished.folder, finished.masks.sizes, len(CLASSES))
    predictions.fold[1] = -1
    predictions.flush()
    with pytest.raises(RoundError, match="1 of 2 images were not predicted"):
        judge_masks(*_of(finished))


def test_a_missing_mask_is_named_with_its_image(tmp_path: Path) -> None:
    true = [scene(0), scene(1)]
    finished = FinishedRound(tmp_path, list(true), true)
    finished.store.path(finished.masks.labels[1]).unlink()
    with pytest.raises(RoundError, match=r"/images/001.png: .*import the dataset again"):
        judge_masks(*_of(finished))


def test_a_round_without_any_mask_is_refused_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(RoundError, match="label some first"):
        judge_masks(*_of(FinishedRound(tmp_path, [None], [scene(0)])))


def test_judging_reports_progress_and_stops_on_cancel(spoilt: tuple[FinishedRound, dict[int, Region]]) -> None:
    finished, _ = spoilt
    told: list[Progress] = []
    judge_masks(*_of(finished), report=told.append)
    assert [progress.stage for progress in told] == ["judging"] * 3
    assert told[-1].fraction == 1
    with pytest.raises(RoundCancelledError):
        judge_masks(*_of(finished), should_stop=lambda: True)


def test_judging_again_gives_the_same_result(spoilt: tuple[FinishedRound, dict[int, Region]]) -> None:
    finished, _ = spoilt
    first, again = judge_masks(*_of(finished)), judge_masks(*_of(finished))
    assert first.metrics == again.metrics
    assert [one.region.to_bytes() for one in first.findings] == [one.region.to_bytes() for one in again.findings]


def _of(finished: FinishedRound) -> tuple[Path, RoundConfig, MaskStore]:
    return finished.folder, CONFIG, finished.store


VOTED_CLASSES = 4


def models(seed: int, folds: int, sharpness: float = 2.0) -> FloatArray:
    """Return what some models give each class at each pixel, (F, K, H, W)."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(1, VOTED_CLASSES, 9, 11))
    logits = sharpness * (common + 0.7 * rng.normal(size=(folds, VOTED_CLASSES, 9, 11)))
    shares = np.exp(logits)
    probs: FloatArray = shares / shares.sum(axis=1, keepdims=True)
    return probs


def votes_of(probs: FloatArray) -> list[tuple[IntArray, ByteArray]]:
    return [(one.argmax(axis=0).astype(np.uint8), np.round(255 * one.max(axis=0)).astype(np.uint8)) for one in probs]


@drawn(st.integers(0, 999), st.integers(1, 7))
@settings(deadline=None, max_examples=50)
def test_confidence_is_at_most_the_mean_and_equal_to_it_if_all_folds_agree(seed: int, folds: int) -> None:
    probs = models(seed, folds)
    predicted, confidence = merge_votes(votes_of(probs))
    mean = np.take_along_axis(probs.mean(axis=0), predicted[None].astype(np.int64), axis=0)[0]
    named = np.stack([one.argmax(axis=0) for one in probs])
    unanimous = (named == named[:1]).all(axis=0)
    np.testing.assert_allclose(confidence[unanimous] / 255, mean[unanimous], atol=1 / 255)
    assert (confidence / 255 <= mean + 1 / 255).all()
    left = np.where(named == predicted, 0, 1 - probs.max(axis=1)).mean(axis=0)
    assert (mean - confidence / 255 <= left + 1 / 255).all()
    assert (named == predicted).any(axis=0).all(), "somebody named it"


@drawn(st.integers(0, 999), st.permutations(range(VOTED_CLASSES)))
@settings(deadline=None, max_examples=30)
def test_renaming_the_classes_changes_nothing(seed: int, names: list[int]) -> None:
    votes = votes_of(models(seed, 5))
    renamed = np.array(names, np.uint8)
    predicted, confidence = merge_votes(votes)
    again, sure = merge_votes([(renamed[named], own) for named, own in votes])
    np.testing.assert_array_equal(again, renamed[predicted])
    np.testing.assert_array_equal(sure, confidence)


def test_merged_votes_of_confident_models_equal_the_dense_mean() -> None:
    """With networks as sure as trained ones are, the class is nearly always that of the dense mean."""
    probs = np.concatenate([models(seed, 5, sharpness=4) for seed in range(20)], axis=3)
    predicted, _ = merge_votes(votes_of(probs))
    assert (predicted == probs.mean(axis=0).argmax(axis=0)).mean() > 0.95


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([(1, 200)], (1, 200)),
        ([(1, 250), (2, 120), (2, 140)], (2, 87)),  # two who lean to a class outweigh one who is sure, by a hair
        ([(1, 255), (2, 255), (1, 0)], (1, 85)),  # as likely: the first to name one
        ([(3, 255)] * 9, (3, 255)),
    ],
)
def test_merged_votes_match_hand_made_examples(votes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    wide = [(np.full((1, 1), named, np.uint16), np.full((1, 1), sure, np.uint8)) for named, sure in votes]
    predicted, confidence = merge_votes(wide)
    assert (int(predicted[0, 0]), int(confidence[0, 0])) == expected
    assert (predicted.dtype, confidence.dtype) == (np.uint16, np.uint8)
