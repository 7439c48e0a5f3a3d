"""Panel of a dataset's evaluation splits. Address: `datasets?splits=1`."""

from collections.abc import Callable
from typing import Protocol

import pandas as pd
import streamlit as st

from app.components.complaints import plain
from app.components.inline_scripts import INTO_VIEW, draw_html_with
from app.components.picker import address_id
from app.services.evaluation.lookalikes import Lookalikes
from app.services.evaluation.splits import Protection, Split
from core.types import counted

SPLITS = "splits"  # parameter: the dataset whose splits are shown
_OPENED = "splits_opened"  # in the session: the dataset whose splits have just been opened, to be brought into view

_DRAWING = "A random tenth, in whole groups, but at least as many images as a comparison on the Impact page needs"


class ReadProtection(Protocol):
    """Reads the protection of a dataset's splits."""

    def __call__(self, dataset_id: int, *, find: bool = False) -> Protection:
        """Return it; `find`: look for near-duplicates first."""


class Protect(Protocol):
    """Marks a split of a dataset as evaluation split, or removes the mark."""

    def __call__(self, dataset_id: int, split: str, *, on: bool) -> object:
        """Set the mark."""


def open_splits(dataset_id: int) -> None:
    """Show a dataset's splits: set the address, since a link to the current page would not change it."""
    st.query_params[SPLITS] = str(dataset_id)
    st.session_state[_OPENED] = dataset_id
    st.rerun()


def draw_splits(look: ReadProtection, protect: Protect, draw: Callable[[int], object]) -> None:
    """Draw the splits of the dataset in the address, if any, and run the pressed act."""
    dataset_id = address_id(SPLITS)
    if dataset_id is None:
        return
    key, shown = f"splits_{dataset_id}", look(dataset_id)
    with st.container(border=True, key=key):
        head, button = st.columns([8, 1], vertical_alignment="center")
        head.markdown(f"**Evaluation splits of {plain(shown.dataset)}**")
        if button.button("Close", icon=":material/close:", key=f"{key}_close", width="stretch"):
            del st.query_params[SPLITS]
            st.rerun()
        st.caption(
            "An evaluation split is excluded from training: people decide its labels one by "
            "one, and the impact of cleaning is measured on it."
        )
        splits = [split for split in shown.splits if split.name]
        pressed = [split for split in splits if _draw_split(split, f"{key}_{split.name}")]
        if shown.drawing.images and _draw_drawing(shown, f"{key}_draw"):
            draw(dataset_id)
            st.rerun()
        for line in shown.lines():
            st.markdown(plain(line))
        if shown.protected and _draw_look_alikes(shown.alike, key):
            with st.spinner("Comparing images; with many small drawings this takes a minute"):
                look(dataset_id, find=True)
            st.rerun()
        for split in pressed:
            protect(dataset_id, split.name, on=not split.protected)
            st.rerun()
        if st.session_state.pop(_OPENED, None) == dataset_id:
            _bring_into_view(key)


def _bring_into_view(key: str) -> None:
    """Scroll to a container, which is far above its button where there are many datasets."""
    draw_html_with(INTO_VIEW, html=f"<i data-into-view='.st-key-{key}'></i>")


def _draw_split(split: Split, key: str) -> bool:
    """Draw one split with its button and return whether it was pressed."""
    with st.container(horizontal=True, vertical_alignment="center"):
        badge = " :blue-badge[:material/shield: evaluation]" if split.protected else ""
        st.markdown(f"{plain(split.name)}, {counted(split.images, 'image')}{badge}", width="content")
        if split.protected:  # a key for each state: an old page never undoes another person's act
            return st.button("Include in training", icon=":material/remove_moderator:", key=f"{key}_off")
        return st.button("Protect", icon=":material/shield:", key=f"{key}_on", help="Use it for evaluation only")


def _draw_drawing(shown: Protection, key: str) -> bool:
    """Draw the button that draws images for evaluation; return whether it was pressed."""
    drawing = shown.drawing
    source = f" out of {plain(drawing.out_of)}" if drawing.out_of else ""
    label = f"Draw {drawing.images:,} {'more ' if shown.protected else ''}images{source}"
    return st.button(label, icon=":material/casino:", key=key, help=_DRAWING)


def _draw_look_alikes(alike: Lookalikes | None, key: str) -> bool:
    """Draw the look-alikes of the evaluation splits; return whether the search for them was started."""
    if alike is None:
        return st.button("Look for near-duplicates outside of it", icon=":material/compare:", key=f"{key}_find")
    if alike.pairs:
        rows = [{"For evaluation": one.protected, "Outside": one.other, "Which": one.kind} for one in alike.pairs]
        st.dataframe(pd.DataFrame(rows), hide_index=True, key=f"{key}_alike", alt="images that look alike", height=240)
    return False
