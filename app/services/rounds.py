"""Rounds as people meet them: start, watch, cancel, look back, compare.

A round is a row; the worker does it (`app.worker`). What is refused at the start says what to do about it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.services import jobs
from app.services.insight import mean_iou_so_far
from app.services.models import model_names
from app.services.reviews.precision import WrongLabels, wrong_labels
from app.services.starting import start_round
from app.services.workers import WorkerState, has_gpu, worker_state
from app.services.workspace import Workspace
from core.config import ImageSummary, RoundConfig, proposals
from core.types import FindingKind, Recipe, RoundError, RoundStatus, Status, Task
from db.queries import evaluation, rounds, snapshots
from db.queries import folds as fold_rows
from db.queries import reviews as reviewed
from db.queries.evaluation import Split
from db.queries.folds import FoldRun
from db.queries.rounds import RoundInfo

UNVERIFIED = frozenset({"estimated_errors", "estimated_error_rate", "proposed_threshold"})  # metrics

__all__ = ["Comparison", "FoldRun", "Proposal", "RoundInfo", "RoundProgress", "start_round"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """The configs that suit a dataset, the first choice first, what they suit, the kind of its labels, its splits."""

    task: Task
    configs: tuple[RoundConfig, ...]
    images: str  # how many pixels they have, and whether colour
    models: tuple[str, ...]
    splits: tuple[Split, ...]
    remembered: RoundConfig | None = None  # of the last round, where its network or weights were another choice

    @property
    def config(self) -> RoundConfig:
        """The first choice."""
        return self.configs[0]


@dataclass(frozen=True, slots=True)
class RoundProgress:
    """Progress of a round; `ahead` unfinished rounds were started before it, `seconds_left` is None while unknown.

    `mean_iou` is of the folds that are done, None before and where labels are no masks.
    """

    round: RoundInfo
    folds: list[FoldRun]
    worker: WorkerState
    ahead: int
    fraction: float
    seconds_left: float | None
    mean_iou: float | None

    @property
    def current(self) -> FoldRun | None:
        """Return the fold at work."""
        return next((fold for fold in self.folds if fold.status is RoundStatus.RUNNING), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One finished round beside others: what it found, how much of that is decided, and what it measured.

    `proposed` counts suggestions for unlabelled images or regions; the rest contradicts labels. `wrong` is what
    random samples tell of wrong labels, None where it judges none.
    """

    round: RoundInfo
    suspicious: int
    decided: int
    proposed: int
    proposed_decided: int
    wrong: WrongLabels | None
    metrics: dict[str, Any]

    @property
    def numbers(self) -> dict[str, int | float]:
        """Return the figures it measured, without what the model merely believes."""
        return {
            name: value
            for name, value in self.metrics.items()
            if isinstance(value, int | float) and name not in UNVERIFIED
        }

    @property
    def model_count(self) -> int | None:
        """Return the wrong labels, or regions, that the model itself counts, unverified."""
        return self.metrics.get("estimated_errors")

    @property
    def looked_for(self) -> tuple[int, int]:
        """Return how much it found of what it is for, and how much of that is decided."""
        if self.round.recipe.proposes:
            return self.proposed, self.proposed_decided
        return self.suspicious, self.decided

    @property
    def seconds(self) -> float | None:
        """Return how long it took."""
        return duration(self.round)


def propose(workspace: Workspace, dataset_id: int) -> Proposal:
    """Return what the form of a new round begins with, decided from the dataset's images.

    Raises:
        RoundError: there is no such dataset, or it has no images.
    """
    with workspace.database.read() as session:
        name, classes = snapshots.dataset_of(session, dataset_id)
        sizes = snapshots.image_sizes(session, dataset_id)
        task = snapshots.task_of(session, dataset_id)
        apart = snapshots.count_apart(session, dataset_id)
        splits = evaluation.splits(session, dataset_id)
        last = next(
            (info for info in rounds.list_rounds(session, dataset_id) if info.recipe is Recipe.CROSS_FOLD), None
        )
    if not sizes:
        raise RoundError(f"{name} has no images; import some first")
    summary = ImageSummary(
        width=_median((width, count) for width, _, _, count in sizes),
        height=_median((height, count) for _, height, _, count in sizes),
        grey=all(grey for _, _, grey, _ in sizes),
        count=sum(count for *_, count in sizes),
        classes=len(classes),
        groups=apart,
        gpu=has_gpu(),
    )
    colour = "grey" if summary.grey else "colour"
    images = f"{summary.width} x {summary.height} {colour} images"
    proposed = tuple(proposals(summary, task))
    remembered = None if last is None else RoundConfig.from_json(last.config)
    if remembered is not None and _network(remembered) in map(_network, proposed):
        remembered = None
    return Proposal(task, proposed, images, model_names(task), tuple(splits), remembered)


def _network(config: RoundConfig) -> tuple[str, str, str]:
    """Return what a person chose of a network."""
    return config.model, config.weights, config.weights_file


