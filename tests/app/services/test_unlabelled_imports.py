"""A folder of images nobody labelled, added to a dataset: neither import makes the other's images vanish."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from app.services import datasets, exports, imports, patches
from app.services.exports import ExportRequest
from app.services.imports import ImportInfo, ImportRequest
from app.services.workspace import Workspace
from core.types import DatasetError, ExportError, RoundStatus
from tests.app.pairs import draw_pair, draw_stripes
from tests.core.data.formats.drawn import draw


def run(workspace: Workspace, source: Path, **more: Any) -> ImportInfo:
    request = ImportRequest.from_json({"name": "pets", "source": str(source), **more})
    done = imports.run_import(workspace, imports.start_import(workspace, request))
    assert done.status is RoundStatus.DONE, done.message
    return done


def again(workspace: Workspace) -> ImportInfo:
    return imports.run_import(workspace, imports.start_import(workspace, imports.request_again(workspace, 1)))


def add(workspace: Workspace, source: Path) -> ImportInfo:
    return run(workspace, source, unlabelled=True)


def pets(folder: Path) -> Path:
    for number in range(6):
        draw(folder / ("cats" if number % 2 else "dogs") / f"{number}.png")
    return folder


def new(folder: Path, count: int = 3) -> Path:
    for number in range(count):
        draw(folder / f"{number}.png")
    return folder


def samples(workspace: Workspace) -> dict[str, tuple[int | None, str, bool]]:
    """Return every sample's label, split and whether it vanished, by its name."""
    query = "SELECT name, label, split, vanished_at IS NOT NULL FROM sample ORDER BY name"
    with workspace.database.read() as session:
        return {name: (label, split, bool(gone)) for name, label, split, gone in session.execute(text(query))}


def test_they_come_in_without_a_label_beside_the_labelled_ones(workspace: Workspace, tmp_path: Path) -> None:
    run(workspace, pets(tmp_path / "pets"))
    done = add(workspace, new(tmp_path / "new"))
    assert {name: found for name, found in samples(workspace).items() if name.startswith("new/")} == {
        f"new/{number}.png": (None, "unlabelled", False) for number in range(3)
    }
    info = datasets.get_dataset(workspace, 1)
    assert (info.root, info.format, info.classes) == (str(tmp_path / "pets"), "imagefolder", ("cats", "dogs"))
    assert done.report is not None
    assert (done.report["images"], done.report["changes"]["added"], done.report["changes"]["vanished"]) == (9, 3, 0)
    card = datasets.overview(workspace).cards[0]
    assert (card.images, card.class_counts) == (9, {"cats": 3, "dogs": 3, "": 3})
    assert card.split_counts == {"": 6, "unlabelled": 3}


def test_neither_import_makes_the_others_images_vanish(workspace: Workspace, tmp_path: Path) -> None:
    root, folder = pets(tmp_path / "pets"), new(tmp_path / "new")
    run(workspace, root)
    add(workspace, folder)
    add(workspace, new(tmp_path / "newer", 1))
    (root / "cats" / "1.png").unlink()
    draw(root / "cats" / "9.png")
    report = again(workspace).report
    assert report is not None
    assert (report["changes"]["added"], report["changes"]["vanished"], report["images"]) == (1, 1, 10)
    assert report["classes"] == {"cats": 3, "dogs": 3, "": 4}
    assert [name for name, (_, _, gone) in samples(workspace).items() if gone] == ["cats/1.png"]
    (folder / "0.png").unlink()
    draw(folder / "8.png")
    report = add(workspace, folder).report
    assert report is not None
    assert (report["changes"]["added"], report["changes"]["vanished"], report["images"]) == (1, 1, 10)
    assert [name for name, (_, _, gone) in samples(workspace).items() if gone] == ["cats/1.png", "new/0.png"]
    assert imports.request_again(workspace, 1).source == str(root)


def test_a_folder_whose_name_begins_alike_is_another_one(workspace: Workspace, tmp_path: Path) -> None:
    run(workspace, pets(tmp_path / "pets"))
    add(workspace, new(tmp_path / "new"))
    add(workspace, new(tmp_path / "new_"))
    add(workspace, new(tmp_path / "newest"))
    (tmp_path / "new" / "1.png").unlink()
    add(workspace, tmp_path / "new")
    assert [name for name, (_, _, gone) in samples(workspace).items() if gone] == ["new/1.png"]


def test_what_a_table_labels_is_left_alone_when_its_folder_is_added(workspace: Workspace, tmp_path: Path) -> None:
    folder = new(tmp_path / "all", 5)
    table = tmp_path / "lists" / "labels.csv"
    table.parent.mkdir()
    table.write_text("path,label\n" + "".join(f"{folder}/{number}.png,{'ab'[number % 2]}\n" for number in range(3)))
    run(workspace, table)
    before = samples(workspace)
    report = add(workspace, folder).report
    assert report is not None
    assert report["changes"]["added"] == 2
    after = samples(workspace)
    assert {name: after[name] for name in before} == before
    again(workspace)
    assert samples(workspace) == after


