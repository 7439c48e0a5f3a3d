"""`worker` and `serve`: the two processes that stay."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

SCRIPT = Path(__file__).parents[2] / "streamlit_app.py"


def worker() -> None:
    """Work on rounds, imports and exports until told to stop (Ctrl+C). One worker a device.

    The web app brings one along by itself; this is for servers, and for more devices than one.

    Examples:
      python -m app worker
      OUTFOLD_HOME=/data/outfold python -m app worker
    """
    from app.settings import settings
    from app.worker.main import run

    run(settings())


def serve(
    *,
    address: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 for every network of this machine.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port.")] = 8501,
) -> None:
    """Serve the pages until told to stop (Ctrl+C).

    There is no login yet: serve only where everybody who can reach the address may decide.

    Examples:
      python -m app serve
      python -m app serve --address 0.0.0.0 --port 8600
    """
    from app.services.ports import refuse_unusable_port
    from app.settings import settings

    refuse_unusable_port(address, port)
    environment = os.environ | settings().as_environment()  # a relative home is meant from here
    os.chdir(SCRIPT.parent)  # Streamlit looks for its settings there
    options = [f"--server.address={address}", f"--server.port={port}"]
    # The server takes this process's place: there is no starter that it could outlive, and signals reach it at once.
    os.execve(sys.executable, [sys.executable, "-m", "streamlit", "run", str(SCRIPT), *options], environment)  # noqa: S606
