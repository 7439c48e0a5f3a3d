"""Continued rounds: cancelled and failed ones resumed, finished ones extended by a network.

Resumption: finished folds stay, the others are trained on the same snapshot. Extension: a new round with the old one's
labels and the results of its networks; only the added network is trained, and all predictions are mixed anew. The
old round stays unchanged. Decisions made since are not labels of the new round, as they were not of the old one.
"""

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from sqlalchemy.exc import IntegrityError

from app.services import jobs
from app.services.app_context import AppContext
from app.services.rounds.request import refuse_unfinished, start_round
from app.services.rounds.snapshots import refuse_extension, refuse_removed
from core.config import Member, RoundConfig, refuse_members
from core.data.networks import network_folder
from core.data.predictions import fold_file
from core.data.snapshot import SNAPSHOT, Snapshot
from core.types import JobStatus, RoundError
from db.queries import datasets, rounds, snapshots
from db.queries.rounds import RoundInfo

_ENDED = (JobStatus.CANCELLED, JobStatus.FAILED)


def resume_round(app_context: AppContext, round_id: int) -> RoundInfo:
    """Resume a cancelled or failed round, and return it.

    Raises:
        RoundError: it cannot be resumed, with the reason.
    """
    with app_context.database.read() as session:
        info = rounds.get_round(session, round_id)
    _refuse_resumption(app_context, info)
    jobs.cancel_round(app_context, round_id)  # queued folds of the failed job would be taken for the resumed round's
    try:
        with app_context.database.write() as session:
            refuse_unfinished(info.dataset, rounds.list_rounds(session, info.dataset_id))
            if not rounds.reopen_round(session, round_id):
                raise RoundError(f"{info.name} of {info.dataset} was resumed already", "watch it")
            resumed = rounds.get_round(session, round_id)
    except IntegrityError as error:  # if several write concurrently, the database refuses the later one
        raise RoundError("another round of this dataset was started at the same moment", "watch that one") from error
    pieces = rounds.pieces(resumed.recipe, resumed.config)
    jobs.enqueue_round(app_context, round_id, pieces, resumed.finished_at)
    return resumed


def resumption_problem(app_context: AppContext, info: RoundInfo) -> str:
    """Return the reason why a cancelled or failed round cannot be resumed, "" if it can."""
    try:
        _refuse_resumption(app_context, info)
    except RoundError as error:
        return str(error)
    return ""


def add_network(app_context: AppContext, round_id: int, member: Member, by: str) -> RoundInfo:
    """Start the round that adds this network to a finished one.

    Raises:
        RoundError: the round cannot be extended, or another one is unfinished.
        ConfigError: the network is invalid, or the round's labels are not classes.
    """
    with app_context.database.read() as session:
        info = rounds.get_round(session, round_id)
    before = RoundConfig.from_json(info.config)
    config = replace(before, members=(*before.members, member))
    refuse_members(config, info.recipe, info.task)
    refuse_extension(app_context, info, config)
    return start_round(app_context, info.dataset_id, config, by, recipe_config={"extends": info.number})


def _refuse_resumption(app_context: AppContext, info: RoundInfo) -> None:
    """Raise `RoundError` if a round cannot be resumed."""
    if info.status not in _ENDED:
        raise RoundError(
            f"{info.name} of {info.dataset} is {info.status}", "only a cancelled or failed round can be resumed"
        )
    with app_context.database.read() as session:
        refuse_unfinished(info.dataset, rounds.list_rounds(session, info.dataset_id))
    if info.snapshot_hash is None:
        return  # it was never opened, so it opens now
    _refuse_other_versions(info)
    _refuse_gone_files(app_context, info)
    _refuse_protected_since(app_context, info)


def _refuse_other_versions(info: RoundInfo) -> None:
    for name, before in (info.versions or {}).items():
        now = _version(name)
        if now and now != before:
            raise RoundError(f"{info.name} was trained with {name} {before}, {now} is installed", "start a new round")


def _refuse_gone_files(app_context: AppContext, info: RoundInfo) -> None:
    folder = app_context.round_folder(info.id)
    with app_context.database.read() as session:
        done = [fold.fold for fold in rounds.folds_of(session, info.id) if fold.status is JobStatus.DONE]
    needed = [folder / SNAPSHOT, *_finished_files(folder, info, done)]
    missing = next((path for path in needed if not path.exists()), None)
    if missing is not None:
        raise RoundError(
            f"{missing} is gone, so {info.name} cannot go on", "put it back from a copy, or start a new round"
        )
    snapshot = Snapshot.load(folder)
    refuse_removed(app_context, info, snapshot.sample_ids.tolist())
    if snapshot.hash != info.snapshot_hash:
        raise RoundError(f"the labels in {folder} are not those {info.name} opened with", "start a new round")


def _finished_files(folder: Path, info: RoundInfo, done: list[int]) -> Iterator[Path]:
    """Yield the files of finished folds; a recipe of one piece reads those of its stages itself."""
    if info.recipe.in_folds:
        for number in range(len(RoundConfig.from_json(info.config).networks)):
            yield from (fold_file(network_folder(folder, number), fold) for fold in done)


def _refuse_protected_since(app_context: AppContext, info: RoundInfo) -> None:
    with app_context.database.read() as session:
        protected = set(datasets.get_dataset(session, info.dataset_id).evaluation_splits)
        samples = snapshots.samples_of(session, info.dataset_id) if protected else []
    within = [sample.id for sample in samples if sample.split in protected]
    if not within:
        return
    snapshot = Snapshot.load(app_context.round_folder(info.id))
    learnt = len(np.intersect1d(within, snapshot.sample_ids[snapshot.learnable]))
    if learnt:
        raise RoundError(
            f"{info.name} learns from {learnt:,} images that are of an evaluation split now", "start a new round"
        )


def _version(name: str) -> str:
    """Return the installed version of a library, "" if it is not one."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
