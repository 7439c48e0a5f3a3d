from dataclasses import replace
from pathlib import Path

import pytest

from core.data.networks import (
    About,
    KeptNetwork,
    describe,
    drop_networks,
    file_hash,
    find_network,
    hash_of_piece,
    kept_networks,
    read_tensors,
    set_calibration,
)
from core.types import RoundError, Task

ABOUT = About(
    task=Task.SEGMENTATION,
    classes=("sky", "road"),
    colours=("#000001", "#000002"),
    config={"model": "small_unet"},
    mean=(0.1, 0.2, 0.3),
    std=(1.0, 1.0, 1.0),
    canvas=(48, 64),
    accuracy=0.9,
)


def keep(folder: Path, name: str, tensors: bytes = b"tensors", about: About = ABOUT) -> KeptNetwork:
    (folder / f"{name}.safetensors").write_bytes(tensors)
    return describe(folder, name, about)


def test_the_description_of_a_network_reads_back_as_written(tmp_path: Path) -> None:
    kept = keep(tmp_path, "fold_0")
    assert find_network(tmp_path, "fold_0") == kept
    assert kept.about == ABOUT
    assert (len(kept.hash), kept.bytes) == (32, 7)
    assert read_tensors(kept) == b"tensors"
    assert find_network(tmp_path, "fold_1") is None


def test_networks_are_in_the_order_of_their_folds(tmp_path: Path) -> None:
    for name in ("fold_10", "fold_9", "backbone", "fold_0"):
        keep(tmp_path, name)
    assert [kept.name for kept in kept_networks(tmp_path)] == ["backbone", "fold_0", "fold_9", "fold_10"]


def test_temperatures_are_added_to_a_kept_network_without_changing_its_hash(tmp_path: Path) -> None:
    before = keep(tmp_path, "fold_0")
    set_calibration(tmp_path, "fold_0", 0.5)
    set_calibration(tmp_path, "fold_1", 2.0)
    assert [kept.about.temperature for kept in kept_networks(tmp_path)] == [0.5]
    assert kept_networks(tmp_path)[0].hash == before.hash == file_hash(before.path)


def test_a_missing_or_different_file_is_named_with_the_cure(tmp_path: Path) -> None:
    kept = keep(tmp_path, "fold_0")
    kept.path.write_bytes(b"tensorz")
    with pytest.raises(RoundError, match=r"fold_0\.safetensors is not the network that was kept .* start a new round"):
        read_tensors(kept)
    kept.path.unlink()
    with pytest.raises(RoundError, match=r"fold_0\.safetensors cannot be read .* put it back from a copy"):
        read_tensors(kept)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"hash": "00"}', '{"task": "painting", "hash": "", "bytes": 1}'])
def test_an_unreadable_description_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "fold_0.network.json").write_text(text)
    with pytest.raises(RoundError, match=r"fold_0\.network\.json does not describe its network"):
        kept_networks(tmp_path)


def test_the_hash_of_a_piece_is_that_of_its_network_or_of_the_only_predicting_one(tmp_path: Path) -> None:
    assert hash_of_piece(tmp_path, 0) is None
    keep(tmp_path, "teacher", b"t", replace(ABOUT, predicts=False))
    student = keep(tmp_path, "student", b"s")
    assert hash_of_piece(tmp_path, 0) == student.hash
    keep(tmp_path, "other", b"o")
    assert hash_of_piece(tmp_path, 0) is None
    fold = keep(tmp_path, "fold_0", b"f")
    assert hash_of_piece(tmp_path, 0) == fold.hash


def test_all_networks_of_a_round_are_removed_and_nothing_else(tmp_path: Path) -> None:
    keep(tmp_path, "fold_0")
    keep(tmp_path, "fold_1")
    (tmp_path / "fold_0.npz").write_bytes(b"predictions")
    assert drop_networks(tmp_path) == 14
    assert [path.name for path in tmp_path.iterdir()] == ["fold_0.npz"]
