"""`doctor`: the state of an installation, with a cure for what is wrong."""

from typing import Annotated

import typer

from app.commands.speaking import FAILED, JsonFlag, say, say_json

MARKS = {"ok": "ok     ", "warning": "warning", "fault": "FAULT  "}


def doctor(
    *,
    address: Annotated[str, typer.Option(help="The address that `serve` would take.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port that `serve` would take.")] = 8501,
    as_json: JsonFlag = False,
) -> None:
    """Examine this installation: versions, device, disk, databases, worker, port, programs; change nothing.

    The exit code is 1 where there is a fault; warnings are worth a look and prevent nothing.

    Examples:
      python -m app doctor
      python -m app doctor --port 8600 --json
    """
    from app.services.doctor import State, examine

    found = []
    for check in examine(address, port):
        found.append(check)
        if not as_json:
            cure = f"\n                 -> {check.cure}" if check.cure else ""
            say(f"{MARKS[check.state]}  {check.name}: {check.text}{cure}")
    faults = sum(check.state is State.FAULT for check in found)
    if as_json:
        say_json(found)
    elif faults:
        say(f"{faults} {'fault' if faults == 1 else 'faults'}")
    raise typer.Exit(FAILED if faults else 0)
