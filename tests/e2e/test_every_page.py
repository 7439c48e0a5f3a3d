"""Every page in every state a dataset may be in, at three widths and in both themes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, TimeoutError as LateError, expect

from tests.e2e.conftest import Server, open_home, serve, sign_in
from tests.e2e.page_states import SHARED, STATES
from tests.e2e.review_home import READY, SAVED
from tests.e2e.test_accessible import switch_theme
from tests.e2e.test_tags import READY as TAGGING, SAVED as TAGGED
from tools.fixtures.browser import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = ("", "datasets", "rounds", "review", "images", "classes", "masks", "tags", "insight", "impact", "exports")
WIDTHS = ((390, 844), (1024, 768), (1440, 900))
PATIENCE_MS = 60_000
RESIZE_MS = 15_000
# Where a page shows how many labels of the dataset that two people share are decided.
SEEN = {
    "": {".of-card:has(.of-name:text-is('two people')) .of-state": "{} decided"},
    "datasets": {".of-card:has(.of-name:text-is('two people')) .of-state": "{} decided"},
    "review": {".prog .done": "{} of 20"},
    "insight": {"div:has(> div:text-is('of them decided')) > div": "{}"},
    "exports": {"div:has(> div:text-is('decided by people')) > div": "{}"},
}

# Elements that reach beyond the right edge although nothing around them scrolls or cuts on purpose.
CUT = """
() => {
  const roots = [document], cut = [];
  const parent = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host;
  const held = (node) => {
    for (let up = parent(node); up && up !== document.body; up = parent(up)) {
      const own = up.getBoundingClientRect();
      if (getComputedStyle(up).overflowX !== "visible" && own.right <= innerWidth + 1) return true;
    }
    return false;
  };
  for (const root of roots) {
    for (const node of root.querySelectorAll("*")) {
      if (node.shadowRoot) roots.push(node.shadowRoot);
      const box = node.getBoundingClientRect();
      if (box.width < 1 || box.height < 1 || box.right <= innerWidth + 1 || !node.checkVisibility()) continue;
      const name = `${node.tagName}.${node.className?.baseVal ?? node.className}`;
      if (!held(node)) cut.push(`${name} to ${Math.round(box.right)}`);
    }
  }
  const wide = document.scrollingElement.scrollWidth > innerWidth + 1 ? ["the page scrolls sideways"] : [];
  const main = document.querySelector("[data-testid='stMain']");
  if (main && main.scrollWidth > main.clientWidth + 1) wide.push("the main part scrolls sideways");
  return [...wide, ...cut.slice(0, 4)];
}
"""


class Visit:
    """A person's browser tab that notes all that is wrong with the pages it opens."""

    def __init__(self, context: BrowserContext, url: str, name: str = "Ada") -> None:
        sign_in(context, url, name)
        self.page, self.url, self.wrong, self._at = context.new_page(), url, [], ""
        self.page.set_viewport_size({"width": 1440, "height": 900})
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self._note(f"exception: {error}"))
        self.page.on("console", self._hear)
        self.wrong: list[str]

    def open(self, place: str, dataset: int | None = None, query: str = "") -> None:
        """Open a page of a dataset and look at it at every width, and once more in the dark theme."""
        self._at = f"{place or 'home'}?dataset={dataset}"
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")
        self.page.goto(f"{self.url}/{place}" + (f"?dataset={dataset}{query}" if dataset else ""))
        settle(self.page)
        self.look()
        for width, height in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": height})
            self._fit(f"at {width}")
        switch_theme(self.page, "dark")
        self._fit("dark")
        self.look()

    def _fit(self, name: str) -> None:
        """Note elements that reach beyond the page."""
        try:  # tables and charts take the new width a moment later
            wait_for(self.page, f"() => ({CUT})().length === 0", patience_ms=RESIZE_MS)
        except LateError:
            self._note(f"{name}: {self.page.evaluate(CUT)}")

    def look(self) -> None:
        """Note error boxes, a missing heading, and names that are drawn as HTML."""
        page = self.page
        headings = page.locator("h1:visible").all_inner_texts()
        if len(headings) != 1:
            self._note(f"main headings {headings}")
        if page.get_by_test_id("stException").count():
            self._note(page.get_by_test_id("stException").first.inner_text())
        if page.evaluate("window.struck") or page.locator(".planted").count():
            self._note("a name was drawn as HTML")

    def _hear(self, message: ConsoleMessage) -> None:
        where = message.location.get("url", "") if message.location else ""
        unreadable = "/outfold/image/" in where or "/outfold/region" in where  # a file that is gone
        streamlits = "/_stcore/" in where  # it looks for its server below the page's address first
        if message.type == "error" and not unreadable and not streamlits:
            self._note(f"console: {message.text} {where}")

    def _note(self, complaint: str) -> None:
        self.wrong.append(f"{self._at} {complaint}")


