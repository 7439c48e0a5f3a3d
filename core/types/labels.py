"""Labels of images and pixels: classes, masks and their regions, verdicts, decisions and findings; types of arrays.

A class is an id, an index into the names of its dataset, and never changes: stored labels, masks and rounds refer to
it. A mask holds one class id per pixel. It is (H, W), uint8 for up to 255 classes, uint16 beyond; its largest value
(255, 65535) is IGNORE: an unlabelled pixel. So the dtype of a mask determines its value of IGNORE.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
ByteArray = NDArray[np.uint8]

NO_LABEL = -1
IGNORE = 255
WIDE_IGNORE = 65_535
_NARROW = 255  # classes a byte holds beside IGNORE

EVERY_FOLD = -1  # fold of samples that the models of all folds predicted together


class Task(StrEnum):
    """Kind of label: one class of an image, or one class of each pixel."""

    CLASSIFICATION = "classification"
    SEGMENTATION = "segmentation"


@dataclass(frozen=True, slots=True)
class ClassState:
    """The classes of a dataset. Lists of classes on pages and in files hold the `offered` ones, in order.

    `retired` are ids whose addition was undone, ascending. `merged` maps the id of a merged class to its target, chains
    resolved. `order` has every id with a chosen place; empty: by id.
    """

    names: tuple[str, ...]
    retired: tuple[int, ...] = ()
    merged: Mapping[int, int] = field(default_factory=dict)
    order: tuple[int, ...] = ()

    @property
    def ordered(self) -> tuple[int, ...]:
        """Return every id in order, those without a chosen place last."""
        return (*self.order, *sorted(set(range(len(self.names))) - set(self.order)))

    @property
    def offered(self) -> tuple[int, ...]:
        """Return the ids of the classes that new labels may have, in order."""
        return tuple(one for one in self.ordered if one not in self.retired and one not in self.merged)

    @property
    def offered_names(self) -> tuple[str, ...]:
        """Return the names of the offered classes, in order."""
        return tuple(self.names[one] for one in self.offered)

    def among(self, count: int) -> tuple[int, ...]:
        """Return the offered classes among the first `count` ids, in order; merged ids count as their targets."""
        meant = {self.present(one) for one in range(count)}
        return tuple(one for one in self.offered if one in meant)

    @property
    def places(self) -> dict[int, int]:
        """Return the index in `offered` of every class id of labels; a merged id has that of its target."""
        place = {one: at for at, one in enumerate(self.offered)}
        return place | {one: place[into] for one, into in self.merged.items() if into in place}

    @property
    def is_plain(self) -> bool:
        """Return whether every class is offered, by id."""
        return self.offered == tuple(range(len(self.names)))

    def present(self, label: int | None) -> int | None:
        """Return the current class of a stored label."""
        return None if label is None else self.merged.get(label, label)

    def name_of(self, label: int) -> str:
        """Return the current name of a stored label."""
        return self.names[self.merged.get(label, label)]


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Classes of masks in the order of their ids, each with a colour as `#rrggbb`."""

    names: tuple[str, ...]
    colours: tuple[str, ...]

    def __post_init__(self) -> None:
        """Validate the lengths and shapes."""
        if len(self.names) != len(self.colours):
            raise ValueError(f"{len(self.names)} classes have {len(self.colours)} colours")
        if len(set(self.names)) != len(self.names):
            raise ValueError("two classes have the same name")

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)


def mask_dtype(classes: int) -> np.dtype[np.unsignedinteger]:
    """Return the dtype of masks with this number of classes."""
    return np.dtype(np.uint8 if classes <= _NARROW else np.uint16)


def ignore_of(mask: IntArray) -> int:
    """Return the value that means IGNORE in this mask."""
    return IGNORE if mask.dtype == np.uint8 else WIDE_IGNORE


def pixel_of(mask: IntArray, label: int | None) -> int:
    """Return the pixel value of this label in this mask: IGNORE for None and `NO_LABEL`."""
    return ignore_of(mask) if label in (None, NO_LABEL) else int(label)


