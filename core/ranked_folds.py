"""Folds of which each network is trained by several processes, one a device.

`train_by_ranks` brings the checkpoints of a fold to their last epoch. `core.rounds.run_fold` then continues from there,
as after a kill: one process predicts every held-out image and keeps the networks.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from core.config import ProbabilityMethod, RoundConfig, allow_weights_in, allowed_weights
from core.data.networks import network_folder
from core.data.predictions import fold_file
from core.data.snapshot import Snapshot
from core.embedding import fetch_weights
from core.learn import crossfold
from core.learn.ranks import Link, Rank, launch, process_group, refuse_ranks
from core.learn.training import half_of
from core.rounds import checkpoint_path, fold_split, network_spec
from core.tasks import RoundPaths, task_of
from core.types import Progress, Report


def train_by_ranks(
    folder: Path,
    config: RoundConfig,
    fold: int,
    count: int,
    *,
    image_cache: Path,
    masks: Path | None = None,
    report: Report,
    should_stop: Callable[[], bool],
) -> None:
    """Train the round's networks on one fold by `count` processes each, except probes and trained networks.

    Each process takes a batch of the config's size, so a step is that of one process with a batch `count` times as
    large. `masks` is the folder of the store of masks, where labels are masks.

    Raises:
        ConfigError, RoundError: it is impossible; the message names the remedy.
        RoundCancelledError: `should_stop` returned true, and every process has ended.
        KilledError: a process was killed; another call continues from the last checkpoint.
    """
    callbacks = crossfold.FoldCallbacks(report, should_stop)
    for number, network in enumerate(config.networks):
        places = RoundPaths(network_folder(folder, number), image_cache, masks, folder)
        if network.method is ProbabilityMethod.FINE_TUNE and not _is_done(places, network, fold):
            refuse_ranks(count, network.device)
            fetch_weights(network, Progress("downloading", fold, network.folds), callbacks)
            _launch(network, fold, count, places, callbacks)


def _is_done(places: RoundPaths, config: RoundConfig, fold: int) -> bool:
    done = fold_file(places.folder, fold).exists()
    return done or crossfold.is_trained(checkpoint_path(places.folder, fold), config.epochs)


def _launch(config: RoundConfig, fold: int, count: int, places: RoundPaths, callbacks: crossfold.FoldCallbacks) -> None:
    """Train one network, halving the batch until it fits into a device's memory."""
    starting = Progress("starting", fold, config.folds, message=f"{count} processes")
    places.folder.mkdir(parents=True, exist_ok=True)
    while True:
        callbacks.report(replace(starting, batch_size=config.batch_size))
        arguments = (config, fold, places, allowed_weights())
        try:
            launch(count, _train_rank, arguments, report=callbacks.report, should_stop=callbacks.should_stop)
        except torch.OutOfMemoryError:
            config = replace(config, batch_size=half_of(config.batch_size))
            starting = replace(starting, message=f"out of memory: batch halved to {config.batch_size}")
        else:
            return


def _train_rank(
    link: Link, rank: Rank, config: RoundConfig, fold: int, places: RoundPaths, weights_in: Sequence[str]
) -> None:
    """Train one network as one of its processes."""
    allow_weights_in(weights_in)
    snapshot = Snapshot.load(places.round_folder or places.folder)
    task = task_of(snapshot)
    split = fold_split(snapshot, config, fold, task.least_classes)
    callbacks = crossfold.FoldCallbacks(link.report_of(rank), link.stop.is_set)
    with process_group(link, rank, config.device):
        spec = network_spec(task, config, len(snapshot.classes), crossfold.keep_logits)  # which is never asked here
        reading = Progress("reading images", fold, config.folds)
        training_data = task.training_data(snapshot, config, places, reading, callbacks)
        checkpoint = checkpoint_path(places.folder, fold)
        crossfold.train_rank(config, training_data, split, spec, checkpoint=checkpoint, callbacks=callbacks, rank=rank)
