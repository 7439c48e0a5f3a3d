"""Evaluation splits: parts of a dataset that judge models and never teach them; bulk acts leave them out.

Whoever protects a split takes the write lock, as every bulk act does: such an act sees it protected, or ended before.
"""

from dataclasses import dataclass

from app.services import lookalikes
from app.services.learnable import refuse_unfinished
from app.services.lookalikes import Lookalikes
from app.services.split_names import DRAWN, called
from app.services.workspace import Workspace
from core.data.drawing import drawn_rows
from core.data.snapshot import whole_groups
from core.types import DatasetError
from db.queries import datasets, evaluation, rounds
from db.queries.evaluation import Split

__all__ = ["Protection", "Split", "draw", "protect", "protection"]

SHARE = 0.1  # of the images
LEAST_GROUPS = 2


@dataclass(frozen=True, slots=True)
class Protection:
    """A dataset's splits, and what is known of those for evaluation: images people judged, and that bulk acts settled.

    `accepted` labels were accepted in bulk before their split was protected: they count as judged by nobody.
    """

    dataset: str
    splits: tuple[Split, ...]
    judged: int
    accepted: int
    alike: Lookalikes | None  # None: nobody has looked for them since the images or splits changed

    @property
    def protected(self) -> tuple[str, ...]:
        """Return the names of the evaluation splits."""
        return tuple(split.name for split in self.splits if split.protected)

    def lines(self) -> list[str]:
        """Return what a person should know of the evaluation splits, a sentence each."""
        if not self.protected:
            return ["No split is for evaluation: rounds learn from every label."]
        images = sum(split.images for split in self.splits if split.protected)
        rule = f"No round learns from the {called(self.protected)}, and no bulk act touches its labels"
        said = [f"{rule}; people judged {self.judged:,} of its {images:,} images."]
        if self.accepted:
            bulk = f"{self.accepted:,} of its labels were accepted in bulk before, looked at by nobody"
            said.append(f"{bulk}, so they do not count; judge them, or undo that act.")
        return said if self.alike is None else [*said, *self.alike.lines()]


def protection(workspace: Workspace, dataset_id: int, *, find: bool = False) -> Protection:
    """Return which of a dataset's splits are for evaluation; `find`: also look for near-duplicates, which may take.

    Raises:
        DatasetError: there is no such dataset.
    """
    alike = lookalikes.find(workspace, dataset_id) if find else lookalikes.known(workspace, dataset_id)
    with workspace.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        protected = info.evaluation_splits
        return Protection(
            info.name,
            tuple(evaluation.splits(session, dataset_id)),
            len(evaluation.judged(session, dataset_id, info.task, protected)),
            sum(evaluation.bulk_accepted(session, dataset_id, split) for split in protected),
            alike,
        )


def protect(workspace: Workspace, dataset_id: int, split: str, *, on: bool = True) -> Protection:
    """Mark a split as for evaluation, or take the mark away, and return how the dataset stands then.

    Raises:
        DatasetError: there is no such dataset or split, or nothing would be left to learn from.
    """
    with workspace.database.write() as session:
        info = datasets.get_dataset(session, dataset_id)
        found = evaluation.splits(session, dataset_id)
        if on or split not in info.evaluation_splits:
            _refuse_unknown(info.name, split, found)
        if on:
            _refuse_everything(info.name, split, found)
        kept = [name for name in info.evaluation_splits if name != split]
        values = {"evaluation_splits": sorted([*kept, split] if on else kept)}
        datasets.change_dataset(session, dataset_id, values)
    return protection(workspace, dataset_id)


def draw(workspace: Workspace, dataset_id: int, *, share: float = SHARE, seed: int = 0) -> Protection:
    """Draw a share of the images that are in no split, whole groups at a time, into one that is for evaluation.

    What rounds found in them so far belongs to the new split too. A later import leaves a drawn split as it is.

    Raises:
        DatasetError: there is no such dataset, it has such a split already, or its images cannot be divided.
        RoundError: a round is at work, which learns from all of them and writes down what splits they were in.
    """
    if not 0 < share < 1:
        raise DatasetError(f"the share is {share}, must be between 0 and 1; a tenth is 0.1")
    with workspace.database.write() as session:
        info = datasets.get_dataset(session, dataset_id)
        if any(one.name == DRAWN for one in evaluation.splits(session, dataset_id)):
            raise DatasetError(f"{info.name} has a split {DRAWN!r} already; protect that one")
        refuse_unfinished(info.name, rounds.list_rounds(session, dataset_id))
        found = evaluation.undivided(session, dataset_id)
        groups = whole_groups([group for _, group, _ in found], [content for *_, content in found])
        if len(set(groups.tolist())) < LEAST_GROUPS:
            raise DatasetError(
                f"of {info.name} there are no two images or groups outside of splits, so none can be drawn; "
                "protect one of its splits, or import more images"
            )
        rows = drawn_rows(groups, share, seed)
        evaluation.move_to_split(session, [found[row][0] for row in rows.tolist()], DRAWN)
        datasets.change_dataset(session, dataset_id, {"evaluation_splits": sorted([*info.evaluation_splits, DRAWN])})
        datasets.count_splits(
            session, dataset_id, {one.name: one.images for one in evaluation.splits(session, dataset_id)}
        )
    return protection(workspace, dataset_id)


def _refuse_unknown(name: str, split: str, found: list[Split]) -> None:
    named = [one.name for one in found if one.name]
    if split not in named:
        cure = (
            f"choose one of {', '.join(named)}"
            if named
            else "draw one (--draw 0.1), or import its images below folders train/ and test/"
        )
        raise DatasetError(f"{name} has no split {split!r}; {cure}")


def _refuse_everything(name: str, split: str, found: list[Split]) -> None:
    if all(one.protected or one.name == split or not one.images for one in found):
        raise DatasetError(f"{split} is all that {name} has left to learn from; protect a smaller part of it")
