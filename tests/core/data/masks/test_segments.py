import numpy as np
import pytest

from core.data.masks.colours import IGNORED
from core.data.masks.faults import MaskError
from core.data.masks.runs import encode_brush, encode_coco
from core.data.masks.segments import read_segments, segments

SQUARE = [[1, 1, 5, 1, 5, 4, 1, 4]]


def read(*shapes: list[object], base: int = IGNORED, classes: int = 3) -> list[list[int]]:
    mask, warning = read_segments(segments("tasks.json, 1.png", base, list(shapes)), 8, 6, classes)
    assert warning is None
    found: list[list[int]] = mask.tolist()
    return found


def test_a_polygon_covers_the_pixels_whose_centres_are_inside() -> None:
    mask = np.array(read([2, "polygons", SQUARE]))
    assert (mask[1:4, 1:5] == 2).all()
    assert (mask == 2).sum() == 12


def test_percent_are_of_width_and_height() -> None:
    corners = [[12.5, 100 / 6], [62.5, 100 / 6], [62.5, 400 / 6], [12.5, 400 / 6]]
    assert read([2, "percent", corners]) == read([2, "polygons", SQUARE])


def test_where_shapes_overlap_the_later_one_is_on_top() -> None:
    inside = np.zeros((6, 8), dtype=bool)
    inside[2] = True
    mask = np.array(read([1, "polygons", SQUARE], [2, "rle", encode_coco(inside)], base=0))
    assert (mask[2] == 2).all()
    assert mask[1, 1] == 1
    assert mask[0, 0] == 0
    size_and_rle = {"size": [6, 8], "rle": encode_brush(inside)}
    mask = np.array(read([2, "brush", size_and_rle], [1, "polygons", SQUARE]))
    assert mask[2].tolist() == [2, 1, 1, 1, 1, 2, 2, 2]


def test_ignore_is_wide_where_classes_are_many() -> None:
    assert set(np.unique(read([299, "polygons", SQUARE], classes=300))) == {299, 65_535}


def test_a_part_outside_the_image_is_cut_off() -> None:
    assert (np.array(read([1, "polygons", [[-3, -3, 11, -3, 11, 9, -3, 9]]])) == 1).all()


def test_an_image_of_another_size_than_the_file_says() -> None:
    with pytest.raises(MaskError, match="drawn on 9 x 6 pixels, the image has 8 x 6"):
        read_segments(segments("a.json, 1.png", 0, [], [6, 9]), 8, 6, 3)


def test_the_bad_shape_is_named_by_its_number() -> None:
    with pytest.raises(MaskError, match=r"tasks\.json, 1\.png, shape 2: 7 numbers"):
        read([1, "polygons", SQUARE], [1, "polygons", [[1, 2, 3, 4, 5, 6, 7]]])


def test_polygons_without_area_are_left_out_and_counted() -> None:
    shapes: list[list[object]] = [
        [1, "polygons", [*SQUARE, [5.5, 5.5]]],
        [2, "polygons", [[1, 2, 3, 4]]],
        [2, "percent", [[20, 25], [60, 25]]],
    ]
    mask, warning = read_segments(segments("a.json, 1.png", 0, shapes), 8, 6, 3)
    assert set(np.unique(mask)) == {0, 1}
    assert warning is not None
    assert (warning.kind, str(warning)[:24]) == ("shape left out", "a.json, 1.png: 2 polygon")


def test_a_flat_list_of_coordinates_is_one_polygon() -> None:
    assert read([1, "polygons", SQUARE[0]]) == read([1, "polygons", SQUARE])


def test_pixels_of_a_shape_may_be_ignored() -> None:
    assert (np.array(read([IGNORED, "polygons", SQUARE], base=0))[1:4, 1:5] == 255).all()


def test_a_size_may_be_written_as_text() -> None:
    mask, _ = read_segments(segments("a.json", 0, [], ["6", "8"]), 8, 6, 3)
    assert mask.shape == (6, 8)
