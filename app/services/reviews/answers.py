"""Answers to acts, built from stored rows, so that a retry gets the same answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from core.types import Act, Finding, Verdict
from db.queries import decisions, findings

MOST_ITEMS = 500  # changed findings told after an undo
EDITED = "edited"  # in the note of an act that stored whole masks: the image's name, or how many
TAKEN = "taken"  # in the note of an act that took masks from a source: the import
DIFFERING = "annotators_differ"  # in the note of an act on findings whose image has several labels in its source
WORDS = {
    Verdict.ACCEPT: "accepted",
    Verdict.KEEP: "kept",
    Verdict.RELABEL: "relabelled",
    Verdict.AMBIGUOUS: "marked ambiguous",
    Verdict.EXCLUDE: "excluded",
    Verdict.SECOND_OPINION: "asked for a second opinion on",
}


@dataclass(frozen=True, slots=True)
class Undone:
    """The act that an undo or redo was about, in words too: "accepted 214"."""

    changeset: int
    act: Act
    size: int
    text: str


@dataclass(frozen=True, slots=True)
class Saved:
    """Stored result of an act; `changeset` is None when there was nothing to undo or redo.

    `items` are the findings as they are now: the cards of a verdict, the first 500 an undo or redo moved, none after
    a bulk act. `known` is what was known of a bulk act's precision when it was made.
    """

    changeset: int | None
    size: int
    saved_at: datetime
    items: list[Finding]
    undone: Undone | None = None
    known: dict[str, Any] | None = None


def saved(session: Session, changeset_id: int | None, cards: Sequence[int], now: datetime) -> Saved:
    """Return the answer to an act that was stored as `changeset_id`, made on these cards."""
    stored = decisions.find_changeset(session, changeset_id) if changeset_id else None
    if stored is None:
        return Saved(None, 0, now, [])
    target = decisions.find_changeset(session, stored.target_id) if stored.target_id else None
    if target is None and stored.act in (Act.UNDO, Act.REDO):
        return Saved(None, 0, stored.decided_at, [])
    if target is None:
        items = findings.findings_by_ids(session, cards)
        return Saved(stored.id, stored.size, stored.decided_at, items, known=stored.note.get("known"))
    moved = decisions.some_affected_by(session, target, MOST_ITEMS)
    undone = Undone(target.id, target.act, target.size, _in_words(session, target))
    return Saved(stored.id, stored.size, stored.decided_at, findings.findings_by_ids(session, moved), undone)


def _in_words(session: Session, act: decisions.Changeset) -> str:
    if act.note.get(TAKEN):
        return f"took {act.size:,} masks mended elsewhere"
    if act.note.get(EDITED):
        return "edited a mask"
    if act.note.get(DIFFERING):
        return f"asked for a second opinion on {act.size:,} whose annotators disagree"
    verdicts = decisions.verdicts_in(session, act.id) if act.act is Act.VERDICT else [Verdict.ACCEPT]
    if len(verdicts) == 1:
        return f"{WORDS[verdicts[0]]} {act.size:,}"
    return f"{act.size:,} verdicts"
