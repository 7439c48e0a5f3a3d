"""The Rounds page: what it says when there is nothing, the form, a round at work, a failed one, a comparison."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update
from streamlit.testing.v1 import AppTest

from app.components.complaints import plain
from app.services import reviews
from app.services.app_context import AppContext
from app.services.rounds import jobs as rounds
from app.services.rounds.preview import Estimates
from app.services.tags import current as tags
from app.services.workers import WorkerState
from core.config import RoundConfig, TrainingCosts, Weights
from core.types import JobStatus, Progress, Recipe
from db.models import ImportRow, RoundRow, SampleRow
from db.queries import rounds as rows
from db.queries.workers import WorkerInfo
from tests.app.evaluated import protect
from tests.app.sampled import sample_both, suspicious_from
from tests.app.services.rounds.test_history import add_past
from tests.app.services.test_audits import add_round as add_sampled_round
from tests.app.small import NOW, add_dataset, add_done_round
from tools.fixtures.scenes import TABLE, add_round as add_mask_round, add_scenes, draw

MAIN = Path(__file__).parents[3] / "app" / "main.py"
PETS = [0, 1] * 10
ALIVE = WorkerInfo("here:0", 1, "CPU", "", NOW, NOW)


@pytest.fixture
def screen(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    monkeypatch.setattr("app.services.rounds.preview.known_times", lambda *_: Estimates((41.0, 1490.0), pending=False))
    return AppTest.from_file(str(MAIN), default_timeout=30).switch_page("pages/rounds.py")


def add_counted_scenes(app_context: AppContext, folder: Path) -> int:
    """Store scenes whose classes an import has counted, and return the dataset's id."""
    dataset_id = add_scenes(app_context, folder)
    with app_context.database.write() as session:
        counted = {"classes": dict.fromkeys(TABLE.names, 6)}
        session.add(
            ImportRow(
                dataset_id=dataset_id, request={}, status=JobStatus.DONE, done=6, total=6, message="",
                report=counted, created_at=NOW, finished_at=NOW,
            )
        )  # fmt: skip
    return dataset_id


def words(screen: AppTest) -> str:
    shown = [*screen.markdown, *screen.caption, *screen.info, *screen.error, *screen.warning]
    return "\n".join(str(element.value) for element in shown)


def test_the_page_without_a_dataset_links_to_the_import(screen: AppTest) -> None:
    screen.run()
    assert not screen.exception
    assert "Import a dataset first" in words(screen)
    assert screen.button("empty_step_0").label == "Import a dataset"


