from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import Problems, ReadOptions, SourceFormat, SourceListing
from core.data.masks.reading import read_masks
from core.types import Cure, DatasetError, SourceSample
from tests.core.data.formats.embedded_tables import cell, class_label, encoded, png, write

FORM = SourceFormat.HUGGINGFACE_PARQUET
FEATURES: dict[str, Any] = {"image": {"_type": "Image"}, "label": class_label()}


def listed(source: Path, store: Path, **options: Any) -> tuple[list[SourceSample], Problems]:
    read = opened(source, store, **options)
    return list(read.unpack(read.samples)), read.problems


def opened(source: Path, store: Path, **options: Any) -> SourceListing:
    return FORMATS[FORM].read(source, ReadOptions(unpack_into=str(store), **{"literal_labels": False, **options}))


def said(samples: list[SourceSample]) -> list[tuple[str, str | None, str]]:
    return [(sample.name, sample.label, sample.split) for sample in samples]


def test_a_table_with_embedded_images_is_read_with_its_class_names(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", {"image": [cell(0, "a.png"), cell(1, "b.png")], "label": [2, 0]}, FEATURES)
    samples, problems = listed(path, tmp_path / "store")
    assert detect(path).format is FORM
    assert said(samples) == [("a.png", "bird", ""), ("b.png", "cat", "")]
    assert [Path(sample.path).read_bytes() for sample in samples] == [png(0), png(1)]
    assert not problems.counts


def test_shards_in_a_folder_have_the_split_in_their_name(tmp_path: Path) -> None:
    names = {
        "data/train-00000-of-00002.parquet": "train",
        "data/train-00001-of-00002-a1b2c3.parquet": "train",
        "data/validation-00000-of-00001.parquet": "val",
        "default/test/0000.parquet": "test",
        "default/dev_0.parquet": "val",
        "unsupervised-00000-of-00001.parquet": "unsupervised",
        "part.parquet": "",
    }
    for seed, name in enumerate(names):
        write(tmp_path / "in" / name, {"image": [cell(seed, "1.png")], "label": [0]}, FEATURES)
    samples, problems = listed(tmp_path / "in", tmp_path / "store")
    assert detect(tmp_path / "in").format is FORM
    assert sorted(sample.split for sample in samples) == sorted(names.values())
    assert not problems.counts


def test_plain_bytes_and_class_names_as_text_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.parquet", {"img": [png(0), png(1)], "category": ["hound", None], "split": ["train", "test"]}
    )
    samples, _ = listed(path, tmp_path / "store")
    assert said(samples) == [("train/000000", "hound", "train"), ("test/000000", None, "test")]
    assert [Path(sample.path).suffix for sample in samples] == [".png", ".png"]


def test_a_class_named_like_a_missing_value_keeps_its_name(tmp_path: Path) -> None:
    features = FEATURES | {"label": class_label(["NA", "1.0", "x"])}
    path = write(
        tmp_path / "t.parquet", {"image": [cell(seed) for seed in range(4)], "label": [0, 1, -1, None]}, features
    )
    samples, problems = listed(path, tmp_path / "store")
    assert [sample.label for sample in samples] == ["NA", "1.0", None, None]
    assert opened(path, tmp_path / "store").empty_classes == ("NA", "1.0", "x")
    assert not problems.counts


def test_a_single_class_column_is_the_label_and_several_require_a_choice(tmp_path: Path) -> None:
    rows = {"image": [cell(0), cell(1)], "fine": [0, 1], "coarse": [1, 2]}
    one = write(tmp_path / "one.parquet", rows, {"image": {"_type": "Image"}, "fine": class_label()})
    both = write(tmp_path / "both.parquet", rows, {"fine": class_label(), "coarse": class_label()})
    assert [sample.label for sample in listed(one, tmp_path / "store")[0]] == ["cat", "dog"]
    with pytest.raises(DatasetError, match=rf"fine, coarse\? Choose it: {Cure.LABEL_COLUMN}"):
        opened(both, tmp_path / "store")
    chosen, _ = listed(both, tmp_path / "store", label_column="coarse")
    assert [sample.label for sample in chosen] == ["dog", "bird"]


