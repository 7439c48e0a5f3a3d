"""Classes of an import: spellings, missing values, and what datasets of an earlier version keep."""

import shlex
from pathlib import Path

import pytest

from app.services import datasets, imports
from app.services.import_classes import GoneClass, GoneClassesError
from app.services.imports import ImportInfo, ImportRequest
from app.services.workspace import Workspace
from core.types import DatasetError, RoundStatus
from db.queries import datasets as rows
from tests.core.data.formats.drawn import draw_all

TABLE = "path,label\n1.png,Cat\n2.png,cat\n3.png,NA\n4.png,1.0\n5.png,cat\n6.png,dog\n"


def run(workspace: Workspace, source: Path, **options: object) -> ImportInfo:
    request = ImportRequest(name="set", source=str(source), **options)  # type: ignore[arg-type]
    return imports.run_import(workspace, imports.start_import(workspace, request))


def problems(workspace: Workspace, done: ImportInfo) -> dict[str, str]:
    return {problem.kind: problem.cure for problem in imports.problems(workspace, done.id)}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    draw_all(tmp_path / "set", [f"{number}.png" for number in range(1, 7)])
    (tmp_path / "set" / "labels.csv").write_text(TABLE)
    return tmp_path / "set" / "labels.csv"


def test_spellings_of_one_class_are_told_with_a_merge_that_works(workspace: Workspace, table: Path) -> None:
    done = run(workspace, table)
    assert datasets.get_dataset(workspace, done.dataset_id or 0).classes == ("1", "Cat", "cat", "dog")
    assert "--merge-class cat=Cat" in problems(workspace, done)["may be one class"]
    other = ImportRequest(name="merged", source=str(table), merged_classes=("Cat=cat",))
    done = imports.run_import(workspace, imports.start_import(workspace, other))
    assert datasets.get_dataset(workspace, done.dataset_id or 0).classes == ("1", "cat", "dog")
    assert "may be one class" not in problems(workspace, done)
    again = imports.run_import(
        workspace, imports.start_import(workspace, imports.request_again(workspace, done.dataset_id or 0))
    )
    assert again.report is not None
    assert again.report["changes"]["unchanged"] == 6


def test_an_import_again_takes_along_what_the_first_was_given(workspace: Workspace, tmp_path: Path) -> None:
    draw_all(tmp_path / "images", ["1.png", "2.png", "3.png"])
    rows = "label,photo,race,part\nx,1.png,Cat,val\ny,2.png,cat,test\nz,3.png,dog,val\n"
    (tmp_path / "labels.csv").write_text(rows)
    given = {
        "path_column": "photo",
        "label_column": "race",
        "split_column": "part",
        "image_root": str(tmp_path / "images"),
        "merged_classes": ("Cat=cat",),
    }
    done = run(workspace, tmp_path / "labels.csv", **given)
    first = datasets.get_dataset(workspace, done.dataset_id or 0)
    assert first.classes == ("cat", "dog")
    for _ in range(2):
        done = run(workspace, tmp_path / "labels.csv")
        assert done.report is not None, done.message
        assert done.report["changes"]["unchanged"] == 3
        now = datasets.get_dataset(workspace, first.id)
        assert now.classes == first.classes
        assert {name: now.options[name] for name in given} == {name: first.options[name] for name in given}
    done = run(workspace, tmp_path / "labels.csv", label_column="label")
    assert "--keep-class" in done.message  # what is given anew counts


def test_labels_are_not_read_otherwise_by_an_import_again(workspace: Workspace, table: Path, tmp_path: Path) -> None:
    done = run(workspace, table)
    assert "into a new dataset with --literal-labels" in problems(workspace, done)["missing label"]
    with pytest.raises(DatasetError, match=r"without --literal-labels.* another --name"):
        run(workspace, table, literal_labels=True)
    root = draw_all(tmp_path / "pets", ["animal/cat/1.png", "plant/tree/2.png"])
    for level in (2, 0, 2):
        request = ImportRequest(name="pets", source=str(root), class_level=level)
        done = imports.run_import(workspace, imports.start_import(workspace, request))
        assert datasets.get_dataset(workspace, done.dataset_id or 0).classes == ("cat", "tree")
    with pytest.raises(DatasetError, match="without --class-level 1"):
        imports.start_import(workspace, ImportRequest(name="pets", source=str(root), class_level=1))


