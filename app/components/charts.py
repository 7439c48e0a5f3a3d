"""Charts of a round's results, in the colours of the page: neutral for agreement, orange for likely errors.

Counts are whole numbers, shares lie in [0, 1]. Labels of classes are short, distinct and never HTML: Plotly draws a few
tags (`<b>`, `<br>`, `<a href>`) in labels and hover texts, so every name is escaped. Labels that would be equal show
the words that differ, since the beginning and the end of long names are often the same.
"""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

import streamlit as st

from app.components.inline_scripts import SCROLLED_BY_KEYS, draw_html_with
from core.judge.recalibration import Point

ORANGE, GREY, BLUE, GREEN = "234,114,23", "128,138,156", "31,111,235", "43,138,75"
_MOST_BARS = 40  # classes whose names can be read below a chart
_INNER, _TITLE = 400, 28  # pixels of the confusion matrix: its squares at least, and the title of an axis
_READABLE_PIXELS = 15  # pixels of a class at least, so that its name can be read
_LETTER = 7  # pixels of a letter on an axis
_NAME_SIZE = 11  # pixels of the letters of a class name
_MOST_UPRIGHT = 10  # classes whose names need not be turned
_MOST_COUNTED = 20  # classes whose cells still have room for a number
_LEAST_SHARE, _FULL_SHARE = 0.005, 0.3  # of a row's pixels: drawn at all, drawn fully orange
_DARK = 0.75  # from this strength of orange on, numbers are white
_MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}
QUIET: dict[str, Any] = {"displayModeBar": False, "scrollZoom": False}
MOST_WHOLE = 40  # classes whose names can be read beside each other
MOST_CHOSEN = 40
LONGEST = 14  # characters of a label
_HEAD, _DIFFERENT = 4, 9  # characters of equal labels' names: the beginning, and from the word that differs on
_LEAST_SHARED = 6  # a shorter beginning in common is not worth an ellipsis
_BETWEEN = " _-/."  # ends of words within class names
Confusion = Sequence[Sequence[int]] | Mapping[str, Any]  # as `core.judge.confusions.as_json` writes it


@dataclass(frozen=True, slots=True)
class ConfusionPart:
    """Part of a confusion matrix that fits on a chart.

    `classes` are ids, `cells` (given, predicted, count) among them, `given` the count of each class's given labels.
    """

    classes: tuple[int, ...]
    cells: tuple[tuple[int, int, int], ...]
    given: Mapping[int, int]


def confusion_part(confusion: Confusion, classes: Sequence[int]) -> ConfusionPart:
    """Return the part that is drawn, in the order of the classes; with many classes, those confused most."""
    right, given, pairs = _parts(confusion)
    chosen = set(classes)
    if len(classes) > MOST_WHOLE:
        chosen = set()
        for one, other, _ in sorted(pairs, key=lambda pair: -pair[2]):
            if len(chosen | {one, other}) > MOST_CHOSEN:
                break
            chosen |= {one, other}
    among = [pair for pair in pairs if pair[0] in chosen and pair[1] in chosen]
    diagonal = [(one, one, right[one]) for one in sorted(chosen) if one < len(right) and right[one]]
    ordered = tuple(one for one in classes if one in chosen)
    return ConfusionPart(ordered, (*diagonal, *among), {one: given[one] for one in chosen if one < len(given)})


def _parts(confusion: Confusion) -> tuple[list[int], list[int], list[tuple[int, int, int]]]:
    """Return the diagonal, the sums of the rows, and the cells off the diagonal as (given, predicted, count)."""
    if isinstance(confusion, Mapping):
        return confusion["right"], confusion["given"], [(one, other, n) for one, other, n in confusion["pairs"]]
    pairs = [(one, other, n) for one, row in enumerate(confusion) for other, n in enumerate(row) if n and one != other]
    return [row[place] for place, row in enumerate(confusion)], [sum(row) for row in confusion], pairs


