import pytest

from core.data.formats.tags import joined_tags, split_tags


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
def test_names_are_read_as_people_write_them(written: str, names: list[str]) -> None:
    assert split_tags(written) == names


@pytest.mark.parametrize("names", [[], ["road"], ["road", "car"], ["a,b"], ["a;b", "c|d"], ["[x"], ["[1]"]])
def test_what_is_written_reads_back(names: list[str]) -> None:
    assert split_tags(joined_tags(names)) == names
