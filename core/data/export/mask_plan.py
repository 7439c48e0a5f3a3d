"""Plan of an export of masks: one value per image, and one per verdict on a region.

Masks are named by their hashes in the store and read one at a time. Classes are names here, not ids. An image without
a label has no mask. The same images and options give the same plan, in any order of the images.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from core.data.export.items import ExportFormat, ExportOptions, LabelOrigin, Source, Unsettled, UnusablePolicy
from core.data.masks.items import Per
from core.data.masks.store import MaskStore
from core.types import ClassTable, ExportError, ignore_of

_WITH_PER = (ExportFormat.COCO, ExportFormat.MASK_PAIRS)
Changes = tuple[tuple[int, int], ...]  # given * (K + 1) + label, number of pixels; IGNORE is K


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRecord:
    """Decision on one region: box in pixels, class before (None: unlabelled) and after (None: IGNORE or edited).

    `mask` is the hash of the whole mask if it was edited; an edit of no region has nothing before it.
    `decided_at` is ISO 8601 in UTC, `confidence` that of the suggestion.
    """

    x: int | None
    y: int | None
    width: int | None
    height: int | None
    area: int | None
    given: str | None
    label: str | None
    verdict: str
    method: LabelOrigin
    annotator: str
    decided_at: str
    round: int | None
    confidence: float | None
    changeset: int
    mask: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskExportItem:
    """One image with the hashes of its masks before and after; `path` and `bytes` are those of its file."""

    path: str
    name: str
    content_hash: str
    given: str | None
    mask: str | None
    split: str
    group: str
    width: int
    height: int
    bytes: int
    regions: tuple[RegionRecord, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class MaskPlan:
    """Images to write, in order, and the number of unlabelled ones left out."""

    source: Source
    table: ClassTable
    options: ExportOptions
    store: MaskStore
    images: tuple[MaskExportItem, ...]
    left_out: Counter[Unsettled]

    @property
    def image_bytes(self) -> int:
        """Return the size of the images in it."""
        return sum(image.bytes for image in self.images)


def plan_masks(
    source: Source, table: ClassTable, images: Iterable[MaskExportItem], options: ExportOptions, store: MaskStore
) -> MaskPlan:
    """Return the plan of an export of these images with these options.

    Unlabelled images are included without a mask if they are to be kept apart, else left out.

    Raises:
        ExportError: the options do not fit masks.
    """
    check_mask_options(options)
    chosen = frozenset(options.splits)
    kept: list[MaskExportItem] = []
    left_out: Counter[Unsettled] = Counter()
    for image in sorted(images, key=lambda each: (each.split, each.name, each.path)):
        if chosen and image.split not in chosen:
            continue
        if image.mask is None and options.unlabelled is not UnusablePolicy.APART:
            left_out[Unsettled.UNLABELLED] += 1
        else:
            kept.append(image)
    return MaskPlan(source, table, options, store, tuple(kept), left_out)


def check_mask_options(options: ExportOptions) -> None:
    """Check the options for masks and the format.

    Raises:
        ExportError: regions are to be kept apart, or the format has no annotation for each class or piece.
    """
    if options.per is not Per.USUAL and options.format not in _WITH_PER:
        forms = " and ".join(form.value for form in _WITH_PER)
        raise ExportError(
            f"{options.format.value} has one mask per image", f"only {forms} are written for each {options.per}"
        )
    for reason in (Unsettled.AMBIGUOUS, Unsettled.EXCLUDED):
        if options.treatment(reason) is UnusablePolicy.APART:
            raise ExportError(
                f"{reason.value} regions cannot stand apart from their mask",
                "leave them out, then they are IGNORE, or keep the given class",
            )


def mask_summary(plan: MaskPlan) -> dict[str, Any]:
    """Return a summary of the plan: images, changed pixels by pair of classes, regions by verdict."""
    regions = [region for image in plan.images for region in image.regions]
    pairs = _changed_pixels(plan)
    apart = sum(image.mask is None for image in plan.images)
    return {
        "items": len(plan.images),
        "changed": sum(image.mask != image.given for image in plan.images),
        "edited": sum(any(region.mask for region in image.regions) for image in plan.images),
        "pixels_changed": sum(pairs.values()),
        "apart": {Unsettled.UNLABELLED.value: apart} if apart else {},
        "left_out": {reason.value: count for reason, count in sorted(plan.left_out.items())},
        "removed": plan.source.removed,
        "by_pair": [
            {"given": given, "label": label, "count": count}
            for (given, label), count in sorted(
                pairs.items(), key=lambda each: (-each[1], each[0][0] or "", each[0][1] or "")
            )
        ],
        "by_method": dict(sorted(Counter(region.method.value for region in regions).items())),
        "by_verdict": dict(sorted(Counter(region.verdict for region in regions).items())),
        "by_split": dict(sorted(Counter(image.split for image in plan.images).items())),
    }


def changed_pixels(plan: MaskPlan, image: MaskExportItem) -> int:
    """Return the number of changed pixels of an image."""
    return sum(count for _, count in _changes(plan, image))


def _changed_pixels(plan: MaskPlan) -> Counter[tuple[str | None, str | None]]:
    """Count the changed pixels by (given, label); None is IGNORE."""
    names = [*plan.table.names, None]
    total: Counter[tuple[str | None, str | None]] = Counter()
    for image in plan.images:
        for pair, count in _changes(plan, image):
            given, label = divmod(pair, len(names))
            total[names[given], names[label]] += count
    return total


def _changes(plan: MaskPlan, image: MaskExportItem) -> Changes:
    if image.mask is None or image.mask == image.given:
        return ()
    return _compare(plan.store, image.given, image.mask, len(plan.table))


@lru_cache(maxsize=200_000)
def _compare(store: MaskStore, given: str | None, mask: str, classes: int) -> Changes:
    """Compare two masks; cached, since a hash always names the same mask."""
    after = store.get(mask)
    before = np.full_like(after, ignore_of(after)) if given is None else store.get(given)
    changed = before != after
    pair = [np.minimum(one[changed].astype(np.int64), classes) for one in (before, after)]  # IGNORE is `classes`
    pairs, counts = np.unique(pair[0] * (classes + 1) + pair[1], return_counts=True)
    return tuple(zip(pairs.tolist(), counts.tolist(), strict=True))
