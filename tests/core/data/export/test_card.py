"""The dataset card: where labels come from, what is known of their quality, and nothing from outside as markup."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.data.export.card import card, class_name_notes
from core.data.export.items import ExportFormat, ExportItem, ExportOptions, Source, UnusablePolicy, plan_export
from core.data.export.write import write_export
from core.data.formats.detect import FORMATS
from core.data.formats.source import ReadOptions, SourceFormat
from tests.core.data.export.test_write import item, labels_by_hash

ACT: dict[str, Any] = {
    "changeset": 7, "round": 2, "size": 1204, "standing": 1200, "set": "suspicious from 0.95 on, given <b>",
    "threshold": 0.95, "annotator": "Ada", "decided_at": "2026-11-28T10:00:00+00:00", "certified": True,
    "certificate": {}, "precision": None, "text": "Certified: at least 95.3 % of the 1,204 then right.",
}  # fmt: skip
MANIFEST: dict[str, Any] = {
    "versions": {"outfold": "1"},
    "dataset": {"name": "[pets](javascript:x)", "classes": ["cat", "dog"], "evaluation_splits": ["test"]},
    "counts": {
        "items": 2000, "changed": 900, "by_method": {"bulk": 1200, "given": 700, "person": 100},
        "left_out": {"ambiguous": 3},
    },
    "known": {"wrong_labels": None, "bulk_acts": []},
}  # fmt: skip


def test_without_a_round_wrong_labels_are_unknown() -> None:
    text = card(MANIFEST)
    assert "Wrong labels: unknown" in text
    assert "| accepted in bulk | 1,200 |" in text
    assert "| ambiguous, left out | 3 |" in text
    assert "For evaluation only: test." in text
    assert "Accepted in bulk:" not in text


def test_each_bulk_accept_is_listed_with_its_certificate() -> None:
    known = {"wrong_labels": {"text": "Wrong labels: about 90."}, "bulk_acts": [ACT]}
    text = card(MANIFEST | {"known": known})
    (line,) = [line for line in text.splitlines() if line.startswith("- ")]
    assert "1,204" in line
    assert "round 2, Ada, 2026-11-28" in line
    assert "Certified: at least 95.3 %" in line
    assert "1,200 of them are in this export" in line
    assert "Wrong labels: about 90." in text


def test_foreign_names_are_escaped() -> None:
    text = card(MANIFEST | {"known": {"wrong_labels": None, "bulk_acts": [ACT]}})
    assert "# \\[pets\\]\\(javascript:x\\)" in text
    assert "<b>" not in text


ODD = ("7", "10", "007", "NA", "=cmd()")


def front_of(folder: Path) -> dict[str, Any]:
    _, text, _ = (folder / "README.md").read_text().split("---\n", 2)
    config: dict[str, Any]
    (config,) = yaml.safe_load(text)["configs"]
    return config


def drawn(tmp_path: Path, *labels: str | None, splits: tuple[str, ...] = ("",)) -> list[ExportItem]:
    root = tmp_path / "originals"
    return [
        item(root, f"test_{at}.train.png", at, label, label, split=splits[at % len(splits)])
        for at, label in enumerate(labels)
    ]


def export(tmp_path: Path, items: list[ExportItem], form: ExportFormat, **wishes: Any) -> Path:
    classes = tuple(dict.fromkeys(each.label for each in items if each.label))
    options = ExportOptions(format=form, **wishes)
    write_export(plan_export(Source("pets", "classification", classes), items, options), tmp_path / form, versions={})
    return tmp_path / form


def names_of(config: dict[str, Any]) -> list[str]:
    kinds = {feature["name"]: feature["dtype"] for feature in config["features"]}
    return list(kinds["label"]["class_label"]["names"].values())


def test_class_folders_name_the_files_of_each_split_and_number_classes_by_their_folders(tmp_path: Path) -> None:
    items = drawn(tmp_path, "7", "10", "7", "10", splits=("train", "val"))
    folder = export(tmp_path, items, ExportFormat.CLASS_FOLDERS)
    config = front_of(folder)
    assert config["data_files"] == [
        {"split": "train", "path": ["train/**"]},
        {"split": "validation", "path": ["val/**"]},
    ]
    assert names_of(config) == ["10", "7"]
    assert json.loads((folder / "manifest.json").read_text())["class_to_idx"] == {"10": 0, "7": 1}


def test_class_folders_without_splits_are_one_split_whatever_the_file_names(tmp_path: Path) -> None:
    config = front_of(export(tmp_path, drawn(tmp_path, "cat", "[a]*"), ExportFormat.CLASS_FOLDERS))
    (files,) = config["data_files"]
    assert files == {"split": "train", "path": ["[[]a]%2A/**", "cat/**"]}


@pytest.mark.parametrize("splits", [("",), ("train", "test")])
def test_images_set_apart_are_in_no_split_and_beside_no_class(tmp_path: Path, splits: tuple[str, ...]) -> None:
    items = drawn(tmp_path, "cat", "dog", "cat", "dog", None, None, splits=splits)
    folder = export(tmp_path, items, ExportFormat.CLASS_FOLDERS, unlabelled=UnusablePolicy.APART)
    files = [path for one in front_of(folder)["data_files"] for path in one["path"]]
    assert not any(path.startswith("_") for path in files)
    parents = [folder / path.removesuffix("/**") for path in files]
    assert {below.name for parent in parents for below in parent.iterdir()} == {"cat", "dog"}
    assert labels_by_hash(folder) == {each.content_hash: (each.label, each.split) for each in items}
    by_folder = FORMATS[SourceFormat.IMAGEFOLDER].read(folder, ReadOptions())
    assert sorted((each.label or "", each.split) for each in by_folder.samples) == sorted(
        (each.label or "", each.split) for each in items
    )


def test_an_export_of_a_former_release_is_read_by_its_own_folder_names(tmp_path: Path) -> None:
    items = drawn(tmp_path, "cat", "dog", None, splits=("train", "test"))
    folder = export(tmp_path, items, ExportFormat.CLASS_FOLDERS, unlabelled=UnusablePolicy.APART)
    (folder / "_unlabelled/%74rain").rename(folder / "_unlabelled/train")
    values = json.loads((folder / "manifest.json").read_text())
    del values["layout"]["splits_apart"]
    (folder / "manifest.json").write_text(json.dumps(values))
    listing = FORMATS[SourceFormat.IMAGEFOLDER].read(folder, ReadOptions())
    assert sorted((each.label or "", each.split) for each in listing.samples) == [
        ("", "train"), ("cat", "train"), ("dog", "test"),
    ]  # fmt: skip


def test_splits_with_odd_names_stay_distinct(tmp_path: Path) -> None:
    items = drawn(tmp_path, "cat", "cat", "cat", splits=("a b", "a-b", ""))
    config = front_of(export(tmp_path, items, ExportFormat.CLASS_FOLDERS))
    assert [one["split"] for one in config["data_files"]] == ["a_b", "a_b_2", "no_split"]


def test_metadata_is_json_lines_when_csv_cannot_hold_a_class_as_text(tmp_path: Path) -> None:
    plain = export(tmp_path, drawn(tmp_path, "cat", "dog"), ExportFormat.HUGGING_FACE)
    assert (plain / "metadata.csv").is_file()
    assert names_of(front_of(plain)) == ["cat", "dog"]
    odd = export(tmp_path / "odd", drawn(tmp_path / "odd", *ODD), ExportFormat.HUGGING_FACE)
    assert not (odd / "metadata.csv").exists()
    rows = [json.loads(line) for line in (odd / "metadata.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == list(ODD)
    assert names_of(front_of(odd)) == list(ODD)
    assert front_of(odd)["data_files"] == [{"split": "train", "path": ["metadata.jsonl", "images/**"]}]


@pytest.mark.parametrize(("raw", "last"), [(False, "'=cmd()"), (True, "=cmd()")])
def test_a_table_declares_its_labels_as_text_and_escapes_formulas(tmp_path: Path, *, raw: bool, last: str) -> None:
    folder = export(tmp_path, drawn(tmp_path, *ODD), ExportFormat.CSV, raw=raw)
    with (folder / "labels.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == [*ODD[:-1], last]
    config = front_of(folder)
    assert names_of(config) == [*ODD[:-1], last]
    assert (config["keep_default_na"], config["na_values"]) == (False, [""])


def test_the_export_plan_warns_of_class_names_that_other_programs_misread(tmp_path: Path) -> None:
    items = drawn(tmp_path, *ODD, "cat", "a/b")

    def told(form: ExportFormat, **wishes: Any) -> str:
        source = Source("pets", "classification", (*ODD, "cat", "a/b"))
        return " ".join(class_name_notes(plan_export(source, items, ExportOptions(format=form, **wishes))))

    assert "a/b as a%2Fb" in told(ExportFormat.CLASS_FOLDERS)
    assert "metadata.jsonl is written instead of CSV" in told(ExportFormat.HUGGING_FACE)
    assert "7, 10, 007 and 2 more" in told(ExportFormat.CSV)
    assert "'=cmd()" in told(ExportFormat.CSV)
    assert "'=cmd()" not in told(ExportFormat.CSV, raw=True)
    assert told(ExportFormat.PARQUET) == ""
    plain = [replace(each, label="cat", given="cat") for each in items]
    assert class_name_notes(plan_export(Source("pets", "classification", ("cat",)), plain, ExportOptions())) == ()


def test_exported_choices_are_tasks_that_label_studio_imports(tmp_path: Path) -> None:
    folder = export(tmp_path, drawn(tmp_path, "cat", "dog", splits=("train", "")), ExportFormat.LABEL_STUDIO_CHOICES)
    tasks = json.loads((folder / "tasks.json").read_text())
    assert [task["data"]["split"] for task in tasks] == ["", "train"]
    (result,) = tasks[1]["annotations"][0]["result"]
    assert (result["type"], result["from_name"], result["value"]) == ("choices", "choice", {"choices": ["cat"]})
    config = (folder / "label_config.xml").read_text()
    assert '<Choices name="choice" toName="image" choice="single"><Choice value="cat" />' in config
    listing = FORMATS[SourceFormat.LABEL_STUDIO].read(folder.resolve(), ReadOptions())
    assert sorted((each.label or "", each.split) for each in listing.samples) == [("cat", "train"), ("dog", "")]
