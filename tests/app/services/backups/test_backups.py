"""Backups made while people judge, and their restoration: all or nothing, on SQLite and PostgreSQL."""

import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from app.services import people, reviews
from app.services.app_context import RESTORING, AppContext, open_app
from app.services.backups import DATABASE, MANIFEST
from app.services.backups.make import make
from app.services.backups.restore import restore
from app.services.reviews import ActKey, Choice
from app.settings import Settings
from app.worker.sweep import settle_orphans
from core.types import FindingFilter, FindingKind, JobStatus, Role, StorageError, Verdict
from db.copying import hash_tables
from db.models import DecisionRow, RoundRow, SampleRow
from tests.app.services.test_reviews import assert_projections_hold
from tools.fixtures.postgres import empty_database
from tools.fixtures.reviews import fill

pytest_plugins = ["tests.postgres"]

COUNT = 300
PASSWORD = "correct horse battery"
SUSPICIOUS = FindingFilter(round_id=1, kinds=frozenset({FindingKind.SUSPICIOUS}))
FILES = {
    "masks/ab/ab12.png": b"a mask",
    "rounds/1/snapshot.npz": b"labels" * 1000,
    "uploads/1f/pets/ü 1.png": b"an image",
    "exports/pets-1/manifest.json": b"{}",
    "home_id": b"4711\n",
}
COMPUTED = ("thumbnails/x.webp", "masks/resolved/ab/ab34", "exports/downloads/1.zip", "images/1.npy", "rounds/99/x.npz")
KILLED = """
import os, sys
from pathlib import Path
from app.services.backups import restore
from app.settings import Settings
restore.flush = lambda _path: os._exit(9)  # the last thing before it is done
restore.restore(Settings(home=Path(sys.argv[2])), Path(sys.argv[1]))
"""


def settings_of(home: Path, url: str = "") -> Settings:
    return Settings(home=home, database_url=url, demo=False, embedded_worker=False)


def furnish(opened: AppContext) -> AppContext:
    """Fill an installation with findings, a user, and files of every kind."""
    fill(opened, COUNT, suspicious=1)
    people.add_user(opened, "ada", PASSWORD, Role.ADMIN, by="root")
    for name, data in {**FILES, **dict.fromkeys(COMPUTED, b"computed")}.items():
        if name == "home_id" and (opened.files / name).exists():
            continue
        path = opened.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (opened.files / "uploads" / "outside").symlink_to("/etc")
    (opened.files / "uploads" / "link.png").symlink_to("/etc/hostname")
    with opened.database.write() as session:
        session.execute(
            update(SampleRow).where(SampleRow.id == 1).values(path=f"{opened.files}/uploads/1f/pets/ü 1.png")
        )
    return opened


@pytest.fixture
def running(app_context: AppContext) -> AppContext:
    return furnish(app_context)


