"""What a round measured against the given labels; a recipe that judges none of them has measured nothing of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app.components.charts import calibration_chart, confusion_chart
from app.components.measures import Words
from app.components.round_tables import class_table


def confusion(measured: Mapping[str, Any], classes: Sequence[str], words: Words, key: str) -> tuple[int, int] | None:
    """Draw given x predicted and return the pair that was clicked in this run."""
    if "confusion" not in measured:
        return None
    st.markdown("**Given x predicted**")
    st.caption(words.confusion)
    return confusion_chart(measured["confusion"], classes, f"confusion_{key}", by_row=words.by_row)


def calibration_and_classes(measured: Mapping[str, Any], classes: Sequence[str], words: Words, key: str) -> None:
    """Draw how far confidence can be trusted, and the classes one by one."""
    if "calibration" in measured:
        st.markdown("**Calibration: agreement with the given labels**")
        st.caption(words.calibration)
        calibration_chart(measured["calibration"], f"calibration_{key}", words.unit)
    if "per_class" in measured:
        st.markdown("**By class**")
        class_table(measured["per_class"], classes, f"classes_{key}", words.counted)
