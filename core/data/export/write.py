"""Write one export: whole or not at all, checked before it is called done.

Everything is written into a hidden folder beside the target, read back by the reader a stranger would use, compared
with the plan, and only then renamed. A kill, a full disk or a failed comparison leaves no target; what a killed run
left beside it is removed by the next export to the same target.
"""

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.data.export.items import Link, Plan
from core.data.export.layouts import LaidOut, lay_out, write_tables
from core.data.export.placing import Placement, Report, ShouldStop, check_space, place_files
from core.data.export.provenance import find_manifest, manifest, write_manifest
from core.data.export.readback import check_written
from core.data.patch.change import write_patch
from core.data.storage import PARTIAL, atomic_folder, is_partial_of
from core.types import ExportError

REPLACED = ".replaced"


def write_export(
    plan: Plan,
    target: Path,
    *,
    versions: Mapping[str, str],
    report: Report = lambda _done, _total: None,
    should_stop: ShouldStop = lambda: False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the plan into the new folder `target` and return its manifest.

    Args:
        plan: what to write.
        target: absolute; must not exist, or be empty, or with `overwrite` be a former export.
        versions: what made it, for the manifest.
        report: called with the files done and the files in all.
        should_stop: asked now and then.
        overwrite: replace a former export of ours at `target`.

    Raises:
        ExportError: it cannot be written whole; nothing of it was left behind.
        RoundCancelledError: `should_stop` said so; nothing of it was left behind.
    """
    check_target(target, overwrite=overwrite)
    laid = lay_out(plan)
    placements = [(row, file) for row, file in zip(plan.rows, laid.files, strict=True) if file]
    if plan.options.link is Link.COPY:
        check_space(target.parent, sum(row.item.bytes for row, _ in placements))
    _clear_partials(target)
    with _replacing(target) as folder, _telling_full_disk(target):
        placed = place_files(
            [Placement(Path(row.item.path), folder / file, row.item.content_hash) for row, file in placements],
            plan.options.link,
            copy_if_needed=plan.options.copy_if_needed,
            report=report,
            should_stop=should_stop,
        )
        return _finish(folder, laid, placed, versions)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds something which is not a former export to be replaced.

    Raises:
        ExportError: it does, or it cannot be written to.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ExportError(f"{target} is a file or a link; choose a new folder")
    if not target.exists() or not any(target.iterdir()):
        return
    if find_manifest(target) is None:
        raise ExportError(f"{target} is not empty and no export of Outfold; choose a new or an empty folder")
    if not overwrite:
        raise ExportError(f"{target} holds a former export; choose another folder, or ask for it to be replaced")


def _finish(folder: Path, laid: LaidOut, placed: Mapping[Link, int], versions: Mapping[str, str]) -> dict[str, Any]:
    table = write_patch(folder, laid.plan) if laid.plan.options.format.is_patch else write_tables(folder, laid)
    values = manifest(laid.plan, laid.layout, placed, folder / table, versions)
    write_manifest(folder, values)
    check_written(folder, laid, table)
    return values


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Yield a folder that becomes `target` at the end, in place of the one that may be there."""
    if not target.exists():
        with atomic_folder(target) as folder:
            yield folder
        return
    fresh, former = _fresh(target), _former(target)
    with atomic_folder(fresh) as folder:
        yield folder
    target.rename(former)
    try:
        fresh.rename(target)
    except OSError:
        former.rename(target)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _clear_partials(target: Path) -> None:
    """Remove what a killed export to this target left, and give back a former one that was about to be replaced."""
    if not target.parent.is_dir():
        return
    fresh, former = _fresh(target), _former(target)
    if former.exists() and not target.exists():
        former.rename(target)
    for left in target.parent.iterdir():
        is_ours = left in (fresh, former) or is_partial_of(left, target) or is_partial_of(left, fresh)
        if is_ours and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


def _fresh(target: Path) -> Path:
    """Return where what replaces a former export waits, whole."""
    return target.with_name(f".{target.name[:80]}.fresh{PARTIAL}")


def _former(target: Path) -> Path:
    """Return where a former export waits until another one has its place."""
    return target.with_name(f".{target.name[:80]}{REPLACED}{PARTIAL}")


@contextmanager
def _telling_full_disk(target: Path) -> Iterator[None]:
    """Say in words that the disk is full or may not be written to; what was written is removed by the caller."""
    causes: Mapping[int | None, str] = {
        errno.ENOSPC: "the disk is full; make room or choose another disk",
        errno.EDQUOT: "the quota is used up; make room or choose another disk",
        errno.EFBIG: "a file grew larger than this system allows; choose another disk",
        errno.EROFS: "the disk is read-only; choose another folder",
        errno.EACCES: "this user may not write there; choose another folder or change its rights",
    }
    try:
        yield
    except OSError as error:
        if error.errno not in causes:
            raise
        raise ExportError(f"{target} could not be written: {causes[error.errno]}; nothing was left behind") from error
