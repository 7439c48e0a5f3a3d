"""Charts: the drawn part of a confusion, and labels that are distinct, short and never HTML."""

import numpy as np
from hypothesis import given, strategies as st

from app.components.charts import MOST_CHOSEN, class_labels, confusion_part, escape_label, shorten, stage_figure
from core.judge.confusions import as_json


def test_the_confusion_of_few_classes_is_drawn_completely() -> None:
    part = confusion_part([[5, 1], [0, 7]], range(2))
    assert part.classes == (0, 1)
    assert set(part.cells) == {(0, 0, 5), (1, 1, 7), (0, 1, 1)}
    assert part.given == {0: 6, 1: 7}


def test_a_chart_of_a_thousand_classes_shows_those_confused_most() -> None:
    confusion = np.diag(np.full(1000, 9))
    for number in range(200):
        confusion[number, 999 - number] = 1000 - number
    for kept in (as_json(confusion), confusion.tolist()):  # as it is kept now, and as it was before
        part = confusion_part(kept, range(1000))
        assert len(part.classes) <= MOST_CHOSEN
        assert (0, 999, 1000) in part.cells
        assert (0, 0, 9) in part.cells
        assert part.given[0] == 1009


def test_a_thousand_classes_without_an_error_draw_nothing() -> None:
    assert confusion_part(as_json(np.eye(1000, dtype=np.int64)), range(1000)).cells == ()


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), unique=True, max_size=40))
def test_labels_are_distinct_and_contain_no_html_tag(names: list[str]) -> None:
    labels = class_labels(names)
    assert len(labels) == len(names)
    assert not any(mark in label for label in labels for mark in "<>")


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert shorten("cat") == "cat"
    assert shorten("Felis silvestris catus") == "Felis s… catus"
    assert len(shorten("Felis silvestris catus")) == 14


def test_names_that_differ_only_in_the_middle_get_different_labels() -> None:
    names = [f"bird number {number:03} of the large collection" for number in range(200)]
    labels = class_labels(names)
    assert len(set(labels)) == 200
    assert class_labels([*names, "owl"])[7] == "bird…007 of th"
    assert labels[7] == "…007 of…ection"


def test_a_common_prefix_of_all_names_is_left_out() -> None:
    assert class_labels(["traffic_sign_stop_ahead", "traffic_sign_yield"]) == ["…stop_ahead", "…yield"]


def test_html_is_drawn_as_text() -> None:
    assert escape_label("<b>cat</b>") == "&lt;b&gt;cat&lt;/b&gt;"
    assert class_labels(["<br>", "a & b"]) == ["&lt;br&gt;", "a &amp; b"]


def test_a_ceiling_is_drawn_with_its_source_only_if_known() -> None:
    results = [("labels alone", 0.9), ("student 1 of 1", 0.93)]
    plain = stage_figure(results, "accuracy")
    assert [line["y0"] for line in plain["layout"]["shapes"]] == [0.9]
    assert len(plain["data"]) == 1
    known = stage_figure(results, "accuracy", (0.98, "all labels (round <1>, out of fold)"))
    assert [line["y0"] for line in known["layout"]["shapes"]] == [0.9, 0.98]
    assert known["data"][1]["text"] == ["all labels (round &lt;1&gt;, out of fold): 98.0%"]
    assert known["data"][1]["y"] == [0.98]
    assert known["data"][0] == plain["data"][0]
