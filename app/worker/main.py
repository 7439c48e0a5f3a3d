"""The worker, `python -m app worker`: a light process that takes jobs from the engine and runs them in children.

It may be killed at any moment: started again in the same slot, it resumes its jobs. It never imports torch.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from logging.handlers import RotatingFileHandler

from dbos import DBOS, DBOSConfig

from app.logs import configure_logs, formatter
from app.services import jobs
from app.services.app_context import open_app
from app.services.faults import file_errors
from app.settings import Settings, settings
from app.worker.children import watch_parent
from app.worker.slot import Heartbeat, slot_name, take_slot
from app.worker.worker_processes import WorkerProcesses
from app.worker.workflows import register_queues, register_workflows
from core.data.storage import CHECK, remove_abandoned
from core.types import OutfoldError, RoundError
from db.faults import storage_errors

log = logging.getLogger("outfold.worker")

LOG_BYTES, LOG_FILES = 2_000_000, 3
GRACE_SECONDS = 5.0
FAILED, ALREADY_RUNNING = 1, 4  # exit codes


def run(chosen: Settings, *, ends_with_parent: bool = False) -> None:
    """Work until SIGTERM, SIGINT or the parent's end, then exit at once: jobs resume at the next start.

    Raises:
        RoundError: another worker holds the slot.
        StorageError: the home, the log or a database cannot be used.
    """
    app_context = open_app(chosen)
    slot = take_slot(chosen)
    _log_to_file(chosen)
    remove_abandoned(chosen.files, CHECK)
    end = threading.Event()
    if ends_with_parent:
        watch_parent(lambda _line: None, end.set, GRACE_SECONDS)
    processes = WorkerProcesses(app_context)
    _launch_engine(chosen, processes)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    heartbeat = Heartbeat(app_context, processes)
    heartbeat.start()
    log.info("worker %s is ready in slot %s", os.getpid(), slot_name(chosen))
    end.wait()
    heartbeat.stop()
    log.info("worker %s ends", os.getpid())
    logging.shutdown()
    slot.lock.release()
    os._exit(0)  # jobs survive a kill; a slow shutdown would report them as failed to the engine


def _launch_engine(chosen: Settings, processes: WorkerProcesses) -> None:
    jobs.prepare_engine(chosen.dbos_url)
    config: DBOSConfig = {
        "name": jobs.APPLICATION,
        "system_database_url": chosen.dbos_url,
        "executor_id": slot_name(chosen),
        "application_version": jobs.APPLICATION_VERSION,
        "log_level": "WARNING",
    }
    DBOS(config=config)
    _filter_engine_log()
    register_workflows(processes)
    with storage_errors(chosen.dbos_url):
        DBOS.launch()
        register_queues()


def _log_to_file(chosen: Settings) -> None:
    with file_errors(str(chosen.worker_log)):
        file = RotatingFileHandler(chosen.worker_log, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    logging.raiseExceptions = False  # no traceback for each line that a full disk refuses
    file.setFormatter(formatter(chosen, logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")))
    root = logging.getLogger()
    root.addHandler(file)
    configure_logs(chosen)
    root.setLevel(logging.WARNING)
    log.setLevel(logging.INFO)


def _filter_engine_log() -> None:
    """Send the engine's messages to the worker's log, except for errors about cancelled jobs."""
    engine = logging.getLogger("dbos")
    engine.handlers.clear()
    engine.propagate = True
    engine.addFilter(lambda record: not _is_about_cancelled(f"{record.getMessage()} {record.exc_info}"))


def _is_about_cancelled(text: str) -> bool:
    return "cancelled" in text.lower() or "no longer owned" in text


def main() -> None:
    """Run the worker from the command line of `app.worker.embedded`."""
    parser = argparse.ArgumentParser(prog="python -m app.worker.main")
    parser.add_argument("--ends-with-parent", action="store_true", help="stop when standard input ends")
    arguments = parser.parse_args()
    try:
        run(settings(), ends_with_parent=arguments.ends_with_parent)
    except OutfoldError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(ALREADY_RUNNING if isinstance(error, RoundError) else FAILED)


if __name__ == "__main__":
    main()
