"""Deletion of datasets, rounds and images, and undone imports: hidden, restorable for a week, then removed for good."""

import logging
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.services import removals
from app.services.app_context import AppContext
from app.services.imports import undo as import_undo
from core.data.storage import size_text
from core.types import DatasetError, DeletionKind, RoundError
from db.agreeing_file import again_once_fetched
from db.queries import datasets, deletions, findings, imports, rounds
from db.queries.deletions import KEPT, Deletion, days_left

__all__ = [
    "KEPT",
    "Deletion",
    "contents_text",
    "dataset_contents",
    "days_left",
    "delete_dataset",
    "delete_round",
    "find",
    "list_removals",
    "purge",
    "restorable",
    "restore",
    "round_contents",
]

CHUNK = 5_000  # rows of one transaction: a verdict waits for it
log = logging.getLogger("outfold.deletions")


def dataset_contents(app_context: AppContext, dataset_id: int) -> dict[str, int]:
    """Count a dataset's images, verdicts, bulk-accepted labels, rounds, exports, and bytes of its rounds' files.

    Raises:
        DatasetError: there is no such dataset.
    """
    with app_context.database.read() as session:
        datasets.get_dataset(session, dataset_id)
        held = deletions.dataset_contents(session, dataset_id)
        ids = deletions.round_ids(session, dataset_id)
    return held | {"bytes": sum(app_context.round_bytes(one) for one in ids)}


def round_contents(app_context: AppContext, round_id: int) -> dict[str, int]:
    """Count a round's findings and the bytes of its files.

    Raises:
        RoundError: there is no such round.
    """
    with app_context.database.read() as session:
        rounds.get_round(session, round_id)
        held = deletions.round_contents(session, round_id)
    return held | {"bytes": app_context.round_bytes(round_id)}


def contents_text(held: dict[str, int]) -> str:
    """Return counts of deleted things in words, e.g. "70,000 images, 214 verdicts, 2 rounds and 1.2 GB of files"."""
    size = [f"{size_text(held['bytes'])} of files"] if held.get("bytes") else []
    return (
        removals.counts_in_words({name: count for name, count in held.items() if name != "bytes"}, *size) or "nothing"
    )


def delete_dataset(app_context: AppContext, dataset_id: int, by: str) -> Deletion:
    """Delete a dataset with all it holds; its images' files stay where they are.

    Raises:
        DatasetError: there is no such dataset, or a round, import or export of it is not finished.
    """
    held = dataset_contents(app_context, dataset_id)
    with app_context.database.write() as session:
        info = datasets.get_dataset(session, dataset_id)
        removals.refuse_working(session, info)
        return _hide(session, (dataset_id, None), info.name, held, by)


def delete_round(app_context: AppContext, round_id: int, by: str) -> Deletion:
    """Delete a round with its findings, predictions and networks. Verdicts and labels accepted in it stay.

    Raises:
        RoundError: there is no such round, or it is not finished.
    """
    held = round_contents(app_context, round_id)
    with app_context.database.write() as session:
        info = rounds.get_round(session, round_id)
        if not info.status.ended:
            raise RoundError(f"{info.name} is running", "wait for its end or cancel it first")
        return _hide(session, (info.dataset_id, round_id), f"{info.dataset}, {info.name}", held, by)


def restorable(app_context: AppContext) -> list[Deletion]:
    """Return the restorable deletions, newest first."""
    with app_context.database.read() as session:
        return deletions.restorable(session)


def list_removals(app_context: AppContext, dataset_id: int) -> list[tuple[Deletion, datetime | None]]:
    """Return a dataset's removals of images and undone imports with when each was restored, newest first."""
    with app_context.database.read() as session:
        return deletions.list_removals(session, dataset_id)


def find(app_context: AppContext, name: str) -> Deletion:
    """Return the newest restorable deletion of this name.

    Raises:
        DatasetError: there is none.
    """
    found = next((one for one in restorable(app_context) if one.name == name), None)
    if found is None:
        raise DatasetError(f"nothing called {name!r} can be restored", "list what can be: restore")
    return found


