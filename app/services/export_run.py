"""One export from its row to the written folder.

What is written follows from the labels at the moment it runs. One process at a time works on an export (`job_locks`).
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from app import __version__
from app.services.export_plan import plan_for
from app.services.job_locks import holding
from app.services.workspace import Workspace
from core.data.export.items import ExportOptions, Link
from core.data.export.replacing import clear_remains
from core.data.export.write import write_export
from core.types import OutfoldError, RoundCancelledError, RoundStatus
from db.queries import exports
from db.queries.exports import ExportInfo

Report = Callable[[int, int, str], None]
EVERY_SECONDS = 0.4  # progress is written and a cancellation noticed this often
VERSIONS = {"outfold": __version__}
CANCELLED = "Cancelled; nothing of it was left behind."


def run_export(
    workspace: Workspace,
    export_id: int,
    report: Report = lambda _done, _total, _message: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ExportInfo:
    """Run a queued export, or again one that was killed, and return how it ended; what it cannot write never raises.

    `report` is called with the files done, the files in all and what is happening; the row is kept up to date too.
    """
    with holding(workspace, "export", export_id, should_stop):
        info = _found(workspace, export_id)
        if not info.status.ended:
            _run(workspace, info, _Noted(workspace, export_id, report, should_stop))
    return _found(workspace, export_id)


def take_back(workspace: Workspace, export_id: int) -> None:
    """Take away what a killed export had put in its place unconfirmed, and give back what was there before.

    Nothing is done while a process works on the export: that one notices by itself that it is not wanted any more.
    """
    with suppress(RoundCancelledError), holding(workspace, "export", export_id, lambda: True):
        info = _found(workspace, export_id)
        if info.status is RoundStatus.RUNNING:
            clear_remains(Path(info.path), confirmed=False)


def _run(workspace: Workspace, info: ExportInfo, noted: "_Noted") -> None:
    """Write an export and how it ended."""
    try:
        _write(workspace, info, noted)
    except RoundCancelledError:
        _finish(workspace, info.id, RoundStatus.CANCELLED, CANCELLED)
    except OutfoldError as error:
        _finish(workspace, info.id, RoundStatus.FAILED, str(error))
    except Exception as error:
        _finish(workspace, info.id, RoundStatus.FAILED, f"Stopped by {type(error).__name__}: {error}.")
        raise


class _Noted:
    """Keeps an export's row up to date, not too often, and finds out whether it is still wanted."""

    def __init__(self, workspace: Workspace, export_id: int, report: Report, should_stop: Callable[[], bool]) -> None:
        self._workspace = workspace
        self._export_id = export_id
        self._report = report
        self._should_stop = should_stop
        self._noted = float("-inf")
        self._refused = False

    def note(self, done: int, total: int, message: str) -> None:
        """Tell how far it is."""
        self._report(done, total, message)
        now = time.monotonic()
        if now - self._noted < EVERY_SECONDS and done < total:
            return
        self._noted = now
        with self._workspace.database.write() as session:
            self._refused = not exports.note_progress(session, self._export_id, done, total, message)

    def is_over(self) -> bool:
        """Whether somebody ended it."""
        return self._refused or self._should_stop()


def _write(workspace: Workspace, info: ExportInfo, noted: _Noted) -> None:
    """Write an export; that it is done is noted while a former one in its place can still be given back."""
    noted.note(0, 0, "reading the labels")
    options = dict(info.request)
    overwrite = bool(options.pop("overwrite", False))
    plan = plan_for(workspace, info.dataset_id, ExportOptions.from_json(options))
    doing = "copying images" if plan.options.link is Link.COPY else "linking images"
    doing += " and writing masks" if plan.options.format.of_masks else ""
    write_export(
        plan,
        Path(info.path),
        versions=VERSIONS,
        report=lambda done, total: noted.note(done, total, doing if done < total else "reading the export back"),
        should_stop=noted.is_over,
        is_wanted=lambda manifest: _finish(workspace, info.id, RoundStatus.DONE, "", manifest),
        overwrite=overwrite,
        again=info.status is RoundStatus.RUNNING,  # killed before it was noted as done
    )


def _finish(
    workspace: Workspace, export_id: int, status: RoundStatus, message: str, manifest: dict[str, Any] | None = None
) -> bool:
    with workspace.database.write() as session:
        return exports.finish_export(session, export_id, status, message, manifest)


def _found(workspace: Workspace, export_id: int) -> ExportInfo:
    with workspace.database.read() as session:
        return exports.get_export(session, export_id)
