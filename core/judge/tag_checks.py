"""Contradictions between tags and masks: a class that is tagged and not in the mask, and the other way round.

The mask of an image that has one is held against its tags, of the others what a round predicts. K classes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.canvases import read_mask
from core.data.masks.store import MaskStore, class_pixels
from core.data.predictions import read_predictions
from core.data.snapshot import Snapshot
from core.judge.still_open import is_begun
from core.types import DatasetError, IntArray, RoundError

BoolArray = NDArray[np.bool_]
_KEPT = 200  # doubts in a round's figures; the rest is counted


class Contradiction(StrEnum):
    """Contradiction between an image's tags and its mask."""

    MISSING = "missing"  # the tags say that a class is there, the mask or the prediction has none of it
    EXCLUDED = "excluded"  # the mask has a class that the tags say is not there


@dataclass(frozen=True, slots=True)
class Doubt:
    """One class of one image that its tags and its mask do not agree on."""

    contradiction: Contradiction
    label: int
    pixels: int  # that the mask, or the prediction, has of it
    predicted: bool  # whether it is the prediction that was looked at, there being no mask


def mask_doubts(present: BoolArray, mask: IntArray, *, bare: bool) -> list[Doubt]:
    """Return what an image's mask, (H, W), says otherwise than its tags, (K,); a class is there with one pixel.

    Of a `bare` image, which came without a mask, nothing is missing while its mask is merely begun.
    """
    pixels = class_pixels(mask, len(present))[: len(present)]
    missing = [] if bare and is_begun(mask) else np.flatnonzero(present & (pixels == 0)).tolist()
    excluded = np.flatnonzero(~present & (pixels > 0)).tolist()
    return [Doubt(Contradiction.MISSING, label, 0, predicted=False) for label in missing] + [
        Doubt(Contradiction.EXCLUDED, label, int(pixels[label]), predicted=False) for label in excluded
    ]


def prediction_doubts(present: BoolArray, predicted: IntArray, least: int) -> list[Doubt]:
    """Return the classes of the tags, (K,), of which a prediction, (H, W), has fewer than `least` pixels.

    What it sees beside them is no doubt: it may be from before the tags, which veto it from the next round on. An image
    that is IGNORE throughout was not predicted.
    """
    pixels = class_pixels(predicted, len(present))[: len(present)]
    if not pixels.any():
        return []
    missing = np.flatnonzero(present & (pixels < least)).tolist()
    return [Doubt(Contradiction.MISSING, label, int(pixels[label]), predicted=True) for label in missing]


def check_tags(folder: Path, snapshot: Snapshot, store: MaskStore, least: int) -> dict[str, Any]:
    """Return what a finished round says of its tags, as JSON values; doubts about masks first, the largest first.

    Raises:
        RoundError: a mask cannot be read; names the image.
    """
    if snapshot.tags is None:
        return {}
    found = sorted(
        _doubts(folder, snapshot, snapshot.tags, store, least),
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
            for row, doubt in found[:_KEPT]
        ],
    }


def _doubts(
    folder: Path, snapshot: Snapshot, tags: BoolArray, store: MaskStore, least: int
) -> Iterator[tuple[int, Doubt]]:
    masks = snapshot.masks
    if masks is None:
        raise RoundError(f"the round of {folder} has no masks that tags could be about; start a new one")
    predictions = read_predictions(folder, masks.sizes)
    for row in np.flatnonzero(tags.any(axis=1)).tolist():
        doubts: Iterable[Doubt] = []
        if masks.labels[row]:
            height, width = masks.sizes[row].tolist()
            try:
                mask = read_mask(store, masks.labels[row], height, width, len(snapshot.classes))
            except DatasetError as error:
                raise RoundError(f"{snapshot.paths[row]}: {error}") from error
            doubts = mask_doubts(tags[row], mask, bare=masks.is_bare(row))
        else:
            doubts = prediction_doubts(tags[row], predictions.of(row)[0], least)
        yield from ((row, doubt) for doubt in doubts)
