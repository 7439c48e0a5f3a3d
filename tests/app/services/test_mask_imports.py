"""Imports of masks: stored by content in the dataset's own ids, faults reported, first ones kept for ever."""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from app.services import datasets
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportInfo, ImportRequest
from app.services.masks import current as masks
from app.services.reviews import ActKey
from app.services.tags import current as tags
from app.services.tags.tables import BY_IMPORT, known_tags
from core.data.formats.source import SourceFormat
from core.data.masks.store import MaskStore
from core.types import IGNORE, DatasetError, IntArray, JobStatus, Task
from tests.app.pairs import CLASSES, HEIGHT, WIDTH, draw_pair, draw_pairs, draw_stripes, mask_of


def run(app_context: AppContext, source: Path, **more: object) -> ImportInfo:
    request = replace(ImportRequest(name="scenes", source=str(source)), **more)
    return imports.run_import(app_context, imports.add_import(app_context, request))


def again(app_context: AppContext) -> ImportInfo:
    return imports.run_import(app_context, imports.add_import(app_context, imports.repeat_request(app_context, 1)))


def stored_masks(app_context: AppContext) -> dict[str, IntArray | None]:
    with app_context.database.read() as session:
        rows = session.execute(text("SELECT name, mask_hash FROM sample WHERE vanished_at IS NULL ORDER BY name")).all()
    store = MaskStore(app_context.masks)
    return {Path(name).stem: None if found is None else store.get(found) for name, found in rows}


def kinds(app_context: AppContext, info: ImportInfo) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in imports.problems(app_context, info.id):
        assert problem.cure
        found.setdefault(problem.kind, []).append(Path(problem.path).stem)
    return found


