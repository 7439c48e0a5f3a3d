"""Locks on files, and scratch folders: gone after their block, or once a process after a killed one looks."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.data.locks import exclusive_lock, is_held, remove_abandoned, scratch_folder, try_lock
from core.types import RoundCancelledError

ROOT = Path(__file__).parents[3]


def test_a_folder_is_there_within_the_block_alone(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, "check-") as folder:
        (folder / "kept.npy").write_bytes(b"1")
        assert folder.is_dir()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom core.data.locks import scratch_folder\n"
        "with scratch_folder(Path(sys.argv[1]), 'check-'):\n    print('ready', flush=True)\n    sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        (tmp_path / "images").mkdir()
        assert remove_abandoned(tmp_path, "check-") == 0
        process.send_signal(signal.SIGKILL)
        process.wait()
    with scratch_folder(tmp_path, "check-") as own:
        assert remove_abandoned(tmp_path, "check-") == 1
        assert sorted(tmp_path.iterdir()) == sorted([own, tmp_path / "images"])


def test_readers_share_a_lock_and_keep_out_who_wants_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first, second = try_lock(path, shared=True), try_lock(path, shared=True)
    assert first is not None
    assert second is not None
    assert try_lock(path) is None
    assert not is_held(path), "nobody holds it alone"
    os.close(first)
    os.close(second)
    handle = try_lock(path)
    assert handle is not None
    assert is_held(path)
    assert try_lock(path, shared=True) is None
    os.close(handle)
    assert not is_held(path)


def test_a_lock_whose_file_was_removed_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = try_lock(path)
    assert first is not None
    path.unlink()
    second = try_lock(path)
    assert second is not None, "a new file of that name is another lock"
    os.close(first)
    assert try_lock(path) is None
    os.close(second)


def test_a_wait_ends_when_it_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with exclusive_lock(path, lambda: False):
        with pytest.raises(RoundCancelledError, match=r"holds a\.lock"), exclusive_lock(path, lambda: True):
            pass
        assert is_held(path)
    assert not path.exists()
    assert not is_held(path)
