import pytest

from app.commands import lookup
from app.services import reviews
from app.services.app_context import AppContext
from app.services.rounds import jobs as rounds
from core.config import RoundConfig
from db.models import RoundRow
from tests.app.commands.running import run, run_json
from tests.app.sampled import sample_both, suspicious_from
from tests.app.services.rounds.test_history import CHANGES, add_past
from tests.app.services.test_audits import add_round as add_sampled_round
from tests.app.small import METRICS, add_dataset, add_done_round


@pytest.fixture
def opened(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppContext:
    monkeypatch.setattr(lookup, "app_context", lambda: app_context)
    return app_context


def test_rounds_are_listed_with_recipe_results_and_changes(opened: AppContext) -> None:
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


def test_wrong_labels_and_bulk_accepts_are_listed_with_their_evidence(opened: AppContext) -> None:
    round_id = add_sampled_round(opened, add_dataset(opened, [0] * 420))
    (before,) = run_json("rounds", "pets")
    assert before["wrong_labels"]["estimate"] is None
    assert (before["bulk_acts"], "estimated_errors" in before["metrics"]) == ([], False)
    assert "unknown" in run("rounds", "pets").stdout
    (card,) = run_json("datasets")
    assert card["wrong_labels"]["text"].startswith("Wrong labels: unknown")
    assert "unknown" in run("datasets").stdout
    assert "Wrong labels: unknown" in run("datasets", "show", "pets").stdout
    reviews.accept_all(opened, suspicious_from(round_id, 0.9), by="Ada")
    sample_both(opened, round_id)
    (after,) = run_json("rounds", "pets")
    known = after["wrong_labels"]
    assert known["low"] <= known["estimate"] <= known["high"]
    assert known["verdicts"] == 80
    assert [act["certified"] for act in after["bulk_acts"]] == [False]
    told = run("rounds", "pets").stdout
    assert "suspicious from 0.9 on; Ada). Not certified. Precision unknown" in " ".join(told.split())
    assert "80 random verdicts" in run("datasets", "show", "pets").stdout
    (card,) = run_json("datasets")
    assert card["wrong_labels"] == known


def test_hints_are_printed_and_in_json(opened: AppContext) -> None:
    round_id = add_done_round(opened, add_dataset(opened, [0, 1] * 10))
    with opened.database.write() as session:
        session.get_one(RoundRow, round_id).metrics = METRICS | {"confusion": [[60, 40], [40, 60]]}
    for command in (("accept", "pets", "--above", "0.5", "--dry-run"), ("audit", "pets")):
        assert "Hint: Agrees with 60% of the labels" in run(*command).stdout
        (hint,) = run_json(*command)["hints"]
        assert (hint["key"], "sample" in hint["advice"]) == ("low-agreement", True)


def test_listing_without_rounds_succeeds(opened: AppContext) -> None:
    add_dataset(opened, [0, 1])
    assert run_json("rounds", "pets") == []
    assert "no round yet" in run("rounds", "pets").stderr


def test_a_round_after_only_cancelled_rounds_has_no_changes(opened: AppContext) -> None:
    dataset_id = add_dataset(opened, [0, 1] * 10)
    config = RoundConfig(folds=2)
    rounds.cancel_round(opened, rounds.start_round(opened, dataset_id, config, "ada").id)
    add_done_round(opened, dataset_id, config)
    with opened.database.write() as session:
        row = session.get(RoundRow, 2)
        assert row is not None
        row.metrics = METRICS | {"label_changes": CHANGES | {"before": None}}
    assert run("rounds", "pets").stdout.count("unknown") == 1  # the number of wrong labels
    add_done_round(opened, dataset_id, config)
    assert run("rounds", "pets").stdout.count("unknown") > 2
