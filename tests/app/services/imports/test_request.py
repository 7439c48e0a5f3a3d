"""Requests of imports, as they are stored."""

import json
from dataclasses import replace

import pytest

from app.services.imports.request import ImportRequest
from core.data.formats.source import SourceFormat
from core.types import DatasetError

DEFAULT = (
    '{"name": "pets", "source": "/x", "format": null, "path_column": "", "label_column": "", "split_column": "", '
    '"group_column": "", "image_root": "", "class_level": 0, "literal_labels": false, "merged_classes": [], '
    '"colour_map": "", "class_names": "", "ignore_id": null, "first_id": null, "unnamed_ids": "", '
    '"threshold_masks": "", "float_masks": "", "unknown_colours": "", "exif_masks": "", "boxes": "", "window": "", '
    '"reading": 2, "allow_outside_links": false, "unlabelled": false, "moved": false, "renamed_classes": [], '
    '"forget_answers": false, "bring_back": false, "take_masks": false, "kept_classes": [], "dataset_id": null, '
    '"by": ""}'
)
FULL = (
    '{"name": "pets", "source": "/x", "format": "coco", "path_column": "p", "label_column": "l", '
    '"split_column": "s", "group_column": "g", "image_root": "/r", "class_level": 2, "literal_labels": true, '
    '"merged_classes": ["a=b"], "colour_map": "c", "class_names": "n", "ignore_id": 255, "first_id": 1, '
    '"unnamed_ids": "ignore", "threshold_masks": "half", "float_masks": "ids", "unknown_colours": "ignore", '
    '"exif_masks": "turn", "boxes": "skip", "window": "0-4095", "reading": 1, "allow_outside_links": true, '
    '"unlabelled": true, "moved": true, "renamed_classes": ["o=n"], "forget_answers": true, "bring_back": true, '
    '"take_masks": true, "kept_classes": ["k"], "dataset_id": 4, "by": "ada"}'
)


def test_the_stored_form_does_not_change() -> None:
    full = ImportRequest(
        name="pets",
        source="/x",
        format=SourceFormat.COCO,
        path_column="p",
        label_column="l",
        split_column="s",
        group_column="g",
        image_root="/r",
        class_level=2,
        literal_labels=True,
        merged_classes=("a=b",),
        colour_map="c",
        class_names="n",
        ignore_id=255,
        first_id=1,
        unnamed_ids="ignore",
        threshold_masks="half",
        float_masks="ids",
        unknown_colours="ignore",
        exif_masks="turn",
        boxes="skip",
        window="0-4095",
        reading=1,
        allow_outside_links=True,
        unlabelled=True,
        moved=True,
        renamed_classes=("o=n",),
        forget_answers=True,
        bring_back=True,
        take_masks=True,
        kept_classes=("k",),
        dataset_id=4,
        by="ada",
    )
    for request, stored in ((ImportRequest(name="pets", source="/x"), DEFAULT), (full, FULL)):
        assert json.dumps(request.to_json()) == stored
        read = ImportRequest.from_json(json.loads(stored))
        assert (read, read.by) == (request, request.by)
        assert hash(read) == hash(request)


def test_a_request_of_a_former_release_reads_labels_literally() -> None:
    first = ImportRequest(name="pets", source="/x", literal_labels=True, class_level=1)
    assert ImportRequest.from_json({"name": "pets", "source": "/x"}) == first
    assert ImportRequest.from_json({"name": "pets", "source": "/x", "format": ""}) == first
    chosen = ImportRequest.from_json({"name": "pets", "source": "/x", "format": "coco", "class_level": 0})
    assert chosen == replace(first, format=SourceFormat.COCO, class_level=0)


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"name": ""}, "the dataset's name must have 1 to 200 characters; choose another"),
        ({"boxes": "zz"}, "zz is not an answer on boxes; there are ignore, skip"),
        ({"merged_classes": ["x"]}, "x: names no two classes; write name=class, as in Cat=cat"),
        ({"window": "9"}, "9 is not a range of greys; write two values from 0 to 65535, as in 0-4095, or full"),
    ],
)
def test_an_invalid_stored_request_is_refused(values: dict[str, object], cause: str) -> None:
    with pytest.raises(DatasetError) as refused:
        ImportRequest.from_json({"name": "pets", "source": "/x"} | values)
    assert str(refused.value) == cause
