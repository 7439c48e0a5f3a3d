"""Probing masks: a frozen encoder's feature maps are computed once, then each fold fits a classifier of pixels.

The encoder has seen none of the masks, so the maps of an image serve all folds and all later rounds. They are kept as
float16 per content, network, weights and canvas; a list that grew computes those of the new images only. A fold's
classifier is fitted to pixels drawn from its learn rows and applied to the maps of its held rows.

Shapes: N images, F numbers of all maps of an image, D features of a pixel, P pixels, K classes; see
`core.learn.models.pixel_probes`.
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
from core.data.keeping import find_earlier, kept_path, lock_of, note_rows, opened
from core.data.locks import alone
from core.data.storage import atomic_path
from core.learn.crossfold import Held, Keep, Material, Outcome, Telling
from core.learn.losses import supervised_loss
from core.learn.models.pixel_probes import MapShape, PixelHead, SceneEncoder, features_at
from core.learn.optimizing import adamw, cycle
from core.learn.probe import features_key, frozen
from core.learn.training import predicted, stop_if
from core.types import NO_LABEL, FloatArray, IntArray, Progress, RoundError

_PIXELS = 160_000  # that a classifier is fitted to: a third of a gigabyte of features
_PIXELS_OF_AN_IMAGE = 32, 600  # at least and at most
_PASSES = 6  # over the drawn pixels
_BATCH = 2048  # pixels
_RATE = 3e-3
_LEFT_FREE = 1 << 30  # bytes of the disk that maps leave to others
_LEAST_PIXELS = 128  # of a scene that is worth a look
_EMBEDDING_SHARE, _FITTED_SHARE = 0.8, 0.95  # of the first fold's work that is done after these stages


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """Inputs of the folds of a probe, and the function that processes their logits."""

    build: Callable[[], nn.Module]  # the frozen encoder
    content_hashes: list[str]  # of the N images
    cache: Path  # where maps are kept
    classes: int
    keep: Keep


@dataclass(frozen=True, slots=True)
class Maps:
    """All images' maps, a memory map (N, F), and the shapes of those of one image."""

    array: FloatArray
    shapes: list[MapShape]

    def of(self, rows: IntArray | int, device: torch.device) -> Tensor:
        """Return the maps of these rows, float (B, F), or of one, (F,)."""
        return torch.from_numpy(np.array(self.array[rows])).to(device).float()


def probe_scenes(config: RoundConfig, material: Material, held: Held, probed: Probed, telling: Telling) -> Outcome:
    """Fit the fold's classifier to pixels of its learn rows and keep what it says of the held rows.

    Raises:
        RoundError: no pixel is labelled, or not even one image fits into memory.
        RoundCancelledError: `should_stop` returned true; maps that are complete stay.
    """
    images, seed = material.images, config.seed * 1000 + held.fold
    maps = feature_maps(config, material, probed, held.fold, telling)
    progress = Progress("training", held.fold, config.folds, fraction=_EMBEDDING_SHARE)
    telling.report(progress)
    features, targets = _drawn(material, held.learn_rows, maps, seed, telling.should_stop)
    weights = material.class_weights(held.learn_rows)
    on_device = None if weights is None else torch.from_numpy(weights).to(images.device)
    torch.manual_seed(seed)
    head = fitted_head(features, targets, probed.classes, on_device, seed=seed, progress=progress, telling=telling)
    del features
    at_once = min(config.batch_size, material.most_at_once)

    def predict(rows: IntArray, stage: str) -> Iterator[tuple[IntArray, Tensor]]:
        for start in range(0, len(rows), at_once):
            stop_if(telling.should_stop)
            share = _FITTED_SHARE + (1 - _FITTED_SHARE) * start / len(rows) * (stage == "predicting")
            telling.report(replace(progress, stage=stage, fraction=share))
            some = rows[start : start + at_once]
            with torch.inference_mode():
                logits = head.paint(maps.of(some, images.device), maps.shapes)
                enlarged = F.interpolate(logits, images.size, mode="bilinear", align_corners=False)
            yield some, enlarged

    return Outcome(probed.keep(held, predict), 0.0, config.batch_size, "", head, images)


