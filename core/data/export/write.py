"""Write one export: whole or not at all, checked, in place of a former one if asked; and pack it as a zip file.

Everything is written into a hidden folder beside the target, read back by the import's reader, compared with the plan,
and only then renamed. A kill, a full disk or a failed comparison leaves no target; remains of a killed run are removed
by the next export to the same target.

A former export at the target is renamed away before the new one is renamed in, and removed only after the caller has
confirmed that the new one is still wanted; otherwise it is put back. A marker file beside the target exists for the
duration, so that the next export, or the cancellation of a killed one, knows whether the folder at the target was
confirmed. Every rename is flushed to the disk.
"""

import errno
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.data.export.card import class_to_idx, loading_instructions, write_card
from core.data.export.embedded import write_shards
from core.data.export.items import ExportPlan, Link
from core.data.export.layouts import lay_out, write_tables
from core.data.export.mask_plan import MaskPlan
from core.data.export.mask_writing import IMAGES, REGIONS, check_masks, lay_out_masks, write_masks
from core.data.export.names import FolderNames
from core.data.export.placing import Placement, Report, ShouldStop, check_space, place_files
from core.data.export.provenance import find_manifest, manifest, write_manifest
from core.data.export.readback import check_written
from core.data.patch.change import write_patch
from core.data.storage import PARTIAL, atomic_folder, atomic_path, flush, is_partial_of
from core.types import ExportError, RoundCancelledError

Manifest = dict[str, Any]

LARGEST_BYTES = 200_000_000  # of images; larger exports are fetched as the folder they are
EPOCH = (1980, 1, 1, 0, 0, 0)  # earliest time in a zip; fixed, so that equal exports are equal archives

_DISCARDED = ".discarded"
_REPLACED = ".replaced"
_PLACING = ".placing"


def write_export(
    plan: ExportPlan | MaskPlan,
    target: Path,
    *,
    versions: Mapping[str, str],
    report: Report = lambda _done, _total: None,
    should_stop: ShouldStop = lambda: False,
    is_wanted: Callable[[Manifest], bool] = lambda _manifest: True,
    overwrite: bool = False,
    again: bool = False,
) -> Manifest:
    """Write the plan into the new folder `target` and return its manifest.

    Args:
        plan: items to write.
        target: absolute; must not exist, or be empty, or with `overwrite` be a former export.
        versions: of the programs that made it, for the manifest.
        report: called with the number of files done and in all.
        should_stop: polled; true cancels the export.
        is_wanted: called once, when the export is in its place; false restores the former one.
        overwrite: replace a former export of Outfold at `target`.
        again: this same export was killed before it was confirmed.

    Raises:
        ExportError: it cannot be completed; nothing of it was left behind.
        RoundCancelledError: it was cancelled by `should_stop` or `is_wanted`; nothing of it was left behind.
    """
    clear_remains(target, confirmed=not again)
    check_target(target, overwrite=overwrite)
    if plan.options.link is Link.COPY or plan.options.format.embeds:
        check_space(target.parent, plan.image_bytes)
    with explain_disk_errors(target):
        with atomic_folder(fresh_folder(target)) as folder:
            if isinstance(plan, MaskPlan):
                values = _write_masks(plan, folder, versions, report, should_stop)
            else:
                values = _write_labels(plan, folder, versions, report, should_stop)
        take_place(target, lambda: is_wanted(values))
    return values


