from pathlib import Path

import pytest

from core.data.formats import unlabelled
from core.data.formats.source import ReadOptions
from tests.core.data.formats.drawn import draw_all


@pytest.mark.parametrize(
    ("name", "text", "way"),
    [
        ("annotations.xml", "<?xml version='1.0'?>\n<annotations><image name='1.jpg'/></annotations>", "--format cvat"),
        ("1.xml", "<annotation><object/></annotation>", "masks"),
        ("annotations/default.json", '{"dm_format_version": "1.0", "items": []}', "as COCO or VOC"),
        ("labels.json", '{"annotations": []}', "COCO instances"),
    ],
)
def test_annotations_that_are_not_read_are_named_with_the_way(tmp_path: Path, name: str, text: str, way: str) -> None:
    draw_all(tmp_path, ["1.jpg"])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    listing = unlabelled.read(tmp_path, ReadOptions())
    assert [sample.label for sample in listing.samples] == [None]
    (problem,) = [problem for problem in listing.problems.kept if problem.kind == "annotations not read"]
    assert problem.path == name
    assert way in problem.cure
