"""Training of one network by several processes, one a device: torchrun's launcher and DistributedDataParallel.

`launch` starts the processes (the ranks) by torch's elastic launcher, as `torchrun --standalone` does. Every rank runs
the same function on its own share of each batch; gradients are averaged after each step, so all hold the same network.
Rank 0 alone reports progress and writes checkpoints.

Batch normalisation has the statistics of the whole batch on GPUs (SyncBatchNorm). On CPUs, for which torch has none, a
rank normalises by its own share, and the running statistics are those of rank 0. Random numbers (dropout, augmentation)
differ by rank, so a result is reproducible for the same number of ranks.

The ranks find each other by files of this user alone. torchrun's usual store would listen to every network, and whoever
writes into it can run code in the launcher.
"""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from core.learn import devices
from core.types import ConfigError, KilledError, OutfoldError, Progress, Report, RoundCancelledError, RoundError

POLL_SECONDS = 0.1
GRACE_SECONDS = 2.0  # from the wish to stop to SIGKILL; a rank looks several times a second
_LOOPBACK = "127.0.0.1"
_OUT_OF_MEMORY = "out of memory"
_APART = 0x5851F42D4C957F2D  # between the seeds of two ranks


@dataclass(frozen=True, slots=True)
class Rank:
    """Number of this process among those that train one network together, and how many they are."""

    number: int = 0
    count: int = 1

    def share(self, rows: Tensor) -> Tensor:
        """Return this rank's part of the rows of a step, (B,) -> (B / count,)."""
        return rows.view(self.count, -1)[self.number]

    def own_seed(self, seed: int) -> int:
        """Return the seed of this rank's own random numbers; rank 0 keeps the common one."""
        return (seed + self.number * _APART) % 2**63


ALONE = Rank()


@dataclass(frozen=True, slots=True)
class Link:
    """Folder, queue and event that the ranks share with the process that launched them."""

    folder: Path
    reports: Any  # a multiprocessing queue of Progress, OutfoldError and `_OUT_OF_MEMORY`
    stop: Any  # a multiprocessing event

    def report_of(self, rank: Rank) -> Report:
        """Return the function that takes a rank's progress: rank 0 speaks for all."""
        report: Report = self.reports.put if rank.number == 0 else lambda _progress: None
        return report


def refuse_ranks(count: int, device: str) -> None:
    """Check that one network can be trained by this number of processes on the device of this name.

    Raises:
        ConfigError: it cannot; this machine has fewer GPUs, or the device is one of them.
    """
    chosen = devices.choose(device)
    if chosen.type == "cuda" and chosen.index is not None:
        raise ConfigError(f"device {device!r} is one GPU, and a fold is to be trained on {count}", "choose 'auto'")
    if chosen.type == "cuda" and count > (found := torch.cuda.device_count()):
        raise ConfigError(f"a fold is to be trained on {count} GPUs, and there are {found}", "lower the setting")
    if chosen.type not in ("cuda", "cpu"):
        raise ConfigError(f"a fold cannot be trained on {count} devices of the kind {chosen.type}", "set 1")


def launch(
    count: int,
    train: Callable[..., None],
    arguments: tuple[Any, ...],
    *,
    report: Report,
    should_stop: Callable[[], bool],
) -> None:
    """Run `train(link, rank, *arguments)` in `count` processes until all are done.

    `train` can be imported and its arguments pickled.

    Raises:
        RoundCancelledError: `should_stop` returned true; every process has ended.
        KilledError: a process was killed.
        torch.OutOfMemoryError: the batch is too large for a device.
        OutfoldError: one of the processes raised it, or failed in another way.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs  # noqa: PLC0415  # half a second
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # noqa: PLC0415

    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # which would listen to every network
    context = multiprocessing.get_context("spawn")
    with TemporaryDirectory(prefix="outfold-ranks-") as folder, ThreadPoolExecutor(1, "ranks") as pool:
        watch = _Watch(Link(Path(folder), context.SimpleQueue(), context.Event()), report)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint=f"{folder}/launcher",
            rdzv_configs={"store_type": "file"},
            local_addr=_LOOPBACK,
            max_restarts=0,  # the worker has its own rules for killed processes
            monitor_interval=POLL_SECONDS,
            logs_specs=DefaultLogsSpecs(log_dir=f"{folder}/logs"),  # else a folder of its own stays behind
        )
        done = pool.submit(elastic_launch(config, _run), watch.link, train, *arguments)
        watch.wait(done, should_stop)
    if (error := done.exception()) is None:
        return
    if watch.link.stop.is_set():
        raise RoundCancelledError("stopped while training")
    raise watch.cause_of(error) from error


@contextmanager
def process_group(link: Link, rank: Rank, device: str) -> Iterator[None]:
    """Join the group of ranks for the block; on GPUs, "cuda" then means the rank's own one."""
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(rank.number)
    else:  # gloo would listen where the machine's name leads
        loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    store = dist.FileStore(str(link.folder / "ranks"), rank.count)  # type: ignore[attr-defined]  # its name is public
    dist.init_process_group("nccl" if on_gpu else "gloo", store=store, rank=rank.number, world_size=rank.count)
    yield
    dist.destroy_process_group()  # not after an error: others may wait in it, and the launcher ends them


