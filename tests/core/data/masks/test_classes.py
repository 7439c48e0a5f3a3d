import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from core.data.masks.classes import FILES, find_declared, parse_names, read_declared, write_classes
from core.data.masks.colours import IGNORED
from core.types import ClassTable, DatasetError

OBJECTS = json.dumps(
    [
        {"name": "cat", "color": [10, 20, 30]},
        {"name": "dog", "colour": [255, 0, 0]},
        {"name": "void", "color": [0, 0, 0]},
    ]
)
CAT, DOG = (0x0A141E, 0), (0xFF0000, 1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("label_colors.txt", "10 20 30\tcat\n255 0 0\t\tdog\n0 0 0\tVoid\n"),
        ("label_colors.txt", "\ufeff10,20,30 cat\r\n\r\n255,0,0 dog\r\n0,0,0 void"),
        ("map.txt", "cat 10 20 30\ndog 255 0 0\nUnlabelled 0 0 0\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\ncat:10,20,30::\ndog:255,0,0:head,tail:\nignore:0,0,0::\n"),
        ("class_dict.csv", "name,r,g,b\ncat,10,20,30\ndog,255,0,0\nvoid,0,0,0\n"),
        ("classes.csv", "id,name,r,g,b\n0,cat,10,20,30\n1,dog,255,0,0\nignore,,0,0,0\n"),
        ("map.json", '{"cat": [10, 20, 30], "dog": [255, 0, 0], "void": [0, 0, 0]}'),
        ("map.json", OBJECTS),
    ],
)
def test_names_and_colours_are_read_in_every_spelling(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    declared = read_declared(tmp_path / name)
    assert declared.table == ClassTable(("cat", "dog"), ("#0a141e", "#ff0000"))
    assert declared.colours == (CAT, DOG, (0, IGNORED))


@pytest.mark.parametrize(
    ("name", "text"),
    [("classes.txt", "cat\n big dog \n"), ("classes.json", '["cat", "big dog"]'), ("a.csv", "name\ncat\nbig dog")],
)
def test_names_without_colours_are_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    declared = read_declared(tmp_path / name)
    assert declared.table.names == ("cat", "big dog")
    assert declared.colours == declared.values == ()


def test_a_class_named_void_is_ignored_but_keeps_its_id_in_files() -> None:
    declared = parse_names("void, cat,dog")
    assert declared.table.names == ("cat", "dog")
    assert declared.values == ((0, IGNORED), (1, 0), (2, 1))


def test_several_colours_with_one_name_are_one_class(tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_text("1 1 1 road\n2 2 2 sky\n3 3 3 road\n")
    declared = read_declared(tmp_path / "map.txt")
    assert declared.table.names == ("road", "sky")
    assert declared.colours == ((0x010101, 0), (0x020202, 1), (0x030303, 0))


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9), min_size=1, max_size=5, unique=True
    )
)
def test_a_written_class_list_reads_back_with_any_names(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("written")
    table = ClassTable(tuple(names), tuple(f"#00000{number}" for number in range(len(names))))
    assert write_classes(folder, table) == (table, "#ffffff")
    declared = read_declared(folder / "classes.csv")
    assert declared.table == table
    assert declared.colours[-1] == (0xFFFFFF, IGNORED)
    assert declared.values == ()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.txt", b"", "declares no class"),
        ("a.txt", b"0 0 0 void", "declares no class"),
        ("a.txt", b"300 0 0 cat", "not a colour"),
        ("a.txt", b"1 1 1 cat\n1 1 1 dog", "two classes have the colour #010101"),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.json", b"{", "is no JSON"),
        ("a.json", b"7", "neither a list"),
        ("a.json", b'{"cat": "red"}', "not a colour"),
        ("a.txt", b"x" * (2 << 20), "too large"),
    ],
)
def test_a_file_without_classes_is_refused(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DatasetError, match=said):
        read_declared(tmp_path / name)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_declared(tmp_path / "gone.txt")


def test_the_most_reliable_file_is_found_first(tmp_path: Path) -> None:
    assert find_declared(tmp_path) is None
    for name in reversed(FILES):
        (tmp_path / name).touch()
        assert find_declared(tmp_path / "gone", tmp_path) == tmp_path / name


@pytest.mark.parametrize("text", ["label,name\n0,ground\n7,cat\n3,dog\n", "class,label\nground,0\ncat,7\ndog,3\n"])
def test_the_column_of_digits_is_the_id(tmp_path: Path, text: str) -> None:
    path = tmp_path / "classes.csv"
    path.write_text(text)
    declared = read_declared(path)
    assert declared.table.names == ("ground", "dog", "cat")
    assert declared.by_id == {0: 0, 3: 1, 7: 2}