def test_the_form_proposes_settings_for_the_images_and_starts_a_round(screen: AppTest, app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    screen.run()
    assert not screen.exception
    assert "28 x 28 grey images" in words(screen)
    screen.number_input(f"form_{dataset_id}_folds").set_value(3)
    screen.button(f"form_{dataset_id}_start").click().run()
    assert not screen.exception
    (started,) = rounds.list_rounds(app_context, dataset_id)
    assert started.config == {**rounds.propose_config(app_context, dataset_id).to_json(), "folds": 3}
    assert "waiting for the worker" in screen.get("progress")[0].proto.text
    assert screen.button(f"form_{dataset_id}_start").disabled


def test_further_networks_are_chosen_in_the_form(screen: AppTest, app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    key = f"form_{dataset_id}"
    screen.run()
    screen.number_input(f"{key}_further").set_value(1).run()
    assert not screen.exception
    screen.selectbox(f"{key}_further_0_model").set_value("resnet18")
    screen.selectbox(f"{key}_further_0_weights").set_value(Weights.PRETRAINED)
    screen.number_input(f"{key}_further_0_pixels").set_value(96)
    screen.button(f"{key}_start").click().run()
    assert not screen.exception
    (started,) = rounds.list_rounds(app_context, dataset_id)
    (member,) = RoundConfig.from_json(started.config).members
    assert (member.model, member.weights, member.input_size, member.upscale) == ("resnet18", Weights.PRETRAINED, 28, 96)


def test_the_size_of_a_download_is_requested_only_on_a_click(
    screen: AppTest, app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("app.components.round_fields.ask_size", asked.append)
    monkeypatch.setattr("app.components.round_fields.known_size", lambda _: "downloads 85 MB" if asked else "")
    key = f"form_{add_dataset(app_context, PETS)}"
    screen.run()
    screen.selectbox(f"{key}_model").set_value("convnext_tiny")
    screen.selectbox(f"{key}_weights").set_value(Weights.PRETRAINED).run()
    assert not screen.exception
    assert asked == []
    screen.button(f"{key}_download").click().run()
    assert not screen.exception
    assert asked == ["convnext_tiny"]
    assert "downloads 85 MB" in words(screen)
    screen.selectbox(f"{key}_weights").set_value(Weights.NONE).run()
    assert "downloads 85 MB" not in words(screen)


def test_a_network_is_added_to_the_newest_finished_round(screen: AppTest, app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    round_id = add_done_round(app_context, dataset_id)
    screen.run()
    assert not screen.exception
    screen.button(f"add_{round_id}_add").click().run()
    assert not screen.exception
    assert "is gone, in which Round 1 kept what its network learnt" in words(screen).replace("\\", "")
    assert len(rounds.list_rounds(app_context, dataset_id)) == 1


def add_photographs(app_context: AppContext) -> int:
    """Store a dataset of coloured images, to which two rounds are proposed."""
    dataset_id = add_dataset(app_context, PETS)
    with app_context.database.write() as session:
        session.execute(update(SampleRow).values(grey=False, width=200, height=200))
    return dataset_id


def test_each_proposal_shows_its_estimated_time(screen: AppTest, app_context: AppContext) -> None:
    add_photographs(app_context)
    screen.run()
    assert not screen.exception
    assert "Fast: about 40 s · Longer: about 25 min" in words(screen)


def test_the_network_of_the_last_round_is_remembered(screen: AppTest, app_context: AppContext) -> None:
    dataset_id = add_photographs(app_context)
    chosen = replace(
        rounds.propose_config(app_context, dataset_id),
        model="mobilenetv2_100",
        weights=Weights.FILE,
        weights_file="/weights/mobile.safetensors",
        weights_mean=(0.5, 0.5, 0.5),
        weights_std=(0.25, 0.25, 0.25),
        weights_padding="same",
    )
    add_done_round(app_context, dataset_id, chosen)
    screen.run()
    assert not screen.exception
    assert "Used last: mobilenetv2_100" in words(screen)
    screen.button(f"form_{dataset_id}_last_start").click().run()
    assert not screen.exception
    started = rounds.list_rounds(app_context, dataset_id)[0]
    assert RoundConfig.from_json(started.config) == chosen


def test_the_page_does_not_wait_for_time_estimates(
    screen: AppTest, app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_photographs(app_context)
    monkeypatch.setattr("app.services.rounds.preview.known_times", lambda *_: Estimates((None, None), pending=True))
    screen.run()
    assert not screen.exception
    assert "measuring the time it takes" in words(screen)
    monkeypatch.setattr("app.services.rounds.preview.known_times", lambda *_: Estimates((None, None), pending=False))
    screen.run()
    assert not screen.exception
    assert "about" not in words(screen).replace("Proposed", "")
    assert "measuring" not in words(screen)


def test_wrong_labels_are_unknown_before_random_samples_and_estimated_after(
    screen: AppTest, app_context: AppContext
) -> None:
    round_id = add_sampled_round(app_context, add_dataset(app_context, [0] * 420))
    screen.run()
    assert not screen.exception
    assert "Wrong labels: unknown until a random sample is judged" in words(screen).replace("\\", "")
    assert listed(screen) == ["unknown"]
    reviews.accept_all(app_context, suspicious_from(round_id, 0.9), by="Ada")
    sample_both(app_context, round_id)
    reviews.accept_all(app_context, suspicious_from(round_id, 0.8), by="Ada")
    screen.run()
    assert not screen.exception
    assert re.fullmatch(r"\d+ \(\d+ to \d+\)", listed(screen)[0])
    told = words(screen).replace("\\", "")
    assert "suspicious from 0.9 on. Not certified. Precision unknown" in told
    assert "suspicious from 0.8 on. Not certified. About 9" in told


def listed(screen: AppTest) -> list[str]:
    return list(next(table.value for table in screen.dataframe if "Network" in table.value)["Wrong labels"])


def test_the_page_shows_why_a_round_cannot_start(screen: AppTest, app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, [0] * 20)
    screen.run()
    screen.button(f"form_{dataset_id}_start").click().run()
    assert "at least two classes" in words(screen)


def test_a_running_round_shows_fold_epoch_and_metrics_and_can_be_cancelled_and_resumed(
    screen: AppTest, app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, PETS), RoundConfig(folds=2), "ada")
    with app_context.database.write() as session:
        rows.begin_round(session, started.id, "training", NOW)
        attempt = rows.begin_fold(session, started.id, 0, NOW)
        assert attempt is not None
        told = Progress("training", 0, 2, 3, 6, 0.5, loss=0.25, accuracy=0.875, images_per_second=1234.0)
        rows.write_fold(session, started.id, 0, attempt, told, now=NOW)
    screen.run()
    assert "waiting for the worker, which resumes where it stopped" in screen.get("progress")[0].proto.text
    assert "1,234" not in "".join(element.proto.body for element in screen.get("html")), "stale: nobody works on it"
    assert "No worker is running it now" in words(screen)
    monkeypatch.setattr("app.services.rounds.jobs.worker_state", lambda _: WorkerState([ALIVE], [], 0.0))
    screen.run()
    assert "training, fold 1 of 2 · epoch 3 of 6" in screen.get("progress")[0].proto.text
    figures = "".join(element.proto.body for element in screen.get("html"))
    assert all(text in figures for text in ("0.250", "87.5%", "1,234", "time left"))
    screen.button("live_cancel").click().run()
    assert "No fold is done yet; you can resume it." in words(screen)
    screen.button("live_cancel_no").click().run()
    assert rounds.get_round(app_context, started.id).status is JobStatus.RUNNING
    screen.button("live_cancel").click().run()
    screen.button("live_cancel_yes").click().run()
    assert rounds.get_round(app_context, started.id).status is JobStatus.CANCELLED
    assert "was cancelled" in words(screen)
    screen.button("resume_go").click().run()
    assert rounds.get_round(app_context, started.id).status is JobStatus.QUEUED


def test_a_running_teacher_student_round_draws_the_results_of_finished_networks(
    screen: AppTest, app_context: AppContext
) -> None:
    dataset_id = add_dataset(app_context, [0, 1] * 10 + [None] * 5)
    started = rounds.start_round(app_context, dataset_id, RoundConfig(), "ada", recipe=Recipe.ITERATED)
    screen.run()
    assert not screen.get("plotly_chart"), "nothing is measured yet"
    folder = app_context.round_folder(started.id)
    folder.mkdir(parents=True)
    (folder / "baseline.json").write_text('{"score": {"value": 0.75}}')
    (folder / "student_1.json").write_text('{"score": {"value": 0.8}}')
    screen.run()
    assert not screen.exception
    (chart,) = (json.loads(element.proto.spec) for element in screen.get("plotly_chart"))
    assert chart["data"][0]["x"] == ["labels alone", "student 1 of 3"]
    assert chart["data"][0]["y"] == [0.75, 0.8]
    assert chart["layout"]["shapes"][0]["y0"] == 0.75, "the baseline is a line"


def test_the_list_of_rounds_updates_when_a_round_starts(
    screen: AppTest, app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, PETS), RoundConfig(folds=2), "ada")
    look = rounds.progress

    def begin_and_look(of: AppContext, round_id: int) -> rounds.RoundProgress:
        if rounds.get_round(of, round_id).status is JobStatus.QUEUED:  # the page is drawn, then the worker takes it up
            with of.database.write() as session:
                rows.begin_round(session, started.id, "training", NOW)
        return look(of, round_id)

    monkeypatch.setattr("app.services.rounds.jobs.progress", begin_and_look)
    screen.run()
    assert not screen.exception
    assert "running" in words(screen)
    assert next(table.value for table in screen.dataframe if "Network" in table.value)["Status"].tolist() == ["running"]


def test_fine_tuning_is_the_second_proposal_for_photographs(screen: AppTest, app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    with app_context.database.write() as session:
        session.execute(update(SampleRow).values(width=640, height=480, grey=False))
    screen.run()
    assert "640 x 480 colour images: tf_efficientnet_lite0 at 160 pixels" in words(screen)
    screen.get("button_group")[0].select(1).run()
    assert "10 epochs" in words(screen)
    screen.button(f"form_{dataset_id}_other_start").click().run()
    assert not screen.exception
    (started,) = rounds.list_rounds(app_context, dataset_id)
    assert started.config == rounds.propose(app_context, dataset_id).configs[1].to_json()


def test_the_form_of_a_probe_has_no_epochs(screen: AppTest, app_context: AppContext) -> None:
    key = f"form_{add_photographs(app_context)}"
    screen.run()
    assert screen.number_input(f"{key}_epochs").disabled
    screen.get("button_group")[0].select(1).run()
    assert not screen.number_input(f"{key}_other_epochs").disabled


def test_the_form_of_masks_has_the_settings_of_masks(screen: AppTest, app_context: AppContext, tmp_path: Path) -> None:
    dataset_id = add_counted_scenes(app_context, tmp_path / "scenes")
    key = f"form_{dataset_id}"
    screen.run()
    assert not screen.exception
    narrow = [field.label for field in screen.number_input if field.key in {f"{key}_crop", f"{key}_region"}]
    assert narrow == ["Crop", "Min area"], "no more letters fit a third of the form at 1024 pixels"
    networks = screen.selectbox(f"{key}_model").options
    assert {"swiftnet_rn18", "small_unet", "deeplabv3plus-resnet18"} <= set(networks)
    assert "resnet18" not in networks
    screen.selectbox(f"{key}_model").set_value("deeplabv3plus-resnet34")
    screen.number_input(f"{key}_crop").set_value(96)
    screen.number_input(f"{key}_region").set_value(30)
    screen.number_input(f"{key}_boundary").set_value(2)
    screen.checkbox(f"{key}_class_weights").check()
    screen.checkbox(f"{key}_flip").check()
    screen.button_group(f"{key}_scales").set_value([0.75, 1.0, 1.25])
    screen.button(f"{key}_start").click().run()
    assert not screen.exception
    (started,) = rounds.list_rounds(app_context, dataset_id)
    wanted = {
        "model": "deeplabv3plus-resnet34", "crop": 96, "min_region": 30, "boundary": 2, "class_weights": True,
        "flip": True, "scales": [0.75, 1.0, 1.25],
    }  # fmt: skip
    assert started.config == {**rounds.propose_config(app_context, dataset_id).to_json(), **wanted}


def test_few_masks_and_many_tags_have_their_own_recipe(
    screen: AppTest, app_context: AppContext, tmp_path: Path
) -> None:
    dataset_id = add_scenes(app_context, tmp_path / "scenes", unlabelled=2)
    screen.run()
    form = f"form_{dataset_id}"
    screen.selectbox(f"{form}_recipe").select(Recipe.CROSS_TRAINING).run()
    assert not [field for field in screen.number_input if field.key == f"{form}_folds"]  # it has none
    assert not screen.exception
    screen.number_input(f"{form}_cross_training_steps").set_value(300)
    choose_by, test_on = (screen.multiselect(f"{form}_cross_training_{part}") for part in ("validation", "test"))
    assert (choose_by.options, choose_by.value) == (["test", "train"], []), "there is no split val"
    assert (test_on.options, test_on.value) == (["test", "train"], ["test"])
    test_on.set_value(["test", "train"])
    screen.button(f"{form}_start").click().run()
    assert "tag some on the Tags page" in words(screen)
    tags.tag(app_context, 5, [0, 1], by="ada")
    screen.button(f"{form}_start").click().run()
    assert not screen.exception
    (started,) = rounds.list_rounds(app_context, dataset_id)
    assert started.recipe is Recipe.CROSS_TRAINING
    assert started.recipe_config["steps"] == 300
    assert (started.recipe_config["validation_split"], started.recipe_config["test_split"]) == ("", "test,train")


def test_a_running_round_of_masks_shows_pixel_accuracy_and_current_iou(
    screen: AppTest, app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = add_counted_scenes(app_context, tmp_path / "scenes")
    started = rounds.start_round(app_context, dataset_id, RoundConfig(folds=2, model="small_unet"), "ada")
    folder = app_context.round_folder(started.id)
    folder.mkdir(parents=True)
    np.savez(folder / "fold_0.npz", confusion=np.array([[6, 2], [0, 8]]))
    with app_context.database.write() as session:
        rows.begin_round(session, started.id, "training", NOW)
        first = rows.begin_fold(session, started.id, 0, NOW)
        assert first is not None
        rows.end_fold(session, started.id, 0, first, NOW)
        second = rows.begin_fold(session, started.id, 1, NOW)
        assert second is not None
        told = Progress("training", 1, 2, 3, 6, 0.5, loss=0.25, accuracy=0.875, images_per_second=12.0)
        rows.write_fold(session, started.id, 1, second, told, now=NOW)
    monkeypatch.setattr("app.services.rounds.jobs.worker_state", lambda _: WorkerState([ALIVE], [], 0.0))
    screen.run()
    assert not screen.exception
    figures = "".join(element.proto.body for element in screen.get("html"))
    assert "held-out pixel accuracy" in figures
    assert "77.5%" in figures, "the mean of 6/8 and 8/10"


def test_rounds_of_masks_are_compared_side_by_side(screen: AppTest, app_context: AppContext, tmp_path: Path) -> None:
    dataset_id = add_scenes(app_context, tmp_path / "scenes")
    for _ in range(2):
        add_mask_round(app_context, dataset_id)
    screen.run()
    assert not screen.exception
    (table,) = screen.table
    assert list(table.value.loc["mIoU"]) == ["72.0%", "72.0%"]
    assert list(table.value.loc["regions found"]) == ["12", "12"]
    listed = screen.dataframe[0]
    assert list(listed.value["mIoU"]) == [0.72, 0.72]
    assert "mIoU" in listed.proto.column_order
    assert "Accuracy" not in listed.proto.column_order, "what does not fit a narrow window is in the table's menu"
    assert {"Accuracy", "Network", "Folds", "Epochs", "By"} <= set(listed.value.columns)


def test_a_failed_round_shows_its_reason(screen: AppTest, app_context: AppContext) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, PETS), RoundConfig(folds=2), "ada")
    with app_context.database.write() as session:
        rows.end_round(session, started.id, JobStatus.FAILED, "the weights are broken; choose others", NOW)
    screen.run()
    assert "Round 1 failed: the weights are broken; choose others" in words(screen)


def test_finished_rounds_are_compared_side_by_side_with_their_differing_settings(
    screen: AppTest, app_context: AppContext
) -> None:
    dataset_id = add_dataset(app_context, PETS)
    for epochs in (6, 9):
        add_done_round(app_context, dataset_id, RoundConfig(folds=2, epochs=epochs))
    screen.run()
    assert not screen.exception
    (table,) = screen.table
    assert list(table.value.columns) == ["Round 1", "Round 2"]
    assert list(table.value.loc["epochs"]) == ["6", "9"]
    assert "folds" not in table.value.index


def test_the_address_chooses_the_dataset(screen: AppTest, app_context: AppContext) -> None:
    add_dataset(app_context, PETS)
    other = add_dataset(app_context, PETS, name="others")
    screen.query_params["dataset"] = str(other)
    screen.run()
    assert screen.selectbox("pick_dataset").value == other
    assert not screen.warning


@pytest.mark.parametrize("place", ["rounds", "exports", "impact"])
@pytest.mark.parametrize("named", ["999", "-1", "x"])
def test_a_missing_dataset_is_reported_with_the_one_shown_instead(
    named: str, place: str, screen: AppTest, app_context: AppContext
) -> None:
    shown = add_dataset(app_context, PETS, name="a*b")
    screen.switch_page(f"pages/{place}.py")
    screen.query_params["dataset"] = named
    screen.run()
    assert not screen.exception
    assert screen.selectbox("pick_dataset").value == shown
    told = [one.value for one in screen.warning if "dataset" in one.value]
    assert told == [plain(f"There is no dataset {named} to show; a*b is shown instead.")]
    assert screen.query_params["dataset"] == str(shown)


def test_changes_between_rounds_are_shown_and_link_to_their_findings(screen: AppTest, app_context: AppContext) -> None:
    add_past(app_context)
    screen.run()
    assert not screen.exception
    tables = {tuple(table.value.columns): table.value for table in screen.dataframe}
    listed = next(table for columns, table in tables.items() if "Network" in columns)
    assert listed["Recipe"].tolist() == ["Find wrong labels", "Find wrong labels"]
    changed = next(table for columns, table in tables.items() if "In bulk" in columns)
    assert changed["Changed"].tolist() == ["4", ""]
    assert changed["From given"].tolist() == ["7", "unknown"]
    assert changed[["Accepted", "In bulk", "Left out"]].values.tolist() == [["3", "1,200", "3"], ["unknown"] * 3]
    assert changed["Settings"].tolist() == ["epochs 4 → 8, seed 0 → 1", ""]
    pairs = next(table for columns, table in tables.items() if "Findings" in columns)
    assert pairs[["From", "To", "Labels"]].values.tolist() == [["dog", "cat", 3], ["(none)", "dog", 1]]
    assert pairs["Findings"][0] == "review?round=1&show=suspicious&status=any&given=1&pseudo=0"
    assert pairs["Findings"].isna().tolist() == [False, True]


def test_a_round_with_few_metrics_is_listed_in_every_table(screen: AppTest, app_context: AppContext) -> None:
    dataset_id = add_past(app_context)
    round_id = add_done_round(app_context, dataset_id)
    with app_context.database.write() as session:
        row = session.get(RoundRow, round_id)
        row.recipe, row.metrics, row.recipe_config = Recipe.COMPARISON, {"difference": 0.01}, {"seeds": 3}
    screen.run()
    assert not screen.exception
    assert "Side by side" in words(screen)
    [chart] = screen.get("plotly_chart")  # of one of the two, and says of which
    assert json.loads(chart.proto.spec)["layout"]["showlegend"] is True
    changed = next(table.value for table in screen.dataframe if "In bulk" in table.value.columns)
    assert changed["Recipe"].tolist()[0] == "Measure the impact of cleaning"
    assert changed["Changed"].tolist() == ["unknown", "4", ""]


def test_teacher_and_student_is_a_recipe_for_classes(
    screen: AppTest, app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = add_dataset(app_context, [0, 1] * 10 + [None] * 5)
    screen.run()
    form = f"form_{dataset_id}"
    screen.selectbox(f"{form}_recipe").select(Recipe.ITERATED).run()
    assert not screen.exception
    for part in ("validation", "test"):
        field = screen.selectbox(f"{form}_iterated_{part}")
        assert (field.options, field.value) == (["none"], ""), "it has no splits"
    assert "shown once it runs" in words(screen), "no part of the network was timed"
    costs = TrainingCosts(images=25, once=10, training=6, strong=10, predicting=2)
    timed = Estimates((41.0,), pending=False, costs=(costs,))
    monkeypatch.setattr("app.services.rounds.preview.known_times", lambda *_: timed)
    screen.number_input(f"{form}_epochs").set_value(10)
    screen.number_input(f"{form}_iterated_iterations").set_value(2).run()
    assert "about 9 min" in words(screen)  # 10 + 10 epochs * 5 networks * 10 + 3 * 2 = 516 s
    screen.number_input(f"{form}_iterated_iterations").set_value(5).run()
    assert "about 15 min" in words(screen)
    screen.number_input(f"{form}_iterated_iterations").set_value(2)
    screen.number_input(f"{form}_iterated_minutes").set_value(3.0).run()
    assert "about 15 min" in words(screen)  # of 5 networks
    screen.number_input(f"{form}_iterated_minutes").set_value(0.0)
    screen.number_input(f"{form}_iterated_views").set_value(1000)
    screen.selectbox(f"{form}_iterated_mirror").select("off")
    screen.checkbox(f"{form}_iterated_growing").check()
    screen.slider(f"{form}_iterated_share").set_range(0.4, 0.9)
    screen.checkbox(f"{form}_iterated_consistency").check()
    screen.checkbox(f"{form}_iterated_votes").check()
    assert f"{form}_method" in {field.key for field in screen.get("button_group")}, "a frozen network spreads labels"
    screen.button(f"{form}_start").click().run()
    assert not screen.exception
    (started,) = rounds.list_rounds(app_context, dataset_id)
    assert started.recipe is Recipe.ITERATED
    names = ("iterations", "share", "last_share", "consistency", "votes", "mirror", "views", "minutes", "growing")
    chosen = {name: started.recipe_config[name] for name in names}
    assert chosen == {
        "iterations": 2,
        "share": 0.4,
        "last_share": 0.9,
        "consistency": True,
        "votes": 5,
        "mirror": "off",
        "views": 1000,
        "minutes": 0.0,
        "growing": True,
    }


def test_existing_splits_except_evaluation_splits_are_offered_for_validation(
    screen: AppTest, app_context: AppContext
) -> None:
    dataset_id = add_dataset(app_context, [0, 1] * 10 + [None] * 5)
    add_done_round(app_context, dataset_id)
    protect(app_context, dataset_id)
    screen.run()
    form = f"form_{dataset_id}"
    screen.selectbox(f"{form}_recipe").select(Recipe.ITERATED).run()
    assert not screen.exception
    choose_by, test_on = (screen.selectbox(f"{form}_iterated_{part}") for part in ("validation", "test"))
    assert (choose_by.options, test_on.options) == (["none", "train"], ["none", "test", "train"])
    choose_by.select("train")
    screen.button(f"{form}_start").click().run()
    (started, _) = rounds.list_rounds(app_context, dataset_id)
    assert (started.recipe_config["validation_split"], started.recipe_config["test_split"]) == ("train", "")


@pytest.mark.parametrize("recipe", [Recipe.ITERATED, Recipe.COMPARISON, Recipe.PREDICTIONS])
def test_every_recipe_has_a_description(screen: AppTest, app_context: AppContext, recipe: Recipe) -> None:
    dataset_id = add_dataset(app_context, PETS)
    screen.run()
    before = set(words(screen).splitlines())
    screen.selectbox(f"form_{dataset_id}_recipe").select(recipe).run()
    assert not screen.exception
    said = "\n".join(set(words(screen).splitlines()) - before)
    says = {
        Recipe.ITERATED: "A first network is trained",
        Recipe.COMPARISON: "on the original and on the current labels",
        Recipe.PREDICTIONS: "Nothing is trained",
    }
    assert says[recipe] in said


def test_probabilities_from_a_file_become_a_round_without_a_network(
    screen: AppTest, app_context: AppContext, tmp_path: Path
) -> None:
    dataset_id = add_dataset(app_context, PETS)
    rows = [f"{position}.png,{0.9 - 0.8 * label:.1f},{0.1 + 0.8 * label:.1f}" for position, label in enumerate(PETS)]
    (tmp_path / "pred.csv").write_text("\n".join(["image,cat,dog", *rows]))
    screen.run()
    form = f"form_{dataset_id}"
    screen.selectbox(f"{form}_recipe").select(Recipe.PREDICTIONS).run()
    assert f"{form}_folds" not in [field.key for field in screen.number_input]
    screen.button(f"{form}_start").click().run()
    assert "no file of probabilities is named" in screen.error[0].value
    screen.text_input(f"{form}_predictions_file").set_value(str(tmp_path / "pred.csv")).run()
    screen.radio(f"{form}_predictions_out_of_fold").set_value(True).run()
    screen.button(f"{form}_start").click().run()
    started = rounds.list_rounds(app_context, dataset_id)[0]
    assert started.recipe is Recipe.PREDICTIONS
    assert (started.config["model"], (started.recipe_config or {})["out_of_fold"]) == ("pred.csv", True)


def test_a_folder_of_predicted_masks_becomes_a_round_without_a_network(
    screen: AppTest, app_context: AppContext, tmp_path: Path
) -> None:
    dataset_id = add_scenes(app_context, tmp_path / "scenes")
    folder = tmp_path / "predicted"
    folder.mkdir()
    for number in range(6):
        truth = draw(number).truth
        np.savez(folder / f"scene_{number:03d}.npz", confidence=np.full(truth.shape, 0.9), **{"class": truth})
    screen.run()
    form = f"form_{dataset_id}"
    screen.selectbox(f"{form}_recipe").select(Recipe.PREDICTIONS).run()
    screen.text_input(f"{form}_predictions_file").set_value(str(folder)).run()
    screen.radio(f"{form}_predictions_out_of_fold").set_value(True).run()
    screen.button(f"{form}_start").click().run()
    assert not screen.exception
    started = rounds.list_rounds(app_context, dataset_id)[0]
    assert (started.recipe, started.config["model"]) == (Recipe.PREDICTIONS, "predicted")


@pytest.mark.parametrize(
    "config",
    [
        RoundConfig(folds=2, model="resnet18.a1_in1k", weights=Weights.PRETRAINED),
        RoundConfig(folds=2, input_size=4096),
    ],
    ids=["tagged model", "many pixels"],
)
def test_the_page_opens_after_a_round_of_any_configuration(
    screen: AppTest, app_context: AppContext, config: RoundConfig
) -> None:
    add_done_round(app_context, add_dataset(app_context, PETS), config)
    screen.run()
    assert not screen.exception
