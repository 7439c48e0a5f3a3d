"""What people decided of a dataset between two moments, counted."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.types import Act, Status, Verdict
from db.models import ChangesetRow, DecisionRow
from db.queries.decisions import OWN_ACTS


def verdicts_between(session: Session, dataset_id: int, since: datetime | None, until: datetime) -> dict[str, int]:
    """Return how many findings were last decided how, by the names of `Status`; what was undone does not count.

    Accepts of a bulk act are "bulk". An edit of an image's mask beside its findings counts once an image.
    """
    counted = [
        ChangesetRow.dataset_id == dataset_id,
        ChangesetRow.live.is_(True),
        ChangesetRow.act.in_(OWN_ACTS),
        ChangesetRow.decided_at <= until,
    ]
    if since is not None:
        counted.append(ChangesetRow.decided_at > since)
    newest = (
        select(func.max(DecisionRow.id))
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .where(*counted)
        .group_by(DecisionRow.sample_id, DecisionRow.finding_id)
    )
    query = (
        select(DecisionRow.verdict, ChangesetRow.act, func.count())
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .where(DecisionRow.id.in_(newest))
        .group_by(DecisionRow.verdict, ChangesetRow.act)
    )
    found: dict[str, int] = {}
    for verdict, act, count in session.execute(query):
        name = Status.BULK.name.lower() if act is Act.ACCEPT_ALL else Verdict(verdict).value
        found[name] = found.get(name, 0) + count
    return found
