"""State of an installation, check by check, each with its finding and a cure for the fault.

Every check survives the fault that it looks for and changes nothing, so that an installation that cannot
start can still be examined. torch is examined in a separate process, since the web process never loads it.
"""

import errno
import importlib.util
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy import create_engine

from app import __version__
from app.services.addresses import LOOPBACK_NAMES, is_loopback, is_wildcard
from app.services.app_context import PROBE_BYTES, AppContext
from app.services.faults import file_errors
from app.services.ports import refuse_open_address, refuse_unusable_port, user_of
from app.services.programs import BROWSER, NODE, POSTGRESQL, Program
from app.services.shared_files import refuse_other_url
from app.services.single_sign_on import ProviderError, check_provider
from app.services.workers import device_name, settled_worker_state
from app.settings import Settings, settings, unknown_variables
from core.data.remote import Remote
from core.types import ConfigError, OutfoldError, StorageError
from db.engine import Database, connect_arguments, known_revisions, revision_of
from db.faults import file_of, name_of, storage_errors
from db.queries import people

PACKAGES = ("torch", "torchvision", "timm", "streamlit", "sqlalchemy", "dbos", "numpy", "pillow")
LITTLE_BYTES = 2_000_000_000  # bytes free on the disk of the home below which a warning is given
DRIVER = Path("/proc/driver/nvidia/version")
_TORCH_SECONDS = 120.0
_ASK_TORCH = "import torch; print(torch.cuda.is_available())"


class State(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class DoctorLine:
    """One line of the report; `cure` is empty without a fault."""

    name: str
    state: State
    text: str
    cure: str = ""


def examine(address: str, port: int) -> Iterator[DoctorLine]:
    """Yield every check, quick ones first; `address` and `port` are those that `serve` would use."""
    yield from _versions()
    yield _device()
    try:
        chosen = settings()
    except ConfigError as error:
        yield _fault("settings", error)
    else:
        yield from _of_installation(chosen, address)
    yield _port(address, port)
    for program in (BROWSER, POSTGRESQL, NODE):
        yield _program(program)


def _of_installation(chosen: Settings, address: str) -> Iterator[DoctorLine]:
    yield _settings(chosen)
    yield _home(chosen)
    if chosen.files_url:
        yield _shared_files(chosen)
    yield _disk(chosen)
    database = _database("database", chosen.app_url, has_revision=True)
    yield database
    yield _database("engine database", chosen.dbos_url, has_revision=False)
    yield _worker(chosen, is_readable=database.state is not State.FAULT)
    yield _login(chosen, address, is_readable=database.state is not State.FAULT)
    if chosen.oidc_issuer:
        yield _provider(chosen)
    yield _hosts(chosen, address)


def _versions() -> Iterator[DoctorLine]:
    yield DoctorLine("Outfold", State.OK, __version__)
    yield DoctorLine("Python", State.OK, f"{platform.python_version()} on {platform.platform(terse=True)}")
    for name in PACKAGES:
        try:
            yield DoctorLine(name, State.OK, version(name))
        except PackageNotFoundError:
            yield DoctorLine(name, State.FAULT, "not installed", "make install")


def _device() -> DoctorLine:
    name = device_name()
    if not DRIVER.exists():
        return DoctorLine("device", State.OK, f"{name}, no NVIDIA driver")
    driver = DRIVER.read_text(errors="replace").partition("\n")[0].removeprefix("NVRM version: ").strip()
    command = [sys.executable, "-c", _ASK_TORCH]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=_TORCH_SECONDS, check=False)  # noqa: S603
        is_used = child.stdout.strip() == "True"
    except (OSError, subprocess.TimeoutExpired):
        is_used = False
    if is_used:
        return DoctorLine("device", State.OK, f"{name}, {driver}")
    text = f"{name}, {driver}; torch cannot use it and trains on the CPU"
    return DoctorLine("device", State.WARNING, text, "install torch for this driver: make clean install TORCH=auto")


