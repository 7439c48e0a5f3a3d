"""Label Studio's JSON export: tasks with `brushlabels` (its packed run lengths) and `polygonlabels` (percent).

Of a task's annotations the ground truth counts, else the last that was not cancelled; a task without any is unlabelled.
If annotations differ without a ground truth, or several ground truths differ, the image is marked as one whose
annotators differ, so that it gets a second opinion. Each pixel gets the class of the last shape that covers it.
Uncovered pixels are the class `background`, which is added if missing, unless a file of classes beside the export
gives a colour for IGNORE: then they are IGNORE. Any alpha above 0 is inside of a brush. With a shape without a label
the image has no mask. If annotators made choices and drew nothing, labels are classes of images.

Written: `tasks.json` with one brush for each image and class, `label_config.xml` for the project, and `classes.csv`.
Classes of images: the same with one choice for each image.
Images are named as local files (`/data/local-files/?d=...`); a project whose storage is the export's folder shows them.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import numpy as np

from core.data.export.names import safe_name
from core.data.formats.annotations import ImageIndex, find_json, image_root, objects, read_all
from core.data.formats.mask_meaning import find_classes
from core.data.formats.source import (
    READING,
    Problems,
    ReadOptions,
    SourceListing,
    natural_order,
    refuse_leaving,
    split_name,
)
from core.data.masks.camvid_maps import sequence_of
from core.data.masks.classes import BACKGROUND, write_classes
from core.data.masks.colours import IGNORED, class_table
from core.data.masks.items import MaskItem, place_in
from core.data.masks.runs import encode_brush
from core.data.masks.segments import segments
from core.data.storage import atomic_path, write_atomically
from core.types import ClassTable, DatasetError, SourceSample, counted, ignore_of

_TASKS, _CONFIG = "tasks.json", "label_config.xml"
_LOCAL = "/data/local-files/?d="
_HEAD = re.compile(r"\s*\[\s*\{")
_KEYS = tuple(re.compile(rf'"{key}"\s*:') for key in ("data", "annotations", "result"))
_MIN_KEYS = tuple(re.compile(rf'"{key}"\s*:') for key in ("annotation_id", "annotator", "lead_time"))
_SHAPES = {
    "brushlabels": "brush",
    "polygonlabels": "percent",
    "rectanglelabels": "rectangle",
    "ellipselabels": "ellipse",
}
_BARE = {"brush", "polygon", "rectangle", "ellipse"}  # results of shapes whose labels are a result of their own
_LABELS = "labels"
_KINDS_BY_KEY = {
    "rle": "brush",
    "points": "percent",
    "radiusX": "ellipse",
    "width": "rectangle",
}  # the value's key -> its shape
_FROM, _TO, _CHOICE = "tag", "image", "choice"


def recognise(source: Path) -> str:
    """Return the evidence that the source is an export of Label Studio, empty if it is not."""
    found = _find(source)
    if found:
        return f"{found[0].name} has tasks with annotations as Label Studio exports them"
    small = _find_min(source)
    return f"{small[0].name} is an export of Label Studio, as JSON-MIN" if small else ""


def read(source: Path, options: ReadOptions) -> SourceListing:
    """List the image of every task.

    Raises:
        DatasetError: there is no such file, or it is broken, or has no class.
    """
    found = _find(source)
    if not found and (small := _find_min(source)):
        raise DatasetError(
            f"{small[0].name}: is a JSON-MIN export of Label Studio, which is not read", "export the project as JSON"
        )
    if not found:
        raise DatasetError(f"{source}: has no JSON export of Label Studio", "name the file, or choose another format")
    problems = Problems()
    found = [refuse_leaving(path, source, options) for path in found]
    tasks = [
        _Task(path, task, options.reading)
        for path, values in read_all(found, list, problems)
        for task in values
        if isinstance(task, dict)
    ]
    root = image_root(source)
    images = ImageIndex(root, options, problems)
    has_shapes = any(task.has_shapes for task in tasks)
    if options.reading >= READING and any(task.choices for task in tasks) and not has_shapes:
        _note_differing(tasks, problems, _choices)
        return SourceListing(_classes(tasks, images), problems)
    _note_differing(tasks, problems, partial(_comparable_shapes, reading=options.reading))
    _note_undrawn(tasks, problems)
    declared = find_classes([root, *sorted({path.parent for path in found})], options, root)
    names = list(declared.table.names) if declared else []
    names += sorted({name for task in tasks for name in task.names} - set(names), key=natural_order)
    ignored = declared is not None and any(number == IGNORED for _, number in declared.colours)
    background = next((name for name in names if name.strip().lower() == BACKGROUND), None)
    if background is None and not ignored:
        names.append(background := BACKGROUND)
    ids = {name: number for number, name in enumerate(names)}
    base = IGNORED if ignored or background is None else ids[background]
    table = class_table(names, declared.table.colours if declared else ())
    return SourceListing(_samples(tasks, images, ids, base), problems, table)


def place(items: Sequence[MaskItem]) -> list[str]:
    """Return the place of each image: `images/split/name`."""
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


def write_choices(folder: Path, rows: Sequence[tuple[str, str, str | None]], classes: Sequence[str]) -> None:
    """Write a task for each image, as (file, split, label), with its class as the choice, and the project's labels."""
    config = ET.Element("View")
    ET.SubElement(config, "Image", name=_TO, value="$image")
    choices = ET.SubElement(config, "Choices", name=_CHOICE, toName=_TO, choice="single")
    for name in classes:
        ET.SubElement(choices, "Choice", value="".join(filter(str.isprintable, name)))
    write_atomically(folder / _CONFIG, ET.tostring(config, encoding="utf-8"))
    with atomic_path(folder / _TASKS) as path, path.open("w", encoding="utf-8") as out:
        out.write("[")
        for number, (file, split, label) in enumerate(rows, start=1):
            result = {"id": str(number), "type": "choices", "from_name": _CHOICE, "to_name": _TO}
            chosen = [] if label is None else [{"id": number, "result": [{**result, "value": {"choices": [label]}}]}]
            task = {"id": number, "data": {"image": _LOCAL + quote(file), "split": split}, "annotations": chosen}
            out.write(f"{',' if number > 1 else ''}\n{json.dumps(task)}")
        out.write("\n]\n")


