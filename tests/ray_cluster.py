"""A Ray cluster of this machine's own, with two nodes of one processor each, gone after the module's tests."""

from collections.abc import Iterator
from typing import Any

import pytest

NO_RAY = "ray is not installed; install requirements-dev.txt"
MEMORY = 100 << 20  # bytes of a node's object store


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """Return a cluster whose head has no processor, and two nodes one each."""
    ray = pytest.importorskip("ray", reason=NO_RAY)
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        place = {"object_store_memory": MEMORY, "include_dashboard": False}
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **place})
        try:
            for _ in range(2):
                started.add_node(num_cpus=1, **place)
            yield started
        finally:
            ray.shutdown()
            started.shutdown()
