"""Addresses and ports of the server: checks, and the program that uses a port."""

import errno
import json
import socket
import urllib.request
from hashlib import blake2b
from pathlib import Path
from typing import Any

from app.services.addresses import is_loopback, is_wildcard
from app.settings import Settings
from core.types import ConfigError

_ANSWER_SECONDS = 2.0
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_LISTENING = "0A"  # as /proc/net/tcp writes it


def refuse_unusable_port(address: str, port: int) -> None:
    """Check that a server could listen there now.

    Raises:
        ConfigError: the address is not one of this machine, or the port is taken or reserved.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(place)
            probe.listen(1)
    except OSError as error:
        cause, cure = _in_words(error, address, port)
        raise ConfigError(cause, cure) from error


def refuse_open_address(address: str | None, chosen: Settings, *, has_login: bool) -> None:
    """Check that a server without login is reachable only from its own machine, unless `insecure` allows more.

    Raises:
        ConfigError: it would listen at another address; None means every network.
    """
    if has_login or is_loopback(address) or chosen.insecure:
        return
    raise ConfigError(
        f"{address or 'every network'} is reached from other machines, and there is no login: "
        "everybody there could change labels",
        "add a login (python -m app users add NAME --role admin), or serve at 127.0.0.1 (from elsewhere: "
        "ssh -L 8501:localhost:8501 HOST), or where only people you trust reach it say --insecure "
        "(OUTFOLD_INSECURE=true)",
    )


def user_of(port: int, address: str = "127.0.0.1") -> str | None:
    """Return the program that listens at a port of this machine, in words; None if none does."""
    host = "127.0.0.1" if is_wildcard(address) else address
    try:
        socket.create_connection((host, port), timeout=_ANSWER_SECONDS).close()
    except OSError:
        return None
    version = _health_at(host, port).get("version")
    process = _process_at(port)
    program = f"Outfold {version}" if version is not None else "another program"
    return f"{program} (process {process})" if process else program


def home_id(chosen: Settings) -> str:
    """Return a text that identifies an installation's home and database without naming a path."""
    return blake2b(f"{chosen.folder}\n{chosen.app_url}".encode(), digest_size=16).hexdigest()


def serves_home(port: int, chosen: Settings) -> bool:
    """Return whether an Outfold of this home serves at a port of this machine."""
    return _health_at("127.0.0.1", port).get("home") == home_id(chosen)


def _in_words(error: OSError, address: str, port: int) -> tuple[str, str]:
    """Return cause and cure."""
    if error.errno == errno.EADDRINUSE:
        user = user_of(port, address) or "another program"
        return f"port {port} is taken by {user}", "end it, or choose another port with --port"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"port {port} is reserved for the system", "choose one from 1024 on with --port"
    return f"{address} is not an address of this machine", "use 127.0.0.1, or 0.0.0.0 for every network, with --address"


def _health_at(host: str, port: int) -> dict[str, Any]:
    """Return the health report of the Outfold that answers there, empty for another program."""
    place = f"[{host}]" if ":" in host else host
    try:
        with _DIRECTLY.open(f"http://{place}:{port}/outfold/health", timeout=_ANSWER_SECONDS) as answer:
            state = json.loads(answer.read(1000))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) and "version" in state else {}


def _process_at(port: int) -> str:
    """Return number and name of the process that listens, as far as Linux lets this user see it."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
        sockets |= {row[9] for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = {str(handle.readlink()) for handle in (process / "fd").iterdir()}
            if links & {f"socket:[{number}]" for number in sockets}:
                return f"{process.name}, {(process / 'comm').read_text().strip()}"
        except OSError:  # of another user, or gone meanwhile
            continue
    return ""
