"""Stages of the recipe "iterated" as people read them, with the results of those that are done."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.config import IteratedSettings
from core.config.iterated import MIRRORED
from core.recipes.folder import read_stage

_WORDS: Mapping[str, str] = {
    "baseline": "labels alone",
    "mirrored": "labels alone, mirrored",
    "teacher": "teacher with consistency",
    "vote": "voting network",
    "pseudo": "labelling",
    "student": "student",
    "tuned": "fine-tuning",
}
_NOT_NETWORKS = frozenset({"pseudo", "test"})  # the file of the first holds the label of each image


@dataclass(frozen=True, slots=True)
class StageScore:
    """Result of a stage's network on the validation images: accuracy, or mean IoU of masks."""

    name: str
    value: float


def stage_name(number: int, settings: IteratedSettings) -> str:
    """Return the name of a stage, counted from 0."""
    stages = settings.stages
    kind, _, own = stages[number].partition("_") if number < len(stages) else ("", "", "")
    if kind not in _WORDS:
        return "test and proposals"
    of = settings.votes if kind == "vote" else settings.iterations
    return f"{_WORDS[kind]} {own} of {of}" if own else _WORDS[kind]


def stage_scores(settings: IteratedSettings, folder: Path) -> list[StageScore]:
    """Return the results of the networks in a round's folder, in the order of their stages."""
    scores = []
    stages = [(name, stage_name(number, settings)) for number, name in enumerate(settings.stages)]
    for name, words in [stages[0], (MIRRORED, _WORDS[MIRRORED]), *stages[1:]]:
        if name.partition("_")[0] in _NOT_NETWORKS:
            continue
        try:
            done = read_stage(folder, name)
        except FileNotFoundError:
            continue
        value = done.get("score", {}).get("value")
        if value is not None:
            scores.append(StageScore(words, value))
    return scores
