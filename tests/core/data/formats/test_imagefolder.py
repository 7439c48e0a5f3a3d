import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from core.data.formats.detect import FORMATS, detect
from core.data.formats.mask_folders import are_roles
from core.data.formats.source import ReadOptions, SourceFormat, printable
from core.types import Cure, DatasetError
from tests.core.data.formats.drawn import draw, draw_all, kinds, labels, listing

FORM = SourceFormat.IMAGEFOLDER


def test_the_folder_is_the_class_at_any_depth(tmp_path: Path) -> None:
    root = draw_all(tmp_path, ["cat/1.png", "cat/deep/er/2.png", "dog/1.png"])
    samples, problems = listing(root, FORM)
    assert labels(samples) == {"cat/1.png": "cat", "cat/deep/er/2.png": "cat", "dog/1.png": "dog"}
    assert not problems.counts
    assert all(Path(sample.path).is_file() for sample in samples)


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "val", "test"), {"train", "val", "test"}),
        (("training", "testing"), {"train", "test"}),
        (("Train", "Valid"), {"train", "val"}),
        (("train", "validation"), {"train", "val"}),
    ],
)
def test_folders_named_like_splits_are_splits(folders: tuple[str, ...], splits: set[str], tmp_path: Path) -> None:
    root = draw_all(tmp_path, [f"{folder}/{name}/1.png" for folder in folders for name in ("cat", "dog")])
    samples, _ = listing(root, FORM)
    assert {sample.split for sample in samples} == splits
    assert {sample.label for sample in samples} == {"cat", "dog"}
    assert detect(root).format is FORM


def test_a_class_named_test_is_a_class(tmp_path: Path) -> None:
    root = draw_all(tmp_path, ["test/1.png", "rest/1.png"])
    samples, _ = listing(root, FORM)
    assert labels(samples) == {"test/1.png": "test", "rest/1.png": "rest"}


def test_a_folder_that_only_wraps_the_dataset_is_skipped(tmp_path: Path) -> None:
    root = draw_all(tmp_path, ["set/training/0/1.png", "set/testing/1/1.png"])
    samples, _ = listing(root, FORM)
    assert {(sample.name, sample.label, sample.split) for sample in samples} == {
        ("set/training/0/1.png", "0", "train"),
        ("set/testing/1/1.png", "1", "test"),
    }
    assert detect(root).format is FORM


