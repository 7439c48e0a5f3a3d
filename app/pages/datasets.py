"""Datasets: what there is, what is being imported, and the way to bring in more."""

from functools import partial

import streamlit as st

from app.components.complaints import complaints
from app.components.dataset_cards import CardAct, draw_cards
from app.components.import_preview import STYLE
from app.components.import_report import draw_report, draw_running
from app.components.import_wizard import draw_header, import_wizard
from app.services import datasets, import_jobs, imports, uploads
from app.services.imports import ImportRequest, Preview
from app.services.workers import worker_state
from app.services.workspace import workspace

OPEN, SHOWN, POLL_SECONDS = "datasets_wizard", "import", 1.5
work = workspace()


@st.cache_data(ttl=60, max_entries=16, show_spinner="Looking at the images")
def look(request: ImportRequest) -> Preview:
    """Look at a source; typing elsewhere in the form does not look again."""
    return imports.preview(workspace(), request)


def begin(request: ImportRequest) -> None:
    """Hand an import to the worker and show how far it is."""
    st.query_params[SHOWN], st.session_state[OPEN] = str(import_jobs.begin_import(work, request)), False
    st.rerun()


def live(known: tuple[list[int], list[int]]) -> None:
    """Draw what changes by itself; when something has ended, draw the whole page."""
    now = datasets.overview(work)
    if known != now.at_work:
        st.rerun()
    for info in now.unfinished:
        if draw_running(info, worker_state(work).text, f"import_{info.id}"):
            import_jobs.stop_import(work, info.id)
            st.rerun()
    pressed = draw_cards(now.cards)
    with complaints():
        if pressed is not None and pressed.act is CardAct.IMPORT_AGAIN:
            begin(imports.request_again(work, pressed.card.dataset.id))
        elif pressed is not None:
            if pressed.act is CardAct.RENAME:
                datasets.rename(work, pressed.card.dataset.id, pressed.text)
            else:
                st.query_params[SHOWN] = str(pressed.card.import_id)
            st.rerun()


now = datasets.overview(work)
st.html(STYLE)
is_open = st.session_state.get(OPEN, now.is_empty)
if draw_header(is_open=is_open, can_close=not now.is_empty):
    st.session_state[OPEN] = not is_open
    st.rerun()
with complaints():
    request = import_wizard(look, partial(uploads.store_upload, work), "import") if is_open else None
    if request is not None:
        begin(request)
    shown = imports.find_import(work, st.query_params.get(SHOWN, ""))
    if shown is not None and shown.status.ended:
        counts = imports.problem_counts(work, shown.id)
        if draw_report(shown, counts, partial(imports.problems, work, shown.id), f"report_{shown.id}"):
            del st.query_params[SHOWN]
            st.rerun()
st.fragment(live, run_every=POLL_SECONDS if any(now.at_work) else None)(now.at_work)
