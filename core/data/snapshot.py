"""Labels and images of a round, frozen in a file when it starts; with config and seed they determine its result.

`N` samples in the order of `sample_ids` (the rows of all of a round's arrays). A label is an index into `classes`, or
`NO_LABEL`. A group is any text, "" for none; samples of one group, and samples of one content, are never split.
Where labels are masks, `labels` holds a class to deal the folds by, and `masks` the labels themselves; `tags` are the
classes that some images show, as given by people or an import, never taken from their own masks. Protected samples are
predicted like all others and never learnt from, nor is anything of their groups and contents.

`align` compares two snapshots of one dataset, such as before and after its labels were cleaned. Excluded samples are
not in a snapshot, so two of them seldom have the same samples; aligned, both have the samples of either, ordered by id,
and unlabelled where a snapshot did not have them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.storage import atomic_path, mapped_column
from core.data.texts import Texts
from core.data.windows import Window, from_pair, window_text
from core.types import NO_LABEL, ByteArray, DatasetError, IntArray, RoundError, Task

BoolArray = NDArray[np.bool_]
SNAPSHOT = "snapshot.npz"

_NOWHERE = -1
_Aligned = tuple[tuple["Snapshot", "Snapshot"], tuple[IntArray, IntArray]]  # and the rows of the common samples in both


@dataclass(frozen=True, slots=True, eq=False)
class SnapshotMasks:
    """Masks of the samples, by their names in the store of masks; every column has N entries.

    `settled` marks reviewed pixels (nonzero), which get no findings again. "" means no mask.
    """

    labels: list[str]
    settled: list[str]
    sizes: IntArray  # (N, 2) height, width of the image
    bare: NDArray[np.bool_] | None = None  # (N,) images imported without a mask; None: those without one now

    def is_bare(self, row: int) -> bool:
        """Return whether an image came without a mask: its IGNORE pixels are unlabelled, not left out."""
        return self.labels[row] == "" if self.bare is None else bool(self.bare[row])

    def relabel(self, without: IntArray, true: IntArray, truth: "SnapshotMasks") -> "SnapshotMasks":
        """Return them without masks on the rows `without`, and with those of `truth` on the rows `true`."""
        names = list(self.labels)
        for row in without.tolist():
            names[row] = ""
        for row in true.tolist():
            names[row] = truth.labels[row]
        return replace(self, labels=names)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Samples of one round; every sequence and array but `classes` has N entries.

    Paths, groups and hashes are `Texts` where they come from a file, which is mapped, or a database.
    """

    sample_ids: IntArray
    paths: Sequence[str]
    labels: IntArray
    groups: Sequence[str]
    content_hashes: Sequence[str]
    classes: list[str]
    masks: SnapshotMasks | None = None  # of a dataset whose labels are masks
    tags: BoolArray | None = None  # (N, K) the classes that an image shows, and no others; a row of zeros: unknown
    protected: BoolArray | None = None  # samples that judge models and are never trained on; None: none
    window: Window | None = None  # range of greys of more than 8 bits; None: their full range

    def __post_init__(self) -> None:
        """Validate the lengths and shapes."""
        count = len(self.sample_ids)
        lengths = {len(self.paths), len(self.labels), len(self.groups), len(self.content_hashes)}
        if self.masks is not None:
            lengths |= {len(self.masks.labels), len(self.masks.settled), len(self.masks.sizes)}
            lengths |= set() if self.masks.bare is None else {len(self.masks.bare)}
        if self.tags is not None and self.tags.shape != (count, len(self.classes)):
            raise ValueError(f"tags are {self.tags.shape}, must be {(count, len(self.classes))}: samples x classes")
        if self.protected is not None:
            lengths |= {len(self.protected)}
        if lengths != {count}:
            raise ValueError(f"a snapshot of {count} samples has columns of {sorted(lengths)} entries")
        if len(np.unique(self.sample_ids)) != count:
            raise ValueError("a sample is in the snapshot twice")
        if count and not NO_LABEL <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(f"a label is outside the {len(self.classes)} classes")

    def __len__(self) -> int:
        """Return N."""
        return len(self.sample_ids)

    @property
    def task(self) -> Task:
        """Return the kind of labels."""
        return Task.CLASSIFICATION if self.masks is None else Task.SEGMENTATION

    @property
    def seen_hashes(self) -> Sequence[str]:
        """Return a hash of each image as decoded: its content, with the window if there is one."""
        if self.window is None:
            return self.content_hashes
        return [f"{content}-{window_text(self.window)}" for content in self.content_hashes]

    def is_labelled(self, row: int) -> bool:
        """Return whether a sample has a class, or a mask."""
        return int(self.labels[row]) != NO_LABEL if self.masks is None else self.masks.labels[row] != ""

    def relabel(self, *, without: IntArray, true: IntArray, truth: "Snapshot") -> "Snapshot":
        """Return the snapshot without labels on the rows `without`, and with those of `truth` on the rows `true`.

        `truth` has the same samples in the same order.
        """
        labels = self.labels.copy()
        labels[without] = NO_LABEL
        labels[true] = truth.labels[true]
        masks = None if self.masks is None else self.masks.relabel(without, true, masks_of(truth))
        return replace(self, labels=labels, masks=masks)

    @property
    def own_labels(self) -> NDArray[Any]:
        """Return the label of each sample, (N,): the id of its class, or the name of its mask."""
        return self.labels if self.masks is None else np.array(self.masks.labels)

    @property
    def learnable(self) -> BoolArray:
        """Return a flag for each sample that may be trained on, (N,): no part of its group or content is protected."""
        if self.protected is None or not self.protected.any():
            return np.ones(len(self), np.bool_)
        groups = self.whole_groups()
        return ~np.isin(groups, groups[self.protected])

    @property
    def hash(self) -> str:
        """Return a hash, 32 hex digits, of everything that affects a round's result; paths do not."""
        digest = blake2b(digest_size=16)
        for numbers in (self.sample_ids.astype("<i8", copy=False), self.labels.astype("<i4", copy=False)):
            digest.update(np.ascontiguousarray(numbers).data)
        texts: list[Sequence[str]] = [self.groups, self.content_hashes, self.classes]
        if self.masks is not None:
            texts += [self.masks.labels, self.masks.settled]
            if self.masks.bare is not None and self.masks.bare.any():
                digest.update(np.packbits(self.masks.bare).tobytes())
        for column in texts:
            digest.update(np.ascontiguousarray(Texts.of(column).data).data)
            digest.update(b"\1")
        if self.tags is not None:
            digest.update(b"tags" + np.packbits(self.tags).tobytes())
        if self.protected is not None and self.protected.any():  # else the hash of snapshots without a window
            digest.update(b"protected" + np.packbits(self.protected).tobytes())
        if self.window is not None:
            digest.update(f"window {window_text(self.window)}".encode())
        return digest.hexdigest()

    def whole_groups(self) -> IntArray:
        """Return a group number for each sample, (N,): equal for a common group or content, also by a chain of them."""
        return whole_groups(self.groups, self.content_hashes)

    def is_unseen(self) -> NDArray[np.bool_]:
        """Return a flag for each sample that no model is trained on, nor on any of its whole group, (N,)."""
        known = self.labels != NO_LABEL
        if known.all():  # groups of a million samples take a second
            return np.zeros(len(self), dtype=np.bool_)
        groups = self.whole_groups()
        return ~np.isin(groups, groups[known])

    def save(self, folder: Path) -> str:
        """Write the snapshot into a round's folder and return its hash."""
        folder.mkdir(parents=True, exist_ok=True)
        columns: dict[str, IntArray | ByteArray] = {
            "sample_ids": self.sample_ids.astype(np.int64),
            "labels": self.labels.astype(np.int32),
        }
        for name in ("paths", "groups", "content_hashes", "classes"):
            columns[name] = Texts.of(getattr(self, name)).data
        if self.masks is not None:
            columns["mask_labels"], columns["mask_settled"] = (
                Texts.of(texts).data for texts in (self.masks.labels, self.masks.settled)
            )
            columns["mask_sizes"] = self.masks.sizes.astype(np.int32)
            if self.masks.bare is not None:
                columns["mask_bare"] = self.masks.bare.astype(np.uint8)
        if self.tags is not None:
            columns["tags"] = self.tags.view(np.uint8)
        if self.protected is not None:
            columns["protected"] = self.protected.astype(np.uint8)
        if self.window is not None:
            columns["window"] = np.array(self.window, np.int32)
        with atomic_path(folder / SNAPSHOT) as partial, partial.open("wb") as file:
            np.savez(file, **columns)  # type: ignore[arg-type]  # numpy's stub takes allow_pickle for a column
        return self.hash

    @classmethod
    def load(cls, folder: Path) -> "Snapshot":
        """Return the snapshot of a round's folder.

        Raises:
            RoundError: there is no snapshot.
        """
        path = folder / SNAPSHOT
        if not path.exists():
            raise RoundError(f"{folder} holds no snapshot", "start the round again")
        paths, groups, hashes, classes = (
            Texts(mapped_column(path, name)) for name in ("paths", "groups", "content_hashes", "classes")
        )
        with np.load(path, allow_pickle=False) as columns:
            masks = None
            if "mask_sizes" in columns:
                given, settled = (list(Texts(columns[name])) for name in ("mask_labels", "mask_settled"))
                bare = columns["mask_bare"].astype(bool) if "mask_bare" in columns else None
                masks = SnapshotMasks(given, settled, columns["mask_sizes"], bare)
            ids, labels = columns["sample_ids"], columns["labels"]
            tags = columns["tags"].astype(np.bool_) if "tags" in columns else None
            protected = columns["protected"].astype(np.bool_) if "protected" in columns else None
            window = from_pair(columns["window"].tolist() if "window" in columns else None)
            return cls(ids, paths, labels, groups, hashes, list(classes), masks, tags, protected, window)


