"""The folder browser of the import form: by keys alone, at three widths, never outside the allowed roots."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.core.data.formats.drawn import draw_all
from tests.e2e.conftest import Server
from tests.e2e.test_accessible import RULES

JOB_MS, STEP_MS = 300_000, 60_000
WIDTHS = [(1440, 900), (1024, 768), (390, 844)]

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def served(tmp_path: Path, make_server: Callable[..., Server]) -> Server:
    """Return a server that may read one folder with two sets of images, and nothing beside it."""
    draw_all(tmp_path / "data" / "pets", [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(3)])
    draw_all(tmp_path / "data" / "birds", ["wren/1.png", "kite/1.png"])
    draw_all(tmp_path / "private", ["1.png"])
    return make_server(tmp_path / "home", OUTFOLD_ALLOWED_ROOTS=str(tmp_path / "data")).start()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_folder_is_chosen_by_keyboard_and_imported(
    page: Page, served: Server, tmp_path: Path, theme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.set_default_timeout(STEP_MS)
    page.goto(f"{served.url}/datasets")
    _press(page, "import_browse")
    _press(page, "import_folder_0")
    expect(page.get_by_role("button", name="pets · 6 images")).to_be_visible()
    expect(page.get_by_role("button", name="private")).to_have_count(0)
    for width, height in WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        expect(page.locator(".st-key-import_use button")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not Axe().run(page, options=RULES).response["violations"]
    page.set_viewport_size({"width": 1440, "height": 900})
    _press(page, "import_folder_1")
    expect(page.locator(".st-key-import_folders")).to_contain_text(str(tmp_path / "data" / "pets"))
    _press(page, "import_use")
    expect(page.locator(".st-key-import_source input")).to_have_value(str(tmp_path / "data" / "pets"))
    page.locator(".st-key-import_go button").click()
    expect(page.locator(".st-key-report_1")).to_contain_text("6", timeout=JOB_MS)


def _press(page: Page, key: str) -> None:
    """Press a button by the keyboard alone, once its page stands still."""
    button = page.locator(f".st-key-{key} button")
    button.focus()
    button.press("Enter")
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
