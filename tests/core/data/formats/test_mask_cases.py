"""Odd but valid folders of masks are read right, with nothing asked: one small folder a case, written here."""

import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions
from core.data.images import MaskError
from core.data.masks.reading import read_masks
from core.data.masks.runs import encode_brush
from core.types import IntArray

WIDTH, HEIGHT = 48, 32
BOX = (slice(8, 24), slice(10, 30))  # 320 of 1,536 pixels
POLYGON = [[10, 8, 30, 8, 30, 24, 10, 24]]
BLACK_WHITE = [level for level in range(256) for _ in range(3)]
CVAT = "# label:color_rgb:parts:actions\nCat:48,112,32::\nbackground:0,0,0::\nDog:176,112,32::\n"
Draw = Callable[[Path], None]


def mask(inside: int = 1, outside: int = 0, dtype: type = np.uint8) -> IntArray:
    drawn: IntArray = np.full((HEIGHT, WIDTH), outside, dtype)
    drawn[BOX] = inside
    return drawn


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(str(path.name))).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(noise).save(path)


def put(path: Path, pixels: IntArray, palette: list[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette)
    image.save(path)


def pairs(*pixels: IntArray, palette: list[int] | None = None, **files: str) -> Draw:
    """Return what writes `images/` and `masks/`, and files beside them."""

    def draw(root: Path) -> None:
        for number, one in enumerate(pixels):
            photo(root / f"images/{number}.jpg")
            put(root / f"masks/{number}.png", one, palette)
        for name, text in files.items():
            (root / name.replace("__", ".")).write_text(text)

    return draw


def one_bit(root: Path) -> None:
    photo(root / "images/0.jpg")
    (root / "masks").mkdir()
    Image.fromarray(mask(255)).convert("1").save(root / "masks/0.png")


def several_pages(root: Path) -> None:
    """Write images of several pages, the first of which counts, with ordinary masks."""
    (root / "images").mkdir()
    pages = [Image.fromarray(np.full((HEIGHT, WIDTH), level, np.uint8)) for level in (10, 20, 30)]
    pages[0].save(root / "images/0.tif", save_all=True, append_images=pages[1:])
    put(root / "masks/0.png", mask())


def voc(labelmap: str, *, ids: bool) -> Draw:
    """Return what writes CVAT's layout, in colours or in ids with their palette."""

    def draw(root: Path) -> None:
        photo(root / "JPEGImages/0.jpg")
        values = mask(0, 1) if ids else mask(0, 0)
        values[2:6, 2:9] = 2
        colours = np.array([[48, 112, 32], [0, 0, 0], [176, 112, 32]], np.uint8)
        pixels = values if ids else colours[np.where(values == 2, 2, mask(0, 1))]
        put(root / "SegmentationClass/0.png", pixels, colours.ravel().tolist() + [0] * 759 if ids else None)
        (root / "ImageSets/Segmentation").mkdir(parents=True)
        (root / "ImageSets/Segmentation/default.txt").write_text("0\n")
        (root / "labelmap.txt").write_text(labelmap)

    return draw


def labelme_voc(root: Path) -> None:
    """Write what labelme2voc.py writes: names of classes, ids with a palette, pictures of them."""
    photo(root / "JPEGImages/0.jpg")
    for folder in ("SegmentationClass", "SegmentationClassPNG"):
        put(root / folder / "0.png", mask(), [0, 0, 0, 128, 0, 0] + [0] * 762)
    photo(root / "SegmentationClassVisualization/0.jpg")
    (root / "class_names.txt").write_text("_background_\ncat\n")


def coco(segmentation: Any, *, name: str = "0.jpg", image_id: Any = 1, categories: Any = None, **more: Any) -> Draw:
    """Return what writes one image with one annotation of COCO, or a list of annotations."""

    def draw(root: Path) -> None:
        photo(root / "images" / name)
        (root / "annotations").mkdir()
        one = {"id": 1, "image_id": image_id, "category_id": 3, "segmentation": segmentation, "bbox": [10, 8, 20, 16]}
        told = {
            "images": [{"id": 1, "file_name": name, "width": WIDTH, "height": HEIGHT}],
            "categories": categories or [{"id": 3, "name": "cat"}],
            "annotations": [one | {"iscrowd": 0} | more],
        }
        (root / "annotations/instances_train.json").write_text(json.dumps(told))

    return draw


def runs(inside: IntArray) -> list[int]:
    """Return run lengths as numbers, down the columns."""
    flat = inside.T.ravel()
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    return [end - start for start, end in pairwise(ends)]


def roboflow(root: Path) -> None:
    for split in ("train", "valid", "test"):
        photo(root / split / "0_jpg.rf.abc.jpg")
        one = {"id": 0, "image_id": 0, "category_id": 1, "segmentation": POLYGON, "bbox": [10, 8, 20, 16]}
        told = {
            "images": [{"id": 0, "license": 1, "file_name": "0_jpg.rf.abc.jpg", "width": WIDTH, "height": HEIGHT}],
            "categories": [{"id": 1, "name": "cat", "supercategory": "objects"}],
            "annotations": [one],
        }
        (root / split / "_annotations.coco.json").write_text(json.dumps(told))


def label_studio_coco(root: Path) -> None:
    """Write the COCO export of Label Studio, with paths of the machine it ran on."""
    photo(root / "images/abcdef12-0.jpg")
    file = "..\\..\\label-studio\\data\\media\\upload\\1\\abcdef12-0.jpg"
    one = {"id": 0, "image_id": 0, "category_id": 0, "segmentation": POLYGON, "bbox": [10, 8, 20, 16], "ignore": 0}
    told = {
        "images": [{"id": 0, "file_name": file, "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 0, "name": "cat"}],
        "annotations": [one],
    }
    (root / "result.json").write_text(json.dumps(told))


def label_studio(image: str, *labels: str) -> Draw:
    """Return what writes one task with one brush."""

    def draw(root: Path) -> None:
        photo(root / "images/0.jpg")
        value = {"format": "rle", "rle": encode_brush(mask() > 0), "brushlabels": list(labels)}
        result = {"id": "a", "type": "brushlabels", "value": value, "original_width": WIDTH, "original_height": HEIGHT}
        told = [{"id": 1, "data": {"image": image}, "annotations": [{"id": 1, "result": [result]}]}]
        (root / "export.json").write_text(json.dumps(told))

    return draw


def manifest(root: Path) -> None:
    photo(root / "photos/a/0_photo.png")
    put(root / "ids/a/0_ids.png", mask(7))
    (root / "list.csv").write_text("image,mask\r\nphotos/a/0_photo.png,ids/a/0_ids.png\r\n")


WIDE = mask(300, 0, np.uint16)
WIDE[:2] = 65_535
LEFT_OUT = mask()
LEFT_OUT[:2] = 255
NAMED = mask(2)
NAMED[:4] = 1
HOLE = [*POLYGON, [15, 12, 25, 12, 25, 20, 15, 20]]
Case = tuple[Draw, str, dict[str, int]]  # what writes it, its format, its pixels by class ("": IGNORE)
CASES: dict[str, Case] = {
    "ids without the 0": (pairs(mask(1, 2)), "mask-pairs", {"1": 320, "2": 1216}),
    "ids with 255 for nothing": (pairs(LEFT_OUT), "mask-pairs", {"0": 1120, "1": 320, "": 96}),
    "16 bits with 65535 for nothing": (pairs(WIDE), "mask-pairs", {"0": 1120, "300": 320, "": 96}),
    "names and ids in another order": (
        pairs(NAMED, class_dict__csv="name,id\nroad,2\nsky,1\nvoid,0\n"),
        "mask-pairs",
        {"sky": 192, "road": 320, "": 1024},
    ),
    "black and white in one bit": (one_bit, "mask-pairs", {"0": 1216, "1": 320}),
    "black and white in a palette": (
        pairs(mask(255), palette=BLACK_WHITE),
        "mask-pairs",
        {"background": 1216, "object": 320},
    ),
    "black and white in grey and colour": (
        pairs(mask(255), np.dstack([mask(255)] * 3)),
        "mask-pairs",
        {"background": 2432, "object": 640},
    ),
    "images of several pages": (several_pages, "mask-pairs", {"0": 1216, "1": 320}),
    "CVAT's masks in colours": (voc(CVAT, ids=False), "voc", {"Cat": 320, "background": 1188, "Dog": 28}),
    "CVAT's masks in ids": (voc(CVAT, ids=True), "voc", {"Cat": 320, "background": 1188, "Dog": 28}),
    "labelme's VOC": (labelme_voc, "voc", {"_background_": 1216, "cat": 320}),
    "a crowd in run lengths": (
        coco({"size": [HEIGHT, WIDTH], "counts": runs(mask())}, iscrowd=1),
        "coco",
        {"background": 1216, "cat": 320},
    ),
    "run lengths as whole floats": (
        coco({"size": [HEIGHT, WIDTH], "counts": [float(run) for run in runs(mask())]}),
        "coco",
        {"background": 1216, "cat": 320},
    ),
    "images in folders of their own": (coco(POLYGON, name="cam1/a.jpg"), "coco", {"background": 1216, "cat": 320}),
    "a polygon within a polygon": (coco(HOLE), "coco", {"background": 1216, "cat": 320}),
    "a polygon beyond the image": (coco([[-5, 8, 30, 8, 30, 24, -5, 24]]), "coco", {"background": 1056, "cat": 480}),
    "ids of images as text, a name twice": (
        coco(POLYGON, image_id="1", categories=[{"id": 3, "name": "cat"}, {"id": 4, "name": "cat"}]),
        "coco",
        {"background": 1216, "cat": 320},
    ),
    "Roboflow's COCO": (roboflow, "coco", {"background": 3648, "cat": 960}),
    "Label Studio's COCO": (label_studio_coco, "coco", {"background": 1216, "cat": 320}),
    "Label Studio on Windows": (
        label_studio("/data/local-files/?d=set%5Cimages%5C0.jpg", "cat"),
        "label-studio",
        {"cat": 320, "background": 1216},
    ),
    "a brush with two labels": (
        label_studio("/data/upload/1/abcdef12-0.jpg", "cat", "dog"),
        "label-studio",
        {"cat": 320, "background": 1216},
    ),
}


def read(root: Path) -> tuple[str, dict[str, int], list[str], list[str]]:
    """Return the format, the pixels of each class that has some, what is asked, and why masks are left out."""
    form = detect(root).format
    listing = FORMATS[form].read(root, ReadOptions())
    samples = list(listing.samples)
    assert listing.table is not None
    counts: Counter[str] = Counter()
    faults = []
    for found in read_masks([(one.mask, WIDTH, HEIGHT) for one in samples if one.mask], listing.table):
        if isinstance(found, MaskError):
            faults.append(found.kind)
            continue
        for value, count in zip(*np.unique(found, return_counts=True), strict=True):
            counts["" if value == np.iinfo(found.dtype).max else listing.table.names[value]] += int(count)
    return form.value, dict(counts), [question.kind for question in listing.meaning.questions], faults


@pytest.mark.parametrize("case", CASES)
def test_odd_but_valid_masks_are_read_without_a_question(tmp_path: Path, case: str) -> None:
    draw, form, pixels = CASES[case]
    draw(tmp_path)
    assert read(tmp_path) == (form, pixels, [], [])


def test_a_table_can_name_images_and_masks_in_any_folders(tmp_path: Path) -> None:
    manifest(tmp_path)
    listing = FORMATS[detect(tmp_path / "list.csv").format].read(tmp_path / "list.csv", ReadOptions())
    (sample,) = listing.samples
    assert listing.table is not None
    (found,) = read_masks([(sample.mask or {}, WIDTH, HEIGHT)], listing.table)
    np.testing.assert_array_equal(found, mask(7))


def test_masks_saved_as_jpeg_are_asked_about_before_they_are_classes(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / f"images/{number}.png")
        put(tmp_path / f"masks/{number}.jpg", mask(255))
    _, pixels, asked, faults = read(tmp_path)
    assert (asked, faults) == (["smoothed masks"], [])
    assert set(pixels) <= {"background", "object", ""}


def test_a_mask_of_another_size_is_left_out_and_named(tmp_path: Path) -> None:
    coco(POLYGON)(tmp_path)
    path = tmp_path / "annotations/instances_train.json"
    told = json.loads(path.read_text())
    told["images"][0] |= {"width": 96, "height": 64}
    path.write_text(json.dumps(told))
    assert read(tmp_path)[3] == ["wrong mask size"]


def test_colours_outside_vocs_map_are_reported_when_there_is_no_list(tmp_path: Path) -> None:
    photo(tmp_path / "JPEGImages/0.jpg")
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[BOX] = (250, 50, 83)
    put(tmp_path / "SegmentationClass/0.png", pixels)
    assert read(tmp_path)[3] == ["colours not in the map"]
