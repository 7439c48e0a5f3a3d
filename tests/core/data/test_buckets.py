"""Images of a bucket: listed as empty files, fetched when they are read, emptied to make room."""

import os
from pathlib import Path

import pytest

from core.data.buckets import bucket_of, list_bucket, original, prune_originals
from core.data.remote import Remote
from core.data.store import local
from core.types import DatasetError
from tools.fixtures.object_store import ObjectStore

pytest_plugins = ["tests.object_store"]
OLD = 1_000_000_000.0  # seconds since the epoch


def listed(files: Path, url: str) -> Path:
    bucket = bucket_of(files, url)
    assert bucket is not None
    return list_bucket(bucket, 10**9)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "home" / "files"


def test_a_listing_is_a_folder_of_empty_files_that_are_fetched_when_read(bucket: ObjectStore, files: Path) -> None:
    remote = Remote(bucket.url)
    for name in ("cat/1.png", "cat/a b%2F.png", "dog/2.png"):
        remote.write(name, name.encode())
    folder = listed(files, bucket.url)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    assert names == ["cat/1.png", "cat/a b%252F.png", "dog/2.png"]
    assert all(path.stat().st_size == 0 for path in folder.rglob("*.png"))
    assert local(folder / "cat" / "1.png").read_bytes() == b"cat/1.png"
    assert local(folder / "cat" / "a b%252F.png").read_bytes() == b"cat/a b%2F.png"
    remote.remove("cat/1.png")
    assert local(folder / "cat" / "1.png").read_bytes() == b"cat/1.png"


def test_a_new_listing_forgets_what_is_gone_and_fetches_what_changed(bucket: ObjectStore, files: Path) -> None:
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


def test_a_path_of_another_home_is_read_in_this_one(bucket: ObjectStore, files: Path, tmp_path: Path) -> None:
    Remote(bucket.url).write("cat/1.png", b"image")
    named = Path("/elsewhere/files/buckets/s3", bucket.url.removeprefix("s3://"), "cat/1.png")
    found = original(named, files)
    assert found.is_relative_to(files)
    assert found.read_bytes() == b"image"


def test_copies_used_longest_ago_are_emptied_first(bucket: ObjectStore, files: Path) -> None:
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


def test_a_part_of_a_key_that_would_lead_elsewhere_stays_a_name(bucket: ObjectStore, files: Path) -> None:
    found = bucket_of(files, "s3://bucket/a/../b")
    assert found is not None
    assert ".." not in found.folder.parts
    again = bucket_of(files, str(found.folder))
    assert again is not None
    assert again.url == "s3://bucket/a/../b"


@pytest.mark.parametrize("source", ["/data/photos", "photos", "C:/photos", "/x/files/buckets/s3/bucket/photos"])
def test_a_folder_is_no_bucket(source: str, files: Path) -> None:
    assert bucket_of(files, source) is None


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("http://host/photos", "not from http"),
        ("file:///etc/photos", "not from file"),
        ("s3://bucket", "a whole bucket"),
        ("gs://bucket/photos", "install the Python package gcsfs"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_cure(source: str, cause: str, files: Path) -> None:
    with pytest.raises(DatasetError, match=cause):
        bucket_of(files, source)


def test_an_empty_prefix_is_refused(bucket: ObjectStore, files: Path) -> None:
    with pytest.raises(DatasetError, match="there is nothing below it"):
        listed(files, f"{bucket.url}/nothing")
