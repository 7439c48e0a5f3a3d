"""Rounds as tables: all of them in a list to choose from, several side by side, one by its classes."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from app.components.charts import accuracy_chart
from app.components.complaints import complaints, plain
from app.components.insight_sections import iteration_table
from app.components.job_progress import status_word, time_text
from app.components.links import queue_of
from app.components.measures import WORDS, figures
from app.components.random_samples import draw_hints
from app.services.reviews import Hint
from app.services.rounds.history import Past
from app.services.rounds.jobs import RoundComparison, RoundInfo, duration
from core.config import settings_by_network
from core.types import JobStatus, Task

LEAST_COMPARED, MOST_COMPARED = 2, 6
_SCORE = ""  # placeholder of the measure's column
# These fit a window 1024 pixels wide; the table's own menu shows the others.
_SHOWN = ("Round", "Status", "Recipe", _SCORE, "Suspicious", "Wrong labels", "Proposed", "Decided", "Took", "Started")
_NARROW = 80  # pixels
_PAIRS = 12
_UNKNOWN = "unknown"
_VERDICTS = {"Accepted": ("accept",), "In bulk": ("bulk",), "Relabelled": ("relabel",), "Kept": ("keep",)}
_LEFT_OUT = ("ambiguous", "exclude")
_CHANGES_CAPTION: Mapping[Task, str] = {
    Task.CLASSIFICATION: "Labels changed since the previous round, and from the given ones; verdicts in between.",
    Task.SEGMENTATION: "Masks changed since the previous round, and from the given ones, with the share of pixels; "
    "verdicts in between.",
}


def round_list(rounds: Sequence[RoundInfo], compared: Mapping[int, RoundComparison], key: str) -> list[int]:
    """Draw every round, newest first, and return the ids of the selected ones."""
    rows = [_row(info, compared.get(info.id)) for info in rounds]
    columns = {
        "Accuracy": st.column_config.NumberColumn(
            format="percent", help="out-of-fold, against the labels at its start"
        ),
        "mIoU": st.column_config.NumberColumn(format="percent", help="out-of-fold, against the masks at its start"),
        "Suspicious": st.column_config.NumberColumn(format="localized", help="labels that the models contradict"),
        "Wrong labels": st.column_config.TextColumn(help="from random samples, with a 95 % interval; or unknown"),
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


def unfinished_notice(info: RoundInfo, why_not: str, resume: Callable[[int], object], key: str) -> None:
    """Draw a failed or cancelled round with the button that resumes it.

    `why_not` is the reason why it cannot be resumed, "" if it can.
    """
    with st.container(border=True, key=key), complaints():
        if info.status is JobStatus.FAILED:
            st.error(f"{info.name} failed: {plain(info.message)}", icon=":material/error:")
        else:
            st.info(f"{info.name} was cancelled.", icon=":material/cancel:")
        pressed = st.button(
            f"Resume {info.name.lower()}", icon=":material/resume:", key=f"{key}_go", disabled=bool(why_not)
        )
        opened = "Finished folds stay; the rest is trained on the labels with which the round opened."
        if device := (info.versions or {}).get("device"):
            opened += f" So far it was trained on {device}; if it resumes on another device, the round names both."
        st.caption(
            plain(why_not)
            or (opened if info.snapshot_hash else "It had not started; it is trained on the current labels.")
        )
        if pressed:
            resume(info.id)
            st.rerun()


def round_notice(info: RoundInfo, finished: RoundComparison | None, hints: Sequence[Hint]) -> None:
    """Draw the links of a finished round, the hints on it, and its iterations."""
    if not info.recipe.finds:
        address = {"dataset": str(info.dataset_id)}
        label = f"Impact of cleaning, by {info.name.lower()}"
        impact, review, _ = st.columns([1.6, 1, 2.4])
        impact.page_link("pages/impact.py", label=label, icon=":material/balance:", query_params=address)
        review.page_link("pages/review.py", label="Review on", icon=":material/rule:", query_params=address)
    elif info.recipe.suggests:
        review, insight, _ = st.columns([1, 1, 3])
        address = {"round": str(info.id)}
        queue = queue_of(info.id, info.recipe)
        review.page_link(
            "pages/review.py", label=f"Review {info.name.lower()}", icon=":material/rule:", query_params=queue
        )
        insight.page_link("pages/insight.py", label="Results", icon=":material/insights:", query_params=address)
        if finished is not None:
            if finished.wrong:
                st.caption(plain(finished.wrong.text))
            draw_hints(hints, info.dataset_id)
            iteration_table(finished.metrics, "iterations")


def compare_rounds(finished: Sequence[RoundComparison], selected: Sequence[int], key: str) -> None:
    """Draw the selected rounds side by side, oldest first; the newest ones while fewer than two are selected."""
    finished = [one for one in finished if one.round.recipe.suggests]
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


def comparison_table(compared: Sequence[RoundComparison]) -> None:
    """Draw rounds side by side: results first, then the settings in which they differ."""
    measured = [figures(one) for one in compared]
    table = {name: [one.get(name, "") for one in measured] for name in dict.fromkeys(chain(*measured))}
    configs = [settings_by_network(one.round.config) for one in compared]
    settings = {name: [str(one.get(name, "")) for one in configs] for name in dict.fromkeys(chain(*configs))}
    table |= {name.replace("_", " "): values for name, values in settings.items() if len(set(values)) > 1}
    names = [one.round.name for one in compared]
    st.table(pd.DataFrame.from_dict(table, orient="index", columns=names), border="horizontal")


def _row(info: RoundInfo, compared: RoundComparison | None) -> dict[str, Any]:
    return {
        "Round": info.number,
        "Status": status_word(info.status),
        "Recipe": info.recipe.goal,
        **({} if info.mean_iou is None else {"mIoU": info.mean_iou}),
        "Accuracy": info.accuracy,
        "Suspicious": compared.suspicious if compared and not info.recipe.proposes else None,
        "Wrong labels": compared.wrong.short if compared and compared.wrong else None,
        **({"Proposed": compared.proposed} if compared and compared.proposed and info.recipe.suggests else {}),
        "Decided": _decided_share(compared),
        "Network": info.config.get("model", ""),
        "Folds": info.config.get("folds"),
        "Epochs": info.config.get("epochs"),
        "Took": time_text(duration(info)),
        "Started": info.started_at or info.created_at,
        "By": info.created_by,
    }


def _decided_share(compared: RoundComparison | None) -> float | None:
    """Return the decided share of a round's findings; None without findings."""
    found, decided = compared.looked_for if compared else (0, 0)
    return decided / found if found else None


