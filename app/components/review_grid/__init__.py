"""Review grid: one component for the whole review page.

Streamlit only mounts it. Acts travel over the app's own routes (`app.routes`), not through reruns: triggers
lose verdicts at the speed of a practised annotator. The filters live in the page's address.
"""

from pathlib import Path

from app.components.shared import declare

_draw = declare(Path(__file__).parent, "layout.css", "cards.css", "panels.css", "dialogs.css", "regions.css")


def review_grid(round_id: int, key: str) -> None:
    """Draw the grid of one round's findings; it fills the window below the navigation."""
    _draw(key=key, round=round_id)
