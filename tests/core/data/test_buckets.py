"""Images of a bucket: listed as empty files, fetched when they are read, emptied to make room."""

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from core.data.arrays import decode_squares
from core.data.buckets import (
    bucket_of,
    displayed_path,
    fetch_labels,
    list_bucket,
    original,
    prune_originals,
    reading_labels,
)
from core.data.masks.pixels import PixelCode
from core.data.masks.reading import read_masks
from core.data.reading import read_many
from core.data.remote import Remote
from core.data.store import local
from core.types import ClassTable, DatasetError, StorageAwayError
from tools.fixtures.object_store import ObjectStore
from tools.fixtures.postgres import free_port

pytest_plugins = ["tests.object_store"]
OLD = 1_000_000_000.0  # seconds since the epoch


def listed(files: Path, url: str) -> Path:
    bucket = bucket_of(files, url)
    assert bucket is not None
    return list_bucket(bucket, 10**9)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "home" / "files"


def test_a_listing_is_a_folder_of_empty_files_fetched_on_read(bucket: ObjectStore, files: Path) -> None:
    remote = Remote(bucket.url)
    for name in ("cat/1.png", "cat/a b%2F.png", "dog/2.png"):
        remote.write(name, name.encode())
    folder = listed(files, bucket.url)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    assert names == ["cat/1.png", "cat/a b%2F.png", "dog/2.png"]
    assert all(path.stat().st_size == 0 for path in folder.rglob("*.png"))
    assert local(folder / "cat" / "1.png").read_bytes() == b"cat/1.png"
    assert local(folder / "cat" / "a b%2F.png").read_bytes() == b"cat/a b%2F.png"
    remote.remove("cat/1.png")
    assert local(folder / "cat" / "1.png").read_bytes() == b"cat/1.png"


def test_a_deleted_object_is_not_a_file(bucket: ObjectStore, files: Path) -> None:
    Remote(bucket.url).write("cat/1.png", b"image")
    folder = listed(files, bucket.url)
    Remote(bucket.url).remove("cat/1.png")
    assert not local(folder / "cat" / "1.png").exists()


def test_label_files_are_fetched_before_they_are_read_and_kept_while_in_use(bucket: ObjectStore, files: Path) -> None:
    remote = Remote(bucket.url)
    for name in ("1.png", "labels/1.txt", "labels/empty.txt", "data.YAML"):
        remote.write(name, b"" if "empty" in name else name.encode())
    found = bucket_of(files, bucket.url)
    assert found is not None
    with reading_labels(files):
        folder = list_bucket(found, 10**9)
        fetch_labels(found, folder)
        assert (folder / "labels" / "1.txt").read_bytes() == b"labels/1.txt"
        assert (folder / "data.YAML").read_bytes() == b"data.YAML"
        assert (folder / "1.png").stat().st_size == (folder / "labels" / "empty.txt").stat().st_size == 0
        local(folder / "1.png")
        assert prune_originals(files / "buckets", 0, grace_seconds=-1) == len("1.png")
        assert (folder / "labels" / "1.txt").read_bytes() == b"labels/1.txt"
    assert prune_originals(files / "buckets", 0, grace_seconds=-1) == len("labels/1.txt") + len("data.YAML")
    fetch_labels(found, folder)
    assert (folder / "labels" / "1.txt").read_bytes() == b"labels/1.txt"


def test_a_new_listing_drops_deleted_objects_and_fetches_changed_ones(bucket: ObjectStore, files: Path) -> None:
    remote = Remote(bucket.url)
    for name in ("cat/1.png", "dog/2.png", "owl/3.png"):
        remote.write(name, b"first")
    folder = listed(files, bucket.url)
    for path in list(folder.rglob("*.png")):
        local(path)
    remote.remove("owl")
    remote.write("dog/2.png", b"second")
    assert listed(files, str(folder)) == folder
    assert not (folder / "owl").exists()
    assert (folder / "cat" / "1.png").read_bytes() == b"first"
    assert local(folder / "dog" / "2.png").read_bytes() == b"second"


def test_a_path_of_another_home_can_be_read_in_this_one(bucket: ObjectStore, files: Path, tmp_path: Path) -> None:
    Remote(bucket.url).write("cat/1.png", b"image")
    named = Path("/elsewhere/files/buckets/s3", bucket.url.removeprefix("s3://"), "cat/1.png")
    found = original(named, files)
    assert found.is_relative_to(files)
    assert found.read_bytes() == b"image"


def test_the_least_recently_used_copies_are_emptied_first(bucket: ObjectStore, files: Path) -> None:
    for number in range(4):
        Remote(bucket.url).write(f"cat/{number}.png", bytes([number]) * 100)
    folder = listed(files, bucket.url)
    paths = [local(folder / "cat" / f"{number}.png") for number in range(4)]
    assert prune_originals(files / "buckets", 0) == 0  # they were just used
    for age, path in enumerate(paths):
        os.utime(path, (OLD - age, OLD - age))
    assert prune_originals(files / "buckets", 200) == 200
    assert [path.stat().st_size for path in paths] == [100, 100, 0, 0]
    assert local(paths[3]).read_bytes() == bytes([3]) * 100


