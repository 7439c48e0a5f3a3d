"""A large bulk act in parts: one act whose decisions are stored in several transactions, with verdicts in between.

The first transaction stores the act with its filter and known precision, and marks it as unfinished. Each further
one accepts the open findings of the next ranks, updates counts and size, and records the progress of the act, so that
at each moment the act has exactly its valid decisions. A verdict stored earlier therefore wins. The last one removes
the mark. Undo removes it, too, and reverts everything accepted so far.

The process that began the act stores its parts, under a lock per act. An act whose process died is finished by the
same request sent again, or by the next start of the web app.
"""

import logging
from collections.abc import Callable
from threading import Thread
from typing import Any

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.jobs import is_job_running, job_lock
from app.services.people import log_act
from app.services.reviews.evidence import filter_of
from app.services.reviews.store import Saved, answer
from core.types import LoggedAct, OutfoldError
from db.agreeing_file import again_once_fetched
from db.queries import decisions, projection
from db.queries.decisions import UNFINISHED, Changeset

log = logging.getLogger("outfold.reviews")
PART = 100_000  # findings of one transaction; smaller ones write the same pages of the index on samples again
_LOCK = "bulk"
Report = Callable[[int, int], None]  # accepted so far, of how many


def begin(session: Session, changeset_id: int, size: int, details: dict[str, Any]) -> None:
    """Mark an act stored without decisions as unfinished, with about `size` findings to follow in parts.

    `details` are those of its entry in the audit log.
    """
    act = _stored(session, changeset_id)
    note = act.note | {UNFINISHED: {"after": -1, "size": size, "details": details}}
    decisions.change_bulk_act(session, changeset_id, size=0, live=True, note=note)


def finish(app_context: AppContext, saved: Saved, report: Report) -> Saved:
    """Store the parts of a bulk act that are missing, and return its answer; an act in one transaction has none.

    Raises:
        StorageError: the database cannot be used; the act goes on when it is sent again.
    """
    if saved.changeset is None or not _is_unfinished(app_context, saved.changeset):
        return saved
    with job_lock(app_context, _LOCK, saved.changeset):
        _store_parts(app_context, saved.changeset, report)
    return answer(app_context, saved.changeset)


def finish_all(app_context: AppContext) -> None:
    """Finish the bulk acts of dead processes; a fault is logged and leaves the rest to the next start."""
    try:
        with app_context.database.read() as session:
            left = decisions.unfinished_bulk_acts(session)
        for act in left:
            if not is_job_running(app_context, _LOCK, act.id):
                with job_lock(app_context, _LOCK, act.id):
                    _store_parts(app_context, act.id, lambda _done, _size: None)
                log.info("act %d of %s, left unfinished, was finished", act.id, act.annotator)
    except OutfoldError as error:
        log.warning("unfinished acts are left to the next start: %s", error)


def finish_behind(app_context: AppContext) -> Thread:
    """Begin `finish_all` in a thread that does not keep the process alive, and return it."""
    thread = Thread(target=finish_all, args=(app_context,), name="unfinished acts", daemon=True)
    thread.start()
    return thread


def size_to_reach(act: Changeset) -> int | None:
    """Return the final number of findings of a bulk act, None if all its parts are stored."""
    mark: dict[str, Any] | None = act.note.get(UNFINISHED)
    return None if mark is None else int(mark["size"])


def stop(session: Session, act: Changeset) -> None:
    """Stop further parts of an act that is about to be undone."""
    if UNFINISHED in act.note:
        _end(session, act)


def unfinished_text(session: Session, dataset_id: int) -> str:
    """Return a text on unfinished bulk acts of a dataset, "" if there are none."""
    left = decisions.unfinished_bulk_acts(session, dataset_id=dataset_id)
    return f"{left[0].annotator} is accepting {left[0].note[UNFINISHED]['size']:,} labels" if left else ""


def _store_parts(app_context: AppContext, changeset_id: int, report: Report) -> None:
    with app_context.database.read() as session:
        act = _stored(session, changeset_id)
        if UNFINISHED not in act.note:
            return
        ranks = decisions.ranks_of(session, filter_of(act.note["filter"]), act.note[UNFINISHED]["after"])
    size: int = act.note[UNFINISHED]["size"]
    for start in range(0, len(ranks), PART):
        done = _store_part(app_context, changeset_id, int(ranks[min(start + PART, len(ranks)) - 1]))
        if done is None:
            return
        report(done, size)
    with app_context.database.write() as session:
        act = _stored(session, changeset_id)
        if UNFINISHED in act.note:
            _end(session, act)


@again_once_fetched
def _store_part(app_context: AppContext, changeset_id: int, last: int) -> int | None:
    """Accept open findings up to the rank `last`; return the act's size then, None if it was undone meanwhile."""
    with app_context.database.write() as session:
        act = _stored(session, changeset_id)
        if UNFINISHED not in act.note:
            return None
        mark = act.note[UNFINISHED]
        before = decisions.newest_decision(session)
        chosen = filter_of(act.note["filter"])
        size = act.size + decisions.add_bulk_decisions(session, act.id, chosen, (mark["after"] + 1, last))
        projection.project_part(session, act.id, before)
        note = act.note | {UNFINISHED: mark | {"after": last}}
        decisions.change_bulk_act(session, act.id, size=size, live=True, note=note)
        return size


def _end(session: Session, act: Changeset) -> None:
    """Remove the mark, and record the act with its size in the audit log."""
    note = {name: value for name, value in act.note.items() if name != UNFINISHED}
    decisions.change_bulk_act(session, act.id, size=act.size, live=act.size > 0, note=note)
    details = dict(act.note[UNFINISHED]["details"])
    log_act(session, LoggedAct.BULK_ACT, act.annotator, details.pop("dataset"), details | {"findings": act.size})


def _is_unfinished(app_context: AppContext, changeset_id: int) -> bool:
    with app_context.database.read() as session:
        return UNFINISHED in _stored(session, changeset_id).note


def _stored(session: Session, changeset_id: int) -> Changeset:
    found = decisions.find_changeset(session, changeset_id)
    if found is None:
        raise RuntimeError(f"there is no act {changeset_id}")
    return found