def check_target(target: Path, *, overwrite: bool) -> None:
    """Check that the target is free, or a former export to be replaced.

    Raises:
        ExportError: it is not, or it cannot be written to.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ExportError(f"{target} is a file or a link", "choose a new folder")
    if not target.exists() or not any(target.iterdir()):
        return
    if find_manifest(target) is None:
        raise ExportError(f"{target} is not empty and no export of Outfold", "choose a new or an empty folder")
    if not overwrite:
        raise ExportError(f"{target} holds a former export", "choose another folder, or ask for it to be replaced")


def _write_labels(
    plan: ExportPlan, folder: Path, versions: Mapping[str, str], report: Report, should_stop: ShouldStop
) -> Manifest:
    laid = lay_out(plan)
    placements = [
        Placement(Path(row.item.path), folder / file, row.item.content_hash)
        for row, file in zip(plan.rows, laid.files, strict=True)
        if file
    ]
    placed = _place(plan, placements, report, should_stop)
    table = write_patch(folder, plan) if plan.options.format.is_patch else write_tables(folder, laid)
    shards = write_shards(folder, laid, report, should_stop) if plan.options.format.embeds else []
    tables = [folder / table, *shards]
    values = manifest(plan, laid.layout, placed, tables, versions, class_to_idx=class_to_idx(laid))
    write_manifest(folder, values)
    write_card(folder, values, loading_instructions(laid))
    check_written(folder, laid, table)
    return values


def _write_masks(
    plan: MaskPlan, folder: Path, versions: Mapping[str, str], report: Report, should_stop: ShouldStop
) -> Manifest:
    laid = lay_out_masks(plan)
    count = len(plan.images)
    placements = [
        Placement(Path(image.path), folder / file, image.content_hash)
        for image, file in zip(plan.images, laid.files, strict=True)
    ]
    placed = _place(plan, placements, lambda done, _: report(done, 2 * count), should_stop)
    write_masks(folder, laid, lambda done, _: report(count + done, 2 * count), should_stop)
    values = manifest(plan, FolderNames(), placed, [folder / IMAGES, folder / REGIONS], versions)
    write_manifest(folder, values)
    write_card(folder, values, loading_instructions(laid))
    report(2 * count, 2 * count)
    check_masks(folder, laid, should_stop)
    return values


def _place(
    plan: ExportPlan | MaskPlan, placements: list[Placement], report: Report, should_stop: ShouldStop
) -> Mapping[Link, int]:
    return place_files(
        placements,
        plan.options.link,
        copy_if_needed=plan.options.copy_if_needed,
        report=report,
        should_stop=should_stop,
    )


@contextmanager
def explain_disk_errors(target: Path) -> Iterator[None]:
    """Convert errors of a full or read-only disk into ExportError; the caller removes written files."""
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
        raise ExportError(f"{target} could not be written: {causes[error.errno]}", "nothing was left behind") from error


def write_archive(folder: Path, archive: Path) -> Path:
    """Write the files of an export into `archive`, below a folder of its name, unless it is there already.

    Raises:
        ExportError: the export does not exist any more.
    """
    if archive.is_file():
        return archive
    if not folder.is_dir():
        raise ExportError(f"{folder} is not there any more", "export again")
    with atomic_path(archive, durable=False) as partial, zipfile.ZipFile(partial, "w") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
                packed = zipfile.ZIP_DEFLATED if path.suffix in {".csv", ".json", ".jsonl"} else zipfile.ZIP_STORED
                entry = zipfile.ZipInfo(name, EPOCH)
                entry.external_attr = 0o644 << 16
                file.writestr(entry, path.read_bytes(), compress_type=packed)
    return archive


def fresh_folder(target: Path) -> Path:
    """Return the folder of a finished export before it is renamed to the target."""
    return _sibling(target, ".fresh")


def take_place(target: Path, is_wanted: Callable[[], bool]) -> None:
    """Move the finished export beside `target` there, if it is still wanted.

    Raises:
        RoundCancelledError: it is not; the former export is in its place again.
    """
    former, placing = _sibling(target, _REPLACED), _sibling(target, _PLACING)
    placing.touch()
    flush(placing.parent)
    if target.exists():
        _rename(target, former)
    try:
        _rename(fresh_folder(target), target)
        if not is_wanted():
            raise RoundCancelledError("the export was cancelled; nothing of it was left behind")  # noqa: TRY301
    except BaseException:
        _discard(target, target)
        if former.exists():
            _rename(former, target)
        placing.unlink(missing_ok=True)
        raise
    _discard(former, target)
    placing.unlink(missing_ok=True)


def clear_remains(target: Path, *, confirmed: bool) -> None:
    """Remove the remains of a killed export to this target, and restore a former one that was about to be replaced.

    `confirmed`: the killed export, if it is at the target already, was confirmed; else it is removed too.
    """
    if not target.parent.is_dir():
        return
    former, placing = _sibling(target, _REPLACED), _sibling(target, _PLACING)
    if placing.exists() and not fresh_folder(target).exists() and not confirmed:
        _discard(target, target)
    if former.exists() and not target.exists():
        _rename(former, target)
    placing.unlink(missing_ok=True)
    own = {fresh_folder(target), former, _sibling(target, _DISCARDED)}
    for left in target.parent.iterdir():
        is_ours = left in own or is_partial_of(left, target) or is_partial_of(left, fresh_folder(target))
        if is_ours and left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


def _discard(folder: Path, target: Path) -> None:
    """Remove a folder, after renaming it, so that no part of it is left at its path."""
    if folder.exists():
        discarded = _sibling(target, _DISCARDED)
        shutil.rmtree(discarded, ignore_errors=True)
        _rename(folder, discarded)
        shutil.rmtree(discarded, ignore_errors=True)


def _rename(folder: Path, to: Path) -> None:
    folder.rename(to)
    flush(to.parent)


def _sibling(target: Path, word: str) -> Path:
    return target.with_name(f".{target.name[:80]}{word}{PARTIAL}")
