"""Start of labelling for images without labels: a form where labels are classes, links where they are masks."""

from collections.abc import Callable, Sequence

import streamlit as st

from app.components.complaints import complaints, plain
from app.components.links import queue_of
from app.services.rounds.jobs import RoundInfo
from app.services.rounds.labelling import ENOUGH, LabellingState
from core.types import counted


def label_images(
    now: LabellingState,
    start: Callable[[Sequence[str]], RoundInfo],
    use_masks: Callable[[Sequence[str]], None],
    key: str,
) -> None:
    """Draw the start of labelling; the button leads to the page where labels are made.

    The kind of label and the classes are asked for only where the dataset has none.
    """
    title = f"{counted(now.unlabelled, 'image')} of {plain(now.dataset)} without a label"
    with st.expander(title, expanded=now.is_bare or now.is_under_way, key=key), complaints():
        if not now.in_grid:
            _draw_links(now.dataset_id)
            return
        masks = now.is_bare and now.newest is None and _asks_for_masks(key)
        st.write(
            "Paint a few masks in the editor. A round learns from them and suggests the others."
            if masks
            else "Label some of them by hand: similar images are adjacent, and one key labels many. About "
            f"{ENOUGH} labels are enough for a first round, which suggests the others."
        )
        names: list[str] = []
        if not now.classes:
            text = st.text_area("Classes, one per line", key=f"{key}_classes", placeholder="cat\ndog")
            names = text.splitlines()
        label, icon = ("Paint masks", ":material/brush:") if masks else ("Label images", ":material/label:")
        if not st.button(label, type="primary", icon=icon, key=f"{key}_go"):
            return
        if masks:
            use_masks(names)
            st.switch_page("pages/masks.py", query_params={"dataset": str(now.dataset_id)})
        started = start(names)
        st.switch_page("pages/review.py", query_params=queue_of(started.id, started.recipe))


def _asks_for_masks(key: str) -> bool:
    kinds = ("One class for each image", "Masks: a class for each pixel")
    chosen = st.radio("Labels are", kinds, key=f"{key}_kind", horizontal=True)
    return chosen == kinds[1]


def _draw_links(dataset_id: int) -> None:
    """Draw the links to the pages for masks and tags."""
    address = {"dataset": str(dataset_id)}
    st.write("Paint a few masks, or tag the classes that the images show.")
    with st.container(horizontal=True):
        st.page_link("pages/masks.py", label="Paint masks", icon=":material/brush:", query_params=address)
        st.page_link("pages/tags.py", label="Tag images", icon=":material/sell:", query_params=address)
