"""Reviewing in a real browser against the real server: keys shown, stored, kept and undone."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route, expect
from sqlalchemy import select, update

from app.services.app_context import AppContext
from core.data.snapshot import Snapshot
from core.judge.similarity import order_by_similarity
from core.types import Act, FindingKind, Status
from db.models import ChangesetRow, DatasetRow, FindingRow, RoundRow, SampleRow
from tests.e2e.conftest import Server, sign_in, watch
from tests.e2e.review_home import PATIENCE_MS, READY, Review, add_copy, reviewing, serve_reviewed

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[tuple[Server, AppContext]]:
    with serve_reviewed(tmp_path_factory.mktemp("review") / "home", digits_folder) as opened:
        yield opened


@pytest.fixture
def make_review(
    served: tuple[Server, AppContext], page: Page, context: BrowserContext, tmp_path: Path
) -> Iterator[Callable[..., Review]]:
    server, app_context = served
    troubles: list[str] = []
    watch(page, troubles)
    page.set_viewport_size({"width": 1440, "height": 900})

    def make(count: int | None = None, *, named: bool = True) -> Review:
        if named:
            sign_in(context, server.url)
        return Review(page, app_context, server.url, add_copy(app_context, tmp_path.name, count))

    yield make
    assert not troubles


@pytest.fixture
def review(make_review: Callable[..., Review]) -> Review:
    opened = make_review()
    opened.open()
    return opened


def test_every_verdict_key_is_seen_and_stored(review: Review) -> None:
    review.press("a", "k", "b", "x", "n", "9")
    assert len(review.badges()) == 6
    review.saved()
    assert review.statuses() == [
        Status.ACCEPT, Status.KEEP, Status.AMBIGUOUS, Status.EXCLUDE, Status.SECOND_OPINION, Status.RELABEL,
    ]  # fmt: skip


def test_a_card_strikes_through_the_class_that_its_verdict_rejects(review: Review) -> None:
    line = "getComputedStyle(card.querySelector(part)).textDecorationLine"
    struck = f"(card) => ['.given', '.suggested'].filter((part) => {line} === 'line-through')"
    cards = review.page.locator(".card")
    before = [cards.nth(place).evaluate(struck) for place in range(5)]
    review.press("a", "k", "9", "x")
    review.saved()
    after = [cards.nth(place).evaluate(struck) for place in range(5)]
    assert (before, after) == ([[]] * 5, [[".given"], [".suggested"], [".given", ".suggested"], [], []])
    expect(review.page.locator("aside.right .certainty")).to_have_text(
        re.compile(r"Confidence \d+ % · label \d+ % \(most suspicious first\)")
    )


def test_any_image_is_found_by_its_name_and_judged(review: Review) -> None:
    with review.app_context.database.read() as session:
        agreeing = session.execute(
            select(FindingRow.id, SampleRow.name)
            .join(SampleRow, SampleRow.id == FindingRow.sample_id)
            .where(FindingRow.round_id == review.round_id, FindingRow.kind == FindingKind.AGREEING)
            .limit(1)
        ).one()
    review.press("g")
    review.page.keyboard.type(agreeing.name)
    option = review.page.get_by_role("option", name=agreeing.name)
    expect(option.first).to_contain_text("agreeing")
    review.press("Enter")
    expect(review.page.locator("dialog.zoom .path")).to_have_text(agreeing.name)
    review.press("x")
    review.saved()
    assert [row[:2] for row in review.stored()] == [(agreeing.id, Status.EXCLUDE)]
    review.press("u")
    review.saved()
    assert not review.stored()


def test_a_link_opens_its_card_whatever_the_filter(review: Review, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    name = review.page.locator("aside.right .path").inner_text()
    review.page.get_by_role("button", name="Copy link").click()
    expect(review.page.locator(".toast")).to_have_text("Link copied.")
    link = review.page.evaluate("navigator.clipboard.readText()")
    review.press("a")
    review.saved()
    review.page.goto(link)
    expect(review.page.locator("dialog.zoom .path")).to_have_text(name)
    expect(review.page.locator("dialog.zoom .verdict")).to_contain_text("accepted")
    expect(review.page).not_to_have_url(re.compile("card="))
    review.page.goto(re.sub(r"card=\d+", "card=999999", link))
    expect(review.page.locator(".toast")).to_have_text("The card of this link is not in this round.")


def test_verdicts_survive_a_reload(review: Review) -> None:
    review.press("a", "a", "k")
    review.saved()
    first = review.focused()
    review.open()
    assert review.focused() == first
    expect(review.page.locator(".done b")).to_have_text("3")
    review.open("&status=decided")
    assert len(review.badges()) == 3


def test_number_keys_mean_the_class_beside_them(review: Review) -> None:
    pressed = []
    for place in (0, 1, 2):
        row = review.page.locator("aside.right .likely").nth(place)
        pressed.append((row.locator("kbd").inner_text(), row.locator(".name").inner_text()))
        review.press(pressed[-1][0])
        review.drawn()
    review.saved()
    assert review.statuses() == [Status.ACCEPT, Status.KEEP, Status.RELABEL]
    assert [str(label) for _, _, label in review.stored()] == [name for _, name in pressed]


def test_undo_and_redo_work_across_items_and_pages(review: Review) -> None:
    per_page = review.page.locator(".card").count()
    review.press(*["a"] * (per_page + 2))
    expect(review.page.locator(".page")).to_have_text("page 2")
    review.press("u", "u", "Control+z")
    review.saved()
    assert len(review.stored()) == per_page - 1
    expect(review.page.locator(".page")).to_have_text("page 1")
    review.press("Control+Shift+z", "Control+y")
    review.saved()
    assert len(review.stored()) == per_page + 1


def test_undo_works_across_visits(review: Review) -> None:
    review.press("a", "x")
    review.saved()
    review.open()
    review.press("u")
    expect(review.page.locator(".toast")).to_contain_text("Undone")
    review.saved()
    assert review.statuses() == [Status.ACCEPT]
    review.press("u", "u")
    expect(review.page.locator(".toast")).to_contain_text("Nothing left to undo")
    review.saved()
    assert not review.stored()


def test_a_selection_is_one_act(review: Review) -> None:
    review.press("Space", "Shift+ArrowRight", "Shift+ArrowRight", "Shift+A")
    review.saved()
    assert review.statuses() == [Status.ACCEPT] * 3
    review.press("u")
    review.saved()
    assert not review.stored()
    with review.app_context.database.read() as session:
        query = select(ChangesetRow.act).where(ChangesetRow.round_id == review.round_id).order_by(ChangesetRow.id)
        acts = session.scalars(query).all()
    assert acts == [Act.VERDICT, Act.UNDO]


def test_without_a_selection_the_row_is_accepted(review: Review) -> None:
    columns = review.page.locator(".grid").evaluate(
        "(grid) => getComputedStyle(grid).gridTemplateColumns.split(' ').length"
    )
    review.press("Shift+A")
    review.saved()
    assert review.statuses() == [Status.ACCEPT] * columns


def test_shift_click_selects_a_range_and_a_click_focuses(review: Review) -> None:
    cards = review.page.locator(".card")
    cards.nth(1).click()
    cards.nth(4).click(modifiers=["Shift"])
    expect(review.page.locator(".card[aria-selected=true]")).to_have_count(4)
    review.press("Escape")
    expect(review.page.locator(".card[aria-selected=true]")).to_have_count(0)


def test_a_class_is_found_by_typing(review: Review) -> None:
    review.press("/")
    review.page.keyboard.type("7")
    review.press("Enter")
    expect(review.page.locator(".card .badge:visible").first).to_contain_text("7")
    review.saved()
    assert [label for _, _, label in review.stored()] == [7]


def test_shortcut_keys_are_inactive_while_typing(review: Review) -> None:
    review.page.get_by_label("Path contains").click()
    review.page.keyboard.type("axk")
    assert not review.badges()


def test_filters_are_stored_in_the_address(review: Review) -> None:
    review.page.locator(".mx .cell").first.click()
    expect(review.page.locator(".mx .cell[aria-pressed=true]")).to_have_count(1)
    review.page.wait_for_selector(READY)
    expect(review.page).to_have_url(re.compile(rf"round={review.round_id}&.*given=\d+&pseudo=\d+"))
    shown = review.page.locator(".card .cap > .given").all_inner_texts()
    assert len(set(shown)) == 1
    review.page.reload()
    review.page.wait_for_selector(READY)
    assert review.page.locator(".card .cap > .given").all_inner_texts() == shown


def test_the_path_filter_applies_while_typing_and_counts_matches_elsewhere(review: Review) -> None:
    name = review.page.locator("aside.right .path").inner_text()
    review.press("k")
    review.saved()
    field = review.page.get_by_label("Path contains")
    field.press_sequentially(name)
    expect(review.page.locator(".elsewhere")).to_contain_text("1 more elsewhere: 1 decided")
    expect(review.page.locator(".card")).to_have_count(0)
    expect(field).to_be_focused()
    expect(field).to_have_value(name)
    review.page.get_by_role("button", name="Show all", exact=True).click()
    expect(review.page.locator(".card")).to_have_count(1)
    expect(review.page).to_have_url(re.compile("status=any"))
    expect(review.page.locator(".elsewhere")).to_be_empty()


def test_no_findings_under_a_filter_offers_to_clear_it(review: Review) -> None:
    review.open("&path=nowhere")
    review.page.get_by_role("button", name="Clear the filter").click()
    expect(review.page.locator(".card").first).to_be_visible()
    expect(review.page).not_to_have_url(re.compile("path="))


def test_accept_all_previews_its_changes_is_stored_once_and_can_be_undone(review: Review) -> None:
    review.press("k")
    review.saved()
    kept = review.stored()
    review.page.get_by_role("button", name="Preview and accept").click()
    button = review.page.locator(".accept-dialog .primary")
    review.page.get_by_label("Threshold, typed").fill("0.8")
    review.press("Tab")
    expect(button).to_have_text(re.compile(r"Accept \d+ \(precision unknown\)"))
    expect(review.page.locator(".accept-dialog .rnd img")).to_have_count(24)
    expect(review.page.locator(".accept-dialog h1")).to_contain_text("above 0.80")
    expect(review.page.locator(".accept-dialog .worth")).to_contain_text("No random sample of this set has been judged")
    count = int(re.sub(r"\D", "", button.inner_text()))
    button.dblclick()
    expect(review.page.locator(".toast")).to_contain_text(f"accepted {count}")
    assert review.statuses().count(Status.BULK) == count
    review.page.locator(".toast button").click()
    expect(review.page.locator(".toast")).to_contain_text("Undone")
    review.saved()
    assert review.stored() == kept

    # "u" is heard as soon as the act is stored, while the queue is still being read again
    review.page.get_by_role("button", name="Preview and accept").click()
    expect(button).to_have_text(re.compile(r"Accept \d+ \(precision unknown\)"))
    waiting: list[Route] = []
    review.page.route("**/outfold/findings?*", lambda route: waiting.append(route))  # noqa: PLW0108 a bound method of a list takes no attributes
    button.click()
    expect(review.page.locator(".accept-dialog")).to_have_count(0)
    review.press("u")
    expect(review.page.locator(".toast")).to_contain_text("Undone")
    for route in waiting:
        route.continue_()
    review.page.unroute("**/outfold/findings?*")
    review.saved()
    assert review.stored() == kept


def test_a_double_click_is_one_decision(review: Review) -> None:
    review.page.locator("button.hint", has_text="accept").dblclick()
    review.saved()
    stored = review.stored()
    assert review.decisions() == len({finding for finding, _, _ in stored}) == len(stored)


def test_fast_keys_are_all_stored(review: Review) -> None:
    review.press(*["a"] * 60)
    review.saved()
    assert len(review.stored()) == 60
    assert review.decisions() == 60


def test_offline_work_is_kept_and_sent_when_the_network_returns(review: Review, context: BrowserContext) -> None:
    context.set_offline(True)
    review.press("a", "k", "x")
    expect(review.page.locator(".status")).to_contain_text("offline, 3 unsaved")
    assert not review.stored()
    context.set_offline(False)
    review.saved()
    assert review.statuses() == [Status.ACCEPT, Status.KEEP, Status.EXCLUDE]


def test_a_skipped_card_returns_at_the_end(make_review: Callable[..., Review]) -> None:
    review = make_review(10)
    review.open()
    skipped = review.focused()
    review.press("s", *["a"] * 8)
    assert review.focused() == skipped
    review.press("a")
    expect(review.page.locator(".empty-state h2")).to_have_text("All 9 judged")


def test_a_single_item_can_be_judged(make_review: Callable[..., Review]) -> None:
    review = make_review(1)
    review.open()
    review.press("a")
    expect(review.page.locator(".empty-state")).to_contain_text("judged")
    review.press("u")
    review.saved()
    assert not review.stored()


def test_zoom_steps_and_judges(review: Review) -> None:
    first = review.focused()
    review.press("z")
    expect(review.page.locator("dialog.zoom")).to_be_visible()
    review.press("ArrowRight", "x")
    review.press("Escape")
    expect(review.page.locator("dialog.zoom")).to_have_count(0)
    review.saved()
    assert [(finding != first, status) for finding, status, _ in review.stored()] == [(True, Status.EXCLUDE)]


def test_keys_can_be_changed_and_switched_off(review: Review) -> None:
    review.press("?")
    review.page.get_by_role("button", name=re.compile("accept the suggestion")).click()
    review.press("y")
    review.page.get_by_role("button", name="Done").click()
    review.press("a")
    assert not review.badges()
    review.press("y")
    assert len(review.badges()) == 1
    review.press("?")
    review.page.get_by_label("single-letter keys are on").uncheck()
    review.page.get_by_role("button", name="Done").click()
    review.press("y")
    assert len(review.badges()) == 1
    review.saved()


def test_the_name_is_asked_once_and_kept(make_review: Callable[..., Review], context: BrowserContext) -> None:
    review = make_review(named=False)
    review.open()
    review.page.get_by_label("Your name", exact=True).fill("Žofie Nováková")
    review.press("Enter")
    expect(review.page.locator(".who")).to_have_text("ŽN")
    review.press("a")
    review.saved()
    review.open()
    expect(review.page.locator(".who")).to_have_text("ŽN")
    review.open("&status=decided")
    expect(review.page.locator("aside.right .verdict")).to_contain_text("Žofie Nováková")


def test_the_page_is_accessible(review: Review) -> None:
    review.press("a", "k", "3", "b", "x", "Space")
    review.saved()
    for scheme in ("light", "dark"):
        review.page.emulate_media(color_scheme=scheme)
        review.page.wait_for_selector(READY)
        found = Axe().run(review.page, "[data-testid=stBidiComponentIsolated]")
        assert found.violations_count == 0, found.generate_report()


def test_a_killed_server_and_a_closed_browser_lose_nothing(
    digits_folder: Path, page: Page, context: BrowserContext, tmp_path: Path
) -> None:
    with reviewing(tmp_path / "home", digits_folder, page) as (server, review):
        review.press("a", "k")
        review.saved()
        server.kill()
        assert review.statuses() == [Status.ACCEPT, Status.KEEP]
        review.press("x", "b", "u")
        expect(page.locator(".status")).to_contain_text("offline, 3 unsaved")
        page.close()
        server.start()
        review.page = context.new_page()
        review.open()
        review.saved()
        assert review.statuses() == [Status.ACCEPT, Status.KEEP, Status.EXCLUDE]


def test_leaving_and_returning_leaves_one_listening_grid(review: Review) -> None:
    review.press("a")
    review.page.get_by_role("link", name="Datasets").click()
    review.page.wait_for_url(re.compile("/datasets"), timeout=PATIENCE_MS)  # the grid is gone before it is new
    expect(review.page.locator(".outfold")).to_have_count(0)
    review.press("x")
    review.page.go_back()
    review.page.wait_for_selector(READY, timeout=PATIENCE_MS)
    review.press("k")
    review.saved()
    assert review.statuses() == [Status.ACCEPT, Status.KEEP]
    assert review.decisions() == 2


def test_two_tabs_on_one_card_leave_one_answer_and_both_decisions(review: Review, context: BrowserContext) -> None:
    other = Review(context.new_page(), review.app_context, review.url, review.round_id)
    other.open()
    first = review.focused()
    assert other.focused() == first
    review.press("a")
    review.saved()
    other.press("k")
    other.saved()
    assert [(finding, status) for finding, status, _ in review.stored()] == [(first, Status.KEEP)]
    assert review.decisions() == 2
    other.press("u")
    other.saved()
    assert review.statuses() == [Status.ACCEPT]


def test_digits_can_mean_the_same_classes_on_every_card(make_review: Callable[..., Review]) -> None:
    review = make_review(40)
    names = ["cat", "dog", "fox", "owl", "bee", "ant", "elk", "cow", "hen", "bat"]
    with review.app_context.database.write() as session:
        round_ = session.get_one(RoundRow, review.round_id)
        session.get_one(DatasetRow, round_.dataset_id).classes = names
    review.open()
    review.page.get_by_role("group", name="Digit keys").get_by_role("combobox").select_option("fixed")
    keys = review.page.locator(".digit-list .likely")
    expect(keys).to_have_text([f"{place % 10}{name}" for place, name in enumerate(names, 1)])
    keys.nth(0).click()
    review.page.keyboard.type("owl")
    review.page.keyboard.press("Enter")
    expect(keys.nth(0)).to_have_text("1owl")
    expect(keys.nth(3)).to_have_text("4cat")
    review.open()  # kept
    expect(keys.nth(0)).to_have_text("1owl")
    first = review.focused()
    review.press("1")
    review.saved()
    assert {row[0]: row[2] for row in review.stored()}[first] == names.index("owl")


def test_many_long_class_names_fit(make_review: Callable[..., Review]) -> None:
    review = make_review(60)
    names = [f"class number {number} with a name that goes on and on {number}"[:60] for number in range(1000)]
    with review.app_context.database.write() as session:
        dataset_id = session.scalars(select(RoundRow.dataset_id).where(RoundRow.id == review.round_id)).one()
        session.get_one(DatasetRow, dataset_id).classes = names
    review.open()
    wide = "(boxes) => boxes.filter((box) => box.scrollWidth > box.clientWidth + 3).length"
    assert review.page.locator(".card, .outfold > aside").evaluate_all(wide) == 0
    review.press("/")
    review.page.keyboard.type("number 777 ")
    review.press("Enter")
    review.saved()
    assert [label for _, _, label in review.stored()] == [777]
    review.page.locator(".pair").first.click()
    review.page.wait_for_selector(READY)
    expect(review.page).to_have_url(re.compile("given="))


@pytest.mark.parametrize(("width", "columns"), [(390, 3), (1024, 6)])
def test_small_windows_get_fewer_columns_and_no_side_scroll(review: Review, width: int, columns: int) -> None:
    review.page.set_viewport_size({"width": width, "height": 800})
    review.open()
    sides = "(boxes) => boxes.map((box) => [box.getBoundingClientRect().left, box.getBoundingClientRect().right])"
    cards = review.page.locator(".card").evaluate_all(sides)
    buttons = review.page.locator(".all .primary").evaluate_all(sides)
    assert abs(len({round(left) for left, _ in cards}) - columns) <= (0 if width < 500 else 1)
    assert max(right for _, right in cards + buttons) <= width


def test_another_dataset_can_be_chosen_and_stays_in_the_address(make_review: Callable[..., Review]) -> None:
    review = make_review(10)
    other = add_copy(review.app_context, "another one", 5)
    review.open("&order=pair")
    review.page.locator("aside.left header select").select_option(label="another one")
    expect(review.page.locator(".outfold h1")).to_have_text("another one")
    expect(review.page).to_have_url(f"{review.url}/review?round={other}")
    review.page.reload()
    review.page.wait_for_selector(READY)
    expect(review.page.locator(".outfold h1")).to_have_text("another one")


def test_keys_work_immediately_after_opening_a_link(review: Review) -> None:
    review.page.get_by_role("link", name="Datasets").click()
    review.page.get_by_role("link", name="Review").first.click()
    review.page.wait_for_selector(READY)
    first = review.focused()
    expect(review.page).to_have_url(re.compile(f"round={review.round_id}"))
    review.press("ArrowRight")
    assert review.focused() != first


def test_accepting_a_row_can_be_undone_by_its_message_until_the_next_act(review: Review) -> None:
    toast = review.page.locator(".toast")
    review.press("Shift+A")
    toast.get_by_role("button", name="Undo").click()
    review.saved()
    assert not review.stored()
    review.press("Shift+A")
    expect(toast.get_by_role("button", name="Undo")).to_be_visible()
    review.press("x")
    expect(toast).to_be_hidden()


def test_a_dialog_closes_by_a_click_outside_it_but_not_on_its_edge(review: Review) -> None:
    review.press("?")
    dialog = review.page.locator("dialog.help")
    box = dialog.bounding_box()
    assert box
    review.page.mouse.click(box["x"] + 6, box["y"] + 6)
    expect(dialog).to_be_visible()
    review.page.mouse.click(box["x"] - 6, box["y"] - 6)
    expect(dialog).to_have_count(0)


def test_the_name_can_be_changed_immediately(review: Review) -> None:
    review.page.locator(".who").click()
    review.page.get_by_label("Your name", exact=True).fill("Grace Hopper")
    review.press("Enter")
    expect(review.page.get_by_label("Judged by").locator("option", has_text="Grace Hopper")).to_have_count(1)


def test_two_people_see_each_others_verdicts_and_undo_only_their_own(
    make_review: Callable[..., Review], other_context: BrowserContext
) -> None:
    ann = make_review(30)
    ann.open()
    sign_in(other_context, ann.url, "Grace")
    grace = Review(other_context.new_page(), ann.app_context, ann.url, ann.round_id)
    grace.page.set_viewport_size({"width": 1440, "height": 900})
    grace.open()
    one, two = (int(ann.page.locator(".card").nth(n).get_attribute("data-id") or 0) for n in (0, 1))

    def badge(person: Review, finding: int, text: str) -> None:
        shown = person.page.locator(f".card[data-id='{finding}'] .badge:visible")
        expect(shown).to_have_text(re.compile(text))

    ann.press("a")
    badge(grace, one, "accepted")
    grace.press("ArrowRight", "k")
    badge(ann, two, "kept")
    expect(ann.page.locator(".prog .done")).to_have_text(re.compile(r"^\s*2 of"))
    grace.page.locator(f".card[data-id='{one}']").click()
    grace.press("x")
    badge(ann, one, "excluded")
    toast = ann.page.locator(".toast")
    expect(toast).to_contain_text(re.compile(r"Grace decided .+ otherwise: excluded\. You: "))
    toast.get_by_role("button", name="Show").click()
    expect(ann.page.locator("dialog[open]")).to_be_visible()
    ann.press("Escape")

    ann.press("u")  # her own accept, which is overruled; what stands is Grace's
    ann.saved()
    badge(ann, one, "excluded")
    grace.press("u")
    grace.saved()
    expect(grace.page.locator(f".card[data-id='{one}'] .badge:visible")).to_have_count(0)
    expect(ann.page.locator(f".card[data-id='{one}'] .badge:visible")).to_have_count(0)
    badge(ann, two, "kept")
    ann.press("Shift+Control+Z")
    badge(grace, one, "accepted")
    assert [(finding, status) for finding, status, _ in ann.stored()] == [(one, Status.ACCEPT), (two, Status.KEEP)]

    ann.page.goto("about:blank")  # away, and back
    grace.page.locator(f".card[data-id='{one}']").click()
    grace.press("k")
    grace.saved()
    ann.open()
    expect(toast).to_contain_text("otherwise")


def test_look_alikes_of_a_card_open_as_their_own_set(review: Review) -> None:
    with review.app_context.database.write() as session:
        session.execute(
            update(FindingRow).where(FindingRow.round_id == review.round_id).values(confidence=0.97, percent=97)
        )
        ids = session.scalars(
            select(FindingRow.sample_id).where(FindingRow.round_id == review.round_id).order_by(FindingRow.row)
        ).all()
    folder, count = review.app_context.round_folder(review.round_id), len(ids)
    nothing = [""] * count
    Snapshot(np.array(ids), nothing, np.zeros(count, np.int32), nothing, nothing, ["a digit"]).save(folder)
    order_by_similarity(folder, np.random.default_rng(0).normal(size=(count, 3)))
    review.open()
    link = review.page.get_by_role("button", name="more like this")
    expect(link).to_be_visible()
    others = int(link.inner_text().split()[0])
    pair = review.page.locator(".card.focus .cap").inner_text().splitlines()[:2]
    link.click()
    expect(review.page).to_have_url(re.compile(r"similar=\d+(-\d+)+"))
    expect(review.page.locator(".card[data-id]")).to_have_count(others + 1)
    assert {tuple(text.splitlines()[:2]) for text in review.page.locator(".card .cap").all_inner_texts()} == {
        tuple(pair)
    }
    expect(review.page.locator(".all .n")).to_contain_text(f"{others + 1} labels would change")


def test_a_note_is_written_by_its_key_survives_a_reload_and_can_be_undone(review: Review) -> None:
    page = review.page
    review.press("w")
    text = "the label is of the one behind <b>not bold</b>"
    page.get_by_label(re.compile("^Note on")).fill(text)
    review.press("Enter")
    remark = page.locator(".card .remark")
    expect(remark).to_have_text(text)
    review.saved()
    expect(page.locator(".hx .note.live")).to_contain_text(f"“{text}” · Ann Kim")
    review.open()
    expect(page.locator(".hx .note.live")).to_have_count(1)
    expect(remark).to_have_text(text)
    expect(page.locator(".right .noted-on")).to_have_text(f"“{text}”")
    assert "note: the label" in (page.locator(".card:has(.remark)").get_attribute("aria-label") or "")
    assert remark.evaluate("(mark) => mark.getClientRects()[0].height") > 20, "of the focused card the whole text"
    review.press("ArrowRight")
    expect(page.locator(".card.focus .remark")).to_have_count(0)
    assert remark.evaluate("(mark) => mark.getClientRects()[0].height") < 25, "one line"
    review.press("u")
    expect(remark).to_have_count(0)
    expect(page.locator(".toast")).to_contain_text("Undone: wrote a note")
    review.saved()
    review.press("Shift+Control+Z")
    expect(remark).to_have_text(text)
    review.saved()
    review.press("u")
    review.saved()
    review.open()
    expect(page.locator(".card .remark")).to_have_count(0)
    expect(page.locator(".hx .note.undone")).to_have_count(1)
    review.press("w")
    expect(page.get_by_label(re.compile("^Note on"))).to_have_value("")
