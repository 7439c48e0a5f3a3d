"""Processes that train one network together: on CPUs by gloo, which differs from GPUs in batch normalisation only."""

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from core.learn.batches import ClassTargets, ImageBatches, MaskTargets, Scaling
from core.learn.ranks import ALONE, Link, Rank, launch, process_group, refuse_ranks
from core.learn.training import Hyperparameters, Labelled, TrainingCallbacks, train
from core.types import IGNORE, ConfigError, KilledError, Progress, RoundCancelledError, RoundError

CPU = torch.device("cpu")
COUNT = 24
TOLERANCE = 1e-6  # of weights of about 0.1 after six steps: sums of gradients are made in another order
SECONDS = 5.0
LOOPBACK, LISTENING = "0100007F", "0A"  # as /proc/net/tcp has them


def as_they_are(images: torch.Tensor, targets: torch.Tensor, _: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    return images, targets


def trained(batch_size: int, rank: Rank = ALONE, *, masks: bool = False) -> dict[str, torch.Tensor]:
    """Train a small network for two epochs on the same drawn images and return its weights."""
    rng = np.random.default_rng(0)
    images = ImageBatches(rng.integers(0, 256, (COUNT, 6, 6, 3), dtype=np.uint8), Scaling((0.5,) * 3, (0.5,) * 3), CPU)
    torch.manual_seed(0)
    network: nn.Module = nn.Sequential(nn.Flatten(), nn.Linear(108, 16), nn.ReLU(), nn.Linear(16, 3))
    targets: Any = ClassTargets(np.arange(COUNT) % 3, CPU)
    if masks:
        network = nn.Conv2d(3, 3, 3, padding=1)
        drawn = rng.integers(0, 3, (COUNT, 6, 6), dtype=np.uint8)
        drawn[: COUNT // 2, 1:] = IGNORE  # so that batches have different numbers of labelled pixels
        targets = MaskTargets(drawn, CPU)
    weights = torch.tensor([1.0, 2.0, 0.5]) if masks else None
    callbacks = TrainingCallbacks(lambda *_: None, lambda *_: None, lambda: False)
    recipe = Hyperparameters(epochs=2, batch_size=batch_size, learning_rate=0.01)
    labelled = Labelled(torch.arange(COUNT), targets, weights)
    train(network, images, labelled, recipe, augment=as_they_are, callbacks=callbacks, rank=rank)
    return network.state_dict()


def save_trained(link: Link, rank: Rank, folder: Path, masks: bool) -> None:  # noqa: FBT001  # no keywords
    with process_group(link, rank, "cpu"):
        torch.save(trained(4, rank, masks=masks), folder / f"{rank.number}.pt")


def tell_and_wait(link: Link, rank: Rank, folder: Path) -> None:
    """Tell that this process is there, a member of the group, and do nothing until it is ended."""
    with process_group(link, rank, "cpu"):
        wait(link, rank, folder)


def wait(link: Link, rank: Rank, folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    link.report_of(rank)(Progress("training", 0, 1, images_per_second=rank.count))
    time.sleep(600)


def stop_when_asked(link: Link, _rank: Rank) -> None:
    if link.stop.wait(600):
        raise RoundCancelledError("stopped while training")


def fail(_link: Link, rank: Rank) -> None:
    if rank.number == 1:
        raise RoundError("the image is gone", "put it back")
    time.sleep(600)


def run_out_of_memory(_link: Link, rank: Rank) -> None:
    if rank.number == 0:
        raise torch.OutOfMemoryError("as a device would")
    time.sleep(600)


def nothing(_progress: Progress) -> None: ...


def go_on() -> bool:
    return False


def launched(function: Callable[..., None], *arguments: Any, should_stop: Callable[[], bool] = go_on) -> None:
    launch(2, function, arguments, report=nothing, should_stop=should_stop)


def processes_of(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()]


def listening(pid: int) -> set[str]:
    """Return the addresses, as Linux writes them, at which a process listens."""
    sockets = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    rows = [line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[3] == LISTENING and f"socket:[{row[9]}]" in sockets}


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("masks", [False, True])
def test_two_processes_train_like_one_with_a_doubled_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, masks: bool
) -> None:
    left = tmp_path / "temporary"
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    launched(save_trained, tmp_path, masks)
    assert not list(left.iterdir())
    alone = trained(8, masks=masks)
    both = [torch.load(tmp_path / f"{number}.pt", weights_only=True) for number in (0, 1)]
    assert all(torch.equal(both[0][name], both[1][name]) for name in alone)
    for name, values in alone.items():
        torch.testing.assert_close(both[0][name], values, rtol=0, atol=TOLERANCE)
    other = trained(4, masks=masks)
    assert any((other[name] - values).abs().max() > 100 * TOLERANCE for name, values in alone.items())


@pytest.mark.slow
def test_both_processes_end_soon_after_a_cancel_even_if_unresponsive(tmp_path: Path) -> None:
    for function, arguments in ((stop_when_asked, ()), (tell_and_wait, (tmp_path,))):
        asked_at = 0.0

        def should_stop(arguments: tuple[Path, ...] = arguments) -> bool:
            nonlocal asked_at
            is_ready = len(list(tmp_path.iterdir())) == 2 if arguments else len(multiprocessing.active_children()) >= 2
            if is_ready and not asked_at:
                asked_at = time.monotonic()
            return is_ready

        with pytest.raises(RoundCancelledError):
            launched(function, *arguments, should_stop=should_stop)
        assert time.monotonic() - asked_at < SECONDS
    assert all(map(has_ended, processes_of(tmp_path)))


@pytest.mark.slow
def test_training_processes_open_no_port_to_other_machines(tmp_path: Path) -> None:
    before, opened = listening(os.getpid()), set[str]()

    def look() -> bool:
        found = processes_of(tmp_path)
        if len(found) == 2:
            opened.update(*map(listening, (os.getpid(), *found)))
        return len(found) == 2

    with pytest.raises(RoundCancelledError):
        launched(tell_and_wait, tmp_path, should_stop=look)
    ports = opened - before
    assert ports
    assert {port.partition(":")[0] for port in ports} == {LOOPBACK}


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_is_distinguished_from_a_failed_one(tmp_path: Path) -> None:
    def kill_one() -> bool:
        if len(found := processes_of(tmp_path)) == 2 and not any(map(has_ended, found)):
            os.kill(max(found), signal.SIGKILL)
        return False

    with pytest.raises(KilledError, match="memory ran out"):
        launched(tell_and_wait, tmp_path, should_stop=kill_one)
    assert all(map(has_ended, processes_of(tmp_path)))
    with pytest.raises(RoundError, match="the image is gone; put it back"):
        launched(fail)
    with pytest.raises(torch.OutOfMemoryError):
        launched(run_out_of_memory)


@pytest.mark.slow
def test_a_report_that_cannot_be_stored_ends_every_process(tmp_path: Path) -> None:
    def fail_to_store(_progress: Progress) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        launch(2, tell_and_wait, (tmp_path,), report=fail_to_store, should_stop=go_on)
    assert all(map(has_ended, processes_of(tmp_path)))


def test_ranks_split_a_batch_and_have_different_seeds() -> None:
    rows = torch.arange(6)
    assert [Rank(number, 3).share(rows).tolist() for number in range(3)] == [[0, 1], [2, 3], [4, 5]]
    assert ALONE.share(rows).tolist() == rows.tolist()
    assert len({Rank(number, 3).own_seed(7) for number in range(3)}) == 3
    assert Rank(0, 3).own_seed(7) == ALONE.own_seed(7) == 7


def test_devices_unsuited_to_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_ranks(64, "cpu")
    monkeypatch.setattr("core.learn.devices.choose", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    refuse_ranks(2, "cuda")
    for device, reason in [("cuda:1", "is one GPU"), ("cuda", "there are 2"), ("mps", "of the kind mps")]:
        with pytest.raises(ConfigError, match=reason):
            refuse_ranks(3, device)
