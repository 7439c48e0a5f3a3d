import csv
import json
import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.data.formats.table import open_table, text_encoding
from core.types import DatasetError
from tests.app.pairs import CLASSES, draw_pairs, mask_of
from tests.core.data.formats.drawn import draw_all, kinds, labels, listing

FORM = SourceFormat.MANIFEST


def manifest(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding=encoding, newline="")
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_any_usual_delimiter_and_encoding_is_read(delimiter: str, encoding: str, ending: str, tmp_path: Path) -> None:
    rows = [["path", "label", "split", "group"], ["a/1.png", "Käse", "train", "g1"], ["a/2.png", "", "testing", ""]]
    text = ending.join(delimiter.join(row) for row in rows)
    samples, problems = listing(manifest(tmp_path, text, encoding), FORM)
    assert [(s.name, s.label, s.split, s.group) for s in samples] == [
        ("a/1.png", "Käse", "train", "g1"),
        ("a/2.png", None, "test", ""),
    ]
    assert not problems.counts


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    ("folder", "label"),
    [("\u043f\u0430\u043f\u043a\u0430" * 4, "\u043a\u043e\u0448\u043a\u0430"), ("\u4e00\u56fe\u7247" * 9, "\u732b")],
)
def test_text_in_any_alphabet_is_read_without_a_byte_order_mark(
    tmp_path: Path, encoding: str, folder: str, label: str
) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(f"path,label\n{folder}/1.png,{label}\n".encode(encoding))
    table = open_table(file)
    assert [cells for _, cells in table.rows] == [{"path": f"{folder}/1.png", "label": label}]


@pytest.mark.parametrize("cell", ["c\0at", "cat" + "\0" * 9])
def test_a_zero_in_a_cell_does_not_make_a_table_utf_16(tmp_path: Path, cell: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(f"path,label\n1.png,{cell}\n".encode())
    assert text_encoding(file) == "utf-8"


def test_paths_can_be_absolute_or_relative_to_the_table(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "1.png"
    path = manifest(tmp_path, f"path,label\n{elsewhere},a\nsub/../2.png,b\n")
    samples, _ = listing(path, FORM)
    assert [sample.path for sample in samples] == [str(elsewhere), str(tmp_path / "2.png")]


def test_parquet_reads_like_csv_and_numeric_labels_become_names(tmp_path: Path) -> None:
    table = pd.DataFrame({"path": ["1.png", "2.png", "3.png"], "label": [3.0, None, 10.0]})
    table.to_parquet(tmp_path / "manifest.parquet")
    table.to_csv(tmp_path / "manifest.csv", index=False)
    for name in ("manifest.parquet", "manifest.csv"):
        samples, _ = listing(tmp_path / name, FORM)
        assert [sample.label for sample in samples] == (
            ["3", None, "10"] if "parquet" in name else ["3.0", None, "10.0"]
        )


def test_columns_are_found_by_their_usual_names_or_as_chosen(tmp_path: Path) -> None:
    path = manifest(tmp_path, "Filename, Class ,fold\n1.png,a,x\n")
    assert labels(listing(path, FORM)[0]) == {"1.png": "a"}
    chosen = ReadOptions(label_column="fold", path_column="filename")
    assert labels(listing(path, FORM, chosen)[0]) == {"1.png": "x"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("picture,label\n", "path"),
        ("path,kind\n", "label"),
        ("", "is empty"),
    ],
)
def test_a_missing_column_is_named_with_its_cure(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=said):
        listing(manifest(tmp_path, text), FORM)


def test_a_chosen_column_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="breed"):
        listing(manifest(tmp_path, "path,label\n"), FORM, ReadOptions(label_column="breed"))


def test_bad_rows_are_reported_and_the_others_read(tmp_path: Path) -> None:
    rows = ["path,label", "1.png,a", ",a", "2.png", "3.png,b,c", "1.png,a", "1.png,b", "4\0.png,a", "", "5.png,b"]
    samples, problems = listing(manifest(tmp_path, "\n".join(rows)), FORM)
    assert labels(samples) == {"1.png": "a", "5.png": "b"}
    assert [problem.kind for problem in problems.kept] == [
        "no path",
        "damaged row",
        "damaged row",
        "listed twice",
        "listed with two labels",
        "name is not UTF-8",
    ]
    assert all(problem.cure for problem in problems.kept)


def test_a_file_that_is_not_a_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfepath,label\n1.png,a\n")
    with pytest.raises(DatasetError, match="UTF-8"):
        listing(tmp_path / "labels.csv", FORM)
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DatasetError, match="Parquet"):
        listing(tmp_path / "labels.parquet", FORM)


