"""Removal of images and undo of an import in the browser: told before, gone after a reload, back by one click."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from app.services.imports import jobs as imports
from tests.app.services.reviewed import import_folder
from tests.e2e.conftest import Server, open_home, serve, sign_in
from tests.e2e.review_home import add_round

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, digits_folder: Path) -> Iterator[Server]:
    """Serve 300 digits with a round; a second import has added ten copies of one of them."""
    base = tmp_path_factory.mktemp("removal")
    home, folder = base / "home", base / "digits"
    shutil.copytree(digits_folder, folder)
    opened = open_home(home)
    dataset_id = import_folder(opened, folder)
    add_round(opened, dataset_id)
    first = min(folder.rglob("*.png"))
    for number in range(10):
        shutil.copy(first, first.with_name(f"copy-{number}.png"))
    again = imports.repeat_request(opened, dataset_id)
    imports.run_import(opened, imports.add_import(opened, again))
    opened.database.close()
    with serve(home) as (server, _):
        yield server


def open_queue(page: Page, served: Server, query: str) -> None:
    page.goto(f"{served.url}/review?round=1{query}")
    page.wait_for_selector(".outfold[data-ready='true']")


def restore(page: Page, served: Server) -> None:
    page.goto(f"{served.url}/datasets")
    page.locator(".st-key-deleted summary").click()
    page.get_by_role("button", name="Restore").first.click()
    expect(page.locator(".stToast")).to_contain_text("is restored")


def images_of(page: Page, served: Server) -> Locator:
    page.goto(f"{served.url}/datasets")
    return page.locator(".of-card .of-sub").first


@pytest.mark.parametrize("width", [1440, 390])
def test_images_of_a_filter_are_removed_and_restored(served: Server, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    sign_in(page.context, served.url)
    query = "&given=3&show=any&status=any"
    open_queue(page, served, query)
    shown = page.locator(".done").inner_text()
    if width < 600:
        page.locator(".filters-button").click()
    button = page.get_by_role("button", name="Remove these images…")
    button.click()
    dialog = page.get_by_role("dialog", name="Remove images")
    expect(dialog).to_contain_text("given 3")
    expect(dialog.locator(".told")).to_contain_text("Remove 30 images")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)

    button.click()
    confirm = dialog.get_by_role("button", name="Remove 30 images")
    expect(confirm).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.locator(".toast")).to_contain_text("removed 30 images")
    expect(page.locator(".done")).to_contain_text("0 of 0")
    open_queue(page, served, query)
    expect(page.locator(".done")).to_contain_text("0 of 0")
    expect(images_of(page, served)).to_contain_text("280 images")
    page.goto(f"{served.url}/rounds?dataset=1")
    expect(page.get_by_text("suspicious or agreeing or unlabelled, given 3 (30 images)").first).to_be_visible()

    restore(page, served)
    expect(images_of(page, served)).to_contain_text("310 images")
    open_queue(page, served, query)
    expect(page.locator(".done")).to_have_text(shown)


@pytest.mark.parametrize("width", [1440, 390])
def test_an_import_is_undone_and_restored(served: Server, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    sign_in(page.context, served.url)
    page.goto(f"{served.url}/datasets?import=2")
    page.get_by_role("button", name="Undo this import…").click()
    dialog = page.get_by_role("dialog", name="Undo an import")
    expect(dialog).to_contain_text("10 images go")
    dialog.get_by_role("button", name="Undo the import").click()
    expect(page.locator(".stToast")).to_contain_text("The import is undone")
    page.reload()
    expect(page.locator(".of-card .of-sub").first).to_contain_text("300 images")
    page.goto(f"{served.url}/datasets?import=1")
    expect(page.get_by_text("to undo it, delete the dataset")).to_be_visible()
    restore(page, served)
    expect(images_of(page, served)).to_contain_text("310 images")


@pytest.mark.parametrize("width", [1440, 390])
def test_images_are_removed_by_class_and_by_image_check(served: Server, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    sign_in(page.context, served.url)
    page.goto(f"{served.url}/images?dataset=1")
    page.locator(".st-key-by_filter summary").click()
    page.get_by_label("Path contains").fill("copy-")
    page.get_by_label("Path contains").press("Enter")
    page.get_by_role("button", name="Remove…", exact=True).click()
    dialog = page.get_by_role("dialog", name="Remove images")
    expect(dialog).to_contain_text("Remove 10 images?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)

    check = page.get_by_role("button", name="Check images")
    tabs = page.get_by_role("tab", name="Near-duplicates")
    expect(check.or_(tabs)).to_be_visible()
    if check.is_visible():
        check.click()
    page.get_by_role("button", name="copies, keep the first of each…").click()
    dialog.get_by_role("button", name="Remove 10 images").click()
    expect(page.locator(".stToast")).to_contain_text("10 images are removed")
    expect(images_of(page, served)).to_contain_text("300 images")
    restore(page, served)
    expect(images_of(page, served)).to_contain_text("310 images")
