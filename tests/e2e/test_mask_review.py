"""Reviewing regions of masks in a real browser: cards, keys, overlay, zoom, the way to the editor and back."""

import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route, expect
from sqlalchemy import select

from app.services.app_context import AppContext
from app.services.masks.current import EditContext, read_mask, save_edit, view_mask
from app.services.reviews import ActKey
from core.types import Status
from db.models import FindingRow
from tests.e2e.conftest import Server, serve, sign_in, watch
from tests.e2e.review_home import PATIENCE_MS, READY, Review
from tools.fixtures.scenes import CAR, TABLE, TREE, add_round, add_scenes, prepare

pytestmark = pytest.mark.browser

SCENES, FINDINGS = 6, 12  # each scene has a car that is called road and a piece of sky called house


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, AppContext]]:
    folder = tmp_path_factory.mktemp("masks")
    prepare(folder / "home", folder / "scenes", SCENES)
    with serve(folder / "home") as opened:
        yield opened


@pytest.fixture
def make_review(
    served: tuple[Server, AppContext],
    page: Page,
    context: BrowserContext,
    tmp_path: Path,
) -> Iterator[Callable[[], Review]]:
    server, app_context = served
    troubles: list[str] = []
    watch(page, troubles)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE_MS)

    def make() -> Review:
        sign_in(context, server.url)
        dataset_id = add_scenes(app_context, tmp_path / "scenes", SCENES, name=tmp_path.name)
        return Review(page, app_context, server.url, add_round(app_context, dataset_id))

    yield make
    assert not troubles


@pytest.fixture
def review(make_review: Callable[[], Review]) -> Review:
    opened = make_review()
    opened.open()
    return opened


def found(review: Review) -> list[FindingRow]:
    """Return the findings, most suspicious first."""
    with review.app_context.database.read() as session:
        query = select(FindingRow).where(FindingRow.round_id == review.round_id).order_by(FindingRow.rank)
        return list(session.scalars(query))


def shown(review: Review) -> list[int]:
    return [
        int(one or 0) for one in review.page.locator(".card[data-id]").evaluate_all("all => all.map(c => c.dataset.id)")
    ]


def test_a_region_is_a_card_with_its_crop_under_an_overlay_and_its_classes_in_their_colours(review: Review) -> None:
    cards = review.page.locator(".card[data-id]")
    expect(cards).to_have_count(FINDINGS)
    first = cards.first
    expect(first.locator(".pair-line")).to_have_text("road→car")
    colours = first.locator(".sw").evaluate_all("all => all.map(one => one.style.getPropertyValue('--class'))")
    assert colours == [TABLE.colours[1], TABLE.colours[CAR]]
    for layer in ("img:not(.layer)", "img.contour"):
        expect(first.locator(layer)).to_have_js_property("complete", value=True)
        assert first.locator(layer).evaluate("one => one.naturalWidth") > 0
    expect(first.locator("img.fill")).to_be_hidden()
    expect(review.page.locator(".done")).to_contain_text("of 12 regions decided")
    expect(review.page.locator(".note")).to_have_text("9 boundary differences not shown")


def test_a_key_accepts_only_this_region_and_undo_reverts_it(review: Review) -> None:
    first = found(review)[0]
    before = view_mask(review.app_context, first.sample_id, review.round_id).version
    review.press("a", "k")
    review.saved()
    expect(review.page.locator(".mix")).to_have_text("accept 1 · keep 1")
    for width in (1440, 1280, 1024):
        review.page.set_viewport_size({"width": width, "height": 900})
        assert review.page.locator(".noted > *").evaluate_all(
            "all => all.every(it => it.scrollWidth <= it.clientWidth)"
        ), width
    assert [(one, status) for one, status, _ in review.stored()] == [
        (first.id, Status.ACCEPT),
        (found(review)[1].id, Status.KEEP),
    ]
    assert view_mask(review.app_context, first.sample_id, review.round_id).version != before
    review.press("u", "u")
    review.saved()
    assert not review.stored()
    assert view_mask(review.app_context, first.sample_id, review.round_id).version == before


def test_a_digit_is_the_class_beside_it_in_the_legend(review: Review) -> None:
    row = review.page.locator(".class", has_text="tree")
    review.press(row.locator("kbd").inner_text())
    expect(review.page.locator(".card .badge:visible").first).to_contain_text("tree")
    review.saved()
    assert review.stored() == [(found(review)[0].id, Status.RELABEL, TREE)]


