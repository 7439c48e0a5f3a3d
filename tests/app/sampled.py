"""Random samples that were judged: for tests of what pages, commands and exports state afterwards."""

from app.services import reviews
from app.services.app_context import AppContext
from app.services.reviews import AuditView, Choice
from app.services.rounds import insight
from core.types import FindingFilter, FindingKind, Verdict
from db.queries import audits as queries


def order_of(app_context: AppContext, seen: AuditView) -> list[int]:
    """Return the findings of a sample in its order."""
    with app_context.database.read() as session:
        return queries.finding_ids(session, seen.audit.id).tolist()


def sample(
    app_context: AppContext, round_id: int, kind: FindingKind, count: int = 40, verdict: Verdict = Verdict.ACCEPT
) -> AuditView:
    """Judge the first cards of the sample of all findings of a kind."""
    seen = insight.start_sample(app_context, round_id, kind, by="Ada")
    for one in order_of(app_context, seen)[:count]:
        reviews.decide(app_context, [Choice(one, verdict)], by="Ada")
    return seen


def sample_both(app_context: AppContext, round_id: int) -> None:
    """Judge a sample of the suspicious findings, all of them right, and one of the agreeing ones, none wrong."""
    for kind in (FindingKind.SUSPICIOUS, FindingKind.AGREEING):
        sample(app_context, round_id, kind)


def suspicious_from(round_id: int, least: float = 0.0) -> FindingFilter:
    """Return a round's suspicious findings from a confidence on."""
    return FindingFilter(round_id=round_id, min_confidence=least)
