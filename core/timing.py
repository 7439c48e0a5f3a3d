"""Estimated time of a round, from a trial on a few of its images.

Each part of a round (decoding, forward pass or training steps, regressions, judging) is timed at the round's own sizes,
then multiplied by the number of times it occurs. N images in the round, n in the trial, D features, K classes.
"""

import time
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import torch
from torch import Tensor, nn

from core.config import ProbabilityMethod, RoundConfig, TrainingCosts, Weights, with_file_facts
from core.data.array_cache import open_array, path_of_list
from core.data.children import cores
from core.data.shards import divide
from core.data.snapshot import Snapshot, SnapshotMasks
from core.data.storage import TRIAL, scratch_folder
from core.judge.similarity import is_exhaustive, is_kept, similarity
from core.learn import probe
from core.learn.augment import Augment
from core.learn.batches import ImageBatches
from core.learn.crossfold import FoldCallbacks, TrainingData
from core.learn.devices import for_inference
from core.learn.models.weights import download_size, is_timm_network
from core.learn.pixel_probe import pixels_of_an_image
from core.learn.training import Hyperparameters, Labelled, TrainingCallbacks, learning_rate, predict_batches, train
from core.rounds import run_mask_round
from core.tasks import RoundPaths, TaskDefinition, task_of
from core.types import ConfigError, FloatArray, Progress

TRIED = 64  # images of a trial
SCENES = 8  # images of a trial with masks
_LEAST_SECONDS = 1.0  # for timing a network
_READ_ALONE = 400  # images up to which one process decodes all, see core.data.array_cache
_ROWS = 2000  # of a trial regression
_EVALUATIONS = 45  # of the likelihood until a regression has converged: 43 in the mean of 25 on photographs
_DECAYS_TRIED = 6  # until the likelihood has fallen twice; 4 to 8 on photographs
_COMPARED = 1500  # images whose neighbours are searched in a trial
_CELLED = 10_000  # the same, where the search is approximate
_CLUSTERS, _DIRECTIONS = 1000, 48  # of drawn embeddings


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingTrial:
    """First n of `count` images of a dataset, with the names of their masks, if any, in the store `mask_store`.

    `rows` is the name of the list of all images in the cache of arrays (`core.data.array_cache`), "" if nothing of
    them is kept there.
    """

    paths: list[str]
    content_hashes: list[str]
    count: int
    classes: int
    masks: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)  # height, width; of masks
    mask_store: str = ""
    image_cache: str = ""
    rows: str = ""

    @property
    def snapshot(self) -> Snapshot:
        """Snapshot of the trial's images, with cyclic labels, since time does not depend on them."""
        count = len(self.paths)
        masks = SnapshotMasks(self.masks, [""] * count, np.array(self.sizes, np.int32)) if self.masks else None
        return Snapshot(
            sample_ids=np.arange(1, count + 1),
            paths=self.paths,
            labels=(np.arange(count) % max(1, self.classes)).astype(np.int32),
            groups=[""] * count,
            content_hashes=self.content_hashes,
            classes=[str(number) for number in range(self.classes)],
            masks=masks,
        )


def first_rows(trial: TimingTrial, count: int) -> TimingTrial:
    """Return the first `count` images of a trial."""
    some = slice(count)
    return replace(
        trial,
        paths=trial.paths[some],
        content_hashes=trial.content_hashes[some],
        masks=trial.masks[some],
        sizes=trial.sizes[some],
    )


def estimate_costs(
    trial: TimingTrial, config: RoundConfig, parent: Path | None = None
) -> tuple[float, TrainingCosts | None]:
    """Return the estimated seconds of a round of all images in folds, and of the parts of its first network.

    Both exclude the start of the process; parts are None if masks are learnt by a probe.
    The trial works in a folder below `parent`, by default that of temporary files.

    Raises:
        RoundError: an image cannot be read, or the device has too little memory.
        ConfigError: the network or its weights are not available.
    """
    folder = Path(gettempdir()) if parent is None else parent
    known = [_costs_of_network(trial, network, folder) for network in with_file_facts(config).networks]
    return sum(seconds for seconds, _ in known), known[0][1]


