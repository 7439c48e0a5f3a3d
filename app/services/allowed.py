"""Folders that this installation may read from and write to: `allowed_roots`, and its own files."""

import os
from pathlib import Path

from app.services.workspace import Workspace
from core.data.formats.source import is_within
from core.types import DatasetError
from db.queries import exports


def allowed_roots(workspace: Workspace) -> tuple[str, ...]:
    """Return the real paths of the allowed folders; empty: any folder is allowed."""
    named = workspace.settings.roots
    return tuple(map(os.path.realpath, (*named, workspace.files))) if named else ()


def refuse_outside(workspace: Workspace, path: Path) -> None:
    """Check that people may use this path, existing or not, links followed.

    Raises:
        DatasetError: it lies outside the allowed folders.
    """
    roots = allowed_roots(workspace)
    real = os.path.realpath(path.expanduser())
    if roots and not any(is_within(real, root) for root in roots):
        raise DatasetError(
            f"{path}: lies outside the folders this installation may use ({', '.join(roots[:-1])}); "
            "copy the data there, or have the folder added to OUTFOLD_ALLOWED_ROOTS"
        )


def originals_around(workspace: Workspace, path: Path) -> str | None:
    """Return the folder of originals that this path, links followed, lies in or around; None: there is none.

    What is written there would be read as originals by the next import, or be written over them.
    """
    real = os.path.realpath(path.expanduser())
    with workspace.database.read() as session:
        roots = [os.path.realpath(root) for root in exports.dataset_roots(session)]
    return next((root for root in roots if is_within(real, root) or is_within(root, real)), None)
