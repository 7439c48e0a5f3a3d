"""Exports: look before writing, start, run, watch, cancel, download.

`run_export` does the work wherever it is called: by the worker, the command line, a test. What is written follows
from the labels at the moment it runs; the preview is the same plan without the writing.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.services import jobs
from app.services.allowed import originals_around, refuse_outside
from app.services.export_plan import check_form, plan_for
from app.services.export_run import CANCELLED, run_export, take_back
from app.services.workspace import Workspace
from core.data.export.archive import LARGEST_BYTES, write_archive
from core.data.export.items import ExportOptions
from core.data.export.loading import notes_of
from core.data.export.names import safe_name
from core.data.export.provenance import counts_of, find_manifest, known_of
from core.data.export.write import check_target
from core.data.formats.source import is_storable
from core.types import ExportError, OutfoldError, RoundStatus
from db.queries import datasets, exports
from db.queries.exports import ExportInfo

__all__ = ["ExportInfo", "ExportPreview", "ExportRequest", "run_export"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """Export a dataset. No folder: one of its own below the installation's exports, which may be downloaded."""

    dataset_id: int
    options: ExportOptions = field(default_factory=ExportOptions)
    folder: str = ""
    overwrite: bool = False  # replace a former export in that folder
    by: str = ""


@dataclass(frozen=True, slots=True)
class ExportPreview:
    """What an export would write now: counts as in its manifest, and the size of the images in it."""

    counts: dict[str, Any]
    known: dict[str, Any]  # of the labels' quality, as in its manifest
    bytes: int
    target: str  # empty: named after the export when it starts
    problem: str  # why it cannot be written there, empty if it can
    notes: tuple[str, ...] = ()  # on class names that are spelt otherwise there, or read otherwise by other programs


def preview(workspace: Workspace, request: ExportRequest) -> ExportPreview:
    """Return what an export would write, without writing anything.

    Raises:
        DatasetError: there is no such dataset.
        ExportError: the form cannot hold its labels.
    """
    plan = plan_for(workspace, request.dataset_id, request.options)
    problem = ""
    try:
        _check(workspace, request)
    except OutfoldError as error:
        problem = str(error)
    target = request.folder and str(_chosen(request))
    return ExportPreview(counts_of(plan), known_of(plan), plan.image_bytes, target, problem, notes_of(plan))


def add_export(workspace: Workspace, request: ExportRequest) -> ExportInfo:
    """Queue an export for whoever calls `run_export`.

    Raises:
        DatasetError: there is no such dataset, or people may not write there.
        ExportError: the folder holds something else, lies within a dataset, another export is on its way there, or the
            form cannot hold the dataset's labels.
    """
    _check(workspace, request)
    with workspace.database.write() as session:
        info = datasets.get_dataset(session, request.dataset_id)
        check_form(info, request.options)
        stored = request.options.to_json() | {"overwrite": request.overwrite}
        target = str(_chosen(request)) if request.folder else ""
        if target and exports.find_unfinished(session, target) is not None:
            raise ExportError(f"another export to {target} is not finished; wait for it or cancel it first")
        export_id = exports.add_export(session, request.dataset_id, stored, target, request.by)
        if not target:
            own = workspace.exports / f"{safe_name(info.name)[:80]}-{request.options.format}-{export_id}"
            exports.set_path(session, export_id, str(own))
        return exports.get_export(session, export_id)


def start_export(workspace: Workspace, request: ExportRequest) -> ExportInfo:
    """Queue an export and hand it over to the worker; raises as `add_export` does."""
    info = add_export(workspace, request)
    jobs.enqueue_export(workspace, info.id)
    return info


def cancel_export(workspace: Workspace, export_id: int) -> bool:
    """Stop an export; False when it had ended already."""
    stopped = end_export(workspace, export_id)
    if stopped:
        jobs.cancel_export(workspace, export_id)
    return stopped


def end_export(workspace: Workspace, export_id: int) -> bool:
    """Note that an export is cancelled; whoever works on it notices. False when it had ended already.

    What a killed one had put in its place goes first: once the row has ended nobody would look after it.
    """
    take_back(workspace, export_id)
    with workspace.database.write() as session:
        return exports.finish_export(session, export_id, RoundStatus.CANCELLED, CANCELLED)


def get_export(workspace: Workspace, export_id: int) -> ExportInfo:
    """Return one export, or raise `ExportError`."""
    with workspace.database.read() as session:
        return exports.get_export(session, export_id)


def list_exports(workspace: Workspace, dataset_id: int | None = None, limit: int = 50) -> list[ExportInfo]:
    """Return the newest exports of one dataset, or of all, newest first."""
    with workspace.database.read() as session:
        return exports.list_exports(session, dataset_id, limit)


def state(workspace: Workspace, dataset_id: int) -> str:
    """Return a text that changes whenever an export of the dataset could hold something else."""
    with workspace.database.read() as session:
        return exports.label_state(session, dataset_id)


def archive(workspace: Workspace, export_id: int) -> Path:
    """Return a zip of a finished, small export; made at the first call and kept.

    Raises:
        ExportError: it is not finished, too large, was moved away, or is only links.
    """
    info = get_export(workspace, export_id)
    if not is_downloadable(info):
        raise ExportError(f"export {export_id} is unfinished or larger than a download takes; fetch {info.path} itself")
    return write_archive(Path(info.path), workspace.exports / "downloads" / f"{export_id}.zip")


def is_downloadable(info: ExportInfo) -> bool:
    """Whether an export is small enough to be fetched through the browser."""
    if info.status is not RoundStatus.DONE or info.manifest is None:
        return False
    is_small = info.manifest["files"]["bytes"] <= LARGEST_BYTES
    return is_small and find_manifest(Path(info.path)) == info.manifest  # and not a later export's in its place


def _chosen(request: ExportRequest) -> Path:
    return Path(os.path.realpath(Path(request.folder).expanduser()))


def _check(workspace: Workspace, request: ExportRequest) -> None:
    """Refuse what cannot or must not be written."""
    if not request.folder:
        return
    if not is_storable(request.folder):
        raise ExportError("the folder's name holds bytes that are no text; choose another")
    target = _chosen(request)
    refuse_outside(workspace, target)
    root = originals_around(workspace, target)
    if root is not None:
        raise ExportError(f"{target} and the originals in {root} lie within one another; choose a folder elsewhere")
    check_target(target, overwrite=request.overwrite)