def masks_of(snapshot: Snapshot) -> SnapshotMasks:
    """Return the masks of a snapshot.

    Raises:
        DatasetError: its labels are classes.
    """
    if snapshot.masks is None:
        raise DatasetError("this dataset's labels are classes, not masks", "choose a dataset with masks")
    return snapshot.masks


def sample_ids_in(folder: Path) -> IntArray:
    """Return the sample id of each row of a round, (N,), without reading the rest of its snapshot."""
    with np.load(folder / SNAPSHOT, allow_pickle=False) as columns:
        ids: IntArray = columns["sample_ids"]
        return ids


def whole_groups(groups: Sequence[str], content_hashes: Sequence[str]) -> IntArray:
    """Return a group number for each of N images, (N,): equal for one group ("": none) or content, also by a chain."""
    from scipy.sparse import coo_array  # noqa: PLC0415 a fifth of a second, which a start must not pay for
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    count = len(groups)
    nodes, offset = [], count
    for texts in map(Texts.of, (groups, content_hashes)):
        codes, different = texts.codes()
        shared = np.bincount(codes, minlength=different) > 1  # a value that occurs once links nothing
        shared[codes[texts.empty()]] = False
        numbers = np.cumsum(shared) - 1 + offset
        linked = np.flatnonzero(shared[codes])
        nodes.append((linked, numbers[codes[linked]]))
        offset += int(shared.sum())
    rows, to = (np.concatenate(parts) for parts in zip(*nodes, strict=True))
    if not len(rows):
        return np.arange(count)
    links = coo_array((np.ones(len(rows), np.int8), (rows, to)), (offset,) * 2)
    _, component = connected_components(links, directed=False)
    return component[:count].astype(np.int64)


