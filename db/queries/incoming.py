"""Images on their way into a dataset: staged row by row where nobody looks, then merged in a few set-based statements.

Staging takes as long as it takes, in short transactions; `merge` is the only one that others wait for. What would
stand after it is told beforehand (`arrivals`, `vanishing`, `duplicates`, counts): a given label or mask that is stored
already stays, so what a source says now only counts where nothing was said before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, insert, literal, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.types import RoundStatus
from db.models import ImportRow, IncomingRow, SampleRow
from db.queries import matching
from db.queries.added import in_scope
from db.queries.evaluation import stays

_STAGED = IncomingRow.metadata.tables[IncomingRow.__tablename__]


@dataclass(frozen=True, slots=True)
class NewSample:
    """What a source says of one image now."""

    path: str
    name: str
    label: int | None
    mask_hash: str | None
    split: str
    group: str
    content_hash: str
    width: int
    height: int
    bytes: int
    grey: bool
    look_hash: int | None
    annotators_differ: bool = False
    tags: list[int] | None = None  # the classes it shows, ascending


class Arrival(NamedTuple):
    """An image that is known already and differs from what is stored, or was missing; `old` is what is stored."""

    old: NewSample
    new: NewSample
    vanished: bool
    sample_id: int

    @property
    def is_corrected(self) -> bool:
        """Whether anything but what was given and where it lies differs, or a label or mask comes where none was."""
        return self.is_given_first or any(
            getattr(self.old, name) != getattr(self.new, name) for name in _CORRECTED - _PLACE
        )

    @property
    def is_given_first(self) -> bool:
        """Whether a label or mask comes where none was."""
        return any(getattr(self.old, name) is None and getattr(self.new, name) is not None for name in _GIVEN)

    @property
    def is_moved(self) -> bool:
        """Whether the same content lies at another path now."""
        return self.old.path != self.new.path

    @property
    def is_resized(self) -> bool:
        """Whether no mask and no region of the stored image fits it any more."""
        return (self.old.width, self.old.height) != (self.new.width, self.new.height)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One of several samples with the same content; `labels` counts the different labels or masks among them."""

    content_hash: str
    name: str
    label: int | None
    copies: int
    labels: int


_TAGS = "tags"  # said of an image, but no part of it: people may say otherwise
_NAMES = tuple(item.name for item in fields(NewSample) if item.name != _TAGS)
_GIVEN = {"label", "mask_hash"}  # said once and for all
_FOLLOWS = {"look_hash"}  # from the content: filled in where an older version did not know it, and no change
_PLACE = {"path", "name"}  # where the content lies
_CORRECTED = dict.fromkeys(name for name in _NAMES if name not in _GIVEN | _FOLLOWS).keys()
_TOLD = tuple(name for name in _NAMES if name not in _FOLLOWS)


def stage(session: Session, import_id: int, samples: Sequence[NewSample]) -> None:
    """Add images to an import; nobody sees them before `merge`."""
    names = (*_NAMES, _TAGS)
    rows = [{"import_id": import_id, **{name: getattr(sample, name) for name in names}} for sample in samples]
    session.execute(insert(_STAGED), rows)  # the table, not the class: three times faster


def unstage(session: Session, import_id: int, most: int) -> int:
    """Forget up to `most` staged images of this import, or of one that has ended; return how many there were."""
    unfinished = select(ImportRow.id).where(ImportRow.status.in_([RoundStatus.QUEUED, RoundStatus.RUNNING]))
    needless = or_(IncomingRow.import_id == import_id, IncomingRow.import_id.not_in(unfinished))
    some = list(session.scalars(select(IncomingRow.id).where(needless).limit(most)))
    session.execute(delete(IncomingRow).where(IncomingRow.id.in_(some)))
    return len(some)


def leave_out(session: Session, import_id: int, paths: Sequence[str]) -> None:
    """Forget these staged images."""
    session.execute(delete(IncomingRow).where(IncomingRow.import_id == import_id, IncomingRow.path.in_(paths)))


