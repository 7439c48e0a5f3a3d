"""The command line as people and scripts use it: answers, exit codes, JSON and nothing else on standard output."""

import csv
import io
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.commands import console as speaking, lookup
from app.commands.rounds import finish_round
from app.services import reviews
from app.services.app_context import AppContext
from app.services.reviews import Choice
from app.services.rounds import jobs as rounds
from core.types import Verdict
from db.models import RoundRow
from tests.app.commands.running import run, run_json
from tests.app.evaluated import deal_splits
from tests.app.services.reviewed import digits, digits_home, make_unlabelled  # noqa: F401 fixtures

ROOT = Path(__file__).parents[3]


@pytest.fixture
def opened(digits: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppContext:  # noqa: F811
    monkeypatch.setattr(lookup, "app_context", lambda: digits)
    return digits


ALL = ["import", "round", "findings", "audit", "accept", "undo", "redo", "export", "predict", "models", "rounds"]
ALL += ["datasets", "label", "impact", "worker", "serve"]


PARTS = ["patch apply", "patch revert", "datasets show", "datasets problems", "datasets protect"]


@pytest.mark.parametrize("command", [*ALL, *PARTS])
def test_every_command_has_help_with_examples(command: str) -> None:
    told = run(*command.split(), "--help").stdout
    assert "Examples:\n" in told
    assert f"    python -m app {command}" in told


def test_datasets_are_listed_and_shown(opened: AppContext) -> None:
    listed = run_json("datasets")
    assert [(each["name"], each["images"], each["rounds"]) for each in listed] == [("digits", 300, 1)]
    assert run_json("datasets", "show", "digits")["class_counts"]["7"] == 30
    assert run_json("datasets", "show", "1")["name"] == "digits"
    assert "digits" in run("datasets").stdout
    assert run_json("datasets", "problems", "digits") == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["findings", "nothing"],
        ["findings", "digits", "--round", "7"],
        ["findings", "digits", "--given", "cat"],
        ["round", "nothing"],
        ["undo", "digits", "--by", "Ada"],
        ["round", "digits", "--watch"],
        ["import", "/nowhere/at/all"],
        ["export", "digits", "--to", "/dev/null"],
        ["patch", "apply", "/nowhere/patch.json", "/nowhere/labels.csv"],
        ["datasets", "show", "nothing"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_failed_command_reports_the_cause_only_on_standard_error(opened: AppContext, arguments: list[str]) -> None:
    result = run(*arguments, code=1)
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["accept", "digits"],
        ["accept", "digits", "--above", "7"],
        ["export", "digits", "--format", "x"],
    ],
)
def test_wrong_usage_is_exit_code_two(opened: AppContext, arguments: list[str]) -> None:
    run(*arguments, code=2)


def test_an_interruption_is_exit_code_130(opened: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lookup, "get_dataset", interrupted)
    run("findings", "digits", code=130)


def test_findings_are_printed_as_table_csv_and_json(opened: AppContext) -> None:
    told = run_json("findings", "digits", "--limit", "5")
    assert len(told) == 5
    assert {"name", "given", "suggested", "confidence", "path", "content_hash"} < set(told[0])
    table = run("findings", "digits", "--limit", "5").stdout
    assert all(each["name"] in table for each in told)
    printed = run("findings", "digits", "--limit", "5", "--format", "csv").stdout
    assert [row["name"] for row in csv.DictReader(io.StringIO(printed))] == [each["name"] for each in told]


def test_findings_can_be_filtered(opened: AppContext) -> None:
    few = run_json("findings", "digits", "--above", "0.9", "--given", "0", "--limit", "1000")
    assert few
    assert all(each["given"] == "0" and each["suggested"] == "9" and each["confidence"] >= 0.9 for each in few)
    assert len(run_json("findings", "digits", "--limit", "1000")) == 100
    assert len(run_json("findings", "digits", "--limit", "1000", "--show", "agreeing")) == 200


def test_the_number_of_findings_follows_the_filter(opened: AppContext) -> None:
    run("accept", "digits", "--above", "0.8", "--yes")
    decided = len(run_json("findings", "digits", "--status", "decided", "--limit", "1000"))
    assert 2 < decided < 100
    for status, held in (("decided", decided), ("todo", 100 - decided), ("any", 100)):
        assert f"2 of {held}\n" in run("findings", "digits", "--status", status, "--limit", "2").stderr


