"""Before/after comparisons: started, and the results of former ones."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from app.services.app_context import AppContext
from app.services.evaluation.preconditions import Readiness, readiness
from app.services.rounds import jobs as rounds
from app.services.rounds.jobs import RoundInfo
from core.config import RoundConfig
from core.judge.impact import MANY_CLASSES
from core.types import JobStatus, Recipe
from db.queries import rounds as round_rows

__all__ = [
    "ClassWords",
    "ImpactView",
    "MeasuredComparison",
    "Readiness",
    "class_words",
    "comparisons",
    "measured_comparison",
    "newest",
    "readiness",
    "remarks",
    "start",
    "view",
]


@dataclass(frozen=True, slots=True)
class MeasuredComparison:
    """A comparison and its result, None before it is done."""

    round: RoundInfo
    impact: dict[str, Any] | None


class ClassWords(NamedTuple):
    """Names of the columns by class, and a note on them."""

    interval: str
    p: str
    note: str


_TOGETHER = ClassWords("95 % interval, all classes together", "p adjusted (Bonferroni)", MANY_CLASSES)
_ALONE = ClassWords(
    "95 % interval, each class alone",
    "p adjusted (Holm)",
    "the intervals are of each class alone, so of 20 one misses by chance; only the adjusted p allows for the number "
    "of classes. Newer comparisons have intervals that do too",
)
_ADVICE = " Judge more images of the evaluation split to know more."  # ended older sentences, even with all judged


@dataclass(frozen=True, slots=True)
class ImpactView:
    """Values of the page: readiness for a comparison, results, and the work that must end first."""

    ready: Readiness
    found: list[MeasuredComparison]  # newest first
    unfinished: RoundInfo | None  # any round, since one runs at a time

    @property
    def at_work(self) -> RoundInfo | None:
        """Return the queued or running comparison."""
        return self.unfinished if self.unfinished and self.unfinished.recipe is Recipe.COMPARISON else None


def view(app_context: AppContext, dataset_id: int) -> ImpactView:
    """Return the readiness of a dataset for a comparison, and its comparisons.

    Raises:
        DatasetError: there is no such dataset.
    """
    unfinished = next((info for info in rounds.list_rounds(app_context, dataset_id) if not info.status.ended), None)
    return ImpactView(readiness(app_context, dataset_id), comparisons(app_context, dataset_id), unfinished)


def start(app_context: AppContext, dataset_id: int, by: str, *, seeds: int | None = None) -> RoundInfo:
    """Start a comparison with the settings of the newest round's first network, or those proposed for the images.

    Raises:
        RoundError: something is missing, or another round is unfinished, with the cure.
        ConfigError: the number of seeds is out of range.
    """
    done = [info for info in rounds.list_rounds(app_context, dataset_id) if info.is_reviewable]
    like = next((info.config for info in done if info.recipe.in_folds), None)
    config = rounds.propose_config(app_context, dataset_id) if like is None else RoundConfig.from_json(like).networks[0]
    settings = {} if seeds is None else {"seeds": seeds}
    return rounds.start_round(app_context, dataset_id, config, by, recipe=Recipe.COMPARISON, recipe_config=settings)


def comparisons(app_context: AppContext, dataset_id: int) -> list[MeasuredComparison]:
    """Return a dataset's comparisons, newest first, cancelled and failed ones too."""
    listed = rounds.list_rounds(app_context, dataset_id)
    return [measured_comparison(app_context, info) for info in listed if info.recipe is Recipe.COMPARISON]


def newest(found: list[MeasuredComparison]) -> MeasuredComparison | None:
    """Return the newest comparison that is done."""
    return next((one for one in found if one.impact is not None), None)


def measured_comparison(app_context: AppContext, info: RoundInfo) -> MeasuredComparison:
    """Return the result of a comparison."""
    if info.status is not JobStatus.DONE:
        return MeasuredComparison(info, None)
    with app_context.database.read() as session:
        measured = round_rows.metrics_of(session, info.id) or {}
    impact = measured.get("worth")
    if impact is not None:
        impact = impact | {"sentence": impact["sentence"].removesuffix(_ADVICE)}
    return MeasuredComparison(info, impact)


def class_words(impact: dict[str, Any]) -> ClassWords:
    """Return the column names by class: in older results, intervals are not corrected for the number of classes."""
    levels = {one["interval"]["level"] for one in impact["per_class"] if one["interval"] is not None}
    alone = len(impact["per_class"]) > 1 and levels == {impact["interval"]["level"]}
    return _ALONE if alone else _TOGETHER


def remarks(impact: dict[str, Any]) -> list[str]:
    """Return remarks on a result, one sentence each."""
    points = [f"{100 * one:+.2f}" for one in impact["seeds"]]
    lines = [f"Each seed alone: {', '.join(points)} points{_spread(impact)}."]
    learnt = impact["learnt"]
    lines.append(
        f"Learnt were {learnt['original']:,} original and {learnt['cleaned']:,} cleaned labels, of which "
        f"{impact['changed']:,} differ."
    )
    if impact["count"] < impact["images"]:
        lines.append(
            f"{impact['count']:,} of the {impact['images']:,} images of the evaluation split are judged, and the "
            "figures speak of images chosen as these were: if by suspicion, of the doubtful ones. Judge all of the "
            "split, also where the models agree, to speak of it as a whole."
        )
    elif impact["interval"]["low"] <= 0 <= impact["interval"]["high"]:
        lines.append("All images of the evaluation split are judged; a larger split would give a narrower interval.")
    return [*lines, impact["message"]] if impact["message"] else lines


def _spread(impact: dict[str, Any]) -> str:
    return "" if impact["spread"] is None else f", which spread by {100 * impact['spread']:.2f}"
