"""Undo of imports: previewed, restorable for a week, and limited to known changes of the import."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from app.services import datasets, deletions, reviews
from app.services.app_context import AppContext
from app.services.imports import jobs as imports, undo as import_undo
from app.services.imports.jobs import ImportRequest
from app.services.reviews import Choice
from core.types import DatasetError, FindingFilter, Verdict
from db.models import ImportRow, SampleRow
from tests.app.pairs import draw_pair, mask_of
from tests.app.services.reviewed import add_round, import_folder
from tests.app.services.test_removals import again, consistent, images, pets
from tests.core.data.formats.drawn import draw

pytestmark = pytest.mark.usefixtures("kept")

LATER = datetime.now(UTC) + timedelta(days=8)


def labels(app_context: AppContext) -> dict[str, tuple[int | None, str]]:
    """Return the given label and the split of each image by its name."""
    with app_context.database.read() as session:
        rows = session.execute(select(SampleRow.name, SampleRow.label, SampleRow.split).order_by(SampleRow.name))
        return {name: (label, split) for name, label, split in rows}


def table(folder: Path, rows: dict[str, tuple[str, str]]) -> Path:
    """Write a table of images with their labels and splits."""
    for name in rows:
        if not (folder / name).exists():
            draw(folder / name)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        writer.writerows([name, *said] for name, said in rows.items())
    return folder / "labels.csv"


def run(app_context: AppContext, source: Path, **more: Any) -> imports.ImportInfo:
    request = ImportRequest.from_json({"name": "pets", "source": str(source), **more})
    return imports.run_import(app_context, imports.add_import(app_context, request))


def test_undoing_an_import_removes_its_images_and_their_decisions_and_redo_restores_them(
    app_context: AppContext, tmp_path: Path
) -> None:
    folder = pets(tmp_path / "pets")
    import_folder(app_context, folder, "pets")
    before, old = labels(app_context), images(app_context)
    pets(folder, count=4, first=50)
    done = again(app_context)
    add_round(app_context, 1, wrong_every=1)
    added = sorted(images(app_context) - old)
    found = reviews.page(app_context, FindingFilter(round_id=1), limit=50).items
    judged = [one for one in found if one.sample_id in added][:2]
    for finding in judged:
        reviews.decide(app_context, [Choice(finding.id, Verdict.KEEP)], by="Ada")
    full = labels(app_context)

    effect = import_undo.preview_undo(app_context, done.id)
    assert effect.text == "4 images with their 2 verdicts go"
    assert effect.rounds == 1
    gone = import_undo.undo(app_context, done.id, "Ada")
    assert labels(app_context) == before
    assert datasets.list_datasets(app_context)[0].images == 6
    assert [info.id for info, _ in import_undo.list_imports(app_context, 1)] == [1]
    consistent(app_context)
    deletions.restore(app_context, gone.id)
    assert labels(app_context) == full
    assert datasets.list_datasets(app_context)[0].images == 10
    assert reviews.findings(app_context, [judged[0].id])[0].status.name == "KEEP"
    consistent(app_context)


def test_verdicts_on_images_with_a_restored_label_are_counted_and_kept(app_context: AppContext, tmp_path: Path) -> None:
    rows = {f"{number}.png": ("cat" if number % 2 else "dog", "train") for number in range(6)}
    run(app_context, table(tmp_path, rows | {"6.png": ("", "train")}))
    done = run(app_context, table(tmp_path, rows | {"6.png": ("cat", "train")}))
    add_round(app_context, 1, wrong_every=1)
    found = {one.name: one for one in reviews.page(app_context, FindingFilter(round_id=1), limit=50).items}
    for name in ("5.png", "6.png"):
        reviews.decide(app_context, [Choice(found[name].id, Verdict.KEEP)], by="Ada")
    effect = import_undo.preview_undo(app_context, done.id)
    assert effect.text == "1 label is as before; 1 verdict on images whose label or mask is put back stays"
    import_undo.undo(app_context, done.id, "Ada")
    assert reviews.findings(app_context, [found["6.png"].id])[0].status.name == "KEEP"
    consistent(app_context)


def test_labels_and_splits_written_by_an_import_are_restored(app_context: AppContext, tmp_path: Path) -> None:
    rows = {f"{number}.png": ("cat" if number % 2 else "dog", "train") for number in range(6)}
    run(app_context, table(tmp_path, rows | {"6.png": ("", "train")}))
    before = labels(app_context)
    done = run(app_context, table(tmp_path, rows | {"6.png": ("cat", "train"), "0.png": ("dog", "test")}))
    after = labels(app_context)
    assert (before["6.png"], after["6.png"], after["0.png"]) == ((None, "train"), (0, "train"), (1, "test"))
    assert import_undo.preview_undo(app_context, done.id).text == "1 label and 1 split are as before"
    gone = import_undo.undo(app_context, done.id, "Ada")
    assert labels(app_context) == before
    assert datasets.list_datasets(app_context)[0].class_counts[""] == 1
    deletions.restore(app_context, gone.id)
    assert labels(app_context) == after
    consistent(app_context)


def test_later_changes_are_kept(app_context: AppContext, tmp_path: Path) -> None:
    rows = {f"{number}.png": ("cat", "train") for number in range(4)}
    run(app_context, table(tmp_path, rows))
    second = run(app_context, table(tmp_path, rows | {"0.png": ("cat", "test")}))
    run(app_context, table(tmp_path, rows | {"0.png": ("cat", "val")}))
    import_undo.undo(app_context, second.id, "Ada")
    assert labels(app_context)["0.png"] == (0, "val")


def test_masks_and_tags_added_by_an_import_are_removed(app_context: AppContext, tmp_path: Path) -> None:
    for number in range(4):
        draw_pair(tmp_path, str(number), mask_of(0, 1) if number else None)
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar\n")
    run(app_context, tmp_path)
    with app_context.database.read() as session:
        before = dict(session.execute(select(SampleRow.name, SampleRow.mask_hash)).all())
    draw_pair(tmp_path, "0", mask_of(1, 2))
    done = run(app_context, tmp_path)
    assert "1 mask is as before" in import_undo.preview_undo(app_context, done.id).text
    import_undo.undo(app_context, done.id, "Ada")
    with app_context.database.read() as session:
        assert dict(session.execute(select(SampleRow.name, SampleRow.mask_hash)).all()) == before
    assert datasets.list_datasets(app_context)[0].masks == 3


def test_images_missed_by_an_import_are_restored_if_their_files_exist(app_context: AppContext, tmp_path: Path) -> None:
    folder = pets(tmp_path / "pets")
    import_folder(app_context, folder, "pets")
    names = sorted(path for path in folder.rglob("*.png"))
    names[0].rename(tmp_path / "away.png")
    names[1].unlink()
    done = again(app_context)
    assert len(images(app_context)) == 4
    assert import_undo.preview_undo(app_context, done.id).text == "2 missing images are as before"
    (tmp_path / "away.png").rename(names[0])
    import_undo.undo(app_context, done.id, "Ada")
    assert len(images(app_context)) == 5, "one is gone from the disk"


def test_images_of_an_undone_import_are_added_again_by_the_next_one(app_context: AppContext, tmp_path: Path) -> None:
    rows = {f"{number}.png": ("cat", "train") for number in range(3)}
    run(app_context, table(tmp_path, rows))
    wrong = run(app_context, table(tmp_path, rows | {"new.png": ("dog", "train")}))
    gone = import_undo.undo(app_context, wrong.id, "Ada")
    right = run(app_context, table(tmp_path, rows | {"new.png": ("cat", "train")}))
    assert right.report is not None
    assert right.report["changes"]["added"] == 1
    assert labels(app_context)["new.png"] == (0, "train")
    assert import_undo.preview_undo(app_context, right.id).held["images"] == 1
    deletions.restore(app_context, gone.id)
    assert labels(app_context)["new.png"] == (0, "train")
    consistent(app_context)


def test_an_impossible_undo_is_refused(app_context: AppContext, tmp_path: Path) -> None:
    folder = pets(tmp_path / "pets")
    import_folder(app_context, folder, "pets")
    assert "to undo it, delete the dataset" in import_undo.list_imports(app_context, 1)[0][1]
    with pytest.raises(DatasetError, match="delete the dataset"):
        import_undo.preview_undo(app_context, 1)
    with pytest.raises(DatasetError, match="delete the dataset"):
        import_undo.undo(app_context, 1, "Ada")
    done = again(app_context)
    with app_context.database.write() as session:
        session.execute(text(f"UPDATE import SET dataset_change = NULL WHERE id = {done.id}"))
    with pytest.raises(DatasetError, match="earlier release"):
        import_undo.undo(app_context, done.id, "Ada")


def test_an_undone_import_is_deleted_after_a_week(app_context: AppContext, tmp_path: Path) -> None:
    folder = pets(tmp_path / "pets")
    import_folder(app_context, folder, "pets")
    pets(folder, count=3, first=50)
    done = again(app_context)
    import_undo.undo(app_context, done.id, "Ada")
    assert deletions.purge(app_context, LATER) == 1
    assert deletions.restorable(app_context) == []
    with app_context.database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM sample")) == 6
        assert session.get(ImportRow, done.id) is None
    assert again(app_context).report["changes"]["added"] == 3  # type: ignore[index]
    consistent(app_context)


def test_the_source_of_a_dataset_is_restored(app_context: AppContext, tmp_path: Path) -> None:
    folder = pets(tmp_path / "pets")
    import_folder(app_context, folder, "pets")
    other = tmp_path / "moved"
    folder.rename(other)
    done = imports.run_import(app_context, imports.add_import(app_context, imports.move_request(app_context, 1, other)))
    assert datasets.get_dataset(app_context, 1).root == str(other)
    import_undo.undo(app_context, done.id, "Ada")
    assert datasets.get_dataset(app_context, 1).root == str(folder)
