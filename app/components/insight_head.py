"""The head of the Insight page: whose results are shown, and where to go from them."""

from collections.abc import Mapping, Sequence

import streamlit as st

from app.components.addresses import queue_of
from app.components.picker import pick
from app.services.rounds import RoundInfo

_OWN = {"dataset", "round"}  # all that stands in this page's address


def insight_head(done: Sequence[RoundInfo], datasets: Mapping[int, str]) -> tuple[int, int | None]:
    """Draw the choice among datasets, id -> name, and finished rounds, one at least; return the ids of both.

    A dataset with a finished round is proposed before one without, which has none to return.
    """
    if set(st.query_params) - _OWN:  # what is of the Review page, after the browser's way back from it
        st.query_params.from_dict({name: value for name, value in st.query_params.items() if name in _OWN})
    wanted = {str(info.id): info.dataset_id for info in done}.get(st.query_params.get("round", ""))
    if wanted is not None:  # a link that names only the round
        st.query_params["dataset"] = str(wanted)
    title, choice, which, *links = st.columns([0.8, 2.2, 1.4, 0.8, 0.9, 0.8], vertical_alignment="center")
    title.subheader("Insight", anchor=False)
    with choice:
        dataset_id = pick("dataset", {info.dataset_id: info.dataset for info in done} | {**datasets}, "Dataset")
    numbered = {info.id: info.name for info in done if info.dataset_id == dataset_id}
    if not numbered:
        st.query_params.pop("round", None)
        return dataset_id, None
    with which:
        round_id = pick("round", numbered, "Round", elsewhere={info.id for info in done})
    recipe = next(info.recipe for info in done if info.id == round_id)
    of_round, of_dataset = queue_of(round_id, recipe), {"dataset": str(dataset_id)}
    review, compare, worth = links
    review.page_link("pages/review.py", label="Review", icon=":material/rule:", query_params=of_round)
    compare.page_link("pages/rounds.py", label="Compare", icon=":material/cycle:", query_params=of_dataset)
    worth.page_link("pages/worth.py", label="Worth", icon=":material/balance:", query_params=of_dataset)
    return dataset_id, round_id
