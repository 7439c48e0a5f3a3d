"""Entry of a recipe in the registry, the request of a round with its usual refusals, and the round worked on.

A round is requested, opened, trained in pieces, and judged. The worker's jobs (`app.worker.steps`) are the same for
all recipes; each may be killed and repeated. Each fold is a piece; every other recipe is one piece, which resumes from
the files in the round's folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from core.config import RecipeSettings, RoundConfig
from core.data import shards
from core.data.snapshot import Snapshot
from core.judge.found import Judged
from core.recipes.iterated.ceiling import Ceiling
from core.recipes.iterated.progress import StageScore
from core.types import Report, RoundError
from db.queries import snapshots
from db.queries.rounds import RoundInfo
from db.queries.snapshots import LabelCounts

ShouldStop = Callable[[], bool]
LEAST_FOLDS = 2
_LEAST_CLASSES = 2


@dataclass(frozen=True, slots=True)
class RequestedRound:
    """A round about to be started."""

    app_context: AppContext
    dataset_id: int
    dataset: str
    classes: list[str]
    config: RoundConfig
    settings: RecipeSettings


@dataclass(frozen=True, slots=True)
class RoundContext:
    """A round, its folder, and the callbacks for progress and cancellation."""

    app_context: AppContext
    info: RoundInfo
    folder: Path  # while the round opens: a new folder, which becomes the round's
    report: Report
    should_stop: ShouldStop

    @property
    def config(self) -> RoundConfig:
        """Return the training configuration."""
        return RoundConfig.from_json(self.info.config)

    def splits_of(self, snapshot: Snapshot) -> list[str]:
        """Return the split of each of the snapshot's samples, (N,)."""
        with self.app_context.database.read() as session:
            splits = {sample.id: sample.split for sample in snapshots.samples_of(session, self.info.dataset_id)}
        return [splits.get(number, "") for number in snapshot.sample_ids.tolist()]


@dataclass(frozen=True, slots=True)
class StageResults:
    """Results of the finished networks of a running round, and the ceiling set by a former round."""

    scores: list[StageScore] = field(default_factory=list)
    ceiling: Ceiling | None = None


def prepare_nothing(
    _app_context: AppContext, _dataset_id: int, settings: RecipeSettings, config: RoundConfig
) -> tuple[RecipeSettings, dict[str, Any]]:
    """Return the settings unchanged, and the facts that are stored as the round's config."""
    return settings, config.to_json()


def no_stages(_info: RoundInfo, _folder: Path) -> StageResults:
    """Return no results, for a recipe without stages."""
    return StageResults()


def plan_shards(context: RoundContext, snapshot: Snapshot) -> None:
    """Divide the images of a large round over a frozen network into shards, as the round opens."""
    if len(snapshot) > shards.IMAGES:
        from core.embedding import plan_shards as plan  # noqa: PLC0415  # torch, which smaller rounds need not wait for

        plan(context.folder, context.config, snapshot)


def refuse_unlearnable(name: str, classes: Sequence[str], counts: LabelCounts, config: RoundConfig) -> None:
    """Raise `RoundError` if these labels, or the classes in these masks, cannot be cross-validated."""
    found = [label for label, count in counts.images.items() if count > 0]
    if not found:
        raise RoundError(f"{name} has no labels to learn from", "label some images, or import a folder with classes")
    if len(found) < _LEAST_CLASSES:
        raise RoundError(
            f"every label of {name} is {classes[found[0]]!r}", "a round needs at least two classes to tell apart"
        )
    if counts.labelled < config.folds * _LEAST_CLASSES:
        most = counts.labelled // _LEAST_CLASSES
        cure = f"choose at most {most} folds" if most >= _LEAST_CLASSES else "import more labelled images"
        raise RoundError(f"{name} has {counts.labelled} labelled images, too few for {config.folds} folds", cure)


def refuse_inseparable(name: str, apart: int, config: RoundConfig) -> None:
    """Raise `RoundError` if there are fewer independent images and groups than folds."""
    if apart < config.folds:
        cure = f"choose at most {apart} folds" if apart >= LEAST_FOLDS else "give its images more than one group"
        raise RoundError(
            f"the images of {name} are of {apart} {'group' if apart == 1 else 'groups'} that must stay whole, too few "
            f"for {config.folds} folds",
            f"{cure}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeEntry:
    """Settings and work of a recipe; its properties are those of the member of `Recipe`.

    `refuse` raises `RoundError` or `ConfigError` for a request; `refuse_labels` for the labels that the round opens
    with: dataset, classes, counts, config. `open` stores the inputs beside the stored snapshot;
    `learn` does the piece with this number; `judge` returns findings and figures.
    """

    settings: type[RecipeSettings]
    refuse: Callable[[Session, RequestedRound], None]
    open: Callable[[RoundContext, Snapshot], None]
    learn: Callable[[RoundContext, int], None]
    judge: Callable[[RoundContext], Judged]
    refuse_labels: Callable[[str, Sequence[str], LabelCounts, RoundConfig], None] = refuse_unlearnable
    prepare: Callable[[AppContext, int, RecipeSettings, RoundConfig], tuple[RecipeSettings, dict[str, Any]]] = (
        prepare_nothing
    )
    stages: Callable[[RoundInfo, Path], StageResults] = no_stages
