"""A folder of unlabelled images added to a dataset: neither import removes the other's images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from app.services import datasets
from app.services.app_context import AppContext
from app.services.exports import jobs, jobs as exports
from app.services.exports.jobs import ExportRequest
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportInfo, ImportRequest
from core.types import DatasetError, ExportError, JobStatus
from tests.app.pairs import draw_pair, draw_stripes
from tests.core.data.formats.drawn import draw


def run(app_context: AppContext, source: Path, **more: Any) -> ImportInfo:
    request = ImportRequest.from_json({"name": "pets", "source": str(source), **more})
    done = imports.run_import(app_context, imports.add_import(app_context, request))
    assert done.status is JobStatus.DONE, done.message
    return done


def again(app_context: AppContext) -> ImportInfo:
    return imports.run_import(app_context, imports.add_import(app_context, imports.repeat_request(app_context, 1)))


def add(app_context: AppContext, source: Path) -> ImportInfo:
    return run(app_context, source, unlabelled=True)


def pets(folder: Path) -> Path:
    for number in range(6):
        draw(folder / ("cats" if number % 2 else "dogs") / f"{number}.png")
    return folder


def new(folder: Path, count: int = 3) -> Path:
    for number in range(count):
        draw(folder / f"{number}.png")
    return folder


def samples(app_context: AppContext) -> dict[str, tuple[int | None, str, bool]]:
    """Return every sample's label, split and whether it vanished, by its name."""
    query = "SELECT name, label, split, vanished_at IS NOT NULL FROM sample ORDER BY name"
    with app_context.database.read() as session:
        return {name: (label, split, bool(gone)) for name, label, split, gone in session.execute(text(query))}


def test_unlabelled_images_are_added_beside_labelled_ones(app_context: AppContext, tmp_path: Path) -> None:
    run(app_context, pets(tmp_path / "pets"))
    done = add(app_context, new(tmp_path / "new"))
    assert {name: found for name, found in samples(app_context).items() if name.startswith("new/")} == {
        f"new/{number}.png": (None, "unlabelled", False) for number in range(3)
    }
    info = datasets.get_dataset(app_context, 1)
    assert (info.root, info.format, info.classes) == (str(tmp_path / "pets"), "imagefolder", ("cats", "dogs"))
    assert done.report is not None
    assert (done.report["images"], done.report["changes"]["added"], done.report["changes"]["vanished"]) == (9, 3, 0)
    card = datasets.overview(app_context).cards[0]
    assert (card.images, card.class_counts) == (9, {"cats": 3, "dogs": 3, "": 3})
    assert card.split_counts == {"": 6, "unlabelled": 3}


def test_neither_import_marks_images_of_the_other_as_missing(app_context: AppContext, tmp_path: Path) -> None:
    root, folder = pets(tmp_path / "pets"), new(tmp_path / "new")
    run(app_context, root)
    add(app_context, folder)
    add(app_context, new(tmp_path / "newer", 1))
    (root / "cats" / "1.png").unlink()
    draw(root / "cats" / "9.png")
    report = again(app_context).report
    assert report is not None
    assert (report["changes"]["added"], report["changes"]["vanished"], report["images"]) == (1, 1, 10)
    assert report["classes"] == {"cats": 3, "dogs": 3, "": 4}
    assert [name for name, (_, _, gone) in samples(app_context).items() if gone] == ["cats/1.png"]
    (folder / "0.png").unlink()
    draw(folder / "8.png")
    report = add(app_context, folder).report
    assert report is not None
    assert (report["changes"]["added"], report["changes"]["vanished"], report["images"]) == (1, 1, 10)
    assert [name for name, (_, _, gone) in samples(app_context).items() if gone] == ["cats/1.png", "new/0.png"]
    assert imports.repeat_request(app_context, 1).source == str(root)


def test_a_folder_with_a_common_name_prefix_is_another_folder(app_context: AppContext, tmp_path: Path) -> None:
    run(app_context, pets(tmp_path / "pets"))
    add(app_context, new(tmp_path / "new"))
    add(app_context, new(tmp_path / "new_"))
    add(app_context, new(tmp_path / "newest"))
    (tmp_path / "new" / "1.png").unlink()
    add(app_context, tmp_path / "new")
    assert [name for name, (_, _, gone) in samples(app_context).items() if gone] == ["new/1.png"]


def test_images_labelled_by_a_table_stay_unchanged_when_their_folder_is_added(
    app_context: AppContext, tmp_path: Path
) -> None:
    folder = new(tmp_path / "all", 5)
    table = tmp_path / "lists" / "labels.csv"
    table.parent.mkdir()
    table.write_text("path,label\n" + "".join(f"{folder}/{number}.png,{'ab'[number % 2]}\n" for number in range(3)))
    run(app_context, table)
    before = samples(app_context)
    report = add(app_context, folder).report
    assert report is not None
    assert report["changes"]["added"] == 2
    after = samples(app_context)
    assert {name: after[name] for name in before} == before
    again(app_context)
    assert samples(app_context) == after


