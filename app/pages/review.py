"""Review: judge what a round found, card by card or many at once."""

import streamlit as st

from app.components.complaints import complaints, plain
from app.components.job_progress import draw_round
from app.components.picker import remember
from app.components.review_choice import wanted_round
from app.components.review_grid import review_grid
from app.services import datasets, rounds
from app.services.rounds import RoundInfo
from app.services.workspace import workspace

POLL_SECONDS = 2.0


@st.fragment(run_every=POLL_SECONDS)
@complaints()
def wait_for(round_id: int) -> None:
    """Show how far a round is; its findings take this place when it is done."""
    progress = rounds.progress(workspace(), round_id)
    if progress.round.status.ended:
        st.rerun()
    if draw_round(progress, key="review_round"):
        rounds.cancel_round(workspace(), round_id)


def explain(info: RoundInfo | None) -> None:
    """Say why there is nothing to review yet, and what to do."""
    if info is not None and not info.status.ended:
        st.title(f"{plain(info.dataset)}: {info.name} is at work")
        st.write("Its findings appear here when it is done.")
        wait_for(info.id)
        return
    where = "rounds" if info or datasets.list_datasets(workspace()) else "datasets"
    begin = "Start" if where == "rounds" else "Import a dataset and start"
    nothing = f"{begin} a round: what it finds suspicious appears here."
    st.title(f"{info.name} {info.status.value}" if info else "Nothing to review yet")
    st.write(plain(info.message or "It has no findings.") if info else nothing)
    if st.button(where.title(), icon=":material/arrow_forward:", key=f"review_{where}", type="primary"):
        st.switch_page(f"pages/{where}.py")


chosen = wanted_round(rounds.list_rounds(workspace()), datasets.dataset_ids(workspace()))
if chosen is not None:
    remember("dataset", chosen.dataset_id)
if chosen is not None and chosen.is_reviewable:
    review_grid(chosen.id, key="review")
else:
    explain(chosen)
