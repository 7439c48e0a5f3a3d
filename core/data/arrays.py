"""Images and masks decoded once per content, into memory-mapped arrays of one size for all samples.

Squares: uint8 (N, size, size, C), C in {1, 3}. An image keeps its proportions: its longer side becomes `size`, the
shorter one is filled up on both sides with the image's own edge.

Canvases: the longer side of each sample becomes `size` pixels; the canvas is as high as the highest and as wide as the
widest of them. An image lies in the upper left corner; the rest of the canvas repeats its edge, and is IGNORE in the
mask. Images are uint8 (N, H, W, C), masks of the dataset's mask dtype (N, H, W); a sample without a mask is IGNORE
throughout.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.data.array_cache import FillPlan, Read, Rows, Settings, load_or_build, run_child
from core.data.images import load_image
from core.data.masks.store import MaskStore
from core.data.windows import Window, from_pair
from core.types import ByteArray, DatasetError, IntArray, ignore_of, mask_dtype, widen

_MODULE = "core.data.arrays"
_SPARE = 2  # times `size`, the least size a JPEG is decoded at; pixels differ by .2 of 255 from full decoding


def decode_squares(
    paths: Sequence[str],
    keys: Sequence[str],
    *,
    size: int,
    grey: bool,
    cache: Path,
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
    window: Window | None = None,
) -> ByteArray:
    """Return the images as a read-only memory map, (N, size, size, C); `report` is called with (done, total).

    `keys` identify the decoded pixels: content hashes, with the window if there is one.

    Raises:
        RoundError: images can no longer be decoded; the message names them.
        RoundCancelledError: `should_stop` returned true.
    """
    sources: list[list[Any]] = [[path] for path in paths]
    shape, kind = (size, size, 1 if grey else 3), f"{size}-{'grey' if grey else 'rgb'}"
    settings = {"form": "square", "size": size, "grey": grey, "window": window}
    plan = FillPlan(sources, keys, kind, shape, np.uint8, _MODULE, _read, settings)
    return load_or_build(cache, plan, report=report, should_stop=should_stop)


def read_square(
    path: Path, size: int, *, grey: bool, max_pixels: int | None = None, window: Window | None = None
) -> ByteArray:
    """Return an image as a row of the array, (size, size, C).

    Raises:
        ImageError: the file cannot be decoded (any more), or is too large.
    """
    pixels = load_image(path, grey=grey, max_pixels=max_pixels, least_edge=_SPARE * size, window=window)
    return fit_square(pixels, size)


def fit_square(pixels: ByteArray, size: int) -> ByteArray:
    """Return the image in a square, (size, size, C); `pixels` is (H, W) or (H, W, 3)."""
    height, width = scaled_size(pixels.shape[0], pixels.shape[1], size)
    pixels = resize(pixels, height, width)
    if height != width:
        above, left = (size - height) // 2, (size - width) // 2
        edges = ((above, size - height - above), (left, size - width - left))
        pixels = np.pad(pixels, (*edges, (0, 0))[: pixels.ndim], mode="edge")
    return pixels.reshape(size, size, -1)


def scaled_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Return (height, width) in pixels when the longer side becomes `size`."""
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize(pixels: ByteArray, height: int, width: int) -> ByteArray:
    """Return the image in another size, (height, width) or (height, width, 3)."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3)
    return np.asarray(image)


def _read_square(source: list[Any], row: Rows, settings: Settings) -> None:
    row[:] = read_square(Path(source[0]), settings["size"], grey=settings["grey"], window=from_pair(settings["window"]))


def extents(sizes: IntArray, size: int) -> IntArray:
    """Return the scaled size of each sample on the canvas, (N, 2) height, width; `sizes` are those of the images."""
    return np.array([scaled_size(height, width, size) for height, width in sizes.tolist()], dtype=np.int64)


def image_canvases(
    paths: Sequence[str],
    keys: Sequence[str],
    sizes: IntArray,
    *,
    size: int,
    grey: bool,
    cache: Path,
    report: Callable[[int, int], None],
    should_stop: Callable[[], bool],
    window: Window | None = None,
) -> ByteArray:
    """Return the images as a read-only memory map, (N, H, W, C); `report` is called with (done, total).

    `keys` identify the decoded pixels: content hashes, with the window if there is one.

    Raises:
        RoundError: images can no longer be decoded, or have another size now; the message names them.
        RoundCancelledError: `should_stop` returned true.
    """
    kind, shape = f"{size}-canvas-{'grey' if grey else 'rgb'}", (*_canvas(sizes, size), 1 if grey else 3)
    settings = {"form": "canvas", "size": size, "grey": grey, "window": window}
    plan = FillPlan(_sources(paths, sizes), keys, kind, shape, np.uint8, _MODULE, _read, settings)
    return load_or_build(cache, plan, report=report, should_stop=should_stop)


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
    """Return the masks as a read-only memory map, (N, H, W); an empty name means no mask.

    Raises:
        RoundError: a mask can no longer be read, differs from its image's size, or holds an unknown class.
        RoundCancelledError: `should_stop` returned true.
    """
    described = [f"{name} {height} {width}" for name, (height, width) in zip(names, sizes.tolist(), strict=True)]
    sources = _sources([str(masks.path(name)) if name else "" for name in names], sizes)
    settings = {"form": "mask", "size": size, "classes": classes}
    kind, shape = f"{size}-{classes}-masks", _canvas(sizes, size)
    plan = FillPlan(sources, described, kind, shape, mask_dtype(classes), _MODULE, _read, settings)
    return load_or_build(cache, plan, report=report, should_stop=should_stop)


def read_mask(masks: MaskStore, name: str, height: int, width: int, classes: int) -> IntArray:
    """Return a sample's mask from the store, (height, width); all IGNORE if `name` is "".

    Raises:
        DatasetError: it cannot be read, has another size than the image, or holds an unknown class.
    """
    dtype = mask_dtype(classes)
    if not name:
        return np.full((height, width), np.iinfo(dtype).max, dtype)
    mask = masks.get(name)
    if mask.shape != (height, width):
        raise DatasetError(
            f"the mask is {mask.shape[1]} x {mask.shape[0]}, the image {width} x {height}", "import the dataset again"
        )
    ignore = ignore_of(mask)
    known = mask[mask != ignore]
    if known.size and known.max() >= classes:
        raise DatasetError(f"the mask holds class {known.max()}, there are {classes}", "import the dataset again")
    return widen(mask, classes)


def place_on_canvas(pixels: ByteArray, scaled: tuple[int, ...], canvas: tuple[int, ...]) -> ByteArray:
    """Return an image, (H, W) or (H, W, 3), scaled down into the upper left corner of a canvas, (*canvas, C)."""
    corner = resize(pixels, *scaled).reshape(*scaled, -1)
    return np.pad(corner, ((0, canvas[0] - scaled[0]), (0, canvas[1] - scaled[1]), (0, 0)), mode="edge")


def _sources(paths: Sequence[str], sizes: IntArray) -> list[list[Any]]:
    return [[path, height, width] for path, (height, width) in zip(paths, sizes.tolist(), strict=True)]


def _canvas(sizes: IntArray, size: int) -> tuple[int, int]:
    height, width = extents(sizes, size).max(axis=0).tolist()
    return height, width


def _read_canvas(source: list[Any], row: Rows, settings: Settings) -> None:
    path, height, width = source
    pixels = load_image(Path(path), grey=settings["grey"], window=from_pair(settings["window"]))
    if pixels.shape[:2] != (height, width):
        raise DatasetError(f"the image is {pixels.shape[1]} x {pixels.shape[0]}, it was {width} x {height}")
    row[:] = place_on_canvas(pixels, scaled_size(height, width, settings["size"]), row.shape[:2])


def _read_mask_canvas(source: list[Any], row: Rows, settings: Settings) -> None:
    """Fill one canvas with a mask by nearest neighbour, since an average of two classes would be a third class."""
    path, height, width = source
    row[:] = ignore_of(row)
    if not path:
        return
    file, scaled = Path(path), scaled_size(height, width, settings["size"])
    mask = read_mask(MaskStore(file.parents[1]), file.stem, height, width, settings["classes"])
    y, x = (
        ((np.arange(to) + 0.5) * (of / to)).astype(np.int64) for to, of in zip(scaled, (height, width), strict=True)
    )
    row[: scaled[0], : scaled[1]] = mask[y[:, None], x]


_READERS: Mapping[str, Read] = {"square": _read_square, "canvas": _read_canvas, "mask": _read_mask_canvas}


def _read(source: list[Any], row: Rows, settings: Settings) -> None:
    """Fill one row of an array: a square, a canvas or a mask, depending on its plan."""
    _READERS[settings["form"]](source, row, settings)


if __name__ == "__main__":
    run_child(_read)
