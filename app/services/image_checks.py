"""Checks of a dataset's images: near-duplicates, leaks between splits, outliers, images without content.

Found once per state of the dataset and stored in a file, since every image has to be read. Outliers are found
by the embeddings of the newest round that has any.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np

from app.services.app_context import AppContext
from core.data.images import read_small
from core.data.lookalikes import find_similar_within
from core.data.predictions import EMBEDDINGS
from core.data.reading import empty_kinds
from core.data.snapshot import sample_ids_in
from core.data.storage import write_atomically
from core.data.windows import Window, window_option
from core.judge.image_checks import CheckResults, check_images, outliers
from core.judge.similarity import NEIGHBOURS, likeness
from core.types import DatasetError, from_json_values, to_json_values
from db.queries import datasets, rounds, snapshots
from db.queries.snapshots import Sample


@dataclass(frozen=True, slots=True)
class CheckedImages:
    """The images of a dataset, in the order that the rows of `found` refer to.

    `round_id` is the newest reviewable round.
    """

    images: list[Sample]
    classes: tuple[str, ...]
    found: CheckResults
    round_id: int | None

    @property
    def unknown(self) -> int:
        """Return the number of images imported before look-alike hashes existed."""
        return sum(one.look_hash is None for one in self.images)

    def label_of(self, row: int) -> str:
        """Return the class of an image, "" if it has none."""
        return _class_name(self.images[row], self.classes)


class Removable(StrEnum):
    """Found images that are removed together."""

    COPIES = "copies"  # all but the first of each group of near-duplicates with one label, within a split
    OUTLIERS = "outliers"
    EMPTY = "empty"  # without content


def removable(shown: CheckedImages, kind: Removable) -> tuple[int, ...]:
    """Return the ids of the images found to be of this kind.

    Raises:
        DatasetError: outliers are requested, and no round has embedded the images.
    """
    found = shown.found
    if kind is Removable.COPIES:
        groups = [group for group in found.duplicates if not group.leaking and not group.contradicting]
        rows = [row for group in groups for row in group.rows[1:]]
    elif kind is Removable.EMPTY:
        rows = [row for row, _ in found.empty]
    elif found.outliers is None:
        raise DatasetError("outliers are found by the embeddings of a round", "run a round with the method probe first")
    else:
        rows = list(found.outliers)
    return tuple(shown.images[row].id for row in rows)


@dataclass(frozen=True, slots=True)
class _DatasetState:
    """Inputs of the checks of a dataset."""

    samples: list[Sample]
    classes: tuple[str, ...]
    embedded: Path | None  # the folder of a round with embeddings and neighbours
    reviewable: int | None
    file: Path
    window: Window | None


def find_known(app_context: AppContext, dataset_id: int) -> CheckedImages | None:
    """Return the results for the dataset's current images, None if not searched yet."""
    state = _read_state(app_context, dataset_id)
    kept = _kept(state.file)
    return None if kept is None else _shown(state, kept)


def find(app_context: AppContext, dataset_id: int) -> CheckedImages:
    """Check images unless results are stored; takes about a second for a thousand photographs."""
    state = _read_state(app_context, dataset_id)
    kept = _kept(state.file)
    if kept is None:
        kept = _found(state)
        write_atomically(state.file, json.dumps(to_json_values(kept)).encode())
    return _shown(state, kept)


def _found(state: _DatasetState) -> CheckResults:
    samples = state.samples
    hashed = [row for row, one in enumerate(samples) if one.look_hash is not None]
    hashes = np.array([samples[row].look_hash for row in hashed], np.int64)
    alike, complete = find_similar_within(
        hashes, [samples[row].path for row in hashed], partial(read_small, window=state.window)
    )
    return check_images(
        [_class_name(one, state.classes) for one in samples],
        [one.split for one in samples],
        [one.content_hash for one in samples],
        alike=np.array(hashed, np.int64)[alike],
        empty=empty_kinds([one.path for one in samples], state.window),
        isolated=_isolated(state),
        complete=complete,
    )


def _isolated(state: _DatasetState) -> list[int] | None:
    """Return the rows of outliers by a round's embeddings; None without them."""
    if state.embedded is None:
        return None
    embeddings = np.load(state.embedded / EMBEDDINGS, mmap_mode="r")
    rows = outliers(likeness(embeddings, np.load(state.embedded / NEIGHBOURS)))
    place = {one.id: row for row, one in enumerate(state.samples)}
    ids: list[int] = sample_ids_in(state.embedded)[rows].tolist()
    return [place[one] for one in ids if one in place]


def _read_state(app_context: AppContext, dataset_id: int) -> _DatasetState:
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        samples = snapshots.samples_of(session, dataset_id)
        done = [one.id for one in rounds.list_rounds(session, dataset_id) if one.is_reviewable]
    folders = {one: app_context.round_folder(one) for one in done}
    embedded = next(
        (one for one, folder in folders.items() if all((folder / file).exists() for file in (EMBEDDINGS, NEIGHBOURS))),
        None,
    )
    window = window_option(info.options)
    digest = blake2b(f"{embedded}{window or ''}".encode(), digest_size=16)
    for one in samples:
        digest.update(f"{one.id} {one.label} {one.split} {one.content_hash} {one.look_hash}\n".encode())
    file = app_context.files / "image_checks" / f"{dataset_id}-{digest.hexdigest()}.json"
    folder = None if embedded is None else folders[embedded]
    return _DatasetState(samples, tuple(info.classes), folder, next(iter(done), None), file, window)


def _shown(state: _DatasetState, found: CheckResults) -> CheckedImages:
    return CheckedImages(state.samples, state.classes, found, state.reviewable)


def _class_name(sample: Sample, classes: Sequence[str]) -> str:
    return "" if sample.label is None else classes[sample.label]


def _kept(file: Path) -> CheckResults | None:
    try:
        return from_json_values(CheckResults, json.loads(file.read_bytes()))
    except (FileNotFoundError, ValueError):
        return None
