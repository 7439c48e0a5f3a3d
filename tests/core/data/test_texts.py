import numpy as np
import pytest
from hypothesis import given, strategies as st

from core.data.texts import Texts, TextsBuilder

odd = st.lists(st.text(alphabet=st.sampled_from(["a", "ü", "\n", "\udcff", "𝄞", "/"]), max_size=4), max_size=30)


@given(odd)
def test_texts_read_like_the_original_list(texts: list[str]) -> None:
    flat = Texts.of(texts)
    assert list(flat) == texts == flat[:]
    assert flat == texts
    assert len(flat) == len(texts)
    assert [flat[place] for place in range(-len(texts), len(texts))] == texts * 2
    assert flat.empty().tolist() == [place for place, text in enumerate(texts) if not text]
    assert Texts.of(flat) is flat


@given(odd)
def test_selected_rows_are_in_the_requested_order(texts: list[str]) -> None:
    rows = np.random.default_rng(len(texts)).integers(0, max(len(texts), 1), len(texts))
    assert Texts.of(texts).take(rows) == [texts[row] for row in rows]
    every = Texts.of(texts)
    assert every.take(np.arange(len(texts))) is every


@given(odd)
def test_codes_number_the_texts_by_first_appearance(texts: list[str]) -> None:
    codes, different = Texts.of(texts).codes()
    seen: dict[str, int] = {}
    assert codes.tolist() == [seen.setdefault(text, len(seen)) for text in texts]
    assert different == len(seen)


def test_parts_are_joined_and_zero_bytes_left_out() -> None:
    builder = TextsBuilder()
    builder.extend(("a\0b", ""))
    builder.extend([])
    builder.extend(["c"])
    assert builder.build() == ["ab", "", "c"]


def test_an_index_out_of_range_is_refused_and_other_texts_are_unequal() -> None:
    texts = Texts.of(["a", "b"])
    with pytest.raises(IndexError):
        texts[2]
    assert texts != ["a"]
    assert texts != ["a", "c"]
    assert texts != Texts.of(["a", "c"])
    assert texts == ("a", "b")
    assert (texts == 1) is False
    assert repr(texts) == "Texts(2: 'a', 'b')"
