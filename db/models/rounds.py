"""Rounds, progress of their folds, and workers."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.types import JobStatus, Recipe
from db.models.base import Base, dataset_ref, primary_key, round_ref


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
    recipe: Mapped[Recipe] = mapped_column(default=Recipe.CROSS_FOLD, server_default=Recipe.CROSS_FOLD.value)
    config: Mapped[dict[str, Any]]  # of the networks
    recipe_config: Mapped[dict[str, Any] | None]  # the recipe's own settings; none for folds
    status: Mapped[JobStatus]
    stage: Mapped[str] = mapped_column(String(80), default="")  # in words, for people
    message: Mapped[str] = mapped_column(default="")  # why it failed, with the cure
    snapshot_hash: Mapped[str | None] = mapped_column(String(32))
    versions: Mapped[dict[str, Any] | None]
    metrics: Mapped[dict[str, Any] | None]
    created_by: Mapped[str] = mapped_column(String(80), default="")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]  # then no query finds it, see `db.hidden`
    # of a large round, which keeps agreeing findings in a file, see `db.queries.agreeing`
    first_finding_id: Mapped[int | None]  # of the finding of rank 0
    reserved_ids: Mapped[int | None]  # ids from there on that are of this round
    findings_in_file: Mapped[int | None]  # written, with a row or without


class FoldRunRow(Base):
    """One fold of a round and how far it is; a write of an older attempt than `attempt` is refused."""

    __tablename__ = "fold_run"
    __table_args__ = (UniqueConstraint("round_id", "fold"),)
    id: Mapped[primary_key]
    round_id: Mapped[round_ref]
    fold: Mapped[int]
    attempt: Mapped[int]
    status: Mapped[JobStatus]
    stage: Mapped[str] = mapped_column(String(80), default="")
    epoch: Mapped[int] = mapped_column(default=0)
    epochs: Mapped[int] = mapped_column(default=0)
    fraction: Mapped[float] = mapped_column(default=0.0)
    loss: Mapped[float | None]
    accuracy: Mapped[float | None]
    images_per_second: Mapped[float | None]
    batch_size: Mapped[int | None]
    message: Mapped[str] = mapped_column(default="")
    model_hash: Mapped[str | None] = mapped_column(String(32))  # of the trained network that is kept, if it is
    started_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class ShardRunRow(Base):
    """One shard of a round's images and how far its embedding is; a round of one shard has none.

    A write of an older attempt than `attempt` is refused.
    """

    __tablename__ = "shard_run"
    __table_args__ = (UniqueConstraint("round_id", "shard"),)
    id: Mapped[primary_key]
    round_id: Mapped[round_ref]
    shard: Mapped[int]
    attempt: Mapped[int]
    status: Mapped[JobStatus]
    stage: Mapped[str] = mapped_column(String(80), default="")
    fraction: Mapped[float] = mapped_column(default=0.0)
    images_per_second: Mapped[float | None]
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
