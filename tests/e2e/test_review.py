"""Reviewing in a real browser against the real server: what is pressed is seen, stored, kept and taken back."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect
from sqlalchemy import func, select, update

from app.services import reviews
from app.services.workspace import Workspace
from core.data.snapshot import Snapshot
from core.judge.similarity import order_by_similarity
from core.types import Act, Status, Verdict
from db.models import ChangesetRow, DatasetRow, DecisionRow, FindingRow, RoundRow
from tests.e2e.conftest import Server
from tests.e2e.review_home import add_copy, open_home, prepare

pytestmark = pytest.mark.browser

SAVED = ".status[data-unsaved='0'][data-state='saved']"
READY = ".outfold[data-ready='true']"
PATIENCE_MS = 15_000


@dataclass
class Review:
    """A browser on the review page of a round of its own."""

    page: Page
    workspace: Workspace
    url: str
    round_id: int

    def open(self, query: str = "") -> None:
        self.page.goto(f"{self.url}/review?round={self.round_id}{query}")
        self.page.wait_for_selector(READY, timeout=PATIENCE_MS)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def saved(self) -> None:
        self.page.wait_for_selector(SAVED, timeout=PATIENCE_MS)

    def focused(self) -> int:
        return int(self.page.locator(".card.focus").get_attribute("data-id") or 0)

    def badges(self) -> list[str]:
        return [text for text in self.page.locator(".card .badge:visible").all_inner_texts() if text]

    def stored(self) -> list[tuple[int, Status, int | None]]:
        """Return the findings that are not open as the database has them, most suspicious first."""
        with self.workspace.database.read() as session:
            rows = session.scalars(
                select(FindingRow)
                .where(FindingRow.round_id == self.round_id, FindingRow.status != Status.OPEN)
                .order_by(FindingRow.rank)
            )
            return [(row.id, row.status, row.label) for row in rows]

    def statuses(self) -> list[Status]:
        return [status for _, status, _ in self.stored()]

    def decisions(self) -> int:
        with self.workspace.database.read() as session:
            query = select(func.count()).select_from(DecisionRow).join(ChangesetRow)
            return session.scalar(query.where(ChangesetRow.round_id == self.round_id)) or 0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[tuple[Server, Workspace]]:
    home = tmp_path_factory.mktemp("review") / "home"
    prepare(home, digits_folder)
    server = Server(home, {"OUTFOLD_EMBEDDED_WORKER": "false"}).start()
    workspace = open_home(home)
    yield server, workspace
    workspace.database.close()
    server.stop()


def sign_in(context: BrowserContext, url: str, name: str = "Ann%20Kim") -> None:
    context.add_cookies([{"name": "outfold_name", "value": name, "url": url}])


@pytest.fixture
def make_review(
    served: tuple[Server, Workspace], page: Page, context: BrowserContext, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Review]]:
    server, workspace = served
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.extend(trouble(message)))
    page.set_viewport_size({"width": 1440, "height": 900})

    def make(count: int | None = None, *, named: bool = True) -> Review:
        if named:
            sign_in(context, server.url)
        return Review(page, workspace, server.url, add_copy(workspace, request.node.name, count))

    yield make
    assert not troubles


def trouble(message: ConsoleMessage) -> list[str]:
    """Return what a console message complains of; what Streamlit itself asks for in vain is not ours."""
    where = message.location.get("url", "") if message.location else ""
    ours = "/outfold/" in where or "review_grid" in where or not where.startswith("http")
    wanted = "ERR_INTERNET_DISCONNECTED" in message.text
    return [f"{message.text} {where}"] if message.type == "error" and ours and not wanted else []


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
    review.saved()
    assert review.statuses() == [Status.ACCEPT, Status.KEEP, Status.RELABEL]
    assert [str(label) for _, _, label in review.stored()] == [name for _, name in pressed]


def test_undo_and_redo_go_across_items_and_pages(review: Review) -> None:
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


def test_undo_goes_across_visits(review: Review) -> None:
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
    with review.workspace.database.read() as session:
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


def test_keys_are_left_alone_while_typing(review: Review) -> None:
    review.page.get_by_label("Path contains").click()
    review.page.keyboard.type("axk")
    assert not review.badges()


def test_filters_live_in_the_address(review: Review) -> None:
    review.page.locator(".mx .cell").first.click()
    expect(review.page.locator(".mx .cell[aria-pressed=true]")).to_have_count(1)
    review.page.wait_for_selector(READY)
    assert re.search(r"given=\d+&pseudo=\d+", review.page.url)
    assert f"round={review.round_id}" in review.page.url
    shown = review.page.locator(".card .cap > s").all_inner_texts()
    assert len(set(shown)) == 1
    review.page.reload()
    review.page.wait_for_selector(READY)
    assert review.page.locator(".card .cap > s").all_inner_texts() == shown


def test_no_findings_under_a_filter_offers_to_clear_it(review: Review) -> None:
    review.open("&path=nowhere")
    review.page.get_by_role("button", name="Clear the filter").click()
    expect(review.page.locator(".card").first).to_be_visible()
    assert "path=" not in review.page.url


def test_accept_all_shows_what_it_does_does_it_once_and_is_undone(review: Review) -> None:
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


def test_a_skipped_card_comes_back_at_the_end(make_review: Callable[..., Review]) -> None:
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
    review.page.get_by_label("Your name").fill("Žofie Nováková")
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
    make_server: Callable[..., Server], digits_folder: Path, page: Page, context: BrowserContext, tmp_path: Path
) -> None:
    round_id = prepare(tmp_path / "home", digits_folder)
    server = make_server(tmp_path / "home", OUTFOLD_EMBEDDED_WORKER="false").start()
    sign_in(context, server.url)
    workspace = open_home(server.home)
    review = Review(page, workspace, server.url, round_id)
    review.open()
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
    workspace.database.close()


def test_leaving_and_coming_back_leaves_one_grid_that_listens(review: Review) -> None:
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
    other = Review(context.new_page(), review.workspace, review.url, review.round_id)
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


def test_many_long_class_names_fit(make_review: Callable[..., Review]) -> None:
    review = make_review(60)
    names = [f"class number {number} with a name that goes on and on {number}"[:60] for number in range(1000)]
    with review.workspace.database.write() as session:
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
    assert "given=" in review.page.url


@pytest.mark.parametrize(("width", "columns"), [(390, 3), (1024, 6)])
def test_small_windows_get_fewer_columns_and_no_side_scroll(review: Review, width: int, columns: int) -> None:
    review.page.set_viewport_size({"width": width, "height": 800})
    review.open()
    sides = "(boxes) => boxes.map((box) => [box.getBoundingClientRect().left, box.getBoundingClientRect().right])"
    cards = review.page.locator(".card").evaluate_all(sides)
    buttons = review.page.locator(".all .primary").evaluate_all(sides)
    assert abs(len({round(left) for left, _ in cards}) - columns) <= (0 if width < 500 else 1)
    assert max(right for _, right in cards + buttons) <= width


def test_another_dataset_is_one_choice_away_and_stays_in_the_address(make_review: Callable[..., Review]) -> None:
    review = make_review(10)
    other = add_copy(review.workspace, "another one", 5)
    review.open("&order=pair")
    review.page.locator("aside.left header select").select_option(label="another one")
    expect(review.page.locator(".outfold h1")).to_have_text("another one")
    assert review.page.url.endswith(f"/review?round={other}")
    review.page.reload()
    review.page.wait_for_selector(READY)
    expect(review.page.locator(".outfold h1")).to_have_text("another one")


def test_whoever_comes_by_a_link_can_press_keys_at_once(review: Review) -> None:
    review.page.get_by_role("link", name="Datasets").click()
    review.page.get_by_role("link", name="Review").first.click()
    review.page.wait_for_selector(READY)
    first = review.focused()
    assert f"round={review.round_id}" in review.page.url
    review.press("ArrowRight")
    assert review.focused() != first


def test_a_row_is_taken_back_by_its_message_until_the_next_act(review: Review) -> None:
    toast = review.page.locator(".toast")
    review.press("Shift+A")
    toast.get_by_role("button", name="Undo").click()
    review.saved()
    assert not review.stored()
    review.press("Shift+A")
    expect(toast.get_by_role("button", name="Undo")).to_be_visible()
    review.press("x")
    expect(toast).to_be_hidden()


def test_a_dialog_closes_by_a_click_beside_it_not_on_its_edge(review: Review) -> None:
    review.press("?")
    dialog = review.page.locator("dialog.help")
    box = dialog.bounding_box()
    assert box
    review.page.mouse.click(box["x"] + 6, box["y"] + 6)
    expect(dialog).to_be_visible()
    review.page.mouse.click(box["x"] - 6, box["y"] - 6)
    expect(dialog).to_have_count(0)


def test_a_new_name_can_be_asked_for_at_once(review: Review) -> None:
    review.page.locator(".who").click()
    review.page.get_by_label("Your name").fill("Grace Hopper")
    review.press("Enter")
    expect(review.page.get_by_label("Judged by").locator("option", has_text="Grace Hopper")).to_have_count(1)


def test_another_persons_verdict_shows_as_soon_as_the_page_is_looked_at_again(
    make_review: Callable[..., Review],
) -> None:
    review = make_review(30)
    with review.page.expect_response("**/outfold/state"):
        review.open()
    second = int(review.page.locator(".card").nth(1).get_attribute("data-id") or 0)
    reviews.decide(review.workspace, [reviews.Choice(second, Verdict.KEEP)], by="Grace")
    card = review.page.locator(f".card[data-id='{second}']")
    expect(card.locator(".badge")).to_be_hidden()
    review.page.evaluate("dispatchEvent(new Event('focus'))")
    expect(card.locator(".badge")).to_have_text(re.compile("kept"))
    expect(review.page.locator(".prog .done")).to_have_text(re.compile(r"^\s*1 of"))


def test_what_looks_like_a_card_opens_as_a_set_of_its_own(review: Review) -> None:
    with review.workspace.database.write() as session:
        session.execute(
            update(FindingRow).where(FindingRow.round_id == review.round_id).values(confidence=0.97, percent=97)
        )
        ids = session.scalars(
            select(FindingRow.sample_id).where(FindingRow.round_id == review.round_id).order_by(FindingRow.row)
        ).all()
    folder, count = review.workspace.round_folder(review.round_id), len(ids)
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
