"""Faults that an installation may start with, each as a person may meet it: made on a real disk, nothing is mocked."""

import ctypes
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from db.engine import migrate

Variables = dict[str, str]
TMPFS_BYTES = 1 << 20
NOBODY_LISTENS = 1  # a port that only root could listen at
_LINUX_CAPABILITY_VERSION_3, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 0x20080522, 1 << 1, 1 << 2  # linux/capability.h


@dataclass(frozen=True)
class Fault:
    """A fault: how it is made below a folder (returns the variables that lead to it), and words of its sentence."""

    name: str
    make: Callable[[Path, ExitStack], Variables]
    says: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """Mount a disk of 1 MiB; skip where this user may not."""
    path.mkdir(parents=True, exist_ok=True)
    mount(path, "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


def mount(path: Path, *options: str) -> None:
    """Mount a disk, or mount it anew; skip where this user may not."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    done = subprocess.run(["mount", *options, path], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")


def make_read_only(disk: Path) -> None:
    mount(disk, "-o", "remount,ro")


def fill(disk: Path) -> Path:
    """Write until nothing more goes onto a disk; return the file that is in the way."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def variables(**values: str) -> Callable[[Path, ExitStack], Variables]:
    return lambda folder, _stack: {"OUTFOLD_HOME": str(folder / "home"), **values}


def home_at(make: Callable[[Path], Path]) -> Callable[[Path, ExitStack], Variables]:
    return lambda folder, _stack: {"OUTFOLD_HOME": str(make(folder))}


def with_file(name: str, spoil: Callable[[Path], object]) -> Callable[[Path, ExitStack], Variables]:
    """Return the maker of a home with one file that was spoilt."""

    def make(folder: Path, _stack: ExitStack) -> Variables:
        home = folder / "home"
        home.mkdir()
        spoil(home / name)
        return {"OUTFOLD_HOME": str(home)}

    return make


def a_file(folder: Path) -> Path:
    (folder / "file").write_text("not a folder")
    return folder / "file"


def circle(folder: Path) -> Path:
    (folder / "circle").symlink_to("circle")
    return folder / "circle"


@contextmanager
def bound_by_modes() -> Iterator[None]:
    """Let the modes of files bind root as they bind other users: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.

    For this thread and those it starts; see capabilities(7).
    """
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_LINUX_CAPABILITY_VERSION_3, 0)
    before = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    assert libc.capget(header, before) == 0, os.strerror(ctypes.get_errno())
    without = (ctypes.c_uint32 * 6)(*before)
    without[0] &= ~(_CAP_DAC_OVERRIDE | _CAP_DAC_READ_SEARCH)
    assert libc.capset(header, without) == 0, os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0, os.strerror(ctypes.get_errno())


def locked(folder: Path, stack: ExitStack) -> Variables:
    """Make a home that this user may not write: by its mode, for root by the attribute that binds root too."""
    home = folder / "home"
    home.mkdir()
    if os.geteuid() != 0:
        home.chmod(0o500)
        stack.callback(home.chmod, 0o700)
    else:
        if subprocess.run(["chattr", "+i", home], capture_output=True, check=False).returncode != 0:
            pytest.skip("this file system knows no immutable folder, and root may write all others")
        stack.callback(subprocess.run, ["chattr", "-i", home], check=True)
    return {"OUTFOLD_HOME": str(home)}


def read_only(folder: Path, stack: ExitStack) -> Variables:
    disk = stack.enter_context(small_disk(folder / "disk"))
    (disk / "home" / "files").mkdir(parents=True)
    made(disk / "home" / "outfold.sqlite")
    make_read_only(disk)
    return {"OUTFOLD_HOME": str(disk / "home")}


def full(folder: Path, stack: ExitStack) -> Variables:
    disk = stack.enter_context(small_disk(folder / "disk"))
    (disk / "home" / "files").mkdir(parents=True)
    fill(disk)
    return {"OUTFOLD_HOME": str(disk / "home")}