def test_masks_are_stored_with_classes_colours_and_counts(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set")
    draw_pair(root, "none", None)
    done = run(app_context, root)
    assert done.status is JobStatus.DONE, done.message
    assert done.report is not None
    assert (done.report["images"], done.report["masks"]) == (13, 12)
    assert done.report["classes"] == {"sky": 12, "road": 12, "car": 6, "": 1}
    info = datasets.get_dataset(app_context, done.dataset_id or 0)
    assert (info.task, info.classes) == (Task.SEGMENTATION, CLASSES)
    assert info.colours is not None
    assert len(set(info.colours)) == 3
    masks = stored_masks(app_context)
    assert masks.pop("none") is None
    for name, mask in masks.items():
        assert mask is not None
        assert mask.dtype == np.uint8
        assert (mask == (mask_of(0, 1, 2) if int(name) % 2 else mask_of(0, 1))).all()
    [card] = datasets.list_datasets(app_context)
    assert (card.images, card.masks) == (13, 12)


def test_each_fault_of_a_mask_is_reported_and_its_image_imported_without_one(
    app_context: AppContext, tmp_path: Path
) -> None:
    root = draw_stripes(tmp_path / "set")
    draw_pair(root, "outside", mask_of(0, 7))
    draw_pair(root, "ignored", mask_of(IGNORE, 1))
    for name in ("size", "cut", "text"):
        draw_pair(root, name, mask_of(0, 1))
    Image.fromarray(np.zeros((HEIGHT, WIDTH + 1), np.uint8)).save(root / "masks" / "size.png")
    whole = (root / "masks" / "cut.png").read_bytes()
    (root / "masks" / "cut.png").write_bytes(whole[: len(whole) - 25])
    (root / "masks" / "text.png").write_text("no image")
    (root / "masks" / "nobody.png").write_bytes(whole)
    before = {path: path.read_bytes() for path in root.rglob("*.png")}
    done = run(app_context, root)
    assert done.status is JobStatus.DONE, done.message
    assert {path: path.read_bytes() for path in root.rglob("*.png")} == before
    found = kinds(app_context, done)
    assert found["ids outside the classes"] == ["outside"]
    assert found["wrong mask size"] == ["size"]
    assert sorted(found["corrupt mask"]) == ["cut", "text"]
    assert any("nobody" in names for names in found.values())
    masks = stored_masks(app_context)
    assert [name for name, mask in masks.items() if mask is None] == ["cut", "outside", "size", "text"]
    assert masks["ignored"] is not None
    assert (masks["ignored"][:, 0] == IGNORE).all()
    assert done.report is not None
    assert done.report["classes"] == {"sky": 12, "road": 13, "car": 6, "": 4}
    said = next(problem for problem in imports.problems(app_context, done.id) if problem.kind == "wrong mask size")
    assert "without a mask" in said.message


def test_a_changed_mask_is_reported_and_the_first_one_kept(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set")
    draw_pair(root, "late", None)
    first = run(app_context, root)
    before = stored_masks(app_context)
    draw_pair(root, "01", mask_of(1))
    (root / "masks" / "02.png").unlink()
    draw_pair(root, "late", mask_of(2))
    draw_pair(root, "new", mask_of(1, 2))
    done = again(app_context)
    assert done.dataset_id == first.dataset_id
    assert done.report is not None
    assert done.report["changes"] == {
        "added": 1,
        "changed": 1,
        "moved": 0,
        "unchanged": 12,
        "returned": 0,
        "vanished": 0,
    }
    assert kinds(app_context, done)["given mask changed"] == ["01", "02"]
    masks = stored_masks(app_context)
    assert all((masks[name] == before[name]).all() for name in before if name != "late")
    assert (masks["late"] == 2).all()  # nothing was given for it before
    assert done.report["masks"] == 14
    assert done.report["classes"] == {"sky": 12, "road": 13, "car": 8}


def test_new_classes_are_appended_and_ids_keep_their_meaning(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set")
    run(app_context, root)
    colours = datasets.get_dataset(app_context, 1).colours
    (root / "classes.txt").write_text("tree\ncar\nroad\nsky\n")
    draw_pair(root, "new", mask_of(0, 1, 2, 3))
    done = again(app_context)
    info = datasets.get_dataset(app_context, 1)
    assert info.classes == (*CLASSES, "tree")
    assert info.colours is not None
    assert info.colours[:3] == colours
    assert len(set(info.colours)) == 4
    assert (stored_masks(app_context)["new"] == mask_of(3, 2, 1, 0)).all()
    assert kinds(app_context, done)["small class"] == ["tree"]


def test_equal_masks_do_not_count_as_changed_when_classes_exceed_255(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set")
    names = [f"class {number}" for number in range(255)]
    (root / "classes.txt").write_text("\n".join(names))
    draw_pair(root, "ignored", mask_of(IGNORE, 1))
    run(app_context, root)
    (root / "classes.txt").write_text("\n".join([*names, "new"]))
    (root / "masks" / "ignored.png").unlink()
    Image.fromarray(np.where(mask_of(IGNORE, 1) == IGNORE, 65535, 1).astype(np.uint16)).save(
        root / "masks" / "ignored.png"
    )
    draw_pair(root, "01", mask_of(1))
    done = again(app_context)
    assert done.status is JobStatus.DONE, done.message
    assert kinds(app_context, done)["given mask changed"] == ["01"]
    assert done.report is not None
    assert done.report["changes"]["unchanged"] == 13


def test_an_image_of_another_size_than_its_mask_is_left_out(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set")
    run(app_context, root)
    draw_pair(root, "01", np.ones((4, 4), np.uint8))
    done = again(app_context)
    assert kinds(app_context, done)["size changed"] == ["01"]
    assert "01" not in stored_masks(app_context)
    assert done.report is not None
    assert done.report["classes"] == {"sky": 11, "road": 11, "car": 5}


def test_an_image_of_another_size_than_its_edited_mask_is_left_out(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set")
    for name in ("painted", "bare"):
        draw_pair(root, name, None)
    run(app_context, root)
    with app_context.database.read() as session:
        number = session.scalars(text("SELECT id FROM sample WHERE name LIKE '%painted%'")).one()
    base, mask = masks.read_mask(app_context, number)
    packed = zlib.compress(np.zeros_like(mask).tobytes())
    masks.save_edit(app_context, number, masks.EditContext(), packed, base=base, by="ada", key=ActKey("ada", 1))
    for path in root.rglob("*.png"):
        if path.stem in {"painted", "bare"}:
            Image.fromarray(np.zeros((HEIGHT + 8, WIDTH, 3), np.uint8)).save(path)
    done = again(app_context)
    assert kinds(app_context, done)["size changed"] == ["painted"]  # of the other one nothing is known
    assert masks.read_mask(app_context, number)[1].shape == (HEIGHT, WIDTH)
    assert masks.view_mask(app_context, number, None)


def test_a_dataset_keeps_its_kind_of_labels(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set")
    run(app_context, root)
    done = run(app_context, root, format=SourceFormat.UNLABELLED)
    assert done.status is JobStatus.FAILED
    assert "choose the format" in done.message
    assert len(stored_masks(app_context)) == 12


def test_colours_are_read_by_the_chosen_map(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set", 6)
    (root / "classes.txt").unlink()
    for path in (root / "masks").iterdir():
        ids = np.asarray(Image.open(path))
        Image.fromarray(np.array([[9, 9, 9], [0, 200, 0], [200, 0, 0]], np.uint8)[ids]).save(path)
    failed = run(app_context, root)
    assert failed.status is JobStatus.FAILED
    assert "colour map" in failed.message
    (tmp_path / "map.txt").write_text("9 9 9 sky\n0 200 0 road\n200 0 0 car\n")
    done = run(app_context, root, colour_map=str(tmp_path / "map.txt"))
    assert done.status is JobStatus.DONE, done.message
    assert datasets.get_dataset(app_context, 1).colours == ("#090909", "#00c800", "#c80000")
    assert (stored_masks(app_context)["01"] == mask_of(0, 1, 2)).all()
    assert imports.repeat_request(app_context, 1).colour_map == str(tmp_path / "map.txt")


def test_two_masks_for_one_image_content_are_reported(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_pairs(tmp_path / "set", {"one": mask_of(0, 1), "two": mask_of(1, 0), "three": mask_of(1, 2)})
    (root / "images" / "two.png").write_bytes((root / "images" / "one.png").read_bytes())
    assert sorted(kinds(app_context, run(app_context, root))["duplicate with two masks"]) == ["one", "two"]


@pytest.mark.parametrize("stage", ["reading masks", "storing"])
def test_a_cancelled_import_of_masks_stores_no_row(stage: str, app_context: AppContext, tmp_path: Path) -> None:
    asked = imports.add_import(app_context, ImportRequest(name="scenes", source=str(draw_stripes(tmp_path / "set"))))

    def cancel(_done: int, _total: int, reached: str) -> None:
        if reached == stage:
            imports.end_import(app_context, asked)

    done = imports.run_import(app_context, asked, report=cancel)
    assert (done.status, stored_masks(app_context)) == (JobStatus.CANCELLED, {})


def test_tags_of_a_manifest_are_read_once_and_people_take_precedence(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_pairs(tmp_path / "scenes", {"1": mask_of(0, 1), "2": None, "3": None, "4": None})
    table = root / "manifest.csv"
    rows = ["path,mask,tags", "images/1.png,masks/1.png,", "images/2.png,,sky;road", "images/3.png,,boat;sky"]
    rows.append("images/4.png,,car")
    table.write_text("\n".join(rows) + "\n")

    def said() -> dict[str, tuple[list[int], str]]:
        return {one.name: (one.classes, one.by) for one in known_tags(app_context, done.dataset_id or 0)}

    done = run(app_context, table)
    assert done.status is JobStatus.DONE, done.message
    assert said() == {"images/2.png": ([0, 1], BY_IMPORT), "images/4.png": ([2], BY_IMPORT)}
    (problem,) = [one for one in imports.problems(app_context, done.id) if one.kind == "unknown tag"]
    assert problem.path == "images/3.png"
    assert "boat is not a class of the masks" in problem.message
    assert "sky, road, car" in problem.cure
    tags.tag(app_context, 2, [2], by="ada")
    run(app_context, table)
    assert said()["images/2.png"] == ([2], "ada")
    table.write_text("\n".join([*rows[:4], "images/4.png,,car;sky"]) + "\n")
    run(app_context, table)
    assert said() == {"images/2.png": ([2], "ada"), "images/4.png": ([0, 2], BY_IMPORT)}
    with app_context.database.read() as session:
        assert session.execute(text("SELECT count(*) FROM tagging")).scalar_one() == 4
        assert session.execute(text("SELECT count(*) FROM incoming_sample")).scalar_one() == 0


def test_tags_of_images_with_class_labels_are_skipped(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_pairs(tmp_path / "scenes", {"1": None, "2": None})
    (root / "manifest.csv").write_text("path,label,tags\nimages/1.png,cat,cat\nimages/2.png,dog,\n")
    done = run(app_context, root / "manifest.csv")
    assert done.status is JobStatus.DONE
    assert "tags without masks" in {one.kind for one in imports.problems(app_context, done.id)}


def draw_smoothed(root: Path, count: int = 6) -> Path:
    mask = np.repeat(np.array([[0, 0, 0, 0, 60, 180, 255, 255, 255, 255, 255, 255]], np.uint8), HEIGHT, axis=0)
    for number in range(count):
        draw_pair(root, f"{number:02}", mask)
    return root


def test_an_open_question_blocks_a_new_dataset_until_an_option_answers_it(
    app_context: AppContext, tmp_path: Path
) -> None:
    root = draw_smoothed(tmp_path / "set")
    failed = run(app_context, root)
    assert failed.status is JobStatus.FAILED
    assert "smoothed edges" in failed.message
    [question] = imports.open_questions(failed)
    assert ("threshold_masks", "ignore") in [(answer.option, answer.value) for answer in question.answers]
    assert datasets.list_datasets(app_context) == []
    done = run(app_context, root, threshold_masks="ignore")
    assert done.status is JobStatus.DONE, done.message
    assert done.report is not None
    assert done.report["pixels"] == {"background": 6 * 4 * HEIGHT, "object": 6 * 6 * HEIGHT, "": 6 * 2 * HEIGHT}


def test_answers_are_stored_with_the_dataset_and_apply_to_later_imports(
    app_context: AppContext, tmp_path: Path
) -> None:
    root = draw_smoothed(tmp_path / "set")
    run(app_context, root, threshold_masks="half")
    assert datasets.get_dataset(app_context, 1).options["threshold_masks"] == "half"
    before = stored_masks(app_context)
    for later in (lambda: again(app_context), lambda: run(app_context, root)):
        done = later()
        assert done.status is JobStatus.DONE, done.message
        assert done.report is not None
        assert done.report["changes"]["unchanged"] == 6
        assert all((stored_masks(app_context)[name] == mask).all() for name, mask in before.items())
    assert datasets.get_dataset(app_context, 1).options["threshold_masks"] == "half"


def test_the_answer_0_is_stored() -> None:
    known = ImportRequest(name="a", source="/a", first_id=0, boxes="skip").to_json()
    again = ImportRequest(name="a", source="/a", boxes="ignore").remembering(known)
    assert (again.first_id, again.boxes) == (0, "ignore")


def test_a_dataset_from_before_questions_existed_keeps_its_classes(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_smoothed(tmp_path / "set")
    request = ImportRequest(name="scenes", source=str(root), reading=1)
    first = imports.run_import(app_context, imports.add_import(app_context, request))
    assert first.status is JobStatus.DONE, first.message
    classes = datasets.get_dataset(app_context, 1).classes
    assert len(classes) == 181
    with app_context.database.write() as session:
        session.execute(text("UPDATE dataset SET options = json_remove(options, '$.reading')"))
    for later in (lambda: again(app_context), lambda: run(app_context, root)):
        done = later()
        assert done.status is JobStatus.DONE, done.message
        assert datasets.get_dataset(app_context, 1).classes == classes
        assert done.report is not None
        assert done.report["changes"]["unchanged"] == 6


def test_classes_without_pixels_and_large_unlabelled_parts_are_reported(
    app_context: AppContext, tmp_path: Path
) -> None:
    root = draw_pairs(tmp_path / "set", {f"{n}": mask_of(0, IGNORE, IGNORE) for n in range(6)})
    done = run(app_context, root)
    found = {problem.kind: problem for problem in imports.problems(app_context, done.id)}
    assert "road, car" in found["class without a pixel"].message
    assert "67%" in found["much unlabelled"].message
    assert done.report is not None
    assert done.report["pixels"] == {"sky": 6 * 4 * HEIGHT, "road": 0, "car": 0, "": 6 * 8 * HEIGHT}


def test_a_preview_shows_the_share_of_each_class_and_the_meaning_of_each_value(
    app_context: AppContext, tmp_path: Path
) -> None:
    root = draw_smoothed(tmp_path / "set", 40)
    seen = imports.preview(app_context, ImportRequest(name="scenes", source=str(root)))
    assert seen.shares is not None
    assert 16 <= seen.shares.read <= 32
    assert seen.shares.images == {"background": seen.shares.read, "object": seen.shares.read}
    assert seen.shares.pixels == {"background": pytest.approx(4 / 12), "object": pytest.approx(6 / 12)}
    assert seen.shares.unlabelled == pytest.approx(2 / 12)
    assert [question.kind for question in seen.meaning.blocking] == ["smoothed masks"]


def test_an_invalid_answer_is_refused(app_context: AppContext) -> None:
    with pytest.raises(DatasetError, match="maybe is not an answer on threshold masks; there are ignore, half, off"):
        ImportRequest(name="a", source="/a", threshold_masks="maybe")


def test_a_preview_uses_the_stored_answers_which_can_be_forgotten(app_context: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set")
    (root / "classes.txt").unlink()
    run(app_context, root, class_names="sky,road", ignore_id=2)
    request = ImportRequest(name="scenes", source=str(root))
    seen = imports.preview(app_context, request)
    assert seen.remembered == {"class_names": "sky,road", "ignore_id": 2}
    assert (seen.format, seen.detection) == (SourceFormat.MASK_PAIRS, None)
    assert seen.table is not None
    assert seen.table.names == ("sky", "road")
    assert not seen.meaning.questions
    anew = imports.preview(app_context, replace(request, forget_answers=True, class_names="sky,road,car"))
    assert anew.remembered == {}
    assert anew.table is not None
    assert anew.table.names == ("sky", "road", "car")
    assert imports.preview(app_context, replace(request, name="others")).remembered == {}
    done = run(app_context, root, forget_answers=True, class_names="sky,road,car")
    assert done.status is JobStatus.DONE, done.message
    kept = datasets.get_dataset(app_context, 1).options
    assert (kept["class_names"], kept["ignore_id"], kept.get("forget_answers")) == ("sky,road,car", None, None)
