"""Tags of images: the complete set of classes that an image shows, from people and imports.

The latest tags count. Images with a mask need no tags, since the mask shows its classes; tags given anyway are
compared with the mask (`tag_checks`). Tags are never empty: `None` removes them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.services.annotators import clean_name
from app.services.app_context import AppContext
from app.services.label_kinds import label_kind
from app.services.masks import current as masks, round_masks
from app.services.reviews.classes import refuse_unknown
from app.services.reviews.store import ActKey, NotFoundError, RefusedError, refuse_deleted_dataset
from core.data.masks.store import class_pixels
from core.types import DatasetError, OutfoldError, RoundError
from db.queries import datasets, decisions, rounds, tags
from db.queries.datasets import DatasetInfo
from db.queries.rounds import RoundInfo
from db.queries.tags import NewTagging, TagCounts, TaggedImage, Tagging

__all__ = ["TagCounts", "TaggedImage", "Tagging"]

_LEAST_SHARE = 0.002  # share of an image's pixels that a class needs to be suggested


class TagFilter(StrEnum):
    """Set of images in the tag panel."""

    TODO = "todo"  # neither tags nor a mask
    TAGGED = "tagged"
    MASKED = "masked"  # a mask and no tags
    ALL = "all"


@dataclass(frozen=True, slots=True)
class TagResult:
    """Result of an act: the image and its current tags; `image` None: there was nothing to undo."""

    image: TaggedImage | None
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Panel:
    """The dataset to tag, its progress, and the round with suggestions, None without one."""

    dataset: DatasetInfo
    counts: TagCounts
    round: RoundInfo | None


@dataclass(frozen=True, slots=True)
class TagSuggestion:
    """An image and the classes in its own mask or in a round's prediction: (class, share of pixels), largest first."""

    image: TaggedImage
    classes: list[tuple[int, float]]


_WANTED = {
    TagFilter.TODO: (False, False),
    TagFilter.TAGGED: (None, True),
    TagFilter.MASKED: (True, False),
    TagFilter.ALL: (None, None),
}


def tag(
    app_context: AppContext, sample_id: int, classes: Sequence[int] | None, *, by: str, key: ActKey | None = None
) -> TagResult:
    """Set or remove (`None`) the tags of an image, and return the current ones.

    Raises:
        DeletedError: the dataset is deleted and can be restored.
        NotFoundError: there is no such image whose labels are masks.
        RefusedError: a class does not exist, or no class is named.
    """
    present = None if classes is None else sorted(set(classes))

    def act(session: Session, annotator_id: int, now: datetime) -> int:
        _, info = _image(session, sample_id)
        _refuse_unknown(present, info)
        row = NewTagging(
            sample_id=sample_id, classes=present, tagged_at=now, annotator_id=annotator_id,
            client_id=key.client if key else None, client_seq=key.seq if key else None,
        )  # fmt: skip
        tags.add_taggings(session, [row])
        return sample_id

    return _once(app_context, by, key, act)


def undo(app_context: AppContext, dataset_id: int, *, by: str, key: ActKey | None = None) -> TagResult:
    """Undo this person's last current tags in a dataset: the former tags are restored.

    Later tags by others and this person's earlier ones stay.

    Raises:
        DeletedError: the dataset is deleted and can be restored.
        NotFoundError: there is no such dataset, or its labels are not masks.
    """

    def act(session: Session, annotator_id: int, now: datetime) -> int | None:
        _dataset(session, dataset_id)
        for mine in tags.last_taggings(session, dataset_id, annotator_id):
            stack = tags.current_taggings(session, mine.sample_id)
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

    return _once(app_context, by, key, act)


def panel(app_context: AppContext, dataset_id: int) -> Panel:
    """Return the content of the tag panel.

    Raises:
        NotFoundError: there is no such dataset, or its labels are not masks.
    """
    with app_context.database.read() as session:
        info = _dataset(session, dataset_id)
        known = rounds.list_rounds(session, dataset_id)
        counts = tags.count_tags(session, dataset_id)
    suggesting = (one for one in known if one.status.ended and _predicts(app_context, one))
    return Panel(info, counts, next(suggesting, None))


