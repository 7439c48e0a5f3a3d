"""Names and formats of a round's figures, for labels and for masks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.components.job_progress import time_text
from app.services.rounds.jobs import RoundComparison
from core.config import settings_by_network
from core.types import Task

_UNKNOWN = "…"
_WRONG_LABELS, _WRONG_REGIONS = "wrong labels", "wrong regions among those found"
_OF_MASKS = frozenset({"crop", "scales", "flip", "class_weights", "min_region", "boundary"})  # settings


@dataclass(frozen=True, slots=True)
class Words:
    """Names of results, and their links.

    `per_class` is the measure of each class, `counted` the name of its given count, `findings` the name of findings,
    `review` the queue of a (given, predicted) pair of the confusion, which is drawn in percent of the given class where
    `by_row`; `hidden` are settings without an effect.
    """

    figures: Callable[[RoundComparison], dict[str, str]]
    per_class: str
    per_class_title: str
    confusion: str
    calibration: str
    unit: str
    counted: str
    findings: str
    by_row: bool
    review: Callable[[int, int], dict[str, str]]
    hidden: frozenset[str]


def figures(shown: RoundComparison) -> dict[str, str]:
    """Return the main metrics of a finished round by name, without those that were not measured."""
    return {name: value for name, value in WORDS[shown.round.task].figures(shown).items() if value != _UNKNOWN}


def headline(shown: RoundComparison) -> dict[str, str]:
    """Return the main figures with the basis of the estimate of wrong labels in its name."""
    basis = shown.wrong.basis if shown.wrong else ""
    own = (_WRONG_LABELS, _WRONG_REGIONS)
    return {f"{name}, {basis}" if basis and name in own else name: value for name, value in figures(shown).items()}


def settings(shown: RoundComparison) -> dict[str, Any]:
    """Return the settings of a round that have an effect, with those of its recipe."""
    hidden = WORDS[shown.round.task].hidden
    own = {f"{shown.round.recipe}: {name}": value for name, value in (shown.round.recipe_config or {}).items()}
    return {name: value for name, value in settings_by_network(shown.round.config).items() if name not in hidden} | own


def percent(value: float | None) -> str:
    """Return 0.936 as 93.6%."""
    return _UNKNOWN if value is None else f"{value:.1%}"


def count(value: float | None) -> str:
    """Return 12345 as 12,345."""
    return _UNKNOWN if value is None else f"{value:,.0f}"


def _of_labels(shown: RoundComparison) -> dict[str, str]:
    measured = shown.metrics
    return {
        "out-of-fold accuracy": percent(measured.get("accuracy")),
        _WRONG_LABELS: _wrong(shown),
        **_found(shown, "suspicious", "proposed for unlabelled images"),
        "took": time_text(shown.seconds),
    }


def _of_masks(shown: RoundComparison) -> dict[str, str]:
    measured = shown.metrics
    return {
        "mIoU": percent(measured.get("miou")),
        "pixel accuracy": percent(measured.get("accuracy")),
        **_found(shown, "regions found", "regions proposed for unlabelled pixels"),
        _WRONG_REGIONS: _wrong(shown),
        "boundary differences": count(measured.get("wobble_regions")),
        "too small to show": count(measured.get("tiny_regions")),
        "took": time_text(shown.seconds),
    }


def _wrong(shown: RoundComparison) -> str:
    """Return the number of wrong labels by random samples, "unknown" without them."""
    return shown.wrong.short if shown.wrong else _UNKNOWN


def _found(shown: RoundComparison, suspicious: str, proposed: str) -> dict[str, str]:
    """Return the counts of findings under these names; a recipe that only proposes has no other findings."""
    only_proposes = shown.round.recipe.proposes
    found, decided = shown.looked_for
    counts = {proposed if only_proposes else suspicious: count(found), "of them decided": count(decided)}
    return counts if only_proposes else counts | {proposed: count(shown.proposed or None)}


def _samples_of(given: int, pseudo: int) -> dict[str, str]:
    show = "agreeing" if given == pseudo else "suspicious"
    return {"show": show, "status": "any", "given": str(given), "pseudo": str(pseudo)}


def _regions_of(given: int, pseudo: int) -> dict[str, str]:
    """Return the review of a pair; if given and predicted class agree, of all regions of that class."""
    suggested = {} if given == pseudo else {"pseudo": str(pseudo)}
    return {"show": "suspicious", "status": "any", "given": str(given), **suggested}


WORDS: Mapping[Task, Words] = {
    Task.CLASSIFICATION: Words(
        figures=_of_labels,
        per_class="agreement",
        per_class_title="Agreement with the labels each round opened with, by class",
        confusion="Click a square to review exactly those samples.",
        calibration="Against the labels as they were given, errors included, not against the truth. "
        "On the dotted line they agree as often as predicted.",
        unit="samples",
        counted="Given",
        findings="labels",
        by_row=False,
        review=_samples_of,
        hidden=_OF_MASKS,
    ),
    Task.SEGMENTATION: Words(
        figures=_of_masks,
        per_class="iou",
        per_class_title="IoU with the masks each round opened with, by class",
        confusion="Pixels, in percent of what was given. Click a square to review its regions.",
        calibration="Against the masks as they were given, errors included, not against the truth. "
        "On the dotted line they agree as often as predicted.",
        unit="pixels",
        counted="Pixels given",
        findings="regions",
        by_row=True,
        review=_regions_of,
        hidden=frozenset({"method"}),
    ),
}
