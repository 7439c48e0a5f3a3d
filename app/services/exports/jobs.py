"""Exports: previewed, started, run, watched, cancelled, downloaded; and patches applied to copies of labels.

`run_export` does the work wherever it is called: by the worker, the command line or a test. The content follows
from the labels at the moment it runs; the preview is the same plan without writing. A patch is never applied to the
originals of a dataset.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.services import jobs
from app.services.allowed import originals_around, refuse_bad_target, refuse_outside
from app.services.app_context import AppContext
from app.services.exports.plan import check_form, plan_for
from app.services.exports.run import CANCELLED, run_export, take_back
from app.services.people import log_act
from core.data.export.card import class_name_notes
from core.data.export.items import ExportOptions
from core.data.export.names import safe_name
from core.data.export.provenance import find_manifest, known_quality, plan_counts
from core.data.export.write import LARGEST_BYTES, check_target, write_archive
from core.data.formats.source import is_storable
from core.data.patch import Applied, Patch, apply, read_patch, revert
from core.types import ExportError, JobStatus, LoggedAct, OutfoldError
from db.queries import datasets, exports
from db.queries.exports import ExportInfo

__all__ = ["ExportInfo", "ExportPreview", "ExportRequest", "run_export"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """Request of an export. Without a folder it goes below the installation's exports and can be downloaded."""

    dataset_id: int
    options: ExportOptions = field(default_factory=ExportOptions)
    folder: str = ""
    overwrite: bool = False  # replace a former export in that folder
    by: str = ""


@dataclass(frozen=True, slots=True)
class ExportPreview:
    """Preview of an export: counts as in its manifest, and the size of its images."""

    counts: dict[str, Any]
    known: dict[str, Any]  # of the labels' quality, as in its manifest
    bytes: int
    target: str  # empty: named after the export when it starts
    problem: str  # why it cannot be written there, empty if it can
    notes: tuple[str, ...] = ()  # on class names that are written differently, or misread by other programs


def preview(app_context: AppContext, request: ExportRequest) -> ExportPreview:
    """Return the contents of an export without writing it.

    Raises:
        DatasetError: there is no such dataset.
        ExportError: the form cannot hold its labels.
    """
    plan = plan_for(app_context, request.dataset_id, request.options)
    problem = ""
    try:
        _check(app_context, request)
    except OutfoldError as error:
        problem = str(error)
    target = request.folder and str(_chosen(request))
    return ExportPreview(
        plan_counts(plan), known_quality(plan), plan.image_bytes, target, problem, class_name_notes(plan)
    )


def add_export(app_context: AppContext, request: ExportRequest) -> ExportInfo:
    """Store a queued export, which `run_export` then runs.

    Raises:
        DatasetError: there is no such dataset, or people may not write there.
        ExportError: the folder holds something else, lies within a dataset, another export there is unfinished, or the
            form cannot hold the dataset's labels.
    """
    _check(app_context, request)
    with app_context.database.write() as session:
        info = datasets.get_dataset(session, request.dataset_id)
        check_form(info, request.options)
        stored = request.options.to_json() | {"overwrite": request.overwrite}
        target = str(_chosen(request)) if request.folder else ""
        if target and exports.find_unfinished(session, target) is not None:
            raise ExportError(f"another export to {target} is not finished", "wait for it or cancel it first")
        export_id = exports.add_export(session, request.dataset_id, stored, target, request.by)
        if not target:
            own = app_context.exports / f"{safe_name(info.name)[:80]}-{request.options.format}-{export_id}"
            exports.set_path(session, export_id, str(own))
        queued = exports.get_export(session, export_id)
        details = {"export": export_id, "format": str(request.options.format), "to": queued.path}
        log_act(session, LoggedAct.EXPORT, request.by, info.name, details)
        return queued


def start_export(app_context: AppContext, request: ExportRequest) -> ExportInfo:
    """Queue an export and hand it over to the worker; raises as `add_export` does."""
    info = add_export(app_context, request)
    jobs.enqueue_export(app_context, info.id)
    return info


