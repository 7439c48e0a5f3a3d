"""Time that a round takes, estimated from a trial on a few of its images.

Every piece of a round (decoding, forward pass or training steps, regressions, judging) is timed at the round's own
sizes, then multiplied by how often the round does it. N images in the round, n in the trial, D features, K classes.
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

from core.config import Method, RoundConfig, Weights, with_file_facts
from core.data.children import cores
from core.data.scratch import TRIAL, scratch_folder
from core.data.snapshot import Masks, Snapshot
from core.judge.similarity import similarity
from core.learn import probe
from core.learn.batches import Images
from core.learn.crossfold import Material, Telling
from core.learn.models.hub import download_size, is_network_of_timm
from core.learn.models.inference import for_inference
from core.learn.optimizing import learning_rate
from core.learn.pixel_probe import pixels_of_an_image
from core.learn.training import Labelled, Recipe, Watcher, predicted, train
from core.rounds import run_mask_round
from core.tasks import Places, Task, task_of
from core.types import ConfigError, Progress

TRIED = 64  # images that are enough of a trial
SCENES = 8  # of them where labels are masks
_LEAST_SECONDS = 1.0  # for which a network is timed
_READ_ALONE = 400  # images up to which one process decodes all, see core.data.filling
_ROWS = 2000  # to which a trial regression is fitted
_EVALUATIONS = 45  # of the likelihood until a regression has converged: 43 in the mean of 25 on photographs
_DECAYS_TRIED = 6  # until the likelihood has fallen twice; 4 to 8 on photographs
_COMPARED = 1500  # images whose neighbours are searched in a trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The first n images of a dataset of `count`; of masks also their names in the store at `mask_store`."""

    paths: list[str]
    content_hashes: list[str]
    count: int
    classes: int
    masks: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)  # height, width; of masks
    mask_store: str = ""

    @property
    def snapshot(self) -> Snapshot:
        """The trial's images as a round opens with them; labels take turns, since time does not depend on them."""
        count = len(self.paths)
        masks = Masks(self.masks, [""] * count, np.array(self.sizes, np.int32)) if self.masks else None
        return Snapshot(
            sample_ids=np.arange(1, count + 1),
            paths=self.paths,
            labels=(np.arange(count) % max(1, self.classes)).astype(np.int32),
            groups=[""] * count,
            content_hashes=self.content_hashes,
            classes=[str(number) for number in range(self.classes)],
            masks=masks,
        )


def first_rows(trial: Trial, count: int) -> Trial:
    """Return the trial with its first `count` images alone."""
    some = slice(count)
    return replace(
        trial,
        paths=trial.paths[some],
        content_hashes=trial.content_hashes[some],
        masks=trial.masks[some],
        sizes=trial.sizes[some],
    )


def estimate_seconds(trial: Trial, config: RoundConfig, parent: Path | None = None) -> float:
    """Return the seconds that a round of all images takes once its process has started.

    The trial works in a folder below `parent`, by default that of temporary files.

    Raises:
        RoundError: an image cannot be read, or the device has too little memory.
        ConfigError: the network or its weights cannot be had.
    """
    folder = Path(gettempdir()) if parent is None else parent
    return sum(_seconds_of_network(trial, network, folder) for network in with_file_facts(config).networks)


def _seconds_of_network(trial: Trial, config: RoundConfig, parent: Path) -> float:
    """Return the seconds of all folds of one of a round's networks."""
    snapshot = trial.snapshot
    if config.weights is Weights.PRETRAINED:
        _refuse_download(config.model)
    with scratch_folder(parent, TRIAL) as folder:
        task = task_of(snapshot)
        if task.probe is not None and config.method is Method.PROBE:
            return _seconds_of_scene_probe(trial, config, folder)
        telling = Telling(lambda _: None, lambda: False)
        places = Places(folder, folder, Path(trial.mask_store) if trial.mask_store else None)
        reading = Progress("reading images", 0, 1)
        task.material(first_rows(trial, 1).snapshot, config, places, reading, telling)  # imports what is needed
        began = time.monotonic()
        material = task.material(snapshot, config, places, reading, telling)
        decoding = (time.monotonic() - began) / len(snapshot) * trial.count
        decoding /= cores() if trial.count > _READ_ALONE else 1
        if config.method is Method.PROBE:
            return decoding + _seconds_of_probe(trial, config, material.images, task)
        return decoding + _seconds_of_training(trial, config, material, task)


def _refuse_download(model: str) -> None:
    """Refuse a trial that would download weights, which only a round does."""
    size = download_size(model) if is_network_of_timm(model) else None
    if size != 0:
        much = "an unknown number of MB" if size is None else f"{size / 1e6:,.0f} MB"
        raise ConfigError(f"the round downloads {much} of weights first; its time can be told once they are here")


