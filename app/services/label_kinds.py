"""Words and facts of the kinds of labels, classes and masks, for services, commands and pages.

Code that differs by kind stands in the module of its feature: two functions, or two objects of functions, in a table by
`Task`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from core.data.export.items import ExportFormat
from core.types import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelKind:
    """Words and facts of one kind of label."""

    reviewed: str  # the plural of what a finding is on
    has_pixels: bool  # its labels are painted, and its images tagged
    export_formats: tuple[ExportFormat, ...]  # that of commands by default first


def label_kind(task: Task) -> LabelKind:
    """Return the words and facts of a kind of label."""
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
