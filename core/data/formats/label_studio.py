"""Label Studio's JSON export: tasks with `brushlabels` (its packed run lengths) and `polygonlabels` (percent).

Of a task's annotations the last that was not cancelled counts; a task without any is not labelled. Each pixel gets the
class of the last shape that covers it. Pixels that none covers are the class `background`, which is added where there
is none, unless a file of classes beside the export says which colour is IGNORE: then they are IGNORE. Any alpha above 0
is inside of a brush.

Written: `tasks.json` with one brush for each image and class, `label_config.xml` for the project, and `classes.csv`.
Images are named as local files (`/data/local-files/?d=...`); a project whose storage is the export's folder shows them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote
from xml.etree import ElementTree as ET

import numpy as np

from core.data.export.names import safe_name
from core.data.formats.annotations import Images, find_json, image_root, read_all
from core.data.formats.mask_meaning import find_classes
from core.data.formats.source import Problems, ReadOptions, SourceListing, natural_order, refuse_leaving, split_name
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.classes import write_classes
from core.data.masks.colours import IGNORED, class_table
from core.data.masks.items import MaskItem, place_in
from core.data.masks.runs import encode_brush
from core.data.masks.segments import segments
from core.data.storage import atomic_path, write_atomically
from core.types import ClassTable, DatasetError, SourceSample, ignore_of

_BACKGROUND = "background"
_TASKS, _CONFIG = "tasks.json", "label_config.xml"
_LOCAL = "/data/local-files/?d="
_HEAD = re.compile(r"\s*\[\s*\{")
_KEYS = tuple(re.compile(rf'"{key}"\s*:') for key in ("data", "annotations", "result"))
_UPLOADED = re.compile(r"[0-9a-f]{8}-")  # what Label Studio puts before an uploaded file's name
_FIGURES = {"rectanglelabels": "rectangle", "ellipselabels": "ellipse"}
_SHAPES = {"brushlabels", "polygonlabels", *_FIGURES}
_FROM, _TO = "tag", "image"


def recognise(source: Path) -> str:
    """Say why this is an export of Label Studio; empty: it is not."""
    found = _find(source)
    return f"{found[0].name} has tasks with annotations as Label Studio exports them" if found else ""


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List the image of every task.

    Raises:
        DatasetError: there is no such file, or it is broken, or has no class.
    """
    found = _find(source)
    if not found:
        raise DatasetError(f"{source}: has no JSON export of Label Studio; name the file, or choose another format")
    problems = Problems()
    found = [refuse_leaving(path, source, options) for path in found]
    tasks = [
        (path, task) for path, values in read_all(found, list, problems) for task in values if isinstance(task, dict)
    ]
    root = image_root(source)
    declared = find_classes([root, *sorted({path.parent for path in found})], options, root)
    names = list(declared.table.names) if declared else []
    names += sorted({name for _, task in tasks for name in _names(task)} - set(names), key=natural_order)
    ignored = declared is not None and any(number == IGNORED for _, number in declared.colours)
    background = next((name for name in names if name.strip().lower() == _BACKGROUND), None)
    if background is None and not ignored:
        names.append(background := _BACKGROUND)
    ids = {name: number for number, name in enumerate(names)}
    base = IGNORED if ignored or background is None else ids[background]
    table = class_table(names, declared.table.colours if declared else ())
    return SourceListing(_samples(tasks, Images(root, options, problems), ids, base), problems, table)


def place(items: Sequence[MaskItem]) -> list[str]:
    """Return where each image goes: `images/split/name`."""
    return place_in(items, lambda item: f"images/{safe_name(item.split)}" if item.split else "images")


def write(folder: Path, items: Sequence[MaskItem], table: ClassTable, files: Sequence[str]) -> None:
    """Write the tasks, the project's labels and the table of classes."""
    written, _ = write_classes(folder, table)
    write_atomically(folder / _CONFIG, _config(written))
    with atomic_path(folder / _TASKS) as path, path.open("w", encoding="utf-8") as out:
        out.write("[")
        for number, (item, file) in enumerate(zip(items, files, strict=True), start=1):
            out.write(f"{',' if number > 1 else ''}\n{json.dumps(_task(number, item, file, written))}")
        out.write("\n]\n")


def _find(source: Path) -> list[Path]:
    return find_json(source, lambda text: bool(_HEAD.match(text)) and all(key.search(text) for key in _KEYS))


