"""Masks: paint what a label should be, pixel by pixel. Address: `masks?round=3&sample=14&finding=159`."""

import streamlit as st

from app.components.mask_editor import mask_editor
from app.components.picker import asked, remember
from app.services import editing
from app.services.workspace import workspace


def explain() -> None:
    """Say why there is no mask to edit, and what to do."""
    st.title("No masks to edit yet")
    st.write("Masks are edited where a round doubts them. Start a round on such a dataset, then open a region here.")
    to_datasets, to_rounds, _ = st.columns([1, 1, 4])
    if to_datasets.button("Datasets", icon=":material/photo_library:", key="masks_datasets", type="primary"):
        st.switch_page("pages/datasets.py")
    if to_rounds.button("Rounds", icon=":material/cycle:", key="masks_rounds"):
        st.switch_page("pages/rounds.py")


opening = editing.find_opening(workspace(), asked("round"), asked("sample"))
if opening is None:
    explain()
else:
    remember("dataset", opening.round.dataset_id)
    remember("round", opening.round.id)
    mask_editor(opening.round.id, opening.sample_id, asked("finding"), key="masks")
