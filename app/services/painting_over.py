"""Regions that edits of their image painted over, every pixel of them: noted when an edit is made, undone or redone.

A bulk act never paints what a person's edit did. So such a region is neither open nor accepted in bulk: nothing is left
of it to accept, and no count says that there is.
"""

from collections.abc import Sequence

import numpy as np
from sqlalchemy.orm import Session

from app.services.mask_versions import given_mask, reader
from app.services.workspace import Workspace
from core.judge.masks import edited_pixels, is_painted
from core.types import IntArray, RegionDecision
from db.queries import masks, rounds
from db.queries.masks import Box, MaskedSample


def note_edit(
    workspace: Workspace, session: Session, sample: MaskedSample, edit: tuple[str, str], live: Sequence[RegionDecision]
) -> list[int]:
    """Note which regions are painted over after an edit (from one mask to another) was made, undone or redone.

    `live` are the decisions on the image that count now; returned are the regions of which it is not as it was.
    """
    before, after = map(reader(workspace, sample), edit)
    return _note(workspace, session, sample, live, box_of(before != after))


def painted_by(
    workspace: Workspace, session: Session, sample: MaskedSample, edit: tuple[str, str], live: Sequence[RegionDecision]
) -> dict[int, bool]:
    """Return what `note_edit` would note, without noting it."""
    before, after = map(reader(workspace, sample), edit)
    return _moved(workspace, session, sample, live, box_of(before != after))


def note_act(workspace: Workspace, session: Session, changeset_id: int) -> list[int]:
    """Note the same after an act was undone or redone; most acts have no edits."""
    moved: list[int] = []
    for sample_id, *edit in masks.edits_in(session, changeset_id):
        sample = masks.find_sample(session, sample_id)
        if sample is not None:
            live = masks.live_region_decisions(session, sample_id)
            moved += note_edit(workspace, session, sample, (edit[0], edit[1]), live)
    return moved


def note_round(workspace: Workspace, session: Session, round_id: int) -> None:
    """Note the same for the findings of a round that is about to be shown: people may have painted while it ran."""
    info = rounds.get_round(session, round_id)
    for sample_id in masks.edited_since(session, info.dataset_id, info.started_at or info.created_at):
        sample = masks.find_sample(session, sample_id)
        if sample is not None:
            live = masks.live_region_decisions(session, sample_id)
            _note(workspace, session, sample, live, (0, 0, sample.width, sample.height))


def box_of(changed: IntArray) -> Box | None:
    """Return the smallest box around what is nonzero, None where nothing is."""
    rows = np.flatnonzero(changed.any(axis=1))
    if not len(rows):
        return None
    top, bottom = int(rows[0]), int(rows[-1])
    columns = np.flatnonzero(changed[top : bottom + 1].any(axis=0))
    return int(columns[0]), top, int(columns[-1] - columns[0]) + 1, bottom - top + 1


def _note(
    workspace: Workspace, session: Session, sample: MaskedSample, live: Sequence[RegionDecision], box: Box | None
) -> list[int]:
    moved = _moved(workspace, session, sample, live, box)
    masks.note_painted(session, moved)
    return list(moved)


def _moved(
    workspace: Workspace, session: Session, sample: MaskedSample, live: Sequence[RegionDecision], box: Box | None
) -> dict[int, bool]:
    regions = [] if box is None else masks.regions_within(session, sample.id, box)
    if not regions:
        return {}
    edited = edited_pixels(given_mask(workspace, sample), live, reader(workspace, sample))
    now = {one.id: is_painted(one.region, edited) for one in regions}
    return {one.id: now[one.id] for one in regions if now[one.id] is not one.painted}
