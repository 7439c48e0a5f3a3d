"""Words and facts of both kinds of labels."""

from app.services.label_kinds import label_kind
from core.data.export.items import ExportFormat
from core.types import Task


def test_every_export_format_belongs_to_one_kind_of_labels() -> None:
    formats = [form for task in Task for form in label_kind(task).export_formats]
    assert sorted(formats) == sorted(ExportFormat)


def test_commands_export_class_folders_and_pairs_of_images_and_masks_by_default() -> None:
    assert label_kind(Task.CLASSIFICATION).export_formats[0] is ExportFormat.CLASS_FOLDERS
    assert label_kind(Task.SEGMENTATION).export_formats[0] is ExportFormat.MASK_PAIRS


def test_only_datasets_of_masks_can_be_edited_and_tagged() -> None:
    assert [task for task in Task if label_kind(task).has_pixels] == [Task.SEGMENTATION]
