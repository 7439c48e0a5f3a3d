"""Interface of a round recipe, and the round it works on; `app.worker.recipes.RUNNERS` is the table of recipes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.services.app_context import AppContext
from app.services.rounds.checks import refuse_unlearnable
from core.config import RoundConfig
from core.data.snapshot import Snapshot
from core.judge.found import Judged
from core.types import Report
from db.queries import snapshots
from db.queries.rounds import RoundInfo
from db.queries.snapshots import LabelCounts

ShouldStop = Callable[[], bool]


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
class RecipeRunner:
    """The three jobs of a recipe, and its check of the labels before them."""

    open: Callable[[RoundContext, Snapshot], None]  # stores its inputs beside the snapshot, which is stored already
    learn: Callable[[RoundContext, int], None]  # trains the piece with this number
    judge: Callable[[RoundContext], Judged]
    refuse: Callable[[str, Sequence[str], LabelCounts, RoundConfig], None] = refuse_unlearnable
