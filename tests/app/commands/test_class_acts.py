"""`classes`: list, add, rename, merge, order, and what is refused."""

import pytest

from app.commands import lookup
from app.commands.class_acts import COMMANDS
from app.services.app_context import AppContext
from tests.app.commands.running import run, run_json
from tests.app.services.reviewed import digits, digits_home  # noqa: F401 fixtures


@pytest.fixture
def opened(digits: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppContext:  # noqa: F811
    monkeypatch.setattr(lookup, "app_context", lambda: digits)
    return digits


@pytest.mark.parametrize("command", [f"classes {name}" for name in COMMANDS])
def test_every_command_has_help_with_examples(command: str) -> None:
    told = run(*command.split(), "--help").stdout
    assert f"    python -m app {command}" in told


def test_a_class_is_added_renamed_and_undone(opened: AppContext) -> None:
    added = run_json("classes", "add", "digits", "smudge", "--by", "Ada")
    assert added["class"] == 10
    assert "smudge is a class of digits already" in run("classes", "add", "digits", "Smudge", code=1).stderr
    assert "renamed smudge" in run("classes", "rename", "digits", "smudge", "stain", "--by", "Ada").stdout
    assert run("undo", "digits", "--by", "Ada").stdout == "undone: renamed the class smudge to stain\n"
    assert run("undo", "digits", "--by", "Ada").stdout == "undone: added the class smudge\n"
    listed = run_json("classes", "list", "digits")
    assert (listed[10]["name"], listed[10]["retired"]) == ("smudge", True)
    assert "1 to 100 characters" in run("classes", "add", "digits", " ", code=1).stderr


def test_classes_are_merged_reordered_and_undone(opened: AppContext) -> None:
    told = run("classes", "merge", "digits", "3", "8", "--into", "2", "--dry-run").stdout
    assert "open findings between these classes would leave the queue" in told
    assert "there is no terminal to ask in" in run("classes", "merge", "digits", "3", "--into", "2", code=2).stderr
    merged = run_json("classes", "merge", "digits", "3", "8", "--into", "2", "--yes", "--by", "Ada")
    assert [one["name"] for one in merged["merged"]] == ["3", "8"]
    assert "3 was merged into 2" in run("classes", "rename", "digits", "3", "three", code=1).stderr
    assert run_json("findings", "digits", "--given", "3") == run_json("findings", "digits", "--given", "2")
    run("classes", "order", "digits", "9", "2", "--by", "Ada")
    assert "in this order already" in run("classes", "order", "digits", "9", "2", code=1).stderr
    listed = run("classes", "list", "digits").stdout
    assert listed.count("merged into 2") == 2
    assert [one["name"] for one in run_json("classes", "list", "digits")][:2] == ["9", "2"]
    (past,) = run_json("rounds", "digits")
    assert past["round"]["number"] == 1
    assert "Ada merged 3, 8 into 2" in run("rounds", "digits").stdout
    assert run("undo", "digits", "--by", "Ada").stdout == "undone: reordered the classes\n"
    assert run("undo", "digits", "--by", "Ada").stdout == "undone: merged 3, 8 into 2\n"
