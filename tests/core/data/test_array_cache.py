import fcntl
import gc
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest

from core.data import array_cache
from core.data.array_cache import (
    array_path,
    building,
    lock_path,
    name_of_list,
    names_of_length,
    open_array,
    path_of_list,
    prune,
)
from core.data.arrays import decode_squares
from core.data.storage import RESERVE, try_lock
from core.types import ByteArray, RoundError
from tests.core.data.test_arrays import written


def read(paths: list[str], cache: Path, size: int = 8) -> ByteArray:
    return decode_squares(
        paths, paths, size=size, grey=False, cache=cache, report=lambda *_: None, should_stop=lambda: False
    )


def arrays(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.npy"))


def make(cache: Path, name: str, used_at: int, size: int = 1000) -> Path:
    """Write an array of about this many bytes that was used at that second."""
    cache.mkdir(exist_ok=True)
    path = array_path(cache, [name], "8-rgb")
    np.save(path, np.zeros((1, size - 128), np.uint8))
    array_cache.note_rows(path, [name])
    os.utime(path, (used_at, used_at))
    return path


def test_an_array_is_found_by_the_hash_of_a_list_in_parts_and_its_length(tmp_path: Path) -> None:
    keys = ["a", "b", "c", "d"]
    for parts in ([keys], [keys[:1], keys[1:]], [[one] for one in keys]):
        assert path_of_list(tmp_path, name_of_list(parts), "8-rgb") == array_path(tmp_path, keys, "8-rgb")
    assert name_of_list([["a", "b"]]) != name_of_list([["ab"]])
    for name, rows in (("one", 4), ("two", 4), ("three", 5)):
        np.save(tmp_path / f"{name}.npy", np.zeros((rows, 2)))
    assert names_of_length(tmp_path, 4) == ["one.npy", "two.npy"]
    assert names_of_length(tmp_path / "nowhere", 4) == []


def test_a_longer_list_decodes_only_the_new_images(tmp_path: Path) -> None:
    paths = written(tmp_path / "images", 6)
    before = np.array(read(paths[1:5], tmp_path / "cache"))
    for path in paths[1:5]:
        Path(path).unlink()  # who opened them again would say that they are gone
    after = read(paths, tmp_path / "cache")
    np.testing.assert_array_equal(after[1:5], before)
    np.testing.assert_array_equal(after, np.concatenate([after[:1], before, after[5:]]))
    assert after[0].any()
    assert after[5].any()


def test_a_shorter_or_shuffled_list_decodes_nothing(tmp_path: Path) -> None:
    paths = written(tmp_path / "images", 6)
    before = np.array(read(paths, tmp_path / "cache"))
    for path in paths:
        Path(path).unlink()
    np.testing.assert_array_equal(read([paths[4], paths[0], paths[4]], tmp_path / "cache"), before[[4, 0, 4]])


def test_rows_are_copied_from_the_array_with_most_of_them_of_the_same_kind(tmp_path: Path) -> None:
    paths = written(tmp_path / "images", 6)
    read(paths[:1], tmp_path / "cache")
    read(paths[:5], tmp_path / "cache")
    Path(paths[1]).unlink()
    assert read(paths, tmp_path / "cache").shape == (6, 8, 8, 3)
    with pytest.raises(Exception, match=r"1\.png"):
        read(paths, tmp_path / "cache", size=16)


def test_copying_in_parts_gives_the_same_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = written(tmp_path / "images", 9)
    read(paths[:8], tmp_path / "cache")
    monkeypatch.setattr(array_cache, "_COPIED", 2 * 8 * 8 * 3)
    np.testing.assert_array_equal(read(paths, tmp_path / "cache"), read(paths, tmp_path / "fresh"))


def test_pruning_removes_the_least_recently_used_arrays_until_the_rest_fits(tmp_path: Path) -> None:
    oldest, middle, newest = (make(tmp_path / "cache", name, at) for name, at in [("a", 10), ("b", 20), ("c", 30)])
    assert prune(tmp_path / "cache", 3000) == 0
    assert arrays(tmp_path / "cache") == sorted([oldest, middle, newest])
    assert open_array(oldest) is not None  # used now
    gc.collect()
    assert prune(tmp_path / "cache", 2500) == 1000
    assert arrays(tmp_path / "cache") == sorted([oldest, newest])
    assert prune(tmp_path / "cache", 0) == 2000
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_array_larger_than_the_budget_is_removed_after_its_last_use(tmp_path: Path) -> None:
    paths = written(tmp_path / "images", 9)
    small = make(tmp_path / "cache", "a", 10)
    array = read(paths, tmp_path / "cache")
    assert array.nbytes > 1500
    assert prune(tmp_path / "cache", 1500) == 1000  # in use; the other one makes what room there is
    del array
    gc.collect()
    assert prune(tmp_path / "cache", 1500) > 1500
    assert not small.exists()
    assert arrays(tmp_path / "cache") == []


def test_older_arrays_are_removed_when_the_disk_is_full_before_the_round_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, paths = tmp_path / "cache", written(tmp_path / "images", 9)
    oldest, newest = make(cache, "a", 10), make(cache, "b", 20)
    needed = 9 * 8 * 8 * 3
    room = RESERVE + needed + 1000 - 2 * 1000  # with one of the two arrays gone there is just enough

    def free(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=room + 1000 * (2 - len(arrays(cache))))

    monkeypatch.setattr(shutil, "disk_usage", free)
    assert len(read(paths, cache)) == 9
    assert not oldest.exists()
    assert newest.exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=RESERVE + 100))
    with pytest.raises(RoundError, match=r"take 6\.9 kB") as refused:
        read(written(tmp_path / "others", 36), cache)
    assert "smaller input size" in refused.value.cure
    assert not list(cache.glob(".*"))
    assert newest.exists()  # removing arrays would not have been enough


