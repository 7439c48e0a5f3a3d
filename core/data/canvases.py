"""Images and masks of different sizes, scaled onto one common canvas: memory-mapped arrays, made once per contents.

N samples. The longer side of each becomes `size` pixels; the canvas is as high as the highest and as wide as the
widest of them. An image lies in the upper left corner; what is left of the canvas repeats its edge, and is IGNORE in
the mask. Images are uint8 (N, H, W, C), masks of the dataset's mask dtype (N, H, W); a sample without a mask is IGNORE
throughout.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.data.arrays import resized, scaled_size
from core.data.filling import Plan, Rows, Settings, kept, work
from core.data.images import load_image
from core.data.masks.store import MaskStore
from core.data.windows import Window, from_pair
from core.types import ByteArray, DatasetError, IntArray, ignore_of, mask_dtype, widened

_MODULE = "core.data.canvases"


def extents(sizes: IntArray, size: int) -> IntArray:
    """Return how much of the canvas each sample takes, (N, 2) height, width; `sizes` are those of the images."""
    return np.array([scaled_size(height, width, size) for height, width in sizes.tolist()], dtype=np.int64)


def image_canvases(
    paths: list[str],
    keys: list[str],
    sizes: IntArray,
    *,
    size: int,
    grey: bool,
    cache: Path,
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
    window: Window | None = None,
) -> ByteArray:
    """Return the images as a read-only memory map, (N, H, W, C); `report` is told (done, of).

    `keys` name what is seen: contents, with the window where there is one.

    Raises:
        RoundError: an image can no longer be decoded, or has another size by now; says which ones.
        RoundCancelledError: `should_stop` said so.
    """
    kind, shape = f"{size}-canvas-{'grey' if grey else 'rgb'}", (*_canvas(sizes, size), 1 if grey else 3)
    settings = {"mask": False, "size": size, "grey": grey, "window": window}
    plan = Plan(_sources(paths, sizes), keys, kind, shape, np.uint8, _MODULE, _read_canvas, settings)
    return kept(cache, plan, report=report, should_stop=should_stop)


def mask_canvases(
    masks: MaskStore,
    names: list[str],
    sizes: IntArray,
    *,
    size: int,
    classes: int,
    cache: Path,
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
) -> IntArray:
    """Return the masks as a read-only memory map, (N, H, W); a name of "" means that there is none.

    Raises:
        RoundError: a mask can no longer be read, has not its image's size, or holds an unknown class.
        RoundCancelledError: `should_stop` said so.
    """
    described = [f"{name} {height} {width}" for name, (height, width) in zip(names, sizes.tolist(), strict=True)]
    sources = _sources([str(masks.path(name)) if name else "" for name in names], sizes)
    settings = {"mask": True, "size": size, "classes": classes}
    kind, shape = f"{size}-{classes}-masks", _canvas(sizes, size)
    plan = Plan(sources, described, kind, shape, mask_dtype(classes), _MODULE, _read_canvas, settings)
    return kept(cache, plan, report=report, should_stop=should_stop)


def read_mask(masks: MaskStore, name: str, height: int, width: int, classes: int) -> IntArray:
    """Return a sample's mask as it lies in the store, (height, width), IGNORE throughout where `name` is "".

    Raises:
        DatasetError: it cannot be read, has another size than the image, or holds an unknown class.
    """
    dtype = mask_dtype(classes)
    if not name:
        return np.full((height, width), np.iinfo(dtype).max, dtype)
    mask = masks.get(name)
    if mask.shape != (height, width):
        raise DatasetError(
            f"the mask is {mask.shape[1]} x {mask.shape[0]}, the image {width} x {height}; import the dataset again"
        )
    ignore = ignore_of(mask)
    known = mask[mask != ignore]
    if known.size and known.max() >= classes:
        raise DatasetError(f"the mask holds class {known.max()}, there are {classes}; import the dataset again")
    return widened(mask, classes)


def on_canvas(pixels: ByteArray, scaled: tuple[int, ...], canvas: tuple[int, ...]) -> ByteArray:
    """Return an image, (H, W) or (H, W, 3), scaled down into the upper left corner of a canvas, (*canvas, C)."""
    corner = resized(pixels, *scaled).reshape(*scaled, -1)
    return np.pad(corner, ((0, canvas[0] - scaled[0]), (0, canvas[1] - scaled[1]), (0, 0)), mode="edge")


def _sources(paths: list[str], sizes: IntArray) -> list[list[Any]]:
    return [[path, height, width] for path, (height, width) in zip(paths, sizes.tolist(), strict=True)]


def _canvas(sizes: IntArray, size: int) -> tuple[int, int]:
    height, width = extents(sizes, size).max(axis=0).tolist()
    return height, width


def _read_canvas(source: list[Any], row: Rows, settings: Settings) -> None:
    """Fill one canvas, of an image or of a mask."""
    path, height, width = source
    scaled = scaled_size(height, width, settings["size"])
    if settings["mask"]:
        _read_mask_canvas(path, (height, width), scaled, row, settings["classes"])
        return
    pixels = load_image(Path(path), grey=settings["grey"], window=from_pair(settings["window"]))
    if pixels.shape[:2] != (height, width):
        raise DatasetError(f"the image is {pixels.shape[1]} x {pixels.shape[0]}, it was {width} x {height}")
    row[:] = on_canvas(pixels, scaled, row.shape[:2])


def _read_mask_canvas(path: str, size: tuple[int, int], scaled: tuple[int, int], row: Rows, classes: int) -> None:
    """Fill one canvas with a mask, each pixel that of the nearest: an average of two classes would be a third."""
    row[:] = ignore_of(row)
    if not path:
        return
    file = Path(path)
    mask = read_mask(MaskStore(file.parents[1]), file.stem, *size, classes)
    y, x = (((np.arange(to) + 0.5) * (of / to)).astype(np.int64) for to, of in zip(scaled, size, strict=True))
    row[: scaled[0], : scaled[1]] = mask[y[:, None], x]


if __name__ == "__main__":
    work(_read_canvas)
