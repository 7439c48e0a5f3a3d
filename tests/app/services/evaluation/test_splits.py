"""Evaluation splits: bulk acts leave them out, whatever the filter and whoever is faster; people judge them."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from app.services import datasets, reviews
from app.services.app_context import AppContext
from app.services.evaluation import impact as worth, preconditions, splits as evaluation
from app.services.evaluation.split_names import splits_in_words
from app.services.imports import jobs as imports
from app.services.imports.run import run_import
from app.services.reviews import Choice, CountChangedError, RefusedError
from app.services.rounds import jobs as rounds
from core.config import RoundConfig
from core.types import (
    DatasetError,
    FindingFilter,
    FindingKind,
    JobStatus,
    Recipe,
    RoundError,
    Status,
    Task,
    Verdict,
)
from db.models import SampleRow
from db.queries import evaluation as rows, rounds as round_rows
from tests.app.evaluated import deal_splits, everything, protect, shown
from tests.app.services.reviewed import add_round, digits, digits_home, import_folder
from tests.app.small import add_dataset
from tools.fixtures.scenes import NOW

pytestmark = pytest.mark.usefixtures("kept")

__all__ = ["digits", "digits_home"]
OPEN = FindingFilter(round_id=1)


def accepted(app_context: AppContext) -> set[str]:
    """Return the splits of what a bulk act settled."""
    bulk = replace(everything(), statuses=frozenset({Status.BULK}))
    return {finding.split for finding in shown(app_context, bulk)}


def test_a_bulk_act_leaves_the_evaluation_split_out_and_reports_it(digits: AppContext) -> None:
    protect(digits)
    seen = reviews.preview(digits, OPEN)
    held = len(shown(digits, replace(OPEN, split="test")))
    assert (seen.count, seen.left_out) == (100 - held, held)
    assert seen.left_out_words == f"{held} of the evaluation split test are left out: judge them one by one"
    assert {finding.split for finding in seen.sample} == {"train"}
    assert sum(count for *_, count in seen.changes) == seen.count
    saved = reviews.accept_all(digits, OPEN, by="ada", expected=seen.count)
    assert saved.size == seen.count
    assert accepted(digits) == {"train"}
    assert len(shown(digits, replace(OPEN, split="test"))) == held
    reviews.undo(digits, 1, by="ada")
    assert accepted(digits) == set()
    assert reviews.redo(digits, 1, by="ada").size == seen.count
    assert accepted(digits) == {"train"}


@pytest.mark.parametrize("more", [{"path_contains": "png"}, {"min_confidence": 0.4567}, {"given": 3}])
def test_filters_beyond_the_stored_counts_leave_the_evaluation_split_out(
    digits: AppContext, more: dict[str, object]
) -> None:
    protect(digits)
    chosen = replace(OPEN, **more)  # type: ignore[arg-type]
    seen = reviews.preview(digits, chosen)
    assert seen.left_out > 0
    reviews.accept_all(digits, chosen, by="ada", expected=seen.count)
    assert accepted(digits) == {"train"}


def test_the_histogram_separates_findings_excluded_from_bulk_acts(digits: AppContext) -> None:
    deal_splits(digits)
    assert sum(reviews.counts(digits, OPEN).kept_out) == 0
    evaluation.protect(digits, 1, "test")
    counted = reviews.counts(digits, OPEN)
    assert counted.evaluation_splits == ["test"]
    assert sum(counted.kept_out) == len(shown(digits, replace(OPEN, split="test")))
    assert sum(counted.histogram) - sum(counted.kept_out) == reviews.preview(digits, OPEN).count


def test_a_bulk_act_on_the_evaluation_split_alone_is_refused_with_the_cure(digits: AppContext) -> None:
    protect(digits)
    with pytest.raises(RefusedError, match=r"test is an evaluation split of digits, .* judge its findings one by one"):
        reviews.accept_all(digits, replace(OPEN, split="test"), by="ada")
    assert accepted(digits) == set()


def test_people_can_judge_one_or_several_cards_of_an_evaluation_split(digits: AppContext) -> None:
    protect(digits)
    cards = shown(digits, replace(OPEN, split="test"))
    reviews.decide(digits, [Choice(card.id, Verdict.ACCEPT) for card in cards], by="ada")
    seen = evaluation.protection(digits, 1)
    assert seen.judged == len(cards)
    rule = "The evaluation split test is excluded from training, and no bulk act changes its labels"
    assert seen.lines() == [f"{rule}; people judged {len(cards)} of its 75 images."]


def test_labels_accepted_in_bulk_do_not_count_as_judged(digits: AppContext) -> None:
    deal_splits(digits)
    reviews.accept_all(digits, OPEN, by="ada")
    held = len(shown(digits, replace(everything(), statuses=frozenset({Status.BULK}), split="test")))
    seen = evaluation.protect(digits, 1, "test")
    assert (seen.judged, seen.accepted) == (0, held)
    assert f"{held} of its labels were accepted in bulk before" in seen.lines()[1]
    reviews.undo(digits, 1, by="ada")
    assert evaluation.protection(digits, 1).accepted == 0
    with pytest.raises(RefusedError, match=f"{held} of the 100 labels of this act are of a split that was protected"):
        reviews.redo(digits, 1, by="ada")
    assert accepted(digits) == set()
    evaluation.protect(digits, 1, "test", on=False)
    assert reviews.redo(digits, 1, by="ada").size == 100


@pytest.mark.parametrize("verdict", [Verdict.AMBIGUOUS, Verdict.EXCLUDE, Verdict.SECOND_OPINION])
def test_a_verdict_without_a_usable_label_judges_nothing(digits: AppContext, verdict: Verdict) -> None:
    protect(digits)
    card = shown(digits, replace(OPEN, split="test"))[0]
    reviews.decide(digits, [Choice(card.id, verdict)], by="ada")
    assert evaluation.protection(digits, 1).judged == 0


def test_a_split_that_cannot_be_protected_is_refused_with_the_cure(digits: AppContext) -> None:
    with pytest.raises(DatasetError, match="or import its images below folders train/ and test/"):
        evaluation.protect(digits, 1, "test")
    protect(digits)
    with pytest.raises(DatasetError, match="no split 'val'; choose one of test, train"):
        evaluation.protect(digits, 1, "val", on=False)
    with pytest.raises(DatasetError, match="train is all that digits has left to learn from"):
        evaluation.protect(digits, 1, "train")
    assert evaluation.protect(digits, 1, "test").protected == ("test",)
    assert evaluation.protect(digits, 1, "test", on=False).lines() == [
        "No split is for evaluation: rounds learn from every label."
    ]


def test_a_split_can_be_drawn_if_there_is_none_and_its_findings_and_counts_follow(digits: AppContext) -> None:
    reviews.accept_all(digits, replace(OPEN, min_confidence=0.9), by="ada")
    before = len(shown(digits, everything()))
    seen = evaluation.draw(digits, 1, share=0.25)
    sizes = {split.name: split.images for split in seen.splits}
    assert seen.protected == ("evaluation",)
    assert sizes["evaluation"] == round(0.25 * sum(sizes.values()))
    found = shown(digits, everything())
    assert len(found) == before
    drawn = [finding for finding in found if finding.split == "evaluation"]
    assert len({finding.sample_id for finding in drawn}) == sizes["evaluation"]
    held = [finding for finding in drawn if finding.status is Status.OPEN and finding.kind is FindingKind.SUSPICIOUS]
    preview = reviews.preview(digits, OPEN)
    assert preview.left_out == len(held) > 0
    reviews.undo(digits, 1, by="ada")
    assert reviews.counts(digits, everything()).total == before
    with pytest.raises(DatasetError, match="has a split 'evaluation' already; protect that one"):
        evaluation.draw(digits, 1)


def test_a_drawn_split_appears_on_the_card_of_the_dataset_immediately(digits: AppContext) -> None:
    drawn = {split.name: split.images for split in evaluation.draw(digits, 1).splits}
    assert datasets.list_datasets(digits)[0].split_counts == drawn


def test_the_drawn_split_is_listed_once() -> None:
    assert splits_in_words(("evaluation",)) == "evaluation split"
    assert splits_in_words(("test",)) == "evaluation split test"
    assert splits_in_words(("test", "val")) == "evaluation splits test and val"


def test_an_import_leaves_a_drawn_split_unchanged(digits: AppContext) -> None:
    drawn = evaluation.draw(digits, 1).splits
    run_import(digits, imports.add_import(digits, imports.repeat_request(digits, 1)))
    assert evaluation.protection(digits, 1).splits == drawn


def test_findings_follow_images_that_an_import_moves_into_an_evaluation_split(
    digits: AppContext, digits_folder: Path, tmp_path: Path
) -> None:
    names = sorted(path.relative_to(digits_folder) for path in digits_folder.rglob("*.png"))[:60]
    table = tmp_path / "splits.csv"

    def listed(held: int) -> int:
        lines = [
            f"{digits_folder / name},{name.parts[0]},{'test' if number < held else 'train'}"
            for number, name in enumerate(names)
        ]
        table.write_text("\n".join(["path,label,split", *lines]) + "\n")
        return import_folder(digits, table, "listed")

    dataset_id = listed(6)
    round_id = add_round(digits, dataset_id, wrong_every=1)
    evaluation.protect(digits, dataset_id, "test")
    assert reviews.preview(digits, FindingFilter(round_id=round_id)).left_out == 6
    assert listed(20) == dataset_id
    assert len(shown(digits, replace(everything(round_id), split="test"))) == 20
    assert reviews.preview(digits, FindingFilter(round_id=round_id)).left_out == 20


def test_no_split_is_drawn_while_a_round_runs_on_images_without_a_split(digits: AppContext) -> None:
    rounds.start_round(digits, 1, RoundConfig(folds=2), "ada")
    with pytest.raises(RoundError, match="is still queued; wait for it or cancel it first"):
        evaluation.draw(digits, 1)
    assert evaluation.protection(digits, 1).protected == ()


@pytest.mark.parametrize("share", [0.0, 1.0, -3.0])
def test_only_part_of_the_images_can_be_drawn(digits: AppContext, share: float) -> None:
    with pytest.raises(DatasetError, match="must be between 0 and 1"):
        evaluation.draw(digits, 1, share=share)


@pytest.mark.parametrize("share", [None, 0.1])
def test_at_least_as_many_images_are_drawn_as_a_comparison_needs(app_context: AppContext, share: float | None) -> None:
    add_dataset(app_context, [0, 1] * 50)
    assert evaluation.protection(app_context, 1).drawing.images == 30
    seen = evaluation.draw(app_context, 1, share=share)
    assert {split.name: split.images for split in seen.splits} == {"": 70, "evaluation": 30}
    assert seen.drawing.images == 0


def test_a_small_dataset_gets_a_reason_instead_of_a_proposed_split(app_context: AppContext) -> None:
    add_dataset(app_context, [0, 1] * 29)
    assert "pets is too small to measure the impact of cleaning" in evaluation.protection(app_context, 1).lines()[1]
    with pytest.raises(DatasetError, match="30 of its 58 images are more than half; import more"):
        evaluation.draw(app_context, 1)
    seen = evaluation.draw(app_context, 1, share=0.1)
    assert {split.name: split.images for split in seen.splits} == {"": 52, "evaluation": 6}
    assert "has only 6 images, a comparison needs at least 30" in preconditions.readiness(app_context, 1).missing
    assert "24 of its 52 images" not in seen.lines()[-1], "that is less than half"
    assert seen.drawing.images == 24
    more = evaluation.draw(app_context, 1)
    assert {split.name: split.images for split in more.splits} == {"": 28, "evaluation": 30}
    assert more.protected == ("evaluation",)


def test_only_the_missing_images_are_proposed_beside_a_protected_split(app_context: AppContext) -> None:
    add_dataset(app_context, [0, 1] * 500)
    with app_context.database.write() as session:
        session.execute(update(SampleRow).where(SampleRow.id <= 12).values(split="test"))
    evaluation.protect(app_context, 1, "test")
    assert evaluation.protection(app_context, 1).drawing == evaluation.Drawing("", 18, 18)
    assert evaluation.draw(app_context, 1).protected == ("evaluation", "test")
    assert evaluation.protection(app_context, 1).drawing.images == 0


def test_drawn_images_stay_in_their_split_when_the_source_is_read_again(
    app_context: AppContext, digits_folder: Path, tmp_path: Path
) -> None:
    names = sorted(path.relative_to(digits_folder) for path in digits_folder.rglob("*.png"))[:200]
    table = tmp_path / "splits.csv"
    table.write_text("path,label,split\n" + "".join(f"{digits_folder / one},{one.parts[0]},train\n" for one in names))
    import_folder(app_context, table, "listed")
    assert evaluation.protection(app_context, 1).drawing == evaluation.Drawing("train", 30, 30)
    drawn = evaluation.draw(app_context, 1).splits
    assert {split.name: split.images for split in drawn} == {"evaluation": 30, "train": 170}
    done = run_import(app_context, imports.add_import(app_context, imports.repeat_request(app_context, 1)))
    assert evaluation.protection(app_context, 1).splits == drawn
    assert done.report is not None
    assert done.report["changes"]["changed"] == 0
    assert datasets.list_datasets(app_context)[0].split_counts == {"evaluation": 30, "train": 170}


def test_unlabelled_added_images_are_not_drawn(app_context: AppContext) -> None:
    add_dataset(app_context, [None] * 200)
    with app_context.database.write() as session:
        session.execute(update(SampleRow).values(split="unlabelled"))
    assert evaluation.protection(app_context, 1).drawing.images == 0
    with pytest.raises(DatasetError, match="no two images or groups"):
        evaluation.draw(app_context, 1)


def test_no_split_is_drawn_from_a_single_group(digits: AppContext) -> None:
    with digits.database.write() as session:
        session.execute(update(SampleRow).values(group="monday"))
    with pytest.raises(DatasetError, match="no two images or groups to draw from"):
        evaluation.draw(digits, 1)


def test_a_split_protected_during_a_bulk_act_is_left_out_or_accepted_completely(digits: AppContext) -> None:
    """Whichever of the two comes first, the act never has some of the split's findings and not the others."""
    deal_splits(digits)
    held = len(shown(digits, replace(OPEN, split="test")))
    expected = reviews.preview(digits, OPEN).count
    start, refused = threading.Barrier(2), []

    def accept() -> None:
        start.wait()
        try:
            reviews.accept_all(digits, OPEN, by="ada", expected=expected)
        except CountChangedError as error:
            refused.append(error.count)

    bulk = threading.Thread(target=accept)
    bulk.start()
    start.wait()
    evaluation.protect(digits, 1, "test")
    bulk.join()
    of_split = shown(digits, replace(everything(), statuses=frozenset({Status.BULK}), split="test"))
    assert (refused, len(of_split)) in [([expected - held], 0), ([], held)]


