"""Report of an import, known before it is stored: changes and warnings, with counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.services.imports.classes import warn_of_spellings
from app.services.imports.masks import ImportedMasks, MendedMask
from app.services.imports.request import ImportRequest
from core.data.formats.source import Problems
from core.data.masks.store import mask_hash
from core.data.windows import FULL, Window, window_text
from core.types import FOLDS, Cure, counted, mask_dtype, widen
from db.queries import datasets, imports, incoming
from db.queries.datasets import merges_of
from db.queries.incoming import Arrival

COVERS = 10  # images on a dataset's card
_PAIR = 2
_LISTED = 10  # classes named in a warning
_MUCH_IGNORED = 0.5  # of the pixels


@dataclass(frozen=True)
class StagedImport:
    """A staged import and the dataset it goes into; `dataset_id` 0: a new one."""

    session: Session
    import_id: int
    dataset_id: int
    classes: tuple[str, ...]
    problems: Problems
    masks: ImportedMasks | None  # where labels are masks
    mending: Sequence[MendedMask] | None = None  # where the dataset is known and its labels are masks
    taking: bool = False  # masks that were mended are taken

    @cached_property
    def mended(self) -> Mapping[int, MendedMask]:
        """Return the images whose source has another mask, by the sample's id."""
        return {one.sample_id: one for one in self.mending or ()}

    @cached_property
    def merges(self) -> Mapping[int, int]:
        """Return the classes that people merged, and the one that each went into."""
        return merges_of(self.session, self.dataset_id)

    def meaning(self, label: int | None) -> int | None:
        """Return the class that a label means now."""
        return None if label is None else self.merges.get(label, label)


def report_of(staged: StagedImport) -> dict[str, Any]:
    """Return the import's figures as JSON values; what deserves a look is added to its problems."""
    session, import_id = staged.session, staged.import_id
    changes = _changes(staged)
    _warn_of_duplicates(staged)
    if staged.masks is None:
        offered = [name for number, name in enumerate(staged.classes) if number not in staged.merges]
        warn_of_spellings(offered, staged.problems)
    images, _ = incoming.known_count(session, import_id, staged.dataset_id)
    masks: dict[str, Any] = {}
    if staged.masks:
        masks["masks"] = incoming.mask_count(session, import_id, staged.dataset_id)
        masks["pixels"] = _warn_of_pixels(staged, staged.masks.pixels)
    if staged.mending is not None:
        masks["mended"] = mended_counts(staged.mending, taking=staged.taking)
    return {
        "images": images,
        **masks,
        "classes": _warn_of_small_classes(staged),
        "splits": incoming.split_counts(session, import_id),
        "covers": incoming.covers(session, import_id, COVERS),
        "changes": dict(changes),
        "annotators_differ": incoming.differing_count(session, import_id),
        "problems": _counted(staged.problems),
    }


def whole_report(session: Session, dataset_id: int, request: ImportRequest, report: dict[str, Any]) -> dict[str, Any]:
    """Return an import's report with the figures of the whole dataset, where folders were added to it.

    Splits are the present ones, the one drawn for evaluation among them. An added folder has neither classes nor
    covers, so these are the ones of the import before.
    """
    found = imports.count_images(session, dataset_id)
    if not imports.added_folders(datasets.get_dataset(session, dataset_id).options):
        return report | {"splits": found["splits"]}
    before = _last_report(session, dataset_id) if request.unlabelled else report
    classes = {name: count for name, count in before.get("classes", {}).items() if name}
    whole = report | {"images": found["images"], "splits": found["splits"]}
    whole["classes"] = classes | ({"": found["unlabelled"]} if found["unlabelled"] else {})
    kept = {name: before[name] for name in ("masks", "covers") if name in before}
    return whole | (kept if request.unlabelled else {})


def note_window(problems: Problems, window: Window | None) -> None:
    """Say how greys of more than 8 bits are seen, where they do not use their range."""
    if window is not None:
        low, high = window
        problems.warn(
            "greys of more than 8 bits",
            "images",
            f"they lie from {low:,} to {high:,}, which become black and white, the same for all images",
            f"nothing; or another range: {Cure.WINDOW} {window_text(window)}, or {FULL} for 0-65535",
        )


