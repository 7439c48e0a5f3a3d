"""Interface of all readers: options, listing of samples, problems, and questions about masks.

Readers list a source without opening any image. They are lazy: `SourceListing.samples` is read once, in an order that
only depends on the names, and `problems` is complete when it has been read to its end. A fault of a single file is a
problem, never an error; a source that cannot be read at all is a `DatasetError`.

A reader decides the meaning of masks by options and conventions. What it would have to guess becomes a question, and
every answer is the value of one field of `ReadOptions`, so that the preview answers it with a click, the command with
an option, and a re-import by the options stored with the dataset.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path

from core.data.storage import is_within
from core.types import ClassTable, Cure, DatasetError, Problem, Severity, SourceSample

CHOICES: Mapping[str, tuple[str, ...]] = {
    "unnamed_ids": ("ignore", "class"),
    "threshold_masks": ("ignore", "half", "off"),
    "float_masks": ("ids",),
    "unknown_colours": ("ignore", "refuse"),
    "exif_masks": ("turn", "keep"),
    "boxes": ("ignore", "skip"),
}
ANSWERS = ("first_id", *CHOICES)  # the fields of `ReadOptions` that answer questions, beside `ignore_id`

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
KEPT_PROBLEMS = 20_000  # stored in full; further ones are only counted, so that a wrong folder cannot fill the memory
_LONGEST_SPLIT, _LONGEST_GROUP = 40, 200  # characters, as wide as their columns

Unpack = Callable[[Iterable[SourceSample]], Iterator[SourceSample]]


class Grounds(StrEnum):
    """Grounds of a decision."""

    STATED = "told"  # by an option, a file of classes or the annotations
    CONVENTION = "usual"  # the common meaning of such files, as 255 in palettes
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True)
class ValueMeaning:
    """Meaning of one value or colour; `name` is a class, "" for unlabelled (IGNORE), None if it has none.

    `pixels` is its share of the pixels of the examined masks, `images` the number of masks that have it; None if no
    mask had to be examined.
    """

    value: str
    name: str | None
    how: Grounds
    pixels: float | None
    images: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: the text of its button, and the field of `ReadOptions` with its value."""

    text: str
    option: str
    value: str | int


@dataclass(frozen=True, slots=True)
class Question:
    """A question about masks. `blocking`: a new dataset is not stored before it is answered."""

    kind: str
    text: str
    answers: tuple[Answer, ...]
    blocking: bool


def ask(option: str, kind: str, text: str, answers: Mapping[str, str | int], *, blocking: bool) -> Question:
    """Return a question whose answers, by the text of their buttons, are values of one option."""
    buttons = tuple(Answer(button, option, value) for button, value in answers.items())
    return Question(kind, text, buttons, blocking)


@dataclass(frozen=True, slots=True)
class MaskMeaning:
    """Decisions and open questions of a source, and the number of examined masks."""

    decisions: tuple[ValueMeaning, ...] = ()
    questions: tuple[Question, ...] = ()
    looked_at: int = 0

    @property
    def blocking(self) -> tuple[Question, ...]:
        """Return the questions to answer before a new dataset is stored."""
        return tuple(question for question in self.questions if question.blocking)


NO_MEANING = MaskMeaning()


def combine_meanings(*parts: MaskMeaning | None, questions: Iterable[Question] = ()) -> MaskMeaning:
    """Return the decisions and questions of several parts as one, each question once."""
    known = [part for part in parts if part is not None]
    asked = {question.kind: question for part in known for question in part.questions}
    asked |= {question.kind: question for question in questions}
    decisions = tuple(decision for part in known for decision in part.decisions)
    return MaskMeaning(decisions, tuple(asked.values()), max((part.looked_at for part in known), default=0))


