"""Opening of the mask editor: its first image and the reachable images, with or without a round."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.label_kinds import label_kind
from app.services.reviews.store import NotFoundError
from db.queries import datasets, masks, rounds
from db.queries.datasets import DatasetInfo
from db.queries.snapshots import Sample

LISTED = 60  # images shown at once


@dataclass(frozen=True, slots=True)
class Opening:
    """An image of a dataset of masks, and the finished round whose findings are shown; None before the first one."""

    dataset_id: int
    round_id: int | None
    sample_id: int


def find_opening(
    app_context: AppContext, round_id: int | None = None, sample_id: int | None = None, dataset_id: int | None = None
) -> Opening | None:
    """Return the start of the editor: the requested round, dataset and image if possible.

    Else the newest round's worst image, or the first image of the newest dataset without a round. None if the request,
    or every dataset, is not about masks.
    """
    with app_context.database.read() as session:
        wanted = None if sample_id is None else masks.find_sample(session, sample_id)
        for dataset, in_round in _places(session, round_id, dataset_id):
            first = masks.first_image(session, dataset, in_round)
            if first is not None:
                fits = wanted is not None and wanted.dataset_id == dataset
                return Opening(dataset, in_round, wanted.id if wanted is not None and fits else first)
    return None


def opening_problem(app_context: AppContext, opening: Opening, address: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the reason why the address is not opened, and the name of the replacement; None if it is opened.

    `address` holds the values for these three by name; "" for missing ones.
    """
    with app_context.database.read() as session:
        known = {info.id: info for info in datasets.datasets(session)}
        info = next((one for one in rounds.list_rounds(session) if str(one.id) == address["round"]), None)
        shown = known[opening.dataset_id]
        if address["round"] and info is None:
            return f"There is no round {address['round']} to show", shown.name
        other = address["dataset"] if info is None else str(info.dataset_id)
        if other and other != str(shown.id):
            return _why_not(next((one for one in known.values() if str(one.id) == other), None), other), shown.name
        if address["sample"] and address["sample"] != str(opening.sample_id):
            image = masks.find_sample(session, opening.sample_id)
            return f"There is no image {address['sample']} in {shown.name}", "" if image is None else image.name
    return None


def list_images(
    app_context: AppContext, dataset_id: int, round_id: int | None, text: str = "", after: int | None = None
) -> list[tuple[Sample, int, int]]:
    """Return the images whose name contains `text`, by name; `after` is the last one of the previous page.

    Each comes with its number of regions found by the round, and of those not settled.

    Raises:
        NotFoundError: there is no image `after`.
    """
    with app_context.database.read() as session:
        last = None if after is None else masks.find_sample(session, after)
        if after is not None and last is None:
            raise NotFoundError(f"there is no image {after}", "begin again without 'after'")
        place = None if last is None else (last.name, last.id)
        return masks.named_images(session, dataset_id, round_id, text, after=place, limit=LISTED)


def _why_not(info: DatasetInfo | None, dataset: str) -> str:
    """Return the reason why no mask of a dataset can be painted."""
    if info is None:
        return f"There is no dataset {dataset} to show"
    if not label_kind(info.task).has_pixels:
        return f"The labels of {info.name} are classes, so there is nothing to paint"
    return f"{info.name} has no images to paint"


def _places(session: Session, round_id: int | None, dataset_id: int | None) -> Iterator[tuple[int, int | None]]:
    """Yield each (dataset, round) with masks to edit, in order of preference."""
    masked = masks.masked_datasets(session)
    known = rounds.list_rounds(session)  # the newest first
    done = [info for info in known if info.is_reviewable and info.dataset_id in masked]
    requested = next((info for info in known if info.id == round_id), None)
    wanted = dataset_id if requested is None else requested.dataset_id
    yield from ((info.dataset_id, info.id) for info in done if info.id == round_id)
    yield from ((info.dataset_id, info.id) for info in done if wanted in {None, info.dataset_id})
    yield from ((one, None) for one in masked if wanted in {None, one})