def propose_config(workspace: Workspace, dataset_id: int) -> RoundConfig:
    """Return only the proposed config."""
    return propose(workspace, dataset_id).config


def cancel_round(workspace: Workspace, round_id: int) -> bool:
    """Stop a round; False when it had ended already."""
    with workspace.database.write() as session:
        stopped = rounds.end_round(session, round_id, RoundStatus.CANCELLED, "", datetime.now(UTC))
    if stopped:
        jobs.cancel_round(workspace, round_id)
    return stopped


def get_round(workspace: Workspace, round_id: int) -> RoundInfo:
    """Return a round, or raise `RoundError`."""
    with workspace.database.read() as session:
        return rounds.get_round(session, round_id)


def list_rounds(workspace: Workspace, dataset_id: int | None = None) -> list[RoundInfo]:
    """Return the rounds of one dataset, or of all, newest first."""
    with workspace.database.read() as session:
        return rounds.list_rounds(session, dataset_id)


def metrics(workspace: Workspace, round_id: int) -> dict[str, Any] | None:
    """Return what a finished round measured, None before."""
    with workspace.database.read() as session:
        return rounds.metrics_of(session, round_id)


def classes_of(workspace: Workspace, dataset_id: int) -> list[str]:
    """Return the names of a dataset's classes."""
    with workspace.database.read() as session:
        return snapshots.dataset_of(session, dataset_id)[1]


def progress(workspace: Workspace, round_id: int) -> RoundProgress:
    """Return the progress of a round and whether a worker is at it."""
    with workspace.database.read() as session:
        info = rounds.get_round(session, round_id)
        folds = fold_rows.folds_of(session, round_id)
        waiting = rounds.unfinished_rounds(session)
    ahead = sum(other.id < round_id for other in waiting)
    done = sum(1.0 if fold.status is RoundStatus.DONE else fold.fraction for fold in folds)
    fraction = 1.0 if info.status is RoundStatus.DONE else done / max(1, len(folds))
    left = None if info.status.ended else seconds_left(folds, datetime.now(UTC))
    mean_iou = mean_iou_so_far(workspace, round_id, folds)
    return RoundProgress(info, folds, worker_state(workspace), ahead, fraction, left, mean_iou)


def compare(workspace: Workspace, round_ids: Iterable[int]) -> list[Comparison]:
    """Return these rounds side by side, in the order asked for; unfinished ones are left out."""
    compared = []
    with workspace.database.read() as session:
        totals = rounds.finding_totals(session, round_ids := list(round_ids))
        for round_id in round_ids:
            measured = rounds.metrics_of(session, round_id)
            if measured is None:
                continue
            counts = totals.get(round_id, {})
            suspicious, decided = _of_kind(counts, FindingKind.SUSPICIOUS)
            proposed, of_proposed = _of_kind(counts, FindingKind.UNLABELLED)
            info, in_round = rounds.get_round(session, round_id), reviewed.find_round(session, round_id)
            wrong = wrong_labels(workspace, session, in_round) if in_round and info.recipe.finds else None
            compared.append(Comparison(info, suspicious, decided, proposed, of_proposed, wrong, measured))
    return compared


def _of_kind(counts: Mapping[tuple[int, int], int], wanted: FindingKind) -> tuple[int, int]:
    """Return how many findings of a kind there are, and how many of them are decided."""
    of_kind = {status: count for (kind, status), count in counts.items() if kind == wanted}
    return sum(of_kind.values()), sum(count for status, count in of_kind.items() if Status(status).settled)


def duration(info: RoundInfo, now: datetime | None = None) -> float | None:
    """Return the seconds a round took, or has taken up to `now`; None before it began."""
    end = info.finished_at or now
    return None if info.started_at is None or end is None else (end - info.started_at).total_seconds()


def seconds_left(folds: list[FoldRun], now: datetime) -> float | None:
    """Return how long the folds still take, from how long the finished ones took; None before there is any sign."""
    took = [
        (fold.finished_at - fold.started_at).total_seconds()
        for fold in folds
        if _is_done(fold) and fold.started_at and fold.finished_at
    ]
    shown = [
        (now - fold.started_at).total_seconds() / fold.fraction
        for fold in folds
        if fold.status is RoundStatus.RUNNING and fold.started_at and fold.fraction > 0
    ]
    known = took or shown
    if not known:
        return None
    return sum(known) / len(known) * sum(1.0 - fold.fraction for fold in folds if not _is_done(fold))


def _is_done(fold: FoldRun) -> bool:
    return fold.status is RoundStatus.DONE


def _median(values: Iterable[tuple[int, int]]) -> int:
    """Return the middle of (value, count) pairs."""
    ordered = sorted(values)
    middle, seen = sum(count for _, count in ordered) / 2, 0
    for value, count in ordered:
        seen += count
        if seen >= middle:
            return value
    return 0