def feature_maps(config: RoundConfig, material: Material, probed: Probed, fold: int, telling: Telling) -> Maps:
    """Return all images' maps; the first process that asks computes them, others wait."""
    images = material.images
    encoder = cast(SceneEncoder, frozen(config, probed.build))
    seen = f"{features_key(config, images.scaling)} {images.size} {encoder.scales}"
    kind = f"{blake2b(seen.encode(), digest_size=12).hexdigest()}.maps"
    path = kept_path(probed.cache, probed.content_hashes, kind)
    probed.cache.mkdir(parents=True, exist_ok=True)
    while (array := opened(path)) is None:
        with alone(lock_of(path), telling.should_stop):
            if not path.exists():
                _encode(config, material, encoder, path, probed.content_hashes, fold=fold, telling=telling)
    return Maps(array, encoder.shapes(*images.size))


def refuse_larger(
    config: RoundConfig, folder: Path, *, images: int, bytes_an_image: int, scales: Sequence[float]
) -> None:
    """Refuse feature maps that the disk of `folder` has no room for.

    Raises:
        RoundError: says how large they are, and settings with which they fit where there are such.
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


def fitted_head(
    features: Tensor,
    targets: Tensor,
    classes: int,
    weights: Tensor | None,
    *,
    seed: int,
    progress: Progress,
    telling: Telling,
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
            stop_if(telling.should_stop)
            for group in optimizer.param_groups:
                group["lr"] = _RATE * cycle((passed + step / steps) / _PASSES)
            loss = supervised_loss(head(features[chosen].float()), targets[chosen], weights)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        share = _EMBEDDING_SHARE + (_FITTED_SHARE - _EMBEDDING_SHARE) * (passed + 1) / _PASSES
        telling.report(replace(progress, fraction=share, epoch=passed + 1, epochs=_PASSES))
    return head.eval()


def pixels_of_an_image(images: int) -> int:
    """Return how many pixels of each image a classifier is fitted to, where it learns from so many images."""
    least, most = _PIXELS_OF_AN_IMAGE
    return max(least, min(most, _PIXELS // max(1, images)))


def _drawn(
    material: Material, rows: IntArray, maps: Maps, seed: int, should_stop: Callable[[], bool]
) -> tuple[Tensor, Tensor]:
    """Return features (P, D), float16, and classes (P,) of pixels drawn evenly from the known ones of these rows."""
    device, (height, width) = material.images.device, material.images.size
    each = pixels_of_an_image(len(rows))
    generator = np.random.default_rng(seed)
    features: list[Tensor] = []
    targets: list[Tensor] = []
    for row in generator.permutation(rows).tolist():
        stop_if(should_stop)
        mask = material.targets.batch(torch.tensor([row]))[0].flatten()  # (H * W,)
        known = (mask != NO_LABEL).nonzero()[:, 0]
        if not len(known):
            continue
        chosen = known[torch.from_numpy(generator.integers(len(known), size=each)).to(device)]
        y, x = chosen // width, chosen % width
        places = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=1)  # centres, in [-1, 1]
        features.append(features_at(maps.of(row, device), maps.shapes, places).half())
        targets.append(mask[chosen])
    if not features:
        raise RoundError("no pixel of the masks to learn from is labelled; label some first")
    return torch.cat(features), torch.cat(targets)


def _encode(
    config: RoundConfig,
    material: Material,
    encoder: SceneEncoder,
    path: Path,
    content_hashes: list[str],
    *,
    fold: int,
    telling: Telling,
) -> None:
    """Compute the maps that no earlier array holds and write all of them."""
    images, count = material.images, len(content_hashes)
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
        at_once = min(config.batch_size, material.most_at_once)
        progress = Progress("embedding", fold, config.folds)
        while not _filled(array, network, material, missing, at_once, progress=progress, telling=telling):
            if at_once == 1:
                raise RoundError("not even one image fits into the device's memory; choose a smaller input size")
            at_once //= 2
        array.flush()
        note_rows(path, content_hashes)


def _filled(
    array: FloatArray,
    network: nn.Module,
    material: Material,
    rows: IntArray,
    at_once: int,
    *,
    progress: Progress,
    telling: Telling,
) -> bool:
    """Write the maps of these rows; false where the device has too little memory for so many images at once."""

    def look(share: float, images_per_second: float) -> None:
        fraction = _EMBEDDING_SHARE * share
        telling.report(replace(progress, fraction=fraction, images_per_second=images_per_second, batch_size=at_once))

    chosen = torch.from_numpy(rows)
    try:
        parts = predicted(network, material.images, chosen, at_once, on_look=look, should_stop=telling.should_stop)
        for some, maps in parts:
            array[some.numpy()] = maps.cpu().numpy()
    except torch.OutOfMemoryError:
        return False
    return True
