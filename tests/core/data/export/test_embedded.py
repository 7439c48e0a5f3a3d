"""Exports as Parquet with embedded images, read by `datasets` and by an import."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from core.data.export import embedded
from core.data.export.items import ExportFormat, ExportItem, UnusablePolicy
from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.types import ExportError
from tests.core.data.export.test_write import SOURCE, export, image, item

FORM = ExportFormat.HUGGING_FACE_PARQUET


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "data").iterdir())


def read_again(folder: Path) -> list[tuple[str | None, str, bytes]]:
    options = ReadOptions(unpack_into=str(folder.with_name("unpacked")))
    listing = FORMATS[SourceFormat.HUGGINGFACE_PARQUET].read(folder, options)
    samples = list(listing.unpack(listing.samples))
    assert not listing.problems.counts
    return [(sample.label, sample.split, Path(sample.path).read_bytes()) for sample in samples]


def features(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pq.read_schema(path).metadata[b"huggingface"])["info"]["features"]
    return found


def test_images_and_names_of_classes_are_in_the_table(tmp_path: Path) -> None:
    items = [item(tmp_path / "in", f"{n}.png", n, "cat", "bird" if n else "dog") for n in range(3)]
    folder = export(items, tmp_path / "out", format=FORM)
    table = pq.read_table(folder / "data" / "train-00000-of-00001.parquet")
    declared = features(folder / "data" / "train-00000-of-00001.parquet")
    assert files(folder) == ["train-00000-of-00001.parquet"]
    assert list(declared) == table.column_names
    assert declared["image"] == {"_type": "Image"}
    assert declared["label"] == {"names": ["cat", "dog", "bird"], "_type": "ClassLabel"}
    assert table["label"].to_pylist() == [1, 2, 2]
    assert table["given"].to_pylist() == ["cat"] * 3
    assert [cell["path"] for cell in table["image"].to_pylist()] == ["0.png", "1.png", "2.png"]
    assert [cell["bytes"] for cell in table["image"].to_pylist()] == [Path(each.path).read_bytes() for each in items]


def test_each_split_is_a_file_with_a_safe_name_and_reads_back(tmp_path: Path) -> None:
    splits = ["train", "val", "", "my set", "my-set"]
    items = [item(tmp_path / "in", f"{n}.png", n, "cat", "cat", split=split) for n, split in enumerate(splits)]
    folder = export(items, tmp_path / "out", format=FORM)
    assert files(folder) == [
        f"{title}-00000-of-00001.parquet" for title in ("my_set", "my_set_2", "no_split", "train", "validation")
    ]
    assert sorted(split for _, split, _ in read_again(folder)) == sorted(splits)
    front = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    named = {one["split"]: one["path"] for one in front["configs"][0]["data_files"]}
    assert named["validation"] == ["data/validation-*.parquet"]
    assert len(named) == len(splits)


def test_unlabelled_images_have_no_class_and_names_like_missing_values_stay(tmp_path: Path) -> None:
    source = replace(SOURCE, classes=("NA", "007", "1"))
    items = [item(tmp_path / "in", f"{n}.png", n, name, name) for n, name in enumerate(("NA", "007", "1", None))]
    folder = export(items, tmp_path / "out", source, format=FORM, unlabelled=UnusablePolicy.APART)
    assert [label for label, *_ in read_again(folder)] == ["NA", "007", "1", None]


def test_large_splits_are_several_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_SHARD_BYTES", 200)
    monkeypatch.setattr(embedded, "_GROUP_ROWS", 1)
    items = [item(tmp_path / "in", f"{n:02d}.png", n, "cat", "cat") for n in range(5)]
    folder = export(items, tmp_path / "out", format=FORM)
    count = len(files(folder))
    assert count > 1
    assert files(folder) == [f"train-{n:05d}-of-{count:05d}.parquet" for n in range(count)]
    assert [data for *_, data in read_again(folder)] == [Path(each.path).read_bytes() for each in items]


def test_the_same_image_under_one_name_in_two_folders_is_two_rows(tmp_path: Path) -> None:
    items = [item(tmp_path / "in", f"{name}/1.png", 7, name, name) for name in ("cat", "dog")]
    items += [replace(items[0], path=str(image(tmp_path / "in" / "t" / "1.png", 7)), name="t/1.png", split="test")]
    folder = export([replace(each, split=each.split or "train") for each in items], tmp_path / "out", format=FORM)
    assert sorted((label, split) for label, split, _ in read_again(folder)) == [
        ("cat", "test"),
        ("cat", "train"),
        ("dog", "train"),
    ]
    assert detect(folder).format is SourceFormat.HUGGINGFACE_PARQUET


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_an_image_changed_since_the_import_stops_the_export(tmp_path: Path, how: str) -> None:
    one: ExportItem = item(tmp_path / "in", "1.png", 1, "cat", "cat")
    if how == "gone":
        Path(one.path).unlink()
    else:
        image(Path(one.path), 99)
    with pytest.raises(ExportError, match="1 of 1 images are not what was imported"):
        export([one], tmp_path / "out", format=FORM)
    assert not (tmp_path / "out").exists()