def align(first: Snapshot, second: Snapshot) -> tuple[Snapshot, Snapshot]:
    """Return both snapshots over the samples of either; facts of a sample other than its label are the second's.

    Raises:
        RoundError: they are of two datasets, or images or classes were changed in between.
    """
    classes = max(first.classes, second.classes, key=len)
    if any(one.classes != classes[: len(one.classes)] for one in (first, second)):
        raise RoundError("the two snapshots have different classes", "take both of the same dataset")
    if first.task is not second.task:
        raise RoundError("one snapshot has masks, the other labels", "take both of the same dataset")
    ids = np.union1d(first.sample_ids, second.sample_ids)
    places = _places(first, ids), _places(second, ids)
    both = np.flatnonzero((places[0] != _NOWHERE) & (places[1] != _NOWHERE))
    hashes = [Texts.of(one.content_hashes).take(at[both]) for one, at in zip((first, second), places, strict=True)]
    if hashes[0] != hashes[1]:
        row = both[next(place for place, (before, after) in enumerate(zip(*hashes, strict=True)) if before != after)]
        path = second.paths[places[1][row]]
        raise RoundError(f"{path}: the image was changed between the two snapshots", "take both anew")
    common = Snapshot(
        ids,
        _either(first.paths, second.paths, places),
        np.full(len(ids), NO_LABEL, np.int32),
        _either(first.groups, second.groups, places),
        _either(first.content_hashes, second.content_hashes, places),
        classes,
        window=second.window,
    )
    pair = first, second
    return _with_labels(common, first, places[0], (pair, places)), _with_labels(
        common, second, places[1], (pair, places)
    )


