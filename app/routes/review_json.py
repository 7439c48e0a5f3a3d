"""Conversion between JSON or query strings and the review's values; invalid ones are refused with a cure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.routes.handlers import Member, RequestError, member, quoted, text, whole
from app.services import reviews
from app.services.app_context import AppContext
from app.services.masks import round_masks
from app.services.reviews import Choice
from core.types import NO_LABEL, Finding, FindingFilter, FindingKind, Order, Status, Verdict

TODO = frozenset({Status.OPEN, Status.SECOND_OPINION})
STATUS_WORDS = {"todo": TODO, "decided": frozenset(Status) - TODO, "any": frozenset(Status)}
SHOW_WORDS = {"any": frozenset(FindingKind)}


def read_filter(values: Mapping[str, Any]) -> FindingFilter:
    """Return the filter of a query string or JSON object; missing parts have their defaults."""
    given = {name: value for name, value in values.items() if value not in (None, "")}
    return FindingFilter(
        round_id=whole(given, "round", least=1),
        kinds=_members(given.get("show", "suspicious"), "show", FindingKind, SHOW_WORDS),
        statuses=_members(given.get("status", "todo"), "status", Status, STATUS_WORDS),
        given=whole(given, "given", least=NO_LABEL) if "given" in given else None,
        pseudo=whole(given, "pseudo", least=NO_LABEL) if "pseudo" in given else None,
        min_confidence=_share(given, "min", 0.0),
        max_confidence=_share(given, "max", 1.0),
        split=text(given, "split") if "split" in given else None,
        fold=whole(given, "fold") if "fold" in given else None,
        annotator=text(given, "by") if "by" in given else None,
        path_contains=text(given, "path") if "path" in given else "",
        min_area=whole(given, "min_area") if "min_area" in given else None,
        max_area=whole(given, "max_area") if "max_area" in given else None,
        sample_id=whole(given, "sample", least=1) if "sample" in given else None,
        similar=_similar(given) if "similar" in given else (),
    )


def read_bulk(values: Mapping[str, Any], app_context: AppContext) -> FindingFilter:
    """Return the filter of a bulk act, which may use the threshold of each class."""
    chosen = read_filter(values)
    return reviews.with_class_thresholds(app_context, chosen) if str(values.get("by_class", "")) == "1" else chosen


def read_bulk_body(body: dict[str, Any], app_context: AppContext) -> FindingFilter:
    """Return the filter of a bulk act from its `filter`, or from the body itself."""
    return read_bulk({"round": body.get("round"), **filter_parts(body, body)}, app_context)


def filter_parts(body: dict[str, Any], default: object) -> dict[str, Any]:
    """Return the parts of a body's `filter`."""
    parts = body.get("filter", default)
    if not isinstance(parts, dict):
        raise RequestError("'filter' is not an object", "send the filter's parts by their names")
    return parts


def read_order(values: Mapping[str, Any]) -> Order:
    """Return the order, by suspicion by default."""
    return member(Order, values.get("order") or Order.SUSPICION.value, "order")


def read_choices(rows: object) -> list[Choice]:
    """Return the verdicts of an act."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RequestError("'decisions' is not a list of objects", "send [{finding, verdict, label?}, ...]")
    return [
        Choice(
            whole(row, "finding", least=1),
            member(Verdict, row.get("verdict"), "verdict"),
            whole(row, "label") if row.get("label") is not None else None,
        )
        for row in rows
    ]


def write_finding(finding: Finding, likely: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return a card's JSON values."""
    return {
        "id": finding.id,
        "sample_id": finding.sample_id,
        "name": finding.name,
        "hash": finding.content_hash,
        "width": finding.width,
        "height": finding.height,
        "given": finding.given,
        "pseudo": finding.pseudo,
        "confidence": finding.confidence,
        "self_confidence": finding.self_confidence,
        "likely": [[int(pair[0]), pair[1]] for pair in likely],
        "split": finding.split,
        "fold": finding.fold,
        "rank": finding.rank,
        "kind": finding.kind.name.lower(),
        "contradicting": finding.contradicting,
        "region": _region(finding),
        **write_state(finding),
    }


def write_state(finding: Finding) -> dict[str, Any]:
    """Return the state of a finding as JSON values."""
    status = finding.status.name.lower()
    state = {"status": status, "label": finding.label, "by": finding.annotator, "edited": finding.edited}
    return {"id": finding.id, **state}


def _region(finding: Finding) -> dict[str, Any] | None:
    if finding.box is None:
        return None
    box = dict(zip(("x", "y", "width", "height"), finding.box, strict=True))
    shown = {"crop": round_masks.crop_of(finding), "version": round_masks.picture_version(finding)}
    return {**box, "area": finding.area, **shown}


def _members(
    words: object, name: str, kind: type[Member], groups: Mapping[str, frozenset[Member]]
) -> frozenset[Member]:
    choices = {member.name.lower(): frozenset({member}) for member in kind} | dict(groups)
    listed = words if isinstance(words, list) else str(words).split(",")
    unknown = [word for word in listed if not isinstance(word, str) or word not in choices]
    if unknown or not listed:
        raise RequestError(f"'{name}' is {quoted(words)}", f"choose from {', '.join(choices)}")
    return frozenset().union(*(choices[word] for word in listed))


def _share(values: Mapping[str, Any], name: str, default: float) -> float:
    try:
        share = float(values.get(name, default))
    except (TypeError, ValueError):
        share = math.nan
    if not 0 <= share <= 1:
        raise RequestError(f"'{name}' is {quoted(values.get(name))}", "send a confidence from 0 to 1")
    return share


def _similar(values: Mapping[str, Any]) -> tuple[int, ...]:
    listed = str(values["similar"]).split("-")
    if len(listed) > reviews.MOST_ALIKE + 1:
        raise RequestError(f"'similar' names {len(listed)} findings", f"name {reviews.MOST_ALIKE + 1} at most")
    return tuple(sorted({whole({"similar": one}, "similar", least=1) for one in listed}))
