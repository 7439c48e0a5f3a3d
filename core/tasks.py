"""Differences between the kinds of labels, classes and masks, as fields of `TaskDefinition`.

No other module of `core` compares with a kind; in `app` only the label editor does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Generator, Tensor, nn

from core.config import ProbabilityMethod, RoundConfig, Weights
from core.data.arrays import decode_squares, extents, image_canvases, mask_canvases, read_mask
from core.data.likeliest import keeps_all
from core.data.masks.store import MaskStore
from core.data.predictions import create_predictions, create_votes
from core.data.snapshot import Snapshot, masks_of
from core.judge import calibration, mask_scoring
from core.learn import devices
from core.learn.augment import (
    Augment,
    MultiViewNetwork,
    jitter_labels,
    mirror_half,
    scene_jitter,
    strong_labels,
    strong_moved_views,
    strong_views,
)
from core.learn.batches import ClassTargets, ImageBatches, MaskTargets, Scaling, Targets, WeighedTargets
from core.learn.crossfold import (
    FoldCallbacks,
    FoldResult,
    FoldSplit,
    Keep,
    Probed,
    TrainingData,
    keep_likeliest,
    keep_logits,
)
from core.learn.models.classifier import build_classifier, initial_scaling
from core.learn.models.segmenter import build_segmenter
from core.learn.painting import Painter
from core.learn.pixel_probe import probe_scenes
from core.learn.training import median_frequency
from core.types import IGNORE, DatasetError, FloatArray, IntArray, Progress, RoundError, Task

_LOGITS = 1 << 27  # of a batch of scenes that may exist at once: half a gigabyte


@dataclass(frozen=True, slots=True)
class RoundPaths:
    """Paths of a round: its own folder, the arrays of decoded images, and the store of masks (if any)."""

    folder: Path
    image_cache: Path
    masks: Path | None
    round_folder: Path | None = None  # where `folder` is that of a further network

    @property
    def mask_store(self) -> MaskStore:
        """Store of masks.

        Raises:
            RoundError: there is none.
        """
        if self.masks is None:
            raise RoundError("this round's labels are masks", "start it again with the folder of their store")
        return MaskStore(self.masks)

    @property
    def embeddings_folder(self) -> Path:
        """Folder of the embeddings for the similarity of the round's images: those of its first probe."""
        return self.round_folder or self.folder


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """Functions and facts of one kind of label."""

    least_classes: int  # different training labels that a fold must have
    training_data: Callable[[Snapshot, RoundConfig, RoundPaths, Progress, FoldCallbacks], TrainingData]
    build_network: Callable[[RoundConfig, int, int], nn.Module]  # config, channels, classes
    augment: Callable[[RoundConfig], Augment]  # changes images and targets alike
    strong_augment: Callable[[RoundConfig], Augment]  # stronger augmentation, if that helps
    strong_views: Callable[[Tensor, Generator], Tensor]  # of images, whose targets stay, (B, C, H, W)
    mixed_views: int  # of consistency training: see `core.learn.consistency.Consistency`
    view: Callable[[RoundConfig, nn.Module], nn.Module]  # the network with its test-time views
    keep: Callable[[Snapshot, RoundConfig, RoundPaths], Keep]  # processes the held-out logits
    probe: Callable[[RoundConfig, TrainingData, FoldSplit, Probed, FoldCallbacks], FoldResult] | None = (
        None  # None: one embedding an image
    )
    mirrored: Callable[[Augment], Augment] | None = None  # of half mirrored images; None: as the config says


def task_of(snapshot: Snapshot) -> TaskDefinition:
    """Return the definition of a snapshot's kind of label."""
    return task_definition(snapshot.task)


def task_definition(kind: Task) -> TaskDefinition:
    """Return the definition of a kind of label."""
    return _TASKS[kind]


def _labelled_data(
    snapshot: Snapshot, config: RoundConfig, places: RoundPaths, reading: Progress, callbacks: FoldCallbacks
) -> TrainingData:
    array = decode_squares(
        snapshot.paths,
        snapshot.seen_hashes,
        size=config.input_size,
        grey=config.grey,
        cache=places.image_cache,
        report=_report_count(reading, callbacks, "images"),
        should_stop=callbacks.should_stop,
        window=snapshot.window,
    )
    devices.use_fitting_threads(config.batch_size * config.seen_size**2)
    device = devices.choose(config.device)
    probed = config.method is ProbabilityMethod.PROBE
    scaling = initial_scaling(config, array.shape[3]) if probed else Scaling.measured(array)
    return TrainingData(
        ImageBatches(array, scaling, device), ClassTargets(snapshot.labels, device), len(snapshot), lambda _: None
    )


