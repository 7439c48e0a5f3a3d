"""Homes that share their files behind a URL: which may, and that all they store is seen by the other."""

import io
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.services import deletions, images
from app.services.app_context import AppContext, open_app
from app.services.backups.make import make
from app.services.backups.restore import restore
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.imports.sources import store_upload
from app.services.jobs import database_lock, is_locked
from app.services.publication import publish_files
from app.services.shared_files import NOTE
from app.settings import Settings
from core.data.masks.store import MaskStore
from core.data.remote import Remote
from core.data.store import close_store
from core.types import ConfigError, JobStatus, RoundCancelledError, StorageError
from db.queries import snapshots
from tools.fixtures.scenes import add_round, add_scenes

pytest_plugins = ["tests.postgres"]
ROOT = Path(__file__).parents[3]


def settings_of(home: Path, **more: Any) -> Settings:
    return Settings(home=home, demo=False, embedded_worker=False, **more)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


@pytest.fixture
def shared(tmp_path: Path, url: str) -> dict[str, str]:
    """Return the settings that two homes have in common."""
    database = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    return {"database_url": database, "engine_url": database.replace("shared", "engine"), "files_url": url}


@pytest.fixture(autouse=True)
def forgotten(tmp_path: Path) -> Iterator[None]:
    """Forget the stores of this test's homes after it."""
    yield
    for name in ("one", "other", "third", "plain"):
        close_store(tmp_path / name / "files")


@pytest.fixture
def homes(tmp_path: Path, shared: dict[str, str]) -> Iterator[tuple[AppContext, AppContext]]:
    opened = [open_app(settings_of(tmp_path / name, **shared)) for name in ("one", "other")]
    yield opened[0], opened[1]
    for one in opened:
        one.database.close()


def opens(home: Path, **more: Any) -> None:
    open_app(settings_of(home, **more)).database.close()


