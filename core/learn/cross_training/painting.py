"""From logits to masks at the images' own size, among the classes an image shows or among all.

Logits lie on the canvas, (K, h, w) of which an image takes its extent; a mask is (H, W) in the dataset's own dtype.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.learn.batches import Images
from core.learn.painting import enlarged
from core.learn.training import predicted
from core.types import IntArray, mask_dtype

BoolArray = NDArray[np.bool_]
_STRIP = 1 << 24  # logits that exist at once at an image's own size


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where the images lie in what the networks see: N samples."""

    extents: IntArray  # (N, 2) height, width each takes of the canvas
    sizes: IntArray  # (N, 2) height, width of the image itself


def mask_of(logits: Tensor, canvas: Canvas, row: int, tags: BoolArray | None = None) -> IntArray:
    """Return the likeliest class of each pixel of an image, (H, W).

    Where `tags`, (K,), are known only classes that are there take part; if none is, all of the image is IGNORE.
    """
    height, width = canvas.extents[row].tolist()
    full_height, full_width = canvas.sizes[row].tolist()
    dtype = mask_dtype(len(logits))
    classes = (np.arange(len(logits)) if tags is None else np.flatnonzero(tags)).astype(dtype)
    mask = np.full((full_height, full_width), np.iinfo(dtype).max, dtype)
    if not len(classes):
        return mask
    own = logits[torch.from_numpy(classes.astype(np.int64)).to(logits.device), :height, :width]
    for top, strip in enlarged(own, full_height, full_width, _STRIP):
        mask[top : top + strip.shape[1]] = classes[strip.argmax(dim=0).cpu().numpy()]
    return mask


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
) -> Iterator[tuple[int, IntArray]]:
    """Yield each row with its mask under its tags, (N, K); `view` is the network as it looks, `at_once` images.

    Raises:
        RoundCancelledError: `should_stop` said so.
    """
    chosen = torch.from_numpy(rows)
    for some, batch in predicted(view, images, chosen, at_once, on_look=on_look, should_stop=should_stop):
        for row, logits in zip(some.tolist(), batch, strict=True):
            yield row, mask_of(logits, canvas, row, tags[row])
