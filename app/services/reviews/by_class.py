"""Bulk acceptance of suggestions for unlabelled images from each class's own threshold on, as the round measured it."""

from dataclasses import replace

from app.services.reviews.errors import NotFoundError, RefusedError
from app.services.workspace import Workspace
from core.types import FindingFilter, FindingKind
from db.queries import reviews as review_queries


def by_class(workspace: Workspace, chosen: FindingFilter) -> FindingFilter:
    """Return the filter with the threshold of each suggested class beside its own bounds.

    Raises:
        NotFoundError: there is no such round.
        RefusedError: it measured no thresholds, or the filter holds labelled images, of which they say nothing.
    """
    if chosen.kinds != frozenset({FindingKind.UNLABELLED}):
        raise RefusedError(
            "thresholds by class are for unlabelled images only", "show unlabelled ones only, or choose one threshold"
        )
    with workspace.database.read() as session:
        found = review_queries.find_round(session, chosen.round_id)
    if found is None:
        raise NotFoundError(f"there is no round {chosen.round_id}", "choose a round on the Rounds page")
    measured = (found.metrics or {}).get("class_thresholds", [])
    if len(measured) != len(found.classes):
        raise RefusedError("this round has no thresholds by class", "choose one threshold, or run another round")
    return replace(chosen, class_percents=tuple(one["percent"] for one in measured))
