"""Exports as people ask for them: from the database to a folder that reads back as what was resolved."""

import json
import signal
import subprocess
import sys
import zipfile
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from app import __version__
from app.services import datasets, reviews
from app.services.app_context import AppContext
from app.services.evaluation import splits as evaluation
from app.services.exports import jobs as exports, run as export_run
from app.services.exports.jobs import ExportRequest
from app.services.rounds import jobs as rounds
from core.data.export.items import ExportFormat, ExportOptions, UnusablePolicy
from core.data.export.placing import content_hash
from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions
from core.types import DatasetError, ExportError, FindingFilter, JobStatus, Verdict
from db.faults import DatabaseAwayError
from db.queries import exports as rows, snapshots
from tests.app.outages import outage_at
from tests.app.sampled import sample_both, suspicious_from
from tests.app.services.reviewed import digits, digits_home  # noqa: F401 fixtures

pytestmark = pytest.mark.usefixtures("kept")

ROOT = Path(__file__).parents[4]


@pytest.fixture
def app_context(digits: AppContext) -> AppContext:  # noqa: F811
    return digits


@pytest.fixture
def dataset_id(app_context: AppContext) -> int:
    return next(card.dataset.id for card in datasets.list_datasets(app_context))


@pytest.fixture
def reviewed(app_context: AppContext, dataset_id: int) -> int:
    round_id = rounds.list_rounds(app_context, dataset_id)[0].id
    page = reviews.page(app_context, FindingFilter(round_id=round_id), limit=10)
    verdicts = [Verdict.ACCEPT, Verdict.KEEP, Verdict.AMBIGUOUS, Verdict.EXCLUDE, Verdict.SECOND_OPINION]
    for finding, verdict in zip(page.items, verdicts, strict=False):
        reviews.decide(app_context, [reviews.Choice(finding.id, verdict)], by="Ada")
    reviews.decide(app_context, [reviews.Choice(page.items[5].id, Verdict.RELABEL, 9)], by="Grace")
    reviews.accept_all(app_context, FindingFilter(round_id=round_id, min_confidence=0.8), by="Ada")
    return dataset_id


def export(app_context: AppContext, dataset_id: int, folder: Path, **options: object) -> rows.ExportInfo:
    request = ExportRequest(dataset_id=dataset_id, options=ExportOptions(**options), folder=str(folder))  # type: ignore[arg-type]
    return exports.run_export(app_context, exports.add_export(app_context, request).id)


def resolved_by_hash(app_context: AppContext, dataset_id: int) -> dict[str, set[str]]:
    """Return what `resolve` says of every content."""
    resolved = reviews.resolved_labels(app_context, dataset_id)
    with app_context.database.read() as session:
        samples = snapshots.samples_of(session, dataset_id)
    labels: dict[str, set[str]] = {}
    for sample in samples:
        label = resolved[sample.id].label
        if label is not None:
            labels.setdefault(sample.content_hash, set()).add(str(label))
    return labels


@pytest.mark.parametrize("form", [form for form in ExportFormat if not (form.is_patch or form.of_masks)])
def test_an_export_reads_back_as_the_resolved_labels(
    app_context: AppContext, reviewed: int, tmp_path: Path, form: ExportFormat
) -> None:
    done = export(app_context, reviewed, tmp_path / "out", format=form)
    assert (done.status, done.message) == (JobStatus.DONE, "")
    options = ReadOptions(unpack_into=str(tmp_path / "unpacked"))
    listing = FORMATS[detect(tmp_path / "out").format].read(tmp_path / "out", options)
    found: dict[str, set[str]] = {}
    for sample in listing.unpack(listing.samples):
        found.setdefault(content_hash(Path(sample.path)), set()).add(str(sample.label))
    assert found == resolved_by_hash(app_context, reviewed)