def _costs_of_network(trial: TimingTrial, config: RoundConfig, parent: Path) -> tuple[float, TrainingCosts | None]:
    """Return the seconds of all folds of one of a round's networks, and of its parts."""
    snapshot = trial.snapshot
    if config.weights is Weights.PRETRAINED:
        _refuse_download(config.model)
    with scratch_folder(parent, TRIAL) as folder:
        task = task_of(snapshot)
        if task.probe is not None and config.method is ProbabilityMethod.PROBE:
            return _seconds_of_scene_probe(trial, config, folder), None
        callbacks = FoldCallbacks(lambda _: None, lambda: False)
        places = RoundPaths(folder, folder, Path(trial.mask_store) if trial.mask_store else None)
        reading = Progress("reading images", 0, 1)
        task.training_data(first_rows(trial, 1).snapshot, config, places, reading, callbacks)  # imports modules
        began = time.monotonic()
        training_data = task.training_data(snapshot, config, places, reading, callbacks)
        decoding = (time.monotonic() - began) / len(snapshot) * trial.count
        decoding /= cores() if trial.count > _READ_ALONE else 1
        if config.method is ProbabilityMethod.PROBE:
            kept = _kept_embeddings(trial, config, training_data.images)
            if kept is not None and divide(trial.count, config.batch_size) is not None:
                decoding = 0.0  # shards whose embeddings are kept decode nothing
            embedding, regressions = _seconds_of_probe(trial, config, training_data.images, task, kept)
            return decoding + embedding + regressions, TrainingCosts(images=trial.count, once=decoding + embedding)
        costs = _costs_of_training(trial, config, training_data, task, decoding)
        passes = (config.folds - 1) * config.epochs
        return decoding + costs.training * passes + costs.predicting, costs


def _refuse_download(model: str) -> None:
    """Refuse a trial that would download weights; only rounds do."""
    size = download_size(model) if is_timm_network(model) else None
    if size != 0:
        much = "an unknown number of MB" if size is None else f"{size / 1e6:,.0f} MB"
        raise ConfigError(f"the round downloads {much} of weights first", "its time can be estimated afterwards")


def _kept_embeddings(trial: TimingTrial, config: RoundConfig, images: ImageBatches) -> FloatArray | None:
    """Return the embeddings of all images by a round's network, (N, D), None if they are not kept."""
    if not trial.rows:
        return None
    kind = probe.embeddings_kind(config, images.scaling)
    return open_array(path_of_list(Path(trial.image_cache), trial.rows, kind))


def _seconds_of_probe(
    trial: TimingTrial, config: RoundConfig, images: ImageBatches, task: TaskDefinition, kept: FloatArray | None
) -> tuple[float, float]:
    """Return the seconds for embedding and the search for neighbours, and for the regressions of all folds."""
    searched = kept is not None and is_kept(kept, Path(trial.image_cache))
    embedding, width = _seconds_of_embedding(trial, config, images, task) if kept is None else (0.0, kept.shape[1])
    counted = min(config.folds, ceil(probe.ENOUGH_LABELS / max(1, trial.count / config.folds)))
    fits = counted * _DECAYS_TRIED + config.folds
    learnt = trial.count * (config.folds - 1) / config.folds
    regressions = fits * _EVALUATIONS * learnt * _seconds_an_evaluation(width, trial.classes, images.device)
    return embedding + (0.0 if searched else _seconds_of_neighbours(trial.count, width)), regressions


def _seconds_of_embedding(
    trial: TimingTrial, config: RoundConfig, images: ImageBatches, task: TaskDefinition
) -> tuple[float, int]:
    """Return the seconds of embedding all images, and the width of an embedding."""
    began = time.monotonic()
    build = partial(task.build_network, config, images.channels, 0)
    network = for_inference(probe.build_frozen(config, build), images.device, images.channels, config.input_size)
    building = time.monotonic() - began
    embedding, width = _seconds_an_image(network, images, config.batch_size)
    return building + embedding * trial.count, width


def _costs_of_training(
    trial: TimingTrial, config: RoundConfig, training_data: TrainingData, task: TaskDefinition, decoding: float
) -> TrainingCosts:
    """Return the seconds of passes over all images: of training, with either augmentation, and of prediction."""
    images = training_data.images
    torch.manual_seed(config.seed)
    network = task.build_network(config, images.channels, trial.classes)
    network = network.to(memory_format=torch.channels_last).to(images.device)
    batch = min(config.batch_size, max(2, trial.count))

    def steps(count: int, augment: Augment) -> float:
        """Train `count` steps and return the seconds an image."""
        rows = torch.from_numpy(np.resize(np.arange(len(trial.paths)), count * batch))
        recipe = Hyperparameters(epochs=1, batch_size=batch, learning_rate=learning_rate(config), seed=config.seed)
        callbacks = TrainingCallbacks(lambda *_: None, lambda *_: None, lambda: False)
        began = time.monotonic()
        labelled = Labelled(rows, training_data.targets)
        train(network, images, labelled, recipe, augment=augment, callbacks=callbacks)
        return (time.monotonic() - began) / (count * batch)

    first = steps(1, task.augment(config)) * batch
    enough = max(1, min(20, round(2 * _LEAST_SECONDS / max(first, 1e-3))))
    training, strong = (steps(enough, augment(config)) for augment in (task.augment, task.strong_augment))
    at_once = min(2 * batch, training_data.most_at_once)
    predicting, _ = _seconds_an_image(task.view(config, network), images, at_once)
    return TrainingCosts(
        images=trial.count,
        once=decoding,
        training=training * trial.count,
        strong=strong * trial.count,
        predicting=predicting * trial.count,
    )


