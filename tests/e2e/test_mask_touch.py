"""Painting masks by touch and pen in a real browser: one pointer paints, two fingers move the image."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.e2e.mask_pages import Editor, brushed

# The fixtures are those of the editor's other tests.
from tests.e2e.test_mask_editor import editor, make_editor, scene, served
from tools.fixtures.scenes import TREE, Scene

__all__ = ["editor", "make_editor", "scene", "served"]

pytestmark = pytest.mark.browser


def test_a_second_finger_cancels_the_stroke_and_nothing_is_stored(editor: Editor, scene: Scene) -> None:
    sent: list[str] = []
    editor.page.on("request", lambda request: sent.append(request.method))
    editor.press("p", "4")
    left, top, scale = editor.lies()
    one, other = editor.at(40, 60), editor.at(120, 60)
    moved = [(one[0] + 10, one[1] + 8)]
    editor.fingers([one], moved, [*moved, other], [(one[0] + 30, one[1] + 28), (other[0] + 20, other[1] + 20)])
    expect(editor.page.locator(".status")).to_have_attribute("data-unsaved", "0")
    expect(editor.page.get_by_role("button", name="Undo")).to_be_disabled()
    assert "POST" not in sent
    assert editor.lies() != (left, top, scale)
    np.testing.assert_array_equal(editor.stored(), scene.given)


def test_two_fingers_zoom_by_pinching_and_pan_side_by_side(editor: Editor) -> None:
    x, y = editor.at(80, 60)
    _, _, before = editor.lies()
    editor.fingers([(x - 50, y)], [(x - 50, y), (x + 50, y)], [(x - 75, y), (x + 75, y)], [(x - 100, y), (x + 100, y)])
    left, top, scale = editor.lies()
    assert scale == pytest.approx(2 * before, rel=0.01)
    assert editor.at(80, 60) == pytest.approx((x, y), abs=1.5)  # what lay between the fingers still does
    pair = [(x - 50, y), (x + 50, y)]
    editor.fingers([pair[0]], pair, [(px + 30, py - 20) for px, py in pair], [(px + 61, py - 43) for px, py in pair])
    assert editor.lies() == pytest.approx((left + 61, top - 43, scale), abs=1.5)


def test_a_single_finger_paints_and_taps_with_the_other_tools(editor: Editor, scene: Scene) -> None:
    editor.press("p", "4")
    editor.size(7)
    path = editor.watched(lambda: editor.fingers([editor.at(30.5, 40.5)], [editor.at(60.5, 44.5)]))
    editor.saved()
    expected = brushed(scene.given, path, 7, TREE)
    np.testing.assert_array_equal(editor.stored(), expected)
    editor.press("f", "1")
    editor.fingers([editor.at(30.5, 40.5)])
    editor.saved()
    assert editor.stored()[40, 30] == 0


def test_pinching_with_a_click_tool_changes_nothing(editor: Editor, scene: Scene) -> None:
    editor.press("f", "4")
    one, other = editor.at(40, 60), editor.at(120, 60)
    editor.fingers([one], [one, other], [(one[0] - 20, one[1]), (other[0] + 20, other[1])])
    expect(editor.page.get_by_role("button", name="Undo")).to_be_disabled()
    np.testing.assert_array_equal(editor.stored(), scene.given)


@pytest.mark.parametrize("force", [0.1, 1.0])
def test_a_pen_paints_at_any_pressure_as_wide_as_the_brush_and_fingers_then_pan(
    editor: Editor, scene: Scene, force: float
) -> None:
    editor.press("p", "4")
    editor.size(7)
    session = editor.page.context.new_cdp_session(editor.page)

    def pen(kind: str, x: float, y: float) -> None:
        place = dict(zip(("x", "y"), editor.at(x, y), strict=True))
        pressed = {"button": "left", "buttons": 0 if kind == "mouseReleased" else 1, "clickCount": 1}
        session.send(
            "Input.dispatchMouseEvent", {"type": kind, "pointerType": "pen", "force": force, **place, **pressed}
        )

    def draw() -> None:
        pen("mousePressed", 30.5, 40.5)
        pen("mouseMoved", 70.5, 50.5)
        pen("mouseReleased", 70.5, 50.5)

    path = editor.watched(draw)
    editor.saved()
    expected = brushed(scene.given, path, 7, TREE)
    assert (expected != scene.given).any()
    np.testing.assert_array_equal(editor.stored(), expected)
    left, top, _ = editor.lies()
    x, y = editor.at(60, 60)
    editor.fingers([(x, y)], [(x + 25, y + 15)], [(x + 50, y + 30)])
    assert editor.lies()[:2] == pytest.approx((left + 50, top + 30), abs=1.5)
    editor.saved()
    np.testing.assert_array_equal(editor.stored(), expected)