def test_paths_written_on_windows_are_found(tmp_path: Path) -> None:
    draw_all(tmp_path, ["cat/1.png"])
    assert labels(listing(manifest(tmp_path, "path,label\ncat\\1.png,a\n"), FORM)[0]) == {"cat/1.png": "a"}


def test_rows_outside_the_allowed_roots_are_reported(tmp_path: Path) -> None:
    path = manifest(tmp_path, f"path,label\n1.png,a\n/etc/passwd.png,b\n../x.png,b\n{tmp_path}/link/1.png,c\n")
    (tmp_path / "link").symlink_to("/etc")
    samples, problems = listing(path, FORM, ReadOptions(allowed_roots=(str(tmp_path),)))
    assert labels(samples) == {"1.png": "a"}
    assert set(kinds(problems).values()) == {"outside the allowed folders"}


def test_a_folder_with_one_table_is_recognised_as_a_manifest(tmp_path: Path) -> None:
    draw_all(tmp_path, ["images/1.png"])
    manifest(tmp_path, "path,label\nimages/1.png,a\n")
    found = detect(tmp_path)
    assert found.format is FORM
    assert "labels.csv" in found.why


cell = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0/"), min_size=1, max_size=30)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.dictionaries(cell, cell, min_size=1, max_size=5))
def test_a_csv_written_by_pandas_is_read(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, str]) -> None:
    rows = {f"i{name}": label for name, label in rows.items()}
    root = tmp_path_factory.mktemp("manifest")
    table = pd.DataFrame({"path": list(rows), "label": list(rows.values())})
    table.to_parquet(root / "m.parquet")
    table.to_csv(root / "m.csv", index=False, quoting=csv.QUOTE_ALL)
    expected = {os.path.normpath(root / name): label.strip() or None for name, label in rows.items()}
    for name in ("m.parquet", "m.csv"):
        samples, problems = listing(root / name, FORM)
        assert {sample.path: sample.label for sample in samples} == expected
        assert not problems.counts


def test_a_mask_column_makes_a_mask_dataset_with_tags(tmp_path: Path) -> None:
    root = draw_pairs(tmp_path, {"1": mask_of(0, 1), "2": mask_of(1, 2), "3": None, "4": None})
    text = "path,mask,tags,label\nimages/1.png,masks/1.png,,x\nimages/2.png,masks/2.png,road;car,\n"
    (root / "labels.csv").write_text(f"{text}images/3.png,, sky ; road,\nimages/4.png,,,\n")
    found = FORMATS[FORM].read(root / "labels.csv", ReadOptions())
    samples = list(found.samples)
    assert found.table is not None
    assert found.table.names == CLASSES
    assert [(one.name, one.label, one.mask is not None, one.tags) for one in samples] == [
        ("images/1.png", None, True, None),
        ("images/2.png", None, True, ["road", "car"]),
        ("images/3.png", None, False, ["sky", "road"]),
        ("images/4.png", None, False, None),
    ]
    assert not found.problems.counts


def test_tags_can_be_lists_in_parquet_and_json_lines(tmp_path: Path) -> None:
    draw_pairs(tmp_path, {"1": mask_of(0, 1)})
    rows = [{"path": "images/1.png", "mask": "masks/1.png", "tags": ["road", "traffic; light"]}]
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    for name in ("a.parquet", "b.jsonl"):
        (sample,) = FORMATS[FORM].read(tmp_path / name, ReadOptions()).samples
        assert sample.tags == ["road", "traffic; light"], name
        assert sample.mask is not None


def test_a_chosen_label_column_takes_precedence_over_masks(tmp_path: Path) -> None:
    path = manifest(tmp_path, "path,mask,kind\n1.png,m.png,cat\n")
    found = FORMATS[FORM].read(path, ReadOptions(label_column="kind"))
    assert found.table is None
    assert [one.label for one in found.samples] == ["cat"]


def test_keys_can_be_missing_in_the_first_rows_of_json_lines(tmp_path: Path) -> None:
    rows = [{"path": "a.png"}, {"path": "b.png", "label": "cat"}, {"path": "c.png", "label": "dog", "split": "val"}]
    table = tmp_path / "table.jsonl"
    table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    samples = {
        sample.name: (sample.label, sample.split)
        for sample in FORMATS[SourceFormat.MANIFEST].read(table, ReadOptions()).samples
    }
    assert samples == {"a.png": (None, ""), "b.png": ("cat", ""), "c.png": ("dog", "val")}