def _find(source: Path) -> list[Path]:
    return find_json(source, lambda text: bool(_HEAD.match(text)) and all(key.search(text) for key in _KEYS))


def _find_min(source: Path) -> list[Path]:
    return find_json(source, lambda text: bool(_HEAD.match(text)) and all(key.search(text) for key in _MIN_KEYS))


class _Task:
    """One task of an export, with the annotation that counts."""

    def __init__(self, path: Path, values: dict[str, Any], reading: int) -> None:
        self.path = path
        data = values.get("data")
        self.data: dict[str, Any] = data if isinstance(data, dict) else {}
        self.judged = [item for item in objects(values, "annotations") if not item.get("was_cancelled")]
        truth = [item for item in self.judged if item.get("ground_truth") is True] if reading >= READING else []
        self.truths = len(truth)
        self.candidates = truth or self.judged  # the last of them is read
        self.differing = False  # the candidates, set by `_note_differing`
        self.annotation = next(reversed(self.candidates), None)
        self.results = objects(self.annotation, "result")
        self.shapes, self.others = _split_results(self.results, reading)

    @property
    def has_shapes(self) -> bool:
        """Return whether it has any shape."""
        return bool(self.shapes)

    @property
    def names(self) -> set[str]:
        """Return the classes of its shapes."""
        return {name for result in self.shapes if (name := _label(result)) is not None}

    @property
    def choices(self) -> list[str]:
        """Return the choices for the whole image."""
        return _choices(self.results)

    @property
    def split(self) -> str:
        """Return the split that its data gives."""
        split = self.data.get("split")
        return split_name(split) if isinstance(split, str) else ""

    @property
    def image(self) -> str:
        """Return the name of its image: the value `image`, else the first that is a URL or a path."""
        texts = [value for value in (self.data.get("image"), *self.data.values()) if isinstance(value, str)]
        return next((text for text in texts if "." in text), "")


def _choices(results: list[dict[str, Any]]) -> list[str]:
    """Return the choices among the results of an annotation."""
    chosen: list[str] = []
    for result in results:
        value = result.get("value")
        if result.get("type") == "choices" and isinstance(value, dict) and isinstance(value.get("choices"), list):
            chosen += map(str, value["choices"])
    return chosen


def _comparable_shapes(results: list[dict[str, Any]], reading: int) -> list[Any]:
    """Return the shapes among the results of an annotation, as comparable values."""
    return [[_kind(shape), shape.get("value")] for shape in _split_results(results, reading)[0]]


