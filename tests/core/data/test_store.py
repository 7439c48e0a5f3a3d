"""Files that two homes share behind a URL: each home sees what the other published, and never a part of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from core.data.masks.store import MaskStore
from core.data.remote import Remote
from core.data.shared_rounds import forget_files, pieces_of, publish_piece, sync_folder
from core.data.store import SharedFiles, close_store, is_whole, local, open_store, prune_copies
from core.types import DatasetError, StorageError
from tools.fixtures.object_store import ObjectStore

pytest_plugins = ["tests.object_store"]
ROOT = Path(__file__).parents[3]
OLD = 1_000_000_000.0  # seconds since the epoch


@pytest.fixture
def url() -> str:
    return f"memory://{uuid4().hex}"


@pytest.fixture
def homes(tmp_path: Path, url: str) -> Iterator[tuple[SharedFiles, SharedFiles]]:
    roots = tmp_path / "one" / "files", tmp_path / "other" / "files"
    yield open_store(roots[0], url, 10**9), open_store(roots[1], url, 10**9)
    for root in roots:
        close_store(root)


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def everything(_name: str) -> bool:
    return True


def sync(store: SharedFiles, unit: str = "rounds/1") -> Path:
    return sync_folder(store, unit, sorted, last="z-done")


def test_a_published_file_is_fetched_by_another_home_once(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = homes
    path = write(one.root / "masks" / "ab" / "x.png", b"mask")
    one.publish([path])
    copy = local(other.root / "masks" / "ab" / "x.png")
    assert copy.read_bytes() == b"mask"
    one.remote.remove("masks")
    assert local(copy).read_bytes() == b"mask"


def test_an_unpublished_file_is_missing_and_leaves_nothing(homes: tuple[SharedFiles, SharedFiles]) -> None:
    path = local(homes[1].root / "masks" / "ab" / "x.png")
    assert not path.exists()
    assert not any(homes[1].root.rglob("*.partial"))


def test_files_computed_anew_in_each_home_are_not_shared(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, _ = homes
    inner = ("thumbnails/a.webp", "images/a.npy", "masks/resolved/a.json", "exports/downloads/1.zip", "timings/a.json")
    one.publish(write(one.root / name, b"1") for name in inner)
    assert one.remote.list("") == {}


def test_content_named_by_another_home_is_read_in_this_one(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = homes
    path = write(one.root / "uploads" / "12" / "photos" / "a.png", b"image")
    one.publish_tree(one.root / "uploads" / "12")
    path.unlink()
    close_store(one.root)  # the other machine knows its own home alone
    assert local(path) == other.root / "uploads" / "12" / "photos" / "a.png"
    assert local(path).read_bytes() == b"image"


def test_a_content_folder_is_fetched_completely(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = homes
    for name in ("a/1.png", "b/2.png"):
        write(one.root / "demo" / "digits" / name, name.encode())
    one.publish_tree(one.root / "demo" / "digits")
    folder = other.fetch_tree(other.root / "demo" / "digits")
    assert sorted(path.name for path in folder.rglob("*.png")) == ["1.png", "2.png"]
    assert other.fetch_tree(Path("/elsewhere")) == Path("/elsewhere")


def test_a_plain_path_is_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "masks" / "ab" / "x.png"
    assert local(path) is path


def test_a_mask_stored_in_one_home_is_available_in_the_other(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = (MaskStore(home.root / "masks") for home in homes)
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    name = one.put(mask)
    assert np.array_equal(other.get(name), mask)
    later = mask.copy()
    later[1] = 7
    edited = other.put_edited(later, name, (1, 2))
    assert np.array_equal(one.get(edited), later)
    with pytest.raises(DatasetError, match="cannot be read"):
        one.get("0" * 32)


def test_masks_stored_in_bulk_are_published_together(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = (MaskStore(home.root / "masks") for home in homes)
    names = [one.put(np.full((2, 2), value, np.uint8), durable=False) for value in range(40)]
    assert homes[0].remote.list("masks") == {}
    one.publish(names)
    assert [int(other.get(name)[0, 0]) for name in names] == list(range(40))


def test_an_unpublished_local_mask_is_published_when_it_is_stored_again(
    homes: tuple[SharedFiles, SharedFiles],
) -> None:
    one, other = (MaskStore(home.root / "masks") for home in homes)
    mask = np.ones((2, 2), np.uint8)
    name = one.put(mask, durable=False)  # by an import that was killed
    assert one.put(mask) == name
    assert np.array_equal(other.get(name), mask)


def test_pieces_of_a_folder_are_combined_in_another_home_and_later_ones_take_precedence(
    homes: tuple[SharedFiles, SharedFiles],
) -> None:
    one, other = homes
    for store, piece, files in (
        (one, "a", {"snapshot.npz": b"labels", "decay.json": b"1"}),
        (other, "b", {"fold_0.npz": b"fold", "decay.json": b"2", "below/c": b"3"}),
    ):
        for name, data in files.items():
            write(store.root / "rounds" / "1" / name, data)
        publish_piece(store, "rounds/1", piece, accept=everything)
    for store in homes:
        folder = sync(store)
        assert (folder / "snapshot.npz").read_bytes() == b"labels"
        assert (folder / "decay.json").read_bytes() == b"2"
        assert (folder / "below" / "c").read_bytes() == b"3"
        assert not is_whole(folder)


def test_local_files_outside_all_pieces_stay(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = homes
    write(one.root / "rounds" / "1" / "fold_0.npz", b"fold")
    publish_piece(one, "rounds/1", "a", accept=lambda name: name.endswith(".npz"))
    mine = write(other.root / "rounds" / "1" / "fold_1.checkpoint", b"state")
    sync(other)
    assert mine.read_bytes() == b"state"


def test_a_file_that_differs_is_replaced_by_the_published_one(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = homes
    write(one.root / "rounds" / "1" / "fold_0.npz", b"fold")
    publish_piece(one, "rounds/1", "a", accept=everything)
    write(other.root / "rounds" / "1" / "fold_0.npz", b"of an attempt that was lost")
    assert (sync(other) / "fold_0.npz").read_bytes() == b"fold"


def test_a_piece_without_its_manifest_is_never_seen(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = homes
    one.remote.write("rounds/1/files/0123/fold_0.npz", b"fold")
    folder = sync(other)
    assert not (folder / "fold_0.npz").exists()


def test_a_damaged_object_is_refused_when_fetched(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = homes
    write(one.root / "rounds" / "1" / "fold_0.npz", b"fold")
    publish_piece(one, "rounds/1", "a", accept=everything)
    (key,) = one.remote.list("rounds/1/files")
    one.remote.write(key, b"fond")
    with pytest.raises(StorageError, match=r"fold_0.npz is gone or damaged"):
        sync(other)
    assert not (other.root / "rounds" / "1" / "fold_0.npz").exists()


def test_a_complete_folder_is_not_queried_again(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = homes
    write(one.root / "rounds" / "1" / "predicted.npy", b"all")
    publish_piece(one, "rounds/1", "z-done", accept=everything)
    rest = write(other.root / "rounds" / "1" / "parts" / "fold_0.npy", b"of no use any more")
    assert is_whole(sync(other))
    assert not rest.parent.exists()
    other.remote.remove("rounds/1")
    assert (sync(other) / "predicted.npy").read_bytes() == b"all"


def test_files_are_removed_from_a_piece_with_their_objects(homes: tuple[SharedFiles, SharedFiles]) -> None:
    one, other = homes
    for name in ("predicted.npy", "fold_0.safetensors"):
        write(one.root / "rounds" / "1" / name, name.encode())
    publish_piece(one, "rounds/1", "z-done", accept=everything)
    forget_files(one, "rounds/1", "z-done", ["fold_0.safetensors", "never.there"])
    folder = sync(other)
    assert (folder / "predicted.npy").exists()
    assert not (folder / "fold_0.safetensors").exists()
    assert len(one.remote.list("rounds/1/files")) == 1


def used_long_ago(path: Path) -> Path:
    os.utime(path, (OLD, OLD))
    return path


def test_the_least_recently_used_copies_are_removed_until_the_rest_fits(tmp_path: Path, url: str) -> None:
    store = SharedFiles(tmp_path / "files", Remote(url), budget=250)
    paths = [write(store.root / "masks" / "ab" / f"{number}.png", bytes(100)) for number in range(4)]
    store.publish(paths)
    for age, path in enumerate(paths):
        os.utime(path, (OLD - age, OLD - age))
    assert prune_copies(store) == 200
    assert [path.exists() for path in paths] == [True, True, False, False]
    assert store.local(paths[3]).read_bytes() == bytes(100)


def test_copies_in_use_recently_used_or_unpublished_are_kept(tmp_path: Path, url: str) -> None:
    store = SharedFiles(tmp_path / "files", Remote(url), budget=0)
    published, recent, own = (write(store.root / "masks" / "ab" / name, bytes(100)) for name in ("1", "2", "3"))
    store.publish([published, recent])
    for path in (published, own):
        used_long_ago(path)
    with store.using_content():
        assert prune_copies(store) == 0
    assert prune_copies(store) == 100
    assert not published.exists()
    assert recent.exists()
    assert own.exists()


def test_the_folder_of_a_round_is_removed_only_once_it_is_complete(tmp_path: Path, url: str) -> None:
    store = SharedFiles(tmp_path / "files", Remote(url), budget=0)
    folder = store.root / "rounds" / "1"
    write(folder / "predicted.npy", bytes(100))
    publish_piece(store, "rounds/1", "a", accept=everything)
    assert prune_copies(store, grace_seconds=-1) == 0
    publish_piece(store, "rounds/1", "z-done", accept=everything)
    sync(store)
    assert prune_copies(store) == 0  # it was just used
    assert prune_copies(store, grace_seconds=-1) > 0
    assert not folder.exists()
    assert (sync(store) / "predicted.npy").read_bytes() == bytes(100)


def test_everything_can_be_read_with_a_budget_of_zero(tmp_path: Path, url: str) -> None:
    one, other = (SharedFiles(tmp_path / name / "files", Remote(url), budget=1) for name in ("one", "other"))
    paths = [write(one.root / "masks" / "ab" / f"{number}.png", bytes([number] * 50)) for number in range(20)]
    one.publish(paths)
    for number in range(20):
        copy = other.local(other.root / "masks" / "ab" / f"{number}.png")
        assert copy.read_bytes() == bytes([number] * 50)
        prune_copies(other, grace_seconds=-1)
        assert not copy.exists()


_UPLOAD = """
import sys
from pathlib import Path
from core.data.remote import Remote
from core.data.shared_rounds import publish_piece
from core.data.store import SharedFiles
store = SharedFiles(Path(sys.argv[1]), Remote(sys.argv[2]), 0)
print("begins", flush=True)
publish_piece(store, "rounds/1", "a", accept=lambda name: True)
"""


@pytest.mark.slow
def test_a_process_killed_during_an_upload_leaves_no_partial_object(bucket: ObjectStore, tmp_path: Path) -> None:
    one, other = (SharedFiles(tmp_path / name / "files", Remote(bucket.url), 10**9) for name in ("one", "other"))
    random = np.random.default_rng(0)
    whole = {f"{number}.npy": random.bytes(1 << 20 + number) for number in range(6)}  # so that no two end together
    for name, data in whole.items():
        write(one.root / "rounds" / "1" / name, data)
    command = [sys.executable, "-c", _UPLOAD, str(one.root), bucket.url]
    seen = 0
    for wanted in range(len(whole)):  # killed at the start, and after one object more each time
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            while process.poll() is None and len(one.remote.list("rounds/1/files")) < wanted:
                pass
            os.kill(process.pid, signal.SIGKILL)
        if pieces_of(other, "rounds/1"):
            break
        seen = len(one.remote.list("rounds/1/files"))
        assert not any(sync(other).glob("*.npy"))
    assert seen > 0  # it was killed in the midst at least once
    publish_piece(one, "rounds/1", "a", accept=everything)
    folder = sync(other)
    assert {path.name: path.read_bytes() for path in folder.glob("*.npy")} == whole