def test_a_label_beyond_the_class_names_is_reported_with_its_row(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", {"image": [cell(0), cell(1)], "label": [7, 1]}, FEATURES)
    samples, problems = listed(path, tmp_path / "store")
    assert [sample.label for sample in samples] == ["dog"]
    assert [(each.kind, each.path) for each in problems.kept] == [("no such class", "t.parquet, row 1")]


def test_missing_bytes_repeated_rows_and_parent_paths_are_reported_together(tmp_path: Path) -> None:
    images = [
        cell(0, "a.png"), None, {"bytes": None, "path": "b.png"}, cell(0, "a.png"), cell(0, "a.png"),
        cell(1, "../../etc/c.png"), cell(0, "other.png"),
    ]  # fmt: skip
    path = write(tmp_path / "t.parquet", {"image": images, "label": [0, 0, 0, 0, 1, 1, 2]}, FEATURES)
    samples, problems = listed(path, tmp_path / "store")
    assert said(samples) == [("a.png", "cat", ""), ("c.png", "dog", ""), ("other.png", "bird", "")]
    assert [(each.kind, each.path) for each in problems.kept] == [
        ("no image", "t.parquet, row 2"),
        ("no image", "t.parquet, row 3"),
        ("listed twice", "a.png"),
        ("listed with two labels", "a.png"),
        ("path goes up", "t.parquet, row 6"),
    ]
    assert all(Path(sample.path).is_relative_to(tmp_path / "store") for sample in samples)


def test_a_damaged_page_loses_only_the_rows_of_its_row_group(tmp_path: Path) -> None:
    rows = {"image": [cell(seed, f"{seed}.png") for seed in range(30)], "label": [seed % 3 for seed in range(30)]}
    path = write(tmp_path / "t.parquet", rows, FEATURES, rows_a_group=10)
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = (chunk.dictionary_page_offset or chunk.data_page_offset) + 300
    data[start : start + 400] = b"\xff" * 400
    path.write_bytes(data)
    samples, problems = listed(path, tmp_path / "store")
    assert [sample.name for sample in samples] == [f"{seed}.png" for seed in (*range(10), *range(20, 30))]
    assert all(Path(sample.path).read_bytes() == png(int(Path(sample.name).stem)) for sample in samples)
    assert [(each.kind, each.path) for each in problems.kept] == [("damaged rows", "t.parquet")]
    assert "rows 11 to 20" in problems.kept[0].message


def test_reading_again_keeps_the_unpacked_files_and_adds_only_new_ones(tmp_path: Path) -> None:
    first = [cell(seed, f"{seed}.png") for seed in range(5)]
    path = write(tmp_path / "t.parquet", {"image": first, "label": [0] * 5}, FEATURES)
    before, _ = listed(path, tmp_path / "store")
    write(path, {"image": [cell(9, "0.png"), *first], "label": [1] * 6}, FEATURES)
    after, _ = listed(path, tmp_path / "store")
    assert [sample.path for sample in after[1:]] == [sample.path for sample in before]
    assert after[0].path not in {sample.path for sample in before}


def test_a_preview_lists_rows_without_unpacking_them(tmp_path: Path) -> None:
    rows = {"image": [cell(seed, f"{seed}.png") for seed in range(40)], "label": [0] * 40}
    read = opened(write(tmp_path / "t.parquet", rows, FEATURES), tmp_path / "store")
    samples = list(read.samples)
    assert not (tmp_path / "store").exists()
    shown = list(read.unpack([samples[33], samples[2]]))
    assert [Path(sample.path).read_bytes() for sample in shown] == [png(33), png(2)]


def test_captions_are_not_labels_and_boxes_are_reported_as_not_read(tmp_path: Path) -> None:
    images = [cell(seed) for seed in range(10)]
    captions = write(tmp_path / "c.parquet", {"image": images, "label": [f"a photo {seed}" for seed in range(10)]})
    with pytest.raises(DatasetError, match="as captions do"):
        opened(captions, tmp_path / "store")
    boxes = write(tmp_path / "b.parquet", {"image": images, "objects": [{"bbox": [1.0, 2.0]}] * 10})
    samples, problems = listed(boxes, tmp_path / "store")
    assert {sample.label for sample in samples} == {None}
    assert [(each.kind, "objects" in each.message) for each in problems.kept] == [("columns not read", True)]


def test_flags_are_not_classes_and_unused_columns_can_differ_between_shards(tmp_path: Path) -> None:
    flags = {"image": [cell(0), cell(1)], "blurred": [1, 0], "night": [1, 1]}
    samples, problems = listed(write(tmp_path / "f.parquet", flags), tmp_path / "store")
    assert [sample.label for sample in samples] == [None, None]
    assert not problems.counts
    write(tmp_path / "in" / "train-00000-of-00002.parquet", {"image": [cell(0)], "label": [0], "note": ["x"]}, FEATURES)
    write(tmp_path / "in" / "train-00001-of-00002.parquet", {"image": [cell(1)], "label": [1]}, FEATURES)
    assert [sample.label for sample in listed(tmp_path / "in", tmp_path / "store")[0]] == ["cat", "dog"]


def test_shards_of_two_datasets_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a" / "train.parquet", {"image": [cell(0)], "label": [0]}, FEATURES)
    write(tmp_path / "in" / "b" / "train.parquet", {"image": [cell(0)], "caption": ["x"]})
    with pytest.raises(DatasetError, match="two datasets"):
        opened(tmp_path / "in", tmp_path / "store")


def test_a_shard_that_a_link_brings_from_elsewhere_needs_the_option(tmp_path: Path) -> None:
    blob = write(tmp_path / "blobs" / "x.parquet", {"image": [cell(0)], "label": [0]}, FEATURES)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "train.parquet").symlink_to(blob)
    with pytest.raises(DatasetError, match=str(Cure.ALLOW_OUTSIDE_LINKS)):
        opened(tmp_path / "in", tmp_path / "store")
    samples, _ = listed(tmp_path / "in", tmp_path / "store", allow_outside_links=True)
    assert [sample.label for sample in samples] == ["cat"]


