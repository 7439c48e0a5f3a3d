"""Storage of acts: one transaction each, stored once however often an act arrives; their answers, and their refusals.

A browser numbers its acts (`ActKey`). Answers are built from stored rows, so an act that arrives again gets the answer
of its first arrival, even if both arrive at once. A refusal is a `ReviewError`, with its cure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.services.annotators import clean_name
from app.services.app_context import AppContext
from core.judge.class_acts import act_text
from core.types import Act, Finding, JobStatus, OutfoldError, Verdict
from db.agreeing_file import again_once_fetched
from db.queries import decisions, deletions, findings
from db.queries.decisions import DIFFERING, EDITED, TAKEN

_MOST_ITEMS = 500  # changed findings returned after an undo
_VERDICT_WORDS = {
    Verdict.ACCEPT: "accepted",
    Verdict.KEEP: "kept",
    Verdict.RELABEL: "relabelled",
    Verdict.AMBIGUOUS: "marked ambiguous",
    Verdict.EXCLUDE: "excluded",
    Verdict.SECOND_OPINION: "asked for a second opinion on",
}


class ReviewError(OutfoldError):
    """Invalid request."""


class NotFoundError(ReviewError):
    """There is no such round, finding or act."""


class DeletedError(NotFoundError):
    """The round or its dataset is deleted and can be restored; verdicts on it are stored afterwards.

    `images` are the names of the images in the request.
    """

    def __init__(self, what: str, by: str, days: int, images: Sequence[str] = ()) -> None:
        """Name the deleted object, who deleted it, and the days left to restore it."""
        left = f"{days} days" if days > 1 else "a day"
        super().__init__(f"{what} was deleted by {by}", f"restore it on the Datasets page within {left}")
        self.images = list(images)


class RefusedError(ReviewError):
    """A request that is invalid, or not allowed in the current state."""


class CountChangedError(ReviewError):
    """A bulk act would change a different number of findings than shown."""

    def __init__(self, expected: int, count: int) -> None:
        """Name both numbers."""
        super().__init__(f"{count} findings would change, not {expected}", "look at the new set and accept again")
        self.count = count


class StaleMaskError(ReviewError):
    """An edit started from a mask that is no longer the current one."""

    def __init__(self, version: str) -> None:
        """Name the current version."""
        super().__init__("this mask was changed meanwhile", "load it again; nothing of it was stored")
        self.version = version


@dataclass(frozen=True, slots=True)
class Undone:
    """The act that an undo or redo refers to, also in words: "accepted 214"."""

    changeset: int
    act: Act
    size: int
    text: str


@dataclass(frozen=True, slots=True)
class Saved:
    """Stored result of an act; `changeset` is None if there was nothing to undo or redo.

    `items` are the findings as they are now: the cards of a verdict, the first 500 an undo or redo moved, none after
    a bulk act. `known` is the known precision of a bulk act at its time.
    """

    changeset: int | None
    size: int
    saved_at: datetime
    items: list[Finding]
    undone: Undone | None = None
    known: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ActKey:
    """A browser's own number of an act."""

    client: str
    seq: int


@dataclass(frozen=True, slots=True)
class Actor:
    """Annotator, time and key of an act."""

    name: str
    annotator_id: int
    now: datetime
    key: ActKey | None

    def changeset(self, act: Act, round_id: int | None, dataset_id: int, **rest: Any) -> decisions.NewChangeset:  # noqa: ANN401
        """Return the changeset row of this act, about to be stored; `rest` are further columns."""
        return decisions.NewChangeset(
            dataset_id=dataset_id,
            round_id=round_id,
            annotator_id=self.annotator_id,
            act=act,
            decided_at=self.now,
            client_id=self.key.client if self.key else None,
            client_seq=self.key.seq if self.key else None,
            **{"note": {}, **rest},
        )


def store_once(
    app_context: AppContext,
    by: str,
    key: ActKey | None,
    act: Callable[[Session, Actor], int | None],
    cards: Sequence[int] = (),
) -> Saved:
    """Run `act` in a transaction, unless it was stored under this key before, and return its answer.

    `act` returns the id of the changeset it stored, None for none; `cards` are the findings to answer with.
    """
    name = clean_name(by)

    @again_once_fetched
    def attempt() -> Saved:
        with app_context.database.write() as session:
            now = datetime.now(UTC)
            known = decisions.find_by_key(session, key.client, key.seq) if key else None
            actor = Actor(name, decisions.annotator_id(session, name, now), now, key)
            return _build_answer(session, known or act(session, actor), cards, now)

    try:
        return attempt()
    except IntegrityError:  # the same act or annotator was stored a moment ago: now it is found
        return attempt()


