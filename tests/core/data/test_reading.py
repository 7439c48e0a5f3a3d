import os
import signal
import subprocess
import sys
import textwrap
import time
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.images import ImageError, read_facts
from core.data.reading import Empty, empty_kind, empty_kinds, read_many
from core.types import ImageFacts

LIMIT = 1_000_000


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder, random = tmp_path_factory.mktemp("many"), np.random.default_rng(0)
    for number in range(300):
        Image.fromarray(random.integers(0, 255, (8, 8), np.uint8)).save(folder / f"{number:03}.png")
    (folder / "200.png").write_bytes(b"broken")
    return sorted(map(str, folder.iterdir()))


def children() -> set[int]:
    found = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "core.data.reading"], capture_output=True, text=True)  # noqa: PLW1510
    return set(map(int, found.stdout.split()))


def test_several_processes_return_the_same_as_one_in_the_same_order(paths: list[str]) -> None:
    found = list(read_many(paths, LIMIT, processes=2))
    assert isinstance(found[200], ImageError)
    assert found[200].kind == "corrupt image"
    good = [item for item in found if isinstance(item, ImageFacts)]
    assert good == [read_facts(Path(path), LIMIT) for path in paths if "200.png" not in path]


def test_no_image_is_lost_when_a_child_is_killed(paths: list[str]) -> None:
    before = children()
    reading = read_many(paths, LIMIT, processes=2)
    first = next(reading)
    os.kill((children() - before).pop(), signal.SIGKILL)
    found = [first, *reading]
    assert [isinstance(item, ImageFacts) for item in found] == [number != 200 for number in range(300)]


def test_an_abandoned_read_leaves_no_process(paths: list[str]) -> None:
    before = children()
    reading = read_many(paths, LIMIT, processes=2)
    next(reading)
    assert children() > before
    reading.close()
    assert children() == before


def test_an_empty_list_starts_no_process() -> None:
    assert list(read_many([], LIMIT)) == []


def test_children_end_when_their_parent_is_killed(paths: list[str], tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        import subprocess, os, itertools
        from core.data.reading import read_many
        reading = read_many(itertools.cycle({paths[:5]!r}), {LIMIT}, processes=2)
        next(reading)
        found = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True)
        print(found.stdout.replace("\\n", " "), flush=True)
        for _ in reading: pass
    """)
    root = str(Path(__file__).parents[3])
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert parent.stdout is not None
    grandchildren = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(grandchildren) >= 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 120
    for _ in count():
        alive = [pid for pid in grandchildren if Path(f"/proc/{pid}/cmdline").exists() and read_line(pid)]
        if not alive:
            return
        assert time.monotonic() < deadline, "children outlived their parent"
        time.sleep(0.02)


def read_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()  # empty once it is a zombie
    except OSError:
        return b""


NOISE = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("level", "noise", "kind"),
    [(0, 0, Empty.BLACK), (6, 2, Empty.BLACK), (255, 0, Empty.WHITE), (120, 2, Empty.FLAT), (120, 40, None)],
)
def test_images_of_a_single_colour_are_classified_by_it(level: int, noise: int, kind: Empty | None) -> None:
    grey = np.clip(NOISE.normal(level, noise, (64, 64)), 0, 255).astype(np.uint8)
    assert empty_kind(grey) is kind


def test_a_few_pixels_on_a_single_colour_do_not_count_as_content() -> None:
    grey = np.full((64, 64), 250, np.uint8)
    grey[3:8, 3:8] = 0
    assert empty_kind(grey) is Empty.SPARSE


def test_a_thin_stroke_counts_as_content() -> None:
    grey = np.zeros((28, 28), np.uint8)
    grey[4:24, 13:15] = 255
    assert empty_kind(grey) is None


def test_files_are_checked_and_unreadable_ones_are_left_to_the_import(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480), (0, 0, 0)).save(tmp_path / "black.jpg")
    pixels = NOISE.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    (tmp_path / "none.png").write_bytes(b"no image")
    paths = [str(tmp_path / name) for name in ("black.jpg", "noise.png", "none.png")]
    assert empty_kinds(paths) == [Empty.BLACK, None, None]
