"""Labelling from scratch: images without labels, ordered by similarity and labelled in the review grid.

A round for labelling suggests nothing. Its findings are the unlabelled images; verdicts on them are decisions like
others, so that the next round trains on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.rounds import jobs as rounds
from app.services.rounds.request import start_round
from core.config import packaged_probe
from core.data.masks.colours import class_table
from core.judge.class_acts import clean_class_name, find_class
from core.types import JobStatus, Recipe, RoundError, Task
from db.queries import datasets, rounds as round_rows, snapshots
from db.queries.rounds import RoundInfo

_SHOWN = 40  # characters of a name that is refused
_ENDED_EARLY = (JobStatus.CANCELLED, JobStatus.FAILED)
ENOUGH = 60  # labels that suffice for a first round


@dataclass(frozen=True, slots=True)
class LabellingState:
    """Progress of labelling a dataset by hand.

    `unlabelled` images have neither a given label nor a decision. `is_bare`: no image has any label or mask.
    """

    dataset_id: int
    dataset: str
    task: Task
    classes: list[str]
    unlabelled: int
    is_bare: bool
    newest: RoundInfo | None  # the newest round for labelling that is queued, running or done
    is_under_way: bool  # no other round was finished or is running since

    @property
    def in_grid(self) -> bool:
        """Return whether images get one class each, in the review grid."""
        return self.task in Recipe.LABELLING.tasks


def labelling_state(app_context: AppContext, dataset_id: int) -> LabellingState:
    """Return the progress of a dataset's labelling.

    Raises:
        RoundError: there is no such dataset.
    """
    with app_context.database.read() as session:
        name, classes = snapshots.dataset_of(session, dataset_id)
        listed = round_rows.list_rounds(session, dataset_id)
        return LabellingState(
            dataset_id,
            name,
            snapshots.task_of(session, dataset_id),
            classes,
            snapshots.count_unlabelled(session, dataset_id),
            _is_bare(session, dataset_id),
            _newest(listed),
            next((info.recipe for info in listed if info.status not in _ENDED_EARLY), None) is Recipe.LABELLING,
        )


def start_labelling(app_context: AppContext, dataset_id: int, by: str, classes: Sequence[str] = ()) -> RoundInfo:
    """Start the round for labelling a dataset's unlabelled images, and return it.

    A running round for labelling, or one that contains all of these images, is returned. `classes` names those
    of a dataset without classes.

    Raises:
        RoundError: the labels are masks, every image has a label, there is no class, or another round is running.
    """
    now = labelling_state(app_context, dataset_id)
    if not now.in_grid:
        raise RoundError(f"the labels of {now.dataset} are masks", "paint them on the Masks page or tag its images")
    if names := class_names(classes):
        _name_classes(app_context, now, names)
    elif not now.classes:
        raise RoundError(f"{now.dataset} has no classes yet", "name at least one")
    if now.newest is not None and (not now.newest.status.ended or _holds_all(app_context, now.newest)):
        return now.newest
    with app_context.database.read() as session:
        sizes = snapshots.image_sizes(session, dataset_id)
    config = packaged_probe(max(rounds.median_size(sizes)))
    return start_round(app_context, dataset_id, config, by, recipe=Recipe.LABELLING)


def use_masks(app_context: AppContext, dataset_id: int, classes: Sequence[str] = ()) -> None:
    """Make the labels of an unlabelled dataset masks, with its classes or the named ones.

    Raises:
        RoundError: it has labels or rounds already, or there is no class.
    """
    now = labelling_state(app_context, dataset_id)
    if not now.in_grid:
        return
    with app_context.database.write() as session:
        if not _is_bare(session, dataset_id) or round_rows.list_rounds(session, dataset_id):
            raise RoundError(
                f"{now.dataset} has labels or rounds of classes already",
                "import its images under another name for masks",
            )
        names = now.classes or class_names(classes)
        if not names:
            raise RoundError(f"{now.dataset} has no classes yet", "name at least one")
        colours = list(class_table(names).colours)
        values = {"task": Task.SEGMENTATION, "classes": names, "colours": colours}
        datasets.change_dataset(session, dataset_id, values)


def class_names(lines: Sequence[str]) -> list[str]:
    """Return class names without empty and repeated ones; the first spelling of a name is kept.

    Raises:
        RoundError: a name is too long or has control characters.
    """
    names: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        try:
            name = clean_class_name(line)
        except ValueError as error:
            raise RoundError(f"{line.strip()[:_SHOWN]!r}: {error}", "write another name") from None
        if find_class(names, name) is None:
            names.append(name)
    return names


def _is_bare(session: Session, dataset_id: int) -> bool:
    """Return whether no image has a given or decided label or mask."""
    return not snapshots.has_labels(session, dataset_id) and not snapshots.labels_were_added(session, dataset_id)


def _name_classes(app_context: AppContext, now: LabellingState, names: list[str]) -> None:
    with app_context.database.write() as session:
        known = datasets.get_dataset(session, now.dataset_id).classes
        if known and list(known) != names:
            raise RoundError(f"{now.dataset} has classes already: {', '.join(known)}", "add others while labelling")
        datasets.change_dataset(session, now.dataset_id, {"classes": names})


def _holds_all(app_context: AppContext, newest: RoundInfo) -> bool:
    """Return whether a round for labelling has a finding of every unlabelled image."""
    with app_context.database.read() as session:
        return not snapshots.count_unlabelled(session, newest.dataset_id, apart_from=newest.id)


def _newest(listed: Sequence[RoundInfo]) -> RoundInfo | None:
    usable = (info for info in listed if info.recipe is Recipe.LABELLING and info.status not in _ENDED_EARLY)
    return next(usable, None)
