"""Datasets: cards, running imports, and the form of an import."""

from functools import partial
from pathlib import Path

import streamlit as st

from app.components.complaints import complaints
from app.components.dataset_cards import draw_cards
from app.components.deletion import ask_deletion, dataset_deletion, draw_deleted, import_acts
from app.components.evaluation_panel import draw_splits
from app.components.identity import current_role, name_for_record
from app.components.import_questions import gone_classes
from app.components.import_report import draw_corrected, draw_one_class, draw_report, draw_running
from app.components.import_wizard import draw_header, import_wizard
from app.components.members import ask_members, dataset_members
from app.services import class_lists, datasets, deletions, members
from app.services.app_context import app_context
from app.services.evaluation import splits as evaluation
from app.services.imports import jobs as imports, sources
from app.services.workers import worker_state

OPEN, SHOWN, POLL_SECONDS = "datasets_wizard", "import", 1.5
work = app_context()


def show(import_id: int) -> None:
    """Show the progress of an import, and its report once it has ended."""
    st.query_params[SHOWN], st.session_state[OPEN] = str(import_id), False
    st.rerun()


@complaints()
def live(known: tuple[list[int], list[int]]) -> None:
    """Draw running imports and rounds; rerun the page when one has ended."""
    if known != (now := datasets.overview(work)).at_work:
        st.rerun()
    for info in now.unfinished:
        if draw_running(info, worker_state(work).text, f"import_{info.id}"):
            imports.cancel_import(work, info.id)
            st.rerun()
    seen_by = None if current_role() is None else members.members_by_dataset(work)
    pressed = draw_cards(now.cards, now.wrong, now.progress, members=seen_by)
    if pressed is not None and pressed.delete:
        ask_deletion(pressed.dataset_id)
    elif pressed is not None and pressed.members:
        ask_members(pressed.dataset_id)
    elif pressed is not None and pressed.report:
        show(pressed.report)
    elif pressed is not None and pressed.new_name:
        datasets.rename(work, pressed.dataset_id, pressed.new_name)
        st.rerun()
    elif pressed is not None and pressed.new_place:
        show(imports.move_dataset(work, pressed.dataset_id, Path(pressed.new_place), pressed.new_image_root))
    elif pressed is not None:
        show(imports.repeat_import(work, pressed.dataset_id))


now = datasets.overview(work)
with st.container(key="datasets_top"), complaints():  # keeps the cards at their place while a page is redrawn
    if draw_header(OPEN, is_empty=now.is_empty):
        reading = partial(imports.preview, work), partial(imports.recognise, work), partial(sources.store_upload, work)
        browse = partial(sources.list_folder, work), partial(sources.recent_folders, work)
        known = [card.dataset.name for card in now.cards]
        if (request := import_wizard(*reading, browse, known=known, key="import")) is not None:
            show(imports.start_import(work, request))
    shown = imports.find_ended_import(work, st.query_params.get(SHOWN, ""))
    if shown is not None:
        ids, key = imports.imports_with_problems(work, shown), f"report_{shown.id}"
        if draw_report(shown, imports.problem_counts(work, *ids), partial(imports.problems, work, *ids), key):
            del st.query_params[SHOWN]
            st.rerun()
        draw_one_class(shown.dataset_id, partial(class_lists.similar_by_spelling, work))
        if shown.dataset_id is not None and draw_corrected(shown, f"mended_{shown.id}"):
            show(imports.take_masks(work, shown.dataset_id, name_for_record()))
        if (gone := imports.gone_classes(shown)) and (answer := gone_classes(gone, f"gone_{shown.id}")) is not None:
            renamed, kept = answer
            show(imports.start_import(work, imports.request_with_answers(shown, renamed=renamed, kept=kept)))
    if (started := import_acts(work, shown)) is not None:
        show(started)
    draw_splits(partial(evaluation.protection, work), partial(evaluation.protect, work), partial(evaluation.draw, work))
dataset_deletion(work)
dataset_members(work)
st.fragment(live, run_every=POLL_SECONDS if any(now.at_work) else None)(now.at_work)
with complaints():
    draw_deleted(deletions.restorable(work), partial(deletions.restore, work))
