"""`delete` and `restore`."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.settings import settings
from tests.app.commands.running import run, run_json
from tests.app.services.reviewed import digits, digits_home, import_folder  # noqa: F401 fixtures
from tests.core.data.formats.drawn import draw


@pytest.fixture
def opened(digits: AppContext, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppContext]:  # noqa: F811
    """Return an installation with digits and a finished round, named by the environment."""
    monkeypatch.setenv("OUTFOLD_HOME", str(digits.settings.home))
    monkeypatch.setenv("OUTFOLD_DEMO", "false")
    settings.cache_clear()  # they are read once a process
    yield digits
    settings.cache_clear()


@pytest.mark.usefixtures("opened")
def test_a_dataset_is_deleted_and_restored() -> None:
    gone = run_json("delete", "digits", "--yes", "--by", "Ada")
    assert (gone["deleted"], gone["held"]["rounds"]) == ("digits", 1)
    assert run_json("datasets") == []
    assert "there is no dataset called digits" in run("delete", "digits", "--yes", code=1).stderr
    listed = run_json("restore")
    assert [(one["name"], one["days_left"]) for one in listed] == [("digits", 7)]
    assert "digits" in run("restore").stdout
    assert run("restore", "digits").stdout == "restored digits\n"
    assert [one["name"] for one in run_json("datasets")] == ["digits"]
    assert "nothing was deleted" in run("restore").stderr


@pytest.mark.usefixtures("opened")
def test_a_round_is_deleted_and_restored() -> None:
    assert run_json("delete", "digits", "--round", "1", "--yes")["deleted"] == "digits, Round 1"
    assert run_json("rounds", "digits") == []
    assert run_json("restore", "digits, Round 1") == {"restored": "digits, Round 1"}
    assert len(run_json("rounds", "digits")) == 1


def test_images_are_removed_and_restored(opened: AppContext) -> None:
    assert "say which images" in run("remove-images", "digits", code=2).stderr
    assert "add --yes to remove" in run("remove-images", "digits", "--given", "3", code=2).stderr
    gone = run_json("remove-images", "digits", "--given", "3", "--yes", "--by", "Ada")
    assert gone["held"]["images"] > 0
    assert gone["removed"] == "digits, given 3"
    assert "no such image" in run("remove-images", "digits", "--given", "3", "--yes", code=1).stderr
    assert "digits, given 3 (" in run("rounds", "digits").stdout
    assert run_json("restore", gone["removed"]) == {"restored": gone["removed"]}


def test_images_found_by_a_check_are_removed_within_the_other_filters(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cat/1.png", "cat/2.png", "dog/3.png"):
        draw(tmp_path / "pets" / name)
    shutil.copy(tmp_path / "pets/cat/1.png", tmp_path / "pets/cat/4.png")
    Image.new("RGB", (16, 16), "black").save(tmp_path / "pets/dog/5.png")
    import_folder(app_context, tmp_path / "pets", "pets")
    monkeypatch.setenv("OUTFOLD_HOME", str(app_context.settings.home))
    monkeypatch.setenv("OUTFOLD_DEMO", "false")
    settings.cache_clear()
    assert (
        "no such image" in run("remove-images", "pets", "--found", "copies", "--given", "dog", "--yes", code=1).stderr
    )
    assert "run a round" in run("remove-images", "pets", "--found", "outliers", "--yes", code=1).stderr
    assert "choose from copies, outliers, empty" in run("remove-images", "pets", "--found", "old", code=2).stderr
    assert run_json("remove-images", "pets", "--found", "copies", "--yes")["removed"] == "pets, found as copies"
    assert run_json("remove-images", "pets", "--found", "empty", "--yes")["held"]["images"] == 1
    assert run_json("datasets", "show", "pets")["images"] == 3
    settings.cache_clear()


def test_an_import_is_undone_and_redone(opened: AppContext) -> None:
    assert "delete the dataset" in run("undo-import", "digits", "--yes", code=1).stderr
    again = imports.run_import(opened, imports.add_import(opened, imports.repeat_request(opened, 1)))
    assert again.message == ""
    assert next(one["undo"] for one in run_json("undo-import", "digits", "--list")) == "possible"
    gone = run_json("undo-import", "digits", "--import", str(again.id), "--yes")
    assert len(run_json("undo-import", "digits", "--list")) == 1
    assert "digits has no import 77" in run("undo-import", "digits", "--import", "77", "--yes", code=1).stderr
    assert run_json("restore", gone["undone"]) == {"restored": gone["undone"]}


@pytest.mark.usefixtures("opened")
def test_deletion_needs_confirmation_and_missing_objects_are_named() -> None:
    assert "add --yes to delete" in run("delete", "digits", code=2).stderr
    assert "digits has no round 7" in run("delete", "digits", "--round", "7", "--yes", code=1).stderr
    assert "nothing called 'cats' can be restored" in run("restore", "cats", code=1).stderr
    assert [one["name"] for one in run_json("datasets")] == ["digits"]
