"""The mask editor: one component for the whole page on which a mask is painted.

Streamlit only mounts it. Masks are sent as bytes over the app's own routes (`app.routes`); the image is named in the
page's address.
"""

from pathlib import Path

from app.components.shared import declare
from app.services.masks.editing import Opening

_draw = declare(Path(__file__).parent, "layout.css", "panels.css", "cards.css", "dialogs.css", "editor.css")


def mask_editor(opening: Opening, finding_id: int | None, key: str) -> None:
    """Draw the editor with an image and, if given, a selected region; it fills the window below the navigation."""
    at = {"dataset": opening.dataset_id, "round": opening.round_id, "sample": opening.sample_id, "finding": finding_id}
    _draw(key=key, **at)
