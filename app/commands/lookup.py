"""Look up the arguments of commands: the installation, a dataset, a round, a class, a person."""

import getpass

from app.commands.console import shell_quote
from app.services import datasets
from app.services.app_context import AppContext, open_app
from app.services.datasets import DatasetInfo
from app.services.rounds import jobs as rounds
from app.services.rounds.jobs import RoundInfo
from app.settings import settings
from core.types import DatasetError, JobStatus, RoundError


def app_context() -> AppContext:
    """Open the installation that the settings name."""
    return open_app(settings())


def get_dataset(opened: AppContext, text: str) -> DatasetInfo:
    """Return the dataset with this name or number.

    Raises:
        DatasetError: no dataset has it.
    """
    found = datasets.find_dataset(opened, text)
    if found is not None:
        return found
    known = [card.dataset for card in datasets.list_datasets(opened)]
    numbered = next((info for info in known if str(info.id) == text), None)
    if numbered is not None:
        return numbered
    names = ", ".join(sorted(info.name for info in known))
    cure = f"there are: {names}" if names else "import one first: python -m app import FOLDER"
    raise DatasetError(f"there is no dataset called {text}", cure)


def get_round(opened: AppContext, info: DatasetInfo, number: int | None) -> RoundInfo:
    """Return the dataset's finished round of this number, the newest without one.

    Raises:
        RoundError: there is no such round, or it is not finished.
    """
    known = rounds.list_rounds(opened, info.id)
    if number is None:
        found = next((each for each in known if each.is_reviewable), None)
    else:
        found = next((each for each in known if each.number == number), None)
    if found is None:
        which = "no finished round" if number is None else f"no round {number}"
        raise RoundError(f"{info.name} has {which}", f"start one with: python -m app round {shell_quote(info.name)}")
    if found.status is not JobStatus.DONE:
        raise RoundError(f"{found.name} of {info.name} is {found.status}", "wait for it, or choose a finished one")
    if not found.recipe.finds:
        raise RoundError(f"{found.name} of {info.name} is a {found.recipe} and has no findings", "choose another round")
    return found


def present_class(info: DatasetInfo, name: str | None) -> int | None:
    """Return the current class of a name; for a merged class, the target of the merge.

    Raises:
        DatasetError: the dataset has no such class.
    """
    return None if name is None else info.class_state.present(class_id(info, name))


def class_id(info: DatasetInfo, name: str) -> int:
    """Return the id of the class with this name.

    Raises:
        DatasetError: the dataset has no such class.
    """
    if name not in info.classes:
        offered = ", ".join(info.class_state.offered_names)
        raise DatasetError(f"{info.name} has no class {name}", f"its classes are {offered}")
    return info.classes.index(name)


def person(name: str) -> str:
    """Return the annotator's name: the given one, else the user's."""
    return name or getpass.getuser()
