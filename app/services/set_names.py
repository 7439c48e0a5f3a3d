"""Sets of findings in words: what a stored filter holds, for people."""

from collections.abc import Mapping, Sequence
from typing import Any

_CLASSES = (("given", "given"), ("pseudo", "suggested"))
_AREAS = (("min_area", "at least"), ("max_area", "at most"))


def set_name(stored: Mapping[str, Any], classes: Sequence[str]) -> str:
    """Return "suspicious from 0.95 on, given cat, suggested dog" for the filter that an act or audit stored."""
    kinds = " and ".join(stored.get("kinds", ())) or "findings"
    parts = [f"{word} {_class(classes, stored[name])}" for name, word in _CLASSES if stored.get(name) is not None]
    parts += [f"split {stored['split'] or '(none)'}"] if stored.get("split") is not None else []
    parts += [f"fold {stored['fold'] + 1}"] if stored.get("fold") is not None else []
    parts += [f"path with {stored['path_contains']}"] if stored.get("path_contains") else []
    parts += [f"{word} {stored[name]:,} pixels" for name, word in _AREAS if stored.get(name) is not None]
    parts += ["look-alikes of one card"] if stored.get("similar") else []
    above = _confidence(stored)
    return ", ".join([kinds + above if parts or above else f"all {kinds}", *parts])


def _confidence(stored: Mapping[str, Any]) -> str:
    if stored.get("class_percents"):
        return " from each class's own threshold on"
    low, high = stored.get("min_confidence", 0.0), stored.get("max_confidence", 1.0)
    if high < 1:
        return f" from {low:g} to {high:g}"
    return f" from {low:g} on" if low else ""


def _class(classes: Sequence[str], number: int) -> str:
    return classes[number] if 0 <= number < len(classes) else "nothing"