def normalise_together(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network with batch normalisation over the whole batch where torch can do that, on GPUs."""
    if device.type != "cuda":
        return network
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return converted


def average_gradients(network: nn.Module, device: torch.device) -> nn.Module:
    """Return the network such that each step has the mean of all ranks' gradients; it shares its parameters."""
    return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


def mean_over_ranks(value: Tensor) -> Tensor:
    """Return the mean of a value over all ranks, without gradients; alone, the value itself."""
    if not (dist.is_available() and dist.is_initialized()):
        return value
    total = value.detach().float()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def _run(link: Link, train: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401
    """Run a rank's function and report the cause of a failure."""
    rank = Rank(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    try:
        train(link, rank, *arguments)
    except torch.OutOfMemoryError:
        link.reports.put(_OUT_OF_MEMORY)
        raise
    except OutfoldError as error:
        link.reports.put(error)
        raise
    except Exception as error:
        link.reports.put(
            RoundError(f"{type(error).__name__}: {error}. The worker's log has the details", "start it again")
        )
        raise


class _Watch:
    """Handle of the ranks in the process that launched them: it passes on their reports, and ends them."""

    def __init__(self, link: Link, report: Report) -> None:
        self.link = link
        self._report = report
        self._errors: list[OutfoldError] = []
        self._is_out_of_memory = False
        self._others = set(multiprocessing.active_children())
        self._ranks: set[BaseProcess] = set()

    def wait(self, done: "Future[Any]", should_stop: Callable[[], bool]) -> None:
        """Wait until the launcher is done; stop the ranks if `should_stop` returns true or a report fails."""
        killed_at = float("inf")
        try:
            while not self._is(done):
                self._listen()
                if not self.link.stop.is_set() and should_stop():
                    self.link.stop.set()
                    killed_at = time.monotonic() + GRACE_SECONDS
                if time.monotonic() > killed_at:
                    self._kill()
        except BaseException:
            while not self._is(done):
                self._kill()
            raise
        self._listen()

    def cause_of(self, error: BaseException) -> Exception:
        """Return the cause of a failure: a killed or failed rank makes the others fail too."""
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415  # see `launch`

        failures = error.failures.values() if isinstance(error, ChildFailedError) else ()
        codes = {process.exitcode for process in self._ranks} | {failure.exitcode for failure in failures}
        if self._is_out_of_memory:
            return torch.OutOfMemoryError(_OUT_OF_MEMORY)
        if -signal.SIGKILL in codes:
            return KilledError.of_training()
        if self._errors:
            return self._errors[0]
        how = ", ".join(f"code {failure.exitcode}" for failure in failures) or f"{type(error).__name__}: {error}"
        return RoundError(f"the training processes ended with {how}", "the worker's log says more, start it again")

    def _is(self, done: "Future[Any]") -> bool:
        is_done = bool(wait([done], timeout=POLL_SECONDS).done)
        self._ranks |= set(multiprocessing.active_children()) - self._others
        return is_done

    def _listen(self) -> None:
        while not self.link.reports.empty():
            heard = self.link.reports.get()
            if isinstance(heard, Progress):
                self._report(heard)
            elif isinstance(heard, OutfoldError):
                self._errors.append(heard)
            else:
                self._is_out_of_memory = True

    def _kill(self) -> None:
        for process in self._ranks:
            process.kill()
