"""Export: form, preview, download. Address: `exports?dataset=1`."""

import streamlit as st

from app.components.complaints import complaints
from app.components.export_form import export_form
from app.components.export_preview import draw_preview
from app.components.export_results import draw_former, draw_result, draw_running
from app.components.identity import name_for_record
from app.components.links import draw_empty_page
from app.components.picker import pick
from app.services import datasets
from app.services.app_context import app_context
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportPreview, ExportRequest
from app.services.workers import worker_state


@st.cache_data(ttl=60, max_entries=32, show_spinner="Counting the labels")
def look(request: ExportRequest, state: str) -> ExportPreview:
    """Return the preview of an export; cached until the form or the labels change."""
    del state
    return exports.preview(app_context(), request)


@st.fragment(run_every=1.0)
@complaints()
def watch(export_id: int) -> None:
    """Follow an unfinished export; the whole page is drawn again when it ends."""
    info = exports.get_export(app_context(), export_id)
    if info.status.ended:
        st.rerun()
    if draw_running(info, worker_state(app_context()), f"running_{export_id}"):
        exports.cancel_export(app_context(), export_id)
        st.rerun()


cards = {card.dataset.id: card for card in datasets.list_datasets(app_context())}
if not cards:
    draw_empty_page("Nothing to export yet", "Cleaned labels are exported here. Import a dataset first.")
    st.stop()
title, choice, _ = st.columns([1, 2.4, 4], vertical_alignment="center")
title.title("Export", anchor=False)
with choice:
    dataset_id = pick("dataset", {key: card.dataset.name for key, card in cards.items()}, "Dataset")
card, past = cards[dataset_id], exports.list_exports(app_context(), dataset_id)
side, main = st.columns([1, 2.2], gap="medium")
with side:
    request = export_form(card, "form", name_for_record())
with main, complaints():
    small = {info.id for info in past if exports.is_downloadable(app_context(), info)}
    for info in past:
        if not info.status.ended:
            watch(info.id)
        elif str(info.id) == st.query_params.get("export"):
            draw_result(info, "newest", can_download=info.id in small)
    if draw_preview(look(request, exports.state(app_context(), dataset_id)), "preview"):
        st.query_params["export"] = str(exports.start_export(app_context(), request).id)
        st.rerun()
    if ended := [info for info in past if info.status.ended]:
        draw_former(ended, small, "former")
