"""Exports loaded in other programs, and their exports in Outfold, compared item by item, pixel by pixel.

    python bench/clients.py [--environment FOLDER] [--only WORD] [--json FILE]

Small datasets are drawn: classes with and without splits, with file names that contain `test` and `train`, with class
names that programs take for numbers, missing values or formulas, and with images set apart; and masks with IGNORE. Each
is exported by Outfold in every format, and each export is loaded in every client that has a reader for it. Then the
clients write their own formats, and Outfold reads these. The clients live in an environment of their own, which is
made once in FOLDER (a temporary one where none is named).

A row is `equal`, `differs`, or `refused`: the client, or Outfold, gives an error instead of data. Formats that Outfold
does not read, but names with a way, are counted apart as `named`; where the way is datumaro, it is taken, and what
comes of it is compared. Polygons cut masks otherwise than pixels do; there the truth is what pycocotools makes of the
file.
The exit code is 1 if a row differs or is refused.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.data.export.items import (
    ExportFormat,
    ExportItem,
    ExportOptions,
    LabelOrigin,
    Source,
    UnusablePolicy,
    plan_export,
)
from core.data.export.mask_plan import MaskExportItem, plan_masks
from core.data.export.write import write_export
from core.data.formats.detect import FORMATS, detect
from core.data.formats.source import ReadOptions, SourceFormat, SourceListing
from core.data.masks.reading import read_masks
from core.data.masks.store import MaskStore
from core.types import IGNORE, ClassTable, IntArray, OutfoldError, SourceSample

PACKAGES = (
    "torchvision", "datasets", "pandas", "pycocotools", "datumaro", "supervision", "label-studio-converter",
)  # fmt: skip
UNREAD = {  # by Outfold, as formats that it does not read
    "label_me", "open_images", "cvat", "datumaro", "yolo", "yolo_ultralytics", "pascal voc",
}  # fmt: skip
WAYS = {("label_me", True): "coco_instances", ("open_images", False): "imagenet_with_subset_dirs"}  # form, of masks
ONLY_IMAGES = "imagenet"  # datumaro reads it where no README and no table lies beside the classes
NO_CLASS = {"Void", "ignored"}  # the names that exports give to IGNORE
SPLITS = {"validation": "val", "default": ""}
WIDTH, HEIGHT = 24, 16
NAMES = ("test_1", "train-2", "a test 3", "validation_4", "5", "x.train.6", "7 b", "eval-8", "9 train 9")
MASK_CLASSES = ClassTable(("background", "road", "traffic light", "car"), ("#000000", "#804080", "#faaa1e", "#00008e"))


@dataclass(frozen=True, slots=True)
class World:
    """A generated dataset. `labels` are None for images without a class; `masks` are IGNORE at unlabelled pixels."""

    name: str
    classes: tuple[str, ...]
    files: tuple[str, ...]
    splits: tuple[str, ...]
    labels: tuple[str | None, ...] = ()
    masks: tuple[IntArray, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def codes(self) -> list[int]:
        """Return the first pixel of each image as a number."""
        return [0x102030 + 0x010101 * at for at in range(len(self.files))]

    @property
    def images(self) -> np.ndarray:
        """Return all images, (N, H, W, 3)."""
        rng = np.random.default_rng(len(self.name))
        images = rng.integers(0, 255, (len(self.files), HEIGHT, WIDTH, 3), dtype=np.uint8)
        images[:, 0, 0] = [list(code.to_bytes(3, "big")) for code in self.codes]
        return images

    def save(self, folder: Path) -> list[Path]:
        """Write the images as PNG files and return their paths."""
        folder.mkdir(parents=True)
        paths = [folder / f"{name}.png" for name in self.files]
        for path, image in zip(paths, self.images, strict=True):
            Image.fromarray(image).save(path)
        return paths


@dataclass(frozen=True, slots=True)
class Task:
    """One thing a client does: a function of `_client_programs` on a folder."""

    client: str
    form: str
    do: str
    more: tuple[str, ...] = ()
    truth: str = ""  # the function that returns the written content, if a format cannot hold the masks pixel by pixel


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    client: str
    form: str
    world: str
    state: str  # equal, differs, refused, named
    note: str = ""


LABEL_READERS: Sequence[Task] = (
    Task("torchvision ImageFolder", "imagefolder", "torchvision_folder"),
    Task("supervision folder", "imagefolder", "supervision_folder"),
    Task("datasets", "imagefolder", "huggingface"),
    Task("datasets", "huggingface", "huggingface"),
    Task("datasets", "huggingface-jsonl", "huggingface"),
    Task("datasets", "csv", "huggingface"),
    Task("datasets", "huggingface-parquet", "huggingface"),
    Task("datasets", "parquet", "huggingface"),
    Task("pandas", "csv", "pandas_csv"),
    Task("pandas", "imagefolder", "pandas_csv"),
    Task("pandas", "huggingface", "pandas_csv"),
    Task("pandas", "parquet", "pandas_parquet"),
    Task("label-studio-converter", "label-studio-choices", "label_studio_choices"),
)
MASK_READERS: Sequence[Task] = (
    Task("torchvision, pycocotools", "coco", "torchvision_coco"),
    Task("supervision", "coco", "supervision_coco"),
    Task("datumaro coco_instances", "coco", "datumaro_masks", ("coco_instances",)),
    Task("datumaro voc_segmentation", "voc", "datumaro_masks", ("voc_segmentation",)),
    Task("datumaro camvid", "camvid", "datumaro_masks", ("camvid",)),
    Task("label-studio-converter", "label-studio", "label_studio_brushes"),
)
LABEL_WRITERS: Sequence[Task] = (
    Task("datumaro", "imagenet", "write_datumaro", ("imagenet",)),
    Task("datumaro", "imagenet_with_subset_dirs", "write_datumaro", ("imagenet_with_subset_dirs",)),
    Task("datumaro", "datumaro", "write_datumaro", ("datumaro",)),
    Task("datumaro", "open_images", "write_datumaro", ("open_images",)),
    Task("datumaro", "cvat", "write_datumaro", ("cvat",)),
    Task("supervision", "folder", "write_supervision", ("folder",)),
    Task("datasets", "imagefolder", "write_huggingface", ("imagefolder",)),
    Task("datasets", "parquet", "write_huggingface", ("parquet",)),
)
MASK_WRITERS: Sequence[Task] = (
    *(
        Task("datumaro", form, "write_datumaro", (form,))
        for form in (
            "voc_segmentation", "coco_instances", "camvid", "kitti_segmentation", "cityscapes", "label_me",
            "open_images",
            "cvat", "datumaro", "yolo", "yolo_ultralytics",
        )
    ),
    Task("supervision", "coco", "write_supervision", ("coco",), "pycocotools_polygons"),
    Task("supervision", "yolo", "write_supervision", ("yolo",), "pycocotools_yolo"),
    Task("supervision", "pascal voc", "write_supervision", ("voc",)),
    Task("datasets", "label_file_name", "write_huggingface", ("label_file_name",)),
)  # fmt: skip


def main() -> None:
    """Draw, export, load, write, import, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, help="keep the clients' environment in this folder")
    parser.add_argument("--only", default="", help="only rows of which the client, the format or the dataset has this")
    parser.add_argument("--keep", type=Path, help="keep the exports and what the clients write in this new folder")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        python = environment(given.environment or Path(scratch) / "environment")
        work = given.keep or Path(scratch) / "work"
        work.mkdir(parents=True)
        rows = [
            *check_exports(python, work / "exports", given.only),
            *check_imports(python, work / "imports", given.only),
        ]
        versions = client_versions(python)
    for row in rows:
        print(f"{row.client:<28} {row.form:<28} {row.world:<14} {row.state:<8} {row.note}")
    counts = Counter(row.state for row in rows)
    figures = {state: counts[state] for state in ("equal", "differs", "refused", "named")}
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(", ".join(f"{state} {count}" for state, count in figures.items()))
    if given.json:
        listed = [{"client": row.client, "form": row.form, "world": row.world, "state": row.state} for row in rows]
        given.json.write_text(
            json.dumps({**figures, "rows": listed, "versions": versions}, indent=2) + "\n", encoding="utf-8"
        )
    sys.exit(bool(figures["differs"] or figures["refused"]))


