"""Imports from a bucket: class folders are read in place, other labels and closed installations are refused."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.services import images
from app.services.app_context import AppContext, open_app
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.settings import Settings
from core.data.buckets import prune_originals
from core.data.formats.source import SourceFormat
from core.data.images import load_image
from core.data.remote import Remote
from core.types import DatasetError, JobStatus
from db.queries import snapshots
from db.queries.imports import ImportInfo
from tools.fixtures.object_store import ObjectStore

pytest_plugins = ["tests.object_store"]


@pytest.fixture
def app_context(tmp_path: Path) -> Iterator[AppContext]:
    opened = open_app(Settings(home=tmp_path / "home", demo=False, embedded_worker=False))
    yield opened
    opened.database.close()


def picture(value: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(data, "PNG")
    return data.getvalue()


def fill(url: str) -> None:
    for number in range(6):
        Remote(url).write(f"{'ab'[number % 2]}/{number}.png", picture(20 * number))


def run(app_context: AppContext, source: str, **more: Any) -> ImportInfo:
    request = ImportRequest(name="photos", source=source, **more)
    return imports.run_import(app_context, imports.add_import(app_context, request))


def test_class_folders_of_a_bucket_are_imported_and_their_images_read_in_place(
    app_context: AppContext, bucket: ObjectStore
) -> None:
    fill(bucket.url)
    seen = imports.preview(app_context, ImportRequest(name="photos", source=bucket.url))
    assert seen.images == 6
    done = run(app_context, bucket.url)
    assert done.status is JobStatus.DONE, done.message
    assert done.dataset_id is not None
    with app_context.database.read() as session:
        samples = snapshots.samples_of(session, done.dataset_id)
    assert [(one.name, one.label) for one in samples] == [(f"{'ab'[n % 2]}/{n}.png", n % 2) for n in (0, 2, 4, 1, 3, 5)]
    prune_originals(app_context.files / "buckets", 0, grace_seconds=-1)
    for one in samples:
        assert Path(one.path).stat().st_size == 0
        assert load_image(Path(one.path), grey=True)[0, 0] == 20 * int(Path(one.name).stem)
        assert images.thumbnail(app_context, one.content_hash, 64) is not None


def test_a_second_import_takes_what_changed(app_context: AppContext, bucket: ObjectStore) -> None:
    fill(bucket.url)
    first = run(app_context, bucket.url)
    assert first.dataset_id is not None
    Remote(bucket.url).write("a/6.png", picture(201))
    Remote(bucket.url).write("a/0.png", picture(202))
    again = imports.repeat_request(app_context, first.dataset_id)
    done = imports.run_import(app_context, imports.add_import(app_context, again))
    assert done.status is JobStatus.DONE, done.message
    with app_context.database.read() as session:
        samples = snapshots.samples_of(session, first.dataset_id)
    assert len(samples) == 7
    changed = next(one for one in samples if one.name == "a/0.png")
    assert load_image(Path(changed.path), grey=True)[0, 0] == 202


def test_labels_in_files_of_a_bucket_are_refused_with_the_cure(app_context: AppContext, bucket: ObjectStore) -> None:
    fill(bucket.url)
    Remote(bucket.url).write("labels.csv", b"path,label\na/0.png,cat\n")
    request = ImportRequest(name="photos", source=bucket.url, format=SourceFormat.MANIFEST)
    with pytest.raises(DatasetError, match=r"class folders and images without labels.*mount the bucket"):
        imports.preview(app_context, request)
    done = run(app_context, bucket.url, format=SourceFormat.MANIFEST)
    assert done.status is JobStatus.FAILED
    assert "class folders and images without labels" in done.message


def test_an_installation_with_allowed_folders_reads_no_bucket(tmp_path: Path, bucket: ObjectStore) -> None:
    fill(bucket.url)
    chosen = Settings(home=tmp_path / "home", demo=False, embedded_worker=False, allowed_roots=str(tmp_path))
    opened = open_app(chosen)
    with pytest.raises(DatasetError, match="a bucket is none"):
        run(opened, bucket.url)
    opened.database.close()
