"""The tag panel: one component for the whole page on which people say which classes an image shows.

Streamlit only mounts it. What people say travels over the app's own routes (`app.routes.tags`), not through reruns.
"""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from app.components import assets
from app.components.review_grid import API
from app.components.review_grid import FOLDER as GRID

FOLDER = Path(__file__).parent
STYLES = (GRID / "layout.css", GRID / "panels.css", GRID / "cards.css", GRID / "dialogs.css", FOLDER / "panel.css")

_mount = st.components.v2.component(
    "tag_panel",
    css="\n".join(path.read_text(encoding="utf-8") for path in STYLES),
    js=(GRID / "bootstrap.js").read_text(encoding="utf-8"),
)


def tag_panel(dataset_id: int, datasets: Mapping[int, str], sample_id: int | None, key: str) -> None:
    """Draw the panel of a dataset, one of `datasets`, perhaps on an image; it fills the window below the navigation."""
    named = [[number, name] for number, name in datasets.items()]
    main = assets.url("tag_panel/main.js")
    _mount(data={"api": API, "main": main, "dataset": dataset_id, "datasets": named, "sample": sample_id}, key=key)
