"""Masks of samples: the given mask, regions found by rounds, decisions on these, and the order of images in the editor.

The editor's order: images in which a round found regions, by their most suspicious region, then all others by name.
Without a round all are others.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from core.types import ClassState, Decision, Region, RegionDecision, Status
from db.models import ChangesetRow, DatasetRow, DecisionRow, FindingRow, SampleRow
from db.queries.datasets import read_merges
from db.queries.decisions import decisions_with_people
from db.queries.projection import project
from db.queries.snapshots import Sample, sample_columns

Box = tuple[int, int, int, int]  # x, y, width, height in pixels
_CHUNK = 500  # decisions fetched at once; each brings its region
_SETTLED = [status for status in Status if status.settled]


@dataclass(frozen=True, slots=True)
class MaskedSample:
    """An image of a dataset whose labels are masks; `mask_hash` is the given one, None without one."""

    id: int
    dataset_id: int
    name: str
    content_hash: str
    width: int
    height: int
    mask_hash: str | None
    classes: list[str]
    colours: list[str]
    state: ClassState  # of the classes: those offered, and those that pixels mean


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
    return None if found is None or not found.colours else _sample(found)  # JSON's null is not NULL


def samples_by_id(session: Session, dataset_id: int) -> dict[int, MaskedSample]:
    """Return the images of a dataset with decisions."""
    decided = SampleRow.id.in_(select(DecisionRow.sample_id))
    found = session.execute(_samples().where(SampleRow.dataset_id == dataset_id, decided))
    return {row[0]: _sample(row) for row in found}


def region_of(session: Session, finding_id: int) -> Region | None:
    """Return the pixels of a finding, None if it is of a whole image or does not exist."""
    data = session.scalar(select(FindingRow.region).where(FindingRow.id == finding_id))
    return None if data is None else Region.from_bytes(data)


def regions_of(session: Session, round_id: int, sample_id: int) -> list[FoundRegion]:
    """Return the findings of a round in one image, the most suspicious first."""
    found = FindingRow
    columns = select(
        found.id, found.given, found.pseudo, found.confidence, found.x, found.y, found.width, found.height, found.area,
        found.status, found.region,
    )  # fmt: skip
    here = (found.sample_id == sample_id, found.round_id + 0 == round_id, found.region.is_not(None))
    rows = session.execute(columns.where(*here).order_by(found.rank)).all()
    return [_found(row) for row in rows]


def regions_within(session: Session, sample_id: int, box: Box) -> dict[int, tuple[Region, bool]]:
    """Return the regions that rounds found in an image and that reach into a box of it, by the finding's id.

    Each with whether edits painted all of it, as it was noted last.
    """
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
    return {id_: (Region.from_bytes(region), painted) for id_, painted, region in rows if region}


def note_painted(session: Session, regions: Mapping[int, bool]) -> None:
    """Store whether edits painted over regions completely, by their findings' ids, and the resulting statuses."""
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


def neighbours(
    session: Session, dataset_id: int, round_id: int | None, sample_id: int
) -> tuple[int | None, int | None]:
    """Return the images before and after this one; None at an end."""
    own = None if round_id is None else _rank(session, round_id, sample_id)
    if round_id is not None and own is not None:
        return _image_with_region(session, round_id, below=own), _image_with_region(
            session, round_id, above=own
        ) or _image_without_region(session, dataset_id, round_id)
    before = _image_without_region(session, dataset_id, round_id, before=sample_id)
    if before is None and round_id is not None:
        before = _image_with_region(session, round_id, below=None)
    return before, _image_without_region(session, dataset_id, round_id, after=sample_id)


def first_image(session: Session, dataset_id: int, round_id: int | None) -> int | None:
    """Return the first image to open, None if the dataset has none."""
    found = None if round_id is None else _image_with_region(session, round_id, above=-1)
    return found or _image_without_region(session, dataset_id, round_id)


def named_images(
    session: Session, dataset_id: int, round_id: int | None, text: str, *, after: tuple[str, int] | None, limit: int
) -> list[tuple[Sample, int, int]]:
    """Return images whose name contains `text`, ignoring case, by (name, id) and only those after `after`.

    Each with how many regions a round found in it, and how many of these are not settled.
    """
    here = [SampleRow.name.icontains(text, autoescape=True)] if text else []  # first: the index on names answers it
    if after is not None:
        here.append(tuple_(SampleRow.name, SampleRow.id) > tuple_(*after))
    here += _in_dataset(dataset_id)
    columns = select(*sample_columns(SampleRow))
    rows = session.execute(columns.where(*here).order_by(SampleRow.name, SampleRow.id).limit(limit))
    images = [Sample(*row) for row in rows]
    found = {} if round_id is None else _regions(session, round_id, [one.id for one in images])
    return [(one, *found.get(one.id, (0, 0))) for one in images]


def masked_datasets(session: Session) -> list[int]:
    """Return the datasets whose labels are masks, the newest first."""
    known = session.execute(select(DatasetRow.id, DatasetRow.colours).order_by(DatasetRow.id.desc()))
    return [dataset for dataset, colours in known if colours]  # none may be stored as JSON's null, which is not NULL