def _seconds_an_image(network: nn.Module, images: ImageBatches, batch: int) -> tuple[float, int]:
    """Return the seconds per image of a forward pass, and the width of the output."""

    def ask(count: int) -> Tensor:
        rows = torch.arange(count) % len(images)
        answers = predict_batches(network, images, rows, batch, on_progress=lambda *_: None, should_stop=lambda: False)
        return torch.cat([answer.flatten(1)[:1].cpu() for _, answer in answers])

    width = ask(min(batch, len(images))).shape[1]  # also warms up
    done, began = 0, time.monotonic()
    while (spent := time.monotonic() - began) < _LEAST_SECONDS:
        ask(batch)
        done += batch
    return spent / done, width


def _seconds_an_evaluation(width: int, classes: int, device: torch.device) -> float:
    """Return the seconds per label of one evaluation of a regression's likelihood."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(_ROWS, width, generator=generator).to(device)
    labels = torch.randint(classes, (_ROWS,), generator=generator).to(device)
    evaluated: list[float] = []

    def note() -> bool:
        evaluated.append(time.monotonic())
        return False

    probe.fit_regression(features, labels, classes, decay=0.1, should_stop=note)
    if len(evaluated) < 2:  # noqa: PLR2004 labels of one class are fitted at once
        return 0.0
    return float(np.median(np.diff(evaluated))) / _ROWS  # the mean is one of a busy machine's pauses


def _seconds_of_neighbours(count: int, width: int) -> float:
    """Return the seconds of the search among `count` embeddings, from the same kind of search among a few.

    Every image is compared with all others, or, of very many, with those of cells that grow with the square root of
    their number. The rest of the work is the same for each image.
    """
    exhaustive = is_exhaustive(count)
    tried, power = (_COMPARED, 2.0) if exhaustive else (_CELLED, 1.5)
    embeddings = _drawn_embeddings(2 * tried, width)
    spent = []
    for some in (tried, 2 * tried):
        began = time.monotonic()
        similarity(embeddings[:some], exhaustive=exhaustive)
        spent.append(time.monotonic() - began)
    growing = max(0.0, (spent[1] - 2 * spent[0]) / ((2**power - 2) * tried**power))
    single = max(0.0, spent[0] / tried - growing * tried ** (power - 1))
    return float(single * count + growing * count**power)


def _drawn_embeddings(count: int, width: int) -> FloatArray:
    """Return embeddings, (N, D) float16, that vary in few directions and have clusters, as those of images."""
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(_DIRECTIONS, width)) * np.exp(-np.arange(_DIRECTIONS) / 16)[:, None]
    cluster = rng.normal(size=(_CLUSTERS, _DIRECTIONS))[rng.integers(0, _CLUSTERS, count)]
    within = cluster + 0.7 * rng.normal(size=cluster.shape)
    drawn: FloatArray = (within @ basis + 0.05 * rng.normal(size=(count, width))).astype(np.float16)
    return drawn


def _seconds_of_scene_probe(trial: TimingTrial, config: RoundConfig, folder: Path) -> float:
    """Return the seconds of a probe of masks, from a whole round of the trial's scenes."""
    stages: dict[str, float] = {}
    looked, stage = time.monotonic(), "reading images"

    def report(progress: Progress) -> None:
        nonlocal looked, stage
        now = time.monotonic()
        stages[stage] = stages.get(stage, 0.0) + now - looked
        looked, stage = now, progress.stage

    small = replace(config, folds=2)
    snapshot = trial.snapshot
    cache = folder / "cache"
    run_mask_round(snapshot, small, folder / "round", image_cache=cache, masks=Path(trial.mask_store), report=report)
    report(Progress("", 0, 1))
    tried, learnt = len(snapshot), trial.count * (config.folds - 1) // config.folds
    fitted = config.folds * learnt * pixels_of_an_image(learnt) / (tried * pixels_of_an_image(tried // 2))
    fitting = stages.pop("training", 0.0) * fitted
    return fitting + sum(stages.values()) * trial.count / tried
