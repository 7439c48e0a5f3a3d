"""The whole method: deal folds, train a network per fold, predict what it has not seen, judge every label.

Everything happens in a round's folder, so that a killed round goes on where it was:
`snapshot.npz`, then per fold `fold_{k}.checkpoint`, its network (`core.data.networks`) and `fold_{k}.npz`, then
`probabilities.npy` (and for a probe `embeddings.npy` and `decay.json`). A round of masks has the flat files of
`core.data.predictions` instead of logits and probabilities.
A round may have further networks: the same files of each lie in `member_{n}/`, and every fold is learnt by one network
after the other, so that a killed round goes on with those that are done.
`run_fold` is the worker's piece, beside `core.judge`; `run_round` and `run_mask_round` are all of it in one process.
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

from core.config import Method, RoundConfig, Weights, refuse_members, with_file_facts
from core.data.masks.store import MaskStore
from core.data.networks import network_folder
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path
from core.fold_networks import about, keep_fold
from core.judge.judgement import BACKBONE_CHECK, DECAY, EMBEDDINGS, Judgement, fold_file, judge_round
from core.judge.mask_judgement import MaskJudgement, judge_masks
from core.learn import crossfold, devices, probe
from core.learn.backbone_check import Trial, check_backbone, check_trained, needs_check
from core.learn.batches import Images
from core.learn.folds import deal
from core.learn.models.classifier import assumption
from core.learn.models.hub import fetch, is_network_of_timm
from core.learn.models.weights import origin_of
from core.learn.pixel_probe import Probed
from core.tasks import Places, Task, task_of
from core.types import EVERY_FOLD, NO_LABEL, FloatArray, Progress, Recipe, Report, RoundError

__all__ = [
    "FoldSummary",
    "Judgement",
    "MaskJudgement",
    "held_of",
    "learn_held",
    "run_fold",
    "run_mask_round",
    "run_round",
    "versions",
]

_COUNTED = {1: "one class", 2: "two classes"}


@dataclass(frozen=True, slots=True)
class FoldSummary:
    """How a fold went; accuracy is that of its held-out predictions (images, or pixels) against the given labels."""

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
    """Run a whole round in `folder` and return what it says of every sample; goes on where a killed one was.

    Without `keep_networks` none is written, and a frozen one whose embeddings are known is not even built.
    """
    run = partial(run_fold, image_cache=image_cache, report=report, should_stop=should_stop)
    _run_folds(snapshot, config, folder, run=partial(run, keep_networks=keep_networks), report=report)
    return judge_round(folder, config)


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
    """Run a whole round of masks, kept in the store at `masks`, and return what it says of their regions."""
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
    task: Task | None = None,
    keep_networks: bool = True,
) -> FoldSummary:
    """Learn one fold by each of the round's networks, store their predictions and, unless told otherwise, these.

    What is finished is only read. Returned is how the first network's fold went.

    `masks` is the folder of the store of masks, where labels are masks, and `colours` are then those of the classes.
    `task` is the snapshot's own but in tests.

    Raises:
        ConfigError, RoundError: it cannot be done; the text says the cure.
        RoundCancelledError: `should_stop` said so; the fold goes on from its last epoch when run again.
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
            telling = crossfold.Telling(_shared(report, number, len(config.networks)), should_stop)
            places = Places(own, image_cache, masks, folder)
            _learn_network(
                snapshot,
                network,
                fold,
                places=places,
                telling=telling,
                task=task,
                colours=colours,
                keep=keep_networks,
            )
        summaries.append(_read_summary(done))
    return summaries[0]


def _shared(report: Report, number: int, networks: int) -> Report:
    """Return a report of one of several networks: its share of the fold's work, and its number."""
    if networks == 1:
        return report

    def shared(progress: Progress) -> None:
        fraction = (number + progress.fraction) / networks
        report(replace(progress, stage=f"network {number + 1} of {networks}: {progress.stage}", fraction=fraction))

    return shared


