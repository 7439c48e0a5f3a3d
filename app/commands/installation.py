"""`worker`, `serve`, `doctor`: the processes of an installation, and its examination.

`python -m app.commands.installation ADDRESS PORT` opens an address in the browser once a port answers: a process of its
own, because the server takes the place of the command that starts it.
"""

import os
import socket
import sys
import time
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from app.commands.console import FAILED, JsonFlag, echo, echo_json, fail

SCRIPT = Path(__file__).parents[2] / "streamlit_app.py"
_SERVE_SECONDS = 60.0
_POLL_SECONDS = 0.2
MARKS = {"ok": "ok     ", "warning": "warning", "fault": "FAULT  "}


def worker(
    *,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the worker of this place beats.")] = False,
) -> None:
    """Work on rounds, imports and exports until stopped (Ctrl+C). One worker a device.

    The web app starts one; this command is for servers, and for several devices. With --check it starts
    nothing: exit code 0 if the worker of this machine and OUTFOLD_WORKER_SLOT is alive, 1 if it is silent.

    Examples:
      python -m app worker
      OUTFOLD_HOME=/data/outfold python -m app worker
      python -m app worker --check
    """
    from app.settings import settings

    if check:
        _check_worker()
        return
    from app.worker.main import run

    run(settings())


def _check_worker() -> None:
    from app.commands.lookup import app_context
    from app.services.workers import is_beating
    from app.worker.slot import slot_name

    opened = app_context()
    slot = slot_name(opened.settings)
    if not is_beating(opened, slot):
        fail(f"worker {slot} is silent; start it, and see {opened.settings.worker_log}")
    echo(f"worker {slot} is alive")


def serve(
    *,
    address: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every network of this machine.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port.")] = 8501,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Also listen on addresses that other machines can reach, without login.")
    ] = False,
) -> None:
    """Serve the pages until stopped (Ctrl+C).

    Without login only this machine is served: another address is refused unless --insecure says that everybody who
    can reach it may decide. Browsers may open it as localhost and by its address; OUTFOLD_HOSTS allows further names.

    Examples:
      python -m app serve
      python -m app serve --port 8600
      OUTFOLD_HOSTS=labels.example.org python -m app serve --address 0.0.0.0 --insecure
    """
    from app.services.ports import refuse_unusable_port
    from app.settings import settings

    refuse_unusable_port(address, port)
    environment = os.environ | settings().as_environment()  # a relative home refers to this folder
    if insecure:
        environment["OUTFOLD_INSECURE"] = "true"
    os.chdir(SCRIPT.parent)  # Streamlit looks for its settings there
    options = [f"--server.address={address}", f"--server.port={port}"]
    # The server replaces this process, so it has no parent to outlive, and signals reach it directly.
    os.execve(sys.executable, [sys.executable, "-m", "streamlit", "run", str(SCRIPT), *options], environment)  # noqa: S606


def open_when_served(address: str, port: int) -> bool:
    """Open the address as soon as the port answers; return False if it does not answer within a minute."""
    end = time.monotonic() + _SERVE_SECONDS
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(_POLL_SECONDS)
        else:
            return webbrowser.open(address)
    return False


if __name__ == "__main__":
    open_when_served(sys.argv[1], int(sys.argv[2]))


def doctor(
    *,
    address: Annotated[str, typer.Option(help="The address that `serve` would take.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port that `serve` would take.")] = 8501,
    as_json: JsonFlag = False,
) -> None:
    """Examine this installation: versions, device, disk, databases, worker, login, port; change nothing.

    The exit code is 1 if there is a fault; warnings prevent nothing.

    Examples:
      python -m app doctor
      python -m app doctor --port 8600 --json
      python -m app doctor --address 0.0.0.0
    """
    from app.services.doctor import State, examine

    found = []
    for check in examine(address, port):
        found.append(check)
        if not as_json:
            cure = f"\n                 -> {check.cure}" if check.cure else ""
            echo(f"{MARKS[check.state]}  {check.name}: {check.text}{cure}")
    faults = sum(check.state is State.FAULT for check in found)
    if as_json:
        echo_json(found)
    elif faults:
        echo(f"{faults} {'fault' if faults == 1 else 'faults'}")
    raise typer.Exit(FAILED if faults else 0)
