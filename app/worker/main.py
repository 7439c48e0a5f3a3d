"""The worker: `python -m app worker`. A light process that asks the engine for jobs and has them done by others.

It may be killed at any moment: started again in the same slot, it goes on where it was. It never imports torch.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from logging.handlers import RotatingFileHandler

from dbos import DBOS, DBOSConfig

from app.services import jobs
from app.services.faults import file_errors
from app.services.workspace import open_workspace
from app.settings import Settings, settings
from app.worker.parent import watch_parent
from app.worker.slot import Heartbeat, slot_name, take_slot
from app.worker.workflows import register_queues, register_workflows
from app.worker.workplace import Workplace
from core.data.scratch import CHECK, remove_abandoned
from core.types import OutfoldError, RoundError
from db.faults import storage_errors

log = logging.getLogger("outfold.worker")

LOG_BYTES, LOG_FILES = 2_000_000, 3
GRACE_SECONDS = 5.0
FAILED, ALREADY_RUNNING = 1, 4  # exit codes


def run(chosen: Settings, *, ends_with_parent: bool = False) -> None:
    """Work until told to stop (SIGTERM, SIGINT, or the parent's end), then leave at once: jobs go on at the next start.

    Raises:
        RoundError: another worker holds the slot.
        StorageError: the home, the log or a database cannot be used.
    """
    workspace = open_workspace(chosen)
    lock = take_slot(chosen)
    _log_to_file(chosen)
    remove_abandoned(chosen.files, CHECK)
    end = threading.Event()
    if ends_with_parent:
        watch_parent(lambda _line: None, end.set, GRACE_SECONDS)
    place = Workplace(workspace)
    _launch_engine(chosen, place)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    heartbeat = Heartbeat(workspace, place)
    heartbeat.start()
    log.info("worker %s is ready in slot %s", os.getpid(), slot_name(chosen))
    end.wait()
    heartbeat.stop()
    log.info("worker %s ends", os.getpid())
    logging.shutdown()
    lock.close()
    os._exit(0)  # jobs are made to be cut off; a slow goodbye would tell the engine that they failed


def _launch_engine(chosen: Settings, place: Workplace) -> None:
    jobs.prepare_engine(chosen.dbos_url)
    config: DBOSConfig = {
        "name": jobs.APPLICATION,
        "system_database_url": chosen.dbos_url,
        "executor_id": slot_name(chosen),
        "application_version": jobs.APPLICATION_VERSION,
        "log_level": "WARNING",
    }
    DBOS(config=config)
    _tame_engine_log()
    register_workflows(place)
    with storage_errors(chosen.dbos_url):
        DBOS.launch()
        register_queues()


def _log_to_file(chosen: Settings) -> None:
    with file_errors(str(chosen.worker_log)):
        file = RotatingFileHandler(chosen.worker_log, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    logging.raiseExceptions = False  # a line that a full disk refuses is lost; no traceback for each
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(file)
    root.setLevel(logging.WARNING)
    log.setLevel(logging.INFO)


def _tame_engine_log() -> None:
    """Send the engine's messages to our log, but for those that tell of a cancelled job as if it were an accident."""
    engine = logging.getLogger("dbos")
    engine.handlers.clear()
    engine.propagate = True
    engine.addFilter(lambda record: not _of_cancelled(f"{record.getMessage()} {record.exc_info}"))


def _of_cancelled(text: str) -> bool:
    return "cancelled" in text.lower() or "no longer owned" in text


def main() -> None:
    """Be started by another process of ours."""
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
