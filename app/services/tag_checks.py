"""Current contradictions between an image's tags and its mask, or a round's prediction of it."""

from dataclasses import dataclass

import numpy as np

from app.services import masks, round_masks, tags
from app.services.reviews.errors import NotFoundError
from app.services.tag_tables import masks_dataset
from app.services.workspace import Workspace
from core.config import RoundConfig
from core.judge.tag_checks import BoolArray, Doubt, mask_doubts, prediction_doubts
from db.queries import tagged_images


@dataclass(frozen=True, slots=True)
class FoundDoubt:
    """One class of one image that its tags and its mask, or a prediction of it, do not agree on."""

    sample_id: int
    name: str
    content_hash: str
    doubt: Doubt


def find_doubts(workspace: Workspace, dataset_id: int) -> list[FoundDoubt]:
    """Return what is missing of each tagged image, or is there against its tags; doubts about masks first.

    Images without a mask are looked at by the newest round's prediction of them, if there is one.

    Raises:
        DatasetError: there is no such dataset, its labels are classes, or a mask is damaged.
    """
    info = masks_dataset(workspace, dataset_id)
    panel = tags.panel(workspace, info.id)
    with workspace.database.read() as session:
        images = tagged_images.images(session, info.id, masked=None, tagged=True, after=0, limit=panel.counts.images)
    least = 1 if panel.round is None else RoundConfig.from_json(panel.round.config).min_region
    found = []
    for image in images:
        present: BoolArray = np.zeros(len(info.classes), np.bool_)
        present[image.classes or []] = True
        doubts: list[Doubt] = []
        if image.masked:
            doubts = mask_doubts(present, masks.labels(workspace, image.id)[1], bare=image.bare)
        elif panel.round is not None:
            try:
                predicted = round_masks.predicted_mask(workspace, panel.round.id, image.id)
            except NotFoundError:  # the round did not see this image
                continue
            doubts = prediction_doubts(present, predicted, least)
        found += [FoundDoubt(image.id, image.name, image.content_hash, doubt) for doubt in doubts]
    return sorted(found, key=lambda one: (one.doubt.predicted, -one.doubt.pixels, one.sample_id))
