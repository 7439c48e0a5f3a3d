"""Preconditions of a before/after comparison."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.evaluation.split_names import splits_in_words
from core.config.comparison import LEAST_JUDGED
from core.types import Cure, RoundError
from db.queries import datasets, evaluation, rounds


@dataclass(frozen=True, slots=True)
class Readiness:
    """Readiness of a dataset for a comparison: counts of judged images, and unmet preconditions."""

    dataset_id: int
    dataset: str
    splits: tuple[str, ...]  # for evaluation
    images: int  # in them
    judged: int  # of these, by people
    least: int  # judged images that a comparison needs
    changed: int  # images outside them whose label has changed
    review_round: int | None  # the newest round that judged labels, where more can be judged

    @property
    def missing(self) -> str:
        """Return the first unmet precondition with its cure, "" if there is none."""
        if not self.splits:
            return (
                f"no split of {self.dataset} is for evaluation, so there is nothing to measure on; protect or draw "
                f"one: {Cure.PROTECT}"
            )
        if self.images < self.least:
            return (
                f"the {self.in_words} of {self.dataset} has only {self.images} images, a comparison needs at least "
                f"{self.least} that people judged; draw more, or protect another split: {Cure.PROTECT}"
            )
        if self.judged < self.least:
            return (
                f"people judged {self.judged} images of the {self.in_words}, a comparison needs at least "
                f"{self.least}; judge {self.least - self.judged} more of it in the review"
            )
        if not self.changed:
            return (
                f"nothing outside of the {self.in_words} was changed, so both sides would learn the "
                "same; review some of the other findings first"
            )
        return ""

    @property
    def in_words(self) -> str:
        """Return the evaluation splits in words: "evaluation split test"."""
        return splits_in_words(self.splits)

    @property
    def queue(self) -> dict[str, str] | None:
        """Return the address of the review for judging more, the split first; None before the first round."""
        if self.review_round is None or not self.splits:
            return None
        of_split = {"split": self.splits[0], "show": "any"} if self.judged < self.least else {}
        return {"round": str(self.review_round)} | of_split


def readiness(app_context: AppContext, dataset_id: int) -> Readiness:
    """Return the readiness of a dataset for a comparison.

    Raises:
        DatasetError: there is no such dataset.
    """
    with app_context.database.read() as session:
        return read_readiness(session, dataset_id)


def read_readiness(session: Session, dataset_id: int) -> Readiness:
    """Return the same within a transaction."""
    info = datasets.get_dataset(session, dataset_id)
    protected = info.evaluation_splits
    listed = rounds.list_rounds(session, dataset_id)
    return Readiness(
        dataset_id,
        info.name,
        protected,
        sum(split.images for split in evaluation.splits(session, dataset_id) if split.protected),
        len(evaluation.judged(session, dataset_id, info.task, protected)),
        LEAST_JUDGED[info.task],
        evaluation.changed(session, dataset_id, info.task, protected),
        next((one.id for one in listed if one.is_reviewable and not one.recipe.proposes), None),
    )


def refuse_incomparable(session: Session, dataset_id: int) -> None:
    """Raise `RoundError` if a precondition of a comparison is missing."""
    missing = read_readiness(session, dataset_id).missing
    if missing:
        raise RoundError(missing)
