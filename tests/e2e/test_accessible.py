"""Every page in both themes, looked at by axe-core."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server, open_home, serve, sign_in
from tests.e2e.mask_pages import READY as EDITOR
from tests.e2e.page_states import add_bare
from tests.e2e.review_home import prepare
from tools.fixtures import scenes as masked
from tools.fixtures.browser import wait_for

pytestmark = pytest.mark.browser

PAGES = ("datasets", "rounds", "review", "images", "classes", "insight", "impact", "exports")
OF_MASKS = ("review", "masks", "tags")
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("accessible") / "home"
    prepare(home, digits_folder)
    app_context = open_home(home)
    masked.add_round(app_context, masked.add_scenes(app_context, home.parent / "scenes"))
    add_bare(app_context, home.parent / "bare")
    app_context.database.close()
    with serve(home) as (server, _):
        yield server


@pytest.mark.parametrize(
    ("place", "dataset"), [*((one, 1) for one in PAGES), *((one, 2) for one in OF_MASKS), ("exports", 3)]
)
def test_a_page_has_no_violation_in_either_theme(server: Server, page: Page, place: str, dataset: int) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    sign_in(page.context, server.url)
    page.goto(f"{server.url}/{place}?dataset={dataset}")
    _drawn(page, place)
    told = violations(page, place)
    switch_theme(page, "dark")
    told += [f"dark: {one}" for one in violations(page, place)]
    assert not told, "\n".join(told)


def test_a_message_over_a_page_is_named_by_its_text(server: Server, page: Page) -> None:
    sign_in(page.context, server.url)
    page.goto(f"{server.url}/tags?dataset=1")
    _drawn(page, "tags")
    said = "The labels of digits are classes, so there is nothing to tag; scenes is shown instead."
    toast = page.get_by_role("alertdialog", name=said)
    expect(toast).to_be_visible()
    assert not violations(page, "tags")
    toast.get_by_role("button", name="Close").click()
    expect(toast).to_be_hidden()


def test_captions_follow_a_switched_theme(server: Server, page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{server.url}/datasets")
    page.get_by_role("button", name="Import images").click()
    caption = page.locator("[data-testid='stCaptionContainer'] p").first
    for theme, colour in (("light", "rgb(91, 98, 112)"), ("dark", "rgb(170, 177, 190)"), ("light", "rgb(91, 98, 112)")):
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        expect(caption).to_have_css("color", colour)
    axe = Axe().run(page, options={"runOnly": ["color-contrast"]}).response["violations"]
    assert not axe


def switch_theme(page: Page, theme: Literal["light", "dark"]) -> None:
    """Change the system's theme under an open page, and wait until no colour changes any more.

    Elements that a poll draws anew have a transition too, which begins only after seconds (see `chrome.COMPACT`).
    """
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    wait_for(page, "theme => getComputedStyle(document.querySelector('.stApp')).colorScheme === theme", theme)
    wait_for(
        page,
        "() => !document.getAnimations().some((each) => each instanceof CSSTransition"
        " && !each.effect.target.dataset.stale)",
    )


def _drawn(page: Page, place: str) -> None:
    """Wait until the page stands still."""
    if place in ("review", "classes"):
        page.wait_for_selector(".outfold[data-ready='true']")
    if place == "masks":
        page.wait_for_selector(EDITOR)
    page.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']")
    page.wait_for_selector("[data-testid='stMainBlockContainer']")


def violations(page: Page, place: str) -> list[str]:
    """Return what axe-core finds on a page, but for what WCAG excuses."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [_told(one, node) for one in found for node in one["nodes"] if not _is_excused(place, one["id"], node)]


def _is_excused(place: str, rule: str, node: dict[str, Any]) -> bool:
    """Whether WCAG excuses it: a cell of the class matrix is small, and *Given* and *Suggested* below do the same."""
    in_matrix = 'class="cell' in node["html"] or 'title="given ' in node["html"] or 'title="suggested ' in node["html"]
    return place == "review" and rule == "target-size" and in_matrix


def _told(violation: dict[str, Any], node: dict[str, Any]) -> str:
    return f"{violation['id']}: {node['html'][:160]} {node['failureSummary'][:160]}"