def test_a_level_that_is_asked_for_later_can_be_given(workspace: Workspace, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["cat/1.png", "dog/a/2.png"])
    run(workspace, root)
    (root / "cat" / "b").mkdir()
    (root / "cat" / "1.png").rename(root / "cat" / "b" / "1.png")
    assert "--class-level 1" in run(workspace, root).message
    assert run(workspace, root, class_level=1).status is RoundStatus.DONE


@pytest.mark.parametrize("merge", ["Cat", "=cat", "Cat="])
def test_a_merge_names_two_classes(merge: str, workspace: Workspace, table: Path) -> None:
    with pytest.raises(DatasetError, match="names no two classes"):
        run(workspace, table, merged_classes=(merge,))


def test_a_dataset_of_an_earlier_version_keeps_its_classes(workspace: Workspace, table: Path) -> None:
    done = run(workspace, table, literal_labels=True)
    assert datasets.get_dataset(workspace, done.dataset_id or 0).classes == ("1.0", "Cat", "NA", "cat", "dog")
    with workspace.database.write() as session:
        info = rows.get_dataset(session, done.dataset_id or 0)
        former = {name: value for name, value in info.options.items() if name != "literal_labels"}
        rows.change_dataset(session, info.id, {"options": former})
    for again in (imports.request_again(workspace, info.id), ImportRequest(name="set", source=str(table))):
        done = imports.run_import(workspace, imports.start_import(workspace, again))
        assert done.status is RoundStatus.DONE, done.message
        assert datasets.get_dataset(workspace, info.id).classes == info.classes
        assert done.report is not None
        assert done.report["changes"]["unchanged"] == 6


def test_where_nothing_was_found_the_first_path_and_a_cure_are_told(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\n/home/ann/1.png,a\n/home/ann/2.png,b\n")
    done = run(workspace, tmp_path / "labels.csv")
    assert done.status is RoundStatus.FAILED
    assert "/home/ann/1.png" in done.message
    assert "--image-root" in done.message
    draw_all(tmp_path / "images", ["1.png", "2.png"])
    done = run(workspace, tmp_path / "labels.csv", image_root=str(tmp_path / "images"))
    assert done.report is not None
    assert done.report["images"] == 2


def test_a_preview_tells_spellings_and_names_that_exports_write_otherwise(workspace: Workspace, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["<b>horse<b>/1.png", '"hound"/1.png', "cat/1.png", "Cat/1.png"])
    seen = imports.preview(workspace, ImportRequest(name="set", source=str(root)))
    told = {problem.kind: problem.message for problem in seen.problems}
    assert "cat" in told["may be one class"]
    assert "name in exports" in told


def test_names_in_options_are_quoted_for_a_shell() -> None:
    told = str(GoneClassesError([GoneClass("bird's eye", 3, 3, "$(eye)", renamed=True)]))
    options = [word for word in shlex.split(told.split(" and say ")[1].replace(", or", "")) if "eye" in word]
    assert options == ["bird's eye=$(eye)", "bird's eye"]


def test_an_empty_class_folder_is_a_class_at_every_import(workspace: Workspace, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"])
    (root / "cow").mkdir()
    for _ in range(2):
        done = run(workspace, root)
        assert datasets.get_dataset(workspace, done.dataset_id or 0).classes == ("cat", "cow", "dog")
    draw_all(root, ["cow/1.png"])
    done = run(workspace, root)
    assert done.report is not None
    assert done.report["classes"] == {"cat": 2, "cow": 1, "dog": 2}
