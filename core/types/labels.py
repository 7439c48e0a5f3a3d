"""Labels, verdicts, decisions, findings: what rounds and people say of a sample."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum

EVERY_FOLD = -1  # in a fold's place: the models of all folds predicted the sample together


class Task(StrEnum):
    """What a label is: one class of an image, or one class of each pixel."""

    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"


class Verdict(StrEnum):
    """What a person says of a finding. The last one settles nothing: it asks somebody else to look."""

    ACCEPT = "accept"  # the pseudo label is right
    KEEP = "keep"  # the given label is right
    RELABEL = "relabel"  # another class is right
    AMBIGUOUS = "ambiguous"  # several classes fit
    EXCLUDE = "exclude"  # none of the classes, or broken
    SECOND_OPINION = "second_opinion"

    @property
    def settles(self) -> bool:
        """Whether the sample is decided by this verdict."""
        return self is not Verdict.SECOND_OPINION


class FindingKind(IntEnum):
    """Why a sample is shown: the model contradicts its label, agrees with it, or there is none."""

    SUSPICIOUS = 0
    AGREEING = 1
    UNLABELLED = 2


class Status(IntEnum):
    """Where a finding stands now, computed from the live decisions on its sample."""

    OPEN = 0
    ACCEPT = 1
    KEEP = 2
    RELABEL = 3
    AMBIGUOUS = 4
    EXCLUDE = 5
    BULK = 6  # accepted by a bulk act, looked at by nobody
    SECOND_OPINION = 7
    PAINTED = 8  # a region of which edits of its image painted every pixel: nothing is left to accept

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do."""
        return self not in (Status.OPEN, Status.SECOND_OPINION)


class Act(StrEnum):
    """What made a changeset. `UNDO` and `REDO` name another changeset and carry no decisions of their own."""

    VERDICT = "verdict"  # one act of a person on one or several chosen cards
    ACCEPT_ALL = "accept_all"  # one act on everything a filter and a threshold hold
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
    finding_id: int | None = None  # what it was made on; of a mask it says something of this region alone
    mask_hash: str | None = None  # the whole mask, where it was edited
    mask_base: str | None = None  # the mask that the edit began from


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a sample's label is now and which decision says so (none: the given label stands).

    `label` is None where the sample has no usable label: ambiguous, excluded, or never labelled.
    """

    label: int | None
    decision: Decision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """Which findings of one round are meant; None or empty means any. One value for queue, counts and bulk acts.

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
    without_splits: frozenset[str] = frozenset()  # what a bulk act leaves out: the evaluation splits
    fold: int | None = None
    annotator: str | None = None
    path_contains: str = ""
    min_area: int | None = None
    max_area: int | None = None
    sample_id: int | None = None
    similar: tuple[int, ...] = ()  # ids of findings that resemble one card, ascending; empty: any
    class_percents: tuple[
        int, ...
    ] = ()  # the least percent of confidence by suggested class; empty: none but the above


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding with its sample, as people see it. `top` holds the five likeliest as (class, probability).

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
    contradicting: int | None  # networks that contradict the given label, where the round has several
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

    @property
    def edited(self) -> bool:
        """Whether it was decided by editing the whole mask."""
        return self.status is Status.RELABEL and self.label is None


class Order(StrEnum):
    """In which order findings are shown."""

    SUSPICION = "suspicion"  # lowest self-confidence first
    CONFIDENCE = "confidence"  # Flath's rule: most confident first
    PAIR = "pair"  # class pair by class pair, each by suspicion
    SIMILARITY = "similarity"  # like beside like; only where the round has embeddings
