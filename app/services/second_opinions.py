"""Second opinions on images whose annotators differ, as their source says, at the end of a round.

Findings of a round on such images that are open go into second opinion, as one act that undo takes back. It carries the
name of the person who imported the dataset, or where none is known, of the one who started the round. An image is put
into second opinion once: after an undo, and in later rounds, it stays as people left it.
"""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from app.services.reviews.answers import DIFFERING
from core.types import Act
from db.queries import annotators, datasets, decisions, projection
from db.queries.rounds import RoundInfo


def ask_second_opinions(session: Session, info: RoundInfo) -> int:
    """Store the act of a round whose findings are written, in the transaction that ends it; return its size."""
    size = decisions.differing_count(session, info.id)
    if not size:
        return 0
    now = datetime.now(UTC)
    name = datasets.get_dataset(session, info.dataset_id).options.get("by") or info.created_by
    act = decisions.NewChangeset(
        dataset_id=info.dataset_id,
        round_id=info.id,
        annotator_id=annotators.annotator_id(session, name, now),
        act=Act.VERDICT,
        decided_at=now,
        size=size,
        note={DIFFERING: True},
    )
    changeset_id = decisions.add_changeset(session, act)
    decisions.add_second_opinions(session, changeset_id, info.id)
    projection.project(session, decisions.findings_affected_by(Act.VERDICT, changeset_id))
    return size
