"""Counts of an export, before and after it is written."""

from collections.abc import Mapping
from typing import Any, Literal

import pandas as pd
import streamlit as st

from app.components.complaints import plain
from app.components.job_progress import draw_figures
from app.services.exports.jobs import ExportPreview
from core.data.storage import size_text

MOST_ROWS, TABLE_PIXELS = 12, 420


def draw_preview(seen: ExportPreview, key: str) -> bool:
    """Draw the counts and return whether the export was started in this run."""
    nothing = not seen.counts["items"]
    with st.container(border=True, key=key):
        head, button = st.columns([5, 1.2], vertical_alignment="center")
        head.markdown("**What will be written**")
        pressed = button.button(
            "Export", type="primary", icon=":material/output:", key=f"{key}_start", width="stretch",
            disabled=bool(seen.problem) or nothing,
        )  # fmt: skip
        if seen.problem:
            st.warning(plain(seen.problem), icon=":material/block:")
        if nothing:
            st.info("Nothing to write with these choices.", icon=":material/info:")
        draw_counts(seen.counts, seen.bytes)
        for note in seen.notes:
            st.info(plain(f"{note}."), icon=":material/info:")
        draw_known(seen.known)
    return pressed


def draw_known(known: Mapping[str, Any]) -> None:
    """Draw the estimate of wrong labels, and the evidence of each bulk act."""
    wrong = known["wrong_labels"]
    lines = [wrong["text"] if wrong else "Wrong labels: unknown; no round has judged them."]
    lines += [f"Accepted in bulk: {act['size']:,} ({act['set']}). {act['text']}" for act in known["bulk_acts"]]
    st.markdown("\n".join(f"- {plain(line)}" for line in lines))


def draw_counts(counts: Mapping[str, Any], size: int) -> None:
    """Draw an export's numbers: images, and changes by method, class pair and class."""
    of_masks = "pixels_changed" in counts
    figures = {"images": f"{counts['items']:,}"}
    if of_masks:
        figures |= {"masks changed": f"{counts['changed']:,}", "masks edited": f"{counts['edited']:,}"}
        figures |= {"pixels changed": f"{counts['pixels_changed']:,}"}
    else:
        figures["labels changed"] = f"{counts['changed']:,}"
    methods, what = counts["by_method"], "regions decided by" if of_masks else "decided by"
    figures |= {f"{what} {name}": f"{methods[key]:,}" for key, name in _WHO.items() if methods.get(key)}
    figures |= {f"{reason}, left out": f"{count:,}" for reason, count in counts["left_out"].items()}
    figures |= {f"{reason}, set apart": f"{count:,}" for reason, count in counts["apart"].items()}
    if size:
        figures["of images"] = size_text(size)
    draw_figures(figures)
    pairs, others = st.columns(2, gap="medium")
    with pairs:
        _draw_pairs(counts["by_pair"], *(("IGNORE", "Pixels") if of_masks else ("none", "Labels")))
    with others:
        if of_masks:
            _draw_verdicts(counts["by_verdict"])
        else:
            _draw_classes(counts["by_class"])


_WHO = {"person": "people", "bulk": "accept-all"}
_NARROW, _WIDE = 130, 180  # pixels of a class name: a long one leaves the numbers in view


def _draw_pairs(pairs: list[Mapping[str, Any]], nothing: str, counted: str) -> None:
    if not pairs:
        st.caption("No label changes.")
        return
    most = max(pair["count"] for pair in pairs)
    rows = [
        {"From": pair["given"] or nothing, "To": pair["label"] or nothing, counted: pair["count"]} for pair in pairs
    ]
    columns = {
        "From": st.column_config.TextColumn(width=_NARROW),
        "To": st.column_config.TextColumn(width=_NARROW),
        counted: st.column_config.ProgressColumn(format="localized", min_value=0, max_value=most, color="orange"),
    }
    st.dataframe(
        pd.DataFrame(rows), column_config=columns, hide_index=True, height=_height(len(rows)),
        alt=f"changed {counted.lower()}, from what to what", placeholder="",
    )  # fmt: skip


def _draw_verdicts(verdicts: Mapping[str, int]) -> None:
    if not verdicts:
        st.caption("No region is decided.")
        return
    st.dataframe(
        pd.DataFrame([{"Verdict": verdict, "Regions": count} for verdict, count in verdicts.items()]),
        column_config={"Regions": st.column_config.NumberColumn(format="localized")}, hide_index=True,
        height="content", alt="regions by verdict", placeholder="",
    )  # fmt: skip


def _draw_classes(classes: list[Mapping[str, Any]]) -> None:
    if not classes:
        st.caption("This dataset has no classes yet.")
        return
    rows = [
        {
            "Class": each["class"],
            "Before": each["given"],
            "After": each["label"],
            "Change": each["label"] - each["given"],
        }
        for each in in_sight(classes)
    ]
    columns = {
        "Class": st.column_config.TextColumn(width=_WIDE),
        "Before": st.column_config.NumberColumn(format="localized"),
        "After": st.column_config.NumberColumn(format="localized"),
        "Change": st.column_config.NumberColumn(format="%+d"),
    }
    st.dataframe(
        pd.DataFrame(rows), column_config=columns, hide_index=True, height=_height(len(rows)),
        alt="labels by class, before and after", placeholder="",
    )  # fmt: skip


def in_sight(classes: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the classes in their order; if the table cannot show all at once, the largest changes first."""
    return (
        classes if len(classes) <= MOST_ROWS else sorted(classes, key=lambda each: -abs(each["label"] - each["given"]))
    )


def _height(rows: int) -> int | Literal["content"]:
    """Return the pixels of a table of many rows; a short one is as high as its rows."""
    return TABLE_PIXELS if rows > MOST_ROWS else "content"
