"""The stages of cross training, each in one call: learn the pair, paint under the tags, learn anew from all masks.

Each goes on from its checkpoint in the recipe's folder. What a stage hands to the next is a file that appears whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from core.config import RoundConfig
from core.data.canvases import extents
from core.data.masks.store import MaskStore
from core.data.networks import About, find_network
from core.data.snapshot import Snapshot
from core.data.storage import atomic_path
from core.fold_networks import about
from core.learn.batches import Images
from core.learn.cross_training.optimizing import JointRecipe
from core.learn.cross_training.painting import Canvas, mask_of, painted
from core.learn.cross_training.stage1 import Pair, Sources, train_pair
from core.learn.crossfold import Held, Kept, Lesson, Material, Predict, Telling, learn_fold
from core.learn.models.kept import keep_network, load_network
from core.learn.training import Look, State, Watcher
from core.recipes.data import RecipeData
from core.recipes.scores import MaskScore, image_confusion, no_pixels
from core.recipes.tags import BoolArray, given_mask, masks_of
from core.tasks import SEGMENTATION, Places
from core.types import ByteArray, IntArray, Progress, RoundError

STAGES = 4  # baseline, pair, painting, retraining
BASELINE, PAIR, PAINTING, RETRAINING = range(STAGES)
NETWORKS = ("hybrid", "pseudo")
Painted = tuple[int, IntArray, ByteArray]  # a row, its mask, and how sure the network is of each pixel, round(255 p)
_SEEDS = 10  # of a recipe's own seed: one for each network that is made
_HYBRID, _PSEUDO, _PLAIN = range(1, 4)  # of those; baseline and stage 2 begin alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Everything that all stages need."""

    data: RecipeData
    network: RoundConfig  # the networks, their windows and looks, and how the baseline and stage 2 are trained
    joint: JointRecipe
    background: int | None
    folder: Path
    image_cache: Path
    store: MaskStore  # of the given masks
    tags: BoolArray  # (N, K)
    telling: Telling

    @property
    def classes(self) -> int:
        """Return K."""
        return len(self.data.snapshot.classes)

    @property
    def canvas(self) -> Canvas:
        """Return where the images lie in what the networks see."""
        sizes = masks_of(self.data.snapshot).sizes
        return Canvas(extents(sizes, self.network.input_size), sizes)

    def material(self, names: dict[int, str], store: MaskStore, stage: int) -> Material:
        """Return all images, and these masks, row -> name in `store`; of the other rows nothing is known."""
        reading = Progress("reading images", stage, STAGES)
        places = Places(self.folder, self.image_cache, store.folder)
        return SEGMENTATION.material(showing(self.data.snapshot, names), self.network, places, reading, self.telling)

    def build(self, number: int) -> nn.Module:
        """Return a fresh network; `number` is of what it is for, so that no two begin alike."""
        torch.manual_seed(self.network.seed * _SEEDS + number)
        return SEGMENTATION.build_network(self.network, 1 if self.network.grey else 3, self.classes)

    def true(self, row: int) -> IntArray:
        """Return the mask a sample was given, (H, W)."""
        return given_mask(self.data.snapshot, self.store, row)


def showing(snapshot: Snapshot, names: dict[int, str]) -> Snapshot:
    """Return the snapshot with these masks, row -> name, and no others."""
    masks = masks_of(snapshot)
    return replace(snapshot, masks=replace(masks, labels=[names.get(row, "") for row in range(len(snapshot))]))


def learn_pair(shop: Workshop, known: dict[int, str]) -> list[list[float]]:
    """Learn HybridNet and PseudoNet, write both into the folder, and return the history of their losses and trust.

    `known` are the masks that may be learnt from: the labelled rows', and perhaps some of W.

    Raises:
        RoundError: the batch does not fit into the device's memory.
        RoundCancelledError: somebody asked to stop.
    """
    material, checkpoint = shop.material(known, shop.store, PAIR), shop.folder / "pair.checkpoint"
    device = material.images.device
    hybrid, pseudo = (
        shop.build(number).to(memory_format=torch.channels_last).to(device) for number in (_HYBRID, _PSEUDO)
    )
    state: State | None = None
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    sources = Sources(
        material.images,
        material.targets,
        torch.from_numpy(shop.tags),
        torch.from_numpy(shop.data.labelled),
        torch.from_numpy(shop.data.unlabelled),
        shop.background,
    )
    history: list[list[float]] = []
    watcher = _pair_watcher(shop, checkpoint, history)
    try:
        augment = SEGMENTATION.augment(shop.network)
        train_pair(Pair(hybrid, pseudo), sources, shop.joint, augment=augment, watcher=watcher, state=state)
    except torch.OutOfMemoryError as error:
        raise RoundError(
            f"two networks and {shop.joint.batch_size} images do not fit into the device's memory; choose a smaller "
            "batch, crop or network"
        ) from error
    if state is not None and not history:
        history = state["history"]  # it was killed between its last step and its files
    for name, network in zip(NETWORKS, (hybrid, pseudo), strict=True):
        keep_network(shop.folder, name, network, _helper(shop, material.images))
    return history


