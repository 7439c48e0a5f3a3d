"""Cross-training from few masks and many tags: two networks train each other and paint the masks of a third.

Y. Wang et al., *Learning pseudo labels for semi-and-weakly supervised semantic segmentation*, Pattern Recognition 2022.
All files are in one folder, from which a killed run continues: `recipe.json` (the settings), `baseline.json`,
`pair.json`, `painted.json` (row -> name of the mask in `masks/`), `retrained.json`, `result.json`, the networks as
.safetensors, and the predicted masks with their confidences as in `core.data.predictions`. The test images are
evaluated once by each network, at the end of its training.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.config import DEEPLAB, SGD, CrossTrainingSettings, RoundConfig
from core.data.masks.store import MaskStore
from core.data.predictions import CERTAIN, create_predictions
from core.data.snapshot import BoolArray, masks_of
from core.data.storage import write_atomically
from core.learn.cross_training import JointRecipe
from core.learn.crossfold import FoldCallbacks
from core.learn.training import learning_rate
from core.recipes.cross_training.roles import find_background, image_tags
from core.recipes.cross_training.stages import (
    BASELINE,
    NETWORKS,
    PAINTING,
    RETRAINING,
    CrossTrainingContext,
    learn_from_masks,
    learn_pair,
    paint,
    score,
)
from core.recipes.data import RecipeData
from core.recipes.folder import claim, digest_rows, run_stage
from core.recipes.scores import MaskScore
from core.types import DatasetError, IntArray, Report, ignore_of


def _published() -> RoundConfig:
    return RoundConfig(
        model=f"{DEEPLAB}resnet50",
        input_size=512,
        crop=384,
        epochs=30,
        batch_size=10,
        scales=(0.5, 0.75, 1.0, 1.25, 1.5),
        flip=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossTrainingConfig:
    """Everything but the data that the result depends on; the seed is the network's."""

    network: RoundConfig = field(default_factory=_published)  # also for training the baseline and stage 2
    settings: CrossTrainingSettings = field(
        default_factory=lambda: CrossTrainingSettings(steps=20_000, batch_size=10, optimizer=SGD, balance=0, block=500)
    )

    def joint(self, images: int) -> JointRecipe:
        """Return the settings of the joint training, if stage 2 is trained on this number of images."""
        return JointRecipe(
            steps=self.settings.pair_steps(self.network, images),
            batch_size=self.settings.batch_size,
            learning_rate=self.settings.rate(self.network, learning_rate(self.network)),
            optimizer=self.settings.optimizer,
            trust=self.settings.trust,
            block=self.settings.block,
            seed=self.network.seed,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"network": self.network.to_json(), "settings": self.settings.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossTrainingResult:
    """Result of cross-training on the test images; scores are None without test images."""

    baseline: MaskScore | None  # trained on the given masks alone, predicting without tags
    baseline_tagged: MaskScore | None  # the same network, under the tags
    hybrid: MaskScore  # HybridNet under the tags
    pseudo: MaskScore  # PseudoNet under the tags
    retrained: MaskScore  # stage 2, without tags
    retrained_tagged: MaskScore  # the same network, under the tags
    painter: str  # the network whose masks stage 2 was trained on: "hybrid" or "pseudo"
    painted: dict[int, str]  # row -> name of its mask in the folder's `masks`
    history: list[list[float]]  # after each block of stage 1: its four losses (`LOSSES`) and the mean trust


def run_cross_training(
    data: RecipeData,
    config: CrossTrainingConfig,
    folder: Path,
    *,
    image_cache: Path,
    masks: Path,
    tags: BoolArray | None = None,
    weak_masks: IntArray | None = None,
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> CrossTrainingResult:
    """Run the whole recipe in `folder`, or continue a killed run, and return its scores.

    `masks` is the store of the given masks; `tags`, (N, K), are used instead of the classes in the masks of unlabelled
    images; `weak_masks` are the unlabelled rows whose masks may be used: where the image came without one, its open
    pixels are painted. Stage 2 is trained on the masks of PseudoNet, unless HybridNet is better on the validation
    images, if there are any.

    Raises:
        ConfigError, DatasetError, RoundError: it is impossible; the message names the remedy.
        RoundCancelledError: `should_stop` returned true; another call continues.
    """
    store = MaskStore(masks)
    usable = _usable_masks(data, weak_masks)
    background = find_background(data, config.settings.background)
    context = CrossTrainingContext(
        data=data,
        network=config.network,
        joint=config.joint(len(data.labelled) + len(data.unlabelled)),
        background=background,
        folder=folder,
        image_cache=image_cache,
        store=store,
        tags=image_tags(data, store, tags, background),
        exponent=config.settings.exponent(config.network),
        callbacks=FoldCallbacks(report, should_stop),
    )
    _claim(context, config, usable)
    names = masks_of(data.snapshot).labels
    known = {row: names[row] for row in np.concatenate([data.labelled, usable]).tolist()}
    own = MaskStore(folder / "masks")
    taught = {row: own.put(context.true(row), durable=False) for row in known}
    baseline = None
    if config.settings.baseline:
        few = {row: taught[row] for row in data.labelled.tolist()}
        seen = len(few) + len(data.unlabelled)  # images per epoch as in stage 2, for as many steps and checkpoints
        baseline = run_stage(
            folder, "baseline", lambda: _learn_and_score(context, "baseline", few, own, stage=BASELINE, seen=seen)
        )
    history = run_stage(folder, "pair", lambda: {"history": learn_pair(context, known)})["history"]
    painting = run_stage(folder, "painted", lambda: _paint_unlabelled(context, known, own))
    painted = {int(row): name for row, name in painting["masks"].items()}
    whole = taught | painted
    retrained = run_stage(
        folder,
        "retrained",
        lambda: _learn_and_score(context, "retrained", whole, own, stage=RETRAINING, seen=len(whole)),
    )
    result = CrossTrainingResult(
        baseline=None if baseline is None else MaskScore(**baseline["plain"]),
        baseline_tagged=None if baseline is None else MaskScore(**baseline["tagged"]),
        hybrid=MaskScore(**painting["hybrid"]),
        pseudo=MaskScore(**painting["pseudo"]),
        retrained=MaskScore(**retrained["plain"]),
        retrained_tagged=MaskScore(**retrained["tagged"]),
        painter=painting["painter"],
        painted=painted,
        history=history,
    )
    write_atomically(folder / "result.json", json.dumps(asdict(result)).encode())
    return result


def _usable_masks(data: RecipeData, weak_masks: IntArray | None) -> IntArray:
    """Return the unlabelled rows whose masks may be used."""
    if weak_masks is None:
        return np.empty(0, np.int64)
    names = masks_of(data.snapshot).labels
    for row in weak_masks.tolist():
        if row not in data.unlabelled or not names[row]:
            raise DatasetError(f"{data.snapshot.paths[row]} is not an unlabelled image with a mask", "leave it out")
    return weak_masks


def _claim(context: CrossTrainingContext, config: CrossTrainingConfig, usable: IntArray) -> None:
    """Write the settings of the run into its folder, or check that they are the same as before.

    Raises:
        RoundError: the folder holds another run.
    """
    if not len(context.data.unlabelled):
        raise DatasetError("no image is left to paint", "leave some without masks, with tags only")
    parts = (context.data.labelled, context.data.unlabelled, context.data.validation, context.data.test, usable)
    rows = digest_rows(parts, context.tags.tobytes())
    claim(context.folder, {"config": config.to_json(), "snapshot": context.data.snapshot.hash, "rows": rows})


def _learn_and_score(
    context: CrossTrainingContext, name: str, taught: dict[int, str], own: MaskStore, *, stage: int, seen: int
) -> dict[str, Any]:
    plain, tagged = learn_from_masks(context, name, taught, own, stage=stage, seen=seen)
    return {"plain": asdict(plain), "tagged": asdict(tagged)}


def _paint_unlabelled(context: CrossTrainingContext, known: dict[int, str], own: MaskStore) -> dict[str, Any]:
    """Score both networks under the tags, and store the masks of the better one for all unlabelled pixels."""
    data, training_data = context.data, context.training_data(known, context.store, PAINTING)
    at_once = max(1, min(context.network.batch_size * 2, training_data.most_at_once))

    def scored(name: str, rows: IntArray) -> MaskScore:
        return score(context, paint(context, training_data.images, name, rows, at_once))

    painter = "pseudo"
    if len(data.validation):
        hybrid, pseudo = (scored(name, data.validation).mean_iou or 0.0 for name in NETWORKS)
        painter = "hybrid" if hybrid > pseudo else "pseudo"
    masks = masks_of(data.snapshot)
    rest = np.array([row for row in data.unlabelled.tolist() if row not in known or masks.is_bare(row)], np.int64)
    names = {}
    predictions = create_predictions(context.folder, masks.sizes, context.classes)
    for row, mask, sure in paint(context, training_data.images, painter, rest, at_once):
        if row in known:
            begun = context.true(row)
            labelled = begun != ignore_of(begun)
            mask[labelled], sure[labelled] = begun[labelled], CERTAIN
        names[row] = own.put(mask)
        predicted, confidence, given = predictions.of(row)
        predicted[:], confidence[:], given[:] = mask, sure, CERTAIN
        predictions.fold[row] = 0
    for row in set(range(len(data.snapshot))) - set(names):  # without suggestions: the given mask as prediction
        predicted, confidence, given = predictions.of(row)
        predicted[:], confidence[:], given[:] = context.true(row), CERTAIN, CERTAIN
    predictions.flush()
    return {"painter": painter, "masks": names} | {name: asdict(scored(name, data.test)) for name in NETWORKS}
