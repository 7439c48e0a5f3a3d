"""Start and end of the web app: database, demo datasets and worker."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import streamlit as st
from streamlit import config

from app.logs import configure_logs
from app.services.app_context import AppContext, app_context
from app.services.demo import ensure_demos
from app.services.faults import file_errors
from app.services.people import has_login as there_is_a_login
from app.services.ports import refuse_open_address
from app.services.reviews.parts import finish_behind
from app.worker.embedded import EmbeddedWorker
from core.types import OutfoldError

FAILED = 1  # exit code
SWITCH_SECONDS = 0.001  # seconds between thread switches; Python's default is five times as long
NO_LOGIN = (
    "There is no login: anyone who opens the page can do everything. Add one: python -m app users add NAME --role admin"
)


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Open the installation, start the demos if it is new, and keep one worker alive until the app ends."""
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


def open_or_end() -> AppContext:
    """Check the address, open the installation, begin what is left to do; where that fails, end with the reason.

    After each database result the thread of a verdict waits for its turn, while page scripts compute for seconds.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        with file_errors():
            opened = app_context()
            configure_logs(opened.settings)
            has_login = there_is_a_login(opened)
            refuse_open_address(served_address(), opened.settings, has_login=has_login)
            if not has_login:
                sys.stdout.write(f"{NO_LOGIN}\n")
                sys.stdout.flush()
            if opened.settings.demo:
                ensure_demos(opened)  # before the worker, which takes a running import for its own
            finish_behind(opened)
    except OutfoldError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.stderr.flush()
        os._exit(FAILED)  # raised here, the server would log it as a traceback
    return opened


def served_address() -> str | None:
    """Return the address the server listens at, None for every network."""
    address: str | None = config.get_option("server.address")
    return address
