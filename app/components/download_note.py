"""Note below a network's weights: how much the round downloads, asked of the hub on a click."""

import streamlit as st

from app.services.download_sizes import ask_size, is_asking, known_size

_LOOK_SECONDS = 1.0


def download_note(model: str, key: str) -> None:
    """Draw the button that asks for the size of a network's published weights, and the answer."""
    if st.button("How much is downloaded?", key=f"{key}_download", type="tertiary", icon=":material/download:"):
        ask_size(model)
    if is_asking(model):
        st.fragment(_look_again, run_every=_LOOK_SECONDS)(model)
    else:
        _draw(known_size(model))


def _look_again(model: str) -> None:
    if not is_asking(model):
        st.rerun()  # the page that no longer asks
    st.caption("asking the hub...")


def _draw(words: str) -> None:
    if words:
        st.caption(words)