def test_a_click_in_the_legend_filters_by_class_and_its_counts_are_live(review: Review) -> None:
    car = review.page.locator(".class", has_text="car")
    expect(car.locator("em")).to_have_text(str(SCENES))
    review.press("a")
    expect(car.locator("em")).to_have_text(str(SCENES - 1))
    review.saved()
    car.click()
    review.page.wait_for_selector(READY)
    expect(review.page).to_have_url(re.compile(f"pseudo={CAR}"))
    expect(review.page.locator(".card[data-id]")).to_have_count(SCENES - 1)
    review.page.locator(".side", has_text="given").click()
    review.page.wait_for_selector(READY)
    expect(review.page.locator(".empty-state")).to_be_visible()
    review.page.locator(".class", has_text="house").click()
    expect(review.page.locator(".card .pair-line").first).to_contain_text("house")


def test_small_regions_are_left_out(review: Review) -> None:
    least = review.page.get_by_label("Smallest area shown")
    least.focus()
    for _ in range(4):
        review.press("ArrowRight")
    review.page.wait_for_selector(READY)
    expect(review.page).to_have_url(re.compile("min_area=400"))
    large = [one.id for one in found(review) if (one.area or 0) >= 400]
    assert 0 < len(large) < FINDINGS
    expect(review.page.locator(".card[data-id]")).to_have_count(len(large))
    assert shown(review) == large


def test_sliders_have_the_values_of_the_address_before_the_counts_arrive(make_review: Callable[[], Review]) -> None:
    review = make_review()
    waiting: list[Route] = []
    review.page.route("**/outfold/counts?*", lambda route: waiting.append(route))  # noqa: PLW0108 Playwright marks it
    review.open("&min_area=100")
    expect(review.page.get_by_label("Smallest area shown")).to_have_value("2")
    expect(review.page.get_by_label("Accept all suggestions above this confidence")).to_have_value("95")
    for route in waiting:
        route.continue_()


def test_keys_change_how_regions_are_marked(review: Review) -> None:
    page, card = review.page, review.page.locator(".card[data-id]").first
    review.press("o")
    expect(card.locator("img.fill")).to_be_visible()
    before = float(card.locator("img.fill").evaluate("one => getComputedStyle(one).opacity"))
    review.press("]", "]")
    assert float(card.locator("img.fill").evaluate("one => getComputedStyle(one).opacity")) == pytest.approx(
        before + 0.2
    )
    page.keyboard.down("v")
    expect(card.locator("img.contour")).to_be_hidden()
    page.keyboard.up("v")
    expect(card.locator("img.contour")).to_be_visible()
    review.press("o")
    expect(card.locator("img.contour")).to_be_hidden()
    page.reload()
    page.wait_for_selector(READY)
    expect(card.locator("img.contour")).to_be_hidden()


def test_the_details_show_the_whole_image_under_both_masks(review: Review) -> None:
    side = review.page.locator("aside.right")
    expect(side.locator(".whole .caption")).to_have_text(["given", "suggested"])
    expect(side.locator(".path")).to_have_text(re.compile(r"scene_000\.png · region 1 of 2 · \d+ px"))
    expect(side.locator(".promise")).to_contain_text("Accept paints this region only.")
    for tint in side.locator("img.tint").all():
        expect(tint).to_have_js_property("complete", value=True)
        assert tint.evaluate("one => one.naturalWidth") == 160
    review.press("t", "t", "t")
    expect(side.locator(".whole .caption")).to_have_text(["difference"])


def test_zoom_shows_every_region_of_the_image_and_steps_through_them(review: Review) -> None:
    rows = found(review)
    mine = [one for one in rows if one.sample_id == rows[0].sample_id]
    review.press("z")
    zoom = review.page.locator("dialog.zoom")
    expect(zoom.locator(".outlines g")).to_have_count(len(mine))
    expect(zoom.locator(".outlines g.here")).to_have_attribute("data-id", str(mine[0].id))
    review.press("ArrowRight")
    expect(zoom.locator(".outlines g.here")).to_have_attribute("data-id", str(mine[1].id))
    expect(zoom.locator(".path")).to_contain_text("region 2 of 2")
    review.press("ArrowRight")
    expect(zoom.locator(".outlines g.here")).to_have_attribute("data-id", str(mine[0].id))
    review.press("ArrowRight", "ArrowDown")
    expect(zoom.locator(".outlines g.here")).to_have_attribute("data-id", str(rows[1].id))
    review.press("Escape", "z")
    expect(zoom.locator(".outlines g")).to_have_count(2)


