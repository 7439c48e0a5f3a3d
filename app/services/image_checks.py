"""Checks of a dataset's images: near-duplicates, leaks between splits, outliers, images without content.

Found once for a state of the dataset and kept in a file, since every image has to be read for it. Outliers are told by
the embeddings of the newest round that has any.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from app.services.datasets import window_of
from app.services.workspace import Workspace
from core.data.contents import Empty, empty_kinds
from core.data.images import read_small
from core.data.lookalikes import find_alike_within
from core.data.snapshot import sample_ids_in
from core.data.storage import write_atomically
from core.data.windows import Window
from core.judge.image_checks import Duplicates, ImageChecks, ImageColumns, check_images
from core.judge.judgement import EMBEDDINGS
from core.judge.outliers import outliers
from core.judge.similarity import NEIGHBOURS, likeness
from db.queries import datasets, rounds, snapshots
from db.queries.snapshots import RoundSample


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """One image as the page shows it; `label` is "" where it has none."""

    sample_id: int
    name: str
    content_hash: str
    label: str
    split: str


@dataclass(frozen=True, slots=True)
class CheckedImages:
    """The images of a dataset, in the order that the rows of `found` refer to.

    `round_id` is the newest reviewable round, `unknown` how many images were imported before pictures were compared.
    """

    images: tuple[CheckedImage, ...]
    found: ImageChecks
    round_id: int | None
    unknown: int


@dataclass(frozen=True, slots=True)
class _Ground:
    """Inputs of the checks of a dataset."""

    samples: list[RoundSample]
    classes: tuple[str, ...]
    embedded: Path | None  # the folder of a round with embeddings and neighbours
    reviewable: int | None
    file: Path
    window: Window | None


def known(workspace: Workspace, dataset_id: int) -> CheckedImages | None:
    """Return what was found for the dataset as it is now, None where nothing has been looked for yet."""
    ground = _ground(workspace, dataset_id)
    kept = _kept(ground.file)
    return None if kept is None else _shown(ground, kept)


def find(workspace: Workspace, dataset_id: int) -> CheckedImages:
    """Check the images, unless that was done already; about a second for a thousand photographs."""
    ground = _ground(workspace, dataset_id)
    kept = _kept(ground.file)
    if kept is None:
        kept = _found(ground)
        write_atomically(ground.file, json.dumps(_as_json(kept)).encode())
    return _shown(ground, kept)


def _found(ground: _Ground) -> ImageChecks:
    samples = ground.samples
    hashed = [row for row, one in enumerate(samples) if one.look_hash is not None]
    hashes = np.array([samples[row].look_hash for row in hashed], np.int64)
    alike = find_alike_within(hashes, [samples[row].path for row in hashed], partial(read_small, window=ground.window))
    columns = ImageColumns(
        [_label(one, ground.classes) for one in samples],
        [one.split for one in samples],
        [one.content_hash for one in samples],
    )
    pairs = np.array(hashed, np.int64)[alike.pairs]
    empty = empty_kinds([one.path for one in samples], ground.window)
    return check_images(columns, pairs, empty, _isolated(ground), complete=alike.complete)


def _isolated(ground: _Ground) -> list[int] | None:
    """Return the rows of outliers by a round's embeddings; None without them."""
    if ground.embedded is None:
        return None
    embeddings = np.load(ground.embedded / EMBEDDINGS, mmap_mode="r")
    rows = outliers(likeness(embeddings, np.load(ground.embedded / NEIGHBOURS)))
    place = {one.id: row for row, one in enumerate(ground.samples)}
    ids: list[int] = sample_ids_in(ground.embedded)[rows].tolist()
    return [place[one] for one in ids if one in place]


def _ground(workspace: Workspace, dataset_id: int) -> _Ground:
    with workspace.database.read() as session:
        info = datasets.get_dataset(session, dataset_id)
        samples = snapshots.samples_for_round(session, dataset_id)
        done = [one.id for one in rounds.list_rounds(session, dataset_id) if one.is_reviewable]
    folders = {one: workspace.round_folder(one) for one in done}
    embedded = next(
        (one for one, folder in folders.items() if all((folder / file).exists() for file in (EMBEDDINGS, NEIGHBOURS))),
        None,
    )
    window = window_of(info)
    digest = blake2b(f"{embedded}{window or ''}".encode(), digest_size=16)
    for one in samples:
        digest.update(f"{one.id} {one.label} {one.split} {one.content_hash} {one.look_hash}\n".encode())
    file = workspace.files / "image_checks" / f"{dataset_id}-{digest.hexdigest()}.json"
    folder = None if embedded is None else folders[embedded]
    return _Ground(samples, tuple(info.classes), folder, next(iter(done), None), file, window)


def _shown(ground: _Ground, found: ImageChecks) -> CheckedImages:
    images = tuple(
        CheckedImage(one.id, one.name, one.content_hash, _label(one, ground.classes), one.split)
        for one in ground.samples
    )
    unknown = sum(one.look_hash is None for one in ground.samples)
    return CheckedImages(images, found, ground.reviewable, unknown)


def _label(sample: RoundSample, classes: Sequence[str]) -> str:
    return "" if sample.label is None else classes[sample.label]


def _as_json(found: ImageChecks) -> dict[str, Any]:
    return {
        "duplicates": [
            [list(group.rows), group.same_file, group.contradicting, group.leaking] for group in found.duplicates
        ],
        "outliers": None if found.outliers is None else list(found.outliers),
        "empty": [[row, kind.value] for row, kind in found.empty],
        "complete": found.complete,
    }


def _kept(file: Path) -> ImageChecks | None:
    try:
        values = json.loads(file.read_bytes())
        return ImageChecks(
            tuple(
                Duplicates(tuple(rows), same_file=same, contradicting=contradicting, leaking=leaking)
                for rows, same, contradicting, leaking in values["duplicates"]
            ),
            None if values["outliers"] is None else tuple(values["outliers"]),
            tuple((row, Empty(kind)) for row, kind in values["empty"]),
            values["complete"],
        )
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
