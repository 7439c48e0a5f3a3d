"""Probe of masks: feature maps of a frozen encoder, and a classifier of pixels fitted by each fold.

The encoder was not trained on the masks, so the maps of an image serve all folds and all later rounds. They are stored
as float16 per content, network, weights and canvas; for a longer list only those of the new images are computed. The
classifier of a fold is fitted to pixels drawn from its training rows and applied to the maps of its held-out rows.

Shapes: N images, F numbers of all maps of an image, D features of a pixel, P pixels, K classes; see
`core.learn.models.probes`.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.config import RoundConfig
from core.data.array_cache import array_path, building, find_earlier, note_rows, open_array
from core.data.storage import atomic_path
from core.learn.crossfold import FoldCallbacks, FoldResult, FoldSplit, Probed, TrainingData
from core.learn.models.probes import MapShape, PixelHead, SceneEncoder, features_at
from core.learn.probe import build_frozen, features_key
from core.learn.training import adamw, cycle, predict_batches, stop_if, supervised_loss
from core.types import NO_LABEL, FloatArray, IntArray, Progress, RoundError

_PIXELS = 160_000  # training pixels of a classifier: a third of a gigabyte of features
_PIXELS_OF_AN_IMAGE = 32, 600  # at least and at most
_PASSES = 6  # over the drawn pixels
_BATCH = 2048  # pixels
_RATE = 3e-3
_LEFT_FREE = 1 << 30  # bytes of the disk that maps leave free
_LEAST_PIXELS = 128  # side of a scene that is not too small
_EMBEDDING_SHARE, _FITTED_SHARE = 0.8, 0.95  # of the first fold's work done after these stages


@dataclass(frozen=True, slots=True)
class Maps:
    """Feature maps of all images, a memory map (N, F), and the shapes of the maps of one image."""

    array: FloatArray
    shapes: list[MapShape]

    def of(self, rows: IntArray | int, device: torch.device) -> Tensor:
        """Return the maps of these rows, float (B, F), or of one row, (F,)."""
        return torch.from_numpy(np.array(self.array[rows])).to(device).float()


def probe_scenes(
    config: RoundConfig, training_data: TrainingData, split: FoldSplit, probed: Probed, callbacks: FoldCallbacks
) -> FoldResult:
    """Fit the classifier of a fold to pixels of its training rows and keep its predictions of the held-out rows.

    Raises:
        RoundError: no pixel is labelled, or not even one image fits into memory.
        RoundCancelledError: `should_stop` returned true; complete maps stay.
    """
    images, seed = training_data.images, config.seed * 1000 + split.fold
    maps = feature_maps(config, training_data, probed, split.fold, callbacks)
    progress = Progress("training", split.fold, config.folds, fraction=_EMBEDDING_SHARE)
    callbacks.report(progress)
    features, targets = _draw_pixels(training_data, split.learn_rows, maps, seed, callbacks.should_stop)
    weights = training_data.class_weights(split.learn_rows)
    on_device = None if weights is None else torch.from_numpy(weights).to(images.device)
    torch.manual_seed(seed)
    head = fit_head(features, targets, probed.classes, on_device, seed=seed, progress=progress, callbacks=callbacks)
    del features
    at_once = min(config.batch_size, training_data.most_at_once)

    def predict(rows: IntArray, stage: str) -> Iterator[tuple[IntArray, Tensor]]:
        for start in range(0, len(rows), at_once):
            stop_if(callbacks.should_stop)
            share = _FITTED_SHARE + (1 - _FITTED_SHARE) * start / len(rows) * (stage == "predicting")
            callbacks.report(replace(progress, stage=stage, fraction=share))
            some = rows[start : start + at_once]
            with torch.inference_mode():
                logits = head.paint(maps.of(some, images.device), maps.shapes)
                enlarged = F.interpolate(logits, images.size, mode="bilinear", align_corners=False)
            yield some, enlarged

    return FoldResult(probed.keep(split, predict), 0.0, config.batch_size, "", head, images)


def feature_maps(
    config: RoundConfig, training_data: TrainingData, probed: Probed, fold: int, callbacks: FoldCallbacks
) -> Maps:
    """Return the maps of all images; the first process to call this computes them, others wait."""
    images = training_data.images
    encoder = cast(SceneEncoder, build_frozen(config, probed.build))
    seen = f"{features_key(config, images.scaling)} {images.size} {encoder.scales}"
    kind = f"{blake2b(seen.encode(), digest_size=12).hexdigest()}.maps"
    path = array_path(probed.cache, probed.content_hashes, kind)
    probed.cache.mkdir(parents=True, exist_ok=True)
    while (array := open_array(path)) is None:
        with building(path, callbacks.should_stop) as is_wanted:
            if is_wanted:
                _encode(config, training_data, encoder, path, probed.content_hashes, fold=fold, callbacks=callbacks)
    return Maps(array, encoder.shapes(*images.size))


def refuse_larger(
    config: RoundConfig, folder: Path, *, images: int, bytes_an_image: int, scales: Sequence[float]
) -> None:
    """Refuse feature maps that do not fit on the disk of `folder`.

    Raises:
        RoundError: with their size, and settings with which they fit, if there are any.
    """
    needed, free = images * bytes_an_image, shutil.disk_usage(folder).free - _LEFT_FREE
    if needed <= free:
        return
    room = max(0, free)
    squares = sum(scale**2 for scale in scales)
    smallest = min(scales)
    alone = needed * smallest**2 / squares
    cures = [f"{smallest:g} as the only size ({alone / 1e9:.1f} GB)"] if len(scales) > 1 and alone <= free else []
    pixels = int(config.input_size * (room / needed) ** 0.5) // 32 * 32
    cures += [f"at most {pixels} pixels"] if pixels >= _LEAST_PIXELS else []
    settings = f"; start the round with {' or '.join(cures)}, or free some disk" if cures else "; free some disk"
    raise RoundError(
        f"the feature maps of {images:,} images take {needed / 1e9:.1f} GB, and {folder} has room for "
        f"{room / 1e9:.1f} GB{settings}"
    )


def fit_head(
    features: Tensor,
    targets: Tensor,
    classes: int,
    weights: Tensor | None,
    *,
    seed: int,
    progress: Progress,
    callbacks: FoldCallbacks,
) -> PixelHead:
    """Return a classifier fitted to the features (P, D), float16, and classes (P,) of pixels."""
    count = len(targets)
    std, mean = (value.clone() for value in torch.std_mean(features[: _BATCH * 16].float(), dim=0))
    head = PixelHead(mean, std.clamp_min(1e-3), classes).to(features.device)
    optimizer = adamw(head, _RATE)
    batch = min(_BATCH, count)
    steps = count // batch
    generator = torch.Generator().manual_seed(seed)
    head.train()
    for passed in range(_PASSES):
        order = torch.randperm(count, generator=generator)[: steps * batch].view(steps, batch).to(features.device)
        for step, chosen in enumerate(order):
            stop_if(callbacks.should_stop)
            for group in optimizer.param_groups:
                group["lr"] = _RATE * cycle((passed + step / steps) / _PASSES)
            loss = supervised_loss(head(features[chosen].float()), targets[chosen], weights)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        share = _EMBEDDING_SHARE + (_FITTED_SHARE - _EMBEDDING_SHARE) * (passed + 1) / _PASSES
        callbacks.report(replace(progress, fraction=share, epoch=passed + 1, epochs=_PASSES))
    return head.eval()


def pixels_of_an_image(images: int) -> int:
    """Return the number of training pixels of each image, for a classifier that is fitted to this number of images."""
    least, most = _PIXELS_OF_AN_IMAGE
    return max(least, min(most, _PIXELS // max(1, images)))


def _draw_pixels(
    training_data: TrainingData, rows: IntArray, maps: Maps, seed: int, should_stop: Callable[[], bool]
) -> tuple[Tensor, Tensor]:
    """Return features (P, D), float16, and classes (P,) of labelled pixels drawn uniformly from these rows."""
    device, (height, width) = training_data.images.device, training_data.images.size
    each = pixels_of_an_image(len(rows))
    generator = np.random.default_rng(seed)
    features: list[Tensor] = []
    targets: list[Tensor] = []
    for row in generator.permutation(rows).tolist():
        stop_if(should_stop)
        mask = training_data.targets.batch(torch.tensor([row]))[0].flatten()  # (H * W,)
        known = (mask != NO_LABEL).nonzero()[:, 0]
        if not len(known):
            continue
        chosen = known[torch.from_numpy(generator.integers(len(known), size=each)).to(device)]
        y, x = chosen // width, chosen % width
        places = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=1)  # centres, in [-1, 1]
        features.append(features_at(maps.of(row, device), maps.shapes, places).half())
        targets.append(mask[chosen])
    if not features:
        raise RoundError("no pixel of the masks to learn from is labelled", "label some first")
    return torch.cat(features), torch.cat(targets)


def _encode(
    config: RoundConfig,
    training_data: TrainingData,
    encoder: SceneEncoder,
    path: Path,
    content_hashes: Sequence[str],
    *,
    fold: int,
    callbacks: FoldCallbacks,
) -> None:
    """Compute the maps that are in no earlier array, and write all of them."""
    images, count = training_data.images, len(content_hashes)
    shapes = encoder.shapes(*images.size)
    width = sum(shape.channels * shape.height * shape.width for shape in shapes)
    earlier = find_earlier(
        path, content_hashes, lambda array: array.dtype == np.float16 and array.shape[1:] == (width,)
    )
    missing = np.arange(count) if earlier is None else earlier.missing
    refuse_larger(config, path.parent, images=count, bytes_an_image=2 * width, scales=encoder.scales)
    with atomic_path(path, durable=False) as partial:
        array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=(count, width))
        if earlier is not None:
            earlier.copy_to(array)
        network = encoder.to(memory_format=torch.channels_last).to(images.device)
        at_once = min(config.batch_size, training_data.most_at_once)
        progress = Progress("embedding", fold, config.folds)
        while not _fill_maps(array, network, training_data, missing, at_once, progress=progress, callbacks=callbacks):
            if at_once == 1:
                raise RoundError("not even one image fits into the device's memory", "choose a smaller input size")
            at_once //= 2
        array.flush()
        note_rows(path, content_hashes)


def _fill_maps(
    array: FloatArray,
    network: nn.Module,
    training_data: TrainingData,
    rows: IntArray,
    at_once: int,
    *,
    progress: Progress,
    callbacks: FoldCallbacks,
) -> bool:
    """Write the maps of these rows; return False if the device has too little memory for this many images at once."""

    def look(share: float, images_per_second: float) -> None:
        fraction = _EMBEDDING_SHARE * share
        callbacks.report(replace(progress, fraction=fraction, images_per_second=images_per_second, batch_size=at_once))

    chosen = torch.from_numpy(rows)
    try:
        parts = predict_batches(
            network, training_data.images, chosen, at_once, on_progress=look, should_stop=callbacks.should_stop
        )
        for some, maps in parts:
            array[some.numpy()] = maps.cpu().numpy()
    except torch.OutOfMemoryError:
        return False
    return True
