"""Rounds: assign folds, train a network per fold, predict the held-out samples, judge every label.

All files are in the round's folder, from which a killed round continues: `snapshot.npz`, then per fold
`fold_{k}.checkpoint`, its network (`core.data.networks`) and `fold_{k}.npz`, then `probabilities.npy` (and for a probe
`embeddings.npy` and `decay.json`). A round of masks has the flat files of `core.data.predictions` instead of logits and
probabilities. Further networks of a round have the same files in `member_{n}/`; each fold trains one network after the
other.

The worker runs `run_fold` for each fold, then `core.judge`; `run_round` and `run_mask_round` do both in one process.
Where a fold has several devices, `core.ranked_folds` trains its networks first.
"""

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from core.config import ProbabilityMethod, RoundConfig, refuse_members, with_file_facts
from core.data.likeliest import logits_in
from core.data.masks.store import MaskStore
from core.data.networks import network_folder
from core.data.predictions import BACKBONE_CHECK, DECAY, EMBEDDINGS, fold_file
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path, save_array
from core.embedding import embed_round, fetch_weights, share_of_network
from core.judge.judgement import Judgement, judge_round
from core.judge.mask_judgement import MaskJudgement, judge_masks
from core.learn import crossfold, devices, probe
from core.learn.backbone_check import BackboneTrial, check_backbone, check_trained, needs_check
from core.learn.batches import ImageBatches
from core.learn.crossfold import Probed
from core.learn.folds import deal
from core.learn.kept_networks import describe_training, keep_fold
from core.learn.models.classifier import scaling_assumption
from core.learn.models.weights import origin_of
from core.tasks import RoundPaths, TaskDefinition, task_of
from core.types import EMBEDDING_SHARE, EVERY_FOLD, NO_LABEL, FloatArray, Progress, Recipe, Report, RoundError

__all__ = [
    "FoldSummary",
    "Judgement",
    "MaskJudgement",
    "fold_split",
    "run_fold",
    "run_mask_round",
    "run_round",
    "train_and_predict",
    "versions",
]

_COUNTED = {1: "one class", 2: "two classes"}


@dataclass(frozen=True, slots=True)
class FoldSummary:
    """Summary of a fold; accuracy is the agreement of held-out predictions (images, or pixels) with given labels."""

    fold: int
    count: int  # samples predicted
    accuracy: float | None
    seconds: float
    images_per_second: float
    batch_size: int
    message: str
    mean_iou: float | None = None  # of masks
    model_hash: str | None = None  # of its network, if that is kept


def run_round(
    snapshot: Snapshot,
    config: RoundConfig,
    folder: Path,
    *,
    image_cache: Path,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
    keep_networks: bool = True,
) -> Judgement:
    """Run a whole round in `folder`, or continue a killed one, and return the judgement of every sample.

    Without `keep_networks` none is written, and a frozen one whose embeddings are cached is not even built.
    """
    run = partial(run_fold, image_cache=image_cache, report=report, should_stop=should_stop)
    _run_folds(snapshot, config, folder, run=partial(run, keep_networks=keep_networks), report=report)
    return judge_round(folder, config, image_cache)


