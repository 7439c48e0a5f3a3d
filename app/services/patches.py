"""Patches applied to somebody's copy of the labels; never to the originals of a dataset."""

import os
from collections.abc import Callable
from pathlib import Path

from app.services.allowed import refuse_outside
from app.services.workspace import Workspace
from core.data.formats.source import is_within
from core.data.patch import Applied, Patch, apply, read_patch, revert
from core.types import ExportError
from db.queries import exports


def apply_patch(workspace: Workspace, patch: Path, target: Path) -> Applied:
    """Apply a patch to a table of labels or a copy of class folders.

    Raises:
        DatasetError: the patch or the target cannot be read, or must not be.
        ExportError: the patch does not fit, or the target holds originals; nothing was changed.
    """
    return _on_copy(workspace, patch, target, apply)


def revert_patch(workspace: Workspace, patch: Path, target: Path) -> Applied:
    """Take a patch back; raises as `apply_patch` does."""
    return _on_copy(workspace, patch, target, revert)


def _on_copy(workspace: Workspace, patch: Path, target: Path, work: Callable[[Patch, Path], Applied]) -> Applied:
    refuse_outside(workspace, target)
    real = Path(os.path.realpath(target))
    with workspace.database.read() as session:
        roots = [os.path.realpath(root) for root in exports.dataset_roots(session)]
    for root in roots:
        if is_within(str(real), root) or is_within(root, str(real)):
            raise ExportError(f"{target} holds originals of a dataset in {root}; apply the patch to a copy of them")
    return work(read_patch(patch), real)
