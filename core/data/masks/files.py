"""Open mask files nobody has vetted, and look at what they store: values, colours, a palette.

Shapes: values and codes (H, W).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.masks.colours import UNKNOWN, codes_of
from core.data.masks.faults import MaskError
from core.types import WIDE_IGNORE, IntArray

FORMATS = ("PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG", "PPM", "TGA")
_GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}
COLOURED = {"RGB", "RGBA", "RGBX", "RGBa"}
LOSSY = {"JPEG"}


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a mask's file; whatever a decoder raises on foreign bytes is one kind of error.

    Raises:
        MaskError: it cannot be opened, or, later, decoded.
    """
    try:
        with path.open("rb") as file:
            yield Image.open(file, formats=FORMATS)
    except MaskError:
        raise
    except FileNotFoundError as error:
        raise MaskError("missing mask", f"{path.name}: there is no such file", "put it back") from error
    except PermissionError as error:
        raise MaskError("unreadable mask", f"{path.name}: {error.strerror}", "give this user its rights") from error
    except Image.DecompressionBombError as error:
        raise MaskError("mask too large", f"{path.name}: {error}", "write it again in its image's size") from error
    except Exception as error:  # decoders raise anything on foreign bytes; here it all means one thing
        raise MaskError(
            "corrupt mask",
            f"{path.name}: it cannot be decoded ({type(error).__name__}: {error})",
            "copy it again from its source, or remove it",
        ) from error


def grey_values(image: Image.Image) -> IntArray | None:
    """Return what a grey or palette file stores, (H, W) uint8 or uint16; None: it stores colours."""
    if image.mode == "P":
        return np.asarray(image)
    if image.mode not in _GREY:
        return None
    values = np.asarray(image.getchannel(0) if image.mode == "LA" else image)
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.itemsize > 2:  # noqa: PLR2004 two bytes hold every id there can be
        return np.where((values < 0) | (values > WIDE_IGNORE), UNKNOWN, values).astype(np.uint16)
    return values if values.dtype == np.uint8 else values.astype(np.uint16)


def palette_of(image: Image.Image) -> IntArray:
    """Return the colour code of each palette index, (256,); those the file does not give are black."""
    codes = np.zeros(256, dtype=np.uint32)
    stored = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    codes[: len(stored)] = codes_of(stored)
    return codes


def is_grey(codes: IntArray) -> bool:
    """Whether red, green and blue are equal in every one of these colour codes."""
    return bool(((codes & 255) * 0x010101 == codes).all())
