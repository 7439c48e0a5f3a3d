"""What starts and ends with the web app: the database, the demo and the worker."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import streamlit as st

from app.services.demo import ensure_demos
from app.services.workspace import Workspace, workspace
from app.worker.embedded import EmbeddedWorker

log = logging.getLogger("outfold")


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Open the workspace, begin the demos on a new installation, keep one worker alive until the app ends."""
    opened = await anyio.to_thread.run_sync(workspace)
    await anyio.to_thread.run_sync(_begin, opened)  # before the worker, which takes a running import for its own
    worker = EmbeddedWorker(opened) if opened.settings.embedded_worker else None
    if worker:
        worker.start()
    try:
        yield {}
    finally:
        if worker:
            await anyio.to_thread.run_sync(worker.stop)
        opened.database.close()


def _begin(opened: Workspace) -> None:
    if opened.settings.demo:
        ensure_demos(opened)
