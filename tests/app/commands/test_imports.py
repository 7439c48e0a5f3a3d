"""`import` and `datasets` for masks: output of a dry run and of an import."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.commands import imports as import_commands, lookup
from app.services import datasets
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import GoneClass
from core.data.formats.source import ANSWERS
from core.data.remote import Remote
from db.queries import snapshots
from tests.app.commands.running import run, run_json
from tests.app.pairs import draw_pair, draw_stripes, mask_of
from tests.core.data.formats.drawn import draw_all
from tools.fixtures.object_store import ObjectStore

pytest_plugins = ["tests.object_store"]


@pytest.fixture
def opened(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppContext:
    monkeypatch.setattr(lookup, "app_context", lambda: app_context)
    return app_context


def test_a_dry_run_shows_the_classes_and_problems_of_masks(opened: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set", 6)
    draw_pair(root, "bad", mask_of(0, 9))
    draw_pair(root, "none", None)
    told = run_json("import", root, "--dry-run")
    assert (told["format"], told["images"], told["masks"], told["classes"]) == ("mask-pairs", 8, 7, {})
    assert list(told["colours"]) == ["sky", "road", "car"]
    assert [problem["kind"] for problem in told["problems"]] == ["missing mask", "ids outside the classes"]
    seen = run("import", root, "--dry-run")
    assert "7 of them with a mask" in seen.stdout
    assert "#" in seen.stdout
    assert "ids outside the classes" not in seen.stdout
    assert datasets.list_datasets(opened) == []


def test_the_suggested_next_command_runs_on_the_import(opened: AppContext, tmp_path: Path) -> None:
    labelled, bare = draw_stripes(tmp_path / "set", 6), tmp_path / "bare"
    shutil.copytree(labelled / "images", bare)
    assert run("import", labelled).stderr.endswith("next: python -m app round set\n")
    assert run("import", bare).stderr.endswith("next: python -m app label bare --class NAME --class ANOTHER\n")


def test_a_dry_run_lists_only_the_present_classes_if_ids_have_wide_gaps(opened: AppContext, tmp_path: Path) -> None:
    for number in range(3):
        draw_pair(tmp_path / "set", str(number), mask_of(0, 1).astype(np.uint16) * 1000)
    lines = run("import", tmp_path / "set", "--dry-run").stdout.splitlines()
    assert [line.split()[0] for line in lines if "#" in line] == ["0", "1000"]
    assert "and 999 more classes" in lines
    told = run("import", tmp_path / "set").stdout
    assert [line.split()[0] for line in told.splitlines() if "%" in line] == ["0", "1000"]
    assert "and 999 classes without a pixel" in told


def test_the_number_of_problems_is_in_the_singular_or_plural(
    opened: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_stripes(tmp_path / "set", 6)
    draw_pair(root, "bad", mask_of(0, 9))
    run("import", root)
    one, *_ = imports.problems(opened, 1)
    for found, told in (([], "no problems\n"), ([one], "1 problem\n"), ([one, one], "2 problems\n")):
        monkeypatch.setattr(imports, "problems", lambda *_, found=found, **__: found)
        assert run("datasets", "problems", "set").stderr == told


def test_the_meaning_of_pixels_can_be_given_as_options(
    opened: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_stripes(tmp_path / "set", 6)
    (root / "classes.txt").unlink()
    for path in (root / "masks").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) + 10).save(path)
    (tmp_path / "names.txt").write_text("".join(f"class {number}\n" for number in range(12)))
    monkeypatch.chdir(tmp_path)
    told = run_json("import", root, "--class-names", "names.txt", "--ignore-id", "12")
    assert (told["report"]["images"], told["report"]["masks"]) == (6, 6)
    assert told["report"]["classes"]["class 10"] == 6
    info = datasets.get_dataset(opened, told["dataset"])
    assert (info.options["class_names"], info.options["ignore_id"]) == (str(tmp_path / "names.txt"), 12)
    [listed] = run_json("datasets")
    assert (listed["images"], listed["masks"]) == (6, 6)
    assert "6 images, 6 with a mask, 12 classes" in run("datasets", "show", "set").stdout


def test_colours_without_a_map_are_refused_with_the_choices(opened: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set", 4)
    (root / "classes.txt").unlink()
    for path in (root / "masks").iterdir():
        Image.fromarray(np.stack([np.asarray(Image.open(path)) * 90] * 2 + [np.full((8, 12), 7, np.uint8)], 2)).save(
            path
        )
    assert "colour map" in run("import", root, code=1).stderr
    failed = run("import", root, "--format", "nothing", code=1).stderr
    assert "there is no format nothing" in failed
    assert "camvid" in failed


def test_adding_images_keeps_the_problems_of_the_dataset(opened: AppContext, tmp_path: Path) -> None:
    root, folder = draw_stripes(tmp_path / "set"), draw_all(tmp_path / "new", ["1.png", "2.png"])
    draw_pair(root, "none", None)
    (folder / "empty.png").touch()
    run("import", root)
    run("import", folder, "--name", "set", "--unlabelled")
    assert [one["kind"] for one in run_json("datasets", "problems", "set")] == ["missing mask", "empty file"]
    assert [listed["problems"] for listed in run_json("datasets")] == [2]
    assert [one["kind"] for one in run_json("datasets", "problems", "set", "--import", "1")] == ["missing mask"]


def test_a_moved_dataset_and_a_renamed_class_are_reported_with_existing_commands(
    opened: AppContext, tmp_path: Path
) -> None:
    root = draw_all(tmp_path / "pets", [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(6)])
    run("import", root)
    root.rename(tmp_path / "moved")
    told = run("import", root, code=1)
    assert "python -m app datasets move DATASET FOLDER" in told.stderr
    assert run_json("datasets", "move", "pets", tmp_path / "moved")["report"]["changes"]["moved"] == 12
    (tmp_path / "moved" / "cat").rename(tmp_path / "moved" / "kitten")
    told = run("import", tmp_path / "moved", "--name", "pets", code=1)
    assert "--rename-class cat=kitten" in told.stderr
    assert "--keep-class cat" in told.stderr
    run("import", tmp_path / "moved", "--name", "pets", "--rename-class", "cat=kitten")
    assert datasets.get_dataset(opened, 1).classes == ("kitten", "dog")


def test_a_table_is_moved_with_its_image_root(opened: AppContext, tmp_path: Path) -> None:
    draw_all(tmp_path / "images", ["1.png", "2.png"])
    (tmp_path / "labels.csv").write_text("path,label\n/home/1.png,a\n/home/2.png,b\n")
    run("import", tmp_path / "labels.csv", "--name", "set", "--image-root", tmp_path / "images")
    (tmp_path / "images").rename(tmp_path / "moved")
    told = run_json("datasets", "move", "set", tmp_path / "labels.csv", "--image-root", tmp_path / "moved")
    assert told["report"]["changes"]["vanished"] == 0
    assert datasets.get_dataset(opened, 1).options["image_root"] == str(tmp_path / "moved")


def test_masks_in_a_bucket_are_imported_by_url_with_class_names_from_another_folder(
    opened: AppContext, bucket: ObjectStore, tmp_path: Path
) -> None:
    root = draw_stripes(tmp_path / "set", 6)
    for path in root.rglob("*.png"):
        Remote(bucket.url).put(f"scenes/{path.relative_to(root).as_posix()}", path)
    Remote(bucket.url).put("names/classes.txt", root / "classes.txt")
    told = run_json("import", f"{bucket.url}/scenes", "--class-names", f"{bucket.url}/names/classes.txt", "--dry-run")
    assert (told["name"], told["masks"], list(told["colours"])) == ("scenes", 6, ["sky", "road", "car"])


def test_the_image_folder_of_a_table_can_be_relative_to_the_working_directory(
    opened: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_all(tmp_path / "photos", ["1.png", "2.png"])
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "labels.csv").write_text("path,label\nC:/1.png,cat\nC:/2.png,dog\n")
    monkeypatch.chdir(tmp_path / "tables")
    run("import", "labels.csv", "--image-root", "../photos")
    with opened.database.read() as session:
        paths = [one.path for one in snapshots.samples_of(session, 1)]
    assert paths == [str(tmp_path / "photos" / name) for name in ("1.png", "2.png")]


def test_an_archive_in_a_bucket_is_unpacked_like_a_local_one(
    opened: AppContext, bucket: ObjectStore, tmp_path: Path
) -> None:
    root = draw_stripes(tmp_path / "set", 6)
    Remote(bucket.url).put("set.zip", Path(shutil.make_archive(str(tmp_path / "set"), "zip", root)))
    assert "6 images in 3 classes, 6 of them with a mask" in run("import", f"{bucket.url}/set.zip").stdout
    folder = Path(datasets.list_datasets(opened)[0].dataset.root)
    assert folder.is_relative_to(opened.files / "uploads")
    assert not list(opened.files.glob("archive-*"))
    assert "there is no such archive" in run("import", f"{bucket.url}/none.zip", code=1).stderr


def test_a_dataset_is_moved_into_a_bucket(opened: AppContext, bucket: ObjectStore, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "pets", ["cat/1.png", "dog/2.png"])
    run("import", root)
    for path in root.rglob("*.png"):
        Remote(bucket.url).put(path.relative_to(root).as_posix(), path)
    assert "2 images in 2 classes" in run("datasets", "move", "pets", bucket.url).stdout


@pytest.mark.parametrize("ending", ["zip", "tar", "gztar", "xztar"])
def test_an_archive_is_unpacked_and_imported(ending: str, opened: AppContext, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "pets", [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(2)])
    archive = shutil.make_archive(str(tmp_path / "packed"), ending, root)
    told = run_json("import", archive, "--name", "pets")
    assert told["report"]["classes"] == {"cat": 2, "dog": 2}
    assert datasets.get_dataset(opened, told["dataset"]).classes == ("cat", "dog")


def test_a_dry_run_reports_each_cure(opened: AppContext, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "pets", ["cat/1.png", "dog/1.png"])
    draw_all(tmp_path / "other", ["2.png"])
    (root / "cat" / "2.png").symlink_to(tmp_path / "other" / "2.png")
    assert "--allow-outside-links" in run("import", root, "--dry-run").stderr
    assert "2 images" not in run("import", root, "--dry-run", "--allow-outside-links").stdout


def test_names_in_options_are_quoted_for_a_shell() -> None:
    ways = import_commands._class_options(GoneClass("bird's eye", 3, 3, "$(eye)", renamed=True))
    options = [word for word in shlex.split(ways.replace(", or", "")) if "eye" in word]
    assert options == ["bird's eye=$(eye)", "bird's eye"]


def test_a_question_is_printed_with_the_options_that_answer_it(opened: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set", 6)
    (root / "classes.txt").write_text("sky\nroad\n")
    seen = run("import", root, "--dry-run")
    assert "--ignore-id 2" in seen.stderr
    assert "--unnamed-ids class" in seen.stderr
    (question,) = run_json("import", root, "--dry-run")["questions"]
    assert list(question["answers"]) == ["--ignore-id 2", "--first-id 1", "--unnamed-ids class"]
    assert "--ignore-id 2" in run("import", root, code=1).stderr
    for flag in question["answers"]:
        assert run("import", root, "--name", flag, *flag.split(), "--json")


def test_an_import_prints_one_table_by_class(opened: AppContext, tmp_path: Path) -> None:
    told = run("import", draw_stripes(tmp_path / "set", 6)).stdout
    rows = [line.split() for line in told.splitlines()]
    assert ["class", "images", "pixels"] in rows
    assert ["sky", "6", "41.7%"] in rows
    assert ["car", "3", "16.7%"] in rows


def test_every_read_option_is_an_option_of_the_command() -> None:
    told = run("import", "--help").stdout
    for option in (*ANSWERS, "ignore_id"):
        assert f"--{option.replace('_', '-')}" in told


def test_the_window_of_16_bit_images_is_reported_and_can_be_changed(opened: AppContext, tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / "scans" / "a" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.tile(np.linspace(number, 1_023, 40), (40, 1)).astype(np.uint16)).save(path)
    assert run_json("import", tmp_path / "scans", "--dry-run")["window"] == "0-1023"
    assert run_json("import", tmp_path / "scans")["report"]["window"] == "0-1023"
    assert run_json("datasets", "window", "scans") == {"dataset": "scans", "window": "0-1023"}
    assert "from 100-900" in run("datasets", "window", "scans", "100-900").stdout
    assert run_json("datasets", "show", "scans")["window"] == "100-900"
    assert "as in 0-4095, or full" in run("datasets", "window", "scans", "900-100", code=1).stderr


def test_masks_corrected_elsewhere_are_accepted_and_undone(opened: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set", 6)
    run("import", root)
    draw_pair(root, "01", mask_of(1))
    assert (
        "1 images have other masks in the source than here; take these with --take-masks" in run("import", root).stderr
    )
    told = run("import", root, "--take-masks", "--by", "ada").stderr
    assert "1 images corrected elsewhere: their masks are your edits now" in told
    assert "corrected" not in run("import", root).stderr
    assert "took 1 masks corrected elsewhere" in run("undo", "set", "--by", "ada").stdout
    assert "1 images have other masks" in run("import", root).stderr


def test_a_dry_run_reports_the_answers_of_former_imports(opened: AppContext, tmp_path: Path) -> None:
    root = draw_stripes(tmp_path / "set", 6)
    (root / "classes.txt").unlink()
    run("import", root, "--class-names", "sky,road", "--ignore-id", "2")
    told = run("import", root, "--dry-run").stderr
    assert "as in earlier imports: --ignore-id 2 --class-names sky,road; --forget-answers reads it anew" in told
    assert "earlier imports" not in run("import", root, "--dry-run", "--forget-answers").stderr
