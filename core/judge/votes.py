"""Merged prediction of several models for one image, from each model's likeliest class and its probability.

F folds, masks (H, W) as `core.types.masks` has them, probabilities (H, W) uint8, round(255 p).

A class's probability is the mean of what the models give it. Of each model only the likeliest class and its probability
are kept, since all K of them would be K numbers a pixel and model; what a model gives to other classes counts as
nothing. So where all name the same class its confidence is the exact mean; where they differ it is a lower bound, by at
most the mean of what the dissenters leave over. A proposal is never made to look surer than the models are.
"""

from collections.abc import Sequence

import numpy as np

from core.types import ByteArray, IntArray


def merged(votes: Sequence[tuple[IntArray, ByteArray]]) -> tuple[IntArray, ByteArray]:
    """Return the likeliest class and its confidence; of equally likely ones that of the first model to name it."""
    predicted = votes[0][0].copy()
    most = np.zeros(predicted.shape, dtype=np.uint16)
    for candidate, _ in votes:
        total = np.zeros(predicted.shape, dtype=np.uint16)
        for named, confidence in votes:
            np.add(total, confidence, out=total, where=named == candidate)
        better = total > most
        predicted[better] = candidate[better]
        most[better] = total[better]
    return predicted, ((most + len(votes) // 2) // len(votes)).astype(np.uint8)
