"""Insight: results of a finished round, and its random samples. Address: `insight?dataset=1&round=3`."""

import streamlit as st

from app.components.complaints import complaints
from app.components.identity import name_for_record
from app.components.insight_sections import (
    calibration_and_classes,
    confusion,
    facts_table,
    insight_head,
    iteration_table,
    kept_networks,
    network_table,
    stage_table,
    tag_doubts,
    worst_images,
)
from app.components.job_progress import draw_figures
from app.components.links import IMPORT, NextStep, draw_empty_page
from app.components.measures import WORDS, headline, settings
from app.components.picker import current_dataset
from app.components.random_samples import draw_hints, random_samples
from app.services import datasets, reviews
from app.services.app_context import app_context
from app.services.rounds import insight, jobs as rounds, labelling, networks

NOTHING = "Results appear here when a round is done."


def next_step(dataset: int) -> NextStep:
    """Return the next step towards results of a dataset."""
    address = {"dataset": str(dataset)}
    if labelling.labelling_state(app_context(), dataset).is_bare:
        return NextStep("Label images", "pages/review.py", ":material/label:", address)
    return NextStep("Start or watch a round", "pages/rounds.py", ":material/cycle:", address)


done = [info for info in rounds.list_rounds(app_context()) if info.is_reviewable and info.recipe.suggests]
if not done:
    known = datasets.dataset_ids(app_context())
    nearest = current_dataset(known) or max(known, default=None)
    draw_empty_page("No results yet", NOTHING, [IMPORT if nearest is None else next_step(nearest)])
    st.stop()
names = {card.dataset.id: card.dataset.name for card in datasets.list_datasets(app_context())}
dataset_id, round_id = insight_head(done, names)
if round_id is None:
    st.info(NOTHING, icon=":material/insights:")
    further = next_step(dataset_id)
    st.page_link(further.page, label=further.label, icon=further.icon, query_params=further.query)
    st.stop()
shown = rounds.compare(app_context(), [round_id])[0]
measured, classes, words = shown.metrics, rounds.classes_of(app_context(), dataset_id), WORDS[shown.round.task]
draw_figures(headline(shown))
draw_hints(reviews.hints(app_context(), round_id), dataset_id)
with st.container(border=True), complaints():
    sampled = insight.samples(app_context(), round_id)
    kind = random_samples(sampled, classes, f"samples_{round_id}", own_count=shown.model_count)
    if kind is not None:
        started = insight.start_sample(app_context(), round_id, kind, by=name_for_record())
        st.switch_page("pages/review.py", query_params={"round": str(round_id), "audit": str(started.audit.id)})
left, right = st.columns([1, 1], gap="large")
with left:
    stage_table(measured, f"stages_{round_id}")
    iteration_table(measured, f"iterations_{round_id}")
    network_table(measured, f"mix_{round_id}")
    clicked = confusion(measured, classes, words, str(round_id))
    if clicked is not None:
        st.switch_page("pages/review.py", query_params={"round": str(round_id), **words.review(*clicked)})
    worst_images(insight.worst_images(app_context(), measured), round_id)
with right:
    tag_doubts(measured.get("tags"), classes, round_id)
    calibration_and_classes(measured, classes, words, str(round_id))
with st.expander("Kept networks, and how to predict with them", key="networks"), complaints():
    kept_networks(networks.networks_of_round(app_context(), shown.round), f"networks_{round_id}")
with st.expander("Settings, versions and snapshot: everything needed to run it again", key="facts"):
    config, versions = st.columns(2, gap="large")
    with config:
        facts_table(settings(shown))
    with versions:
        facts_table({**(shown.round.versions or {}), "snapshot": shown.round.snapshot_hash})