def test_images_outside_the_class_folders_are_reported(tmp_path: Path) -> None:
    root = draw_all(tmp_path, ["train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "train/2.png", "docs/3.png"])
    samples, problems = listing(root, FORM)
    assert len(samples) == 3
    assert kinds(problems) == {"train/2.png": "outside the classes", "docs/3.png": "outside the classes"}


def test_images_in_an_unlabelled_folder_have_no_label(tmp_path: Path) -> None:
    root = draw_all(tmp_path, ["cat/1.png", "dog/1.png", "unlabelled/1.png"])
    samples, _ = listing(root, FORM)
    assert labels(samples)["unlabelled/1.png"] is None


def test_the_same_file_name_in_two_classes_is_two_samples(tmp_path: Path) -> None:
    samples, problems = listing(draw_all(tmp_path, ["cat/1.png", "dog/1.png"]), FORM)
    assert len({sample.path for sample in samples}) == 2
    assert not problems.counts


def test_an_empty_class_folder_is_warned_of(tmp_path: Path) -> None:
    draw_all(tmp_path, ["cat/1.png", "dog/1.png"])
    (tmp_path / "cow").mkdir()
    assert kinds(listing(tmp_path, FORM)[1]) == {"cow": "empty class folder"}


def test_desktop_files_are_silently_skipped(tmp_path: Path) -> None:
    draw_all(tmp_path, ["cat/1.png", "dog/1.png", ".hidden/1.png", "cat/.2.png", "__MACOSX/cat/1.png"])
    for name in (".DS_Store", "cat/Thumbs.db", "dog/desktop.ini"):
        (tmp_path / name).touch()
    samples, problems = listing(tmp_path, FORM)
    assert len(samples) == 2
    assert not problems.counts


def test_a_file_that_is_not_an_image_is_warned_of(tmp_path: Path) -> None:
    draw_all(tmp_path, ["cat/1.png", "dog/1.png"])
    (tmp_path / "cat" / "notes.txt").touch()
    (tmp_path / "cat" / "noending").touch()
    assert kinds(listing(tmp_path, FORM)[1]) == {"cat/notes.txt": "not an image", "cat/noending": "not an image"}


def test_links_that_leave_the_root_are_refused_unless_allowed(tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["cat/1.png", "dog/1.png"])
    outside = draw(tmp_path / "outside" / "2.png")
    (root / "cat" / "file.png").symlink_to(outside)
    (root / "dog" / "folder").symlink_to(outside.parent)
    samples, problems = listing(root, FORM)
    assert len(samples) == 2
    assert set(kinds(problems).values()) == {"link leaves the folder"}
    samples, problems = listing(root, FORM, ReadOptions(allow_outside_links=True))
    assert len(samples) == 4
    assert not problems.counts


def test_allowed_roots_apply_even_if_links_are_allowed(tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["cat/1.png", "dog/1.png"])
    (root / "cat" / "file.png").symlink_to(draw(tmp_path / "outside" / "2.png"))
    options = ReadOptions(allow_outside_links=True, allowed_roots=(str(root),))
    assert kinds(listing(root, FORM, options)[1]) == {"cat/file.png": "link leaves the folder"}


def test_links_within_the_root_are_read_once_and_loops_end(tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["cat/1.png", "dog/1.png"])
    (root / "cat" / "again.png").symlink_to(root / "dog" / "1.png")
    (root / "cat" / "up").symlink_to(root)
    (root / "cat" / "self").symlink_to(root / "cat" / "self")
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    samples, problems = listing(root, FORM)
    assert labels(samples) == {"cat/1.png": "cat", "cat/again.png": "cat", "dog/1.png": "dog"}
    assert kinds(problems) == {"cat/up": "link to a folder", "cat/self": "broken link", "cat/gone.png": "broken link"}


def test_a_loop_through_the_outside_ends_too(tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["cat/1.png", "dog/1.png"])
    (root / "cat" / "out").symlink_to(tmp_path)
    samples, _ = listing(root, FORM, ReadOptions(allow_outside_links=True))
    assert {sample.name for sample in samples} >= {"cat/1.png", "dog/1.png"}
    assert len(samples) < 10


def test_the_order_depends_on_names_only(tmp_path: Path) -> None:
    names = ["b/2.png", "a/10.png", "a/9.png", "c/x/1.png", "a.b/1.png"]
    one, two = draw_all(tmp_path / "1", names), draw_all(tmp_path / "2", reversed(names))
    assert [sample.name for sample in listing(one, FORM)[0]] == [sample.name for sample in listing(two, FORM)[0]]


def test_names_that_are_not_text_are_reported(tmp_path: Path) -> None:
    root = draw_all(tmp_path, ["cat/1.png", "dog/1.png"])
    strange = os.fsencode(root) + b"/cat/\xff.png"
    Path(os.fsdecode(strange)).write_bytes((root / "cat" / "1.png").read_bytes())
    Path(os.fsdecode(os.fsencode(root) + b"/\xfe")).mkdir()
    samples, problems = listing(root, FORM)
    assert len(samples) == 2
    assert set(kinds(problems).values()) <= {"name is not UTF-8", "empty class folder"}
    assert all(printable(problem.path) == problem.path for problem in problems.kept)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sets(
        st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=40).filter(
            lambda name: name.strip(".") and not name.startswith(".") and len(name.encode()) < 200
        ),
        min_size=2,
        max_size=4,
    )
)
def test_any_file_name_is_kept_unchanged(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    ignored = {"thumbs.db", "desktop.ini", "__macosx", "train", "training", "val", "valid", "validation", "test"}
    names = {name for name in names if name.lower() not in ignored}
    root = tmp_path_factory.mktemp("names") / "set"
    for name in names:
        draw(root / "a" / f"{name}.png")
        draw(root / f"-{name}" / "1.png")
    if names:
        samples, problems = listing(root, FORM)
        assert labels(samples) == {f"a/{name}.png": "a" for name in names} | {
            f"-{name}/1.png": f"-{name}" for name in names
        }
        assert not problems.counts


def test_a_file_or_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="without labels"):
        listing(tmp_path, FORM)
    with pytest.raises(DatasetError, match="is a file"):
        listing(draw(tmp_path / "1.png"), FORM)