def paint(shop: Workshop, images: Images, name: str, rows: IntArray, at_once: int) -> Iterator[Painted]:
    """Yield these rows as one of the pair sees them under their tags, in all sizes and mirrored."""
    kept = find_network(shop.folder, name)
    if kept is None:
        raise RoundError(f"{shop.folder} has lost the network {name}; start the recipe in another folder")
    view = SEGMENTATION.view(shop.network, load_network(kept, images.device))
    progress = Progress("painting", PAINTING, STAGES, message=f"{name}, {len(rows):,} images")

    def look(share: float, images_per_second: float) -> None:
        shop.telling.report(replace(progress, fraction=share, images_per_second=images_per_second))

    shop.telling.report(progress)
    yield from painted(
        view, images, rows, shop.canvas, shop.tags, at_once=at_once, on_look=look, should_stop=shop.telling.should_stop
    )


def score(shop: Workshop, masks: Iterator[Painted]) -> MaskScore:
    """Return what painted masks are worth against the true ones."""
    confusion = no_pixels(shop.classes)
    for row, mask, _ in masks:
        confusion += image_confusion(shop.true(row), mask, shop.classes)
    return MaskScore.of(confusion)


def learn_plainly(
    shop: Workshop, name: str, taught: dict[int, str], store: MaskStore, *, stage: int, seen: int
) -> tuple[MaskScore, MaskScore]:
    """Learn a fresh network by plain cross entropy, write it, and return its test scores: without tags, with tags.

    `taught` are rows and the names of their masks in `store`; they are shuffled anew in each epoch, which sees `seen`
    images: all of them, where they are fewer, as often as it takes.

    Raises:
        RoundError, RoundCancelledError: see `learn_fold`.
    """
    config = replace(shop.network, folds=STAGES)
    learn_rows = np.resize(np.array(sorted(taught), np.int64), seen)
    held = Held(stage, learn_rows, shop.data.validation, shop.data.snapshot.labels.astype(np.int64))
    shown = taught | {row: _copied(shop, row, store) for row in shop.data.validation.tolist()}
    material = shop.material(shown, store, stage)
    lesson = Lesson(
        build=partial(shop.build, _PLAIN),
        augment=SEGMENTATION.augment(config),
        view=partial(SEGMENTATION.view, shop.network),
        keep=_tested(shop),
    )
    checkpoint = shop.folder / f"{name}.checkpoint"
    outcome = learn_fold(config, material, held, lesson, checkpoint=checkpoint, telling=shop.telling)
    said = _helper(shop, material.images)
    score = MaskScore.of(outcome.kept.columns["plain"])
    measured = replace(said, predicts=stage == RETRAINING, accuracy=score.accuracy, mean_iou=score.mean_iou)
    keep_network(shop.folder, name, outcome.network, measured)
    return score, MaskScore.of(outcome.kept.columns["tagged"])


def _helper(shop: Workshop, images: Images) -> About:
    """Return what there is to say of a network that is not asked about new images."""
    return replace(about(shop.data.snapshot, shop.network, images), predicts=False)


def _tested(shop: Workshop) -> Callable[[Held, Predict], Kept]:
    canvas = shop.canvas

    def keep(_held: Held, predict: Predict) -> Kept:
        plain, tagged = no_pixels(shop.classes), no_pixels(shop.classes)
        for rows, logits in predict(shop.data.test, "predicting"):
            for row, own in zip(rows.tolist(), logits, strict=True):
                true = shop.true(row)
                plain += image_confusion(true, mask_of(own, canvas, row), shop.classes)
                tagged += image_confusion(true, mask_of(own, canvas, row, shop.tags[row]), shop.classes)
        return Kept({"plain": plain, "tagged": tagged}, None)

    return keep


def _copied(shop: Workshop, row: int, store: MaskStore) -> str:
    """Put a sample's given mask into another store and return its name there."""
    return store.put(shop.true(row), durable=False)


def _pair_watcher(shop: Workshop, checkpoint: Path, history: list[list[float]]) -> Watcher:
    recipe = shop.joint
    progress = Progress("training both", PAIR, STAGES, 0, recipe.blocks, batch_size=recipe.batch_size)

    def keep(state: State, loss: float) -> None:
        with atomic_path(checkpoint) as partial_path:
            torch.save(state, partial_path)
        history[:] = state["history"]
        done = int(state["epochs_done"])
        shop.telling.report(replace(progress, epoch=done, fraction=done / recipe.blocks, loss=loss))

    def look(seen: Look) -> None:
        share = (seen.epoch + seen.share) / recipe.blocks
        shop.telling.report(replace(progress, fraction=share, images_per_second=seen.images_per_second))

    return Watcher(keep, look, shop.telling.should_stop)
