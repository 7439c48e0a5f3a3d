"""The few lines the engine replays after a crash: which step follows which. Everything else is in `workplace`.

Change the order of steps only together with `APPLICATION_VERSION`: an unfinished job is replayed from its beginning,
and the steps it has done are skipped by their number.
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
)
from app.worker.workplace import Workplace

RECOVERIES = 20  # a job that outlives more crashes of its worker than this is likely their cause
POLL_SECONDS = 0.5


def register_workflows(place: Workplace) -> None:
    """Tell the engine what to run under which name; before it is launched."""

    @DBOS.workflow(name=FOLD_WORKFLOW, max_recovery_attempts=RECOVERIES)
    async def fold_workflow(round_id: int, fold: int) -> None:
        await _step("train", place.train, round_id, fold)

    @DBOS.workflow(name=ROUND_WORKFLOW, max_recovery_attempts=RECOVERIES)
    async def round_workflow(round_id: int, folds: int) -> None:
        await _step("open_round", place.open_round, round_id)
        handles = []
        for fold in range(folds):  # ids that follow from the round: a replay finds the same jobs
            # the round asked for first is the one that ends first, whichever opened first
            with SetWorkflowID(fold_job(round_id, fold)), SetEnqueueOptions(priority=round_id):
                handles.append(await DBOS.enqueue_workflow_async(FOLDS, fold_workflow, round_id, fold))
        for handle in handles:
            await handle.get_result()
        await _step("close_round", place.close_round, round_id)

    @DBOS.workflow(name=IMPORT_WORKFLOW, max_recovery_attempts=RECOVERIES)
    async def import_workflow(import_id: int) -> None:
        await _step("run_import", place.run_import, import_id)

    @DBOS.workflow(name=EXPORT_WORKFLOW, max_recovery_attempts=RECOVERIES)
    async def export_workflow(export_id: int) -> None:
        await _step("run_export", place.run_export, export_id)


def register_queues() -> None:
    """Say how much of what runs at once on one worker; after the engine's launch."""
    DBOS.register_queue(ROUNDS, polling_interval_sec=POLL_SECONDS)  # a round mostly waits for its folds
    DBOS.register_queue(FOLDS, worker_concurrency=1, polling_interval_sec=POLL_SECONDS)
    DBOS.register_queue(FILES, worker_concurrency=1, polling_interval_sec=POLL_SECONDS)


async def _step(name: str, work: Callable[..., Awaitable[None]], *arguments: int) -> None:
    """Do one step; a cancelled job's step ends while it runs."""
    options: StepOptions = {"name": name, "preemptible": True}
    await DBOS.run_step_async(options, work, *arguments)
