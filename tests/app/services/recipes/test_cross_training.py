"""Cross training through the worker's steps: few masks and tags in, regions to review and figures out."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.services import reviews
from app.services.app_context import AppContext
from app.services.masks import current as masks, round_masks
from app.services.reviews import ActKey, Choice
from app.services.rounds import jobs as rounds
from app.services.tags import current as tags
from app.worker import steps
from core.config import SMALL_MASK_NETWORK, RoundConfig
from core.recipes.cross_training.roles import Parts
from core.types import (
    NO_LABEL,
    ConfigError,
    DatasetError,
    Finding,
    FindingFilter,
    FindingKind,
    JobStatus,
    Order,
    Recipe,
    RoundCancelledError,
    RoundError,
    Status,
    Verdict,
)
from db.queries import masks as mask_rows
from tools.fixtures.scenes import CAR, HOUSE, ROAD, SKY, TREE, add_scenes

CONFIG = RoundConfig(folds=2, model=SMALL_MASK_NETWORK, input_size=32, epochs=1, batch_size=4, min_region=4, seed=1)
SETTINGS: dict[str, Any] = {"steps": 3, "batch_size": 4, "block": 2}
COUNT, BARE = 12, 6
SKY_ROWS = 20

pytestmark = pytest.mark.usefixtures("one_thread")


def go_on() -> bool:
    return False


@pytest.fixture
def few(app_context: AppContext, tmp_path: Path) -> AppContext:
    """Return twelve scenes; the last six have no mask, and four of these have tags. Every third is for testing."""
    add_scenes(app_context, tmp_path / "scenes", COUNT, unlabelled=BARE)
    for sample_id in (8, 9, 11, 12):
        tags.tag(app_context, sample_id, [SKY, ROAD, HOUSE, TREE], by="ada")
    return app_context


def start(app_context: AppContext, **settings: Any) -> int:
    return rounds.start_round(
        app_context, 1, CONFIG, "ada", recipe=Recipe.CROSS_TRAINING, recipe_config=SETTINGS | settings
    ).id


def done(app_context: AppContext, round_id: int) -> None:
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    steps.train_fold(app_context, go_on, round_id=round_id, fold=0)
    steps.judge(app_context, go_on, round_id=round_id)


def found_by(app_context: AppContext, round_id: int) -> list[Finding]:
    """Return all findings about what nobody labelled, the surest first."""
    chosen = FindingFilter(round_id=round_id, kinds=frozenset({FindingKind.UNLABELLED}), statuses=frozenset(Status))
    return list(reviews.page(app_context, chosen, Order.SUSPICION, None, 200).items)


def paint_sky(app_context: AppContext, sample_id: int) -> None:
    """Begin an image's mask in the editor: its uppermost rows are sky."""
    base, given = masks.read_mask(app_context, sample_id)
    mask = given.copy()
    mask[:SKY_ROWS] = SKY
    packed = zlib.compress(mask.tobytes())
    masks.save_edit(
        app_context, sample_id, masks.EditContext(), packed, base=base, by="ada", key=ActKey("ada", sample_id)
    )


def pixels(app_context: AppContext, finding: Finding) -> np.ndarray:
    """Return the pixels of a finding's region, (H, W) bool."""
    with app_context.database.read() as session:
        region = mask_rows.region_of(session, finding.id)
    drawn = np.zeros((120, 160), np.uint8)
    if region is not None:
        region.paint(drawn, 1)
    return drawn == 1


def test_tags_become_masks_to_review(few: AppContext) -> None:
    round_id = start(few)
    done(few, round_id)
    info = rounds.get_round(few, round_id)
    assert info.status is JobStatus.DONE
    parts = Parts.load(few.round_folder(round_id)).data
    assert parts.snapshot.sample_ids[parts.labelled].tolist() == [2, 3, 5, 6]
    assert parts.snapshot.sample_ids[parts.unlabelled].tolist() == [8, 9, 11, 12]
    assert parts.snapshot.sample_ids[parts.test].tolist() == [1, 4]

    measured = rounds.metrics(few, round_id)
    assert set(measured["stages"]) == {
        "baseline", "baseline_tagged", "hybrid", "pseudo", "retrained", "retrained_tagged"
    }  # fmt: skip
    assert measured["miou"] == measured["stages"]["retrained"]["mean_iou"] == info.mean_iou
    assert measured["parts"] == {"labelled": 4, "unlabelled": 4, "validation": 0, "test": 2}
    assert measured["painter"] == "pseudo"

    found = found_by(few, round_id)
    assert len(found) == measured["unlabelled_regions"] > 0
    assert {one.sample_id for one in found} <= {8, 9, 11, 12}
    assert {one.given for one in found} == {NO_LABEL}
    assert CAR not in {one.pseudo for one in found}  # no tag names it
    confidences = [one.confidence for one in found]
    assert confidences == sorted(confidences, reverse=True)
    predicted = round_masks.predicted_mask(few, round_id, found[0].sample_id)
    x, y, width, height = found[0].box
    assert (predicted[y : y + height, x : x + width] == found[0].pseudo).sum() >= found[0].area

    for sample_id in (2, 7):  # one has a mask, the other is in a split that judges
        with pytest.raises(reviews.NotFoundError):
            round_masks.predicted_mask(few, round_id, sample_id)

    reviews.decide(few, [Choice(found[0].id, Verdict.ACCEPT)], by="ada")
    _, mask = masks.read_mask(few, found[0].sample_id)
    assert (mask == found[0].pseudo).sum() == found[0].area