def answer(app_context: AppContext, changeset_id: int) -> Saved:
    """Return the answer to a stored act on no cards."""
    with app_context.database.read() as session:
        return _build_answer(session, changeset_id, (), datetime.now(UTC))


def refuse_without_suggestions(in_round: findings.ReviewedRound) -> None:
    """Refuse an act that needs suggestions in a round without any.

    Raises:
        RefusedError: it is a round for labelling by hand.
    """
    if not in_round.recipe.suggests:
        raise RefusedError(f"round {in_round.number} suggests no labels", "label images, then start a round on them")


def refuse_deleted(session: Session, round_id: int, images: Sequence[str] = ()) -> None:
    """Raise `DeletedError` if a round is deleted, itself or with its dataset, and can be restored."""
    _refuse_while(deletions.find_round_deletion(session, round_id), images)


def refuse_deleted_dataset(session: Session, dataset_id: int, images: Sequence[str] = ()) -> None:
    """Raise `DeletedError` if a dataset is deleted and can be restored."""
    _refuse_while(deletions.find_dataset_deletion(session, dataset_id), images)


def refuse_deleted_image(session: Session, sample_id: int) -> None:
    """Raise `DeletedError` if the dataset of an image is deleted and can be restored."""
    found = deletions.find_image_deletion(session, sample_id)
    if found is not None:
        deletion, name = found
        _refuse_while(deletion, [name])


def finished_round(session: Session, round_id: int, cards: Sequence[Finding] = ()) -> findings.ReviewedRound:
    """Return a round whose findings, including these `cards`, can be decided on.

    Raises:
        DeletedError: it can be restored.
        NotFoundError: there is none with this id.
        RefusedError: it is not finished.
    """
    found = findings.find_round(session, round_id)
    if found is None:
        refuse_deleted(session, round_id, [card.name for card in cards])
        raise NotFoundError(f"there is no round {round_id}", "choose a round on the Rounds page")
    if found.status is not JobStatus.DONE:  # its findings are still being written, or rewritten after a kill
        raise RefusedError(f"round {found.number} is {found.status}", "decide on the findings of a finished round")
    return found


def _build_answer(session: Session, changeset_id: int | None, cards: Sequence[int], now: datetime) -> Saved:
    """Return the answer to an act on these cards, stored as `changeset_id`."""
    stored = decisions.find_changeset(session, changeset_id) if changeset_id else None
    if stored is None:
        return Saved(None, 0, now, [])
    target = decisions.find_changeset(session, stored.target_id) if stored.target_id else None
    if target is None and stored.act in (Act.UNDO, Act.REDO):
        return Saved(None, 0, stored.decided_at, [])
    if target is None:
        items = findings.findings_by_ids(session, cards)
        return Saved(stored.id, stored.size, stored.decided_at, items, known=stored.note.get("known"))
    moved = decisions.some_affected_by(session, target, _MOST_ITEMS)
    undone = Undone(target.id, target.act, target.size, _in_words(session, target))
    return Saved(stored.id, stored.size, stored.decided_at, findings.findings_by_ids(session, moved), undone)


def _in_words(session: Session, act: decisions.Changeset) -> str:
    if act.act is Act.CLASSES:
        return act_text(act.note)
    if act.act is Act.NOTE:
        return "wrote a note"
    if act.note.get(TAKEN):
        return f"took {act.size:,} masks corrected elsewhere"
    if act.note.get(EDITED):
        return "edited a mask"
    if act.note.get(DIFFERING):
        return f"asked for a second opinion on {act.size:,} whose annotators disagree"
    verdicts = decisions.verdicts_in(session, act.id) if act.act is Act.VERDICT else [Verdict.ACCEPT]
    return f"{_VERDICT_WORDS[verdicts[0]]} {act.size:,}" if len(verdicts) == 1 else f"{act.size:,} verdicts"


def _refuse_while(deletion: deletions.Deletion | None, images: Sequence[str]) -> None:
    if deletion is not None:
        raise DeletedError(deletion.name, deletion.deleted_by, deletions.days_left(deletion), images)
