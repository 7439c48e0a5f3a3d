"""The Impact page: empty, what is missing, one click, at work, a result with and without a difference."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.services.app_context import AppContext
from app.services.evaluation import impact
from app.services.rounds import jobs as rounds
from app.services.workers import WorkerState
from core.types import JobStatus, Progress, Recipe
from db.queries import rounds as rows
from db.queries.workers import WorkerInfo
from tests.app.evaluated import add_comparison, impact_of, judge, protect, spoil_and_clean
from tests.app.services.reviewed import digits, digits_home
from tests.app.small import NOW, add_dataset, add_done_round

__all__ = ["digits", "digits_home"]
MAIN = Path(__file__).parents[3] / "app" / "main.py"


def open_page(app_context: AppContext, monkeypatch: pytest.MonkeyPatch, name: str = "impact") -> AppTest:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    return AppTest.from_file(str(MAIN), default_timeout=30).switch_page(f"pages/{name}.py")


def words(screen: AppTest) -> str:
    shown = [*screen.markdown, *screen.caption, *screen.info, *screen.error, *screen.warning, *screen.success]
    return "\n".join(str(element.value) for element in shown).replace("\\", "")


def test_the_page_without_a_dataset_links_to_the_import(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = open_page(app_context, monkeypatch).run()
    assert not screen.exception
    assert "Import a dataset first" in words(screen)


def test_an_unmet_precondition_links_to_its_page(digits: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = open_page(digits, monkeypatch).run()
    assert not screen.exception
    assert "no split of digits is for evaluation" in words(screen)
    assert screen.button("impact_start").disabled
    assert "Protect a split" in [link.proto.label for link in screen.get("page_link")]
    spoil_and_clean(digits, judged=18)
    screen.run()
    assert "judge 12 more of it in the review" in words(screen)
    link = next(link.proto for link in screen.get("page_link") if link.proto.label == "Judge the evaluation split test")
    assert "split=test" in link.query_string
    judge(digits, 40)
    screen.run()
    assert not screen.button("impact_start").disabled


def test_the_page_links_to_other_findings_when_no_training_label_has_changed(
    digits: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    protect(digits)
    judge(digits, 40)
    screen = open_page(digits, monkeypatch).run()
    assert "nothing outside of the evaluation split test was changed" in words(screen)
    link = next(link.proto for link in screen.get("page_link") if link.proto.label == "Review the other findings")
    assert link.query_string == "round=1"


def test_one_click_starts_the_comparison_and_shows_its_progress(
    digits: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_and_clean(digits)
    screen = open_page(digits, monkeypatch).run()
    screen.button("impact_start").click().run()
    assert not screen.exception
    (started, _) = rounds.list_rounds(digits, 1)
    assert (started.recipe, started.recipe_config) == (Recipe.COMPARISON, {"seeds": 3})
    with digits.database.write() as session:
        rows.begin_round(session, started.id, "training", NOW)
        attempt = rows.begin_fold(session, started.id, 0, NOW)
        assert attempt is not None
        told = Progress("training", 0, 1, 3, 8, 0.4, loss=0.25, message="cleaned labels, seed 1")
        rows.write_fold(session, started.id, 0, attempt, told, now=NOW)
    alive = WorkerState([WorkerInfo("here:0", 1, "CPU", "", NOW, NOW)], [], 0.0)
    monkeypatch.setattr("app.services.rounds.jobs.worker_state", lambda _: alive)
    screen.run()
    assert "cleaned labels, seed 1: training · epoch 3 of 8" in screen.get("progress")[0].proto.text
    assert "original and cleaned labels, every seed" in "".join(element.proto.body for element in screen.get("html"))
    assert screen.button("impact_start").disabled
    screen.button("impact_live_cancel").click().run()
    screen.button("impact_live_cancel_yes").click().run()
    assert rounds.get_round(digits, started.id).status is JobStatus.CANCELLED
    assert not screen.exception


@pytest.mark.parametrize(("low", "kind"), [(0.006, "success"), (-0.002, "info")])
def test_a_result_is_shown_in_words_numbers_and_by_class(
    digits: AppContext, monkeypatch: pytest.MonkeyPatch, low: float, kind: str
) -> None:
    spoil_and_clean(digits)
    add_comparison(digits, 1, impact_of(difference=0.02))
    round_id = add_comparison(digits, 1, impact_of(low=low))
    screen = open_page(digits, monkeypatch).run()
    assert not screen.exception
    assert "Cleaning pays." in getattr(screen, kind)[0].value
    figures = "".join(element.proto.body for element in screen.get("html"))
    for text in ("94.00%", "95.80%", "+1.80", "+3.10", "0.035", "12 : 3"):
        assert text in figures, text
    assert "+1.80, +2.80, +0.80 points, which spread by 1.00" in words(screen)
    assert "allow for their number (Bonferroni)" in words(screen)
    assert "p_adjusted" not in words(screen)
    assert "60 of the 75 images of the evaluation split are judged" in words(screen)
    table = screen.dataframe[0].value
    assert list(table["Class"]) == ["zero", "one"]
    assert list(table["95 % interval, all classes together"])[1] == "too few"
    (chart,) = screen.get("plotly_chart")
    assert "points gained by cleaning" in chart.proto.spec
    assert "Round 2" in words(screen), "the older one"
    found = impact.newest(impact.comparisons(digits, 1))
    assert found is not None
    assert found.round.id == round_id


def test_an_older_result_marks_its_uncorrected_intervals_and_omits_advice_already_followed(
    digits: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = impact_of(low=-0.002) | {"images": 60}
    old["sentence"] = "No difference is shown. Judge more images of the evaluation split to know more."
    old["per_class"][0]["interval"] = old["interval"]
    add_comparison(digits, 1, old)
    screen = open_page(digits, monkeypatch).run()
    assert not screen.exception
    assert "Judge more images" not in words(screen)
    assert "All images of the evaluation split are judged" in words(screen)
    assert "95 % interval, each class alone" in screen.dataframe[0].value.columns


def test_other_pages_work_with_a_comparison_among_the_rounds(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = add_dataset(app_context, [0, 1] * 10)
    for _ in range(2):
        add_done_round(app_context, dataset_id)
    add_comparison(app_context, dataset_id, impact_of())
    screen = open_page(app_context, monkeypatch, "rounds").run()
    assert not screen.exception
    assert list(screen.dataframe[0].value["Round"]) == [3, 2, 1]
    assert list(screen.table[0].value.columns) == ["Round 1", "Round 2"]
    assert [link.proto.label for link in screen.get("page_link")][:2] == [
        "Impact of cleaning, by round 3",
        "Review on",
    ]
    for name in ("insight", "datasets", "review", "exports"):
        screen = open_page(app_context, monkeypatch, name).run()
        assert not screen.exception, name