def confusion_chart(
    confusion: Confusion, classes: Sequence[str], offered: Sequence[int], key: str, *, by_row: bool = False
) -> tuple[int, int] | None:
    """Draw given x predicted and return the pair that was clicked as (given, pseudo).

    Of many `offered` classes those that are confused most. `by_row`: pixels in percent of the given class. Squares, not
    a heatmap, because Plotly reports no clicks on heatmaps.
    """
    part = confusion_part(confusion, offered)
    count = len(part.classes)
    if count < len(offered):
        st.caption(f"The {count} of {len(offered):,} most confused classes.")
    names = class_labels([classes[one] for one in part.classes])
    inner = max(_INNER, _READABLE_PIXELS * count)
    axis = {
        "tickvals": list(range(count)),
        "ticktext": names,
        "tickfont": {"size": _NAME_SIZE},
        "range": [-0.5, count - 0.5],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }
    longest = max((len(html.unescape(name)) for name in names), default=0)
    label_margin = _TITLE + longest * _LETTER
    upright = count > _MOST_UPRIGHT or longest * _LETTER > inner / max(1, count)
    layout = {
        "width": inner + label_margin + _MARGIN["r"],
        "height": inner + label_margin + _MARGIN["b"],
        "margin": {**_MARGIN, "l": label_margin, "t": label_margin},
        "xaxis": {**axis, "title": "predicted", "side": "top", "tickangle": -90 if upright else 0},
        "yaxis": {**axis, "title": "given", "range": [count - 0.5, -0.5]},
        "showlegend": False,
        "clickmode": "event+select",
    }
    squares = _squares(_shares(part) if by_row else _counts(part), classes, part.classes, inner)
    figure = {"data": squares, "layout": layout}
    with st.container(key=f"{key}_whole"):
        draw_html_with(
            SCROLLED_BY_KEYS,
            html=f"<style>.st-key-{key}_whole{{overflow-x:auto}}.st-key-{key}{{min-width:{layout['width']}px}}</style>"
            f"<i data-scrolled='.st-key-{key}_whole' data-label='Given by predicted class'></i>",
        )
        event = st.plotly_chart(
            figure, key=key, width="content", on_select="rerun", selection_mode="points", config=QUIET
        )
    points = event["selection"]["points"]
    return None if not points else (int(points[0]["customdata"][0]), int(points[0]["customdata"][1]))


def calibration_chart(bins: Sequence[dict[str, float]], key: str, unit: str = "samples") -> None:
    """Draw observed agreement with the given labels against predicted confidence; markers grow with the count."""
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
        "yaxis": {**axis, "title": "observed agreement"},
        "showlegend": False,
    }
    st.plotly_chart({"data": [diagonal, measured], "layout": layout}, key=key, config=QUIET)


