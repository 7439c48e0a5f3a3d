"""Rows of tables as people write them: meaning of cells and columns."""

import json
from pathlib import Path

import pandas as pd
import pytest

from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions, SourceFormat
from core.types import Cure, DatasetError
from tests.app.pairs import draw_pairs, mask_of
from tests.core.data.formats.drawn import draw_all, labels, listing

FORM = SourceFormat.MANIFEST
PLAIN = ReadOptions(literal_labels=False)


def table(root: Path, text: str, name: str = "labels.csv", encoding: str = "utf-8") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding=encoding, newline="")
    return root / name


def read(path: Path, **options: object) -> dict[str, str | None]:
    return labels(listing(path, FORM, ReadOptions(**{"literal_labels": False, **options}))[0])  # type: ignore[arg-type]


def test_the_index_written_by_pandas_is_neither_split_nor_label(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["1.png", "2.png"], "label": ["a", "b"]})
    frame.to_csv(tmp_path / "labels.csv")
    samples, problems = listing(tmp_path / "labels.csv", FORM, PLAIN)
    assert [(one.label, one.split, one.group, one.tags) for one in samples] == [
        ("a", "", "", None),
        ("b", "", "", None),
    ]
    assert not problems.counts
    pd.read_csv(tmp_path / "labels.csv").rename(columns={"path": "file_name"}).to_csv(tmp_path / "metadata.csv")
    samples, _ = listing(tmp_path, SourceFormat.HUGGINGFACE, PLAIN)
    assert [(one.label, one.split) for one in samples] == [("a", ""), ("b", "")]


@pytest.mark.parametrize("head", ["sep=;\r\n", '"sep=;"\n'])
def test_a_first_line_that_names_the_delimiter_is_skipped(head: str, tmp_path: Path) -> None:
    path = table(tmp_path, f"{head}path;label\n1,5.png;a\n2.png\n")
    samples, problems = listing(path, FORM, PLAIN)
    assert labels(samples) == {"1,5.png": "a"}
    assert [problem.path for problem in problems.kept] == ["labels.csv, row 4"]


def test_blanks_around_cells_and_names_are_ignored(tmp_path: Path) -> None:
    draw_all(tmp_path, ["1.png"])
    assert read(table(tmp_path, "path , label\n1.png , dog\n")) == {"1.png": "dog"}


def test_text_that_is_not_utf8_is_read_with_a_warning(tmp_path: Path) -> None:
    samples, problems = listing(table(tmp_path, "path,label\n1.png,K\u00e4se\n", encoding="cp1252"), FORM, PLAIN)
    assert labels(samples) == {"1.png": "K\u00e4se"}
    assert [problem.kind for problem in problems.kept] == ["encoding guessed"]


def test_missing_values_are_reported_with_the_option_that_makes_them_a_class(tmp_path: Path) -> None:
    path = table(tmp_path, "path,label\n1.png,NA\n2.png,None\n3.png,a\n4.png,\n")
    samples, problems = listing(path, FORM, PLAIN)
    assert labels(samples) == {"1.png": None, "2.png": None, "3.png": "a", "4.png": None}
    assert [problem.kind for problem in problems.kept] == ["missing label"] * 2
    assert str(Cure.LITERAL_LABELS) in problems.kept[0].cure
    assert read(path, literal_labels=True)["1.png"] == "NA"


def test_a_number_is_the_same_class_in_csv_and_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["1.png", "2.png"], "label": [3.0, None]})
    frame.to_csv(tmp_path / "m.csv", index=False)
    frame.to_parquet(tmp_path / "m.parquet")
    assert read(tmp_path / "m.csv") == read(tmp_path / "m.parquet") == {"1.png": "3", "2.png": None}


def test_captions_are_not_labels_but_class_folders_are(tmp_path: Path) -> None:
    names = [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(5)]
    draw_all(tmp_path, names)
    rows = "".join(f"{name},a picture of {name}\n" for name in names)
    table(tmp_path, f"file_name,text\n{rows}", "metadata.csv")
    assert detect(tmp_path).format is SourceFormat.IMAGEFOLDER
    with pytest.raises(DatasetError, match=f"as captions do.*{Cure.LABEL_COLUMN}"):
        listing(tmp_path, SourceFormat.HUGGINGFACE, PLAIN)
    chosen = ReadOptions(label_column="text", literal_labels=False)
    assert len(listing(tmp_path, SourceFormat.HUGGINGFACE, chosen)[0]) == 10


def test_the_path_column_can_be_named_image(tmp_path: Path) -> None:
    draw_all(tmp_path, ["1.png", "2.png"])
    rows = [{"image": "1.png", "label": "a"}, {"image": "2.png", "label": "b"}]
    table(tmp_path, "".join(f"{json.dumps(row)}\n" for row in rows), "metadata.jsonl")
    assert detect(tmp_path).format is SourceFormat.HUGGINGFACE
    assert labels(listing(tmp_path, SourceFormat.HUGGINGFACE, PLAIN)[0]) == {"1.png": "a", "2.png": "b"}
    (tmp_path / "metadata.jsonl").rename(tmp_path / "labels.jsonl")
    assert detect(tmp_path).format is FORM


