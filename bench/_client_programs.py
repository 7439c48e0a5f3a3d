"""Client programs of `bench/clients.py`, run by the Python of their own environment: no import of Outfold here.

    python bench/_client_programs.py TASKS.json

Each task names a function below, a folder and where its answer goes. An answer is an NPZ: `codes` (the first pixel of
each image, by which it is known everywhere), `splits`, and either `labels`, or `masks` as ids into `names` where -1 is
no class. If a client cannot load an export, `error` has the text of its error.
"""

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

os.environ["HF_HUB_OFFLINE"] = "1"
logging.disable(logging.WARNING)
Labelled = Iterator[tuple[Any, str, str | None]]  # image, split, label
Masked = tuple[list[str], Iterator[tuple[Any, str, Any]]]  # names; image, split, mask of ids


def code_of(image: Any) -> int:  # noqa: ANN401 a PIL image, an array or a path
    """Return the first pixel of an image as a number."""
    if isinstance(image, str | Path):
        with Image.open(image) as opened:
            image = opened.convert("RGB")
            image.load()
    red, green, blue = np.asarray(image)[0, 0][:3].tolist()
    return int(red) << 16 | int(green) << 8 | int(blue)


def torchvision_folder(folder: Path) -> Labelled:
    """Read class folders; below folders of splits each is one data set."""
    from torchvision.datasets import ImageFolder

    for split, root in _roots(folder):
        found = ImageFolder(str(root))
        for at in range(len(found)):
            image, number = found[at]
            yield image, split, found.classes[number]


def torchvision_coco(folder: Path) -> Masked:
    """Read COCO with torchvision, which reads it with pycocotools."""
    from torchvision.datasets import CocoDetection

    sets = {
        path.stem.removeprefix("instances_"): CocoDetection(
            str(folder / "images" / path.stem.removeprefix("instances_")), str(path)
        )
        for path in sorted((folder / "annotations").glob("*.json"))
    }
    categories = {each["id"]: each["name"] for one in sets.values() for each in one.coco.cats.values()}
    ids, names = {key: at for at, key in enumerate(sorted(categories))}, [categories[key] for key in sorted(categories)]

    def items() -> Iterator[tuple[Any, str, Any]]:
        for split, one in sets.items():
            for at in range(len(one)):
                image, annotations = one[at]
                mask = np.full((image.height, image.width), -1, np.int32)
                for annotation in annotations:
                    if annotation["iscrowd"]:
                        continue  # as training code does
                    mask[_inside(one.coco, annotation) > 0] = ids[annotation["category_id"]]
                yield image, _split(split), mask

    return names, items()


def huggingface(folder: Path) -> Labelled:
    """Load a folder with `datasets.load_dataset`, as people do."""
    import datasets

    for split, rows in datasets.load_dataset(str(folder), cache_dir=str(folder.parent / "hf")).items():
        label = rows.features["label"]
        for row in rows:
            name = row["label"]
            name = label.int2str(name) if name is not None and isinstance(label, datasets.ClassLabel) else name
            yield row.get("image", row.get("path")), row.get("split") or str(split), name


def pandas_csv(folder: Path) -> Labelled:
    """Read the table as described in the README."""
    import pandas

    rows = pandas.read_csv(folder / "labels.csv", dtype={"label": str}, keep_default_na=False, na_values=[""])
    yield from _of_frame(folder, rows)


def pandas_parquet(folder: Path) -> Labelled:
    """Read the Parquet table."""
    import pandas

    yield from _of_frame(folder, pandas.read_parquet(folder / "labels.parquet"))


def supervision_folder(folder: Path) -> Labelled:
    """Read class folders."""
    import supervision

    for split, root in _roots(folder):
        found = supervision.ClassificationDataset.from_folder_structure(str(root))
        for path, _, answer in found:
            yield path, split, found.classes[int(answer.class_id[0])]


