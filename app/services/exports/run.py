"""One export from its row to the written folder.

The content follows from the labels at the moment it runs. One process at a time runs an export (see `jobs.job_lock`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from app import __version__
from app.services.allowed import held_target
from app.services.app_context import AppContext
from app.services.exports.plan import plan_for
from app.services.imports.buckets import list_again
from app.services.jobs import job_lock
from core.data.export.items import ExportOptions, Link
from core.data.export.write import clear_remains, write_export
from core.types import JobStatus, OutfoldError, RoundCancelledError, StorageAwayError
from db.queries import exports
from db.queries.exports import ExportInfo

Report = Callable[[int, int, str], None]
EVERY_SECONDS = 0.4  # seconds between writes of progress and checks for cancellation
RETRY_SECONDS = 1.0  # seconds between attempts while the database is unreachable
VERSIONS = {"outfold": __version__}
CANCELLED = "Cancelled; nothing of it was left behind."


def run_export(
    app_context: AppContext,
    export_id: int,
    report: Report = lambda _done, _total, _message: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ExportInfo:
    """Run a queued or killed export and return its end; failures to write never raise.

    `report` is called with files done, files in all and the current step; the row is updated too.
    """
    with app_context.using_files(), job_lock(app_context, "export", export_id, should_stop):
        info = _found(app_context, export_id)
        if not info.status.ended:
            _run(app_context, info, _ExportProgress(app_context, export_id, report, should_stop))
    return _found(app_context, export_id)


def take_back(app_context: AppContext, export_id: int) -> None:
    """Remove the unconfirmed files of a killed export, and put back the files that they replaced.

    Nothing is done while a process works on the export: it notices the cancellation by itself.
    """
    with suppress(RoundCancelledError), job_lock(app_context, "export", export_id, lambda: True):
        info = _found(app_context, export_id)
        if info.status is JobStatus.RUNNING:
            with suppress(OutfoldError), held_target(app_context, _place(app_context, info)) as target:
                clear_remains(target, confirmed=False)


def _run(app_context: AppContext, info: ExportInfo, noted: "_ExportProgress") -> None:
    """Write an export and store its end."""
    try:
        list_again(app_context, info.dataset_id)
        _write(app_context, info, noted)
    except RoundCancelledError:
        _finish(app_context, info.id, JobStatus.CANCELLED, CANCELLED)
    except StorageAwayError:
        raise  # to be run again, once it answers
    except OutfoldError as error:
        _finish(app_context, info.id, JobStatus.FAILED, str(error))
    except Exception as error:
        _finish(app_context, info.id, JobStatus.FAILED, f"Stopped by {type(error).__name__}: {error}.")
        raise


class _ExportProgress:
    """Updates an export's row at intervals, and checks for cancellation."""

    def __init__(
        self, app_context: AppContext, export_id: int, report: Report, should_stop: Callable[[], bool]
    ) -> None:
        self._app_context = app_context
        self._export_id = export_id
        self._report = report
        self._should_stop = should_stop
        self._noted = float("-inf")
        self._refused = False

    def note(self, done: int, total: int, message: str) -> None:
        """Store the progress."""
        self._report(done, total, message)
        now = time.monotonic()
        if now - self._noted < EVERY_SECONDS and done < total:
            return
        self._noted = now
        with self._app_context.database.write() as session:
            self._refused = not exports.note_progress(session, self._export_id, done, total, message)

    def is_over(self) -> bool:
        """Return whether it was cancelled."""
        return self._refused or self._should_stop()


def _write(app_context: AppContext, info: ExportInfo, noted: _ExportProgress) -> None:
    """Write an export; it is stored as done while a former one in its place can still be restored."""
    noted.note(0, 0, "reading the labels")
    options = dict(info.request)
    overwrite = bool(options.pop("overwrite", False))
    plan = plan_for(app_context, info.dataset_id, ExportOptions.from_json(options))
    doing = "copying images" if plan.options.link is Link.COPY else "linking images"
    doing += " and writing masks" if plan.options.format.of_masks else ""

    def is_wanted(manifest: dict[str, Any]) -> bool:
        place = _place(app_context, info)
        if place.is_relative_to(app_context.exports):
            app_context.publish_tree(place)
        return _confirm(app_context, info.id, manifest)

    with held_target(app_context, _place(app_context, info)) as target, _with_known_path(target, info.path):
        write_export(
            plan,
            target,
            versions=VERSIONS,
            report=lambda done, total: noted.note(done, total, doing if done < total else "reading the export back"),
            should_stop=noted.is_over,
            is_wanted=is_wanted,
            overwrite=overwrite,
            again=info.status is JobStatus.RUNNING,  # killed before it was stored as done
        )


def _place(app_context: AppContext, info: ExportInfo) -> Path:
    """Return the path of an export; without its own target it is in this home, whichever home queued it."""
    return app_context.here(Path(info.path))


@contextmanager
def _with_known_path(target: Path, path: str) -> Iterator[None]:
    """Let errors name the path that people know instead of the descriptor's."""
    try:
        yield
    except RoundCancelledError:
        raise
    except OutfoldError as error:
        folder = str(target.parent), str(Path(path).parent)
        raise type(error)(error.message.replace(*folder), error.cure.replace(*folder)) from error


def _confirm(app_context: AppContext, export_id: int, manifest: dict[str, Any]) -> bool:
    """Store that an export is done, and return whether it is.

    A connection that breaks during the commit does not tell whether it was stored. Removing the files then could
    leave a finished export without any, so the database is asked until it answers.
    """
    unsure = False
    while True:
        try:
            if _finish(app_context, export_id, JobStatus.DONE, "", manifest):
                return True
            return unsure and _found(app_context, export_id).status is JobStatus.DONE
        except StorageAwayError:
            unsure = True
            time.sleep(RETRY_SECONDS)


def _finish(
    app_context: AppContext, export_id: int, status: JobStatus, message: str, manifest: dict[str, Any] | None = None
) -> bool:
    with app_context.database.write() as session:
        return exports.finish_export(session, export_id, status, message, manifest)


def _found(app_context: AppContext, export_id: int) -> ExportInfo:
    with app_context.database.read() as session:
        return exports.get_export(session, export_id)
