import pytest

from app.commands import naming
from app.services.workspace import Workspace
from tests.app.commands.running import run, run_json
from tests.app.services.test_history import add_past
from tests.app.small import add_dataset


@pytest.fixture
def opened(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(naming, "workspace", lambda: workspace)
    return workspace


def test_rounds_are_listed_with_recipe_results_and_what_changed(opened: Workspace) -> None:
    add_past(opened)
    second, first = run_json("rounds", "pets")
    assert second["round"]["recipe"] == "cross-fold"
    assert second["since_round_before"]["pairs"] == [
        {"from": "dog", "to": "cat", "count": 3},
        {"from": None, "to": "dog", "count": 1},
    ]
    assert second["settings"] == {"epochs": [4, 8], "seed": [0, 1]}
    assert second["metrics"]["accuracy"] == 0.9
    assert first["since_given"] is None
    told = run("rounds", "pets").stdout
    assert "epochs 4 → 8" in told
    assert "unknown" in told  # what the first round changed against what was given was not noted
    assert "Round 2 opened with these changes since round 1:" in told
    assert "decided in between: 3 accept, 1,200 bulk, 1 ambiguous, 2 exclude" in told


def test_no_round_is_no_error(opened: Workspace) -> None:
    add_dataset(opened, [0, 1])
    assert run_json("rounds", "pets") == []
    assert "no round yet" in run("rounds", "pets").stderr
