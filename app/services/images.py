"""Images as the browser shows them: as WebP, whole or in tiles.

Whole images are made on first use and kept by content hash. Tiles of large images serve the mask editor, which shows
the visible part at the size it is shown; the image that a tile was last cut from stays decoded in memory, so an image
is decoded once while a person paints on it. Tiles are not kept on the disk: that would be a second copy of the dataset.
"""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from app.services.app_context import AppContext
from core.data import pictures
from core.data.buckets import forget_copy
from core.data.images import thumbnail as draw
from core.data.pictures import Tile, cut_tile, decode_for_tiles
from core.data.store import local
from core.data.windows import Window, window_option, window_text
from core.types import ByteArray
from db.queries import snapshots
from db.visibility import is_limited

EDGES = (96, 192, 384, 1024)  # pixels of the longer side
FULL_SIZE = 0  # in place of an edge: the image's own size
MOST_HALVINGS = 8  # of an image's sides, for tiles


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    """An image in memory, and the content it was decoded from."""

    content: tuple[Path, str, Window | None]
    pixels: ByteArray


class _Last:
    """The image decoded last; one is decoded at a time, however many of its tiles are requested."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.found: _Decoded | None = None

    def pixels(self, path: Path, content_hash: str, window: Window | None) -> ByteArray:
        content = (path, content_hash, window)
        with self.lock:
            if self.found is None or self.found.content != content:
                self.found = None  # two large images at once might be too much for the memory
                self.found = _Decoded(content, decode_for_tiles(path, window))
            return self.found.pixels


def window_in_use(app_context: AppContext, content_hash: str) -> Window | None:
    """Return the window for greys of more than 8 bits: that of the newest dataset with this image."""
    with app_context.database.read() as session:
        found = snapshots.import_options(session, content_hash)
    return window_option(found[0]) if found else None


def thumbnail(app_context: AppContext, content_hash: str, edge: int, window: Window | None = None) -> bytes | None:
    """Return the image with this content as WebP, its longer side at most `edge` pixels (0: full size).

    Greys of more than 8 bits are shown through `window`, or with their full range.

    None if no sample has this content, or its file is gone or has changed since the import.

    Raises:
        DatasetError: the file cannot be read as an image any more.
    """
    seen = "" if window is None else f"-{window_text(window)}"
    kept = app_context.thumbnails / content_hash[:2] / f"{content_hash}-{edge}{seen}.webp"
    if is_limited() and not _is_seen(app_context, content_hash):
        return None
    if (found := pictures.find(kept)) is not None:
        return found
    path = file_of(app_context, content_hash)
    if path is None:
        return None
    image = draw(path, edge, window)
    if edge != FULL_SIZE:  # full size is not kept: that would be a second copy of the dataset
        pictures.keep(kept, image)
    return image


def _is_seen(app_context: AppContext, content_hash: str) -> bool:
    with app_context.database.read() as session:
        return bool(snapshots.files_with_content(session, content_hash))


def file_of(app_context: AppContext, content_hash: str) -> Path | None:
    """Return a file with this content, None if no sample has it, or its file is gone or has changed."""
    with app_context.database.read() as session:
        files = snapshots.files_with_content(session, content_hash)
    for named, size in files:
        path = local(Path(named))
        if _size(path) != size and forget_copy(path):  # another home has imported a change of the bucket
            path = local(Path(named))
        if _size(path) == size:
            return path
    return None


def image_tile(app_context: AppContext, content_hash: str, tile: Tile, window: Window | None = None) -> bytes | None:
    """Return a tile of the image with this content as WebP.

    None if no sample has this content, its file is gone or has changed since the import, or it has no such tile.

    Raises:
        DatasetError: the file cannot be read as an image any more.
    """
    path = file_of(app_context, content_hash)
    return None if path is None else cut_tile(_last.pixels(path, content_hash, window), tile)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


_last = _Last()
