"""A folder of unlabelled images: imported, labels proposed by a round, accepted, and learnt by the next."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app.services.reviews import resolved_labels
from core.data.formats.imagefolder import read
from core.data.formats.source import ReadOptions
from core.data.snapshot import Snapshot
from core.types import NO_LABEL
from tests.app.services.reviewed import import_folder
from tests.e2e.conftest import Server, open_home

DATASET = 1
NEW = 60
JOB_MS, STEP_MS = 300_000, 60_000
READY = ".outfold[data-ready='true']"
SAVED = ".status[data-unsaved='0'][data-state='saved']"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def served(digits_folder: Path, tmp_path: Path, make_server: Callable[..., Server]) -> tuple[Server, Path]:
    """Return a server whose dataset are four fifths of the digits, and a folder of the others without their labels."""
    root = Path(shutil.copytree(digits_folder, tmp_path / "digits"))
    new = tmp_path / "new"
    new.mkdir()
    images = sorted(root.glob("*/*.png"))
    for place in np.random.default_rng(0).choice(len(images), NEW, replace=False):
        images[place].rename(new / f"{place}.png")
    opened = open_home(tmp_path / "home")
    import_folder(opened, root)
    opened.database.close()
    return make_server(tmp_path / "home").start(), new


@pytest.mark.timeout(900)
def test_an_unlabelled_folder_is_labelled_trained_on_and_exported(
    page: Page, served: tuple[Server, Path], tmp_path: Path
) -> None:
    server, new = served
    page.set_viewport_size({"width": 1440, "height": 900})
    page.set_default_timeout(STEP_MS)
    _add(page, server, new)
    _run_round(page, server, number=1)
    assert _labelled(server.home, 1) == 300 - NEW

    page.goto(f"{server.url}/review?dataset={DATASET}&show=unlabelled")
    page.wait_for_selector(READY)
    page.get_by_placeholder("Your name").fill("Ada Lovelace")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    for key in ("a", "a"):
        page.keyboard.press(key)
    page.wait_for_selector(SAVED)
    assert _accepted(server.home) == {False: 2}
    _accept_by_class(page)
    page.wait_for_selector(SAVED)
    said = _accepted(server.home)
    assert said[False] == 2
    assert said[True] > NEW // 4

    _run_round(page, server, number=2)
    assert _labelled(server.home, 2) == 300 - NEW + said.total()
    target = tmp_path / "clean"
    _export(page, server, target)
    opened = open_home(server.home)
    labels = resolved_labels(opened, DATASET)
    opened.database.close()
    wanted = Counter(str(one.label) for one in labels.values() if one.label is not None)
    assert wanted.total() == 300 - NEW + said.total()
    assert Counter(sample.label for sample in read(target, ReadOptions()).samples) == wanted
    assert len(list(new.glob("*.png"))) == NEW


def _add(page: Page, server: Server, folder: Path) -> None:
    page.goto(f"{server.url}/datasets")
    page.get_by_role("button", name="Import images").click()
    _fill(page, "import_source", str(folder))
    page.locator(".st-key-import_unlabelled label").click()
    expect(page.locator(".st-key-import_go")).to_have_count(0)  # no dataset is chosen yet
    page.locator(".st-key-import_into input").click()
    page.get_by_role("option").first.click()
    page.locator(".st-key-import_go button").click()
    expect(page.locator(".st-key-report_2")).to_contain_text(f"{NEW}", timeout=JOB_MS)


def _run_round(page: Page, server: Server, number: int) -> None:
    page.goto(f"{server.url}/rounds?dataset={DATASET}")
    for name, value in (("folds", "2"), ("epochs", "30")):
        _fill(page, f"form_{DATASET}_{name}", value)
    page.locator(f".st-key-form_{DATASET}_start button").click()
    expect(page.get_by_text(f"Review round {number}")).to_be_visible(timeout=JOB_MS)


def _accept_by_class(page: Page) -> None:
    page.get_by_role("button", name="Preview and accept").click()
    dialog = page.get_by_role("dialog", name="Accept all above a threshold")
    dialog.get_by_role("button", name="By class").click()
    expect(dialog.get_by_role("heading", level=1)).to_contain_text("above each class's own threshold")
    expect(dialog.locator(".own-thresholds tr")).to_have_count(10)
    button = dialog.get_by_role("button", name="Accept", exact=False).last
    expect(button).to_be_enabled()
    button.click()
    expect(dialog).to_be_hidden()


def _export(page: Page, server: Server, target: Path) -> None:
    page.goto(f"{server.url}/exports?dataset={DATASET}")
    _fill(page, "form_folder", str(target))
    page.locator(".st-key-preview_start button").click()
    expect(page.locator(".st-key-newest").get_by_text(str(target))).to_be_visible(timeout=JOB_MS)


def _fill(page: Page, key: str, text: str) -> None:
    field = page.locator(f".st-key-{key} input")
    field.fill(text)
    field.press("Enter")
    expect(field).to_have_value(text)


def _labelled(home: Path, number: int) -> int:
    """Return how many labels a round learnt from, having made sure that every sample was predicted as it must be."""
    folder = home / "files" / "rounds" / str(number)
    snapshot = Snapshot.load(folder)
    rows = [np.load(folder / f"fold_{fold}.npz")["rows"] for fold in range(2)]
    times = np.bincount(np.concatenate(rows), minlength=len(snapshot))
    unseen = snapshot.is_unseen()
    np.testing.assert_array_equal(times, np.where(unseen, 2, 1))
    np.testing.assert_array_equal(unseen, snapshot.labels == NO_LABEL)
    return int((~unseen).sum())


def _accepted(home: Path) -> Counter[bool]:
    """Count the decided labels, by people (False) and in bulk (True)."""
    opened = open_home(home)
    resolved = resolved_labels(opened, DATASET).values()
    opened.database.close()
    return Counter(one.decision.bulk for one in resolved if one.decision)