def pycocotools_polygons(folder: Path) -> Masked:
    """Read one file of COCO polygons."""
    found = _pycocotools().coco.COCO(str(next((folder / "annotations").glob("*.json"))))
    ids = {key: at for at, key in enumerate(sorted(found.cats))}

    def items() -> Iterator[tuple[Any, str, Any]]:
        for key, image in found.imgs.items():
            mask = np.zeros((image["height"], image["width"]), np.int32)
            for annotation in found.loadAnns(found.getAnnIds(imgIds=[key])):
                mask[_inside(found, annotation) > 0] = ids[annotation["category_id"]]
            yield folder / "images" / image["file_name"], "", mask

    return [found.cats[key]["name"] for key in ids], items()


def pycocotools_yolo(folder: Path) -> Masked:
    """Fill the polygons of YOLO's label files."""
    import yaml

    coco = _pycocotools().mask
    names = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))["names"]

    def items() -> Iterator[tuple[Any, str, Any]]:
        for path in sorted((folder / "images").iterdir()):
            with Image.open(path) as image:
                width, height = image.size
            mask = np.zeros((height, width), np.int32)
            for line in (folder / "labels" / f"{path.stem}.txt").read_text(encoding="utf-8").splitlines():
                number, *corners = map(float, line.split())
                polygon = np.reshape(corners, (-1, 2)) * [width, height]
                inside = coco.decode(coco.merge(coco.frPyObjects([polygon.ravel().tolist()], height, width)))
                mask[inside > 0] = int(number)
            yield path, "", mask

    return list(names), items()


def supervision_coco(folder: Path) -> Masked:
    """Read COCO."""
    import supervision

    sets = {
        path.stem.removeprefix("instances_"): supervision.DetectionDataset.from_coco(
            str(folder / "images" / path.stem.removeprefix("instances_")), str(path), force_masks=True
        )
        for path in sorted((folder / "annotations").glob("*.json"))
    }
    names = next(iter(sets.values())).classes

    def items() -> Iterator[tuple[Any, str, Any]]:
        for split, one in sets.items():
            for path, image, found in one:
                mask = np.full(image.shape[:2], -1, np.int32)
                for inside, number in zip(found.mask if found.mask is not None else [], found.class_id, strict=True):
                    mask[inside] = number
                yield path, _split(split), mask

    return names, items()


def label_studio_choices(folder: Path) -> Labelled:
    """Convert choices to JSON-MIN."""
    from label_studio_converter import Converter

    out = folder.parent / f"{folder.name}-converted"
    Converter((folder / "label_config.xml").read_text(encoding="utf-8"), str(folder)).convert_to_json_min(
        str(folder / "tasks.json"), str(out), is_dir=False
    )
    for row in json.loads((out / "result.json").read_text(encoding="utf-8")):
        yield _local(folder, row["image"]), row["split"], row.get("choice")


def label_studio_brushes(folder: Path) -> Masked:
    """Decode the brushes with the converter."""
    from label_studio_converter.brush import decode_rle

    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    results = [result for task in tasks for one in task["annotations"] for result in one["result"]]
    names = sorted({result["value"]["brushlabels"][0] for result in results})

    def items() -> Iterator[tuple[Any, str, Any]]:
        for task in tasks:
            path = _local(folder, task["data"]["image"])
            with Image.open(path) as image:
                mask = np.full((image.height, image.width), -1, np.int32)
            for result in task["annotations"][0]["result"]:
                height, width = result["original_height"], result["original_width"]
                alpha = np.reshape(decode_rle(result["value"]["rle"]), (height, width, 4))[:, :, 3]
                mask[alpha > 0] = names.index(result["value"]["brushlabels"][0])
            yield path, task["data"]["split"], mask

    return names, items()


def datumaro_labels(folder: Path, form: str) -> Labelled:
    """Read classes of images with datumaro."""
    found = _datumaro().import_from(str(folder), form)
    names = [label.name for label in found.categories()[_kind("label")]]
    for item in found:
        label = next((names[each.label] for each in item.annotations if each.type == _kind("label")), None)
        yield item.media.path, item.subset, label


