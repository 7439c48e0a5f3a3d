"""What each iteration of teacher and student was worth, on the images set apart to choose by."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st


def iteration_table(measured: Mapping[str, Any], key: str) -> None:
    """Draw the iterations of a round that has some, and what the test said."""
    iterations = measured.get("iterations") or []
    if not iterations:
        return
    parts = measured.get("parts", {})
    st.markdown("**Iterations**")
    taught = f"{parts.get('labelled', 0):,} labelled and {parts.get('unlabelled', 0):,} unlabelled images taught"
    st.caption(
        f"{taught}; chosen by {parts.get('validation', 0):,} others. {on_the_test(measured)} What is proposed for an "
        "image without a label comes from a network that learnt no label of it, not even a pseudo label."
    )
    rows = [_row("Labels alone", "", None, None, measured["baseline"], chosen=measured["best"] == "baseline")]
    if measured.get("teacher"):
        chosen = measured["best"] == "teacher"
        rows.append(_row("With consistency", "", None, None, measured["teacher"], chosen=chosen))
    for one in iterations:
        taken, predicted = sum(one["taken"]), sum(one["predicted"])
        share = taken / predicted if predicted else None
        rows.append(
            _row(
                f"Iteration {one['number']}",
                one["teacher"].replace("_", " "),
                share,
                one["student"],
                one["tuned"],
                chosen=measured["best"] == f"tuned_{one['number']}",
            )
        )
    bars = {
        name: st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
        for name in ("Pseudo labels alone", "Then real labels")
    }
    learnt = st.column_config.NumberColumn(
        format="percent", help="of what the teacher predicted, the surest of each class"
    )
    st.dataframe(
        pd.DataFrame(rows),
        column_config={**bars, "Learnt": learnt},
        hide_index=True,
        key=key,
        alt="results per iteration",
        placeholder="",
    )


def on_the_test(measured: Mapping[str, Any]) -> str:
    """Return what the test images said, in a sentence."""
    best, baseline = measured.get("test"), measured.get("baseline_test")
    if not best or not baseline or best["value"] is None or baseline["value"] is None:
        return "No split was named for a test, so the gain was not measured apart."
    return f"On the test: {best['value']:.1%}, labels alone {baseline['value']:.1%}."


def _row(
    name: str,
    teacher: str,
    share: float | None,
    student: Mapping[str, Any] | None,
    tuned: Mapping[str, Any],
    *,
    chosen: bool,
) -> dict[str, Any]:
    return {
        "Network": name,
        "Teacher": teacher,
        "Learnt": share,
        "Pseudo labels alone": student["value"] if student else None,
        "Then real labels": tuned["value"],
        "Chosen": "best" if chosen else "",
    }
