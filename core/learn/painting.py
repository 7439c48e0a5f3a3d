"""Masks at the images' own size from logits on the canvas.

Shapes: K classes, logits of one sample (K, h, w) on the canvas, of which an image takes its extent; masks and
confidences (H, W) as the image itself, confidences as round(255 p). Dense probabilities exist for a strip of one image
only, so memory stays flat for images of any size and number.

`Painter` writes the predictions of a fold: first the temperature is fitted on a subsample of the held-out given pixels,
then each image is painted.

Tags veto: where the classes of an image are known, absent ones have a logit of minus infinity, so a probability of
exactly 0, and those of the present ones sum to 1. The temperature is fitted without tags.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from numpy.typing import NDArray
from torch import Tensor, nn

from core.data.predictions import CERTAIN, PredictionFiles, Votes
from core.learn.batches import ImageBatches
from core.learn.crossfold import FoldOutput, FoldSplit, Predict
from core.learn.training import predict_batches
from core.types import NO_LABEL, ByteArray, FloatArray, IntArray, ignore_of, mask_dtype

BoolArray = NDArray[np.bool_]
_FIT_SCENES = 32  # images the temperature is fitted on
_FIT_PIXELS = 50_000  # pixels of all of them
_STRIP = 1 << 24  # probabilities that exist at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """Writer of the predictions of a fold."""

    predictions: PredictionFiles
    open_votes: Callable[[int, IntArray], Votes]  # fold, rows that all folds predict -> the fold's votes
    extents: IntArray  # (N, 2) height, width each sample takes of the canvas
    given: Callable[[int], IntArray]  # row -> the mask it was given, (H, W)
    classes: int
    fit: Callable[[FloatArray, IntArray], float]  # logits (P, K), labels (P,) -> temperature
    mean_iou: Callable[[IntArray], float | None]  # confusion (K, K) -> its mean intersection over union
    tags: BoolArray | None = None  # (N, K) all classes a sample shows; a row without any: unknown
    learnable: BoolArray | None = None  # (N,) samples whose masks the temperature may be fitted on; None: all

    def __call__(self, split: FoldSplit, predict: Predict) -> FoldOutput:
        """Write the predictions of the held-out rows; the confusion is (K, K) pixels, given x predicted."""
        temperature = self._temperature(split, predict)
        confusion = np.zeros((self.classes, self.classes), dtype=np.int64)
        shared = np.empty(0, dtype=np.int64) if split.shared is None else split.shared
        votes = self.open_votes(split.fold, shared) if len(shared) else None
        by_all = set(shared.tolist())
        for rows, logits in predict(split.held_rows, "predicting"):
            for row, own in zip(rows.tolist(), logits, strict=True):
                if votes is not None and row in by_all:
                    self._vote(votes.of(row), row, own, temperature)
                else:
                    confusion += self._paint(row, own, temperature)
        if votes is not None:
            votes.flush()
        self.predictions.fold[np.setdiff1d(split.held_rows, shared)] = split.fold
        self.predictions.flush()
        pixels = int(confusion.sum())
        accuracy = float(confusion.trace() / pixels) if pixels else None
        return FoldOutput(
            {"confusion": confusion, "temperature": np.array(temperature)}, accuracy, self.mean_iou(confusion)
        )

    def _temperature(self, split: FoldSplit, predict: Predict) -> float:
        rows = split.held_rows[split.labels[split.held_rows] != NO_LABEL]
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
        """Return the logits, (K, ...), at minus infinity for classes that the sample does not show."""
        return logits if self.tags is None else veto(logits, self.tags[row])

    def _vote(self, vote: tuple[IntArray, ByteArray], row: int, logits: Tensor, temperature: float) -> None:
        """Write the prediction of an image that all folds predict into the fold's `vote`, both (H, W)."""
        predicted, confidence = vote
        for top, strip in self._strips(row, logits):
            best, which = self._vetoed(row, strip / temperature).softmax(dim=0).max(dim=0)
            lines = slice(top, top + strip.shape[1])
            predicted[lines] = which.cpu().numpy()
            confidence[lines] = as_bytes(best)

    def _strips(self, row: int, logits: Tensor) -> Iterator[tuple[int, Tensor]]:
        height, width = self.extents[row].tolist()
        full_height, full_width = self.predictions.sizes[row].tolist()
        return enlarge(logits[:, :height, :width], full_height, full_width, _STRIP)


@dataclass(frozen=True, slots=True)
class Canvas:
    """Extents of N images on the canvas that the networks see."""

    extents: IntArray  # (N, 2) height, width each takes of the canvas
    sizes: IntArray  # (N, 2) height, width of the image itself


def mask_of(logits: Tensor, canvas: Canvas, row: int, tags: BoolArray | None = None) -> IntArray:
    """Return the likeliest class of each pixel of an image, (H, W).

    With `tags`, (K,), only tagged classes take part; without any tagged class the mask is IGNORE.
    """
    return sure_mask_of(logits, canvas, row, tags)[0]


def sure_mask_of(logits: Tensor, canvas: Canvas, row: int, tags: BoolArray | None = None) -> tuple[IntArray, ByteArray]:
    """Return the mask of an image as `mask_of` does, and its confidence, both (H, W)."""
    height, width = canvas.extents[row].tolist()
    full_height, full_width = canvas.sizes[row].tolist()
    dtype = mask_dtype(len(logits))
    classes = (np.arange(len(logits)) if tags is None else np.flatnonzero(tags)).astype(dtype)
    mask = np.full((full_height, full_width), np.iinfo(dtype).max, dtype)
    confidence = np.zeros((full_height, full_width), np.uint8)
    if not len(classes):
        return mask, confidence
    own = logits[torch.from_numpy(classes.astype(np.int64)).to(logits.device), :height, :width]
    for top, strip in enlarge(own, full_height, full_width, _STRIP):
        lines = slice(top, top + strip.shape[1])
        best, which = strip.max(dim=0)
        mask[lines] = classes[which.cpu().numpy()]
        confidence[lines] = as_bytes((best - strip.logsumexp(dim=0)).exp())
    return mask, confidence


def paint_rows(
    view: nn.Module,
    images: ImageBatches,
    rows: IntArray,
    canvas: Canvas,
    tags: BoolArray,
    *,
    at_once: int,
    on_progress: Callable[[float, float], None],
    should_stop: Callable[[], bool],
) -> Iterator[tuple[int, IntArray, ByteArray]]:
    """Yield each row with its mask under its tags, (N, K), and the confidence, both (H, W).

    `view` is the network with its test-time views, run on `at_once` images at a time.

    Raises:
        RoundCancelledError: `should_stop` returned true.
    """
    chosen = torch.from_numpy(rows)
    for some, batch in predict_batches(view, images, chosen, at_once, on_progress=on_progress, should_stop=should_stop):
        for row, logits in zip(some.tolist(), batch, strict=True):
            yield row, *sure_mask_of(logits, canvas, row, tags[row])


def veto(logits: Tensor, present: BoolArray) -> Tensor:
    """Return logits, (K, ...), at minus infinity for classes that are not `present`, (K,); unchanged if none is."""
    if not present.any():
        return logits
    absent = torch.from_numpy(~present).to(logits.device).view(-1, *[1] * (logits.ndim - 1))
    return logits.masked_fill(absent, -torch.inf)


def enlarge(logits: Tensor, height: int, width: int, strip: int) -> Iterator[tuple[int, Tensor]]:
    """Yield logits (K, h, w) enlarged bilinearly to (height, width), in strips: first line and (K, lines, width).

    Equal to `interpolate(..., align_corners=False)`, with at most about `strip` numbers in memory.
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
