"""What an import brings, said before it is stored: what changes, what deserves a look, how many of each."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.services.import_classes import warn_of_spellings
from app.services.import_masks import Masks
from app.services.import_mended import Mended, Mending
from core.config import RoundConfig
from core.data.formats.source import Problems
from core.data.masks.store import mask_hash
from core.data.windows import FULL, Window, written
from core.types import mask_dtype, widened
from db.queries import incoming
from db.queries.incoming import Arrival, Duplicate

COVERS = 10  # images on a dataset's card
_PAIR = 2
_LISTED = 10  # classes named in a warning
_MUCH_IGNORED = 0.5  # of the pixels
_FOLDS = RoundConfig().folds


@dataclass(frozen=True)
class Coming:
    """A staged import beside the dataset it goes into; `dataset_id` 0: a new one."""

    session: Session
    import_id: int
    dataset_id: int
    classes: tuple[str, ...]
    problems: Problems
    masks: Masks | None  # where labels are masks
    mending: Mending | None = None  # where the dataset is known and its labels are masks
    taking: bool = False  # masks that were mended are taken

    @cached_property
    def mended(self) -> Mapping[int, Mended]:
        """Return the images whose source has another mask, by the sample's id."""
        return {one.sample_id: one for one in self.mending.found} if self.mending else {}


def report_of(coming: Coming) -> dict[str, Any]:
    """Return the import's figures as JSON values; what deserves a look is added to its problems."""
    session, import_id = coming.session, coming.import_id
    changes = _changes(coming)
    _warn_of_duplicates(coming)
    if coming.masks is None:
        warn_of_spellings(coming.classes, coming.problems)
    staged, _ = incoming.known_count(session, import_id, coming.dataset_id)
    masks: dict[str, Any] = {}
    if coming.masks:
        masks["masks"] = incoming.mask_count(session, import_id, coming.dataset_id)
        masks["pixels"] = _warn_of_pixels(coming, coming.masks.pixels)
    if coming.mending is not None:
        masks["mended"] = mended_counts(coming.mending, taking=coming.taking)
    return {
        "images": staged,
        **masks,
        "classes": _warn_of_small_classes(coming),
        "splits": incoming.split_counts(session, import_id),
        "covers": incoming.covers(session, import_id, COVERS),
        "changes": dict(changes),
        "annotators_differ": incoming.differing_count(session, import_id),
        "problems": _counted(coming.problems),
    }


def note_window(problems: Problems, window: Window | None) -> None:
    """Say how greys of more than 8 bits are seen, where they do not use their range."""
    if window is not None:
        low, high = window
        problems.warn(
            "greys of more than 8 bits",
            "images",
            f"they lie from {low:,} to {high:,}, which become black and white, the same for all images",
            f"nothing; or another range: --window {written(window)}, or {FULL} for 0-65535",
        )


def _changes(coming: Coming) -> Counter[str]:
    """Count what is new, different, back or gone, and warn of what a person should know."""
    staged, known = incoming.known_count(coming.session, coming.import_id, coming.dataset_id)
    counts = Counter(added=staged - known, changed=0, moved=0, unchanged=known, returned=0, vanished=0)
    for arrival in incoming.arrivals(coming.session, coming.import_id, coming.dataset_id):
        _warn_of_change(coming, arrival)
        counts["returned"] += arrival.vanished
        counts["changed"] += arrival.is_corrected
        counts["moved"] += arrival.is_moved
        counts["unchanged"] -= arrival.is_corrected or arrival.is_moved
    for name in incoming.vanishing(coming.session, coming.import_id, coming.dataset_id):
        counts["vanished"] += 1
        coming.problems.warn(
            "vanished", name, "an earlier import found it, this one did not", "nothing; its decisions are kept"
        )
    return counts


def _warn_of_change(coming: Coming, arrival: Arrival) -> None:
    old, new = arrival.old, arrival.new
    if arrival.is_moved and old.name != new.name:
        coming.problems.warn(
            "moved", new.name, f"the same content was {old.name} before", "nothing; its decisions came along"
        )
    if old.label != new.label and old.label is not None:
        coming.problems.warn(
            "given label changed",
            new.name,
            f"the source now says {_name(coming, new.label)}, it was imported as {_name(coming, old.label)}",
            "the first one stands; decide it in the review, or import into a new dataset",
        )
    stored = old.mask_hash
    if coming.masks is not None and stored is not None and not _is_same_mask(coming, stored, new.mask_hash):
        coming.masks.count(new.mask_hash, -1)
        coming.masks.count(stored)
        _warn_of_mask(coming, arrival)
    if old.content_hash != new.content_hash:
        coming.problems.warn(
            "content changed", new.name, "the file is another image than before", "look at its decisions again"
        )


