"""What every reader shares: its options, its listing, its problems and the spelling of names.

Readers list what a source says without opening any image. They are lazy: `SourceListing.samples` is read once, in an
order that only depends on the names, and `problems` is complete when it has been read to its end. Whatever is wrong
with a single file is a problem, never an error; a source that cannot be read at all is a `DatasetError`.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path

from core.data.formats.questions import NO_MEANING, MaskMeaning
from core.types import ClassTable, DatasetError, Problem, Severity, SourceSample

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
READING = 2
UNLABELLED_FOLDERS = frozenset({"unlabelled", "unlabeled"})
KEPT_PROBLEMS = 20_000  # described one by one; beyond, only counted, so that a wrong folder cannot fill the memory
_LONGEST_SPLIT, _LONGEST_GROUP = 40, 200  # characters, as wide as their columns

Unpack = Callable[[Iterable[SourceSample]], Iterator[SourceSample]]


class SourceFormat(StrEnum):
    """How a source says which label an image has."""

    IMAGEFOLDER = "imagefolder"
    MANIFEST = "manifest"
    HUGGINGFACE = "huggingface"
    HUGGINGFACE_PARQUET = "huggingface-parquet"
    COCO = "coco"
    LABEL_STUDIO = "label-studio"
    CVAT = "cvat"
    LABELME = "labelme"
    YOLO = "yolo"
    VOC = "voc"
    CITYSCAPES = "cityscapes"
    CAMVID = "camvid"
    MASK_PAIRS = "mask-pairs"
    UNLABELLED = "unlabelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What a reader is told. An empty column name means: find it by its usual names.

    For masks: `colour_map` is "camvid-exact-11", "camvid-merged-11" or the path of a map (name and r, g, b a line);
    `class_names` the path of a file of names or the names with commas between, by id; `ignore_id` the pixel value
    that means nobody labelled it (None: 255 where that is no class; 65535 in files of 16 bits).

    The fields from `first_id` to `boxes` answer questions of the readers (`core.data.formats.questions`); "" and None
    leave them open. `reading` is the version of these rules: datasets imported before they existed keep the older one.
    """

    path_column: str = ""
    label_column: str = ""
    split_column: str = ""
    group_column: str = ""
    image_root: str = ""  # where the images of a table lie that names them as another machine does
    class_level: int = 1  # of class folders: the folder below the root that is the class; 0: asked where it is open
    literal_labels: bool = True  # cells as written; False: NA and None are no label, 1.0 is 1
    colour_map: str = ""
    class_names: str = ""
    ignore_id: int | None = None
    first_id: int | None = None  # the id of the first name; ids below it are IGNORE
    unnamed_ids: str = ""  # "ignore", or "class": each is a class called by its number
    threshold_masks: str = ""  # greys between 0 and 255: "ignore" them, cut them in "half", or "off": they are ids
    float_masks: str = ""  # "ids": whole numbers stored as floats
    unknown_colours: str = ""  # "ignore", or "refuse": their masks are left out
    exif_masks: str = ""  # "turn" with their photos, or "keep" as they are
    boxes: str = ""  # of annotations without a shape: "ignore" the box's pixels, or "skip" the annotation
    reading: int = READING
    allow_outside_links: bool = False  # follow links that leave the root
    allowed_roots: tuple[str, ...] = ()  # real paths; empty allows any
    unpack_into: str = ""  # folder for the images that a table holds itself


@dataclass(slots=True)
class Problems:
    """Problems in the order they were met: all of them counted, the first ones kept."""

    kept: list[Problem] = field(default_factory=list)
    counts: Counter[tuple[Severity, str]] = field(default_factory=Counter)

    def add(self, problem: Problem) -> None:
        """Count one more, and keep it while there is room."""
        self.counts[problem.severity, problem.kind] += 1
        if len(self.kept) < KEPT_PROBLEMS:
            self.kept.append(problem)

    def error(self, kind: str, path: str, message: str, cure: str) -> None:
        """Note what kept a file out."""
        self.add(Problem(Severity.ERROR, kind, shown(path), shown(message), cure))

    def warn(self, kind: str, path: str, message: str, cure: str) -> None:
        """Note what deserves a look."""
        self.add(Problem(Severity.WARNING, kind, shown(path), shown(message), cure))


@dataclass(frozen=True, slots=True)
class SourceListing:
    """The samples of a source, lazily, and the problems met so far.

    Where labels are masks, `table` has the classes, and `meaning` what was decided about them and what is to be asked.
    `empty_classes` are named by the source, but perhaps no image is in them. A source that holds its images itself
    names them by their place in it: `unpack` makes files of the samples it is given, and leaves out what it cannot.
    """

    samples: Iterator[SourceSample]
    problems: Problems
    table: ClassTable | None = None
    meaning: MaskMeaning = NO_MEANING
    empty_classes: tuple[str, ...] = ()
    unpack: Unpack = iter


def existing_root(source: Path) -> Path:
    """Return the real path of a source.

    Raises:
        DatasetError: there is nothing there, or it may not be looked at.
    """
    try:
        return source.expanduser().resolve(strict=True)
    except FileNotFoundError:
        raise DatasetError(f"{source}: there is no such file or folder on this machine; check the path") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise DatasetError(f"{source}: cannot be opened ({error}); check the path and its rights") from error


def is_within(path: str, root: str) -> bool:
    """Whether the real path `path` is `root` or lies below it."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def is_allowed(path: str, options: ReadOptions) -> bool:
    """Whether the installation lets people read there."""
    if not options.allowed_roots:
        return True
    real = os.path.realpath(path)
    return any(is_within(real, root) for root in options.allowed_roots)


def refuse_leaving(path: Path, source: Path, options: ReadOptions) -> Path:
    """Return the path of a file that says what a source's labels are, itself or by a link that stays in the source.

    Raises:
        DatasetError: it is a link that leaves the source, and the options do not allow that.
    """
    folder = os.path.realpath(source if source.is_dir() else source.parent)
    target = os.path.realpath(path)
    if is_within(target, folder) or (options.allow_outside_links and is_allowed(target, options)):
        return path
    raise DatasetError(
        f"{path.name}: is a link that leaves the folder, to {target}; copy the file into the folder, or follow "
        "such links: --allow-outside-links"
    )


def split_name(text: str) -> str:
    """Return the common name of a split: training is train, validation is val."""
    return SPLITS.get(text.strip().lower(), text.strip())[:_LONGEST_SPLIT]


def group_name(text: str) -> str:
    """Return a group's name, shortened without two becoming one."""
    name = text.strip()
    if len(name) <= _LONGEST_GROUP:
        return name
    return f"{name[:150]}~{blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def shown(text: str) -> str:
    """Return text that can be stored and printed; bytes that are no UTF-8 become visible escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def is_storable(text: str) -> bool:
    """Whether `text` can be stored as it is."""
    return shown(text) == text


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Order names as people do: 9 before 10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isascii() and part.isdigit() else (1, 0, part) for part in parts if part]