def cancel_export(app_context: AppContext, export_id: int) -> bool:
    """Stop an export; False if it had ended already."""
    stopped = end_export(app_context, export_id)
    if stopped:
        jobs.cancel_export(app_context, export_id)
    return stopped


def end_export(app_context: AppContext, export_id: int) -> bool:
    """Mark an export as cancelled; the process that runs it notices. False if it had ended already.

    Files that a killed run left in place are removed first, since nothing would remove them later.
    """
    take_back(app_context, export_id)
    with app_context.database.write() as session:
        return exports.finish_export(session, export_id, JobStatus.CANCELLED, CANCELLED)


def get_export(app_context: AppContext, export_id: int) -> ExportInfo:
    """Return one export, or raise `ExportError`."""
    with app_context.database.read() as session:
        return exports.get_export(session, export_id)


def list_exports(app_context: AppContext, dataset_id: int | None = None, limit: int = 50) -> list[ExportInfo]:
    """Return the newest exports of one dataset, or of all, newest first."""
    with app_context.database.read() as session:
        return exports.list_exports(session, dataset_id, limit)


def state(app_context: AppContext, dataset_id: int) -> str:
    """Return a text that changes whenever the content of an export of the dataset could change."""
    with app_context.database.read() as session:
        return exports.label_state(session, dataset_id)


def archive(app_context: AppContext, export_id: int) -> Path:
    """Return a zip of a finished, small export, created on the first call.

    Raises:
        ExportError: it is not finished, too large, was moved away, or is only links.
    """
    info = get_export(app_context, export_id)
    if not is_downloadable(app_context, info):
        raise ExportError(
            f"export {export_id} is unfinished or larger than a download takes", f"fetch {info.path} itself"
        )
    return write_archive(_folder(app_context, info), app_context.exports / "downloads" / f"{export_id}.zip")


def is_downloadable(app_context: AppContext, info: ExportInfo) -> bool:
    """Return whether an export is small enough to be fetched through the browser."""
    if info.status is not JobStatus.DONE or info.manifest is None:
        return False
    is_small = info.manifest["files"]["bytes"] <= LARGEST_BYTES
    # and not a later export in its place
    return is_small and find_manifest(_folder(app_context, info)) == info.manifest


def apply_patch(app_context: AppContext, patch: Path, target: Path) -> Applied:
    """Apply a patch to a table of labels or a copy of class folders.

    Raises:
        DatasetError: the patch or the target cannot be read, or must not be.
        ExportError: the patch does not fit, or the target holds originals; nothing was changed.
    """
    return _on_copy(app_context, patch, target, apply)


def revert_patch(app_context: AppContext, patch: Path, target: Path) -> Applied:
    """Revert a patch; raises as `apply_patch` does."""
    return _on_copy(app_context, patch, target, revert)


def _folder(app_context: AppContext, info: ExportInfo) -> Path:
    """Return the folder or file of an export in this home, fetched if another home has written it."""
    path = Path(info.path)
    return path if path.exists() else app_context.fetch_tree(path)


def _chosen(request: ExportRequest) -> Path:
    return Path(os.path.realpath(Path(request.folder).expanduser()))


def _check(app_context: AppContext, request: ExportRequest) -> None:
    """Refuse an export that cannot or must not be written."""
    if not request.folder:
        return
    if not is_storable(request.folder):
        raise ExportError("the folder's name holds bytes that are not text", "choose another")
    target = _chosen(request)
    refuse_bad_target(app_context, target)
    check_target(target, overwrite=request.overwrite)


def _on_copy(app_context: AppContext, patch: Path, target: Path, work: Callable[[Patch, Path], Applied]) -> Applied:
    refuse_outside(app_context, target)
    root = originals_around(app_context, target)
    if root is not None:
        raise ExportError(f"{target} holds originals of a dataset in {root}", "apply the patch to a copy of them")
    return work(read_patch(patch), Path(os.path.realpath(target)))
