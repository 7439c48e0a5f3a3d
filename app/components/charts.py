"""Charts of a round's results, in the colours of the page: neutral for agreement, orange for what looks wrong.

Counts are whole numbers, shares lie in [0, 1].
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from app.components.mixed_up import Confusion, Shown, shown
from core.judge.recalibration import Point

ORANGE, GREY, BLUE, GREEN = "234,114,23", "128,138,156", "31,111,235", "43,138,75"
_INNER, _NAMES = 400, 76  # pixels of the confusion matrix: its squares, and the names beside and above
_MOST_NAMED = 40  # classes whose names still fit on an axis
_LETTER = 7  # pixels of a letter on an axis
_MOST_UPRIGHT = 10  # classes whose names need not be turned
_MOST_COUNTED = 20  # classes whose cells still have room for a number
_LEAST_SHARE, _FULL_SHARE = 0.005, 0.3  # of a row's pixels: what is drawn at all, and what is drawn fully orange
_DARK = 0.75  # from this strength of orange on, numbers are white
_MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}
_QUIET: dict[str, Any] = {"displayModeBar": False, "scrollZoom": False}


def confusion_chart(
    confusion: Confusion, classes: Sequence[str], key: str, *, by_row: bool = False
) -> tuple[int, int] | None:
    """Draw given x predicted and return the pair that was clicked as (given, pseudo).

    Of many classes those that are mixed up most. `by_row`: of pixels, as percent of what was given. Squares and not a
    heatmap, whose clicks Plotly does not tell.
    """
    part = shown(confusion, len(classes))
    count = len(part.classes)
    if count < len(classes):
        st.caption(f"The {count} of {len(classes):,} classes that are mixed up most.")
    names = [short(classes[one]) for one in part.classes] if count <= _MOST_NAMED else None
    axis = {
        "tickvals": list(range(count)) if names else None,
        "ticktext": names,
        "range": [-0.5, count - 0.5],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }
    longest = max(map(len, names or [""]))
    upright = count > _MOST_UPRIGHT or longest * _LETTER > _INNER / max(1, count)
    layout = {
        "width": _INNER + _NAMES + _MARGIN["r"],
        "height": _INNER + _NAMES + _MARGIN["b"],
        "margin": {**_MARGIN, "l": _NAMES, "t": _NAMES},
        "xaxis": {**axis, "title": "predicted", "side": "top", "tickangle": -90 if upright else 0},
        "yaxis": {**axis, "title": "given", "range": [count - 0.5, -0.5]},
        "showlegend": False,
        "clickmode": "event+select",
    }
    squares = _squares(_shares(part) if by_row else _counts(part), classes, part.classes)
    figure = {"data": [squares], "layout": layout}
    with st.container(key=f"{key}_whole"):
        st.html(f"<style>.st-key-{key}_whole{{overflow-x:auto}}.st-key-{key}{{min-width:{layout['width']}px}}</style>")
        event = st.plotly_chart(
            figure, key=key, width="content", on_select="rerun", selection_mode="points", config=_QUIET
        )
    points = event["selection"]["points"]
    return None if not points else (int(points[0]["customdata"][0]), int(points[0]["customdata"][1]))


def calibration_chart(bins: Sequence[dict[str, float]], key: str, unit: str = "samples") -> None:
    """Draw how often given labels agree at a predicted confidence, and how many samples (or another `unit`) say so."""
    largest = max((entry["count"] for entry in bins), default=1)
    diagonal = {
        "x": [0, 1],
        "y": [0, 1],
        "mode": "lines",
        "line": {"color": f"rgba({GREY},.6)", "dash": "dot"},
        "hoverinfo": "skip",
    }
    measured = {
        "x": [entry["mean_confidence"] for entry in bins],
        "y": [entry["accuracy"] for entry in bins],
        "customdata": [[entry["count"]] for entry in bins],
        "mode": "lines+markers",
        "line": {"color": f"rgb({BLUE})", "width": 2},
        "marker": {"size": [6 + 12 * (entry["count"] / largest) ** 0.5 for entry in bins]},
        "hovertemplate": f"predicted %{{x:.1%}}<br>agree %{{y:.1%}}<br>%{{customdata[0]:,}} {unit}<extra></extra>",
    }
    axis = {"range": [-0.02, 1.04], "tickformat": ".0%", "fixedrange": True, "zeroline": False}
    layout = {
        "height": 280,
        "margin": _MARGIN,
        "xaxis": {**axis, "title": "predicted confidence"},
        "yaxis": {**axis, "title": "agreement with given labels"},
        "showlegend": False,
    }
    st.plotly_chart({"data": [diagonal, measured], "layout": layout}, key=key, config=_QUIET)


def precision_curve(
    points: Sequence[Point], certificates: Sequence[tuple[float, float, str]], proposed: float | None, key: str
) -> None:
    """Draw thresholds against the share of right suggestions with its interval, and how many labels would change.

    `certificates` are (threshold, share, text).
    """
    drawn = [point for point in points if point.changes]
    at = [point.threshold for point in drawn]
    band = {"x": at, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    data: list[dict[str, Any]] = [
        {
            "type": "bar", "x": at, "y": [point.changes for point in drawn], "yaxis": "y2", "width": 0.01,
            "marker": {"color": f"rgba({GREY},.18)"}, "hoverinfo": "skip",
        },
        band | {"y": [point.right.low for point in drawn]},
        band | {"y": [point.right.high for point in drawn], "fill": "tonexty", "fillcolor": f"rgba({BLUE},.18)"},
        {
            "x": at, "y": [point.right.estimate for point in drawn], "mode": "lines",
            "line": {"color": f"rgb({BLUE})", "width": 2},
            "customdata": [
                [point.right.low, point.right.high, point.changes, point.gain.low, point.gain.high] for point in drawn
            ],
            "hovertemplate": "from %{x:.2f} on<br>%{y:.1%} right (%{customdata[0]:.1%} to %{customdata[1]:.1%})<br>"
            "%{customdata[2]:,} labels change, net gain %{customdata[3]:,.0f} to %{customdata[4]:,.0f}<extra></extra>",
        },
        {
            "x": [one[0] for one in certificates], "y": [one[1] for one in certificates], "mode": "markers",
            "marker": {"symbol": "diamond", "size": 12, "color": f"rgb({GREEN})"},
            "customdata": [[one[2]] for one in certificates],
            "hovertemplate": "certified from %{x:.2f} on<br>%{customdata[0]}<extra></extra>",
        },
    ]  # fmt: skip
    line = {"color": f"rgb({ORANGE})", "dash": "dash", "width": 2}
    mark = {"type": "line", "x0": proposed, "x1": proposed, "yref": "paper", "y0": 0, "y1": 1, "line": line}
    layout = {
        "height": 280,
        "margin": {**_MARGIN, "t": 12},
        "xaxis": {"title": "accept from this confidence on", "fixedrange": True, "zeroline": False, "showgrid": False},
        "yaxis": {"title": "share right", "tickformat": ".0%", "range": [0, 1.04], "fixedrange": True},
        "yaxis2": {
            "title": "labels that change", "overlaying": "y", "side": "right", "showgrid": False, "fixedrange": True,
            "rangemode": "tozero", "tickmode": "auto", "nticks": 4, "tickformat": ",.0f",
        },
        "bargap": 0,
        "showlegend": False,
        "shapes": [] if proposed is None else [mark],
    }  # fmt: skip
    st.plotly_chart({"data": data, "layout": layout}, key=key, config=_QUIET)


def accuracy_chart(named: Sequence[tuple[str, Sequence[dict[str, Any]]]], key: str, measure: str = "agreement") -> None:
    """Draw each round's `measure` per class beside the others'; `named` holds (round, per-class rows)."""
    shades = [f"rgba({BLUE},{alpha:.2f})" for alpha in _steps(len(named))]
    bars = [
        {
            "type": "bar",
            "name": name,
            "x": [short(row["name"]) for row in rows],
            "y": [row.get(measure) for row in rows],
            "marker": {"color": shade},
            "hovertemplate": "%{x}: %{y:.1%}<extra>" + name + "</extra>",
        }
        for shade, (name, rows) in zip(shades, named, strict=True)
    ]
    lowest = min((row.get(measure) or 0 for _, rows in named for row in rows), default=0)
    layout = {
        "height": 240,
        "margin": _MARGIN,
        "barmode": "group",
        "yaxis": {"tickformat": ".0%", "range": [max(0.0, lowest - 0.1), 1], "fixedrange": True},
        "xaxis": {"type": "category", "fixedrange": True},
        "legend": {"orientation": "h", "y": 1.12},
        "showlegend": True,  # Plotly leaves out that of one round, and nobody knows whose the bars are
    }
    st.plotly_chart({"data": bars, "layout": layout}, key=key, config=_QUIET)


def short(name: str, longest: int = 14) -> str:
    """Return a class name that fits on an axis."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


