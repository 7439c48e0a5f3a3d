"""The choice of a dataset follows from page to page."""

from streamlit.testing.v1 import AppTest


def page() -> None:
    from app.components.picker import pick

    pick("dataset", {1: "pets", 2: "cars", 3: "birds"}, "Dataset")


def test_the_dataset_last_shown_by_another_page_replaces_an_older_choice() -> None:
    at = AppTest.from_function(page)
    at.session_state["pick_dataset"], at.session_state["seen_dataset"] = 1, 2  # a page without this field showed 2
    at.run()
    assert at.selectbox[0].value == 2
    assert at.query_params["dataset"] == "2"


def test_a_choice_is_kept_and_added_to_the_address() -> None:
    at = AppTest.from_function(page).run()
    at.selectbox[0].select(3).run()
    assert at.selectbox[0].value == 3
    assert at.query_params["dataset"] == "3"
    assert at.session_state["seen_dataset"] == 3
    at.query_params["dataset"] = "2"  # the browser's way back
    at.run()
    assert at.selectbox[0].value == 2
