"""What the cleaning was worth: one click to measure it, what is missing before, and what came of it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app.components.complaints import complaints, plain
from app.components.job_progress import draw_figures, live_round, time_text
from app.components.worth_charts import forest_chart
from app.services.rounds import RoundInfo, RoundProgress, duration
from app.services.split_names import called
from app.services.worth import Readiness, Said, View, remarks
from core.judge.worth import MANY_CLASSES
from core.types import RoundStatus

_SHOWN = 5  # older comparisons


def worth_section(
    shown: View,
    *,
    start: Callable[[], object],
    look: Callable[[int], RoundProgress],
    cancel: Callable[[int], object],
    key: str = "worth",
) -> None:
    """Draw the button, or what is missing; the comparison at work; the newest result, and older ones."""
    _draw_head(shown.ready, start, shown.unfinished, key)
    at_work = shown.at_work
    if at_work is not None:
        live_round(at_work.status, partial(look, at_work.id), partial(cancel, at_work.id), f"{key}_live")
    elif shown.found and shown.found[0].round.status is RoundStatus.FAILED:
        st.error(f"{shown.found[0].round.name} failed: {plain(shown.found[0].round.message)}", icon=":material/error:")
    done = [one for one in shown.found if one.worth is not None]
    if done and done[0].worth is not None:
        worth_result(done[0].round, done[0].worth, f"{key}_{done[0].round.id}")
    _draw_older(done[1:])


def worth_result(info: RoundInfo, worth: dict[str, Any], key: str) -> None:
    """Draw a result: in words, in figures, class by class."""
    draw = st.info if _is_open(worth) else (st.success if worth["difference"] > 0 else st.warning)
    draw(plain(worth["sentence"]), icon=":material/balance:")
    interval, test = worth["interval"], worth["test"]
    draw_figures(
        {
            f"{worth['measure']}, original labels": f"{worth['original']:.2%}",
            f"{worth['measure']}, cleaned labels": f"{worth['cleaned']:.2%}",
            "points gained": f"{100 * worth['difference']:+.2f}",
            "95 % interval": f"{100 * interval['low']:+.2f} to {100 * interval['high']:+.2f}",
            "McNemar p": f"{test['p']:.2g}",
            "won and lost images": f"{test['better']:,} : {test['worse']:,}",
            "judged images": f"{worth['count']:,}",
            "took": time_text(duration(info)),
        }
    )
    for line in remarks(worth):
        st.caption(plain(line))
    chart, table = st.columns([1, 1.2], gap="large")
    with chart:
        forest_chart(worth, f"{key}_forest")
    with table:
        _class_table(worth, f"{key}_classes")
        st.caption(MANY_CLASSES)  # not as an older result worded it


def _draw_head(ready: Readiness, start: Callable[[], object], unfinished: RoundInfo | None, key: str) -> None:
    words, button = st.columns([3, 1.4], vertical_alignment="center")
    blocked = bool(ready.missing) or unfinished is not None
    label = "What was the cleaning worth?"
    why = f"{unfinished.name} is still {unfinished.status.value}" if unfinished else None
    pressed = button.button(
        label, icon=":material/balance:", key=f"{key}_start", disabled=blocked, width="stretch", help=why
    )
    words.caption(
        "The same network learns the labels as they came and as they are now, from the same beginnings, without the "
        "evaluation split; both are measured on the images of it that people judged."
    )
    if ready.missing:
        st.info(f"Not yet: {plain(ready.missing)}.", icon=":material/info:")
        if ready.queue is not None:
            st.page_link(
                "pages/review.py",
                label=f"Judge the {called(ready.splits[:1])}"
                if "split" in ready.queue
                else "Review the other findings",
                icon=":material/rule:",
                query_params=ready.queue,
            )
        elif not ready.splits:
            address = {"splits": str(ready.dataset_id)}
            st.page_link("pages/datasets.py", label="Protect a split", icon=":material/shield:", query_params=address)
    if pressed:
        with complaints():
            start()
            st.rerun()


def _is_open(worth: dict[str, Any]) -> bool:
    low, high = worth["interval"]["low"], worth["interval"]["high"]
    return bool(low <= 0 <= high)


def _class_table(worth: dict[str, Any], key: str) -> None:
    rows = [
        {
            "Class": one["name"],
            "Images": one["count"],
            "Original": one["original"],
            "Cleaned": one["cleaned"],
            "Points": 100 * one["difference"],
            "95 % interval": _interval(one["interval"]),
            "p adjusted": one["p_adjusted"],
        }
        for one in worth["per_class"]
    ]
    columns = {
        "Original": st.column_config.NumberColumn(format="percent"),
        "Cleaned": st.column_config.NumberColumn(format="percent"),
        "Points": st.column_config.NumberColumn(format="%+.1f"),
        "p adjusted": st.column_config.NumberColumn(format="%.2g", help="McNemar's, corrected for all classes (Holm)"),
    }
    st.dataframe(
        pd.DataFrame(rows), column_config=columns, hide_index=True, key=key, alt="what cleaning was worth by class"
    )


def _interval(interval: dict[str, float] | None) -> str:
    return "too few" if interval is None else f"{100 * interval['low']:+.1f} to {100 * interval['high']:+.1f}"


def _draw_older(older: Sequence[Said]) -> None:
    if not older:
        return
    with st.expander("Older comparisons"):
        for one in older[:_SHOWN]:
            if one.worth is not None:
                st.markdown(f"{one.round.name}: {plain(one.worth['sentence'])}")
