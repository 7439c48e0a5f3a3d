"""A question about photos that their EXIF turns: they are shown upright, but masks may have been drawn before.

Where width and height are swapped the sizes say it: a mask of the shown size needs no question. A photo that is upside
down, or square, has masks of either kind.
"""

from collections.abc import Sequence
from pathlib import Path

from core.data.formats.questions import Question, ask
from core.data.formats.source import READING, ReadOptions
from core.data.masks.faults import MaskError
from core.data.masks.files import opened
from core.data.masks.turning import TURNED, UPRIGHT, orientation_of, shown_size, stored_size

_LOOKED_AT = 200  # photos
_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".webp", ".png"}

Drawn = str | tuple[int, int] | None  # the mask's file, or width and height that it was drawn on


def ask_turned(photos: Sequence[tuple[str, Drawn]], options: ReadOptions) -> list[Question]:
    """Return the question whether masks are to be turned with their photos; none where nothing is turned."""
    if options.exif_masks or options.reading < READING:
        return []
    step = max(1, -(-len(photos) // _LOOKED_AT))
    stored = shown = either = 0
    for path, drawn in photos[::step]:
        orientation = orientation_of(path) if Path(path).suffix.lower() in _SUFFIXES else UPRIGHT
        if orientation == UPRIGHT:
            continue
        size, was, now = _size(drawn), stored_size(path), shown_size(path)
        told = orientation in TURNED and was != now and size in {was, now}
        stored += told and size == was
        shown += told and size == now
        either += not told
    if not stored and (shown or not either):
        return []
    evidence = f"; {stored:,} masks have the size of the unturned photo" if stored else ""
    return [
        ask(
            "exif_masks",
            "turned photos",
            f"EXIF turns {stored + shown + either:,} of {len(photos[::step]):,} photos that were looked at{evidence}. "
            "Were the masks drawn on the unturned photos?",
            {"yes, turn them with their photos": "turn", "no, they fit the photos as shown": "keep"},
            blocking=True,
        )
    ]


def _size(drawn: Drawn) -> tuple[int, int] | None:
    if not isinstance(drawn, str):
        return drawn
    try:
        with opened(Path(drawn)) as image:
            return image.size
    except MaskError:
        return None
