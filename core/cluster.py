"""Embedding of a shard's images on a Ray cluster: parts of it on all nodes at once, with the bits of one process.

A part ends with a whole batch, so an image is embedded in the batch that it has elsewhere. Ray runs a part again whose
node died. Nodes get this package from here, and need the libraries it uses, and the images at the paths they have here.
"""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch

from core.config import RoundConfig
from core.data.arrays import read_square
from core.data.store import variables_of_stores
from core.data.windows import Window, from_pair
from core.embedding import EmbedImages, ShardImages, inputs_of
from core.learn import probe
from core.learn.batches import ImageBatches
from core.learn.crossfold import FoldCallbacks
from core.learn.training import stop_if
from core.tasks import task_definition
from core.types import DatasetError, FloatArray, OutfoldError, Progress, RoundError, Task

PART = 1024  # images: seconds of a core, while the network is built again in each
_RUNS = 10  # of a part, whose nodes or processes may die
_LOOK_SECONDS = 0.25
_CONNECT_SECONDS = 5.0
_SHOWN = 3  # problems in a message
_CURE = "look at the cluster's logs and resume the round, or unset OUTFOLD_RAY_ADDRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Images that one task embeds, as values that Ray sends."""

    config: dict[str, Any]
    task: str
    paths: list[str]
    window: Window | None
    threads: int


def embed_on_cluster(address: str) -> EmbedImages:
    """Return the function that embeds images on the Ray cluster at host:port; Ray is installed."""
    return partial(_embed_parts, address)


def _embed_parts(
    address: str,
    config: RoundConfig,
    images: ShardImages,
    _cache: Path,
    progress: Progress,
    callbacks: FoldCallbacks,
) -> FloatArray:
    """Embed images in parts, and return their embeddings, (M, D) float16; an `EmbedImages` once it has its address.

    Raises:
        RoundError: the cluster cannot be reached or fails, or images can no longer be read.
        RoundCancelledError: `should_stop` returned true; no part goes on.
    """
    callbacks.report(replace(progress, stage="connecting to the cluster"))
    _connect(address)
    import ray  # noqa: PLC0415  # only where there is a cluster

    have = ray.cluster_resources()
    gpus, cpus = int(have.get("GPU", 0)), int(have.get("CPU", 1))
    on_gpu = gpus > 0 and config.device != "cpu"
    threads = max(1, cpus // gpus) if on_gpu else 1
    one = replace(config, device="auto" if on_gpu else "cpu", members=()).to_json()
    size = max(1, PART // config.batch_size) * config.batch_size
    parts = [
        _Part(
            config=one,
            task=images.snapshot.task.value,
            paths=images.paths[start : start + size],
            window=images.snapshot.window,
            threads=threads,
        )
        for start in range(0, len(images.paths), size)
    ]
    with _faults(address):
        run = ray.remote(embed_part).options(
            num_cpus=threads, num_gpus=1 if on_gpu else 0, max_retries=_RUNS, scheduling_strategy="SPREAD"
        )
        places = {run.remote(part): place for place, part in enumerate(parts)}
        found = _collect(places, parts, progress, callbacks)
    problems = [problem for _, some in found for problem in some]
    if problems:
        raise RoundError(
            f"{len(problems)} images cannot be read on the nodes of the cluster: {'; '.join(problems[:_SHOWN])}"
            f"{' ...' if len(problems) > _SHOWN else ''}",
            "give every node the images at the same paths, or import the dataset again so that they are known to be "
            "gone",
        )
    return np.concatenate([embeddings for embeddings, _ in found])


def embed_part(part: _Part) -> tuple[FloatArray, list[str]]:
    """Decode and embed images in a process of a node; return (M, D) float16, and the problems of unreadable images."""
    config = RoundConfig.from_json(part.config)
    channels, problems = 1 if config.grey else 3, []
    decoded = np.zeros((len(part.paths), config.input_size, config.input_size, channels), np.uint8)

    def read(row: int) -> None:
        window = from_pair(part.window)
        try:
            decoded[row] = read_square(Path(part.paths[row]), config.input_size, grey=config.grey, window=window)
        except DatasetError as error:
            problems.append(f"{part.paths[row]} ({error})")

    with ThreadPoolExecutor(part.threads) as threads:
        for _ in threads.map(read, range(len(part.paths))):
            pass
    if problems:
        return np.empty((0, 0), np.float16), problems
    scaling, device = inputs_of(config)
    images = ImageBatches(decoded, scaling, device)
    embeddings = probe.embed(
        config,
        images,
        partial(task_definition(Task(part.task)).build_network, config, channels, 0),
        torch.arange(len(images)),
        progress=Progress("embedding", 0, 1),
        between=(0.0, 1.0),
        callbacks=FoldCallbacks(lambda _: None, lambda: False),
    )
    return embeddings.astype(np.float16), []


def _collect(
    places: dict[Any, int], parts: list[_Part], progress: Progress, callbacks: FoldCallbacks
) -> list[tuple[FloatArray, list[str]]]:
    """Return the results of the tasks in the order of their parts; all are ended if this is stopped or one fails."""
    import ray  # noqa: PLC0415  # as above

    found: dict[int, tuple[FloatArray, list[str]]] = {}
    waiting, done, began = list(places), 0, time.monotonic()
    total = sum(len(part.paths) for part in parts)
    embedding = replace(progress, stage="embedding on the cluster")
    try:
        while waiting:
            stop_if(callbacks.should_stop)
            ready, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=_LOOK_SECONDS)
            for task in ready:
                found[places[task]] = ray.get(task)
                done += len(parts[places[task]].paths)
            speed = done / (time.monotonic() - began)
            message = f"{done:,} of {total:,} images"
            callbacks.report(
                replace(embedding, fraction=done / total, images_per_second=speed or None, message=message)
            )
    finally:
        for task in waiting:
            ray.cancel(task, force=True)
    return [found[place] for place in range(len(parts))]


def _connect(address: str) -> None:
    """Connect this process to the cluster, once; its handler of SIGTERM stays, which Ray would replace."""
    import ray  # noqa: PLC0415  # as above

    if ray.is_initialized():
        return
    parts = urlsplit(f"//{address}")
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), _CONNECT_SECONDS).close()
    except OSError as error:
        raise _away(address, error) from error
    before = signal.getsignal(signal.SIGTERM)
    with _faults(address):
        ray.init(
            address=address,
            runtime_env={"py_modules": [str(Path(__file__).resolve().parent)], "env_vars": variables_of_stores()},
            configure_logging=False,
            log_to_driver=False,
        )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _faults(address: str) -> Iterator[None]:
    """Convert errors of Ray into `RoundError`."""
    import ray  # noqa: PLC0415  # as above

    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, OutfoldError):
            raise type(error.cause)(error.cause.message, error.cause.cure) from error
        raise RoundError(f"a task failed on the Ray cluster at {address}: {error.cause!r}", _CURE) from error
    except ConnectionError as error:
        raise _away(address, error) from error
    except ray.exceptions.RayError as error:
        raise RoundError(f"the Ray cluster at {address} failed: {type(error).__name__}: {error}", _CURE) from error


def _away(address: str, error: OSError) -> RoundError:
    return RoundError(
        f"the Ray cluster at {address} cannot be reached ({type(error).__name__}: {error})",
        "start it, with a node on each machine that runs a worker, and resume the round, or unset OUTFOLD_RAY_ADDRESS",
    )
