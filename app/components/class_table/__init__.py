"""The Classes page's component: a dataset's classes with their counts, renamed, merged, ordered and added in place.

Streamlit only mounts it. Acts travel over the app's own routes (`app.routes.acts`), not through reruns.
"""

from collections.abc import Mapping
from pathlib import Path

from app.components.shared import declare

_draw = declare(Path(__file__).parent, "layout.css", "panels.css", "dialogs.css", "table.css")


def class_table(dataset_id: int, datasets: Mapping[int, str], merge: tuple[int, int] | None, key: str) -> None:
    """Draw the classes of a dataset, one of `datasets`; `merge` opens with a class and the one it would become."""
    options = [[number, name] for number, name in datasets.items()]
    _draw(key=key, dataset=dataset_id, datasets=options, merge=merge and list(merge))
