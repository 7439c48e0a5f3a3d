"""Labels, verdicts, decisions and findings of samples, and types of arrays."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
ByteArray = NDArray[np.uint8]

NO_LABEL = -1

EVERY_FOLD = -1  # fold of samples that the models of all folds predicted together


class Task(StrEnum):
    """Kind of label: one class of an image, or one class of each pixel."""

    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"


class Verdict(StrEnum):
    """Verdict of a person on a finding. `SECOND_OPINION` settles nothing: it asks another annotator."""

    ACCEPT = "accept"  # the pseudo label is right
    KEEP = "keep"  # the given label is right
    RELABEL = "relabel"  # another class is right
    AMBIGUOUS = "ambiguous"  # several classes fit
    EXCLUDE = "exclude"  # none of the classes, or broken
    SECOND_OPINION = "second_opinion"

    @property
    def settles(self) -> bool:
        """Return whether this verdict decides the sample."""
        return self is not Verdict.SECOND_OPINION


class FindingKind(IntEnum):
    """Relation of prediction and given label: contradiction, agreement, or no label."""

    SUSPICIOUS = 0
    AGREEING = 1
    UNLABELLED = 2


class Status(IntEnum):
    """Current status of a finding, computed from the live decisions on its sample."""

    OPEN = 0
    ACCEPT = 1
    KEEP = 2
    RELABEL = 3
    AMBIGUOUS = 4
    EXCLUDE = 5
    BULK = 6  # accepted by a bulk act, not reviewed
    SECOND_OPINION = 7
    PAINTED = 8  # a region whose pixels were all painted by edits of its image: nothing is left to accept
    REMOVED = 9  # its image was removed from the dataset: in no list or count, see `db.hidden`

    @property
    def settled(self) -> bool:
        """Return whether the finding needs no further verdict."""
        return self not in (Status.OPEN, Status.SECOND_OPINION)


class Act(StrEnum):
    """Kind of act of a changeset. `UNDO` and `REDO` name another changeset; they and `NOTE` have no decisions."""

    VERDICT = "verdict"  # one act of a person on one or several chosen cards
    ACCEPT_ALL = "accept_all"  # one act on everything a filter and a threshold hold
    CLASSES = "classes"  # a class was added or renamed, or classes were merged or put in order; see its note
    NOTE = "note"  # a person's text on one card
    UNDO = "undo"
    REDO = "redo"


@dataclass(frozen=True, slots=True)
class Decision:
    """A stored verdict. `number` grows with time; `live` is false once its changeset has been undone."""

    number: int
    sample_id: int
    verdict: Verdict
    label: int | None
    bulk: bool
    live: bool
    round_id: int | None  # None: an edit of a mask that belongs to no round
    changeset_id: int
    annotator: str
    decided_at: datetime
    finding_id: int | None = None  # the finding it was made on; of a mask, it decides this region only
    mask_hash: str | None = None  # the whole mask, where it was edited
    mask_base: str | None = None  # the mask that the edit began from


@dataclass(frozen=True, slots=True)
class Resolution:
    """Current label of a sample, and the decision behind it (none: the given label is kept).

    `label` is None where the sample has no usable label: ambiguous, excluded, or never labelled.
    """

    label: int | None
    decision: Decision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """Filter of one round's findings, for queue, counts and bulk acts; None or empty means any.

    `min_confidence` is inclusive, `max_confidence` exclusive unless it is 1. Areas are pixels, both inclusive.
    """

    round_id: int
    kinds: frozenset[FindingKind] = frozenset({FindingKind.SUSPICIOUS})
    statuses: frozenset[Status] = frozenset({Status.OPEN, Status.SECOND_OPINION})
    given: int | None = None
    pseudo: int | None = None
    min_confidence: float = 0.0
    max_confidence: float = 1.0
    split: str | None = None
    without_splits: frozenset[str] = frozenset()  # excluded from a bulk act: the evaluation splits
    fold: int | None = None
    annotator: str | None = None
    path_contains: str = ""
    min_area: int | None = None
    max_area: int | None = None
    sample_id: int | None = None
    similar: tuple[int, ...] = ()  # ids of findings that resemble one card, ascending; empty: any
    class_percents: tuple[int, ...] = ()  # least confidence in percent by suggested class; empty: only the one above


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding with its sample. `top` holds the five likeliest classes as (class, probability).

    `width` and `height` are the image's; `box` (x, y, width, height) and `area` those of a region, in pixels.
    """

    id: int
    round_id: int
    sample_id: int
    row: int
    rank: int
    kind: FindingKind
    given: int
    pseudo: int
    confidence: float
    self_confidence: float
    fold: int
    split: str
    top: list[list[float]]
    similarity_rank: int | None
    contradicting: int | None  # networks that contradict the given label, if the round has several
    status: Status
    label: int | None
    annotator: str | None
    name: str
    path: str
    content_hash: str
    width: int
    height: int
    box: tuple[int, int, int, int] | None = None
    area: int | None = None
    own_given: int | None = None  # the round's own classes before merges, if they differ
    own_pseudo: int | None = None

    @property
    def edited(self) -> bool:
        """Return whether it was decided by editing the whole mask."""
        return self.status is Status.RELABEL and self.label is None


class Order(StrEnum):
    """Order of findings."""

    SUSPICION = "suspicion"  # lowest self-confidence first
    CONFIDENCE = "confidence"  # Flath's rule: most confident first
    PAIR = "pair"  # class pair by class pair, each by suspicion
    SIMILARITY = "similarity"  # similar images adjacent; only if the round has embeddings
