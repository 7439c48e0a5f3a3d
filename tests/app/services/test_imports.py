import csv
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from app.services import datasets, imports
from app.services.imports import ImportInfo, ImportRequest
from app.services.workspace import Workspace
from core.data import images
from core.data.formats.source import SourceFormat
from core.types import DatasetError, RoundStatus, Severity
from db.queries import incoming
from db.queries.incoming import NewSample
from tests.app.faults import bound_by_modes
from tests.core.data.formats.drawn import draw, draw_all

ROOT = Path(__file__).parents[3]


def request(source: Path, **changes: object) -> ImportRequest:
    return replace(ImportRequest(name="set", source=str(source)), **changes)


def run(workspace: Workspace, asked: ImportRequest) -> ImportInfo:
    return imports.run_import(workspace, imports.start_import(workspace, asked))


def stored(workspace: Workspace, columns: str = "name, label") -> list[tuple[object, ...]]:
    with workspace.database.read() as session:
        return [tuple(row) for row in session.execute(text(f"SELECT {columns} FROM sample ORDER BY name"))]


def staged(workspace: Workspace) -> int:
    with workspace.database.read() as session:
        return session.scalars(text("SELECT count(*) FROM incoming_sample")).one()


def kinds(workspace: Workspace, info: ImportInfo) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in imports.problems(workspace, info.id):
        assert problem.cure
        found.setdefault(problem.kind, []).append(problem.path)
    return found


