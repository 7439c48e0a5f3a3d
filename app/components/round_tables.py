"""Rounds as tables: all of them in a list to choose from, several side by side, one by its classes."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import pandas as pd
import streamlit as st

from app.components.addresses import queue_of
from app.components.charts import accuracy_chart
from app.components.complaints import plain
from app.components.iteration_table import iteration_table
from app.components.job_progress import time_text
from app.components.measures import WORDS, figures
from app.components.random_samples import draw_hints
from app.components.recipe_form import NAMES
from app.services.reviews import Hint
from app.services.rounds import Comparison, RoundInfo, duration
from core.config import by_network
from core.types import RoundStatus

LEAST_COMPARED, MOST_COMPARED = 2, 6
_SCORE = ""  # the place of the measure
# These fit a window 1024 pixels wide; the table's own menu shows the others.
_SHOWN = ("Round", "Status", "Recipe", _SCORE, "Suspicious", "Wrong labels", "Proposed", "Decided", "Took", "Started")
_NARROW = 80  # pixels
_HIDDEN = frozenset({"weights_file", "learning_rate"})  # shown only where they were set


def round_list(rounds: Sequence[RoundInfo], compared: Mapping[int, Comparison], key: str) -> list[int]:
    """Draw every round, newest first, and return the ids of the selected ones."""
    rows = [_row(info, compared.get(info.id)) for info in rounds]
    columns = {
        "Accuracy": st.column_config.NumberColumn(
            format="percent", help="out-of-fold, against the labels at its start"
        ),
        "mIoU": st.column_config.NumberColumn(format="percent", help="out-of-fold, against the masks at its start"),
        "Suspicious": st.column_config.NumberColumn(format="localized", help="what the models contradict"),
        "Wrong labels": st.column_config.TextColumn(help="from random samples, with a 95 % interval; else unknown"),
        "Proposed": st.column_config.NumberColumn(format="localized", help="for unlabelled images or pixels"),
        "Decided": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1, width=_NARROW),
        "Started": st.column_config.DatetimeColumn(format="D MMM, HH:mm", timezone=st.context.timezone),
    }
    score = "mIoU" if any("mIoU" in row for row in rows) else "Accuracy"
    proposed = any("Proposed" in row for row in rows)
    event = st.dataframe(
        pd.DataFrame(rows), column_config=columns, hide_index=True, key=key, on_select="rerun",
        selection_mode="multi-row", alt="all rounds of the dataset", placeholder="",
        column_order=[score if name == _SCORE else name for name in _SHOWN if name != "Proposed" or proposed],
    )  # fmt: skip
    return [rounds[position].id for position in event["selection"]["rows"] if position < len(rounds)]


def round_notice(info: RoundInfo, finished: Comparison | None, hints: Sequence[Hint]) -> None:
    """Say how the newest round ended and where to go now, the hints on it, and its iterations if it had some."""
    if info.status is RoundStatus.FAILED:
        st.error(f"{info.name} failed: {plain(info.message)}", icon=":material/error:")
    elif info.status is RoundStatus.CANCELLED:
        st.info(f"{info.name} was cancelled; start another on the right.", icon=":material/cancel:")
    elif not info.recipe.finds:
        address = {"dataset": str(info.dataset_id)}
        label = f"What the cleaning was worth, by {info.name.lower()}"
        said, review, _ = st.columns([1.6, 1, 2.4])
        said.page_link("pages/worth.py", label=label, icon=":material/balance:", query_params=address)
        review.page_link("pages/review.py", label="Review on", icon=":material/rule:", query_params=address)
    else:
        review, insight, _ = st.columns([1, 1, 3])
        address = {"round": str(info.id)}
        queue = queue_of(info.id, info.recipe)
        review.page_link(
            "pages/review.py", label=f"Review {info.name.lower()}", icon=":material/rule:", query_params=queue
        )
        insight.page_link("pages/insight.py", label="Its results", icon=":material/insights:", query_params=address)
        if finished is not None:
            if finished.wrong:
                st.caption(plain(finished.wrong.text))
            draw_hints(hints)
            iteration_table(finished.metrics, "iterations")


def compare_rounds(finished: Sequence[Comparison], selected: Sequence[int], key: str) -> None:
    """Draw the selected rounds side by side, oldest first; the newest ones while fewer than two are selected."""
    chosen = [one for one in finished if one.round.id in selected]
    if len(chosen) < LEAST_COMPARED:
        chosen = list(finished[:LEAST_COMPARED])
    if len(chosen) < LEAST_COMPARED:
        return
    chosen = sorted(chosen[:MOST_COMPARED], key=lambda one: one.round.number)
    st.markdown("**Side by side**")
    st.caption("Select rounds in the list to choose which.")
    table, chart = st.columns(2, gap="medium")
    with table:
        comparison_table(chosen)
    with chart:
        words = WORDS[chosen[0].round.task]
        measured = [(one.round.name, one.metrics["per_class"]) for one in chosen if "per_class" in one.metrics]
        if measured:
            st.caption(words.per_class_title)
            accuracy_chart(measured, key, words.per_class)


def comparison_table(compared: Sequence[Comparison]) -> None:
    """Draw rounds side by side: results first, then the settings in which they differ."""
    measured = [figures(one) for one in compared]
    table = {name: [one.get(name, "") for one in measured] for name in dict.fromkeys(chain(*measured))}
    configs = [by_network(one.round.config) for one in compared]
    settings = {name: [str(one.get(name, "")) for one in configs] for name in dict.fromkeys(chain(*configs))}
    table |= {name.replace("_", " "): values for name, values in settings.items() if len(set(values)) > 1}
    names = [one.round.name for one in compared]
    st.table(pd.DataFrame.from_dict(table, orient="index", columns=names), border="horizontal")


def class_table(rows: Sequence[Mapping[str, Any]], classes: Sequence[str], key: str, counted: str) -> None:
    """Draw, per class, how many were given (called as in `counted`), how many of them agree, taken for what."""
    shown = [
        {
            "Class": row["name"],
            **({"IoU": row["iou"]} if "iou" in row else {}),
            counted: row["count"],
            "Agreement": row["agreement"],
            "Most often taken for": _pair(row["worst_pair"], classes),
        }
        for row in rows
    ]
    columns = {
        counted: st.column_config.NumberColumn(format="localized"),
        "Agreement": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
        "IoU": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
    }
    st.dataframe(pd.DataFrame(shown), column_config=columns, hide_index=True, key=key, alt="results per class")


def facts_table(facts: Mapping[str, Any]) -> None:
    """Draw names and values as they are, without those that say nothing."""
    rows = {name.replace("_", " "): str(value) for name, value in facts.items() if _says_something(name, value)}
    st.table(pd.DataFrame.from_dict(rows, orient="index", columns=[""]), border="horizontal", hide_header=True)


def _row(info: RoundInfo, compared: Comparison | None) -> dict[str, Any]:
    return {
        "Round": info.number,
        "Status": info.status.value,
        "Recipe": NAMES[info.recipe],
        **({} if info.mean_iou is None else {"mIoU": info.mean_iou}),
        "Accuracy": info.accuracy,
        "Suspicious": compared.suspicious if compared and not info.recipe.proposes else None,
        "Wrong labels": compared.wrong.short if compared and compared.wrong else None,
        **({"Proposed": compared.proposed} if compared and compared.proposed else {}),
        "Decided": _decided(compared),
        "Network": info.config.get("model", ""),
        "Folds": info.config.get("folds"),
        "Epochs": info.config.get("epochs"),
        "Took": time_text(duration(info)),
        "Started": info.started_at or info.created_at,
        "By": info.created_by,
    }


def _decided(compared: Comparison | None) -> float | None:
    """Return the share of what a round found that is decided; None where there is nothing."""
    found, decided = compared.looked_for if compared else (0, 0)
    return decided / found if found else None


def _pair(pair: Mapping[str, int] | None, classes: Sequence[str]) -> str:
    return f"{classes[pair['pseudo']]} ({pair['count']})" if pair else ""


def _says_something(name: str, value: object) -> bool:
    return value is not None and value != "" and not (name in _HIDDEN and not value)
