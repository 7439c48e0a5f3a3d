"""Painting masks in a real browser against the real server: strokes stored to the pixel, none lost."""

import contextlib
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Error as PlaywrightError, Page, expect
from sqlalchemy import select

from app.services import deletions
from app.services.app_context import AppContext
from app.services.masks import current as masks
from app.services.masks.current import EditContext
from app.services.reviews import ActKey
from core.types import IGNORE, ClassTable, Status
from db.models import AnnotatorRow, SampleRow
from tests.e2e.conftest import Server, serve, sign_in, watch
from tests.e2e.mask_pages import PATIENCE_MS, WATCH, Editor, brushed
from tools.fixtures.scenes import CAR, HOUSE, ROAD, SKY, TABLE, TREE, Scene, add_round, add_scenes, draw, open_home

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 160, 120
MANY = ClassTable(tuple(f"class {id_}" for id_ in range(300)), tuple(f"#{40 * id_ % 2**24:06x}" for id_ in range(300)))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, AppContext]]:
    with serve(tmp_path_factory.mktemp("masks") / "home") as opened:
        yield opened


@pytest.fixture
def make_editor(page: Page, context: BrowserContext, tmp_path: Path) -> Iterator[Callable[..., Editor]]:
    troubles: list[str] = []
    watch(page, troubles)
    page.on("dialog", lambda dialog: dialog.accept())
    page.set_viewport_size({"width": 1440, "height": 900})
    page.add_init_script(WATCH)

    def make(
        server: Server, app_context: AppContext, table: ClassTable = TABLE, *, unlabelled: int = 0, rounds: int = 1,
        size: tuple[int, int] = (WIDTH, HEIGHT),
    ) -> Editor:  # fmt: skip
        sign_in(context, server.url)
        rest = {"width": size[0], "height": size[1], "unlabelled": unlabelled}
        dataset = add_scenes(app_context, tmp_path / "scenes", 3, table=table, name=tmp_path.name, **rest)
        round_id = add_round(app_context, dataset) if rounds else 0
        with app_context.database.read() as session:
            ids = session.scalars(select(SampleRow.id).where(SampleRow.dataset_id == dataset).order_by(SampleRow.id))
            return Editor(page, app_context, server, dataset, round_id, list(ids), troubles)

    yield make
    assert not [one for one in troubles if "Failed to load resource" not in one]


@pytest.fixture
def editor(served: tuple[Server, AppContext], make_editor: Callable[..., Editor]) -> Editor:
    opened = make_editor(*served)
    opened.open()
    return opened


@pytest.fixture
def scene() -> Scene:
    """Return what the first image shows."""
    return draw(0, WIDTH, HEIGHT)


def test_the_most_suspicious_image_of_the_round_is_opened_with_its_region(editor: Editor) -> None:
    expect(editor.page.locator(".image-name")).to_have_text("scene_000.png")
    expect(editor.page.locator(".region-panel .t.p")).to_have_text("car")
    assert editor.page.locator(".class-row.on").inner_text().split() == ["5", "car"]
    assert editor.sample == editor.samples[0]


@pytest.mark.parametrize("size", [1, 2, 7, 12, 26])
def test_a_stroke_is_stored_pixel_by_pixel(editor: Editor, scene: Scene, size: int) -> None:
    editor.press("p", "4")
    editor.size(size)
    path = editor.watched(lambda: editor.stroke((20.3, 30.3), (90.7, 44.2), (60.1, 100.9), (158.3, 118.3)))
    editor.saved()
    expected = brushed(scene.given, path, size, TREE)
    assert (expected != scene.given).any()
    np.testing.assert_array_equal(editor.stored(), expected)
    assert editor.standings() == [Status.RELABEL, Status.OPEN]