class _Cell(NamedTuple):
    """One square: `weight` from 0 to 1 is how orange it is, 0 on the diagonal."""

    given: int
    pseudo: int
    weight: float
    text: str
    told: str


def _counts(part: Shown) -> list[_Cell]:
    most = max((n for given, pseudo, n in part.cells if given != pseudo), default=1)
    return [
        _Cell(given, pseudo, 0.0 if given == pseudo else 0.1 + 0.9 * n / most, str(n), f"{n:,} samples")
        for given, pseudo, n in part.cells
    ]


def _shares(part: Shown) -> list[_Cell]:
    cells = []
    for given, pseudo, n in part.cells:
        share = n / part.given[given]
        if share >= _LEAST_SHARE:
            weight = 0.0 if given == pseudo else 0.1 + 0.9 * min(1.0, share / _FULL_SHARE)
            told = f"{share:.2%} of what was given, {n:,} pixels"
            cells.append(_Cell(given, pseudo, weight, f"{100 * share:.0f}", told))
    return cells


def _squares(cells: Sequence[_Cell], classes: Sequence[str], drawn: Sequence[int]) -> dict[str, Any]:
    place = {one: index for index, one in enumerate(drawn)}
    ink = "#e8ebf2" if st.context.theme.type == "dark" else "#1d2330"
    shades = [f"rgba({ORANGE},{cell.weight:.2f})" if cell.weight else f"rgba({GREY},.16)" for cell in cells]
    return {
        "type": "scatter",
        "x": [place[cell.pseudo] for cell in cells],
        "y": [place[cell.given] for cell in cells],
        "mode": "markers+text",
        "text": [cell.text if len(drawn) <= _MOST_COUNTED else "" for cell in cells],
        "textfont": {"color": ["white" if cell.weight > _DARK else ink for cell in cells]},
        "customdata": [
            [cell.given, cell.pseudo, classes[cell.given], classes[cell.pseudo], cell.told] for cell in cells
        ],
        "hovertemplate": "given %{customdata[2]}<br>predicted %{customdata[3]}<br>%{customdata[4]}<extra></extra>",
        "marker": {
            "symbol": "square",
            "size": 0.9 * _INNER / max(1, len(drawn)),
            "line": {"width": 0},
            "color": shades,
            "opacity": 1,
        },
        "selected": {"marker": {"opacity": 1}},
        "unselected": {"marker": {"opacity": 1}},
    }


def _steps(count: int) -> list[float]:
    return [0.35 + 0.65 * (step + 1) / count for step in range(count)]
