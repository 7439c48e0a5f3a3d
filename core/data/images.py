"""Read any image that Pillow can decode as it is displayed: upright, on white, 8 bits per channel.

Arrays are uint8, (H, W) for grey and (H, W, 3) for colour. Greys of 16 bits are scaled by the window of their dataset
(`core.data.windows`), or else by their full range (65535 becomes 255), so that two files stay comparable; floats are
taken as 0 to 1 or 0 to 255, whichever fits, else stretched. Of several frames the first is read. Files are untrusted:
the pixel limit is checked before anything is decoded, and formats that start other programs or only refer to data are
not read. HEIC needs `pillow-heif`, which does not come with Outfold.
"""

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from core.data.lookalikes import look_hash
from core.data.store import local
from core.data.windows import Window, apply_window
from core.types import ByteArray, DatasetError, ImageFacts, StorageError

HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
try:
    from pillow_heif import register_heif_opener
except ImportError:
    READS_HEIC = False
else:
    register_heif_opener()
    READS_HEIC = True
Image.init()
_LEFT_OUT = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}  # EPS starts Ghostscript; the others hold no pixels we read
_FORMAT_OF = {
    suffix: name
    for suffix, name in Image.registered_extensions().items()
    if name in Image.OPEN and name not in _LEFT_OUT
} | {".mpo": "JPEG"}  # two photos in one file, of which the first is read
_WITH_MAGIC = tuple(
    sorted(
        (name for name, (_, accept) in Image.OPEN.items() if accept and name not in _LEFT_OUT),
        key=lambda name: ({"PNG": 0, "JPEG": 1, "WEBP": 2}.get(name, 3), name),
    )
)
IMAGE_SUFFIXES = frozenset(_FORMAT_OF) | HEIC_SUFFIXES

_SMALL_PIXELS = 128 * 128  # up to here colour images are tested for being grey, and thumbnails are lossless
_GREY_MODES = {"1", "L", "LA", "La", "I", "F"}
_TURNED = {5, 6, 7, 8}  # EXIF orientations that swap width and height
_ORIENTATION, _UPRIGHT = 0x0112, 1
_COMPARED_EDGE = 64  # pixels, four times the side at which images are compared
_WEBP_LONGEST = 16_383
_BYTES_PER_PIXEL = 16  # more than real images need; guards against reading a wrong, huge file into memory
_HEADER_BYTES = 64 << 20


class FileError(DatasetError):
    """One file of a source cannot be used. `kind` is short and stable, `cure` is the remedy."""

    def __init__(self, kind: str, message: str, cure: str) -> None:
        """Create the error with its cause and cure."""
        super().__init__(message, cure)
        self.kind = kind

    def __str__(self) -> str:
        """Return the message alone: problems are listed with their cure beside it."""
        return self.message

    def __reduce__(self) -> tuple[type["FileError"], tuple[str, str, str]]:
        """Support pickling with all fields."""
        return type(self), (self.kind, self.message, self.cure)


class ImageError(FileError):
    """One image cannot be used."""


class MaskError(FileError):
    """One mask cannot be used, or (as a warning) only after a guess."""


def read_facts(path: Path, max_pixels: int, window: Window | None = None) -> ImageFacts:
    """Decode one file fully and return its facts.

    Raises:
        ImageError: the file is empty, unreadable, too large, truncated, corrupt or no image.
    """
    data = _read(path, max_pixels)
    with _decoding(path), _open(io.BytesIO(data), path) as image:
        width, height = image.size
        _refuse_larger(image, max_pixels)
        image.load()
        turned = image.getexif().get(_ORIENTATION, _UPRIGHT)
        if turned in _TURNED:
            width, height = height, width
        grey = _is_grey(image)
        plain = turned == _UPRIGHT and image.mode in {"L", "RGB"} and not image.has_transparency_data
        looks = look_hash(image if plain else _to_bytes(image, window))
    return ImageFacts(blake2b(data, digest_size=16).hexdigest(), width, height, len(data), grey, looks)


def load_image(
    path: Path, *, grey: bool, max_pixels: int | None = None, least_edge: int = 0, window: Window | None = None
) -> ByteArray:
    """Return the image's pixels, (H, W) if `grey`, else (H, W, 3); `max_pixels` limits untrusted files.

    With `least_edge` a JPEG is halved while it is decoded, as long as both sides stay at least that long; this is many
    times faster for images that are scaled down afterwards.

    Raises:
        ImageError: the file cannot be decoded (any more), or is too large.
    """
    with _decoding(path), local(path).open("rb") as file, _open(file, path) as image:
        if max_pixels is not None:
            _refuse_larger(image, max_pixels)
        if least_edge and image.format == "JPEG":
            image.draft(None, (least_edge, least_edge))
        return np.array(_to_bytes(image, window).convert("L" if grey else "RGB"), dtype=np.uint8)