class SourceFormat(StrEnum):
    """Format of a source."""

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
    """Options of a reader. An empty column name means: find it by its usual names.

    For masks: `colour_map` is "camvid-exact-11", "camvid-merged-11" or the path of a map (name and r, g, b per line);
    `class_names` the path of a file of names, or names separated by commas, by id; `ignore_id` the pixel value of
    unlabelled pixels (None: 255 unless that is a class; 65535 in files of 16 bits).

    The fields from `first_id` to `boxes` answer questions of the readers; "" and None leave them open. `reading` is the
    version of these rules: datasets imported by an older one keep it.
    """

    path_column: str = ""
    label_column: str = ""
    split_column: str = ""
    group_column: str = ""
    image_root: str = ""  # folder of the images of a table with another machine's paths
    class_level: int = 1  # of class folders: the level of the classes below the root; 0: asked if ambiguous
    literal_labels: bool = True  # cells as written; False: NA and None are not labels, 1.0 is 1
    colour_map: str = ""
    class_names: str = ""
    ignore_id: int | None = None
    first_id: int | None = None  # the id of the first name; ids below it are IGNORE
    unnamed_ids: str = ""  # "ignore", or "class": each is a class named by its number
    threshold_masks: str = ""  # greys between 0 and 255: "ignore" them, cut them in "half", or "off": they are ids
    float_masks: str = ""  # "ids": whole numbers stored as floats
    unknown_colours: str = ""  # "ignore", or "refuse": their masks are left out
    exif_masks: str = ""  # "turn" with their photos, or "keep" as they are
    boxes: str = ""  # of annotations without a shape: "ignore" the box's pixels, or "skip" the annotation
    reading: int = READING
    allow_outside_links: bool = False  # follow links that leave the root
    allowed_roots: tuple[str, ...] = ()  # real paths; empty allows any
    unpack_into: str = ""  # folder for images embedded in a table


@dataclass(slots=True)
class Problems:
    """Problems in the order found: all are counted, the first ones kept."""

    kept: list[Problem] = field(default_factory=list)
    counts: Counter[tuple[Severity, str]] = field(default_factory=Counter)

    def add(self, problem: Problem) -> None:
        """Count a problem, and keep it while there is room."""
        self.counts[problem.severity, problem.kind] += 1
        if len(self.kept) < KEPT_PROBLEMS:
            self.kept.append(problem)

    def error(self, kind: str, path: str, message: str, cure: str) -> None:
        """Add the problem of a file that is left out."""
        self.add(Problem(Severity.ERROR, kind, printable(path), printable(message), cure))

    def warn(self, kind: str, path: str, message: str, cure: str) -> None:
        """Add a warning."""
        self.add(Problem(Severity.WARNING, kind, printable(path), printable(message), cure))


@dataclass(frozen=True, slots=True)
class SourceListing:
    """Samples of a source, read lazily, and the problems found so far.

    If labels are masks, `table` has the classes, and `meaning` the decisions and questions about them. `empty_classes`
    are classes of the source that may have no image. A source with embedded images names them by their place in it:
    `unpack` replaces these by files, and leaves out the samples for which it cannot.
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
        DatasetError: it does not exist, or may not be read.
    """
    try:
        return source.expanduser().resolve(strict=True)
    except FileNotFoundError:
        raise DatasetError(f"{source}: there is no such file or folder on this machine", "check the path") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise DatasetError(f"{source}: cannot be opened ({error})", "check the path and its rights") from error


def is_allowed(path: str, options: ReadOptions) -> bool:
    """Return whether the installation allows reading this path."""
    if not options.allowed_roots:
        return True
    real = os.path.realpath(path)
    return any(is_within(real, root) for root in options.allowed_roots)


def refuse_leaving(path: Path, source: Path, options: ReadOptions) -> Path:
    """Return the path of a file that a source's labels depend on; a link must stay in the source.

    Raises:
        DatasetError: it is a link that leaves the source, and the options do not allow that.
    """
    folder = os.path.realpath(source if source.is_dir() else source.parent)
    target = os.path.realpath(path)
    if is_within(target, folder) or (options.allow_outside_links and is_allowed(target, options)):
        return path
    raise DatasetError(
        f"{path.name}: is a link that leaves the folder, to {target}",
        f"copy the file into the folder, or follow such links: {Cure.ALLOW_OUTSIDE_LINKS}",
    )


def split_name(text: str) -> str:
    """Return the common name of a split: training is train, validation is val."""
    return SPLITS.get(text.strip().lower(), text.strip())[:_LONGEST_SPLIT]


def group_name(text: str) -> str:
    """Return a group's name, shortened so that distinct names stay distinct."""
    name = text.strip()
    if len(name) <= _LONGEST_GROUP:
        return name
    return f"{name[:150]}~{blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def printable(text: str) -> str:
    """Return text that can be stored and printed; bytes that are not UTF-8 become visible escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def is_storable(text: str) -> bool:
    """Return whether `text` can be stored unchanged."""
    return printable(text) == text


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key for natural order: 9 before 10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isascii() and part.isdigit() else (1, 0, part) for part in parts if part]
