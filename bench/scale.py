"""Time, memory and disk of an installation with many findings, stage by stage, on one machine.

    python bench/scale.py --rows 10000 100000 1000000 [--json FILE] [--folder FOLDER]
    python bench/scale.py --images 200000

`--rows`: findings are generated and stored as a round stores them, a share of them suspicious (`--suspicious`, 90 %);
of 200,000 images and more, those that agree go into the round's file, unless `--all-rows` is given. Each stage is a
process of its own, so that its peak memory is its own: storing (samples, findings, counts), opening the next round over
them (its snapshot, hashed and written), a backup. Each stage prints the mean load of the last five minutes.

Pages, verdicts, accepting 1,000,000 (or all there are) and its undo are those of the real app over loopback HTTP; the
first page is the first after its start. `peak_gb` is the peak memory of opening a round.

`--images`: generated images of 32 pixels go through import, a probe of the packaged network and export; memory is that
of the largest process of a stage.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from math import inf
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.services.app_context import AppContext, open_app
from app.services.backups.make import make
from app.services.rounds.snapshots import current_snapshot
from app.settings import Settings
from app.worker import finding_writer
from bench._image_stages import STAGES
from bench.ui import Client, p95_ms, serving, times_ms
from core.types import Task
from tools.fixtures.reviews import fill

BULK = 1_000_000
SUSPICIOUS = 0.9
GIGA = 1e9
TARGETS = {
    "first_page_ms": 300.0, "next_page_ms": 100.0, "accept_all_1m_s": 20.0, "undo_1m_s": 20.0, "peak_gb": 4.0,
}  # fmt: skip
Figures = dict[str, float]
Act = Callable[[Path, int], None]


def main() -> None:
    """Measure each size, print it, and write the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[], help="findings of the round")
    parser.add_argument("--suspicious", type=float, default=SUSPICIOUS, help="share of the findings (default: 0.9)")
    parser.add_argument("--all-rows", action="store_true", help="store every finding as a row")
    parser.add_argument("--images", type=int, default=0, help="images to generate, import, probe and export")
    parser.add_argument("--json", type=Path, help="write the figures to this file; the last size gives the plain names")
    parser.add_argument("--folder", type=Path, help="where to store; 10 million rows need 25 GB")
    chosen = parser.parse_args()
    figures: Figures = {}

    def note(what: str, stage: Figures) -> None:
        print_table(stage)
        figures.update({f"{name}_{what}": value for name, value in stage.items()} | stage)
        if chosen.json:
            chosen.json.write_text(json.dumps(figures, indent=1, sort_keys=True))

    for rows in chosen.rows:
        print(f"\n{rows:,} findings", flush=True)
        with tempfile.TemporaryDirectory(prefix="outfold-scale-", dir=chosen.folder) as folder:
            stored = partial(store, suspicious=chosen.suspicious, all_rows=chosen.all_rows)
            measure(Path(folder), rows, stored, partial(note, str(rows)))
    if chosen.images:
        print(f"\n{chosen.images:,} images", flush=True)
        with tempfile.TemporaryDirectory(prefix="outfold-scale-", dir=chosen.folder) as folder:
            for name, stage in STAGES.items():
                found = in_process(stage, Path(folder) / "home", chosen.images)
                note("images", {f"{name}_s": found["seconds"], f"{name}_peak_gb": found["peak_gb"]})


def measure(folder: Path, rows: int, store: Act, note: Callable[[Figures], None]) -> None:
    """Note the figures of one size, stage by stage, so that a run that is cut off leaves those it has."""
    home = folder / "home"
    stored = in_process(store, home, rows)
    size = (home / "outfold.sqlite").stat().st_size
    in_files = sum(path.stat().st_size for path in (home / "files" / "rounds").rglob("agreeing.*"))
    note(
        {
            "store_s": stored["seconds"],
            "store_peak_gb": stored["peak_gb"],
            "store_written_gb": stored["written_gb"],
            "database_gb": size / GIGA,
            "agreeing_files_gb": in_files / GIGA,
            "bytes_a_row": (size + in_files) / rows,
        }
    )
    opened = in_process(open_round, home, rows)
    snapshot = (folder / "snapshot.npz").stat().st_size
    note({"open_round_s": opened["seconds"], "peak_gb": opened["peak_gb"], "snapshot_gb": snapshot / GIGA})
    with serving(home) as (client, pid):
        note(measure_review(client))
        note({"web_peak_gb": peak_gb(pid)})
    backed_up = in_process(back_up, home, rows)
    note({"backup_s": backed_up["seconds"], "backup_peak_gb": backed_up["peak_gb"]})


def store(home: Path, rows: int, *, suspicious: float, all_rows: bool) -> None:
    """Store samples, findings and counts."""
    opened = _open(home)
    if all_rows:
        finding_writer.LEAST_IMAGES[Task.CLASSIFICATION] = inf
    fill(opened, rows, suspicious=suspicious)
    opened.database.close()


