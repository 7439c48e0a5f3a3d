"""Datasets: all of them, the values of their cards, renaming."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.services.app_context import AppContext
from app.services.members import refuse_hidden_name
from app.services.reviews.precision import WrongLabels, wrong_labels_of_dataset
from app.services.rounds import jobs as rounds
from app.services.rounds.jobs import RoundProgress
from core.data.formats.source import is_storable
from core.data.windows import parse_window, window_text
from core.types import DatasetError
from db.queries import datasets, imports
from db.queries.datasets import DatasetCard, DatasetInfo, RoundSummary
from db.queries.imports import ImportInfo

__all__ = [
    "DatasetCard",
    "DatasetInfo",
    "Overview",
    "RoundSummary",
    "WrongLabels",
    "find_dataset",
    "get_dataset",
    "list_datasets",
    "overview",
    "rename",
    "wrong_labels",
]

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the datasets page shows of an installation."""

    cards: list[DatasetCard]
    wrong: Mapping[int, WrongLabels]  # by dataset; none before the first round that judges labels
    unfinished: list[ImportInfo]  # imports that wait or run
    progress: Mapping[int, RoundProgress]  # by dataset whose newest round waits or runs

    @property
    def at_work(self) -> tuple[list[int], list[int]]:
        """The ids of the imports and of the rounds that will change by themselves."""
        return [info.id for info in self.unfinished], [one.round.id for one in self.progress.values()]

    @property
    def is_empty(self) -> bool:
        """Return whether there are neither datasets nor running imports."""
        return not self.cards and not self.unfinished


def overview(app_context: AppContext) -> Overview:
    """Return datasets, running imports and the progress of rounds."""
    cards = list_datasets(app_context)
    with app_context.database.read() as session:
        unfinished = imports.unfinished_imports(session)
    progress = {
        card.dataset.id: rounds.progress(app_context, card.newest.id)
        for card in cards
        if card.newest is not None and not card.newest.status.ended
    }
    return Overview(cards, wrong_labels(app_context, cards), unfinished, progress)


def list_datasets(app_context: AppContext) -> list[DatasetCard]:
    """Return every dataset's card, newest first."""
    with app_context.database.read() as session:
        return datasets.cards(session)


def wrong_labels(app_context: AppContext, cards: Iterable[DatasetCard]) -> dict[int, WrongLabels]:
    """Return, by dataset, what random samples tell of its wrong labels; none before a round has judged them."""
    with app_context.database.read() as session:
        found = {
            card.dataset.id: wrong_labels_of_dataset(app_context, session, card.dataset.id)
            for card in cards
            if card.reviewable is not None
        }
    return {dataset_id: wrong for dataset_id, wrong in found.items() if wrong is not None}


def dataset_ids(app_context: AppContext) -> set[int]:
    """Return the ids of all datasets."""
    with app_context.database.read() as session:
        return {info.id for info in datasets.datasets(session)}


def get_dataset(app_context: AppContext, dataset_id: int) -> DatasetInfo:
    """Return one dataset.

    Raises:
        DatasetError: there is none with this id.
    """
    with app_context.database.read() as session:
        return datasets.get_dataset(session, dataset_id)


def find_dataset(app_context: AppContext, name: str) -> DatasetInfo | None:
    """Return the dataset of this name."""
    with app_context.database.read() as session:
        return datasets.find_dataset(session, name)


def set_window(app_context: AppContext, dataset_id: int, text: str) -> None:
    """See a dataset's greys of more than 8 bits by another range from now on; rounds keep the one they opened with.

    Raises:
        DatasetError: it is not a range.
    """
    window = window_text(parse_window(text))
    with app_context.database.write() as session:
        info = datasets.get_dataset(session, dataset_id)
        datasets.change_dataset(session, dataset_id, {"options": {**info.options, "window": window}})


def rename(app_context: AppContext, dataset_id: int, name: str) -> None:
    """Give a dataset another name.

    Raises:
        DatasetError: the name is empty, too long, or another dataset's.
    """
    wanted = name.strip()
    if not wanted or len(wanted) > _LONGEST_NAME or not is_storable(wanted):
        raise DatasetError(f"a name must have 1 to {_LONGEST_NAME} characters", "choose another")
    refuse_hidden_name(app_context, wanted)
    with app_context.database.write() as session:
        other = datasets.find_dataset(session, wanted)
        if other is not None and other.id != dataset_id:
            raise DatasetError(f"another dataset is called {wanted}", "choose another name")
        datasets.get_dataset(session, dataset_id)
        datasets.change_dataset(session, dataset_id, {"name": wanted})
