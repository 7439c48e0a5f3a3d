import pytest

from core.data.formats.cells import SeveralLabelsError, label_of, likely_same


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
