"""Round trips of mask formats: the same pixels and names."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from core.data.formats import camvid, coco, label_studio, mask_pairs, voc
from core.data.formats.detect import FORMATS, detect
from core.types import ClassTable, ExportError
from tests.core.data.formats.drawn_masks import Source, assert_equal, masks, tables, write

MODULES = {"camvid": camvid, "mask-pairs": mask_pairs, "voc": voc, "coco": coco, "label-studio": label_studio}
MOST = {"voc": 255}
EXPECTED_KINDS = {"label-studio": {"tasks.json": "nothing drawn"}}  # where a mask is all IGNORE
NAMES = ["a.png", "sub/a.jpg", "ü b.png", "CON.png", "日本.PNG", "a_mask.png", "x.y.png"]


@pytest.mark.parametrize("name", MODULES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_masks_classes_and_colours_survive_a_round_trip(name: str, data: st.DataObject) -> None:
    module = MODULES[name]
    table = data.draw(tables(MOST.get(name, 300)))
    drawn = {path: data.draw(masks(table)) for path in data.draw(st.sampled_from([NAMES, NAMES[:1]]))}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = write(root, module, drawn, table, ["train", "val"])
        source = Source(root, module)
        assert source.table == table
        assert source.faults == source.warnings == {}
        assert source.kinds in ({}, EXPECTED_KINDS.get(name, {}))
        assert {sample.split for sample in source.samples.values()} == {"train", "val"} if len(drawn) > 1 else {"train"}
        for file, mask in zip(files, drawn.values(), strict=True):
            assert_equal(source.masks[file], mask)


@pytest.mark.parametrize("name", MODULES)
def test_the_format_of_an_export_is_detected(name: str, tmp_path: Path) -> None:
    table = ClassTable(("a", "b"), ("#000000", "#ff0000"))
    write(tmp_path, MODULES[name], {"1.png": np.eye(4, dtype=np.uint8)}, table, ["train"])
    found = detect(tmp_path)
    assert FORMATS[found.format].read is MODULES[name].read, found


@pytest.mark.parametrize("name", MODULES)
def test_an_unlabelled_image_stays_unlabelled(name: str, tmp_path: Path) -> None:
    table = ClassTable(("a", "b"), ("#000000", "#ff0000"))
    files = write(tmp_path, MODULES[name], {"1.png": np.eye(4, dtype=np.uint8), "2.png": None}, table, ["train"])
    source = Source(tmp_path, MODULES[name])
    assert source.samples[files[1]].mask is None
    assert list(source.masks) == files[:1]


def test_more_classes_than_a_palette_holds_are_refused(tmp_path: Path) -> None:
    table = ClassTable(tuple(map(str, range(256))), tuple(f"#{number:06x}" for number in range(256)))
    with pytest.raises(ExportError, match="255 classes"):
        voc.write(tmp_path, [], table, [])


@pytest.mark.parametrize("name", MODULES)
def test_classes_of_the_same_colour_stay_distinct(name: str, tmp_path: Path) -> None:
    table = ClassTable(("a", "b"), ("#123456", "#123456"))
    mask = np.array([[0, 1, 255]], dtype=np.uint8)
    (file,) = write(tmp_path, MODULES[name], {"1.png": mask}, table)
    source = Source(tmp_path, MODULES[name])
    assert_equal(source.masks[file], mask)
    assert source.table.names == table.names
    assert len(set(source.table.colours)) == 2
