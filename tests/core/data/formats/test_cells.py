from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from core.data.formats.cells import (
    PathFinder,
    SeveralLabelsError,
    escape_cell,
    is_url,
    join_tags,
    label_of,
    plain_path,
    spelling_key,
    split_tags,
    unescape_cell,
)
from tests.core.data.formats.drawn import draw_all


@pytest.mark.parametrize("cell", [None, "", " ", "nan", "NaN", "None", "null", "NULL", "N/A", "NA", "<NA>", "[]"])
def test_missing_values_mean_unlabelled(cell: str | None) -> None:
    assert label_of(cell, literal=False) is None


@pytest.mark.parametrize(
    ("cell", "label"),
    [(" dog ", "dog"), ("1.0", "1"), ("-2.00", "-2"), ("1.5", "1.5"), ("007", "007"), ("e\u0301", "\u00e9"),
     ('["cat"]', "cat"), ("nano", "nano"), ("[a]", "[a]")],
)  # fmt: skip
def test_labels_are_normalised_to_one_spelling(cell: str, label: str) -> None:
    assert label_of(cell, literal=False) == label


def test_literal_labels_are_kept_as_written() -> None:
    for cell in ("NA", "None", "1.0", "e\u0301", '["a", "b"]'):
        assert label_of(cell, literal=True) == cell


def test_several_labels_are_refused() -> None:
    with pytest.raises(SeveralLabelsError):
        label_of('["a", "b"]', literal=False)


def test_spellings_of_one_class_have_the_same_key() -> None:
    assert len({spelling_key(name) for name in ("Cat", "cat", "CAT ", "c-at", "c_at", "\uff23at")}) == 1
    assert spelling_key("class-1") == spelling_key("class 1") == spelling_key("Class_1")
    assert spelling_key("cat") != spelling_key("cab")
    assert len({spelling_key(name) for name in ("1", "-1", "19", "1-9", "1_000")}) == 5


TEXTS = st.text(alphabet="'=+-@\t\r1.ae ", max_size=6)


@given(text=TEXTS, raw=st.booleans())
def test_an_escaped_cell_reads_back_as_the_original_text(text: str, raw: bool) -> None:  # noqa: FBT001
    assert unescape_cell(escape_cell(text, raw=raw)) == text


@given(text=TEXTS)
def test_no_escaped_cell_starts_like_a_formula(text: str) -> None:
    cell = escape_cell(text)
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r") or float(cell) is not None


@pytest.mark.parametrize("text", ["-1", "+2.5", "1e-3", "-.5", "cat", "'quoted'", "a=b"])
def test_numbers_and_words_are_not_escaped(text: str) -> None:
    assert escape_cell(text) == text


def test_a_path_is_found_despite_blanks_backslashes_or_a_missing_extension(tmp_path: Path) -> None:
    draw_all(tmp_path, ["a/1.png", " b.png", "c.jpg"])
    finder = PathFinder(tmp_path)
    found = {text: finder.find(text) for text in ("a/1.png", "a\\1.png", " a/1.png ", "a/1", " b.png", "c")}
    assert found == {
        "a/1.png": f"{tmp_path}/a/1.png",
        "a\\1.png": f"{tmp_path}/a/1.png",
        " a/1.png ": f"{tmp_path}/a/1.png",
        "a/1": f"{tmp_path}/a/1.png",
        " b.png": f"{tmp_path}/ b.png",
        "c": f"{tmp_path}/c.jpg",
    }


@pytest.mark.parametrize(
    "written",
    [
        "/home/ann/data/cat/1.png",
        "C:\\data\\cat\\1.png",
        "https://a.org/x/cat/1.png?size=2",
        "s3://b/cat/1.png",
        "cat/1",
    ],
)
def test_paths_from_another_machine_are_found_below_the_image_root(written: str, tmp_path: Path) -> None:
    root = draw_all(tmp_path / "images", ["cat/1.png"])
    (tmp_path / "table").mkdir()
    assert PathFinder(tmp_path / "table", str(root)).find(written) == f"{root}/cat/1.png"
    assert not Path(PathFinder(tmp_path / "table").find(written)).exists()


def test_names_too_long_for_the_file_system_are_not_found_and_raise_no_error(tmp_path: Path) -> None:
    name = "a" * 300 + ".png"
    assert PathFinder(tmp_path, str(tmp_path)).find(name) == f"{tmp_path}/{name}"


def test_urls_are_distinguished_from_paths() -> None:
    assert [is_url(text) for text in ("https://a/b", "gs://a/b", "C:\\a", "a/b", "http_images/1.png")] == [
        True,
        True,
    ] + [False] * 3
    assert plain_path("https://a.org/x%20y/1.png?z=1") == "x y/1.png"


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("road;car", ["road", "car"]),
        (" road ; car ;; road ", ["road", "car"]),
        ("road|car", ["road", "car"]),
        ("road,car", ["road", "car"]),
        ("road; traffic light, red", ["road", "traffic light, red"]),
        ('["road", "traffic; light"]', ["road", "traffic; light"]),
        ("[road", ["[road"]),
        ("", []),
        ("  ", []),
        ("[]", []),
    ],
)
def test_tags_are_split_at_every_usual_separator(written: str, names: list[str]) -> None:
    assert split_tags(written) == names


@pytest.mark.parametrize("names", [[], ["road"], ["road", "car"], ["a,b"], ["a;b", "c|d"], ["[x"], ["[1]"]])
def test_written_cells_read_back(names: list[str]) -> None:
    assert split_tags(join_tags(names)) == names