def test_each_one_hot_column_is_a_class(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        draw_all(tmp_path, [f"{split}/{number}.jpg" for number in range(4)])
        rows = "0.jpg, 1, 0\n1.jpg, 0, 1\n2.jpg, 0, 0\n3.jpg, 1, 1\n"
        table(tmp_path / split, f"filename, cat, dog\n{rows}", "_classes.csv")
    assert detect(tmp_path).format is SourceFormat.HUGGINGFACE
    samples, problems = listing(tmp_path, SourceFormat.HUGGINGFACE, PLAIN)
    assert [(one.name, one.label, one.split) for one in samples if one.split == "val"] == [
        ("valid/0.jpg", "cat", "val"),
        ("valid/1.jpg", "dog", "val"),
        ("valid/2.jpg", None, "val"),
    ]
    assert [problem.kind for problem in problems.kept] == ["several labels"] * 2


@pytest.mark.parametrize("cells", [['["a", "b"]', '["a", "c"]', "a"], ["a|b", "a|c", "a", "b"]])
def test_several_labels_per_image_are_refused_with_the_name_of_the_column(cells: list[str], tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": [f"{number}.png" for number in range(len(cells))], "label": cells})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(DatasetError, match="the column label has several labels per image"):
        read(tmp_path / "labels.csv")


def test_a_table_without_column_names_is_refused_with_a_cure(tmp_path: Path) -> None:
    draw_all(tmp_path, ["1.png", "2.png"])
    with pytest.raises(DatasetError, match=r"its first row names an image.* a row above it .*path,label"):
        read(table(tmp_path, "1.png,cat\n2.png,dog\n"))


def test_two_label_columns_with_the_same_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="2 columns are called label; rename all but one"):
        read(table(tmp_path, "path,label,Label\n1.png,cat,dog\n"))
    assert read(table(tmp_path, "path,label,note,note\n1.png,cat,x,y\n")) == {"1.png": "cat"}


def test_a_text_too_long_for_a_class_name_is_left_out(tmp_path: Path) -> None:
    path = table(tmp_path, f"path,label\n1.png,cat\n2.png,{'x' * 5_000}\n3.png,cat\n")
    samples, problems = listing(path, FORM, PLAIN)
    assert [one.label for one in samples] == ["cat", "cat"]
    assert [(one.kind, one.path) for one in problems.kept] == [("label too long", "labels.csv, row 3")]
    assert len(problems.kept[0].message) < 200


def test_a_few_rows_with_several_labels_are_left_out_and_named(tmp_path: Path) -> None:
    rows = [{"path": f"{n}.png", "label": ["a", "b"] if n == 3 else ["ab"[n % 2]]} for n in range(6)]
    path = table(tmp_path, "".join(f"{json.dumps(row)}\n" for row in rows), "labels.jsonl")
    samples, problems = listing(path, FORM, PLAIN)
    assert [one.label for one in samples] == ["a", "b", "a", "a", "b"]
    assert [problem.kind for problem in problems.kept] == ["several labels"]


def test_a_class_name_with_a_bar_is_one_class(tmp_path: Path) -> None:
    assert set(read(table(tmp_path, "path,label\n1.png,on|off\n2.png,on|off\n3.png,x\n")).values()) == {"on|off", "x"}


def test_urls_are_named_and_not_fetched(tmp_path: Path) -> None:
    samples, problems = listing(table(tmp_path, "path,label\nhttps://a.org/1.png,a\n"), FORM, PLAIN)
    assert not samples
    assert "URLs are not fetched" in problems.kept[0].message
    assert str(Cure.IMAGE_ROOT) in problems.kept[0].cure


def test_images_from_another_machine_are_named_below_the_image_root(tmp_path: Path) -> None:
    root = draw_all(tmp_path / "images", ["cat/1.png", "dog/1.png"])
    path = table(tmp_path / "table", "path,label\nD:\\x\\cat\\1.png,cat\nD:\\x\\dog\\1.png,dog\n")
    assert read(path, image_root=str(root)) == {"cat/1.png": "cat", "dog/1.png": "dog"}


def test_a_mask_name_too_long_for_the_file_system_is_reported_with_its_row(tmp_path: Path) -> None:
    root = draw_pairs(tmp_path, {"1": mask_of(0, 1), "2": None})
    path = table(root, f"path,mask\nimages/1.png,masks/1.png\nimages/2.png,{'a' * 300}.png\n")
    assert [one.mask is not None for one in FORMATS[FORM].read(path, PLAIN).samples] == [True, True]


def test_columns_without_text_are_skipped_in_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["1.png"], "label": ["a"], "took": [pd.Timedelta(days=200_000 // 2)]})
    frame["seen"] = pd.Series(["9999-01-01"]).astype("datetime64[s]")
    frame["more"] = [{"bytes": b"abc", "path": None}]
    frame.to_parquet(tmp_path / "m.parquet")
    samples, problems = listing(tmp_path / "m.parquet", FORM, PLAIN)
    assert labels(samples) == {"1.png": "a"}
    assert not problems.counts


def test_a_damaged_page_of_parquet_is_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": [f"{number}.png" for number in range(2000)], "label": ["a", "b"] * 1000})
    frame.to_parquet(tmp_path / "m.parquet", compression="snappy")
    data = bytearray((tmp_path / "m.parquet").read_bytes())
    data[30:400] = b"\xff" * 370
    (tmp_path / "m.parquet").write_bytes(data)
    with pytest.raises(DatasetError, match=r"m\.parquet"):
        listing(tmp_path / "m.parquet", FORM, PLAIN)


def test_images_inside_parquet_are_named_without_printing_their_bytes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": [{"bytes": b"\x89PNG" * 9, "path": "1.png"}] * 3, "label": ["a", "b", "a"]})
    frame.to_parquet(tmp_path / "train.parquet")
    with pytest.raises(DatasetError, match="its column image holds images themselves") as caught:
        listing(tmp_path / "train.parquet", FORM, PLAIN)
    assert "PNG" not in str(caught.value)
