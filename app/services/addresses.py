"""Addresses that a server may listen at, and the names it is reached by."""

import ipaddress
import re

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_SOCKET_FILE = "unix://"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def is_loopback(address: str | None) -> bool:
    """Return whether a server at this address is reached from its own machine alone; None means every network."""
    if address is None:
        return False
    if address == "localhost" or address.startswith(_SOCKET_FILE):
        return True
    found = _as_ip(address)
    return found is not None and found.is_loopback


def is_wildcard(address: str | None) -> bool:
    """Return whether a server at this address listens at every address of its machine."""
    if not address:
        return True
    found = _as_ip(address)
    return found is not None and found.is_unspecified


def host_name(text: str) -> str | None:
    """Return a host's name or address as browsers send it, without port; None if it is none."""
    name = text.strip().lower().rstrip(".")
    found = _as_ip(name)
    if found is not None:
        return str(found)
    return name if _NAME.fullmatch(name) else None


def _as_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