@pytest.fixture
def backup(running: AppContext, tmp_path: Path) -> Path:
    make(running, tmp_path / "backup.tar")
    return tmp_path / "backup.tar"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return the path of a home that is not there yet."""
    return tmp_path / "restored"


def opened_again(home: Path, url: str = "") -> AppContext:
    return open_app(settings_of(home, url))


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def judge(opened: AppContext, end: threading.Event, stored: list[int]) -> None:
    """Store one verdict after the other until the end; note each once it is stored."""
    findings = reviews.page(opened, SUSPICIOUS, limit=100).items
    for number, finding in enumerate(findings * 100, start=1):
        verdict = Verdict.KEEP if number // 100 % 2 else Verdict.ACCEPT
        reviews.decide(opened, [Choice(finding.id, verdict)], by="ada", key=ActKey("tab", number))
        stored.append(number)
        if end.is_set():
            return


def made_under_load(opened: AppContext, target: Path) -> int:
    """Make a backup while verdicts are written; return how many were stored before it began."""
    end, stored = threading.Event(), list[int]()
    thread = threading.Thread(target=judge, args=(opened, end, stored))
    thread.start()
    try:
        while len(stored) < 20 and thread.is_alive():
            thread.join(0.01)
        before = len(stored)
        make(opened, target)
        began = len(stored)
        while len(stored) == began and thread.is_alive():
            thread.join(0.01)
    finally:
        end.set()
        thread.join()
    assert len(stored) > before, "verdicts went on meanwhile"
    return before


def decisions_in(opened: AppContext) -> list[int]:
    with opened.database.read() as session:
        return list(session.scalars(select(DecisionRow.id).order_by(DecisionRow.id)))


def test_a_backup_made_during_review_is_consistent_with_all_its_files(
    running: AppContext, tmp_path: Path, home: Path
) -> None:
    before = made_under_load(running, tmp_path / "backup.tar")
    restore(settings_of(home), tmp_path / "backup.tar")
    restored = opened_again(home)
    found = decisions_in(restored)
    assert found == decisions_in(running)[: len(found)]
    assert before <= len(found) < len(decisions_in(running))
    assert_projections_hold(restored)
    assert files_in(restored.files) == FILES
    assert people.sign_in(restored, "ada", PASSWORD, "").user.name == "ada"
    restored.database.close()


@pytest.mark.slow
def test_a_backup_of_postgresql_is_restored_into_either_database(
    postgres_server: str, postgres_url: str, tmp_path: Path, home: Path
) -> None:
    running = furnish(opened_again(tmp_path / "home", postgres_url))
    target = tmp_path / "backup.tar"
    before = made_under_load(running, target)
    with tarfile.open(target) as archive:
        assert archive.getnames()[0] == DATABASE
    restore(settings_of(home), target)
    on_sqlite = opened_again(home)
    assert before <= len(decisions_in(on_sqlite)) < len(decisions_in(running))
    assert_projections_hold(on_sqlite)
    running.database.close()
    on_sqlite.database.close()

    with empty_database(postgres_server) as other:
        second = tmp_path / "second"
        restore(settings_of(second, other), target)
        on_postgresql = opened_again(second, other)
        assert decisions_in(on_postgresql) == decisions_in(on_sqlite)
        assert_projections_hold(on_postgresql)
        on_postgresql.database.close()
        with pytest.raises(StorageError, match="it holds rows already"):
            restore(settings_of(tmp_path / "third", other), target)
        assert not (tmp_path / "third").exists()


def test_an_idle_installation_is_restored_row_by_row(running: AppContext, backup: Path, home: Path) -> None:
    home.mkdir()
    restore(settings_of(home), backup)
    with running.database.read() as session:
        own = session.get_one(SampleRow, 1).path
    restored = opened_again(home)
    with restored.database.read() as session:
        assert session.get_one(SampleRow, 1).path == own.replace(str(running.files), str(restored.files))
        assert session.get_one(SampleRow, 2).path.startswith("None/"), "paths elsewhere stay"
    with restored.database.write() as session:
        session.execute(update(SampleRow).where(SampleRow.id == 1).values(path=own))
    assert hash_tables(restored.database.url) == hash_tables(running.database.url)
    restored.database.close()


def test_only_the_owner_may_read_a_backup_and_an_existing_file_is_refused(running: AppContext, backup: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o600
    data = backup.read_bytes()
    with pytest.raises(StorageError, match=r"backup\.tar: it exists; name a new file"):
        make(running, backup)
    assert backup.read_bytes() == data
    assert sorted(path.name for path in backup.parent.iterdir()) == ["backup.tar", "home"]


def test_a_home_with_data_is_refused_and_left_unchanged(backup: Path, home: Path) -> None:
    home.mkdir()
    (home / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match=r"restored: it is not empty \(notes\.txt\)"):
        restore(settings_of(home), backup)
    assert files_in(home) == {"notes.txt": b"mine"}


def members(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as archive:
        return [(member, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]


def write(path: Path, found: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for member, data in found:
            archive.addfile(member, io.BytesIO(data))


def named(name: str, data: bytes = b"x", **facts: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for fact, value in facts.items():
        setattr(member, fact, value)
    return member, data


def spoilt(backup: Path) -> Iterator[tuple[str, list[tuple[tarfile.TarInfo, bytes]]]]:
    """Yield the message of a refusal with the members that are refused by it."""
    found = members(backup)
    place = next(i for i, (member, _) in enumerate(found) if member.name == "files/rounds/1/snapshot.npz")
    changed = bytearray(found[place][1])
    changed[100] ^= 1
    yield "snapshot.npz is not as it was", [*found[:place], (found[place][0], bytes(changed)), *found[place + 1 :]]
    yield "snapshot.npz is missing", [*found[:place], *found[place + 1 :]]
    yield "not as it was", [named("files/more"), *found]
    yield "twice", [found[place], *found]
    yield "cut off, or no backup", found[:-1]
    for name in ("../evil", "files/../../evil", "/tmp/evil", "files/../evil", "evil", "outfold.sqlite/x"):
        yield "is not a file of a backup|leads out of|damaged", [*found[:-1], named(name), found[-1]]
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
        link = named("files/evil", b"", type=kind, linkname="/etc/passwd")
        yield "is not a file of a backup", [link, *found]
    through = [named("files/link", b"", type=tarfile.SYMTYPE, linkname="/tmp"), named("files/link/evil")]
    yield "is not a file of a backup", [*through, *found]
    values = json.loads(found[-1][1])
    for wrong, message in (
        ({"format": 2}, "backup of format 2 by"),
        ({"home": "x"}, "backup of format 1"),
        ({"files": []}, "no manifest of a backup"),
        ({"more": 1}, "no manifest of a backup"),
    ):
        yield message, [*found[:-1], named(MANIFEST, json.dumps(values | wrong).encode())]
    empty = sha256(b"").hexdigest()
    files = values["files"] | {DATABASE: [0, empty]}
    yield "holds no tables", [
        named(DATABASE, b""), *found[1:-1], named(MANIFEST, json.dumps(values | {"files": files}).encode())
    ]  # fmt: skip


def test_an_incomplete_backup_is_refused_and_leaves_nothing(backup: Path, home: Path, tmp_path: Path) -> None:
    cases = list(spoilt(backup))
    assert len(cases) == 22
    wrong = tmp_path / "wrong.tar"
    for message, found in cases:
        write(wrong, found)
        with pytest.raises(StorageError, match=message):
            restore(settings_of(home), wrong)
        assert not list(home.iterdir()), message
    whole = backup.read_bytes()
    for data in (whole[: len(whole) // 2], whole[:1000], b"", b"text"):
        wrong.write_bytes(data)
        with pytest.raises(StorageError, match=r"damaged or no backup|cut off"):
            restore(settings_of(home), wrong)
        assert not list(home.iterdir())
    with pytest.raises(StorageError, match="no such file"):
        restore(settings_of(home), tmp_path / "none.tar")
    assert not list(Path("/tmp").glob("evil"))
    restore(settings_of(home), backup)


def test_a_restoration_killed_midway_leaves_a_home_that_only_a_restoration_opens(backup: Path, home: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(backup), str(home)], check=False)
    assert killed.returncode == 9
    assert (home / RESTORING).is_dir()
    with pytest.raises(StorageError, match="the restoration of a backup into it has not ended"):
        open_app(settings_of(home))
    restore(settings_of(home), backup)
    restored = opened_again(home)
    assert files_in(restored.files) == FILES
    restored.database.close()


def test_a_file_deleted_during_the_backup_is_left_out(running: AppContext, tmp_path: Path, home: Path) -> None:
    """As a deletion of a week ago that is purged between the rows and the files."""
    gone = running.files / "rounds/1/snapshot.npz"

    def remove(_done: int, name: str) -> None:
        if name.startswith("files/rounds"):
            gone.unlink(missing_ok=True)

    made = make(running, tmp_path / "backup.tar", remove)
    assert not any("rounds" in name for name in made.files)
    restore(settings_of(home), tmp_path / "backup.tar")
    assert files_in(home / "files") == {name: data for name, data in FILES.items() if "rounds" not in name}


def test_a_round_running_at_the_backup_is_reported_as_failed_by_the_first_worker(
    running: AppContext, tmp_path: Path, home: Path
) -> None:
    with running.database.write() as session:
        session.execute(update(RoundRow).values(status=JobStatus.RUNNING))
        session.execute(text("INSERT INTO worker (slot, pid, device, doing, started_at, heartbeat_at) "
                             "VALUES ('a:0', 1, 'CPU', '', '2026-01-01', '2026-01-01')"))  # fmt: skip
    make(running, tmp_path / "backup.tar")
    restore(settings_of(home), tmp_path / "backup.tar")
    restored = opened_again(home)
    settle_orphans(restored, datetime.now(UTC) + timedelta(minutes=1))
    with restored.database.read() as session:
        found = session.get_one(RoundRow, 1)
        assert (found.status, "start it again" in found.message) == (JobStatus.FAILED, True)
        assert session.scalar(text("SELECT count(*) FROM worker")) == 0
    restored.database.close()
