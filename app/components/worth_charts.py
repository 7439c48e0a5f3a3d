"""What cleaning was worth, class by class, as a forest plot: each difference with its interval, 0 in the middle.

Differences are points, percent of images or of IoU; right of 0 the cleaned labels are better.
"""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app.components.charts import BLUE, GREY, ORANGE, short

_ROW, _FRAME = 26, 70  # pixels: a class, and the axis with its title
_QUIET: dict[str, Any] = {"displayModeBar": False, "scrollZoom": False}
_CLEAR = 0.05  # an adjusted p below this is no chance find among the classes


def forest_chart(worth: dict[str, Any], key: str) -> None:
    """Draw the whole and each class of a result; a class of too few images has no interval."""
    rows = [{**worth, "name": "all", "p_adjusted": worth["test"]["p"]}, *worth["per_class"]]
    names = [short(row["name"]) for row in rows]
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
            "type": "category",
            "categoryorder": "array",
            "categoryarray": names,
            "autorange": "reversed",
            "fixedrange": True,
            "showgrid": False,
        },
        "showlegend": False,
    }
    figure = {"data": [_points(rows, wide=False), _points(rows, wide=True)], "layout": layout}
    st.plotly_chart(figure, key=key, config=_QUIET)


def _points(rows: Sequence[dict[str, Any]], *, wide: bool) -> dict[str, Any]:
    """Return the rows with an interval, or those without, as points with whiskers."""
    chosen = [row for row in rows if (row["interval"] is not None) == wide]
    values = [100 * row["difference"] for row in chosen]
    drawn: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": values,
        "y": [short(row["name"]) for row in chosen],
        "marker": {"size": 10, "color": [_shade(row) for row in chosen], "symbol": "square" if wide else "circle-open"},
        "customdata": [[row["name"], row["count"], _said(row)] for row in chosen],
        "hovertemplate": "%{customdata[0]}: %{x:+.1f} points%{customdata[2]}<br>%{customdata[1]} images<extra></extra>",
    }
    if wide:
        highs = [100 * row["interval"]["high"] - value for row, value in zip(chosen, values, strict=True)]
        lows = [value - 100 * row["interval"]["low"] for row, value in zip(chosen, values, strict=True)]
        drawn["error_x"] = {"type": "data", "symmetric": False, "array": highs, "arrayminus": lows, "thickness": 1.5}
    return drawn


def _shade(row: dict[str, Any]) -> str:
    interval = row["interval"]
    if interval is None or interval["low"] <= 0 <= interval["high"] or row["p_adjusted"] >= _CLEAR:
        return f"rgb({GREY})"
    return f"rgb({BLUE})" if row["difference"] > 0 else f"rgb({ORANGE})"


def _said(row: dict[str, Any]) -> str:
    if row["interval"] is None:
        return ", too few images for an interval"
    return f" (95 % interval {100 * row['interval']['low']:+.1f} to {100 * row['interval']['high']:+.1f})"
