"""Review: verdicts on the findings of a round, by card or in bulk."""

from functools import partial

import streamlit as st

from app.components.complaints import complaints, plain
from app.components.identity import may, may_open, name_for_record, require
from app.components.job_progress import draw_round
from app.components.label_images import label_images
from app.components.picker import current_dataset, remember, selected_round
from app.components.review_grid import review_grid
from app.services import datasets
from app.services.app_context import app_context
from app.services.rounds import jobs as rounds, labelling
from app.services.rounds.jobs import RoundInfo
from core.types import Right

POLL_SECONDS = 2.0


@st.fragment(run_every=POLL_SECONDS)
@complaints()
def wait_for(round_id: int) -> None:
    """Show the progress of a round; its findings replace it when it is done."""
    progress = rounds.progress(app_context(), round_id)
    if progress.round.status.ended:
        st.rerun()
    if draw_round(progress, key="review_round"):
        require(Right.LEAD)
        rounds.cancel_round(app_context(), round_id)


def explain(info: RoundInfo | None) -> None:
    """Draw the reason why there is nothing to review yet, and the next step."""
    known = datasets.dataset_ids(app_context())
    dataset_id = info.dataset_id if info else current_dataset(known) or max(known, default=None)
    if dataset_id is not None and (info is None or info.status.ended):
        now = labelling.labelling_state(app_context(), dataset_id)
        if now.is_bare and now.unlabelled and may(Right.LEAD):
            st.title("Nothing to review yet")
            if info is not None and info.message:
                st.error(plain(info.message), icon=":material/error:")
            start = partial(labelling.start_labelling, app_context(), dataset_id, name_for_record())
            use_masks = partial(labelling.use_masks, app_context(), dataset_id)
            label_images(now, start, use_masks, "review_label")
            return
    if info is not None and not info.status.ended:
        st.title(f"{plain(info.dataset)}: {info.name} is running")
        st.write("Its findings appear here when it is done.")
        wait_for(info.id)
        return
    where = "rounds" if info or datasets.list_datasets(app_context()) else "datasets"
    begin = "Start" if where == "rounds" else "Import a dataset and start"
    nothing = f"{begin} a round: its suspicious findings appear here."
    st.title(f"{info.name} {info.status.value}" if info else "Nothing to review yet")
    st.write(plain(info.message or "It has no findings.") if info else nothing)
    if may_open(where) and st.button(
        where.title(), icon=":material/arrow_forward:", key=f"review_{where}", type="primary"
    ):
        st.switch_page(f"pages/{where}.py")


chosen = selected_round(rounds.list_rounds(app_context()), datasets.dataset_ids(app_context()))
if chosen is not None:
    remember("dataset", chosen.dataset_id)
if chosen is not None and chosen.is_reviewable:
    review_grid(chosen.id, key="review")
else:
    explain(chosen)