def _annotation(task: dict[str, Any]) -> dict[str, Any] | None:
    """Return the annotation that counts."""
    found = task.get("annotations")
    whole = [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
    return next((item for item in reversed(whole) if not item.get("was_cancelled")), None)


def _results(annotation: dict[str, Any] | None) -> list[dict[str, Any]]:
    found = (annotation or {}).get("result")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _label(result: dict[str, Any]) -> str | None:
    """Return the class of one shape; None: it has none."""
    value = result.get("value")
    labels = value.get(result.get("type")) if isinstance(value, dict) else None
    return str(labels[0]) if isinstance(labels, list) and labels else None


def _names(task: dict[str, Any]) -> Iterator[str]:
    for result in _results(_annotation(task)):
        name = _label(result)
        if result.get("type") in _SHAPES and name is not None:
            yield name


def _samples(
    tasks: list[tuple[Path, dict[str, Any]]], images: Images, ids: dict[str, int], base: int
) -> Iterator[SourceSample]:
    others: Counter[str] = Counter()
    for path, task in tasks:
        data = task.get("data")
        values = data if isinstance(data, dict) else {}
        split = values.get("split")
        name = _find_image(images, _image(values), path)
        if name is None:
            continue
        annotation = _annotation(task)
        shapes = []
        for result in _results(annotation):
            kind = str(result.get("type"))
            if kind in _SHAPES:
                shapes.append(_shape(kind, result, ids))
            else:
                others[kind] += 1
        mask = None if annotation is None else segments(f"{path.name}, {name}", base, shapes)
        split = split_name(split) if isinstance(split, str) else ""
        yield SourceSample(f"{images.root}/{name}", name, None, split, sequence_of(name), mask)
    for kind, count in others.items():
        images.problems.warn(
            "not a mask",
            kind,
            f"{count:,} results are {kind}; only brush, polygon, rectangle and ellipse labels are read",
            "nothing",
        )
    images.note_unnamed()


def _image(data: dict[str, Any]) -> str:
    """Return what a task calls its image: the value called image, else the first that is an address or a path."""
    texts = [value for value in (data.get("image"), *data.values()) if isinstance(value, str)]
    return next((text for text in texts if "." in text), "")


def _find_image(images: Images, written: str, path: Path) -> str | None:
    """Return the image at an address: a local file, an upload, or anything whose last part is a file's name."""
    address, _, query = written.partition("?")
    local = parse_qs(query).get("d", [])
    names = [name for text in (*local, address, written) for name in (text, unquote(text))]
    uploaded = [f"{folder}{slash}{_UPLOADED.sub('', tail, count=1)}" for folder, slash, tail in map(_parted, names)]
    found = next((name for name in (*names, *uploaded) if images.knows(name)), names[0])
    return images.find(found, path.parent)


def _parted(name: str) -> tuple[str, str, str]:
    return name.rpartition("/")


def _shape(kind: str, result: dict[str, Any], ids: dict[str, int]) -> list[Any]:
    value, name = result.get("value"), _label(result)
    if name is None or not isinstance(value, dict):
        said = f"the result {result.get('id')} has no label"
        return [0, "fault", ["no label", said, "give it a label in Label Studio, or remove it"]]
    if kind == "polygonlabels":
        return [ids[name], "percent", value.get("points")]
    if kind in _FIGURES:
        return [ids[name], _FIGURES[kind], value]
    return [
        ids[name],
        "brush",
        {"size": [result.get("original_height"), result.get("original_width")], "rle": value.get("rle")},
    ]


def _task(number: int, item: MaskItem, file: str, table: ClassTable) -> dict[str, Any]:
    task = {"id": number, "data": {"image": _LOCAL + quote(file), "split": item.split}, "annotations": []}
    return (
        task
        if item.mask is None
        else {**task, "annotations": [{"id": number, "result": _brushes(number, item, table)}]}
    )


def _brushes(number: int, item: MaskItem, table: ClassTable) -> list[dict[str, Any]]:
    assert item.mask is not None
    mask = item.mask()
    return [
        {
            "id": f"{number}-{label}",
            "type": "brushlabels",
            "from_name": _FROM,
            "to_name": _TO,
            "original_width": item.width,
            "original_height": item.height,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": encode_brush(mask == label), "brushlabels": [table.names[label]]},
        }
        for label in np.flatnonzero(np.bincount(mask.ravel())).tolist()
        if label != ignore_of(mask)
    ]


def _config(table: ClassTable) -> bytes:
    """Return the labels of a project that shows these tasks; letters that XML has no place for are left out."""
    view = ET.Element("View")
    ET.SubElement(view, "Image", name=_TO, value="$image")
    labels = ET.SubElement(view, "BrushLabels", name=_FROM, toName=_TO)
    for name, colour in zip(table.names, table.colours, strict=True):
        ET.SubElement(labels, "Label", value="".join(filter(str.isprintable, name)), background=colour)
    written: bytes = ET.tostring(view, encoding="utf-8")
    return written
