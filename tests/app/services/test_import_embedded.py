"""Datasets whose images lie in Parquet: looked at without unpacking all, imported again without a change."""

from pathlib import Path
from typing import Any

from app.services import datasets
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportInfo, ImportRequest
from core.types import JobStatus
from tests.core.data.formats.embedded_tables import cell, class_label, write

FEATURES: dict[str, Any] = {"image": {"_type": "Image"}, "label": class_label()}


def table(path: Path, seeds: list[int]) -> Path:
    images = [cell(seed, f"{seed}.png") for seed in seeds]
    return write(path, {"image": images, "label": [seed % 2 for seed in seeds]}, FEATURES)


def run(app_context: AppContext, source: Path) -> ImportInfo:
    done = imports.run_import(
        app_context, imports.add_import(app_context, ImportRequest(name="pets", source=str(source)))
    )
    assert done.status is JobStatus.DONE, done.message
    return done


def changes_of(done: ImportInfo) -> dict[str, int]:
    assert done.report is not None
    return {kind: count for kind, count in done.report["changes"].items() if count}


def unpacked(app_context: AppContext) -> list[Path]:
    return [path for path in (app_context.files / "unpacked").rglob("*") if path.is_file()]


def test_importing_again_adds_only_new_images_wherever_the_table_is(app_context: AppContext, tmp_path: Path) -> None:
    source = table(tmp_path / "train-00000-of-00001.parquet", list(range(6)))
    first = run(app_context, source)
    assert first.report is not None
    assert first.report["classes"] == {"cat": 3, "dog": 3, "bird": 0}
    assert first.report["splits"] == {"train": 6}
    assert changes_of(run(app_context, source)) == {"unchanged": 6}
    table(source, [9, *range(6)])
    assert changes_of(run(app_context, source)) == {"unchanged": 6, "added": 1}
    elsewhere = source.rename(tmp_path / "train-00000-of-00007.parquet")
    dataset = datasets.find_dataset(app_context, "pets")
    assert dataset is not None
    request = imports.move_request(app_context, dataset.id, elsewhere)
    done = imports.run_import(app_context, imports.add_import(app_context, request))
    assert changes_of(done) == {"unchanged": 7}
    assert len(unpacked(app_context)) == 7


def test_a_preview_unpacks_the_images_it_shows(app_context: AppContext, tmp_path: Path) -> None:
    source = table(tmp_path / "t.parquet", list(range(50)))
    seen = imports.preview(app_context, ImportRequest(name="pets", source=str(source)))
    assert seen.class_counts == {"cat": 25, "dog": 25, "bird": 0}
    assert len(seen.covers) == 12
    assert all(cover.image for cover in seen.covers)
    assert len(unpacked(app_context)) == 12