def test_tables_without_images_stay_manifests(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["1.png"], "label": ["a"]}).to_parquet(tmp_path / "labels.parquet")
    assert detect(tmp_path / "labels.parquet").format is SourceFormat.MANIFEST
    with pytest.raises(DatasetError, match="no column of a Parquet file here holds images"):
        opened(tmp_path / "labels.parquet", tmp_path / "store")


def test_cells_of_every_binary_type_are_read(tmp_path: Path) -> None:
    table = pa.table({"image": pa.array([png(0)], pa.large_binary()), "label": pa.array(["a"])})
    pq.write_table(table, tmp_path / "t.parquet")
    samples, _ = listed(tmp_path / "t.parquet", tmp_path / "store")
    assert Path(samples[0].path).read_bytes() == png(0)


def mask(seed: int) -> bytes:
    return encoded(Image.fromarray(np.random.default_rng(seed).integers(0, 3, (5, 6), np.uint8)))


@pytest.mark.parametrize("column", ["label", "annotation", "mask"])
def test_a_second_image_column_is_read_as_masks(tmp_path: Path, column: str) -> None:
    masks = [{"bytes": mask(seed), "path": None} for seed in range(3)]
    rows = {"image": [cell(seed, f"{seed}.png") for seed in range(4)], column: [*masks, None]}
    path = write(tmp_path / "in" / "train.parquet", rows)
    (tmp_path / "in" / "classes.csv").write_text("id,name\n0,road\n1,car\n2,sky\n")
    read = opened(path.parent, tmp_path / "store")
    samples = list(read.unpack(read.samples))
    assert detect(path.parent).format is FORM
    assert read.table is not None
    assert read.table.names == ("road", "car", "sky")
    found = list(read_masks(((sample.mask or {}, 6, 5) for sample in samples if sample.mask), read.table))
    assert len(found) == 3
    for seed, pixels in enumerate(found):
        with Image.open(samples[seed].mask["path"]) as image:  # type: ignore[index]
            np.testing.assert_array_equal(np.asarray(pixels), np.asarray(image))
    assert samples[3].mask is None
    assert [(each.kind, each.path) for each in read.problems.kept] == [("missing mask", "train/3.png")]


def test_ambiguous_masks_in_a_table_are_asked_about_as_in_folders(tmp_path: Path) -> None:
    greys = np.array([0] * 20 + [40, 90, 150, 210, 250] + [255] * 20, np.uint8)
    smoothed = {"bytes": encoded(Image.fromarray(np.tile(greys, (20, 1)))), "path": None}
    rows = {"image": [{"bytes": png(seed, (45, 20)), "path": None} for seed in range(3)], "mask": [smoothed] * 3}
    read = opened(write(tmp_path / "t.parquet", rows), tmp_path / "store")
    assert [question.kind for question in read.meaning.blocking]
    assert [sample.label for sample in read.samples] == [None] * 3


def test_missing_shards_are_named(tmp_path: Path) -> None:
    for number in (0, 2):
        write(tmp_path / "data" / f"train-{number:05}-of-00003.parquet", {"image": [cell(number)], "label": ["cat"]})
    samples, problems = listed(tmp_path / "data", tmp_path / "store")
    assert len(samples) == 2
    assert [kind for _, kind in problems.counts] == ["missing shards"]
    assert "1 of 3 files" in problems.kept[0].message


def test_duplicate_class_names_are_refused_and_unnamed_classes_are_numbered(tmp_path: Path) -> None:
    columns = {"image": [cell(0), cell(1)], "label": [0, 1]}
    twins = write(tmp_path / "twins.parquet", columns, FEATURES | {"label": class_label(["cat", "cat"])})
    with pytest.raises(DatasetError, match="several classes cat"):
        opened(twins, tmp_path / "store")
    features = FEATURES | {"label": {"names": ["cat", None], "_type": "ClassLabel"}}
    samples, _ = listed(write(tmp_path / "none.parquet", columns, features), tmp_path / "store")
    assert [one.label for one in samples] == ["cat", "1"]