def _either(first: Sequence[str], second: Sequence[str], places: tuple[IntArray, IntArray]) -> Texts:
    """Return the second snapshot's texts, or the first one's for missing rows; `places` are the rows in both."""
    of_first, of_second = Texts.of(first), Texts.of(second)
    there = places[1] != _NOWHERE
    if there.all():
        return of_second.take(places[1])
    joined = Texts(np.concatenate([of_second.data, of_first.data]))
    return joined.take(np.where(there, places[1], len(of_second) + places[0]))


def rows_of(snapshot: Snapshot, sample_ids: IntArray) -> IntArray:
    """Return the rows of those of these samples that the snapshot has, (M,), ascending."""
    return np.flatnonzero(np.isin(snapshot.sample_ids, sample_ids))


def _places(snapshot: Snapshot, ids: IntArray) -> IntArray:
    """Return the snapshot's row of each id, or `_NOWHERE`; the ids are ascending and hold all of its own."""
    places = np.full(len(ids), _NOWHERE)
    places[np.searchsorted(ids, snapshot.sample_ids)] = np.arange(len(snapshot))
    return places


def _with_labels(common: Snapshot, own: Snapshot, at: IntArray, aligned: _Aligned) -> Snapshot:
    """Return the common samples with the labels of one snapshot, whose rows they have `at`."""
    there = at != _NOWHERE
    labels = common.labels.copy()
    labels[there] = own.labels[at[there]]
    masks = None
    if own.masks is not None:
        names = [own.masks.labels[place] if place != _NOWHERE else "" for place in at.tolist()]
        masks = SnapshotMasks(names, [""] * len(names), _sizes(aligned))
    return replace(common, labels=labels, masks=masks)


def _sizes(aligned: _Aligned) -> IntArray:
    """Return the sizes of the masks in the second snapshot, or in the first one for missing rows."""
    pair, places = aligned
    of_first, of_second = (
        np.vstack([masks_of(one).sizes, np.zeros((1, 2), np.int32)])[at]  # the last row means none
        for one, at in zip(pair, places, strict=True)
    )
    return np.where((places[1] != _NOWHERE)[:, None], of_second, of_first).astype(np.int32)