def changes_section(past: Sequence[Past], selected: Sequence[int], classes: Sequence[str], key: str) -> None:
    """Draw the label changes of each finished round, and the class pairs of the newest selected one."""
    done = [one for one in past if one.compared is not None]
    if not done:
        return
    st.markdown("**What changed**")
    st.caption(_CHANGES_CAPTION[done[0].round.task])
    counted = ("Changed", "From given", *_VERDICTS, "Left out")
    columns = {name: st.column_config.TextColumn(alignment="right") for name in counted}
    st.dataframe(
        pd.DataFrame([_changes_row(one) for one in done]), column_config=columns, hide_index=True, key=key,
        alt="what changed in each round",
    )  # fmt: skip
    _draw_bulk_acts(done)
    shown = next((one for one in done if one.round.id in selected), done[0])
    _draw_pairs(shown, classes, f"{key}_draw_pairs")


def _draw_bulk_acts(done: Sequence[Past]) -> None:
    """Draw the bulk acts, newest first, each with its certificate or its evidence."""
    acts = [act for one in done for act in reversed(one.bulk_acts)]
    if not acts:
        return
    st.markdown("**Accepted in bulk**")
    lines = [f"{act.size:,} in round {act.round} by {act.annotator}: {act.set}. {act.text}" for act in acts]
    st.markdown("\n".join(f"- {plain(line)}" for line in lines))


def _changes_row(one: Past) -> dict[str, Any]:
    verdicts = one.verdicts
    texts = {
        name: _UNKNOWN if verdicts is None else f"{sum(verdicts.get(each, 0) for each in kinds):,}"
        for name, kinds in {**_VERDICTS, "Left out": _LEFT_OUT}.items()
    }
    return {
        "Round": one.round.number,
        "Recipe": one.round.recipe.goal,
        "Changed": _share(one.before, "" if one.is_first else _UNKNOWN),
        "From given": _share(one.given, _UNKNOWN),
        **texts,
        "Settings": one.changed_settings,
    }


def _share(found: Mapping[str, Any] | None, nothing: str) -> str:
    """Return the count of changed labels, or of images with the share of changed pixels."""
    if found is None:
        return nothing
    if found["pixels"] is None:
        return f"{found['changed']:,}"
    share = found["pixels_changed"] / max(1, found["pixels"])
    return f"{found['changed']:,} ({share:.2%})"


def _draw_pairs(one: Past, classes: Sequence[str], key: str) -> None:
    """Draw the largest class pairs of one round, each with a link to its findings."""
    before = one.before or {}
    pairs = before.get("pairs", [])[:_PAIRS]
    if not pairs:
        return
    names = [*classes, "(none)"]  # class -1: unlabelled
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