def test_a_stroke_on_the_zoomed_and_moved_image_is_stored_where_it_was_drawn(editor: Editor, scene: Scene) -> None:
    page = editor.page
    page.mouse.move(*editor.at(100, 60))
    for _ in range(3):
        page.mouse.wheel(0, -120)
    page.keyboard.down("Space")
    page.mouse.down()
    x, y = editor.at(100, 60)
    page.mouse.move(x - 83, y + 41, steps=3)
    page.mouse.up()
    page.keyboard.up("Space")
    page.mouse.move(x, y)
    page.mouse.down(button="middle")
    page.mouse.move(x + 11, y + 5)
    page.mouse.up(button="middle")
    _, _, scale = editor.lies()
    assert scale == round(scale)
    assert scale >= 8
    editor.press("p", "3")
    editor.size(5)
    path = editor.watched(lambda: editor.stroke((90.3, 40.3), (120.3, 66.3)))
    editor.saved()
    np.testing.assert_array_equal(editor.stored(), brushed(scene.given, path, 5, HOUSE))


def test_the_eraser_unlabels_and_the_given_mask_can_be_painted_back(editor: Editor, scene: Scene) -> None:
    editor.press("d")
    editor.size(12)
    erased = brushed(scene.given, editor.watched(lambda: editor.stroke((40.3, 40.3), (100.3, 60.3))), 12, IGNORE)
    editor.saved()
    np.testing.assert_array_equal(editor.stored(), erased)
    editor.press("r")
    editor.size(7)
    path = editor.watched(lambda: editor.stroke((60.3, 30.3), (60.3, 80.3)))
    editor.saved()
    np.testing.assert_array_equal(editor.stored(), brushed(erased, path, 7, scene.given))


def test_a_polygon_adds_and_subtracts(editor: Editor, scene: Scene) -> None:
    editor.press("y", "4")
    for corner in ((19.5, 29.5), (79.5, 29.5), (79.5, 59.5), (19.5, 59.5)):
        editor.click(*corner)
    editor.press("Enter")
    editor.saved()
    expected = scene.given.copy()
    expected[30:60, 20:80] = TREE
    np.testing.assert_array_equal(editor.stored(), expected)
    editor.page.get_by_role("button", name="Subtract").click()
    for corner in ((39.5, 9.5), (59.5, 9.5), (59.5, 99.5), (39.5, 99.5), (39.5, 9.5)):  # the first one completes it
        editor.click(*corner)
    editor.saved()
    within = np.zeros_like(expected, dtype=bool)
    within[10:100, 40:60] = True
    expected[within & (expected == TREE)] = IGNORE
    np.testing.assert_array_equal(editor.stored(), expected)


def test_escape_discards_a_polygon_and_backspace_its_last_corner(editor: Editor) -> None:
    editor.press("y")
    editor.click(20, 20)
    editor.click(60, 20)
    editor.press("Escape", "Enter")
    expect(editor.page.locator(".image-name")).to_be_visible()
    for corner in ((20, 20), (60, 20), (60, 60)):
        editor.click(*corner)
    editor.press("Backspace", "Enter")
    assert editor.page.locator(".mark.draft").get_attribute("d")
    assert editor.standings() == [Status.OPEN, Status.OPEN]


def test_fill_paints_connected_pixels(editor: Editor, scene: Scene) -> None:
    editor.press("f", "1")
    y, x = (int(part[0]) for part in np.nonzero(scene.given == TREE))
    editor.click(x, y)
    editor.saved()
    expected = scene.given.copy()
    expected[expected == TREE] = SKY
    np.testing.assert_array_equal(editor.stored(), expected)


def test_a_class_is_replaced_everywhere_or_within_the_region(editor: Editor, scene: Scene) -> None:
    region = (scene.truth == CAR) & (scene.given == ROAD)
    editor.press("m", "4")
    editor.page.get_by_role("button", name="Region", exact=True).click()
    editor.click(3, HEIGHT - 3)
    editor.saved()
    expected = scene.given.copy()
    expected[region] = TREE
    np.testing.assert_array_equal(editor.stored(), expected)
    editor.page.get_by_role("button", name="Whole image", exact=True).click()
    editor.click(3, HEIGHT - 3)
    editor.saved()
    expected[expected == ROAD] = TREE
    np.testing.assert_array_equal(editor.stored(), expected)
    expect(editor.page.locator(".toast")).to_contain_text("road → tree")


