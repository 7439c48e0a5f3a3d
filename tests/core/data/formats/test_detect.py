from pathlib import Path

import pytest

from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions, SourceFormat, natural_order
from core.types import DatasetError
from tests.core.data.formats.drawn import draw_all, labels, listing


def test_images_without_folders_have_no_labels(tmp_path: Path) -> None:
    draw_all(tmp_path, ["1.png", "deep/2.png"])
    assert detect(tmp_path).format is SourceFormat.UNLABELLED
    draw_all(tmp_path, ["test/3.png"])
    samples, _ = listing(tmp_path, SourceFormat.UNLABELLED)
    assert set(labels(samples).values()) == {None}
    assert [sample.split for sample in samples] == ["", "", "test"]


def test_a_single_folder_of_images_is_not_a_class(tmp_path: Path) -> None:
    assert detect(draw_all(tmp_path, ["images/1.png", "images/2.png"])).format is SourceFormat.UNLABELLED


def test_metadata_takes_precedence_over_a_table_and_a_table_over_folders(tmp_path: Path) -> None:
    draw_all(tmp_path, ["cat/1.png", "dog/1.png"])
    assert detect(tmp_path).format is SourceFormat.IMAGEFOLDER
    (tmp_path / "manifest.csv").write_text("path,label\ncat/1.png,cat\n")
    assert detect(tmp_path).format is SourceFormat.MANIFEST
    (tmp_path / "metadata.csv").write_text("file_name,label\ncat/1.png,cat\n")
    found = detect(tmp_path)
    assert found.format is SourceFormat.HUGGINGFACE
    assert [name for name, _ in found.alternatives] == [
        SourceFormat.MANIFEST,
        SourceFormat.IMAGEFOLDER,
        SourceFormat.UNLABELLED,
    ]


def test_an_unrelated_table_does_not_hide_the_class_folders(tmp_path: Path) -> None:
    draw_all(tmp_path, ["cat/1.png", "dog/1.png"])
    (tmp_path / "prices.csv").write_text("day,price\n1,2\n")
    assert detect(tmp_path).format is SourceFormat.IMAGEFOLDER


def test_the_formats_are_named_when_none_fits(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="Class folders"):
        detect(tmp_path)


def test_an_archive_in_a_folder_is_named_in_the_error_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "pets.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"only the archive pets\.zip, .*import the archive itself"):
        detect(tmp_path)


def test_classes_are_in_natural_order() -> None:
    assert sorted(["10", "9", "b2", "b10", "a"], key=natural_order) == ["9", "10", "a", "b2", "b10"]


def test_folders_named_images_or_labels_are_not_classes(tmp_path: Path) -> None:
    for number, names in enumerate((["images", "labels"], ["train", "train_labels"], ["train/images", "train/masks"])):
        root = draw_all(tmp_path / str(number), [f"{name}/{file}.png" for name in names for file in range(3)])
        found = detect(root)
        assert found.format in {SourceFormat.MASK_PAIRS, SourceFormat.CAMVID}
        assert SourceFormat.IMAGEFOLDER not in dict(found.alternatives)


def test_a_class_folder_can_be_named_label(tmp_path: Path) -> None:
    assert detect(draw_all(tmp_path, ["label/1.png", "barcode/2.png"])).format is SourceFormat.IMAGEFOLDER


def test_every_format_can_be_read() -> None:
    assert set(FORMATS) == set(SourceFormat)


def test_masks_among_the_images_of_class_folders_are_warned_of(tmp_path: Path) -> None:
    draw_all(tmp_path, [f"{name}/{name}{end}.png" for name in ("benign", "malignant") for end in ("", "_mask")])
    draw_all(tmp_path, ["normal/1.png", "normal/2.png"])
    assert detect(tmp_path).format is SourceFormat.IMAGEFOLDER
    listing = FORMATS[SourceFormat.IMAGEFOLDER].read(tmp_path, ReadOptions())
    found = {problem.path for problem in listing.problems.kept if problem.kind == "masks among images"}
    assert found == {"benign", "malignant"}
    assert detect(tmp_path / "benign").format is SourceFormat.MASK_PAIRS
