"""What cross training asks for beside its networks: how long the two learn together, who plays which part."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app.components.split_choice import several_splits, to_choose_by, to_test_on
from app.services.evaluation import Split
from core.config import CrossTrainingSettings


def cross_training_fields(splits: Sequence[Split], key: str) -> dict[str, Any]:
    """Draw the fields and return the settings."""
    usual = CrossTrainingSettings()
    st.caption(
        "Images with a mask teach, images with tags alone are painted; the regions come to you for review. "
        "Tags: the Tags page, or `python -m app tags import`."
    )
    steps, batch = st.columns(2)
    chosen: dict[str, Any] = {
        "steps": steps.number_input(
            "Steps together", 0, None, usual.steps, 100, key=f"{key}_steps", help="0: as many as the last network has"
        ),
        "batch_size": batch.number_input(
            "Images a step", 4, None, usual.batch_size, 2, key=f"{key}_batch", help="Half with masks, half with tags"
        ),
    }
    chosen["validation_split"] = several_splits(
        "Choose by split", to_choose_by(splits), usual.validation_split, f"{key}_validation",
        "Its masks say which network paints",
    )  # fmt: skip
    chosen["test_split"] = several_splits(
        "Test on split", to_test_on(splits), usual.test_split, f"{key}_test",
        "Its masks say what each stage is worth; evaluation splits are of the test anyway",
    )  # fmt: skip
    with st.expander("Parts and lists", key=f"{key}_more"):
        chosen["background"] = st.text_input(
            "Background class", usual.background, key=f"{key}_background", help="The class every image shows, if any"
        ).strip()
        chosen["labelled_first"] = st.number_input(
            "Only the first masks", 0, None, usual.labelled_first, key=f"{key}_first", help="0: all of them"
        )
        chosen["labelled_list"] = st.text_input(
            "List of images with masks", usual.labelled_list, key=f"{key}_list", help="A file, an image a line"
        ).strip()
        chosen["test_list"] = st.text_input("List of test images", usual.test_list, key=f"{key}_test_list").strip()
        chosen["baseline"] = st.checkbox(
            "Also learn from the masks alone, to compare", usual.baseline, key=f"{key}_baseline"
        )
    return chosen