def test_the_class_under_the_pointer_is_picked(editor: Editor, scene: Scene) -> None:
    chosen = editor.page.locator(".class-row.on .class-name")
    editor.page.keyboard.down("Alt")
    editor.click(5, 5)
    editor.page.keyboard.up("Alt")
    expect(chosen).to_have_text("sky")
    editor.press("i")
    editor.click(5, HEIGHT - 5)
    expect(chosen).to_have_text("road")
    expect(editor.page.locator(".tool[aria-pressed='true']")).to_contain_text("Brush")
    np.testing.assert_array_equal(editor.stored(), scene.given)


def test_undo_and_redo_are_saved(editor: Editor, scene: Scene) -> None:
    editor.press("p", "3")
    editor.stroke((20.3, 20.3), (60.3, 30.3))
    editor.saved()
    first = editor.stored()
    editor.stroke((20.3, 80.3), (140.3, 90.3))
    editor.saved()
    second = editor.stored()
    for keys, expected in ((["u"], first), (["Control+z"], scene.given), (["Control+Shift+z", "Control+y"], second)):
        editor.press(*keys)
        editor.saved()
        np.testing.assert_array_equal(editor.stored(), expected)


def test_only_own_strokes_are_undone_one_by_one_after_a_reload(editor: Editor, scene: Scene) -> None:
    drawn = [scene.given]
    editor.press("p", "4")
    editor.size(7)
    for y in (60.3, 90.3):
        path = editor.watched(lambda y=y: editor.stroke((100.3, y), (140.3, y)))  # type: ignore[misc]
        editor.saved()
        drawn.append(brushed(drawn[-1], path, 7, TREE))
    editor.page.reload()
    editor.ready()
    for before in (drawn[1], drawn[0]):
        expect(editor.page.get_by_role("button", name="Undo")).to_be_enabled()
        editor.press("u")
        wait_until(lambda before=before: np.array_equal(editor.stored(), before), editor.page)  # type: ignore[misc]
        editor.saved()
    assert editor.standings() == [Status.OPEN, Status.OPEN]
    editor.press("u")
    expect(editor.page.locator(".toast")).to_contain_text("Nothing left to undo")
    theirs = drawn[0].copy()
    theirs[5:9, 5:9] = HOUSE
    base = masks.view_mask(editor.app_context, editor.sample, editor.round_id).version
    packed = zlib.compress(theirs.tobytes())
    about = EditContext(round_id=editor.round_id)
    masks.save_edit(editor.app_context, editor.sample, about, packed, base=base, by="bob", key=ActKey("bob", 1))
    editor.page.reload()
    editor.ready()
    editor.press("u")
    expect(editor.page.locator(".toast")).to_contain_text("The last stroke is by bob")
    np.testing.assert_array_equal(editor.stored(), theirs)


def test_the_suggestion_is_accepted_by_a_click_or_painted(editor: Editor, scene: Scene) -> None:
    y, x = (int(part.mean()) for part in np.nonzero((scene.truth == CAR) & (scene.given == ROAD)))
    editor.press("h")
    editor.page.mouse.move(*editor.at(x + 0.5, y + 0.5))
    assert editor.page.locator(".mark.hint").get_attribute("d")
    editor.click(x, y)
    editor.saved()
    expected = scene.given.copy()
    expected[scene.truth == CAR] = CAR
    np.testing.assert_array_equal(editor.stored(), expected)
    y, x = (part.mean() for part in np.nonzero((scene.truth == SKY) & (scene.given == HOUSE)))
    editor.press("Shift+H")
    editor.size(12)
    path = editor.watched(lambda: editor.stroke((x - 3, y), (x + 30, y + 4)))
    editor.saved()
    np.testing.assert_array_equal(editor.stored(), brushed(expected, path, 12, scene.truth))


