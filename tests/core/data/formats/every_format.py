"""A small folder in each format, labelled in training and validation images, with a problem where one is easily had."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from core.data.formats import camvid, coco, label_studio, mask_pairs, voc
from core.data.formats.source import SourceFormat
from core.types import ClassTable
from tests.core.data.formats import embedded_tables
from tests.core.data.formats.drawn import draw_all
from tests.core.data.formats.drawn_masks import write

_TABLE = ClassTable(("sky", "road"), ("#0000ff", "#ff0000"))
_LEFT = [[0, 0], [2, 0], [2, 4], [0, 4]]  # the left two of five columns
_TWO_SPLITS = ["train/cat/1.png", "train/dog/2.png", "val/cat/3.png", "val/dog/4.png"]


def _exported(module: ModuleType) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        rows = np.random.default_rng(1).integers(0, 2, (3, 6, 7), np.uint8)
        rows[0, 0] = 255
        drawn = {f"{number} ü.png": mask for number, mask in enumerate(rows)} | {"bare.png": None}
        write(root, module, drawn, _TABLE, ["train", "val"])

    return make


def _class_folders(root: Path) -> None:
    draw_all(root, [*_TWO_SPLITS, "outside.png"])
    (root / "train/cat/empty.png").touch()


def _manifest(root: Path) -> None:
    draw_all(root, ["1.png", "a%25b/2.png", "3.png"])
    rows = "1.png,cat,train\na%25b/2.png,dog,val\n3.png,cat,train\nnone.png,dog,val\n"
    (root / "manifest.csv").write_text(f"path,label,split\n{rows}")


def _huggingface(root: Path) -> None:
    for split in ("train", "test"):
        draw_all(root, [f"{split}/{number}.png" for number in range(2)])
        lines = [json.dumps({"file_name": f"{number}.png", "label": f"class {number}"}) for number in range(2)]
        (root / split / "metadata.jsonl").write_text("\n".join(lines))


def _parquet(root: Path) -> None:
    features = {"image": {"_type": "Image"}, "label": embedded_tables.class_label()}
    for split, seeds in (("train", range(4)), ("test", range(4, 6))):
        columns = {"image": [embedded_tables.cell(seed) for seed in seeds], "label": [seed % 3 for seed in seeds]}
        embedded_tables.write(root / f"data/{split}-00000-of-00001.parquet", columns, features)


def _cvat(root: Path) -> None:
    draw_all(root, [f"images/{number}.png" for number in range(3)])
    shapes = ['<polygon label="road" points="0,0;2,0;2,4;0,4"/>', '<points label="road" points="1,1"/>', ""]
    images = (
        f'<image id="{number}" name="{number}.png" width="5" height="4">{inside}</image>'
        for number, inside in enumerate(shapes)
    )
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{''.join(images)}</annotations>")


def _labelme(root: Path) -> None:
    draw_all(root, [f"{number}.jpg" for number in range(3)])
    for number, points in enumerate((_LEFT, [[1]])):
        shapes = [{"label": "cat", "points": points, "shape_type": "polygon"}]
        values = {"version": "5.0", "shapes": shapes, "imagePath": f"{number}.jpg", "imageHeight": 4, "imageWidth": 5}
        (root / f"{number}.json").write_text(json.dumps(values))


def _yolo(root: Path) -> None:
    for split, text in (("train", "0 0 0 0.4 0 0.4 1 0 1\n"), ("val", "7 0 0 1 0 1 1\n")):
        draw_all(root, [f"images/{split}/{split}.jpg", f"images/{split}/{split}-empty.jpg"])
        (root / "labels" / split).mkdir(parents=True)
        (root / f"labels/{split}/{split}.txt").write_text(text)
        (root / f"labels/{split}/{split}-empty.txt").touch()
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n")


def _cityscapes(root: Path) -> None:
    for split in ("train", "val"):
        stem = f"aachen_{len(split):06d}_000019"
        draw_all(root, [f"leftImg8bit/{split}/aachen/{stem}_leftImg8bit.png"])
        folder = root / "gtFine" / split / "aachen"
        folder.mkdir(parents=True)
        ids = np.array([[7, 26, 0, 3, 33]] * 4, np.uint8)
        Image.fromarray(ids).save(folder / f"{stem}_gtFine_labelIds.png")
        (folder / f"{stem}_gtFine_polygons.json").write_text("{}")


def _unlabelled(root: Path) -> None:
    draw_all(root, ["1.png", "deep/er/2.png"])
    (root / "notes.md").write_text("no image")


MAKERS: Mapping[SourceFormat, Callable[[Path], None]] = {
    SourceFormat.IMAGEFOLDER: _class_folders,
    SourceFormat.MANIFEST: _manifest,
    SourceFormat.HUGGINGFACE: _huggingface,
    SourceFormat.HUGGINGFACE_PARQUET: _parquet,
    SourceFormat.COCO: _exported(coco),
    SourceFormat.LABEL_STUDIO: _exported(label_studio),
    SourceFormat.CVAT: _cvat,
    SourceFormat.LABELME: _labelme,
    SourceFormat.YOLO: _yolo,
    SourceFormat.VOC: _exported(voc),
    SourceFormat.CITYSCAPES: _cityscapes,
    SourceFormat.CAMVID: _exported(camvid),
    SourceFormat.MASK_PAIRS: _exported(mask_pairs),
    SourceFormat.UNLABELLED: _unlabelled,
}
