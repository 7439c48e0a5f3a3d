"""`users` and `log`: people are managed by command, and no password stands in an argument or in what is printed."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli import app
from app.services import people
from app.services.app_context import open_app
from app.settings import settings
from tests.app.commands.running import run, run_json

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFOLD_HOME", str(tmp_path / "home"))
    settings.cache_clear()


def give(*arguments: str, password: str = PASSWORD, code: int = 0) -> Result:
    """Run a command that reads a password from standard input."""
    result = CliRunner().invoke(app, [*arguments, "--password-stdin"], input=f"{password}\n")
    assert result.exit_code == code, result.output
    assert password not in result.output
    return result


def test_users_are_added_changed_and_removed() -> None:
    assert "the first user has to be an admin" in give("users", "add", "ada", code=1).stderr
    assert give("users", "add", "ada", "--role", "admin").stdout == "added ada as admin\n"
    give("users", "add", "ben")
    run("users", "role", "ben", "lead")
    assert [(one["name"], one["role"]) for one in run_json("users", "list")] == [("ada", "admin"), ("ben", "lead")]
    give("users", "password", "ben", password="another password")
    opened = open_app(settings())
    assert people.sign_in(opened, "ben", "another password", "").user.name == "ben"
    opened.database.close()
    assert "only admin" in run("users", "remove", "ada", code=1).stderr
    run("users", "remove", "ben")
    assert "there are: ada" in run("users", "role", "ben", "lead", code=1).stderr


def test_the_audit_log_lists_acts_without_secrets() -> None:
    give("users", "add", "ada", "--role", "admin", "--by", "root")
    run("users", "role", "ada", "admin", "--by", "root")
    found = run_json("log")
    assert [(one["act"], one["actor"], one["subject"]) for one in found] == [
        ("role_changed", "root", "ada"),
        ("user_added", "root", "ada"),
    ]
    assert [one["act"] for one in run_json("log", "--act", "user_added")] == ["user_added"]
    told = run("log").stdout
    assert "role admin" in told
    assert PASSWORD not in told


def test_a_password_is_refused_without_terminal_or_input() -> None:
    assert "--password-stdin" in run("users", "add", "ada", "--role", "admin", code=1).stderr
    assert run_json("users", "list") == []


def test_no_option_takes_a_password() -> None:
    for command in ("add", "password"):
        assert "--password " not in run("users", command, "--help").stdout


def test_a_user_of_openid_connect_needs_no_password() -> None:
    run("users", "add", "ada", "--role", "admin", "--email", "Ada@Example.org")
    give("users", "add", "ben")
    assert "is the address of ada" in run("users", "email", "ben", "ada@example.org", code=1).stderr
    assert "not an e-mail address" in run("users", "email", "ben", "ben", code=1).stderr
    run("users", "email", "ben", "ben@example.org")
    ways = {one["name"]: one["signs_in_by"] for one in run_json("users", "list")}
    assert ways == {"ada": ["ada@example.org"], "ben": ["password", "ben@example.org"]}
    run("users", "email", "ben", "")
    assert run_json("users", "list")[1]["signs_in_by"] == ["password"]


def test_members_of_a_dataset_are_shown_and_changed(digits_folder: Path) -> None:
    run("import", str(digits_folder), "--name", "digits")
    assert "everybody" in run("datasets", "members", "digits").stdout
    assert "no login" in run("datasets", "members", "digits", "--add", "ben", code=1).stderr
    give("users", "add", "ada", "--role", "admin")
    give("users", "add", "ben")
    assert run_json("datasets", "members", "digits", "--add", "BEN")["members"] == ["ben"]
    assert run_json("datasets")[0]["members"] == ["ben"]
    assert "seen by admins and: ben" in run("datasets", "show", "digits").stdout
    assert run_json("datasets", "members", "digits", "--remove", "ben")["members"] == []
    assert run_json("datasets", "members", "digits", "--everybody")["members"] is None
    assert "there is no user called eve" in run("datasets", "members", "digits", "--add", "eve", code=1).stderr
