import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.data.storage import (
    atomic_folder,
    atomic_path,
    exclusive_lock,
    is_held,
    remove_abandoned,
    scratch_folder,
    size_text,
    temporary_folder,
    try_lock,
    write_atomically,
)
from core.types import RoundCancelledError

ROOT = Path(__file__).parents[3]


class FullDiskError(Exception):
    pass


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_appears_only_when_complete(*, durable: bool, tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    write_atomically(path, b"one", durable=durable)
    write_atomically(path, b"two", durable=durable)
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def fail_half_way(path: Path) -> None:
    with atomic_path(path) as partial:
        partial.write_bytes(b"half")
        raise FullDiskError


def fail_half_way_through_a_folder(path: Path) -> None:
    with atomic_folder(path) as partial:
        (partial / "a").write_text("half")
        raise FullDiskError


def test_a_failed_write_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"before")
    with pytest.raises(FullDiskError):
        fail_half_way(path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_only_when_complete(tmp_path: Path) -> None:
    with pytest.raises(FullDiskError):
        fail_half_way_through_a_folder(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "set") as partial:
        (partial / "deep").mkdir()
        (partial / "deep" / "a").write_text("whole")
        assert not (tmp_path / "set").exists()
    assert (tmp_path / "set" / "deep" / "a").read_text() == "whole"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_temporary_folder_is_removed_unless_it_was_renamed(tmp_path: Path) -> None:
    for renamed in (False, True):
        with temporary_folder(tmp_path / "set") as made:
            (made / "a").write_text("whole")
            assert made.parent == tmp_path
            if renamed:
                made.rename(tmp_path / "set")
        assert [path.name for path in tmp_path.iterdir()] == ["set"] * renamed
    assert (tmp_path / "set" / "a").read_text() == "whole"


def test_an_existing_folder_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), atomic_folder(tmp_path):
        pass


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("n" * 255), b"x")
    write_atomically(tmp_path / ("ß" * 127), b"x")


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (999, "999 B"), (40_960, "41.0 kB"), (7_300_000, "7.3 MB"), (5e9, "5.0 GB")]
)
def test_byte_counts_are_formatted_in_a_suitable_unit(count: int, said: str) -> None:
    assert size_text(count) == said


def test_a_folder_exists_only_within_the_block(tmp_path: Path) -> None:
    with scratch_folder(tmp_path, "check-") as folder:
        (folder / "kept.npy").write_bytes(b"1")
        assert folder.is_dir()
    assert not list(tmp_path.iterdir())


def test_folders_of_killed_processes_are_removed_and_those_in_use_stay(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom core.data.storage import scratch_folder\n"
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


def test_readers_share_a_lock_that_excludes_an_exclusive_one(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first, second = try_lock(path, shared=True), try_lock(path, shared=True)
    assert first is not None
    assert second is not None
    assert try_lock(path) is None
    assert not is_held(path), "readers hold no exclusive lock"
    os.close(first)
    os.close(second)
    handle = try_lock(path)
    assert handle is not None
    assert is_held(path)
    assert try_lock(path, shared=True) is None
    os.close(handle)
    assert not is_held(path)


def test_a_lock_is_released_when_its_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = try_lock(path)
    assert first is not None
    path.unlink()
    second = try_lock(path)
    assert second is not None, "a new file of that name is another lock"
    os.close(first)
    assert try_lock(path) is None
    os.close(second)


def test_waiting_for_a_lock_ends_on_cancel(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with exclusive_lock(path, lambda: False):
        with pytest.raises(RoundCancelledError, match=r"holds a\.lock"), exclusive_lock(path, lambda: True):
            pass
        assert is_held(path)
    assert not path.exists()
    assert not is_held(path)
