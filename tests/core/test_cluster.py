"""Shards embedded on a real Ray cluster of two nodes of this machine: the bits of this process, whatever dies."""

import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from core import cluster
from core.cluster import embed_on_cluster
from core.config import ProbabilityMethod, RoundConfig
from core.data import shards as dividing
from core.data.shards import shard_file
from core.data.snapshot import Snapshot
from core.embedding import embed_shard, plan_shards
from core.learn import devices
from core.types import Progress, Report, RoundCancelledError, RoundError
from tests.core.test_rounds import drawn

pytest_plugins = ["tests.ray_cluster"]
LOOPBACK = "127.0.0.1"
CONFIG = RoundConfig(
    folds=2, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, upscale=160, batch_size=16
)
COUNT = 150
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.usefixtures("one_thread")]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return two folders of the same round with two shards, of five parts each."""
    monkeypatch.setattr(dividing, "IMAGES", 80)
    monkeypatch.setattr(cluster, "PART", 16)
    monkeypatch.setattr(
        devices, "_THREADS", 1
    )  # as many as a task of the cluster has: this network's bits depend on it
    snapshot: Snapshot = drawn(tmp_path / "images", count=COUNT)[0]
    for name in ("here", "there"):
        snapshot.save(tmp_path / name)
        plan_shards(tmp_path / name, CONFIG, snapshot)
    return tmp_path / "here", tmp_path / "there"


def make(folder: Path, shard: int, *, address: str = "", report: Report = lambda _: None, stop: bool = False) -> Path:
    embed_shard(
        folder,
        CONFIG,
        shard,
        image_cache=folder / "cache",
        report=report,
        should_stop=lambda: stop,
        embed=embed_on_cluster(address) if address else None,
    )
    return shard_file(folder, shard)


def test_shards_made_on_a_cluster_equal_local_ones(nodes: Any, folders: tuple[Path, Path]) -> None:
    here, there = folders
    told: list[Progress] = []
    before = signal.getsignal(signal.SIGTERM)
    for shard in range(2):
        made = make(there, shard, address=nodes.address, report=told.append)
        assert signal.getsignal(signal.SIGTERM) == before  # by which a worker cancels its process
        assert made.read_bytes() == make(here, shard).read_bytes()
    assert {"connecting to the cluster", "embedding on the cluster"} <= {one.stage for one in told}
    assert told[-1].message == "70 of 70 images"
    assert not (there / "cache").exists()  # nothing was decoded here
    written = made.stat().st_mtime_ns
    make(there, 1, address=nodes.address)
    assert made.stat().st_mtime_ns == written


def test_a_cancelled_shard_leaves_nothing_and_the_cluster_stays_usable(nodes: Any, folders: tuple[Path, Path]) -> None:
    here, there = folders
    with pytest.raises(RoundCancelledError):
        make(there, 0, address=nodes.address, stop=True)
    assert not shard_file(there, 0).exists()
    assert make(there, 0, address=nodes.address).read_bytes() == make(here, 0).read_bytes()


def test_an_image_unreadable_on_every_node_is_named(nodes: Any, folders: tuple[Path, Path]) -> None:
    _, there = folders
    gone = Path(Snapshot.load(there).paths[3])
    gone.unlink()
    with pytest.raises(RoundError, match=r"1 images cannot be read on the nodes.*3\.png"):
        make(there, 0, address=nodes.address)
    assert not shard_file(there, 0).exists()


def test_the_work_of_a_killed_node_is_done_by_the_other(nodes: Any, folders: tuple[Path, Path]) -> None:
    here, there = folders
    wanted = [make(here, shard).read_bytes() for shard in range(2)]
    killed = []

    def kill_once(progress: Progress) -> None:
        if progress.stage == "embedding on the cluster" and progress.fraction > 0 and not killed:
            killed.append(next(iter(nodes.worker_nodes)))
            nodes.remove_node(killed[0], allow_graceful=False)

    found = [make(there, shard, address=nodes.address, report=kill_once).read_bytes() for shard in range(2)]
    assert len(killed) == 1
    assert len(nodes.worker_nodes) == 1
    assert found == wanted


def test_an_unreachable_cluster_is_named_with_the_cure(folders: tuple[Path, Path]) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed; install requirements-dev.txt")
    ray.shutdown()
    with socket.socket() as unused:
        unused.bind((LOOPBACK, 0))
        address = f"{LOOPBACK}:{unused.getsockname()[1]}"
    with pytest.raises(RoundError, match=f"the Ray cluster at {address} cannot be reached.*start it"):
        make(folders[1], 0, address=address)
