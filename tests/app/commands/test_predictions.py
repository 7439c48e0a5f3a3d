"""`export-predictions` and `import-predictions`: a round's probabilities go out and come back as a round."""

import csv
from pathlib import Path

import pytest

from app.commands import naming
from app.services.workspace import Workspace
from tests.app.commands.running import run, run_json
from tests.app.trained import trained  # noqa: F401 a fixture


@pytest.fixture
def opened(trained: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:  # noqa: F811
    monkeypatch.setattr(naming, "workspace", lambda: trained)
    return trained


def test_probabilities_come_back_as_a_round_with_the_same_findings(opened: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "pred.csv"
    assert run_json("export-predictions", "digits", file, "--round", "1")["images"] == 300
    own = {(one["path"], one["suggested"]) for one in run_json("findings", "digits", "--limit", "300", "--round", "1")}
    told = run_json("import-predictions", "digits", file, "--out-of-fold")
    assert told["round"]["recipe"] == "predictions"
    brought = run_json("findings", "digits", "--limit", "300", "--round", str(told["round"]["number"]))
    assert {(one["path"], one["suggested"]) for one in brought} == own


def test_whether_predictions_are_out_of_fold_must_be_said(opened: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "pred.npz"
    run("export-predictions", "digits", file)
    refused = run("import-predictions", "digits", file, code=1)
    assert "--out-of-fold or --seen" in refused.stderr


def test_issues_have_cleanlabs_columns(opened: Workspace, tmp_path: Path) -> None:
    run("export-predictions", "digits", tmp_path / "issues.csv", "--issues")
    with (tmp_path / "issues.csv").open(newline="") as file:
        assert sum(row["is_label_issue"] == "True" for row in csv.DictReader(file)) > 0
    again = run("export-predictions", "digits", tmp_path / "issues.csv", "--issues", code=1)
    assert "exists already" in again.stderr


@pytest.mark.parametrize("form", [(), ("--npz",)], ids=["PNGs", "npz"])
def test_predicted_masks_come_back_as_a_round(opened: Workspace, tmp_path: Path, form: tuple[str, ...]) -> None:
    folder = tmp_path / "predicted"
    told = run("export-predictions", "stripes", folder, "--round", "1", *form)
    assert f"predictions of 12 images in {folder}" in told.stdout
    brought = run_json("import-predictions", "stripes", folder, "--out-of-fold")
    assert (brought["round"]["recipe"], brought["round"]["status"]) == ("predictions", "done")
