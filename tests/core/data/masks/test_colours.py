import numpy as np
from hypothesis import given, strategies as st

from core.data.masks.colours import (
    IGNORED,
    UNKNOWN,
    class_table,
    code_of,
    codes_of,
    free_colour,
    ids_of,
    paint_colours,
    rgb_of,
    text_of,
    voc_colour,
)
from core.types import ClassTable


def test_the_colours_of_voc_are_the_published_ones() -> None:
    """As in the development kit's colour map."""
    assert [voc_colour(number) for number in (0, 1, 2, 15, 20, 255)] == [
        "#000000",
        "#800000",
        "#008000",
        "#c08080",
        "#004080",
        "#e0e0c0",
    ]


@given(st.integers(0, (1 << 24) - 1))
def test_a_colour_survives_conversion_to_a_code(code: int) -> None:
    assert code_of(text_of(code)) == code
    pixel = np.array([[rgb_of(text_of(code))]], dtype=np.uint8)
    assert codes_of(pixel).item() == code


@given(st.lists(st.one_of(st.none(), st.sampled_from(["#E6194B", "#3cb44b", "", "red", "#000000"])), max_size=30))
def test_every_class_has_a_colour_of_its_own(colours: list[str | None]) -> None:
    table = class_table([str(number) for number in range(25)], colours)
    assert len(set(table.colours)) == 25
    first = next((colour for colour in colours[:25] if colour == "#000000"), None)
    assert first is None or "#000000" in table.colours


def test_colours_depend_only_on_the_id_and_background_is_black() -> None:
    names = [f"class {number}" for number in range(600)]
    table = class_table(names)
    assert class_table(names[:7]).colours == table.colours[:7]
    assert "#000000" not in table.colours
    assert len(set(table.colours)) == 600
    assert class_table(["Background", "cat"]).colours == ("#000000", table.colours[0])


def test_a_free_colour_belongs_to_no_class() -> None:
    table = ClassTable(("a", "b"), ("#000000", "#ffffff"))
    assert free_colour(table, ["#111111"]) == "#111111"
    assert free_colour(table, ["#000000", "#ffffff"]) not in table.colours


def test_paint_and_look_up_are_inverse() -> None:
    table = class_table([str(number) for number in range(300)])
    mask = np.random.default_rng(0).integers(0, 300, (9, 8)).astype(np.uint16)
    mask[0] = 65_535
    known = tuple((code_of(colour), number) for number, colour in enumerate(table.colours))
    pixels = paint_colours(mask, table.colours, "#000001")
    np.testing.assert_array_equal(ids_of(codes_of(pixels), (*known, (1, IGNORED))), mask)
    assert (ids_of(codes_of(pixels), known)[0] == UNKNOWN).all()
