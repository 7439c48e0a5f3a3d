"""Strokes that are taken back: an edit that returns a mask to what it was undoes the edits that led away from it.

Otherwise a region whose strokes were all taken back would stand as edited, and no later round would show it again.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from app.services.mask_versions import present_version
from app.services.painting_over import note_act
from app.services.reviews.storing import Actor
from app.services.workspace import Workspace
from core.types import Act, Decision, RegionDecision
from db.queries import decisions, projection
from db.queries.masks import MaskedSample


def edits_to_undo(
    workspace: Workspace, sample: MaskedSample, live: Sequence[RegionDecision], *, base: str, version: str, by: str
) -> list[Decision]:
    """Return a person's edits that led from `version` to `base`, newest first; none where others did so too.

    `live` are the decisions on the image that count, oldest first, and `base` is the mask they make.
    """
    found: list[Decision] = []
    present = base
    for decision in (one.decision for one in reversed(live)):
        if decision.mask_hash != present or decision.annotator != by:
            return []
        found.append(decision)
        present = decision.mask_base or ""
        if present == version:
            without = live[: len(live) - len(found)]
            return found if present_version(workspace, sample, without) == version else []
    return []


def undo_edits(
    workspace: Workspace, session: Session, actor: Actor, dataset_id: int, edits: Sequence[Decision]
) -> tuple[int, list[int]]:
    """Undo these edits, one at least, and return the number of the last act and the findings that may stand anew."""
    moved: list[int] = []
    changeset_id = 0
    for edit in edits:
        number = edit.changeset_id
        decisions.set_live(session, number, live=False)
        projection.project(session, decisions.findings_affected_by(Act.VERDICT, number))
        moved += note_act(workspace, session, number)
        moved += [] if edit.finding_id is None else [edit.finding_id]
        acting = actor if edit is edits[-1] else replace(actor, key=None)  # a browser's number names one act
        undone = acting.changeset(Act.UNDO, edit.round_id, dataset_id, size=1, target_id=number)
        changeset_id = decisions.add_changeset(session, undone)
    return changeset_id, moved