def test_an_array_stays_while_any_view_of_it_exists(tmp_path: Path) -> None:
    path = make(tmp_path / "cache", "a", 10)
    array = open_array(path)
    assert array is not None
    view = array[:, 5:]
    del array
    gc.collect()
    assert prune(tmp_path / "cache", 0) == 0
    assert path.exists()
    del view
    gc.collect()
    assert prune(tmp_path / "cache", 0) == 1000


def test_an_array_used_by_another_process_stays_until_that_process_ends(tmp_path: Path) -> None:
    path = make(tmp_path / "cache", "a", 10)
    script = f"""
import sys; from pathlib import Path; from core.data.array_cache import open_array
array = open_array(Path({str(path)!r})); print("open", flush=True); sys.stdin.read()"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        assert prune(tmp_path / "cache", 0) == 0
        process.kill()
        process.wait()
        assert prune(tmp_path / "cache", 0) == 1000


def test_files_of_a_killed_writer_are_removed_but_not_those_of_a_running_one(tmp_path: Path) -> None:
    path = make(tmp_path / "cache", "a", 10)
    left = path.with_name(f".{path.name}.0123456789ab.partial")
    left.write_bytes(b"half")
    handle = try_lock(lock_path(path))
    assert handle is not None
    prune(tmp_path / "cache", 3000)
    assert left.exists()
    assert open_array(path) is None, "somebody holds it alone"
    os.close(handle)
    prune(tmp_path / "cache", 3000)
    assert not left.exists()
    assert path.exists()


def test_a_waiting_process_gets_the_array_while_its_builder_uses_it(tmp_path: Path) -> None:
    path = array_path(tmp_path, ["a"], "8-rgb")
    waits, over = Event(), Event()
    builder = try_lock(lock_path(path))
    assert builder is not None

    def should_stop() -> bool:
        waits.set()
        return over.is_set()

    def wait() -> bool:
        with building(path, should_stop) as is_wanted:
            return is_wanted

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        try:
            assert waits.wait(60)
            np.save(path, np.zeros((1, 2), np.uint8))
            fcntl.flock(builder, fcntl.LOCK_SH)  # at no moment is it free
            assert not waiting.result(timeout=60)
        finally:
            over.set()
    assert open_array(path) is not None
    os.close(builder)
