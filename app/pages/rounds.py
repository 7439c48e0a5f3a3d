"""Rounds: start, watch, cancel and compare them. Address: `rounds?dataset=1`."""

from functools import partial

import streamlit as st

from app.components.complaints import complaints
from app.components.deletion import round_deletion
from app.components.further_networks import add_network_form
from app.components.identity import name_for_record
from app.components.job_progress import live_round, live_worker
from app.components.label_images import label_images
from app.components.links import draw_empty_page
from app.components.picker import pick
from app.components.round_form import blocked_reason, round_form
from app.components.round_tables import changes_section, compare_rounds, round_list, round_notice, unfinished_notice
from app.services import datasets, reviews
from app.services.app_context import app_context
from app.services.rounds import jobs as rounds, labelling, preview, resume as resuming
from app.services.rounds.history import history
from app.services.rounds.resume import add_network
from app.services.workers import worker_state
from core.types import JobStatus

cards = datasets.list_datasets(app_context())
if not cards:
    draw_empty_page("No rounds yet", "A round finds suspicious labels in a dataset. Import a dataset first.")
    st.stop()

title, choice, state = st.columns([1, 2.4, 4], vertical_alignment="center")
title.title("Rounds", anchor=False)
with choice:
    dataset_id = pick("dataset", {card.dataset.id: card.dataset.name for card in cards}, "Dataset")
listed = rounds.list_rounds(app_context(), dataset_id)
finished = {
    one.round.id: one for one in rounds.compare(app_context(), [info.id for info in listed if info.recipe.finds])
}
now = labelling.labelling_state(app_context(), dataset_id)
unfinished = next((info for info in listed if not info.status.ended), None)

main, side = st.columns([2.6, 1], gap="medium")
with main:
    if unfinished:
        look = partial(rounds.progress, app_context(), unfinished.id)
        live_round(unfinished.status, look, partial(rounds.cancel_round, app_context(), unfinished.id), "live")
    elif listed and listed[0].status is not JobStatus.DONE:
        problem = resuming.resumption_problem(app_context(), listed[0])
        unfinished_notice(listed[0], problem, partial(resuming.resume_round, app_context()), "resume")
    elif listed:
        round_notice(listed[0], finished.get(listed[0].id), reviews.hints(app_context(), listed[0].id))
    if now.unlabelled and not unfinished and (now.is_bare or now.in_grid):
        start = partial(labelling.start_labelling, app_context(), dataset_id, name_for_record())
        label_images(now, start, partial(labelling.use_masks, app_context(), dataset_id), "rounds_label")
    if listed:
        selected = round_list(listed, finished, "rounds")
        compare_rounds(list(finished.values()), selected, "compared")
        round_deletion(app_context(), listed, selected, "delete_round")
        changes_section(
            history(app_context(), listed), selected, rounds.classes_of(app_context(), dataset_id), "changes"
        )
    elif not now.is_bare:
        st.info("No round yet: start the first one. The settings in its form suit the images.", icon=":material/cycle:")
with side, complaints():
    proposal = rounds.propose(app_context(), dataset_id)
    number = 1 + max((info.number for info in listed), default=0)
    blocked = blocked_reason(unfinished, is_bare=now.is_bare)
    look_at_times = partial(preview.known_times, app_context(), dataset_id, proposal.configs)
    request = round_form(proposal, f"form_{dataset_id}", number=number, blocked=blocked, look_at_times=look_at_times)
    if request is not None:
        recipe, config, settings = request
        rounds.start_round(app_context(), dataset_id, config, name_for_record(), recipe=recipe, recipe_config=settings)
        st.rerun()
    extended = next((info for info in listed if info.id in finished and info.task in info.recipe.mixes), None)
    if extended is not None:
        member = add_network_form(extended, proposal, f"add_{extended.id}", blocked=blocked)
        if member is not None:
            add_network(app_context(), extended.id, member, name_for_record())
            st.rerun()
with state:
    live_worker(lambda: worker_state(app_context()))