def settle(page: Page) -> None:
    """Wait until a page has its heading and its script has ended."""
    page.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']")
    page.locator("h1:visible").first.wait_for()
    page.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, int]]]:
    """Return a server with a dataset in each state, and their ids."""
    folder = tmp_path_factory.mktemp("pages")
    app_context = open_home(folder / "home")
    ids = {state: add(app_context, folder / state) for state, add in (STATES | SHARED).items()}
    app_context.database.close()
    with serve(folder / "home") as (server, _):
        yield server, ids


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("empty") / "home") as (server, _):
        yield server


@pytest.mark.parametrize("state", STATES)
def test_every_page_works_with_a_dataset_in_this_state(
    served: tuple[Server, dict[str, int]], context: BrowserContext, state: str
) -> None:
    server, ids = served
    visit = Visit(context, server.url)
    for place in PAGES:
        visit.open(place, ids[state])
    assert not visit.wrong, "\n".join(visit.wrong)


def test_every_page_of_an_empty_installation_names_the_next_step(empty: Server, context: BrowserContext) -> None:
    visit = Visit(context, empty.url)
    for place in PAGES:
        visit.open(place)
        main = visit.page.get_by_test_id("stMainBlockContainer")
        expect(main.get_by_role("link").or_(main.get_by_role("button")).first).to_be_visible()
        title = {"": "Datasets", "exports": "Export"}.get(place, place.capitalize())  # the first page leads to datasets
        expect(visit.page).to_have_title(f"{title} - Outfold")
    assert not visit.wrong, "\n".join(visit.wrong)


def test_a_page_that_opens_watches_no_files_of_the_program(empty: Server, context: BrowserContext) -> None:
    """Streamlit would look at the files of all modules in the event loop, where everybody's verdicts wait."""
    Visit(context, empty.url).open("datasets")
    assert empty.process
    opened = [link.readlink().name for link in Path(f"/proc/{empty.process.pid}/fd").iterdir() if link.is_symlink()]
    assert "anon_inode:[eventpoll]" in opened
    assert not [name for name in opened if "inotify" in name]


def test_every_page_shows_the_verdicts_of_another_person(
    served: tuple[Server, dict[str, int]], context: BrowserContext, other_context: BrowserContext
) -> None:
    server, ids = served
    ada, ben = Visit(context, server.url), Visit(other_context, server.url, "Ben")
    ben.page.goto(f"{server.url}/review?dataset={ids['two']}")
    ben.page.wait_for_selector(READY)
    for count, place in enumerate(PAGES, 1):
        ben.page.keyboard.press("a")
        ben.page.wait_for_selector(SAVED)
        ada.open(place, ids["two"])
        for where, text in SEEN.get(place, {}).items():
            expect(ada.page.locator(where).first).to_contain_text(text.format(count))
        expect(ada.page.get_by_test_id("stAlertContentError")).to_have_count(0)
    ada.page.goto(f"{server.url}/review?dataset={ids['two']}")
    ada.page.wait_for_selector(READY)
    ben.page.keyboard.press("k")
    expect(ada.page.locator(".prog .done")).to_contain_text(f"{len(PAGES) + 1} of 20")

    _judge_masks(ada, ben, ids["two_masks"])
    ben.look()
    assert not ada.wrong + ben.wrong, "\n".join(ada.wrong + ben.wrong)


def _judge_masks(ada: Visit, ben: Visit, dataset: int) -> None:
    """Let Ben accept a region and tag an image, and Ada find both."""
    ben.page.goto(f"{ben.url}/review?dataset={dataset}")
    ben.page.wait_for_selector(READY)
    region = ben.page.locator(".card.focus").get_attribute("data-id")
    ben.page.keyboard.press("a")
    ben.page.wait_for_selector(SAVED)
    ada.open("review", dataset)
    expect(ada.page.locator(".prog .done")).to_contain_text("1 of")
    ada.open("masks", dataset, f"&finding={region}")
    expect(ada.page.locator(".standing")).to_contain_text("accepted")
    ben.page.goto(f"{ben.url}/tags?dataset={dataset}")
    ben.page.wait_for_selector(TAGGING)
    ben.page.keyboard.press("Enter")  # as suggested
    ben.page.wait_for_selector(TAGGED)
    ada.open("tags", dataset)
    expect(ada.page.locator(".tag-panel .done")).to_contain_text("1 of 2 tagged")
