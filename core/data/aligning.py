"""Two snapshots of one dataset row by row: before and after its labels were cleaned.

A snapshot leaves out what was excluded, so two of them seldom have the same samples. Aligned, both have all samples of
either, in the order of their ids; what a snapshot does not have has no label in it.
"""

from dataclasses import replace

import numpy as np

from core.data.snapshot import Masks, Snapshot
from core.types import NO_LABEL, IntArray, RoundError

_NOWHERE = -1


def aligned(first: Snapshot, second: Snapshot) -> tuple[Snapshot, Snapshot]:
    """Return both snapshots over the samples of either; what is known of a sample but its label is the second's.

    Raises:
        RoundError: they are not of one dataset, or its images or classes were changed in between.
    """
    classes = max(first.classes, second.classes, key=len)
    if any(one.classes != classes[: len(one.classes)] for one in (first, second)):
        raise RoundError("the two snapshots have different classes; take both of the same dataset")
    if first.task is not second.task:
        raise RoundError("one snapshot has masks, the other labels; take both of the same dataset")
    ids = np.union1d(first.sample_ids, second.sample_ids)
    places = _places(first, ids), _places(second, ids)
    both = np.flatnonzero((places[0] != _NOWHERE) & (places[1] != _NOWHERE))
    for row in both.tolist():
        before, after = (one.content_hashes[at[row]] for one, at in zip((first, second), places, strict=True))
        if before != after:
            path = second.paths[places[1][row]]
            raise RoundError(f"{path}: the image was changed between the two snapshots; take both anew")
    known = [
        (second, int(of_second)) if of_second != _NOWHERE else (first, int(of_first))
        for of_first, of_second in zip(*places, strict=True)
    ]
    common = Snapshot(
        ids,
        [one.paths[row] for one, row in known],
        np.full(len(ids), NO_LABEL, np.int32),
        [one.groups[row] for one, row in known],
        [one.content_hashes[row] for one, row in known],
        classes,
        _no_masks(known),
        window=second.window,
    )
    return _with_labels(common, first, places[0]), _with_labels(common, second, places[1])


def rows_of(snapshot: Snapshot, sample_ids: IntArray) -> IntArray:
    """Return the rows of these samples, (M,), those that the snapshot has, ascending."""
    return np.flatnonzero(np.isin(snapshot.sample_ids, sample_ids))


def _places(snapshot: Snapshot, ids: IntArray) -> IntArray:
    """Return the snapshot's row of each id, or `_NOWHERE`; the ids are ascending and hold all of its own."""
    places = np.full(len(ids), _NOWHERE)
    places[np.searchsorted(ids, snapshot.sample_ids)] = np.arange(len(snapshot))
    return places


def _no_masks(known: list[tuple[Snapshot, int]]) -> Masks | None:
    sizes = [one.masks.sizes[row] for one, row in known if one.masks is not None]
    nothing = [""] * len(sizes)
    return Masks(nothing, nothing, np.array(sizes)) if sizes else None


def _with_labels(common: Snapshot, own: Snapshot, places: IntArray) -> Snapshot:
    there = places != _NOWHERE
    labels = common.labels.copy()
    labels[there] = own.labels[places[there]]
    masks = None
    if own.masks is not None and common.masks is not None:
        names = [own.masks.labels[place] if place != _NOWHERE else "" for place in places.tolist()]
        masks = replace(common.masks, labels=names)
    return replace(common, labels=labels, masks=masks)
