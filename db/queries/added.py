"""Folders of unlabelled images that were added to a dataset: which samples are theirs, and what stands in all of it.

A dataset comes from its root; `options["unlabelled_folders"]` names the folders that were added. An import speaks of
its own samples alone: of an added folder those below it that came so, any other import all but those. So neither makes
the other's vanish.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, true
from sqlalchemy.orm import Session

from core.types import RoundStatus
from db.models import DatasetRow, ImportRow, IncomingRow, SampleRow

FOLDERS = "unlabelled_folders"
SPLIT = "unlabelled"


def folders_of(options: dict[str, Any] | None) -> list[str]:
    """Return the folders that were added to the dataset with these options."""
    return list((options or {}).get(FOLDERS, []))


def in_scope(session: Session, import_id: int, dataset_id: int) -> ColumnElement[bool]:
    """Return the condition that a sample is one this import speaks of."""
    request = session.scalar(select(ImportRow.request).where(ImportRow.id == import_id)) or {}
    if request.get("unlabelled"):
        return _below(str(request["source"]))
    folders = folders_of(session.scalar(select(DatasetRow.options).where(DatasetRow.id == dataset_id)))
    return ~or_(*map(_below, folders)) if folders else true()


def standing(session: Session, dataset_id: int | None = None) -> dict[int, list[int]]:
    """Return the imports whose problems stand, oldest first, by dataset: of each source the one that read it last.

    The problems of an added folder stand until it is read again, or a folder that it lies in.
    """
    query = select(ImportRow.dataset_id, ImportRow.id, ImportRow.request).where(
        ImportRow.status == RoundStatus.DONE,
        ImportRow.dataset_id.is_not(None) if dataset_id is None else ImportRow.dataset_id == dataset_id,
    )
    found: dict[int, dict[PurePath | None, int]] = {}
    for owner, import_id, request in session.execute(query.order_by(ImportRow.id)):
        source, last = _added_folder(request), found.setdefault(owner, {})
        for former in [one for one in last if one == source or (one and source and one.is_relative_to(source))]:
            del last[former]
        last[source] = import_id
    return {owner: sorted(last.values()) for owner, last in found.items()}


def leave_out_others(session: Session, import_id: int, dataset_id: int) -> None:
    """Forget staged images of an added folder that came into the dataset another way, labelled perhaps."""
    others = select(SampleRow.path).where(SampleRow.dataset_id == dataset_id, SampleRow.split != SPLIT)
    session.execute(delete(IncomingRow).where(IncomingRow.import_id == import_id, IncomingRow.path.in_(others)))


def figures(session: Session, dataset_id: int) -> dict[str, Any]:
    """Return how many images a dataset has now, by split, and how many of them have no label and no mask."""
    present = (SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None))
    bare = SampleRow.label.is_(None) & SampleRow.mask_hash.is_(None)
    splits = session.execute(
        select(SampleRow.split, func.count()).where(*present).group_by(SampleRow.split).order_by(SampleRow.split)
    )
    counted = {split: count for split, count in splits}  # noqa: C416  rows are no pairs to the type checker
    unlabelled = session.scalars(select(func.count()).select_from(SampleRow).where(*present, bare)).one()
    return {"images": sum(counted.values()), "splits": counted, "unlabelled": unlabelled}


def _added_folder(request: Mapping[str, Any]) -> PurePath | None:
    """Return the folder that an import added, None where it read the dataset's own source."""
    return PurePath(str(request["source"])) if request.get("unlabelled") else None


def _below(folder: str) -> ColumnElement[bool]:
    inside = folder.rstrip("/") + "/"
    return (SampleRow.split == SPLIT) & (func.substr(SampleRow.path, 1, len(inside)) == inside)