def painted_or_found(session: Session, dataset_id: int, paths: Collection[str]) -> set[str]:
    """Return which of these images of a dataset people have painted in, or rounds have found regions in."""
    decided, found = select(DecisionRow.sample_id), select(FindingRow.sample_id)
    here = SampleRow.dataset_id == dataset_id, SampleRow.path.in_(paths)
    either = or_(SampleRow.id.in_(decided), SampleRow.id.in_(found))
    return set(session.scalars(select(SampleRow.path).where(*here, either)))


def _samples() -> Select[*tuple[Any, ...]]:
    sample = SampleRow
    return (
        select(
            sample.id, sample.dataset_id, sample.name, sample.content_hash, sample.width, sample.height,
            sample.mask_hash, DatasetRow.classes, DatasetRow.colours, DatasetRow.retired_classes,
            DatasetRow.merged_classes, DatasetRow.class_order,
        )
        .join(DatasetRow, DatasetRow.id == sample.dataset_id)
        .where(DatasetRow.colours.is_not(None))
    )  # fmt: skip


def _sample(row: Sequence[Any]) -> MaskedSample:
    *facts, classes, colours, retired, merged, order = row
    state = ClassState(tuple(classes), tuple(retired), read_merges(merged), tuple(order))
    values: list[Any] = [*facts, classes, colours, state]
    return MaskedSample(*values)


def _region_decisions() -> Select[*tuple[Any, ...]]:
    concerns_pixels = or_(FindingRow.region.is_not(None), DecisionRow.finding_id.is_(None))
    return (
        decisions_with_people({})
        .add_columns(func.coalesce(FindingRow.own_given, FindingRow.given), FindingRow.region)
        .outerjoin(FindingRow, FindingRow.id == DecisionRow.finding_id)
        .where(ChangesetRow.live, concerns_pixels)
    )


def _found(row: Sequence[Any]) -> FoundRegion:
    values: list[Any] = [*row[:-1], Region.from_bytes(row[-1])]
    return FoundRegion(*values)


def _region_decision(row: Any) -> RegionDecision:  # noqa: ANN401 a row of many columns
    *facts, given, region = row
    return RegionDecision(Decision(*facts), given, None if region is None else Region.from_bytes(region))


def _rank(session: Session, round_id: int, sample_id: int) -> int | None:
    here = (FindingRow.sample_id == sample_id, FindingRow.round_id + 0 == round_id, FindingRow.area.is_not(None))
    return session.scalar(select(func.min(FindingRow.rank)).where(*here))


def _image_with_region(
    session: Session, round_id: int, *, above: int | None = None, below: int | None = None
) -> int | None:
    """Return the image of the first finding on one side of a rank that is its image's most suspicious one."""
    other = aliased(FindingRow)
    worse = (
        select(other.id)
        .where(other.sample_id == FindingRow.sample_id, other.round_id + 0 == round_id, other.rank < FindingRow.rank)
        .exists()
    )
    firsts = select(FindingRow.sample_id).where(FindingRow.round_id == round_id, FindingRow.area.is_not(None), ~worse)
    if above is not None:
        return session.scalar(firsts.where(FindingRow.rank > above).order_by(FindingRow.rank).limit(1))
    side = firsts if below is None else firsts.where(FindingRow.rank < below)
    return session.scalar(side.order_by(FindingRow.rank.desc()).limit(1))


def _image_without_region(
    session: Session, dataset_id: int, round_id: int | None, *, before: int | None = None, after: int | None = None
) -> int | None:
    """Return the first image by name without a region of a round, or the nearest before or after the one named."""
    others = select(SampleRow.id).where(*_in_dataset(dataset_id))
    if round_id is not None:
        here = (FindingRow.sample_id == SampleRow.id, FindingRow.round_id + 0 == round_id, FindingRow.area.is_not(None))
        others = others.where(~select(FindingRow.id).where(*here).exists())
    last = session.execute(select(SampleRow.name, SampleRow.id).where(SampleRow.id == (before or after))).one_or_none()
    place, own = tuple_(SampleRow.name, SampleRow.id), tuple_(*(last or ("", 0)))
    if before is not None:
        nearest = others.where(place < own).order_by(SampleRow.name.desc(), SampleRow.id.desc())
    else:
        nearest = (others if after is None else others.where(place > own)).order_by(SampleRow.name, SampleRow.id)
    return session.scalar(nearest.limit(1))


def _in_dataset(dataset_id: int) -> list[ColumnElement[bool]]:
    return [SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None)]


def _regions(session: Session, round_id: int, sample_ids: list[int]) -> dict[int, tuple[int, int]]:
    undecided = func.count().filter(FindingRow.status.not_in(_SETTLED))
    here = (FindingRow.sample_id.in_(sample_ids), FindingRow.round_id + 0 == round_id, FindingRow.area.is_not(None))
    counted = select(FindingRow.sample_id, func.count(), undecided).where(*here).group_by(FindingRow.sample_id)
    return {sample: (regions, left) for sample, regions, left in session.execute(counted)}
