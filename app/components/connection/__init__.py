"""Line on every page while the server does not answer, in place of Streamlit's own dialog."""

from pathlib import Path

import streamlit as st

FOLDER = Path(__file__).parent
ADDRESS = "/outfold/me"  # answers who is signed in, or where to sign in

_mount = st.components.v2.component("connection", js=(FOLDER / "connection.js").read_text(encoding="utf-8"))


def watch_connection() -> None:
    """Watch the connection of this page; draws nothing while the server answers."""
    _mount(data={"address": ADDRESS}, key="connection", height=1)
