"""Datasets, samples, imports, exports and deletions."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from core.types import DeletionKind, JobStatus, Severity, Task
from db.models.base import Base, dataset_ref, primary_key, sample_ref


class AnnotatorRow(Base):
    """A person who decides, known by a name."""

    __tablename__ = "annotator"
    id: Mapped[primary_key]
    name: Mapped[str] = mapped_column(String(80), unique=True)
    created_at: Mapped[datetime]


class DatasetRow(Base):
    """A set of images. `classes` only grows at its end, so the meaning of a class id never changes.

    `retired_classes` are the ids of classes whose addition was undone, `merged_classes` pairs of a merged class and the
    one it went into, chains resolved; `class_order` has every id that was ordered, none: by id.
    """

    __tablename__ = "dataset"
    id: Mapped[primary_key]
    name: Mapped[str] = mapped_column(String(200), unique=True)
    task: Mapped[Task]
    root: Mapped[str]
    format: Mapped[str] = mapped_column(String(40))
    classes: Mapped[list[str]]
    retired_classes: Mapped[list[int]] = mapped_column(JSON, default=list, server_default="[]")
    merged_classes: Mapped[list[list[int]]] = mapped_column(JSON, default=list, server_default="[]")
    class_order: Mapped[list[int]] = mapped_column(JSON, default=list, server_default="[]")
    colours: Mapped[list[str] | None]  # of masks, "#rrggbb" for each class
    evaluation_splits: Mapped[list[str]] = mapped_column(default=list, server_default="[]")  # never learnt from
    options: Mapped[dict[str, Any]]  # options of the format's reader, for a re-import
    restricted: Mapped[bool] = mapped_column(default=False, server_default=false())  # to members, see `db.visibility`
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]  # then no query finds it, see `db.visibility`


class DatasetMemberRow(Base):
    """A user who sees a restricted dataset."""

    __tablename__ = "dataset_member"
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(
        ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True, index=True
    )


_BARE = "label IS NULL AND mask_hash IS NULL"


class SampleRow(Base):
    """One image. `label` or `mask_hash` is the given label and never changes.

    `vanished_at` is set when a re-import misses it.
    """

    __tablename__ = "sample"
    __table_args__ = (
        UniqueConstraint("dataset_id", "path"),
        Index("ix_sample_content_hash", "content_hash"),
        Index("ix_sample_dataset_id_name", "dataset_id", "name"),
        Index(
            "ix_sample_removed_by",
            "removed_by",
            sqlite_where=text("removed_by IS NOT NULL"),
            postgresql_where=text("removed_by IS NOT NULL"),
        ),
        Index(  # counts for the form of a round are read from this index alone
            "ix_sample_counted",
            *("dataset_id", "vanished_at", "removed_by", "split", "width", "height", "grey", "group"),
        ),
        Index(
            "ix_sample_bare",
            "dataset_id",
            "vanished_at",
            "removed_by",
            sqlite_where=text(_BARE),
            postgresql_where=text(_BARE),
        ),
    )
    id: Mapped[primary_key]
    dataset_id: Mapped[dataset_ref]
    path: Mapped[str]  # absolute
    name: Mapped[str]  # as displayed; relative to the root if it lies inside
    label: Mapped[int | None]
    mask_hash: Mapped[str | None] = mapped_column(String(32))  # the given mask, in the store of masks
    split: Mapped[str] = mapped_column(String(40), default="")
    group: Mapped[str] = mapped_column(String(200), default="")
    content_hash: Mapped[str] = mapped_column(String(32))
    look_hash: Mapped[int | None] = mapped_column(BigInteger)  # 64 bits, signed; alike for images that look alike
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int]
    grey: Mapped[bool]
    annotators_differ: Mapped[bool] = mapped_column(default=False, server_default=false())  # in its source now
    imported_at: Mapped[datetime]
    vanished_at: Mapped[datetime | None]
    import_id: Mapped[int | None]  # the import that added it; None: one of before this was noted
    removed_by: Mapped[int | None]  # the deletion that hides it from every query, see `db.visibility`


class TaggingRow(Base):
    """Tags: all classes that an image shows; rows are only added, and the newest counts.

    `annotator_id` is None for tags from an import. `client_id` and `client_seq` are the browser's own number
    of the act, so that a retry is found.
    """

    __tablename__ = "tagging"
    __table_args__ = (
        UniqueConstraint("client_id", "client_seq"),
        UniqueConstraint("undoes_id"),
        Index("ix_tagging_sample_id", "sample_id", "id"),
    )
    id: Mapped[primary_key]
    sample_id: Mapped[sample_ref]
    classes: Mapped[list[int] | None]  # ascending; None: removed, nothing is known any more
    annotator_id: Mapped[int | None] = mapped_column(ForeignKey("annotator.id"))
    tagged_at: Mapped[datetime]
    client_id: Mapped[str | None] = mapped_column(String(64))
    client_seq: Mapped[int | None]
    undoes_id: Mapped[int | None] = mapped_column(ForeignKey("tagging.id"))  # the row that this one undoes
    import_id: Mapped[int | None]  # the import that brought it


class IncomingRow(Base):
    """One image of an import that has not stored anything yet; gone when the import has ended."""

    __tablename__ = "incoming_sample"
    __table_args__ = (UniqueConstraint("import_id", "path"),)
    id: Mapped[primary_key]
    import_id: Mapped[int] = mapped_column(ForeignKey("import.id"))
    path: Mapped[str]
    name: Mapped[str]
    label: Mapped[int | None]
    mask_hash: Mapped[str | None] = mapped_column(String(32))
    split: Mapped[str] = mapped_column(String(40))
    group: Mapped[str] = mapped_column(String(200))
    content_hash: Mapped[str] = mapped_column(String(32))
    look_hash: Mapped[int | None] = mapped_column(BigInteger)
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int]
    grey: Mapped[bool]
    annotators_differ: Mapped[bool] = mapped_column(default=False, server_default=false())
    tags: Mapped[list[int] | None]  # the classes it shows, ascending
    sample_id: Mapped[int | None] = mapped_column(ForeignKey("sample.id"))  # the known image it is


class ImportRow(Base):
    """One run of an import: its progress and result. `report` has counts by class, split and problem.

    `dataset_change` holds the columns of its dataset that it wrote, each as [before, after]; {} of the import that made
    the dataset, None of one that ended before this was noted, and so cannot be undone.
    """

    __tablename__ = "import"
    id: Mapped[primary_key]
    dataset_id: Mapped[int | None] = mapped_column(ForeignKey("dataset.id"))
    request: Mapped[dict[str, Any]]  # name, root, format, options
    status: Mapped[JobStatus]
    done: Mapped[int]
    total: Mapped[int]
    message: Mapped[str]
    report: Mapped[dict[str, Any] | None]
    dataset_change: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]  # it was undone: no query finds it, see `db.visibility`


class ImportChangeRow(Base):
    """Changes of an import to an image that the dataset had: columns by name, each as [before, after]."""

    __tablename__ = "import_change"
    __table_args__ = (
        Index("ix_import_change_import_id", "import_id"),
        Index("ix_import_change_sample_id", "sample_id"),
    )
    id: Mapped[primary_key]
    import_id: Mapped[int] = mapped_column(ForeignKey("import.id"))
    sample_id: Mapped[sample_ref]
    changed: Mapped[dict[str, Any]]


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


class ExportRow(Base):
    """One finished or running export."""

    __tablename__ = "export"
    id: Mapped[primary_key]
    dataset_id: Mapped[dataset_ref]
    request: Mapped[dict[str, Any]]  # format, folder, link mode, policy for ambiguous and excluded
    status: Mapped[JobStatus]
    done: Mapped[int]
    total: Mapped[int]
    path: Mapped[str]
    message: Mapped[str]
    manifest: Mapped[dict[str, Any] | None]
    created_by: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class DeletionRow(Base):
    """One deletion: of a dataset, a round, an import or images.

    It outlives the objects it names, so its ids are not foreign keys.
    `held` are its counts and bytes of files.
    """

    __tablename__ = "deletion"
    id: Mapped[primary_key]
    kind: Mapped[DeletionKind]
    dataset_id: Mapped[int]
    round_id: Mapped[int | None]  # of a round
    import_id: Mapped[int | None]  # of an import
    name: Mapped[str] = mapped_column(String(240))
    held: Mapped[dict[str, Any]]
    deleted_by: Mapped[str] = mapped_column(String(80))
    deleted_at: Mapped[datetime]
    restored_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]
