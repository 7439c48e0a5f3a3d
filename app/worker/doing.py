"""What a recipe has to say for itself to be done as a round; `app.worker.recipes` has the table of all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.services.learnable import refuse_unlearnable
from app.services.workspace import Workspace
from core.config import RoundConfig
from core.data.snapshot import Snapshot
from core.judge.found import Judged
from core.types import Report
from db.queries import snapshots
from db.queries.rounds import RoundInfo
from db.queries.snapshots import LabelCounts

ShouldStop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class RoundAtWork:
    """A round, its folder, and who is told and asked while something is done for it."""

    workspace: Workspace
    info: RoundInfo
    folder: Path  # while the round opens a new one, which is to become the round's
    report: Report
    should_stop: ShouldStop

    @property
    def config(self) -> RoundConfig:
        """Return how its networks are trained."""
        return RoundConfig.from_json(self.info.config)

    def splits_of(self, snapshot: Snapshot) -> list[str]:
        """Return the split of each of the snapshot's samples, (N,)."""
        with self.workspace.database.read() as session:
            splits = {sample.id: sample.split for sample in snapshots.samples_for_round(session, self.info.dataset_id)}
        return [splits.get(number, "") for number in snapshot.sample_ids.tolist()]


@dataclass(frozen=True, slots=True)
class Doing:
    """The three jobs of a recipe."""

    open: Callable[[RoundAtWork, Snapshot], None]  # what it needs beside the snapshot, which is stored already
    learn: Callable[[RoundAtWork, int], None]  # the piece with this number
    judge: Callable[[RoundAtWork], Judged]
    refuse: Callable[[str, Sequence[str], LabelCounts, RoundConfig], None] = refuse_unlearnable  # see there
