"""Datasets whose images lie in Parquet: looked at without unpacking all, imported again without a change."""

from pathlib import Path
from typing import Any

from app.services import datasets, imports
from app.services.imports import ImportInfo, ImportRequest
from app.services.workspace import Workspace
from core.types import RoundStatus
from tests.core.data.formats.embedded_tables import cell, class_label, write

FEATURES: dict[str, Any] = {"image": {"_type": "Image"}, "label": class_label()}


def table(path: Path, seeds: list[int]) -> Path:
    images = [cell(seed, f"{seed}.png") for seed in seeds]
    return write(path, {"image": images, "label": [seed % 2 for seed in seeds]}, FEATURES)


def run(workspace: Workspace, source: Path) -> ImportInfo:
    done = imports.run_import(
        workspace, imports.start_import(workspace, ImportRequest(name="pets", source=str(source)))
    )
    assert done.status is RoundStatus.DONE, done.message
    return done


def changes_of(done: ImportInfo) -> dict[str, int]:
    assert done.report is not None
    return {kind: count for kind, count in done.report["changes"].items() if count}


def unpacked(workspace: Workspace) -> list[Path]:
    return [path for path in (workspace.files / "unpacked").rglob("*") if path.is_file()]


def test_importing_again_brings_only_what_is_new_wherever_the_table_lies(workspace: Workspace, tmp_path: Path) -> None:
    source = table(tmp_path / "train-00000-of-00001.parquet", list(range(6)))
    first = run(workspace, source)
    assert first.report is not None
    assert first.report["classes"] == {"cat": 3, "dog": 3, "bird": 0}
    assert first.report["splits"] == {"train": 6}
    assert changes_of(run(workspace, source)) == {"unchanged": 6}
    table(source, [9, *range(6)])
    assert changes_of(run(workspace, source)) == {"unchanged": 6, "added": 1}
    elsewhere = source.rename(tmp_path / "train-00000-of-00007.parquet")
    dataset = datasets.find_dataset(workspace, "pets")
    assert dataset is not None
    request = imports.request_move(workspace, dataset.id, elsewhere)
    done = imports.run_import(workspace, imports.start_import(workspace, request))
    assert changes_of(done) == {"unchanged": 7}
    assert len(unpacked(workspace)) == 7


def test_a_preview_unpacks_the_images_it_shows(workspace: Workspace, tmp_path: Path) -> None:
    source = table(tmp_path / "t.parquet", list(range(50)))
    seen = imports.preview(workspace, ImportRequest(name="pets", source=str(source)))
    assert seen.class_counts == {"cat": 25, "dog": 25, "bird": 0}
    assert len(seen.covers) == 12
    assert all(cover.image for cover in seen.covers)
    assert len(unpacked(workspace)) == 12