def queue(
    app_context: AppContext, dataset_id: int, show: TagFilter, *, after: int = 0, limit: int = 16
) -> list[TagSuggestion]:
    """Return the next images to tag, by id, each with suggested classes.

    Raises:
        NotFoundError: there is no such dataset, or its labels are not masks.
    """
    opened = panel(app_context, dataset_id)
    masked, tagged = _WANTED[show]
    with app_context.database.read() as session:
        found = tags.tagged_images(session, dataset_id, masked=masked, tagged=tagged, after=after, limit=limit)
    return [TagSuggestion(image, suggested(app_context, image, opened.round)) for image in found]


def suggest_tags(app_context: AppContext, sample_id: int) -> TagSuggestion:
    """Return one image with suggested classes.

    Raises:
        NotFoundError: there is no such image whose labels are masks.
    """
    with app_context.database.read() as session:
        image, info = _image(session, sample_id)
    return TagSuggestion(image, suggested(app_context, image, panel(app_context, info.id).round))


def suggested(app_context: AppContext, image: TaggedImage, by: RoundInfo | None) -> list[tuple[int, float]]:
    """Return the classes in an image's mask, or else in a round's prediction; most pixels first."""
    try:
        if image.masked:
            _, mask = masks.read_mask(app_context, image.id)
        elif by is not None:
            mask = round_masks.predicted_mask(app_context, by.id, image.id)
        else:
            return []
    except OutfoldError:  # an image outside the round, or a damaged mask: nothing is suggested
        return []
    pixels = class_pixels(mask)
    least = 1 if image.masked else max(1, round(_LEAST_SHARE * mask.size))
    order = np.argsort(-pixels, kind="stable").tolist()
    return [(number, float(pixels[number] / mask.size)) for number in order if pixels[number] >= least]


def _predicts(app_context: AppContext, info: RoundInfo) -> bool:
    return info.is_reviewable and (app_context.round_folder(info.id) / "predicted.npy").is_file()


def _once(
    app_context: AppContext, by: str, key: ActKey | None, act: Callable[[Session, int, datetime], int | None]
) -> TagResult:
    """Run `act` in a transaction, unless it was stored under this key before; it returns its image."""
    name = clean_name(by)

    def attempt() -> TagResult:
        with app_context.database.write() as session:
            now = datetime.now(UTC)
            known = tags.find_by_key(session, key.client, key.seq) if key else None
            about = known.sample_id if known else act(session, decisions.annotator_id(session, name, now), now)
            image = None if about is None else _image(session, about)[0]
            return TagResult(image, known.tagged_at if known else now)

    try:
        return attempt()
    except IntegrityError:  # the same act or annotator was stored a moment ago: now it is found
        return attempt()


def _image(session: Session, sample_id: int) -> tuple[TaggedImage, DatasetInfo]:
    found = tags.tagged_image(session, sample_id)
    if found is None:
        raise NotFoundError(f"there is no image {sample_id}", "reload the page")
    image, dataset_id = found
    return image, _dataset(session, dataset_id, image.name)


def _dataset(session: Session, dataset_id: int, *images: str) -> DatasetInfo:
    try:
        info = datasets.get_dataset(session, dataset_id)
    except (DatasetError, RoundError):
        refuse_deleted_dataset(session, dataset_id, images)
        raise NotFoundError(f"there is no dataset {dataset_id}", "choose one on the Datasets page") from None
    if not label_kind(info.task).has_pixels:
        raise NotFoundError(f"the labels of {info.name} are classes", "choose a dataset whose labels are masks")
    return info


def _refuse_unknown(present: Sequence[int] | None, info: DatasetInfo) -> None:
    if present is None:
        return
    if not present:
        raise RefusedError("no class is marked", "mark what the image shows, or take its tags back")
    wrong = [number for number in present if not 0 <= number < len(info.classes)]
    if wrong:
        raise RefusedError(f"class {wrong[0]} is none of {info.name}", f"use 0 to {len(info.classes) - 1}")
    for number in sorted(present):
        refuse_unknown(number, info.class_state)
