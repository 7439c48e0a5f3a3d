from pathlib import Path, PurePosixPath

from hypothesis import given, strategies as st

from core.data.masks.items import MaskItem, place_in


def place(*names: str) -> list[str]:
    return place_in([MaskItem(name, "", Path(name), 1, 1, None) for name in names], lambda _: "images")


def test_unambiguous_names_are_kept() -> None:
    assert place("train/a.png", "ü b.JPG") == ["images/a.png", "images/ü b.JPG"]


def test_names_with_equal_stems_get_distinct_stems() -> None:
    assert place("a.png", "a.jpg", "x/A.png", "a~2.png") == [
        "images/a.png",
        "images/a~2.jpg",
        "images/A~3.png",
        "images/a~2~2.png",
    ]


@given(st.lists(st.text(max_size=20), max_size=8))
def test_any_names_get_distinct_places_below_the_folder(names: list[str]) -> None:
    placed = place(*names)
    assert len({str(PurePosixPath(name).with_suffix("")).casefold() for name in placed}) == len(names)
    assert all(len(PurePosixPath(name).parts) == 2 and ".." not in name.split("/") for name in placed)
