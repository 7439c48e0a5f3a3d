"""Objects behind a URL, by fsspec: each appears whole or not at all, and faults are sentences with a cure.

An object store shows an object once all of its bytes have arrived. Where a scheme is not known to do so, an object is
written beside its place and then moved.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from core.types import ConfigError, StorageAwayError, StorageError

_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"})
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
}
_NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"})
_DENIED = frozenset({"ClientAuthenticationError", "RefreshError"})
_OF_SERVICES = frozenset({"ClientError", "BotoCoreError", "HttpError", "GoogleAuthError", "AzureError"})
_AWAY = frozenset(
    {
        "ClientConnectorError",
        "ClientOSError",
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "FSTimeoutError",
        "HTTPClientError",
        "ReadTimeoutError",
        "ServerDisconnectedError",
        "ServerTimeoutError",
        "ServiceRequestError",
        "ServiceResponseError",
        "TransportError",
    }
)
_BUSY = frozenset({errno.EBUSY, errno.EIO, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT})
_S3_OPTIONS = {"config_kwargs": {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 3}}}
_PROBE = ".outfold-probe-"


class FilesAwayError(StorageAwayError):
    """The store of files does not answer; the work can be run again."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing: its size in bytes, and a text that changes with its content."""

    size: int
    version: str


@dataclass(frozen=True, slots=True)
class Remote:
    """Objects below a URL; a key is a path below it, parts separated by "/"."""

    url: str

    @property
    def name(self) -> str:
        """Return the URL as it may be shown, without a password."""
        return shown_url(self.url)

    def read(self, key: str) -> bytes:
        """Return an object's bytes.

        Raises:
            FileNotFoundError: there is none.
            StorageError: the store cannot be used.
        """
        with self._faults(key):
            data: bytes = self._fs.cat_file(self._place(key))
        return data

    def write(self, key: str, data: bytes) -> None:
        """Write an object, whole or not at all."""
        with self._faults(key, writing=True), self._placed(key) as place:
            self._fs.pipe_file(place, data)

    def get(self, key: str, target: Path) -> None:
        """Copy an object into a file; raises as `read` does."""
        with self._faults(key, local=target):
            self._fs.get_file(self._place(key), str(target))

    def put(self, key: str, source: Path) -> None:
        """Copy a file to an object, completely or not at all.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: the store cannot be used.
        """
        source.stat()
        with self._faults(key, writing=True, local=source), self._placed(key) as place:
            self._fs.put_file(str(source), place)

    def has(self, key: str) -> bool:
        """Return whether there is such an object."""
        with self._faults(key):
            found: bool = self._fs.isfile(self._place(key))
        return found

    def list(self, below: str) -> dict[str, Listed]:
        """Return the objects whose keys begin with `below` and a "/", by key."""
        above = len(self._place("")) + 1
        with self._faults(below):
            try:
                found: dict[str, dict[str, Any]] = self._fs.find(self._place(below), detail=True)
            except FileNotFoundError:
                return {}
        objects = ((path, facts) for path, facts in found.items() if facts.get("type") != "directory")
        return {path[above:]: Listed(int(facts["size"]), _version(facts)) for path, facts in objects}

    def remove(self, below: str) -> None:
        """Remove the object with this key, or all whose keys begin with it and a "/"."""
        with self._faults(below, writing=True), suppress(FileNotFoundError):
            self._fs.rm(self._place(below), recursive=True)

    def probe(self) -> None:
        """Write an object, read it, remove it.

        Raises:
            StorageError: one of these is refused; the text names it.
        """
        key, data = f"{_PROBE}{uuid4().hex}", b"outfold"
        self.write(key, data)
        try:
            if self.read(key) != data:
                raise StorageError(f"{self.name}: it gives back other bytes than were written", "use another store")
        except FileNotFoundError:
            raise StorageError(
                f"{self.name}: what was written cannot be read at once", "use a store that shows an object once written"
            ) from None
        finally:
            self.remove(key)

    @property
    def _fs(self) -> Any:  # noqa: ANN401  # fsspec has no types
        return _opened(self.url)[0]

    def _place(self, key: str) -> str:
        return f"{_opened(self.url)[1]}/{key}".rstrip("/")

    @contextmanager
    def _placed(self, key: str) -> Iterator[str]:
        """Yield where to write an object, which then is moved into its place, if it has to be."""
        place = self._place(key)
        if _scheme(self.url) in _ATOMIC:
            yield place
            return
        folder, _, name = place.rpartition("/")
        partial = f"{folder}/.{name[:80]}.{uuid4().hex[:12]}.partial"
        self._fs.makedirs(folder, exist_ok=True)
        try:
            yield partial
            self._fs.mv(partial, place)
        except BaseException:
            with suppress(Exception):  # the first fault is the one to report
                self._fs.rm_file(partial)
            raise

    @contextmanager
    def _faults(self, key: str, *, writing: bool = False, local: Path | None = None) -> Iterator[None]:
        try:
            yield
        except StorageError:
            raise
        except FileNotFoundError as error:
            if not writing:
                raise
            raise StorageError(
                f"{self.name}: there is no such bucket or folder", "create it, or correct OUTFOLD_FILES_URL"
            ) from error
        except Exception as error:
            if local is not None and isinstance(error, OSError) and str(error.filename or "") == str(local):
                raise  # of the local disk
            fault = _fault(self.name, key, error)
            if fault is None:
                raise
            raise fault from error