def _warn_of_mask(coming: Coming, arrival: Arrival) -> None:
    """Warn of a mask that differs from the given one, unless the image has it already, or is given it now."""
    name = arrival.new.name
    if arrival.new.mask_hash is None:
        coming.problems.warn(
            "given mask changed",
            name,
            "the source now has no usable mask for it",
            "the first one stands; edit it in the review, or import into a new dataset",
        )
        return
    found = coming.mended.get(arrival.sample_id)
    if found is None or (coming.taking and not found.decided):
        return
    if found.decided:
        coming.problems.warn(
            "mask changed in both places",
            name,
            "the source now has another mask for it, and people have decided on it here",
            "what was decided here stands; edit it in the review, or undo that and import with --take-masks",
        )
        return
    coming.problems.warn(
        "given mask changed",
        name,
        "the source now has another mask for it",
        "the first one stands; to take the new one as your edit, import with --take-masks, or press the button below "
        "the import's report",
    )


def mended_counts(mending: Mending, *, taking: bool) -> dict[str, int]:
    """Return how many masks were taken, could be taken, and were left since people have decided on their images."""
    takeable = len(mending.takeable)
    counts = {"taken": takeable if taking else 0, "open": 0 if taking else takeable}
    return counts | {"left": len(mending.found) - takeable}


def _is_same_mask(coming: Coming, old: str, new: str | None) -> bool:
    """Whether two kept masks are the same, although one may be from before the classes outgrew a byte."""
    if coming.masks is None or new is None or old == new:
        return old == new
    if mask_dtype(len(coming.classes)) == np.uint8:
        return False
    return mask_hash(widened(coming.masks.store.get(old), len(coming.classes))) == new


def _name(coming: Coming, label: int | None) -> str:
    return "nothing" if label is None else coming.classes[label]


def _warn_of_duplicates(coming: Coming) -> None:
    every = incoming.duplicates(coming.session, coming.import_id, coming.dataset_id)
    for _, copies in groupby(every, attrgetter("content_hash")):
        _warn_of_copies(coming, list(copies))


def _warn_of_copies(coming: Coming, copies: list[Duplicate]) -> None:
    """Warn of each of these images of one content, and name another one of them, with another label if there is one."""
    of_label = {found.label: found for found in reversed(copies) if found.label is not None}
    for found in copies:
        contrary = (one for label, one in of_label.items() if label != found.label)
        other = next(contrary, copies[1] if found is copies[0] else copies[0])
        others = other.name if found.copies == _PAIR else f"{other.name} and {found.copies - _PAIR:,} more"
        if found.labels > 1 and coming.masks is not None:
            coming.problems.warn(
                "duplicate with two masks",
                found.name,
                f"the same content as {others}, with a different mask",
                "decide which mask is right; the copies always share a fold",
            )
        elif found.labels > 1 and found.label is not None:
            coming.problems.warn(
                "duplicate with two labels",
                found.name,
                f"the same content as {others}, labelled {coming.classes[found.label]} here and "
                f"{_name(coming, other.label)} there",
                "decide which label is right; the copies always share a fold",
            )
        else:
            coming.problems.warn(
                "duplicate", found.name, f"the same content as {others}", "nothing; the copies always share a fold"
            )


def _warn_of_small_classes(coming: Coming) -> dict[str, int]:
    """Return the number of images of each class, in the classes' order; "" counts the unlabelled ones.

    Of masks, an image counts for every class it contains.
    """
    counts: Mapping[int | None, int] = (
        coming.masks.images
        if coming.masks
        else incoming.label_counts(coming.session, coming.import_id, coming.dataset_id)
    )
    for number, name in enumerate(coming.classes):
        if 0 < counts.get(number, 0) < _FOLDS:
            coming.problems.warn(
                "small class",
                name,
                f"it has {counts[number]} images, fewer than the {_FOLDS} folds of a round",
                "add images of it, merge it with another class, or use fewer folds",
            )
    named = {name: counts.get(number, 0) for number, name in enumerate(coming.classes)}
    return named | ({"": counts[None]} if counts.get(None) else {})


def _warn_of_pixels(coming: Coming, pixels: Mapping[int | None, int]) -> dict[str, int]:
    """Return the pixels of each class, in the classes' order; "" counts those that are unlabelled (IGNORE)."""
    total = sum(pixels.values())
    empty = [name for number, name in enumerate(coming.classes) if not pixels.get(number)]
    if total and empty:
        several = "classes have" if len(empty) > 1 else "class has"
        coming.problems.warn(
            "class without a pixel",
            empty[0],
            f"{len(empty):,} {several} no pixel in any mask: {', '.join(empty[:_LISTED])}"
            + (f" and {len(empty) - _LISTED:,} more" if len(empty) > _LISTED else ""),
            "nothing, if so it is; else look at which value or colour each class has (import --dry-run)",
        )
    ignored = pixels.get(None, 0)
    if total and ignored > _MUCH_IGNORED * total:
        coming.problems.warn(
            "much unlabelled",
            ".",
            f"{ignored / total:.0%} of the masks' pixels are unlabelled (IGNORE); no model learns from them",
            "nothing, if so it is; else look at which values are ignored (import --dry-run)",
        )
    named = {name: int(pixels.get(number, 0)) for number, name in enumerate(coming.classes)}
    return named | ({"": int(ignored)} if ignored else {})


def _counted(problems: Problems) -> dict[str, dict[str, int]]:
    """Return how many problems there are by severity and kind, the most frequent first."""
    found: dict[str, dict[str, int]] = {}
    for (severity, kind), count in problems.counts.most_common():
        found.setdefault(severity.value, {})[kind] = count
    return found
