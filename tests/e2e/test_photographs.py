"""The first minutes with photographs: import a folder, press Start and nothing else, review."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from sklearn.datasets import load_sample_image
from sqlalchemy import select

from app.services.app_context import open_app
from app.settings import Settings
from db.models import FindingRow, SampleRow
from tests.e2e.conftest import Server

DATASET, EACH, SIDE = 1, 30, 200
JOB_MS = 300_000
READY = ".outfold[data-ready='true']"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def photographs(tmp_path: Path) -> tuple[Path, set[str]]:
    """Return a folder of windows of two photographs, and the names of the three that lie in the other class."""
    rng = np.random.default_rng(0)
    wrong: set[str] = set()
    for name, other, count_wrong in (("china", "flower", 2), ("flower", "china", 1)):
        photograph = Image.fromarray(load_sample_image(f"{name}.jpg"))
        for number in range(EACH):
            left = int(rng.integers(photograph.width - SIDE))
            top = int(rng.integers(photograph.height - SIDE))
            folder = tmp_path / "photographs" / (other if number < count_wrong else name)
            folder.mkdir(parents=True, exist_ok=True)
            photograph.crop((left, top, left + SIDE, top + SIDE)).save(folder / f"{name}_{number}.jpg", quality=90)
            if number < count_wrong:
                wrong.add(f"{name}_{number}")
    return tmp_path / "photographs", wrong


@pytest.mark.timeout(900)
def test_photographs_are_reviewed_with_only_the_start_button(
    page: Page, make_server: Callable[..., Server], photographs: tuple[Path, set[str]]
) -> None:
    folder, wrong = photographs
    server = make_server().start()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{server.url}/datasets")
    source = page.locator(".st-key-import_source input")
    source.fill(str(folder))
    source.press("Enter")
    expect(source).to_have_value(str(folder))
    page.locator(".st-key-import_go button").click()
    expect(page.locator(".st-key-report_1")).to_contain_text(str(2 * EACH), timeout=JOB_MS)

    page.goto(f"{server.url}/rounds?dataset={DATASET}")
    expect(page.get_by_text("tf_efficientnet_lite0 at 160 pixels")).to_be_visible()
    page.locator(f".st-key-form_{DATASET}_start button").click()
    expect(page.get_by_text("Review round 1")).to_be_visible(timeout=JOB_MS)

    page.goto(f"{server.url}/review?dataset={DATASET}")
    page.wait_for_selector(READY)
    page.get_by_placeholder("Your name").fill("Ada Lovelace")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("dialog")).to_be_hidden()  # the keys belong to it until the name is stored
    expect(page.locator(".card[data-id]").nth(len(wrong) - 1)).to_be_visible()
    assert _most_suspicious(server.home, len(wrong)) == wrong
    for _ in wrong:
        page.keyboard.press("a")
    expect(page.locator(".prog .done")).to_have_text(re.compile(rf"^\s*{len(wrong)} of"))


def _most_suspicious(home: Path, count: int) -> set[str]:
    """Return the images of the first findings of the first round, without their suffixes."""
    app_context = open_app(Settings(home=home))
    with app_context.database.read() as session:
        order = select(SampleRow.name).join(FindingRow, FindingRow.sample_id == SampleRow.id).order_by(FindingRow.rank)
        names = session.scalars(order.limit(count)).all()
    app_context.database.close()
    return {Path(name).stem for name in names}
