import io
import shutil
import zipfile
from pathlib import Path

import pytest

from app.services import imports, uploads
from app.services.imports import ImportRequest
from app.services.workspace import Workspace
from core.types import DatasetError, RoundStatus


def zipped(root: Path) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(root.rglob("*.png")):
            archive.write(path, f"digits/{path.relative_to(root)}")
    return buffer


def test_an_uploaded_set_can_be_imported_and_is_kept_once(workspace: Workspace, digits_folder: Path) -> None:
    archive = zipped(digits_folder)
    folder = uploads.store_upload(workspace, archive, "my <set>.zip")
    assert folder == uploads.store_upload(workspace, archive, "my <set>.zip")
    assert folder.name == "my _set_"
    narrow = workspace.settings.model_copy(update={"allowed_roots": "/nowhere"})
    inside = Workspace(workspace.database, workspace.files, narrow)
    asked = imports.start_import(inside, ImportRequest(name="up", source=str(folder)))
    done = imports.run_import(inside, asked)
    assert done.status is RoundStatus.DONE, done.message
    assert done.report is not None
    assert done.report["images"] == 300
    assert len(done.report["classes"]) == 10


def test_a_bad_upload_leaves_nothing(workspace: Workspace) -> None:
    with pytest.raises(DatasetError):
        uploads.store_upload(workspace, io.BytesIO(b"no zip"), "../../x.zip")
    assert not [path for path in (workspace.files / "uploads").rglob("*") if path.is_file()]
    assert not list((workspace.files / "uploads").rglob(".*"))


def test_an_archive_of_this_machine_leaves_a_reserve_of_the_disk(
    workspace: Workspace, digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "digits.zip"
    path.write_bytes(zipped(digits_folder).getvalue())
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=(1 << 30) + 10))
    with pytest.raises(DatasetError, match="too much"):
        uploads.store_archive(workspace, path)