def test_an_image_with_a_mask_is_judged_once_people_settled_all_its_regions(scenes: AppContext) -> None:
    evaluation.protect(scenes, 1, "test")
    of_image = [one for one in shown(scenes, OPEN) if one.split == "test" and one.sample_id == 1]
    assert len(of_image) == 2
    reviews.decide(scenes, [Choice(of_image[0].id, Verdict.ACCEPT)], by="ada")
    assert evaluation.protection(scenes, 1).judged == 0
    reviews.decide(scenes, [Choice(of_image[1].id, Verdict.AMBIGUOUS)], by="ada")
    assert evaluation.protection(scenes, 1).judged == 1
    reviews.accept_all(scenes, OPEN, by="ada")
    assert evaluation.protection(scenes, 1).judged == 1
    with scenes.database.read() as session:
        assert rows.changed(session, 1, Task.SEGMENTATION, ["test"]) == 4


def test_a_round_with_proposals_for_unlabelled_images_judges_no_other_image(scenes: AppContext) -> None:
    evaluation.protect(scenes, 1, "test")
    with scenes.database.write() as session:
        later = round_rows.add_round(session, 1, RoundConfig(folds=2).to_json(), "ada", NOW, recipe=Recipe.ITERATED)
        round_rows.begin_round(session, later, "training", NOW)
        round_rows.set_facts(session, later, {"metrics": {}})
        round_rows.end_round(session, later, JobStatus.DONE, "", NOW)
    of_image = [one for one in shown(scenes, OPEN) if one.split == "test" and one.sample_id == 1]
    reviews.decide(scenes, [Choice(of_image[0].id, Verdict.ACCEPT)], by="ada")
    assert evaluation.protection(scenes, 1).judged == 0
    assert worth.view(scenes, 1).ready.review_round == 1
    reviews.decide(scenes, [Choice(of_image[1].id, Verdict.ACCEPT)], by="ada")
    assert evaluation.protection(scenes, 1).judged == 1
