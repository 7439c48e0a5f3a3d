"""Tags of images: the complete set of classes that an image shows, from people and imports.

The latest tags stand. Images with a mask need no tags, since the mask shows its classes; tags given all the same are
compared with the mask (`tag_checks`). Tags are never empty: `None` takes them back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.services import masks, round_masks
from app.services.annotators import clean_name
from app.services.reviews.errors import NotFoundError, RefusedError
from app.services.reviews.storing import ActKey
from app.services.workspace import Workspace
from core.data.masks.store import class_pixels
from core.types import DatasetError, OutfoldError, RoundError
from db.queries import annotators, datasets, rounds, tagged_images, tags
from db.queries.datasets import DatasetInfo
from db.queries.rounds import RoundInfo
from db.queries.tagged_images import TagCounts, TaggedImage
from db.queries.tags import NewTagging, Tagging

__all__ = ["TagCounts", "TaggedImage", "Tagging"]

_LEAST_SHARE = 0.002  # of an image's pixels that a class must have to be suggested


class Show(StrEnum):
    """Set of images that the tag panel goes through."""

    TODO = "todo"  # neither tags nor a mask
    TAGGED = "tagged"
    MASKED = "masked"  # a mask and no tags
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Said:
    """Result of an act: the image and its current tags; `image` None: there was nothing to undo."""

    image: TaggedImage | None
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Panel:
    """The dataset that is tagged, how far it is, and the round that suggests, None: none does."""

    dataset: DatasetInfo
    counts: TagCounts
    round: RoundInfo | None


@dataclass(frozen=True, slots=True)
class Suggested:
    """An image and which classes a round, or its own mask, sees in it: (class, share of the pixels), most first."""

    image: TaggedImage
    classes: list[tuple[int, float]]


_WANTED = {Show.TODO: (False, False), Show.TAGGED: (None, True), Show.MASKED: (True, False), Show.ALL: (None, None)}


def tag(
    workspace: Workspace, sample_id: int, classes: Sequence[int] | None, *, by: str, key: ActKey | None = None
) -> Said:
    """Set the tags of an image, or take them back (`None`), and return the current ones.

    Raises:
        NotFoundError: there is no such image whose labels are masks.
        RefusedError: a class is none, or no class is named.
    """
    said = None if classes is None else sorted(set(classes))

    def act(session: Session, annotator_id: int, now: datetime) -> int:
        _, info = _image(session, sample_id)
        _refuse_unknown(said, info)
        row = NewTagging(
            sample_id=sample_id, classes=said, tagged_at=now, annotator_id=annotator_id,
            client_id=key.client if key else None, client_seq=key.seq if key else None,
        )  # fmt: skip
        tags.add_taggings(session, [row])
        return sample_id

    return _once(workspace, by, key, act)


def undo(workspace: Workspace, dataset_id: int, *, by: str, key: ActKey | None = None) -> Said:
    """Take back this person's last tags in a dataset that still stand: the tags before are restored.

    Later tags by others stay, and so do this person's earlier ones.
    """

    def act(session: Session, annotator_id: int, now: datetime) -> int | None:
        for mine in tags.last_of(session, dataset_id, annotator_id):
            stack = tags.standing(session, mine.sample_id)
            if stack[-1].id != mine.id:
                continue
            before = stack[-2].classes if len(stack) > 1 else None
            row = NewTagging(
                sample_id=mine.sample_id, classes=before, tagged_at=now, annotator_id=annotator_id, undoes_id=mine.id,
                client_id=key.client if key else None, client_seq=key.seq if key else None,
            )  # fmt: skip
            tags.add_taggings(session, [row])
            return mine.sample_id
        return None

    return _once(workspace, by, key, act)


def panel(workspace: Workspace, dataset_id: int) -> Panel:
    """Return what the tag panel is about.

    Raises:
        NotFoundError: there is no such dataset, or its labels are no masks.
    """
    with workspace.database.read() as session:
        info = _dataset(session, dataset_id)
        known = rounds.list_rounds(session, dataset_id)
        counts = tagged_images.counts(session, dataset_id)
    suggesting = (one for one in known if one.status.ended and _predicts(workspace, one))
    return Panel(info, counts, next(suggesting, None))


def queue(workspace: Workspace, dataset_id: int, show: Show, *, after: int = 0, limit: int = 16) -> list[Suggested]:
    """Return the next images to tag, by id, each with what is suggested for it.

    Raises:
        NotFoundError: there is no such dataset, or its labels are no masks.
    """
    opened = panel(workspace, dataset_id)
    masked, tagged = _WANTED[show]
    with workspace.database.read() as session:
        found = tagged_images.images(session, dataset_id, masked=masked, tagged=tagged, after=after, limit=limit)
    return [Suggested(image, suggested(workspace, image, opened.round)) for image in found]


def one(workspace: Workspace, sample_id: int) -> Suggested:
    """Return one image with what is suggested for it.

    Raises:
        NotFoundError: there is no such image whose labels are masks.
    """
    with workspace.database.read() as session:
        image, info = _image(session, sample_id)
    return Suggested(image, suggested(workspace, image, panel(workspace, info.id).round))


def suggested(workspace: Workspace, image: TaggedImage, by: RoundInfo | None) -> list[tuple[int, float]]:
    """Return the classes that an image's mask, or else a round's prediction, shows; most pixels first."""
    try:
        if image.masked:
            _, mask = masks.labels(workspace, image.id)
        elif by is not None:
            mask = round_masks.predicted_mask(workspace, by.id, image.id)
        else:
            return []
    except OutfoldError:  # an image the round did not see, or a mask that is damaged: nothing is suggested
        return []
    pixels = class_pixels(mask)
    least = 1 if image.masked else max(1, round(_LEAST_SHARE * mask.size))
    order = np.argsort(-pixels, kind="stable").tolist()
    return [(number, float(pixels[number] / mask.size)) for number in order if pixels[number] >= least]


def _predicts(workspace: Workspace, info: RoundInfo) -> bool:
    return info.is_reviewable and (workspace.round_folder(info.id) / "predicted.npy").is_file()


def _once(
    workspace: Workspace, by: str, key: ActKey | None, act: Callable[[Session, int, datetime], int | None]
) -> Said:
    """Run `act` in a transaction, unless it was stored under this key before; it returns the image it is about."""
    name = clean_name(by)

    def attempt() -> Said:
        with workspace.database.write() as session:
            now = datetime.now(UTC)
            known = tags.find_by_key(session, key.client, key.seq) if key else None
            about = known.sample_id if known else act(session, annotators.annotator_id(session, name, now), now)
            image = None if about is None else _image(session, about)[0]
            return Said(image, known.tagged_at if known else now)

    try:
        return attempt()
    except IntegrityError:  # the same act or annotator was stored a moment before: now it is found
        return attempt()


def _image(session: Session, sample_id: int) -> tuple[TaggedImage, DatasetInfo]:
    found = tagged_images.image(session, sample_id)
    if found is None:
        raise NotFoundError(f"there is no image {sample_id}", "reload the page")
    return found[0], _dataset(session, found[1])


def _dataset(session: Session, dataset_id: int) -> DatasetInfo:
    try:
        info = datasets.get_dataset(session, dataset_id)
    except (DatasetError, RoundError):
        raise NotFoundError(f"there is no dataset {dataset_id}", "choose one on the Datasets page") from None
    if info.colours is None:
        raise NotFoundError(f"the labels of {info.name} are classes", "choose a dataset whose labels are masks")
    return info


def _refuse_unknown(said: Sequence[int] | None, info: DatasetInfo) -> None:
    if said is None:
        return
    if not said:
        raise RefusedError("no class is marked", "mark what the image shows, or take its tags back")
    wrong = [number for number in said if not 0 <= number < len(info.classes)]
    if wrong:
        raise RefusedError(f"class {wrong[0]} is none of {info.name}", f"use 0 to {len(info.classes) - 1}")
