import pytest

from core.data.masks.camvid_maps import EXACT, MAPS, MERGED, SEGNET, sequence_of
from core.data.masks.colours import IGNORED

ELEVEN = [
    "Building",
    "Tree",
    "Sky",
    "Car",
    "SignSymbol",
    "Road",
    "Pedestrian",
    "Fence",
    "Column_Pole",
    "Sidewalk",
    "Bicyclist",
]


def test_both_maps_have_the_same_eleven_classes() -> None:
    assert list(MAPS[EXACT].table.names) == list(MAPS[MERGED].table.names) == ELEVEN
    assert MAPS[EXACT].table.colours == MAPS[MERGED].table.colours
    assert MAPS[EXACT].table.colours[:3] == ("#800000", "#808000", "#808080")


def test_the_exact_map_has_eleven_colours_and_the_merged_map_all_32() -> None:
    assert len(MAPS[EXACT].colours) == 11
    assert MAPS[EXACT].others_ignored
    merged = dict(MAPS[MERGED].colours)
    assert len(merged) == 32
    assert not MAPS[MERGED].others_ignored
    assert [code for code, number in merged.items() if number == IGNORED] == [0]
    assert merged[0xC08040] == ELEVEN.index("Pedestrian")  # Child
    assert merged[0x8000C0] == ELEVEN.index("Road")  # LaneMkgsDriv


def test_segnets_ids_end_with_void() -> None:
    assert SEGNET.table.names[0] == "Sky"
    assert len(SEGNET.table) == 11
    assert SEGNET.values == ((11, IGNORED),)


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("0016E5_06450.png", "0016E5"),
        ("train/0006R0_f00930.jpg", "0006R0"),
        ("0001TP_006690_L.png", "0001TP"),
        ("Seq05VD_f00390.png", "Seq05VD"),
        ("2007_000032.jpg", ""),
        ("IMG_0001.jpg", ""),
        ("0016E5.png", ""),
    ],
)
def test_the_drive_of_a_frame_is_read_from_its_name(name: str, sequence: str) -> None:
    assert sequence_of(name) == sequence
