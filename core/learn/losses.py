"""Supervised loss, the same for labels and masks: classes on axis 1, pixels (if any) behind.

Shapes: logits (B, K, ...), targets (B, ...) int64 with `NO_LABEL` where nothing is known, weights (K,).
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor

from core.types import NO_LABEL, FloatArray, IntArray

_CHUNK = 64  # masks counted at once


def supervised_loss(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross entropy over what is known; 0, not NaN, where nothing is."""
    total = F.cross_entropy(logits, targets, weight=weights, ignore_index=NO_LABEL, reduction="sum")
    known = targets != NO_LABEL
    if weights is None:
        return total / known.sum().clamp_min(1)
    share = weights[targets.clamp_min(0)] * known
    return total / share.sum().clamp_min(torch.finfo(share.dtype).tiny)


def median_frequency(masks: IntArray, rows: IntArray, classes: int) -> FloatArray:
    """Return weights that make rare classes count, (K,): the median of the classes' frequencies by their own.

    The frequency of a class is its share of the known pixels of the masks it occurs in (Eigen & Fergus 2015); masks
    are (N, H, W), only `rows` are counted. A class that does not occur weighs nothing.
    """
    pixels, beside = np.zeros(classes), np.zeros(classes)
    for start in range(0, len(rows), _CHUNK):
        for mask in masks[rows[start : start + _CHUNK]]:
            counts = np.bincount(mask.ravel(), minlength=classes)[:classes]
            pixels += counts
            beside[counts > 0] += counts.sum()
    occurs = pixels > 0
    frequency = pixels[occurs] / beside[occurs]
    weights = np.zeros(classes, dtype=np.float32)
    weights[occurs] = np.median(frequency) / frequency if occurs.any() else 0
    return weights