def environment(folder: Path) -> Path:
    """Return the Python of the clients' environment, created if necessary."""
    python = folder / "bin" / "python"
    if not (folder / "filled").exists():
        venv.create(folder, with_pip=True, clear=True)
        uv = Path(sys.executable).with_name("uv")
        pip = [str(python), "-m", "pip", "install"]
        if uv.exists():
            pip = [str(uv), "pip", "install", "--python", str(python)]
        subprocess.run([*pip, "--quiet", *PACKAGES], check=True)
        (folder / "filled").touch()
    return python


def client_versions(python: Path) -> dict[str, str]:
    """Return the version of each client."""
    code = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    done = subprocess.run([python, "-c", code, *PACKAGES], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def worlds_of_labels() -> list[World]:
    """Return the drawn datasets of classes."""
    three = ("cat", "dog", "bird")
    odd = ("007", "01", "1", "NA", "null", "=cmd()", "True", "7", "10")
    count = len(NAMES)
    splits, in_turn = ("train", "val", "test") * 3, tuple(three[at // 3] for at in range(count))
    two, apart = ("train",) * 5 + ("test",) * 4, ("cat", "dog", "bird", None, "cat", None, "dog", "bird", "cat")
    more = tuple(f"{name} {at}" for at, name in enumerate((*NAMES, *NAMES)))
    aside = {"ambiguous": UnusablePolicy.APART, "unlabelled": UnusablePolicy.APART}
    return [
        World("splits", three, NAMES, splits, in_turn),
        World("no splits", three, NAMES, ("",) * count, in_turn),
        World("odd classes", odd, more, ("",) * len(more), tuple(odd[at % len(odd)] for at in range(len(more)))),
        World("apart", three, NAMES, two, apart, options=aside),
        World("apart, no splits", three, NAMES, ("",) * count, apart, options=aside),
    ]


def worlds_of_masks() -> list[World]:
    """Return the drawn datasets of masks."""
    masks = []
    for at in range(len(NAMES)):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[9:14, 2 + at : 12 + at] = 1
        mask[2:6, 3:8] = 2
        mask[2:5, 14:20] = 3
        mask[10:13, 20:23] = 3  # a second piece
        masks.append(mask)
    ignored = [np.where(np.arange(WIDTH)[None] == 0, IGNORE, mask).astype(np.uint8) for mask in masks]
    splits = ("train", "val", "test") * 3
    return [
        World("splits", MASK_CLASSES.names, NAMES, splits, masks=tuple(ignored)),
        World("no splits", MASK_CLASSES.names, NAMES, ("",) * len(NAMES), masks=tuple(ignored)),
        World("no IGNORE", MASK_CLASSES.names, NAMES, splits, masks=tuple(masks)),
    ]


def check_exports(python: Path, folder: Path, only: str) -> list[Row]:
    """Export every world in every format and return the result of each client."""
    rows: list[Row] = []
    comparisons: list[tuple[Task, World, Path, Path]] = []
    for world in (*worlds_of_labels(), *worlds_of_masks()):
        readers = MASK_READERS if world.masks else LABEL_READERS
        sources = world.save(folder / _plain(world) / "source")
        forms = [form for form in ExportFormat if form.of_masks == bool(world.masks) and not form.is_patch]
        for form in forms:
            target = folder / _plain(world) / form.value
            try:
                export(world, sources, form, target)
            except OutfoldError as error:
                rows.append(Row("Outfold", form, world.name, "refused", str(error)))
                continue
            here = [each for each in _with_pairs(world, readers) if each.form == form.value]
            comparisons += [(task, world, target, target.parent / f"{form}-{at}.npz") for at, task in enumerate(here)]
    comparisons = [each for each in comparisons if _wanted(each[0], each[1], only)]
    carry_out(python, folder / "tasks.json", [(task, target, to) for task, _, target, to in comparisons])
    return rows + [compare(task, world, to) for task, world, _, to in comparisons]


def _with_pairs(world: World, readers: Sequence[Task]) -> Iterator[Task]:
    """Yield the readers, and those that depend on whether there are splits."""
    yield from readers
    below = any(world.splits)
    if world.masks:
        name = "common_semantic_segmentation" + ("_with_subset_dirs" if below else "")
        yield Task("datumaro common_segm.", "mask-pairs", "datumaro_masks", (name,))
    elif not any(label is None for label in world.labels):  # it has no way to leave a folder out
        name = "imagenet_with_subset_dirs" if below else "imagenet"
        yield Task(f"datumaro {name[:12]}", "imagefolder", "datumaro_labels", (name,))


def export(world: World, sources: Sequence[Path], form: ExportFormat, target: Path) -> None:
    """Export a world in one format, as the app does."""
    options = ExportOptions(format=form, **world.options)
    digests = [blake2b(path.read_bytes(), digest_size=16).hexdigest() for path in sources]
    known = list(zip(sources, digests, world.splits, strict=True))
    if not world.masks:
        decided: dict[str, Any] = {
            "verdict": "keep", "method": LabelOrigin.PERSON, "annotator": "Ada", "round": 1, "confidence": 0.5,
            "decided_at": "2026-11-21T03:00:00+00:00", "changeset": 7,
        }  # fmt: skip
        items = [
            ExportItem(
                path=str(path), name=path.name, content_hash=digest, given=label, label=label, split=split,
                **(decided if at % 2 and label else {}),
            )
            for at, ((path, digest, split), label) in enumerate(zip(known, world.labels, strict=True))
        ]  # fmt: skip
        plan: Any = plan_export(Source(world.name, "classification", world.classes), items, options)
    else:
        store = MaskStore(target.parent / "masks")
        hashes = [store.put(mask) for mask in world.masks]
        images = [
            MaskExportItem(path=str(path), name=path.name, content_hash=digest, given=one, mask=one, split=split,
                           group="", width=WIDTH, height=HEIGHT, bytes=path.stat().st_size)
            for (path, digest, split), one in zip(known, hashes, strict=True)
        ]  # fmt: skip
        plan = plan_masks(Source(world.name, "segmentation", world.classes), MASK_CLASSES, images, options, store)
    write_export(plan, target, versions={"outfold": "bench"})


def carry_out(python: Path, tasks: Path, wanted: Sequence[tuple[Task, Path, Path]]) -> None:
    """Run the tasks, in one process for each client to keep them apart."""
    for client in sorted({task.client for task, _, _ in wanted}):
        values = [
            {"do": task.do, "folder": str(folder), "more": task.more, "to": str(to)}
            for task, folder, to in wanted
            if task.client == client
        ]
        tasks.write_text(json.dumps(values), encoding="utf-8")
        with tasks.with_suffix(".log").open("ab") as log:
            subprocess.run([python, ROOT / "bench" / "_client_programs.py", tasks], check=True, stdout=log, stderr=log)


def compare(task: Task, world: World, answer: Path) -> Row:
    """Return whether a client read the exported content."""
    found = np.load(answer)
    if "error" in found.files:
        state = "named" if task.more == (ONLY_IMAGES,) else "refused"
        return Row(task.client, task.form, world.name, state, str(found["error"]))
    places = {code: at for at, code in enumerate(world.codes)}
    codes = found["codes"].tolist()
    fault = _fault_of_codes(world, codes, task)
    if world.masks and not fault:
        names = found["names"].tolist()
        masks = {code: _by_world(world, names, mask) for code, mask in zip(codes, found["masks"], strict=True)}
        fault = _fault_of_masks(world, masks)
    elif not fault:
        labels = {code: label or None for code, label in zip(codes, found["labels"].tolist(), strict=True)}
        wrong = [
            (world.labels[places[code]], label)
            for code, label in labels.items()
            if not _same(world.labels[places[code]], label)
        ]
        fault = f"{len(wrong)} labels, as {wrong[0][0]} -> {wrong[0][1]}" if wrong else ""
    if not fault and any(world.splits):
        splits = {code: SPLITS.get(split, split) for code, split in zip(codes, found["splits"].tolist(), strict=True)}
        wrong_splits = [
            (world.splits[places[code]], split) for code, split in splits.items() if split != world.splits[places[code]]
        ]
        fault = f"{len(wrong_splits)} splits, as {wrong_splits[0]}" if wrong_splits else ""
    return Row(task.client, task.form, world.name, "differs" if fault else "equal", fault)


def check_imports(python: Path, folder: Path, only: str) -> list[Row]:
    """Have every client write its formats and return the results of Outfold's import."""
    written: list[tuple[Task, World, Path, Path]] = []
    plain, masks = worlds_of_labels()[:2], [world for world in worlds_of_masks() if world.name == "no IGNORE"]
    for world, writers in [*((world, LABEL_WRITERS) for world in plain), *((world, MASK_WRITERS) for world in masks)]:
        archive = folder / f"{_plain(world)}.npz"
        archive.parent.mkdir(parents=True, exist_ok=True)
        labelled: dict[str, Any] = (
            {"masks": np.array(world.masks)} if world.masks else {"labels": np.array(world.labels)}
        )
        colours = np.array([list(bytes.fromhex(colour[1:])) for colour in MASK_CLASSES.colours])
        np.savez(
            archive, names=np.array(world.classes), files=np.array([name.replace(".", "_") for name in world.files]),
            splits=np.array(world.splits), images=world.images, colours=colours, **labelled,
        )  # fmt: skip
        for task in writers:
            name = f"{_plain(world)}-{task.client}-{task.form}".replace(" ", "_")
            full = replace(task, client=f"{task.client} writes", more=(*task.more, str(archive)))
            written.append((full, world, folder / name, folder / f"{name}.npz"))
    written = [each for each in written if _wanted(each[0], each[1], only)]
    wanted = [(task, where, to) for task, _, where, to in written]
    carry_out(python, folder / "tasks.json", wanted)
    truths = [(Task(task.client, task.form, task.truth), where, _truth(to)) for task, where, to in wanted if task.truth]
    ways = [
        (Task(task.client, task.form, "convert", (task.form, way)), where, to.with_suffix(".way"))
        for task, world, where, to in written
        if (way := WAYS.get((task.form, bool(world.masks))))
    ]
    carry_out(python, folder / "tasks.json", [*truths, *ways])
    return [_read_back(task, world, where, to) for task, world, where, to in written]


def _truth(answer: Path) -> Path:
    return answer.with_name(f"{answer.stem}-truth.npz")


def _read_back(task: Task, world: World, where: Path, answer: Path) -> Row:
    """Return whether Outfold reads the files of a client."""
    done = np.load(answer)
    if "error" in done.files:
        return Row(task.client, task.form, world.name, "refused", f"the client cannot write it: {done['error']}")
    if task.truth:
        world = _as_written(world, _truth(answer))
    try:
        fault, message = _fault_of_import(world, where)
    except OutfoldError as error:
        fault = message = str(error)
        if (task.form, bool(world.masks)) in WAYS:
            fault, _ = _fault_of_import(world, where.with_name(f"{where.name}-converted"))
            message = "" if fault else message
    if message and task.form in UNREAD:
        return Row(task.client, task.form, world.name, "named", message)
    state = "refused" if fault and fault == message else "differs" if fault else "equal"
    return Row(task.client, task.form, world.name, state, fault)


def _as_written(world: World, answer: Path) -> World:
    """Return a world with the masks that a file of polygons holds."""
    found = np.load(answer)
    names = found["names"].tolist()
    by_code = {
        code: _by_world(world, names, mask) for code, mask in zip(found["codes"].tolist(), found["masks"], strict=True)
    }
    return replace(world, masks=tuple(by_code[code] for code in world.codes))


def _fault_of_import(world: World, where: Path) -> tuple[str, str]:
    """Return the differences of the import, and the annotations that it reports as unread."""
    unpacked = where.with_name(f"{where.name}-unpacked")
    options = ReadOptions(literal_labels=False, class_level=0, unpack_into=str(unpacked))
    form = detect(where).format
    listing = FORMATS[form].read(where, options)
    samples = list(listing.unpack(listing.samples))
    unread = [f"{one.message}; {one.cure}" for one in listing.problems.kept if one.kind == "annotations not read"]
    return _fault_of_listing(world, form, listing, samples), "; ".join(unread)


def _fault_of_listing(world: World, form: SourceFormat, listing: SourceListing, samples: Sequence[SourceSample]) -> str:
    codes = [_code(sample.path) for sample in samples]
    fault = _fault_of_codes(world, codes, None)
    if fault:
        return f"as {form}: {fault}"
    if not world.masks:
        places = {code: at for at, code in enumerate(world.codes)}
        wrong = [(world.labels[places[code]], sample.label) for code, sample in zip(codes, samples, strict=True)
                 if world.labels[places[code]] != sample.label]  # fmt: skip
        return f"as {form}: {len(wrong)} labels, as {wrong[0][0]} -> {wrong[0][1]}" if wrong else ""
    if listing.table is None or any(sample.mask is None for sample in samples):
        return f"as {form}: no masks"
    blocking = [question for question in listing.meaning.questions if question.blocking]
    if blocking:
        return f"as {form}: asked {blocking[0]}"
    masks = list(read_masks([(sample.mask, WIDTH, HEIGHT) for sample in samples if sample.mask], listing.table))
    errors = [str(mask) for mask in masks if isinstance(mask, Exception)]
    if errors:
        return f"as {form}: {errors[0]}"
    names = list(listing.table.names)
    whole = [np.asarray(mask).astype(int) for mask in masks]
    read = {
        code: _by_world(world, names, np.where(mask == IGNORE, -1, mask))
        for code, mask in zip(codes, whole, strict=True)
    }
    fault = _fault_of_masks(world, read)
    return fault and f"as {form}: {fault}"


def _code(path: str) -> int:
    with Image.open(path) as image:
        red, green, blue = image.convert("RGB").getpixel((0, 0))  # type: ignore[misc]
    return int(red) << 16 | int(green) << 8 | int(blue)


def _by_world(world: World, names: Sequence[str], mask: IntArray) -> IntArray:
    """Return a client's mask in the world's ids: IGNORE where it has no class, -2 for classes unknown to the world."""
    numbers = {str(at): at for at in range(len(world.classes))}  # ids without names
    meant = [
        IGNORE if name in NO_CLASS else world.classes.index(name) if name in world.classes else numbers.get(name, -2)
        for name in names
    ]
    return np.where(mask < 0, IGNORE, np.array([*meant, IGNORE])[mask])


def _fault_of_codes(world: World, codes: Sequence[int], task: Task | None) -> str:
    expected = {
        code
        for at, code in enumerate(world.codes)
        if world.masks or world.labels[at] is not None or _has_unlabelled(task)
    }
    return "" if set(codes) == expected and len(codes) == len(expected) else f"{len(codes)} images, not {len(expected)}"


def _has_unlabelled(task: Task | None) -> bool:
    """Return whether a client reads images without a label: from tables, not from class folders."""
    return task is not None and (task.form != "imagefolder" or task.do == "pandas_csv")


def _same(meant: str | None, found: str | None) -> bool:
    """Return whether a client's class is the expected one as exports spell it: safe as a folder, formulas escaped."""
    return found in (meant, f"'{meant}")


def _fault_of_masks(world: World, masks: Mapping[int, IntArray]) -> str:
    wrong = {code: int((masks[code] != world.masks[at]).sum()) for at, code in enumerate(world.codes) if code in masks}
    pixels = sum(wrong.values())
    return f"{pixels} pixels of {sum(map(bool, wrong.values()))} masks" if pixels else ""


def _plain(world: World) -> str:
    kind = "masks" if world.masks else "labels"
    return f"{kind}-{world.name}".replace(" ", "_").replace(",", "")


def _wanted(task: Task, world: World, only: str) -> bool:
    return only in f"{task.client} {task.form} {world.name}"


if __name__ == "__main__":
    main()
