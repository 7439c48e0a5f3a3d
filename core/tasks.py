"""The one seam between the kinds of labels: everything that differs between them is a field of `Task`.

Nobody else asks what kind a dataset is, but the label editor.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from core.config import Method, RoundConfig, Weights
from core.data.arrays import decoded
from core.data.canvases import extents, image_canvases, mask_canvases, read_mask
from core.data.masks.store import MaskStore
from core.data.predictions import create_predictions
from core.data.snapshot import Masks, Snapshot
from core.data.votes import create_votes
from core.judge import calibration, mask_scoring
from core.learn import devices
from core.learn.augment import Augment, jittered_labels, jittered_scenes
from core.learn.batches import Images, Labels, MaskTargets, Scaling
from core.learn.crossfold import Held, Keep, Material, Outcome, Telling, keep_predicted
from core.learn.losses import median_frequency
from core.learn.models.classifier import build_classifier, first_scaling
from core.learn.models.segmenter import build_segmenter
from core.learn.painting import Painter
from core.learn.pixel_probe import Probed, probe_scenes
from core.learn.views import View
from core.types import DatasetError, FloatArray, IntArray, Progress, RoundError
from core.types import Task as Kind

_LOGITS = 1 << 27  # of a batch of scenes that may exist at once: half a gigabyte


@dataclass(frozen=True, slots=True)
class Places:
    """Where a round's files lie: its own folder, the arrays of decoded images, and the store of masks (if any)."""

    folder: Path
    image_cache: Path
    masks: Path | None
    round_folder: Path | None = None  # where `folder` is that of a further network

    @property
    def embeddings_folder(self) -> Path:
        """Return where the embeddings lie by which the round's images are alike: those of the first probe in it."""
        return self.round_folder or self.folder


@dataclass(frozen=True, slots=True)
class Task:
    """What a round needs to know of a kind of label."""

    least_classes: int  # different labels that a fold must have to learn from
    material: Callable[[Snapshot, RoundConfig, Places, Progress, Telling], Material]
    build_network: Callable[[RoundConfig, int, int], nn.Module]  # config, channels, classes
    augment: Callable[[RoundConfig], Augment]  # changes images and targets so that the targets stay true
    view: Callable[[RoundConfig, nn.Module], nn.Module]  # the network as it looks at held-out images
    keep: Callable[[Snapshot, RoundConfig, Places], Keep]  # what becomes of the held-out logits
    probe: Callable[[RoundConfig, Material, Held, Probed, Telling], Outcome] | None = (
        None  # None: one embedding an image
    )


def task_of(snapshot: Snapshot) -> Task:
    """Return what kind of label a round was opened with."""
    return of_kind(snapshot.task)


def of_kind(kind: Kind) -> Task:
    """Return what there is to know of a kind of label."""
    return _TASKS[kind]


def _labelled_images(
    snapshot: Snapshot, config: RoundConfig, places: Places, reading: Progress, telling: Telling
) -> Material:
    array = decoded(
        snapshot.paths,
        snapshot.seen_hashes,
        size=config.input_size,
        grey=config.grey,
        cache=places.image_cache,
        report=_counting(reading, telling, "images"),
        should_stop=telling.should_stop,
        window=snapshot.window,
    )
    devices.use_fitting_threads(config.batch_size * config.seen_size**2)
    device = devices.choose(config.device)
    probed = config.method is Method.PROBE
    scaling = first_scaling(config, array.shape[3]) if probed else Scaling.measured(array)
    return Material(Images(array, scaling, device), Labels(snapshot.labels, device), len(snapshot), lambda _: None)


def _masked_scenes(
    snapshot: Snapshot, config: RoundConfig, places: Places, reading: Progress, telling: Telling
) -> Material:
    masks, store = _masks(snapshot, places)
    images = image_canvases(
        snapshot.paths,
        snapshot.seen_hashes,
        masks.sizes,
        size=config.input_size,
        grey=config.grey,
        cache=places.image_cache,
        report=_counting(reading, telling, "images"),
        should_stop=telling.should_stop,
        window=snapshot.window,
    )
    array = mask_canvases(
        store,
        masks.labels,
        masks.sizes,
        size=config.input_size,
        classes=len(snapshot.classes),
        cache=places.image_cache,
        report=_counting(reading, telling, "masks"),
        should_stop=telling.should_stop,
    )
    pixels, classes = array.shape[1] * array.shape[2], len(snapshot.classes)
    devices.use_fitting_threads(config.batch_size * pixels)
    device = devices.choose(config.device)

    def class_weights(rows: IntArray) -> FloatArray | None:
        return median_frequency(array, rows, classes) if config.class_weights else None

    most = max(1, _LOGITS // (pixels * classes))
    trained_before = config.method is Method.PROBE or config.weights is Weights.PACKAGED
    scaling = first_scaling(config, images.shape[3]) if trained_before else Scaling.measured(images)
    return Material(Images(images, scaling, device), MaskTargets(array, device), most, class_weights)


def _view_of_scenes(config: RoundConfig, network: nn.Module) -> nn.Module:
    """Return the network as it looks at scenes; a probe sees every image whole, and in all sizes at once."""
    if config.method is Method.PROBE:
        return network
    return View(network, crop=config.crop, scales=config.scales, flip=config.flip)


def _paint(snapshot: Snapshot, config: RoundConfig, places: Places) -> Keep:
    masks, store = _masks(snapshot, places)
    classes = len(snapshot.classes)

    def given(row: int) -> IntArray:
        height, width = masks.sizes[row].tolist()
        try:
            return read_mask(store, masks.labels[row], height, width, classes)
        except DatasetError as error:
            raise RoundError(f"{snapshot.paths[row]}: {error}") from error

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


def _masks(snapshot: Snapshot, places: Places) -> tuple[Masks, MaskStore]:
    if snapshot.masks is None or places.masks is None:
        raise RoundError("this round's labels are masks, and it was not told where they are kept; start it again")
    return snapshot.masks, MaskStore(places.masks)


def _counting(reading: Progress, telling: Telling, what: str) -> Callable[[int, int], None]:
    return lambda done, count: telling.report(replace(reading, message=f"{done:,} of {count:,} {what}"))


CLASSIFICATION = Task(
    least_classes=2,
    material=_labelled_images,
    build_network=build_classifier,
    augment=lambda _config: jittered_labels,
    view=lambda _config, network: network,
    keep=lambda _snapshot, _config, _places: keep_predicted,
)
SEGMENTATION = Task(
    least_classes=1,  # one mask may hold many
    material=_masked_scenes,
    build_network=build_segmenter,
    augment=lambda config: jittered_scenes(config.crop, mirror=config.mirror),
    view=_view_of_scenes,
    keep=_paint,
    probe=probe_scenes,
)
_TASKS: Mapping[Kind, Task] = {Kind.CLASSIFICATION: CLASSIFICATION, Kind.SEGMENTATION: SEGMENTATION}
