"""The whole loop as a person lives it: import, round, verdicts, accept-all, undo, reload, kill, next round, export."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app.services.app_context import AppContext, open_app
from app.services.reviews import resolved_labels
from app.settings import Settings
from core.data.formats.imagefolder import read
from core.data.formats.source import ReadOptions
from tests.e2e.conftest import Server

DATASET = 1
FLIPPED = 24
JOB_MS, STEP_MS = 300_000, 60_000
READY = ".outfold[data-ready='true']"
SAVED = ".status[data-unsaved='0'][data-state='saved']"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def mislabelled(digits_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the digits in which 24 images lie in the next class's folder."""
    root = Path(shutil.copytree(digits_folder, tmp_path / "source"))
    images = sorted(root.glob("*/*.png"))
    for index in np.random.default_rng(0).choice(len(images), FLIPPED, replace=False):
        wrong = (int(images[index].parent.name) + 1) % 10
        images[index].rename(root / str(wrong) / f"moved_{index}.png")
    return root


@pytest.fixture
def desk(page: Page) -> Page:
    """Return a browser window of a usual size that waits as long as a busy machine needs."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.set_default_timeout(STEP_MS)
    return page


@pytest.mark.timeout(900)
def test_a_person_cleans_a_dataset_and_nothing_is_lost(
    desk: Page, make_server: Callable[..., Server], mislabelled: Path, tmp_path: Path
) -> None:
    server = make_server().start()
    before = {path: path.read_bytes() for path in mislabelled.glob("*/*.png")}

    _import(desk, server, mislabelled)
    _run_round(desk, server, number=1)

    _open_review(desk, server)
    desk.get_by_placeholder("Your name").fill("Ada Lovelace")
    desk.get_by_role("button", name="Begin").click()
    expect(desk.get_by_role("dialog")).to_be_hidden()
    for key in ("a", "a", "k"):
        desk.keyboard.press(key)
    desk.wait_for_selector(SAVED)
    said = _verdicts(server.home)
    assert said == {"accept": 2, "keep": 1}

    _accept_all(desk)
    desk.wait_for_selector(SAVED)
    assert _verdicts(server.home).total() > said.total()
    desk.keyboard.press("u")
    desk.wait_for_selector(SAVED)
    desk.reload()
    desk.wait_for_selector(READY)
    assert _verdicts(server.home) == said

    server.kill()
    desk.keyboard.press("x")  # judged while nobody listens
    expect(desk.locator(".status")).to_have_attribute("data-unsaved", "1")
    server.start()
    desk.wait_for_selector(SAVED)
    assert _verdicts(server.home) == {"accept": 2, "keep": 1, "exclude": 1}

    _run_round(desk, server, number=2)
    assert _verdicts(server.home) == {"accept": 2, "keep": 1, "exclude": 1}

    target = tmp_path / "clean"
    _export(desk, server, target)
    with _opened(server.home) as app_context:
        labels, classes = resolved_labels(app_context, DATASET), [str(name) for name in range(10)]
    wanted = Counter(classes[one.label] for one in labels.values() if one.label is not None)
    assert Counter(sample.label for sample in read(target, ReadOptions()).samples) == wanted
    assert before == {path: path.read_bytes() for path in mislabelled.glob("*/*.png")}


def _import(desk: Page, server: Server, source: Path) -> None:
    desk.goto(f"{server.url}/datasets")
    _fill(desk, "import_source", str(source))
    desk.locator(".st-key-import_go button").click()
    expect(desk.locator(".st-key-report_1")).to_contain_text("300", timeout=JOB_MS)


def _run_round(desk: Page, server: Server, number: int) -> None:
    desk.goto(f"{server.url}/rounds?dataset={DATASET}")
    _fill(desk, f"form_{DATASET}_folds", "2")
    desk.locator(f".st-key-form_{DATASET}_start button").click()
    expect(desk.get_by_text(f"Review round {number}")).to_be_visible(timeout=JOB_MS)


def _open_review(desk: Page, server: Server) -> None:
    desk.goto(f"{server.url}/review?dataset={DATASET}")
    desk.wait_for_selector(READY)


def _accept_all(desk: Page) -> None:
    desk.get_by_role("button", name="Preview and accept").click()
    dialog = desk.get_by_role("dialog", name="Accept all above a threshold")
    dialog.get_by_label("Threshold, typed").fill("0.5")
    desk.keyboard.press("Tab")
    expect(dialog.get_by_role("heading", level=1)).to_contain_text("above 0.50")
    expect(dialog.get_by_text("Precision unknown.")).to_be_visible()
    dialog.get_by_role("button", name="Accept", exact=False).last.click()
    expect(dialog).to_be_hidden()


def _export(desk: Page, server: Server, target: Path) -> None:
    desk.goto(f"{server.url}/exports?dataset={DATASET}")
    _fill(desk, "form_folder", str(target))
    desk.locator(".st-key-preview_start button").click()
    expect(desk.locator(".st-key-newest").get_by_text(str(target))).to_be_visible(timeout=JOB_MS)


def _fill(desk: Page, key: str, text: str) -> None:
    field = desk.locator(f".st-key-{key} input")
    field.fill(text)
    field.press("Enter")
    expect(field).to_have_value(text)


@contextmanager
def _opened(home: Path) -> Iterator[AppContext]:
    app_context = open_app(Settings(home=home))
    yield app_context
    app_context.database.close()


def _verdicts(home: Path) -> Counter[str]:
    """Count the decided samples by verdict, according to the pure rule."""
    with _opened(home) as app_context:
        resolved = resolved_labels(app_context, DATASET).values()
    return Counter(one.decision.verdict.value for one in resolved if one.decision)