def test_the_letter_keys_of_the_review_judge_regions_in_the_editor(editor: Editor, scene: Scene) -> None:
    standing = editor.page.locator(".standing")
    editor.press("b", ",")
    expect(standing).to_contain_text("ambiguous")
    editor.press(".", "x")
    expect(editor.page.locator(".toast")).to_contain_text("Every region of this image is judged")
    editor.saved()
    assert editor.standings() == [Status.AMBIGUOUS, Status.EXCLUDE]
    disputed = (scene.truth != scene.given) & (scene.truth != IGNORE) & (scene.given != IGNORE)
    np.testing.assert_array_equal(editor.stored(), np.where(disputed, IGNORE, scene.given))
    editor.press("n")
    expect(standing).to_contain_text("needs a second opinion")
    editor.press("u", "u", "u", "s")
    expect(standing).to_contain_text("not judged yet")
    editor.saved()
    np.testing.assert_array_equal(editor.stored(), scene.given)
    editor.press("d", "e")
    expect(editor.page.get_by_role("button", name="Brush")).to_have_attribute("aria-pressed", "true")


def test_protected_classes_are_not_painted_over(editor: Editor, scene: Scene) -> None:
    editor.press("1", "l")
    editor.page.get_by_role("button", name="Protect house").click()
    editor.press("4")
    editor.size(26)
    path = editor.watched(lambda: editor.stroke((10.3, 20.3), (150.3, 110.3)))
    editor.saved()
    expected = brushed(scene.given, path, 26, TREE)
    kept = (scene.given == SKY) | (scene.given == HOUSE)
    np.testing.assert_array_equal(editor.stored(), np.where(kept, scene.given, expected))


def test_regions_are_judged_one_after_another_and_undone(editor: Editor, scene: Scene) -> None:
    editor.press("a")
    expect(editor.page.locator(".region-panel .t.g")).to_have_text("house")
    editor.press("k")
    editor.saved()
    expected = scene.given.copy()
    expected[scene.truth == CAR] = CAR
    np.testing.assert_array_equal(editor.stored(), expected)
    assert editor.standings() == [Status.ACCEPT, Status.KEEP]
    expect(editor.page.locator(".toast")).to_contain_text("Every region of this image is judged")
    editor.press("u", "u")
    expect(editor.page.locator(".standing")).to_contain_text("not judged yet")
    wait_until(lambda: editor.standings() == [Status.OPEN, Status.OPEN], editor.page)
    editor.saved()
    np.testing.assert_array_equal(editor.stored(), scene.given)


def test_strokes_before_and_after_a_verdict_are_all_kept(editor: Editor, scene: Scene) -> None:
    editor.press("p", "3")
    editor.size(12)
    before = editor.watched(lambda: editor.stroke((30.3, 20.3), (60.3, 20.3)))
    editor.press("a", "4")
    after = editor.watched(lambda: editor.stroke((30.3, 90.3), (150.3, 90.3)))
    expected = brushed(scene.given, before, 12, HOUSE)
    expected[scene.truth == CAR] = CAR
    expected = brushed(expected, after, 12, TREE)
    wait_until(lambda: np.array_equal(editor.stored(), expected), editor.page)
    editor.saved()
    editor.open(editor.samples[0])
    assert editor.standings()[0] in (Status.ACCEPT, Status.RELABEL)
    np.testing.assert_array_equal(editor.stored(), expected)


def test_next_image_opens_and_escape_returns_to_the_review(editor: Editor) -> None:
    editor.press("p", "3")
    editor.stroke((30.3, 20.3), (60.3, 20.3))
    editor.press("PageDown")
    expect(editor.page.locator(".image-name")).not_to_have_text("scene_000.png", timeout=PATIENCE_MS)
    editor.ready()
    assert editor.sample in editor.samples[1:]
    assert (editor.stored(editor.samples[0])[20, 30:60] == HOUSE).all()
    editor.press("PageUp")
    expect(editor.page.locator(".image-name")).to_have_text("scene_000.png", timeout=PATIENCE_MS)
    editor.ready()
    editor.press("Escape")
    editor.page.wait_for_url(f"**/review?round={editor.round_id}", timeout=PATIENCE_MS)


