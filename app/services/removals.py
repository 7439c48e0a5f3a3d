"""Removal of images from a dataset: previewed, hidden with their findings, restorable for a week.

A removed image is in no queue, count, chart, export and later round. Its file stays where it is, and its verdicts,
notes and tags come back with it. An import that finds it again leaves it removed, unless its request brings it back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.masks.history import note_samples
from core.types import NO_LABEL, DatasetError, DeletionKind, FindingFilter, Task
from db.agreeing_file import again_once_fetched
from db.queries import datasets, deletions, imports, snapshots
from db.queries.deletions import Deletion, RemovalFilter
from db.queries.snapshots import LabelCounts

__all__ = [
    "Removal",
    "RemovalFilter",
    "counts_in_words",
    "preview_removal",
    "recount",
    "refuse_working",
    "remove",
    "restore",
    "show",
]

LONGEST_NAME = 240  # characters that are stored
Chosen = RemovalFilter | FindingFilter | Sequence[int]


@dataclass(frozen=True, slots=True)
class Removal:
    """Images about to be removed, and counts of the data removed with them."""

    dataset_id: int
    ids: tuple[int, ...]
    held: dict[str, int]
    rounds: int  # with findings of them

    @property
    def text(self) -> str:
        """Return the counts in words, e.g. "312 images with their 40 verdicts"."""
        count = self.held["images"]
        rest = counts_in_words({name: number for name, number in self.held.items() if name != "images"})
        return counts_in_words({"images": count}) + (f" with {'its' if count == 1 else 'their'} {rest}" if rest else "")


def counts_in_words(counts: Mapping[str, int], *more: str) -> str:
    """Return counts in words, without those that are 0, and more words, e.g. "1 image and 2 tags"."""
    words = [f"{count:,} {name.removesuffix('s') if count == 1 else name}" for name, count in counts.items() if count]
    words += more
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def preview_removal(app_context: AppContext, dataset_id: int, chosen: Chosen) -> Removal:
    """Return the effect of removing images.

    Raises:
        DatasetError: there is no such dataset.
    """
    with app_context.database.read() as session:
        datasets.get_dataset(session, dataset_id)
        return _removal(session, dataset_id, chosen)


@again_once_fetched
def remove(
    app_context: AppContext, dataset_id: int, chosen: Chosen, by: str, *, what: str = "", expected: int | None = None
) -> Deletion:
    """Remove images; `what` describes them in the list of deletions.

    Raises:
        DatasetError: there is no such dataset, it has none of these images or, where `expected` is given, another
            number of them, or a round, import or export of it is running.
    """
    removal = preview_removal(app_context, dataset_id, chosen)  # counted before the write lock, which verdicts wait for
    with app_context.database.write() as session:
        info = datasets.get_dataset(session, dataset_id)
        refuse_working(session, info)
        ids = _present(session, dataset_id, chosen)
        if not ids:
            raise DatasetError(f"{info.name} has no such image", "choose another filter")
        if expected not in (None, len(ids)) or len(ids) != len(removal.ids):
            shown = len(removal.ids) if expected is None else expected
            raise DatasetError(f"{len(ids):,} images are chosen now, not {shown:,}", "look at them again")
        deletion = deletions.add(
            session,
            {
                "kind": DeletionKind.IMAGES,
                "dataset_id": dataset_id,
                "name": f"{info.name}, {what or 'images'}"[:LONGEST_NAME],
                "held": removal.held,
                "deleted_by": by,
                "deleted_at": datetime.now(UTC),
            },
        )
        deletions.hide_images(session, dataset_id, deletion.id, ids)
        recount(session, dataset_id)
        return deletion


def restore(app_context: AppContext, session: Session, deletion: Deletion) -> int:
    """Restore the images that a deletion hides, and return their number."""
    ids = deletions.images_hidden_by(session, deletion.id)
    show(app_context, session, deletion.dataset_id, ids)
    recount(session, deletion.dataset_id)
    return len(ids)


def show(
    app_context: AppContext,
    session: Session,
    dataset_id: int,
    ids: Sequence[int],
    values: dict[str, Any] | None = None,
) -> None:
    """Restore images with their findings, and set these columns."""
    deletions.show_images(session, dataset_id, ids, values)
    note_samples(app_context, session, deletions.edited_images(session, ids))


def recount(session: Session, dataset_id: int) -> None:
    """Update the counts of a dataset's images, classes and splits in its newest import, which its card reads.

    For masks, the number of images of each class stays as counted by the import.
    """
    info = datasets.get_dataset(session, dataset_id)
    newest = imports.last_done(session, dataset_id)
    if newest is None:
        return
    figures = imports.count_images(session, dataset_id)
    report: dict[str, Any] = {name: figures[name] for name in ("images", "splits")}
    counts = snapshots.label_counts(session, dataset_id)
    report |= _LABEL_FIGURES[info.task](info, counts, figures["unlabelled"])
    report["covers"] = deletions.covers(session, dataset_id, imports.get_import(session, newest).report or {})
    imports.change_report(session, newest, report)


def refuse_working(session: Session, info: datasets.DatasetInfo) -> None:
    """Check that a dataset has no unfinished job.

    Raises:
        DatasetError: a round, import or export of it is.
    """
    if working := deletions.at_work(session, info.id):
        raise DatasetError(f"{info.name}: its {working} is running", "wait for its end or cancel it first")


def _removal(session: Session, dataset_id: int, chosen: Chosen) -> Removal:
    ids = _present(session, dataset_id, chosen)
    held, rounds = deletions.count_attached(session, dataset_id, ids)
    return Removal(dataset_id, tuple(ids), held, rounds)


def _present(session: Session, dataset_id: int, chosen: Chosen) -> list[int]:
    """Return the chosen images that are in the dataset, and not removed."""
    if isinstance(chosen, FindingFilter):
        return snapshots.present_ids(session, dataset_id, deletions.ids_by_finding_filter(session, chosen))
    if isinstance(chosen, RemovalFilter):
        return deletions.ids_by_removal_filter(session, chosen, NO_LABEL) if chosen.dataset_id == dataset_id else []
    return snapshots.present_ids(session, dataset_id, chosen)


def _class_figures(info: datasets.DatasetInfo, counts: LabelCounts, unlabelled: int) -> dict[str, Any]:
    classes = {name: counts.images.get(number, 0) for number, name in enumerate(info.classes)}
    return {"classes": classes | ({"": unlabelled} if unlabelled else {})}


def _mask_figures(_info: datasets.DatasetInfo, counts: LabelCounts, _unlabelled: int) -> dict[str, Any]:
    return {"masks": counts.labelled}


_LABEL_FIGURES = {Task.CLASSIFICATION: _class_figures, Task.SEGMENTATION: _mask_figures}  # of an import's report
