"""Undo of an import: its added images are removed, its other changes reverted; restorable for a week.

Recorded at the import are the images it added, the labels, masks, splits and groups it wrote, the tags it brought, and
where its dataset comes from. Later changes stay. Files are as they are: an image that moved or changed on disk stays
as the import found it, and a missing one shows again only where its file is there.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from app.services import removals
from app.services.app_context import AppContext
from app.services.imports.jobs import ImportInfo
from core.types import DatasetError, DeletionKind, JobStatus
from db.agreeing_file import again_once_fetched
from db.queries import datasets, deletions, evaluation, imports
from db.queries.datasets import DatasetInfo
from db.queries.deletions import Deletion
from db.queries.imports import ImportChange
from db.queries.tags import bring_tags_again, tags_of_import, take_tags_back

_COUNTED = {
    "label": "labels", "mask_hash": "masks", "split": "splits", "group": "groups", "annotators_differ": "disagreements",
    imports.VANISHED: "missing images",
}  # fmt: skip
_LABELS = ("label", "mask_hash")


@dataclass(frozen=True, slots=True)
class ImportEffect:
    """Effect of an undo: counts of the removed images' data and of the reverted changes."""

    info: ImportInfo
    dataset: DatasetInfo
    held: dict[str, int]  # that goes
    back: dict[str, int]  # counts of the reverted changes by kind
    rounds: int  # rounds with findings of the removed images
    judged: int  # verdicts on remaining images whose label or mask is reverted

    @property
    def text(self) -> str:
        """Return the removed and the restored counts in words."""
        removal = removals.Removal(self.dataset.id, (), self.held, self.rounds)
        words = [f"{removal.text} {'goes' if self.held['images'] == 1 else 'go'}"] if self.held["images"] else []
        back = removals.counts_in_words(self.back)
        words += [f"{back} {'is' if sum(self.back.values()) == 1 else 'are'} as before"] if back else []
        if self.judged:
            verdicts = removals.counts_in_words({"verdicts": self.judged})
            stay = "stays" if self.judged == 1 else "stay"
            words.append(f"{verdicts} on images whose label or mask is put back {stay}")
        return "; ".join(words) or "nothing of the images changes"


def list_imports(app_context: AppContext, dataset_id: int) -> list[tuple[ImportInfo, str]]:
    """Return every successful import of a dataset that was not undone, newest first.

    Each with the reason why it cannot be undone, "" if it can.
    """
    with app_context.database.read() as session:
        dataset = datasets.get_dataset(session, dataset_id)
        found = imports.done_imports(session, dataset_id)
        return [(info, _undo_problem(session, info, dataset)) for info in found]


def preview_undo(app_context: AppContext, import_id: int) -> ImportEffect:
    """Return the effect of undoing an import.

    Raises:
        DatasetError: there is no such import, or it cannot be undone.
    """
    with app_context.database.read() as session:
        return _effect(session, imports.get_import(session, import_id))


@again_once_fetched
def undo(app_context: AppContext, import_id: int, by: str) -> Deletion:
    """Undo an import.

    Raises:
        DatasetError: there is no such import, it cannot be undone, or something of its dataset is running.
    """
    now = datetime.now(UTC)
    changes = _possible(app_context, import_id)
    with app_context.database.write() as session:
        effect = _effect(session, imports.get_import(session, import_id))
        removals.refuse_working(session, effect.dataset)
        dataset_id = effect.dataset.id
        when = f"{effect.info.created_at:%Y-%m-%d %H:%M}"
        facts = {"name": f"{effect.dataset.name}, import of {when}", "held": effect.held | effect.back}
        who = {"deleted_by": by, "deleted_at": now}
        of = {"kind": DeletionKind.IMPORT, "dataset_id": dataset_id, "import_id": import_id}
        deletion = deletions.add(session, of | facts | who)
        deletions.hide_images(session, dataset_id, deletion.id, imports.added_ids(session, import_id, dataset_id))
        take_tags_back(session, import_id, now)
        _write(session, dataset_id, import_id, changes, now, forward=False)
        imports.set_undone(session, import_id, now)
        removals.recount(session, dataset_id)
        return deletion


def restore(app_context: AppContext, session: Session, deletion: Deletion, now: datetime) -> None:
    """Redo an undone import."""
    import_id, dataset_id = deletion.import_id or 0, deletion.dataset_id
    imports.set_undone(session, import_id, None)
    _write(session, dataset_id, import_id, imports.changes_of_import(session, import_id), now, forward=True)
    bring_tags_again(session, import_id, now)
    removals.restore(app_context, session, deletion)


def _write(
    session: Session, dataset_id: int, import_id: int, changes: Sequence[ImportChange], now: datetime, *, forward: bool
) -> None:
    moved = imports.write_changes(session, changes, now, forward=forward)
    evaluation.take_along(session, moved)
    of_dataset = imports.dataset_change(session, import_id) or {}
    imports.write_dataset(session, dataset_id, of_dataset, forward=forward)


def _possible(app_context: AppContext, import_id: int) -> list[ImportChange]:
    """Return an import's changes without those of images missing on disk."""
    with app_context.database.read() as session:
        changes = imports.changes_of_import(session, import_id)
    return [one for one in changes if imports.VANISHED not in one[2] or os.path.exists(one[1])]  # noqa: PTH110 quicker, of thousands


def _effect(session: Session, info: ImportInfo) -> ImportEffect:
    if info.status is not JobStatus.DONE or info.dataset_id is None:
        raise DatasetError("this import stored nothing, so there is nothing to undo", "import again")
    dataset = datasets.get_dataset(session, info.dataset_id)
    if why_not := _undo_problem(session, info, dataset):
        raise DatasetError(why_not)
    added = imports.added_ids(session, info.id, dataset.id)
    held, rounds = deletions.count_attached(session, dataset.id, added)
    changes = imports.changes_of_import(session, info.id)
    counted = Counter(name for _, _, changed in changes for name in changed)
    relabelled = {sample_id for sample_id, _, changed in changes if not changed.keys().isdisjoint(_LABELS)}
    stays, _ = deletions.count_attached(session, dataset.id, sorted(relabelled.difference(added)))
    back = {word: counted[name] for name, word in _COUNTED.items() if counted[name]}
    tags = len(tags_of_import(session, info.id))
    back |= {"image tags": tags} if tags else {}
    return ImportEffect(info, dataset, held, back, rounds, stays["verdicts"])


def _undo_problem(session: Session, info: ImportInfo, dataset: DatasetInfo) -> str:
    changed = imports.dataset_change(session, info.id)
    if changed is None:
        return "this import is of an earlier release, which did not note what it changed; it cannot be undone"
    if imports.MADE in changed:
        return f"this import made {dataset.name}; to undo it, delete the dataset"
    return ""