def check_url(url: str) -> None:
    """Raise `ConfigError` if a text is not the URL of a supported store of files."""
    import fsspec  # noqa: PLC0415  # only where there is a URL

    scheme = _scheme(url)
    if not scheme or (not urlsplit(url).netloc and scheme not in {"file", "local", "memory"}):
        raise ConfigError("it is no URL", "write s3://bucket/prefix, gs://bucket/prefix or file:///folder")
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        package = _PACKAGES.get(scheme)
        named = package or "that fsspec names"
        cure = f"install the Python package {named} where Outfold runs"
        raise ConfigError(f"its scheme {scheme} needs a package that is not installed ({error})", cure) from None
    except ValueError:
        raise ConfigError(f"fsspec does not know its scheme {scheme}", "write s3://bucket/prefix") from None


def shown_url(url: str) -> str:
    """Return a URL without a user's name and password."""
    scheme, marks, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{marks}{place.rpartition('@')[2]}{slash}{path}"


@cache
def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL and the path of its root there."""
    import fsspec  # noqa: PLC0415  # as above

    check_url(url)
    # others write too, and the variables that lead there are those of now
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if _scheme(url) in {"s3", "s3a"}:
        options |= _S3_OPTIONS
    try:
        fs, root = fsspec.core.url_to_fs(url.rstrip("/"), **options)
    except ValueError as error:  # adlfs's error without an account
        raise StorageError(f"{shown_url(url)}: it cannot be opened ({error})", "set its credentials") from error
    return fs, root.rstrip("/")


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower() if "://" in url else ""


def _version(facts: dict[str, Any]) -> str:
    names = ("ETag", "etag", "md5Hash", "LastModified", "created", "mtime")
    known = next((facts[name] for name in names if facts.get(name)), "")
    return f"{facts['size']} {known}"


def _fault(name: str, key: str, error: Exception) -> StorageError | None:
    """Return the sentence for an error of a store, None for one of the program."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    code = error.errno if isinstance(error, OSError) else None
    if kinds & _NO_CREDENTIALS:
        return StorageError(
            f"{name}: there are no credentials for it", "set those of its service, as AWS_ACCESS_KEY_ID and its secret"
        )
    if isinstance(error, PermissionError) or kinds & _DENIED:
        return StorageError(
            f"{name}: access is denied ({error})", "give these credentials the right to read, write, list and delete"
        )
    if kinds & _AWAY or isinstance(error, (ConnectionError, TimeoutError)) or code in _BUSY:
        return FilesAwayError(
            f"{name}: it cannot be reached ({type(error).__name__})", "check the network and the store's address"
        )
    if isinstance(error, OSError) or kinds & _OF_SERVICES:
        return StorageError(f"{name}: {key}: {type(error).__name__}: {error}", "check the store")
    return None
