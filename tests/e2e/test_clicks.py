"""Acts of every day, each from the page where a person would be: at most four clicks or keys and one word typed."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.core.data.formats.drawn import draw_all
from tests.e2e.conftest import Server, sign_in
from tests.e2e.review_home import READY, SAVED, prepare

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MOST_CLICKS, MOST_WORDS = 4, 1
JOB_MS = 300_000
TABLE = """\
| accept all above .95 | 4 | 1 |
| undo | 1 | 0 |
| find an image by its name | 2 | 1 |
| give a far class | 2 | 1 |
| merge two classes | 3 | 1 |
| import a folder | 4 | 1 |
| delete a dataset | 3 | 0 |
| export | 1 | 0 |
| start a round | 1 | 0 |"""
STILL = "[data-testid='stApp'][data-test-script-state='notRunning']"


class Hand:
    """Mouse and keyboard of one page, counted act by act; a key pressed alone counts as a click."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.acts: dict[str, tuple[int, int]] = {}
        self._clicks = self._words = 0

    @contextmanager
    def act(self, name: str) -> Iterator[None]:
        """Count what is done within."""
        self._clicks = self._words = 0
        yield
        self.acts[name] = (self._clicks, self._words)

    def click(self, target: Locator) -> None:
        target.click()
        self._clicks += 1

    def key(self, key: str) -> None:
        self.page.keyboard.press(key)
        self._clicks += 1

    def word(self, text: str, field: Locator | None = None) -> None:
        """Type a word, into a field that is clicked first where one is given."""
        if field is not None:
            self.click(field)
            self.page.keyboard.press("ControlOrMeta+A")  # what stands there is typed over
        self.page.keyboard.type(text)
        self._words += 1


@pytest.mark.timeout(900)
def test_everyday_acts_take_few_clicks(
    context: BrowserContext, digits_folder: Path, tmp_path: Path, make_server: Callable[..., Server]
) -> None:
    home = tmp_path / "home"
    round_id = prepare(home, digits_folder)
    pets = draw_all(tmp_path / "pets", [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(3)])
    server = make_server(home).start()
    sign_in(context, server.url)
    page = context.new_page()
    page.set_viewport_size({"width": 1440, "height": 900})
    hand = Hand(page)

    _review(hand, server.url, round_id)
    _merge_classes(hand, server.url)
    _import_and_delete(hand, server.url, pets)
    _export_and_start(hand, server.url)
    rows = [f"| {name} | {clicks} | {words} |" for name, (clicks, words) in hand.acts.items()]
    assert rows == TABLE.splitlines()
    assert all(clicks <= MOST_CLICKS and words <= MOST_WORDS for clicks, words in hand.acts.values())


def _review(hand: Hand, url: str, round_id: int) -> None:
    """Accept in bulk, undo, find an image, give a class."""
    page = hand.page
    page.goto(f"{url}/review?round={round_id}")
    page.wait_for_selector(READY)
    with hand.act("accept all above .95"):
        hand.click(page.get_by_role("button", name="Preview and accept"))
        hand.word("0.95", page.get_by_label("Threshold, typed"))
        hand.key("Tab")
        expect(page.locator(".accept-dialog h1")).to_contain_text("above 0.95")
        expect(page.locator(".accept-dialog .primary")).to_have_text(re.compile(r"Accept \d+"))
        hand.click(page.locator(".accept-dialog .primary"))
        expect(page.locator(".accept-dialog")).to_have_count(0)
        expect(page.locator(".toast")).to_contain_text("accepted")
    with hand.act("undo"):
        hand.key("u")
        expect(page.locator(".toast")).to_contain_text("Undone")
    page.wait_for_selector(SAVED)
    with hand.act("find an image by its name"):
        hand.key("g")
        hand.word("9/009")
        found = page.locator("#found-images [role=option]").first
        expect(found).to_contain_text("9/009.png")
        hand.key("Enter")
        expect(page.locator("dialog.zoom .path")).to_have_text("9/009.png")
    page.keyboard.press("Escape")
    expect(page.locator("dialog.zoom")).to_have_count(0)
    with hand.act("give a far class"):
        hand.key("/")
        hand.word("9")
        expect(page.locator("#found-classes [role=option]").first).to_contain_text("9")
        hand.key("Enter")
        page.wait_for_selector(SAVED)
    expect(page.locator(".card .badge", has_text="9").first).to_be_visible()


def _merge_classes(hand: Hand, url: str) -> None:
    """Merge a class into another one."""
    page = hand.page
    page.goto(f"{url}/classes?dataset=1")
    page.locator(".class-table tbody .name").first.wait_for()
    with hand.act("merge two classes"):
        hand.click(page.get_by_role("button", name="Merge 1 into another class"))
        hand.word("7")
        hand.key("Enter")
        hand.click(page.get_by_role("dialog").get_by_role("button", name="Merge", exact=True))
        expect(page.locator(".class-table tbody .name")).to_have_text([*"023456789"])


def _import_and_delete(hand: Hand, url: str, folder: Path) -> None:
    """Import a folder and delete the dataset that came of it."""
    page = hand.page
    page.goto(f"{url}/datasets")
    page.wait_for_selector(STILL)
    with hand.act("import a folder"):
        hand.click(page.get_by_role("button", name="Import images"))
        hand.word(str(folder), page.locator(".st-key-import_source input"))
        hand.key("Enter")
        hand.click(page.locator(".st-key-import_go button"))
        expect(page.locator(".st-key-report_2")).to_contain_text("6", timeout=JOB_MS)
    page.goto(f"{url}/datasets")
    with hand.act("delete a dataset"):
        hand.click(page.locator(".st-key-cards_2_menu button").first)
        hand.click(page.get_by_role("button", name="Delete…"))
        hand.click(page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True))
        expect(page.locator(".of-name")).to_have_text(["digits"])


def _export_and_start(hand: Hand, url: str) -> None:
    """Export a dataset and start a round of it."""
    page = hand.page
    page.goto(f"{url}/exports?dataset=1")
    page.wait_for_selector(STILL)
    with hand.act("export"):
        hand.click(page.locator(".st-key-preview_start button"))
        expect(page.locator(".st-key-newest")).to_be_visible(timeout=JOB_MS)

    page.goto(f"{url}/rounds?dataset=1")
    page.wait_for_selector(STILL)
    with hand.act("start a round"):
        hand.click(page.locator(".st-key-form_1_start button"))
        expect(page.get_by_text("Round 2").first).to_be_visible(timeout=JOB_MS)
