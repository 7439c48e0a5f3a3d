"""The review grid: one component for the whole review page.

Streamlit only mounts it. What people do in it travels over the app's own routes (`app.routes`), not through reruns:
triggers lose verdicts at the speed of a practised annotator. The filters live in the page's address.
"""

from pathlib import Path

import streamlit as st

from app.components import assets

FOLDER = Path(__file__).parent
STYLES = ("layout.css", "cards.css", "panels.css", "dialogs.css", "regions.css")
API = "/outfold"

_mount = st.components.v2.component(
    "review_grid",
    css="\n".join((FOLDER / name).read_text(encoding="utf-8") for name in STYLES),
    js=(FOLDER / "bootstrap.js").read_text(encoding="utf-8"),
)


def review_grid(round_id: int, key: str) -> None:
    """Draw the grid of one round's findings; it fills the window below the navigation."""
    _mount(data={"api": API, "main": assets.url("review_grid/main.js"), "round": round_id}, key=key)