def made(path: Path) -> Path:
    migrate(f"sqlite:///{path}")
    return path


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def halved(path: Path) -> None:
    whole = made(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def one_page_short(path: Path) -> None:
    path.write_bytes(made(path).read_bytes()[:-4096])


def emptied(path: Path) -> None:
    (path.parent / "files" / "rounds").mkdir(parents=True)
    path.touch()


def torn(path: Path) -> None:
    """Overwrite the page of the schema, but for the file's header."""
    whole = bytearray(made(path).read_bytes())
    whole[100:4096] = b"\xff" * 3996
    path.write_bytes(bytes(whole))


def of_the_future(path: Path) -> None:
    with sqlite3.connect(made(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmark (url TEXT)")
    connection.close()


def with_a_log_that_is_a_folder(path: Path) -> None:
    made(path)
    path.with_name(f"{path.name}-wal").mkdir()


AWAY = f"postgresql+psycopg://ada:secret@127.0.0.1:{NOBODY_LISTENS}/outfold"

OF_SETTINGS = [
    Fault("a number in words", variables(OUTFOLD_MAX_PIXELS="many"), ("OUTFOLD_MAX_PIXELS is 'many'", "integer")),
    Fault("no pixels", variables(OUTFOLD_MAX_PIXELS="0"), ("OUTFOLD_MAX_PIXELS is '0'", "greater than 0")),
    Fault("fewer than no rounds", variables(OUTFOLD_KEEP_ROUNDS="-1"), ("OUTFOLD_KEEP_ROUNDS",)),
    Fault("an empty number", variables(OUTFOLD_CACHE_GIGABYTES=""), ("OUTFOLD_CACHE_GIGABYTES is ''", "unset it")),
    Fault("neither yes nor no", variables(OUTFOLD_DEMO="perhaps"), ("OUTFOLD_DEMO is 'perhaps'", "boolean")),
    Fault("a slot with a slash", variables(OUTFOLD_WORKER_SLOT="../0"), ("OUTFOLD_WORKER_SLOT is '../0'",)),
    Fault("no URL", variables(OUTFOLD_DATABASE_URL="outfold.sqlite"), ("OUTFOLD_DATABASE_URL", "no SQLAlchemy URL")),
    Fault("no driver", variables(OUTFOLD_ENGINE_URL="postgresql+no://u:secret@h/x"), ("OUTFOLD_ENGINE_URL", "driver")),
    Fault("no such database", variables(OUTFOLD_DATABASE_URL="mysql://h/x"), ("OUTFOLD_DATABASE_URL",)),
    Fault("in memory", variables(OUTFOLD_DATABASE_URL="sqlite://"), ("OUTFOLD_DATABASE_URL", "memory")),
    Fault("an empty home", variables(OUTFOLD_HOME=""), ("OUTFOLD_HOME is ''", "name a folder")),
    Fault("a home of no user", variables(OUTFOLD_HOME="~no-such-user/x"), ("OUTFOLD_HOME", "not a user's home")),
    Fault("a host with a port", variables(OUTFOLD_HOSTS="a.test,b:80"), ("OUTFOLD_HOSTS", "'b:80' is not a host name")),
    Fault("no cluster", variables(OUTFOLD_RAY_ADDRESS="ray-head"), ("OUTFOLD_RAY_ADDRESS", "write host:port")),
    Fault("sessions of no time", variables(OUTFOLD_SESSION_HOURS="0"), ("OUTFOLD_SESSION_HOURS", "greater than 0")),
    Fault("a root that is missing", variables(OUTFOLD_ALLOWED_ROOTS="/nowhere"), ("OUTFOLD_ALLOWED_ROOTS", "/nowhere")),
]  # fmt: skip
OF_HOME = [
    Fault("home is a file", home_at(a_file), ("file", "another path")),
    Fault("home below a file", home_at(lambda folder: a_file(folder) / "home"), ("is a file, not a folder",)),
    Fault("home in a circle of links", home_at(circle), ("circle", "links")),
    Fault("home with an endless name", home_at(lambda folder: folder / ("x" * 300)), ("too long",)),
    Fault("home not writable", locked, ("home", "right")),
    Fault("read-only disk", read_only, ("disk is read-only", "mount it for writing")),
    Fault("full disk", full, ("disk is full", "free some space")),
]
OF_DATABASE = [
    Fault("newer database", with_file("outfold.sqlite", of_the_future), ("newer Outfold", "9999", "update Outfold")),
    Fault("garbage", with_file("outfold.sqlite", garbage), ("outfold.sqlite", "no SQLite database", "backup")),
    Fault("half a database", with_file("outfold.sqlite", halved), ("outfold.sqlite", "damaged", "backup")),
    Fault("a page short", with_file("outfold.sqlite", one_page_short), ("outfold.sqlite", "damaged", "backup")),
    Fault("torn schema", with_file("outfold.sqlite", torn), ("outfold.sqlite", "damaged", "backup")),
    Fault("emptied database", with_file("outfold.sqlite", emptied), ("it is empty", "backup")),
    Fault("database is a folder", with_file("outfold.sqlite", Path.mkdir), ("it is a folder", "move it away")),
    Fault("another program's", with_file("outfold.sqlite", of_another_program), ("another program", "move the file")),
    Fault("unreadable log", with_file("outfold.sqlite", with_a_log_that_is_a_folder), ("outfold.sqlite", "-wal")),
    Fault("PostgreSQL away", variables(OUTFOLD_DATABASE_URL=AWAY), (":***@", "does not answer", "start the server")),
]
OF_WORKER = [  # met by a worker alone
    Fault("garbage for the engine", with_file("engine.sqlite", garbage), ("engine.sqlite", "no SQLite database")),
    Fault("engine is a folder", with_file("engine.sqlite", Path.mkdir), ("engine.sqlite", "a file")),
    Fault("engine away", variables(OUTFOLD_ENGINE_URL=AWAY), (":***@", "does not answer")),
    Fault("log is a folder", with_file("worker.log", Path.mkdir), ("worker.log", "it is a folder")),
    Fault("locks are a file", with_file("locks", Path.touch), ("locks", "it is a file")),
]
AT_START = [*OF_SETTINGS, *OF_HOME, *OF_DATABASE]
