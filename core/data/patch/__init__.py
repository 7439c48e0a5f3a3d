"""Patches: label changes in a file of their own, to be applied to a copy of the dataset and reverted."""

from pathlib import Path

from core.data.patch.change import LabelChange, Patch, read_patch
from core.data.patch.folder import apply_to_folder, revert_in_folder
from core.data.patch.table import Applied, apply_to_table

__all__ = ["Applied", "LabelChange", "Patch", "apply", "read_patch", "revert"]


def apply(patch: Patch, target: Path) -> Applied:
    """Apply a patch to a table of labels or to a copy of class folders.

    Raises:
        DatasetError: the target cannot be read.
        ExportError: the patch does not fit; nothing was changed.
    """
    return apply_to_folder(patch, target) if target.is_dir() else apply_to_table(patch, target)


def revert(patch: Patch, target: Path) -> Applied:
    """Revert an applied patch.

    Raises:
        DatasetError: the target cannot be read.
        ExportError: it was not applied there, or the target was changed since; nothing was changed.
    """
    return revert_in_folder(patch, target) if target.is_dir() else apply_to_table(patch.inverse(), target)
