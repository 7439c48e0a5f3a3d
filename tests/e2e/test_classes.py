"""Classes in the browser: added where one is chosen; renamed, merged and ordered on their page; undone everywhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from app.services import class_lists, datasets, reviews
from app.services.app_context import AppContext
from app.services.masks import current as masks
from app.services.tags import current as tags
from tests.e2e.conftest import Server, open_home, sign_in, watch
from tests.e2e.mask_pages import SAVED as MASK_SAVED
from tests.e2e.review_home import READY, SAVED, prepare
from tools.fixtures.scenes import HOUSE, SKY, TABLE, TREE, add_round, add_scenes, open_home as open_masks

pytestmark = pytest.mark.browser

CLASSES = 10
KEPT = ".class-page .status[data-state='saved']"

# The controls and counts that the outline of a row with the keyboard, 2 px within its edge, would cover.
BENEATH_THE_OUTLINE = """(rows) => rows.flatMap((row) => {
  const { left, right } = row.getBoundingClientRect();
  const parts = [...row.querySelectorAll("button, .n")].map((part) => [part, part.getBoundingClientRect()]);
  return parts.filter(([, box]) => box.left < left + 2 || box.right > right - 2).map(([part]) => part.innerText);
})"""


def test_a_class_is_added_by_name_used_and_undone(
    context: BrowserContext, digits_folder: Path, tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    home = tmp_path / "home"
    round_id = prepare(home, digits_folder)
    server = make_server(home, OUTFOLD_EMBEDDED_WORKER="false").start()
    sign_in(context, server.url, "ada")
    page = context.new_page()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{server.url}/review?round={round_id}")
    page.wait_for_selector(READY)
    page.keyboard.press("/")
    page.keyboard.type("smudge")
    expect(page.get_by_role("option", name='Add class "smudge"')).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.locator(".card .badge", has_text="smudge")).to_be_visible()
    page.wait_for_selector(SAVED)

    page.reload()
    page.wait_for_selector(READY)
    page.keyboard.press("/")
    page.keyboard.type("SMUDGE")
    expect(page.locator("#found-classes [role=option]")).to_have_count(1)
    expect(page.locator("#found-classes [role=option]")).to_contain_text("smudge")
    page.keyboard.press("Escape")  # the first one empties the field
    page.keyboard.press("Escape")
    expect(page.locator("#found-classes")).to_have_count(0)

    page.keyboard.press("u")
    expect(page.get_by_text("Undone: relabelled 1")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text("Undone: added the class smudge")).to_be_visible()
    page.wait_for_selector(SAVED)
    page.keyboard.press("/")
    page.keyboard.type("smudge")
    expect(page.locator("#found-classes [role=option]")).to_have_text(['Add class "smudge"'])
    opened = open_home(home)
    assert datasets.get_dataset(opened, 1).retired_classes == (CLASSES,)
    opened.database.close()


def rows(page: Page) -> Locator:
    return page.locator(".class-table tbody .name")


def test_renaming_ordering_and_merging_classes_can_be_undone_and_updates_the_review(
    context: BrowserContext, digits_folder: Path, tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    home = tmp_path / "home"
    round_id = prepare(home, digits_folder)
    server = make_server(home, OUTFOLD_EMBEDDED_WORKER="false").start()
    sign_in(context, server.url)
    review, page = context.new_page(), context.new_page()
    troubles: list[str] = []
    for one in (review, page):
        one.set_viewport_size({"width": 1440, "height": 900})
        watch(one, troubles)
    review.goto(f"{server.url}/review?round={round_id}")
    review.wait_for_selector(READY)
    page.goto(f"{server.url}/datasets")
    page.locator(".st-key-cards_1_menu button").first.click()
    page.get_by_role("link", name="Classes").last.click()
    expect(rows(page)).to_have_text([str(number) for number in range(CLASSES)])
    digits = [str(number) for number in range(CLASSES)]

    _rename(page)
    _order(page, digits)
    _merge(page, digits)
    _hear(review, digits)
    _undo(page, digits)
    _drag(page, digits)
    review.bring_to_front()
    expect(_given(review)).to_have_text(["any", *digits])
    _agree(review, open_home(home), round_id)
    _reach(page, server)
    assert not troubles


def _rename(page: Page) -> None:
    """Rename in place, by keys; a name that is taken leads to a merge."""
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_label("New name of 1").fill("2")
    expect(page.get_by_role("button", name="Merge into 2")).to_be_visible()
    page.get_by_label("New name of 1").fill("one")
    page.keyboard.press("Enter")
    expect(rows(page).nth(1)).to_have_text("one")
    expect(page.locator(".acts-list li").first).to_contain_text("renamed the class 1 to one")


def _order(page: Page, digits: list[str]) -> None:
    """Change the order, by keys and by the button: one act however many moves."""
    page.keyboard.press("Alt+ArrowUp")
    page.get_by_role("button", name="Move 9 up").click()
    page.wait_for_selector(KEPT)
    expect(page.locator(".acts-list li")).to_have_count(2)
    page.reload()
    expect(rows(page)).to_have_text(["one", "0", *digits[2:8], "9", "8"])


def _merge(page: Page, digits: list[str]) -> None:
    """Merge in two clicks and a word: told before, with one confirmation."""
    page.get_by_role("button", name="Merge one into another class").click()
    page.keyboard.type("7")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Merge one into 7")
    expect(dialog).to_contain_text("labels of one become 7")
    dialog.get_by_role("button", name="Merge", exact=True).click()
    expect(rows(page)).to_have_text(["0", *digits[2:8], "9", "8"])
    page.wait_for_selector(KEPT)


def _given(review: Page) -> Locator:
    return review.locator("label.field", has_text="Given").locator("option")


def _hear(review: Page, digits: list[str]) -> None:
    """Find the changes on a page that was open before, without a reload."""
    review.bring_to_front()
    expect(_given(review)).to_have_text(["any", "0", *digits[2:8], "9", "8"])
    review.keyboard.press("/")
    review.keyboard.type("one")
    expect(review.get_by_role("option", name='Add class "one"')).to_be_visible()
    review.keyboard.press("Escape")
    review.keyboard.press("Escape")


def _agree(review: Page, app_context: AppContext, round_id: int) -> None:
    """Let cards leave an open page whose two classes somebody else makes one, and only they."""
    shown = review.locator(".card[data-id]")
    ids = [int(one.get_attribute("data-id") or 0) for one in shown.all()]
    pairs = {one.id: frozenset((one.given, one.pseudo)) for one in reviews.findings(app_context, ids)}
    pair = pairs[ids[3]]
    leaving = [one for one in ids[1:] if pairs[one] == pair]  # the first has the focus
    merged, into = sorted(pair)
    reviews.merge_classes(app_context, 1, [merged], into, by="Ben")
    for one in leaving:
        expect(review.locator(f".card[data-id='{one}']")).to_have_count(0)
    for one in ids:
        if one not in leaving and ids.index(one) < len(ids) - len(leaving):
            expect(review.locator(f".card[data-id='{one}']")).to_have_count(1)
    expect(review.locator(".card.focus")).to_have_attribute("data-id", str(ids[0]))
    reviews.undo(app_context, 1, by="Ben")
    app_context.database.close()


def _undo(page: Page, digits: list[str]) -> None:
    """Undo one after the other, in the history and by the key, and after a reload."""
    page.bring_to_front()
    page.reload()
    page.get_by_role("button", name="Undo: merged").click()
    expect(rows(page)).to_have_text(["one", "0", *digits[2:8], "9", "8"])
    page.wait_for_selector(KEPT)
    page.keyboard.press("u")
    expect(rows(page)).to_have_text(["0", "one", *digits[2:]])
    page.wait_for_selector(KEPT)
    page.keyboard.press("u")
    expect(rows(page)).to_have_text(digits)
    expect(page.locator(".acts-list .undone")).to_have_count(3)
    page.wait_for_selector(KEPT)


def _drag(page: Page, digits: list[str]) -> None:
    """Drag a row to another place: one act and one undo; Escape leaves it where it was."""

    def middle(row: int) -> tuple[float, float]:
        box = page.locator(".class-table .grip").nth(row).bounding_box()
        assert box
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    for keep in (False, True):
        (x, y), (_, below) = middle(0), middle(2)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x, below + 4, steps=6)
        expect(page.locator("tr.drop-before")).to_have_attribute("aria-label", "3")
        if not keep:
            page.keyboard.press("Escape")
        page.mouse.up()
        expect(rows(page)).to_have_text(["1", "2", "0", *digits[3:]] if keep else digits)
        expect(page.locator(".drop-before, .dragged")).to_have_count(0)
    page.wait_for_selector(KEPT)
    expect(page.locator(".acts-list li")).to_have_count(4)
    page.keyboard.press("u")
    expect(rows(page)).to_have_text(digits)
    page.wait_for_selector(KEPT)


def _reach(page: Page, server: Server) -> None:
    """Follow a link with both classes, at every width: nothing is out of reach."""
    for width in (1440, 1024, 390):
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(f"{server.url}/classes?dataset=1&merge=3&into=8")
        expect(page.get_by_role("dialog", name="Merge 3 into 8")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Merge 5 into another class").click()
        page.keyboard.press("Escape")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator(".class-table tbody tr").evaluate_all(BENEATH_THE_OUTLINE) == []
        assert page.locator(".acts-list .link").evaluate_all("(undos) => undos.every((undo) => undo.offsetHeight < 30)")


def test_a_class_can_be_added_in_the_mask_editor_and_on_the_tags_page(
    context: BrowserContext, tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    opened = open_masks(tmp_path / "home")
    add_round(opened, add_scenes(opened, tmp_path / "scenes", 3, unlabelled=1))
    server = make_server(tmp_path / "home", OUTFOLD_EMBEDDED_WORKER="false").start()
    sign_in(context, server.url)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{server.url}/masks?round=1&sample=1")
    page.wait_for_selector(".mask-editor[data-ready='true']")
    names = page.locator(".class-row .class-name")
    page.keyboard.press("/")
    page.keyboard.type("Sea")
    expect(page.get_by_role("button", name='Add class "Sea"')).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".class-row.on")).to_contain_text("Sea")
    page.wait_for_selector(MASK_SAVED)
    boat = len(TABLE.names)
    box = page.locator(".sheet").bounding_box()
    assert box
    page.keyboard.press("p")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(MASK_SAVED)
    assert (masks.read_mask(opened, 1)[1] == boat).any()

    page.keyboard.press("u")
    page.wait_for_selector(MASK_SAVED)
    assert not (masks.read_mask(opened, 1)[1] == boat).any()
    page.keyboard.press("u")
    expect(names).to_have_text([*TABLE.names, "unlabelled"])
    page.keyboard.press("Control+Shift+z")
    expect(names).to_have_text([*TABLE.names, "Sea", "unlabelled"])
    page.wait_for_selector(MASK_SAVED)
    page.reload()
    page.wait_for_selector(".mask-editor[data-ready='true']")
    expect(names).to_have_text([*TABLE.names, "Sea", "unlabelled"])

    _hear_while_painting(page, opened)
    page.goto(f"{server.url}/tags?dataset=1")
    _hear_while_tagging(page, opened)
    _add_in_tags(page)
    assert [one.image.classes for one in tags.queue(opened, 1, tags.TagFilter.TAGGED)] == [[boat + 1]]
    page.keyboard.press("u")
    expect(page.locator(".tag-panel .said")).not_to_contain_text("tagged")
    page.keyboard.press("u")
    expect(page.locator(".tag .class-name")).to_have_text([*TABLE.names, "Sea"])
    assert class_lists.class_list(opened, 1).offered == tuple(range(boat + 1))
    opened.database.close()
    assert not troubles


def _hear_while_painting(page: Page, app_context: AppContext) -> None:
    """Let Ben rename and merge classes while a stroke is not saved: no reload, no question, nothing lost."""
    names = page.locator(".class-row .class-name")
    page.route(
        "**/outfold/masks/1", lambda route: route.abort() if route.request.method == "POST" else route.continue_()
    )
    page.keyboard.press(str(TREE + 1))
    box = page.locator(".sheet").bounding_box()
    assert box
    place = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.click(*place)
    page.wait_for_selector(".status[data-state='offline']")
    reviews.rename_class(app_context, 1, SKY, "heaven", by="Ben")
    expect(names.nth(SKY)).to_have_text("heaven")
    reviews.merge_classes(app_context, 1, [TREE], HOUSE, by="Ben")
    left = [
        *("heaven" if one == "sky" else one for one in TABLE.names if one != TABLE.names[TREE]),
        "Sea",
        "unlabelled",
    ]
    expect(names).to_have_text(left)
    expect(page.locator(".class-row.on")).to_contain_text(TABLE.names[HOUSE])
    page.unroute("**/outfold/masks/1")
    page.wait_for_selector(MASK_SAVED)
    expect(page.locator("dialog[open]")).to_have_count(0)
    stored = masks.read_mask(app_context, 1)[1]
    assert stored[stored.shape[0] // 2, stored.shape[1] // 2] == HOUSE
    assert not (stored == TREE).any()
    reviews.undo(app_context, 1, by="Ben")
    reviews.undo(app_context, 1, by="Ben")
    expect(names).to_have_text([*TABLE.names, "Sea", "unlabelled"])
    page.wait_for_selector(MASK_SAVED)
    page.mouse.click(place[0] + 40, place[1])
    page.wait_for_selector(MASK_SAVED)
    expect(page.locator("dialog[open]")).to_have_count(0)
    assert (masks.read_mask(app_context, 1)[1] == TREE).any()


def _hear_while_tagging(page: Page, app_context: AppContext) -> None:
    """Let Ben merge a class that is marked and not saved: the mark means the other class then."""
    page.wait_for_selector(".tag-panel[data-ready='true']")
    marked = page.locator(".tag[aria-pressed='true'] .class-name")
    page.keyboard.press("c")
    page.keyboard.press(str(TREE + 1))
    expect(marked).to_have_text([TABLE.names[TREE]])
    reviews.merge_classes(app_context, 1, [TREE], HOUSE, by="Ben")
    expect(marked).to_have_text([TABLE.names[HOUSE]])
    reviews.undo(app_context, 1, by="Ben")
    expect(page.locator(".tag .class-name")).to_have_text([*TABLE.names, "Sea"])


def _add_in_tags(page: Page) -> None:
    page.wait_for_selector(".tag-panel[data-ready='true']")
    page.keyboard.press("c")
    page.keyboard.press("/")
    page.keyboard.type("SEA")
    expect(page.locator("#found-classes [role=option]")).to_have_text(["Sea"])
    page.keyboard.press("Control+a")
    page.keyboard.type("boat")
    page.keyboard.press("Enter")
    marked = page.locator(".tag[aria-pressed='true'] .class-name")
    expect(marked).to_have_text(["boat"])
    page.keyboard.press("Enter")
    page.wait_for_selector(".tag-panel .status[data-unsaved='0'][data-state='saved']")
