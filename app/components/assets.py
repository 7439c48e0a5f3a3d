"""Addresses of the components' modules and styles; they change with the content."""

from hashlib import blake2b
from pathlib import Path

FOLDER = Path(__file__).parent
PREFIX = "/outfold/assets"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}


def version() -> str:
    """Return a name for the present content of all assets."""
    digest = blake2b(digest_size=8)
    for path in sorted(path for path in FOLDER.rglob("*") if path.suffix in MEDIA_TYPES):
        digest.update(path.relative_to(FOLDER).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def url(path: str) -> str:
    """Return the address of an asset, e.g. of "review_grid/main.js"; its relative imports resolve beside it."""
    return f"{PREFIX}/{version()}/{path}"


def find(path: str) -> Path | None:
    """Return the file of an asset, None for any other path."""
    file = (FOLDER / path).resolve()
    within = file.is_relative_to(FOLDER) and file.suffix in MEDIA_TYPES
    return file if within and file.is_file() else None
