"""`round` with further networks: named at the start, or added to a finished round."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands import naming
from app.commands.rounds import finish_round
from app.services import rounds
from app.services.workspace import Workspace
from app.worker import steps
from core.config import SMALL_NETWORK, Method, Weights
from tests.app.commands.running import run, run_json
from tests.app.trained import DIGITS, go_on, import_folder, open_home, run_round


@pytest.fixture
def opened(tmp_path: Path, digits_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """Return an installation with one finished round of digits."""
    found = open_home(tmp_path / "home")
    run_round(found, import_folder(found, "digits", digits_folder), DIGITS)
    monkeypatch.setattr(naming, "workspace", lambda: found)
    yield found
    found.database.close()


def test_further_networks_are_named_at_the_start(opened: Workspace) -> None:
    second = "model=resnet18 weights=pretrained method=probe upscale=64"
    started = run_json("round", "digits", "--folds", "3", "--network", second, "--network", "epochs=2", "--detach")
    members = rounds.get_round(opened, started["id"]).config["members"]
    assert [(one["model"], one["weights"], one["method"]) for one in members] == [
        ("resnet18", Weights.PRETRAINED, Method.PROBE),
        (SMALL_NETWORK, Weights.NONE, Method.FINE_TUNE),
    ]
    assert (members[0]["upscale"], members[1]["epochs"]) == (64, 2)


def test_a_network_is_added_to_a_finished_round_and_told_of(
    opened: Workspace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "networks_contradicting" not in run_json("findings", "digits", "--status", "any")[0]
    started = run_json("round", "digits", "--add-to", "1", "--network", "epochs=1 learning_rate=0.01", "--detach")
    info = rounds.get_round(opened, started["id"])
    assert info.recipe_config == {"extends": 1}
    assert [one["learning_rate"] for one in info.config["members"]] == [0.01]
    steps.take_snapshot(opened, go_on, round_id=info.id)
    for fold in range(DIGITS.folds):
        steps.train_fold(opened, go_on, round_id=info.id, fold=fold)
    steps.judge(opened, go_on, round_id=info.id)
    finish_round(opened, rounds.get_round(opened, info.id), as_json=False)
    told = capsys.readouterr().out
    assert told.count(f"  {SMALL_NETWORK}: weight") == 2
    assert "  mix: agreement" in told
    manifest = run_json("export", "digits", "--to", tmp_path / "clean")["manifest"]
    assert ["networks" in one for one in manifest["rounds"]] == [False, True]
    found = run_json("findings", "digits", "--status", "any")
    assert {one["networks_contradicting"] for one in found} <= {0, 1, 2}
    header = run("findings", "digits", "--status", "any", "--format", "csv").stdout.splitlines()[0]
    assert "networks_contradicting" in header.split(",")


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--network", "resnet18"], "names no value for resnet18"),
        (["--network", "folds=3"], "no settings folds"),
        (["--network", "model=resnet19"], "did you mean resnet18"),
        (["--add-to", "1"], "needs one --network"),
        (["--add-to", "1", "--network", "epochs=1", "--network", "epochs=2"], "needs one --network"),
        (["--add-to", "1", "--network", "epochs=1", "--folds", "3"], "leave out --folds"),
        (["--add-to", "7", "--network", "epochs=1"], "no round 7"),
    ],
)
def test_what_cannot_be_added_is_refused_with_the_cause(opened: Workspace, arguments: list[str], cause: str) -> None:
    refused = run("round", "digits", *arguments, "--detach", code=1)
    assert cause in str(refused.exception) + refused.stderr
    assert len(rounds.list_rounds(opened, 1)) == 1
