"""Evaluation splits: parts of a dataset that judge models, are excluded from training and left out by bulk acts.

Protecting a split takes the write lock, as every bulk act does: an act sees it protected, or ended before. While
one is stored in parts, no split is protected.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.evaluation import lookalikes
from app.services.evaluation.lookalikes import Lookalikes
from app.services.evaluation.split_names import DRAWN, splits_in_words
from app.services.reviews.parts import unfinished_text
from app.services.rounds.request import refuse_unfinished
from core.config.comparison import LEAST_JUDGED
from core.data.drawing import draw_rows
from core.data.snapshot import whole_groups
from core.types import Cure, DatasetError
from db.agreeing_file import again_once_fetched
from db.queries import datasets, evaluation, imports, rounds
from db.queries.datasets import DatasetInfo
from db.queries.evaluation import Split

__all__ = ["Drawing", "Protection", "Split", "draw", "protect", "protection"]

SHARE = 0.1  # of the images
MOST = 0.5  # of the images, if a tenth is less than a comparison needs
LEAST_GROUPS = 2


@dataclass(frozen=True, slots=True)
class Drawing:
    """Proposed draw of an evaluation split: `images` of one split, "" for images in none.

    A tenth, but at least the `least` that a comparison still needs. 0 if it needs none, or if there are
    too few, with the reason in `lacks`.
    """

    out_of: str = ""
    images: int = 0
    least: int = 0
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class Protection:
    """A dataset's splits, and counts of its evaluation splits: images judged by people, and settled by bulk acts.

    `accepted` labels were accepted in bulk before their split was protected; they do not count as judged.
    """

    dataset: str
    splits: tuple[Split, ...]
    judged: int
    accepted: int
    alike: Lookalikes | None  # None: not searched since the images or splits changed
    drawing: Drawing

    @property
    def protected(self) -> tuple[str, ...]:
        """Return the names of the evaluation splits."""
        return tuple(split.name for split in self.splits if split.protected)

    def lines(self) -> list[str]:
        """Return remarks on the evaluation splits, one sentence each."""
        if not self.protected:
            return ["No split is for evaluation: rounds learn from every label.", *self._lacking]
        images = sum(split.images for split in self.splits if split.protected)
        rule = f"The {splits_in_words(self.protected)} is excluded from training, and no bulk act changes its labels"
        lines = [f"{rule}; people judged {self.judged:,} of its {images:,} images."]
        if self.accepted:
            bulk = f"{self.accepted:,} of its labels were accepted in bulk before, unseen"
            lines.append(f"{bulk}, so they do not count; judge them, or undo that act.")
        lines += self._lacking
        return lines if self.alike is None else [*lines, *self.alike.lines()]

    @property
    def _lacking(self) -> list[str]:
        return [self.drawing.lacks] if self.drawing.lacks else []


def protection(app_context: AppContext, dataset_id: int, *, find: bool = False) -> Protection:
    """Return a dataset's evaluation splits; `find`: also search for near-duplicates, which may take a while.

    Raises:
        DatasetError: there is no such dataset.
    """
    alike = lookalikes.find(app_context, dataset_id) if find else lookalikes.find_known(app_context, dataset_id)
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        protected, found = info.evaluation_splits, evaluation.splits(session, dataset_id)
        return Protection(
            info.name,
            tuple(found),
            len(evaluation.judged(session, dataset_id, info.task, protected)),
            sum(evaluation.bulk_accepted(session, dataset_id, split) for split in protected),
            alike,
            _proposed(info, found),
        )


def protect(app_context: AppContext, dataset_id: int, split: str, *, on: bool = True) -> Protection:
    """Mark a split as evaluation split, or remove the mark, and return the resulting state.

    Raises:
        DatasetError: there is no such dataset or split, nothing would be left to learn from, or a bulk act is running.
    """
    with app_context.database.write() as session:
        info = datasets.get_dataset(session, dataset_id)
        found = evaluation.splits(session, dataset_id)
        if on or split not in info.evaluation_splits:
            _refuse_unknown(info.name, split, found)
        if on:
            _refuse_everything(info.name, split, found)
            _refuse_accepting(session, info)
        kept = [name for name in info.evaluation_splits if name != split]
        values = {"evaluation_splits": sorted([*kept, split] if on else kept)}
        datasets.change_dataset(session, dataset_id, values)
    return protection(app_context, dataset_id)


@again_once_fetched
def draw(app_context: AppContext, dataset_id: int, *, share: float | None = None, seed: int = 0) -> Protection:
    """Draw a share of the images, whole groups at a time, into an evaluation split; None: the proposed share.

    They are taken from images in no split or, if all are in one, from the largest split not used for evaluation.
    A share smaller than a comparison needs is enlarged, to at most half of the images. Findings of former rounds in
    them belong to the new split too. Later imports leave a drawn split unchanged.

    Raises:
        DatasetError: there is no such dataset, it has such a split already, its images cannot be divided, or a bulk act
            is running.
        RoundError: a round is running, which trains on all of them and records their former splits.
    """
    if share is not None and not 0 < share < 1:
        raise DatasetError(f"the share is {share}, must be between 0 and 1", "a tenth is 0.1")
    with app_context.database.write() as session:
        info = datasets.get_dataset(session, dataset_id)
        splits = evaluation.splits(session, dataset_id)
        proposed = _proposed(info, splits)
        if not proposed.images and any(one.name == DRAWN for one in splits):
            is_drawn_already = DatasetError(f"{info.name} has a split {DRAWN!r} already", "protect that one")
            raise DatasetError(proposed.lacks) if proposed.lacks else is_drawn_already
        refuse_unfinished(info.name, rounds.list_rounds(session, dataset_id))
        _refuse_accepting(session, info)
        if share is None and proposed.lacks:
            raise DatasetError(proposed.lacks)
        found = evaluation.images_of_split(session, dataset_id, proposed.out_of)
        groups = whole_groups([group for _, group, _ in found], [content for *_, content in found])
        if len(set(groups.tolist())) < LEAST_GROUPS:
            raise DatasetError(
                f"of {info.name} there are no two images or groups to draw from, so none can be drawn",
                "protect one of its splits, or import more images",
            )
        wanted = proposed.images / len(found) if share is None else max(share, proposed.least / len(found))
        rows = draw_rows(groups, wanted or SHARE, seed, proposed.least)
        evaluation.move_to_split(session, [found[row][0] for row in rows.tolist()], DRAWN)
        datasets.change_dataset(session, dataset_id, {"evaluation_splits": sorted({*info.evaluation_splits, DRAWN})})
        datasets.count_splits(
            session, dataset_id, {one.name: one.images for one in evaluation.splits(session, dataset_id)}
        )
    return protection(app_context, dataset_id)


def _refuse_accepting(session: Session, info: DatasetInfo) -> None:
    """Raise `DatasetError` while a bulk act is stored in parts, which might accept labels of a new split."""
    if text := unfinished_text(session, info.id):
        raise DatasetError(f"{info.name}: {text}", "wait for its end, or undo that act")


def _proposed(info: DatasetInfo, found: list[Split]) -> Drawing:
    """Return the proposed draw: of images in no split, else of the largest split used for training."""
    least, kept = LEAST_JUDGED[info.task], sum(one.images for one in found if one.protected)
    left = [
        one for one in found if one.images and not one.protected and one.name not in {DRAWN, imports.UNLABELLED_SPLIT}
    ]
    source = max(left, key=lambda one: (not one.name, one.images), default=None)
    if source is None:
        return Drawing()
    if kept >= least or any(one.name == DRAWN and not one.protected for one in found):
        return Drawing(source.name)
    if least - kept > MOST * source.images:
        there = f"{least - kept:,} of its {source.images:,} images are more than half"
        lacks = f"{info.name} is too small to measure the impact of cleaning: that takes {least} images for evaluation"
        return Drawing(source.name, lacks=f"{lacks}, and {there}; import more.")
    return Drawing(source.name, max(0 if kept else round(SHARE * source.images), least - kept), least - kept)


def _refuse_unknown(name: str, split: str, found: list[Split]) -> None:
    names = [one.name for one in found if one.name]
    if split not in names:
        cure = (
            f"choose one of {', '.join(names)}"
            if names
            else f"draw one: {Cure.DRAW_SPLIT}; or import its images below folders train/ and test/"
        )
        raise DatasetError(f"{name} has no split {split!r}", cure)


def _refuse_everything(name: str, split: str, found: list[Split]) -> None:
    if all(one.protected or one.name == split or not one.images for one in found):
        raise DatasetError(f"{split} is all that {name} has left to learn from", "protect a smaller part of it")
