"""Open a round that extends a finished one: with its labels, and with what its networks learnt already in place.

The files are linked (copied where the disk cannot link) into the folder that becomes the round's in one step, so a
killed opening leaves nothing behind. Training and judging are those of any round: a fold that lies there is only read.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.services.extending import extended_round, refuse_extension
from app.worker.recipes import RoundAtWork
from core.config import RoundConfig
from core.data.networks import network_folder
from core.data.snapshot import Snapshot
from core.judge.judgement import BACKBONE_CHECK, DECAY, EMBEDDINGS, fold_file
from core.types import RoundError

_NETWORKS = "*.safetensors", "*.network.json"


def take_over(at_work: RoundAtWork, now: Snapshot) -> Snapshot | None:
    """Put a finished round's files into the new one's folder and return its snapshot; None where it extends none.

    `now` are the images and labels as they are: evaluation splits that have been named since must not have taught, and
    images that changed since would be judged by what earlier networks saw of them. Images may have moved.

    Raises:
        RoundError: the round's files or images are gone, images have changed, or what taught must not teach any more.
    """
    before = extended_round(at_work.workspace, at_work.info)
    if before is None:
        return None
    refuse_extension(at_work.workspace, before, at_work.config)
    folder = at_work.workspace.round_folder(before.id)
    snapshot = Snapshot.load(folder)
    snapshot = _where_images_lie(snapshot, now, before.name)
    protected = np.intersect1d(now.sample_ids[~now.learnable], snapshot.sample_ids[snapshot.learnable])
    if len(protected):
        raise RoundError(
            f"{before.name} learnt from {len(protected):,} images that are of an evaluation split now; start a new "
            "round with all networks"
        )
    config = RoundConfig.from_json(before.config)
    for number in range(len(config.networks)):
        own, new = network_folder(folder, number), network_folder(at_work.folder, number)
        new.mkdir(exist_ok=True)
        for fold in range(config.folds):
            _link(fold_file(own, fold), new)
        for path in (own / DECAY, own / BACKBONE_CHECK, *(path for pattern in _NETWORKS for path in own.glob(pattern))):
            if path.exists():
                _link(path, new)
    if (folder / EMBEDDINGS).exists():
        _link(folder / EMBEDDINGS, at_work.folder)
    return snapshot


def _where_images_lie(snapshot: Snapshot, now: Snapshot, name: str) -> Snapshot:
    """Return the snapshot with the paths that its images have now.

    Raises:
        RoundError: an image is gone or has other bytes.
    """
    place = {sample: row for row, sample in enumerate(now.sample_ids.tolist())}
    rows = [place.get(sample) for sample in snapshot.sample_ids.tolist()]
    lost = sum(
        row is None or now.content_hashes[row] != content
        for row, content in zip(rows, snapshot.content_hashes, strict=True)
    )
    if lost:
        raise RoundError(
            f"{lost:,} images of {name} are gone, left out or changed since; start a new round with all networks"
        )
    return replace(snapshot, paths=[now.paths[row] for row in rows if row is not None])


def _link(path: Path, folder: Path) -> None:
    """Give a file a second name in a folder; everything in a round's folder is replaced, never written into."""
    try:
        os.link(path, folder / path.name)
    except OSError:  # a disk that cannot link, or another one
        shutil.copyfile(path, folder / path.name)
