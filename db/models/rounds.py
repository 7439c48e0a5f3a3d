"""Rounds, progress of their folds, their findings, people's decisions on these, and workers."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, SmallInteger, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from core.types import Act, FindingKind, JobStatus, Recipe, Status, Verdict
from db.models.base import Base, annotator_ref, dataset_ref, primary_key, round_ref, sample_ref


class RoundRow(Base):
    """One round: everything needed to run it again (config, snapshot hash, versions), and its results."""

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
    deleted_at: Mapped[datetime | None]  # then no query finds it, see `db.visibility`
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
    """One shard of a round's images and the progress of its embedding; a round without shards has none.

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


class FindingRow(Base):
    """Finding of a round on a sample or a region of its mask: given -> pseudo, confidence, review status.

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
    given: Mapped[int]  # the snapshot's label, NO_LABEL if unlabelled; for a merged class the target of the merge
    pseudo: Mapped[int]  # likewise
    own_given: Mapped[int | None]  # the round's own class before a merge, if different
    own_pseudo: Mapped[int | None]
    confidence: Mapped[float]  # of the pseudo label, calibrated
    percent: Mapped[int] = mapped_column(SmallInteger)  # floor(100 * confidence)
    self_confidence: Mapped[float]  # of the given label, calibrated
    margin: Mapped[float]  # normalized margin of the given label
    fold: Mapped[int]
    split: Mapped[str] = mapped_column(String(40), default="")
    top: Mapped[list[list[float]]]  # the five likeliest as [class, probability]
    similarity_rank: Mapped[int | None]  # place in the order by similarity
    contradicting: Mapped[int | None] = mapped_column(SmallInteger)  # networks against the label, of several in a round
    status: Mapped[Status] = mapped_column(default=Status.OPEN, server_default=text("0"))
    label: Mapped[int | None]  # the decided class, None while open or without a usable label
    annotator_id: Mapped[int | None] = mapped_column(ForeignKey("annotator.id"))
    # of a region of a mask; None if the label is a class
    x: Mapped[int | None]  # of the box around it, in pixels
    y: Mapped[int | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    area: Mapped[int | None]
    region: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)  # `core.types.Region.to_bytes`
    painted: Mapped[bool] = mapped_column(default=False, server_default=false())  # every pixel of it, by edits
    decision_id: Mapped[int | None]  # the winning decision; no foreign key, the two refer to each other


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


class MadeFindingRow(Base):
    """Rank of a finding that is in its round's file and has a row by now; rows are only ever added."""

    __tablename__ = "made_finding"
    __table_args__ = (Index("ix_made_finding_round_id", "round_id"),)
    id: Mapped[primary_key]
    round_id: Mapped[round_ref]
    rank: Mapped[int]


class FindingCountRow(Base):
    """Number of findings that share these values: every count on the review page is a sum over these rows."""

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
        Index("ix_changeset_audit_id", "audit_id"),
    )
    id: Mapped[primary_key]
    dataset_id: Mapped[dataset_ref]
    round_id: Mapped[int | None] = mapped_column(ForeignKey("round.id"))  # None: an edit that belongs to no round
    annotator_id: Mapped[annotator_ref]
    act: Mapped[Act]
    target_id: Mapped[int | None] = mapped_column(ForeignKey("changeset.id"))
    live: Mapped[bool]
    size: Mapped[int]  # decisions in it
    note: Mapped[dict[str, Any]]  # the filter, threshold and numbers at that moment
    client_id: Mapped[str | None] = mapped_column(String(64))
    client_seq: Mapped[int | None]
    decided_at: Mapped[datetime]
    audit_id: Mapped[int | None] = mapped_column(ForeignKey("audit.id"))  # the random sample it was judged in


class DecisionRow(Base):
    """One review answer; rows are only ever added. Annotator and time are in its changeset."""

    __tablename__ = "decision"
    __table_args__ = (
        Index("ix_decision_sample_id_finding_id", "sample_id", "finding_id"),
        Index("ix_decision_changeset_id", "changeset_id"),
    )
    id: Mapped[primary_key]
    changeset_id: Mapped[int] = mapped_column(ForeignKey("changeset.id"))
    sample_id: Mapped[sample_ref]
    finding_id: Mapped[int | None] = mapped_column(ForeignKey("finding.id"))  # None: an edit of an image without one
    verdict: Mapped[Verdict]
    label: Mapped[int | None]
    mask_hash: Mapped[str | None] = mapped_column(String(32))  # the whole mask, if it was edited
    mask_base: Mapped[str | None] = mapped_column(String(32))  # the mask that the edit began from


class NoteRow(Base):
    """A person's text on a card; rows are only ever added, an empty text takes the one before back."""

    __tablename__ = "note"
    __table_args__ = (Index("ix_note_sample_id", "sample_id"), Index("ix_note_changeset_id", "changeset_id"))
    id: Mapped[primary_key]
    changeset_id: Mapped[int] = mapped_column(ForeignKey("changeset.id"))
    sample_id: Mapped[sample_ref]
    finding_id: Mapped[int] = mapped_column(ForeignKey("finding.id"))
    text: Mapped[str] = mapped_column(String(500))


class AuditRow(Base):
    """A random sample of a fixed set of findings: the set, its random order, and the claim of a certificate.

    The set holds the findings of a filter that had no verdict when it was fixed. `identity` is a hash of that filter
    without its statuses: the same set is never drawn a second time. `finding_ids` are the ids of the whole set in
    random order, `settled_ids` those left out since people had judged them; both little-endian int64. `levels` counts
    the set by whole percents of confidence, `pixels` sums the areas of its regions likewise.
    """

    __tablename__ = "audit"
    __table_args__ = (UniqueConstraint("round_id", "identity"),)
    id: Mapped[primary_key]
    dataset_id: Mapped[dataset_ref]
    round_id: Mapped[round_ref]
    kind: Mapped[FindingKind]
    identity: Mapped[str] = mapped_column(String(32))
    filter: Mapped[dict[str, Any]]
    threshold: Mapped[float | None]  # None: each class has its own
    size: Mapped[int]
    finding_ids: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    settled_ids: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    levels: Mapped[list[int]]
    pixels: Mapped[list[int] | None]
    seed: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int]  # k for the k-th set of its kind in the round, 1 if it overlaps no earlier one
    alpha: Mapped[float]  # error rate of its certificate
    target: Mapped[str] = mapped_column(String(20))  # exact decimal share of right suggestions that is claimed
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("audit.id"))  # of a quarter: the audit of the whole set
    annotator_id: Mapped[annotator_ref]
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    removed: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # of its set, by removal of their images


class AuditLeaseRow(Base):
    """Lease of a card of an audit to one annotator; void once `until` is over."""

    __tablename__ = "audit_lease"
    __table_args__ = (UniqueConstraint("audit_id", "finding_id"),)
    id: Mapped[primary_key]
    audit_id: Mapped[int] = mapped_column(ForeignKey("audit.id"))
    finding_id: Mapped[int] = mapped_column(ForeignKey("finding.id"))
    annotator_id: Mapped[annotator_ref]
    until: Mapped[datetime]