def _changes(staged: StagedImport) -> Counter[str]:
    """Count new, changed, returned and gone images, and warn of changes that matter to people."""
    images, known = incoming.known_count(staged.session, staged.import_id, staged.dataset_id)
    counts = Counter(added=images - known, changed=0, moved=0, unchanged=known, returned=0, vanished=0)
    for arrival in incoming.arrivals(staged.session, staged.import_id, staged.dataset_id):
        _warn_of_change(staged, arrival)
        counts["returned"] += arrival.vanished
        counts["changed"] += arrival.is_corrected
        counts["moved"] += arrival.is_moved
        counts["unchanged"] -= arrival.is_corrected or arrival.is_moved
    for name in incoming.vanishing(staged.session, staged.import_id, staged.dataset_id):
        counts["vanished"] += 1
        staged.problems.warn(
            "vanished", name, "an earlier import found it, this one did not", "nothing; its decisions are kept"
        )
    return counts


def _warn_of_change(staged: StagedImport, arrival: Arrival) -> None:
    old, new = arrival.old, arrival.new
    if arrival.is_moved and old.name != new.name:
        staged.problems.warn(
            "moved", new.name, f"the same content was {old.name} before", "nothing; its decisions came along"
        )
    if old.label is not None and staged.meaning(old.label) != staged.meaning(new.label):
        staged.problems.warn(
            "given label changed",
            new.name,
            f"the source now says {_name(staged, new.label)}, it was imported as {_name(staged, old.label)}",
            "the first one stands; decide it in the review, or import into a new dataset",
        )
    stored = old.mask_hash
    if staged.masks is not None and stored is not None and not _is_same_mask(staged, stored, new.mask_hash):
        staged.masks.count(new.mask_hash, -1)
        staged.masks.count(stored)
        _warn_of_mask(staged, arrival)
    if old.content_hash != new.content_hash:
        staged.problems.warn(
            "content changed", new.name, "the file is another image than before", "look at its decisions again"
        )


def _warn_of_mask(staged: StagedImport, arrival: Arrival) -> None:
    """Warn of a mask that differs from the given one, unless the image has it already, or is given it now."""
    name = arrival.new.name
    if arrival.new.mask_hash is None:
        staged.problems.warn(
            "given mask changed",
            name,
            "the source now has no usable mask for it",
            "the first one stands; edit it in the review, or import into a new dataset",
        )
        return
    found = staged.mended.get(arrival.old.id)
    if found is None or (staged.taking and not found.decided):
        return
    if found.decided:
        staged.problems.warn(
            "mask changed in both places",
            name,
            "the source now has another mask for it, and people have decided on it here",
            f"what was decided here stands; edit it in the review, or undo that, import again, then {Cure.TAKE_MASKS}",
        )
        return
    staged.problems.warn(
        "given mask changed",
        name,
        "the source now has another mask for it",
        f"the first one stands; to take the new one as your edit: {Cure.TAKE_MASKS}",
    )


def mended_counts(mending: Sequence[MendedMask], *, taking: bool) -> dict[str, int]:
    """Return how many masks were taken, could be taken, and were left since people have decided on their images."""
    takeable = sum(not one.decided for one in mending)
    counts = {"taken": takeable if taking else 0, "open": 0 if taking else takeable}
    return counts | {"left": len(mending) - takeable}


def _is_same_mask(staged: StagedImport, old: str, new: str | None) -> bool:
    """Return whether two kept masks are the same, although one may be from before the classes outgrew a byte."""
    if staged.masks is None or new is None or old == new:
        return old == new
    if mask_dtype(len(staged.classes)) == np.uint8:
        return False
    return mask_hash(widen(staged.masks.store.get(old), len(staged.classes))) == new


def _name(staged: StagedImport, label: int | None) -> str:
    return "nothing" if label is None else staged.classes[label]


def _warn_of_duplicates(staged: StagedImport) -> None:
    for labels, copies in incoming.duplicates(staged.session, staged.import_id, staged.dataset_id):
        _warn_of_copies(staged, labels, copies)


