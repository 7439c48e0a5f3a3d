"""What is exported and how: one value an image, one value of wishes, and the plan that follows from both.

A label is a class name here, not an id: an export is read without the database. None means no usable label.
The same items and options give the same plan, whatever order the items come in.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from core.data.masks.items import Per
from core.types import ExportError, Verdict


class ExportFormat(StrEnum):
    """In which form labels leave."""

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
        """Whether its labels are masks."""
        return self in _OF_MASKS

    @property
    def with_files(self) -> bool:
        """Whether the images themselves are in it."""
        return self in _OF_MASKS | _WITH_FILES

    @property
    def embeds(self) -> bool:
        """Whether the images are in its tables, not files beside them."""
        return self is ExportFormat.HUGGING_FACE_PARQUET

    @property
    def is_patch(self) -> bool:
        """Whether only changed items are in it."""
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
    """How an image gets into the export."""

    HARD_LINK = "hardlink"
    COPY = "copy"
    SYMLINK = "symlink"


class Unsettled(StrEnum):
    """Why an item has no usable label."""

    AMBIGUOUS = "ambiguous"
    EXCLUDED = "excluded"
    UNLABELLED = "unlabelled"


class Treatment(StrEnum):
    """What becomes of items without a usable label; of regions of a mask, without a usable class."""

    LEAVE_OUT = "leave-out"  # a region becomes IGNORE
    KEEP_GIVEN = "keep-given"
    APART = "apart"  # in a folder of their own, or as rows without a label


class Method(StrEnum):
    """Who says what an item's label is."""

    PERSON = "person"
    BULK = "bulk"
    GIVEN = "given"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportItem:
    """One image with its label before and after, and the decision that says so (empty where there is none).

    `name` is the path within its dataset, `path` where the file lies, `decided_at` ISO 8601 in UTC,
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
    method: Method = Method.GIVEN
    annotator: str = ""
    decided_at: str = ""
    round: int | None = None
    confidence: float | None = None
    changeset: int | None = None

    @property
    def unsettled(self) -> Unsettled | None:
        """Why there is no usable label, None where there is one."""
        if self.verdict == Verdict.AMBIGUOUS:
            return Unsettled.AMBIGUOUS
        if self.verdict == Verdict.EXCLUDE:
            return Unsettled.EXCLUDED
        return Unsettled.UNLABELLED if self.label is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What somebody wants exported; stored with the export as JSON. No splits: all of them."""

    format: ExportFormat = ExportFormat.CLASS_FOLDERS
    link: Link = Link.HARD_LINK
    copy_if_needed: bool = True  # where a hard link is impossible (another disk): copy instead of giving up
    ambiguous: Treatment = Treatment.LEAVE_OUT
    excluded: Treatment = Treatment.LEAVE_OUT
    unlabelled: Treatment = Treatment.LEAVE_OUT
    splits: tuple[str, ...] = ()
    per: Per = Per.USUAL  # of masks: an annotation or PNG for each class, or each connected piece
    raw: bool = False  # cells of CSV files that spreadsheets take for formulas stay as they are

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"splits": list(self.splits)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ExportOptions":
        """Return the options stored as `values`.

        Raises:
            ExportError: an option is unknown or has an unknown value.
        """
        kinds = {"format": ExportFormat, "link": Link, "per": Per}
        kinds |= {reason.value: Treatment for reason in Unsettled}
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ExportError(f"unknown options {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        try:
            typed = {name: kinds[name](value) if name in kinds else value for name, value in values.items()}
        except ValueError as error:
            raise ExportError(f"the export's options cannot be read: {error}") from None
        return cls(**(typed | {"splits": tuple(values.get("splits", ()))}))

    def treatment(self, reason: Unsettled) -> Treatment:
        """Return what becomes of items that are unsettled for this reason."""
        return {
            Unsettled.AMBIGUOUS: self.ambiguous,
            Unsettled.EXCLUDED: self.excluded,
            Unsettled.UNLABELLED: self.unlabelled,
        }[reason]


@dataclass(frozen=True, slots=True)
class Source:
    """The dataset an export is made from.

    `wrong_labels` is what random samples tell of them in its newest round, with a `text`; None before the first round.
    `bulk_acts` are the bulk accepts that count, each with what was known of its precision when it was made.
    """

    name: str
    task: str
    classes: tuple[str, ...]
    rounds: tuple[dict[str, Any], ...] = ()  # finished ones: number, snapshot hash, recipe, configs
    evaluation_splits: tuple[str, ...] = ()  # judged models and taught none
    wrong_labels: dict[str, Any] | None = None
    bulk_acts: tuple[dict[str, Any], ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)  # `path`, `label` of its table, where chosen by name


@dataclass(frozen=True, slots=True)
class Row:
    """One item as it will be written. `apart` says why it stands without a label."""

    item: ExportItem
    label: str | None
    apart: Unsettled | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be written, ordered by split and name, and how many are left out for which reason."""

    source: Source
    options: ExportOptions
    rows: tuple[Row, ...]
    left_out: Counter[Unsettled] = field(default_factory=Counter)

    @property
    def image_bytes(self) -> int:
        """Return the size of the images in it."""
        return sum(row.item.bytes for row in self.rows) if self.options.format.with_files else 0


def plan_export(source: Source, items: Iterable[ExportItem], options: ExportOptions) -> Plan:
    """Return what an export of these items holds under these options.

    A patch has to say what is to be left out, so there "leave out" and "apart" both take the label away.
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
        elif treatment is Treatment.KEEP_GIVEN and item.given is not None:
            rows.append(Row(item, item.given, None))
        elif treatment is Treatment.APART or options.format.is_patch:
            rows.append(Row(item, None, reason))
        else:
            left_out[reason] += 1
    return Plan(source, options, tuple(rows), left_out)
