"""From the names people type to what they mean: the workspace, a dataset, a round, a class, a person."""

import getpass

from app.commands.speaking import quoted
from app.services import datasets, rounds
from app.services.datasets import DatasetInfo
from app.services.rounds import RoundInfo
from app.services.workspace import Workspace, open_workspace
from app.settings import settings
from core.types import DatasetError, RoundError, RoundStatus


def workspace() -> Workspace:
    """Open the installation that the settings name."""
    return open_workspace(settings())


def dataset_named(opened: Workspace, text: str) -> DatasetInfo:
    """Return the dataset with this name or number.

    Raises:
        DatasetError: there is none.
    """
    named = datasets.find_dataset(opened, text)
    if named is not None:
        return named
    known = [card.dataset for card in datasets.list_datasets(opened)]
    numbered = next((info for info in known if str(info.id) == text), None)
    if numbered is not None:
        return numbered
    names = ", ".join(sorted(info.name for info in known))
    cure = f"there are: {names}" if names else "import one first: python -m app import FOLDER"
    raise DatasetError(f"there is no dataset called {text}; {cure}")


def round_numbered(opened: Workspace, info: DatasetInfo, number: int | None) -> RoundInfo:
    """Return the dataset's finished round of this number, the newest without one.

    Raises:
        RoundError: there is none, or it is not finished.
    """
    known = rounds.list_rounds(opened, info.id)
    if number is None:
        found = next((each for each in known if each.is_reviewable), None)
    else:
        found = next((each for each in known if each.number == number), None)
    if found is None:
        which = "no finished round" if number is None else f"no round {number}"
        raise RoundError(f"{info.name} has {which}; start one with: python -m app round {quoted(info.name)}")
    if found.status is not RoundStatus.DONE:
        raise RoundError(f"{found.name} of {info.name} is {found.status}; wait for it, or choose a finished one")
    if not found.recipe.finds:
        raise RoundError(f"{found.name} of {info.name} is a {found.recipe} and has no findings; choose another round")
    return found


def class_named(info: DatasetInfo, name: str | None) -> int | None:
    """Return the class with this name.

    Raises:
        DatasetError: the dataset has none.
    """
    if name is None:
        return None
    if name not in info.classes:
        raise DatasetError(f"{info.name} has no class {name}; its classes are {', '.join(info.classes)}")
    return info.classes.index(name)


def person(name: str) -> str:
    """Return the name that verdicts carry: the one given, else the user's."""
    return name or getpass.getuser()
