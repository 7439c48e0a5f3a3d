"""What starts and ends with the web app: the database, the demo and the worker."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import streamlit as st

from app.services.demo import ensure_demos
from app.services.faults import file_errors
from app.services.workspace import Workspace, workspace
from app.worker.embedded import EmbeddedWorker
from core.types import OutfoldError

FAILED = 1  # exit code


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Open the workspace, begin the demos on a new installation, keep one worker alive until the app ends."""
    opened = await anyio.to_thread.run_sync(open_or_end)
    worker = EmbeddedWorker(opened) if opened.settings.embedded_worker else None
    if worker:
        worker.start()
    try:
        yield {}
    finally:
        if worker:
            await anyio.to_thread.run_sync(worker.stop)
        opened.database.close()


def open_or_end() -> Workspace:
    """Open the workspace and begin the demos; where that fails, end the process with the reason."""
    try:
        with file_errors():
            opened = workspace()
            if opened.settings.demo:
                ensure_demos(opened)  # before the worker, which takes a running import for its own
    except OutfoldError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.stderr.flush()
        os._exit(FAILED)  # raised here, the server would log it as a traceback
    return opened
