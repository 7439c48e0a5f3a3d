"""Kills of web app, workers, training processes and database under load: what is lost, and what comes out otherwise.

    python bench/kill.py [--kills N] [--minutes M] [--seed S] [--json FILE]

PostgreSQL on loopback, the web app, four workers that have one round after the other, all with the same settings, and
people who judge cards and send an act again until it is answered. At random one of them is killed with SIGKILL and
started again, a worker at times only after it was taken for lost. A training process is killed once a round: a second
kill of a fold is taken for want of memory and halves its batch.

`lost_verdicts` counts acts that were answered and are not stored, or cards that do not stand as answered, and acts that
are stored twice; `different_rounds` rounds whose probabilities or findings are not, bit for bit, those of the first
round, which was not disturbed; `failed_rounds` rounds that did not end as done.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from sqlalchemy import select

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.services.app_context import AppContext
from app.services.programs import find_postgresql
from app.services.rounds import jobs as rounds
from app.services.rounds.jobs import RoundInfo
from bench._people import (
    Person,
    Tally,
    count_doubled,
    count_lost,
    rounds_in_a_row,
    start_web,
    start_worker,
    wait_for,
)
from bench.soak import import_digits, opened
from core.config import RoundConfig
from core.types import JobStatus, StorageError
from db.models import FindingRow
from tools.fixtures.postgres import PostgresServer, empty_database, free_port, running_postgres

PEOPLE, WORKERS = 4, 4
PAUSE_SECONDS = 0.5  # between two verdicts of a person
LONG_AWAY_SECONDS = 45.0  # of a worker: others have taken its work
PATIENCE_SECONDS = 600.0
CONFIG = RoundConfig(folds=4, epochs=30, input_size=8, grey=True, batch_size=64, device="cpu")
WEB, WORKER, CHILD, DATABASE = "web", "worker", "child", "database"

T = TypeVar("T")


def main() -> None:
    """Kill, check the remaining state, print, and write the figures on request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=150)
    parser.add_argument("--minutes", type=float, default=60.0, help="the longest that the kills may take")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args()
    programs = find_postgresql()
    if programs is None:
        parser.error("there is no PostgreSQL server; install one")
    os.environ["OMP_NUM_THREADS"] = "1"  # four workers at once, and the same sums under any load
    with (
        tempfile.TemporaryDirectory(prefix="outfold-kill-") as folder,
        running_postgres(Path(programs), durable=True) as server,
        empty_database(server.url) as url,
        opened(Path(folder), url) as app_context,
    ):
        digits = import_digits(app_context, Path(folder) / "digits", 300)
        figures = Fleet(app_context, server, digits, chosen.workers, chosen.seed).endure(
            chosen.kills, chosen.minutes * 60
        )
    for name, value in figures.items():
        print(f"{name:<22}{value:>8}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2))


class Fleet:
    """The processes of an installation on PostgreSQL, and the people at it."""

    def __init__(
        self, app_context: AppContext, server: PostgresServer, dataset_id: int, workers: int, seed: int
    ) -> None:
        """Prepare; `endure` starts them."""
        self._app_context, self._server, self._dataset_id = app_context, server, dataset_id
        self._rng = np.random.default_rng(seed)
        self._port = free_port()
        self._settings = [
            app_context.settings.model_copy(update={"worker_slot": str(place), "worker_nice": 0})
            for place in range(workers)
        ]
        self._tally = Tally()
        self._killed: Counter[str] = Counter()
        self._round_of_child = 0  # whose child was killed last

    def endure(self, kills: int, longest_seconds: float) -> dict[str, int]:
        """Kill this number of processes, wait until everything has settled, and return the figures."""
        people = [
            Person(self._port, f"person{place}", self._tally, 1 + place, PEOPLE, patient=True)
            for place in range(PEOPLE)
        ]
        with self._running() as (web, workers):
            reference = self._undisturbed()
            end = threading.Event()
            threads = [
                threading.Thread(target=one.only_judge, args=(end, PAUSE_SECONDS), daemon=True) for one in people
            ]
            for thread in threads:
                thread.start()
            until = time.monotonic() + longest_seconds
            with rounds_in_a_row(self._app_context, self._dataset_id, CONFIG):
                for left in range(kills, 0, -1):
                    spare = (until - time.monotonic()) / left
                    if spare <= 0:
                        break
                    time.sleep(min(30.0, spare) * self._rng.uniform(0.3, 1.0))
                    self._kill(web, workers)
            end.set()
            for thread in threads:
                thread.join()
            ended = self._settled()
        for one in ended:
            if one.status is not JobStatus.DONE:
                print(f"round {one.number} is {one.status}: {one.message}", file=sys.stderr)
        results = [self._result(one.id) for one in ended if one.status is JobStatus.DONE]
        return {
            "kills": self._killed.total(),
            **{f"kills_{name}": self._killed[name] for name in (WEB, WORKER, CHILD, DATABASE)},
            "verdicts": len(self._tally.verdicts),
            "rounds": len(ended),
            "lost_verdicts": count_lost(self._app_context, people)
            + count_doubled(self._app_context)
            + self._tally.faults.total(),
            "different_rounds": sum(result != reference for result in results),
            "failed_rounds": sum(one.status is not JobStatus.DONE for one in ended),
        }

    @contextmanager
    def _running(self) -> Iterator[tuple["Kept", list["Kept"]]]:
        web = Kept(lambda: start_web(self._app_context.settings, self._port))
        workers = [Kept(lambda settings=settings: start_worker(settings)) for settings in self._settings]  # type: ignore[misc]
        try:
            wait_for(self._port, web.process)
            yield web, workers
        finally:
            for kept in (web, *workers):
                kept.stop()

    def _undisturbed(self) -> str:
        """Return the result of a round without any kill."""
        started = rounds.start_round(self._app_context, self._dataset_id, CONFIG, "bench")
        (first,) = self._settled()
        if first.id != started.id or first.status is not JobStatus.DONE:
            raise RuntimeError(f"the undisturbed round is {first.status}: {first.message}")
        return self._result(first.id)

    def _kill(self, web: "Kept", workers: list["Kept"]) -> None:
        """Kill one process and see to it that it is started again."""
        children = [child for worker in workers for child in worker.children()]
        unfinished = [one.id for one in self._rounds() if not one.status.ended]
        is_new_round = bool(unfinished) and unfinished[0] != self._round_of_child
        victims = [WEB, WORKER, DATABASE, *([CHILD] if children and is_new_round else [])]
        victim = min(victims, key=lambda name: (self._killed[name], self._rng.random()))
        if victim == WEB:
            web.kill()
            wait_for(self._port, web.process)
        elif victim == WORKER:
            away = LONG_AWAY_SECONDS if self._rng.random() < 0.3 else 0.0
            workers[self._rng.integers(len(workers))].kill(away)
        elif victim == DATABASE:
            self._server.kill()
            self._again_until_done(self._server.start, RuntimeError)
        else:
            self._round_of_child = unfinished[0]
            with suppress(ProcessLookupError):
                os.kill(int(self._rng.choice(children)), signal.SIGKILL)
        self._killed[victim] += 1
        print(f"kill {self._killed.total()}: {victim}", file=sys.stderr, flush=True)

    def _settled(self) -> list[RoundInfo]:
        """Wait until every round has ended and return them, newest first."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            found = self._rounds()
            if all(one.status.ended for one in found):
                return found
            time.sleep(1.0)
        raise RuntimeError(f"a round has not ended within {PATIENCE_SECONDS:.0f} s")

    def _rounds(self) -> list[RoundInfo]:
        return self._again_until_done(lambda: rounds.list_rounds(self._app_context, self._dataset_id), StorageError)

    def _again_until_done(self, act: Callable[[], T], fault: type[Exception]) -> T:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return act()
            except fault:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def _result(self, round_id: int) -> str:
        """Return a digest of a round's probabilities and findings."""
        digest = hashlib.blake2b((self._app_context.round_folder(round_id) / "probabilities.npy").read_bytes())
        columns = [
            getattr(FindingRow, name)
            for name in ("sample_id", "rank", "kind", "given", "pseudo", "confidence", "self_confidence", "fold", "top")
        ]
        found = select(*columns).where(FindingRow.round_id == round_id).order_by(FindingRow.rank)
        with self._app_context.database.read() as session:
            for row in session.execute(found):
                digest.update(repr(tuple(row)).encode())
        return digest.hexdigest()


class Kept:
    """A process that is started again after each kill."""

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        """Start it."""
        self._start = start
        self.process = start()
        self._timer: threading.Timer | None = None

    def children(self) -> list[int]:
        """Return the process ids of its children."""
        with suppress(FileNotFoundError):
            tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
            return [int(child) for task in tasks for child in task.read_text().split()]
        return []

    def kill(self, away_seconds: float = 0.0) -> None:
        """Kill it, and start it again after so long."""
        if self._timer is not None:
            self._timer.join()
        self.process.kill()
        self.process.wait()
        self._timer = threading.Timer(away_seconds, self._restart)
        self._timer.start()
        if not away_seconds:
            self._timer.join()

    def stop(self) -> None:
        """End it for good."""
        if self._timer is not None:
            self._timer.join()
        self.process.terminate()
        self.process.wait(30)

    def _restart(self) -> None:
        self.process = self._start()


if __name__ == "__main__":
    main()
