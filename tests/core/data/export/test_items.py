"""Options of an export, as they are stored."""

import json
import re

import pytest

from core.data.export.items import ExportFormat, ExportOptions, Link, UnusablePolicy
from core.data.masks.items import Per
from core.types import ExportError

DEFAULT = (
    '{"format": "imagefolder", "link": "hardlink", "copy_if_needed": true, "ambiguous": "leave-out", '
    '"excluded": "leave-out", "unlabelled": "leave-out", "splits": [], "per": "usual", "raw": false}'
)
FULL = (
    '{"format": "coco", "link": "copy", "copy_if_needed": false, "ambiguous": "apart", "excluded": "apart", '
    '"unlabelled": "apart", "splits": ["train", "val"], "per": "piece", "raw": true}'
)


def test_the_stored_form_does_not_change() -> None:
    full = ExportOptions(
        format=ExportFormat.COCO,
        link=Link.COPY,
        copy_if_needed=False,
        ambiguous=UnusablePolicy.APART,
        excluded=UnusablePolicy.APART,
        unlabelled=UnusablePolicy.APART,
        splits=("train", "val"),
        per=Per.PIECE,
        raw=True,
    )
    for options, stored in ((ExportOptions(), DEFAULT), (full, FULL)):
        assert json.dumps(options.to_json()) == stored
        assert ExportOptions.from_json(json.loads(stored)) == options
    assert ExportOptions.from_json({"format": "csv"}) == ExportOptions(format=ExportFormat.CSV)  # of earlier versions


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"frmat": 1, "b": 2}, "unknown options b, frmat; known are ambiguous, copy_if_needed, excluded, format"),
        ({"format": "x"}, "'x' is not"),
        ({"link": None}, "None is not"),
    ],
)
def test_unknown_names_and_values_are_refused_with_the_cause(values: dict[str, object], cause: str) -> None:
    with pytest.raises(ExportError, match=re.escape(cause)):
        ExportOptions.from_json(values)