def test_a_reload_in_the_middle_keeps_everything(editor: Editor, scene: Scene, context: BrowserContext) -> None:
    editor.press("p", "3")
    editor.size(12)
    first = editor.watched(lambda: editor.stroke((30.3, 20.3), (60.3, 20.3)))
    editor.saved()
    context.set_offline(True)
    second = editor.watched(lambda: editor.stroke((30.3, 90.3), (150.3, 90.3)))
    editor.state("offline")
    third = editor.watched(lambda: editor.stroke((80.3, 10.3), (150.3, 60.3)))
    context.set_offline(False)
    editor.page.goto("about:blank")  # before any retry
    editor.open()
    editor.saved()
    expected = scene.given
    for path in (first, second, third):
        expected = brushed(expected, path, 12, HOUSE)
    wait_until(lambda: np.array_equal(editor.stored(), expected), editor.page)


def test_a_crashed_page_loses_nothing_that_was_drawn(editor: Editor, scene: Scene, context: BrowserContext) -> None:
    editor.press("p", "3")
    editor.size(12)
    editor.page.route(
        "**/outfold/masks/*", lambda route: route.abort() if route.request.method == "POST" else route.continue_()
    )
    path = editor.watched(lambda: editor.stroke((30.3, 20.3), (150.3, 90.3)))
    editor.state("offline")
    fresh = context.new_page()
    with contextlib.suppress(PlaywrightError):  # it cannot answer any more
        editor.page.goto("chrome://crash", timeout=3000)
    editor.page = fresh
    editor.open()
    expect(editor.page.locator(".toast")).to_contain_text("Recovered")
    editor.saved()
    expected = brushed(scene.given, path, 12, HOUSE)
    np.testing.assert_array_equal(editor.stored(), expected)
    editor.page.locator(".toast button").click()
    editor.saved()
    np.testing.assert_array_equal(editor.stored(), scene.given)


def test_a_killed_server_loses_nothing(
    make_server: Callable[..., Server], make_editor: Callable[..., Editor], tmp_path: Path, scene: Scene
) -> None:
    home = tmp_path / "killed"
    app_context = open_home(home)
    server = make_server(home, OUTFOLD_EMBEDDED_WORKER="false").start()
    editor = make_editor(server, app_context)
    editor.open()
    editor.press("p", "3")
    editor.size(12)
    expected = scene.given
    for turn in range(4):
        expected = brushed(
            expected,
            editor.watched(lambda at=turn: editor.stroke((30.3, 15.3 + 25 * at), (140.3, 20.3 + 22 * at))),
            12,
            HOUSE,
        )
        if turn == 1:
            editor.page.wait_for_selector(".status[data-state='saving']")
            server.kill()
    editor.state("offline")
    server.start()
    editor.saved()
    np.testing.assert_array_equal(editor.stored(), expected)
    app_context.database.close()


def test_strokes_on_a_deleted_dataset_are_kept_reported_and_stored_once_it_is_restored(editor: Editor) -> None:
    gone = deletions.delete_dataset(editor.app_context, editor.dataset_id, "Ben")
    editor.press("p", "4")
    editor.size(7)
    editor.stroke((20.3, 30.3), (90.7, 44.2))
    editor.state("held")
    toast = editor.page.locator(".toast")
    expect(toast).to_contain_text(f"The mask of scene_000.png is not stored: {gone.name} was deleted by Ben")
    expect(toast).to_contain_text("restore it on the Datasets page within 7 days")
    editor.stroke((20.3, 80.3), (90.7, 84.2))
    toast.get_by_role("button", name="Datasets").click()
    editor.page.locator(".st-key-deleted").wait_for()
    deletions.restore(editor.app_context, gone.id)
    editor.open()
    editor.saved()
    stored = editor.stored()
    assert stored[31, 30] == stored[81, 30] == TREE

    gone = deletions.delete_dataset(editor.app_context, editor.dataset_id, "Ben")
    editor.press("p", "4")
    editor.stroke((150.3, 20.3), (150.7, 60.2))
    editor.state("held")
    deletions.restore(editor.app_context, gone.id)
    editor.saved()  # by itself, without a reload
    assert editor.stored()[40, 150] == TREE


