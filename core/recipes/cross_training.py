"""Few masks, many tags: two networks teach each other, paint the rest, and a third learns from all of it.

Y. Wang et al., *Learning pseudo labels for semi-and-weakly supervised semantic segmentation*, Pattern Recognition 2022.
Everything happens in one folder, so that a killed run goes on where it was: `recipe.json` (what is run),
`baseline.json`, `pair.json`, `painted.json` (row -> name of the mask in `masks/`), `retrained.json`, `result.json`, the
networks beside them as .safetensors, and what was painted, with how sure that is, as `core.data.predictions` has it.
The test images are looked at once by each network, at its end.
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
from core.data.storage import write_atomically
from core.learn.cross_training.optimizing import JointRecipe
from core.learn.crossfold import Telling
from core.learn.optimizing import learning_rate
from core.recipes.cross_stages import (
    BASELINE,
    NETWORKS,
    PAINTING,
    RETRAINING,
    Workshop,
    learn_pair,
    learn_plainly,
    paint,
    score,
)
from core.recipes.data import RecipeData
from core.recipes.folder import claim, digest_of, stage
from core.recipes.scores import MaskScore
from core.recipes.tags import BoolArray, class_called, image_tags, masks_of
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
    """Everything that decides the outcome, with the data: its seed is the network's."""

    network: RoundConfig = field(default_factory=_published)  # also how the baseline and stage 2 are trained
    settings: CrossTrainingSettings = field(
        default_factory=lambda: CrossTrainingSettings(steps=20_000, batch_size=10, optimizer=SGD, block=500)
    )

    def joint(self, images: int) -> JointRecipe:
        """Return how both networks are trained together where stage 2 learns so many images."""
        return JointRecipe(
            steps=self.settings.pair_steps(self.network, images),
            batch_size=self.settings.batch_size,
            learning_rate=self.settings.rate(self.network, learning_rate(self.network)),
            optimizer=self.settings.optimizer,
            block=self.settings.block,
            seed=self.network.seed,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"network": self.network.to_json(), "settings": self.settings.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossTraining:
    """What came out, on the test images; scores are None where there are none."""

    baseline: MaskScore | None  # learnt from the given masks alone, seen without tags
    baseline_tagged: MaskScore | None  # the same network, under the tags
    hybrid: MaskScore  # HybridNet under the tags
    pseudo: MaskScore  # PseudoNet under the tags
    retrained: MaskScore  # stage 2, without tags
    retrained_tagged: MaskScore  # the same network, under the tags
    painter: str  # whose masks stage 2 learnt: "hybrid" or "pseudo"
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
) -> CrossTraining:
    """Run the whole recipe in `folder`, on from where a killed run was, and return what it is worth.

    `masks` is the store of the given masks; `tags`, (N, K), replace what the unlabelled images' masks say they show;
    `weak_masks` are those of the unlabelled rows whose masks may be used: of images that came without one, what is not
    labelled yet is painted. PseudoNet's masks are learnt in stage 2, unless HybridNet does better on the validation
    images, if there are any.

    Raises:
        ConfigError, DatasetError, RoundError: it cannot be done; the text says the cure.
        RoundCancelledError: `should_stop` said so; run it again to go on.
    """
    store = MaskStore(masks)
    usable = _usable(data, weak_masks)
    background = class_called(data, config.settings.background)
    shop = Workshop(
        data=data,
        network=config.network,
        joint=config.joint(len(data.labelled) + len(data.unlabelled)),
        background=background,
        folder=folder,
        image_cache=image_cache,
        store=store,
        tags=image_tags(data, store, tags, background),
        telling=Telling(report, should_stop),
    )
    _claim(shop, config, usable)
    names = masks_of(data.snapshot).labels
    known = {row: names[row] for row in np.concatenate([data.labelled, usable]).tolist()}
    own = MaskStore(folder / "masks")
    taught = {row: own.put(shop.true(row), durable=False) for row in known}
    baseline = None
    if config.settings.baseline:
        few = {row: taught[row] for row in data.labelled.tolist()}
        seen = len(few) + len(data.unlabelled)  # images an epoch, as in stage 2: as many steps, and as many checkpoints
        baseline = stage(folder, "baseline", lambda: _plain(shop, "baseline", few, own, stage=BASELINE, seen=seen))
    history = stage(folder, "pair", lambda: {"history": learn_pair(shop, known)})["history"]
    painting = stage(folder, "painted", lambda: _painted(shop, known, own))
    painted = {int(row): name for row, name in painting["masks"].items()}
    whole = taught | painted
    retrained = stage(
        folder, "retrained", lambda: _plain(shop, "retrained", whole, own, stage=RETRAINING, seen=len(whole))
    )
    result = CrossTraining(
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


def _usable(data: RecipeData, weak_masks: IntArray | None) -> IntArray:
    """Return the unlabelled rows whose masks may be used."""
    if weak_masks is None:
        return np.empty(0, np.int64)
    names = masks_of(data.snapshot).labels
    for row in weak_masks.tolist():
        if row not in data.unlabelled or not names[row]:
            raise DatasetError(f"{data.snapshot.paths[row]} is no unlabelled image with a mask; leave it out")
    return weak_masks


def _claim(shop: Workshop, config: CrossTrainingConfig, usable: IntArray) -> None:
    """Write down what is run here, or check that it is the same as before.

    Raises:
        RoundError: something else was begun in this folder.
    """
    if not len(shop.data.unlabelled):
        raise DatasetError("no image is there to be painted; leave some without masks, with tags only")
    parts = (shop.data.labelled, shop.data.unlabelled, shop.data.validation, shop.data.test, usable)
    rows = digest_of(parts, shop.tags.tobytes())
    claim(shop.folder, {"config": config.to_json(), "snapshot": shop.data.snapshot.hash, "rows": rows})


def _plain(
    shop: Workshop, name: str, taught: dict[int, str], own: MaskStore, *, stage: int, seen: int
) -> dict[str, Any]:
    plain, tagged = learn_plainly(shop, name, taught, own, stage=stage, seen=seen)
    return {"plain": asdict(plain), "tagged": asdict(tagged)}


def _painted(shop: Workshop, known: dict[int, str], own: MaskStore) -> dict[str, Any]:
    """Score both networks under the tags, and keep the masks of the better one for all that is not labelled."""
    data, material = shop.data, shop.material(known, shop.store, PAINTING)
    at_once = max(1, min(shop.network.batch_size * 2, material.most_at_once))

    def scored(name: str, rows: IntArray) -> MaskScore:
        return score(shop, paint(shop, material.images, name, rows, at_once))

    painter = "pseudo"
    if len(data.validation):
        hybrid, pseudo = (scored(name, data.validation).mean_iou or 0.0 for name in NETWORKS)
        painter = "hybrid" if hybrid > pseudo else "pseudo"
    masks = masks_of(data.snapshot)
    rest = np.array([row for row in data.unlabelled.tolist() if row not in known or masks.is_bare(row)], np.int64)
    names = {}
    predictions = create_predictions(shop.folder, masks.sizes, shop.classes)
    for row, mask, sure in paint(shop, material.images, painter, rest, at_once):
        if row in known:
            begun = shop.true(row)
            labelled = begun != ignore_of(begun)
            mask[labelled], sure[labelled] = begun[labelled], CERTAIN
        names[row] = own.put(mask)
        predicted, confidence, given = predictions.of(row)
        predicted[:], confidence[:], given[:] = mask, sure, CERTAIN
        predictions.fold[row] = 0
    for row in set(range(len(data.snapshot))) - set(names):  # nothing is suggested there but what is given
        predicted, confidence, given = predictions.of(row)
        predicted[:], confidence[:], given[:] = shop.true(row), CERTAIN, CERTAIN
    predictions.flush()
    return {"painter": painter, "masks": names} | {name: asdict(scored(name, data.test)) for name in NETWORKS}