def test_accept_undo_and_redo_are_single_acts(opened: AppContext) -> None:
    would = run_json("accept", "digits", "--above", "0.8", "--dry-run")
    count = would["would_change"]
    assert count == sum(each["count"] for each in would["changes"]) > 10
    assert run_json("findings", "digits", "--status", "decided") == []
    accepted = run_json("accept", "digits", "--above", "0.8", "--yes", "--by", "Ada")
    assert accepted["accepted"] == count
    decided = run_json("findings", "digits", "--status", "decided", "--limit", "1000")
    assert {(each["by"], each["status"]) for each in decided} == {("Ada", "bulk")}
    run("undo", "digits", "--by", "Grace", code=1)
    assert run_json("undo", "digits", "--by", "Ada")["undone"]["size"] == count
    assert run_json("findings", "digits", "--status", "decided") == []
    assert run_json("redo", "digits", "--by", "Ada")["redone"]["size"] == count
    assert f"{count}" in run("undo", "digits", "--by", "Grace", "--changeset", str(accepted["changeset"])).stdout


def test_precision_is_unknown_until_a_random_sample_is_judged(opened: AppContext) -> None:
    told = run("accept", "digits", "--above", "0.8", "--dry-run").stdout
    assert "Precision unknown: no random sample of this set has been judged." in told
    assert "The model's own estimate, unverified: 89 % of them right." in told
    refused = run("accept", "digits", "--above", "0.8", "--certified", "--yes", code=1)
    assert "no certificate" in refused.stderr
    assert "python -m app audit digits" in refused.stderr
    accepted = run_json("accept", "digits", "--above", "0.8", "--yes")
    assert accepted["known"]["certified"] is False
    assert accepted["known"]["precision"] is None


def test_an_audit_certifies_a_set_and_accept_reports_its_certificate(opened: AppContext) -> None:
    seen = run_json("audit", "digits", "--above", "0.5", "--size", "100")
    assert (seen["size"], seen["judged"], seen["order"], seen["state"]) == (len(seen["cards"]), 0, 1, "open")
    assert seen["recalibration"]["proposed_threshold"] is None
    cards = [Choice(card["finding"], Verdict.ACCEPT) for card in seen["cards"]]
    reviews.decide(opened, cards[: seen["needed"]], by="ada")
    told = run("audit", "digits", "--above", "0.5").stdout
    assert f"{seen['needed']} of {seen['needed']} right" in told
    assert "random cards)" in told
    again = run_json("audit", "digits", "--above", "0.5")
    assert (again["id"], again["state"]) == (seen["id"], "certified")
    assert again["estimate"]["verdicts"] == seen["needed"]
    accepted = run_json("accept", "digits", "--above", "0.5", "--certified", "--yes")
    assert accepted["accepted"] == seen["size"] - seen["needed"]
    assert accepted["known"]["certificate"]["text"].startswith("at least 9")
    assert run_json("audit", "digits", "--above", "0.6")["order"] == 2
    run("audit", "digits", "--above", "0.5", "--target", "0.9", code=1)


def test_suggestions_for_unlabelled_images_can_be_accepted_by_class(opened: AppContext) -> None:
    changed = make_unlabelled(opened)
    [listed] = run_json("datasets")
    assert (listed["left"], listed["proposed"], listed["decided"]) == (100 - changed, changed, 0)
    assert "no thresholds by class" in run("accept", "digits", "--show", "unlabelled", "--by-class", code=1).stderr
    assert run_json("accept", "digits", "--show", "unlabelled", "--above", "0", "--dry-run")["would_change"] == changed
    with opened.database.write() as session:
        rows = [{"label": label, "percent": 50 + 5 * label} for label in range(10)]
        session.execute(update(RoundRow).values(metrics={"class_thresholds": rows}))
    would = run_json("accept", "digits", "--show", "unlabelled", "--by-class", "--dry-run")
    assert {each["from"] for each in would["changes"]} == {None}
    told = run("accept", "digits", "--show", "unlabelled", "--by-class", "--dry-run").stdout
    assert f"{would['would_change']} labels would change from each class's own threshold on" in told
    accepted = run_json("accept", "digits", "--show", "unlabelled", "--by-class", "--yes", "--by", "Ada")
    assert 0 < accepted["accepted"] == would["would_change"] < changed
    assert "unlabelled images only" in run("accept", "digits", "--by-class", "--yes", code=1).stderr
    assert "--above" in run("accept", "digits", "--yes", code=2).stderr


def test_no_question_is_asked_without_a_terminal(opened: AppContext) -> None:
    result = run("accept", "digits", "--above", "0.8", code=2)
    assert "--yes" in result.stderr
    assert run_json("findings", "digits", "--status", "decided") == []