def datumaro_masks(folder: Path, form: str) -> Masked:
    """Read masks with datumaro."""
    found = _datumaro().import_from(str(folder), form)
    names = [label.name for label in found.categories()[_kind("label")]]

    def items() -> Iterator[tuple[Any, str, Any]]:
        for item in found:
            height, width = item.media.size
            mask = np.full((height, width), -1, np.int32)
            for each in item.annotations:
                if each.type == _kind("mask"):
                    mask[np.asarray(each.image) > 0] = each.label if each.label < len(names) else -1
            yield item.media.path, item.subset, mask

    return names, items()


def write_datumaro(folder: Path, form: str, world: str) -> None:
    """Write a world with one of datumaro's exporters."""
    import datumaro
    from datumaro.components.annotation import LabelCategories, MaskCategories
    from datumaro.components.media import Image as Media

    whole = np.load(world)
    names = whole["names"].tolist()
    categories: dict[Any, Any] = {_kind("label"): LabelCategories.from_iterable(names)}
    of_masks = "masks" in whole.files
    if of_masks:
        colours = {at: tuple(colour) for at, colour in enumerate(whole["colours"].tolist())}
        categories[_kind("mask")] = MaskCategories(colours)
    items = []
    rows = zip(whole["files"].tolist(), whole["splits"].tolist(), whole["images"], strict=True)
    for at, (name, split, image) in enumerate(rows):
        if of_masks:
            mask = whole["masks"][at]
            annotations = [
                datumaro.Mask(image=mask == number, label=int(number), z_order=int(number))
                for number in np.unique(mask)
                if number >= 0
            ]
        else:
            annotations = [datumaro.Label(names.index(whole["labels"][at]))]
        media = Media.from_numpy(data=image[:, :, ::-1].copy())
        items.append(datumaro.DatasetItem(id=name, subset=split, media=media, annotations=annotations))
    made = _datumaro().from_iterable(items, categories=categories, media_type=Media)
    made.export(str(folder), form, save_media=True, image_ext=".png")


def convert(folder: Path, form: str, wanted: str) -> None:
    """Convert a folder with datumaro, as suggested by Outfold."""
    made = _datumaro().import_from(str(folder), form)
    made.export(f"{folder}-converted", wanted, save_media=True)


def write_supervision(folder: Path, form: str, world: str) -> None:
    """Write a world with supervision."""
    import supervision

    whole = np.load(world)
    names, paths = whole["names"].tolist(), {}
    source = folder.parent / f"{folder.name}-images"
    source.mkdir()
    for name, image in zip(whole["files"].tolist(), whole["images"], strict=True):
        paths[name] = str(source / f"{name}.png")
        Image.fromarray(image).save(paths[name])
    if form == "folder":
        answers = {
            paths[name]: supervision.Classifications(class_id=np.array([names.index(label)]))
            for name, label in zip(whole["files"].tolist(), whole["labels"].tolist(), strict=True)
        }
        supervision.ClassificationDataset(names, list(paths.values()), answers).as_folder_structure(str(folder))
        return
    found = {}
    for name, mask in zip(whole["files"].tolist(), whole["masks"], strict=True):
        numbers = [number for number in np.unique(mask).tolist() if number >= 0]
        inside = np.stack([mask == number for number in numbers])
        boxes = supervision.mask_to_xyxy(inside).astype(float)
        found[paths[name]] = supervision.Detections(xyxy=boxes, mask=inside, class_id=np.array(numbers))
    made = supervision.DetectionDataset(names, list(paths.values()), found)
    images, notes = folder / "images", folder / "labels"
    if form == "coco":
        made.as_coco(str(images), str(folder / "annotations" / "instances_default.json"))
    elif form == "yolo":
        made.as_yolo(str(images), str(notes), str(folder / "data.yaml"))
    else:
        made.as_pascal_voc(str(images), str(folder / "annotations"))