@pytest.mark.parametrize("choice", ["Save mine over it", "Load theirs"])
def test_a_save_by_another_person_is_reported_and_nothing_is_lost(
    editor: Editor, scene: Scene, other_context: BrowserContext, choice: str
) -> None:
    sign_in(other_context, editor.server.url, "Grace")
    page = other_context.new_page()
    page.set_viewport_size({"width": 1440, "height": 900})
    other = Editor(page, editor.app_context, editor.server, editor.dataset_id, editor.round_id, editor.samples)
    other.page.add_init_script(WATCH)
    other.open()
    other.press("p", "3")
    other.size(12)
    theirs = brushed(scene.given, other.watched(lambda: other.stroke((30.3, 90.3), (150.3, 90.3))), 12, HOUSE)
    other.saved()
    editor.page.bring_to_front()
    editor.press("p", "4")
    editor.size(12)
    path = editor.watched(lambda: editor.stroke((80.3, 20.3), (90.3, 110.3)))
    expect(editor.page.locator("dialog h1")).to_have_text("Another annotator saved this mask", timeout=PATIENCE_MS)
    np.testing.assert_array_equal(editor.stored(), theirs)
    editor.page.get_by_role("button", name=choice).click()
    editor.saved()
    mine = brushed(theirs, path, 12, TREE)
    np.testing.assert_array_equal(editor.stored(), mine if choice.startswith("Save") else theirs)
    if choice == "Load theirs":
        editor.press("u")  # one's own mask is still there
        editor.saved()
        np.testing.assert_array_equal(editor.stored(), brushed(scene.given, path, 12, TREE))


def test_masks_with_more_than_255_classes_can_be_edited(
    served: tuple[Server, AppContext], make_editor: Callable[..., Editor]
) -> None:
    editor = make_editor(*served, table=MANY)
    editor.open()
    given = draw(0, WIDTH, HEIGHT, np.uint16).given
    editor.press("/")
    editor.page.keyboard.type("class 299")
    editor.press("Enter", "p")
    editor.size(12)
    path = editor.watched(lambda: editor.stroke((30.3, 90.3), (150.3, 90.3)))
    editor.saved()
    stored = editor.stored()
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored, brushed(given, path, 12, 299))


def test_a_missing_name_is_asked_for_and_the_strokes_are_saved_under_it(
    editor: Editor, scene: Scene, context: BrowserContext
) -> None:
    context.clear_cookies()
    editor.open()
    editor.page.get_by_label("Your name", exact=True).press("Control+a")
    editor.page.keyboard.type("Bea")
    editor.page.keyboard.press("Enter")
    expect(editor.page.locator("dialog")).to_have_count(0)
    editor.press("p", "3")
    editor.size(12)
    path = editor.watched(lambda: editor.stroke((30.3, 90.3), (150.3, 90.3)))
    editor.saved()
    np.testing.assert_array_equal(editor.stored(), brushed(scene.given, path, 12, HOUSE))
    with editor.app_context.database.read() as session:
        assert session.scalars(select(AnnotatorRow.name).where(AnnotatorRow.name == "Bea")).one()


def test_everything_is_labelled_for_assistive_technology(editor: Editor) -> None:
    for scheme in ("light", "dark"):
        editor.page.emulate_media(color_scheme=scheme)
        editor.ready()
        found = Axe().run(editor.page, "[data-testid=stBidiComponentIsolated]")
        assert found.violations_count == 0, [(one["id"], one["nodes"]) for one in found.response["violations"]]
    assert editor.page.get_by_role("button", name="Polygon, key y").is_visible()


REACHED = """(control) => {
  control.scrollIntoView({ block: "nearest", inline: "nearest" });
  const { left, top, width, height } = control.getBoundingClientRect();
  const found = control.getRootNode().elementFromPoint(left + width / 2, top + height / 2);
  return width > 0 && (control === found || control.contains(found));
}"""


@pytest.mark.parametrize("tool", ["p", "y", "m"])
def test_every_control_is_reachable_on_a_narrow_screen(editor: Editor, tool: str) -> None:
    editor.page.set_viewport_size({"width": 390, "height": 844})
    editor.press(tool)
    controls = editor.page.locator(".mask-editor :is(button, input):not([hidden])").all()
    covered = [one.get_attribute("aria-label") or one.inner_text() for one in controls if not one.evaluate(REACHED)]
    assert len(controls) > 40
    assert covered == []
    assert editor.page.evaluate("document.documentElement.scrollWidth") == 390
    panels = editor.page.locator(".mask-editor aside.right, .mask-editor .class-panel")
    shown_whole = "(panels) => panels.map((panel) => panel.scrollHeight <= panel.clientHeight)"
    assert panels.evaluate_all(shown_whole) == [True, True]
    before = editor.lies()[2]
    editor.page.get_by_role("button", name="Zoom in").click()
    assert editor.lies()[2] > before


