"""Imported images, problems, and progress of rounds."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


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

    `path` is absolute, `name` the path shown to people (relative to the dataset's root where it lies inside).
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