def picture(value: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(data, "PNG")
    return data.getvalue()


def archive() -> io.BytesIO:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for number in range(6):
            file.writestr(f"{'ab'[number % 2]}/{number}.png", picture(20 * number))
    data.seek(0)
    return data


def run_import(app_context: AppContext, **request: Any) -> int:
    done = imports.run_import(app_context, imports.add_import(app_context, ImportRequest(**request)))
    assert done.status is JobStatus.DONE, done.message
    assert done.dataset_id is not None
    return done.dataset_id


def hashes(app_context: AppContext, dataset_id: int) -> list[str]:
    with app_context.database.read() as session:
        return [one.content_hash for one in snapshots.samples_of(session, dataset_id)]


def test_homes_with_one_url_share_a_database_and_one_without_is_refused(
    tmp_path: Path, shared: dict[str, str], homes: tuple[AppContext, AppContext]
) -> None:
    opens(tmp_path / "one", **shared)
    with pytest.raises(StorageError, match="its files are in another home"):
        opens(tmp_path / "third", database_url=shared["database_url"])


def test_homes_that_share_rows_but_not_jobs_are_refused(tmp_path: Path, shared: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="OUTFOLD_ENGINE_URL is empty"):
        opens(tmp_path / "one", **shared | {"engine_url": ""})


def test_a_linked_files_folder_is_refused(tmp_path: Path, url: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "one" / "files").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is a link"):
        opens(tmp_path / "one", files_url=url)


def test_a_url_with_the_files_of_another_database_is_refused(tmp_path: Path, url: str) -> None:
    opens(tmp_path / "one", files_url=url)  # its database lies in the home
    Remote(url).write("masks/ab/x.png", b"mask")
    with pytest.raises(StorageError, match=r"another database.*prefix of its own"):
        opens(tmp_path / "other", files_url=url)


def test_a_start_killed_before_storing_its_number_is_repeated(tmp_path: Path, url: str) -> None:
    Remote(url).write("home_id", b"17\n")
    opens(tmp_path / "one", files_url=url)
    opens(tmp_path / "one", files_url=url)
    assert Remote(url).read("home_id") == b"17\n"


def test_a_database_with_its_files_elsewhere_is_refused(tmp_path: Path, url: str, shared: dict[str, str]) -> None:
    opens(tmp_path / "plain", database_url=shared["database_url"])
    with pytest.raises(StorageError, match="does not hold the files of"):
        opens(tmp_path / "one", **shared)


def test_a_home_with_copies_is_refused_without_its_url_or_with_another(tmp_path: Path, url: str) -> None:
    opens(tmp_path / "one", files_url=url)
    with pytest.raises(StorageError, match=r"are copies of those behind file://.*set OUTFOLD_FILES_URL"):
        opens(tmp_path / "one")
    with pytest.raises(StorageError, match="are copies of those behind"):
        opens(tmp_path / "one", files_url=f"{url}2")


def test_a_home_with_files_is_refused_until_they_are_published_for_other_homes(tmp_path: Path, url: str) -> None:
    plain = open_app(settings_of(tmp_path / "one", database_url=f"sqlite:///{tmp_path}/shared.sqlite"))
    dataset_id = add_scenes(plain, tmp_path / "scenes")
    round_id = add_round(plain, dataset_id)
    with plain.database.read() as session:
        (first, *_) = [one.mask_hash for one in snapshots.samples_of(session, dataset_id)]
    assert first is not None
    plain.database.close()
    urls = {"database_url": f"sqlite:///{tmp_path}/shared.sqlite", "engine_url": f"sqlite:///{tmp_path}/engine.sqlite"}
    chosen = settings_of(tmp_path / "one", **urls, files_url=url)
    with pytest.raises(StorageError, match=r"not behind file://.*files publish"):
        open_app(chosen)
    assert publish_files(chosen, lambda _done, _name: None) > 6
    assert publish_files(chosen, lambda _done, _name: None) > 6  # again, after a kill
    open_app(chosen).database.close()
    other = open_app(settings_of(tmp_path / "other", **urls, files_url=url))
    assert (other.round_folder(round_id) / "predicted.npy").read_bytes() == (
        plain.own_round_folder(round_id) / "predicted.npy"
    ).read_bytes()
    assert np.array_equal(MaskStore(other.masks).get(first), MaskStore(plain.masks).get(first))
    other.database.close()


def test_nothing_is_published_without_a_url(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="OUTFOLD_FILES_URL is empty"):
        publish_files(settings_of(tmp_path / "one"), lambda _done, _name: None)


@pytest.mark.parametrize("value", ["bucket", "memory://x", "nonsense://bucket/x"])
def test_an_invalid_url_is_refused_as_a_setting(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFOLD_FILES_URL", value)
    with pytest.raises(ValueError, match="files_url"):
        Settings()


def test_an_upload_to_one_home_can_be_seen_reimported_and_exported_by_the_other(
    homes: tuple[AppContext, AppContext],
) -> None:
    one, other = homes
    folder = store_upload(one, archive(), "photos.zip")
    dataset_id = run_import(one, name="photos", source=str(folder))
    shutil.rmtree(folder)  # as on another machine, where this path leads nowhere
    close_store(one.files)
    for content in hashes(other, dataset_id):
        path = images.file_of(other, content)
        assert path is not None
        assert path.is_relative_to(other.files)
        assert images.thumbnail(other, content, 64) is not None
    written = exports.run_export(other, exports.add_export(other, ExportRequest(dataset_id=dataset_id)).id)
    assert written.status is JobStatus.DONE, written.message
    zipped = exports.archive(one, written.id)
    with zipfile.ZipFile(zipped) as file:
        assert sum(name.endswith(".png") for name in file.namelist()) == 6


def test_an_export_queued_by_one_home_is_written_by_the_other_below_its_own_folder(
    homes: tuple[AppContext, AppContext],
) -> None:
    one, other = homes
    dataset_id = run_import(one, name="photos", source=str(store_upload(one, archive(), "photos.zip")))
    queued = exports.add_export(one, ExportRequest(dataset_id=dataset_id))
    assert exports.run_export(other, queued.id).status is JobStatus.DONE
    assert not Path(queued.path).exists()
    assert exports.is_downloadable(one, exports.get_export(one, queued.id))


def test_a_mask_is_published_before_its_row_is_stored(
    homes: tuple[AppContext, AppContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = homes
    dataset_id = add_scenes(one, tmp_path / "scenes")
    with other.database.read() as session:
        names = [one.mask_hash for one in snapshots.samples_of(session, dataset_id)]
    assert all(MaskStore(other.masks).get(name or "").shape == (120, 160) for name in names)


def test_a_backup_includes_files_only_in_the_store_and_is_restored_to_another_url(
    homes: tuple[AppContext, AppContext], tmp_path: Path
) -> None:
    one, other = homes
    dataset_id = add_scenes(one, tmp_path / "scenes")
    round_id = add_round(one, dataset_id)
    with pytest.raises(FileNotFoundError):
        (other.round_folder(round_id) / "predicted.npy").stat()  # drawn by hand, so it was not published
    publish_files(one.settings, lambda _done, _name: None)
    manifest = make(other, tmp_path / "backup.tar")
    assert sum(name.startswith("files/masks/") for name in manifest.files) == 6
    assert f"files/rounds/{round_id}/predicted.npy" in manifest.files
    chosen = settings_of(tmp_path / "third", files_url=f"file://{tmp_path}/new")
    restore(chosen, tmp_path / "backup.tar")
    publish_files(chosen, lambda _done, _name: None)
    third = open_app(chosen)
    assert (third.round_folder(round_id) / "predicted.npy").exists()
    third.database.close()


def test_the_files_of_a_deleted_round_are_removed_from_the_store(
    homes: tuple[AppContext, AppContext], tmp_path: Path
) -> None:
    one, other = homes
    round_id = add_round(one, add_scenes(one, tmp_path / "scenes"))
    publish_files(one.settings, lambda _done, _name: None)
    assert deletions.round_contents(other, round_id)["bytes"] > 0
    other.remove_round(round_id)
    assert one.round_bytes(round_id) == 0


_HOLD = """
import sys
from app.services.jobs import database_lock
with database_lock(sys.argv[1], "import", 7, lambda: False):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_database_lock_is_exclusive_and_ends_with_its_process(database_url: str) -> None:
    command = [sys.executable, "-c", _HOLD, database_url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert is_locked(database_url, "import", 7)
        assert not is_locked(database_url, "import", 8)
        assert not is_locked(database_url, "export", 7)
        with pytest.raises(RoundCancelledError), database_lock(database_url, "import", 7, lambda: True):
            pass
        os.kill(process.pid, signal.SIGKILL)
    with database_lock(database_url, "import", 7, lambda: False):
        assert is_locked(database_url, "import", 7)
    assert not is_locked(database_url, "import", 7)


def test_a_home_without_a_store_writes_no_note(tmp_path: Path) -> None:
    opens(tmp_path / "plain")
    assert not (tmp_path / "plain" / "files" / NOTE).exists()
