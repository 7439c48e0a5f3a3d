"""What each stage of a recipe was worth on the test images."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

_WORDS = {
    "baseline": ("Masks alone", "without tags"),
    "baseline_tagged": ("Masks alone", "under the tags"),
    "hybrid": ("HybridNet", "under the tags"),
    "pseudo": ("PseudoNet", "under the tags"),
    "retrained": ("All masks, given and painted", "without tags"),
    "retrained_tagged": ("All masks, given and painted", "under the tags"),
}


def stage_table(measured: Mapping[str, Any], key: str) -> None:
    """Draw the stages of a round that has some."""
    stages = {name: score for name, score in measured.get("stages", {}).items() if name in _WORDS}
    if not stages:
        return
    parts = measured.get("parts", {})
    st.markdown("**Stages**")
    taught = f"{parts.get('labelled', 0):,} masks and {parts.get('unlabelled', 0):,} images with tags taught"
    tested = f"{parts['test']:,} test images" if parts.get("test") else "no test image, so nothing was measured"
    st.caption(f"{taught}; {_WORDS[measured['painter']][0]} painted; {tested}.")
    if all(score["mean_iou"] is None for score in stages.values()):
        return
    rows = [
        {
            "Learnt from": _WORDS[name][0],
            "Seen": _WORDS[name][1],
            "mIoU": score["mean_iou"],
            "Pixels": score["accuracy"],
        }
        for name, score in stages.items()
    ]
    columns = {
        name: st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1) for name in ("mIoU", "Pixels")
    }
    st.dataframe(pd.DataFrame(rows), column_config=columns, hide_index=True, key=key, alt="results per stage")
