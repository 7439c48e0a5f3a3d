"""Workflows of the engine: the order of steps, which it replays after a crash. `WorkerProcesses` does the work.

Change the order of steps only together with `APPLICATION_VERSION`: an unfinished job is replayed from its beginning,
and finished steps are skipped by their number.
"""

from collections.abc import Awaitable, Callable

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, StepOptions

from app.services.jobs import (
    EXPORT_WORKFLOW,
    FILES,
    FOLD_WORKFLOW,
    FOLDS,
    IMPORT_WORKFLOW,
    ROUND_WORKFLOW,
    ROUNDS,
    fold_job,
    round_job,
)
from app.worker.worker_processes import WorkerProcesses

RECOVERIES = 20  # a job whose worker crashed more often than this is likely the cause
POLL_SECONDS = 0.5


def register_workflows(processes: WorkerProcesses) -> None:
    """Register the workflows under their names; before the engine is launched."""

    @DBOS.workflow(name=FOLD_WORKFLOW, max_recovery_attempts=RECOVERIES)
    async def fold_workflow(round_id: int, fold: int) -> None:
        await _step("train", processes.train, round_id, fold)

    @DBOS.workflow(name=ROUND_WORKFLOW, max_recovery_attempts=RECOVERIES)
    async def round_workflow(round_id: int, folds: int) -> None:
        await _step("open_round", processes.open_round, round_id)
        handles = []
        job = DBOS.workflow_id or round_job(round_id)
        for fold in range(folds):  # ids derived from the round: a replay finds the same jobs
            # the round that was started first ends first, even if another one opened before it
            with SetWorkflowID(fold_job(job, fold)), SetEnqueueOptions(priority=round_id):
                handles.append(await DBOS.enqueue_workflow_async(FOLDS, fold_workflow, round_id, fold))
        for handle in handles:
            await handle.get_result()
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


async def _step(name: str, work: Callable[..., Awaitable[None]], *arguments: int) -> None:
    """Run one step; the cancellation of its job ends it."""
    options: StepOptions = {"name": name, "preemptible": True}
    await DBOS.run_step_async(options, work, *arguments)
