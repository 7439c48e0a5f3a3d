import json
from pathlib import Path

import pytest

from core.data.formats.detect import detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.types import DatasetError
from tests.core.data.formats.drawn import draw_all, kinds, labels, listing

FORM = SourceFormat.HUGGINGFACE


def test_a_csv_beside_the_images_is_read(tmp_path: Path) -> None:
    draw_all(tmp_path, ["1.png", "sub/2.png"])
    (tmp_path / "metadata.csv").write_text("file_name,label\n1.png,a\nsub/2.png,b\n")
    samples, problems = listing(tmp_path, FORM)
    assert labels(samples) == {"1.png": "a", "sub/2.png": "b"}
    assert not problems.counts
    assert detect(tmp_path).format is FORM


def test_json_lines_in_each_split_are_read(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        draw_all(tmp_path, [f"{split}/1.png"])
        row = json.dumps({"file_name": "1.png", "breed": 3})
        (tmp_path / split / "metadata.jsonl").write_text(row + "\n\n")
    samples, _ = listing(tmp_path, FORM)
    assert [(s.name, s.label, s.split) for s in samples] == [
        ("train/1.png", "3", "train"),
        ("validation/1.png", "3", "val"),
    ]


def test_the_split_is_read_from_the_path(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,label\ntesting/1.png,a\n")
    assert [sample.split for sample in listing(tmp_path, FORM)[0]] == ["test"]


def test_images_are_unlabelled_without_another_column(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name\n1.png\n")
    assert labels(listing(tmp_path, FORM)[0]) == {"1.png": None}


def test_an_ambiguous_label_column_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,text,breed\n1.png,hello,a\n")
    with pytest.raises(DatasetError, match="which column is the label"):
        listing(tmp_path, FORM)


def test_rows_never_refer_to_files_outside_the_folder(tmp_path: Path) -> None:
    root = draw_all(tmp_path / "set", ["1.png"])
    draw_all(tmp_path, ["2.png"])
    (root / "link.png").symlink_to(tmp_path / "2.png")
    (root / "metadata.csv").write_text(f"file_name,label\n1.png,a\n../2.png,a\n{tmp_path}/2.png,b\nlink.png,b\n")
    samples, problems = listing(root, FORM)
    assert labels(samples) == {"1.png": "a"}
    assert set(kinds(problems).values()) == {"link leaves the folder"}


def test_damaged_lines_are_reported(tmp_path: Path) -> None:
    rows = ['{"file_name": "1.png", "label": "a"}', "{", "[1]", '{"file_name": "2\\ud800.png", "label": "a"}']
    (tmp_path / "metadata.jsonl").write_text("\n".join(rows))
    samples, problems = listing(tmp_path, FORM)
    assert labels(samples) == {"1.png": "a"}
    assert [problem.kind for problem in problems.kept] == ["damaged row", "damaged row", "name is not UTF-8"]


def test_a_folder_without_metadata_is_refused_with_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="metadata"):
        listing(tmp_path, FORM)


@pytest.mark.parametrize(
    "rows",
    [
        ["image,width", *(f"{name}/{at}.png,{32 + at}" for name in ("cat", "dog") for at in range(5))],
        ["image,blurry,cropped", *(f"{name}/{at}.png,{at % 2},{at % 2}" for name in ("cat", "dog") for at in range(5))],
        ["file_name,day,night", *(f"{name}/{at}.png,1,0" for name in ("cat", "dog") for at in range(5))],
    ],
)
def test_metadata_without_labels_keeps_the_classes_of_class_folders(rows: list[str], tmp_path: Path) -> None:
    draw_all(tmp_path, [f"{name}/{at}.png" for name in ("cat", "dog") for at in range(5)])
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    assert detect(tmp_path).format is SourceFormat.IMAGEFOLDER
    chosen = rows[0].split(",")[1]
    assert detect(tmp_path, ReadOptions(label_column=chosen)).format is FORM
    assert detect(tmp_path, ReadOptions(label_column="elsewhere")).format is SourceFormat.IMAGEFOLDER


def test_one_hot_columns_are_classes(tmp_path: Path) -> None:
    draw_all(tmp_path, ["1.png", "2.png"])
    (tmp_path / "metadata.csv").write_text("image,cat,dog\n1.png,1,0\n2.png,0,1\n")
    assert detect(tmp_path).format is FORM
    assert labels(listing(tmp_path, FORM)[0]) == {"1.png": "cat", "2.png": "dog"}
    (tmp_path / "metadata.csv").write_text("image,blurry,cropped\n1.png,1,0\n2.png,0,0\n")
    assert detect(tmp_path).format is SourceFormat.UNLABELLED
    (tmp_path / "metadata.csv").rename(tmp_path / "_classes.csv")
    assert detect(tmp_path).format is FORM
