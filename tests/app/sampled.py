"""Random samples that were judged: for tests of what pages, commands and exports state afterwards."""

from app.services import insight, reviews
from app.services.reviews import AuditView, Choice
from app.services.workspace import Workspace
from core.types import FindingFilter, FindingKind, Verdict
from db.queries import audits as queries


def order_of(workspace: Workspace, seen: AuditView) -> list[int]:
    """Return the findings of a sample in its order."""
    with workspace.database.read() as session:
        return queries.finding_ids(session, seen.audit.id).tolist()


def sample(
    workspace: Workspace, round_id: int, kind: FindingKind, count: int = 40, verdict: Verdict = Verdict.ACCEPT
) -> AuditView:
    """Judge the first cards of the sample of all findings of a kind."""
    seen = insight.start_sample(workspace, round_id, kind, by="Ada")
    for one in order_of(workspace, seen)[:count]:
        reviews.decide(workspace, [Choice(one, verdict)], by="Ada")
    return seen


def sample_both(workspace: Workspace, round_id: int) -> None:
    """Judge a sample of the suspicious findings, all of them right, and one of the agreeing ones, none wrong."""
    for kind in (FindingKind.SUSPICIOUS, FindingKind.AGREEING):
        sample(workspace, round_id, kind)


def everything(round_id: int, least: float = 0.0) -> FindingFilter:
    """Return a round's suspicious findings from a confidence on."""
    return FindingFilter(round_id=round_id, min_confidence=least)
