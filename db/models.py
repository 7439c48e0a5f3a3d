"""The tables. Rows are only ever read and written through `db.queries`; nothing above ever sees one.

What people and the worker did is appended (`decision`, `changeset`, `round`, `problem`); what follows from it
(`finding.status` ..., `finding_count`, `changeset.live`) is kept beside it in the same transaction for speed and
can be recomputed at any time.
"""

from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Any, ClassVar

from sqlalchemy import JSON, DateTime, Enum, ForeignKey, Index, MetaData, SmallInteger, String, UniqueConstraint, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from core.types import Act, FindingKind, RoundStatus, Severity, Status, Task, Verdict


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite forgets the zone, so it is given back here."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC without the zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"{value} has no time zone"
            raise ValueError(msg)
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC with the zone."""
        return None if value is None else value.replace(tzinfo=UTC)


class Code(TypeDecorator[IntEnum]):
    """An IntEnum as a small integer: rows by the million, so two bytes and not a word."""

    impl = SmallInteger
    cache_ok = True

    def __init__(self, kind: type[IntEnum]) -> None:
        """Store members of `kind`."""
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: IntEnum | None, dialect: Dialect) -> int | None:
        """Return the member's number."""
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> IntEnum | None:
        """Return the member."""
        return None if value is None else self.kind(value)


def _by_value(kind: type[StrEnum]) -> Enum:
    return Enum(
        kind, native_enum=False, length=20, values_callable=lambda members: [member.value for member in members]
    )


