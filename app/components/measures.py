"""What is measured of a round, in words: which figures there are for labels, and which for masks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.components.job_progress import time_text
from app.services.rounds import Comparison
from core.config import by_network
from core.types import Task

_UNKNOWN = "…"
_WRONG_LABELS, _WRONG_REGIONS = "wrong labels", "wrong regions among those found"
_OF_MASKS = frozenset({"crop", "scales", "flip", "class_weights", "min_region", "boundary"})  # settings


@dataclass(frozen=True, slots=True)
class Words:
    """How results are called and where they lead.

    `per_class` is what is drawn of each class, `counted` its count of what was given, `findings` what is reviewed,
    `review` the queue of a (given, predicted) pair of the confusion, which is drawn in percent of what was given where
    `by_row`; `hidden` are settings that say nothing.
    """

    figures: Callable[[Comparison], dict[str, str]]
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


def figures(shown: Comparison) -> dict[str, str]:
    """Return the figures of a finished round that one asks for first, by name; none of what was not measured."""
    return {name: value for name, value in WORDS[shown.round.task].figures(shown).items() if value != _UNKNOWN}


def headline(shown: Comparison) -> dict[str, str]:
    """Return the same of a round that is shown alone: the name of the wrong labels says what their number rests on."""
    basis = shown.wrong.basis if shown.wrong else ""
    own = (_WRONG_LABELS, _WRONG_REGIONS)
    return {f"{name}, {basis}" if basis and name in own else name: value for name, value in figures(shown).items()}


def settings(shown: Comparison) -> dict[str, Any]:
    """Return the settings of a round that mean something for its labels, those of its recipe by its name."""
    hidden = WORDS[shown.round.task].hidden
    own = {f"{shown.round.recipe}: {name}": value for name, value in (shown.round.recipe_config or {}).items()}
    return {name: value for name, value in by_network(shown.round.config).items() if name not in hidden} | own


def percent(value: float | None) -> str:
    """Return 0.936 as 93.6%."""
    return _UNKNOWN if value is None else f"{value:.1%}"


def count(value: float | None) -> str:
    """Return 12345 as 12,345."""
    return _UNKNOWN if value is None else f"{value:,.0f}"


def _of_labels(shown: Comparison) -> dict[str, str]:
    measured = shown.metrics
    return {
        "out-of-fold accuracy": percent(measured.get("accuracy")),
        _WRONG_LABELS: _wrong(shown),
        **_found(shown, "suspicious", "proposed for unlabelled images"),
        "took": time_text(shown.seconds),
    }


def _of_masks(shown: Comparison) -> dict[str, str]:
    measured = shown.metrics
    return {
        "mIoU": percent(measured.get("miou")),
        "pixel accuracy": percent(measured.get("accuracy")),
        **_found(shown, "regions found", "regions proposed for unlabelled pixels"),
        _WRONG_REGIONS: _wrong(shown),
        "wobble set apart": count(measured.get("wobble_regions")),
        "too small to show": count(measured.get("tiny_regions")),
        "took": time_text(shown.seconds),
    }


def _wrong(shown: Comparison) -> str:
    """Return the number of wrong labels by random samples, "unknown" without them."""
    return shown.wrong.short if shown.wrong else _UNKNOWN


def _found(shown: Comparison, suspicious: str, proposed: str) -> dict[str, str]:
    """Return how much a round found, under these names: a recipe that only proposes has looked for nothing else."""
    only_proposes = shown.round.recipe.proposes
    found, decided = shown.looked_for
    told = {proposed if only_proposes else suspicious: count(found), "of them decided": count(decided)}
    return told if only_proposes else told | {proposed: count(shown.proposed or None)}


def _samples_of(given: int, pseudo: int) -> dict[str, str]:
    show = "agreeing" if given == pseudo else "suspicious"
    return {"show": show, "status": "any", "given": str(given), "pseudo": str(pseudo)}


def _regions_of(given: int, pseudo: int) -> dict[str, str]:
    """Where both agree there are no regions: those of everything that was given this class."""
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
