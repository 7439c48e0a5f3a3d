"""The mask editor: one component for the whole page on which a mask is painted.

Streamlit only mounts it. Masks travel as bytes over the app's own routes (`app.routes`); which image is open is in the
page's address.
"""

from pathlib import Path

import streamlit as st

from app.components import assets
from app.components.review_grid import API
from app.components.review_grid import FOLDER as GRID
from app.services.editing import Opening

FOLDER = Path(__file__).parent
STYLES = (GRID / "layout.css", GRID / "panels.css", GRID / "cards.css", GRID / "dialogs.css", FOLDER / "editor.css")

_mount = st.components.v2.component(
    "mask_editor",
    css="\n".join(path.read_text(encoding="utf-8") for path in STYLES),
    js=(GRID / "bootstrap.js").read_text(encoding="utf-8"),
)


def mask_editor(opening: Opening, finding_id: int | None, key: str) -> None:
    """Draw the editor on an image, with a region of it at hand; it fills the window below the navigation."""
    main = assets.url("mask_editor/main.js")
    at = {"dataset": opening.dataset_id, "round": opening.round_id, "sample": opening.sample_id, "finding": finding_id}
    _mount(data={"api": API, "main": main, **at}, key=key)
