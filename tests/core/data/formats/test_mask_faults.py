"""Faulty masks: each named with file and cure, the valid ones read."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.formats import camvid, coco, label_studio, mask_pairs, voc
from core.data.formats.source import ReadOptions
from core.types import ClassTable, DatasetError, IntArray
from tests.core.data.formats.drawn_masks import Source, assert_equal, write

TABLE = ClassTable(("ground", "cat", "dog"), ("#000000", "#ff0000", "#00ff00"))
FILES = {"camvid": camvid, "mask-pairs": mask_pairs, "voc": voc}
MASK_OF = {camvid: "train_labels/1.png", mask_pairs: "train/masks/1.png", voc: "SegmentationClass/1.png"}
SQUARE = np.repeat(np.array([[0, 1, 2, 255]], dtype=np.uint8), 3, axis=0)


@pytest.fixture(params=FILES)
def module(request: pytest.FixtureRequest, tmp_path: Path) -> ModuleType:
    found: ModuleType = FILES[request.param]
    write(tmp_path, found, {"1.png": SQUARE, "2.png": SQUARE.T, "3.png": SQUARE}, TABLE, ["train"])
    return found


@pytest.fixture
def mask(module: ModuleType, tmp_path: Path) -> Path:
    return tmp_path / MASK_OF[module]


def save(path: Path, pixels: IntArray, **options: Any) -> None:
    Image.fromarray(pixels).save(path, **{"format": "PNG", **options})


def test_a_mask_of_another_size_than_its_image_is_reported(module: ModuleType, mask: Path, tmp_path: Path) -> None:
    save(mask, np.zeros((3, 5), dtype=np.uint8))
    source = Source(tmp_path, module)
    assert source.fault.kind == "wrong mask size"
    assert "1.png" in str(source.fault)
    assert "5 x 3" in str(source.fault)
    assert len(source.masks) == 2


def test_a_mask_that_is_not_an_image_or_is_truncated_is_reported(
    module: ModuleType, mask: Path, tmp_path: Path
) -> None:
    data = mask.read_bytes()
    for broken in (b"", b"no image", data[: len(data) // 2], data[:-30]):
        mask.write_bytes(broken)
        assert Source(tmp_path, module).fault.kind == "corrupt mask"


def test_a_png_with_an_enormous_declared_size_is_never_decoded(module: ModuleType, mask: Path, tmp_path: Path) -> None:
    save(mask, SQUARE)
    data = bytearray(mask.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    mask.write_bytes(data)
    assert Source(tmp_path, module).fault.kind in {"mask too large", "corrupt mask", "wrong mask size"}


def test_a_mask_stored_as_jpeg_is_reported(module: ModuleType, mask: Path, tmp_path: Path) -> None:
    save(mask, SQUARE, format="JPEG")
    assert Source(tmp_path, module).fault.kind == "lossy mask"


def test_an_image_without_a_mask_is_read_as_unlabelled(module: ModuleType, mask: Path, tmp_path: Path) -> None:
    mask.unlink()
    source = Source(tmp_path, module)
    assert "missing mask" in source.kinds.values()
    assert len(source.samples) == 3
    assert len(source.masks) == 2


def test_a_mask_without_its_image_is_reported(module: ModuleType, mask: Path, tmp_path: Path) -> None:
    mask.rename(mask.with_name("other.png"))
    kinds = Source(tmp_path, module).kinds
    assert sorted(kinds.values()) == ["mask without image", "missing mask"]


def test_a_mask_that_vanished_after_listing_is_reported(module: ModuleType, mask: Path, tmp_path: Path) -> None:
    from core.data.images import MaskError
    from core.data.masks.reading import read_mask

    listing = module.read(tmp_path, ReadOptions())
    reference = next(sample.mask for sample in listing.samples if sample.mask and sample.name.endswith("1.png"))
    mask.unlink()
    found = read_mask(reference, 4, 3, 3)
    assert isinstance(found, MaskError)
    assert found.kind == "missing mask"


@pytest.mark.parametrize("module", ["mask-pairs", "voc"], indirect=True)
def test_ids_outside_the_classes_are_listed_with_their_pixels(module: ModuleType, mask: Path, tmp_path: Path) -> None:
    save(mask, np.array([[0, 7, 7, 9], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=np.uint8))
    fault = Source(tmp_path, module).fault
    assert fault.kind == "ids outside the classes"
    assert "7 (2 pixels), 9 (1 pixels)" in str(fault)


def test_colours_not_in_the_map_are_listed_with_their_pixels(module: ModuleType, mask: Path, tmp_path: Path) -> None:
    pixels = np.zeros((3, 4, 3), dtype=np.uint8)
    pixels[0, 0] = 255, 0, 0
    pixels[1] = 1, 2, 3
    save(mask, pixels)
    fault = Source(tmp_path, module).fault
    assert fault.kind == "colours not in the map"
    assert "#010203 (4 pixels)" in str(fault)
    assert fault.cure


@pytest.mark.parametrize("module", ["mask-pairs", "voc"], indirect=True)
def test_a_palette_saved_as_colours_is_read_by_the_colours(module: ModuleType, mask: Path, tmp_path: Path) -> None:
    pixels = np.array([[(0, 0, 0), (255, 0, 0), (0, 255, 0), (255, 0, 0)]] * 3, dtype=np.uint8)
    save(mask, pixels)
    source = Source(tmp_path, module)
    ((name, warning),) = source.warnings.items()
    assert warning.kind == "palette saved as colours"
    assert_equal(source.masks[name], np.array([[0, 1, 2, 1]] * 3, dtype=np.uint8))


def test_vocs_own_palette_saved_as_colours_is_recognised(tmp_path: Path) -> None:
    write(tmp_path, voc, {"1.png": SQUARE}, TABLE)
    for name in ("classes.csv", "labelmap.txt"):
        (tmp_path / name).unlink()
    border, boat = (224, 224, 192), (0, 0, 128)
    save(tmp_path / "SegmentationClass/1.png", np.array([[(0, 0, 0), border, boat, boat]] * 3, dtype=np.uint8))
    source = Source(tmp_path, voc)
    assert source.table.names[:5] == ("background", "aeroplane", "bicycle", "bird", "boat")
    assert [warning.kind for warning in source.warnings.values()] == ["palette saved as colours"]
    (found,) = source.masks.values()
    assert found[0].tolist() == [0, 255, 4, 4]


def test_ids_saved_three_times_as_a_colour_are_read(tmp_path: Path) -> None:
    write(tmp_path, mask_pairs, {"1.png": SQUARE}, TABLE)
    save(tmp_path / "masks/1.png", np.repeat(SQUARE[..., None], 3, axis=2))
    found = Source(tmp_path, mask_pairs, ReadOptions(class_names="ground,cat,dog"))
    assert [warning.kind for warning in found.warnings.values()] == ["ids saved as colours"]
    assert_equal(found.masks["images/1.png"], SQUARE)


def test_a_palette_in_another_order_is_read_by_its_colours(tmp_path: Path) -> None:
    write(tmp_path, voc, {"1.png": SQUARE}, TABLE)
    image = Image.fromarray(np.array([[1, 0, 2, 1]] * 3, dtype=np.uint8))
    image.putpalette([0, 255, 0, 0, 0, 0, 255, 0, 0])  # dog, ground, cat
    image.save(tmp_path / "SegmentationClass/1.png")
    source = Source(tmp_path, voc)
    assert [warning.kind for warning in source.warnings.values()] == ["palette in another order"]
    (found,) = source.masks.values()
    assert found[0].tolist() == [0, 2, 1, 0]


def test_ids_among_colour_masks_are_read_and_named(tmp_path: Path) -> None:
    write(tmp_path, camvid, {"1.png": SQUARE, "2.png": SQUARE, "3.png": SQUARE}, TABLE, ["train"])
    save(tmp_path / "train_labels/2.png", SQUARE)
    source = Source(tmp_path, camvid)
    assert {name: warning.kind for name, warning in source.warnings.items()} == {
        "train/2.png": "ids among colour masks"
    }
    assert_equal(source.masks["train/2.png"], SQUARE)


def test_a_grey_colour_mask_saved_as_greyscale_is_read_by_its_colours(tmp_path: Path) -> None:
    table = ClassTable(("sky", "road"), ("#808080", "#804080"))
    write(tmp_path, camvid, {"1.png": SQUARE[:, :2], "2.png": SQUARE[:, :2]}, table, ["train"])
    save(tmp_path / "train_labels/2.png", np.array([[128, 0]] * 3, dtype=np.uint8))
    source = Source(tmp_path, camvid)
    assert source.masks["train/2.png"][0].tolist() == [0, 255]


def test_unexplained_colour_masks_are_refused_with_the_file_to_add(tmp_path: Path) -> None:
    write(tmp_path, mask_pairs, {"1.png": SQUARE}, TABLE)
    (tmp_path / "classes.csv").unlink()
    save(tmp_path / "masks/1.png", np.random.default_rng(0).integers(0, 255, (3, 4, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"label_colors\.txt"):
        mask_pairs.read(tmp_path, ReadOptions())


def test_ids_too_large_for_unnamed_classes_are_refused_with_the_file_to_add(tmp_path: Path) -> None:
    write(tmp_path, mask_pairs, {"1.png": SQUARE}, TABLE)
    (tmp_path / "classes.csv").unlink()
    save(tmp_path / "masks/1.png", np.full((3, 4), 24_001, dtype=np.uint16))
    with pytest.raises(DatasetError, match=r"24001.*classes\.txt"):
        mask_pairs.read(tmp_path, ReadOptions())


def test_a_list_that_names_a_missing_image_is_reported(tmp_path: Path) -> None:
    write(tmp_path, voc, {"1.png": SQUARE}, TABLE, ["train"])
    with (tmp_path / "ImageSets/Segmentation/train.txt").open("a") as file:
        file.write("JPEGImages/gone.jpg SegmentationClass/gone.png\n")
    assert Source(tmp_path, voc).kinds == {"gone": "unknown image"}


def changed(path: Path, change: Any) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


COCO_FILE, TASKS = "annotations/instances_default.json", "tasks.json"
FOLDER = {coco: "images/default", label_studio: "images"}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"segmentation": [[1, 2, 3, 4, 5]]}, "bad polygon"),
        ({"segmentation": [[1, 2, 3, "x", 5, 6]]}, "bad polygon"),
        ({"segmentation": [[1, 2, 3, float("nan"), 5, 6]]}, "bad polygon"),
        ({"segmentation": [[1, 2, 3, 10**400, 5, 6]]}, "bad polygon"),
        ({"segmentation": [[1, 2, 900, 4, 5, 6]]}, "bad polygon"),
        ({"segmentation": [7]}, "bad polygon"),
        ({"segmentation": []}, "box without a shape"),
        ({"segmentation": None}, "box without a shape"),
        ({"segmentation": [], "bbox": None}, "bad polygon"),
        ({"segmentation": {"size": [3, 4], "counts": "9"}}, "damaged run lengths"),
        ({"segmentation": {"size": [3, 4], "counts": "\u0107"}}, "damaged run lengths"),
        ({"segmentation": {"size": [3, 4], "counts": [5, 8]}}, "damaged run lengths"),
        ({"segmentation": {"size": [3, 4], "counts": [-5, 17]}}, "damaged run lengths"),
        ({"segmentation": {"size": [3, 4], "counts": [1e99]}}, "damaged run lengths"),
        ({"segmentation": {"size": [3, 4], "counts": None}}, "damaged run lengths"),
        ({"segmentation": {"size": [4, 3], "counts": [12]}}, "wrong mask size"),
        ({"segmentation": {}}, "wrong mask size"),
        ({"category_id": 99}, "ids outside the classes"),
    ],
)
def test_a_bad_coco_annotation_is_reported(tmp_path: Path, change: dict[str, Any], kind: str) -> None:
    write(tmp_path, coco, {"1.png": SQUARE, "2.png": SQUARE}, TABLE)
    changed(tmp_path / COCO_FILE, lambda values: values["annotations"][0].update(change))
    source = Source(tmp_path, coco)
    assert source.fault.kind == kind
    assert "instances_default.json, images/default/1.png, shape 1" in str(source.fault)
    assert list(source.masks) == ["images/default/2.png"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"rle": [0, 0, 1]}, "damaged brush"),
        ({"rle": "text"}, "damaged brush"),
        ({"rle": 10**9}, "damaged brush"),
        ({"rle": [0, 0, 0, 9, *[0] * 30]}, "wrong brush size"),
        ({"rle": [300]}, "damaged brush"),
        ({"brushlabels": []}, "no label"),
    ],
)
def test_a_bad_label_studio_brush_is_reported(tmp_path: Path, change: dict[str, Any], kind: str) -> None:
    write(tmp_path, label_studio, {"1.png": SQUARE, "2.png": SQUARE}, TABLE)
    changed(tmp_path / TASKS, lambda tasks: tasks[0]["annotations"][0]["result"][0]["value"].update(change))
    source = Source(tmp_path, label_studio)
    assert source.fault.kind == kind
    assert list(source.masks) == ["images/2.png"]


@pytest.mark.parametrize("points", [[], [[1, 2, 3]], "points", [["a", "b"]] * 3])
def test_a_bad_label_studio_polygon_is_reported(tmp_path: Path, points: Any) -> None:
    write(tmp_path, label_studio, {"1.png": SQUARE}, TABLE)
    polygon = {"type": "polygonlabels", "value": {"points": points, "polygonlabels": ["cat"]}}
    changed(tmp_path / TASKS, lambda tasks: tasks[0]["annotations"][0]["result"].append(polygon))
    assert Source(tmp_path, label_studio).fault.kind == "bad polygon"


def test_a_brush_drawn_at_another_size_is_reported(tmp_path: Path) -> None:
    write(tmp_path, label_studio, {"1.png": SQUARE}, TABLE)
    changed(tmp_path / TASKS, lambda tasks: tasks[0]["annotations"][0]["result"][0].update(original_width=8))
    assert Source(tmp_path, label_studio).fault.kind == "wrong mask size"


@pytest.mark.parametrize(("module", "file"), [(coco, COCO_FILE), (label_studio, TASKS)])
def test_broken_json_is_named_with_its_line(tmp_path: Path, module: ModuleType, file: str) -> None:
    write(tmp_path, module, {"1.png": SQUARE}, TABLE)
    text = (tmp_path / file).read_text()
    (tmp_path / file).write_text(text[:-20])
    with pytest.raises(DatasetError, match="broken JSON at line"):
        module.read(tmp_path, ReadOptions())


def test_one_broken_export_does_not_stop_the_others(tmp_path: Path) -> None:
    write(tmp_path, label_studio, {"1.png": SQUARE}, TABLE)
    (tmp_path / "more.json").write_text((tmp_path / TASKS).read_text()[:-9])
    source = Source(tmp_path, label_studio)
    assert list(source.masks) == ["images/1.png"]
    assert source.kinds == {"more.json": "broken JSON"}


def test_one_broken_file_does_not_stop_the_others(tmp_path: Path) -> None:
    write(tmp_path, coco, {"1.png": SQUARE, "2.png": SQUARE}, TABLE, ["train", "val"])
    broken = tmp_path / "annotations/instances_val.json"
    broken.write_text(broken.read_text()[:-9])
    source = Source(tmp_path, coco)
    assert list(source.masks) == ["images/train/1.png"]
    assert source.kinds["instances_val.json"] == "broken JSON"


@pytest.mark.parametrize("module", [coco, label_studio])
def test_a_missing_or_unlisted_image_is_reported(tmp_path: Path, module: ModuleType) -> None:
    write(tmp_path, module, {"1.png": SQUARE, "2.png": SQUARE}, TABLE)
    (tmp_path / FOLDER[module] / "1.png").rename(tmp_path / FOLDER[module] / "3.png")
    source = Source(tmp_path, module)
    assert list(source.masks) == [f"{FOLDER[module]}/2.png"]
    assert sorted(source.kinds.values()) == ["not in the annotations", "unknown image"]


def test_annotations_of_an_unlisted_image_are_reported(tmp_path: Path) -> None:
    write(tmp_path, coco, {"1.png": SQUARE}, TABLE)
    changed(tmp_path / COCO_FILE, lambda values: values["annotations"][0].update(image_id=77))
    assert Source(tmp_path, coco).kinds == {"instances_default.json": "unknown image"}


@pytest.mark.parametrize("module", [coco, label_studio])
def test_an_image_listed_twice_is_read_once(tmp_path: Path, module: ModuleType) -> None:
    write(tmp_path, module, {"1.png": SQUARE}, TABLE)

    def double(values: Any) -> None:
        images = values["images"] if isinstance(values, dict) else values
        images.append({**images[0], "id": 99})

    changed(tmp_path / (COCO_FILE if module is coco else TASKS), double)
    source = Source(tmp_path, module)
    assert list(source.masks) == [f"{FOLDER[module]}/1.png"]
    assert list(source.kinds.values()) == ["annotated twice"]


def test_results_without_a_mask_are_counted(tmp_path: Path) -> None:
    write(tmp_path, label_studio, {"1.png": SQUARE}, TABLE)
    box = {"type": "keypointlabels", "value": {"keypointlabels": ["cat"]}}
    changed(tmp_path / TASKS, lambda tasks: tasks[0]["annotations"][0]["result"].append(box))
    source = Source(tmp_path, label_studio)
    assert source.kinds == {"keypointlabels": "not a mask"}
    assert_equal(source.masks["images/1.png"], SQUARE)


@pytest.mark.parametrize("module", [camvid, coco, label_studio, mask_pairs, voc])
def test_a_folder_of_another_format_is_refused_with_the_expected_files(tmp_path: Path, module: ModuleType) -> None:
    (tmp_path / "cat").mkdir()
    assert module.recognise(tmp_path) == ""
    with pytest.raises(DatasetError, match=r"format|name"):
        module.read(tmp_path, ReadOptions())
    file = tmp_path / "file.json"
    file.write_text("{}")
    assert module.recognise(file) == ""
    with pytest.raises(DatasetError, match=r"format|name"):
        module.read(file, ReadOptions())
