import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from core.data.formats import label_studio
from core.data.formats.detect import detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.data.masks.runs import encode_brush
from core.types import ClassTable, DatasetError
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import Source, write

INSIDE = np.zeros((4, 5), dtype=bool)
INSIDE[:, 3] = True


def brush(name: str) -> dict[str, Any]:
    value = {"format": "rle", "rle": encode_brush(INSIDE), "brushlabels": [name]}
    return {"type": "brushlabels", "original_width": 5, "original_height": 4, "value": value}


def polygon(name: str) -> dict[str, Any]:
    return {
        "type": "polygonlabels",
        "original_width": 5,
        "original_height": 4,
        "value": {"points": [[0, 0], [40, 0], [40, 100], [0, 100]], "polygonlabels": [name]},
    }


def save(root: Path, *tasks: dict[str, Any]) -> Path:
    (root / "project-1.json").write_text(json.dumps(list(tasks)))
    return root


def task(image: str, *results: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": image, **data}, "annotations": [{"id": 2, "result": list(results)}]}


def test_brushes_and_polygons_are_read(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.png", "b.png"])
    save(tmp_path, task("a.png", polygon("dog"), brush("cat")), {"data": {"image": "b.png"}, "annotations": []})
    assert detect(tmp_path).format is SourceFormat.LABEL_STUDIO
    assert detect(tmp_path / "project-1.json").format is SourceFormat.LABEL_STUDIO
    source = Source(tmp_path, label_studio)
    assert source.table.names == ("cat", "dog", "background")
    assert source.masks["a.png"][0].tolist() == [1, 1, 2, 0, 2]
    assert source.samples["b.png"].mask is None
    assert source.kinds == {}


def test_rectangles_and_ellipses_are_read_as_masks(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.png"])
    box = {"x": 0, "y": 0, "width": 40, "height": 100, "rotation": 0, "rectanglelabels": ["dog"]}
    disc = {"x": 90, "y": 50, "radiusX": 10, "radiusY": 50, "rotation": 0, "ellipselabels": ["cat"]}
    shapes = [{"type": name, "value": value} for name, value in (("rectanglelabels", box), ("ellipselabels", disc))]
    save(tmp_path, task("a.png", *shapes))
    source = Source(tmp_path, label_studio)
    assert source.table.names == ("cat", "dog", "background")
    middle = source.masks["a.png"][len(source.masks["a.png"]) // 2].tolist()
    assert middle == [1, 1, 2, 2, 0]
    assert source.kinds == {}


@pytest.mark.parametrize(
    "address",
    [
        "/data/local-files/?d=set/im%20a.png",
        "/data/upload/1/0a1b2c3d-im a.png",
        "/data/upload/1/0a1b2c3d-im%20a.png",
        "http://[::1/im a.png",
        "s3://bucket/set/im a.png",
        "https://example.org/set/im a.png?token=1",
        "set\\im a.png",
        "im a.png",
    ],
)
def test_images_are_found_by_any_form_of_address(tmp_path: Path, address: str) -> None:
    draw_all(tmp_path, ["set/im a.png", "b.png"])
    source = Source(save(tmp_path, task(address, polygon("dog")), task("b.png")), label_studio)
    assert set(source.masks) == {"set/im a.png", "b.png"}


def test_the_last_uncancelled_annotation_is_used(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.png"])
    annotations = [
        {"result": [polygon("first")]},
        {"result": [polygon("second")]},
        {"result": [polygon("third")], "was_cancelled": True},
    ]
    source = Source(save(tmp_path, {"data": {"photo": "a.png"}, "annotations": annotations}), label_studio)
    assert source.table.names == ("second", "background")


def test_a_class_list_beside_the_export_gives_order_and_colours(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.png"])
    (tmp_path / "label_colors.txt").write_text("1 1 1 dog\n2 2 2 bird\n0 0 0 void\n")
    source = Source(save(tmp_path, task("a.png", polygon("dog"), brush("cat"), split="validation")), label_studio)
    assert source.table.names == ("dog", "bird", "cat")
    assert source.table.colours[:2] == ("#010101", "#020202")
    assert source.masks["a.png"][0].tolist() == [0, 0, 255, 2, 255]
    assert source.samples["a.png"].split == "val"


def test_an_export_can_be_imported_as_a_label_studio_project(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 255]], dtype=np.uint8)
    write(tmp_path, label_studio, {"a b.png": mask}, ClassTable(("<ü>", "cat"), ("#000000", "#0a141e")))
    (written,) = json.loads((tmp_path / "tasks.json").read_text())
    assert written["data"]["image"] == "/data/local-files/?d=images/a%20b.png"
    (annotation,) = written["annotations"]
    assert [result["value"]["brushlabels"] for result in annotation["result"]] == [["<ü>"], ["cat"]]
    labels = ET.parse(tmp_path / "label_config.xml").getroot().find("BrushLabels")
    assert labels is not None
    assert [dict(label.attrib) for label in labels] == [
        {"value": "<ü>", "background": "#000000"},
        {"value": "cat", "background": "#0a141e"},
    ]


CORNERS = {"points": [[0, 0], [40, 0], [40, 100], [0, 100]], "closed": True}


def test_labels_stored_apart_from_their_shapes_are_read(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.png"])
    shapes = [
        {"id": "r1", "type": "polygon", "value": CORNERS},
        {"id": "r1", "type": "labels", "value": {**CORNERS, "labels": ["cat"]}},
    ]
    source = Source(save(tmp_path, task("a.png", *shapes)), label_studio)
    assert source.masks["a.png"][0].tolist() == [0, 0, 1, 1, 1]
    assert source.kinds == {}


@pytest.mark.parametrize(
    "bare",
    [
        {"type": "ellipse", "value": {"x": 70, "y": 70, "radiusX": 10, "radiusY": 10, "rotation": 0}},
        {"type": "brush", "value": {"format": "rle", "rle": encode_brush(INSIDE)}},
        {"type": "polygon", "value": CORNERS},
        {"type": "labels", "value": {**CORNERS, "labels": []}},
    ],
)
def test_a_shape_without_a_label_leaves_no_mask(tmp_path: Path, bare: dict[str, Any]) -> None:
    draw_all(tmp_path, ["a.png"])
    source = Source(save(tmp_path, task("a.png", {**brush("cat"), "id": "r1"}, {**bare, "id": "r1"})), label_studio)
    assert source.fault.kind == "no label"
    assert source.masks == {}


def test_an_unfinished_polygon_is_left_out_and_counted(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.png"])
    unfinished = polygon("cat")
    unfinished["value"]["points"] = unfinished["value"]["points"][:2]
    source = Source(save(tmp_path, task("a.png", brush("cat"), unfinished)), label_studio)
    assert source.masks["a.png"][0].tolist() == [1, 1, 1, 0, 1]
    assert source.warnings["a.png"].kind == "shape left out"


def test_tasks_with_nothing_drawn_are_counted(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.png", "b.png"])
    source = Source(save(tmp_path, task("a.png"), task("b.png", brush("cat"))), label_studio)
    assert source.kinds == {"project-1.json": "nothing drawn"}
    assert "with nothing drawn: 1 task;" in source.problems.kept[0].message


def test_json_min_is_refused_with_the_export_to_use(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.png"])
    values = [{"id": 1, "image": "a.png", "tag": [], "annotator": 1, "annotation_id": 1, "lead_time": 1.0}]
    (tmp_path / "export.json").write_text(json.dumps(values))
    assert detect(tmp_path).format is SourceFormat.LABEL_STUDIO
    with pytest.raises(DatasetError, match="export the project as JSON"):
        label_studio.read(tmp_path, ReadOptions())


def test_the_ground_truth_is_used_and_a_differing_annotation_reported(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.png"])
    annotations = [{"result": [polygon("first")], "ground_truth": True}, {"result": [brush("second")]}]
    source = Source(save(tmp_path, {"data": {"image": "a.png"}, "annotations": annotations}), label_studio)
    assert source.table.names == ("first", "background")
    assert source.kinds == {"a.png": "annotators differ"}


@pytest.mark.parametrize(
    ("annotations", "read", "differing"),
    [
        ([("cat", True), ("dog", False)], "cat", 0),
        ([("cat", False), ("dog", False)], "dog", 1),
        ([("cat", True), ("dog", True)], "dog", 1),
        ([("cat", True), ("cat", True), ("dog", False)], "cat", 0),
        ([("cat", False), ("cat", False)], "cat", 0),
    ],
)
def test_differing_annotators_are_marked_unless_one_ground_truth_settles_it(
    tmp_path: Path, annotations: list[tuple[str, bool]], read: str, differing: int
) -> None:
    draw_all(tmp_path, ["a.png"])
    for draw in (False, True):
        of = polygon if draw else chosen
        judged = [{"result": [of(name)], "ground_truth": truth} for name, truth in annotations]
        cancelled = {"result": [of("bird")], "was_cancelled": True}
        save(tmp_path, {"data": {"image": "a.png"}, "annotations": [*judged, cancelled]})
        listing = label_studio.read(tmp_path, ReadOptions())
        (sample,) = listing.samples
        assert sample.annotators_differ == differing
        kinds = [problem.kind for problem in listing.problems.kept]
        assert kinds == ["annotators differ"] * (len({name for name, _ in annotations}) > 1)
        assert (listing.table.names[0] if listing.table else sample.label) == read


def test_only_differences_in_labels_count_as_disagreement(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.png", "b.png"])
    box = {"x": 0, "y": 0, "width": 40, "height": 100}
    regions = [{"type": "labels", "id": "1", "value": {**box, "labels": [name]}} for name in ("cat", "dog")]
    comments = [[polygon("cat"), {"type": "textarea", "value": {"text": [text]}}] for text in ("sure", "not sure")]
    tasks = [
        {"data": {"image": "a.png"}, "annotations": [{"result": [region]} for region in regions]},
        {"data": {"image": "b.png"}, "annotations": [{"result": results} for results in comments]},
    ]
    source = Source(save(tmp_path, *tasks), label_studio)
    assert {name: one.annotators_differ for name, one in source.samples.items()} == {"a.png": True, "b.png": False}


def chosen(*names: str) -> dict[str, Any]:
    return {"type": "choices", "value": {"choices": list(names)}}


def test_choices_are_read_as_image_labels(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a.png", "b.png", "c.png"])

    tasks = task("a.png", chosen("cat")), task("b.png", chosen("cat", "dog")), task("c.png", split="validation")
    listing = label_studio.read(save(tmp_path, *tasks), ReadOptions())
    assert listing.table is None
    samples = list(listing.samples)
    assert [sample.label for sample in samples] == ["cat", None, None]
    assert samples[2].split == "val"
    assert [(problem.path, problem.kind) for problem in listing.problems.kept] == [("b.png", "several classes")]
    older = label_studio.read(tmp_path, ReadOptions(reading=1))
    assert older.table is not None
