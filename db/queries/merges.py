"""Merged classes: the map that follows from a dataset's acts, applied to stored labels as they are read.

Given labels, verdicts and tags are never rewritten: queries return them as the classes that they mean at present.
What rounds found is moved along (`db.queries.projection.move_findings`), since filters and indexes need it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import SQLColumnExpression, case, select
from sqlalchemy.orm import Session

from db.models import DatasetRow, RoundRow, SampleRow

Merges = Mapping[int, int]  # from a merged class to the one it went into, chains resolved


def read_merges(stored: Sequence[Sequence[int]]) -> dict[int, int]:
    """Return merges from the pairs that a dataset's row holds."""
    return {pair[0]: pair[1] for pair in stored}


def merges_of(session: Session, dataset_id: int) -> dict[int, int]:
    """Return the merged classes of a dataset."""
    return read_merges(session.scalar(select(DatasetRow.merged_classes).where(DatasetRow.id == dataset_id)) or [])


def merges_of_round(session: Session, round_id: int) -> dict[int, int]:
    """Return the merged classes of a round's dataset."""
    of_round = select(DatasetRow.merged_classes).join(RoundRow, RoundRow.dataset_id == DatasetRow.id)
    return read_merges(session.scalar(of_round.where(RoundRow.id == round_id)) or [])


def merges_of_sample(session: Session, sample_id: int) -> dict[int, int]:
    """Return the merged classes of an image's dataset."""
    of_sample = select(DatasetRow.merged_classes).join(SampleRow, SampleRow.dataset_id == DatasetRow.id)
    return read_merges(session.scalar(of_sample.where(SampleRow.id == sample_id)) or [])


def present(label: SQLColumnExpression[Any], merges: Merges) -> SQLColumnExpression[Any]:
    """Return a column of class ids as the classes that they mean now."""
    return case(dict(merges), value=label, else_=label) if merges else label