def write_huggingface(folder: Path, form: str, world: str) -> None:
    """Write a world with `datasets`, or by its convention of a folder of images."""
    import datasets

    whole = np.load(world)
    rows = zip(whole["files"].tolist(), whole["splits"].tolist(), whole["images"], strict=True)
    folder.mkdir(parents=True)
    if form == "parquet":
        label = datasets.ClassLabel(names=whole["names"].tolist())
        features = datasets.Features({"image": datasets.Image(), "label": label})
        images = [Image.fromarray(image) for _, _, image in rows]
        made = datasets.Dataset.from_dict({"image": images, "label": whole["labels"].tolist()}, features=features)
        made.to_parquet(str(folder / "train-00000-of-00001.parquet"))
        return
    lines = []
    for at, (name, split, image) in enumerate(rows):
        place = Path(split, f"{name}.png")
        (folder / split).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / place)
        if form == "imagefolder":
            lines.append({"file_name": str(place), "label": whole["labels"][at].item(), "split": split})
        else:
            mask = place.with_name(f"{name}_label.png")
            Image.fromarray(whole["masks"][at]).save(folder / mask)
            lines.append({"file_name": str(place), "label_file_name": str(mask)})
    (folder / "metadata.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def _inside(coco: Any, annotation: dict[str, Any]) -> Any:  # noqa: ANN401 of pycocotools
    return coco.annToMask(annotation)


def _pycocotools() -> Any:  # noqa: ANN401 its modules
    import pycocotools.coco
    import pycocotools.mask

    return pycocotools


def _datumaro() -> Any:  # noqa: ANN401 its class
    from datumaro import Dataset

    return Dataset


def _kind(name: str) -> Any:  # noqa: ANN401 datumaro's own
    from datumaro.components.annotation import AnnotationType

    return AnnotationType[name]


def _roots(folder: Path) -> list[tuple[str, Path]]:
    """Return the folders of splits that hold class folders, else the folder itself or its `images`."""
    known = [(name, folder / name) for name in ("train", "val", "test") if (folder / name).is_dir()]
    images = folder / "images"
    return known or [("", images if images.is_dir() else folder)]


def _split(name: str) -> str:
    return "" if name == "default" else name


def _local(folder: Path, address: str) -> Path:
    from urllib.parse import unquote

    return folder / unquote(address.partition("?d=")[2])


def _of_frame(folder: Path, rows: Any) -> Labelled:  # noqa: ANN401 a data frame
    for row in rows.to_dict("records"):
        label = row["label"]
        split = row["split"] if isinstance(row["split"], str) else ""
        yield folder / row["path"], split, label if isinstance(label, str) else None


def _answer(task: dict[str, Any]) -> dict[str, Any]:
    function: Callable[..., Any] = globals()[task["do"]]
    given = [Path(task["folder"]), *task["more"]]
    found = function(*given)
    if found is None:
        return {}
    if isinstance(found, tuple):
        names, rows = found
        masks = [(code_of(image), split, mask) for image, split, mask in rows]
        return {
            "names": np.array(names),
            "codes": np.array([code for code, _, _ in masks]),
            "splits": np.array([split for _, split, _ in masks]),
            "masks": np.array([mask for _, _, mask in masks]),
        }
    labelled = [(code_of(image), split, "" if label is None else label) for image, split, label in found]
    return {
        "codes": np.array([code for code, _, _ in labelled]),
        "splits": np.array([split for _, split, _ in labelled]),
        "labels": np.array([str(label) for _, _, label in labelled]),
    }


def main() -> None:
    """Carry out the tasks of a file."""
    for task in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        try:
            values = _answer(task)
        except Exception as error:  # noqa: BLE001 whatever a client raises is its answer
            traceback.print_exc()
            values = {"error": np.array(f"{type(error).__name__}: {error}"[:300])}
        np.savez(task["to"], **values)


if __name__ == "__main__":
    main()