PARTS = st.lists(st.sampled_from(["%", "25", "2E", ".", "a", "%2E", "%25"]), max_size=5).map("".join)


@given(parts=st.lists(PARTS, min_size=1, max_size=3))
def test_keys_and_paths_below_the_folder_convert_both_ways(parts: list[str]) -> None:
    key = "/".join(["pets", *parts])
    found = bucket_of(Path("/home/files"), f"s3://bucket/{key}x")
    assert found is not None
    assert {"", ".", ".."}.isdisjoint(found.folder.parts)
    again = bucket_of(Path("/home/files"), str(found.folder))
    assert again == found
    assert again.url == f"s3://bucket/{key}x"


def test_a_percent_sign_in_a_name_is_kept(files: Path) -> None:
    found = bucket_of(files, "s3://bucket/50%/a%b.png")
    assert found is not None
    assert found.folder.parts[-2:] == ("50%", "a%b.png")


@pytest.mark.parametrize("home", ["other", "link"])
def test_a_folder_of_another_home_or_behind_a_link_belongs_to_its_bucket(
    home: str, files: Path, tmp_path: Path
) -> None:
    found = bucket_of(files, "s3://bucket/pets")
    assert found is not None
    if home == "link":
        found.folder.mkdir(parents=True)
        (tmp_path / home).symlink_to(files.parent)
    assert bucket_of(files, str(tmp_path / home / "files/buckets/s3/bucket/pets")) == found


def test_a_folder_that_only_looks_like_a_bucket_is_not_one(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x/files/buckets/s3/bucket/photos"
    folder.mkdir(parents=True)
    assert bucket_of(files, str(folder)) is None


@pytest.mark.parametrize("source", ["/data/photos", "photos", "C:/photos", "a,b", "camvid-exact-11"])
def test_an_ordinary_folder_is_not_a_bucket(source: str, files: Path) -> None:
    assert bucket_of(files, source) is None


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("http://host/photos", "not from http"),
        ("file:///etc/photos", "not from file"),
        ("s3://bucket", "a whole bucket"),
        ("gs://bucket/photos", "install the Python package gcsfs"),
        ("abfs://bucket@account.dfs.core.windows.net/photos", "install the Python package adlfs"),
        ("az://bucket/photos", "install the Python package adlfs"),
    ],
)
def test_an_invalid_bucket_url_is_refused_with_its_cause(source: str, cause: str, files: Path) -> None:
    with pytest.raises(DatasetError, match=cause):
        bucket_of(files, source)


def test_an_object_named_like_a_folder_is_refused(bucket: ObjectStore, files: Path) -> None:
    for name in ("cat", "cat/1.png", "dog/1.png"):
        Remote(bucket.url).write(name, b"bytes")
    with pytest.raises(DatasetError, match="/cat: it is an object, and a folder of others") as refused:
        listed(files, bucket.url)
    assert refused.value.cure == "rename the object"


def test_a_place_is_shown_as_its_url(files: Path) -> None:
    source = "s3://photos/pets/..%2F/cats"
    bucket = bucket_of(files, source)
    assert bucket is not None
    assert displayed_path(str(bucket.folder)) == source
    assert displayed_path("/files/buckets/s3/photos/pets") == "s3://photos/pets"
    assert displayed_path("/data/pets") == "/data/pets"


def test_an_empty_prefix_is_refused(bucket: ObjectStore, files: Path) -> None:
    with pytest.raises(DatasetError, match="there is nothing below it"):
        listed(files, f"{bucket.url}/nothing")


@pytest.fixture
def away(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a bucket whose store does not answer."""
    address = f"http://127.0.0.1:{free_port()}"
    for name, value in {"ENDPOINT_URL": address, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return files / "buckets/s3/bucket-of-a-store-that-went-away/photos"


@pytest.mark.parametrize("count", [1, 65])
def test_images_are_not_reported_as_damaged_while_the_store_is_unavailable(away: Path, count: int) -> None:
    with pytest.raises(StorageAwayError, match="it cannot be reached"):
        list(read_many([f"{away}/1.png"] * count, 10**6, processes=1))


@pytest.mark.parametrize("count", [1, 33])
def test_masks_are_not_reported_as_damaged_while_the_store_is_unavailable(away: Path, count: int) -> None:
    reference = PixelCode(coloured=False).reference(f"{away}/1.png")
    with pytest.raises(StorageAwayError, match="it cannot be reached"):
        list(read_masks([(reference, 4, 4)] * count, ClassTable(("a",), ("#000000",)), processes=1))


@pytest.mark.parametrize("count", [1, 401])
def test_a_round_waits_while_the_store_is_unavailable(away: Path, count: int, tmp_path: Path) -> None:
    paths, keys = [f"{away}/1.png"] * count, [str(number) for number in range(count)]
    with pytest.raises(StorageAwayError, match="it cannot be reached"):
        decode_squares(
            paths, keys, size=8, grey=True, cache=tmp_path, report=lambda *_: None, should_stop=lambda: False
        )