@pytest.mark.parametrize("answer", [True, False])
def test_accept_asks_for_confirmation_in_a_terminal(
    opened: AppContext, *, answer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaking, "can_ask", lambda: True)
    monkeypatch.setattr(speaking.typer, "confirm", lambda *_arguments, **_more: answer)
    run("accept", "digits", "--above", "0.8", code=0 if answer else 1)
    assert bool(run_json("findings", "digits", "--status", "decided")) == answer


def test_an_export_and_its_patch_give_the_same_labels(opened: AppContext, digits_folder: Path, tmp_path: Path) -> None:
    run("accept", "digits", "--above", "0.8", "--yes")
    would = run_json("export", "digits", "--dry-run")
    out, patch, before = tmp_path / "out", tmp_path / "patch", tmp_path / "before"
    done = run_json("export", "digits", "--to", out)
    assert done["path"] == str(out)
    assert done["manifest"]["counts"] == would["would_write"]
    run("export", "digits", "--format", "patch", "--to", patch)

    run("undo", "digits")
    run("export", "digits", "--format", "csv", "--to", before)
    given, clean = labels(before / "labels.csv"), labels(out / "labels.csv")
    changed = run_json("patch", "apply", patch, before / "labels.csv")["changed"]
    assert changed == done["manifest"]["counts"]["changed"]
    assert labels(before / "labels.csv") == clean
    run("patch", "revert", patch, before / "labels.csv")
    assert labels(before / "labels.csv") == given
    copy = shutil.copytree(digits_folder, tmp_path / "copy")
    assert run("patch", "apply", patch, copy).stdout == f"{changed} labels changed\n"
    assert "applied already, nothing was changed" in run("patch", "apply", patch, copy).stdout
    assert run_json("patch", "apply", patch, copy)["changed"] == 0
    assert run_json("patch", "revert", patch, copy)["changed"] == changed
    refused = run("patch", "apply", patch, digits_folder, code=1)
    assert "originals" in refused.stderr


def labels(table: Path) -> dict[str, str]:
    with table.open(newline="") as file:
        return {row["name"]: row["label"] for row in csv.DictReader(file)}


