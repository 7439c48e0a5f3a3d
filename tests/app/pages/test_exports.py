"""The Export page: empty, the preview that follows the form, what may not be written, start, former exports."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.services import jobs, reviews
from app.services.app_context import AppContext
from app.services.evaluation import splits as evaluation
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from core.data.export.items import ExportFormat, UnusablePolicy
from core.types import FindingFilter, JobStatus
from db.models import ExportRow
from tests.app.services.reviewed import digits, digits_home  # noqa: F401 fixtures

MAIN = Path(__file__).parents[3] / "app" / "main.py"


def open_page(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    monkeypatch.setattr(jobs, "enqueue_export", lambda *_: None)
    monkeypatch.setattr(jobs, "cancel_export", lambda *_: None)
    return AppTest.from_file(str(MAIN), default_timeout=30).switch_page("pages/exports.py").run()


@pytest.fixture
def screen(digits: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppTest:  # noqa: F811
    opened = open_page(digits, monkeypatch)
    assert not opened.exception
    return opened


def words(screen: AppTest) -> str:
    shown = [*screen.markdown, *screen.caption, *screen.info, *screen.error, *screen.warning]
    drawn = [element.proto.body for element in screen.get("html")]
    return "\n".join([*(str(element.value) for element in shown), *drawn])


def test_the_page_without_a_dataset_links_to_the_import(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = open_page(app_context, monkeypatch)
    assert not screen.exception
    assert "Import a dataset first" in words(screen)


def test_the_preview_counts_follow_the_form(screen: AppTest) -> None:
    assert ">300</div>" in words(screen)
    assert "No label changes" in words(screen)
    screen.radio("form_family").set_value("Patch").run()
    assert not screen.exception
    assert ">300</div>" in words(screen)


def test_a_folder_within_the_originals_is_refused_before_anything_starts(screen: AppTest, digits_folder: Path) -> None:
    screen.text_input("form_folder").set_value(str(digits_folder / "clean")).run()
    assert "within one another" in words(screen)
    assert screen.button("preview_start").disabled


def test_an_export_is_started_watched_and_cancelled(
    screen: AppTest,
    digits: AppContext,  # noqa: F811
    tmp_path: Path,
) -> None:
    screen.text_input("form_folder").set_value(str(tmp_path / "out")).run()
    screen.button("preview_start").click().run()
    assert not screen.exception
    (started,) = exports.list_exports(digits)
    assert (started.status, started.path) == (JobStatus.QUEUED, str(tmp_path / "out"))
    assert "waiting for the worker" in screen.get("progress")[0].proto.text
    screen.button(f"running_{started.id}_cancel").click().run()
    assert exports.get_export(digits, started.id).status is JobStatus.CANCELLED


@pytest.mark.parametrize("form", [ExportFormat.CLASS_FOLDERS, ExportFormat.PATCH])
def test_a_finished_export_is_listed_and_downloaded(
    digits: AppContext,  # noqa: F811
    form: ExportFormat,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = ExportRequest(dataset_id=1, options=exports.ExportOptions(format=form))
    done = exports.run_export(digits, exports.add_export(digits, request).id)
    screen = open_page(digits, monkeypatch)
    assert "Earlier exports" in words(screen)
    assert list(screen.dataframe[-1].value["Download"]) == [f"/outfold/exports/{done.id}.zip"]
    screen.query_params["export"] = str(done.id)
    screen.run()
    assert not screen.exception
    assert screen.code[0].value == done.path
    [size] = screen.dataframe[-1].value["Size"]
    assert not size.startswith("0")
    with digits.database.write() as session:  # as an earlier version wrote it
        row = session.get(ExportRow, done.id)
        assert row is not None
        assert row.manifest is not None
        files = {name: value for name, value in row.manifest["files"].items() if name != "table_bytes"}
        row.manifest = row.manifest | {"files": files}
    screen.run()
    assert not screen.exception
    assert bool(screen.dataframe[-1].value["Size"].notna().all()) == form.with_files


def test_the_previewed_class_folders_equal_the_written_ones(
    digits: AppContext,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caption = open_page(digits, monkeypatch).radio(key="form_family").proto.captions[0]
    assert caption.startswith("one folder per class")
    evaluation.draw(digits, 1)
    caption = open_page(digits, monkeypatch).radio(key="form_family").proto.captions[0]
    assert caption == "one folder per split (`_no_split` for images in none), in each one folder per class"
    done = exports.run_export(digits, exports.add_export(digits, ExportRequest(dataset_id=1)).id)
    assert {path.name for path in Path(done.path).iterdir() if path.is_dir()} == {"_no_split", "evaluation"}


def test_a_failed_export_shows_the_cause(
    digits: AppContext,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    info = exports.add_export(digits, ExportRequest(dataset_id=1, folder=str(tmp_path / "out")))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    assert exports.run_export(digits, info.id).status is JobStatus.FAILED
    screen = open_page(digits, monkeypatch)
    screen.query_params["export"] = str(info.id)
    screen.run()
    assert not screen.exception
    assert "is not empty" in words(screen)


def test_only_mask_formats_are_offered_for_a_dataset_of_masks(
    scenes: AppContext,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    reviews.accept_all(scenes, FindingFilter(round_id=1), by="ada")
    screen = open_page(scenes, monkeypatch)
    assert not screen.exception
    assert screen.radio("form_mask_family").options == [
        "Images and masks",
        "CamVid",
        "Pascal VOC",
        "COCO",
        "Label Studio",
    ]
    assert "pixels changed" in words(screen)
    assert ">12</div>" in words(screen)
    for family, label in (("COCO", "Annotations"), ("Images and masks", "Black-and-white masks as well")):
        screen.radio("form_mask_family").set_value(family).run()
        assert label in [each.label for each in screen.get("button_group")]
    screen.radio("form_mask_family").set_value("Pascal VOC").run()
    screen.selectbox("form_unsettled_ambiguous_False_True").set_value(UnusablePolicy.KEEP_GIVEN).run()
    screen.text_input("form_folder").set_value(str(tmp_path / "out")).run()
    screen.button("preview_start").click().run()
    assert not screen.exception
    (started,) = exports.list_exports(scenes)
    assert (started.request["format"], started.request["ambiguous"]) == ("voc", "keep-given")
    done = exports.run_export(scenes, started.id)
    assert done.status is JobStatus.DONE, done.message
    screen.query_params["export"] = str(done.id)
    screen.run()
    assert not screen.exception
    assert "Read back and compared" in words(screen)