def load_small(path: Path, edge: int, max_pixels: int | None = None, window: Window | None = None) -> ByteArray:
    """Return the image in grey, (H, W), its longer side at most `edge` pixels; a JPEG is decoded at reduced size.

    Raises:
        ImageError: the file cannot be decoded (any more), or is too large.
    """
    with _decoding(path), local(path).open("rb") as file, _open(file, path) as image:
        if max_pixels is not None:
            _refuse_larger(image, max_pixels)
        if image.format == "JPEG":
            image.draft("L", (edge, edge))
        seen = _to_bytes(image, window).convert("L")
        seen.thumbnail((edge, edge), Image.Resampling.BOX, reducing_gap=2.0)
        return np.array(seen, dtype=np.uint8)


def read_small(path: str, window: Window | None = None) -> Image.Image:
    """Return an image small and grey, as `core.data.lookalikes` compares it.

    Raises:
        ValueError: the file cannot be decoded (any more).
    """
    try:
        return Image.fromarray(load_small(Path(path), _COMPARED_EDGE, window=window))
    except ImageError as error:
        raise ValueError(str(error)) from error


def thumbnail(path: Path, edge: int, window: Window | None = None) -> bytes:
    """Return the image as WebP, its longer side at most `edge` pixels (0: as large as it is); never enlarged.

    Raises:
        ImageError: the file cannot be decoded (any more).
    """
    longest = min(edge or _WEBP_LONGEST, _WEBP_LONGEST)
    with _decoding(path), local(path).open("rb") as file, _open(file, path) as image:
        if image.format == "JPEG" and edge:
            image.draft(None, (longest, longest))  # the decoder itself halves, many times faster
        seen = _to_bytes(image, window)
        seen.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2.0)
        buffer = io.BytesIO()
        small = seen.width * seen.height <= _SMALL_PIXELS and image.format != "JPEG"
        seen.convert("RGB").save(buffer, "WEBP", lossless=small, quality=50 if small else 82, method=0)
    return buffer.getvalue()


def crop(path: Path, box: tuple[int, int, int, int], edge: int, window: Window | None = None) -> bytes:
    """Return the part (x, y, width, height) of the image as WebP, its longer side at most `edge`; never enlarged.

    Raises:
        ImageError: the file cannot be decoded (any more).
    """
    x, y, width, height = box
    share = min(1.0, edge / max(width, height))
    with _decoding(path), local(path).open("rb") as file, _open(file, path) as image:
        whole = image.height if _is_turned(image) else image.width
        if image.format == "JPEG":
            image.draft(None, (ceil(image.width * share), ceil(image.height * share)))
        seen = _to_bytes(image, window)
        scale = seen.width / whole  # below 1 if the decoder has halved it already
        part = (x * scale, y * scale, (x + width) * scale, (y + height) * scale)
        shown = (max(1, round(width * share)), max(1, round(height * share)))
        buffer = io.BytesIO()
        seen.convert("RGB").resize(shown, Image.Resampling.BICUBIC, box=part).save(buffer, "WEBP", quality=82, method=0)
    return buffer.getvalue()


def has_deep_greys(path: Path) -> bool:
    """Return whether a file's header states greys of more than 8 bits."""
    try:
        with _decoding(path), local(path).open("rb") as file, _open(file, path) as image:
            return _is_deep(image)
    except ImageError:
        return False


def grey_values(path: Path) -> NDArray[np.uint16] | None:
    """Return the values of greys of 16 bits as stored, (H, W); None for other or damaged files."""
    try:
        with _decoding(path), local(path).open("rb") as file, _open(file, path) as image:
            values = np.asarray(image)
    except ImageError:
        return None
    return values.astype(np.uint16) if _fits(values) else None


