"""Pictures that pages show: crops and outlines of regions, masks in colour, tiles of large images, and their cache.

Overlays are transparent wherever they hide nothing; their pixels lie where the image's lie, enlarged or not. Boxes are
(x, y, width, height) in pixels of the image. Tiles are squares of the image at full size, or halved several times, as
WebP.

The cache is written without waiting for the disk, thousands of pictures on a first look through a dataset. So each has
a checksum behind its end, which programs that show pictures ignore; a damaged one counts as missing.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from PIL import Image

from core.data.images import load_image
from core.data.storage import write_atomically
from core.data.windows import Window
from core.types import ByteArray, IntArray, Region, ignore_of

ORANGE = (232, 113, 10)
_LEAST_SHARE = 3  # a crop shows at least a third of each side
_MARGIN = 0.25  # of the region's size, on each side of it
_RATIO = 4 / 3
_FILLED = 115  # opacity of a filled region, 0 to 255
_LINE_SHARE = 160  # the outline is a 160th of the picture's longer side wide
_PALETTE = 256

Box = tuple[int, int, int, int]
Tile = tuple[int, int, int]  # times that its image is halved, column and row in the grid of tiles

EDGE = 512  # pixels of a tile's side
_TILE_QUALITY = 82  # of thumbnails too

_SUM = 4  # bytes


def crop_around(box: Box, width: int, height: int) -> Box:
    """Return the crop of an image of this size that shows a region in its surroundings, 4:3 if the image allows it."""
    x, y, wide, high = box
    least_wide = max(wide * (1 + 2 * _MARGIN), width / _LEAST_SHARE)
    least_high = max(high * (1 + 2 * _MARGIN), height / _LEAST_SHARE)
    crop_wide = min(width, round(max(least_wide, least_high * _RATIO)))
    crop_high = min(height, round(max(least_high, least_wide / _RATIO)))
    left = min(max(0, round(x + wide / 2 - crop_wide / 2)), width - crop_wide)
    top = min(max(0, round(y + high / 2 - crop_high / 2)), height - crop_high)
    return left, top, crop_wide, crop_high


def outline(region: Region, crop: Box, edge: int) -> bytes:
    """Return the region's outline as WebP with alpha, the crop's longer side `edge` pixels."""
    wide = max(1, round(edge / _LINE_SHARE / 2))
    inside = cv2.copyMakeBorder(_draw_region(region, crop, edge), wide, wide, wide, wide, cv2.BORDER_CONSTANT, value=0)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * wide + 1, 2 * wide + 1))
    line = np.asarray(cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, brush), dtype=np.uint8)
    alpha = line[wide:-wide, wide:-wide] * 255
    return _orange(alpha)


def fill_region(region: Region, crop: Box, edge: int) -> bytes:
    """Return the region filled, as WebP with alpha, the crop's longer side `edge` pixels."""
    return _orange(_draw_region(region, crop, edge) * _FILLED)


def colour_mask(mask: IntArray, colours: Sequence[str]) -> bytes:
    """Return a mask, (H, W), as PNG in its classes' colours; IGNORE and values of no class are transparent."""
    classes = len(colours)
    table = np.zeros((max(_PALETTE, classes + 1), 4), dtype=np.uint8)
    table[:classes, :3] = [tuple(bytes.fromhex(colour.removeprefix("#"))) for colour in colours]
    table[:classes, 3] = 255
    index = np.minimum(np.where(mask == ignore_of(mask), classes, mask), classes)
    if classes < _PALETTE:
        picture = Image.fromarray(index.astype(np.uint8))
        picture.putpalette(table[:_PALETTE].tobytes(), "RGBA")
    else:
        picture = Image.fromarray(table[index])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _draw_region(region: Region, crop: Box, edge: int) -> ByteArray:
    """Return 1 in the region, 0 elsewhere, of a crop whose longer side has `edge` pixels."""
    left, top, width, height = crop
    inside = np.zeros((height, width), dtype=np.uint8)
    Region(region.runs - np.array([top, left, 0])).paint(inside, 1)
    share = edge / max(width, height)
    shown = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(cv2.resize(inside, shown, interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)


def _orange(alpha: ByteArray) -> bytes:
    picture = np.empty((*alpha.shape, 4), dtype=np.uint8)
    picture[..., :3] = ORANGE
    picture[..., 3] = alpha
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True, quality=0, method=0)
    return buffer.getvalue()


def decode_for_tiles(path: Path, window: Window | None = None) -> ByteArray:
    """Return an image's pixels, (H, W, 3), to cut tiles from.

    Raises:
        ImageError: the file cannot be decoded (any more).
    """
    return load_image(path, grey=False, window=window)


def cut_tile(pixels: ByteArray, tile: Tile) -> bytes | None:
    """Return a tile of the image, (H, W, 3), as WebP; None if it lies outside."""
    level, column, row = tile
    side = EDGE << level
    left, top = column * side, row * side
    part = pixels[top : top + side, left : left + side]
    if not part.size:
        return None
    buffer = io.BytesIO()
    shown = Image.fromarray(np.ascontiguousarray(part))
    (shown.reduce(1 << level) if level else shown).save(buffer, "WEBP", quality=_TILE_QUALITY, method=0)
    return buffer.getvalue()


def keep(path: Path, picture: bytes) -> None:
    """Write a picture with its checksum."""
    write_atomically(path, picture + _checksum(picture), durable=False)


def find(path: Path) -> bytes | None:
    """Return a kept picture, None if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    picture = data[:-_SUM]
    return picture if picture and data[-_SUM:] == _checksum(picture) else None


def _checksum(picture: bytes) -> bytes:
    return crc32(picture).to_bytes(_SUM, "little")
