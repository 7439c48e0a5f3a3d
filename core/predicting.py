"""Prediction of new images by the networks of a round, without a database.

The logits of each network become probabilities by its own temperature; their mean over the networks, with the weights
of the round, gives a class and its confidence, or of masks both for each pixel, at the image's own size. Memory stays
flat for images of any number and size. K classes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from core.config import RoundConfig
from core.data.arrays import place_on_canvas, read_square, scaled_size
from core.data.export.predicted import TOP, ExportedMask, LabelPrediction, PredictionCounts, write_labels, write_masks
from core.data.export.write import explain_disk_errors
from core.data.formats.source import Problems
from core.data.images import load_image
from core.data.masks.colours import class_table
from core.data.networks import About, KeptNetwork
from core.data.new_images import decode_ahead
from core.learn import devices
from core.learn.batches import ImageBatches, Scaling
from core.learn.kept_networks import load_network
from core.learn.painting import as_bytes, enlarge
from core.learn.training import predict_batches
from core.tasks import task_definition
from core.types import ByteArray, IntArray, RoundCancelledError, RoundError, SourceSample, Task, mask_dtype

Read = TypeVar("Read")

_SMALLEST = 1e-12  # probability, for logarithms
_STRIP = 1 << 24  # probabilities that exist at once at an image's own size
_LOGITS = 1 << 27  # of a batch of scenes that may exist at once: half a gigabyte


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Networks with the same input and the same classes, each with its test-time views."""

    kept: tuple[KeptNetwork, ...]
    views: tuple[nn.Module, ...]
    device: torch.device

    @property
    def about(self) -> About:
        """Facts that all networks share; temperature and scaling are their own."""
        return self.kept[0].about

    @property
    def config(self) -> RoundConfig:
        """Settings of their training."""
        return RoundConfig.from_json(self.about.config)


@dataclass(frozen=True, slots=True)
class ListedClasses:
    """Classes of written predictions, where the networks' classes were merged, reordered or undone since.

    `places` is the place in `names` of each class of the networks, (K,); a class without one is never predicted.
    """

    names: tuple[str, ...]
    colours: tuple[str, ...]
    places: tuple[int | None, ...]

    def added_up(self, probs: Tensor) -> Tensor:
        """Return the probabilities of the listed classes, (L, ...), from those of the networks' classes, (K, ...)."""
        kept = [one for one, place in enumerate(self.places) if place is not None]
        to = torch.tensor([self.places[one] for one in kept], device=probs.device)
        found = torch.zeros((len(self.names), *probs.shape[1:]), dtype=probs.dtype, device=probs.device)
        return found.index_add(0, to, probs[kept])


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionOptions:
    """Options of predictions; labels below the confidence `above`, and images above `max_pixels`, are left out."""

    above: float = 0.0
    max_pixels: int = 100_000_000
    confidence: bool = False  # of masks: write maps of the confidence as well
    listed: ListedClasses | None = None  # None: the networks' own classes
    report: Callable[[int, int], None] = lambda _done, _of: None
    should_stop: Callable[[], bool] = lambda: False
    problems: Problems = field(default_factory=Problems)


def open_ensemble(kept: Sequence[KeptNetwork], device: str = "auto") -> Ensemble:
    """Load networks as an ensemble.

    Raises:
        RoundError: there are none, one is missing or damaged, or their inputs differ.
        ConfigError: there is no such device, or no such network in these versions of the libraries.
    """
    if not kept:
        raise RoundError("no network is kept", "start a new round")
    for one in kept[1:]:
        if _SIGHTS[one.about.task](one.about) != _SIGHTS[kept[0].about.task](kept[0].about):
            raise RoundError(f"{one.full_name} and {kept[0].full_name} do not see images alike", "name one of them")
    about, chosen = kept[0].about, devices.choose(device)
    task, config = task_definition(about.task), RoundConfig.from_json(about.config)
    devices.use_fitting_threads(config.batch_size * max(config.seen_size**2, about.canvas[0] * about.canvas[1]))
    views = [task.view(config, load_network(one, chosen)) for one in kept]
    return Ensemble(tuple(kept), tuple(views), chosen)