def test_the_class_level_is_asked_for_when_folders_hold_only_folders(tmp_path: Path) -> None:
    root = draw_all(tmp_path, ["animal/cat/1.png", "animal/dog/2.png", "vehicle/car/3.png"])
    with pytest.raises(DatasetError, match=f"{Cure.CLASS_LEVEL}: 1 for animal, vehicle; 2 for car, cat, dog"):
        listing(root, FORM, ReadOptions(class_level=0))
    assert set(labels(listing(root, FORM, ReadOptions(class_level=1))[0]).values()) == {"animal", "vehicle"}
    assert set(labels(listing(root, FORM, ReadOptions(class_level=2))[0]).values()) == {"cat", "dog", "car"}
    draw(tmp_path / "animal" / "4.png")
    assert set(labels(listing(root, FORM, ReadOptions(class_level=0))[0]).values()) == {"animal", "vehicle"}
    found, problems = listing(root, FORM, ReadOptions(class_level=2))
    assert len(found) == 3
    assert kinds(problems) == {"animal/4.png": "outside the classes"}


def test_a_single_class_folder_is_a_class_and_a_folder_named_images_is_not(tmp_path: Path) -> None:
    assert detect(draw_all(tmp_path / "one", ["cat/1.png"])).format is FORM
    assert detect(draw_all(tmp_path / "split", ["train/cat/1.png"])).format is FORM
    assert detect(draw_all(tmp_path / "bare", ["images/1.png"])).format is SourceFormat.UNLABELLED
    assert detect(draw_all(tmp_path / "mixed", ["1.png", "cat/2.png"])).format is SourceFormat.UNLABELLED


@pytest.mark.parametrize("pair", [("with_mask", "without_mask"), ("mask", "no_mask"), ("cat_gt", "dog_gt")])
def test_class_names_that_end_like_mask_folders_are_classes(tmp_path: Path, pair: tuple[str, str]) -> None:
    flat = draw_all(tmp_path / "flat", [f"{name}/{number}.png" for name in pair for number in range(2)])
    split = draw_all(tmp_path / "split", [f"{part}/{name}/1.png" for name in pair for part in ("train", "val")])
    for root in (flat, split):
        assert detect(root).format is FORM
        assert set(labels(listing(root, FORM)[0]).values()) == set(pair)


@pytest.mark.parametrize("names", [("images", "cell_masks"), ("train_labels", "data"), ("train_labels",)])
def test_mask_folders_beside_their_images_are_not_classes(names: tuple[str, ...]) -> None:
    assert are_roles(names)


def test_an_empty_class_folder_is_a_class_without_images(tmp_path: Path) -> None:
    root = draw_all(tmp_path, ["cat/1.png", "dog/1.png"])
    (root / "cow").mkdir()
    assert FORMATS[FORM].read(root, ReadOptions(literal_labels=False)).empty_classes == ("cow",)
    assert FORMATS[FORM].read(root, ReadOptions()).empty_classes == ()  # as an earlier version read it


def test_composed_and_decomposed_letters_are_one_class(tmp_path: Path) -> None:
    root = draw_all(tmp_path, ["caf\u00e9/1.png", "cafe\u0301/2.png", "tea/3.png"])
    assert set(labels(listing(root, FORM, ReadOptions(literal_labels=False))[0]).values()) == {"caf\u00e9", "tea"}


def test_an_images_folder_in_each_class_is_not_a_class_level(tmp_path: Path) -> None:
    root = draw_all(tmp_path, ["animals/cat/images/1.png", "animals/dog/images/2.png"])
    assert set(labels(listing(root, FORM, ReadOptions(class_level=0))[0]).values()) == {"cat", "dog"}
