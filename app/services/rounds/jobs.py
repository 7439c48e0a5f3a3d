"""Rounds: proposal, progress, cancellation, lists and comparison.

A round is a row; the worker runs it (`app.worker`). A refusal at the start names the cure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.services import jobs
from app.services.app_context import AppContext
from app.services.recipes import RECIPES
from app.services.reviews.precision import WrongLabels, wrong_labels
from app.services.rounds.insight import mean_iou_so_far
from app.services.rounds.request import model_names, refuse_folds, start_round
from app.services.workers import WorkerState, has_gpu, worker_state
from core.config import DatasetSummary, RoundConfig, proposals
from core.judge.confusions import merged_metrics
from core.recipes.iterated.ceiling import Ceiling
from core.recipes.iterated.progress import StageScore
from core.types import FindingKind, JobStatus, RoundError, Status, Task, work_done
from db.queries import evaluation, findings, rounds, snapshots
from db.queries.evaluation import Split
from db.queries.rounds import WAITING, FoldRun, RoundInfo, ShardRun

_TELLING = 0.1  # share of a fold from which on its own speed predicts better than that of finished folds
UNVERIFIED = frozenset({"estimated_errors", "estimated_error_rate", "proposed_threshold"})  # metrics

__all__ = [
    "WAITING",
    "FoldRun",
    "RoundComparison",
    "RoundInfo",
    "RoundProgress",
    "RoundProposal",
    "ShardRun",
    "refuse_folds",
    "start_round",
]


@dataclass(frozen=True, slots=True)
class RoundProposal:
    """Configs that suit a dataset, best first, with their reason, the kind of its labels, and its splits."""

    task: Task
    configs: tuple[RoundConfig, ...]
    images: str  # their size in pixels, and whether they are coloured
    models: tuple[str, ...]
    splits: tuple[Split, ...]
    remembered: RoundConfig | None = None  # of the last round, if its network or weights were chosen differently

    @property
    def config(self) -> RoundConfig:
        """The first choice."""
        return self.configs[0]


@dataclass(frozen=True, slots=True)
class RoundProgress:
    """Progress of a round; `ahead` unfinished rounds were started before it, `seconds_left` is None while unknown.

    `mean_iou` is of the finished folds, None before the first and for classes; `scores` are of the finished networks
    of teacher and student, `ceiling` is that of a former round trained on nearly all labels, if any.
    """

    round: RoundInfo
    folds: list[FoldRun]
    worker: WorkerState
    ahead: int
    fraction: float
    seconds_left: float | None
    mean_iou: float | None
    scores: list[StageScore] = field(default_factory=list)
    ceiling: Ceiling | None = None
    shards: list[ShardRun] = field(default_factory=list)

    @property
    def is_at_work(self) -> bool:
        """Return whether a worker runs it; otherwise it is queued."""
        return self.round.status is JobStatus.RUNNING and self.round.stage != WAITING and self.worker.is_alive

    @property
    def current(self) -> FoldRun | None:
        """Return the running fold."""
        return next((fold for fold in self.folds if fold.status is JobStatus.RUNNING), None)

    @property
    def current_shards(self) -> list[ShardRun]:
        """Return the running shards."""
        return [shard for shard in self.shards if shard.status is JobStatus.RUNNING]

    @property
    def shards_done(self) -> int:
        """Return the number of finished shards."""
        return sum(shard.status is JobStatus.DONE for shard in self.shards)


@dataclass(frozen=True, slots=True)
class RoundComparison:
    """One finished round for comparison: its findings, how many are decided, and its metrics.

    `proposed` counts suggestions for unlabelled images or regions; the rest contradicts labels. `wrong` estimates, by
    random samples, the wrong labels; None if it judges none.
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
        """Return the measured metrics, without the model's own estimates."""
        return {
            name: value
            for name, value in self.metrics.items()
            if isinstance(value, int | float) and name not in UNVERIFIED
        }

    @property
    def model_count(self) -> int | None:
        """Return the model's own, unverified count of wrong labels or regions."""
        return self.metrics.get("estimated_errors")

    @property
    def looked_for(self) -> tuple[int, int]:
        """Return the number of findings of the round's main kind, and of the decided ones."""
        if self.round.recipe.proposes:
            return self.proposed, self.proposed_decided
        return self.suspicious, self.decided

    @property
    def seconds(self) -> float | None:
        """Return the duration in seconds."""
        return duration(self.round)


