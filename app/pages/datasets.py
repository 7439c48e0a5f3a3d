"""Datasets: what there is, what is being imported, and the way to bring in more."""

from functools import partial
from pathlib import Path

import streamlit as st

from app.components.complaints import complaints
from app.components.dataset_cards import draw_cards
from app.components.evaluation_panel import draw_splits
from app.components.gone_classes import gone_classes
from app.components.identity import name_for_record
from app.components.import_preview import STYLE
from app.components.import_report import draw_mended, draw_report, draw_running
from app.components.import_wizard import draw_header, import_wizard
from app.services import datasets, evaluation, import_jobs, imports, uploads
from app.services.workers import worker_state
from app.services.workspace import workspace

OPEN, SHOWN, POLL_SECONDS = "datasets_wizard", "import", 1.5
work = workspace()


def show(import_id: int) -> None:
    """Show how far an import is, and its report when it has ended."""
    st.query_params[SHOWN], st.session_state[OPEN] = str(import_id), False
    st.rerun()


@complaints()
def live(known: tuple[list[int], list[int]]) -> None:
    """Draw what changes by itself; when something has ended, draw the whole page."""
    if known != (now := datasets.overview(work)).at_work:
        st.rerun()
    for info in now.unfinished:
        if draw_running(info, worker_state(work).text, f"import_{info.id}"):
            import_jobs.stop_import(work, info.id)
            st.rerun()
    pressed = draw_cards(now.cards, now.wrong)
    if pressed is not None and pressed.report:
        show(pressed.report)
    elif pressed is not None and pressed.new_name:
        datasets.rename(work, pressed.dataset_id, pressed.new_name)
        st.rerun()
    elif pressed is not None and pressed.new_place:
        show(import_jobs.move_dataset(work, pressed.dataset_id, Path(pressed.new_place)))
    elif pressed is not None:
        show(import_jobs.repeat_import(work, pressed.dataset_id))


st.html(STYLE)
now = datasets.overview(work)
with st.container(key="datasets_top"), complaints():  # keeps the cards at their place while a page is redrawn
    if draw_header(OPEN, is_empty=now.is_empty):
        reading = partial(imports.preview, work), partial(imports.recognise, work), partial(uploads.store_upload, work)
        if (request := import_wizard(*reading, [card.dataset.name for card in now.cards], "import")) is not None:
            show(import_jobs.begin_import(work, request))
    shown = imports.find_ended(work, st.query_params.get(SHOWN, ""))
    if shown is not None:
        ids, key = imports.standing_with(work, shown), f"report_{shown.id}"
        if draw_report(shown, imports.problem_counts(work, *ids), partial(imports.problems, work, *ids), key):
            del st.query_params[SHOWN]
            st.rerun()
        if shown.dataset_id is not None and draw_mended(shown, f"mended_{shown.id}"):
            show(import_jobs.take_masks(work, shown.dataset_id, name_for_record()))
        if (asked := imports.gone_classes(shown)) and (answer := gone_classes(asked, f"gone_{shown.id}")) is not None:
            show(import_jobs.begin_import(work, imports.answered(shown, renamed=answer.renamed, kept=answer.kept)))
    draw_splits(partial(evaluation.protection, work), partial(evaluation.protect, work), partial(evaluation.draw, work))
st.fragment(live, run_every=POLL_SECONDS if any(now.at_work) else None)(now.at_work)
