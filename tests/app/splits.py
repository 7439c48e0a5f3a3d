"""Splits for a dataset that was imported without: what tests of evaluation splits start from."""

from sqlalchemy import update

from app.services import evaluation
from app.services.workspace import Workspace
from core.types import Finding, FindingFilter, FindingKind, Order, Status
from db.models import FindingRow, SampleRow
from db.queries import queue
from db.queries.projection import count_again


def deal_splits(workspace: Workspace, round_id: int = 1, every: int = 4) -> None:
    """Put every fourth sample of dataset 1 into `test`, the others into `train`, also in a round's findings."""
    with workspace.database.write() as session:
        for row, split in ((SampleRow, "train"), (FindingRow, "train")):
            session.execute(update(row).values(split=split))
        session.execute(update(SampleRow).where(SampleRow.id % every == 0).values(split="test"))
        session.execute(update(FindingRow).where(FindingRow.sample_id % every == 0).values(split="test"))
        count_again(session, round_id)


def protect(workspace: Workspace, dataset_id: int = 1) -> None:
    """Deal the splits and protect `test`."""
    deal_splits(workspace)
    evaluation.protect(workspace, dataset_id, "test")


def everything(round_id: int = 1) -> FindingFilter:
    """Return a filter of all findings of a round."""
    return FindingFilter(round_id=round_id, kinds=frozenset(FindingKind), statuses=frozenset(Status))


def shown(workspace: Workspace, chosen: FindingFilter) -> list[Finding]:
    """Return everything a filter holds."""
    with workspace.database.read() as session:
        return queue.findings_page(session, chosen, Order.SUSPICION, None, 500)
