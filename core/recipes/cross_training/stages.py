"""Stages of cross-training, one function each: train the pair, paint under the tags, train a new network on all masks.

Each continues from its checkpoint in the recipe's folder. Its result is a file that appears whole or not at all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from core.config import RoundConfig
from core.data.arrays import extents
from core.data.masks.store import MaskStore
from core.data.networks import About, find_network
from core.data.snapshot import BoolArray, masks_of
from core.data.storage import atomic_path
from core.learn.batches import ImageBatches
from core.learn.cross_training import JointRecipe, NetworkPair, Sources, train_pair
from core.learn.crossfold import FoldCallbacks, FoldOutput, FoldSplit, NetworkSpec, Predict, TrainingData, learn_fold
from core.learn.kept_networks import describe_training, keep_network, load_network
from core.learn.painting import Canvas, mask_of, paint_rows
from core.learn.training import State, TrainingCallbacks
from core.recipes.data import RecipeData, given_mask, with_masks
from core.recipes.scores import MaskScore, empty_confusion, image_confusion
from core.tasks import SEGMENTATION, RoundPaths
from core.types import ByteArray, FloatArray, IntArray, Progress, RoundError

STAGES = 4  # baseline, pair, painting, retraining
BASELINE, PAIR, PAINTING, RETRAINING = range(STAGES)
NETWORKS = ("hybrid", "pseudo")
Painted = tuple[int, IntArray, ByteArray]  # row, mask, and confidence of each pixel, round(255 p)
_SEEDS = 10  # seeds of networks per seed of a recipe
_HYBRID, _PSEUDO, _PLAIN = range(1, 4)  # of these; baseline and stage 2 have the same initial weights


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossTrainingContext:
    """Data, settings and folders of all stages."""

    data: RecipeData
    network: RoundConfig  # of all networks, also for training the baseline and stage 2
    joint: JointRecipe
    background: int | None
    folder: Path
    image_cache: Path
    store: MaskStore  # of the given masks
    tags: BoolArray  # (N, K)
    exponent: float = 0.0  # of class weights by median frequency, of all networks; 0: equal
    callbacks: FoldCallbacks

    @property
    def classes(self) -> int:
        """Return K."""
        return len(self.data.snapshot.classes)

    @property
    def canvas(self) -> Canvas:
        """Extents of the images on the canvas that the networks see."""
        sizes = masks_of(self.data.snapshot).sizes
        return Canvas(extents(sizes, self.network.input_size), sizes)

    def training_data(self, names: dict[int, str], store: MaskStore, stage: int) -> TrainingData:
        """Return all images with these masks, row -> name in `store`; other rows are unlabelled."""
        reading = Progress("reading images", stage, STAGES)
        places = RoundPaths(self.folder, self.image_cache, store.folder)
        config = replace(self.network, class_weights=self.exponent > 0)
        shown = with_masks(self.data.snapshot, names)
        data = SEGMENTATION.training_data(shown, config, places, reading, self.callbacks)
        return replace(data, class_weights=partial(_flattened, data.class_weights, self.exponent))

    def build(self, number: int) -> nn.Module:
        """Return a new network; its initial weights depend on `number`."""
        torch.manual_seed(self.network.seed * _SEEDS + number)
        return SEGMENTATION.build_network(self.network, 1 if self.network.grey else 3, self.classes)

    def true(self, row: int) -> IntArray:
        """Return the given mask of a sample, (H, W)."""
        return given_mask(self.data.snapshot, self.store, row)


def learn_pair(context: CrossTrainingContext, known: dict[int, str]) -> list[list[float]]:
    """Train HybridNet and PseudoNet, write both into the folder, and return the history of their losses and trust.

    `known` are the masks to train on: those of the labelled rows, and perhaps some of W.

    Raises:
        RoundError: the batch does not fit into the device's memory.
        RoundCancelledError: the round was cancelled.
    """
    training_data, checkpoint = context.training_data(known, context.store, PAIR), context.folder / "pair.checkpoint"
    device = training_data.images.device
    hybrid, pseudo = (
        context.build(number).to(memory_format=torch.channels_last).to(device) for number in (_HYBRID, _PSEUDO)
    )
    state: State | None = None
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = training_data.class_weights(context.data.labelled)
    if weights is not None:  # a class that only tags name weighs like the median one
        weights = np.where(weights > 0, weights, np.float32(1))
    sources = Sources(
        training_data.images,
        training_data.targets,
        torch.from_numpy(context.tags),
        torch.from_numpy(context.data.labelled),
        torch.from_numpy(context.data.unlabelled),
        context.background,
        None if weights is None else torch.from_numpy(weights),
    )
    history: list[list[float]] = []
    callbacks = _pair_callbacks(context, checkpoint, history)
    try:
        augment = SEGMENTATION.augment(context.network)
        train_pair(
            NetworkPair(hybrid, pseudo), sources, context.joint, augment=augment, callbacks=callbacks, state=state
        )
    except torch.OutOfMemoryError as error:
        raise RoundError(
            f"two networks and {context.joint.batch_size} images do not fit into the device's memory",
            "choose a smaller batch, crop or network",
        ) from error
    if state is not None and not history:
        history = state["history"]  # the run was killed between its last step and its files
    for name, network in zip(NETWORKS, (hybrid, pseudo), strict=True):
        keep_network(context.folder, name, network, _describe(context, training_data.images))
    return history


def paint(
    context: CrossTrainingContext, images: ImageBatches, name: str, rows: IntArray, at_once: int
) -> Iterator[Painted]:
    """Yield the masks of these rows by one of the pair, under their tags and with all test-time views."""
    kept = find_network(context.folder, name)
    if kept is None:
        raise RoundError(f"the network {name} is missing in {context.folder}", "start the recipe in another folder")
    view = SEGMENTATION.view(context.network, load_network(kept, images.device))
    progress = Progress("painting", PAINTING, STAGES, message=f"{name}, {len(rows):,} images")

    def look(share: float, images_per_second: float) -> None:
        context.callbacks.report(replace(progress, fraction=share, images_per_second=images_per_second))

    context.callbacks.report(progress)
    yield from paint_rows(
        view,
        images,
        rows,
        context.canvas,
        context.tags,
        at_once=at_once,
        on_progress=look,
        should_stop=context.callbacks.should_stop,
    )


def score(context: CrossTrainingContext, masks: Iterator[Painted]) -> MaskScore:
    """Score painted masks against the true ones."""
    confusion = empty_confusion(context.classes)
    for row, mask, _ in masks:
        confusion += image_confusion(context.true(row), mask, context.classes)
    return MaskScore.of(confusion)


def learn_from_masks(
    context: CrossTrainingContext, name: str, taught: dict[int, str], store: MaskStore, *, stage: int, seen: int
) -> tuple[MaskScore, MaskScore]:
    """Train a new network by plain cross entropy, store it, and return its test scores: without tags, with tags.

    `taught` are rows and the names of their masks in `store`; they are shuffled in each epoch, which sees `seen`
    images, some of them repeatedly where they are fewer.

    Raises:
        RoundError, RoundCancelledError: see `learn_fold`.
    """
    config = replace(context.network, folds=STAGES)
    learn_rows = np.resize(np.array(sorted(taught), np.int64), seen)
    split = FoldSplit(stage, learn_rows, context.data.validation, context.data.snapshot.labels.astype(np.int64))
    shown = taught | {row: _copy_mask(context, row, store) for row in context.data.validation.tolist()}
    training_data = context.training_data(shown, store, stage)
    spec = NetworkSpec(
        build=partial(context.build, _PLAIN),
        augment=SEGMENTATION.augment(config),
        view=partial(SEGMENTATION.view, context.network),
        keep=_score_test(context),
    )
    checkpoint = context.folder / f"{name}.checkpoint"
    outcome = learn_fold(config, training_data, split, spec, checkpoint=checkpoint, callbacks=context.callbacks)
    about = _describe(context, training_data.images)
    score = MaskScore.of(outcome.kept.columns["plain"])
    measured = replace(about, predicts=stage == RETRAINING, accuracy=score.accuracy, mean_iou=score.mean_iou)
    keep_network(context.folder, name, outcome.network, measured)
    return score, MaskScore.of(outcome.kept.columns["tagged"])


def _flattened(
    weights_of: Callable[[IntArray], FloatArray | None], exponent: float, rows: IntArray
) -> FloatArray | None:
    """Return the class weights of these rows to the power `exponent`, (K,)."""
    weights = weights_of(rows)
    return None if weights is None else weights**exponent


def _describe(context: CrossTrainingContext, images: ImageBatches) -> About:
    """Return the facts of a network that does not predict new images."""
    return replace(describe_training(context.data.snapshot, context.network, images), predicts=False)


def _score_test(context: CrossTrainingContext) -> Callable[[FoldSplit, Predict], FoldOutput]:
    canvas = context.canvas

    def keep(_split: FoldSplit, predict: Predict) -> FoldOutput:
        plain, tagged = empty_confusion(context.classes), empty_confusion(context.classes)
        for rows, logits in predict(context.data.test, "predicting"):
            for row, own in zip(rows.tolist(), logits, strict=True):
                true = context.true(row)
                plain += image_confusion(true, mask_of(own, canvas, row), context.classes)
                tagged += image_confusion(true, mask_of(own, canvas, row, context.tags[row]), context.classes)
        return FoldOutput({"plain": plain, "tagged": tagged}, None)

    return keep


def _copy_mask(context: CrossTrainingContext, row: int, store: MaskStore) -> str:
    """Copy a sample's given mask into another store and return its name there."""
    return store.put(context.true(row), durable=False)


def _pair_callbacks(context: CrossTrainingContext, checkpoint: Path, history: list[list[float]]) -> TrainingCallbacks:
    recipe = context.joint
    progress = Progress("training both", PAIR, STAGES, 0, recipe.blocks, batch_size=recipe.batch_size)

    def keep(state: State, loss: float) -> None:
        with atomic_path(checkpoint) as partial_path:
            torch.save(state, partial_path)
        history[:] = state["history"]
        done = int(state["epochs_done"])
        context.callbacks.report(replace(progress, epoch=done, fraction=done / recipe.blocks, loss=loss))

    def look(blocks: float, images_per_second: float) -> None:
        share = blocks / recipe.blocks
        context.callbacks.report(replace(progress, fraction=share, images_per_second=images_per_second))

    return TrainingCallbacks(keep, look, context.callbacks.should_stop)