def _settings(chosen: Settings) -> DoctorLine:
    missing = [str(root) for root in chosen.roots if not root.is_dir()]
    if missing:
        text = f"OUTFOLD_ALLOWED_ROOTS names {', '.join(missing)}, which is not a folder"
        return DoctorLine("settings", State.FAULT, text, "create or mount it, or leave it out")
    if unknown := unknown_variables():
        cure = "correct the name, or unset it; the README lists all settings"
        return DoctorLine("settings", State.WARNING, f"{', '.join(unknown)}: not a setting", cure)
    return DoctorLine("settings", State.OK, "all variables are known and valid")


def _home(chosen: Settings) -> DoctorLine:
    home = chosen.folder
    folders, files = (home, chosen.files, home / "locks"), (chosen.worker_log,)
    try:
        with file_errors(str(home)):
            for path in (path for path in (*folders, *files) if os.path.lexists(path)):
                _refuse_unwritable(path, is_folder=path in folders)
            if home.exists():
                with tempfile.TemporaryFile(dir=home, buffering=0) as probe:
                    probe.write(bytes(PROBE_BYTES))
            else:
                _refuse_unwritable(_existing(home), is_folder=True)
    except (StorageError, OSError) as error:
        return _fault("home", error)
    return DoctorLine("home", State.OK, f"{home}, {'writable' if home.exists() else 'made at the first start'}")


def _shared_files(chosen: Settings) -> DoctorLine:
    """Write an object behind the URL, read it, remove it."""
    remote = Remote(chosen.files_url)
    try:
        refuse_other_url(chosen)
        remote.probe()
    except OutfoldError as error:
        return _fault("shared files", error)
    return DoctorLine("shared files", State.OK, f"{remote.name}, written, read and removed")


def _refuse_unwritable(path: Path, *, is_folder: bool) -> None:
    """Raise the error that a write would raise."""
    is_one = stat.S_ISDIR(path.stat().st_mode)  # raises for circular links
    if is_one is not is_folder:
        code = errno.ENOTDIR if is_folder else errno.EISDIR
    elif not os.access(path, os.W_OK):
        code = errno.EACCES
    else:
        return
    raise OSError(code, os.strerror(code), str(path))


def _disk(chosen: Settings) -> DoctorLine:
    try:
        left = shutil.disk_usage(_existing(chosen.folder)).free
    except OSError as error:
        return _fault("disk", error)
    text = f"{left / 1e9:.1f} GB free" if left >= 1e8 else f"{left / 1e6:.1f} MB free"  # noqa: PLR2004
    if left < LITTLE_BYTES:
        return DoctorLine("disk", State.WARNING, text, "free some space, or name a larger disk with OUTFOLD_HOME")
    return DoctorLine("disk", State.OK, text)


def _existing(path: Path) -> Path:
    """Return a path, or its nearest parent that exists."""
    return next((above for above in (path, *path.parents) if above.exists()), Path("/"))


def _database(name: str, url: str, *, has_revision: bool) -> DoctorLine:
    file = file_of(url)
    try:
        with file_errors(str(file or "")), storage_errors(url):
            if file is not None and not file.exists():
                return DoctorLine(name, State.OK, f"{file}, made at the first start")
            parts = [_schema(url)] if has_revision else []
            return DoctorLine(name, State.OK, f"{name_of(url)}: {', '.join([*parts, _integrity(url)])}")
    except (OutfoldError, OSError) as error:
        return _fault(name, error)


def _schema(url: str) -> str:
    revision, newest = revision_of(url), known_revisions()[-1]
    return f"schema {revision or 'none'}" + ("" if revision == newest else f", {newest} at the next start")


def _integrity(url: str) -> str:
    """Read every page of an SQLite database; ask a server for an answer."""
    engine = create_engine(url, connect_args=connect_arguments(url))
    try:
        with engine.connect() as connection:
            if engine.dialect.name != "sqlite":
                return f"PostgreSQL {connection.exec_driver_sql('SHOW server_version').scalar_one()}"
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    finally:
        engine.dispose()
    if found != "ok":
        cure = "restore it from a backup, or move it away to begin anew"
        raise StorageError(f"{name_of(url)}: it is damaged ({found})", cure)
    return "whole"


