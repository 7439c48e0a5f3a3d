"""Impact of cleaning: the button that starts a comparison, its preconditions, results, and a forest plot by class.

Differences are points, percent of images or of IoU; right of 0 the cleaned labels are better.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from app.components.charts import BLUE, GREY, ORANGE, QUIET, class_labels, escape_label
from app.components.complaints import complaints, plain
from app.components.job_progress import draw_figures, live_round, time_text
from app.services.evaluation.impact import ImpactView, MeasuredComparison, Readiness, class_words, remarks
from app.services.evaluation.split_names import splits_in_words
from app.services.rounds.jobs import RoundInfo, RoundProgress, duration
from core.types import JobStatus

_SHOWN = 5  # older comparisons
_ROW, _FRAME = 26, 70  # pixels: a class, and the axis with its title
_SIGNIFICANT = 0.05  # adjusted p below which a class differs


def impact_section(
    shown: ImpactView,
    *,
    start: Callable[[], object],
    look: Callable[[int], RoundProgress],
    cancel: Callable[[int], object],
    key: str = "impact",
) -> None:
    """Draw the button and missing preconditions, the running comparison, the newest result, and older ones."""
    _draw_head(shown.ready, start, shown.unfinished, key)
    at_work = shown.at_work
    if at_work is not None:
        live_round(at_work.status, partial(look, at_work.id), partial(cancel, at_work.id), f"{key}_live")
    elif shown.found and shown.found[0].round.status is JobStatus.FAILED:
        st.error(f"{shown.found[0].round.name} failed: {plain(shown.found[0].round.message)}", icon=":material/error:")
    done = [one for one in shown.found if one.impact is not None]
    if done and done[0].impact is not None:
        impact_result(done[0].round, done[0].impact, f"{key}_{done[0].round.id}")
    _draw_older(done[1:])


def impact_result(info: RoundInfo, impact: dict[str, Any], key: str) -> None:
    """Draw a result: a sentence, figures, and a chart and table by class."""
    draw = st.info if _is_open(impact) else (st.success if impact["difference"] > 0 else st.warning)
    draw(plain(impact["sentence"]), icon=":material/balance:")
    interval, test = impact["interval"], impact["test"]
    draw_figures(
        {
            f"{impact['measure']}, original labels": f"{impact['original']:.2%}",
            f"{impact['measure']}, cleaned labels": f"{impact['cleaned']:.2%}",
            "points gained": f"{100 * impact['difference']:+.2f}",
            "95 % interval": f"{100 * interval['low']:+.2f} to {100 * interval['high']:+.2f}",
            "McNemar p": f"{test['p']:.2g}",
            "won and lost images": f"{test['better']:,} : {test['worse']:,}",
            "judged images": f"{impact['count']:,}",
            "took": time_text(duration(info)),
        }
    )
    for line in remarks(impact):
        st.caption(plain(line))
    chart, table = st.columns([1, 1.2], gap="large")
    with chart:
        forest_chart(impact, f"{key}_forest")
    with table:
        _class_table(impact, f"{key}_classes")
        st.caption(class_words(impact).note)


def _draw_head(ready: Readiness, start: Callable[[], object], unfinished: RoundInfo | None, key: str) -> None:
    words, button = st.columns([3, 1.4], vertical_alignment="center")
    blocked = bool(ready.missing) or unfinished is not None
    label = "Measure impact"
    why = f"{unfinished.name} is still {unfinished.status.value}" if unfinished else None
    pressed = button.button(
        label, icon=":material/balance:", key=f"{key}_start", disabled=blocked, width="stretch", help=why
    )
    words.caption(
        "The same network is trained on the original and on the current labels, with the same seeds and without the "
        "evaluation split; both models are measured on the images of that split that people judged."
    )
    if ready.missing:
        st.info(f"Not yet: {plain(ready.missing)}.", icon=":material/info:")
        if ready.queue is not None:
            st.page_link(
                "pages/review.py",
                label=f"Judge the {splits_in_words(ready.splits[:1])}"
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


def _is_open(impact: dict[str, Any]) -> bool:
    low, high = impact["interval"]["low"], impact["interval"]["high"]
    return bool(low <= 0 <= high)


def _class_table(impact: dict[str, Any], key: str) -> None:
    words = class_words(impact)
    rows = [
        {
            "Class": one["name"],
            "Images": one["count"],
            "Original": one["original"],
            "Cleaned": one["cleaned"],
            "Points": 100 * one["difference"],
            words.interval: _interval(one["interval"]),
            words.p: one["p_adjusted"],
        }
        for one in impact["per_class"]
    ]
    columns = {
        "Original": st.column_config.NumberColumn(format="percent"),
        "Cleaned": st.column_config.NumberColumn(format="percent"),
        "Points": st.column_config.NumberColumn(format="%+.1f"),
        words.p: st.column_config.NumberColumn(format="%.2g", help="McNemar's test, allowing for all classes"),
    }
    st.dataframe(pd.DataFrame(rows), column_config=columns, hide_index=True, key=key, alt="impact of cleaning by class")


def _interval(interval: dict[str, float] | None) -> str:
    return "too few" if interval is None else f"{100 * interval['low']:+.1f} to {100 * interval['high']:+.1f}"


def _draw_older(older: Sequence[MeasuredComparison]) -> None:
    if not older:
        return
    with st.expander("Older comparisons"):
        for one in older[:_SHOWN]:
            if one.impact is not None:
                st.markdown(f"{one.round.name}: {plain(one.impact['sentence'])}")


def forest_chart(impact: dict[str, Any], key: str) -> None:
    """Draw the overall difference and that of each class; a class with too few images has no interval."""
    rows = [{**impact, "name": "all", "p_adjusted": impact["test"]["p"]}, *impact["per_class"]]
    names = ["all", *class_labels([row["name"] for row in impact["per_class"]])]
    axis = {
        "rangemode": "tozero",
        "zeroline": True,
        "zerolinewidth": 2,
        "zerolinecolor": f"rgba({GREY},.7)",
        "fixedrange": True,
    }
    layout = {
        "height": _FRAME + _ROW * len(rows),
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "xaxis": {**axis, "title": "points gained by cleaning", "ticksuffix": ""},
        "yaxis": {
            "tickvals": list(range(len(rows))),
            "ticktext": names,
            "range": [len(rows) - 0.5, -0.5],
            "zeroline": False,
            "fixedrange": True,
            "showgrid": False,
        },
        "showlegend": False,
    }
    figure = {"data": [_points(rows, wide=False), _points(rows, wide=True)], "layout": layout}
    st.plotly_chart(figure, key=key, config=QUIET)


def _points(rows: Sequence[dict[str, Any]], *, wide: bool) -> dict[str, Any]:
    """Return the rows with an interval, or those without, as points with whiskers."""
    placed = [(place, row) for place, row in enumerate(rows) if (row["interval"] is not None) == wide]
    chosen = [row for _, row in placed]
    values = [100 * row["difference"] for row in chosen]
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": values,
        "y": [place for place, _ in placed],
        "marker": {"size": 10, "color": [_shade(row) for row in chosen], "symbol": "square" if wide else "circle-open"},
        "customdata": [[escape_label(row["name"]), row["count"], _interval_text(row)] for row in chosen],
        "hovertemplate": "%{customdata[0]}: %{x:+.1f} points%{customdata[2]}<br>%{customdata[1]} images<extra></extra>",
    }
    if wide:
        highs = [100 * row["interval"]["high"] - value for row, value in zip(chosen, values, strict=True)]
        lows = [value - 100 * row["interval"]["low"] for row, value in zip(chosen, values, strict=True)]
        trace["error_x"] = {"type": "data", "symmetric": False, "array": highs, "arrayminus": lows, "thickness": 1.5}
        trace["error_x"]["color"] = f"rgb({GREY})"  # else black, in dark mode too
    return trace


def _shade(row: dict[str, Any]) -> str:
    interval = row["interval"]
    if interval is None or interval["low"] <= 0 <= interval["high"] or row["p_adjusted"] >= _SIGNIFICANT:
        return f"rgb({GREY})"
    return f"rgb({BLUE})" if row["difference"] > 0 else f"rgb({ORANGE})"


def _interval_text(row: dict[str, Any]) -> str:
    if row["interval"] is None:
        return ", too few images for an interval"
    low, high, level = (100 * row["interval"][name] for name in ("low", "high", "level"))
    return f" ({level:.4g} % interval {low:+.1f} to {high:+.1f})"
