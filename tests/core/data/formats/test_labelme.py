import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.formats import labelme
from core.data.formats.detect import detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.types import DatasetError
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import Source


def save(root: Path, name: str, *shapes: dict[str, Any]) -> Path:
    draw_all(root, [f"{name}.jpg"])
    values = {"version": "5.0", "shapes": list(shapes), "imagePath": f"{name}.jpg", "imageHeight": 4, "imageWidth": 5}
    (root / f"{name}.json").write_text(json.dumps(values))
    return root


def shape(label: str, points: list[list[float]], kind: str | None = "polygon", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, **more}


LEFT = [[0, 0], [2, 0], [2, 4], [0, 4]]


def test_polygons_and_rectangles_are_painted_in_the_order_of_the_file(tmp_path: Path) -> None:
    save(tmp_path, "1", shape("dog", LEFT), shape("cat", [[1, 0], [3, 4]], "rectangle"))
    draw_all(tmp_path, ["2.jpg"])
    assert detect(tmp_path).format is SourceFormat.LABELME
    source = Source(tmp_path, labelme)
    assert source.table.names == ("background", "cat", "dog")
    assert source.masks["1.jpg"][0].tolist() == [2, 1, 1, 0, 0]
    assert source.samples["2.jpg"].mask is None
    assert source.kinds == {}


def test_painted_masks_and_circles_are_read(tmp_path: Path) -> None:
    packed = io.BytesIO()
    Image.fromarray(np.array([[True, False], [True, True]])).save(packed, "PNG")
    painted = shape("cat", [[1, 1], [2, 2]], "mask", mask=base64.b64encode(packed.getvalue()).decode())
    source = Source(save(tmp_path, "1", painted), labelme)
    assert np.argwhere(source.masks["1.jpg"]).tolist() == [[1, 1], [2, 1], [2, 2]]
    source = Source(save(tmp_path, "1", shape("cat", [[2.5, 2], [4.5, 2]], "circle")), labelme)
    assert source.masks["1.jpg"][2].tolist() == [0, 1, 1, 1, 1] or source.masks["1.jpg"][2, 1:4].all()


def test_labelmes_names_for_background_and_ignored_pixels_are_understood(tmp_path: Path) -> None:
    save(tmp_path, "1", shape("cat", LEFT), shape("__ignore__", [[0, 0], [1, 0], [1, 4], [0, 4]]))
    source = Source(tmp_path, labelme)
    assert source.table.names == ("background", "cat")
    assert source.masks["1.jpg"][0].tolist() == [255, 1, 0, 0, 0]


def test_lines_and_points_are_skipped_and_counted(tmp_path: Path) -> None:
    source = Source(save(tmp_path, "1", shape("cat", [[1, 1]], "point"), shape("cat", LEFT, None)), labelme)
    assert source.kinds == {"point": "not a mask"}
    assert source.masks["1.jpg"][0].tolist() == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    "bad",
    [
        shape("cat", [[1]]),
        shape("cat", [[1, 1], [2, 2]], "mask", mask="no base64"),
        shape("cat", [[4, 3], [5, 4]], "mask", mask=""),
        shape("cat", LEFT, "cuboid"),
        shape("cat", [[1, 1], [1e300, 2]], "circle"),
        shape("cat", [[float("inf"), 1], [2, 2]], "mask", mask=""),
        {"label": "cat"},
    ],
)
def test_a_bad_shape_leaves_its_image_without_a_mask(tmp_path: Path, bad: dict[str, Any]) -> None:
    save(tmp_path, "1", shape("cat", LEFT), bad)
    source = Source(save(tmp_path, "2", shape("cat", LEFT)), labelme)
    assert list(source.masks) == ["2.jpg"]
    assert source.fault.cure


def test_a_broken_file_is_named_and_its_image_unlabelled(tmp_path: Path) -> None:
    save(save(tmp_path, "1", shape("cat", LEFT)), "2", shape("cat", LEFT))
    (tmp_path / "2.json").write_text("{")
    source = Source(tmp_path, labelme)
    assert list(source.masks) == ["1.jpg"]
    assert source.kinds == {"2.json": "broken JSON"}


def test_a_folder_without_labelme_files_is_refused(tmp_path: Path) -> None:
    assert labelme.recognise(draw_all(tmp_path, ["1.jpg"])) == ""
    with pytest.raises(DatasetError, match="another format"):
        labelme.read(tmp_path, ReadOptions())


@pytest.mark.parametrize("label", [None, "", " ", [], True])
def test_a_shape_without_a_label_is_reported_and_not_a_class(tmp_path: Path, label: object) -> None:
    save(tmp_path, "1", shape("cat", LEFT), {**shape("", LEFT), "label": label})
    save(tmp_path, "2", {**shape("", LEFT), "label": 7})
    source = Source(tmp_path, labelme)
    assert source.table.names == ("background", "7", "cat")
    assert list(source.masks) == ["2.jpg"]
    assert source.fault.kind == "no label"