def test_unfinished_masks_are_completed_without_changing_judged_pixels(few: AppContext) -> None:
    done(few, first := start(few))
    rejected = [one for one in found_by(few, first) if one.sample_id == 9]
    reviews.decide(few, [Choice(one.id, Verdict.AMBIGUOUS) for one in rejected], by="ada")
    for sample_id in (8, 11, 12):
        paint_sky(few, sample_id)

    done(few, second := start(few))
    parts = Parts.load(few.round_folder(second))
    ids = parts.data.snapshot.sample_ids
    assert ids[parts.data.labelled].tolist() == [2, 3, 5, 6]
    assert ids[parts.data.unlabelled].tolist() == [8, 9, 11, 12]
    assert ids[parts.begun].tolist() == [8, 11, 12]
    found = found_by(few, second)
    assert {one.sample_id for one in found} >= {8, 11, 12}
    for one in found:
        if one.sample_id != 9:
            assert not pixels(few, one)[:SKY_ROWS].any()
    judged = np.logical_or.reduce([pixels(few, one) for one in rejected])
    assert not any((pixels(few, one) & judged).any() for one in found if one.sample_id == 9)
    predicted = round_masks.predicted_mask(few, second, 8)
    assert (predicted[:SKY_ROWS] == SKY).all()  # what is known stands in what was painted


def test_a_round_can_start_with_only_unfinished_masks(few: AppContext) -> None:
    for sample_id in (8, 9, 11, 12):
        paint_sky(few, sample_id)
    second = start(few)
    steps.take_snapshot(few, go_on, round_id=second)
    parts = Parts.load(few.round_folder(second))
    assert parts.begun.tolist() == parts.data.unlabelled.tolist()
    assert len(parts.begun) == 4


def test_a_killed_round_resumes_and_gives_the_same_result(few: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.learn import cross_training

    monkeypatch.setattr(cross_training, "LOOK_SECONDS", 0.0)
    first = start(few)
    steps.take_snapshot(few, go_on, round_id=first)
    asked = []

    def stop_in_the_middle() -> bool:
        asked.append(1)
        return (few.round_folder(first) / "pair.checkpoint").exists()

    with pytest.raises(RoundCancelledError):
        steps.train_fold(few, stop_in_the_middle, round_id=first, fold=0)
    assert asked
    assert not (few.round_folder(first) / "result.json").exists()
    steps.train_fold(few, go_on, round_id=first, fold=0)
    steps.judge(few, go_on, round_id=first)
    again = start(few)
    done(few, again)
    results = [(few.round_folder(one) / "result.json").read_bytes() for one in (first, again)]
    assert results[0] == results[1]
    predicted = [np.load(few.round_folder(one) / "predicted.npy") for one in (first, again)]
    np.testing.assert_array_equal(*predicted)


def test_a_cancelled_round_stops_and_leaves_no_findings(few: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.learn import training

    monkeypatch.setattr(training, "LOOK_SECONDS", 0.0)
    round_id = start(few)
    steps.take_snapshot(few, go_on, round_id=round_id)
    with pytest.raises(RoundCancelledError):
        steps.train_fold(few, lambda: True, round_id=round_id, fold=0)
    rounds.cancel_round(few, round_id)
    assert rounds.get_round(few, round_id).status is JobStatus.CANCELLED


def test_a_round_without_masks_tags_or_valid_settings_is_refused_at_the_start(
    app_context: AppContext, tmp_path: Path
) -> None:
    add_scenes(app_context, tmp_path / "scenes", 6, unlabelled=2)
    with pytest.raises(RoundError, match=r"without a mask has tags; tag some on the Tags page or with `tags import`"):
        start(app_context)
    with pytest.raises(ConfigError, match="there is no such file; name a list of images"):
        start(app_context, test_list=str(tmp_path / "nowhere.txt"))
    with pytest.raises(ConfigError, match="background is 'sea'; name one of sky, road"):
        start(app_context, background="sea")
    with pytest.raises(ConfigError, match="batch_size is 5"):
        start(app_context, batch_size=5)
    other = add_scenes(app_context, tmp_path / "bare", 3, unlabelled=3, name="bare")
    with pytest.raises(RoundError, match="bare has no masks to learn from"):
        rounds.start_round(app_context, other, CONFIG, "ada", recipe=Recipe.CROSS_TRAINING, recipe_config=SETTINGS)


def test_masks_only_in_test_splits_are_refused_when_the_round_opens(few: AppContext) -> None:
    round_id = start(few, test_split="test,train")
    with pytest.raises(DatasetError, match="no image outside the test and validation splits has a finished mask"):
        steps.take_snapshot(few, go_on, round_id=round_id)


def test_an_experiment_with_hidden_masks_needs_no_tags(app_context: AppContext, tmp_path: Path) -> None:
    add_scenes(app_context, tmp_path / "scenes", COUNT)
    round_id = start(app_context, labelled_first=3, baseline=False)
    done(app_context, round_id)
    measured = rounds.metrics(app_context, round_id)
    assert measured["parts"] == {"labelled": 3, "unlabelled": 5, "validation": 0, "test": 4}
    assert measured["unlabelled_regions"] == 0  # every image has a mask of its own
    assert "baseline" not in measured["stages"]
