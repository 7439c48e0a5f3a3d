"""Seconds and peak memory of judging a round of class labels, in blocks of rows and with all probabilities at once.

    python bench/judging.py --rows 1000000 --classes 100 [--folds 5] [--members 0] [--json FILE]

Logits are drawn, so nothing is trained. Each way is a process of its own, so that its peak memory is its own; the
second is the former one, kept as the tests' reference (`tools/fixtures/judging.py`). What both found is compared.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.judge.judgement import judge_round
from tools.fixtures.judging import DrawnRound, judge_whole, write_round

KEPT = ("pseudo", "confidence", "self_confidence", "margin", "top", "top_probs")
WAYS = ("blocks", "whole")


def main() -> None:
    """Draw a round, judge it both ways, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--members", type=int, default=0, help="further networks")
    parser.add_argument("--only", choices=WAYS, help="one way alone, where the other needs too much memory")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--folder", type=Path, help="where to draw; a million rows of 100 classes need 0.4 GB a network"
    )
    chosen = parser.parse_args()
    drawn = DrawnRound(chosen.rows, chosen.classes, chosen.folds, chosen.members)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="outfold-judging-", dir=chosen.folder) as folder:
        write_round(Path(folder), drawn)
        for way in [chosen.only] if chosen.only else WAYS:
            figures |= {f"{name}_{way}": value for name, value in measure(way, Path(folder), drawn).items()}
        if not chosen.only:
            figures["equal"] = float(are_equal(Path(folder)))
    for name, value in figures.items():
        print(f"{name:<20} {value:10.2f}")
    print(f"load {os.getloadavg()[0]:.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1, sort_keys=True))


def measure(way: str, folder: Path, drawn: DrawnRound) -> dict[str, float]:
    """Judge in another process; return its seconds, seconds of processor, and peak memory in GB."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=judge, args=(way, folder, drawn, there))
    process.start()
    there.close()
    found: dict[str, float] = here.recv()
    process.join()
    return found


def judge(way: str, folder: Path, drawn: DrawnRound, answers: Connection) -> None:
    """Judge one way, keep the columns beside the round, and answer with the figures."""
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    if way == "blocks":
        judged = judge_round(folder, drawn.config)
        columns = {name: getattr(judged, name) for name in KEPT}
    else:
        columns = judge_whole(folder, drawn.config)
    taken = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.savez(folder / f"{way}.npz", **{name: columns[name] for name in KEPT})
    answers.send(taken | {"peak_gb": peak * 1024 / 1e9, "before_gb": begun * 1024 / 1e9})


def are_equal(folder: Path) -> bool:
    """Return whether both ways found the same in every bit."""
    with np.load(folder / "blocks.npz") as one, np.load(folder / "whole.npz") as other:
        return all(np.array_equal(one[name], other[name]) for name in KEPT)


if __name__ == "__main__":
    main()