def test_manifest_and_card_contain_the_evidence_of_each_bulk_accept(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    round_id = rounds.list_rounds(app_context, dataset_id)[0].id
    before = exports.preview(app_context, ExportRequest(dataset_id=dataset_id)).known
    assert before["bulk_acts"] == []
    assert before["wrong_labels"]["estimate"] is None
    assert before["wrong_labels"]["text"].startswith("Wrong labels: unknown")
    reviews.accept_all(app_context, suspicious_from(round_id, 0.9), by="Ada")
    sample_both(app_context, round_id)
    reviews.accept_all(app_context, suspicious_from(round_id, 0.8), by="Grace")
    undone = reviews.accept_all(app_context, suspicious_from(round_id, 0.7), by="Ada")
    reviews.undo(app_context, dataset_id, by="Ada", changeset_id=undone.changeset)
    done = export(app_context, dataset_id, tmp_path / "out", format=ExportFormat.CSV)
    assert done.manifest is not None
    known = done.manifest["known"]
    first, second = known["bulk_acts"]
    assert (first["annotator"], first["certified"], first["threshold"]) == ("Ada", False, 0.9)
    assert first["text"].startswith("Not certified. Precision unknown")
    assert 0 < first["standing"] < first["size"], "people judged some of them since"
    assert second["precision"]["verdicts"] == 40
    assert "40 random verdicts" in second["text"]
    assert known["wrong_labels"]["verdicts"] == 80
    assert known["wrong_labels"]["low"] <= known["wrong_labels"]["estimate"] <= known["wrong_labels"]["high"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Precision unknown" in card
    assert "40 random verdicts" in card
    assert "suspicious from 0.9 on" in card
    assert "80 random verdicts" in card


def test_the_manifest_contains_the_origin_of_every_label(
    app_context: AppContext, reviewed: int, tmp_path: Path
) -> None:
    done = export(app_context, reviewed, tmp_path / "out", ambiguous=UnusablePolicy.APART)
    assert done.manifest == json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert done.manifest["versions"] == {"outfold": __version__}
    assert [(each["number"], each["recipe"]) for each in done.manifest["rounds"]] == [(1, "cross-fold")]
    assert done.manifest["rounds"][0].keys() >= {"config", "snapshot_hash", "versions"}
    assert done.manifest["dataset"]["evaluation_splits"] == []
    counts = done.manifest["counts"]
    assert counts["by_verdict"]["relabel"] == 1
    assert counts["by_method"]["person"] == 4  # accept, keep, relabel, ambiguous; excluded is left out
    assert counts["by_method"]["bulk"] > 10
    assert counts["left_out"] == {"excluded": 1}
    assert counts["apart"] == {"ambiguous": 1}
    shown = exports.preview(
        app_context, ExportRequest(dataset_id=reviewed, options=ExportOptions(ambiguous=UnusablePolicy.APART))
    )
    assert shown.counts == counts


def test_the_manifest_names_the_evaluation_splits(app_context: AppContext, dataset_id: int, tmp_path: Path) -> None:
    before = exports.state(app_context, dataset_id)
    evaluation.draw(app_context, dataset_id)
    assert exports.state(app_context, dataset_id) != before, "what is shown of an export is looked up again"
    done = export(app_context, dataset_id, tmp_path / "out")
    assert done.manifest is not None
    assert done.manifest["dataset"]["evaluation_splits"] == ["evaluation"]
    assert done.manifest["counts"]["by_split"]["evaluation"] == 30


def test_two_exports_of_one_state_are_byte_for_byte_equal(
    app_context: AppContext, reviewed: int, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        export(app_context, reviewed, tmp_path / name)
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_an_export_without_a_folder_gets_its_own_and_can_be_downloaded(app_context: AppContext, reviewed: int) -> None:
    info = exports.add_export(app_context, ExportRequest(dataset_id=reviewed))
    done = exports.run_export(app_context, info.id)
    assert Path(done.path).is_relative_to(app_context.exports)
    archive = exports.archive(app_context, done.id)
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        inside = {name.split("/", 1)[1] for name in file.namelist()}
    root = Path(done.path)
    assert inside == {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_no_export_is_written_into_or_around_the_originals(
    app_context: AppContext, dataset_id: int, digits_folder: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(digits_folder)
    for folder in (digits_folder, digits_folder / "clean", digits_folder.parent, link / "clean"):
        request = ExportRequest(dataset_id=dataset_id, folder=str(folder))
        assert "within one another" in exports.preview(app_context, request).problem
        with pytest.raises(ExportError, match="within one another"):
            exports.start_export(app_context, request)


def test_two_exports_to_one_folder_do_not_run_together(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    request = ExportRequest(dataset_id=dataset_id, folder=str(tmp_path / "out"))
    exports.add_export(app_context, request)
    with pytest.raises(ExportError, match="not finished"):
        exports.add_export(app_context, request)


def test_an_export_is_written_only_to_allowed_folders(app_context: AppContext, dataset_id: int, tmp_path: Path) -> None:
    allowed = app_context.settings.model_copy(update={"allowed_roots": str(tmp_path / "allowed")})
    confined = AppContext(app_context.database, app_context.files, allowed)
    with pytest.raises(DatasetError, match="outside the folders"):
        exports.add_export(confined, ExportRequest(dataset_id=dataset_id, folder=str(tmp_path / "elsewhere")))
    done = export(confined, dataset_id, tmp_path / "allowed" / "out")
    assert done.status is JobStatus.DONE


def test_a_link_placed_after_queueing_does_not_redirect_the_export(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "allowed" / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
    allowed = app_context.settings.model_copy(update={"allowed_roots": str(tmp_path / "allowed")})
    confined = AppContext(app_context.database, app_context.files, allowed)
    queued = exports.add_export(confined, ExportRequest(dataset_id=dataset_id, folder=str(inside / "out")))
    inside.rmdir()
    inside.symlink_to(outside)
    done = exports.run_export(confined, queued.id)
    assert done.status is JobStatus.FAILED
    assert "outside the folders" in done.message
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_placed_during_writing_does_not_redirect_the_export(
    app_context: AppContext, dataset_id: int, tmp_path: Path, *, overwrite: bool
) -> None:
    inside, outside, moved = (tmp_path / name for name in ("allowed/inside", "outside", "allowed/moved"))
    for folder in (inside, outside):
        folder.mkdir(parents=True)
    allowed = app_context.settings.model_copy(update={"allowed_roots": str(tmp_path / "allowed")})
    confined = AppContext(app_context.database, app_context.files, allowed)
    if overwrite:
        assert export(confined, dataset_id, inside / "out").status is JobStatus.DONE
    request = ExportRequest(dataset_id=dataset_id, folder=str(inside / "out"), overwrite=overwrite)
    queued = exports.add_export(confined, request)

    def swap(_done: int, total: int, _message: str) -> None:
        if total and not inside.is_symlink():  # the first image is about to be placed
            inside.rename(moved)
            inside.symlink_to(outside)

    done = exports.run_export(confined, queued.id, swap)
    assert inside.is_symlink()
    assert list(outside.iterdir()) == []
    assert done.status is JobStatus.DONE
    assert [path.name for path in moved.iterdir()] == ["out"]


def test_an_export_within_allowed_folders_is_unchanged_and_named_in_errors(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    allowed = app_context.settings.model_copy(update={"allowed_roots": str(tmp_path / "allowed")})
    confined = AppContext(app_context.database, app_context.files, allowed)
    written = []
    for context, folder in ((confined, tmp_path / "allowed" / "new" / "out"), (app_context, tmp_path / "any" / "out")):
        assert export(context, dataset_id, folder).status is JobStatus.DONE
        written.append({
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*") if path.is_file() and path.name not in ("manifest.json", "README.md")
        })  # fmt: skip
        for text in (folder / "manifest.json", folder / "README.md"):
            assert "/proc/" not in text.read_text()
    assert written[0] == written[1]
    other = tmp_path / "allowed" / "new" / "other"
    queued = exports.add_export(confined, ExportRequest(dataset_id=dataset_id, folder=str(other)))
    other.mkdir()
    (other / "mine").touch()
    refused = exports.run_export(confined, queued.id)
    assert refused.status is JobStatus.FAILED
    assert refused.message.startswith(f"{other} is not empty")


def test_a_failed_write_is_reported_and_leaves_nothing(
    app_context: AppContext, dataset_id: int, digits_folder: Path, tmp_path: Path
) -> None:
    with app_context.database.read() as session:
        path = Path(snapshots.samples_of(session, dataset_id)[0].path)
    hidden = path.with_suffix(".away")
    path.rename(hidden)
    try:
        failed = export(app_context, dataset_id, tmp_path / "out")
    finally:
        hidden.rename(path)
    assert failed.status is JobStatus.FAILED
    assert "is gone" in failed.message
    assert not (tmp_path / "out").exists()


def test_a_cancelled_export_stays_cancelled(app_context: AppContext, dataset_id: int, tmp_path: Path) -> None:
    info = exports.add_export(app_context, ExportRequest(dataset_id=dataset_id, folder=str(tmp_path / "out")))
    stopped = exports.run_export(app_context, info.id, should_stop=lambda: True)
    assert stopped.status is JobStatus.CANCELLED
    assert exports.run_export(app_context, info.id).status is JobStatus.CANCELLED
    assert not (tmp_path / "out").exists()


def test_progress_counts_the_files(app_context: AppContext, dataset_id: int, tmp_path: Path) -> None:
    info = exports.add_export(app_context, ExportRequest(dataset_id=dataset_id, folder=str(tmp_path / "out")))
    seen: list[tuple[int, int, str]] = []
    exports.run_export(app_context, info.id, lambda *progress: seen.append(progress))
    assert seen[0] == (0, 0, "reading the labels")
    assert seen[-1] == (300, 300, "reading the export back")
    assert all(done <= total for done, total, _ in seen)


def test_an_export_ended_by_another_process_leaves_nothing(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    info = exports.add_export(app_context, ExportRequest(dataset_id=dataset_id, folder=str(tmp_path / "out")))

    def end(_done: int, total: int, _message: str) -> None:
        if total:
            exports.end_export(app_context, info.id)

    assert exports.run_export(app_context, info.id, end).status is JobStatus.CANCELLED
    assert not (tmp_path / "out").exists()


KILLED_AT_LAST = """
import os, signal, sys
from pathlib import Path
from app.services.exports import run as export_run
from app.services.exports import jobs as exports
from app.services.app_context import open_app
from app.settings import Settings

export_run._finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
opened = open_app(Settings(home=Path(sys.argv[1]), demo=False, embedded_worker=False))
exports.run_export(opened, int(sys.argv[2]))
"""


def killed_at_last(app_context: AppContext, request: ExportRequest) -> int:
    """Run an export in a process that is killed when all is in its place and only the row is missing."""
    info = exports.add_export(app_context, request)
    command = [sys.executable, "-c", KILLED_AT_LAST, str(app_context.settings.home), str(info.id)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert exports.get_export(app_context, info.id).status is JobStatus.RUNNING
    return info.id


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_export_killed_after_its_last_step_can_be_run_again(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    export_id = killed_at_last(app_context, ExportRequest(dataset_id=dataset_id, folder=str(tmp_path / "out")))
    assert (tmp_path / "out").is_dir()
    assert exports.run_export(app_context, export_id).status is JobStatus.DONE


@pytest.mark.parametrize("committed", [False, True])
def test_an_export_that_loses_its_database_can_be_run_again(
    app_context: AppContext, dataset_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    monkeypatch.setattr(export_run, "RETRY_SECONDS", 0.0)
    for number in count(1):
        asked = ExportRequest(dataset_id=dataset_id, folder=str(tmp_path / str(number)))
        export_id = exports.add_export(app_context, asked).id
        with outage_at(monkeypatch, number, committed=committed) as outage, suppress(DatabaseAwayError):
            exports.run_export(app_context, export_id)
        done = exports.run_export(app_context, export_id)
        assert done.status is JobStatus.DONE, done.message
        assert json.loads((tmp_path / str(number) / "manifest.json").read_text())["files"] == done.manifest["files"]
        if not outage.happened:
            break
    assert number > 5


def test_an_export_killed_after_its_last_step_and_cancelled_then_leaves_nothing(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    export_id = killed_at_last(app_context, ExportRequest(dataset_id=dataset_id, folder=str(tmp_path / "out")))
    stopped = exports.run_export(app_context, export_id, should_stop=lambda: True)
    assert stopped.status is JobStatus.CANCELLED
    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize("killed", [False, True])
def test_a_replacing_export_cancelled_at_the_last_moment_restores_the_former_one(
    app_context: AppContext, reviewed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, killed: bool
) -> None:
    former = export(app_context, reviewed, tmp_path / "out", format=ExportFormat.CSV)
    held = files_of(tmp_path / "out")
    request = ExportRequest(dataset_id=reviewed, folder=str(tmp_path / "out"), overwrite=True)
    if killed:
        export_id = killed_at_last(app_context, request)
        assert files_of(tmp_path / "out") != held
    else:
        export_id = exports.add_export(app_context, request).id
    finish = export_run._finish

    def too_late(opened: AppContext, number: int, status: JobStatus, *rest: object) -> bool:
        if status is JobStatus.DONE:
            assert files_of(tmp_path / "out") != held
            exports.end_export(opened, number)
        return finish(opened, number, status, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(export_run, "_finish", too_late)
    assert exports.run_export(app_context, export_id).status is JobStatus.CANCELLED
    assert files_of(tmp_path / "out") == held
    assert exports.is_downloadable(app_context, former)
    assert [path.name for path in tmp_path.glob(".*")] == []


@pytest.mark.parametrize("replacing", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
def test_cancelling_a_killed_export_removes_the_files_it_had_put_in_place(
    app_context: AppContext, reviewed: int, tmp_path: Path, *, replacing: bool, overwrite: bool
) -> None:
    """Nobody runs it again, so nobody but who cancels it can take away what was never confirmed."""
    if replacing and not overwrite:
        return
    if replacing:
        export(app_context, reviewed, tmp_path / "out", format=ExportFormat.CSV)
    held = files_of(tmp_path / "out")
    request = ExportRequest(dataset_id=reviewed, folder=str(tmp_path / "out"), overwrite=overwrite)
    export_id = killed_at_last(app_context, request)
    assert files_of(tmp_path / "out") != held
    assert exports.end_export(app_context, export_id)
    assert files_of(tmp_path / "out") == held
    assert (tmp_path / "out").exists() == replacing
    assert [path.name for path in tmp_path.glob(".*")] == []
    assert not exports.end_export(app_context, export_id)


def test_cancelling_an_export_that_never_started_changes_nothing(
    app_context: AppContext, reviewed: int, tmp_path: Path
) -> None:
    export(app_context, reviewed, tmp_path / "out", format=ExportFormat.CSV)
    held = files_of(tmp_path / "out")
    request = ExportRequest(dataset_id=reviewed, folder=str(tmp_path / "out"), overwrite=True)
    assert exports.end_export(app_context, exports.add_export(app_context, request).id)
    assert files_of(tmp_path / "out") == held


def test_a_folder_overwritten_by_a_later_export_cannot_be_downloaded_as_the_former(
    app_context: AppContext, reviewed: int, tmp_path: Path
) -> None:
    former = export(app_context, reviewed, tmp_path / "out", format=ExportFormat.CSV)
    assert exports.is_downloadable(app_context, former)
    options = ExportOptions(format=ExportFormat.CSV, ambiguous=UnusablePolicy.APART)
    request = ExportRequest(dataset_id=reviewed, options=options, folder=str(tmp_path / "out"), overwrite=True)
    later = exports.run_export(app_context, exports.add_export(app_context, request).id)
    assert exports.is_downloadable(app_context, later)
    assert not exports.is_downloadable(app_context, former)
    with pytest.raises(ExportError, match="fetch"):
        exports.archive(app_context, former.id)
