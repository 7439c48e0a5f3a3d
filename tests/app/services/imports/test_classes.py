"""Classes of an import: spellings, missing values, and what datasets of an earlier version keep."""

from pathlib import Path

import pytest

from app.services import datasets
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportInfo, ImportRequest
from core.types import Cure, DatasetError, JobStatus
from db.queries import datasets as rows
from tests.core.data.formats.drawn import draw_all

TABLE = "path,label\n1.png,Cat\n2.png,cat\n3.png,NA\n4.png,1.0\n5.png,cat\n6.png,dog\n"


def run(app_context: AppContext, source: Path, **options: object) -> ImportInfo:
    request = ImportRequest(name="set", source=str(source), **options)  # type: ignore[arg-type]
    return imports.run_import(app_context, imports.add_import(app_context, request))


def problems(app_context: AppContext, done: ImportInfo) -> dict[str, str]:
    return {problem.kind: problem.cure for problem in imports.problems(app_context, done.id)}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    draw_all(tmp_path / "set", [f"{number}.png" for number in range(1, 7)])
    (tmp_path / "set" / "labels.csv").write_text(TABLE)
    return tmp_path / "set" / "labels.csv"


def test_spellings_of_one_class_are_reported_with_a_working_merge(app_context: AppContext, table: Path) -> None:
    done = run(app_context, table)
    assert datasets.get_dataset(app_context, done.dataset_id or 0).classes == ("1", "Cat", "cat", "dog")
    assert "merge cat into Cat on the Classes page" in problems(app_context, done)["may be one class"]
    other = ImportRequest(name="merged", source=str(table), merged_classes=("Cat=cat",))
    done = imports.run_import(app_context, imports.add_import(app_context, other))
    assert datasets.get_dataset(app_context, done.dataset_id or 0).classes == ("1", "cat", "dog")
    assert "may be one class" not in problems(app_context, done)
    again = imports.run_import(
        app_context, imports.add_import(app_context, imports.repeat_request(app_context, done.dataset_id or 0))
    )
    assert again.report is not None
    assert again.report["changes"]["unchanged"] == 6


def test_importing_again_reuses_the_options_of_the_first_import(app_context: AppContext, tmp_path: Path) -> None:
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
    done = run(app_context, tmp_path / "labels.csv", **given)
    first = datasets.get_dataset(app_context, done.dataset_id or 0)
    assert first.classes == ("cat", "dog")
    for _ in range(2):
        done = run(app_context, tmp_path / "labels.csv")
        assert done.report is not None, done.message
        assert done.report["changes"]["unchanged"] == 3
        now = datasets.get_dataset(app_context, first.id)
        assert now.classes == first.classes
        assert {name: now.options[name] for name in given} == {name: first.options[name] for name in given}
    done = run(app_context, tmp_path / "labels.csv", label_column="label")
    assert "stays a class" in done.message  # what is given anew counts


def test_importing_again_cannot_change_how_labels_are_read(
    app_context: AppContext, table: Path, tmp_path: Path
) -> None:
    done = run(app_context, table)
    assert f"into a new dataset with {Cure.LITERAL_LABELS}" in problems(app_context, done)["missing label"]
    with pytest.raises(DatasetError, match=rf"without {Cure.LITERAL_LABELS}.* another name"):
        run(app_context, table, literal_labels=True)
    root = draw_all(tmp_path / "pets", ["animal/cat/1.png", "plant/tree/2.png"])
    for level in (2, 0, 2):
        request = ImportRequest(name="pets", source=str(root), class_level=level)
        done = imports.run_import(app_context, imports.add_import(app_context, request))
        assert datasets.get_dataset(app_context, done.dataset_id or 0).classes == ("cat", "tree")
    with pytest.raises(DatasetError, match=f"without {Cure.CLASS_LEVEL} 1"):
        imports.add_import(app_context, ImportRequest(name="pets", source=str(root), class_level=1))


def test_the_class_level_can_be_given_when_it_is_asked_for_later(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["cat/1.png", "dog/a/2.png"])
    run(app_context, root)
    (root / "cat" / "b").mkdir()
    (root / "cat" / "1.png").rename(root / "cat" / "b" / "1.png")
    assert f"{Cure.CLASS_LEVEL}: 1 for" in run(app_context, root).message
    assert run(app_context, root, class_level=1).status is JobStatus.DONE


@pytest.mark.parametrize("merge", ["Cat", "=cat", "Cat="])
def test_a_merge_must_name_two_classes(merge: str, app_context: AppContext, table: Path) -> None:
    with pytest.raises(DatasetError, match="names no two classes"):
        run(app_context, table, merged_classes=(merge,))


def test_a_dataset_of_a_former_release_keeps_its_classes(app_context: AppContext, table: Path) -> None:
    done = run(app_context, table, literal_labels=True)
    assert datasets.get_dataset(app_context, done.dataset_id or 0).classes == ("1.0", "Cat", "NA", "cat", "dog")
    with app_context.database.write() as session:
        info = rows.get_dataset(session, done.dataset_id or 0)
        former = {name: value for name, value in info.options.items() if name != "literal_labels"}
        rows.change_dataset(session, info.id, {"options": former})
    for again in (imports.repeat_request(app_context, info.id), ImportRequest(name="set", source=str(table))):
        done = imports.run_import(app_context, imports.add_import(app_context, again))
        assert done.status is JobStatus.DONE, done.message
        assert datasets.get_dataset(app_context, info.id).classes == info.classes
        assert done.report is not None
        assert done.report["changes"]["unchanged"] == 6


def test_the_first_path_and_a_cure_are_reported_when_no_image_is_found(app_context: AppContext, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\n/home/ann/1.png,a\n/home/ann/2.png,b\n")
    done = run(app_context, tmp_path / "labels.csv")
    assert done.status is JobStatus.FAILED
    assert "/home/ann/1.png" in done.message
    assert str(Cure.IMAGE_ROOT) in done.message
    draw_all(tmp_path / "images", ["1.png", "2.png"])
    done = run(app_context, tmp_path / "labels.csv", image_root=str(tmp_path / "images"))
    assert done.report is not None
    assert done.report["images"] == 2


def test_a_preview_reports_spellings_and_names_that_exports_change(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["<b>horse<b>/1.png", '"hound"/1.png', "cat/1.png", "Cat/1.png"])
    seen = imports.preview(app_context, ImportRequest(name="set", source=str(root)))
    told = {problem.kind: problem.message for problem in seen.problems}
    assert "cat" in told["may be one class"]
    assert "name in exports" in told


def test_an_empty_class_folder_is_a_class_at_every_import(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"])
    (root / "cow").mkdir()
    for _ in range(2):
        done = run(app_context, root)
        assert datasets.get_dataset(app_context, done.dataset_id or 0).classes == ("cat", "cow", "dog")
    draw_all(root, ["cow/1.png"])
    done = run(app_context, root)
    assert done.report is not None
    assert done.report["classes"] == {"cat": 2, "cow": 1, "dog": 2}
