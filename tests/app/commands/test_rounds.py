"""`round`, `label` and `impact`: jobs, output and refusals."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands import lookup
from app.commands.round_results import finish_round
from app.services.app_context import AppContext
from app.services.rounds import jobs as rounds
from app.worker import steps
from core.config import SMALL_NETWORK, ProbabilityMethod, RoundConfig, Weights
from core.types import JobStatus, Recipe
from tests.app.commands.running import run, run_json
from tests.app.evaluated import CONFIG, add_comparison, impact_of, spoil_and_clean
from tests.app.services.reviewed import digits, digits_home
from tests.app.small import add_dataset
from tests.app.trained import DIGITS, go_on, import_folder, open_home, run_round

__all__ = ["digits", "digits_home"]


@pytest.fixture
def opened(tmp_path: Path, digits_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppContext]:
    """Return an installation with one finished round of digits."""
    found = open_home(tmp_path / "home")
    run_round(found, import_folder(found, "digits", digits_folder), DIGITS)
    monkeypatch.setattr(lookup, "app_context", lambda: found)
    yield found
    found.database.close()


def test_further_networks_are_named_at_the_start(opened: AppContext) -> None:
    second = "model=resnet18 weights=pretrained method=probe upscale=64"
    started = run_json("round", "digits", "--folds", "3", "--network", second, "--network", "epochs=2", "--detach")
    members = rounds.get_round(opened, started["id"]).config["members"]
    assert [(one["model"], one["weights"], one["method"]) for one in members] == [
        ("resnet18", Weights.PRETRAINED, ProbabilityMethod.PROBE),
        (SMALL_NETWORK, Weights.NONE, ProbabilityMethod.FINE_TUNE),
    ]
    assert (members[0]["upscale"], members[1]["epochs"]) == (64, 2)


def test_a_dry_run_refuses_what_the_start_would_refuse(opened: AppContext, digits_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(digits_folder / "7", tmp_path / "sevens" / "7")
    import_folder(opened, "sevens", tmp_path / "sevens")
    told = [run("round", "sevens", option, code=1).stderr for option in ("--dry-run", "--detach")]
    assert told[0] == told[1]
    assert "at least two classes to tell apart" in told[0]


def test_a_network_is_added_to_a_finished_round_and_reported(
    opened: AppContext, capsys: pytest.CaptureFixture[str], tmp_path: Path
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
def test_a_network_that_cannot_be_added_is_refused_with_the_cause(
    opened: AppContext, arguments: list[str], cause: str
) -> None:
    refused = run("round", "digits", *arguments, "--detach", code=1)
    assert cause in str(refused.exception) + refused.stderr
    assert len(rounds.list_rounds(opened, 1)) == 1


@pytest.fixture
def bare(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppContext:
    monkeypatch.setattr(lookup, "app_context", lambda: app_context)
    return app_context


def test_labelling_is_prepared_for_a_dataset_without_labels(
    bare: AppContext, digits_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    for number, path in enumerate(sorted(digits_folder.glob("*/*.png"))[:5]):
        shutil.copy(path, folder / f"{number}.png")
    dataset_id = import_folder(bare, "bare", folder)
    assert "has no classes yet; name at least one" in run("label", "bare", "--detach", code=1).stderr
    assert "name at least one" in run("label", "bare", "--masks", code=1).stderr
    assert run_json("label", "bare", "--class", "cat", "--class", "dog", "--detach")["recipe"] == "labelling"
    (started,) = rounds.list_rounds(bare, dataset_id)
    assert (started.recipe, started.status) == (Recipe.LABELLING, JobStatus.QUEUED)
    assert "python -m app label bare" in run("round", "bare", "--recipe", "labelling", code=1).stderr


def test_a_cancelled_round_is_resumed_by_its_number(bare: AppContext) -> None:
    started = rounds.start_round(bare, add_dataset(bare, [0, 1] * 10), RoundConfig(folds=2), "ada")
    assert "only a cancelled or failed round can be resumed" in run("round", "1", "--resume", "1", code=1).stderr
    rounds.cancel_round(bare, started.id)
    assert "has no round 7" in run("round", "1", "--resume", "7", code=1).stderr
    assert "queued" in run("round", "1", "--resume", "1", "--detach").stdout
    assert rounds.get_round(bare, started.id).status is JobStatus.QUEUED


def test_labels_are_masks_on_request(bare: AppContext, digits_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    shutil.copy(min(digits_folder.glob("*/*.png")), folder / "one.png")
    dataset_id = import_folder(bare, "scenes", folder)
    told = run("label", "scenes", "--masks", "--class", "background", "--class", "cell").stdout
    assert "the labels of scenes are masks" in told
    assert rounds.classes_of(bare, dataset_id) == ["background", "cell"]
    assert "paint them on the Masks page" in run("label", "scenes", code=1).stderr


@pytest.fixture
def compared(digits: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppContext:
    monkeypatch.setattr(lookup, "app_context", lambda: digits)
    return digits


def test_an_unmet_precondition_is_printed_with_the_cure(compared: AppContext) -> None:
    assert "protect or draw one" in run("impact", "digits", code=1).stderr
    spoil_and_clean(compared, judged=18)
    assert "judge 12 more of it in the review" in run("impact", "digits", code=1).stderr
    assert "no comparison of digits is done" in run("impact", "digits", "--last", code=1).stderr
    assert "seeds are 0" in run("impact", "digits", "--seeds", "0", code=1).stderr


def test_the_newest_result_is_printed_as_text_and_as_json(compared: AppContext) -> None:
    add_comparison(compared, 1, impact_of())
    told = run("impact", "digits", "--last").stdout
    assert "Round 2 of digits. Cleaning pays." in told
    assert "60 of the 75 images of the evaluation split are judged" in told
    assert "+0.6 to +3.1" in told
    assert "too few images" in told
    said = run_json("impact", "digits", "--last")
    assert said["worth"]["difference"] == 0.018
    assert said["round"]["recipe"] == "comparison"


def test_the_former_name_of_the_command_works_but_is_not_listed(compared: AppContext) -> None:
    add_comparison(compared, 1, impact_of())
    assert run("worth", "digits", "--last").stdout == run("impact", "digits", "--last").stdout
    listed = run("--help").stdout
    assert "  impact " in listed
    assert "  worth " not in listed


def test_a_comparison_is_started_by_impact_or_as_a_recipe_and_cancelled(compared: AppContext) -> None:
    spoil_and_clean(compared)
    assert run_json("impact", "digits", "--seeds", "2", "--detach")["recipe_config"] == {"seeds": 2}
    run("round", "digits", "--cancel")
    run("round", "digits", "--recipe", "comparison", "--set", "seeds=4", "--detach")
    assert [info.recipe for info in rounds.list_rounds(compared, 1)] == [Recipe.COMPARISON] * 2 + [Recipe.CROSS_FOLD]


@pytest.mark.slow
def test_a_comparison_is_followed_to_its_end(compared: AppContext) -> None:
    spoil_and_clean(compared)
    rounds.start_round(compared, 1, CONFIG, "ada", recipe=Recipe.COMPARISON, recipe_config={"seeds": 1})
    told = run("round", "digits", "--watch").stdout
    assert "Round 2 of digits. Cleaning gains" in told