def propose(app_context: AppContext, dataset_id: int) -> RoundProposal:
    """Return the initial values of the form of a new round, proposed for the dataset's images.

    Raises:
        RoundError: there is no such dataset, or it has no images.
    """
    with app_context.database.read() as session:
        name, classes = snapshots.dataset_of(session, dataset_id)
        sizes = snapshots.image_sizes(session, dataset_id)
        task = snapshots.task_of(session, dataset_id)
        apart = snapshots.count_separable(session, dataset_id)
        splits = evaluation.splits(session, dataset_id)
        last = next((info for info in rounds.list_rounds(session, dataset_id) if info.recipe.in_folds), None)
    if not sizes:
        raise RoundError(f"{name} has no images", "import some first")
    width, height = median_size(sizes)
    summary = DatasetSummary(
        width=width,
        height=height,
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
    return RoundProposal(task, proposed, images, model_names(task), tuple(splits), remembered)


def _network(config: RoundConfig) -> tuple[str, str, str]:
    """Return the values that identify a network: model, weights, file."""
    return config.model, config.weights, config.weights_file


def propose_config(app_context: AppContext, dataset_id: int) -> RoundConfig:
    """Return only the proposed config."""
    return propose(app_context, dataset_id).config


def cancel_round(app_context: AppContext, round_id: int) -> bool:
    """Stop a round; False if it had ended already."""
    with app_context.database.write() as session:
        stopped = rounds.end_round(session, round_id, JobStatus.CANCELLED, "", datetime.now(UTC))
    if stopped:
        jobs.cancel_round(app_context, round_id)
    return stopped


def get_round(app_context: AppContext, round_id: int) -> RoundInfo:
    """Return a round, or raise `RoundError`."""
    with app_context.database.read() as session:
        return rounds.get_round(session, round_id)


def list_rounds(app_context: AppContext, dataset_id: int | None = None) -> list[RoundInfo]:
    """Return the rounds of one dataset, or of all, newest first."""
    with app_context.database.read() as session:
        return rounds.list_rounds(session, dataset_id)


def metrics(app_context: AppContext, round_id: int) -> dict[str, Any] | None:
    """Return the metrics of a finished round, None before."""
    with app_context.database.read() as session:
        return rounds.metrics_of(session, round_id)


def classes_of(app_context: AppContext, dataset_id: int) -> list[str]:
    """Return the names of a dataset's classes."""
    with app_context.database.read() as session:
        return snapshots.dataset_of(session, dataset_id)[1]


def progress(app_context: AppContext, round_id: int) -> RoundProgress:
    """Return the progress of a round and whether a worker runs it."""
    with app_context.database.read() as session:
        info = rounds.get_round(session, round_id)
        folds = rounds.folds_of(session, round_id)
        in_shards = rounds.shards_of(session, round_id)
        waiting = rounds.unfinished_rounds(session)
    ahead = sum(other.id < round_id for other in waiting)
    done = work_done(_share_done(folds), _share_done(in_shards) if in_shards else None)
    fraction = 1.0 if info.status is JobStatus.DONE else done
    left = None if info.status.ended else round_seconds_left(folds, in_shards, datetime.now(UTC))
    mean_iou = mean_iou_so_far(app_context, round_id, folds)
    stages = RECIPES[info.recipe].stages(info, app_context.round_folder(round_id))
    worker = worker_state(app_context)
    return RoundProgress(info, folds, worker, ahead, fraction, left, mean_iou, stages.scores, stages.ceiling, in_shards)


def compare(app_context: AppContext, round_ids: Iterable[int]) -> list[RoundComparison]:
    """Return these rounds for comparison, in the requested order, without unfinished ones."""
    compared = []
    with app_context.database.read() as session:
        totals = rounds.finding_totals(session, round_ids := list(round_ids))
        for round_id in round_ids:
            measured = rounds.metrics_of(session, round_id)
            if measured is None:
                continue
            counts = totals.get(round_id, {})
            suspicious, decided = _of_kind(counts, FindingKind.SUSPICIOUS)
            proposed, of_proposed = _of_kind(counts, FindingKind.UNLABELLED)
            info, in_round = rounds.get_round(session, round_id), findings.find_round(session, round_id)
            if in_round is not None:
                measured = _of_offered(merged_metrics(measured, in_round.class_state))
            wrong = wrong_labels(app_context, session, in_round) if in_round and info.recipe.finds else None
            compared.append(RoundComparison(info, suspicious, decided, proposed, of_proposed, wrong, measured))
    return compared


def _of_offered(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return metrics with rows of only the offered classes."""
    if "per_class" not in metrics:
        return metrics
    return {**metrics, "per_class": [row for row in metrics["per_class"] if row.get("class") in metrics["offered"]]}


def _of_kind(counts: Mapping[tuple[int, int], int], wanted: FindingKind) -> tuple[int, int]:
    """Return the number of findings of a kind, and of the decided ones."""
    of_kind = {status: count for (kind, status), count in counts.items() if kind == wanted}
    return sum(of_kind.values()), sum(count for status, count in of_kind.items() if Status(status).settled)


def duration(info: RoundInfo, now: datetime | None = None) -> float | None:
    """Return the seconds a round took, or has taken until `now`, without pauses; None before it started."""
    end = info.finished_at or now
    if info.started_at is None or end is None:
        return None
    return (end - info.started_at).total_seconds() - float((info.versions or {}).get(rounds.PAUSED, 0.0))


def round_seconds_left(folds: list[FoldRun], in_shards: list[ShardRun], now: datetime) -> float | None:
    """Return the remaining seconds of a round, None without data.

    Until its shards are done, only their time, divided by the number of running ones, since nothing is known
    of the folds, which take far less time.
    """
    if all(map(_is_done, in_shards)):
        return seconds_left(folds, now)
    left = seconds_left(in_shards, now)
    at_once = sum(shard.status is JobStatus.RUNNING for shard in in_shards)
    return None if left is None else left / max(1, at_once)


def seconds_left(folds: Sequence[FoldRun | ShardRun], now: datetime) -> float | None:
    """Return the remaining seconds of folds, or shards, one after another; it decreases with every second.

    None without data. A fold takes as long as the mean of the finished ones, the running one as long as its
    reported progress suggests. Reports are rare, so a fold's time is estimated at its last report.
    """
    took = [
        (fold.finished_at - fold.started_at).total_seconds()
        for fold in folds
        if _is_done(fold) and fold.started_at and fold.finished_at
    ]
    shown = [_whole_seconds(fold, now) for fold in folds if fold.status is JobStatus.RUNNING and fold.fraction > 0]
    known = took or [seconds for seconds in shown if seconds is not None]
    if not known:
        return None
    each = sum(known) / len(known)
    return sum(_left_of(fold, each, now) for fold in folds if not _is_done(fold))


def _left_of(fold: FoldRun | ShardRun, each: float, now: datetime) -> float:
    """Return the remaining seconds of an unfinished fold, if one takes `each` seconds."""
    if fold.status is not JobStatus.RUNNING or fold.started_at is None:
        return each
    own = _whole_seconds(fold, now) if fold.fraction >= _TELLING else None
    return max(0.0, (each if own is None else own) - (now - fold.started_at).total_seconds())


def _whole_seconds(fold: FoldRun | ShardRun, now: datetime) -> float | None:
    """Return the total seconds of a running fold, by its progress at its last report."""
    if fold.started_at is None:
        return None
    return ((fold.updated_at or now) - fold.started_at).total_seconds() / fold.fraction


def _is_done(fold: FoldRun | ShardRun) -> bool:
    return fold.status is JobStatus.DONE


def _share_done(pieces: Sequence[FoldRun | ShardRun]) -> float:
    return sum(1.0 if _is_done(piece) else piece.fraction for piece in pieces) / max(1, len(pieces))


def median_size(sizes: Iterable[tuple[int, int, bool, int]]) -> tuple[int, int]:
    """Return the median width and height of images by (width, height, grey, count)."""
    sizes = list(sizes)
    return _median((width, count) for width, _, _, count in sizes), _median(
        (height, count) for _, height, _, count in sizes
    )


def _median(values: Iterable[tuple[int, int]]) -> int:
    """Return the middle of (value, count) pairs."""
    ordered = sorted(values)
    middle, seen = sum(count for _, count in ordered) / 2, 0
    for value, count in ordered:
        seen += count
        if seen >= middle:
            return value
    return 0