def test_masks_keep_their_classes_and_colours(app_context: AppContext, tmp_path: Path) -> None:
    run(app_context, draw_stripes(tmp_path / "set"))
    before = datasets.get_dataset(app_context, 1)
    folder = tmp_path / "new"
    folder.mkdir()
    Image.fromarray(np.full((8, 9, 3), 77, np.uint8)).save(folder / "a.png")
    done = add(app_context, folder)
    after = datasets.get_dataset(app_context, 1)
    assert (after.classes, after.colours, after.task, after.format) == (
        before.classes,
        before.colours,
        before.task,
        before.format,
    )
    assert done.report is not None
    assert (done.report["images"], done.report["masks"]) == (13, 12)
    assert done.report["classes"] == {"sky": 12, "road": 12, "car": 6, "": 1}
    report = again(app_context).report
    assert report is not None
    assert (report["images"], report["masks"], report["classes"][""]) == (13, 12, 1)


def test_images_without_a_mask_can_lie_among_image_mask_pairs(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set")
    for name in ("x", "y"):
        draw_pair(root, name, None)
    done = run(app_context, root)
    assert done.report is not None
    assert (done.report["images"], done.report["masks"]) == (14, 12)


def test_an_impossible_source_is_refused_with_a_cure(app_context: AppContext, tmp_path: Path) -> None:
    root, folder = pets(tmp_path / "pets"), new(tmp_path / "new")
    with pytest.raises(DatasetError, match="import the labelled ones first"):
        add(app_context, folder)
    run(app_context, root)
    new(root / "more")
    for inside in (root, root / "more", tmp_path):
        with pytest.raises(DatasetError, match="lie in each other"):
            add(app_context, inside)
    with pytest.raises(DatasetError, match="comes from"):
        run(app_context, folder)


def test_no_export_or_patch_is_written_into_the_folder_of_added_images(app_context: AppContext, tmp_path: Path) -> None:
    run(app_context, pets(tmp_path / "pets"))
    add(app_context, new(tmp_path / "new"))
    with pytest.raises(ExportError, match="within one another"):
        exports.add_export(app_context, ExportRequest(dataset_id=1, folder=str(tmp_path / "new" / "clean")))
    with pytest.raises(ExportError, match="holds originals"):
        jobs.apply_patch(app_context, tmp_path / "patch", tmp_path / "new")


def standing(app_context: AppContext) -> list[str]:
    """Return the files among the problems that the dataset's card counts."""
    [card] = datasets.list_datasets(app_context)
    listed = [problem.path for problem in imports.problems(app_context, *card.standing)]
    counts = [count for _, _, count in imports.problem_counts(app_context, *card.standing)]
    assert card.problems == len(listed) == sum(counts)
    return sorted(path for path in listed if path.endswith(".png"))


def test_the_problems_of_each_source_are_kept_until_it_is_read_again(app_context: AppContext, tmp_path: Path) -> None:
    root, folder = pets(tmp_path / "pets"), new(tmp_path / "new", 6)
    for empty in (root / "cats" / "a.png", folder / "b.png"):
        empty.touch()
    first = run(app_context, root)
    assert standing(app_context) == ["cats/a.png"]
    added = add(app_context, folder)
    add(app_context, new(tmp_path / "newer", 6))
    assert standing(app_context) == ["cats/a.png", "new/b.png"]
    (folder / "b.png").unlink()
    (folder / "c.png").touch()
    last = add(app_context, folder)
    assert standing(app_context) == ["cats/a.png", "new/c.png"]
    assert imports.imports_with_problems(app_context, last)[0] == first.id
    assert imports.imports_with_problems(app_context, added) == [added.id]
    (root / "cats" / "a.png").unlink()
    again(app_context)
    assert standing(app_context) == ["new/c.png"]


def test_a_folder_read_with_its_parent_has_no_problems_of_its_own(app_context: AppContext, tmp_path: Path) -> None:
    run(app_context, pets(tmp_path / "pets"))
    inner = new(tmp_path / "new" / "inner", 6)
    (inner / "b.png").touch()
    add(app_context, inner)
    add(app_context, tmp_path / "new")
    assert standing(app_context) == ["new/inner/b.png"]


def test_added_images_moved_into_the_root_stay_the_same_samples(app_context: AppContext, tmp_path: Path) -> None:
    root, folder = pets(tmp_path / "pets"), new(tmp_path / "new")
    for path in folder.iterdir():  # else of the same content as the labelled ones
        Image.fromarray(np.full((9, 9, 3), int(path.stem) + 40, np.uint8)).save(path)
    run(app_context, root)
    add(app_context, folder)
    before = ids(app_context)
    (folder / "0.png").rename(root / "cats" / "moved.png")
    (root / "cats" / "copied.png").write_bytes((folder / "1.png").read_bytes())
    again(app_context)
    after = ids(app_context)
    assert after["cats/moved.png"] == before["new/0.png"]
    assert "new/0.png" not in after
    assert after["new/1.png"] == before["new/1.png"] != after["cats/copied.png"]
    assert samples(app_context)["cats/moved.png"] == (0, "", False)  # labelled first by the folder it is in now
    add(app_context, folder)
    assert {name for name, (*_, gone) in samples(app_context).items() if gone} == set()


def ids(app_context: AppContext) -> dict[str, int]:
    with app_context.database.read() as session:
        return {name: number for number, name in session.execute(text("SELECT id, name FROM sample"))}