def _learn_network(
    snapshot: Snapshot,
    config: RoundConfig,
    fold: int,
    *,
    places: Places,
    telling: crossfold.Telling,
    task: Task,
    colours: Sequence[str],
    keep: bool,
) -> None:
    """Learn one fold by one network and store its predictions, and if `keep` the network."""
    started = time.monotonic()
    places.folder.mkdir(parents=True, exist_ok=True)
    held = held_of(snapshot, config, fold, task.least_classes)
    outcome = learn_held(snapshot, config, held, places=places, telling=telling, task=task)
    if config.method is Method.FINE_TUNE and task.probe is None and needs_check(config):
        trial = _trial(outcome.images, snapshot, task, telling)
        logits, path = outcome.kept.columns["logits"], places.folder / BACKBONE_CHECK
        check_trained(config, logits, held, snapshot.learnable, trial, path=path)
    digest, unkept = None, ""
    if keep:
        said = about(snapshot, config, outcome.images, colours)
        digest, unkept = keep_fold(places.folder, f"fold_{fold}", said, outcome, task.build_network)
    summary = FoldSummary(
        fold=fold,
        count=len(held.held_rows),
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
        columns: dict[str, Any] = {"rows": held.held_rows, **outcome.kept.columns, "summary": words}
        np.savez(file, **columns)
    _checkpoint(places.folder, fold).unlink(missing_ok=True)


def versions(device: str = "auto", config: RoundConfig | None = None) -> dict[str, str]:
    """Return what a round's outcome also depends on: versions of libraries, the device's name, first weights."""
    origins = {
        "weights" if number == 0 else f"weights of network {number + 1}": origin
        for number, network in enumerate(() if config is None else config.networks)
        if (origin := origin_of(network)) is not None
    }
    libraries = ("torch", "torchvision", "timm", "segmentation-models-pytorch", "numpy", "scipy", "pillow")
    return (
        {"python": platform.python_version()}
        | {name: devices.library_version(name) for name in libraries}
        | {"device": devices.describe(devices.choose(device))}
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


def held_of(snapshot: Snapshot, config: RoundConfig, fold: int, least_classes: int = 1) -> crossfold.Held:
    """Return what this fold learns from (every label outside of it that is not protected) and what it predicts.

    That is its own part of the groups in which somebody labelled something, and all of the others: no model learns
    from these, so the models of all folds predict them.
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
            f"fold {fold + 1} of {config.folds} has labels of fewer than {_COUNTED[least_classes]} to learn from; "
            "label more images, protect fewer, or choose other folds"
        )
    return crossfold.Held(fold, learn_rows, np.flatnonzero((dealt == fold) | unseen), labels, np.flatnonzero(unseen))


def learn_held(
    snapshot: Snapshot,
    config: RoundConfig,
    held: crossfold.Held,
    *,
    places: Places,
    telling: crossfold.Telling,
    task: Task,
) -> crossfold.Outcome:
    """Learn the learn rows and return what came of the held rows, by the config's method."""
    reading = Progress("reading images", held.fold, config.folds)
    classes, channels = len(snapshot.classes), 1 if config.grey else 3
    if config.weights is Weights.PRETRAINED and is_network_of_timm(config.model):
        downloading = Progress("downloading", held.fold, config.folds)
        fetch(
            config.model,
            lambda text: telling.report(replace(downloading, message=text)),
            telling.should_stop,
        )
    if config.method is Method.FINE_TUNE:
        lesson = crossfold.Lesson(
            build=partial(task.build_network, config, channels, classes),
            augment=task.augment(config),
            view=partial(task.view, config),
            keep=task.keep(snapshot, config, places),
        )
        material = task.material(snapshot, config, places, reading, telling)
        return crossfold.learn_fold(
            config, material, held, lesson, checkpoint=_checkpoint(places.folder, held.fold), telling=telling
        )
    build = partial(task.build_network, config, channels, 0)
    if task.probe is not None:
        material = task.material(snapshot, config, places, reading, telling)
        probed = Probed(
            build=build,
            content_hashes=snapshot.seen_hashes,
            cache=places.image_cache,
            classes=classes,
            keep=task.keep(snapshot, config, places),
        )
        return task.probe(config, material, held, probed, telling)
    images = task.material(snapshot, config, places, reading, telling).images
    embeddings = probe.embedded(
        config, images, snapshot.seen_hashes, build, cache=places.image_cache, fold=held.fold, telling=telling
    )
    _keep(embeddings, places.embeddings_folder / EMBEDDINGS)
    fitting = Progress(
        "training", held.fold, config.folds, fraction=probe.EMBEDDING_SHARE, message="choosing the weight decay"
    )
    telling.report(fitting)
    choice = probe.chosen_decay(
        embeddings,
        (held_of(snapshot, config, fold, task.least_classes) for fold in range(config.folds)),
        snapshot.learnable,
        classes,
        path=places.folder / DECAY,
        device=images.device,
        telling=telling,
    )
    if needs_check(config):
        trial = _trial(images, snapshot, task, telling)
        check_backbone(config, embeddings, held, snapshot.learnable, trial, path=places.folder / BACKBONE_CHECK)
    outcome = probe.probe_fold(config, images, embeddings, held, classes, decay=choice.decay, telling=telling)
    return replace(outcome, message=assumption(config))


def _trial(images: Images, snapshot: Snapshot, task: Task, telling: crossfold.Telling) -> Trial:
    """Return what other networks are compared on."""

    def build(other: RoundConfig) -> nn.Module:
        return task.build_network(other, images.channels, 0)

    return Trial(images, len(snapshot.classes), build, telling)


def _keep(embeddings: FloatArray, path: Path) -> None:
    """Store the embeddings with the round, for its order by similarity."""
    if not path.exists():
        with atomic_path(path) as partial_path, partial_path.open("wb") as file:
            np.save(file, embeddings, allow_pickle=False)


def _checkpoint(folder: Path, fold: int) -> Path:
    return folder / f"fold_{fold}.checkpoint"


def _read_summary(done: Path) -> FoldSummary:
    with np.load(done, allow_pickle=False) as file:
        return FoldSummary(**json.loads(file["summary"].tobytes()))
