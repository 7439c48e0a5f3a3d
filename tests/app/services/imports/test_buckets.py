"""Imports from a bucket: every format is read as from a folder, and what is fetched stays within its budget."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from app.services import images
from app.services.app_context import AppContext, open_app
from app.services.exports import jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.imports import buckets, jobs as imports, run as import_runs
from app.services.imports.buckets import find_bucket
from app.services.imports.jobs import ImportRequest
from app.settings import Settings
from core.data.buckets import prune_originals
from core.data.export.items import ExportOptions, Link
from core.data.formats.source import SourceFormat
from core.data.images import load_image
from core.data.remote import Remote
from core.types import DatasetError, JobStatus, Severity
from db.queries import snapshots
from db.queries.imports import ImportInfo
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.every_format import MAKERS
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
    request = ImportRequest(source=source, **{"name": "photos", **more})
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


def test_a_second_import_reads_the_changed_objects(app_context: AppContext, bucket: ObjectStore) -> None:
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


def upload(folder: Path, url: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            Remote(url).put(path.relative_to(folder).as_posix(), path)


def stored(app_context: AppContext, name: str, root: str) -> dict[str, Any]:
    """Return all that an import of `root` stored as the dataset `name`, without its place."""
    with app_context.database.read() as session:
        found = session.execute(
            text("SELECT id, root, task, classes, colours FROM dataset WHERE name = :name"), {"name": name}
        )
        number, place, *dataset = found.one()
        samples = session.execute(
            text(
                'SELECT name, label, mask_hash, split, "group", content_hash, width, height, bytes, grey, look_hash, '
                "annotators_differ FROM sample WHERE dataset_id = :number ORDER BY id"
            ),
            {"number": number},
        ).all()
        (last,) = session.scalars(text("SELECT id FROM import WHERE dataset_id = :number"), {"number": number})
    info = imports.get_import(app_context, last)
    assert place.startswith(root)
    problems = [replace(one, message=one.message.replace(root, "")) for one in imports.problems(app_context, last)]
    return {
        "dataset": dataset,
        "samples": samples,
        "report": {name: value for name, value in (info.report or {}).items() if name != "seconds"},
        "problems": problems,
    }


@pytest.mark.parametrize("chosen", SourceFormat)
def test_every_format_is_read_from_a_bucket_as_from_a_folder(
    app_context: AppContext, bucket: ObjectStore, tmp_path: Path, chosen: SourceFormat
) -> None:
    folder = tmp_path / "source"
    MAKERS[chosen](folder)
    upload(folder, bucket.url)
    places = {"disk": str(folder), "bucket": bucket.url}
    seen = [imports.preview(app_context, ImportRequest(name=name, source=place)) for name, place in places.items()]
    assert seen[1].format is chosen
    assert imports.recognise(app_context, Path(bucket.url)) is chosen
    assert [(cover.name, cover.image, cover.mask) for cover in seen[1].covers] == [
        (cover.name, cover.image, cover.mask) for cover in seen[0].covers
    ]
    assert (seen[1].class_counts, seen[1].split_counts, seen[1].table, seen[1].shares, seen[1].meaning) == (
        seen[0].class_counts,
        seen[0].split_counts,
        seen[0].table,
        seen[0].shares,
        seen[0].meaning,
    )
    for name, place in places.items():
        done = run(app_context, place, name=name)
        assert done.status is JobStatus.DONE, done.message
    listed = find_bucket(app_context, bucket.url)
    assert listed is not None
    wanted = stored(app_context, "disk", str(folder))
    assert wanted["samples"]
    assert stored(app_context, "bucket", str(listed.folder)) == wanted


def test_a_table_is_imported_by_url_with_images_in_another_folder_of_the_bucket(
    app_context: AppContext, bucket: ObjectStore, tmp_path: Path
) -> None:
    draw_all(tmp_path / "images", ["1.png", "2.png"])
    upload(tmp_path / "images", f"{bucket.url}/images")
    rows = f"path,label\n{bucket.url}/images/1.png,cat\n{bucket.url}/images/2.png,dog\n"
    Remote(bucket.url).write("tables/labels.csv", rows.encode())
    done = run(app_context, f"{bucket.url}/tables/labels.csv", image_root=f"{bucket.url}/images")
    assert done.status is JobStatus.DONE, done.message
    assert done.dataset_id is not None
    Remote(bucket.url).write("tables/labels.csv", rows.replace("dog", "cat").encode())
    again = run(app_context, f"{bucket.url}/tables/labels.csv")  # the folder of the images is remembered
    assert again.status is JobStatus.FAILED
    assert "dog" in again.message
    with app_context.database.read() as session:
        samples = snapshots.samples_of(session, done.dataset_id)
    assert [(one.name, one.label) for one in samples] == [("1.png", 0), ("2.png", 1)]


def test_local_labels_can_refer_to_images_and_classes_in_a_bucket(
    app_context: AppContext, bucket: ObjectStore, tmp_path: Path
) -> None:
    draw_all(tmp_path / "images", ["1.png", "2.png"])
    upload(tmp_path / "images", f"{bucket.url}/images")
    (tmp_path / "labels.csv").write_text("path,label\nC:\\\\photos\\\\1.png,cat\n2.png,dog\n")
    done = run(app_context, str(tmp_path / "labels.csv"), image_root=f"{bucket.url}/images")
    assert done.status is JobStatus.DONE, done.message
    assert (done.report or {})["images"] == 2


def test_a_dataset_is_moved_into_a_bucket_with_its_decisions(
    app_context: AppContext, bucket: ObjectStore, tmp_path: Path
) -> None:
    folder = draw_all(tmp_path / "pets", ["cat/1.png", "dog/2.png"])
    first = run(app_context, str(folder))
    assert first.dataset_id is not None
    upload(folder, bucket.url)
    request = imports.move_request(app_context, first.dataset_id, Path(bucket.url))
    moved = imports.run_import(app_context, imports.add_import(app_context, request))
    assert moved.status is JobStatus.DONE, moved.message
    with app_context.database.read() as session:
        samples = snapshots.samples_of(session, first.dataset_id)
    assert [(one.id, one.name) for one in samples] == [(1, "cat/1.png"), (2, "dog/2.png")]
    assert all("/files/buckets/s3/" in one.path for one in samples)


def test_label_files_too_large_for_the_disk_are_refused_with_the_largest_named(
    tmp_path: Path, bucket: ObjectStore
) -> None:
    chosen = Settings(home=tmp_path / "home", demo=False, embedded_worker=False, cache_gigabytes=0.000001)
    opened = open_app(chosen)
    fill(bucket.url)
    Remote(bucket.url).write("labels.csv", b"path,label\n" + b"#" * 1000)
    with pytest.raises(DatasetError, match=r"1\.0 kB together, 1\.0 kB may be fetched; the largest is labels\.csv"):
        imports.preview(opened, ImportRequest(name="photos", source=bucket.url))
    opened.database.close()


def test_fetching_labels_is_reported_and_can_be_cancelled(
    app_context: AppContext, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bucket.url)
    for number in range(40):
        Remote(bucket.url).write(f"labels/{number}.txt", b"1")
    monkeypatch.setattr(import_runs, "_EVERY_SECONDS", 0.0)
    told: list[tuple[int, int, str]] = []
    queued = imports.add_import(app_context, ImportRequest(name="photos", source=bucket.url))

    def is_told() -> bool:
        return any(stage == "fetching labels" for _, _, stage in told)

    done = imports.run_import(app_context, queued, lambda *one: told.append(one), is_told)
    assert done.status is JobStatus.CANCELLED
    assert told[-1] == (1, 40, "fetching labels")


def test_an_archive_is_refused_on_a_page_with_its_cure(app_context: AppContext, bucket: ObjectStore) -> None:
    Remote(bucket.url).write("pets.zip", b"zip")
    with pytest.raises(DatasetError, match="is an archive; unpack it in the bucket"):
        imports.preview(app_context, ImportRequest(name="pets", source=f"{bucket.url}/pets.zip"))


def test_objects_changed_or_deleted_after_the_listing_are_named(
    app_context: AppContext, bucket: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bucket.url)
    Remote(bucket.url).write("labels.csv", b"path,label\na/0.png,cat\n")
    listing = buckets.list_bucket

    def then(act: Callable[[], None]) -> None:
        def listed(*arguments: Any) -> Path:
            found = listing(*arguments)
            act()
            return found

        monkeypatch.setattr(buckets, "list_bucket", listed)

    then(lambda: Remote(bucket.url).remove("labels.csv"))
    with pytest.raises(DatasetError, match=r"labels\.csv has gone since it was listed"):
        imports.preview(app_context, ImportRequest(name="photos", source=bucket.url))
    Remote(bucket.url).write("labels.csv", b"path,label\na/0.png,cat\n")
    then(lambda: Remote(bucket.url).write("labels.csv", b"path,label\n"))
    with pytest.raises(DatasetError, match=r"labels\.csv has changed since it was listed"):
        imports.preview(app_context, ImportRequest(name="photos", source=bucket.url))
    Remote(bucket.url).remove("labels.csv")
    then(lambda: None)
    queued = imports.add_import(app_context, ImportRequest(name="photos", source=bucket.url))
    then(lambda: Remote(bucket.url).remove("b/1.png"))
    done = imports.run_import(app_context, queued)
    assert done.status is JobStatus.DONE, done.message
    errors = imports.problems(app_context, done.id, severity=Severity.ERROR)
    assert [(one.kind, one.path) for one in errors] == [("missing file", "b/1.png")]


def test_changed_or_deleted_images_are_named_by_the_next_import(app_context: AppContext, bucket: ObjectStore) -> None:
    fill(bucket.url)
    first = run(app_context, bucket.url)
    assert first.dataset_id is not None
    Remote(bucket.url).write("a/0.png", picture(203))
    Remote(bucket.url).remove("b/1.png")
    again = imports.repeat_request(app_context, first.dataset_id)
    done = imports.run_import(app_context, imports.add_import(app_context, again))
    assert (done.report or {})["images"] == 5
    named = {one.kind: one.path for one in imports.problems(app_context, done.id)}
    assert (named["content changed"], named["vanished"]) == ("a/0.png", "b/1.png")


def test_an_export_refuses_links_to_copies(app_context: AppContext, bucket: ObjectStore, tmp_path: Path) -> None:
    fill(bucket.url)
    done = run(app_context, bucket.url)
    assert done.dataset_id is not None
    for link, status in ((Link.SYMLINK, JobStatus.FAILED), (Link.HARD_LINK, JobStatus.DONE)):
        options = ExportOptions(link=link)
        request = ExportRequest(dataset_id=done.dataset_id, folder=str(tmp_path / link), options=options)
        prune_originals(app_context.files / "buckets", 0, grace_seconds=-1)
        written = exports.run_export(app_context, exports.add_export(app_context, request).id)
        assert written.status is status, written.message
    assert {path.stat().st_size > 0 for path in (tmp_path / Link.HARD_LINK).rglob("*.png")} == {True}


def test_an_installation_with_allowed_folders_reads_no_bucket(tmp_path: Path, bucket: ObjectStore) -> None:
    fill(bucket.url)
    chosen = Settings(home=tmp_path / "home", demo=False, embedded_worker=False, allowed_roots=str(tmp_path))
    opened = open_app(chosen)
    with pytest.raises(DatasetError, match="a bucket is none"):
        run(opened, bucket.url)
    opened.database.close()