def _masked_data(
    snapshot: Snapshot, config: RoundConfig, places: RoundPaths, reading: Progress, callbacks: FoldCallbacks
) -> TrainingData:
    masks, store = masks_of(snapshot), places.mask_store  # refused before images are read
    images = image_canvases(
        snapshot.paths,
        snapshot.seen_hashes,
        masks.sizes,
        size=config.input_size,
        grey=config.grey,
        cache=places.image_cache,
        report=_report_count(reading, callbacks, "images"),
        should_stop=callbacks.should_stop,
        window=snapshot.window,
    )
    array = mask_canvases(
        store,
        masks.labels,
        masks.sizes,
        size=config.input_size,
        classes=len(snapshot.classes),
        cache=places.image_cache,
        report=_report_count(reading, callbacks, "masks"),
        should_stop=callbacks.should_stop,
    )
    pixels, classes = array.shape[1] * array.shape[2], len(snapshot.classes)
    devices.use_fitting_threads(config.batch_size * pixels)
    device = devices.choose(config.device)

    def class_weights(rows: IntArray) -> FloatArray | None:
        return median_frequency(array, rows, classes) if config.class_weights else None

    most = max(1, _LOGITS // (pixels * classes))
    trained_before = config.method is ProbabilityMethod.PROBE or config.weights is Weights.PACKAGED
    scaling = initial_scaling(config, images.shape[3]) if trained_before else Scaling.measured(images)
    return TrainingData(ImageBatches(images, scaling, device), MaskTargets(array, device), most, class_weights)


def weigh_pixels(
    targets: Targets,
    snapshot: Snapshot,
    names: Mapping[int, str],
    config: RoundConfig,
    places: RoundPaths,
    callbacks: FoldCallbacks,
) -> WeighedTargets:
    """Return targets of masks with weights: `names` are row -> name of a mask of weights, 0 to 254, in the store."""
    sizes = masks_of(snapshot).sizes
    array = mask_canvases(
        places.mask_store,
        [names.get(row, "") for row in range(len(snapshot))],
        sizes,
        size=config.input_size,
        classes=IGNORE,
        cache=places.image_cache,
        report=lambda _done, _count: None,
        should_stop=callbacks.should_stop,
    )
    return WeighedTargets(targets, MaskTargets(array, devices.choose(config.device)))


def _scene_view(config: RoundConfig, network: nn.Module) -> nn.Module:
    """Return the network with its test-time views of scenes; a probe sees images whole, and in all sizes at once."""
    if config.method is ProbabilityMethod.PROBE:
        return network
    return MultiViewNetwork(network, crop=config.crop, scales=config.scales, flip=config.flip)


def _keep_labels(snapshot: Snapshot, _config: RoundConfig, _places: RoundPaths) -> Keep:
    return keep_logits if keeps_all(len(snapshot), len(snapshot.classes)) else keep_likeliest


def _keep_masks(snapshot: Snapshot, config: RoundConfig, places: RoundPaths) -> Keep:
    masks, store = masks_of(snapshot), places.mask_store
    classes = len(snapshot.classes)

    def given(row: int) -> IntArray:
        height, width = masks.sizes[row].tolist()
        try:
            return read_mask(store, masks.labels[row], height, width, classes)
        except DatasetError as error:
            raise RoundError(f"{snapshot.paths[row]}: {error.message}", error.cure) from error

    return Painter(
        predictions=create_predictions(places.folder, masks.sizes, classes),
        open_votes=lambda fold, shared: create_votes(places.folder, fold, masks.sizes, shared, classes),
        extents=extents(masks.sizes, config.input_size),
        given=given,
        classes=classes,
        fit=calibration.temperature,
        mean_iou=mask_scoring.mean_iou,
        tags=snapshot.tags,
        learnable=snapshot.learnable,
    )


def _report_count(reading: Progress, callbacks: FoldCallbacks, what: str) -> Callable[[int, int], None]:
    return lambda done, count: callbacks.report(replace(reading, message=f"{done:,} of {count:,} {what}"))


CLASSIFICATION = TaskDefinition(
    least_classes=2,
    training_data=_labelled_data,
    build_network=build_classifier,
    augment=lambda _config: jitter_labels,
    strong_augment=lambda _config: strong_labels,
    strong_views=strong_moved_views,
    mixed_views=0,
    view=lambda _config, network: network,
    keep=_keep_labels,
    mirrored=mirror_half,
)
SEGMENTATION = TaskDefinition(
    least_classes=1,  # one mask may hold many
    training_data=_masked_data,
    build_network=build_segmenter,
    augment=lambda config: scene_jitter(config.crop, mirror=config.mirror),
    strong_augment=lambda config: scene_jitter(config.crop, mirror=config.mirror),  # stronger ones lose (docs/log.md)
    strong_views=strong_views,
    mixed_views=2,
    view=_scene_view,
    keep=_keep_masks,
    probe=probe_scenes,
)
_TASKS: Mapping[Task, TaskDefinition] = {Task.CLASSIFICATION: CLASSIFICATION, Task.SEGMENTATION: SEGMENTATION}