def run_mask_round(
    snapshot: Snapshot,
    config: RoundConfig,
    folder: Path,
    *,
    image_cache: Path,
    masks: Path,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> MaskJudgement:
    """Run a whole round of masks, with their store at `masks`, and return its judgement."""
    run = partial(run_fold, image_cache=image_cache, masks=masks, report=report, should_stop=should_stop)
    _run_folds(snapshot, config, folder, run=run, report=report)
    return judge_masks(folder, config, MaskStore(masks), report=report, should_stop=should_stop)


def run_fold(
    folder: Path,
    config: RoundConfig,
    fold: int,
    *,
    image_cache: Path,
    report: Report,
    should_stop: Callable[[], bool],
    masks: Path | None = None,
    colours: Sequence[str] = (),
    task: TaskDefinition | None = None,
    keep_networks: bool = True,
) -> FoldSummary:
    """Train the round's networks on one fold, store their predictions, and the networks if `keep_networks`.

    Finished networks are only read. Returns the summary of the first network.

    `masks` is the folder of the store of masks, where labels are masks, and `colours` are then those of the classes.
    `task` is the snapshot's own except in tests.

    Raises:
        ConfigError, RoundError: it is impossible; the message names the remedy.
        RoundCancelledError: `should_stop` returned true; another call continues from the last epoch.
    """
    if all(fold_file(network_folder(folder, number), fold).exists() for number in range(len(config.networks))):
        return _read_summary(fold_file(folder, fold))
    snapshot = Snapshot.load(folder)
    task = task or task_of(snapshot)
    refuse_members(config, Recipe.CROSS_FOLD, snapshot.task)
    summaries = []
    for number, network in enumerate(config.networks):
        own = network_folder(folder, number)
        done = fold_file(own, fold)
        if not done.exists():
            callbacks = crossfold.FoldCallbacks(share_of_network(report, number, len(config.networks)), should_stop)
            places = RoundPaths(own, image_cache, masks, folder)
            _learn_network(
                snapshot,
                network,
                fold,
                places=places,
                callbacks=callbacks,
                task=task,
                colours=colours,
                keep=keep_networks,
            )
        summaries.append(_read_summary(done))
    return summaries[0]


def _learn_network(
    snapshot: Snapshot,
    config: RoundConfig,
    fold: int,
    *,
    places: RoundPaths,
    callbacks: crossfold.FoldCallbacks,
    task: TaskDefinition,
    colours: Sequence[str],
    keep: bool,
) -> None:
    """Train one network on one fold and store its predictions, and the network if `keep`."""
    started = time.monotonic()
    places.folder.mkdir(parents=True, exist_ok=True)
    split = fold_split(snapshot, config, fold, task.least_classes)
    outcome = train_and_predict(snapshot, config, split, places=places, callbacks=callbacks, task=task)
    if fold == 0 and config.method is ProbabilityMethod.FINE_TUNE and task.probe is None and needs_check(config):
        trial = _trial(outcome.images, snapshot, task, callbacks)
        logits, path = logits_in(outcome.kept.columns, len(snapshot.classes)), places.folder / BACKBONE_CHECK
        check_trained(config, logits, split, snapshot.learnable, trial, path=path)
    digest, unkept = None, ""
    if keep:
        about = describe_training(snapshot, config, outcome.images, colours)
        digest, unkept = keep_fold(places.folder, f"fold_{fold}", about, outcome, task.build_network)
    summary = FoldSummary(
        fold=fold,
        count=len(split.held_rows),
        accuracy=outcome.kept.accuracy,
        seconds=time.monotonic() - started,
        images_per_second=outcome.images_per_second,
        batch_size=outcome.batch_size,
        message="; ".join(filter(None, (outcome.message, unkept))),
        mean_iou=outcome.kept.mean_iou,
        model_hash=digest,
    )
    with atomic_path(fold_file(places.folder, fold)) as beside, beside.open("wb") as file:
        words = np.frombuffer(json.dumps(asdict(summary)).encode(), np.uint8)
        columns: dict[str, Any] = {"rows": split.held_rows, **outcome.kept.columns, "summary": words}
        np.savez(file, **columns)
    checkpoint_path(places.folder, fold).unlink(missing_ok=True)


def versions(device: str = "auto", config: RoundConfig | None = None, ranks: int = 1) -> dict[str, str]:
    """Return versions of libraries, the device's name and the origin of initial weights, for reproducing a round.

    Where several `ranks` train each network of a fold, the device is named with their number.
    """
    networks = () if config is None else config.networks
    is_ranked = ranks > 1 and any(one.method is ProbabilityMethod.FINE_TUNE for one in networks)
    name = devices.describe(devices.choose(device))
    origins = {
        "weights" if number == 0 else f"weights of network {number + 1}": origin
        for number, network in enumerate(networks)
        if (origin := origin_of(network)) is not None
    }
    libraries = ("torch", "torchvision", "timm", "segmentation-models-pytorch", "numpy", "scipy", "pillow")
    return (
        {"python": platform.python_version()}
        | {name: devices.library_version(name) for name in libraries}
        | {"device": f"{ranks} x {name}" if is_ranked else name}
        | origins
    )


def _run_folds(
    snapshot: Snapshot,
    config: RoundConfig,
    folder: Path,
    *,
    run: Callable[[Path, RoundConfig, int], FoldSummary],
    report: Report,
) -> None:
    snapshot.save(folder)
    config = with_file_facts(config)
    for fold in range(config.folds):
        run(folder, config, fold)
    report(Progress("judging", config.folds - 1, config.folds, fraction=1.0))


def fold_split(snapshot: Snapshot, config: RoundConfig, fold: int, least_classes: int = 1) -> crossfold.FoldSplit:
    """Return the training rows of a fold (labels outside of it that are not protected) and its held-out rows.

    Held-out rows are the fold's own part of the groups with a label, and all unseen samples: no model is trained on
    these, so the models of all folds predict them.
    """
    labels, unseen = snapshot.labels.astype(np.int64), snapshot.is_unseen()
    dealt = np.full(len(snapshot), EVERY_FOLD)
    known = np.flatnonzero(~unseen)
    if len(known):
        ids, groups = snapshot.sample_ids[known], snapshot.whole_groups()[known]
        dealt[known] = deal(ids, labels[known], groups, folds=config.folds, seed=config.seed)
    learn_rows = np.flatnonzero((dealt != fold) & (labels != NO_LABEL) & snapshot.learnable)
    if len(np.unique(labels[learn_rows])) < least_classes:
        raise RoundError(
            f"fold {fold + 1} of {config.folds} has labels of fewer than {_COUNTED[least_classes]} to train on",
            "label more images, protect fewer, or choose other folds",
        )
    return crossfold.FoldSplit(
        fold, learn_rows, np.flatnonzero((dealt == fold) | unseen), labels, np.flatnonzero(unseen)
    )


def train_and_predict(
    snapshot: Snapshot,
    config: RoundConfig,
    split: crossfold.FoldSplit,
    *,
    places: RoundPaths,
    callbacks: crossfold.FoldCallbacks,
    task: TaskDefinition,
) -> crossfold.FoldResult:
    """Train on the training rows and predict the held-out rows, by the config's method."""
    reading = Progress("reading images", split.fold, config.folds)
    classes, channels = len(snapshot.classes), _channels(config)
    fetch_weights(config, Progress("downloading", split.fold, config.folds), callbacks)
    if config.method is ProbabilityMethod.FINE_TUNE:
        spec = network_spec(task, config, classes, task.keep(snapshot, config, places))
        training_data = task.training_data(snapshot, config, places, reading, callbacks)
        return crossfold.learn_fold(
            config,
            training_data,
            split,
            spec,
            checkpoint=checkpoint_path(places.folder, split.fold),
            callbacks=callbacks,
        )
    build = partial(task.build_network, config, channels, 0)
    if task.probe is not None:
        training_data = task.training_data(snapshot, config, places, reading, callbacks)
        probed = Probed(
            build=build,
            content_hashes=snapshot.seen_hashes,
            cache=places.image_cache,
            classes=classes,
            keep=task.keep(snapshot, config, places),
        )
        return task.probe(config, training_data, split, probed, callbacks)
    embedded = embed_round(snapshot, config, places, fold=split.fold, callbacks=callbacks, task=task)
    images, embeddings = embedded.images, embedded.embeddings
    _keep_embeddings(embeddings, places.embeddings_folder / EMBEDDINGS)
    fitting = Progress(
        "training", split.fold, config.folds, fraction=EMBEDDING_SHARE, message="choosing the weight decay"
    )
    callbacks.report(fitting)
    choice = probe.choose_decay(
        embeddings,
        (fold_split(snapshot, config, fold, task.least_classes) for fold in range(config.folds)),
        snapshot.learnable,
        classes,
        path=places.folder / DECAY,
        device=images.device,
        callbacks=callbacks,
    )
    if split.fold == 0 and needs_check(config):  # the same one whichever worker is first
        trial = replace(_trial(images, snapshot, task, callbacks), read=embedded.read)
        check_backbone(config, embeddings, split, snapshot.learnable, trial, path=places.folder / BACKBONE_CHECK)
    keep = task.keep(snapshot, config, places)
    outcome = probe.probe_fold(
        config, images, embeddings, split, classes, decay=choice.decay, callbacks=callbacks, keep=keep
    )
    return replace(outcome, message=scaling_assumption(config))


def network_spec(
    task: TaskDefinition, config: RoundConfig, classes: int, keep: crossfold.Keep
) -> crossfold.NetworkSpec:
    """Return the specification by which a fine-tuned network of a round is built and trained."""
    return crossfold.NetworkSpec(
        build=partial(task.build_network, config, _channels(config), classes),
        augment=task.augment(config),
        view=partial(task.view, config),
        keep=keep,
    )


def _channels(config: RoundConfig) -> int:
    return 1 if config.grey else 3


def _trial(
    images: ImageBatches, snapshot: Snapshot, task: TaskDefinition, callbacks: crossfold.FoldCallbacks
) -> BackboneTrial:
    """Return the inputs of a comparison with other networks."""

    def build(other: RoundConfig) -> nn.Module:
        return task.build_network(other, images.channels, 0)

    return BackboneTrial(images, len(snapshot.classes), build, callbacks)


def _keep_embeddings(embeddings: FloatArray, path: Path) -> None:
    """Store the embeddings in the round's folder, for its order by similarity."""
    if not path.exists():
        save_array(path, embeddings)


def checkpoint_path(folder: Path, fold: int) -> Path:
    """Return the file from which the training of a fold continues, in the network's folder."""
    return folder / f"fold_{fold}.checkpoint"


def _read_summary(done: Path) -> FoldSummary:
    with np.load(done, allow_pickle=False) as file:
        return FoldSummary(**json.loads(file["summary"].tobytes()))
