"""Contradictions between tags and masks: classes tagged but not in the mask, and in the mask but not tagged.

Tags are compared with the mask of an image, or with the prediction of an image without one. K classes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.arrays import read_mask
from core.data.masks.store import MaskStore, class_pixels
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot, masks_of
from core.judge.open_pixels import is_begun
from core.types import DatasetError, IntArray, RoundError

BoolArray = NDArray[np.bool_]
_MOST_CONFLICTS = 200  # in a round's figures; the others are only counted


class Contradiction(StrEnum):
    """Kinds of contradictions between the tags and the mask of an image."""

    MISSING = "missing"  # a tagged class is not in the mask or the prediction
    EXCLUDED = "excluded"  # a class of the mask is not tagged


@dataclass(frozen=True, slots=True)
class TagConflict:
    """Class of an image on which its tags and its mask disagree."""

    contradiction: Contradiction
    label: int
    pixels: int  # of the class in the mask or the prediction
    predicted: bool  # true: compared with the prediction, since there is no mask


def mask_conflicts(present: BoolArray, mask: IntArray, *, bare: bool) -> list[TagConflict]:
    """Return the conflicts of a mask, (H, W), with the tags of its image, (K,); one pixel of a class counts.

    A class cannot be missing in the unfinished mask of a `bare` image, which came without one.
    """
    pixels = class_pixels(mask, len(present))[: len(present)]
    missing = [] if bare and is_begun(mask) else np.flatnonzero(present & (pixels == 0)).tolist()
    excluded = np.flatnonzero(~present & (pixels > 0)).tolist()
    return [TagConflict(Contradiction.MISSING, label, 0, predicted=False) for label in missing] + [
        TagConflict(Contradiction.EXCLUDED, label, int(pixels[label]), predicted=False) for label in excluded
    ]


def prediction_conflicts(present: BoolArray, predicted: IntArray, least: int) -> list[TagConflict]:
    """Return the tagged classes, (K,), of which a prediction, (H, W), has fewer than `least` pixels.

    Other predicted classes are not conflicts: the prediction may be older than the tags, which exclude them from the
    next round on. An image that is IGNORE throughout was not predicted.
    """
    pixels = class_pixels(predicted, len(present))[: len(present)]
    if not pixels.any():
        return []
    missing = np.flatnonzero(present & (pixels < least)).tolist()
    return [TagConflict(Contradiction.MISSING, label, int(pixels[label]), predicted=True) for label in missing]


def check_tags(folder: Path, snapshot: Snapshot, store: MaskStore, least: int) -> dict[str, Any]:
    """Check the tags of a finished round; return JSON values, conflicts with masks first, the largest first.

    Raises:
        RoundError: a mask cannot be read; names the image.
    """
    if snapshot.tags is None:
        return {}
    found = sorted(
        _conflicts(folder, snapshot, snapshot.tags, store, least),
        key=lambda one: (one[1].predicted, -one[1].pixels, one[0]),
    )
    return {
        "images": int(snapshot.tags.any(axis=1).sum()),
        **{kind.value: sum(doubt.contradiction is kind for _, doubt in found) for kind in Contradiction},
        "doubts": [
            {
                "sample_id": int(snapshot.sample_ids[row]),
                "name": Path(snapshot.paths[row]).name,
                **asdict(doubt),
                "contradiction": doubt.contradiction.value,
            }
            for row, doubt in found[:_MOST_CONFLICTS]
        ],
    }


def _conflicts(
    folder: Path, snapshot: Snapshot, tags: BoolArray, store: MaskStore, least: int
) -> Iterator[tuple[int, TagConflict]]:
    masks = masks_of(snapshot)
    predictions = read_predictions(folder, masks.sizes)
    for row in np.flatnonzero(tags.any(axis=1)).tolist():
        doubts: Iterable[TagConflict] = []
        if masks.labels[row]:
            height, width = masks.sizes[row].tolist()
            try:
                mask = read_mask(store, masks.labels[row], height, width, len(snapshot.classes))
            except DatasetError as error:
                raise RoundError(f"{snapshot.paths[row]}: {error.message}", error.cure) from error
            doubts = mask_conflicts(tags[row], mask, bare=masks.is_bare(row))
        else:
            doubts = prediction_conflicts(tags[row], predictions.of(row)[0], least)
        yield from ((row, doubt) for doubt in doubts)