def predict(
    ensemble: Ensemble, images: Sequence[SourceSample], target: Path, options: PredictionOptions
) -> PredictionCounts:
    """Predict these images and write the predictions to `target`: a table, or of masks a new folder.

    Unusable files are left out and added to `options.problems`.

    Raises:
        ExportError: the target cannot be written; nothing is.
        RoundError: not even one image fits into the device's memory.
        RoundCancelledError: `options.should_stop` returned true; nothing is written.
    """
    with explain_disk_errors(target):
        return _WRITERS[ensemble.about.task](ensemble, images, target, options)


def predict_labels(
    ensemble: Ensemble, images: Sequence[SourceSample], options: PredictionOptions
) -> Iterator[LabelPrediction]:
    """Yield the likeliest classes of each image that can be read, in their order."""
    config = ensemble.config

    sizes = [RoundConfig.from_json(one.about.config).input_size for one in ensemble.kept]

    def read(path: Path) -> dict[int, ByteArray]:
        return {
            size: read_square(path, size, grey=config.grey, max_pixels=options.max_pixels, window=ensemble.about.window)
            for size in set(sizes)
        }

    at_once = 2 * config.batch_size
    for batch in _read_batches(images, read, options, at_once):
        arrays = {size: np.stack([seen[size] for _, seen in batch]) for size in set(sizes)}  # (B, size, size, C) each
        probs = _mix(_answers(ensemble, [arrays[size] for size in sizes], at_once, options))  # (B, K)
        if options.listed is not None:
            probs = options.listed.added_up(probs.T).T  # (B, L)
        order = probs.argsort(dim=1, descending=True, stable=True)[:, :TOP]
        for (image, _), labels, own in zip(batch, order.tolist(), probs.gather(1, order).tolist(), strict=True):
            yield LabelPrediction(image, list(zip(labels, own, strict=True)))


