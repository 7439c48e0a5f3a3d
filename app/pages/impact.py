"""Impact page: a before/after comparison of a dataset's cleaning, started by one click. Address: `impact?dataset=1`."""

from functools import partial

import streamlit as st

from app.components.identity import name_for_record
from app.components.impact import impact_section
from app.components.links import draw_empty_page
from app.components.picker import pick
from app.services import datasets
from app.services.app_context import app_context
from app.services.evaluation import impact
from app.services.rounds import jobs as rounds

cards = datasets.list_datasets(app_context())
if not cards:
    draw_empty_page("Nothing measured yet", "This page measures the impact of cleaned labels. Import a dataset first.")
    st.stop()

title, choice, _, to_insight, to_rounds = st.columns([2.2, 2.4, 0.4, 1.2, 1.2], vertical_alignment="center")
title.title("Impact of cleaning", anchor=False)
with choice:
    dataset_id = pick("dataset", {card.dataset.id: card.dataset.name for card in cards}, "Dataset")
address = {"dataset": str(dataset_id)}
to_insight.page_link("pages/insight.py", label="Insight", icon=":material/insights:", query_params=address)
to_rounds.page_link("pages/rounds.py", label="Rounds", icon=":material/cycle:", query_params=address)
impact_section(
    impact.view(app_context(), dataset_id),
    start=partial(impact.start, app_context(), dataset_id, name_for_record()),
    look=partial(rounds.progress, app_context()),
    cancel=partial(rounds.cancel_round, app_context()),
)
