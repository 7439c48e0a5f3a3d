"""Logs: a JSON object a line where it is asked for, and no secret in any form."""

import io
import json
import logging
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.logs import HIDDEN, formatter, without_secrets
from app.services import people
from app.services.app_context import RESTORING, open_app
from app.settings import LogForm, Settings
from core.types import Role
from tests.app.commands.test_installation import until
from tools.fixtures.postgres import free_port

ROOT = Path(__file__).parents[2]
PASSWORD = "s3cret/word &1"
URL = "postgresql+psycopg://ada:s3cret%2Fword%20%261@db.example/outfold"


@pytest.fixture
def logger() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """Return a logger with a handler, and what it has written."""
    made, text = logging.getLogger("outfold.test"), io.StringIO()
    handler = logging.StreamHandler(text)
    made.addHandler(handler)
    yield made, text
    made.removeHandler(handler)


def log_as(form: LogForm, logger: logging.Logger, home: Path) -> None:
    chosen = Settings(home=home, log=form, database_url=URL)
    logger.handlers[0].setFormatter(formatter(chosen))


def fail() -> None:
    message = f"cannot reach {URL}, password={PASSWORD!r}"
    raise RuntimeError(message)


def write_everything(logger: logging.Logger) -> None:
    logger.warning("opened %s", URL)
    logger.warning("two lines\nand the password %s", PASSWORD)
    logger.warning("Cookie: outfold_session=abc.def; outfold_session_0a1b2c3d=ghi.jkl; outfold_name=ada")
    logger.warning("a form: name=ada&password=hunter2hunter2&next=/")
    try:
        fail()
    except RuntimeError:
        logger.exception("it failed")


SECRETS = (PASSWORD, "s3cret", "abc.def", "ghi.jkl", "hunter2hunter2")


@pytest.mark.parametrize("form", LogForm)
def test_no_secret_is_written_in_any_form(
    form: LogForm, logger: tuple[logging.Logger, io.StringIO], tmp_path: Path
) -> None:
    log_as(form, logger[0], tmp_path)
    write_everything(logger[0])
    written = logger[1].getvalue()
    assert [secret for secret in SECRETS if secret in written] == []
    assert written.count(HIDDEN) >= 6
    assert "db.example/outfold" in written
    assert "RuntimeError" in written


def test_json_logs_are_one_object_per_line_including_the_traceback(
    logger: tuple[logging.Logger, io.StringIO], tmp_path: Path
) -> None:
    log_as(LogForm.JSON, logger[0], tmp_path)
    write_everything(logger[0])
    lines: list[dict[str, Any]] = [json.loads(line) for line in logger[1].getvalue().splitlines()]
    assert len(lines) == 5
    assert all(line.keys() >= {"time", "level", "logger", "message", "process"} for line in lines)
    assert lines[1]["message"].startswith("two lines\nand the password ***")
    assert (lines[4]["level"], lines[4]["message"]) == ("ERROR", "it failed")
    assert "in fail" in lines[4]["error"]
    assert lines[0]["time"].endswith("+00:00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://ada:pw@db/x", "postgresql://ada:***@db/x"),
        ("http://127.0.0.1:8501/a@b", "http://127.0.0.1:8501/a@b"),
        ('{"password": "x y"}', '{"password": "*** y"}'),
        ("the password is wrong; try another", "the password is wrong; try another"),
        ("secret_hash = 'abc'", "secret_hash = 'abc'"),
        ("Token: abc", "Token: ***"),
    ],
)
def test_only_secrets_are_hidden(text: str, expected: str) -> None:
    assert without_secrets(text) == expected


def test_every_handler_gets_the_formatter_once(tmp_path: Path) -> None:
    script = """
import logging, sys
from pathlib import Path
from app.logs import JsonFormatter, configure_logs
from app.settings import Settings
own = logging.getLogger("a.b"); own.addHandler(logging.StreamHandler())
chosen = Settings(home=Path(sys.argv[1]), log="json")
configure_logs(chosen); configure_logs(chosen)
assert isinstance(own.handlers[0].formatter, JsonFormatter)
assert len(logging.getLogger().handlers) == 1
logging.getLogger("c").warning("told %s", "once")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [json.loads(line)["message"] for line in done.stderr.splitlines()] == ["told once"]


@pytest.mark.slow
def test_a_server_that_logs_json_writes_no_password_or_session(tmp_path: Path) -> None:
    """With sign-ins right and wrong, and a home that is not ready."""
    home = tmp_path / "home"
    opened = open_app(Settings(home=home, demo=False))
    people.add_user(opened, "ada", PASSWORD, Role.ADMIN, by="root")
    opened.database.close()
    port, told = free_port(), tmp_path / "told"
    variables = {"HOME": home, "DEMO": "0", "EMBEDDED_WORKER": "0", "LOG": "json"}
    environment = os.environ | {f"OUTFOLD_{name}": str(value) for name, value in variables.items()}
    command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
    with told.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}"
        assert until(lambda: answers(f"{url}/healthz")), told.read_text()
        cookie = sign_in(url, PASSWORD)
        assert cookie.startswith("outfold_session_")
        assert sign_in(url, "wrong-password-1") == ""
        (home / RESTORING).mkdir()
        assert not answers(f"{url}/readyz", cookie)
    finally:
        process.terminate()
        process.wait(30)
    text = told.read_text()
    secret = cookie.partition("=")[2].partition(";")[0]
    assert [one for one in (PASSWORD, urllib.parse.quote(PASSWORD), "wrong-password-1", secret) if one in text] == []
    logged = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert any("not ready" in line["message"] for line in logged), text


@pytest.mark.slow
def test_a_worker_writes_json_to_its_file_and_to_standard_error(tmp_path: Path) -> None:
    variables = {"OUTFOLD_HOME": str(tmp_path / "home"), "OUTFOLD_LOG": "json"}
    command = [sys.executable, "-m", "app", "worker"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        first = json.loads(process.stderr.readline())
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert (first["logger"], "is ready in slot" in first["message"]) == ("outfold.worker", True)
    lines = (tmp_path / "home" / "worker.log").read_text().splitlines()
    assert json.loads(lines[0]) == first
    assert "ends" in json.loads(lines[-1])["message"]


def answers(url: str, cookie: str = "") -> bool:
    try:
        asked = urllib.request.Request(url, headers={"Cookie": cookie})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any) -> None:
        """Follow nothing: the cookie is in the first answer."""


def sign_in(url: str, password: str) -> str:
    """Return the cookie of a session, "" if the sign-in was refused."""
    data = urllib.parse.urlencode({"name": "ada", "password": password}).encode()
    try:
        urllib.request.build_opener(_Stay).open(f"{url}/outfold/login", data, timeout=10).close()
    except urllib.error.HTTPError as answer:
        return answer.headers.get("Set-Cookie", "")
    return ""
