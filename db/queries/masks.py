"""Masks of samples: the given one, the regions that rounds found in them, and what people said of these."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from core.types import Decision, Region, RegionDecision, Status
from db.models import ChangesetRow, DatasetRow, DecisionRow, FindingRow, SampleRow
from db.queries.decisions import decisions_with_people
from db.queries.projection import project

Box = tuple[int, int, int, int]  # x, y, width, height in pixels
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
class PlacedRegion:
    """A region of a finding; `painted` is whether edits painted all of it, as it was noted last."""

    id: int
    painted: bool
    region: Region


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
    return None if found is None or not found.colours else MaskedSample(*found)  # JSON's null is no NULL


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


def regions_within(session: Session, sample_id: int, box: Box) -> list[PlacedRegion]:
    """Return what rounds found in an image that reaches into a box of it."""
    left, top, width, height = box
    found = FindingRow
    within = (
        found.x < left + width,
        found.x + found.width > left,
        found.y < top + height,
        found.y + found.height > top,
    )
    here = (found.sample_id == sample_id, found.region.is_not(None))
    rows = session.execute(select(found.id, found.painted, found.region).where(*here, *within).order_by(found.id))
    return [PlacedRegion(id_, painted, Region.from_bytes(region)) for id_, painted, region in rows if region]


def note_painted(session: Session, regions: Mapping[int, bool]) -> None:
    """Note of regions, by their findings' ids, whether edits painted all of them, and where they stand by that."""
    for painted in (False, True):
        chosen = [finding for finding, whether in regions.items() if whether is painted]
        noted = update(FindingRow).where(FindingRow.id.in_(chosen)).values(painted=painted)
        session.execute(noted.execution_options(synchronize_session=False))
    if regions:
        project(session, select(FindingRow.id).where(FindingRow.id.in_(list(regions))))


def edits_in(session: Session, changeset_id: int) -> list[tuple[int, str, str]]:
    """Return (sample, mask before, mask after) of every edit of an act."""
    edit = select(DecisionRow.sample_id, DecisionRow.mask_base, DecisionRow.mask_hash)
    rows = session.execute(edit.where(DecisionRow.changeset_id == changeset_id, DecisionRow.mask_hash.is_not(None)))
    return [(sample, base or "", mask or "") for sample, base, mask in rows]


def edited_since(session: Session, dataset_id: int, then: datetime) -> list[int]:
    """Return the images of a dataset that were edited since a moment, by edits that count."""
    counts = (ChangesetRow.dataset_id == dataset_id, ChangesetRow.live, ChangesetRow.decided_at >= then)
    edited = select(DecisionRow.sample_id).join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
    return list(session.scalars(edited.where(*counts, DecisionRow.mask_hash.is_not(None)).distinct()))


def live_region_decisions(session: Session, sample_id: int) -> list[RegionDecision]:
    """Return every decision on regions of an image, and every edit of it, that still counts, oldest first."""
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


def _region_decisions() -> Select[*tuple[Any, ...]]:
    concerns_pixels = or_(FindingRow.region.is_not(None), DecisionRow.finding_id.is_(None))
    return (
        decisions_with_people()
        .add_columns(FindingRow.given, FindingRow.region)
        .outerjoin(FindingRow, FindingRow.id == DecisionRow.finding_id)
        .where(ChangesetRow.live, concerns_pixels)
    )


def _found(row: Sequence[Any]) -> FoundRegion:
    values: list[Any] = [*row[:-1], Region.from_bytes(row[-1])]
    return FoundRegion(*values)


def _region_decision(row: Any) -> RegionDecision:  # noqa: ANN401 a row of many columns
    *facts, given, region = row
    return RegionDecision(Decision(*facts), given, None if region is None else Region.from_bytes(region))