def _warn_of_copies(staged: StagedImport, labels: int, copies: list[tuple[str, int | None]]) -> None:
    """Warn of each of these images of one content, and name another one of them, with another label if there is one."""
    of_label = {label: name for name, label in reversed(copies) if label is not None}
    for place, (name, label) in enumerate(copies):
        contrary = ((one, own) for own, one in of_label.items() if own != label)
        other, other_label = next(contrary, copies[0 if place else 1])
        others = other if len(copies) == _PAIR else f"{other} and {len(copies) - _PAIR:,} more"
        if labels > 1 and staged.masks is not None:
            staged.problems.warn(
                "duplicate with two masks",
                name,
                f"the same content as {others}, with a different mask",
                "decide which mask is right; the copies always share a fold",
            )
        elif labels > 1 and label is not None:
            staged.problems.warn(
                "duplicate with two labels",
                name,
                f"the same content as {others}, labelled {staged.classes[label]} here and "
                f"{_name(staged, other_label)} there",
                "decide which label is right; the copies always share a fold",
            )
        else:
            staged.problems.warn(
                "duplicate",
                name,
                f"the same content as {others}",
                "nothing; the copies always share a fold. In two splits they leak: see the Images page",
            )


def _warn_of_small_classes(staged: StagedImport) -> dict[str, int]:
    """Return the number of images of each class, in the classes' order; "" counts the unlabelled ones.

    Of masks, an image counts for every class it contains.
    """
    counts: Mapping[int | None, int] = (
        staged.masks.images
        if staged.masks
        else incoming.label_counts(staged.session, staged.import_id, staged.dataset_id)
    )
    together: Counter[int | None] = Counter()
    for number, count in counts.items():
        together[staged.meaning(number)] += count
    for number, name in enumerate(staged.classes):
        if 0 < together[number] < FOLDS:
            staged.problems.warn(
                "small class",
                name,
                f"it has {counted(together[number], 'image')}, fewer than the {FOLDS} folds of a round",
                "add images of it, merge it with another class, or use fewer folds",
            )
    by_name = {name: counts.get(number, 0) for number, name in enumerate(staged.classes)}
    return by_name | ({"": counts[None]} if counts.get(None) else {})


def _warn_of_pixels(staged: StagedImport, pixels: Mapping[int | None, int]) -> dict[str, int]:
    """Return the pixels of each class, in the classes' order; "" counts those that are unlabelled (IGNORE)."""
    total = sum(pixels.values())
    empty = [
        name for number, name in enumerate(staged.classes) if not pixels.get(number) and number not in staged.merges
    ]
    if total and empty:
        several = "classes have" if len(empty) > 1 else "class has"
        staged.problems.warn(
            "class without a pixel",
            empty[0],
            f"{len(empty):,} {several} no pixel in any mask: {', '.join(empty[:_LISTED])}"
            + (f" and {len(empty) - _LISTED:,} more" if len(empty) > _LISTED else ""),
            f"nothing, if so it is; else look at which value or colour each class has, {Cure.LOOK_FIRST}",
        )
    ignored = pixels.get(None, 0)
    if total and ignored > _MUCH_IGNORED * total:
        staged.problems.warn(
            "much unlabelled",
            ".",
            f"{ignored / total:.0%} of the masks' pixels are unlabelled (IGNORE); no model learns from them",
            f"nothing, if so it is; else look at which values are ignored, {Cure.LOOK_FIRST}",
        )
    by_name = {name: int(pixels.get(number, 0)) for number, name in enumerate(staged.classes)}
    return by_name | ({"": int(ignored)} if ignored else {})


def _counted(problems: Problems) -> dict[str, dict[str, int]]:
    """Return how many problems there are by severity and kind, the most frequent first."""
    found: dict[str, dict[str, int]] = {}
    for (severity, kind), count in problems.counts.most_common():
        found.setdefault(severity.value, {})[kind] = count
    return found


def _last_report(session: Session, dataset_id: int) -> dict[str, Any]:
    last = imports.last_done(session, dataset_id)
    return {} if last is None else imports.get_import(session, last).report or {}
