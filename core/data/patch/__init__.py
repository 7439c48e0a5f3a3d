"""Label changes as a file of their own, to be applied to a copy of the dataset and taken back again."""

from pathlib import Path

from core.data.patch.change import Change, Patch, read_patch
from core.data.patch.folder import apply_to_folder, revert_in_folder
from core.data.patch.table import Applied, apply_to_table

__all__ = ["Applied", "Change", "Patch", "apply", "read_patch", "revert"]


def apply(patch: Patch, target: Path) -> Applied:
    """Apply a patch to a table of labels or to a copy of class folders.

    Raises:
        DatasetError: the target cannot be read.
        ExportError: the patch does not fit; nothing was changed.
    """
    return apply_to_folder(patch, target) if target.is_dir() else apply_to_table(patch, target)


def revert(patch: Patch, target: Path) -> Applied:
    """Take a patch back where it was applied.

    Raises:
        DatasetError: the target cannot be read.
        ExportError: it was not applied there, or something changed since; nothing was changed.
    """
    return revert_in_folder(patch, target) if target.is_dir() else apply_to_table(patch.reversed(), target)
