"""The Insight page: empty, of a finished round of labels or of masks, reached by a link that names just the round."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app.components.measures import figures
from app.services import reviews
from app.services.app_context import AppContext
from app.services.datasets import list_datasets
from app.services.reviews import audits
from app.services.rounds import jobs as rounds_of
from core.config import RoundConfig
from core.types import NO_LABEL, FindingKind, JobStatus, Recipe, Task
from db.loading import NewFinding
from db.models import RoundRow
from db.queries import findings, rounds
from tests.app.sampled import sample, sample_both
from tests.app.services.test_audits import add_round as add_sampled_round
from tests.app.small import METRICS, add_dataset, add_done_round
from tests.core.data.test_networks import ABOUT, keep
from tools.fixtures.scenes import NOW, add_round, add_scenes

MAIN = Path(__file__).parents[3] / "app" / "main.py"
PETS = [0, 1] * 10


@pytest.fixture
def screen(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    return AppTest.from_file(str(MAIN), default_timeout=30).switch_page("pages/insight.py")


def test_the_page_without_a_finished_round_links_to_the_next_step(screen: AppTest) -> None:
    screen.run()
    assert not screen.exception
    assert "when a round is done" in words(screen)
    assert screen.button("empty_step_0").label == "Import a dataset"


def test_a_finished_round_shows_its_metrics_confusion_and_classes(screen: AppTest, app_context: AppContext) -> None:
    add_done_round(app_context, add_dataset(app_context, PETS))
    screen.run()
    assert not screen.exception
    figures = "".join(element.proto.body for element in screen.get("html"))
    assert "90.0%" in figures
    assert "unknown" in figures
    assert "80.0%" not in figures
    assert [link.proto.label for link in screen.get("page_link")][:3] == ["Review", "Compare", "Impact"]
    charts = screen.get("plotly_chart")
    assert len(charts) == 2
    classes = screen.dataframe[0].value
    assert list(classes["Most often taken for"]) == ["dog (1)", ""]
    settings, versions = (table.value for table in screen.table)
    assert settings.loc["folds"].item() == "2"
    assert versions.loc["snapshot"].item() == "00ff"


def words(screen: AppTest) -> str:
    shown = [*screen.markdown, *screen.caption, *screen.info]
    figures = [element.proto.body for element in screen.get("html")]
    return "\n".join([*(str(element.value) for element in shown), *figures]).replace("\\", "")


def test_no_precision_or_threshold_is_shown_without_random_samples(screen: AppTest, app_context: AppContext) -> None:
    round_id = add_sampled_round(app_context, add_dataset(app_context, [0] * 420))
    screen.run()
    assert not screen.exception
    told = words(screen)
    assert "Wrong labels: unknown until a random sample is judged: 30 suspicious and 30 agreeing findings." in told
    assert "no threshold is proposed" in told
    assert "right (" not in told
    assert not screen.get("plotly_chart")
    labels = [screen.button(f"samples_{round_id}_{kind}").label for kind in ("suspicious", "agreeing")]
    assert labels == [f"Check a random sample of {kind} findings" for kind in ("suspicious", "agreeing")]


def test_the_models_own_count_is_marked_as_unverified(screen: AppTest, app_context: AppContext) -> None:
    add_done_round(app_context, add_dataset(app_context, PETS))
    screen.run()
    assert "Model's own count, unverified: 1 wrong." in [one.value for one in screen.caption]
    assert "agreement with the given labels" in words(screen)


def test_numbers_are_shown_with_their_intervals_after_both_samples(screen: AppTest, app_context: AppContext) -> None:
    round_id = add_sampled_round(app_context, add_dataset(app_context, [0] * 420))
    sample_both(app_context, round_id)
    screen.run()
    assert not screen.exception
    told = words(screen)
    assert "unknown" not in told
    (head, *_) = [one.proto.body for one in screen.get("html") if "wrong labels" in one.proto.body]
    assert "wrong labels, estimated from 80 random verdicts" in head
    assert re.search(r"Wrong labels: about [\d,]+ of the 210 .* interval [\d,]+ to [\d,]+; 80 random verdicts", told)
    assert re.search(r"About \d+ % right \(90 % interval \d+ to \d+ %; 40 random verdicts", told)
    assert re.search(r"Among the next 100 cards: about \d+ wrong labels \(90 % interval", told)
    assert "proposed threshold" in told
    (curve,) = screen.get("plotly_chart")
    assert "accept from this confidence on" in curve.proto.spec
    assert [link.proto.label for link in screen.get("page_link")][-2:] == ["Sample 2", "Sample 1"]
    assert "**All agreeing (60)**" in told
    assert "**All suspicious (150)**" in told


def test_a_certificate_is_listed_and_drawn_on_the_curve(screen: AppTest, app_context: AppContext) -> None:
    round_id = add_sampled_round(app_context, add_dataset(app_context, [0] * 420))
    sample(app_context, round_id, FindingKind.SUSPICIOUS, count=100)
    screen.run()
    assert "certified" in words(screen)
    assert "at least" in words(screen)
    (curve,) = screen.get("plotly_chart")
    assert "diamond" in curve.proto.spec


def test_a_sample_is_started_by_its_button(screen: AppTest, app_context: AppContext) -> None:
    round_id = add_sampled_round(app_context, add_dataset(app_context, [0] * 420))
    screen.run()
    screen.button(f"samples_{round_id}_agreeing").click().run()
    assert not screen.exception
    (started,) = audits.list_audits(app_context, round_id)
    assert (started.audit.kind, started.audit.size) == (FindingKind.AGREEING, 60)
    assert screen.query_params["audit"] == str(started.audit.id)


def test_hints_name_their_reason_and_advice(screen: AppTest, app_context: AppContext) -> None:
    round_id = add_done_round(app_context, add_dataset(app_context, PETS))
    with app_context.database.write() as session:
        session.get_one(RoundRow, round_id).metrics = METRICS | {"confusion": [[60, 40], [40, 60]]}
    screen.run()
    assert "Agrees with 60% of the labels" in words(screen)
    assert "Only a random sample tells which" in words(screen)
    screen.switch_page("pages/rounds.py").run()
    assert "Agrees with 60% of the labels" in words(screen)


def test_the_most_confused_pair_of_classes_links_to_their_merge(screen: AppTest, app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    reviews.add_class(app_context, dataset_id, "fox", by="ada")
    round_id = add_done_round(app_context, dataset_id)
    three = [*METRICS["per_class"], {**METRICS["per_class"][0], "name": "fox"}]
    confusion = [[60, 40, 0], [20, 60, 5], [0, 0, 60]]
    with app_context.database.write() as session:
        session.get_one(RoundRow, round_id).metrics = METRICS | {"confusion": confusion, "per_class": three}

    def links() -> list[str]:
        return [one.proto.query_string for one in screen.get("page_link") if "merge them" in one.proto.label]

    screen.run()
    assert not screen.exception
    assert links() == [f"dataset={dataset_id}&merge=0&into=1"]
    reviews.merge_classes(app_context, dataset_id, [0], 1, by="ada")
    screen.run()
    assert links() == []


def test_regions_and_pixels_of_masks_have_an_interval(screen: AppTest, app_context: AppContext, tmp_path: Path) -> None:
    round_id = add_round(app_context, add_scenes(app_context, tmp_path / "scenes", count=20))
    screen.run()
    assert "Wrong regions: unknown" in words(screen)
    sample(app_context, round_id, FindingKind.SUSPICIOUS)
    screen.run()
    assert not screen.exception
    told = words(screen)
    assert re.search(r"Wrong regions: \d+ of 40 \(a count: all are judged", told)
    assert "Pixels: 100 % right (a count: all 40 cards of this set are judged)" in told


def test_a_link_with_only_the_round_shows_its_dataset(screen: AppTest, app_context: AppContext) -> None:
    first = add_done_round(app_context, add_dataset(app_context, PETS))
    add_done_round(app_context, add_dataset(app_context, PETS, name="others"))
    screen.query_params["round"] = str(first)
    screen.run()
    assert screen.selectbox("pick_round").value == first
    assert screen.query_params["dataset"] == "1"


def test_a_missing_round_is_reported_and_one_of_another_dataset_ignored(
    screen: AppTest, app_context: AppContext
) -> None:
    first, second = add_dataset(app_context, [0, 1] * 10), add_dataset(app_context, [0, 1] * 10, name="others")
    add_done_round(app_context, first)
    add_done_round(app_context, second)
    for named in ("999", "abc"):
        screen.query_params.update({"dataset": str(first), "round": named})
        screen.run()
        told = f"There is no round {named} to show; Round 1 is shown instead."
        assert [warning.value for warning in screen.warning] == [told]
    screen.query_params.update({"dataset": str(first), "round": "1"})
    screen.run()
    screen.selectbox("pick_dataset").select(second).run()
    assert not screen.exception
    assert not screen.warning
    assert screen.query_params["round"] == "2"


def test_parameters_of_another_page_are_removed_from_the_address(screen: AppTest, app_context: AppContext) -> None:
    done = add_done_round(app_context, add_dataset(app_context, PETS))
    screen.query_params.update({"round": str(done), "show": "suspicious", "given": "1", "pseudo": "0"})
    screen.run()
    assert not screen.exception
    assert set(screen.query_params) == {"dataset", "round"}


def test_a_dataset_without_a_finished_round_shows_nothing_else(screen: AppTest, app_context: AppContext) -> None:
    add_done_round(app_context, add_dataset(app_context, PETS))
    bare = add_dataset(app_context, PETS, name="bare")
    screen.query_params["dataset"] = str(bare)
    screen.run()
    assert not screen.exception
    assert screen.selectbox("pick_dataset").value == bare
    assert "when a round is done" in screen.info[0].value
    assert not screen.get("plotly_chart")
    screen.selectbox("pick_dataset").select_index(0).run()
    assert len(screen.get("plotly_chart")) == 2


def test_a_round_of_masks_shows_iou_pixels_and_its_worst_images(
    screen: AppTest, app_context: AppContext, tmp_path: Path
) -> None:
    round_id = add_round(app_context, add_scenes(app_context, tmp_path / "scenes"))
    screen.run()
    assert not screen.exception
    shown = "".join(element.proto.body for element in screen.get("html"))
    for figure in ("72.0%", "mIoU", "94.0%", "pixel accuracy", "regions found", "boundary differences"):
        assert figure in shown, figure
    assert shown.count("<img ") == 5
    assert f"review?round={round_id}&amp;status=any&amp;sample=1" in shown
    assert f"masks?round={round_id}&amp;sample=1" in shown
    assert list(screen.dataframe[0].value["IoU"]) == [0.7] * 5
    (confusion, _) = screen.get("plotly_chart")
    assert "of what was given" in confusion.proto.spec
    assert "method" not in screen.table[0].value.index
    assert "boundary" in screen.table[0].value.index


def test_a_recipe_shows_the_scores_of_its_stages_and_contradictions_of_its_tags(
    screen: AppTest, app_context: AppContext, tmp_path: Path
) -> None:
    dataset_id = add_scenes(app_context, tmp_path / "scenes")
    score = {"mean_iou": 0.5, "accuracy": 0.75, "ious": [0.5] * 5}
    doubt = {"sample_id": 2, "name": "scene_001.png", "label": 4, "pixels": 0, "predicted": False}
    metrics = {
        "task": "segmentation",
        "miou": 0.5,
        "accuracy": 0.75,
        "stages": {"baseline": score, "retrained": score | {"mean_iou": None}},
        "painter": "pseudo",
        "parts": {"labelled": 4, "unlabelled": 20, "validation": 0, "test": 6},
        "tags": {"images": 9, "missing": 1, "excluded": 0, "doubts": [doubt | {"contradiction": "missing"}]},
    }
    with app_context.database.write() as session:
        config = RoundConfig(folds=2).to_json()
        recipe = {"recipe": Recipe.CROSS_TRAINING, "recipe_config": {"steps": 100}}
        round_id = rounds.add_round(session, dataset_id, config, "Ada", NOW, **recipe)
        rounds.begin_round(session, round_id, "training", NOW)
        rounds.set_facts(session, round_id, {"metrics": metrics})
        rounds.end_round(session, round_id, JobStatus.DONE, "", NOW)
    screen.run()
    assert not screen.exception
    stages = screen.dataframe[0].value
    assert list(stages["Learnt from"]) == ["Masks alone", "All masks, given and predicted"]
    assert any(
        "4 masks and 20 images with tags were used; PseudoNet painted; 6 test images" in one.value
        for one in screen.caption
    )
    shown = "".join(element.proto.body for element in screen.get("html"))
    assert f"masks?round={round_id}&amp;sample=2" in shown
    assert "car missing in the mask" in shown
    assert screen.table[0].value.loc["cross-training: steps"].item() == "100"


def add_iterated(app_context: AppContext, dataset_id: int, *, proposed: int = 0, **measured: Any) -> int:
    """Add a finished round of teacher and student whose second iteration was the best; it proposes so many labels."""
    iterations = [
        {
            "number": number, "teacher": "baseline", "thresholds": [0.5, 0.7], "predicted": [60, 40], "taken": [30, 20],
            "student": SCORE | {"value": 0.4}, "tuned": SCORE | {"value": value}, "better": number == 2,
        }
        for number, value in ((1, 0.45), (2, 0.625))
    ]  # fmt: skip
    metrics = {
        "recipe": "iterated",
        "accuracy": 0.7,
        "parts": {"labelled": 8, "unlabelled": 100, "validation": 4, "test": 6},
        "baseline": SCORE,
        "teacher": None,
        "iterations": iterations,
        "best": "tuned_2",
        "validation": SCORE | {"value": 0.625},
        "test": SCORE | {"value": 0.7},
        "baseline_test": SCORE | {"value": 0.55},
    }
    with app_context.database.write() as session:
        config, recipe = RoundConfig(folds=2).to_json(), {"recipe": Recipe.ITERATED, "recipe_config": {"iterations": 2}}
        round_id = rounds.add_round(session, dataset_id, config, "Ada", NOW, **recipe)
        rounds.begin_round(session, round_id, "training", NOW)
        rows = [
            NewFinding(
                sample_id=row + 1, row=row, rank=row, kind=FindingKind.UNLABELLED, given=NO_LABEL, pseudo=1,
                confidence=0.9, self_confidence=0, margin=0, fold=0, split="", top=[[1, 0.9]], similarity_rank=None,
            )
            for row in range(proposed)
        ]  # fmt: skip
        findings.add_findings(session, round_id, rows)
        findings.open_findings(session, round_id)
        rounds.set_facts(session, round_id, {"metrics": metrics | measured})
        rounds.end_round(session, round_id, JobStatus.DONE, "", NOW)
    return round_id


SCORE = {"value": 0.5, "per_class": [0.4, 0.6], "accuracy": 0.5}


def test_each_iteration_of_teacher_and_student_is_shown(screen: AppTest, app_context: AppContext) -> None:
    add_iterated(app_context, add_dataset(app_context, PETS))
    screen.run()
    assert not screen.exception
    table = screen.dataframe[0].value
    assert list(table["Network"]) == ["Labels alone", "Iteration 1", "Iteration 2"]
    assert list(table["Student"]) == [0.5, 0.4, 0.4]
    assert list(table["Fine-tuned"])[1:] == [0.45, 0.625]
    assert list(table["Learnt"])[1:] == [0.5, 0.5]
    assert list(table["Chosen"]) == ["", "", "best"]
    said = " ".join(one.value for one in screen.caption)
    assert "8 labelled and 100 unlabelled images were used; chosen by 4 others" in said
    assert "On the test images: 70.0%, labels alone 55.0%" in said
    assert "trained without these images" in said
    assert not screen.info


@pytest.mark.parametrize(("best", "chosen"), [("student_1", ["", "best"]), ("baseline", ["best", ""])])
def test_a_student_without_fine_tuning_can_be_best_and_a_missing_gain_is_stated(
    screen: AppTest, app_context: AppContext, best: str, chosen: list[str]
) -> None:
    own = {"number": 1, "teacher": "votes", "thresholds": [0.5, 0.7], "predicted": [60, 40], "taken": [30, 20]}
    untuned = [own | {"student": SCORE | {"value": 0.6}, "tuned": None, "better": True}]
    add_iterated(app_context, add_dataset(app_context, PETS), iterations=untuned, best=best)
    screen.run()
    assert not screen.exception
    assert list(screen.dataframe[0].value["Chosen"]) == chosen
    said = any("The validation images show no gain" in one.value for one in screen.info)
    assert said == (best == "baseline")


def test_the_learner_of_a_frozen_network_is_shown_with_the_reason(screen: AppTest, app_context: AppContext) -> None:
    choice = {"spread": True, "held_out": 40, "probe_right": 0.55, "spread_right": 0.675, "decay": 0.3}
    add_iterated(app_context, add_dataset(app_context, PETS), iterations=[], best="spread", choice=choice)
    screen.run()
    assert not screen.exception
    said = " ".join(one.value for one in screen.caption)
    assert "labels as they spread to similar images: of 40 held-out labels it agreed with 67.5% after" in said
    assert "with 55.0% with the labels only" in said
    assert "On the test images: 70.0%, labels alone 55.0%" in said


def test_too_few_labels_for_a_comparison_are_reported(screen: AppTest, app_context: AppContext) -> None:
    choice = {"spread": True, "held_out": 0, "probe_right": None, "spread_right": None, "decay": 1.0}
    add_iterated(app_context, add_dataset(app_context, PETS), iterations=[], best="spread", choice=choice)
    screen.run()
    assert not screen.exception
    assert any("too few labels to compare" in one.value for one in screen.caption)


def test_proposals_of_teacher_and_student_are_counted_and_linked(screen: AppTest, app_context: AppContext) -> None:
    round_id = add_iterated(app_context, add_dataset(app_context, [*PETS, None, None]), proposed=2)
    screen.run()
    assert not screen.exception
    (shown,) = rounds_of.compare(app_context, [round_id])
    told = figures(shown)
    assert (told["proposed for unlabelled images"], told["of them decided"]) == ("2", "0")
    assert "suspicious" not in told
    review = next(link.proto for link in screen.get("page_link") if link.proto.label == "Review")
    assert review.query_string == f"round={round_id}&show=unlabelled"
    (summary,) = (card.reviewable for card in list_datasets(app_context))
    assert summary is not None
    assert (summary.left, summary.decided) == (2, 0)
    screen.switch_page("pages/datasets.py").run()
    cards = "".join(element.proto.body for element in screen.get("html"))
    assert "<b>2</b> proposed labels left" in cards
    screen.switch_page("pages/rounds.py").run()
    listed = next(table.value for table in screen.dataframe if "Proposed" in table.value)
    assert list(listed["Proposed"]) == [2]


def test_stages_without_metrics_leave_no_empty_table(screen: AppTest, app_context: AppContext, tmp_path: Path) -> None:
    dataset_id = add_scenes(app_context, tmp_path / "scenes")
    score = {"mean_iou": None, "accuracy": None, "ious": [None] * 5}
    metrics = {"task": "segmentation", "stages": {"baseline": score, "hybrid": score}, "painter": "hybrid"}
    with app_context.database.write() as session:
        config = RoundConfig(folds=2).to_json()
        round_id = rounds.add_round(session, dataset_id, config, "Ada", NOW, recipe=Recipe.CROSS_TRAINING)
        rounds.begin_round(session, round_id, "training", NOW)
        rounds.set_facts(session, round_id, {"metrics": metrics})
        rounds.end_round(session, round_id, JobStatus.DONE, "", NOW)
    screen.run()
    assert not screen.exception
    assert not screen.dataframe
    assert any("no test images, so nothing was measured" in one.value for one in screen.caption)


def test_a_missing_test_set_and_never_predicted_classes_are_reported(screen: AppTest, app_context: AppContext) -> None:
    nothing = {"predicted": [0, 0], "taken": [0, 0], "student": SCORE | {"value": None}}
    iterations = [{"number": 1, "teacher": "teacher", "tuned": SCORE | {"value": None}, "better": False} | nothing]
    without = {"test": None, "baseline_test": None, "iterations": iterations, "teacher": SCORE, "best": "teacher"}
    add_iterated(app_context, add_dataset(app_context, PETS), **without)
    screen.run()
    assert not screen.exception
    assert list(screen.dataframe[0].value["Network"]) == ["Labels alone", "With consistency", "Iteration 1"]
    assert any("was not measured separately" in one.value for one in screen.caption)


def test_the_rounds_page_shows_the_iterations_of_the_newest_round(screen: AppTest, app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    add_done_round(app_context, dataset_id)
    add_iterated(app_context, dataset_id)
    screen.switch_page("pages/rounds.py").run()
    assert not screen.exception
    assert any("Network" in table.value and "Iteration 2" in list(table.value["Network"]) for table in screen.dataframe)


def test_the_kept_networks_are_shown_with_the_command_to_predict(screen: AppTest, app_context: AppContext) -> None:
    round_id = add_done_round(app_context, add_dataset(app_context, PETS, name="my pets"))
    screen.run()
    assert "not kept" in "".join(caption.value for caption in screen.caption)
    folder = app_context.round_folder(round_id)
    folder.mkdir(parents=True)
    plain = replace(ABOUT, task=Task.CLASSIFICATION, colours=())
    kept = [keep(folder, f"fold_{fold}", b"%d" % fold, plain) for fold in range(2)]
    screen.run()
    assert not screen.exception
    shown = next(table.value for table in screen.dataframe if "Hash" in table.value.columns)
    assert shown["Hash"].tolist() == [one.hash for one in kept]
    assert list(shown.columns) == ["Network", "Hash", "MB", "Accuracy"]
    assert "label new images" in "".join(caption.value for caption in screen.caption)
    assert not screen.code