def arrivals(session: Session, import_id: int, dataset_id: int) -> Iterator[Arrival]:
    """Yield the known images of which something would change or is said otherwise, in their order."""
    columns = [getattr(row, name) for row in (SampleRow, IncomingRow) for name in _NAMES]
    kept = stays(session, import_id, dataset_id)
    differs = or_(SampleRow.vanished_at.is_not(None), *(_differs(name, kept) for name in _TOLD))
    query = (
        select(SampleRow.id, SampleRow.vanished_at, *columns)
        .join(IncomingRow, _same(dataset_id))
        .where(IncomingRow.import_id == import_id, differs)
        .order_by(IncomingRow.id)
    )
    count = len(_NAMES)
    for sample_id, vanished_at, *values in session.execute(query):
        yield Arrival(NewSample(*values[:count]), NewSample(*values[count:]), vanished_at is not None, sample_id)


def known_count(session: Session, import_id: int, dataset_id: int) -> tuple[int, int]:
    """Return how many images are staged, and how many of them the dataset has already."""
    query = (
        select(func.count(), func.count(SampleRow.id))
        .select_from(IncomingRow)
        .outerjoin(SampleRow, _same(dataset_id))
        .where(IncomingRow.import_id == import_id)
    )
    staged, known = session.execute(query).one()
    return int(staged), int(known)


def vanishing(session: Session, import_id: int, dataset_id: int) -> Iterator[str]:
    """Yield the names of the dataset's images that the import does not have."""
    missed = (_is_missed(import_id, dataset_id), in_scope(session, import_id, dataset_id))
    query = select(SampleRow.name).where(*missed).order_by(SampleRow.id)
    return (name for (name,) in session.execute(query))


def duplicates(session: Session, import_id: int, dataset_id: int) -> Iterator[Duplicate]:
    """Yield every image whose content another one will have too, copies side by side."""
    coming = _coming(import_id, dataset_id).subquery()
    several = (
        select(
            coming.c.content_hash,
            func.count().label("copies"),
            (func.count(coming.c.label.distinct()) + func.count(coming.c.mask_hash.distinct())).label("labels"),
            func.min(coming.c.id).label("first"),
        )
        .group_by(coming.c.content_hash)
        .having(func.count() > 1)
        .subquery()
    )
    query = (
        select(coming.c.content_hash, coming.c.name, coming.c.label, several.c.copies, several.c.labels)
        .join(several, several.c.content_hash == coming.c.content_hash)
        .order_by(several.c.first, coming.c.id)
    )
    return (Duplicate(*found) for found in session.execute(query))


def label_counts(session: Session, import_id: int, dataset_id: int) -> dict[int | None, int]:
    """Return how many images will carry each given label; None: no label."""
    coming = _coming(import_id, dataset_id).subquery()
    return dict(session.execute(select(coming.c.label, func.count()).group_by(coming.c.label)).all())


def mask_count(session: Session, import_id: int, dataset_id: int) -> int:
    """Return how many images will have a mask."""
    coming = _coming(import_id, dataset_id).subquery()
    return session.scalars(select(func.count(coming.c.mask_hash))).one()


def differing_count(session: Session, import_id: int) -> int:
    """Return how many staged images have annotators who differ."""
    differing = (IncomingRow.import_id == import_id, IncomingRow.annotators_differ)
    return session.scalars(select(func.count()).select_from(IncomingRow).where(*differing)).one()


def split_counts(session: Session, import_id: int) -> dict[str, int]:
    """Return how many images will be in each split."""
    query = select(IncomingRow.split, func.count()).where(IncomingRow.import_id == import_id)
    return dict(session.execute(query.group_by(IncomingRow.split).order_by(IncomingRow.split)).all())