def wait_until(holds: Callable[[], bool], page: Page, patience_ms: int = PATIENCE_MS) -> None:
    """Wait until something holds of what is stored, with the browser at work meanwhile."""
    for _ in range(patience_ms // 50):
        if holds():
            return
        page.wait_for_timeout(50)
    assert holds()


def test_an_image_without_findings_is_painted_pixel_by_pixel(
    served: tuple[Server, AppContext], make_editor: Callable[..., Editor]
) -> None:
    """Nobody labelled it and no round found anything in it: the others lead to it, and what is painted stays."""
    editor = make_editor(*served, unlabelled=1)
    editor.open(editor.samples[1])
    expect(editor.page.locator(".region-panel .t.p")).to_be_visible()
    editor.press("PageDown")
    expect(editor.page.locator(".image-name")).to_have_text("scene_002.png")
    expect(editor.page.locator(".region-panel")).to_contain_text("found nothing in this image")
    editor.press("p", "4")
    editor.size(7)
    path = editor.watched(lambda: editor.stroke((20.3, 30.3), (90.7, 44.2), (60.1, 100.9)))
    editor.saved()
    expected = brushed(np.full((HEIGHT, WIDTH), IGNORE, np.uint8), path, 7, TREE)
    assert (expected == TREE).any()
    np.testing.assert_array_equal(editor.stored(editor.samples[2]), expected)
    editor.page.reload()
    editor.ready()
    assert editor.sample == editor.samples[2]
    editor.press("u")
    wait_until(lambda: bool((editor.stored(editor.samples[2]) == IGNORE).all()), editor.page)
    editor.press("Control+Shift+Z")
    wait_until(lambda: np.array_equal(editor.stored(editor.samples[2]), expected), editor.page)
    editor.press("d")
    erased = brushed(expected, editor.watched(lambda: editor.stroke((50.3, 20.3), (50.3, 90.3))), 7, IGNORE)
    editor.saved()
    np.testing.assert_array_equal(editor.stored(editor.samples[2]), erased)
    assert editor.standings(editor.samples[0]) == [Status.OPEN, Status.OPEN]


def test_any_image_can_be_opened_by_its_name(editor: Editor) -> None:
    editor.press("g")
    dialog = editor.page.locator("dialog.image-search")
    expect(dialog.get_by_role("option")).to_have_count(3)
    expect(dialog.get_by_role("option").nth(1)).to_contain_text("2 regions")
    editor.page.keyboard.type("e_002")
    expect(dialog.get_by_role("option")).to_have_count(1)
    assert Axe().run(editor.page, "[data-testid=stBidiComponentIsolated]").violations_count == 0
    editor.press("Enter")
    expect(editor.page.locator(".image-name")).to_have_text("scene_002.png")
    assert editor.sample == editor.samples[2]


def test_masks_can_be_edited_before_the_first_round(
    served: tuple[Server, AppContext], make_editor: Callable[..., Editor]
) -> None:
    editor = make_editor(*served, rounds=0)
    editor.page.goto(f"{editor.server.url}/masks?dataset={editor.dataset_id}")
    editor.ready()
    expect(editor.page.locator(".region-panel")).to_contain_text("No round has predicted this image yet")
    editor.press("p", "4")
    editor.size(12)
    path = editor.watched(lambda: editor.stroke((20.3, 30.3), (90.7, 44.2)))
    editor.saved()
    editor.page.reload()
    editor.ready()
    np.testing.assert_array_equal(editor.stored(), brushed(draw(0, WIDTH, HEIGHT).given, path, 12, TREE))
    editor.press("Escape")
    editor.page.wait_for_url(re.compile(r"/rounds\?dataset="))
