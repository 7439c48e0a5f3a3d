"""From a fold's logits to what is stored of every pixel, at each image's own size, one image at a time.

Shapes: K classes, logits of one sample (K, h, w) on the canvas, everything written (H, W) as the image itself.
First the fold's temperature is fitted on a subsample of the held-out given pixels, then each image is painted. Dense
probabilities exist for a strip of one image only, so memory stays flat whatever the images' size and number.

Tags veto: where it is known which classes an image shows, absent ones have a logit of minus infinity, so a probability
of exactly 0, and those of the present ones sum to 1. The temperature is fitted without them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from numpy.typing import NDArray
from torch import Tensor

from core.data.predictions import CERTAIN, Predictions
from core.data.votes import Votes
from core.learn.crossfold import Held, Kept, Predict
from core.types import NO_LABEL, ByteArray, FloatArray, IntArray, ignore_of

BoolArray = NDArray[np.bool_]
_FIT_SCENES = 32  # images the temperature is fitted on
_FIT_PIXELS = 50_000  # pixels of all of them
_STRIP = 1 << 24  # probabilities that exist at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """Everything that writing a fold's predictions needs."""

    predictions: Predictions
    open_votes: Callable[[int, IntArray], Votes]  # fold, rows that all folds predict -> where it writes what it says
    extents: IntArray  # (N, 2) height, width each sample takes of the canvas
    given: Callable[[int], IntArray]  # row -> the mask it was given, (H, W)
    classes: int
    fit: Callable[[FloatArray, IntArray], float]  # logits (P, K), labels (P,) -> temperature
    mean_iou: Callable[[IntArray], float | None]  # confusion (K, K) -> its mean intersection over union
    tags: BoolArray | None = None  # (N, K) the classes a sample shows, no other; a row without any: not known
    learnable: BoolArray | None = None  # (N,) whose masks the temperature may be fitted on; None: all

    def __call__(self, held: Held, predict: Predict) -> Kept:
        """Write what the fold says of its held rows; the confusion is (K, K) pixels, given x predicted."""
        temperature = self._temperature(held, predict)
        confusion = np.zeros((self.classes, self.classes), dtype=np.int64)
        shared = np.empty(0, dtype=np.int64) if held.shared is None else held.shared
        votes = self.open_votes(held.fold, shared) if len(shared) else None
        by_all = set(shared.tolist())
        for rows, logits in predict(held.held_rows, "predicting"):
            for row, own in zip(rows.tolist(), logits, strict=True):
                if votes is not None and row in by_all:
                    self._vote(votes.of(row), row, own, temperature)
                else:
                    confusion += self._paint(row, own, temperature)
        if votes is not None:
            votes.flush()
        self.predictions.fold[np.setdiff1d(held.held_rows, shared)] = held.fold
        self.predictions.flush()
        pixels = int(confusion.sum())
        accuracy = float(confusion.trace() / pixels) if pixels else None
        return Kept({"confusion": confusion, "temperature": np.array(temperature)}, accuracy, self.mean_iou(confusion))

    def _temperature(self, held: Held, predict: Predict) -> float:
        rows = held.held_rows[held.labels[held.held_rows] != NO_LABEL]
        rows = rows if self.learnable is None else rows[self.learnable[rows]]
        rows = rows[:: -(-len(rows) // _FIT_SCENES) or 1]
        logits, labels = [np.empty((0, self.classes), np.float32)], [np.empty(0, np.int64)]
        for some, batch in predict(rows, "calibrating"):
            for row, own in zip(some.tolist(), batch, strict=True):
                given = self.given(row)
                known = np.flatnonzero(given != ignore_of(given))
                known = known[:: -(-len(known) * len(rows) // _FIT_PIXELS) or 1]
                labels.append(given.ravel()[known].astype(np.int64))
                logits.extend(self._at(row, own, known))
        return self.fit(np.concatenate(logits), np.concatenate(labels))

    def _at(self, row: int, logits: Tensor, pixels: IntArray) -> Iterator[FloatArray]:
        """Yield the logits at these flat positions of an image, in their order, (some, K) each."""
        width = int(self.predictions.sizes[row, 1])
        for top, strip in self._strips(row, logits):
            first, last = np.searchsorted(pixels, [top * width, (top + strip.shape[1]) * width])
            inside = torch.from_numpy(pixels[first:last] - top * width).to(strip.device)
            yield strip.flatten(1)[:, inside].T.cpu().numpy()

    def _paint(self, row: int, logits: Tensor, temperature: float) -> IntArray:
        """Write one image and return its confusion."""
        given = self.given(row)
        known = given != ignore_of(given)
        predicted, confidence, given_probability = self.predictions.of(row)
        for top, strip in self._strips(row, logits):
            lines = slice(top, top + strip.shape[1])
            probs = self._vetoed(row, strip / temperature).softmax(dim=0)  # (K, lines, W)
            best, which = probs.max(dim=0)
            index = torch.from_numpy(np.where(known[lines], given[lines], 0).astype(np.int64)).to(probs.device)
            own = as_bytes(probs.gather(0, index[None])[0])
            predicted[lines] = which.cpu().numpy()
            confidence[lines] = as_bytes(best)
            given_probability[lines] = np.where(known[lines], own, CERTAIN)
        pairs = given[known].astype(np.int64) * self.classes + predicted[known]
        return np.bincount(pairs, minlength=self.classes**2).reshape(self.classes, self.classes)

    def _vetoed(self, row: int, logits: Tensor) -> Tensor:
        """Return the logits, (K, ...), with those of classes that the sample does not show at minus infinity."""
        return logits if self.tags is None else vetoed(logits, self.tags[row])

    def _vote(self, vote: tuple[IntArray, ByteArray], row: int, logits: Tensor, temperature: float) -> None:
        """Write what this fold says of an image that all predict into its `vote`, both (H, W)."""
        predicted, confidence = vote
        for top, strip in self._strips(row, logits):
            best, which = self._vetoed(row, strip / temperature).softmax(dim=0).max(dim=0)
            lines = slice(top, top + strip.shape[1])
            predicted[lines] = which.cpu().numpy()
            confidence[lines] = as_bytes(best)

    def _strips(self, row: int, logits: Tensor) -> Iterator[tuple[int, Tensor]]:
        height, width = self.extents[row].tolist()
        full_height, full_width = self.predictions.sizes[row].tolist()
        return enlarged(logits[:, :height, :width], full_height, full_width, _STRIP)


def vetoed(logits: Tensor, present: BoolArray) -> Tensor:
    """Return logits, (K, ...), at minus infinity for what is not `present`, (K,); as given where nothing is known."""
    if not present.any():
        return logits
    absent = torch.from_numpy(~present).to(logits.device).view(-1, *[1] * (logits.ndim - 1))
    return logits.masked_fill(absent, -torch.inf)


def enlarged(logits: Tensor, height: int, width: int, strip: int) -> Iterator[tuple[int, Tensor]]:
    """Yield logits (K, h, w) bilinearly at (height, width), in strips: first line and (K, lines, width).

    Together the same as `interpolate(..., align_corners=False)`, but never more than about `strip` numbers at once.
    """
    classes, lines = logits.shape[0], logits.shape[1]
    place = ((torch.arange(height, device=logits.device) + 0.5) * (lines / height) - 0.5).clamp(0, lines - 1)
    above = place.floor().long()
    below = (above + 1).clamp_max(lines - 1)
    share = (place - above)[None, :, None]
    step = max(1, strip // (classes * width))
    for top in range(0, height, step):
        part = slice(top, min(top + step, height))
        first, last = int(above[part][0]), int(below[part][-1]) + 1
        size = (last - first, width)
        wide = F.interpolate(logits[None, :, first:last], size, mode="bilinear", align_corners=False)[0]
        yield top, torch.lerp(wide[:, above[part] - first], wide[:, below[part] - first], share[:, part])


def as_bytes(probabilities: Tensor) -> IntArray:
    """Return round(255 p) as uint8."""
    return (probabilities * CERTAIN).round().to(torch.uint8).cpu().numpy()
