import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.images import MaskError
from core.data.masks.colours import class_table
from core.data.masks.pixels import PixelCode
from core.data.masks.reading import Reference, read_masks
from core.types import ClassTable, DatasetError, IntArray

TABLE = class_table(["a", "b", "c"])
MANY = 200


def drawn(number: int) -> IntArray:
    return np.random.default_rng(number).integers(0, 3, (4 + number % 3, 5), np.uint8)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> list[Reference]:
    folder, code = tmp_path_factory.mktemp("masks"), PixelCode(coloured=False)
    found = []
    for number in range(MANY):
        path = folder / f"{number}.png"
        Image.fromarray(drawn(number)).save(path)
        found.append((code.reference(str(path)), 5, 4 + number % 3))
    (folder / "150.png").write_bytes(b"broken")
    Image.fromarray(np.repeat(drawn(151)[..., None], 3, axis=2)).save(folder / "151.png")
    return found


def children() -> set[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "core.data.masks.reading"], capture_output=True, text=True, check=False
    )
    return set(map(int, found.stdout.split()))


def check(found: Iterator[IntArray | MaskError]) -> None:
    masks = list(found)
    assert len(masks) == MANY
    for number, mask in enumerate(masks):
        if number == 150:
            assert isinstance(mask, MaskError)
            assert mask.kind == "corrupt mask"
        else:
            np.testing.assert_array_equal(mask, drawn(number))


def test_several_processes_return_every_mask_in_order(references: list[Reference]) -> None:
    warnings = {}
    check(read_masks(references, TABLE, processes=2, warn=warnings.__setitem__))
    assert list(warnings) == [151]
    assert warnings[151].kind == "ids saved as colours"


def test_no_mask_is_lost_when_a_child_is_killed(references: list[Reference]) -> None:
    before = children()
    reading = read_masks(references, TABLE, processes=2)
    first = next(reading)
    os.kill((children() - before).pop(), signal.SIGKILL)
    check(iter([first, *reading]))


def test_an_abandoned_read_leaves_no_process(references: list[Reference]) -> None:
    before = children()
    reading = read_masks(references, TABLE, processes=2)
    next(reading)
    assert children() > before
    del reading
    assert children() == before


def test_few_masks_or_none_start_no_process(references: list[Reference]) -> None:
    reading = read_masks(references[:3], TABLE)
    next(reading)
    assert children() == set()
    assert list(read_masks([], TABLE)) == []


def test_masks_are_returned_in_the_ids_of_another_table(references: list[Reference]) -> None:
    into = ClassTable(("c", "x", "a", "b"), ("#000001", "#000002", "#000003", "#000004"))
    mask = next(read_masks(references[:1], TABLE, into=into))
    np.testing.assert_array_equal(mask, np.array([2, 3, 0], dtype=np.uint8)[drawn(0)])
    wide = class_table([*TABLE.names, *map(str, range(300))])
    mask = next(read_masks(references[:1], TABLE, into=wide))
    assert isinstance(mask, np.ndarray)
    assert mask.dtype == np.uint16
    with pytest.raises(DatasetError, match="classes c are not"):
        next(read_masks(references[:1], TABLE, into=class_table(["a", "b"])))


def test_ignore_stays_ignore_in_a_16_bit_table(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "a.png")
    reference = (PixelCode(coloured=False).reference(str(tmp_path / "a.png")), 2, 1)
    wide = class_table([*map(str, range(300)), "a", "b", "c"])
    mask = next(read_masks([reference], TABLE, into=wide))
    assert isinstance(mask, np.ndarray)
    assert mask.tolist() == [[300, 65_535]]


def test_a_file_that_crashes_the_decoder_affects_only_itself(references: list[Reference]) -> None:
    deadly = ({"kind": "pixels"}, 1, 1)  # no reader ever made it: it ends the child that gets it
    found = list(read_masks([*references[:100], deadly, *references[:49]], TABLE, processes=2))
    assert isinstance(found[100], MaskError)
    assert "crashes" in str(found[100])
    assert sum(isinstance(mask, MaskError) for mask in found) == 1