def test_a_zoom_opened_while_the_former_one_closes_stays_complete(review: Review) -> None:
    mine = [one for one in found(review) if one.sample_id == found(review)[0].sample_id]
    review.press("z")
    zoom = review.page.locator("dialog.zoom")
    expect(zoom.locator(".outlines g")).to_have_count(len(mine))
    press = "dispatchEvent(new KeyboardEvent('keydown', { key: 'z', code: 'KeyZ', bubbles: true }))"
    zoom.evaluate(f"(dialog) => {{ dialog.close(); {press}; }}")
    expect(zoom.locator(".outlines g.here")).to_have_attribute("data-id", str(mine[0].id))
    review.press("ArrowRight")
    expect(zoom.locator(".outlines g.here")).to_have_attribute("data-id", str(mine[1].id))


def test_a_verdict_in_zoom_moves_to_the_next_region_then_to_the_next_card(review: Review) -> None:
    rows = found(review)
    mine = [one.id for one in rows if one.sample_id == rows[0].sample_id]
    review.press("z")
    zoom = review.page.locator("dialog.zoom")
    expect(zoom.locator(".outlines g")).to_have_count(len(mine))
    review.press("a")
    expect(zoom.locator(".outlines g.here")).to_have_attribute("data-id", str(mine[1]))
    expect(zoom.locator(f".outlines g[data-id='{mine[0]}']")).to_have_class("ok")
    review.press("x")
    expect(zoom.locator(".outlines g.here")).to_have_attribute("data-id", str(rows[1].id))
    review.saved()
    assert {one: status for one, status, _ in review.stored()} == {mine[0]: Status.ACCEPT, mine[1]: Status.EXCLUDE}


def test_the_editor_opens_on_this_region_and_back_returns_to_the_same_card(review: Review) -> None:
    rows = found(review)
    review.press("a", "ArrowRight", "ArrowRight")
    left = review.focused()
    sample = next(one.sample_id for one in rows if one.id == left)
    review.press("e")
    review.page.wait_for_url(re.compile(rf"/masks\?round={review.round_id}&sample={sample}&finding={left}"))
    assert review.statuses() == [Status.ACCEPT], "nothing is left behind unsaved"
    review.page.go_back()
    review.page.wait_for_selector(READY)
    assert review.focused() == left


def test_an_edited_mask_counts_as_a_verdict(review: Review) -> None:
    first, second = found(review)[:2]
    review.press("e")
    review.page.wait_for_url(re.compile("/masks"))
    version, mask = read_mask(review.app_context, first.sample_id)
    mask = mask.copy()
    box = slice(first.y, (first.y or 0) + (first.height or 0)), slice(first.x, (first.x or 0) + (first.width or 0))
    mask[box] = TREE
    packed = zlib.compress(mask.tobytes())
    save_edit(
        review.app_context, first.sample_id, EditContext(finding_id=first.id), packed, base=version, by="Ann Kim",
        key=ActKey("an editor", 1),
    )  # fmt: skip
    review.page.go_back()
    review.page.wait_for_selector(READY)
    assert review.focused() == second.id, "the edited region no longer waits"
    review.open("&status=decided")
    expect(review.page.locator(".card .badge")).to_have_text("✎ edited")
    review.press("u")
    expect(review.page.locator(".toast")).to_contain_text("Undone")
    review.saved()
    assert not review.stored()


def test_accept_all_shows_the_regions_it_would_paint(review: Review) -> None:
    review.page.get_by_role("button", name="Preview and accept").click()
    crops = review.page.locator(".accept-dialog .rnd img.contour")
    expect(crops.first).to_be_visible()
    button = review.page.locator(".accept-dialog .primary")
    expect(button).to_have_text(re.compile(r"Accept \d+"))
    count = int(re.sub(r"\D", "", button.inner_text()))
    assert crops.count() == count
    button.click()
    expect(review.page.locator(".toast")).to_contain_text(f"accepted {count}")
    assert review.statuses() == [Status.BULK] * count


def test_the_page_of_regions_is_accessible(review: Review) -> None:
    expect(review.page.locator("aside.right .path")).to_contain_text("region 1 of")
    for key in ("", "z"):
        if key:
            review.press(key)
            expect(review.page.locator("dialog.zoom .outlines g.here")).to_have_count(1)
        violations = Axe().run(review.page, "[data-testid=stBidiComponentIsolated]")
        assert violations.violations_count == 0, violations.generate_report()