def precision_curve(
    points: Sequence[Point], certificates: Sequence[tuple[float, float, str]], proposed: float | None, key: str
) -> None:
    """Draw thresholds against the share of right suggestions with its interval, and how many labels would change.

    `certificates` are (threshold, share, text).
    """
    changing = [point for point in points if point.changes]
    at = [point.threshold for point in changing]
    band = {"x": at, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    data: list[dict[str, Any]] = [
        {
            "type": "bar", "x": at, "y": [point.changes for point in changing], "yaxis": "y2", "width": 0.01,
            "marker": {"color": f"rgba({GREY},.18)"}, "hoverinfo": "skip",
        },
        band | {"y": [point.right.low for point in changing]},
        band | {"y": [point.right.high for point in changing], "fill": "tonexty", "fillcolor": f"rgba({BLUE},.18)"},
        {
            "x": at, "y": [point.right.estimate for point in changing], "mode": "lines",
            "line": {"color": f"rgb({BLUE})", "width": 2},
            "customdata": [
                [one.right.low, one.right.high, one.changes, one.gain.low, one.gain.high] for one in changing
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
    st.plotly_chart({"data": data, "layout": layout}, key=key, config=QUIET)


def stage_chart(
    results: Sequence[tuple[str, float]], key: str, measure: str, ceiling: tuple[float, str] | None = None
) -> None:
    """Draw the results of a recipe's networks on the validation images, in the order of training."""
    st.plotly_chart(stage_figure(results, measure, ceiling), key=key, config=QUIET)


def stage_figure(
    results: Sequence[tuple[str, float]], measure: str, ceiling: tuple[float, str] | None = None
) -> dict[str, Any]:
    """Return the figure of `stage_chart`.

    `results` are (network, value in [0, 1]); the first is the baseline, drawn as a line to compare with. `ceiling` is
    a value and its source, drawn as a second line.
    """
    names, values = [name for name, _ in results], [value for _, value in results]
    data: list[dict[str, Any]] = [
        {
            "x": names, "y": values, "mode": "lines+markers+text", "text": [f"{value:.1%}" for value in values],
            "textposition": "top center", "cliponaxis": False, "line": {"color": f"rgb({BLUE})", "width": 2},
            "hovertemplate": "%{x}: %{y:.1%}<extra></extra>",
        }
    ]  # fmt: skip
    lines = [(values[0], GREY, "dash")]
    if ceiling is not None:
        value, source = ceiling
        lines.append((value, GREEN, "dot"))
        data.append(
            {  # a trace, so that the axis reaches it
                "x": names[:1], "y": [value], "mode": "text", "text": [f"{escape_label(source)}: {value:.1%}"],
                "textposition": "bottom right", "cliponaxis": False, "hoverinfo": "skip",
            }
        )  # fmt: skip
    layout = {
        "height": 200,
        "margin": _MARGIN,
        "xaxis": {"fixedrange": True, "type": "category", "showgrid": False, "automargin": True},
        "yaxis": {"title": f"{measure}, validation", "tickformat": ".1%", "fixedrange": True, "automargin": True},
        "showlegend": False,
        "shapes": [
            {
                "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": at, "y1": at,
                "line": {"color": f"rgb({colour})", "dash": dash, "width": 1},
            }
            for at, colour, dash in lines
        ],
    }  # fmt: skip
    return {"data": data, "layout": layout}


def accuracy_chart(
    rounds: Sequence[tuple[str, Sequence[dict[str, Any]]]], key: str, measure: str = "agreement"
) -> None:
    """Draw each round's `measure` per class beside the others'; `rounds` holds (round, per-class rows).

    Of many classes those with the lowest measure in the last round.
    """
    rows_of_last = rounds[-1][1]
    if len(rows_of_last) > _MOST_BARS:
        st.caption(f"The {_MOST_BARS} of {len(rows_of_last):,} classes with the lowest value in {rounds[-1][0]}.")
        known = sorted((row for row in rows_of_last if row.get(measure) is not None), key=lambda row: row[measure])
        lowest_names = {row["name"] for row in known[:_MOST_BARS]}
        rounds = [(name, [row for row in rows if row["name"] in lowest_names]) for name, rows in rounds]
    shades = [f"rgba({BLUE},{alpha:.2f})" for alpha in _steps(len(rounds))]
    names = list(dict.fromkeys(row["name"] for _, rows in rounds for row in rows))
    place = {name: index for index, name in enumerate(names)}
    bars = [
        {
            "type": "bar",
            "name": escape_label(name),
            "x": [place[row["name"]] for row in rows],
            "customdata": [[escape_label(row["name"])] for row in rows],
            "y": [row.get(measure) for row in rows],
            "marker": {"color": shade},
            "hovertemplate": "%{customdata[0]}: %{y:.1%}<extra></extra>",
        }
        for shade, (name, rows) in zip(shades, rounds, strict=True)
    ]
    lowest = min((row.get(measure) or 0 for _, rows in rounds for row in rows), default=0)
    layout = {
        "height": 240,
        "margin": _MARGIN,
        "barmode": "group",
        "yaxis": {"tickformat": ".0%", "range": [max(0.0, lowest - 0.1), 1], "fixedrange": True},
        "xaxis": {"tickvals": list(range(len(names))), "ticktext": class_labels(names), "fixedrange": True},
        "legend": {"orientation": "h", "y": 1.12},
        "showlegend": True,  # Plotly leaves out that of one round, and the round of the bars is unknown
    }
    st.plotly_chart({"data": bars, "layout": layout}, key=key, config=QUIET)


class _Cell(NamedTuple):
    """One square: `weight` from 0 to 1 is how orange it is, 0 on the diagonal."""

    given: int
    pseudo: int
    weight: float
    text: str
    hover: str


def _counts(part: ConfusionPart) -> list[_Cell]:
    most = max((n for given, pseudo, n in part.cells if given != pseudo), default=1)
    return [
        _Cell(given, pseudo, 0.0 if given == pseudo else 0.1 + 0.9 * n / most, str(n), f"{n:,} samples")
        for given, pseudo, n in part.cells
    ]


def _shares(part: ConfusionPart) -> list[_Cell]:
    cells = []
    for given, pseudo, n in part.cells:
        share = n / part.given[given]
        if share >= _LEAST_SHARE:
            weight = 0.0 if given == pseudo else 0.1 + 0.9 * min(1.0, share / _FULL_SHARE)
            hover = f"{share:.2%} of what was given, {n:,} pixels"
            cells.append(_Cell(given, pseudo, weight, f"{100 * share:.0f}", hover))
    return cells


def _squares(cells: Sequence[_Cell], classes: Sequence[str], shown: Sequence[int], inner: int) -> list[dict[str, Any]]:
    """Draw the strongly orange cells with white numbers, the others with those of the theme, which may be switched."""
    pale = [cell for cell in cells if cell.weight <= _DARK]
    strong = [cell for cell in cells if cell.weight > _DARK]
    return [
        _trace(pale, classes, shown, inner),
        _trace(strong, classes, shown, inner) | {"textfont": {"color": "white"}},
    ]


def _trace(cells: Sequence[_Cell], classes: Sequence[str], shown: Sequence[int], inner: int) -> dict[str, Any]:
    place = {one: index for index, one in enumerate(shown)}
    shades = [f"rgba({ORANGE},{cell.weight:.2f})" if cell.weight else f"rgba({GREY},.16)" for cell in cells]
    return {
        "type": "scatter",
        "x": [place[cell.pseudo] for cell in cells],
        "y": [place[cell.given] for cell in cells],
        "mode": "markers+text",
        "text": [cell.text if len(shown) <= _MOST_COUNTED else "" for cell in cells],
        "customdata": [
            [cell.given, cell.pseudo, escape_label(classes[cell.given]), escape_label(classes[cell.pseudo]), cell.hover]
            for cell in cells
        ],
        "hovertemplate": "given %{customdata[2]}<br>predicted %{customdata[3]}<br>%{customdata[4]}<extra></extra>",
        "marker": {
            "symbol": "square",
            "size": 0.9 * inner / max(1, len(shown)),
            "line": {"width": 0},
            "color": shades,
            "opacity": 1,
        },
        "selected": {"marker": {"opacity": 1}},
        "unselected": {"marker": {"opacity": 1}},
    }


def _steps(count: int) -> list[float]:
    return [0.35 + 0.65 * (step + 1) / count for step in range(count)]


def escape_label(name: str) -> str:
    """Return a text that Plotly draws letter by letter."""
    return html.escape(name, quote=False)


def shorten(name: str, longest: int = LONGEST) -> str:
    """Shorten a name to `longest` characters: its beginning, an ellipsis, its end."""
    if len(name) <= longest:
        return name
    tail = (longest - 1) // 2
    return f"{name[: longest - 1 - tail]}…{name[-tail:]}"


def class_labels(names: Sequence[str]) -> list[str]:
    """Return an escaped label for each name; different names get different labels."""
    shared = _shared_words(names)
    cut = shared if shared >= _LEAST_SHARED else 0
    rests = [f"…{name[cut:]}" if cut and len(name) > LONGEST else name for name in names]
    labels = [shorten(rest) for rest in rests]
    for label in _equal(labels):
        places = [place for place, other in enumerate(labels) if other == label]
        differ = _shared_words([rests[place] for place in places])
        for place in places:
            labels[place] = f"{rests[place][:_HEAD]}…{rests[place][differ : differ + _DIFFERENT]}"
    equal = _equal(labels)
    numbered = [f"{label} ({place})" if label in equal else label for place, label in enumerate(labels, start=1)]
    return [escape_label(label) for label in numbered]


def _shared_words(names: Sequence[str]) -> int:
    """Return the length of the names' common prefix, in whole words."""
    columns = zip(*names, strict=False)
    common = "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, columns))
    return 0 if common in names else 1 + max(common.rfind(between) for between in _BETWEEN)


def _equal(labels: Sequence[str]) -> set[str]:
    return {label for label, times in Counter(labels).items() if times > 1}
