"""Speed of the review with 70,000 and with 1,000,000 findings: pages, verdicts, accept-all and its undo.

The real app serves over loopback HTTP from a real SQLite file made by the migrations. The same numbers are measured the
naive way too (OFFSET, counting rows, an ORM loop), in the same run. Times are p95 unless stated
otherwise; the first of them follows a server start, so nothing is in its caches.
"""

import argparse
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from app.services.app_context import open_app
from app.settings import Settings
from core.types import FindingKind, Status, Verdict
from db.models import DecisionRow, FindingRow
from tools.fixtures.reviews import draw_pictures, fill

BULK = 100_000
LOOPED = 500  # rows accepted one by one; the time of `BULK` follows from it
TARGETS = {
    "first_page_ms": 300.0, "next_page_ms": 100.0, "seen_ms_p95": 50.0, "stored_ms_p95": 300.0,
    "accept_all_s": 2.0, "undo_s": 2.0,
}  # fmt: skip


@dataclass
class Client:
    """One browser's worth of keep-alive connection."""

    port: int
    connection: http.client.HTTPConnection = field(init=False)
    seq: int = 0
    cookie: str = ""

    def __post_init__(self) -> None:
        """Connect."""
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)

    def get(self, path: str, _place: int = 0) -> Any:  # noqa: ANN401
        """Return the JSON at a path below /outfold; how often it was asked for makes no difference."""
        return self._ask("GET", path, None)

    def post(self, path: str, **body: Any) -> Any:  # noqa: ANN401
        """Send one act under its own number and return its answer."""
        self.seq += 1
        return self._ask("POST", path, json.dumps({"client": "bench", "seq": self.seq, "round": 1, **body}))

    def _ask(self, method: str, path: str, body: str | None) -> Any:  # noqa: ANN401
        headers = {"X-Outfold": "1", "Cookie": "outfold_name=bench", "Content-Type": "application/json"}
        self.connection.request(method, f"/outfold{path}", body, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status != http.HTTPStatus.OK:
            message = f"{method} {path} was answered {response.status}: {text[:300]!r}"
            raise RuntimeError(message)
        return json.loads(text)


def main() -> None:
    """Measure, print, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[70_000, 1_000_000], help="findings; the last gives the plain names"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--no-browser", action="store_true", help="leave out key -> seen")
    chosen = parser.parse_args()
    figures: dict[str, float] = {}
    for size in chosen.sizes:
        with tempfile.TemporaryDirectory(prefix="outfold-bench-") as home:
            of_size = measure(Path(home), size, browser=not chosen.no_browser)
        figures |= {f"{name}_{size}": value for name, value in of_size.items()} | of_size
        print_table(size, of_size)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2, sort_keys=True))


def measure(home: Path, size: int, *, browser: bool) -> dict[str, float]:
    """Return every figure at one size."""
    started = time.perf_counter()
    app_context = open_app(Settings(home=home, demo=False, embedded_worker=False))
    fill(app_context, size, suspicious=0.9, pictures=draw_pictures(home / "pictures", size))
    figures = {"store_findings_s": time.perf_counter() - started}
    app_context.database.close()
    with serving(home) as (client, pid):
        figures |= measure_pages(client) | measure_verdicts(client) | measure_bulk(client)
        figures |= {name.replace("answered", "stored"): value for name, value in figures.items() if "answered" in name}
        figures |= measure_seen(client.port) if browser else {}  # its "stored" counts from the key, as a person does
        figures["memory_mb"] = memory_mb(pid)
    return figures | naive_seconds(home, size)


def measure_pages(client: Client) -> dict[str, float]:
    """Time first and next pages in each order, and the counts."""
    figures = {"first_page_ms": p95_ms(20, partial(client.get, "/findings?round=1"))}
    cursor = client.get("/findings?round=1")["next"]

    def turn(_: int) -> None:
        nonlocal cursor
        cursor = client.get(f"/findings?round=1&after={cursor}")["next"]

    figures["next_page_ms"] = p95_ms(40, turn)
    for order in ("confidence", "pair", "similarity"):
        figures[f"first_page_by_{order}_ms"] = p95_ms(10, partial(client.get, f"/findings?round=1&order={order}"))
    rare = "/findings?round=1&given=3&pseudo=2&min=0.5&max=0.6"
    figures["first_page_of_a_rare_pair_ms"] = p95_ms(10, partial(client.get, rare))
    figures["counts_ms"] = p95_ms(10, partial(client.get, "/counts?round=1"))
    return figures


def measure_verdicts(client: Client) -> dict[str, float]:
    """Time a verdict from the request to its answer, which comes after it is on the disk."""
    items = client.get("/findings?round=1&limit=300&order=similarity")["items"]

    def decide(place: int) -> None:
        client.post("/acts", op="decide", decisions=[{"finding": items[place]["id"], "verdict": "accept"}])

    taken = times_ms(len(items), decide)
    return {"answered_ms_p50": float(np.percentile(taken, 50)), "answered_ms_p95": float(np.percentile(taken, 95))}


def measure_bulk(client: Client) -> dict[str, float]:
    """Time accepting the most confident 100,000 (or all there are) and taking it back; medians of three."""
    bins = client.get("/counts?round=1")["histogram"]
    above = np.cumsum(bins[::-1])[::-1]
    percent = max((place for place in range(100) if above[place] >= BULK), default=0)
    path = f"/accept_all?round=1&status=open&min={percent / 100}"
    figures = {"preview_ms": p95_ms(5, lambda _: client.get(path))}
    count = client.get(path)["count"]
    bulk = {"round": 1, "status": "open", "min": percent / 100}
    accepts: list[float] = []
    undos: list[float] = []
    pages: list[float] = []
    for _ in range(3):
        accepts += times_ms(1, lambda _: client.post("/accept_all", filter=bulk, expected=count))
        pages += times_ms(1, partial(client.get, "/findings?round=1"))
        undos += times_ms(1, lambda _: client.post("/acts", op="undo"))
    figures["accept_all_count"] = count
    figures["first_page_after_accept_all_ms"] = max(pages)
    return figures | {"accept_all_s": float(np.median(accepts)) / 1e3, "undo_s": float(np.median(undos)) / 1e3}


def measure_seen(port: int) -> dict[str, float]:
    """Time a key until its verdict is seen and until it is stored, in a real browser; empty without a browser."""
    from bench import ui_browser  # noqa: PLC0415  not needed with --no-browser

    if not any(map(shutil.which, ui_browser.BROWSERS)):
        print("no browser found: key -> seen is left out, and 'stored' counts from the request")
        return {}
    return dict(ui_browser.measure(f"http://127.0.0.1:{port}/review?round=1"))


def times_ms(times: int, act: Callable[[int], object]) -> list[float]:
    """Return the duration of each of this number of calls, in milliseconds."""
    taken = []
    for place in range(times):
        started = time.perf_counter()
        act(place)
        taken.append((time.perf_counter() - started) * 1e3)
    return taken


def p95_ms(times: int, act: Callable[[int], object]) -> float:
    """Return the time that 95 of 100 calls stay below."""
    return float(np.percentile(times_ms(times, act), 95))


def naive_seconds(home: Path, size: int) -> dict[str, float]:
    """Return the naive figures at one size, with the names of ours and `naive_` before them."""
    app_context = open_app(Settings(home=home, demo=False, embedded_worker=False))
    todo = (FindingRow.round_id == 1, FindingRow.kind == FindingKind.SUSPICIOUS, FindingRow.status == Status.OPEN)
    queue = select(FindingRow).where(*todo).order_by(FindingRow.confidence.desc(), FindingRow.self_confidence)
    with app_context.database.read() as session:
        deep = _seconds(lambda: session.scalars(queue.offset(size // 2).limit(50)).all())
        columns = (FindingRow.status, FindingRow.kind, FindingRow.given, FindingRow.pseudo, FindingRow.percent)
        counted = _seconds(lambda: [session.execute(select(one, func.count()).group_by(one)).all() for one in columns])
    with app_context.database.write() as session:
        rows = session.scalars(queue.limit(LOOPED)).all()

        def accept_each() -> None:
            for row in rows:
                session.add(
                    DecisionRow(
                        changeset_id=1,
                        sample_id=row.sample_id,
                        finding_id=row.id,
                        verdict=Verdict.ACCEPT,
                        label=row.pseudo,
                    )
                )
                row.status, row.label = Status.BULK, row.pseudo
                session.flush()

        looped = _seconds(accept_each)
        session.rollback()
    app_context.database.close()
    return {
        "naive_next_page_ms": deep * 1e3,
        "naive_counts_ms": counted * 1e3,
        "naive_accept_all_s": looped / LOOPED * min(BULK, size),
    }


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


@contextmanager
def serving(home: Path) -> Iterator[tuple[Client, int]]:
    """Serve an installation with the real app while the block runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "OUTFOLD_HOME": str(home), "OUTFOLD_DEMO": "false", "OUTFOLD_EMBEDDED_WORKER": "false"}
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", f"--server.port={port}"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield _reached(port, server), server.pid
    finally:
        server.terminate()
        server.wait(30)


def _reached(port: int, server: subprocess.Popen[bytes], patience_seconds: float = 60) -> Client:
    until = time.monotonic() + patience_seconds
    while server.poll() is None and time.monotonic() < until:
        try:
            client = Client(port)
            client.get("/health")
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
        else:
            return client
    message = "the app did not start; run `streamlit run streamlit_app.py` to see why"
    raise RuntimeError(message)


def memory_mb(pid: int) -> float:
    """Return the memory of a process that is its own (not the mapped database file)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def print_table(size: int, figures: dict[str, float]) -> None:
    """Print the figures with their targets."""
    print(f"\n{size:,} findings{'':<26}{'measured':>12}{'target':>10}")
    for name, value in figures.items():
        target = TARGETS.get(name)
        verdict = "" if target is None else f"{target:10,.0f}  {'reached' if value <= target else 'MISSED'}"
        print(f"  {name:<38}{value:>12,.2f}{verdict}")


if __name__ == "__main__":
    main()
