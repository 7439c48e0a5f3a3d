"""Write one export: whole or not at all, checked before it is called done.

Everything is written into a hidden folder beside the target, read back by the reader a stranger would use, compared
with the plan, and only then renamed (`replacing`). A kill, a full disk or a failed comparison leaves no target; what a
killed run left beside it is removed by the next export to the same target.
"""

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.data.export.card import write_card
from core.data.export.embedded import write_shards
from core.data.export.items import Link, Plan
from core.data.export.layouts import lay_out, write_tables
from core.data.export.loading import class_to_idx, loading_of
from core.data.export.mask_plan import MaskPlan
from core.data.export.mask_writing import IMAGES, REGIONS, check_masks, lay_out_masks, write_masks
from core.data.export.names import Layout
from core.data.export.placing import Placement, Report, ShouldStop, check_space, place_files
from core.data.export.provenance import find_manifest, manifest, write_manifest
from core.data.export.readback import check_written
from core.data.export.replacing import clear_remains, fresh_folder, take_place
from core.data.patch.change import write_patch
from core.data.storage import atomic_folder
from core.types import ExportError

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Into:
    """The folder an export is written into, and whom to tell and ask meanwhile."""

    folder: Path
    versions: Mapping[str, str]
    report: Report
    should_stop: ShouldStop


def write_export(
    plan: Plan | MaskPlan,
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
        plan: what to write.
        target: absolute; must not exist, or be empty, or with `overwrite` be a former export.
        versions: what made it, for the manifest.
        report: called with the files done and the files in all.
        should_stop: asked now and then.
        is_wanted: asked once, when all is in its place; a no gives back what was there before.
        overwrite: replace a former export of ours at `target`.
        again: this same export was killed before it was confirmed.

    Raises:
        ExportError: it cannot be written whole; nothing of it was left behind.
        RoundCancelledError: `should_stop` or `is_wanted` said so; nothing of it was left behind.
    """
    clear_remains(target, confirmed=not again)
    check_target(target, overwrite=overwrite)
    if plan.options.link is Link.COPY or plan.options.format.embeds:
        check_space(target.parent, plan.image_bytes)
    with telling_full_disk(target):
        with atomic_folder(fresh_folder(target)) as folder:
            into = _Into(folder, versions, report, should_stop)
            values = _write_masks(plan, into) if isinstance(plan, MaskPlan) else _write_labels(plan, into)
        take_place(target, lambda: is_wanted(values))
    return values


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


def _write_labels(plan: Plan, into: _Into) -> Manifest:
    laid, folder = lay_out(plan), into.folder
    placements = [
        Placement(Path(row.item.path), folder / file, row.item.content_hash)
        for row, file in zip(plan.rows, laid.files, strict=True)
        if file
    ]
    placed = _place(plan, placements, into, into.report)
    table = write_patch(folder, plan) if plan.options.format.is_patch else write_tables(folder, laid)
    shards = write_shards(folder, laid, into.report, into.should_stop) if plan.options.format.embeds else []
    tables = [folder / table, *shards]
    values = manifest(plan, laid.layout, placed, tables, into.versions, class_to_idx=class_to_idx(laid))
    write_manifest(folder, values)
    write_card(folder, values, loading_of(laid))
    check_written(folder, laid, table)
    return values


def _write_masks(plan: MaskPlan, into: _Into) -> Manifest:
    laid, folder = lay_out_masks(plan), into.folder
    count = len(plan.images)
    placements = [
        Placement(Path(image.path), folder / file, image.content_hash)
        for image, file in zip(plan.images, laid.files, strict=True)
    ]
    placed = _place(plan, placements, into, lambda done, _: into.report(done, 2 * count))
    write_masks(folder, laid, lambda done, _: into.report(count + done, 2 * count), into.should_stop)
    values = manifest(plan, Layout(), placed, [folder / IMAGES, folder / REGIONS], into.versions)
    write_manifest(folder, values)
    write_card(folder, values, loading_of(laid))
    into.report(2 * count, 2 * count)
    check_masks(folder, laid, into.should_stop)
    return values


def _place(plan: Plan | MaskPlan, placements: list[Placement], into: _Into, report: Report) -> Mapping[Link, int]:
    return place_files(
        placements,
        plan.options.link,
        copy_if_needed=plan.options.copy_if_needed,
        report=report,
        should_stop=into.should_stop,
    )


@contextmanager
def telling_full_disk(target: Path) -> Iterator[None]:
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
