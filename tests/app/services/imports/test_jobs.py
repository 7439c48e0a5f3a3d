import csv
import io
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from itertools import count
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from app.services import datasets
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportInfo, ImportRequest
from core.data import images
from core.data.formats.source import SourceFormat
from core.types import DatasetError, JobStatus, Severity
from db.faults import DatabaseAwayError
from db.queries import incoming
from tests.app.faults import bound_by_modes
from tests.app.outages import outage_at
from tests.core.data.formats.drawn import draw, draw_all

ROOT = Path(__file__).parents[4]


def request(source: Path, **changes: object) -> ImportRequest:
    return replace(ImportRequest(name="set", source=str(source)), **changes)


def run(app_context: AppContext, asked: ImportRequest) -> ImportInfo:
    return imports.run_import(app_context, imports.add_import(app_context, asked))


def stored(app_context: AppContext, columns: str = "name, label") -> list[tuple[object, ...]]:
    with app_context.database.read() as session:
        return [tuple(row) for row in session.execute(text(f"SELECT {columns} FROM sample ORDER BY name"))]


def staged(app_context: AppContext) -> int:
    with app_context.database.read() as session:
        return session.scalars(text("SELECT count(*) FROM incoming_sample")).one()


def kinds(app_context: AppContext, info: ImportInfo) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in imports.problems(app_context, info.id):
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


def test_a_class_folder_is_stored_completely(app_context: AppContext, digits_folder: Path) -> None:
    before = fingerprint(digits_folder)
    done = run(app_context, request(digits_folder))
    assert done.status is JobStatus.DONE, done.message
    assert done.report is not None
    assert done.report["images"] == 300
    assert done.report["changes"]["added"] == 300
    assert done.dataset_id is not None
    info = datasets.get_dataset(app_context, done.dataset_id)
    assert info.classes == tuple("0123456789")
    rows = stored(app_context, "name, label, path, width, height, grey, vanished_at")
    assert len(rows) == 300
    assert all(Path(str(path)).is_file() and str(name).startswith(f"{label}/") for name, label, path, *_ in rows)
    assert {row[3:] for row in rows} == {(8, 8, 1, None)}
    assert fingerprint(digits_folder) == before
    assert not (app_context.files / "imports" / str(done.id)).exists()


def test_bad_files_are_reported_and_the_good_ones_imported(app_context: AppContext, tmp_path: Path) -> None:
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
    small = AppContext(
        app_context.database, app_context.files, app_context.settings.model_copy(update={"max_pixels": 20})
    )
    Image.new("L", (21, 1)).save(root / "b" / "large.png")
    before = fingerprint(root)
    done = run(small, request(root))
    assert done.status is JobStatus.DONE, done.message
    assert fingerprint(root) == before
    found = kinds(app_context, done)
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
    assert [name for name, _ in stored(app_context)] == [
        *(f"a/{number}.png" for number in range(5)),
        "a/same.png",
        *(f"b/{number}.png" for number in range(5)),
        "b/copied.png",
        "c/only.png",
    ]
    counted = {(severity, kind): count for severity, kind, count in imports.problem_counts(app_context, done.id)}
    assert counted[Severity.WARNING, "duplicate"] == 2
    assert list(counted) == sorted(counted, key=lambda item: item[0])


def test_files_without_read_permission_are_reported(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["a/1.png", "b/1.png", "c/1.png"])
    (root / "a" / "1.png").chmod(0)
    (root / "b").chmod(0)
    with bound_by_modes():
        found = kinds(app_context, run(app_context, request(root)))
    (root / "b").chmod(0o700)
    assert found["unreadable file"] == ["a/1.png"]
    assert found["unreadable folder"] == ["b"]


