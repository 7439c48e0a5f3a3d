"""Export: choose a form, see what it holds, get it. Address: `exports?dataset=1`."""

import streamlit as st

from app.components.complaints import complaints
from app.components.export_form import export_form
from app.components.export_preview import draw_preview
from app.components.export_results import draw_former, draw_result, draw_running
from app.components.identity import name_for_record
from app.components.picker import pick
from app.services import datasets, exports
from app.services.exports import ExportPreview, ExportRequest
from app.services.workers import worker_state
from app.services.workspace import workspace


@st.cache_data(ttl=60, max_entries=32, show_spinner="Counting the labels")
def look(request: ExportRequest, state: str) -> ExportPreview:
    """Look at what would be written; again only when the form or the labels change."""
    del state
    return exports.preview(workspace(), request)


@st.fragment(run_every=1.0)
@complaints()
def watch(export_id: int) -> None:
    """Follow an unfinished export; the whole page is drawn again when it ends."""
    info = exports.get_export(workspace(), export_id)
    if info.status.ended:
        st.rerun()
    if draw_running(info, worker_state(workspace()), f"running_{export_id}"):
        exports.cancel_export(workspace(), export_id)
        st.rerun()


cards = {card.dataset.id: card for card in datasets.list_datasets(workspace())}
if not cards:
    st.info("Exports hold the labels that people decided on; there is no dataset yet.", icon=":material/output:")
    st.page_link("pages/datasets.py", label="Import a dataset", icon=":material/upload:")
    st.stop()
title, choice, _ = st.columns([1, 2.4, 4], vertical_alignment="center")
title.subheader("Export", anchor=False)
with choice:
    dataset_id = pick("dataset", {key: card.dataset.name for key, card in cards.items()}, "Dataset")
card, past = cards[dataset_id], exports.list_exports(workspace(), dataset_id)
side, main = st.columns([1, 2.2], gap="medium")
with side:
    wishes = export_form(card, "form")
    request = wishes.request(dataset_id, by=name_for_record())
with main, complaints():
    small = {info.id for info in past if exports.is_downloadable(info)}
    for info in past:
        if not info.status.ended:
            watch(info.id)
        elif str(info.id) == st.query_params.get("export"):
            draw_result(info, "newest", can_download=info.id in small)
    if draw_preview(look(request, exports.state(workspace(), dataset_id)), "preview"):
        st.query_params["export"] = str(exports.start_export(workspace(), request).id)
        st.rerun()
    if ended := [info for info in past if info.status.ended]:
        draw_former(ended, small, "former")