def _seconds_of_probe(trial: Trial, config: RoundConfig, images: Images, task: Task) -> float:
    """Return the seconds for embedding, the regressions of all folds, and the search for neighbours."""
    began = time.monotonic()
    build = partial(task.build_network, config, images.channels, 0)
    network = for_inference(probe.frozen(config, build), images.device, images.channels, config.input_size)
    building = time.monotonic() - began
    embedding, width = _seconds_an_image(network, images, config.batch_size)
    asked = min(config.folds, ceil(probe.ENOUGH_HELD / max(1, trial.count / config.folds)))
    fits = asked * _DECAYS_TRIED + config.folds
    learnt = trial.count * (config.folds - 1) / config.folds
    regressions = fits * _EVALUATIONS * learnt * _seconds_an_evaluation(width, trial.classes, images.device)
    return building + embedding * trial.count + regressions + _seconds_of_neighbours(trial.count, width)


def _seconds_of_training(trial: Trial, config: RoundConfig, material: Material, task: Task) -> float:
    """Return the seconds for training and predicting all folds."""
    images = material.images
    torch.manual_seed(config.seed)
    network = task.build_network(config, images.channels, trial.classes)
    network = network.to(memory_format=torch.channels_last).to(images.device)
    batch = min(config.batch_size, max(2, trial.count))

    def steps(count: int) -> float:
        """Train `count` steps and return the seconds an image."""
        rows = torch.from_numpy(np.resize(np.arange(len(trial.paths)), count * batch))
        recipe = Recipe(epochs=1, batch_size=batch, learning_rate=learning_rate(config), seed=config.seed)
        watcher = Watcher(lambda *_: None, lambda _: None, lambda: False)
        began = time.monotonic()
        labelled = Labelled(rows, material.targets)
        train(network, images, labelled, recipe, augment=task.augment(config), watcher=watcher)
        return (time.monotonic() - began) / (count * batch)

    first = steps(1) * batch
    training = steps(max(1, min(20, round(2 * _LEAST_SECONDS / max(first, 1e-3)))))
    at_once = min(2 * batch, material.most_at_once)
    predicting, _ = _seconds_an_image(task.view(config, network), images, at_once)
    seen = trial.count * (config.folds - 1) * config.epochs
    return training * seen + predicting * trial.count


def _seconds_an_image(network: nn.Module, images: Images, batch: int) -> tuple[float, int]:
    """Return the seconds an image that the network is asked about, and the width of its answer."""

    def ask(count: int) -> Tensor:
        rows = torch.arange(count) % len(images)
        asked = predicted(network, images, rows, batch, on_look=lambda *_: None, should_stop=lambda: False)
        return torch.cat([answer.flatten(1)[:1].cpu() for _, answer in asked])

    width = ask(min(batch, len(images))).shape[1]  # also warms up
    done, began = 0, time.monotonic()
    while (spent := time.monotonic() - began) < _LEAST_SECONDS:
        ask(batch)
        done += batch
    return spent / done, width


def _seconds_an_evaluation(width: int, classes: int, device: torch.device) -> float:
    """Return the seconds that one label costs when the likelihood of a regression is evaluated once."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(_ROWS, width, generator=generator).to(device)
    labels = torch.randint(classes, (_ROWS,), generator=generator).to(device)
    evaluated: list[float] = []

    def note() -> bool:
        evaluated.append(time.monotonic())
        return False

    probe.fitted_regression(features, labels, classes, decay=0.1, should_stop=note)
    if len(evaluated) < 2:  # noqa: PLR2004 labels of one class are fitted at once
        return 0.0
    return float(np.median(np.diff(evaluated))) / _ROWS  # the mean is one of a busy machine's pauses


def _seconds_of_neighbours(count: int, width: int) -> float:
    """Return the seconds of the search among `count` embeddings, which grows with the square."""
    embeddings = np.random.default_rng(0).normal(size=(2 * _COMPARED, width)).astype(np.float16)
    spent = []
    for some in (_COMPARED, 2 * _COMPARED):
        began = time.monotonic()
        similarity(embeddings[:some])
        spent.append(time.monotonic() - began)
    square = max(0.0, (spent[1] - 2 * spent[0]) / (2 * _COMPARED**2))
    single = max(0.0, spent[0] / _COMPARED - square * _COMPARED)
    return single * count + square * count**2


def _seconds_of_scene_probe(trial: Trial, config: RoundConfig, folder: Path) -> float:
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
