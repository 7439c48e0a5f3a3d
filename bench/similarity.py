"""Seconds, memory and recall of the search of neighbours among very many images, and of a round that finds them kept.

    python bench/similarity.py --rows 250000 [--dimensions 256] [--json FILE] [--folder FOLDER]

Embeddings are drawn: 1,000 clusters in 48 directions of falling variance, and noise in all. Recall is the share of the
true six neighbours of 1,000 images, by brute force, that was found.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.judge.similarity import COUNT, NEIGHBOURS, order_by_similarity
from core.types import FloatArray, IntArray

CLUSTERS, DIRECTIONS = 1_000, 48
ASKED = 1_000
CHUNK = 20_000


def main() -> None:
    """Draw, search, search again, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=250_000)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--folder", type=Path, help="where to draw; a million images of 256 dimensions need 1 GB")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="outfold-similarity-", dir=chosen.folder) as name:
        place = Path(name)
        draw(place / "embeddings.npy", chosen.rows, chosen.dimensions)
        embeddings = np.load(place / "embeddings.npy", mmap_mode="r")
        figures = {f"{name}_searched": value for name, value in timed(place / "first", embeddings, place).items()}
        figures |= {f"{name}_kept": value for name, value in timed(place / "second", embeddings, place).items()}
        figures["recall_at_6"] = recall(embeddings, np.load(place / "first" / NEIGHBOURS))
    for figure, value in figures.items():
        print(f"{figure:<24} {value:10.3f}")
    print(f"load {os.getloadavg()[0]:.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1, sort_keys=True))


def draw(path: Path, rows: int, dimensions: int) -> None:
    """Write embeddings, (rows, dimensions) float16, as a probe's are."""
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(DIRECTIONS, dimensions)) * np.exp(-np.arange(DIRECTIONS) / 16)[:, None]
    centres = rng.normal(size=(CLUSTERS, DIRECTIONS))
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, dimensions))
    for start in range(0, rows, CHUNK):
        part = array[start : start + CHUNK]
        within = centres[rng.integers(0, CLUSTERS, len(part))] + 0.7 * rng.normal(size=(len(part), DIRECTIONS))
        part[:] = within @ basis + 0.05 * rng.normal(size=part.shape)
    array.flush()


def timed(folder: Path, embeddings: FloatArray, cache: Path) -> dict[str, float]:
    """Return the seconds of a round's neighbours and order, of the processor too, and the peak memory so far in GB."""
    started, cpu = time.perf_counter(), time.process_time()
    order_by_similarity(folder, embeddings, cache)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu, "peak_gb": peak}


def recall(embeddings: FloatArray, found: IntArray) -> float:
    """Return the share of the true neighbours of some images that was found."""
    drawn = np.random.default_rng(2026)  # not a seed of the partitions: the middles of cells are found more easily
    asked = np.sort(drawn.choice(len(found), min(ASKED, len(found)), replace=False))
    exact = np.asarray(embeddings, np.float32)
    exact = (exact - exact.mean(axis=0, dtype=np.float64)) / exact.std(axis=0, dtype=np.float64)
    exact = (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32)
    cosines = exact[asked] @ exact.T
    cosines[np.arange(len(asked)), asked] = -2
    nearest = np.argpartition(-cosines, COUNT, axis=1)[:, :COUNT]
    pairs = zip(nearest.tolist(), found[asked].tolist(), strict=True)
    return float(np.mean([len({*one} & {*other}) for one, other in pairs]) / COUNT)


if __name__ == "__main__":
    main()
