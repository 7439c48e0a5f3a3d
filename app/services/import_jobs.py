"""Imports that the worker runs: queued with their row, stopped with it."""

from dataclasses import replace
from pathlib import Path

from app.services import imports, jobs
from app.services.import_request import ImportRequest
from app.services.workspace import Workspace


def begin_import(workspace: Workspace, request: ImportRequest) -> int:
    """Queue an import, hand it to the worker and return its id; asking twice is asking once.

    Raises:
        DatasetError: there is nothing to import, see `imports.start_import`.
    """
    import_id = imports.start_import(workspace, request)
    jobs.enqueue_import(workspace, import_id)
    return import_id


def repeat_import(workspace: Workspace, dataset_id: int) -> int:
    """Import a dataset's source once more, as it was imported last, and return the import's id.

    Raises:
        DatasetError: the source is gone, see `imports.start_import`.
    """
    return begin_import(workspace, imports.request_again(workspace, dataset_id))


def take_masks(workspace: Workspace, dataset_id: int, by: str) -> int:
    """Import a dataset's source once more, take the masks that were mended there as edits, and return the import's id.

    Raises:
        DatasetError: the source is gone, see `imports.start_import`.
    """
    return begin_import(workspace, replace(imports.request_again(workspace, dataset_id, by), take_masks=True))


def move_dataset(workspace: Workspace, dataset_id: int, source: Path) -> int:
    """Import a dataset from the place where its images lie now, and return the import's id.

    Raises:
        DatasetError: there is nothing, see `imports.start_import`.
    """
    return begin_import(workspace, imports.request_move(workspace, dataset_id, source))


def stop_import(workspace: Workspace, import_id: int) -> None:
    """End an import wherever it is; nothing of it is stored."""
    imports.cancel_import(workspace, import_id)
    jobs.cancel_import(workspace, import_id)
