"""`worth` on the command line: refused with the cure, measured by a worker, printed for people and scripts."""

import pytest

from app.commands import naming
from app.services import rounds
from app.services.workspace import Workspace
from core.types import Recipe
from tests.app.commands.running import run, run_json
from tests.app.compared import CONFIG, add_comparison, spoil_and_clean, worth_of
from tests.app.services.reviewed import digits, digits_home

__all__ = ["digits", "digits_home"]


@pytest.fixture
def opened(digits: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(naming, "workspace", lambda: digits)
    return digits


def test_what_is_missing_is_said_with_the_cure(opened: Workspace) -> None:
    assert "protect one" in run("worth", "digits", code=1).stderr
    spoil_and_clean(opened, judged=18)
    assert "judge 12 more of it in the review" in run("worth", "digits", code=1).stderr
    assert "no comparison of digits is done" in run("worth", "digits", "--last", code=1).stderr
    assert "seeds are 0" in run("worth", "digits", "--seeds", "0", code=1).stderr


def test_the_newest_result_is_printed_for_people_and_for_scripts(opened: Workspace) -> None:
    add_comparison(opened, 1, worth_of())
    told = run("worth", "digits", "--last").stdout
    assert "Round 2 of digits. Cleaning pays." in told
    assert "60 of the 75 images of the evaluation split are judged" in told
    assert "+0.6 to +3.1" in told
    assert "too few images" in told
    said = run_json("worth", "digits", "--last")
    assert said["worth"]["difference"] == 0.018
    assert said["round"]["recipe"] == "comparison"


def test_a_comparison_is_started_by_worth_or_as_a_recipe_and_cancelled(opened: Workspace) -> None:
    spoil_and_clean(opened)
    assert run_json("worth", "digits", "--seeds", "2", "--detach")["recipe_config"] == {"seeds": 2}
    run("round", "digits", "--cancel")
    run("round", "digits", "--recipe", "comparison", "--set", "seeds=4", "--detach")
    assert [info.recipe for info in rounds.list_rounds(opened, 1)] == [Recipe.COMPARISON] * 2 + [Recipe.CROSS_FOLD]


@pytest.mark.slow
def test_a_comparison_is_watched_to_its_end(opened: Workspace) -> None:
    spoil_and_clean(opened)
    rounds.start_round(opened, 1, CONFIG, "ada", recipe=Recipe.COMPARISON, recipe_config={"seeds": 1})
    told = run("round", "digits", "--watch").stdout
    assert "Round 2 of digits. Cleaning is worth" in told
