"""Annotations that have a box and no shape, in COCO and YOLO: the box says nothing of each of its pixels.

Unless the option `boxes` says otherwise their image has no mask, since what is in the box would become background.
"""

from typing import Any

from core.data.formats.questions import Question, ask
from core.data.formats.source import READING, ReadOptions
from core.data.masks.colours import IGNORED

BOX_CURE = "draw a shape; or ignore the pixels of boxes (--boxes ignore), or skip such annotations (--boxes skip)"


def box_shape(kind: str, values: Any, said: str, options: ReadOptions) -> list[Any] | None:  # noqa: ANN401 as the file has it
    """Return the shape of a box, [class, kind, values] as `segments` knows it; None: it is to be skipped."""
    if options.boxes == "skip":
        return None
    if options.boxes == "ignore":
        return [IGNORED, kind, values]
    return [0, "fault", ["box without a shape", f"{said} and has no shape", BOX_CURE]]


def boxes_question(count: int, options: ReadOptions) -> list[Question]:
    """Return the question about so many boxes; none where there are none, or an option answers it."""
    if not count or options.boxes or options.reading < READING:
        return []
    return [
        ask(
            "boxes",
            "boxes without a shape",
            f"{count:,} annotations have a box and no shape, so their images come without a mask. Are the pixels of "
            "these boxes to be ignored instead?",
            {"yes, ignore the boxes' pixels": "ignore", "no, skip these annotations": "skip"},
            blocking=False,
        )
    ]
