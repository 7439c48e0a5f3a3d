"""Worth: what the cleaning of a dataset was worth, measured by one click. Address: `worth?dataset=1`."""

from functools import partial

import streamlit as st

from app.components.identity import name_for_record
from app.components.picker import pick
from app.components.worth_view import worth_section
from app.services import datasets, rounds, worth
from app.services.workspace import workspace

cards = datasets.list_datasets(workspace())
if not cards:
    st.info("What the cleaning of a dataset was worth is measured here; there is none yet.", icon=":material/balance:")
    st.page_link("pages/datasets.py", label="Import a dataset", icon=":material/upload:")
    st.stop()

title, choice, _, to_insight, to_rounds = st.columns([1, 2.4, 1.6, 1.2, 1.2], vertical_alignment="center")
title.subheader("Worth", anchor=False)
with choice:
    dataset_id = pick("dataset", {card.dataset.id: card.dataset.name for card in cards}, "Dataset")
address = {"dataset": str(dataset_id)}
to_insight.page_link("pages/insight.py", label="Insight", icon=":material/insights:", query_params=address)
to_rounds.page_link("pages/rounds.py", label="Rounds", icon=":material/cycle:", query_params=address)
worth_section(
    worth.view(workspace(), dataset_id),
    start=partial(worth.start, workspace(), dataset_id, name_for_record()),
    look=partial(rounds.progress, workspace()),
    cancel=partial(rounds.cancel_round, workspace()),
)
