"""Storing of acts: one transaction each, stored once however often it arrives.

A browser numbers its acts (`ActKey`). An act that arrives again is answered from what its first arrival stored, also
when both arrive at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.services.annotators import clean_name
from app.services.reviews.answers import Saved, saved
from app.services.reviews.errors import NotFoundError, RefusedError
from app.services.workspace import Workspace
from core.types import Act, RoundStatus
from db.queries import annotators, decisions, reviews


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
        """Return this act, about to be stored; `rest` are more of its columns."""
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
    workspace: Workspace,
    by: str,
    key: ActKey | None,
    act: Callable[[Session, Actor], int | None],
    cards: Sequence[int] = (),
) -> Saved:
    """Run `act` in a transaction, unless it was stored under this key before, and return its answer.

    `act` returns the id of the changeset it stored, None for none; `cards` are the findings to answer with.
    """
    name = clean_name(by)

    def attempt() -> Saved:
        with workspace.database.write() as session:
            now = datetime.now(UTC)
            known = decisions.find_by_key(session, key.client, key.seq) if key else None
            actor = Actor(name, annotators.annotator_id(session, name, now), now, key)
            return saved(session, known or act(session, actor), cards, now)

    try:
        return attempt()
    except IntegrityError:  # the same act or annotator was stored a moment before: now it is found
        return attempt()


def finished_round(session: Session, round_id: int) -> reviews.ReviewedRound:
    """Return a round whose findings can be decided on.

    Raises:
        NotFoundError: there is none with this id.
        RefusedError: it is not finished.
    """
    found = reviews.find_round(session, round_id)
    if found is None:
        raise NotFoundError(f"there is no round {round_id}", "choose a round on the Rounds page")
    if found.status is not RoundStatus.DONE:  # its findings are still being written, and written anew after a kill
        raise RefusedError(f"round {found.number} is {found.status}", "decide on the findings of a finished round")
    return found
