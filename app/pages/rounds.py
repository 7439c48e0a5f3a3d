"""Rounds: start one, watch it, cancel it, compare those that are done. Address: `rounds?dataset=1`."""

from functools import partial

import streamlit as st

from app.components.complaints import complaints
from app.components.further_networks import add_network_form
from app.components.identity import name_for_record
from app.components.job_progress import live_round, live_worker
from app.components.label_changes import what_changed
from app.components.picker import pick
from app.components.round_form import round_form
from app.components.round_tables import compare_rounds, round_list, round_notice
from app.services import datasets, reviews, rounds, timings
from app.services.extending import add_network
from app.services.history import history
from app.services.workers import worker_state
from app.services.workspace import workspace
from core.config import mixes

cards = datasets.list_datasets(workspace())
if not cards:
    st.info("Rounds find suspicious labels in a dataset; there is none yet.", icon=":material/cycle:")
    st.page_link("pages/datasets.py", label="Import a dataset", icon=":material/upload:")
    st.stop()

title, choice, state = st.columns([1, 2.4, 4], vertical_alignment="center")
title.subheader("Rounds", anchor=False)
with choice:
    dataset_id = pick("dataset", {card.dataset.id: card.dataset.name for card in cards}, "Dataset")
listed = rounds.list_rounds(workspace(), dataset_id)
finished = {one.round.id: one for one in rounds.compare(workspace(), [info.id for info in listed if info.recipe.finds])}
unfinished = next((info for info in listed if not info.status.ended), None)

main, side = st.columns([2.6, 1], gap="medium")
with main:
    if unfinished:
        look = partial(rounds.progress, workspace(), unfinished.id)
        live_round(unfinished.status, look, partial(rounds.cancel_round, workspace(), unfinished.id), "live")
    elif listed:
        round_notice(listed[0], finished.get(listed[0].id), reviews.hints(workspace(), listed[0].id))
    if listed:
        selected = round_list(listed, finished, "rounds")
        compare_rounds(list(finished.values()), selected, "compared")
        classes = rounds.classes_of(workspace(), dataset_id)
        what_changed(history(workspace(), listed), selected, classes, "changes")
    else:
        st.info(
            "No round yet: start the first one on the right; its settings suit the images.", icon=":material/cycle:"
        )
with side, complaints():
    proposal = rounds.propose(workspace(), dataset_id)
    number = listed[0].number + 1 if listed else 1
    waits_for = unfinished.name if unfinished else None
    look_at_times = partial(timings.known_times, workspace(), dataset_id, proposal.configs)
    wish = round_form(proposal, f"form_{dataset_id}", number=number, waits_for=waits_for, look_at_times=look_at_times)
    if wish is not None:
        rounds.start_round(
            workspace(), dataset_id, wish.config, name_for_record(), recipe=wish.recipe, recipe_config=wish.settings
        )
        st.rerun()
    extended = next((info for info in listed if info.id in finished and mixes(info.recipe, info.task)), None)
    if extended is not None:
        member = add_network_form(extended, proposal, f"add_{extended.id}", waits_for=waits_for)
        if member is not None:
            add_network(workspace(), extended.id, member, name_for_record())
            st.rerun()
with state:
    live_worker(lambda: worker_state(workspace()))
