import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.formats.cells import SeveralLabelsError, escaped, label_of, likely_same, unescaped


@pytest.mark.parametrize("cell", [None, "", " ", "nan", "NaN", "None", "null", "NULL", "N/A", "NA", "<NA>", "[]"])
def test_missing_values_are_no_label(cell: str | None) -> None:
    assert label_of(cell, literal=False) is None


@pytest.mark.parametrize(
    ("cell", "label"),
    [(" dog ", "dog"), ("1.0", "1"), ("-2.00", "-2"), ("1.5", "1.5"), ("007", "007"), ("e\u0301", "\u00e9"),
     ('["cat"]', "cat"), ("nano", "nano"), ("[a]", "[a]")],
)  # fmt: skip
def test_one_spelling_is_chosen_for_each_label(cell: str, label: str) -> None:
    assert label_of(cell, literal=False) == label


def test_literal_labels_are_as_written() -> None:
    for cell in ("NA", "None", "1.0", "e\u0301", '["a", "b"]'):
        assert label_of(cell, literal=True) == cell


def test_several_labels_are_refused() -> None:
    with pytest.raises(SeveralLabelsError):
        label_of('["a", "b"]', literal=False)


def test_spellings_of_one_class_are_alike() -> None:
    assert len({likely_same(name) for name in ("Cat", "cat", "CAT ", "c-at", "c_at", "\uff23at")}) == 1
    assert likely_same("cat") != likely_same("cab")


TEXTS = st.text(alphabet="'=+-@\t\r1.ae ", max_size=6)


@given(text=TEXTS, raw=st.booleans())
def test_an_escaped_cell_is_read_as_the_text_it_was(text: str, raw: bool) -> None:  # noqa: FBT001
    assert unescaped(escaped(text, raw=raw)) == text


@given(text=TEXTS)
def test_no_escaped_cell_begins_as_a_formula_does(text: str) -> None:
    cell = escaped(text)
    assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r") or float(cell) is not None


@pytest.mark.parametrize("text", ["-1", "+2.5", "1e-3", "-.5", "cat", "'quoted'", "a=b"])
def test_numbers_and_words_stay_as_they_are(text: str) -> None:
    assert escaped(text) == text
