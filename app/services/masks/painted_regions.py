"""Regions painted over whole by edits of their image: noted when an edit is made, undone or redone.

A bulk act never paints what a person's edit painted. So such a region is neither open nor accepted in bulk: nothing is
left of it to accept, and no count includes it.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.masks.history import Edit, MaskHistory, load_history
from core.data.masks.store import MaskStore
from core.judge.masks import is_painted
from core.types import IntArray, Region
from db.queries import masks, rounds
from db.queries.masks import Box

_ROWS = 256  # compared at once


def note_edit(session: Session, history: MaskHistory, edit: Edit) -> list[int]:
    """Note which regions are painted over after an edit was made, undone or redone; return those where that changed.

    The history is the present one.
    """
    return _note(session, history, _changed_box(history, edit))


def painted_after(session: Session, history: MaskHistory, edit: Edit) -> dict[int, bool]:
    """Return what `note_edit` would note, without noting it."""
    return _moved(session, history, _changed_box(history, edit))


def note_act(app_context: AppContext, session: Session, changeset_id: int) -> list[int]:
    """Note the same after an act was undone or redone; most acts have no edits."""
    moved: list[int] = []
    for sample_id, *edit in masks.edits_in(session, changeset_id):
        history = _find_history(app_context, session, sample_id)
        if history is not None:
            moved += note_edit(session, history, (edit[0], edit[1]))
    return moved


def note_round(app_context: AppContext, session: Session, round_id: int) -> None:
    """Note the same for the findings of a round that is about to be shown: people may have painted while it ran."""
    info = rounds.get_round(session, round_id)
    for sample_id in masks.edited_since(session, info.dataset_id, info.started_at or info.created_at):
        _note_image(app_context, session, sample_id)


def note_samples(app_context: AppContext, session: Session, sample_ids: Iterable[int]) -> None:
    """Note the same for all of these images that were edited: edits may have been undone while they were removed."""
    for sample_id in sample_ids:
        _note_image(app_context, session, sample_id)


def _differing_box(one: IntArray, other: IntArray) -> Box | None:
    """Return the smallest box around the pixels in which two masks, (H, W), differ; None where they are equal.

    Compared a few rows at a time: two states of a large mask are equal nearly everywhere.
    """
    left, top, right, bottom = one.shape[1], one.shape[0], 0, 0
    for first in range(0, one.shape[0], _ROWS):
        some, others = one[first : first + _ROWS], other[first : first + _ROWS]
        if np.array_equal(some, others):
            continue
        changed = some != others
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        left, right = min(left, int(columns[0])), max(right, int(columns[-1]) + 1)
        top, bottom = min(top, first + int(rows[0])), first + int(rows[-1]) + 1
    return None if bottom == 0 else (left, top, right - left, bottom - top)


def _find_history(app_context: AppContext, session: Session, sample_id: int) -> MaskHistory | None:
    sample = masks.find_sample(session, sample_id)
    return None if sample is None else load_history(session, MaskStore(app_context.masks), sample)


def _changed_box(history: MaskHistory, edit: Edit) -> Box | None:
    return _differing_box(*map(history.read, edit))


def _note_image(app_context: AppContext, session: Session, sample_id: int) -> None:
    """Note the regions of a whole image."""
    history = _find_history(app_context, session, sample_id)
    if history is not None:
        _note(session, history, (0, 0, history.sample.width, history.sample.height))


def _note(session: Session, history: MaskHistory, box: Box | None) -> list[int]:
    moved = _moved(session, history, box)
    masks.note_painted(session, moved)
    return list(moved)


def _moved(session: Session, history: MaskHistory, box: Box | None) -> dict[int, bool]:
    """Return the regions within a box that are painted over now and were not, or the other way round."""
    regions = {} if box is None else masks.regions_within(session, history.sample.id, box)
    if not regions:
        return {}
    rows, columns = window = _window_around([region for region, _ in regions.values()])
    edited = history.edited_pixels(window)
    moved = {}
    for finding, (region, painted) in regions.items():
        now = is_painted(region.shift(-columns.start, -rows.start), edited)
        if now is not painted:
            moved[finding] = now
    return moved


def _window_around(regions: Sequence[Region]) -> tuple[slice, slice]:
    """Return the rows and columns that hold these regions, one at least."""
    boxes = np.array([one.box for one in regions])
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = (boxes[:, :2] + boxes[:, 2:]).max(axis=0).tolist()
    return slice(top, bottom), slice(left, right)