def fingerprint(root: Path) -> str:
    """Return a hash of everything below `root`: names, contents, modes, times of change."""
    digest = blake2b()
    for path in sorted(root.rglob("*")):
        facts = path.lstat()
        digest.update(repr((str(path), facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ino)).encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def test_a_class_folder_is_stored_whole(workspace: Workspace, digits_folder: Path) -> None:
    before = fingerprint(digits_folder)
    done = run(workspace, request(digits_folder))
    assert done.status is RoundStatus.DONE, done.message
    assert done.report is not None
    assert done.report["images"] == 300
    assert done.report["changes"]["added"] == 300
    assert done.dataset_id is not None
    info = datasets.get_dataset(workspace, done.dataset_id)
    assert info.classes == tuple("0123456789")
    rows = stored(workspace, "name, label, path, width, height, grey, vanished_at")
    assert len(rows) == 300
    assert all(Path(str(path)).is_file() and str(name).startswith(f"{label}/") for name, label, path, *_ in rows)
    assert {row[3:] for row in rows} == {(8, 8, 1, None)}
    assert fingerprint(digits_folder) == before
    assert not (workspace.files / "imports" / str(done.id)).exists()


def test_every_bad_file_is_reported_and_the_good_ones_are_imported(workspace: Workspace, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", [f"{name}/{number}.png" for name in "ab" for number in range(5)])
    good = (root / "a" / "0.png").read_bytes()
    (root / "a" / "cut.png").write_bytes(good[: len(good) - 25])
    (root / "a" / "empty.png").touch()
    (root / "a" / "text.png").write_text("hello")
    (root / "a" / "same.png").write_bytes(good)
    (root / "b" / "copied.png").write_bytes((root / "a" / "1.png").read_bytes())
    (root / "b" / "out.png").symlink_to("/etc/hostname")
    (root / "b" / "notes.txt").touch()
    os.mkfifo(root / "b" / "pipe.png")
    draw(root / "c" / "only.png")
    Path(os.fsdecode(os.fsencode(root) + b"/b/\xff.png")).write_bytes(good)
    small = Workspace(workspace.database, workspace.files, workspace.settings.model_copy(update={"max_pixels": 20}))
    Image.new("L", (21, 1)).save(root / "b" / "large.png")
    before = fingerprint(root)
    done = run(small, request(root))
    assert done.status is RoundStatus.DONE, done.message
    assert fingerprint(root) == before
    found = kinds(workspace, done)
    assert found.pop("name is not UTF-8") == ["b/\\udcff.png"]
    assert found == {
        "truncated image": ["a/cut.png"],
        "empty file": ["a/empty.png"],
        "corrupt image": ["a/text.png"],
        "duplicate": ["a/0.png", "a/same.png"],
        "duplicate with two labels": ["a/1.png", "b/copied.png"],
        "link leaves the folder": ["b/out.png"],
        "not an image": ["b/notes.txt", "b/pipe.png"],
        "too large": ["b/large.png"],
        "small class": ["c"],
    }
    assert [name for name, _ in stored(workspace)] == [
        *(f"a/{number}.png" for number in range(5)),
        "a/same.png",
        *(f"b/{number}.png" for number in range(5)),
        "b/copied.png",
        "c/only.png",
    ]
    counted = {(count.severity, count.kind): count.count for count in imports.problem_counts(workspace, done.id)}
    assert counted[Severity.WARNING, "duplicate"] == 2
    assert list(counted) == sorted(counted, key=lambda item: item[0])


def test_what_may_not_be_read_is_reported(workspace: Workspace, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["a/1.png", "b/1.png", "c/1.png"])
    (root / "a" / "1.png").chmod(0)
    (root / "b").chmod(0)
    with bound_by_modes():
        found = kinds(workspace, run(workspace, request(root)))
    (root / "b").chmod(0o700)
    assert found["unreadable file"] == ["a/1.png"]
    assert found["unreadable folder"] == ["b"]


def test_where_nothing_can_be_read_the_import_fails_and_says_why(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / "set" / name).parent.mkdir(parents=True)
        (tmp_path / "set" / name).write_text("no image")
    done = run(workspace, request(tmp_path / "set"))
    assert done.status is RoundStatus.FAILED
    assert "no image could be read" in done.message
    assert kinds(workspace, done) == {"corrupt image": ["a/1.png", "b/1.png"]}
    assert datasets.list_datasets(workspace) == []


def test_importing_again_adds_and_reports_and_keeps_given_labels(workspace: Workspace, tmp_path: Path) -> None:
    names = [f"{name}/{number}.png" for name in ("9", "10") for number in range(6)]
    root = draw_all(tmp_path / "set", names)
    first = run(workspace, request(root))
    ids = dict(stored(workspace, "name, id"))
    draw_all(root, ["2/new.png", "9/new.png"])
    (root / "9" / "0.png").unlink()
    changed = draw(root / "9" / "1.png").read_bytes()
    again = run(workspace, imports.request_again(workspace, first.dataset_id or 0))
    assert again.dataset_id == first.dataset_id
    assert again.report is not None
    assert again.report["changes"] == {
        "added": 2,
        "changed": 1,
        "moved": 0,
        "unchanged": 10,
        "returned": 0,
        "vanished": 1,
    }
    found = kinds(workspace, again)
    assert found == {"vanished": ["9/0.png"], "content changed": ["9/1.png"], "small class": ["2"]}
    assert datasets.get_dataset(workspace, again.dataset_id or 0).classes == ("9", "10", "2")
    rows = {name: rest for name, *rest in stored(workspace, "name, id, label, content_hash, vanished_at")}
    assert {name: rows[name][0] for name in ids} == ids
    assert rows["9/0.png"][3] is not None
    assert rows["9/1.png"][2] == blake2b(changed, digest_size=16).hexdigest()
    assert rows["2/new.png"][1] == 2

    draw(root / "9" / "0.png")
    third = run(workspace, imports.request_again(workspace, first.dataset_id or 0))
    assert third.report is not None
    assert third.report["changes"]["returned"] == 1
    assert third.report["images"] == 14
    assert all(vanished is None for *_, vanished in stored(workspace, "name, vanished_at"))


def test_an_import_again_reads_the_format_the_dataset_has(workspace: Workspace, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["cat/1.png", "dog/2.png"])
    run(workspace, request(root))
    (root / "labels.csv").write_text("path,label\ncat/1.png,a\ndog/2.png,b\n")
    done = run(workspace, request(root))
    assert done.report is not None, done.message
    assert (done.report["format"], done.report["changes"]["unchanged"]) == ("imagefolder", 2)
    done = run(workspace, request(root, format=SourceFormat.MANIFEST))
    assert "--keep-class" in done.message


def test_images_that_had_no_labels_may_be_sorted_into_classes(workspace: Workspace, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["1.png", "2.png"])
    run(workspace, request(root))
    for name, folder in (("1.png", "cat"), ("2.png", "dog")):
        (root / folder).mkdir()
        (root / name).rename(root / folder / name)
    done = run(workspace, request(root))
    assert done.report is not None, done.message
    assert done.report["format"] == "imagefolder"


def test_a_label_that_changed_in_the_source_is_a_warning_only(workspace: Workspace, tmp_path: Path) -> None:
    draw_all(tmp_path, ["1.png", "2.png", "3.png"])
    table = tmp_path / "labels.csv"
    table.write_text("path,label,split\n1.png,a,train\n2.png,b,train\n3.png,a,\n")
    run(workspace, request(table))
    table.write_text("path,label,split\n1.png,c,test\n2.png,,train\n3.png,a,\n")
    done = run(workspace, request(table))
    assert kinds(workspace, done)["given label changed"] == ["1.png", "2.png"]
    assert stored(workspace, "name, label, split") == [("1.png", 0, "test"), ("2.png", 1, "train"), ("3.png", 0, "")]


def test_a_name_belongs_to_one_source(workspace: Workspace, tmp_path: Path) -> None:
    run(workspace, request(draw_all(tmp_path / "one", ["a/1.png", "b/1.png"])))
    with pytest.raises(DatasetError, match="choose another name"):
        imports.start_import(workspace, request(draw_all(tmp_path / "two", ["a/1.png", "b/1.png"])))


def test_asking_twice_is_asking_once(workspace: Workspace, digits_folder: Path) -> None:
    first = imports.start_import(workspace, request(digits_folder))
    assert imports.start_import(workspace, request(digits_folder, by="somebody else")) == first
    assert imports.start_import(workspace, request(digits_folder, name="other")) != first
    assert imports.run_import(workspace, first).status is RoundStatus.DONE
    assert imports.start_import(workspace, request(digits_folder)) != first
    assert imports.run_import(workspace, first).report is not None


def test_a_stopped_import_stores_nothing(workspace: Workspace, digits_folder: Path) -> None:
    asked = imports.start_import(workspace, request(digits_folder))
    done = imports.run_import(workspace, asked, should_stop=lambda: True)
    assert (done.status, stored(workspace)) == (RoundStatus.CANCELLED, [])


def test_a_cancelled_import_stores_nothing(workspace: Workspace, digits_folder: Path) -> None:
    asked = imports.start_import(workspace, request(digits_folder))
    done = imports.run_import(workspace, asked, report=lambda _: imports.cancel_import(workspace, asked))
    assert (done.status, stored(workspace)) == (RoundStatus.CANCELLED, [])
    assert datasets.overview(workspace).unfinished == []


def test_an_import_cancelled_just_before_it_stores_stores_nothing(
    workspace: Workspace, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.services import import_run

    note = import_run._Work.note

    def cancelled(work: import_run._Work, stage: str, done: int, total: int, **more: bool) -> None:
        note(work, stage, done, total, **more)
        if stage == "storing":  # after the last look, before the transaction
            imports.cancel_import(workspace, work.import_id)

    monkeypatch.setattr(import_run._Work, "note", cancelled)
    done = run(workspace, request(digits_folder))
    assert (done.status, stored(workspace)) == (RoundStatus.CANCELLED, [])
    assert datasets.list_datasets(workspace) == []


def test_a_broken_promise_is_written_down_and_raised(
    workspace: Workspace, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.services import import_run

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(import_run, "store", full)
    asked = imports.start_import(workspace, request(digits_folder))
    with pytest.raises(OSError, match="space"):
        imports.run_import(workspace, asked)
    found = imports.get_import(workspace, asked)
    assert found.status is RoundStatus.FAILED
    assert "No space left" in found.message


def kill_while(workspace: Workspace, asked: int, stage: str) -> None:
    """Run an import in another process that stands still at this stage, and kill it there."""
    program = (
        "import sys; from app.services import import_run; from app.services.workspace import workspace\n"
        "from app.services.imports import run_import\n"
        "import_run._EVERY_SECONDS = 0\n"  # a small import is over before it is told otherwise
        "def report(progress):\n"
        f"    if progress.stage == {stage!r}: print(flush=True); sys.stdin.read()\n"
        f"run_import(workspace(), {asked}, report=report)"
    )
    environment = {**os.environ, "OUTFOLD_HOME": str(workspace.settings.home), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline(), "the import never came to this stage"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("stage", ["reading images", "storing"])
def test_a_killed_import_leaves_nothing_and_can_be_run_again(
    stage: str, workspace: Workspace, digits_folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "many"
    for copy in range(5):
        shutil.copytree(digits_folder, root / f"train/{copy}", copy_function=os.link)
    asked = imports.start_import(workspace, request(root, class_level=1))
    kill_while(workspace, asked, stage)
    if imports.get_import(workspace, asked).status is RoundStatus.RUNNING:
        assert stored(workspace) == []
        assert datasets.list_datasets(workspace) == []
    done = imports.run_import(workspace, asked)
    assert done.status is RoundStatus.DONE, done.message
    assert len(stored(workspace)) == 1500
    assert staged(workspace) == 0


def test_what_a_killed_import_staged_goes_with_the_next_one(workspace: Workspace, digits_folder: Path) -> None:
    from app.services import import_store

    asked = imports.start_import(workspace, request(digits_folder, name="killed"))
    with workspace.database.write() as session:
        sample = NewSample("/x.png", "x.png", 0, None, "", "", "0" * 32, 1, 1, 1, grey=False, look_hash=None)
        incoming.stage(session, asked, [sample])
    other = imports.start_import(workspace, request(digits_folder))
    import_store.clear_staged(workspace, other)
    assert staged(workspace) == 1  # the other one may still be at work
    imports.cancel_import(workspace, asked)
    assert imports.run_import(workspace, other).status is RoundStatus.DONE
    assert staged(workspace) == 0
    assert len(stored(workspace)) == 300


def test_a_dataset_renamed_while_it_is_imported_again_stays_one(workspace: Workspace, digits_folder: Path) -> None:
    first = run(workspace, request(digits_folder)).dataset_id
    assert first is not None
    asked = imports.start_import(workspace, request(digits_folder))
    datasets.rename(workspace, first, "other")
    done = imports.run_import(workspace, asked)
    assert (done.status, done.dataset_id) == (RoundStatus.DONE, first)
    assert [card.dataset.name for card in datasets.list_datasets(workspace)] == ["other"]
    assert len(stored(workspace)) == 300


def test_of_two_imports_into_one_dataset_at_once_the_later_one_says_what_to_do(
    workspace: Workspace, digits_folder: Path
) -> None:
    asked = imports.start_import(workspace, request(digits_folder))
    other = imports.start_import(workspace, request(digits_folder, format=SourceFormat.UNLABELLED))

    def overtake(progress: imports.ImportProgress) -> None:
        if progress.stage == "storing" and imports.get_import(workspace, other).status is RoundStatus.QUEUED:
            imports.run_import(workspace, other)

    done = imports.run_import(workspace, asked, report=overtake)
    assert done.status is RoundStatus.FAILED
    assert "import it once more" in done.message
    assert len(datasets.list_datasets(workspace)) == 1
    assert len(stored(workspace)) == 300
    assert staged(workspace) == 0


def test_verdicts_can_be_stored_while_images_are_read(workspace: Workspace, digits_folder: Path) -> None:
    asked = imports.start_import(workspace, request(digits_folder))
    waits: list[float] = []

    def write(_: object) -> None:
        began = time.monotonic()
        writer = threading.Thread(target=imports.start_import, args=(workspace, request(digits_folder, name="x")))
        writer.start()
        writer.join()
        waits.append(time.monotonic() - began)

    imports.run_import(workspace, asked, report=write)
    assert max(waits) < 10


def test_a_preview_stores_nothing_and_says_what_would_come(workspace: Workspace, digits_folder: Path) -> None:
    found = imports.preview(workspace, request(digits_folder))
    assert found.detection is not None
    assert found.format is SourceFormat.IMAGEFOLDER
    assert (found.images, found.complete) == (300, True)
    assert found.class_counts == {str(number): 30 for number in range(10)}
    assert len(found.covers) == 12
    assert {cover.label for cover in found.covers} == set("0123456789")
    assert all(cover.image for cover in found.covers)
    assert stored(workspace) == []
    assert imports.preview(workspace, request(digits_folder, format=SourceFormat.UNLABELLED)).class_counts == {
        None: 300
    }


def test_a_preview_shows_what_cannot_be_read(workspace: Workspace, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["a/1.png", "b/1.png"])
    (root / "a" / "0.png").write_text("no image")
    found = imports.preview(workspace, request(root))
    assert [cover.image is None for cover in found.covers] == [True, False, False]
    assert [problem.kind for problem in found.problems] == ["corrupt image"]


def test_only_allowed_roots_are_looked_at(workspace: Workspace, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "in" / "set", ["a/1.png", "b/1.png"])
    draw_all(tmp_path / "out", ["a/1.png", "b/1.png"])
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    chosen = workspace.settings.model_copy(update={"allowed_roots": str(tmp_path / "in")})
    narrow = Workspace(workspace.database, workspace.files, chosen)
    assert imports.preview(narrow, request(root)).images == 2
    for outside in (tmp_path / "out", tmp_path / "in" / "link", tmp_path / "in" / ".." / "out", Path("/")):
        with pytest.raises(DatasetError, match="OUTFOLD_ALLOWED_ROOTS"):
            imports.preview(narrow, request(outside))
        with pytest.raises(DatasetError, match="OUTFOLD_ALLOWED_ROOTS"):
            imports.start_import(narrow, request(outside, name="out"))


@pytest.mark.parametrize("source", ["/no/such/folder", "/dev/null", "a\0b", "x" * 5000])
def test_a_source_that_is_not_there_says_so(source: str, workspace: Workspace) -> None:
    with pytest.raises(DatasetError):
        imports.preview(workspace, ImportRequest(name="set", source=source))


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "\udcff"])
def test_a_name_that_cannot_be_stored_is_refused(name: str) -> None:
    with pytest.raises(DatasetError, match="choose another"):
        ImportRequest(name=name, source="/data")


def test_problems_are_filtered_and_downloaded_without_arming_a_spreadsheet(
    workspace: Workspace, tmp_path: Path
) -> None:
    root = draw_all(tmp_path / "set", ["a/1.png", "=b/1.png"])
    (root / "a" / "%x.png").touch()
    (root / "=b" / "y.txt").touch()
    done = run(workspace, request(root))
    assert [p.path for p in imports.problems(workspace, done.id, text="%")] == ["a/%x.png"]
    assert [p.path for p in imports.problems(workspace, done.id, kind="not an image")] == ["=b/y.txt"]
    assert [p.kind for p in imports.problems(workspace, done.id, severity=Severity.ERROR)] == ["empty file"]
    assert len(imports.problems(workspace, done.id, limit=1)) == 1
    rows = list(
        csv.DictReader(io.StringIO(imports.problems_csv(imports.problems(workspace, done.id)).decode("utf-8-sig")))
    )
    assert "'=b/y.txt" in [row["path"] for row in rows]
    assert all(row["cure"] for row in rows)


def test_an_import_that_has_ended_is_found_by_the_text_of_an_address(workspace: Workspace, digits_folder: Path) -> None:
    asked = imports.start_import(workspace, request(digits_folder))
    assert imports.find_ended(workspace, str(asked)) is None
    imports.cancel_import(workspace, asked)
    found = imports.find_ended(workspace, str(asked))
    assert found is not None
    assert found.id == asked
    for text_ in ("", "x", "99", "-1", "²", "9" * 400, "1.0"):
        assert imports.find_ended(workspace, text_) is None


def test_a_duplicate_names_another_copy_and_the_label_it_has_there(workspace: Workspace, tmp_path: Path) -> None:
    root = tmp_path / "pets"
    first = draw(root / "cats" / "1.png")
    for copy in ("cats/2.png", "dogs/3.png"):
        (root / copy).parent.mkdir(exist_ok=True)
        (root / copy).write_bytes(first.read_bytes())
    same = draw(root / "cats" / "8.png")
    (root / "cats" / "9.png").write_bytes(same.read_bytes())
    told = {problem.path: problem.message for problem in imports.problems(workspace, run(workspace, request(root)).id)}
    assert {path: message for path, message in told.items() if path.endswith(".png")} == {
        "cats/1.png": "the same content as dogs/3.png and 1 more, labelled cats here and dogs there",
        "cats/2.png": "the same content as dogs/3.png and 1 more, labelled cats here and dogs there",
        "dogs/3.png": "the same content as cats/1.png and 1 more, labelled dogs here and cats there",
        "cats/8.png": "the same content as cats/9.png",
        "cats/9.png": "the same content as cats/8.png",
    }


def test_heic_photos_are_named_one_by_one_with_the_way_to_read_them(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "READS_HEIC", False)
    root = draw_all(tmp_path / "set", ["cat/1.png", "dog/1.png"])
    (root / "cat" / "2.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    done = run(workspace, request(root))
    assert kinds(workspace, done)["HEIC"] == ["cat/2.HEIC"]
    assert "install it: pip install pillow-heif" in [one.cure for one in imports.problems(workspace, done.id)]
    (root / "cat" / "1.png").unlink()
    (root / "dog" / "1.png").unlink()
    nothing = run(workspace, request(root, name="photos"))
    assert "pip install pillow-heif" in nothing.message
