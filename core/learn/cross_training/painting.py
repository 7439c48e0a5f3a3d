"""From logits to masks at the images' own size, among the classes an image shows or among all.

Logits lie on the canvas, (K, h, w) of which an image takes its extent; a mask is (H, W) in the dataset's own dtype.
How sure a network is of each pixel is round(255 p), p the softmax over the classes that take part.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.learn.batches import Images
from core.learn.painting import as_bytes, enlarged
from core.learn.training import predicted
from core.types import ByteArray, IntArray, mask_dtype

BoolArray = NDArray[np.bool_]
_STRIP = 1 << 24  # logits that exist at once at an image's own size


@dataclass(frozen=True, slots=True)
class Canvas:
    """Positions of the images on the canvas that the networks see: N samples."""

    extents: IntArray  # (N, 2) height, width each takes of the canvas
    sizes: IntArray  # (N, 2) height, width of the image itself


def mask_of(logits: Tensor, canvas: Canvas, row: int, tags: BoolArray | None = None) -> IntArray:
    """Return the likeliest class of each pixel of an image, (H, W).

    Where `tags`, (K,), are known only classes that are there take part; if none is, all of the image is IGNORE.
    """
    return sure_mask_of(logits, canvas, row, tags)[0]


def sure_mask_of(logits: Tensor, canvas: Canvas, row: int, tags: BoolArray | None = None) -> tuple[IntArray, ByteArray]:
    """Return the likeliest class of each pixel of an image as `mask_of` does, and how sure it is, both (H, W)."""
    height, width = canvas.extents[row].tolist()
    full_height, full_width = canvas.sizes[row].tolist()
    dtype = mask_dtype(len(logits))
    classes = (np.arange(len(logits)) if tags is None else np.flatnonzero(tags)).astype(dtype)
    mask = np.full((full_height, full_width), np.iinfo(dtype).max, dtype)
    confidence = np.zeros((full_height, full_width), np.uint8)
    if not len(classes):
        return mask, confidence
    own = logits[torch.from_numpy(classes.astype(np.int64)).to(logits.device), :height, :width]
    for top, strip in enlarged(own, full_height, full_width, _STRIP):
        lines = slice(top, top + strip.shape[1])
        best, which = strip.max(dim=0)
        mask[lines] = classes[which.cpu().numpy()]
        confidence[lines] = as_bytes((best - strip.logsumexp(dim=0)).exp())
    return mask, confidence


def painted(
    view: nn.Module,
    images: Images,
    rows: IntArray,
    canvas: Canvas,
    tags: BoolArray,
    *,
    at_once: int,
    on_look: Callable[[float, float], None],
    should_stop: Callable[[], bool],
) -> Iterator[tuple[int, IntArray, ByteArray]]:
    """Yield each row with its mask under its tags, (N, K), and how sure it is.

    `view` is the network as it looks, at `at_once` images.

    Raises:
        RoundCancelledError: `should_stop` returned true.
    """
    chosen = torch.from_numpy(rows)
    for some, batch in predicted(view, images, chosen, at_once, on_look=on_look, should_stop=should_stop):
        for row, logits in zip(some.tolist(), batch, strict=True):
            yield row, *sure_mask_of(logits, canvas, row, tags[row])
