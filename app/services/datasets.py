"""Datasets: what there is, what its card shows, a new name; and the demo that a new installation begins with."""

from app.services import import_run, imports, rounds
from app.services.import_request import ImportRequest
from app.services.workspace import Workspace
from core.data.demo import write_demo
from core.data.formats.source import SourceFormat, is_storable
from core.types import DatasetError
from db.queries import datasets
from db.queries.datasets import DatasetCard, DatasetInfo, RoundSummary

__all__ = [
    "DEMO_NAME",
    "DatasetCard",
    "DatasetInfo",
    "RoundSummary",
    "ensure_demo",
    "find_dataset",
    "get_dataset",
    "list_datasets",
    "rename",
]

DEMO_NAME = "Handwritten digits (demo)"
_LONGEST_NAME = 200


def list_datasets(workspace: Workspace) -> list[DatasetCard]:
    """Return every dataset's card, newest first."""
    with workspace.database.read() as session:
        return datasets.cards(session)


def get_dataset(workspace: Workspace, dataset_id: int) -> DatasetInfo:
    """Return one dataset.

    Raises:
        DatasetError: there is none with this id.
    """
    with workspace.database.read() as session:
        return datasets.get_dataset(session, dataset_id)


def find_dataset(workspace: Workspace, name: str) -> DatasetInfo | None:
    """Return the dataset of this name."""
    with workspace.database.read() as session:
        return datasets.find_dataset(session, name)


def rename(workspace: Workspace, dataset_id: int, name: str) -> None:
    """Give a dataset another name.

    Raises:
        DatasetError: the name is empty, too long, or another dataset's.
    """
    wanted = name.strip()
    if not wanted or len(wanted) > _LONGEST_NAME or not is_storable(wanted):
        raise DatasetError(f"a name must have 1 to {_LONGEST_NAME} characters; choose another")
    with workspace.database.write() as session:
        other = datasets.find_dataset(session, wanted)
        if other is not None and other.id != dataset_id:
            raise DatasetError(f"another dataset is called {wanted}; choose another name")
        datasets.get_dataset(session, dataset_id)
        datasets.change_dataset(session, dataset_id, {"name": wanted})


def ensure_demo(workspace: Workspace) -> int | None:
    """On a new, empty installation write and import the demo and start its first round; return that dataset's id."""
    if not workspace.settings.demo or list_datasets(workspace) or imports.recent_imports(workspace, limit=1):
        return None
    folder = workspace.files / "demo" / "digits"
    write_demo(folder)
    request = ImportRequest(name=DEMO_NAME, source=str(folder), format=SourceFormat.IMAGEFOLDER)
    done = import_run.run_import(workspace, imports.start_import(workspace, request))
    if done.dataset_id is None:
        raise DatasetError(f"the demo could not be imported: {done.message}")
    config = rounds.propose_config(workspace, done.dataset_id)
    rounds.start_round(workspace, done.dataset_id, config, by="demo")
    return done.dataset_id
