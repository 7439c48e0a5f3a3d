"""Ask the networks that a round kept about new images: what they say together, image by image, without a database.

Each network's logits become probabilities by its own temperature, and the answer is the mean over the networks with the
weights of their round: a class and how sure they are, or of masks a class and that for each pixel, at the image's own
size. Memory stays flat however many images there are and however large they are. K classes.
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
from core.data.arrays import read_square, scaled_size
from core.data.canvases import on_canvas
from core.data.export.predicted import TOP, LabelPrediction, MaskPrediction, Tally, write_labels, write_masks
from core.data.export.write import telling_full_disk
from core.data.formats.source import Problems
from core.data.images import load_image
from core.data.masks.colours import class_table
from core.data.networks import About, KeptNetwork
from core.data.new_images import NewImage, decoded_ahead
from core.learn import devices
from core.learn.batches import Images, Scaling
from core.learn.models.kept import load_network
from core.learn.painting import as_bytes, enlarged
from core.learn.training import predicted
from core.tasks import of_kind
from core.types import ByteArray, IntArray, RoundCancelledError, RoundError, Task, mask_dtype

Read = TypeVar("Read")

_SMALLEST = 1e-12  # probability whose logarithm is taken
_STRIP = 1 << 24  # probabilities that exist at once at an image's own size
_LOGITS = 1 << 27  # of a batch of scenes that may exist at once: half a gigabyte


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Networks that see images alike and know the same classes; ready to be asked, each as it looks at images."""

    kept: tuple[KeptNetwork, ...]
    views: tuple[nn.Module, ...]
    device: torch.device

    @property
    def about(self) -> About:
        """Return what all of them share; temperature and scaling are each one's own."""
        return self.kept[0].about

    @property
    def config(self) -> RoundConfig:
        """Return how they were trained."""
        return RoundConfig.from_json(self.about.config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How new images are predicted: what is less sure than `above` gets no label; larger images are left out."""

    above: float = 0.0
    max_pixels: int = 100_000_000
    confidence: bool = False  # of masks: whether maps of it are written too
    report: Callable[[int, int], None] = lambda _done, _of: None
    should_stop: Callable[[], bool] = lambda: False
    problems: Problems = field(default_factory=Problems)


def open_ensemble(kept: Sequence[KeptNetwork], device: str = "auto") -> Ensemble:
    """Load these networks.

    Raises:
        RoundError: there is none, one is missing or damaged, or they do not see images alike.
        ConfigError: there is no such device, or no such network in these versions of the libraries.
    """
    if not kept:
        raise RoundError("no network is kept that could be asked; start a new round")
    for one in kept[1:]:
        if _SIGHTS[one.about.task](one.about) != _SIGHTS[kept[0].about.task](kept[0].about):
            raise RoundError(f"{one.full_name} and {kept[0].full_name} do not see images alike; name one of them")
    about, chosen = kept[0].about, devices.choose(device)
    task, config = of_kind(about.task), RoundConfig.from_json(about.config)
    devices.use_fitting_threads(config.batch_size * max(config.seen_size**2, about.canvas[0] * about.canvas[1]))
    views = [task.view(config, load_network(one, chosen)) for one in kept]
    return Ensemble(tuple(kept), tuple(views), chosen)


def predict(ensemble: Ensemble, images: Sequence[NewImage], target: Path, wish: Wish) -> Tally:
    """Predict these images and write what comes of it to `target`: a table, or of masks a new folder.

    Files that cannot be used are left out and noted in `wish.problems`.

    Raises:
        ExportError: it cannot be written there; nothing is.
        RoundError: not even one image fits into the device's memory.
        RoundCancelledError: `wish.should_stop` said so; nothing is written.
    """
    with telling_full_disk(target):
        return _WRITERS[ensemble.about.task](ensemble, images, target, wish)


def predict_labels(ensemble: Ensemble, images: Sequence[NewImage], wish: Wish) -> Iterator[LabelPrediction]:
    """Yield the likeliest classes of each image that can be read, in their order."""
    config = ensemble.config

    sizes = [RoundConfig.from_json(one.about.config).input_size for one in ensemble.kept]

    def read(path: Path) -> dict[int, ByteArray]:
        return {
            size: read_square(path, size, grey=config.grey, max_pixels=wish.max_pixels, window=ensemble.about.window)
            for size in set(sizes)
        }

    at_once = 2 * config.batch_size
    for batch in _read_on(images, read, wish, at_once):
        arrays = {size: np.stack([seen[size] for _, seen in batch]) for size in set(sizes)}  # (B, size, size, C) each
        probs = _mixed(_asked(ensemble, [arrays[size] for size in sizes], at_once, wish))  # (B, K)
        order = probs.argsort(dim=1, descending=True, stable=True)[:, :TOP]
        for (image, _), labels, own in zip(batch, order.tolist(), probs.gather(1, order).tolist(), strict=True):
            yield LabelPrediction(image, list(zip(labels, own, strict=True)))


def predict_masks(ensemble: Ensemble, images: Sequence[NewImage], wish: Wish) -> Iterator[MaskPrediction]:
    """Yield the mask of each image that can be read, in their order."""
    about, config = ensemble.about, ensemble.config
    pixels = about.canvas[0] * about.canvas[1] * len(about.classes) * len(ensemble.views)
    at_once = max(1, min(2 * config.batch_size, _LOGITS // pixels))
    read = partial(_read_scene, about=about, config=config, max_pixels=wish.max_pixels)
    for batch in _read_on(images, read, wish, at_once):
        for _, alike in groupby(batch, key=lambda one: one[1].pixels.shape):
            group = list(alike)
            array = np.stack([scene.pixels for _, scene in group])  # (B, h, w, C)
            answers = [
                (logits, one.about.temperature)
                for logits, one in _asked(ensemble, [array] * len(ensemble.kept), at_once, wish)
            ]
            for place, (image, scene) in enumerate(group):
                own = [(logits[place], temperature) for logits, temperature in answers]
                yield MaskPrediction(image, *_painted(own, scene, wish.above))


class _Scene(NamedTuple):
    """An image on its canvas, how much of that it takes, and how large it is; (height, width) in pixels."""

    pixels: ByteArray
    extent: tuple[int, int]
    size: tuple[int, int]


def _read_scene(path: Path, *, about: About, config: RoundConfig, max_pixels: int) -> _Scene:
    """Return an image as the networks saw theirs; one of other proportions has a larger canvas of its own."""
    whole = load_image(path, grey=config.grey, max_pixels=max_pixels, window=about.window)
    height, width = whole.shape[:2]
    extent = scaled_size(height, width, config.input_size)
    canvas = max(extent[0], about.canvas[0]), max(extent[1], about.canvas[1])
    return _Scene(on_canvas(whole, extent, canvas), extent, (height, width))


def _painted(answers: Sequence[tuple[Tensor, float]], scene: _Scene, above: float) -> tuple[IntArray, ByteArray]:
    """Return an image's mask and confidence, (H, W) each, from each network's logits on the canvas, (K, h, w)."""
    (height, width), classes = scene.size, len(answers[0][0])
    dtype = mask_dtype(classes)
    mask, confidence = np.empty((height, width), dtype), np.empty((height, width), np.uint8)
    strips = [
        enlarged(logits[:, : scene.extent[0], : scene.extent[1]], height, width, _STRIP // len(answers))
        for logits, _ in answers
    ]
    for parts in zip(*strips, strict=True):
        top, total = parts[0][0], torch.zeros_like(parts[0][1])
        for (_, strip), (_, temperature) in zip(parts, answers, strict=True):
            total += (strip / temperature).softmax(dim=0)  # (K, lines, W)
        best, which = (total / len(answers)).max(dim=0)
        lines = slice(top, top + len(best))
        mask[lines] = which.cpu().numpy()
        mask[lines][(best < above).cpu().numpy()] = np.iinfo(dtype).max
        confidence[lines] = as_bytes(best)
    return mask, confidence


def _read_on(
    images: Sequence[NewImage], read: Callable[[Path], Read], wish: Wish, at_once: int
) -> Iterator[list[tuple[NewImage, Read]]]:
    """Yield the images that can be read, some at a time, and tell how many are done."""
    done = 0
    for batch in decoded_ahead(images, read, wish.problems, at_once):
        if wish.should_stop():
            raise RoundCancelledError("stopped while predicting")
        if batch:
            yield batch
        done = min(done + at_once, len(images))
        wish.report(done, len(images))


def _asked(
    ensemble: Ensemble, arrays: Sequence[ByteArray], at_once: int, wish: Wish
) -> Iterator[tuple[Tensor, KeptNetwork]]:
    """Yield what each network says of its array of the images, (B, K, ...)."""
    for view, one, array in zip(ensemble.views, ensemble.kept, arrays, strict=True):
        images = Images(array, Scaling(one.about.mean, one.about.std), ensemble.device)
        yield _logits(view, images, len(array), at_once, wish), one


def _logits(view: nn.Module, images: Images, count: int, at_once: int, wish: Wish) -> Tensor:
    try:
        looks = predicted(
            view, images, torch.arange(count), at_once, on_look=lambda *_: None, should_stop=wish.should_stop
        )
        return torch.cat([logits for _, logits in looks])
    except torch.OutOfMemoryError:
        if at_once == 1:
            raise RoundError("not even one image fits into the device's memory; choose --device cpu") from None
    return _logits(view, images, count, at_once // 2, wish)


def _mixed(answers: Iterable[tuple[Tensor, KeptNetwork]]) -> Tensor:
    """Return the networks' probabilities weighted and sharpened as their round did it, (B, K)."""
    total, weight, sharpening = torch.zeros(()), 0.0, 1.0
    for logits, one in answers:
        total = total + one.about.weight * (logits / one.about.temperature).softmax(dim=1)
        weight, sharpening = weight + one.about.weight, one.about.sharpening
    probs = total / weight
    return probs if sharpening == 1 else (probs.clamp_min(_SMALLEST).log() / sharpening).softmax(dim=1)


def _of_labels(about: About) -> tuple[object, ...]:
    config = RoundConfig.from_json(about.config)
    return about.task, about.classes, config.grey, about.sharpening, about.window


def _of_masks(about: About) -> tuple[object, ...]:
    config = RoundConfig.from_json(about.config)
    views = config.crop, config.scales, config.flip
    return about.task, about.classes, about.canvas, config.input_size, config.grey, views, about.window


_SIGHTS: Mapping[Task, Callable[[About], tuple[object, ...]]] = {  # in what networks must be alike to be asked together
    Task.CLASSIFICATION: _of_labels,
    Task.SEGMENTATION: _of_masks,
}


def _table(ensemble: Ensemble, images: Sequence[NewImage], target: Path, wish: Wish) -> Tally:
    return write_labels(target, predict_labels(ensemble, images, wish), ensemble.about.classes, wish.above)


def _folder(ensemble: Ensemble, images: Sequence[NewImage], target: Path, wish: Wish) -> Tally:
    about = ensemble.about
    table = class_table(about.classes, about.colours)
    return write_masks(
        target, images, predict_masks(ensemble, images, wish), table, confidence=wish.confidence
    )  # fmt: skip


_WRITERS: Mapping[Task, Callable[[Ensemble, Sequence[NewImage], Path, Wish], Tally]] = {
    Task.CLASSIFICATION: _table,
    Task.SEGMENTATION: _folder,
}
