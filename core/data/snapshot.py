"""The labels and images a round opened with, frozen in a file: with the config and the seed it decides the outcome.

`N` samples in the order of `sample_ids` (the rows of all of a round's arrays). A label is an index into `classes`, or
`NO_LABEL`. A group is any text, "" for none; samples of one group, and samples of one content, are never split.
Where labels are masks, `labels` holds a class to deal the folds by, and `masks` the labels themselves; `tags` then say
which classes some images show, as people or an import said it, never as their own masks do.
What is protected is predicted like all else and never learnt from, nor is anything of its groups and contents.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.data.storage import atomic_path
from core.data.windows import Window, from_pair, written
from core.types import NO_LABEL, ByteArray, IntArray, RoundError, Task

BoolArray = NDArray[np.bool_]
SNAPSHOT = "snapshot.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """The masks of the samples, by their names in the store of masks; every column has N entries.

    `settled` marks the pixels people have judged (nonzero): no finding is made of them again. "" means no mask.
    """

    labels: list[str]
    settled: list[str]
    sizes: IntArray  # (N, 2) height, width of the image
    bare: NDArray[np.bool_] | None = None  # (N,) images that came without a mask; None: those that have none now

    def is_bare(self, row: int) -> bool:
        """Whether an image came without a mask: what is IGNORE of it is not yet labelled, rather than left out."""
        return self.labels[row] == "" if self.bare is None else bool(self.bare[row])


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The samples of one round; every list and array has N entries but `classes`."""

    sample_ids: IntArray
    paths: list[str]
    labels: IntArray
    groups: list[str]
    content_hashes: list[str]
    classes: list[str]
    masks: Masks | None = None  # of a dataset whose labels are masks
    tags: BoolArray | None = None  # (N, K) the classes an image shows, no other; a row without any: nobody said
    protected: BoolArray | None = None  # what judges models and never teaches them; None: nothing
    window: Window | None = None  # how greys of more than 8 bits are seen; None: by their full range

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
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
            raise ValueError("a sample stands in the snapshot twice")
        if count and not NO_LABEL <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(f"a label is outside the {len(self.classes)} classes")

    def __len__(self) -> int:
        """Return N."""
        return len(self.sample_ids)

    @property
    def task(self) -> Task:
        """Return what kind of labels these are; whoever works differently for each has a table of the two."""
        return Task.CLASSIFICATION if self.masks is None else Task.SEGMENTATION

    @property
    def seen_hashes(self) -> list[str]:
        """Return what is seen of each image: its content, and the window through which it is seen."""
        if self.window is None:
            return self.content_hashes
        return [f"{content}-{written(self.window)}" for content in self.content_hashes]

    def is_labelled(self, row: int) -> bool:
        """Whether a sample has a class, or a mask."""
        return int(self.labels[row]) != NO_LABEL if self.masks is None else self.masks.labels[row] != ""

    def relabelled(self, *, without: IntArray, true: IntArray, truth: "Snapshot") -> "Snapshot":
        """Return the snapshot with no label on the rows `without`, then those of `truth` on the rows `true`.

        `truth` has the same samples in the same order.
        """
        labels = self.labels.copy()
        labels[without] = NO_LABEL
        labels[true] = truth.labels[true]
        if self.masks is None or truth.masks is None:
            return replace(self, labels=labels)
        names = list(self.masks.labels)
        for row in without.tolist():
            names[row] = ""
        for row in true.tolist():
            names[row] = truth.masks.labels[row]
        return replace(self, labels=labels, masks=replace(self.masks, labels=names))

    @property
    def learnable(self) -> BoolArray:
        """Return which samples may be learnt from, (N,): none that is protected, nor of its group or content."""
        if self.protected is None or not self.protected.any():
            return np.ones(len(self), np.bool_)
        groups = self.whole_groups()
        return ~np.isin(groups, groups[self.protected])

    @property
    def hash(self) -> str:
        """Return 32 hex digits that change with all that decides an outcome; paths may move."""
        digest = blake2b(digest_size=16)
        for numbers in (self.sample_ids.astype("<i8"), self.labels.astype("<i4")):
            digest.update(numbers.tobytes())
        texts = [self.groups, self.content_hashes, self.classes]
        if self.masks is not None:
            texts += [self.masks.labels, self.masks.settled]
            if self.masks.bare is not None and self.masks.bare.any():
                digest.update(np.packbits(self.masks.bare).tobytes())
        for column in texts:
            digest.update(_packed(column).tobytes() + b"\1")
        if self.tags is not None:
            digest.update(b"tags" + np.packbits(self.tags).tobytes())
        if self.protected is not None and self.protected.any():  # else as before there were such
            digest.update(b"protected" + np.packbits(self.protected).tobytes())
        if self.window is not None:
            digest.update(f"window {written(self.window)}".encode())
        return digest.hexdigest()

    def whole_groups(self) -> IntArray:
        """Return a number for each sample, (N,); equal where group or content, also by a chain of them, is the same."""
        return whole_groups(self.groups, self.content_hashes)

    def is_unseen(self) -> NDArray[np.bool_]:
        """Return which samples no model can have learnt from, nor from any of their whole group, (N,)."""
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
            columns[name] = _packed(getattr(self, name))
        if self.masks is not None:
            columns["mask_labels"], columns["mask_settled"] = _packed(self.masks.labels), _packed(self.masks.settled)
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
            RoundError: there is none.
        """
        path = folder / SNAPSHOT
        if not path.exists():
            raise RoundError(f"{folder} holds no snapshot; start the round again")
        with np.load(path, allow_pickle=False) as columns:
            paths, groups, hashes, classes = (
                _unpacked(columns[name]) for name in ("paths", "groups", "content_hashes", "classes")
            )
            masks = None
            if "mask_sizes" in columns:
                given, settled = _unpacked(columns["mask_labels"]), _unpacked(columns["mask_settled"])
                bare = columns["mask_bare"].astype(bool) if "mask_bare" in columns else None
                masks = Masks(given, settled, columns["mask_sizes"], bare)
            ids, labels = columns["sample_ids"], columns["labels"]
            tags = columns["tags"].astype(np.bool_) if "tags" in columns else None
            protected = columns["protected"].astype(np.bool_) if "protected" in columns else None
            window = from_pair(columns["window"].tolist() if "window" in columns else None)
            return cls(ids, paths, labels, groups, hashes, classes, masks, tags, protected, window)


def sample_ids_in(folder: Path) -> IntArray:
    """Return the sample of each row of a round, (N,), without reading the rest of its snapshot."""
    with np.load(folder / SNAPSHOT, allow_pickle=False) as columns:
        ids: IntArray = columns["sample_ids"]
        return ids


def whole_groups(groups: Sequence[str], content_hashes: Sequence[str]) -> IntArray:
    """Return a number for each of N images, (N,); equal where group ("": none) or content is, also by a chain."""
    from scipy.sparse import coo_array  # noqa: PLC0415 a fifth of a second, which a start must not pay for
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    count = len(groups)
    nodes, offset = [], count
    for texts in (groups, content_hashes):
        codes: dict[str, int] = {}
        index = np.fromiter((codes.setdefault(text, len(codes)) for text in texts), np.int64, count)
        named = np.flatnonzero(index != codes.get("", -1))
        nodes.append((named, index[named] + offset))
        offset += len(codes)
    rows = np.concatenate([rows for rows, _ in nodes])
    links = coo_array((np.ones(len(rows), np.int8), (rows, np.concatenate([to for _, to in nodes]))), (offset,) * 2)
    _, component = connected_components(links, directed=False)
    return component[:count].astype(np.int64)


def _packed(texts: list[str]) -> ByteArray:
    """Return the texts as bytes, each ended by a zero byte, which no path can hold."""
    data = "".join(text.replace("\0", "") + "\0" for text in texts).encode("utf-8", "surrogateescape")
    return np.frombuffer(data, np.uint8)


def _unpacked(data: ByteArray) -> list[str]:
    return data.tobytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
