"""Before/after comparisons: starting one, and the results of former ones."""

from dataclasses import dataclass
from typing import Any

from app.services import rounds
from app.services.comparable import Readiness, readiness
from app.services.rounds import RoundInfo
from app.services.workspace import Workspace
from core.config import RoundConfig
from core.types import Recipe, RoundStatus
from db.queries import rounds as round_rows

__all__ = ["Readiness", "Said", "View", "comparisons", "newest", "readiness", "remarks", "said", "start", "view"]


@dataclass(frozen=True, slots=True)
class Said:
    """A comparison and its result, None before it is done."""

    round: RoundInfo
    worth: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class View:
    """Values of the page: readiness for a comparison, its results, and the work that must end first."""

    ready: Readiness
    found: list[Said]  # newest first
    unfinished: RoundInfo | None  # any round, since one runs at a time

    @property
    def at_work(self) -> RoundInfo | None:
        """Return the comparison that waits or runs."""
        return self.unfinished if self.unfinished and self.unfinished.recipe is Recipe.COMPARISON else None


def view(workspace: Workspace, dataset_id: int) -> View:
    """Return what there is to know of a dataset's comparisons.

    Raises:
        DatasetError: there is no such dataset.
    """
    unfinished = next((info for info in rounds.list_rounds(workspace, dataset_id) if not info.status.ended), None)
    return View(readiness(workspace, dataset_id), comparisons(workspace, dataset_id), unfinished)


def start(workspace: Workspace, dataset_id: int, by: str, *, seeds: int | None = None) -> RoundInfo:
    """Start a comparison with the settings of the newest round's first network, or those proposed for the images.

    Raises:
        RoundError: something is missing, or another round is unfinished; the text says the cure.
        ConfigError: so many seeds cannot be.
    """
    done = [info for info in rounds.list_rounds(workspace, dataset_id) if info.is_reviewable]
    like = next((info.config for info in done if info.recipe is Recipe.CROSS_FOLD), None)
    config = rounds.propose_config(workspace, dataset_id) if like is None else RoundConfig.from_json(like).networks[0]
    settings = {} if seeds is None else {"seeds": seeds}
    return rounds.start_round(workspace, dataset_id, config, by, recipe=Recipe.COMPARISON, recipe_config=settings)


def comparisons(workspace: Workspace, dataset_id: int) -> list[Said]:
    """Return a dataset's comparisons, newest first, cancelled and failed ones too."""
    listed = rounds.list_rounds(workspace, dataset_id)
    return [said(workspace, info) for info in listed if info.recipe is Recipe.COMPARISON]


def newest(found: list[Said]) -> Said | None:
    """Return the newest comparison that is done."""
    return next((one for one in found if one.worth is not None), None)


def said(workspace: Workspace, info: RoundInfo) -> Said:
    """Return the result of a comparison."""
    if info.status is not RoundStatus.DONE:
        return Said(info, None)
    with workspace.database.read() as session:
        measured = round_rows.metrics_of(session, info.id) or {}
    return Said(info, measured.get("worth"))


def remarks(worth: dict[str, Any]) -> list[str]:
    """Return what else a person should know of a result, a sentence each."""
    points = [f"{100 * one:+.2f}" for one in worth["seeds"]]
    said = [f"Each seed by itself: {', '.join(points)} points{_spread(worth)}."]
    learnt = worth["learnt"]
    said.append(
        f"Learnt were {learnt['original']:,} original and {learnt['cleaned']:,} cleaned labels, of which "
        f"{worth['changed']:,} differ."
    )
    if worth["count"] < worth["images"]:
        said.append(
            f"{worth['count']:,} of the {worth['images']:,} images of the evaluation split are judged, and the figures "
            "speak of images chosen as these were: if by suspicion, of the doubtful ones. Judge all of the split, also "
            "where the models agree, to speak of it as a whole."
        )
    return [*said, worth["message"]] if worth["message"] else said


def _spread(worth: dict[str, Any]) -> str:
    return "" if worth["spread"] is None else f", which spread by {100 * worth['spread']:.2f}"