def _split_results(results: list[dict[str, Any]], reading: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the results that are shapes, and the others.

    A region drawn with `Labels` beside it is two results of one id: the shape alone, and the shape with its labels.
    """
    if reading < READING:
        shapes = [result for result in results if result.get("type") in _SHAPES]
        return shapes, [result for result in results if result.get("type") not in _SHAPES]
    labelled = [(result.get("id"), _geometry(result)) for result in results if result.get("type") == _LABELS]
    shapes, others = [], []
    for result in results:
        kind = result.get("type")
        if kind in _SHAPES or (kind == _LABELS and _kind(result)):
            shapes.append(result)
        elif kind not in _BARE:
            others.append(result)
        elif (result.get("id"), _geometry(result)) not in labelled:
            shapes.append(result)  # of no class
    return shapes, others


def _geometry(result: dict[str, Any]) -> dict[str, Any]:
    value = result.get("value")
    return {key: part for key, part in value.items() if key != _LABELS} if isinstance(value, dict) else {}


def _kind(result: dict[str, Any]) -> str:
    """Return the kind of shape of a result, by its type or the keys of its value; "" if it is none."""
    kind, value = str(result.get("type")), result.get("value")
    if kind in _SHAPES:
        return _SHAPES[kind]
    values = value if isinstance(value, dict) else {}
    return next((shape for key, shape in _KINDS_BY_KEY.items() if key in values), "")


def _label(result: dict[str, Any]) -> str | None:
    """Return the class of one shape, None if missing."""
    value = result.get("value")
    labels = value.get(result.get("type")) if isinstance(value, dict) else None
    return str(labels[0]) if isinstance(labels, list) and labels else None


def _note_undrawn(tasks: list[_Task], problems: Problems) -> None:
    count = sum(task.annotation is not None and not task.has_shapes for task in tasks)
    if count:
        problems.warn(
            "nothing drawn",
            tasks[0].path.name,
            f"submitted with nothing drawn: {counted(count, 'task')}; the whole image is background",
            "nothing if that is right; else draw the objects, or cancel them in Label Studio",
        )


def _note_differing(tasks: list[_Task], problems: Problems, read: Callable[[list[dict[str, Any]]], list[Any]]) -> None:
    """Mark the tasks whose annotations differ in the labels that `read` uses, and warn of them."""
    for task in tasks:
        if not _differ(task.judged, read):
            continue
        task.differing = _differ(task.candidates, read)
        if task.differing:
            several = "ground truths" if task.truths else "annotations"
            message = (
                f"{len(task.candidates)} {several} differ; the last one is read, and the image comes up for a second "
                "opinion after the next round"
            )
            cure = "decide on it in the review, or mark the right one as the only ground truth in Label Studio"
        else:
            message = f"{len(task.judged)} annotations differ; the ground truth is read"
            cure = "nothing, if it is right; else mark the right one as ground truth in Label Studio"
        problems.warn("annotators differ", task.image[:300], message, cure)


def _differ(annotations: list[dict[str, Any]], read: Callable[[list[dict[str, Any]]], list[Any]]) -> bool:
    """Return whether annotations differ in the labels that `read` uses."""
    if len(annotations) < 2:  # noqa: PLR2004 a second one
        return False
    return len({json.dumps(read(objects(one, "result")), sort_keys=True) for one in annotations}) > 1


def _classes(tasks: list[_Task], images: ImageIndex) -> Iterator[SourceSample]:
    """Yield the images with their chosen class."""
    for task in tasks:
        name = images.find(task.image, task.path.parent)
        if name is None:
            continue
        chosen = task.choices
        if len(chosen) > 1:
            images.problems.error(
                "several classes",
                name,
                f"{', '.join(chosen)} were chosen; an image has one class, so it is unlabelled",
                "choose one in Label Studio, or import masks and tags",
            )
        label = chosen[0] if len(chosen) == 1 else None
        yield SourceSample(
            f"{images.root}/{name}", name, label, task.split, sequence_of(name), annotators_differ=task.differing
        )
    images.note_unnamed()


def _samples(tasks: list[_Task], images: ImageIndex, ids: dict[str, int], base: int) -> Iterator[SourceSample]:
    others: Counter[str] = Counter()
    for task in tasks:
        name = images.find(task.image, task.path.parent)
        if name is None:
            continue
        others.update(str(result.get("type")) for result in task.others)
        shapes = [_shape(result, ids) for result in task.shapes]
        mask = None if task.annotation is None else segments(f"{task.path.name}, {name}", base, shapes)
        yield SourceSample(
            f"{images.root}/{name}", name, None, task.split, sequence_of(name), mask, annotators_differ=task.differing
        )
    for kind, count in others.items():
        images.problems.warn(
            "not a mask",
            kind,
            f"{counted(count, 'result')} of kind {kind}; only brush, polygon, rectangle and ellipse labels are read",
            "nothing",
        )
    images.note_unnamed()


def _shape(result: dict[str, Any], ids: dict[str, int]) -> list[Any]:
    value, name, kind = result.get("value"), _label(result), _kind(result)
    if name is None or not isinstance(value, dict):
        message = f"the result {result.get('id')} ({result.get('type')}) has no label"
        return [0, "fault", ["no label", message, "give it a label in Label Studio, or remove it"]]
    if kind == "percent":
        return [ids[name], kind, value.get("points")]
    if kind == "brush":
        size = [result.get("original_height"), result.get("original_width")]
        return [ids[name], kind, {"size": size, "rle": value.get("rle")}]
    return [ids[name], kind, value]


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
    """Return the label config of a project for these tasks, without characters that XML does not allow."""
    view = ET.Element("View")
    ET.SubElement(view, "Image", name=_TO, value="$image")
    labels = ET.SubElement(view, "BrushLabels", name=_FROM, toName=_TO)
    for name, colour in zip(table.names, table.colours, strict=True):
        ET.SubElement(labels, "Label", value="".join(filter(str.isprintable, name)), background=colour)
    written: bytes = ET.tostring(view, encoding="utf-8")
    return written
