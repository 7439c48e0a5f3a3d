from pathlib import Path

import pytest

from core.data.formats import yolo
from core.data.formats.detect import detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.types import DatasetError, Problem
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import Source

LEFT = "0 0 0 0.4 0 0.4 1 0 1\n"
NAMES = "train: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"


def make(root: Path, text: str = LEFT, names: str = NAMES) -> Path:
    for split in ("train", "val"):
        draw_all(root, [f"images/{split}/{split}1.jpg"])
        path = root / "labels" / split / f"{split}1.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(LEFT if split == "train" else text)
    (root / "data.yaml").write_text(names)
    return root


@pytest.mark.parametrize("names", [NAMES, "names: [cat, dog]\n"])
def test_polygon_coordinates_are_fractions_of_width_and_height(tmp_path: Path, names: str) -> None:
    root = make(tmp_path, LEFT + "1 0.8 0 1 0 1 1 0.8 1\n", names)
    draw_all(root, ["images/train/bare.jpg", "images/train/empty.jpg"])
    (root / "labels/train/empty.txt").touch()
    assert detect(root).format is SourceFormat.YOLO
    source = Source(root, yolo)
    assert source.table.names == ("background", "cat", "dog")
    assert source.masks["images/train/train1.jpg"][0].tolist() == [1, 1, 0, 0, 0]
    assert source.masks["images/val/val1.jpg"][0].tolist() == [1, 1, 0, 0, 2]
    assert (source.masks["images/train/empty.jpg"] == 0).all()
    assert source.samples["images/train/bare.jpg"].mask is None
    assert source.samples["images/val/val1.jpg"].split == "val"


def test_a_class_named_background_is_the_background(tmp_path: Path) -> None:
    source = Source(make(tmp_path, names="names: [cat, Background]\n"), yolo)
    assert source.table.names == ("cat", "Background")
    assert source.masks["images/val/val1.jpg"][0].tolist() == [0, 0, 1, 1, 1]


def test_boxes_are_asked_about(tmp_path: Path) -> None:
    root = make(tmp_path, LEFT + "1 0.9 0.5 0.2 1\n")
    (question,) = yolo.read(root, ReadOptions()).meaning.questions
    assert [f"{answer.option} {answer.value}" for answer in question.answers] == ["boxes ignore", "boxes skip"]
    assert Source(root, yolo).fault.kind == "box without a shape"
    ignored = Source(root, yolo, ReadOptions(boxes="ignore"))
    assert ignored.masks["images/val/val1.jpg"][0].tolist() == [1, 1, 0, 0, 255]
    assert Source(root, yolo, ReadOptions(boxes="skip")).masks["images/val/val1.jpg"][0].tolist() == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    "line", ["0 a b c d e f", "7 0 0 1 0 1 1", "0 0 0 1 0 1 1 1", "x", "inf 0 0 1 0 1 1", "0 nan 0 1 0 1 1"]
)
def test_an_image_with_a_bad_line_has_no_mask(tmp_path: Path, line: str) -> None:
    source = Source(make(tmp_path, line), yolo)
    assert list(source.masks) == ["images/train/train1.jpg"]
    assert source.fault.cure


@pytest.mark.parametrize("names", ["names: [a, a]", "names: {1: cat}", "7", "a: [", "names: []"])
def test_an_unreadable_class_list_is_refused(tmp_path: Path, names: str) -> None:
    with pytest.raises(DatasetError, match="write names"):
        yolo.read(make(tmp_path, names=names), ReadOptions())


BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'lol'}]\n" for n in range(9)) + "names: *a8\n"
MERGES = "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9) if n else '{k: v}'}]}}\n" for n in range(9))


@pytest.mark.parametrize(
    "names",
    [BOMB, MERGES, "names: [[cat], dog]", "names: {0: {a: b}}", "names: [null]", "names: [0x" + "f" * 9999 + "]"],
)
def test_nested_names_and_yaml_aliases_are_refused_before_expansion(tmp_path: Path, names: str) -> None:
    with pytest.raises(DatasetError, match="write names"):
        yolo.read(make(tmp_path, names=names), ReadOptions())


def test_a_list_of_classes_over_a_megabyte_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="too large"):
        yolo.read(make(tmp_path, names=NAMES + "#" * (1 << 20)), ReadOptions())


def test_boxes_alone_are_not_masks(tmp_path: Path) -> None:
    root = make(tmp_path, "0 0.5 0.5 0.1 0.1")
    (root / "labels/train/train1.txt").write_text("0 0.5 0.5 0.1 0.1")
    assert detect(root).format is SourceFormat.UNLABELLED
    (problem, *_) = yolo_problems(root)
    assert problem.kind == "annotations not read"
    assert "polygons" in problem.cure


def yolo_problems(root: Path) -> list[Problem]:
    from core.data.formats import unlabelled

    return unlabelled.read(root, ReadOptions()).problems.kept


def test_a_folder_per_split_as_exported_by_roboflow_is_read(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        draw_all(tmp_path, [f"{split}/images/{split}1.jpg"])
        path = tmp_path / split / "labels" / f"{split}1.txt"
        path.parent.mkdir()
        path.write_text(LEFT)
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', 'dog']\n")
    assert detect(tmp_path).format is SourceFormat.YOLO
    source = Source(tmp_path, yolo)
    assert source.kinds == {}
    assert {name: sample.split for name, sample in source.samples.items()} == {
        "train/images/train1.jpg": "train",
        "valid/images/valid1.jpg": "val",
    }
    assert [mask[0].tolist() for mask in source.masks.values()] == [[1, 1, 0, 0, 0]] * 2