def _worker(chosen: Settings, *, is_readable: bool) -> DoctorLine:
    file = file_of(chosen.app_url)
    if not is_readable or (file is not None and not file.exists()):
        text = "unknown without the database" if not is_readable else "none yet"
        return DoctorLine("worker", State.OK, text)
    try:
        with closing(Database(chosen.app_url)) as database:
            state = settled_worker_state(AppContext(database, chosen.files, chosen))
    except StorageError as error:
        return _fault("worker", error)
    if state.is_alive:
        what = ", ".join(f"{one.slot} on {one.device}{f': {one.doing}' if one.doing else ''}" for one in state.alive)
        return DoctorLine("worker", State.OK, f"alive: {what}")
    return DoctorLine(
        "worker", State.WARNING, "none is alive", "python -m app serve starts one, or: python -m app worker"
    )


def _login(chosen: Settings, address: str, *, is_readable: bool) -> DoctorLine:
    """Report who can sign in, and what a non-local address would need."""
    try:
        count = _count_users(chosen) if is_readable else None
    except StorageError as error:
        return _fault("login", error)
    by_provider = f"OpenID Connect by {chosen.oidc_issuer}" if chosen.oidc_issuer else ""
    users = "" if not count else f"{count:,} {'user' if count == 1 else 'users'}"
    ways = ", ".join(filter(None, (users, by_provider)))
    if count is None and not by_provider:
        return DoctorLine("login", State.OK, "unknown before the database is whole and of this release")
    if ways:
        return DoctorLine("login", State.OK, f"{ways}; every page asks for it, so any address may be served")
    try:
        refuse_open_address(address, chosen, has_login=False)
    except ConfigError as error:
        return _fault("login", error)
    if chosen.insecure and not is_loopback(address):
        cure = "python -m app users add NAME --role admin"
        return DoctorLine("login", State.WARNING, f"none, and {address} is served (--insecure)", cure)
    outside = "an address that other machines reach needs users, OpenID Connect or --insecure"
    return DoctorLine("login", State.OK, f"none: anyone who opens the page can do everything; {outside}")


def _count_users(chosen: Settings) -> int | None:
    """Return the number of users, None if the next start must migrate the tables first."""
    revision = revision_of(chosen.app_url)
    if revision is None:
        return 0
    if revision != known_revisions()[-1]:
        return None
    with closing(Database(chosen.app_url)) as database, database.read() as session:
        return len(people.list_users(session))


def _provider(chosen: Settings) -> DoctorLine:
    try:
        check_provider(chosen)
    except ProviderError as error:
        cure = error.cure or "see the message"
        return DoctorLine("provider", State.WARNING, f"{chosen.oidc_issuer}: {error.message}", cure)
    return DoctorLine("provider", State.OK, f"{chosen.oidc_issuer} answers")


def _hosts(chosen: Settings, address: str) -> DoctorLine:
    own_names = {address} if not is_wildcard(address) else set()
    own = " and by the addresses of this machine" if is_wildcard(address) else ""
    further = "" if chosen.hosts else "; OUTFOLD_HOSTS allows further names"
    names = ", ".join(sorted(LOOPBACK_NAMES | own_names | chosen.host_names))
    return DoctorLine("hosts", State.OK, f"browsers may open it as {names}{own}{further}")


def _port(address: str, port: int) -> DoctorLine:
    name = f"port {port}"
    try:
        refuse_unusable_port(address, port)
    except ConfigError as error:
        user = user_of(port, address)
        if user is not None and user.startswith("Outfold"):
            return DoctorLine(name, State.OK, f"{user} serves here")
        return _fault(name, error)
    return DoctorLine(name, State.OK, f"free at {address}")


def _program(program: Program) -> DoctorLine:
    name = f"{program.name} (for tests)"
    if importlib.util.find_spec("playwright") is None:  # one of the packages that `make test` adds
        return DoctorLine(name, State.OK, "not looked for: only `make test` uses it, and finds or installs it")
    found = program.find()
    if found is None:
        return DoctorLine(name, State.WARNING, "none that tests can use", program.cure)
    return DoctorLine(name, State.OK, found)


def _fault(name: str, error: Exception) -> DoctorLine:
    text, cure = (error.message, error.cure) if isinstance(error, OutfoldError) else (str(error), "")
    return DoctorLine(name, State.FAULT, text, cure or "see the message")
