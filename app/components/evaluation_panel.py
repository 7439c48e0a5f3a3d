"""A dataset's splits, and which of them are for evaluation only. Address: `datasets?splits=1`."""

from collections.abc import Callable
from typing import Protocol

import pandas as pd
import streamlit as st

from app.components.complaints import plain
from app.components.picker import asked
from app.services.evaluation import Protection, Split
from app.services.lookalikes import Lookalikes

SPLITS = "splits"  # in the address: the dataset whose splits are shown

_DRAWING = "By chance and whole groups at a time: a tenth, but no fewer than Worth measures on"


class Look(Protocol):
    """Tells how a dataset's splits stand."""

    def __call__(self, dataset_id: int, *, find: bool = False) -> Protection:
        """Return it; `find`: look for near-duplicates first."""


class Protect(Protocol):
    """Marks a split of a dataset as for evaluation, or takes the mark away."""

    def __call__(self, dataset_id: int, split: str, *, on: bool) -> object:
        """Do it, or raise our own error."""


def open_splits(dataset_id: int) -> None:
    """Show a dataset's splits from now on. A link to the page one is on would leave the address as it is."""
    st.query_params[SPLITS] = str(dataset_id)
    st.rerun()


def draw_splits(look: Look, protect: Protect, draw: Callable[[int], object]) -> None:
    """Draw the splits of the dataset in the address, if one is, and do what is pressed."""
    dataset_id = asked(SPLITS)
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
            "A split for evaluation judges models and never teaches them: its labels are decided by people, one by "
            "one. What the cleaning was worth is measured on it."
        )
        named = [split for split in shown.splits if split.name]
        pressed = [split for split in named if _draw_split(split, f"{key}_{split.name}")]
        if shown.drawing.images and _draw_drawing(shown, f"{key}_draw"):
            draw(dataset_id)
            st.rerun()
        for line in shown.lines():
            st.markdown(plain(line))
        if shown.protected and _draw_alike(shown.alike, key):
            with st.spinner("Comparing pictures; of many small drawings this takes a minute"):
                look(dataset_id, find=True)
            st.rerun()
        for split in pressed:
            protect(dataset_id, split.name, on=not split.protected)
            st.rerun()


def _draw_split(split: Split, key: str) -> bool:
    """Draw one split with what can be done with it and return whether that was pressed."""
    with st.container(horizontal=True, vertical_alignment="center"):
        badge = " :blue-badge[:material/shield: evaluation]" if split.protected else ""
        st.markdown(f"{plain(split.name)}, {split.images:,} images{badge}", width="content")
        if split.protected:  # a key for each state: what another person did is never undone by an old page
            return st.button("Learn from it again", icon=":material/remove_moderator:", key=f"{key}_off")
        return st.button("Protect", icon=":material/shield:", key=f"{key}_on", help="Use it for evaluation only")


def _draw_drawing(shown: Protection, key: str) -> bool:
    """Draw the button that draws images for evaluation; return whether it was pressed."""
    wish = shown.drawing
    source = f" out of {plain(wish.out_of)}" if wish.out_of else ""
    label = f"Draw {wish.images:,} {'more ' if shown.protected else ''}images{source}"
    return st.button(label, icon=":material/casino:", key=key, help=_DRAWING)


def _draw_alike(alike: Lookalikes | None, key: str) -> bool:
    """Draw what looks like an image of the evaluation splits; return whether it is to be looked for now."""
    if alike is None:
        return st.button("Look for near-duplicates outside of it", icon=":material/compare:", key=f"{key}_find")
    if alike.pairs:
        rows = [{"For evaluation": one.protected, "Outside": one.other, "Which": one.kind} for one in alike.pairs]
        st.dataframe(pd.DataFrame(rows), hide_index=True, key=f"{key}_alike", alt="images that look alike", height=240)
    return False