def open_round(home: Path, _rows: int) -> None:
    """Read the labels as decided, hash them and write the snapshot, as a round does that opens."""
    opened = _open(home)
    _, snapshot, _ = current_snapshot(opened, 1)
    sys.stdout.write(f"  snapshot {snapshot.hash}\n")
    snapshot.save(home.parent)
    opened.database.close()


def back_up(home: Path, _rows: int) -> None:
    """Write a backup."""
    opened = _open(home)
    make(opened, home.parent / "backup.tar")
    opened.database.close()


def measure_review(client: Client) -> Figures:
    """Time pages, counts, verdicts, and accepting in bulk with its undo."""
    figures = {"first_page_ms": times_ms(1, partial(client.get, "/findings?round=1"))[0]}
    cursor = client.get("/findings?round=1")["next"]

    def turn(_: int) -> None:
        nonlocal cursor
        cursor = client.get(f"/findings?round=1&after={cursor}")["next"]

    figures["next_page_ms"] = p95_ms(40, turn)
    figures["counts_ms"] = p95_ms(10, partial(client.get, "/counts?round=1"))
    items = client.get("/findings?round=1&limit=100&order=similarity")["items"]

    def decide(place: int) -> None:
        client.post("/acts", op="decide", decisions=[{"finding": items[place]["id"], "verdict": "accept"}])

    figures["verdict_ms_p95"] = p95_ms(len(items), decide)
    figures |= measure_agreeing(client)
    bins = client.get("/counts?round=1")["histogram"]
    above = np.cumsum(bins[::-1])[::-1]
    percent = max((place for place in range(100) if above[place] >= BULK), default=0)
    bulk = {"round": 1, "status": "open", "min": percent / 100}
    count = client.get(f"/accept_all?round=1&status=open&min={percent / 100}")["count"]
    figures["accept_all_count"] = count
    accepted = times_ms(1, lambda _: client.post("/accept_all", filter=bulk, expected=count))[0] / 1e3
    figures["first_page_after_ms"] = times_ms(1, partial(client.get, "/findings?round=1"))[0]
    undone = times_ms(1, lambda _: client.post("/acts", op="undo"))[0] / 1e3
    names = ("accept_all_1m_s", "undo_1m_s") if count >= BULK else ("accept_all_s", "undo_s")
    return figures | dict(zip(names, (accepted, undone), strict=True))


def measure_agreeing(client: Client) -> Figures:
    """Time pages of agreeing findings and verdicts on them, in the orders that a person chooses."""
    figures: Figures = {}
    for order in ("suspicion", "confidence", "pair", "similarity"):
        turn = partial(client.get, f"/findings?round=1&show=agreeing&order={order}")
        figures[f"agreeing_{order}_ms_p95"] = p95_ms(5, turn)
    figures["agreeing_path_ms"] = times_ms(1, partial(client.get, "/findings?round=1&show=agreeing&path=77"))[0]
    items = client.get("/findings?round=1&show=agreeing&limit=20")["items"]

    def keep(place: int) -> None:
        client.post("/acts", op="decide", decisions=[{"finding": items[place]["id"], "verdict": "keep"}])

    figures["agreeing_verdict_ms_p95"] = p95_ms(len(items), keep)
    return figures


def in_process(act: Act, home: Path, rows: int) -> Figures:
    """Run a stage in a process of its own; return its seconds, without the imports, and the GB it held and wrote."""
    spawning = multiprocessing.get_context("spawn")
    receiving, sending = spawning.Pipe(duplex=False)
    child = spawning.Process(target=_report, args=(act, home, rows, sending))
    child.start()
    sending.close()
    try:
        figures: Figures = receiving.recv()
    finally:
        child.join()
    return figures


def _report(act: Act, home: Path, rows: int, sending: Connection) -> None:
    started = time.perf_counter()
    act(home, rows)
    seconds = time.perf_counter() - started
    used = (resource.getrusage(whose).ru_maxrss for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak = max(used) * 1024 / GIGA
    written = int(Path("/proc/self/io").read_text().split("\nwrite_bytes: ")[1].split()[0]) / GIGA
    sending.send({"seconds": seconds, "peak_gb": peak, "written_gb": written})


def peak_gb(pid: int) -> float:
    """Return the largest memory of a process so far, with its part of mapped files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / GIGA


def _open(home: Path) -> AppContext:
    return open_app(Settings(home=home, demo=False, embedded_worker=False))


def print_table(figures: Figures) -> None:
    """Print the figures of a stage with their targets, and the load of the machine."""
    for name, value in figures.items():
        target = TARGETS.get(name)
        verdict = "" if target is None else f"{target:10,.0f}  {'reached' if value <= target else 'MISSED'}"
        print(f"  {name:<38}{value:>12,.3f}{verdict}")
    print(f"  {time.strftime('%H:%M:%S')}, load {os.getloadavg()[1]:.1f}", flush=True)


if __name__ == "__main__":
    main()