def predict_masks(
    ensemble: Ensemble, images: Sequence[SourceSample], options: PredictionOptions
) -> Iterator[ExportedMask]:
    """Yield the mask of each image that can be read, in their order."""
    about, config = ensemble.about, ensemble.config
    pixels = about.canvas[0] * about.canvas[1] * len(about.classes) * len(ensemble.views)
    at_once = max(1, min(2 * config.batch_size, _LOGITS // pixels))
    read = partial(_read_scene, about=about, config=config, max_pixels=options.max_pixels)
    for batch in _read_batches(images, read, options, at_once):
        for _, alike in groupby(batch, key=lambda one: one[1].pixels.shape):
            group = list(alike)
            array = np.stack([scene.pixels for _, scene in group])  # (B, h, w, C)
            answers = [
                (logits, one.about.temperature)
                for logits, one in _answers(ensemble, [array] * len(ensemble.kept), at_once, options)
            ]
            for place, (image, scene) in enumerate(group):
                own = [(logits[place], temperature) for logits, temperature in answers]
                yield ExportedMask(image, *_paint(own, scene, options))


class _Scene(NamedTuple):
    """Image on its canvas, its extent there, and its own size; (height, width) in pixels."""

    pixels: ByteArray
    extent: tuple[int, int]
    size: tuple[int, int]


def _read_scene(path: Path, *, about: About, config: RoundConfig, max_pixels: int) -> _Scene:
    """Return an image as in training; an image of other proportions has a larger canvas of its own."""
    whole = load_image(path, grey=config.grey, max_pixels=max_pixels, window=about.window)
    height, width = whole.shape[:2]
    extent = scaled_size(height, width, config.input_size)
    canvas = max(extent[0], about.canvas[0]), max(extent[1], about.canvas[1])
    return _Scene(place_on_canvas(whole, extent, canvas), extent, (height, width))


def _paint(
    answers: Sequence[tuple[Tensor, float]], scene: _Scene, options: PredictionOptions
) -> tuple[IntArray, ByteArray]:
    """Return an image's mask and confidence, (H, W) each, from each network's logits on the canvas, (K, h, w)."""
    (height, width), classes = scene.size, len(answers[0][0] if options.listed is None else options.listed.names)
    dtype = mask_dtype(classes)
    mask, confidence = np.empty((height, width), dtype), np.empty((height, width), np.uint8)
    strips = [
        enlarge(logits[:, : scene.extent[0], : scene.extent[1]], height, width, _STRIP // len(answers))
        for logits, _ in answers
    ]
    for parts in zip(*strips, strict=True):
        top, total = parts[0][0], torch.zeros_like(parts[0][1])
        for (_, strip), (_, temperature) in zip(parts, answers, strict=True):
            total += (strip / temperature).softmax(dim=0)  # (K, lines, W)
        listed = total if options.listed is None else options.listed.added_up(total)
        best, which = (listed / len(answers)).max(dim=0)
        lines = slice(top, top + len(best))
        mask[lines] = which.cpu().numpy()
        mask[lines][(best < options.above).cpu().numpy()] = np.iinfo(dtype).max
        confidence[lines] = as_bytes(best)
    return mask, confidence


def _read_batches(
    images: Sequence[SourceSample], read: Callable[[Path], Read], options: PredictionOptions, at_once: int
) -> Iterator[list[tuple[SourceSample, Read]]]:
    """Yield the readable images in batches, and report their progress."""
    done = 0
    for batch in decode_ahead(images, read, options.problems, at_once):
        if options.should_stop():
            raise RoundCancelledError("stopped while predicting")
        if batch:
            yield batch
        done = min(done + at_once, len(images))
        options.report(done, len(images))


def _answers(
    ensemble: Ensemble, arrays: Sequence[ByteArray], at_once: int, options: PredictionOptions
) -> Iterator[tuple[Tensor, KeptNetwork]]:
    """Yield the logits of each network for its array of the images, (B, K, ...)."""
    for view, one, array in zip(ensemble.views, ensemble.kept, arrays, strict=True):
        images = ImageBatches(array, Scaling(one.about.mean, one.about.std), ensemble.device)
        yield _logits(view, images, len(array), at_once, options), one


def _logits(view: nn.Module, images: ImageBatches, count: int, at_once: int, options: PredictionOptions) -> Tensor:
    try:
        looks = predict_batches(
            view, images, torch.arange(count), at_once, on_progress=lambda *_: None, should_stop=options.should_stop
        )
        return torch.cat([logits for _, logits in looks])
    except torch.OutOfMemoryError:
        if at_once == 1:
            raise RoundError("not even one image fits into the device's memory", "choose --device cpu") from None
    return _logits(view, images, count, at_once // 2, options)


def _mix(answers: Iterable[tuple[Tensor, KeptNetwork]]) -> Tensor:
    """Return the networks' probabilities, weighted and sharpened as in their round, (B, K)."""
    total, weight, sharpening = torch.zeros(()), 0.0, 1.0
    for logits, one in answers:
        total = total + one.about.weight * (logits / one.about.temperature).softmax(dim=1)
        weight, sharpening = weight + one.about.weight, one.about.sharpening
    probs = total / weight
    return probs if sharpening == 1 else (probs.clamp_min(_SMALLEST).log() / sharpening).softmax(dim=1)


def _label_sight(about: About) -> tuple[object, ...]:
    config = RoundConfig.from_json(about.config)
    return about.task, about.classes, config.grey, about.sharpening, about.window


def _mask_sight(about: About) -> tuple[object, ...]:
    config = RoundConfig.from_json(about.config)
    views = config.crop, config.scales, config.flip
    return about.task, about.classes, about.canvas, config.input_size, config.grey, views, about.window


_SIGHTS: Mapping[Task, Callable[[About], tuple[object, ...]]] = {  # facts that networks of an ensemble must share
    Task.CLASSIFICATION: _label_sight,
    Task.SEGMENTATION: _mask_sight,
}


def _write_table(
    ensemble: Ensemble, images: Sequence[SourceSample], target: Path, options: PredictionOptions
) -> PredictionCounts:
    classes = ensemble.about.classes if options.listed is None else options.listed.names
    return write_labels(target, predict_labels(ensemble, images, options), classes, options.above)


def _write_folder(
    ensemble: Ensemble, images: Sequence[SourceSample], target: Path, options: PredictionOptions
) -> PredictionCounts:
    about = ensemble.about
    names, colours = about.classes, about.colours
    if options.listed is not None:
        names, colours = options.listed.names, options.listed.colours
    table = class_table(names, colours)
    return write_masks(
        target, images, predict_masks(ensemble, images, options), table, confidence=options.confidence
    )  # fmt: skip


_WRITERS: Mapping[Task, Callable[[Ensemble, Sequence[SourceSample], Path, PredictionOptions], PredictionCounts]] = {
    Task.CLASSIFICATION: _write_table,
    Task.SEGMENTATION: _write_folder,
}
