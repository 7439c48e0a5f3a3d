"""Regions of one predicted class each that the models propose for the unlabelled pixels of an image.

A region is a connected part (8-neighbour) of the pixels of one predicted class. Below the least area they are left out:
their pixels stay IGNORE, as does whatever is IGNORE in the prediction. Nothing is given, so nothing is contradicted and
no border wobbles; accepting a region paints it and no other pixel.
"""

import numpy as np

from core.judge.connected import Runs, parts, regions_of, touching
from core.judge.regions import Suspect
from core.types import NO_LABEL, ByteArray, IntArray, ignore_of

_CERTAIN = 255  # a probability of 1
_NOTHING_TO_DOUBT = 1.0  # p(given) where nothing is given, as of images without a class


def propose_regions(predicted: IntArray, confidence: ByteArray, least: int) -> list[Suspect]:
    """Return the regions of one image, top to bottom, with `given` NO_LABEL and the mean confidence of their pixels.

    Args:
        predicted: (H, W) classes; where it is IGNORE nothing is proposed.
        confidence: (H, W) of the predicted class, round(255 p).
        least: pixels; smaller regions are left out.
    """
    runs, sure = _runs(predicted, confidence)
    if not len(runs.y):
        return []
    part = parts(len(runs.y), *touching(runs))
    area = np.bincount(part, weights=runs.end - runs.start).astype(np.int64)
    mean = np.bincount(part, weights=sure) / (area * _CERTAIN)
    label = np.empty(len(area), dtype=np.int64)
    label[part] = runs.kind
    return [
        Suspect(
            region=region,
            area=int(area[number]),
            given=NO_LABEL,
            pseudo=int(label[number]),
            confidence=float(mean[number]),
            self_confidence=_NOTHING_TO_DOUBT,
            log_odds=0.0,
        )
        for number, region in regions_of(runs, part, area >= least)
    ]


def _runs(predicted: IntArray, confidence: ByteArray) -> tuple[Runs, IntArray]:
    """Return the runs of one class, R of them, and the sum of confidence along each, (R,)."""
    begins = np.empty(predicted.shape, dtype=bool)
    begins[:, 0] = True
    np.not_equal(predicted[:, 1:], predicted[:, :-1], out=begins[:, 1:])
    first: IntArray = np.flatnonzero(begins)
    length = np.diff(first, append=predicted.size)
    sure = np.add.reduceat(confidence.reshape(-1), first, dtype=np.int64)
    kind = predicted.reshape(-1)[first].astype(np.int64)
    known = kind != ignore_of(predicted)
    first, length = first[known], length[known]
    y, start = np.divmod(first, predicted.shape[1])
    return Runs(y, start, start + length, kind[known]), sure[known]
