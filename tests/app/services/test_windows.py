"""Greys of 10 to 16 bits: found at import, kept with the dataset, the same in pictures and rounds, and changeable."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.services import datasets, images
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportInfo, ImportRequest
from app.services.rounds.snapshots import current_snapshot
from core.types import Cure, DatasetError, JobStatus
from db.queries import datasets as dataset_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    for number in range(8):
        path = tmp_path / "scans" / ("a" if number % 2 else "b") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 1_024, (40, 40)).astype(np.uint16)).save(path)
    return tmp_path / "scans"


def run(app_context: AppContext, request: ImportRequest) -> ImportInfo:
    done = imports.run_import(app_context, imports.add_import(app_context, request))
    assert done.status is JobStatus.DONE, done.message
    return done


def window(app_context: AppContext, name: str = "scans") -> str:
    info = datasets.find_dataset(app_context, name)
    assert info is not None
    return str(info.options["window"])


def test_preview_and_report_show_the_window_stored_with_the_dataset(app_context: AppContext, folder: Path) -> None:
    request = ImportRequest(name="scans", source=str(folder))
    seen = imports.preview(app_context, request)
    done = run(app_context, request)
    assert done.report is not None
    assert seen.window == done.report["window"] == window(app_context) == "0-1023"
    assert "greys of more than 8 bits" in {problem.kind for problem in seen.problems}
    assert f"{Cure.WINDOW} 0-1023" in imports.problems(app_context, done.id)[0].cure


def test_a_round_uses_the_window_of_its_dataset(app_context: AppContext, folder: Path) -> None:
    done = run(app_context, ImportRequest(name="scans", source=str(folder)))
    assert done.dataset_id is not None
    _, snapshot, _ = current_snapshot(app_context, done.dataset_id)
    assert snapshot.window == (0, 1_023)
    assert snapshot.seen_hashes[0] == f"{snapshot.content_hashes[0]}-0-1023"
    assert snapshot.hash != replace(snapshot, window=None).hash
    datasets.set_window(app_context, done.dataset_id, "0-511")
    assert current_snapshot(app_context, done.dataset_id)[1].window == (0, 511)


def test_a_chosen_window_is_used_and_kept_at_the_next_import(app_context: AppContext, folder: Path) -> None:
    request = ImportRequest(name="scans", source=str(folder))
    run(app_context, replace(request, window="100-900"))
    run(app_context, request)
    assert window(app_context) == "100-900"
    run(app_context, replace(request, window="full"))
    assert window(app_context) == "full"
    with pytest.raises(DatasetError, match="not a range of greys"):
        ImportRequest(name="scans", source=str(folder), window="900-100")


def test_a_dataset_of_a_former_release_keeps_the_full_range(app_context: AppContext, folder: Path) -> None:
    request = ImportRequest(name="scans", source=str(folder))
    done = run(app_context, request)
    assert done.dataset_id is not None
    with app_context.database.write() as session:
        info = dataset_rows.get_dataset(session, done.dataset_id)
        options = {name: value for name, value in info.options.items() if name != "window"}
        dataset_rows.change_dataset(session, done.dataset_id, {"options": options})
    assert current_snapshot(app_context, done.dataset_id)[1].window is None
    run(app_context, request)
    assert window(app_context) == "full"


def test_thumbnails_use_the_window_of_the_dataset(app_context: AppContext, folder: Path) -> None:
    done = run(app_context, ImportRequest(name="scans", source=str(folder)))
    assert done.dataset_id is not None
    content = current_snapshot(app_context, done.dataset_id)[1].content_hashes[0]
    assert images.window_in_use(app_context, content) == (0, 1_023)
    assert images.window_in_use(app_context, "0" * 32) is None
    light = images.thumbnail(app_context, content, 96, (0, 1_023))
    dark = images.thumbnail(app_context, content, 96)
    assert light != dark
    assert images.thumbnail(app_context, content, 96, (0, 1_023)) == light


def test_8_bit_images_have_no_window(app_context: AppContext, tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / "pets" / "cat" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), number * 9, np.uint8)).save(path)
    run(app_context, ImportRequest(name="pets", source=str(tmp_path / "pets")))
    assert window(app_context, "pets") == "full"
