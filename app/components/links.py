"""Links between pages, and the page shown without content."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

import streamlit as st

from app.components.identity import may_open
from core.types import Recipe


def queue_of(round_id: int, recipe: Recipe) -> dict[str, str]:
    """Return the review address of a round; for a recipe that only proposes, the one of its unlabelled data."""
    return {"round": str(round_id), **({"show": "unlabelled"} if recipe.proposes else {})}


def review_address(sample_id: int, round_id: int, *, every_kind: bool = False) -> str:
    """Return the address of the review of one image, judged or not; `every_kind`: also where the round agrees."""
    kinds = {"show": "any"} if every_kind else {}
    return f"review?{urlencode({'round': round_id, **kinds, 'status': 'any', 'sample': sample_id})}"


def link_to_merge(dataset_id: int, classes: tuple[int, int], label: str) -> None:
    """Draw the link to the Classes page with the form of this merge, (merged, into), filled in."""
    merged, into = classes
    address = {"dataset": str(dataset_id), "merge": str(merged), "into": str(into)}
    st.page_link("pages/classes.py", label=label, icon=":material/merge:", query_params=address)


class NextStep(NamedTuple):
    """A button that leads to another page."""

    label: str
    page: str  # file of the page
    icon: str
    query: Mapping[str, str] = {}


IMPORT = NextStep("Import a dataset", "pages/datasets.py", ":material/upload:")


def draw_empty_page(title: str, text: str, steps: Sequence[NextStep] = (IMPORT,)) -> None:
    """Draw a heading, a sentence, and buttons to other pages; the first step is the recommended one."""
    st.title(title, anchor=False)
    st.write(text)
    with st.container(horizontal=True):
        for place, step in enumerate(one for one in steps if may_open(one.page)):
            is_first = place == 0
            if st.button(
                step.label, icon=step.icon, type="primary" if is_first else "secondary", key=f"empty_step_{place}"
            ):
                st.switch_page(step.page, query_params=dict(step.query))
