"""Sources of imports: folders to choose from, counted within bounds, and archives unpacked whole or not at all."""

import io
import shutil
import zipfile
from pathlib import Path

import pytest

from app.services.app_context import AppContext
from app.services.imports import jobs as imports, sources
from app.services.imports.jobs import ImportRequest
from core.types import DatasetError, JobStatus
from tests.core.data.formats.drawn import draw_all


def confined(app_context: AppContext, *roots: Path) -> AppContext:
    named = ":".join(map(str, roots))
    return AppContext(
        app_context.database, app_context.files, app_context.settings.model_copy(update={"allowed_roots": named})
    )


def names(listing: sources.Listing) -> list[str]:
    return [folder.path.name for folder in listing.folders]


def test_folders_are_listed_by_name_with_the_number_of_images_below(app_context: AppContext, tmp_path: Path) -> None:
    draw_all(tmp_path / "data", ["set10/cat/1.png", "set10/dog/2.png", "set9/1.png"])
    (tmp_path / "data" / "empty").mkdir()
    (tmp_path / "data" / ".hidden").mkdir()
    listing = sources.list_folder(app_context, tmp_path / "data")
    assert [(folder.path.name, folder.images, folder.more) for folder in listing.folders] == [
        ("empty", 0, False),
        ("set9", 1, False),
        ("set10", 2, False),
    ]
    assert (listing.path, listing.parent, listing.has_up) == (tmp_path / "data", tmp_path, True)


def test_the_allowed_roots_are_the_top_level_of_browsing(app_context: AppContext, tmp_path: Path) -> None:
    inside = tmp_path / "data"
    draw_all(inside, ["cat/1.png"])
    narrow = confined(app_context, inside)
    top = sources.list_folder(narrow, None)
    assert (top.path, top.has_up, names(top)) == (None, False, ["data"])
    root = sources.list_folder(narrow, inside)
    assert (root.parent, root.has_up) == (None, True)
    assert sources.list_folder(narrow, inside / "cat").parent == inside
    for outside in (tmp_path, inside / "..", Path("/")):
        with pytest.raises(DatasetError, match="OUTFOLD_ALLOWED_ROOTS"):
            sources.list_folder(narrow, outside)


def test_links_to_the_outside_are_neither_listed_nor_followed(app_context: AppContext, tmp_path: Path) -> None:
    inside = tmp_path / "data"
    draw_all(tmp_path / "secret", ["1.png"])
    draw_all(inside, ["cat/1.png"])
    (inside / "away").symlink_to(tmp_path / "secret")
    (inside / "same").symlink_to(inside / "cat")
    (inside / "circle").symlink_to(inside / "circle")
    (inside / "cat" / "away").symlink_to(tmp_path / "secret")
    narrow = confined(app_context, inside)
    assert [(one.path.name, one.images) for one in sources.list_folder(narrow, inside).folders] == [
        ("cat", 1),
        ("same", 1),
    ]
    with pytest.raises(DatasetError, match="OUTFOLD_ALLOWED_ROOTS"):
        sources.list_folder(narrow, inside / "away")


def test_scanning_a_large_folder_is_limited(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_all(tmp_path / "data", [f"set{number}/{image}.png" for number in range(4) for image in range(5)])
    monkeypatch.setattr(sources, "MOST_FOLDERS", 3)
    monkeypatch.setattr(sources, "MOST_COUNTED", 6)
    listing = sources.list_folder(app_context, tmp_path / "data")
    assert listing.cut
    assert [(one.path.name, one.images, one.more) for one in listing.folders] == [
        ("set0", 2, True),
        ("set1", 2, True),
        ("set2", 2, True),
    ]
    monkeypatch.setattr(sources, "MOST_ENTRIES", 2)
    assert len(sources.list_folder(app_context, tmp_path / "data").folders) == 2


def test_a_path_that_is_not_a_folder_is_an_error_with_its_cure(app_context: AppContext, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "missing"):
        with pytest.raises(DatasetError, match="choose another folder"):
            sources.list_folder(app_context, path)


def test_recent_folders_are_those_of_imports_within_allowed_roots(app_context: AppContext, tmp_path: Path) -> None:
    for name in ("one", "two", "one"):
        root = draw_all(tmp_path / name, ["cat/1.png", "dog/1.png"])
        imports.run_import(app_context, imports.add_import(app_context, ImportRequest(name=name, source=str(root))))
    assert sources.recent_folders(app_context) == [tmp_path / "one", tmp_path / "two"]
    assert sources.recent_folders(confined(app_context, tmp_path / "two")) == [tmp_path / "two"]


def zipped(root: Path) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(root.rglob("*.png")):
            archive.write(path, f"digits/{path.relative_to(root)}")
    return buffer


def test_an_uploaded_archive_can_be_imported_and_is_stored_once(app_context: AppContext, digits_folder: Path) -> None:
    archive = zipped(digits_folder)
    folder = sources.store_upload(app_context, archive, "my <set>.zip")
    assert folder == sources.store_upload(app_context, archive, "my <set>.zip")
    assert folder.name == "my _set_"
    narrow = app_context.settings.model_copy(update={"allowed_roots": "/nowhere"})
    inside = AppContext(app_context.database, app_context.files, narrow)
    asked = imports.add_import(inside, ImportRequest(name="up", source=str(folder)))
    done = imports.run_import(inside, asked)
    assert done.status is JobStatus.DONE, done.message
    assert done.report is not None
    assert done.report["images"] == 300
    assert len(done.report["classes"]) == 10


def test_a_bad_upload_leaves_nothing(app_context: AppContext) -> None:
    with pytest.raises(DatasetError):
        sources.store_upload(app_context, io.BytesIO(b"no zip"), "../../x.zip")
    assert not [path for path in (app_context.files / "uploads").rglob("*") if path.is_file()]
    assert not list((app_context.files / "uploads").rglob(".*"))


def test_unpacking_a_local_archive_leaves_a_reserve_of_disk_space(
    app_context: AppContext, digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "digits.zip"
    path.write_bytes(zipped(digits_folder).getvalue())
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=(1 << 30) + 10))
    with pytest.raises(DatasetError, match="too much"):
        sources.store_archive(app_context, path)