def covers(session: Session, import_id: int, count: int) -> list[str]:
    """Return content hashes of a few images, as different in label and split as can be."""
    chosen: dict[int, str] = {}
    for several in (True, True, True, False):  # one of each kind, three times over; then whatever is there
        left = (IncomingRow.import_id == import_id, IncomingRow.id.not_in(list(chosen)))
        kinds = (IncomingRow.split, IncomingRow.label)
        query = select(func.min(IncomingRow.id)).where(*left).group_by(*kinds).order_by(kinds[0].desc(), kinds[1])
        if not several:
            query = select(IncomingRow.id).where(*left).order_by(IncomingRow.id)
        ids = list(session.scalars(query.limit(count - len(chosen))))
        found = dict(
            session.execute(select(IncomingRow.id, IncomingRow.content_hash).where(IncomingRow.id.in_(ids))).all()
        )
        chosen |= {number: found[number] for number in ids}
    return list(dict.fromkeys(chosen.values()))


def merge(session: Session, import_id: int, dataset_id: int, at: datetime) -> list[int]:
    """Make the staged images the dataset's: add, correct and fetch back them, note what is missing now.

    Returned are the known images that are in another split now.
    """
    staged, kept = IncomingRow.import_id == import_id, stays(session, import_id, dataset_id)
    moving = select(SampleRow.id).join(IncomingRow, _same(dataset_id)).where(staged, _differs("split", kept))
    moved = list(session.scalars(moving))
    scope = in_scope(session, import_id, dataset_id)
    missed = update(SampleRow).where(_is_missed(import_id, dataset_id), scope).values(vanished_at=at)
    session.execute(missed.execution_options(synchronize_session=False))
    rewritten = (*_CORRECTED, *_FOLLOWS)
    matching.free_paths(session, import_id, dataset_id)
    correction: dict[str, Any] = {name: getattr(IncomingRow, name) for name in rewritten}
    correction["split"] = case((kept, SampleRow.split), else_=IncomingRow.split)
    correction |= {name: _first(name) for name in _GIVEN}
    changes = or_(SampleRow.vanished_at.is_not(None), _is_given_first(), *(_differs(name, kept) for name in rewritten))
    corrected = update(SampleRow).where(_same(dataset_id), staged, changes).values(**correction, vanished_at=None)
    session.execute(corrected.execution_options(synchronize_session=False))
    columns = [getattr(IncomingRow, name) for name in _NAMES]
    new = (
        select(literal(dataset_id), literal(at, SampleRow.imported_at.type), *columns)
        .outerjoin(SampleRow, _same(dataset_id))
        .where(staged, SampleRow.id.is_(None))
        .order_by(IncomingRow.id)
    )
    session.execute(insert(SampleRow).from_select(["dataset_id", "imported_at", *_NAMES], new, include_defaults=False))
    return moved


def _coming(import_id: int, dataset_id: int) -> Select[*tuple[Any, ...]]:
    """Return the images as they will stand, with their staged ids."""
    given = (_first(name).label(name) for name in ("label", "mask_hash"))
    return (
        select(IncomingRow.id, IncomingRow.name, IncomingRow.content_hash, *given)
        .outerjoin(SampleRow, _same(dataset_id))
        .where(IncomingRow.import_id == import_id)
    )


def _same(dataset_id: int) -> ColumnElement[bool]:
    return and_(SampleRow.dataset_id == dataset_id, SampleRow.id == IncomingRow.sample_id)


def _is_missed(import_id: int, dataset_id: int) -> ColumnElement[bool]:
    staged = select(IncomingRow.sample_id).where(IncomingRow.import_id == import_id, IncomingRow.sample_id.is_not(None))
    return and_(SampleRow.dataset_id == dataset_id, SampleRow.vanished_at.is_(None), SampleRow.id.not_in(staged))


def _first(name: str) -> ColumnElement[Any]:
    """Return what was given of an image first: what is stored, else what its source says now."""
    return func.coalesce(getattr(SampleRow, name), getattr(IncomingRow, name))


def _is_given_first() -> ColumnElement[bool]:
    return or_(*(and_(getattr(SampleRow, name).is_(None), getattr(IncomingRow, name).is_not(None)) for name in _GIVEN))


def _differs(name: str, kept: ColumnElement[bool]) -> ColumnElement[bool]:
    stored: InstrumentedAttribute[Any] = getattr(SampleRow, name)
    different = stored.is_distinct_from(getattr(IncomingRow, name))
    return and_(~kept, different) if name == "split" else different  # a drawn one stays