def test_an_export_replaces_only_a_former_export(opened: AppContext, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("keep")
    assert "no export of Outfold" in run("export", "digits", "--to", tmp_path / "mine", code=1).stderr
    run("export", "digits", "--format", "csv", "--to", tmp_path / "out")
    assert "former export" in run("export", "digits", "--format", "csv", "--to", tmp_path / "out", code=1).stderr
    run("export", "digits", "--format", "csv", "--to", tmp_path / "out", "--overwrite")


@pytest.fixture
def shell(tmp_path: Path) -> list[str]:
    """Return the beginning of a real command line with a home of its own."""
    return ["env", f"OUTFOLD_HOME={tmp_path / 'home'}", "OUTFOLD_DEMO=false", sys.executable, "-m", "app"]


def test_a_dry_run_reports_the_settings_and_the_estimated_time(opened: AppContext) -> None:
    before = len(rounds.list_rounds(opened))
    told = run_json("round", "digits", "--folds", "2", "--epochs", "3", "--dry-run")
    assert told["config"]["epochs"] == 3
    assert told["seconds"] > 0
    iterated = run_json("round", "digits", "--recipe", "iterated", "--epochs", "3", "--dry-run")
    assert iterated["seconds"] > 0
    said = run("round", "digits", "--folds", "2", "--epochs", "3", "--dry-run").stdout
    assert "2 folds, 3 epochs" in said
    assert "about" in said
    assert len(rounds.list_rounds(opened)) == before


def test_findings_of_a_round_of_masks_are_regions(
    scenes: AppContext,
    capsys: pytest.CaptureFixture[str],
) -> None:
    finish_round(scenes, rounds.get_round(scenes, 1), as_json=False)
    assert ": 12 suspicious regions in " in capsys.readouterr().out


def test_masks_are_listed_by_region_and_exported_in_mask_formats(
    scenes: AppContext,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(lookup, "app_context", lambda: scenes)
    first = run_json("findings", "scenes")[0]
    assert (first["given"], first["suggested"], first["x"], first["area"]) == ("road", "car", 50, 480)
    assert run_json("accept", "scenes", "--above", "0.5", "--yes", "--by", "ada")["accepted"] == 12
    told = run("export", "scenes", "--format", "voc", "--to", tmp_path / "voc").stdout
    assert "6 masks changed in 4,440 pixels, 12 regions decided" in told
    assert (tmp_path / "voc" / "SegmentationClass" / "scene_000.png").is_file()
    assert run_json("export", "scenes", "--to", tmp_path / "pairs")["manifest"]["options"]["format"] == "mask-pairs"
    refused = run("export", "scenes", "--format", "csv", "--to", tmp_path / "csv", code=1)
    assert "choose from mask-pairs, camvid, voc, coco, label-studio" in refused.stderr


def test_help_loads_no_heavy_package() -> None:
    """Heavy modules are imported by the commands that need them."""
    code = (
        "import app.cli, sys; print(sorted({'torch', 'streamlit', 'pandas', 'sqlalchemy', 'dbos'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_whole_cleaning_loop_works_from_a_shell(shell: list[str], digits_folder: Path, tmp_path: Path) -> None:
    def command(*arguments: str | Path) -> Any:
        done = subprocess.run(
            [*shell, *map(str, arguments), "--json"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=280
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert command("import", digits_folder, "--name", "digits")["report"]["images"] == 300
    trained = command("round", "digits", "--folds", "2", "--epochs", "1")
    assert trained["round"]["status"] == "done"
    assert len(command("findings", "digits", "--limit", "3", "--status", "any")) <= 3
    accepted = command("accept", "digits", "--above", "0", "--yes")["accepted"]
    assert accepted == trained["suspicious"]
    counts = command("export", "digits", "--to", tmp_path / "clean")["manifest"]["counts"]
    assert counts["changed"] == accepted
    command("undo", "digits")
    assert command("export", "digits", "--to", tmp_path / "given")["manifest"]["counts"]["changed"] == 0
    given, clean = labels(tmp_path / "given" / "labels.csv"), labels(tmp_path / "clean" / "labels.csv")
    assert sum(given[name] != clean[name] for name in given) == accepted


def test_a_running_worker_takes_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import dataclass

    from app.commands import jobs as working
    from app.services.workers import WorkerState
    from app.worker import embedded
    from core.types import JobStatus

    @dataclass
    class Seen:
        status: JobStatus = JobStatus.RUNNING
        done: int = 1
        total: int = 2
        message: str = "reading"

    states = iter([Seen(), Seen(), Seen(JobStatus.DONE)])
    handed: list[str] = []
    steps: list[tuple[float, float, str]] = []

    class Nobody:
        def __init__(self, _app_context: object) -> None: ...
        def start(self) -> None: ...
        def stop(self) -> None: ...

    monkeypatch.setattr(working, "settled_worker_state", lambda _app_context: WorkerState([object()], [], 0.0))  # type: ignore[list-item]
    monkeypatch.setattr(embedded, "EmbeddedWorker", Nobody)
    monkeypatch.setattr(working, "POLL_SECONDS", 0)

    def step(done: float, total: float, text: str) -> None:
        steps.append((done, total, text))

    done = working.run_job(
        None,  # type: ignore[arg-type]
        step,
        here=lambda: pytest.fail("a worker is alive"),
        hand_over=lambda: handed.append("over"),
        look=lambda: next(states),
    )
    assert done.status is JobStatus.DONE
    assert handed == ["over"]
    assert steps == [(1, 2, "reading"), (1, 2, "reading")]


def test_no_progress_is_printed_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking.progress_bar("reading") as step:
        step(1, 2, "reading")
        time.sleep(0)
    assert capsys.readouterr() == ("", "")


def test_a_split_is_protected_and_bulk_accepts_report_how_much_they_leave_out(opened: AppContext) -> None:
    deal_splits(opened)
    seen = run_json("datasets", "protect", "digits", "--split", "test")
    assert {one["name"]: one["protected"] for one in seen["splits"]} == {"test": True, "train": False}
    assert run_json("datasets")[0]["evaluation_splits"] == ["test"]
    assert "for evaluation only: test" in run("datasets", "show", "digits").stdout
    assert "people judged 0 of its 75 images" in run("datasets", "protect", "digits").stdout
    told = run("accept", "digits", "--above", "0", "--dry-run").stdout
    assert "25 of the evaluation split test are left out: judge them one by one" in told
    would = run_json("accept", "digits", "--above", "0", "--dry-run")
    assert (would["would_change"], would["left_out"]) == (75, 25)
    assert run_json("accept", "digits", "--above", "0", "--yes", "--by", "ada")["accepted"] == 75
    refused = run("accept", "digits", "--above", "0", "--split", "test", "--yes", code=1)
    assert "25 of the evaluation split test are left out" in refused.stderr
    run("datasets", "protect", "digits", "--split", "test", "--off")
    assert run_json("accept", "digits", "--above", "0", "--yes", "--by", "ada")["accepted"] == 25
    assert "choose one of test, train" in run("datasets", "protect", "digits", "--split", "val", code=1).stderr
