"""The loop of masks as a person lives it: CamVid's folders, a round, a region accepted, a mask painted, VOC out."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from app.services.app_context import open_app
from app.services.masks import current as masks
from app.settings import Settings
from core.data.formats import camvid, voc
from core.data.formats.source import ReadOptions
from core.data.images import MaskError
from core.data.masks.camvid_maps import EXACT, MAPS
from core.data.masks.items import MaskItem
from core.data.masks.reading import read_masks
from core.data.masks.store import MaskStore
from core.types import ClassTable, IntArray
from db.models import SampleRow
from tests.e2e.conftest import Server
from tests.e2e.test_loop import DATASET, JOB_MS, READY, SAVED, STEP_MS, _fill
from tools.fixtures.scenes import draw

NAMES = ("Sky", "Road", "Building", "Tree", "Car")
DRIVES = ("0001TP", "0006R0", "0016E5", "Seq05VD")
WIDTH, HEIGHT, IMAGES = 128, 96, 32
WRONG = (3, 9, 14, 22)  # of these the given masks call the car road

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Return CamVid's folders with colour masks, four of them wrong."""
    root = tmp_path / "frames"
    items, pixels = [], []
    exact = MAPS[EXACT].table
    colours = dict(zip(exact.names, exact.colours, strict=True))
    for number in range(IMAGES):
        scene = draw(number, WIDTH, HEIGHT)
        image = root.parent / f"{DRIVES[number % 4]}_{number:05d}.png"
        Image.fromarray(scene.image).save(image)
        mask = scene.given if number in WRONG else scene.truth
        split = ("train", "train", "train", "test")[number // 8]
        items.append(MaskItem(image.name, split, image, WIDTH, HEIGHT, lambda mask=mask: mask))
        pixels.append(scene.image)
    table = ClassTable(NAMES, tuple(colours[name] for name in NAMES))
    files = camvid.place(items)
    for item, file, image in zip(items, files, pixels, strict=True):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / file)
        item.image.unlink()
    camvid.write(root, items, table, files)
    return root


@pytest.mark.timeout(900)
def test_masks_are_imported_judged_edited_and_exported_in_their_current_state(
    page: Page, make_server: Callable[..., Server], frames: Path, tmp_path: Path
) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.set_default_timeout(STEP_MS)
    server = make_server().start()
    before = {path: path.read_bytes() for path in frames.rglob("*.png")}

    page.goto(f"{server.url}/datasets")
    _fill(page, "import_source", str(frames))
    page.locator(".st-key-import_go button").click()
    expect(page.locator(".st-key-report_1")).to_contain_text(str(IMAGES), timeout=JOB_MS)

    page.goto(f"{server.url}/rounds?dataset={DATASET}")
    _fill(page, f"form_{DATASET}_folds", "2")
    _fill(page, f"form_{DATASET}_epochs", "25")
    page.locator(f".st-key-form_{DATASET}_start button").click()
    expect(page.get_by_text("Review round 1")).to_be_visible(timeout=JOB_MS)

    page.goto(f"{server.url}/review?dataset={DATASET}")
    page.wait_for_selector(READY)
    page.get_by_placeholder("Your name").fill("Ada Lovelace")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    given_and_suggested = re.findall("Sky|Road|Building|Tree|Car", page.locator(".card.focus").inner_text())
    assert given_and_suggested in (["Road", "Car"], ["Building", "Sky"])  # what is wrong with the wrong masks
    page.keyboard.press("a")
    page.wait_for_selector(SAVED)

    page.keyboard.press("e")
    page.wait_for_selector(".mask-editor[data-ready='true']")
    page.keyboard.press("p")
    sheet = page.locator(".sheet").bounding_box()
    assert sheet
    page.mouse.move(sheet["x"] + sheet["width"] * 0.2, sheet["y"] + sheet["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(sheet["x"] + sheet["width"] * 0.8, sheet["y"] + sheet["height"] * 0.8, steps=8)
    page.mouse.up()
    page.wait_for_selector(SAVED)
    painted = Path(page.locator(".image-name").inner_text()).stem

    target = tmp_path / "voc"
    page.goto(f"{server.url}/exports?dataset={DATASET}")
    page.get_by_text("Pascal VOC", exact=True).click()
    _fill(page, "form_folder", str(target))
    page.locator(".st-key-preview_start button").click()
    expect(page.locator(".st-key-newest").get_by_text(str(target))).to_be_visible(timeout=JOB_MS)

    given, stored = _masks_of(server.home)
    written = _written(target)
    assert written.keys() == stored.keys()
    for name, mask in stored.items():
        np.testing.assert_array_equal(written[name], mask)
    changed = {name: int((stored[name] != given[name]).sum()) for name in stored if (stored[name] != given[name]).any()}
    assert changed.pop(painted) > WIDTH  # a stroke across the image
    assert set(changed) <= {f"{DRIVES[number % 4]}_{number:05d}" for number in WRONG}
    assert before == {path: path.read_bytes() for path in frames.rglob("*.png")}


def _masks_of(home: Path) -> tuple[dict[str, IntArray], dict[str, IntArray]]:
    """Return every image's mask as given and as it stands now, by the image's name."""
    app_context = open_app(Settings(home=home))
    with app_context.database.read() as session:
        rows = {Path(row.name).stem: (row.id, row.mask_hash or "") for row in session.query(SampleRow)}
    store = MaskStore(app_context.masks)
    given = {name: store.get(mask_hash) for name, (_, mask_hash) in rows.items()}
    stored = {name: masks.read_mask(app_context, sample_id)[1] for name, (sample_id, _) in rows.items()}
    app_context.database.close()
    return given, stored


def _written(target: Path) -> dict[str, IntArray]:
    """Return the masks of a VOC folder as a stranger's reader finds them."""
    listing = voc.read(target, ReadOptions())
    samples = list(listing.samples)
    assert listing.table
    references = [(sample.mask or {}, WIDTH, HEIGHT) for sample in samples]
    found = read_masks(references, listing.table)
    return {
        Path(sample.name).stem: mask
        for sample, mask in zip(samples, found, strict=True)
        if not isinstance(mask, MaskError)
    }