@again_once_fetched
def restore(app_context: AppContext, deletion_id: int) -> str:
    """Restore a deletion and return the restored name: a new one if a new dataset has the old name.

    Raises:
        DatasetError: it was restored already, or is removed for good.
    """
    with app_context.database.write() as session:
        known = [one for one in deletions.restorable(session) if one.id == deletion_id]
        if not known:
            raise DatasetError("it cannot be restored any more: it was restored, or removed for good after a week")
        [deletion] = known
        now, name = datetime.now(UTC), deletion.name
        match deletion.kind:
            case DeletionKind.DATASET:
                name = _free_name(session, deletion.name)
                deletions.show_again(session, deletion, name)
            case DeletionKind.ROUND:
                deletions.show_again(session, deletion, name)
            case DeletionKind.IMPORT | DeletionKind.IMAGES:
                info = datasets.get_dataset(session, deletion.dataset_id)
                removals.refuse_working(session, info)
                if deletion.kind is DeletionKind.IMPORT:
                    import_undo.restore(app_context, session, deletion, now)
                else:
                    removals.restore(app_context, session, deletion)
        deletions.set_restored(session, deletion.id, now)
    return name


def purge(app_context: AppContext, now: datetime | None = None) -> int:
    """Remove for good everything deleted more than a week ago; return the number of deletions made final.

    In short transactions, and safe to be killed: the next call removes the rest. Findings of a round that
    people decided on stay with their verdicts; pictures, masks and arrays stored by content stay too.
    """
    now = now or datetime.now(UTC)
    with app_context.database.read() as session:
        due = deletions.due(session, now - KEPT)
    for deletion in due:
        _purge(app_context, deletion, now)
        log.info("removed for good: %s, deleted by %s", deletion.name, deletion.deleted_by)
    return len(due)


def _purge(app_context: AppContext, deletion: Deletion, now: datetime) -> None:
    with app_context.database.read() as session:
        folders = {
            DeletionKind.DATASET: deletions.round_ids(session, deletion.dataset_id),
            DeletionKind.ROUND: [deletion.round_id or 0],
        }.get(deletion.kind, [])
    with app_context.database.write() as session:
        for round_id in folders:
            findings.forget_file(session, round_id)
    for round_id in folders:
        app_context.remove_round(round_id)
    more = True
    while more:
        with app_context.database.write() as session:
            more = _remove_some(session, deletion) > 0
    with app_context.database.write() as session:
        deletions.finish(session, deletion, now)


def _remove_some(session: Session, deletion: Deletion) -> int:
    """Remove for good some of the rows that a deletion hides; return their number, 0 once none is left."""
    match deletion.kind:
        case DeletionKind.DATASET:
            return deletions.remove_some_of_dataset(session, deletion.dataset_id, CHUNK)
        case DeletionKind.ROUND:
            return deletions.remove_some_findings(session, deletion.round_id or 0, CHUNK)
        case DeletionKind.IMAGES:
            return deletions.remove_some_of_images(session, deletion.id, CHUNK)
        case DeletionKind.IMPORT:
            images = deletions.remove_some_of_images(session, deletion.id, CHUNK)
            return images or imports.remove_changes(session, deletion.import_id or 0, CHUNK)


def _hide(session: Session, ids: tuple[int, int | None], name: str, held: dict[str, int], by: str) -> Deletion:
    dataset_id, round_id = ids
    facts: dict[str, Any] = {
        "kind": DeletionKind.DATASET if round_id is None else DeletionKind.ROUND,
        "dataset_id": dataset_id,
        "round_id": round_id,
        "name": name,
        "held": held,
        "deleted_by": by,
        "deleted_at": datetime.now(UTC),
    }
    deletion = deletions.add(session, facts)
    deletions.hide(session, deletion)
    return deletion


def _free_name(session: Session, name: str) -> str:
    wanted, number = name, 1
    while datasets.find_dataset(session, wanted) is not None:
        number += 1
        wanted = f"{name} {number}"
    return wanted
