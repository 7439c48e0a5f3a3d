import numpy as np
import pytest
from hypothesis import given as drawn, strategies as st

from core.data.images import MaskError
from core.data.masks.colours import IGNORED
from core.data.masks.runs import encode_brush, encode_coco
from core.data.masks.segments import inside_ellipse, inside_rectangle, read_segments, segments

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


def test_percentages_refer_to_width_and_height() -> None:
    corners = [[12.5, 100 / 6], [62.5, 100 / 6], [62.5, 400 / 6], [12.5, 400 / 6]]
    assert read([2, "percent", corners]) == read([2, "polygons", SQUARE])


def test_later_shapes_are_painted_over_earlier_ones() -> None:
    inside = np.zeros((6, 8), dtype=bool)
    inside[2] = True
    mask = np.array(read([1, "polygons", SQUARE], [2, "rle", encode_coco(inside)], base=0))
    assert (mask[2] == 2).all()
    assert mask[1, 1] == 1
    assert mask[0, 0] == 0
    size_and_rle = {"size": [6, 8], "rle": encode_brush(inside)}
    mask = np.array(read([2, "brush", size_and_rle], [1, "polygons", SQUARE]))
    assert mask[2].tolist() == [2, 1, 1, 1, 1, 2, 2, 2]


def test_ignore_is_a_16_bit_value_with_more_than_255_classes() -> None:
    assert set(np.unique(read([299, "polygons", SQUARE], classes=300))) == {299, 65_535}


def test_a_part_outside_the_image_is_cut_off() -> None:
    assert (np.array(read([1, "polygons", [[-3, -3, 11, -3, 11, 9, -3, 9]]])) == 1).all()


def test_an_image_size_that_differs_from_the_file_is_refused() -> None:
    with pytest.raises(MaskError, match="drawn on 9 x 6 pixels, the image has 8 x 6"):
        read_segments(segments("a.json, 1.png", 0, [], [6, 9]), 8, 6, 3)


def test_a_bad_shape_is_named_by_its_number() -> None:
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


def test_a_flat_list_of_coordinates_is_read_as_one_polygon() -> None:
    assert read([1, "polygons", SQUARE[0]]) == read([1, "polygons", SQUARE])


def test_pixels_of_a_shape_can_be_ignored() -> None:
    assert (np.array(read([IGNORED, "polygons", SQUARE], base=0))[1:4, 1:5] == 255).all()


def test_a_size_can_be_a_string() -> None:
    mask, _ = read_segments(segments("a.json", 0, [], ["6", "8"]), 8, 6, 3)
    assert mask.shape == (6, 8)


WIDTH, HEIGHT = 40, 20


def test_a_rectangle_covers_the_pixels_whose_centres_are_inside() -> None:
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[5:10, 4:20] = True
    box = {"x": 10, "y": 25, "width": 40, "height": 25}
    np.testing.assert_array_equal(inside_rectangle(box, WIDTH, HEIGHT), expected)


def test_a_rectangle_is_rotated_clockwise_about_its_corner() -> None:
    """16 x 5 pixels from (20, 5), a quarter turned: down from there, and to the left."""
    box = {"x": 50, "y": 25, "width": 40, "height": 25, "rotation": 90}
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[5:20, 15:20] = True
    np.testing.assert_array_equal(inside_rectangle(box, WIDTH, HEIGHT), expected)


def test_an_ellipse_is_centred_on_its_position() -> None:
    inside = inside_ellipse({"x": 50, "y": 50, "radiusX": 25, "radiusY": 25}, WIDTH, HEIGHT)
    assert (inside[10, 10], inside[10, 9], inside[5, 20], inside[4, 20]) == (True, False, True, False)
    np.testing.assert_array_equal(inside, inside[::-1, ::-1])
    assert inside.sum() == pytest.approx(np.pi * 10 * 5, rel=0.03)
    turned = inside_ellipse({"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 90}, WIDTH, HEIGHT)
    assert np.ptp(np.flatnonzero(turned.any(axis=1))) > np.ptp(np.flatnonzero(turned.any(axis=0)))


@drawn(st.floats(0, 90), st.floats(0, 90), st.floats(1, 60), st.floats(1, 60))
def test_a_full_rotation_changes_nothing(x: float, y: float, width: float, height: float) -> None:
    box = {"x": x, "y": y, "width": width, "height": height}
    ahead, round_ = inside_rectangle(box, WIDTH, HEIGHT), inside_rectangle({**box, "rotation": 360}, WIDTH, HEIGHT)
    assert (ahead != round_).sum() <= WIDTH + HEIGHT  # only where a centre lies on the edge


@pytest.mark.parametrize("wrong", [{}, {"x": "a"}, {"x": 1, "y": 1, "width": -1, "height": 3}, {"x": True}])
def test_an_invalid_rectangle_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(MaskError, match=r"m, image, shape 1: .*(not a number|outside)"):
        read_segments(segments("m, image", 0, [[1, "rectangle", wrong]]), WIDTH, HEIGHT, 2)


def test_shapes_are_painted_in_the_order_of_the_file() -> None:
    box = {"x": 0, "y": 0, "width": 50, "height": 100}
    round_ = {"x": 25, "y": 50, "radiusX": 10, "radiusY": 20}
    mask, _ = read_segments(segments("m", 0, [[1, "rectangle", box], [2, "ellipse", round_]]), WIDTH, HEIGHT, 3)
    assert (mask[0, 0], mask[10, 10], mask[0, 30]) == (1, 2, 0)
