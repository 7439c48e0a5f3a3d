"""Speed of imports: listing, decoding, hashing and storing every image, through the app's own import.

    python bench/import_images.py mnist_png.tar.gz [--json FILE]

DATA is a folder of images or a tar archive of one. The plain alternative it is compared with is what a script would
do: one process that opens, decodes and hashes file after file with Pillow, and stores nothing.
"""

import argparse
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from threading import Event, Thread

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.services.app_context import AppContext, open_app
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.settings import Settings
from core.types import JobStatus

MNIST_IMAGES = 70_000
SEQUENTIAL_SAMPLE = 10_000  # images the plain alternative reads; more would only take longer
PAGE_BYTES = 4096


def main() -> None:
    """Import, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder of images, or a tar archive of one")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, open_data(given.data, Path(scratch)) as folder:
        figures = measure(folder, Path(scratch) / "home")
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:>12,.2f}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path, home: Path) -> dict[str, float]:
    """Return all figures of one import and of the plain alternative; MB are 2**20 bytes, of all processes together."""
    app_context = open_app(Settings(home=home, demo=False, embedded_worker=False))
    plain = sequential_images_per_second(folder)
    base = resident_mb()
    began: dict[str, float] = {}
    with watched_memory() as peak, watched_writes(app_context) as longest:
        start = time.perf_counter()

        def note(_done: int, _total: int, stage: str) -> None:
            began.setdefault(stage, time.perf_counter() - start)

        import_id = imports.add_import(app_context, ImportRequest(name="bench", source=str(folder)))
        done = imports.run_import(app_context, import_id, note)
        seconds = time.perf_counter() - start
    if done.status is not JobStatus.DONE or done.report is None:
        raise SystemExit(done.message)
    again = time.perf_counter()
    imports.run_import(app_context, imports.add_import(app_context, ImportRequest(name="bench", source=str(folder))))
    images = done.report["images"]
    return {
        "images": images,
        "seconds": seconds,
        "seconds_listing": began["reading images"],
        "seconds_reading": began["storing"] - began["reading images"],
        "seconds_storing": seconds - began["storing"],
        "seconds_again": time.perf_counter() - again,
        "longest_wait_of_another_writer": longest[0],
        "images_per_second": images / seconds,
        "seconds_70000": MNIST_IMAGES * seconds / images,
        "peak_mb": peak[0],
        "growth_mb": peak[0] - base,
        "sequential_images_per_second": plain,
        "speedup_over_sequential": images / seconds / plain,
    }


def sequential_images_per_second(folder: Path) -> float:
    """Return the number of images that one plain loop opens, decodes and hashes per second."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in {".png", ".jpg", ".jpeg"}][:SEQUENTIAL_SAMPLE]
    start = time.perf_counter()
    for path in paths:
        blake2b(path.read_bytes(), digest_size=16).hexdigest()
        with Image.open(path) as image:
            image.verify()
        with Image.open(path) as image:  # a verified image must be opened again to be decoded
            image.load()
    return len(paths) / (time.perf_counter() - start)


@contextmanager
def open_data(data: Path, scratch: Path) -> Iterator[Path]:
    """Yield the folder of images, unpacked if it is an archive."""
    if data.is_dir():
        yield data
        return
    with tarfile.open(data) as archive:
        archive.extractall(scratch / "data", filter="data")
    yield scratch / "data"


@contextmanager
def watched_memory() -> Iterator[list[float]]:
    """Yield a list whose one number is the most memory this process and its children held so far."""
    peak, stop = [resident_mb()], Event()

    def watch() -> None:
        while not stop.wait(0.1):
            peak[0] = max(peak[0], resident_mb())

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()


@contextmanager
def watched_writes(app_context: AppContext) -> Iterator[list[float]]:
    """Yield a list whose one number is the longest, in seconds, that another writer waited, as a verdict would."""
    longest, stop = [0.0], Event()

    def watch() -> None:
        while not stop.wait(0.02):
            began = time.perf_counter()
            with app_context.database.write():
                longest[0] = max(longest[0], time.perf_counter() - began)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield longest
    finally:
        stop.set()
        watcher.join()


def resident_mb() -> float:
    """Return the bytes of this process and its children, shared pages counted once each."""
    children = Path("/proc/self/task").glob("*/children")
    pids = ["self", *(pid for path in children for pid in path.read_text().split())]
    return sum(_pages(pid) for pid in pids) * PAGE_BYTES / 2**20


def _pages(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:  # it ended meanwhile
        return 0


if __name__ == "__main__":
    main()
