"""Items, options and plan of an export.

A label is a class name here, not an id: an export is read without the database. None means no usable label.
The same items and options give the same plan, in any order of the items.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from core.data.masks.items import Per
from core.types import ExportError, Verdict, from_json_values, to_json_values


class ExportFormat(StrEnum):
    """Format of exported labels."""

    CLASS_FOLDERS = "imagefolder"
    CSV = "csv"
    PARQUET = "parquet"
    HUGGING_FACE = "huggingface"
    HUGGING_FACE_JSONL = "huggingface-jsonl"
    HUGGING_FACE_PARQUET = "huggingface-parquet"
    PATCH = "patch"
    PATCH_CSV = "patch-csv"
    MASK_PAIRS = "mask-pairs"
    CAMVID = "camvid"
    VOC = "voc"
    COCO = "coco"
    LABEL_STUDIO = "label-studio"
    LABEL_STUDIO_CHOICES = "label-studio-choices"

    @property
    def of_masks(self) -> bool:
        """Return whether its labels are masks."""
        return self in _OF_MASKS

    @property
    def with_files(self) -> bool:
        """Return whether it contains image files."""
        return self in _OF_MASKS | _WITH_FILES

    @property
    def embeds(self) -> bool:
        """Return whether its tables contain the images."""
        return self is ExportFormat.HUGGING_FACE_PARQUET

    @property
    def is_patch(self) -> bool:
        """Return whether it contains changed items only."""
        return self in (ExportFormat.PATCH, ExportFormat.PATCH_CSV)


_WITH_FILES = {
    ExportFormat.CLASS_FOLDERS, ExportFormat.HUGGING_FACE, ExportFormat.HUGGING_FACE_JSONL,
    ExportFormat.HUGGING_FACE_PARQUET,
    ExportFormat.LABEL_STUDIO_CHOICES,
}  # fmt: skip
_OF_MASKS = {
    ExportFormat.MASK_PAIRS, ExportFormat.CAMVID, ExportFormat.VOC, ExportFormat.COCO, ExportFormat.LABEL_STUDIO,
}  # fmt: skip


class Link(StrEnum):
    """Way of placing an image in the export."""

    HARD_LINK = "hardlink"
    COPY = "copy"
    SYMLINK = "symlink"


class Unsettled(StrEnum):
    """Reason for an item without a usable label."""

    AMBIGUOUS = "ambiguous"
    EXCLUDED = "excluded"
    UNLABELLED = "unlabelled"


class UnusablePolicy(StrEnum):
    """Treatment of items without a usable label, and of regions of a mask without a usable class."""

    LEAVE_OUT = "leave-out"  # a region becomes IGNORE
    KEEP_GIVEN = "keep-given"
    APART = "apart"  # in a folder of their own, or as rows without a label


class LabelOrigin(StrEnum):
    """Origin of an item's label."""

    PERSON = "person"
    BULK = "bulk"
    GIVEN = "given"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportItem:
    """One image with its label before and after, and the decision behind it (empty if there is none).

    `name` is the path within its dataset, `path` that of the file, `decided_at` ISO 8601 in UTC,
    `confidence` that of the suggestion the decision was made on.
    """

    path: str
    name: str
    content_hash: str
    given: str | None
    label: str | None
    split: str = ""
    group: str = ""
    bytes: int = 0
    verdict: str = ""
    method: LabelOrigin = LabelOrigin.GIVEN
    annotator: str = ""
    decided_at: str = ""
    round: int | None = None
    confidence: float | None = None
    changeset: int | None = None
    source_label: str | None = None  # name of the given label in the source; None: the same

    @property
    def given_in_source(self) -> str | None:
        """Return the given label by its name in the source: a class may have been renamed or merged since."""
        return self.given if self.source_label is None else self.source_label

    @property
    def unsettled(self) -> Unsettled | None:
        """Reason for no usable label, None if there is one."""
        if self.verdict == Verdict.AMBIGUOUS:
            return Unsettled.AMBIGUOUS
        if self.verdict == Verdict.EXCLUDE:
            return Unsettled.EXCLUDED
        return Unsettled.UNLABELLED if self.label is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Request of an export; stored with the export as JSON. No splits: all of them."""

    format: ExportFormat = ExportFormat.CLASS_FOLDERS
    link: Link = Link.HARD_LINK
    copy_if_needed: bool = True  # copy if a hard link is impossible (another disk)
    ambiguous: UnusablePolicy = UnusablePolicy.LEAVE_OUT
    excluded: UnusablePolicy = UnusablePolicy.LEAVE_OUT
    unlabelled: UnusablePolicy = UnusablePolicy.LEAVE_OUT
    splits: tuple[str, ...] = ()
    per: Per = Per.USUAL  # of masks: an annotation or PNG for each class, or each connected piece
    raw: bool = False  # no escapes for cells of CSV files that spreadsheets take for formulas

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return to_json_values(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ExportOptions":
        """Return the options stored as `values`.

        Raises:
            ExportError: an option is unknown or has an unknown value.
        """
        return from_json_values(cls, values, error=ExportError, unknown="unknown options {}")

    def treatment(self, reason: Unsettled) -> UnusablePolicy:
        """Return the treatment of items without a usable label for this reason."""
        return {
            Unsettled.AMBIGUOUS: self.ambiguous,
            Unsettled.EXCLUDED: self.excluded,
            Unsettled.UNLABELLED: self.unlabelled,
        }[reason]


@dataclass(frozen=True, slots=True)
class Source:
    """Dataset of an export.

    `wrong_labels` is an estimate from random samples in the newest round, with a `text`; None before the first round.
    `bulk_acts` are the live bulk accepts, each with its precision as known when it was made; `notes` are people's notes
    on cards: name, text, annotator, noted_at; `class_acts` are the live acts on classes.
    """

    name: str
    task: str
    classes: tuple[str, ...]
    rounds: tuple[dict[str, Any], ...] = ()  # finished ones: number, snapshot hash, recipe, configs
    evaluation_splits: tuple[str, ...] = ()  # judged models and were never trained on
    wrong_labels: dict[str, Any] | None = None
    bulk_acts: tuple[dict[str, Any], ...] = ()
    notes: tuple[dict[str, Any], ...] = ()
    class_acts: tuple[dict[str, Any], ...] = ()
    removed: int = 0  # images that people removed from the dataset
    columns: Mapping[str, str] = field(default_factory=dict)  # `path`, `label` of its table, where chosen by name


@dataclass(frozen=True, slots=True)
class Row:
    """One item as it will be written. `apart` is the reason if it is kept apart without a label."""

    item: ExportItem
    label: str | None
    apart: Unsettled | None


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """Items to write, ordered by split and name, and the number of those left out for each reason."""

    source: Source
    options: ExportOptions
    rows: tuple[Row, ...]
    left_out: Counter[Unsettled] = field(default_factory=Counter)

    @property
    def image_bytes(self) -> int:
        """Return the size of its images in bytes."""
        return sum(row.item.bytes for row in self.rows) if self.options.format.with_files else 0


def plan_export(source: Source, items: Iterable[ExportItem], options: ExportOptions) -> ExportPlan:
    """Return the plan of an export of these items with these options.

    A patch must list items to leave out, so in a patch "leave out" and "apart" both remove the label.
    """
    chosen = frozenset(options.splits)
    rows: list[Row] = []
    left_out: Counter[Unsettled] = Counter()
    for item in sorted(items, key=lambda each: (each.split, each.name, each.path)):
        if chosen and item.split not in chosen:
            continue
        reason = item.unsettled
        treatment = options.treatment(reason) if reason else None
        if reason is None:
            rows.append(Row(item, item.label, None))
        elif treatment is UnusablePolicy.KEEP_GIVEN and item.given is not None:
            rows.append(Row(item, item.given, None))
        elif treatment is UnusablePolicy.APART or options.format.is_patch:
            rows.append(Row(item, None, reason))
        else:
            left_out[reason] += 1
    return ExportPlan(source, options, tuple(rows), left_out)
