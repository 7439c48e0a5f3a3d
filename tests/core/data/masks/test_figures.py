import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from core.data.masks.faults import MaskError
from core.data.masks.figures import inside_ellipse, inside_rectangle
from core.data.masks.segments import read_segments, segments

WIDTH, HEIGHT = 40, 20


def test_a_rectangle_covers_the_pixels_whose_centres_are_inside() -> None:
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[5:10, 4:20] = True
    box = {"x": 10, "y": 25, "width": 40, "height": 25}
    np.testing.assert_array_equal(inside_rectangle(box, WIDTH, HEIGHT), expected)


def test_a_rectangle_is_turned_about_its_corner_clockwise_on_square_pixels() -> None:
    """16 x 5 pixels from (20, 5), a quarter turned: down from there, and to the left."""
    box = {"x": 50, "y": 25, "width": 40, "height": 25, "rotation": 90}
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[5:20, 15:20] = True
    np.testing.assert_array_equal(inside_rectangle(box, WIDTH, HEIGHT), expected)


def test_an_ellipse_lies_about_its_centre() -> None:
    inside = inside_ellipse({"x": 50, "y": 50, "radiusX": 25, "radiusY": 25}, WIDTH, HEIGHT)
    assert (inside[10, 10], inside[10, 9], inside[5, 20], inside[4, 20]) == (True, False, True, False)
    np.testing.assert_array_equal(inside, inside[::-1, ::-1])
    assert inside.sum() == pytest.approx(np.pi * 10 * 5, rel=0.03)
    turned = inside_ellipse({"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 90}, WIDTH, HEIGHT)
    assert np.ptp(np.flatnonzero(turned.any(axis=1))) > np.ptp(np.flatnonzero(turned.any(axis=0)))


@drawn(st.floats(0, 90), st.floats(0, 90), st.floats(1, 60), st.floats(1, 60))
def test_what_is_turned_once_round_covers_the_same(x: float, y: float, width: float, height: float) -> None:
    box = {"x": x, "y": y, "width": width, "height": height}
    ahead, round_ = inside_rectangle(box, WIDTH, HEIGHT), inside_rectangle({**box, "rotation": 360}, WIDTH, HEIGHT)
    assert (ahead != round_).sum() <= WIDTH + HEIGHT  # only where a centre lies on the edge


@pytest.mark.parametrize("wrong", [{}, {"x": "a"}, {"x": 1, "y": 1, "width": -1, "height": 3}, {"x": True}])
def test_what_is_no_rectangle_is_told(wrong: dict[str, object]) -> None:
    with pytest.raises(MaskError, match=r"m, image, shape 1: .*(no number|outside)"):
        read_segments(segments("m, image", 0, [[1, "rectangle", wrong]]), WIDTH, HEIGHT, 2)


def test_figures_are_painted_in_the_order_of_the_file() -> None:
    box = {"x": 0, "y": 0, "width": 50, "height": 100}
    round_ = {"x": 25, "y": 50, "radiusX": 10, "radiusY": 20}
    mask, _ = read_segments(segments("m", 0, [[1, "rectangle", box], [2, "ellipse", round_]]), WIDTH, HEIGHT, 3)
    assert (mask[0, 0], mask[10, 10], mask[0, 30]) == (1, 2, 0)
