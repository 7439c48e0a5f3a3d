"""Evaluation splits for a dataset that was imported without splits."""

from sqlalchemy import update

from app.services.app_context import AppContext
from app.services.evaluation import splits as evaluation
from core.types import Finding, FindingFilter, FindingKind, Order, Status
from db.models import FindingRow, SampleRow
from db.queries import findings
from db.queries.projection import count_again


def deal_splits(app_context: AppContext, round_id: int = 1, every: int = 4) -> None:
    """Put every fourth sample of dataset 1 into `test`, the others into `train`, also in a round's findings."""
    with app_context.database.write() as session:
        for row, split in ((SampleRow, "train"), (FindingRow, "train")):
            session.execute(update(row).values(split=split))
        session.execute(update(SampleRow).where(SampleRow.id % every == 0).values(split="test"))
        session.execute(update(FindingRow).where(FindingRow.sample_id % every == 0).values(split="test"))
        count_again(session, round_id)


def protect(app_context: AppContext, dataset_id: int = 1) -> None:
    """Deal the splits and protect `test`."""
    deal_splits(app_context)
    evaluation.protect(app_context, dataset_id, "test")


def everything(round_id: int = 1) -> FindingFilter:
    """Return a filter of all findings of a round."""
    return FindingFilter(round_id=round_id, kinds=frozenset(FindingKind), statuses=frozenset(Status))


def shown(app_context: AppContext, chosen: FindingFilter) -> list[Finding]:
    """Return everything a filter holds."""
    with app_context.database.read() as session:
        return findings.findings_page(session, chosen, Order.SUSPICION, None, 500)
