"""Patches applied to a copy of the labels; never to the originals of a dataset."""

import os
from collections.abc import Callable
from pathlib import Path

from app.services.allowed import originals_around, refuse_outside
from app.services.workspace import Workspace
from core.data.patch import Applied, Patch, apply, read_patch, revert
from core.types import ExportError


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
    root = originals_around(workspace, target)
    if root is not None:
        raise ExportError(f"{target} holds originals of a dataset in {root}; apply the patch to a copy of them")
    return work(read_patch(patch), Path(os.path.realpath(target)))
