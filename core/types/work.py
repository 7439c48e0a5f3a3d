"""Jobs: recipes of rounds, images and problems of imports, subjects of deletions, status and progress.

A recipe has the facts that the database, the method and the pages need; its settings and its work are in its module in
`app.services.recipes`.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Self

from core.types.labels import Task

_CLASSES, _MASKS = (Task.CLASSIFICATION,), (Task.SEGMENTATION,)


class JobStatus(StrEnum):
    """Status of a round, import or export."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Return whether the job has ended."""
        return self in (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeFacts:
    """Facts of a recipe; the defaults are those of one that trains networks and suggests labels."""

    goal: str  # its name in the form and the table of rounds
    piece: str = ""  # name of its single piece of work; "": each fold is a piece
    tasks: tuple[Task, ...] = tuple(Task)  # kinds of labels that it supports
    finds: bool = True  # whether its rounds have findings to review
    suggests: bool = True  # whether its findings suggest a label
    proposes: bool = False  # whether all its findings are on unlabelled images or pixels
    trains: bool = True  # whether it trains networks
    timed: bool = False  # whether a trial on the first images can estimate its duration
    runs_networks: bool = True  # whether its result depends on networks, and so on the versions of their libraries
    calibrated: tuple[Task, ...] = ()  # kinds of labels for which its confidences are calibrated
    probes: tuple[Task, ...] = tuple(Task)  # kinds of labels for which it can use a frozen network
    mixes: tuple[Task, ...] = ()  # kinds of labels for which it can mix the predictions of several networks


class Recipe(StrEnum):
    """Kind of a round: training of the folds, or an experiment that trains several networks one after another."""

    # the usual one first, as in the form; K networks, each predicts the fold it was not trained on
    CROSS_FOLD = "cross-fold", RecipeFacts(goal="Find wrong labels", timed=True, calibrated=_CLASSES, mixes=_CLASSES)
    # a teacher labels unlabelled images, a student learns from them, T times
    ITERATED = (
        "iterated",
        RecipeFacts(
            goal="Teacher and student", piece="teacher and students", proposes=True, timed=True, probes=_CLASSES
        ),
    )
    CROSS_TRAINING = (
        "cross-training",
        RecipeFacts(
            goal="Few masks, many tags",
            piece="both networks, and the one they teach",
            tasks=_MASKS,
            proposes=True,
            probes=(),
        ),
    )
    # the same training on the original and on the cleaned labels
    COMPARISON = (
        "comparison",
        RecipeFacts(
            goal="Measure the impact of cleaning",
            piece="original and cleaned labels, every seed",
            finds=False,
            suggests=False,
        ),
    )
    PREDICTIONS = (
        "predictions",
        RecipeFacts(
            goal="Judge predictions made elsewhere",
            piece="predictions made elsewhere",
            trains=False,
            runs_networks=False,
        ),
    )
    # orders unlabelled images by similarity, for labelling by hand
    LABELLING = (
        "labelling",
        RecipeFacts(
            goal="Label images",
            piece="images, ordered by similarity",
            tasks=_CLASSES,
            suggests=False,
            proposes=True,
            trains=False,
            probes=(),
        ),
    )

    _value_: str
    goal: str
    piece: str
    tasks: tuple[Task, ...]
    finds: bool
    suggests: bool
    proposes: bool
    trains: bool
    timed: bool
    runs_networks: bool
    calibrated: tuple[Task, ...]
    probes: tuple[Task, ...]
    mixes: tuple[Task, ...]

    def __new__(cls, value: str, facts: RecipeFacts) -> Self:
        """Return the member with this value, and with its facts as attributes."""
        member = str.__new__(cls, value)
        member._value_ = value
        for fact in fields(facts):
            setattr(member, fact.name, getattr(facts, fact.name))
        return member

    @property
    def in_folds(self) -> bool:
        """Return whether each fold is a piece of work of its own."""
        return not self.piece


FOLDS = 5  # of a round, unless people choose another number
EMBEDDING_SHARE = 0.9  # of the work of a probe's first fold, or of a round with shards


class DeletionKind(StrEnum):
    """Subject of a deletion."""

    DATASET = "dataset"
    ROUND = "round"
    IMPORT = "import"  # its images are removed, and its changes of others reverted
    IMAGES = "images"


class Severity(StrEnum):
    """Severity of a problem: its file was left out (`ERROR`), or is to be checked (`WARNING`)."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of incoming data: the file, the fault and the cure."""

    severity: Severity
    kind: str  # short and stable, e.g. "corrupt image"; problems are counted by it
    path: str
    message: str
    cure: str


@dataclass(frozen=True, slots=True)
class SourceSample:
    """One image by its path and name, as listed by a format reader, which does not open the file.

    `path` is absolute, `name` the path shown to people (relative to the dataset's root if it lies inside).
    """

    path: str
    name: str
    label: str | None = None
    split: str = ""
    group: str = ""
    mask: dict[str, Any] | None = None  # reference to its mask and its encoding, as JSON values; see core.data.masks
    tags: list[str] | None = None  # the classes it shows, and no others; None: unknown
    annotators_differ: bool = False  # the source has several labels of it, none of them a ground truth


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Facts of one image file: content hash (blake2b-128, hex), size in pixels and bytes, grey or not.

    `look_hash` is similar for look-alikes (`core.data.lookalikes`).
    """

    content_hash: str
    width: int
    height: int
    bytes: int
    grey: bool
    look_hash: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of one fold of a round. Speeds in images per second, times in seconds."""

    stage: str  # "reading images", "training", "predicting"
    fold: int
    folds: int
    epoch: int = 0
    epochs: int = 0
    fraction: float = 0.0  # of this fold, 0 to 1
    loss: float | None = None
    accuracy: float | None = None  # on the held-out fold, against the given labels
    images_per_second: float | None = None
    batch_size: int | None = None
    message: str = ""


Report = Callable[[Progress], None]


def work_done(folds: float, shards: float | None) -> float:
    """Return the share of a round's work that is done, from that of its folds and of its shards, if it has some."""
    return folds if shards is None else EMBEDDING_SHARE * shards + (1 - EMBEDDING_SHARE) * folds