def test_an_import_without_a_readable_image_fails_with_the_cause(app_context: AppContext, tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        (tmp_path / "set" / name).parent.mkdir(parents=True)
        (tmp_path / "set" / name).write_text("no image")
    done = run(app_context, request(tmp_path / "set"))
    assert done.status is JobStatus.FAILED
    assert "no image could be read" in done.message
    assert kinds(app_context, done) == {"corrupt image": ["a/1.png", "b/1.png"]}
    assert datasets.list_datasets(app_context) == []


def test_importing_again_adds_and_reports_and_keeps_given_labels(app_context: AppContext, tmp_path: Path) -> None:
    names = [f"{name}/{number}.png" for name in ("9", "10") for number in range(6)]
    root = draw_all(tmp_path / "set", names)
    first = run(app_context, request(root))
    ids = dict(stored(app_context, "name, id"))
    draw_all(root, ["2/new.png", "9/new.png"])
    (root / "9" / "0.png").unlink()
    changed = draw(root / "9" / "1.png").read_bytes()
    again = run(app_context, imports.repeat_request(app_context, first.dataset_id or 0))
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
    found = kinds(app_context, again)
    assert found == {"vanished": ["9/0.png"], "content changed": ["9/1.png"], "small class": ["2"]}
    assert datasets.get_dataset(app_context, again.dataset_id or 0).classes == ("9", "10", "2")
    rows = {name: rest for name, *rest in stored(app_context, "name, id, label, content_hash, vanished_at")}
    assert {name: rows[name][0] for name in ids} == ids
    assert rows["9/0.png"][3] is not None
    assert rows["9/1.png"][2] == blake2b(changed, digest_size=16).hexdigest()
    assert rows["2/new.png"][1] == 2

    draw(root / "9" / "0.png")
    third = run(app_context, imports.repeat_request(app_context, first.dataset_id or 0))
    assert third.report is not None
    assert third.report["changes"]["returned"] == 1
    assert third.report["images"] == 14
    assert all(vanished is None for *_, vanished in stored(app_context, "name, vanished_at"))


def test_importing_again_reads_the_format_of_the_dataset(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["cat/1.png", "dog/2.png"])
    run(app_context, request(root))
    (root / "labels.csv").write_text("path,label\ncat/1.png,a\ndog/2.png,b\n")
    done = run(app_context, request(root))
    assert done.report is not None, done.message
    assert (done.report["format"], done.report["changes"]["unchanged"]) == ("imagefolder", 2)
    done = run(app_context, request(root, format=SourceFormat.MANIFEST))
    assert "stays a class" in done.message


def test_unlabelled_images_can_be_sorted_into_class_folders(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["1.png", "2.png"])
    run(app_context, request(root))
    for name, folder in (("1.png", "cat"), ("2.png", "dog")):
        (root / folder).mkdir()
        (root / name).rename(root / folder / name)
    done = run(app_context, request(root))
    assert done.report is not None, done.message
    assert done.report["format"] == "imagefolder"


def test_a_label_that_changed_in_the_source_is_a_warning_only(app_context: AppContext, tmp_path: Path) -> None:
    draw_all(tmp_path, ["1.png", "2.png", "3.png"])
    table = tmp_path / "labels.csv"
    table.write_text("path,label,split\n1.png,a,train\n2.png,b,train\n3.png,a,\n")
    run(app_context, request(table))
    table.write_text("path,label,split\n1.png,c,test\n2.png,,train\n3.png,a,\n")
    done = run(app_context, request(table))
    assert kinds(app_context, done)["given label changed"] == ["1.png", "2.png"]
    assert stored(app_context, "name, label, split") == [("1.png", 0, "test"), ("2.png", 1, "train"), ("3.png", 0, "")]


def test_a_name_belongs_to_one_source(app_context: AppContext, tmp_path: Path) -> None:
    run(app_context, request(draw_all(tmp_path / "one", ["a/1.png", "b/1.png"])))
    with pytest.raises(DatasetError, match="choose another name"):
        imports.add_import(app_context, request(draw_all(tmp_path / "two", ["a/1.png", "b/1.png"])))


def test_requesting_an_import_twice_queues_one(app_context: AppContext, digits_folder: Path) -> None:
    first = imports.add_import(app_context, request(digits_folder))
    assert imports.add_import(app_context, request(digits_folder, by="somebody else")) == first
    assert imports.add_import(app_context, request(digits_folder, name="other")) != first
    assert imports.run_import(app_context, first).status is JobStatus.DONE
    assert imports.add_import(app_context, request(digits_folder)) != first
    assert imports.run_import(app_context, first).report is not None


def test_a_stopped_import_stores_nothing(app_context: AppContext, digits_folder: Path) -> None:
    asked = imports.add_import(app_context, request(digits_folder))
    done = imports.run_import(app_context, asked, should_stop=lambda: True)
    assert (done.status, stored(app_context)) == (JobStatus.CANCELLED, [])


def test_a_cancelled_import_stores_nothing(app_context: AppContext, digits_folder: Path) -> None:
    asked = imports.add_import(app_context, request(digits_folder))
    done = imports.run_import(app_context, asked, report=lambda *_: imports.end_import(app_context, asked))
    assert (done.status, stored(app_context)) == (JobStatus.CANCELLED, [])
    assert datasets.overview(app_context).unfinished == []


def test_an_import_cancelled_just_before_storing_stores_nothing(
    app_context: AppContext, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.services.imports import run as import_run

    note = import_run._ImportRun.note

    def cancelled(work: import_run._ImportRun, stage: str, done: int, total: int, **more: bool) -> None:
        note(work, stage, done, total, **more)
        if stage == "storing":  # after the last look, before the transaction
            imports.end_import(app_context, work.import_id)

    monkeypatch.setattr(import_run._ImportRun, "note", cancelled)
    done = run(app_context, request(digits_folder))
    assert (done.status, stored(app_context)) == (JobStatus.CANCELLED, [])
    assert datasets.list_datasets(app_context) == []


def test_an_unexpected_error_is_stored_and_raised(
    app_context: AppContext, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.services.imports import run as import_run

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(import_run, "store", full)
    asked = imports.add_import(app_context, request(digits_folder))
    with pytest.raises(OSError, match="space"):
        imports.run_import(app_context, asked)
    found = imports.get_import(app_context, asked)
    assert found.status is JobStatus.FAILED
    assert "No space left" in found.message


def kill_while(app_context: AppContext, asked: int, stage: str) -> None:
    """Run an import in another process that stands still at this stage, and kill it there."""
    program = (
        "import sys; from app.services.imports import run as import_run;"
        "from app.services.app_context import app_context\n"
        "from app.services.imports.jobs import run_import\n"
        "import_run._EVERY_SECONDS = 0\n"  # a small import is over before it is told otherwise
        "def report(_done, _total, stage):\n"
        f"    if stage == {stage!r}: print(flush=True); sys.stdin.read()\n"
        f"run_import(app_context(), {asked}, report=report)"
    )
    environment = {**os.environ, "OUTFOLD_HOME": str(app_context.settings.home), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline(), "the import never came to this stage"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("stage", ["reading images", "storing"])
def test_a_killed_import_stores_nothing_and_can_be_run_again(
    stage: str, app_context: AppContext, digits_folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "many"
    for copy in range(5):
        shutil.copytree(digits_folder, root / f"train/{copy}", copy_function=os.link)
    asked = imports.add_import(app_context, request(root, class_level=1))
    kill_while(app_context, asked, stage)
    if imports.get_import(app_context, asked).status is JobStatus.RUNNING:
        assert stored(app_context) == []
        assert datasets.list_datasets(app_context) == []
    done = imports.run_import(app_context, asked)
    assert done.status is JobStatus.DONE, done.message
    assert len(stored(app_context)) == 1500
    assert staged(app_context) == 0


@pytest.mark.parametrize("committed", [False, True])
def test_an_import_that_loses_its_database_can_be_run_again(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    root = tmp_path / "pets"
    draw_all(root, ["cat/1.png", "cat/2.png", "dog/3.png"])
    for number in count(1):
        asked = imports.add_import(app_context, request(root, name=f"pets {number}"))
        with outage_at(monkeypatch, number, committed=committed) as outage, suppress(DatabaseAwayError):
            imports.run_import(app_context, asked)
        done = imports.run_import(app_context, asked)
        assert done.status is JobStatus.DONE, done.message
        assert (len(stored(app_context)), staged(app_context)) == (3 * number, 0)
        if not outage.happened:
            break
    assert number > 5


def test_rows_staged_by_a_killed_import_are_removed_by_the_next_one(
    app_context: AppContext, digits_folder: Path
) -> None:
    from app.services.imports import store as import_store

    asked = imports.add_import(app_context, request(digits_folder, name="killed"))
    with app_context.database.write() as session:
        image = {
            "path": "/x.png", "name": "x.png", "label": 0, "mask_hash": None, "split": "", "group": "",
            "content_hash": "0" * 32, "width": 1, "height": 1, "bytes": 1, "grey": False, "look_hash": None,
        }  # fmt: skip
        incoming.stage(session, asked, [image])
    other = imports.add_import(app_context, request(digits_folder))
    import_store.clear_staged(app_context, other)
    assert staged(app_context) == 1  # the other one may still be at work
    imports.end_import(app_context, asked)
    assert imports.run_import(app_context, other).status is JobStatus.DONE
    assert staged(app_context) == 0
    assert len(stored(app_context)) == 300


def test_a_dataset_renamed_during_an_import_stays_one_dataset(app_context: AppContext, digits_folder: Path) -> None:
    first = run(app_context, request(digits_folder)).dataset_id
    assert first is not None
    asked = imports.add_import(app_context, request(digits_folder))
    datasets.rename(app_context, first, "other")
    done = imports.run_import(app_context, asked)
    assert (done.status, done.dataset_id) == (JobStatus.DONE, first)
    assert [card.dataset.name for card in datasets.list_datasets(app_context)] == ["other"]
    assert len(stored(app_context)) == 300


def test_the_later_of_two_concurrent_imports_fails_with_a_cure(app_context: AppContext, digits_folder: Path) -> None:
    asked = imports.add_import(app_context, request(digits_folder))
    other = imports.add_import(app_context, request(digits_folder, format=SourceFormat.UNLABELLED))

    def overtake(_done: int, _total: int, stage: str) -> None:
        if stage == "storing" and imports.get_import(app_context, other).status is JobStatus.QUEUED:
            imports.run_import(app_context, other)

    done = imports.run_import(app_context, asked, report=overtake)
    assert done.status is JobStatus.FAILED
    assert "import it once more" in done.message
    assert len(datasets.list_datasets(app_context)) == 1
    assert len(stored(app_context)) == 300
    assert staged(app_context) == 0


def test_verdicts_can_be_stored_during_an_import(app_context: AppContext, digits_folder: Path) -> None:
    asked = imports.add_import(app_context, request(digits_folder))
    written: list[int] = []

    def write(*_: object) -> None:
        with ThreadPoolExecutor(1) as other:  # a lock that the import held would never be given
            written.append(
                other.submit(
                    imports.add_import, app_context, request(digits_folder, name=f"other {len(written)}")
                ).result()
            )

    imports.run_import(app_context, asked, report=write)
    assert len(set(written)) == len(written) > 0


def test_a_preview_stores_nothing_and_reports_the_expected_result(app_context: AppContext, digits_folder: Path) -> None:
    found = imports.preview(app_context, request(digits_folder))
    assert found.detection is not None
    assert found.format is SourceFormat.IMAGEFOLDER
    assert (found.images, found.complete) == (300, True)
    assert found.class_counts == {str(number): 30 for number in range(10)}
    assert len(found.covers) == 12
    assert {cover.label for cover in found.covers} == set("0123456789")
    assert all(cover.image for cover in found.covers)
    assert stored(app_context) == []
    assert imports.preview(app_context, request(digits_folder, format=SourceFormat.UNLABELLED)).class_counts == {
        None: 300
    }


def test_a_preview_shows_unreadable_files(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["a/1.png", "b/1.png"])
    (root / "a" / "0.png").write_text("no image")
    found = imports.preview(app_context, request(root))
    assert [cover.image is None for cover in found.covers] == [True, False, False]
    assert [problem.kind for problem in found.problems] == ["corrupt image"]


def test_only_allowed_roots_are_read(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "in" / "set", ["a/1.png", "b/1.png"])
    draw_all(tmp_path / "out", ["a/1.png", "b/1.png"])
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    chosen = app_context.settings.model_copy(update={"allowed_roots": str(tmp_path / "in")})
    narrow = AppContext(app_context.database, app_context.files, chosen)
    assert imports.preview(narrow, request(root)).images == 2
    for outside in (tmp_path / "out", tmp_path / "in" / "link", tmp_path / "in" / ".." / "out", Path("/")):
        with pytest.raises(DatasetError, match="OUTFOLD_ALLOWED_ROOTS"):
            imports.preview(narrow, request(outside))
        with pytest.raises(DatasetError, match="OUTFOLD_ALLOWED_ROOTS"):
            imports.add_import(narrow, request(outside, name="out"))


@pytest.mark.parametrize("source", ["/no/such/folder", "/dev/null", "a\0b", "x" * 5000])
def test_a_missing_source_is_refused(source: str, app_context: AppContext) -> None:
    with pytest.raises(DatasetError):
        imports.preview(app_context, ImportRequest(name="set", source=source))


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "\udcff"])
def test_a_name_that_cannot_be_stored_is_refused(name: str) -> None:
    with pytest.raises(DatasetError, match="choose another"):
        ImportRequest(name=name, source="/data")


def test_problems_are_filtered_and_downloaded_with_formulas_escaped(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["a/1.png", "=b/1.png"])
    (root / "a" / "%x.png").touch()
    (root / "=b" / "y.txt").touch()
    done = run(app_context, request(root))
    assert [p.path for p in imports.problems(app_context, done.id, text="%")] == ["a/%x.png"]
    assert [p.path for p in imports.problems(app_context, done.id, kind="not an image")] == ["=b/y.txt"]
    assert [p.kind for p in imports.problems(app_context, done.id, severity=Severity.ERROR)] == ["empty file"]
    assert len(imports.problems(app_context, done.id, limit=1)) == 1
    rows = list(
        csv.DictReader(io.StringIO(imports.problems_csv(imports.problems(app_context, done.id)).decode("utf-8-sig")))
    )
    assert "'=b/y.txt" in [row["path"] for row in rows]
    assert all(row["cure"] for row in rows)


def test_a_finished_import_is_found_by_the_number_in_an_address(app_context: AppContext, digits_folder: Path) -> None:
    asked = imports.add_import(app_context, request(digits_folder))
    assert imports.find_ended_import(app_context, str(asked)) is None
    imports.end_import(app_context, asked)
    found = imports.find_ended_import(app_context, str(asked))
    assert found is not None
    assert found.id == asked
    for text_ in ("", "x", "99", "-1", "²", "9" * 400, "1.0"):
        assert imports.find_ended_import(app_context, text_) is None


def test_a_duplicate_is_reported_with_another_copy_and_its_label(app_context: AppContext, tmp_path: Path) -> None:
    root = tmp_path / "pets"
    first = draw(root / "cats" / "1.png")
    for copy in ("cats/2.png", "dogs/3.png"):
        (root / copy).parent.mkdir(exist_ok=True)
        (root / copy).write_bytes(first.read_bytes())
    same = draw(root / "cats" / "8.png")
    (root / "cats" / "9.png").write_bytes(same.read_bytes())
    told = {
        problem.path: problem.message for problem in imports.problems(app_context, run(app_context, request(root)).id)
    }
    assert {path: message for path, message in told.items() if path.endswith(".png")} == {
        "cats/1.png": "the same content as dogs/3.png and 1 more, labelled cats here and dogs there",
        "cats/2.png": "the same content as dogs/3.png and 1 more, labelled cats here and dogs there",
        "dogs/3.png": "the same content as cats/1.png and 1 more, labelled dogs here and cats there",
        "cats/8.png": "the same content as cats/9.png",
        "cats/9.png": "the same content as cats/8.png",
    }


def test_heic_images_are_named_one_by_one_with_the_package_to_install(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "READS_HEIC", False)
    root = draw_all(tmp_path / "set", ["cat/1.png", "dog/1.png"])
    (root / "cat" / "2.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    done = run(app_context, request(root))
    assert kinds(app_context, done)["HEIC"] == ["cat/2.HEIC"]
    assert "install the package pillow-heif" in [one.cure for one in imports.problems(app_context, done.id)]
    (root / "cat" / "1.png").unlink()
    (root / "dog" / "1.png").unlink()
    nothing = run(app_context, request(root, name="photos"))
    assert "install the package pillow-heif" in nothing.message
