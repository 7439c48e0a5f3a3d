"""Masks of samples: the given one, the regions that rounds found in them, and what people said of these."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, aliased

from core.types import Decision, FindingKind, Region, RegionDecision, Status
from db.models import ChangesetRow, DatasetRow, DecisionRow, FindingRow, SampleRow
from db.queries.decisions import decisions_with_people

_CHUNK = 500  # decisions fetched at once; each brings its region


@dataclass(frozen=True, slots=True)
class MaskedSample:
    """An image of a dataset whose labels are masks; `mask_hash` is the given one, None where it has none."""

    id: int
    dataset_id: int
    name: str
    content_hash: str
    width: int
    height: int
    mask_hash: str | None
    classes: list[str]
    colours: list[str]


@dataclass(frozen=True, slots=True)
class FoundRegion:
    """One finding of a round in one image."""

    id: int
    given: int
    pseudo: int
    confidence: float
    x: int
    y: int
    width: int
    height: int
    area: int
    status: Status
    region: Region


def find_sample(session: Session, sample_id: int) -> MaskedSample | None:
    """Return one image, None when there is none with this id whose labels are masks."""
    found = session.execute(_samples().where(SampleRow.id == sample_id)).one_or_none()
    return None if found is None else MaskedSample(*found)


def samples_by_id(session: Session, dataset_id: int) -> dict[int, MaskedSample]:
    """Return the images of a dataset that somebody has decided on."""
    decided = SampleRow.id.in_(select(DecisionRow.sample_id))
    found = session.execute(_samples().where(SampleRow.dataset_id == dataset_id, decided))
    return {row[0]: MaskedSample(*row) for row in found}


def region_of(session: Session, finding_id: int) -> Region | None:
    """Return the pixels of a finding, None where it is of a whole image or there is none."""
    data = session.scalar(select(FindingRow.region).where(FindingRow.id == finding_id))
    return None if data is None else Region.from_bytes(data)


def regions_of(session: Session, round_id: int, sample_id: int) -> list[FoundRegion]:
    """Return what a round found in one image, the most suspicious first."""
    found = FindingRow
    columns = select(
        found.id, found.given, found.pseudo, found.confidence, found.x, found.y, found.width, found.height, found.area,
        found.status, found.region,
    )  # fmt: skip
    here = (found.sample_id == sample_id, found.round_id + 0 == round_id, found.region.is_not(None))
    rows = session.execute(columns.where(*here).order_by(found.rank)).all()
    return [_found(row) for row in rows]


def beside(session: Session, round_id: int, sample_id: int) -> tuple[int | None, int | None]:
    """Return the images before and after this one by their most suspicious region; None at an end."""
    here = (FindingRow.sample_id == sample_id, FindingRow.round_id + 0 == round_id)
    own = session.scalar(select(func.min(FindingRow.rank)).where(*here))
    if own is None:
        return None, None
    return _first(session, round_id, FindingRow.rank < own, FindingRow.rank.desc()), _first(
        session, round_id, FindingRow.rank > own, FindingRow.rank.asc()
    )


def first_image(session: Session, round_id: int) -> int | None:
    """Return the image with a round's most suspicious region, None where the round found no regions."""
    here = (FindingRow.round_id == round_id, FindingRow.region.is_not(None))
    return session.scalar(select(FindingRow.sample_id).where(*here).order_by(FindingRow.rank).limit(1))


def live_region_decisions(session: Session, sample_id: int) -> list[RegionDecision]:
    """Return every decision on regions of an image that still counts, oldest first."""
    rows = session.execute(_region_decisions().where(DecisionRow.sample_id == sample_id).order_by(DecisionRow.id))
    return [_region_decision(row) for row in rows]


def region_decisions_by_sample(session: Session, dataset_id: int) -> Iterator[tuple[int, list[RegionDecision]]]:
    """Yield (sample id, decisions that still count) of every image that has some, by id."""
    chosen = _region_decisions().where(ChangesetRow.dataset_id == dataset_id)
    ordered = chosen.order_by(DecisionRow.sample_id, DecisionRow.id)
    rows = session.execute(ordered, execution_options={"yield_per": _CHUNK})
    for sample_id, some in groupby(map(_region_decision, rows), key=lambda one: one.decision.sample_id):
        yield sample_id, list(some)


def _samples() -> Select[*tuple[Any, ...]]:
    sample = SampleRow
    return (
        select(
            sample.id, sample.dataset_id, sample.name, sample.content_hash, sample.width, sample.height,
            sample.mask_hash, DatasetRow.classes, DatasetRow.colours,
        )
        .join(DatasetRow, DatasetRow.id == sample.dataset_id)
        .where(DatasetRow.colours.is_not(None))
    )  # fmt: skip


def _first(session: Session, round_id: int, side: ColumnElement[bool], order: ColumnElement[Any]) -> int | None:
    """Return the image of the first finding on this side that is the most suspicious one of its image."""
    other = aliased(FindingRow)
    worse = (
        select(other.id)
        .where(other.sample_id == FindingRow.sample_id, other.round_id + 0 == round_id, other.rank < FindingRow.rank)
        .exists()
    )
    firsts = select(FindingRow.sample_id).where(FindingRow.round_id == round_id, side, ~worse)
    suspicious = firsts.where(FindingRow.kind + 0 == FindingKind.SUSPICIOUS)  # by rank, not by the queue's index
    return session.scalar(suspicious.order_by(order).limit(1))


def _region_decisions() -> Select[*tuple[Any, ...]]:
    return (
        decisions_with_people()
        .add_columns(FindingRow.given, FindingRow.region)
        .join(FindingRow, FindingRow.id == DecisionRow.finding_id)
        .where(ChangesetRow.live, FindingRow.region.is_not(None))
    )


def _found(row: Sequence[Any]) -> FoundRegion:
    values: list[Any] = [*row[:-1], Region.from_bytes(row[-1])]
    return FoundRegion(*values)


def _region_decision(row: Any) -> RegionDecision:  # noqa: ANN401 a row of many columns
    *facts, given, region = row
    return RegionDecision(Decision(*facts), given, Region.from_bytes(region))
