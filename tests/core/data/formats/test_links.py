"""Links to label files: followed within their folder, refused outside of it unless allowed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.formats import coco, huggingface, label_studio, manifest, mask_pairs, voc
from core.data.formats.source import ReadOptions
from core.types import DatasetError

BOX = {"annotations": [{"result": []}], "data": {"image": "images/1.png"}}
OF_COCO = {"images": [{"id": 1, "file_name": "1.png", "width": 4, "height": 4}], "categories": [], "annotations": []}


def draw(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), value, np.uint8)).save(path)


CASES: dict[str, tuple[object, str, str, tuple[str, str]]] = {
    "classes": (mask_pairs, "classes.txt", "road\n", ("images/1.png", "labels/1.png")),
    "list": (voc, "ImageSets/Segmentation/train.txt", "1\n", ("JPEGImages/1.png", "SegmentationClass/1.png")),
    "coco": (coco, "annotations/instances.json", json.dumps(OF_COCO), ("1.png", "1.png")),
    "label studio": (label_studio, "tasks.json", json.dumps([BOX]), ("images/1.png", "images/1.png")),
    "manifest": (manifest, "manifest.csv", "path,label\n1.png,a\n", ("1.png", "1.png")),
    "metadata": (huggingface, "metadata.csv", "file_name,label\n1.png,a\n", ("1.png", "1.png")),
}


@pytest.mark.parametrize("case", CASES)
def test_a_link_that_leaves_the_folder_is_refused_by_name(tmp_path: Path, case: str) -> None:
    form, name, text, images = CASES[case]
    read: Callable[..., object] = form.read  # type: ignore[attr-defined]
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for image in images:
        draw(root / image)
    elsewhere.write_text(text)
    link = root / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(elsewhere)
    with pytest.raises(DatasetError, match=f"{link.name}: is a link that leaves the folder.*copy the file"):
        read(root, ReadOptions())
    read(root, ReadOptions(allow_outside_links=True))
    with pytest.raises(DatasetError, match="leaves the folder"):
        read(root, ReadOptions(allow_outside_links=True, allowed_roots=(str(root),)))
    link.unlink()
    inside = root / "kept" / "as.data"
    inside.parent.mkdir()
    inside.write_text(text)
    link.symlink_to(inside)
    read(root, ReadOptions())
