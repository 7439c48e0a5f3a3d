"""What comes in, and how far work is."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class RoundStatus(StrEnum):
    """Where a round stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self in (RoundStatus.DONE, RoundStatus.FAILED, RoundStatus.CANCELLED)


class Recipe(StrEnum):
    """What a round does: the folds, or a whole experiment in which several networks are trained one after another."""

    CROSS_FOLD = "cross-fold"  # K networks, each judges the part it never saw
    ITERATED = "iterated"  # a teacher labels what is unlabelled, a student learns it, T times
    CROSS_TRAINING = "cross-training"  # few masks and many image tags
    COMPARISON = "comparison"  # what cleaning was worth: the same training on the original and on the cleaned labels
    PREDICTIONS = "predictions"  # trains nothing: probabilities that were predicted elsewhere are judged

    @property
    def finds(self) -> bool:
        """Whether such a round ends with findings to review."""
        return self is not Recipe.COMPARISON

    @property
    def trains(self) -> bool:
        """Whether it trains networks."""
        return self is not Recipe.PREDICTIONS

    @property
    def proposes(self) -> bool:
        """Whether all its findings are of what nobody labelled."""
        return self in (Recipe.ITERATED, Recipe.CROSS_TRAINING)


class Severity(StrEnum):
    """Whether a problem kept its file out (`ERROR`) or only deserves a look (`WARNING`)."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with incoming data: which file, what, and what to do about it."""

    severity: Severity
    kind: str  # short and stable, e.g. "corrupt image"; problems are counted by it
    path: str
    message: str
    cure: str


@dataclass(frozen=True, slots=True)
class SourceSample:
    """One image as a format reader found it, before anybody opened the file.

    `path` is absolute, `name` the path shown to people (relative to the dataset's root where it lies inside).
    """

    path: str
    name: str
    label: str | None
    split: str = ""
    group: str = ""
    mask: dict[str, Any] | None = None  # where its mask is and how it is written, as JSON values; see core.data.masks
    tags: list[str] | None = None  # the classes it shows, no other; None: nobody said
    annotators_differ: bool = False  # the source has several labels of it, and none of them is the ground truth


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What reading one image file told: content hash (blake2b-128, hex), size in pixels and bytes, grey or not.

    `look_hash` is alike for images that look alike (`core.data.lookalikes`).
    """

    content_hash: str
    width: int
    height: int
    bytes: int
    grey: bool
    look_hash: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one fold of a round is. Speeds in images a second, times in seconds."""

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
