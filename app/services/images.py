"""Images as the browser shows them: WebP, made on first sight and kept by content hash."""

from pathlib import Path

from app.services.workspace import Workspace
from core.data import pictures
from core.data.images import thumbnail as draw
from core.data.windows import Window, in_options, written
from db.queries import images

EDGES = (96, 192, 384, 1024)  # pixels of the longer side
FULL_SIZE = 0  # asked for instead of an edge: as large as the image is


def window_in_use(workspace: Workspace, content_hash: str) -> Window | None:
    """Return the window through which greys of more than 8 bits are seen: of the newest dataset with such an image."""
    with workspace.database.read() as session:
        found = images.options_of(session, content_hash)
    return in_options(found[0]) if found else None


def thumbnail(workspace: Workspace, content_hash: str, edge: int, window: Window | None = None) -> bytes | None:
    """Return the image with this content as WebP, its longer side at most `edge` pixels (0: full size).

    Greys of more than 8 bits are seen through `window`, or by their full range.

    None when no sample has this content, or its file is gone or has changed since the import.

    Raises:
        DatasetError: the file cannot be read as an image any more.
    """
    seen = "" if window is None else f"-{written(window)}"
    kept = workspace.thumbnails / content_hash[:2] / f"{content_hash}-{edge}{seen}.webp"
    if (found := pictures.find(kept)) is not None:
        return found
    path = file_of(workspace, content_hash)
    if path is None:
        return None
    image = draw(path, edge, window)
    if edge != FULL_SIZE:  # full size is not kept: that would be a second copy of the dataset
        pictures.keep(kept, image)
    return image


def file_of(workspace: Workspace, content_hash: str) -> Path | None:
    """Return a file with this content, None when no sample has it, or its file is gone or has changed."""
    with workspace.database.read() as session:
        files = images.files_of(session, content_hash)
    return next((Path(path) for path, size in files if _size(Path(path)) == size), None)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
