"""Before/after comparison through the worker's steps: given against cleaned labels, on judged images."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.services import reviews
from app.services.app_context import AppContext
from app.services.evaluation import impact, splits as evaluation
from app.services.recipes.comparison import as_one_piece
from app.services.reviews import Choice
from app.services.rounds import jobs as rounds
from app.worker import steps
from core.config import SMALL_MASK_NETWORK, Member, RoundConfig
from core.data.snapshot import Snapshot
from core.learn import training
from core.types import FindingFilter, JobStatus, Progress, Recipe, RoundCancelledError, RoundError, Verdict
from db.models import RoundRow
from db.queries import rounds as round_rows
from tests.app.evaluated import CONFIG, everything, judge, shown, spoil_and_clean
from tests.app.services.reviewed import digits, digits_home
from tools.fixtures.scenes import add_round, add_scenes

__all__ = ["digits", "digits_home"]

pytestmark = pytest.mark.usefixtures("one_thread")


def go_on() -> bool:
    return False


def started(app_context: AppContext, config: RoundConfig = CONFIG, seeds: int = 1) -> int:
    settings = {"seeds": seeds}
    return rounds.start_round(app_context, 1, config, "ada", recipe=Recipe.COMPARISON, recipe_config=settings).id


def run(app_context: AppContext, round_id: int) -> None:
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    steps.train_fold(app_context, go_on, round_id=round_id, fold=0)
    steps.judge(app_context, go_on, round_id=round_id)


def test_a_comparison_of_digits_shows_the_impact_of_cleaning(digits: AppContext) -> None:
    spoil_and_clean(digits)
    round_id = started(digits, seeds=2)
    run(digits, round_id)
    info = rounds.get_round(digits, round_id)
    assert info.status is JobStatus.DONE, info.message
    assert not info.is_reviewable
    said = impact.measured_comparison(digits, info).impact
    assert said is not None
    assert said["difference"] > 0.1
    assert said["interval"]["low"] > 0
    assert said["sentence"].startswith("Cleaning gains ")
    assert (said["count"], said["images"], len(said["seeds"])) == (75, 75, 2)
    assert {one["name"] for one in said["per_class"]} <= {str(digit) for digit in range(10)}
    changed = 150
    assert (said["changed"], said["learnt"]) == (changed, {"original": 225, "cleaned": 225})
    folder = digits.round_folder(round_id)
    original, cleaned = Snapshot.load(folder / "original"), Snapshot.load(folder)
    assert (original.labels != cleaned.labels).sum() == changed
    assert shown(digits, everything(round_id)) == []


def test_a_killed_comparison_resumes_and_a_cancelled_one_stops(
    digits: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "LOOK_SECONDS", 0.0)
    spoil_and_clean(digits)
    round_id = started(digits)
    steps.take_snapshot(digits, go_on, round_id=round_id)
    half = iter([False] * 3)
    with pytest.raises(RoundCancelledError):
        steps.train_fold(digits, lambda: next(half, True), round_id=round_id, fold=0)
    steps.train_fold(digits, go_on, round_id=round_id, fold=0)
    with digits.database.read() as session:
        (piece,) = round_rows.folds_of(session, round_id)
    assert (piece.status, piece.attempt) == (JobStatus.DONE, 2)
    assert piece.message == "cleaned labels, seed 0"
    assert rounds.cancel_round(digits, round_id)
    with pytest.raises(RoundCancelledError):
        steps.judge(digits, go_on, round_id=round_id)
    assert impact.newest(impact.comparisons(digits, 1)) is None


def test_progress_of_all_trainings_is_reported_as_one_fold() -> None:
    seen: list[Progress] = []
    told = as_one_piece(seen.append)
    told(Progress("training", 1, 4, epoch=3, epochs=8, fraction=0.5, message="cleaned labels, seed 0"))
    assert (seen[0].fold, seen[0].folds, seen[0].fraction) == (0, 1, 0.375)


def test_an_unmet_precondition_is_refused_at_the_start_with_the_cure(digits: AppContext) -> None:
    with pytest.raises(RoundError, match=r"no split of digits is for .*“Evaluation splits”"):
        started(digits)
    spoil_and_clean(digits, judged=18)
    assert impact.readiness(digits, 1).queue == {"round": "1", "split": "test", "show": "any"}
    with pytest.raises(RoundError, match=r"people judged 18 images .* at least 30; judge 12 more of it in the review"):
        impact.start(digits, 1, "ada")
    judge(digits, 30)
    assert impact.readiness(digits, 1).missing == ""
    reviews.undo(digits, 1, by="ada")
    reviews.undo(digits, 1, by="ada")
    reviews.undo(digits, 1, by="ada")
    judge(digits, 30)
    with pytest.raises(RoundError, match="nothing outside of the evaluation split test was changed"):
        started(digits)
    assert impact.comparisons(digits, 1) == []


def test_a_comparison_is_refused_on_opening_if_too_little_is_left(digits: AppContext) -> None:
    spoil_and_clean(digits, judged=30)
    round_id = started(digits)
    reviews.undo(digits, 1, by="ada")
    with pytest.raises(RoundError, match="judge 30 more of it in the review"):
        steps.take_snapshot(digits, go_on, round_id=round_id)


def test_one_click_uses_the_settings_of_the_newest_round(digits: AppContext) -> None:
    spoil_and_clean(digits)
    info = impact.start(digits, 1, "ada", seeds=5)
    assert info.config == RoundConfig(folds=2).to_json()
    assert (info.recipe_config, info.created_by) == ({"seeds": 5}, "ada")
    assert impact.view(digits, 1).at_work == info


def test_only_the_first_of_several_networks_is_compared(digits: AppContext) -> None:
    spoil_and_clean(digits)
    first = RoundConfig(folds=2)
    with digits.database.write() as session:
        for row in session.query(RoundRow):
            row.config = replace(first, members=(Member.of(replace(first, epochs=1)),)).to_json()
    assert impact.start(digits, 1, "ada").config == first.to_json()


@pytest.mark.slow
def test_a_comparison_of_masks_is_measured_on_reviewed_images(app_context: AppContext, tmp_path: Path) -> None:
    """Of 66 scenes the 22 of `test` are judged region by region; the sky and cars of the others are put right."""
    add_round(app_context, add_scenes(app_context, tmp_path / "scenes", 66, width=64, height=48))
    evaluation.protect(app_context, 1, "test")
    found = shown(app_context, FindingFilter(round_id=1))
    reviews.decide(app_context, [Choice(one.id, Verdict.ACCEPT) for one in found], by="ada")
    config = replace(CONFIG, model=SMALL_MASK_NETWORK, input_size=64, grey=False, epochs=10, batch_size=4, mirror=False)
    round_id = started(app_context, config)
    run(app_context, round_id)
    said = impact.measured_comparison(app_context, rounds.get_round(app_context, round_id)).impact
    assert said is not None
    assert (said["measure"], said["count"], said["changed"]) == ("mean IoU", 22, 44)
    assert said["difference"] > 0
    assert said["per_class"][-1]["name"] == "car"
