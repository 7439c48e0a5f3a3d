"""Masks: paint what a label should be, pixel by pixel. Address: `masks?dataset=1&round=3&sample=14&finding=159`."""

import streamlit as st

from app.components.mask_editor import mask_editor
from app.components.picker import asked, instead, named, remember, warn_over
from app.services import editing
from app.services.workspace import workspace


def explain() -> None:
    """Say why there is no mask to edit, and what to do."""
    st.title("No masks to edit yet")
    st.write("Every image of a dataset whose labels are masks can be painted here. Import one first.")
    to_datasets, to_rounds, _ = st.columns([1, 1, 4])
    if to_datasets.button("Datasets", icon=":material/photo_library:", key="masks_datasets", type="primary"):
        st.switch_page("pages/datasets.py")
    if to_rounds.button("Rounds", icon=":material/cycle:", key="masks_rounds"):
        st.switch_page("pages/rounds.py")


wanted = editing.find_opening(workspace(), asked("round"), asked("sample"), asked("dataset"))
opening = wanted or editing.find_opening(workspace())
if opening is None:
    explain()
else:
    remember("dataset", opening.dataset_id)
    if opening.round_id is not None:
        remember("round", opening.round_id)
    told = {parameter: named(parameter) for parameter in ("round", "dataset", "sample")}
    if said := editing.passed_over(workspace(), opening, told):
        warn_over(instead(*said))
    mask_editor(opening, asked("finding"), key="masks")