class Base(DeclarativeBase):
    """Every row; constraints are named so that SQLite's batch migrations can find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[list[float]]: JSON,
        FindingKind: Code(FindingKind),
        Status: Code(Status),
        Verdict: _by_value(Verdict),
        Act: _by_value(Act),
        RoundStatus: _by_value(RoundStatus),
        Severity: _by_value(Severity),
        Task: _by_value(Task),
    }


primary_key = Annotated[int, mapped_column(primary_key=True)]
dataset_ref = Annotated[int, mapped_column(ForeignKey("dataset.id"))]
sample_ref = Annotated[int, mapped_column(ForeignKey("sample.id"))]
round_ref = Annotated[int, mapped_column(ForeignKey("round.id"))]
annotator_ref = Annotated[int, mapped_column(ForeignKey("annotator.id"))]


class AnnotatorRow(Base):
    """A person who decides, known by a name."""

    __tablename__ = "annotator"
    id: Mapped[primary_key]
    name: Mapped[str] = mapped_column(String(80), unique=True)
    created_at: Mapped[datetime]


class DatasetRow(Base):
    """A set of images. `classes` only grows at its end, so a class id means the same for ever."""

    __tablename__ = "dataset"
    id: Mapped[primary_key]
    name: Mapped[str] = mapped_column(String(200), unique=True)
    task: Mapped[Task]
    root: Mapped[str]
    format: Mapped[str] = mapped_column(String(40))
    classes: Mapped[list[str]]
    options: Mapped[dict[str, Any]]  # what the format reader was told, for a re-import
    created_at: Mapped[datetime]


class SampleRow(Base):
    """One image. `label` is the given one and never changes; `vanished_at` is set when a re-import misses it."""

    __tablename__ = "sample"
    __table_args__ = (UniqueConstraint("dataset_id", "path"), Index("ix_sample_content_hash", "content_hash"))
    id: Mapped[primary_key]
    dataset_id: Mapped[dataset_ref]
    path: Mapped[str]  # absolute
    name: Mapped[str]  # as shown; relative to the root where it lies inside
    label: Mapped[int | None]
    split: Mapped[str] = mapped_column(String(40), default="")
    group: Mapped[str] = mapped_column(String(200), default="")
    content_hash: Mapped[str] = mapped_column(String(32))
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int]
    grey: Mapped[bool]
    imported_at: Mapped[datetime]
    vanished_at: Mapped[datetime | None]


class ImportRow(Base):
    """One run of an import: how far it is, what it found. `report` holds counts by class, split and problem."""

    __tablename__ = "import"
    id: Mapped[primary_key]
    dataset_id: Mapped[int | None] = mapped_column(ForeignKey("dataset.id"))
    request: Mapped[dict[str, Any]]  # name, root, format, options
    status: Mapped[RoundStatus]
    done: Mapped[int]
    total: Mapped[int]
    message: Mapped[str]
    report: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class ProblemRow(Base):
    """One problem found by an import."""

    __tablename__ = "problem"
    __table_args__ = (Index("ix_problem_import_id_kind", "import_id", "kind"),)
    id: Mapped[primary_key]
    import_id: Mapped[int] = mapped_column(ForeignKey("import.id"))
    severity: Mapped[Severity]
    kind: Mapped[str] = mapped_column(String(60))
    path: Mapped[str]
    message: Mapped[str]
    cure: Mapped[str]


class RoundRow(Base):
    """One round: all that is needed to run it again (config, snapshot hash, versions) and what came out."""

    __tablename__ = "round"
    __table_args__ = (
        UniqueConstraint("dataset_id", "number"),
        # One unfinished round a dataset: the database itself refuses the second of two clicks.
        Index(
            "uq_round_unfinished",
            "dataset_id",
            unique=True,
            sqlite_where=text("status IN ('queued', 'running')"),
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
    )
    id: Mapped[primary_key]
    dataset_id: Mapped[dataset_ref]
    number: Mapped[int]  # 1, 2, ... within the dataset
    config: Mapped[dict[str, Any]]
    status: Mapped[RoundStatus]
    stage: Mapped[str] = mapped_column(String(80), default="")  # what is happening, for people
    message: Mapped[str] = mapped_column(default="")  # why it failed, with the cure
    snapshot_hash: Mapped[str | None] = mapped_column(String(32))
    versions: Mapped[dict[str, Any] | None]
    metrics: Mapped[dict[str, Any] | None]
    created_by: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class FoldRunRow(Base):
    """One fold of a round and how far it is; a write of an older attempt than `attempt` is refused."""

    __tablename__ = "fold_run"
    __table_args__ = (UniqueConstraint("round_id", "fold"),)
    id: Mapped[primary_key]
    round_id: Mapped[round_ref]
    fold: Mapped[int]
    attempt: Mapped[int]
    status: Mapped[RoundStatus]
    stage: Mapped[str] = mapped_column(String(80), default="")
    epoch: Mapped[int] = mapped_column(default=0)
    epochs: Mapped[int] = mapped_column(default=0)
    fraction: Mapped[float] = mapped_column(default=0.0)
    loss: Mapped[float | None]
    accuracy: Mapped[float | None]
    images_per_second: Mapped[float | None]
    batch_size: Mapped[int | None]
    message: Mapped[str] = mapped_column(default="")
    started_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class WorkerRow(Base):
    """A worker process, alive as long as its heartbeat is young."""

    __tablename__ = "worker"
    id: Mapped[primary_key]
    slot: Mapped[str] = mapped_column(String(200), unique=True)  # host:gpu
    pid: Mapped[int]
    device: Mapped[str] = mapped_column(String(200))
    doing: Mapped[str] = mapped_column(default="")
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]


class FindingRow(Base):
    """What a round says of one sample: given -> pseudo, how sure, and where its review stands.

    `row` is the sample's index in the round's arrays; `rank` its place in the round, 0 the most suspicious.
    """

    __tablename__ = "finding"
    __table_args__ = (
        UniqueConstraint("round_id", "rank"),
        Index("ix_finding_sample_id", "sample_id"),
        # the only index that holds the status, so that a bulk act rewrites one and not four
        Index("ix_finding_queue", "round_id", "kind", "status", "rank", "given", "pseudo", "percent"),
        Index("ix_finding_pair", "round_id", "kind", "given", "pseudo", "rank"),
        Index("ix_finding_confidence", "round_id", "kind", "confidence", "rank"),
        Index("ix_finding_similarity", "round_id", "kind", "similarity_rank"),
    )
    id: Mapped[primary_key]
    round_id: Mapped[round_ref]
    sample_id: Mapped[sample_ref]
    row: Mapped[int]
    rank: Mapped[int]
    kind: Mapped[FindingKind]
    given: Mapped[int]  # the snapshot's label, NO_LABEL when unlabelled
    pseudo: Mapped[int]
    confidence: Mapped[float]  # of the pseudo label, calibrated
    percent: Mapped[int] = mapped_column(SmallInteger)  # floor(100 * confidence)
    self_confidence: Mapped[float]  # of the given label, calibrated
    margin: Mapped[float]  # normalized margin of the given label
    fold: Mapped[int]
    split: Mapped[str] = mapped_column(String(40), default="")
    top: Mapped[list[list[float]]]  # the five likeliest as [class, probability]
    similarity_rank: Mapped[int | None]  # place in an order that puts like beside like
    status: Mapped[Status] = mapped_column(default=Status.OPEN, server_default=text("0"))
    label: Mapped[int | None]  # what the decision says, None while open or without a usable label
    annotator_id: Mapped[int | None] = mapped_column(ForeignKey("annotator.id"))
    decision_id: Mapped[int | None]  # the winning decision; no foreign key, the two refer to each other


class FindingCountRow(Base):
    """How many findings share these values: every count on the review page is a sum over these rows."""

    __tablename__ = "finding_count"
    __table_args__ = (UniqueConstraint("round_id", "kind", "status", "split", "given", "pseudo", "percent"),)
    id: Mapped[primary_key]
    round_id: Mapped[round_ref]
    kind: Mapped[FindingKind]
    status: Mapped[Status]
    split: Mapped[str] = mapped_column(String(40))
    given: Mapped[int]
    pseudo: Mapped[int]
    percent: Mapped[int] = mapped_column(SmallInteger)
    count: Mapped[int]


class ChangesetRow(Base):
    """Decisions made by one act: the unit of undo. `UNDO` and `REDO` rows name their `target_id`.

    `client_id` and `client_seq` are the browser's own numbering: a retry finds its first try and adds nothing.
    """

    __tablename__ = "changeset"
    __table_args__ = (
        UniqueConstraint("client_id", "client_seq"),
        Index("ix_changeset_dataset_id_annotator_id", "dataset_id", "annotator_id", "id"),
        Index("ix_changeset_round_id_act", "round_id", "act"),
    )
    id: Mapped[primary_key]
    dataset_id: Mapped[dataset_ref]
    round_id: Mapped[round_ref]
    annotator_id: Mapped[annotator_ref]
    act: Mapped[Act]
    target_id: Mapped[int | None] = mapped_column(ForeignKey("changeset.id"))
    live: Mapped[bool]
    size: Mapped[int]  # decisions in it
    note: Mapped[dict[str, Any]]  # the filter, threshold and numbers at that moment
    client_id: Mapped[str | None] = mapped_column(String(64))
    client_seq: Mapped[int | None]
    decided_at: Mapped[datetime]


class DecisionRow(Base):
    """One review answer; rows are only ever added. Who and when stand in its changeset."""

    __tablename__ = "decision"
    __table_args__ = (
        Index("ix_decision_sample_id", "sample_id"),
        Index("ix_decision_changeset_id", "changeset_id"),
    )
    id: Mapped[primary_key]
    changeset_id: Mapped[int] = mapped_column(ForeignKey("changeset.id"))
    sample_id: Mapped[sample_ref]
    finding_id: Mapped[int] = mapped_column(ForeignKey("finding.id"))
    verdict: Mapped[Verdict]
    label: Mapped[int | None]


class ExportRow(Base):
    """One finished or running export."""

    __tablename__ = "export"
    id: Mapped[primary_key]
    dataset_id: Mapped[dataset_ref]
    request: Mapped[dict[str, Any]]  # format, folder, link mode, what to do with ambiguous and excluded
    status: Mapped[RoundStatus]
    done: Mapped[int]
    total: Mapped[int]
    path: Mapped[str]
    message: Mapped[str]
    manifest: Mapped[dict[str, Any] | None]
    created_by: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
