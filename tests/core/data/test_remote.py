"""Objects behind a URL: memory, a folder, and a store that speaks S3."""

from pathlib import Path
from uuid import uuid4

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from core.data.remote import FilesAwayError, Remote, check_url, shown_url
from core.types import ConfigError, StorageError
from tools.fixtures.object_store import ObjectStore
from tools.fixtures.postgres import free_port

pytest_plugins = ["tests.object_store"]


@pytest.fixture(params=["memory", "file", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Remote:
    if request.param == "s3":
        return Remote(request.getfixturevalue("bucket").url)
    return Remote(f"memory://{uuid4().hex}/below" if request.param == "memory" else f"file://{tmp_path}/remote")


def test_a_written_object_can_be_listed_read_copied_and_removed(remote: Remote, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"predictions")
    remote.put("rounds/1/a.npy", source)
    remote.write("rounds/1/below/b", b"12")
    remote.write("rounds/12/c", b"3")
    assert {key: one.size for key, one in remote.list("rounds/1").items()} == {
        "rounds/1/a.npy": 11,
        "rounds/1/below/b": 2,
    }
    remote.get("rounds/1/a.npy", target)
    assert target.read_bytes() == b"predictions"
    assert remote.has("rounds/12/c")
    assert not remote.has("rounds/12")
    remote.remove("rounds/1")
    remote.remove("rounds/1")
    assert list(remote.list("")) == ["rounds/12/c"]
    remote.remove("rounds/12/c")
    assert not remote.list("")


def test_a_rewritten_object_has_another_version(remote: Remote) -> None:
    remote.write("a", b"1")
    first = remote.list("")["a"].version
    remote.write("a", b"2")
    assert remote.list("")["a"].version != first
    assert remote.read("a") == b"2"


def test_a_missing_object_is_distinguished_from_a_fault(remote: Remote, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        remote.read("nothing")
    with pytest.raises(FileNotFoundError):
        remote.get("nothing", tmp_path / "target")
    with pytest.raises(FileNotFoundError):
        remote.put("a", tmp_path / "nothing")
    assert remote.list("nothing") == {}


def test_a_probe_leaves_nothing(remote: Remote) -> None:
    remote.probe()
    assert remote.list("") == {}


def test_a_file_is_moved_into_place_if_the_scheme_could_expose_a_partial_write(tmp_path: Path) -> None:
    remote = Remote(f"file://{tmp_path}/remote")
    remote.write("a/b", b"1")
    assert [path.name for path in (tmp_path / "remote").rglob("*")] == ["a", "b"]


def test_a_missing_bucket_is_named_with_the_cure(bucket: ObjectStore) -> None:
    with pytest.raises(StorageError, match=r"no such bucket.*create it") as caught:
        Remote("s3://no-such-bucket/prefix").probe()
    assert not isinstance(caught.value, FilesAwayError)


def test_a_store_that_does_not_answer_can_be_asked_again(bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(FilesAwayError, match="cannot be reached"):
        Remote("s3://bucket-of-a-store-that-is-away/prefix").read("a")


def test_missing_credentials_are_named(bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(StorageError, match=r"no credentials.*AWS_ACCESS_KEY_ID"):
        Remote("s3://bucket-without-credentials/prefix").read("a")


@pytest.mark.parametrize(
    ("above", "name", "kind", "cause"),
    [
        ("AzureError", "ServiceRequestError", FilesAwayError, "cannot be reached"),
        ("AzureError", "ClientAuthenticationError", StorageError, "access is denied"),
        ("AzureError", "HttpResponseError", StorageError, "HttpResponseError: told"),
        ("GoogleAuthError", "TransportError", FilesAwayError, "cannot be reached"),
        ("GoogleAuthError", "DefaultCredentialsError", StorageError, "no credentials"),
        ("GoogleAuthError", "RefreshError", StorageError, "access is denied"),
        ("Exception", "HttpError", StorageError, "HttpError: told"),
    ],
)
def test_faults_of_other_services_are_reported_in_sentences(
    above: str, name: str, kind: type[StorageError], cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named as the packages of Google and Azure name them, which are not installed here."""
    error = type(name, (type(above, (Exception,), {}),), {})

    def fail(*_: object, **__: object) -> None:
        raise error("told")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", fail)
    with pytest.raises(StorageError, match=cause) as caught:
        Remote("memory://faults").read("a")
    assert type(caught.value) is kind
    assert caught.value.cure


def test_a_folder_in_a_listing_is_not_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """As adlfs lists a folder without objects, without a size."""
    found = {"/folders/a": {"name": "/folders/a", "type": "directory", "size": None}}
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *_, **__: found)
    assert Remote("memory://folders").list("a") == {}


@pytest.mark.parametrize(
    ("url", "package"), [("gs://bucket/a", "gcsfs"), ("abfs://bucket/a", "adlfs"), ("az://bucket/a", "adlfs")]
)
def test_a_package_that_is_not_installed_is_named_with_the_cure(url: str, package: str) -> None:
    with pytest.raises(ConfigError, match="needs a package that is not installed") as caught:
        check_url(url)
    assert caught.value.cure == f"install the Python package {package} where Outfold runs"


@pytest.mark.parametrize(
    ("url", "cause"), [("bucket/prefix", "no URL"), ("s3://", "no URL"), ("nonsense://a/b", "does not know")]
)
def test_an_invalid_store_url_is_refused(url: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        check_url(url)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def refuse(_scheme: str) -> None:
        raise ImportError("Please install gcsfs to access Google Storage")

    monkeypatch.setattr(fsspec, "get_filesystem_class", refuse)
    with pytest.raises(ConfigError, match="install the Python package gcsfs"):
        check_url("gs://bucket/prefix")


def test_a_url_is_shown_without_its_password() -> None:
    assert shown_url("sftp://ada:secret@host/a@b") == "sftp://host/a@b"
