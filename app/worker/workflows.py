"""Workflows of the engine: the order of steps, which it replays after a crash. `WorkerProcesses` does the work.

Change the order of steps only together with `APPLICATION_VERSION`: an unfinished job is replayed from its beginning,
and finished steps are skipped by their number. A step may return more than before: a job started by an earlier release
is replayed with its former result. So a round opened without shards keeps its order of steps.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, StepOptions

from app.services.jobs import (
    EXPORT_WORKFLOW,
    FILES,
    FOLD_WORKFLOW,
    FOLDS,
    IMPORT_WORKFLOW,
    ROUND_WORKFLOW,
    ROUNDS,
    SHARD_WORKFLOW,
    fold_job,
    round_job,
    shard_job,
)
from app.worker.worker_processes import WorkerProcesses

RECOVERIES = 20  # a job is likely the cause of more crashes than this
POLL_SECONDS = 0.5
T = TypeVar("T")


def register_workflows(processes: WorkerProcesses) -> None:
    """Register the workflows under their names; before the engine is launched."""

    @DBOS.workflow(name=SHARD_WORKFLOW, max_recovery_attempts=RECOVERIES)
    async def shard_workflow(round_id: int, shard: int) -> None:
        await _step("embed", processes.embed, round_id, shard)

    @DBOS.workflow(name=FOLD_WORKFLOW, max_recovery_attempts=RECOVERIES)
    async def fold_workflow(round_id: int, fold: int) -> None:
        await _step("train", processes.train, round_id, fold)

    @DBOS.workflow(name=ROUND_WORKFLOW, max_recovery_attempts=RECOVERIES)
    async def round_workflow(round_id: int, folds: int) -> None:
        shards = await _step("open_round", processes.open_round, round_id) or 0
        job = DBOS.workflow_id or round_job(round_id)
        await _run_all(shard_workflow, round_id, [shard_job(job, shard) for shard in range(shards)])
        await _run_all(fold_workflow, round_id, [fold_job(job, fold) for fold in range(folds)])
        await _step("close_round", processes.close_round, round_id)

    @DBOS.workflow(name=IMPORT_WORKFLOW, max_recovery_attempts=RECOVERIES)
    async def import_workflow(import_id: int) -> None:
        await _step("run_import", processes.run_import, import_id)

    @DBOS.workflow(name=EXPORT_WORKFLOW, max_recovery_attempts=RECOVERIES)
    async def export_workflow(export_id: int) -> None:
        await _step("run_export", processes.run_export, export_id)


def register_queues() -> None:
    """Register the queues and their concurrency per worker; after the engine's launch."""
    DBOS.register_queue(ROUNDS, polling_interval_sec=POLL_SECONDS)  # a round mostly waits for its folds
    DBOS.register_queue(FOLDS, worker_concurrency=1, polling_interval_sec=POLL_SECONDS)
    DBOS.register_queue(FILES, worker_concurrency=1, polling_interval_sec=POLL_SECONDS)


async def _run_all(workflow: Callable[[int, int], Coroutine[Any, Any, None]], round_id: int, jobs: list[str]) -> None:
    """Run the jobs of a round's pieces in any workers, and wait until all have ended."""
    handles = []
    for number, job in enumerate(jobs):  # ids derived from the round: a replay finds the same jobs
        # the round that was started first ends first, even if another one opened before it
        with SetWorkflowID(job), SetEnqueueOptions(priority=round_id):
            handles.append(await DBOS.enqueue_workflow_async(FOLDS, workflow, round_id, number))
    for handle in handles:
        await handle.get_result()


async def _step(name: str, work: Callable[..., Coroutine[Any, Any, T]], *arguments: int) -> T:
    """Run one step and return its result; cancelling its job ends it."""
    options: StepOptions = {"name": name, "preemptible": True}
    return await DBOS.run_step_async(options, work, *arguments)
