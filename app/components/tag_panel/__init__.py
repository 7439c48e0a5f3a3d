"""Tag panel: one component for the whole Tags page.

Streamlit only mounts it. Tags travel over the app's own routes (`app.routes.tags`), not through reruns.
"""

from collections.abc import Mapping
from pathlib import Path

from app.components.shared import declare

_draw = declare(Path(__file__).parent, "layout.css", "panels.css", "cards.css", "dialogs.css", "panel.css")


def tag_panel(dataset_id: int, datasets: Mapping[int, str], sample_id: int | None, key: str) -> None:
    """Draw the panel of a dataset, one of `datasets`, at an image if given; fills the window below the navigation."""
    options = [[number, name] for number, name in datasets.items()]
    _draw(key=key, dataset=dataset_id, datasets=options, sample=sample_id)
