"""Opens an address in the person's browser once a port answers: `python -m app.commands.browsing ADDRESS PORT`.

A process of its own, because the server takes the place of the command that starts it.
"""

import socket
import sys
import time
import webbrowser

_WAIT_SECONDS = 60.0
_LOOK_SECONDS = 0.2


def open_when_served(address: str, port: int) -> bool:
    """Open the address as soon as something listens at the port; False when nothing did for a minute."""
    end = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(_LOOK_SECONDS)
        else:
            return webbrowser.open(address)
    return False


if __name__ == "__main__":
    open_when_served(sys.argv[1], int(sys.argv[2]))
