"""Words and properties of the kinds of labels, classes and masks, for services, commands and pages.

Code that differs by kind is in the module of its feature: two functions, or two objects of functions, in a table by
`Task`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core.data.export.items import ExportFormat
from core.types import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelKind:
    """Words and properties of one kind of label."""

    reviewed: str  # plural of the object of a finding
    has_pixels: bool  # its labels are edited by pixel, and its images tagged
    export_formats: tuple[ExportFormat, ...]  # the default of commands first


def label_kind(task: Task) -> LabelKind:
    """Return the words and properties of a kind of label."""
    return _KINDS[task]


_KINDS: Mapping[Task, LabelKind] = {
    Task.CLASSIFICATION: LabelKind(
        reviewed="labels",
        has_pixels=False,
        export_formats=tuple(form for form in ExportFormat if not form.of_masks),
    ),
    Task.SEGMENTATION: LabelKind(
        reviewed="regions",
        has_pixels=True,
        export_formats=tuple(form for form in ExportFormat if form.of_masks),
    ),
}
