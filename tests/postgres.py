"""A PostgreSQL server of the tests' own: made in a temporary folder, on loopback only, gone when the session ends.

`OUTFOLD_TEST_DATABASE_URL` names another server instead, whose user may create databases.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from app.services.programs import POSTGRESQL, find_postgresql
from tests.needs import lack

VARIABLE = "OUTFOLD_TEST_DATABASE_URL"
_OWNER = "postgres"  # the server refuses to be root's


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Return the URL of a server; skip where there is none and none can be started."""
    named = os.environ.get(VARIABLE)
    if named:
        yield named
        return
    found = find_postgresql()
    if found is None:
        lack(POSTGRESQL)
    programs = Path(found)
    with tempfile.TemporaryDirectory(prefix="outfold-postgres-", ignore_cleanup_errors=True) as folder:
        data, port = Path(folder) / "data", _free_port()
        if os.getuid() == 0:
            shutil.chown(folder, _OWNER)
        _run(programs / "initdb", "-D", data, "-U", "outfold", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        _run(programs / "pg_ctl", "-D", data, "-l", Path(folder) / "log", "-o", options, "-w", "-t", "60", "start")
        try:
            yield f"postgresql+psycopg://outfold@127.0.0.1:{port}/postgres"
        finally:
            _run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Return the URL of an empty database."""
    name = f"outfold_{uuid4().hex}"
    engine = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _run(*command: str | Path) -> None:
    as_owner = ["runuser", "-u", _OWNER, "--"] if os.getuid() == 0 else []
    with tempfile.TemporaryFile() as said:  # no pipe: the server would hold its end
        done = subprocess.run([*as_owner, *map(str, command)], cwd="/", stdout=said, stderr=said, check=False)
        said.seek(0)
        if done.returncode != 0:
            pytest.fail(f"{command[0]} failed: {said.read()[-1000:].decode()}")
