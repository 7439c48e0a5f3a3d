"""What the recipe "iterated" asks for beside its networks: how often, how sure, and what is chosen by."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app.components.split_choice import one_split, to_choose_by, to_test_on
from app.services.evaluation import Split
from core.config import IteratedSettings


def iterated_fields(splits: Sequence[Split], key: str) -> dict[str, Any]:
    """Draw the fields and return the settings."""
    usual = IteratedSettings()
    st.caption(
        "Labelled images teach a first network, which labels the rest; students learn that, and the best one on images "
        "set apart goes on. What they propose for images without a label comes to you for review."
    )
    often, share = st.columns(2)
    chosen: dict[str, Any] = {
        "iterations": often.number_input("Iterations", 1, 20, usual.iterations, key=f"{key}_iterations"),
        "consistency": st.checkbox(
            "Weak and strong views too",
            usual.consistency,
            key=f"{key}_consistency",
            help="Unlabelled images also teach beside the real labels (FixMatch); takes a few times as long",
        ),
        "validation_share": share.slider(
            "Set apart",
            0.05,
            0.5,
            usual.validation_share,
            0.05,
            format="percent",
            key=f"{key}_validation_share",
            help="Of the labelled images, whole groups, to choose by; not asked where a split is named below",
        ),
    }
    validation, test = st.columns(2)
    with validation:
        chosen["validation_split"] = one_split(
            "Choose by split", to_choose_by(splits), f"{key}_validation", "Its labels say which network is best"
        )
    with test:
        chosen["test_split"] = one_split(
            "Test on split", to_test_on(splits), f"{key}_test",
            "Looked at once, by the best network at the end; evaluation splits are of the test anyway",
        )  # fmt: skip
    with st.expander("Pseudo labels", key=f"{key}_more"):
        first, last = st.slider(
            "Share of each class that is learnt, first and last",
            0.05,
            1.0,
            (usual.share, usual.last_share),
            0.05,
            format="percent",
            key=f"{key}_share",
            help="The most confident predictions of each class",
        )
        chosen |= {"share": first, "last_share": last}
        chosen["least_confidence"] = st.slider(
            "Nothing less sure than", 0.0, 1.0, usual.least_confidence, 0.05, format="percent", key=f"{key}_least"
        )
    return chosen