def test_masks_keep_their_classes_and_colours(workspace: Workspace, tmp_path: Path) -> None:
    run(workspace, draw_stripes(tmp_path / "set"))
    before = datasets.get_dataset(workspace, 1)
    folder = tmp_path / "new"
    folder.mkdir()
    Image.fromarray(np.full((8, 9, 3), 77, np.uint8)).save(folder / "a.png")
    done = add(workspace, folder)
    after = datasets.get_dataset(workspace, 1)
    assert (after.classes, after.colours, after.task, after.format) == (
        before.classes,
        before.colours,
        before.task,
        before.format,
    )
    assert done.report is not None
    assert (done.report["images"], done.report["masks"]) == (13, 12)
    assert done.report["classes"] == {"sky": 12, "road": 12, "car": 6, "": 1}
    report = again(workspace).report
    assert report is not None
    assert (report["images"], report["masks"], report["classes"][""]) == (13, 12, 1)


def test_images_without_a_mask_among_pairs_need_no_folder_of_their_own(workspace: Workspace, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set")
    for name in ("x", "y"):
        draw_pair(root, name, None)
    done = run(workspace, root)
    assert done.report is not None
    assert (done.report["images"], done.report["masks"]) == (14, 12)


def test_what_cannot_be_meant_is_refused_with_a_cure(workspace: Workspace, tmp_path: Path) -> None:
    root, folder = pets(tmp_path / "pets"), new(tmp_path / "new")
    with pytest.raises(DatasetError, match="import the labelled ones first"):
        add(workspace, folder)
    run(workspace, root)
    new(root / "more")
    for inside in (root, root / "more", tmp_path):
        with pytest.raises(DatasetError, match="lie in each other"):
            add(workspace, inside)
    with pytest.raises(DatasetError, match="comes from"):
        run(workspace, folder)


def test_no_export_and_no_patch_goes_where_they_lie(workspace: Workspace, tmp_path: Path) -> None:
    run(workspace, pets(tmp_path / "pets"))
    add(workspace, new(tmp_path / "new"))
    with pytest.raises(ExportError, match="within one another"):
        exports.add_export(workspace, ExportRequest(dataset_id=1, folder=str(tmp_path / "new" / "clean")))
    with pytest.raises(ExportError, match="holds originals"):
        patches.apply_patch(workspace, tmp_path / "patch", tmp_path / "new")


def standing(workspace: Workspace) -> list[str]:
    """Return the files among the problems that the dataset's card counts."""
    [card] = datasets.list_datasets(workspace)
    listed = [problem.path for problem in imports.problems(workspace, *card.standing)]
    assert card.problems == len(listed) == sum(one.count for one in imports.problem_counts(workspace, *card.standing))
    return sorted(path for path in listed if path.endswith(".png"))


def test_the_problems_of_each_source_stand_until_it_is_read_again(workspace: Workspace, tmp_path: Path) -> None:
    root, folder = pets(tmp_path / "pets"), new(tmp_path / "new", 6)
    for empty in (root / "cats" / "a.png", folder / "b.png"):
        empty.touch()
    first = run(workspace, root)
    assert standing(workspace) == ["cats/a.png"]
    added = add(workspace, folder)
    add(workspace, new(tmp_path / "newer", 6))
    assert standing(workspace) == ["cats/a.png", "new/b.png"]
    (folder / "b.png").unlink()
    (folder / "c.png").touch()
    last = add(workspace, folder)
    assert standing(workspace) == ["cats/a.png", "new/c.png"]
    assert imports.standing_with(workspace, last)[0] == first.id
    assert imports.standing_with(workspace, added) == [added.id]
    (root / "cats" / "a.png").unlink()
    again(workspace)
    assert standing(workspace) == ["new/c.png"]


def test_a_folder_that_is_read_with_the_one_around_it_has_no_problems_of_its_own(
    workspace: Workspace, tmp_path: Path
) -> None:
    run(workspace, pets(tmp_path / "pets"))
    inner = new(tmp_path / "new" / "inner", 6)
    (inner / "b.png").touch()
    add(workspace, inner)
    add(workspace, tmp_path / "new")
    assert standing(workspace) == ["new/inner/b.png"]


def test_added_images_that_are_moved_into_the_root_stay_the_samples_they_are(
    workspace: Workspace, tmp_path: Path
) -> None:
    root, folder = pets(tmp_path / "pets"), new(tmp_path / "new")
    for path in folder.iterdir():  # else of the same content as the labelled ones
        Image.fromarray(np.full((9, 9, 3), int(path.stem) + 40, np.uint8)).save(path)
    run(workspace, root)
    add(workspace, folder)
    before = ids(workspace)
    (folder / "0.png").rename(root / "cats" / "moved.png")
    (root / "cats" / "copied.png").write_bytes((folder / "1.png").read_bytes())
    again(workspace)
    after = ids(workspace)
    assert after["cats/moved.png"] == before["new/0.png"]
    assert "new/0.png" not in after
    assert after["new/1.png"] == before["new/1.png"] != after["cats/copied.png"]
    assert samples(workspace)["cats/moved.png"] == (0, "", False)  # labelled first by the folder it is in now
    add(workspace, folder)
    assert {name for name, (*_, gone) in samples(workspace).items() if gone} == set()


def ids(workspace: Workspace) -> dict[str, int]:
    with workspace.database.read() as session:
        return {name: number for number, name in session.execute(text("SELECT id, name FROM sample"))}
