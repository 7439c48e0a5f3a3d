"""Texts of a running round."""

from dataclasses import replace
from datetime import UTC, datetime

from app.components.job_progress import cancelled_notice, fold_strip, headline
from app.services.app_context import AppContext
from app.services.rounds import jobs as rounds
from app.services.rounds.jobs import RoundProgress, ShardRun
from app.services.workers import WorkerState
from core.config import RoundConfig
from core.types import JobStatus, Recipe
from db.queries.workers import WorkerInfo
from tests.app.small import add_dataset


def at_work(app_context: AppContext, *statuses: JobStatus) -> RoundProgress:
    """Return the progress of a running round with shards of these statuses."""
    started = rounds.start_round(app_context, add_dataset(app_context, [0, 1] * 5), RoundConfig(folds=2), "ada")
    seen, now = rounds.progress(app_context, started.id), datetime.now(UTC)
    shards = [
        ShardRun(number, 1, status, "", 0.5, None, "", None, None, None) for number, status in enumerate(statuses)
    ]
    worker = WorkerState([WorkerInfo("gpu:0", 1, "CPU", "", now, now)], [], 0.0)
    running = replace(seen.round, status=JobStatus.RUNNING, stage="embedding")
    return replace(seen, round=running, worker=worker, shards=shards)


def test_a_round_shows_its_finished_shards_and_those_kept_on_cancel(app_context: AppContext) -> None:
    done, running, queued = JobStatus.DONE, JobStatus.RUNNING, JobStatus.QUEUED
    seen = at_work(app_context, done, running, running, queued)
    assert headline(seen) == "embedding, 1 of 4 shards done, 2 running"
    assert cancelled_notice(seen) == "1 of 4 shards is done and stays; you can resume it."
    assert "1 of 4 shards done" in fold_strip(seen.folds, Recipe.CROSS_FOLD, seen.shards)
    after = replace(seen, shards=[replace(one, status=done) for one in seen.shards])
    assert cancelled_notice(after) == "No fold is done yet; you can resume it."
    assert "shard" not in fold_strip(seen.folds, Recipe.CROSS_FOLD)