def widen(mask: IntArray, classes: int) -> IntArray:
    """Return a mask in the dtype for this number of classes, the same object if it has it; IGNORE is kept."""
    dtype = mask_dtype(classes)
    if mask.dtype == dtype:
        return mask
    wide = mask.astype(dtype)
    wide[mask == ignore_of(mask)] = np.iinfo(dtype).max
    return wide


def merged_ids(labels: Iterable[int], merged: Mapping[int, int]) -> list[int]:
    """Return the current classes of stored labels, each once, ascending."""
    return sorted({merged.get(one, one) for one in labels})


def renumber_mask(mask: IntArray, places: Mapping[int, int], classes: int) -> IntArray:
    """Return a mask, (H, W), with class ids replaced by `places`, in the dtype for this number of classes.

    Raises:
        ValueError: a pixel has a class without a place.
    """
    ignore, dtype = ignore_of(mask), mask_dtype(classes)
    lost = sorted(set(np.unique(mask).tolist()) - {*places, ignore})
    if lost:
        raise ValueError(f"a pixel has the class {lost[0]}, which is offered no more")
    table = np.full(ignore + 1, np.iinfo(dtype).max, dtype)
    for value, place in places.items():
        table[value] = place
    changed: IntArray = table[mask]
    return changed


def exchange_values(mask: IntArray, values: Mapping[int, int]) -> IntArray:
    """Return a mask, (H, W), with some of its values exchanged for others; the same object if there are none."""
    if not values:
        return mask
    table = np.arange(np.iinfo(mask.dtype).max + 1, dtype=mask.dtype)
    for value, other in values.items():
        table[value] = other
    changed: IntArray = table[mask]
    return changed


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Pixels of one image, as runs along the rows, (M, 3) int32 as (y, x, length), top to bottom."""

    runs: IntArray

    @property
    def area(self) -> int:
        """Return the number of pixels."""
        return int(self.runs[:, 2].sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Return the bounding box (x, y, width, height), in pixels."""
        y, x, length = self.runs.T
        left, top = int(x.min()), int(y.min())
        return left, top, int((x + length).max()) - left, int(y.max()) + 1 - top

    def paint(self, mask: IntArray, label: int) -> None:
        """Write `label` into these pixels of `mask`, (H, W), and into no other."""
        for y, x, length in self.runs.tolist():
            mask[y, x : x + length] = label

    def shift(self, x: int, y: int) -> "Region":
        """Return the region shifted right by x and down by y."""
        return Region(self.runs + np.array([y, x, 0]))

    def to_bytes(self) -> bytes:
        """Return the runs as they are stored."""
        return np.ascontiguousarray(self.runs, dtype="<i4").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Region":
        """Return the region stored as `data`."""
        return cls(np.frombuffer(data, dtype="<i4").reshape(-1, 3))

    @classmethod
    def of(cls, inside: IntArray, left: int = 0, top: int = 0) -> "Region":
        """Return the region of the true pixels of `inside`, (h, w), whose corner lies at (left, top) of the image."""
        edged = np.zeros((inside.shape[0], inside.shape[1] + 2), dtype=np.int8)
        edged[:, 1:-1] = inside != 0
        change = np.diff(edged, axis=1)
        y, start = np.nonzero(change == 1)
        _, end = np.nonzero(change == -1)
        return cls(np.stack([y + top, start + left, end - start], axis=1).astype(np.int32))


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
    REMOVED = 9  # its image was removed from the dataset: in no list or count, see `db.visibility`

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
    mask_hash: str | None = None  # the whole mask, if it was edited
    mask_base: str | None = None  # the mask that the edit began from


@dataclass(frozen=True, slots=True, eq=False)
class RegionDecision:
    """A decision on a region; `given` is the class of its pixels in the round's mask, `NO_LABEL` if they were IGNORE.

    Both are None for an edit of the whole mask.
    """

    decision: Decision
    given: int | None
    region: Region | None


@dataclass(frozen=True, slots=True)
class Resolution:
    """Current label of a sample, and the decision behind it (none: the given label is kept).

    `label` is None if the sample has no usable label: ambiguous, excluded, or never labelled.
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
