"""Classes of a dataset as pages list them: offered ones, their uses, acts on them, and pairs that may be one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.services.app_context import AppContext
from app.services.imports.classes import same_by_spelling
from app.services.reviews.classes import ClassUse, PastClassAct, class_uses, past_acts
from app.services.reviews.reading import hints
from db.queries import classes as rows, datasets
from db.queries.datasets import DatasetInfo

MOST_ACTS = 50  # of the history


@dataclass(frozen=True, slots=True)
class ClassList:
    """Names of classes by id, the ids that are offered, in the order of listing, and the colours of masks.

    `merged` are the ids of merged classes with those that they mean now.
    """

    names: tuple[str, ...]
    offered: tuple[int, ...]
    colours: tuple[str, ...] | None
    merged: Mapping[int, int]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `merged` are pairs: the id of a merged class, and the one that it means now."""
        return {
            "classes": list(self.names),
            "offered": list(self.offered),
            "colours": self.colours,
            "merged": list(self.merged.items()),
        }


@dataclass(frozen=True, slots=True)
class SimilarClasses:
    """Two offered classes that may be one, and why."""

    class_id: int
    other_id: int
    why: str


@dataclass(frozen=True, slots=True)
class ClassOverview:
    """Everything on the Classes page; `history` is newest first."""

    dataset: DatasetInfo
    known: ClassList
    uses: tuple[ClassUse, ...]
    history: tuple[PastClassAct, ...]
    alike: tuple[SimilarClasses, ...]


def class_list(app_context: AppContext, dataset_id: int) -> ClassList:
    """Return the classes of a dataset.

    Raises:
        DatasetError: there is no such dataset.
    """
    with app_context.database.read() as session:
        return _listed(datasets.get_dataset(session, dataset_id))


def overview(app_context: AppContext, dataset_id: int) -> ClassOverview:
    """Return the contents of the Classes page.

    Raises:
        DatasetError: there is no such dataset.
    """
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        history = tuple(reversed(past_acts(session, dataset_id)[-MOST_ACTS:]))
        newest = rows.newest_round(session, dataset_id)
    known = _listed(info)
    uses = tuple(class_uses(app_context, dataset_id))
    return ClassOverview(info, known, uses, history, _alike(app_context, known, newest))


def similar_by_spelling(app_context: AppContext, dataset_id: int) -> list[SimilarClasses]:
    """Return a dataset's classes whose names differ only in case, blanks, hyphens or the form of letters."""
    return _similar_spellings(class_list(app_context, dataset_id))


def _similar_spellings(known: ClassList) -> list[SimilarClasses]:
    ids = {known.names[number]: number for number in known.offered}
    return [
        SimilarClasses(ids[other], ids[first], f"{first} and {other} differ in spelling alone")
        for first, *others in same_by_spelling(list(ids))
        for other in others
    ]


def _listed(info: DatasetInfo) -> ClassList:
    return ClassList(info.classes, info.class_state.offered, info.colours, info.class_state.merged)


def _alike(app_context: AppContext, known: ClassList, round_id: int | None) -> tuple[SimilarClasses, ...]:
    found = _similar_spellings(known)
    for hint in hints(app_context, round_id) if round_id is not None else ():
        if hint.classes is not None:
            found.append(SimilarClasses(*hint.classes, hint.text))
    return tuple(found)
