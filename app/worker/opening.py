"""The labels a round opens with: what people decided where they did, else what was given."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from app.services import lookalikes, masks, reviews
from app.services.datasets import window_of
from app.services.workspace import Workspace
from core.data.children import cores
from core.data.masks.store import MaskStore, classes_in
from core.data.snapshot import BoolArray, Masks, Snapshot
from core.types import NO_LABEL, IntArray, Resolution
from db.queries import datasets, snapshots, tags
from db.queries.datasets import DatasetInfo
from db.queries.snapshots import LabelCounts, RoundSample
from db.queries.tags import Tagging


def opening(workspace: Workspace, dataset_id: int) -> tuple[str, Snapshot, LabelCounts]:
    """Return a dataset's name, its labels or masks as they are now, and how many images each class is in."""
    with workspace.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        samples = snapshots.samples_for_round(session, dataset_id)
        said = tags.tags_by_sample(session, dataset_id)
    if info.colours is None:
        snapshot, counts = _of_labels(reviews.resolved_labels(workspace, dataset_id), samples, info.classes)
    else:
        resolved = masks.resolved(workspace, dataset_id)
        snapshot, counts = _of_masks(workspace, samples, info.classes, resolved)
        snapshot = replace(snapshot, tags=_tagged(snapshot, said))
    snapshot = replace(snapshot, window=window_of(info))
    return info.name, protecting(workspace, snapshot, info, samples), counts


def given_labels(workspace: Workspace, dataset_id: int) -> Snapshot:
    """Return a dataset's labels or masks as they were given."""
    with workspace.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        samples = snapshots.samples_for_round(session, dataset_id)
    labels = [sample.label for sample in samples]
    masks_ = None
    if info.colours is not None:
        names = [sample.mask_hash or "" for sample in samples]
        masks_ = Masks(names, [""] * len(samples), _sizes(samples))
    return replace(_snapshot(samples, labels, info.classes, masks_), window=window_of(info))


def _sizes(samples: Sequence[RoundSample]) -> IntArray:
    return np.array([(one.height, one.width) for one in samples], dtype=np.int32).reshape(-1, 2)


def given_snapshot(workspace: Workspace, dataset_id: int) -> Snapshot:
    """Return the same as it is learnt from: of a mask the class to deal by, and what is protected marked."""
    with workspace.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        samples = snapshots.samples_for_round(session, dataset_id)
    if info.colours is None:
        snapshot, _ = _of_labels({}, samples, info.classes)
    else:
        snapshot, _ = _of_masks(workspace, samples, info.classes, {})
    return protecting(workspace, replace(snapshot, window=window_of(info)), info, samples)


def _tagged(snapshot: Snapshot, said: Mapping[int, Tagging]) -> BoolArray | None:
    """Return which classes each image is said to show, (N, K); None where nothing is said of any."""
    present = np.zeros((len(snapshot), len(snapshot.classes)), np.bool_)
    for row, sample_id in enumerate(snapshot.sample_ids.tolist()):
        if sample_id in said:
            present[row, said[sample_id].classes or []] = True
    return present if present.any() else None


def protecting(workspace: Workspace, snapshot: Snapshot, info: DatasetInfo, samples: Sequence[RoundSample]) -> Snapshot:
    """Return the snapshot with the evaluation splits marked, and what looks like them; itself where there are none."""
    within = [sample.id for sample in samples if sample.split in info.evaluation_splits]
    alike = lookalikes.find(workspace, info.id).others if within else ()
    protected = np.isin(snapshot.sample_ids, [*within, *alike])
    return replace(snapshot, protected=protected) if protected.any() else snapshot


def _of_labels(
    resolved: Mapping[int, Resolution], samples: Sequence[RoundSample], classes: Sequence[str]
) -> tuple[Snapshot, LabelCounts]:
    usable = [sample for sample in samples if _is_usable(sample, resolved)]
    labels = [resolved[sample.id].label if sample.id in resolved else sample.label for sample in usable]
    counts = dict(Counter(label for label in labels if label is not None))
    return _snapshot(usable, labels, classes), LabelCounts(counts, sum(counts.values()))


def _is_usable(sample: RoundSample, resolved: Mapping[int, Resolution]) -> bool:
    """Whether a sample takes part: not when somebody decided that it has no usable label."""
    resolution = resolved.get(sample.id)
    return resolution is None or resolution.label is not None or resolution.decision is None


def _of_masks(
    workspace: Workspace,
    samples: Sequence[RoundSample],
    classes: Sequence[str],
    resolved: Mapping[int, masks.ResolvedMask],
) -> tuple[Snapshot, LabelCounts]:
    now = [resolved[one.id].mask_hash if one.id in resolved else one.mask_hash or "" for one in samples]
    settled = [resolved[one.id].settled_hash if one.id in resolved else "" for one in samples]
    store = MaskStore(workspace.masks)
    with ThreadPoolExecutor(cores()) as threads:  # decoding needs no lock of the interpreter
        present = list(threads.map(lambda name: classes_in(store.get(name)) if name else [], now))
    counts = Counter(number for found in present for number in found)
    rarest = [min(found, key=lambda number: (counts[number], number), default=None) for found in present]
    labelled = sum(bool(found) for found in present)
    bare = np.array([one.mask_hash is None for one in samples], dtype=bool)
    snapshot = _snapshot(samples, rarest, classes, Masks(now, settled, _sizes(samples), bare))
    return snapshot, LabelCounts(dict(counts), labelled)


def _snapshot(
    samples: Sequence[RoundSample], labels: Sequence[int | None], classes: Sequence[str], masks_: Masks | None = None
) -> Snapshot:
    return Snapshot(
        sample_ids=np.array([sample.id for sample in samples], dtype=np.int64),
        paths=[sample.path for sample in samples],
        labels=np.array([NO_LABEL if label is None else label for label in labels], dtype=np.int32),
        groups=[sample.group for sample in samples],
        content_hashes=[sample.content_hash for sample in samples],
        classes=list(classes),
        masks=masks_,
    )
