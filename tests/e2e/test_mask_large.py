"""Masks larger than the editor draws as a whole: painted, moved, taken back and kept as small ones are, by tiles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Playwright, Request, expect
from sqlalchemy import select

from app.services.app_context import AppContext
from core.types import IntArray, Status
from db.models import DecisionRow
from tests.e2e.conftest import Server
from tests.e2e.mask_pages import WATCH, Editor, brushed
from tests.e2e.test_killed_browser import kill_browser, opened
from tests.e2e.test_mask_editor import make_editor, served, wait_until
from tools.fixtures.scenes import HOUSE, TREE, draw, open_home, prepare

__all__ = ["make_editor", "served"]

pytestmark = pytest.mark.browser

SIZE = WIDTH, HEIGHT = 2560, 2048
SMALL_BODY = 20_000  # bytes; the whole mask takes more than 5 million before it is deflated
HUES = """(canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}"""


def test_a_large_mask_is_painted_by_mouse_touch_and_pen_and_undone_after_a_reload(
    served: tuple[Server, Any], make_editor: Callable[..., Editor]
) -> None:
    editor = make_editor(*served, size=SIZE)
    sent: list[Request] = []
    editor.page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    editor.open()
    given = draw(0, WIDTH, HEIGHT).given
    editor.press("z", "p", "4")
    editor.size(26)
    mouse = editor.watched(lambda: editor.stroke((420.3, 330.3), (1390.7, 644.2), (2558.3, 2046.3)))
    editor.saved()
    painted = stroked(given, mouse, 26, TREE)
    np.testing.assert_array_equal(editor.stored(), painted)
    assert 0 < max(len(one.post_data_buffer or b"") for one in sent if "/masks/" in one.url) < SMALL_BODY

    editor.page.mouse.move(*editor.at(1000, 1000))
    for _ in range(5):
        editor.page.mouse.wheel(0, -120)
    expect(editor.page.locator(".scale")).to_have_text("300 %")
    finger = editor.watched(lambda: editor.fingers([editor.at(990.5, 1000.5)], [editor.at(1060.5, 1010.5)]))
    editor.saved()
    touched = stroked(painted, finger, 26, TREE)
    np.testing.assert_array_equal(editor.stored(), touched)

    editor.open(editor.samples[0])
    for expected in (painted, given):
        editor.press("u")
        wait_until(lambda now=expected: np.array_equal(editor.stored(), now), editor.page)
    editor.press("Control+Shift+Z")
    wait_until(lambda: np.array_equal(editor.stored(), painted), editor.page)

    one, other = editor.at(900, 900), editor.at(1500, 900)
    before = editor.lies()[2]
    posts = len(sent)
    editor.fingers([one], [one, other], [(one[0] - 40, one[1]), (other[0] + 40, other[1])])
    assert editor.lies()[2] > before
    assert len(sent) == posts

    editor.page.set_viewport_size({"width": 390, "height": 844})
    editor.press("z", "3")
    narrow = editor.watched(lambda: pen(editor, (500.5, 500.5), (900.5, 540.5)))
    editor.saved()
    np.testing.assert_array_equal(editor.stored(), stroked(painted, narrow, 26, HOUSE))


def test_the_view_of_a_large_image_follows_position_and_settings(
    served: tuple[Server, Any], make_editor: Callable[..., Editor]
) -> None:
    editor = make_editor(*served, size=SIZE)
    page = editor.page
    tiles: list[str] = []
    page.on("response", lambda answer: tiles.append(answer.url) if "/tiles/" in answer.url and answer.ok else None)
    editor.open()
    layers = page.locator(".pane canvas")
    expect(layers).to_have_count(3)
    size = page.locator(".stage").bounding_box()
    assert size is not None
    assert int(layers.first.get_attribute("width") or 0) == round(size["width"])
    editor.press("z")
    wait_until(lambda: page.locator(".photo").evaluate(HUES) > 100, page)  # the picture of the whole
    assert page.locator(".fill").evaluate(HUES) == 5  # four classes, and nothing beside the image
    page.mouse.move(*editor.at(1280, 1024))
    for _ in range(6):
        page.mouse.wheel(0, -120)
    wait_until(lambda: any("/tiles/0/" in one for one in tiles), page)
    editor.press("c", "o")
    expect(page.locator(".pane .edge")).to_be_hidden()
    expect(page.locator(".pane .fill")).to_have_css("opacity", "0")
    editor.press("h")
    expect(page.get_by_role("button", name="Take suggestion")).to_have_attribute("aria-pressed", "true")
    editor.press("r")
    expect(page.get_by_role("button", name="Restore given")).to_have_attribute("aria-pressed", "true")
    editor.press("a")
    editor.saved()
    assert editor.standings() == [Status.ACCEPT, Status.OPEN]


def test_a_stroke_survives_a_browser_killed_while_the_server_is_unreachable_and_is_stored_once(
    make_server: Callable[..., Server], tmp_path: Path, playwright: Playwright, browser_type_launch_args: dict[str, Any]
) -> None:
    round_id = prepare(tmp_path / "home", tmp_path / "scenes", 1, width=WIDTH, height=HEIGHT)
    server = make_server(tmp_path / "home", OUTFOLD_EMBEDDED_WORKER="false").start()
    app_context = open_home(server.home)
    given = draw(0, WIDTH, HEIGHT).given

    def visit() -> Editor:
        context = opened(playwright, tmp_path / "profile", browser_type_launch_args, server.url)
        context.add_init_script(WATCH)
        editor = Editor(context.pages[0], app_context, server, 1, round_id, [1])
        editor.open()
        return editor

    editor = visit()
    editor.press("z", "p", "4")
    server.kill()
    paths = [editor.watched(lambda at=y: editor.stroke((500.3, at), (1500.7, at + 90))) for y in (300.3, 900.3)]
    editor.state("offline")
    wait_until(lambda: editor.page.evaluate(KEPT) == [1], editor.page)
    kill_browser(tmp_path / "profile")

    server.start()
    editor = visit()
    expect(editor.page.locator(".toast")).to_contain_text("Recovered unsaved changes")
    editor.saved()
    expected = given
    for path in paths:
        expected = stroked(expected, path, 12, TREE)
    np.testing.assert_array_equal(editor.stored(), expected)
    edits = stored_edits(app_context)
    assert 1 <= len(edits) <= len(paths)  # two where the browser was killed while it repeated the first
    assert len(set(edits)) == len(edits)
    editor.open()
    editor.saved()
    expect(editor.page.locator(".toast")).not_to_contain_text("Recovered")
    assert stored_edits(app_context) == edits
    editor.page.context.close()
    app_context.database.close()


# The samples that the browser keeps unsaved strokes of.
KEPT = """() => new Promise((resolve) => {
  indexedDB.open('outfold.masks').onsuccess = ({ target }) => {
    target.result.transaction('unsaved').objectStore('unsaved').getAll().onsuccess = (event) =>
      resolve(event.target.result.map(({ sample }) => sample));
  };
})"""


def stored_edits(app_context: AppContext) -> list[str | None]:
    """Return the mask that each stored verdict left, oldest first."""
    with app_context.database.read() as session:
        return list(session.scalars(select(DecisionRow.mask_hash).order_by(DecisionRow.id)))


def stroked(mask: IntArray, path: list[tuple[float, float]], size: int, label: int) -> IntArray:
    """Return the same as `brushed`, computed around the path only."""
    left, top = (max(0, int(min(one[axis] for one in path)) - size) for axis in (0, 1))
    right, bottom = (int(max(one[axis] for one in path)) + size + 1 for axis in (0, 1))
    painted = mask.copy()
    moved = [(x - left, y - top) for x, y in path]
    painted[top:bottom, left:right] = brushed(mask[top:bottom, left:right], moved, size, label)
    return painted


def pen(editor: Editor, start: tuple[float, float], end: tuple[float, float]) -> None:
    session = editor.page.context.new_cdp_session(editor.page)
    for kind, point in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
        place = dict(zip(("x", "y"), editor.at(*point), strict=True))
        pressed = {"button": "left", "buttons": 0 if kind == "mouseReleased" else 1, "clickCount": 1}
        session.send("Input.dispatchMouseEvent", {"type": kind, "pointerType": "pen", "force": 0.5, **place, **pressed})
    session.detach()
