"""Insight: what a finished round measured, and what random samples of it tell. Address: `insight?dataset=1&round=3`."""

from typing import NoReturn

import streamlit as st

from app.components.complaints import complaints
from app.components.further_networks import network_table
from app.components.identity import name_for_record
from app.components.insight_head import insight_head
from app.components.iteration_table import iteration_table
from app.components.job_progress import draw_figures
from app.components.kept_networks import kept_networks
from app.components.measures import WORDS, headline, settings
from app.components.random_samples import draw_hints, random_samples
from app.components.round_results import calibration_and_classes, confusion
from app.components.round_tables import facts_table
from app.components.stage_table import stage_table
from app.components.tag_doubts import tag_doubts
from app.components.worst_images import worst_images
from app.services import datasets, insight, networks, reviews, rounds
from app.services.workspace import workspace


def nothing_yet(address: dict[str, str] | None) -> NoReturn:
    """Say where results come from, and draw nothing more."""
    st.info("Results appear here when a round is done.", icon=":material/insights:")
    st.page_link("pages/rounds.py", label="Start or watch a round", icon=":material/cycle:", query_params=address)
    st.stop()


done = [info for info in rounds.list_rounds(workspace()) if info.is_reviewable]
if not done:
    nothing_yet(None)

names = {card.dataset.id: card.dataset.name for card in datasets.list_datasets(workspace())}
dataset_id, round_id = insight_head(done, names)
if round_id is None:
    nothing_yet({"dataset": str(dataset_id)})
shown = rounds.compare(workspace(), [round_id])[0]
measured, classes, words = shown.metrics, rounds.classes_of(workspace(), dataset_id), WORDS[shown.round.task]
draw_figures(headline(shown))
draw_hints(reviews.hints(workspace(), round_id))
with st.container(border=True), complaints():
    sampled = insight.samples(workspace(), round_id)
    kind = random_samples(sampled, classes, f"samples_{round_id}", own_count=shown.model_count)
    if kind is not None:
        started = insight.start_sample(workspace(), round_id, kind, by=name_for_record())
        st.switch_page("pages/review.py", query_params={"round": str(round_id), "audit": str(started.audit.id)})
left, right = st.columns([1, 1], gap="large")
with left:
    stage_table(measured, f"stages_{round_id}")
    iteration_table(measured, f"iterations_{round_id}")
    network_table(measured, f"mix_{round_id}")
    clicked = confusion(measured, classes, words, str(round_id))
    if clicked is not None:
        st.switch_page("pages/review.py", query_params={"round": str(round_id), **words.review(*clicked)})
    worst_images(insight.worst_images(workspace(), measured), round_id)
with right:
    tag_doubts(measured.get("tags"), classes, round_id)
    calibration_and_classes(measured, classes, words, str(round_id))
with st.expander("Networks that are kept, and how to predict with them", key="networks"), complaints():
    kept_networks(networks.of_round(workspace(), shown.round), f"networks_{round_id}")
with st.expander("Settings, versions and snapshot: all it takes to run it again", key="facts"):
    config, versions = st.columns(2, gap="large")
    with config:
        facts_table(settings(shown))
    with versions:
        facts_table({**(shown.round.versions or {}), "snapshot": shown.round.snapshot_hash})
