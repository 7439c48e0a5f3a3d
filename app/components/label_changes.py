"""What changed from round to round: labels by class pair, verdicts in between, settings."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from app.components.complaints import plain
from app.components.measures import WORDS
from app.components.recipe_form import NAMES
from app.services.history import Past
from core.types import Task

_PAIRS = 12
_UNKNOWN = "unknown"
_VERDICTS = {"Accepted": ("accept",), "In bulk": ("bulk",), "Relabelled": ("relabel",), "Kept": ("keep",)}
_LEFT_OUT = ("ambiguous", "exclude")
_TOLD: Mapping[Task, str] = {
    Task.CLASSIFICATION: "Labels that changed since the round before, and from those given; verdicts in between.",
    Task.SEGMENTATION: "Masks that changed since the round before, and from those given, with the share of pixels; "
    "verdicts in between.",
}


def what_changed(past: Sequence[Past], selected: Sequence[int], classes: Sequence[str], key: str) -> None:
    """Draw what each finished round opened with, and the class pairs of the newest one selected, else the newest."""
    done = [one for one in past if one.compared is not None]
    if not done:
        return
    st.markdown("**What changed**")
    st.caption(_TOLD[done[0].round.task])
    counted = ("Changed", "From given", *_VERDICTS, "Left out")
    columns = {name: st.column_config.TextColumn(alignment="right") for name in counted}
    st.dataframe(
        pd.DataFrame([_row(one) for one in done]), column_config=columns, hide_index=True, key=key,
        alt="what changed in each round",
    )  # fmt: skip
    _bulk_acts(done)
    shown = next((one for one in done if one.round.id in selected), done[0])
    _pairs(shown, classes, f"{key}_pairs")


def _bulk_acts(done: Sequence[Past]) -> None:
    """Draw what was accepted in bulk, newest first, each act with its certificate or what else was known of it."""
    acts = [act for one in done for act in reversed(one.bulk_acts)]
    if not acts:
        return
    st.markdown("**Accepted in bulk**")
    lines = [f"{act.size:,} in round {act.round} by {act.annotator}: {act.set}. {act.text}" for act in acts]
    st.markdown("\n".join(f"- {plain(line)}" for line in lines))


def _row(one: Past) -> dict[str, Any]:
    verdicts = one.verdicts
    said = {
        name: _UNKNOWN if verdicts is None else f"{sum(verdicts.get(each, 0) for each in kinds):,}"
        for name, kinds in {**_VERDICTS, "Left out": _LEFT_OUT}.items()
    }
    return {
        "Round": one.round.number,
        "Recipe": NAMES[one.round.recipe],
        "Changed": _share(one.before, "" if one.is_first else _UNKNOWN),
        "From given": _share(one.given, _UNKNOWN),
        **said,
        "Settings": one.changed_settings,
    }


def _share(found: Mapping[str, Any] | None, nothing: str) -> str:
    """Return the changed labels, or images and the share of the pixels."""
    if found is None:
        return nothing
    if found["pixels"] is None:
        return f"{found['changed']:,}"
    share = found["pixels_changed"] / max(1, found["pixels"])
    return f"{found['changed']:,} ({share:.2%})"


def _pairs(one: Past, classes: Sequence[str], key: str) -> None:
    """Draw the largest class pairs of one round, each with a link to the findings they were decided on."""
    before = one.before or {}
    pairs = before.get("pairs", [])[:_PAIRS]
    if not pairs:
        return
    names = [*classes, "(none)"]  # what nobody labelled is class -1
    unit = "Labels" if before["pixels"] is None else "Pixels"
    review = WORDS[one.round.task].review
    rows = [
        {
            "From": names[first],
            "To": names[second],
            unit: count,
            "Findings": f"review?{urlencode({'round': before['round_id'], **review(first, second)})}"
            if min(first, second) >= 0
            else None,
        }
        for first, second, count in pairs
    ]
    columns = {
        unit: st.column_config.NumberColumn(format="localized"),
        "Findings": st.column_config.LinkColumn(display_text="review", width="small"),
    }
    st.caption(f"{one.round.name}: the largest changes since round {before['round']}")
    st.dataframe(pd.DataFrame(rows), column_config=columns, hide_index=True, key=key, alt="class pairs that changed")