def _read(path: Path, max_pixels: int) -> bytes:
    path = local(path)
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise ImageError("unreadable file", "not a regular file", "replace it by the image itself")
        if facts.st_size == 0:
            raise ImageError("empty file", "the file has no content", "copy it again from its source")
        if facts.st_size > max_pixels * _BYTES_PER_PIXEL + _HEADER_BYTES:
            raise ImageError(
                "too large", f"the file has {facts.st_size:,} bytes", "make it smaller, or raise OUTFOLD_MAX_PIXELS"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError("missing file", "there is no such file", "put it there, or correct the path") from error
    except OSError as error:
        cure = "give this user the right to read it" if isinstance(error, PermissionError) else "check the disk"
        raise ImageError("unreadable file", f"it cannot be read: {error.strerror or error}", cure) from error


def _refuse_larger(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise ImageError(
            "too large",
            f"{image.width} x {image.height} pixels, the limit is {max_pixels:,}",
            "make the image smaller, or raise OUTFOLD_MAX_PIXELS",
        )


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Convert any exception of a decoder into ImageError."""
    try:
        yield
    except (ImageError, StorageError):
        raise
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # Pillow's own limit, beyond which it reads nothing
        raise ImageError("too large", f"more than {most:,} pixels are never read", "make the image smaller") from error
    except FileNotFoundError as error:
        raise ImageError("missing file", f"{path} is gone", "put it back, or import again") from error
    except PermissionError as error:
        raise ImageError(
            "unreadable file", f"{path}: {error.strerror}", "give this user the right to read it"
        ) from error
    except UnidentifiedImageError as error:
        what = "its content is not an image, or of a format that is not read"
        raise ImageError("corrupt image", what, "copy it again from its source, or remove it") from error
    except Exception as error:  # decoders raise anything on damaged files
        truncated = "truncated" in str(error).lower()
        kind = "truncated image" if truncated else "corrupt image"
        what = "the file ends too early" if truncated else f"it cannot be decoded ({type(error).__name__})"
        raise ImageError(kind, what, "copy it again from its source, or remove it") from error


def _open(file: Any, path: Path) -> ImageFile.ImageFile:  # noqa: ANN401 any binary file object, as Pillow takes it
    if not READS_HEIC and path.suffix.lower() in HEIC_SUFFIXES:
        raise ImageError(
            "HEIC", "HEIC is read by pillow-heif, which is not installed", "install the package pillow-heif"
        )
    named = _FORMAT_OF.get(path.suffix.lower())
    formats = _WITH_MAGIC if named is None or named in _WITH_MAGIC else (*_WITH_MAGIC, named)
    return Image.open(file, formats=formats)


def _is_turned(image: Image.Image) -> bool:
    return image.getexif().get(_ORIENTATION) in _TURNED


def _is_grey(image: Image.Image) -> bool:
    if image.mode in _GREY_MODES or image.mode.startswith("I;"):
        return True
    if image.width * image.height > _SMALL_PIXELS:
        return False
    pixels = np.asarray(_on_white(image))
    return bool((pixels == pixels[..., :1]).all())


def _to_bytes(image: Image.Image, window: Window | None = None) -> Image.Image:
    """Return an upright 8-bit L or RGB image; deep greys by the window."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode == "L" and not upright.has_transparency_data:
        return upright
    if upright.mode == "F" or _is_deep(upright):
        values = np.asarray(upright)
        return Image.fromarray(_scale(values) if window is None or not _fits(values) else apply_window(values, window))
    return upright.convert("L") if upright.mode == "1" else _on_white(upright)


def _is_deep(image: Image.Image) -> bool:
    return image.mode == "I" or image.mode.startswith("I;")


def _fits(values: NDArray[Any]) -> bool:
    """Return whether these are whole numbers of 16 bits."""
    most = np.iinfo(np.uint16).max
    return values.dtype.kind in "ui" and values.size > 0 and 0 <= int(values.min()) <= int(values.max()) <= most


def _on_white(image: Image.Image) -> Image.Image:
    """Return RGB, with transparency on white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    coloured = image.convert("RGBA")
    white = Image.new("RGBA", coloured.size, "white")
    return Image.alpha_composite(white, coloured).convert("RGB")


def _scale(values: NDArray[Any]) -> ByteArray:
    """Return integers of 16 bits and floats as bytes, see the module's contract."""
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    wide = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(wide.min()), float(wide.max())
    if values.dtype.kind != "f" and low >= 0 and high <= np.iinfo(np.uint16).max:
        return (wide / 257 if high > 255 else wide).astype(np.uint8)  # noqa: PLR2004 one byte, two bytes
    if low >= 0 and high <= 1:
        return (wide * 255).round().astype(np.uint8)
    if low >= 0 and high <= 255:  # noqa: PLR2004 one byte
        return wide.round().astype(np.uint8)
    return ((wide - low) * (255 / ((high - low) or 1))).round().astype(np.uint8)
