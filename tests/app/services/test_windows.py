"""Greys of 10 to 16 bits: found at import, kept with the dataset, the same in pictures and rounds, and changeable."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.services import datasets, images, imports
from app.services.imports import ImportInfo, ImportRequest
from app.services.workspace import Workspace
from app.worker.opening import opening
from core.types import DatasetError, RoundStatus
from db.queries import datasets as dataset_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    for number in range(8):
        path = tmp_path / "scans" / ("a" if number % 2 else "b") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 1_024, (40, 40)).astype(np.uint16)).save(path)
    return tmp_path / "scans"


def run(workspace: Workspace, request: ImportRequest) -> ImportInfo:
    done = imports.run_import(workspace, imports.start_import(workspace, request))
    assert done.status is RoundStatus.DONE, done.message
    return done


def window(workspace: Workspace, name: str = "scans") -> str:
    info = datasets.find_dataset(workspace, name)
    assert info is not None
    return str(info.options["window"])


def test_the_preview_and_the_report_tell_the_window_that_the_dataset_keeps(workspace: Workspace, folder: Path) -> None:
    request = ImportRequest(name="scans", source=str(folder))
    seen = imports.preview(workspace, request)
    done = run(workspace, request)
    assert done.report is not None
    assert seen.window == done.report["window"] == window(workspace) == "0-1023"
    assert "greys of more than 8 bits" in {problem.kind for problem in seen.problems}
    assert "--window 0-1023" in imports.problems(workspace, done.id)[0].cure


def test_a_round_opens_with_the_window_of_its_dataset(workspace: Workspace, folder: Path) -> None:
    done = run(workspace, ImportRequest(name="scans", source=str(folder)))
    assert done.dataset_id is not None
    _, snapshot, _ = opening(workspace, done.dataset_id)
    assert snapshot.window == (0, 1_023)
    assert snapshot.seen_hashes[0] == f"{snapshot.content_hashes[0]}-0-1023"
    assert snapshot.hash != replace(snapshot, window=None).hash
    datasets.set_window(workspace, done.dataset_id, "0-511")
    assert opening(workspace, done.dataset_id)[1].window == (0, 511)


def test_a_range_that_people_give_counts_and_stays_at_the_next_import(workspace: Workspace, folder: Path) -> None:
    request = ImportRequest(name="scans", source=str(folder))
    run(workspace, replace(request, window="100-900"))
    run(workspace, request)
    assert window(workspace) == "100-900"
    run(workspace, replace(request, window="full"))
    assert window(workspace) == "full"
    with pytest.raises(DatasetError, match="no range of greys"):
        ImportRequest(name="scans", source=str(folder), window="900-100")


def test_a_dataset_that_was_imported_before_keeps_the_full_range(workspace: Workspace, folder: Path) -> None:
    request = ImportRequest(name="scans", source=str(folder))
    done = run(workspace, request)
    assert done.dataset_id is not None
    with workspace.database.write() as session:
        info = dataset_rows.get_dataset(session, done.dataset_id)
        options = {name: value for name, value in info.options.items() if name != "window"}
        dataset_rows.change_dataset(session, done.dataset_id, {"options": options})
    assert opening(workspace, done.dataset_id)[1].window is None
    run(workspace, request)
    assert window(workspace) == "full"


def test_thumbnails_are_drawn_through_the_window_of_the_dataset(workspace: Workspace, folder: Path) -> None:
    done = run(workspace, ImportRequest(name="scans", source=str(folder)))
    assert done.dataset_id is not None
    content = opening(workspace, done.dataset_id)[1].content_hashes[0]
    assert images.window_in_use(workspace, content) == (0, 1_023)
    assert images.window_in_use(workspace, "0" * 32) is None
    light = images.thumbnail(workspace, content, 96, (0, 1_023))
    dark = images.thumbnail(workspace, content, 96)
    assert light != dark
    assert images.thumbnail(workspace, content, 96, (0, 1_023)) == light


def test_images_of_eight_bits_have_no_window(workspace: Workspace, tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / "pets" / "cat" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), number * 9, np.uint8)).save(path)
    run(workspace, ImportRequest(name="pets", source=str(tmp_path / "pets")))
    assert window(workspace, "pets") == "full"
