"""Embeddings of a round's images by a frozen network: all at once, or shard by shard.

A large round has shards, listed in its folder (`core.data.shards`): `embed_shard` makes one, in any process of any
home, and `embed_round` reads them. Otherwise `embed_round` decodes and embeds all images in the first calling process.
Both give the same bits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from core.config import ProbabilityMethod, RoundConfig, Weights
from core.data.array_cache import array_path
from core.data.arrays import decode_squares
from core.data.networks import network_folder
from core.data.predictions import fold_file
from core.data.shards import Shards, divide, load_shards, save_shards, shard_file
from core.data.snapshot import Snapshot
from core.data.storage import save_array
from core.learn import devices, probe
from core.learn.batches import ImageBatches, Scaling
from core.learn.crossfold import FoldCallbacks
from core.learn.models.classifier import initial_scaling
from core.learn.models.weights import fetch, is_timm_network
from core.learn.training import stop_if
from core.tasks import RoundPaths, TaskDefinition, task_of
from core.types import ByteArray, FloatArray, IntArray, Progress, Report

READING_SHARE = 0.1  # of a shard's work, without a GPU


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedImages:
    """Embeddings of a round's images, (N, D), and the network's inputs.

    Of a round with shards `images` holds no image: `read` decodes the rows that are asked for.
    """

    embeddings: FloatArray
    images: ImageBatches
    read: Callable[[IntArray], ImageBatches] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardImages:
    """Images of a shard to embed: their paths, and keys of their decoded pixels."""

    paths: list[str]
    keys: list[str]
    snapshot: Snapshot  # whose they are


EmbedImages = Callable[[RoundConfig, ShardImages, Path, Progress, FoldCallbacks], FloatArray]
"""Config, images, cache of decoded ones, first progress, callbacks -> embeddings, (M, D) float16."""


def plan_shards(folder: Path, config: RoundConfig, snapshot: Snapshot) -> None:
    """Divide the images of an opening round into shards, for each of its probes that has not predicted them yet.

    Nothing is written if one shard holds all images, or if the kind of label has another probe.
    """
    if task_of(snapshot).probe is not None:
        return
    for number, network in enumerate(config.networks):
        own = network_folder(folder, number)
        shards = divide(len(snapshot), network.batch_size)
        is_done = all(fold_file(own, fold).exists() for fold in range(config.folds))  # of a round that this one extends
        if network.method is ProbabilityMethod.PROBE and shards is not None and not is_done:
            save_shards(own, shards)


def embed_shard(
    folder: Path,
    config: RoundConfig,
    shard: int,
    *,
    image_cache: Path,
    report: Report,
    should_stop: Callable[[], bool],
    embed: EmbedImages | None = None,
) -> None:
    """Embed the images of one shard by each probe of a round; a finished shard stays as it is.

    `embed` computes the embeddings elsewhere than in this process.

    Raises:
        RoundError: images can no longer be read, or not even one fits into the device's memory.
        RoundCancelledError: `should_stop` returned true; nothing half is left.
    """
    snapshot = Snapshot.load(folder)
    folders = [network_folder(folder, number) for number in range(len(config.networks))]
    found = [
        (own, network, shards)
        for own, network in zip(folders, config.networks, strict=True)
        if (shards := load_shards(own)) is not None and shard < shards.count
    ]
    for number, (own, network, shards) in enumerate(found):
        callbacks = FoldCallbacks(share_of_network(report, number, len(found)), should_stop)
        _make_shard(snapshot, network, own, shards, shard, cache=image_cache, callbacks=callbacks, embed=embed)


def embed_round(
    snapshot: Snapshot,
    config: RoundConfig,
    places: RoundPaths,
    *,
    fold: int,
    callbacks: FoldCallbacks,
    task: TaskDefinition,
) -> EmbeddedImages:
    """Return the embeddings of all images of a round, and the network's inputs; raises as `embed_shard` does."""
    channels = 1 if config.grey else 3
    shards = load_shards(places.folder)
    if shards is None:
        reading = Progress("reading images", fold, config.folds)
        images = task.training_data(snapshot, config, places, reading, callbacks).images
        embeddings = probe.embed_images(
            config,
            images,
            snapshot.seen_hashes,
            partial(task.build_network, config, channels, 0),
            cache=places.image_cache,
            fold=fold,
            callbacks=callbacks,
        )
        return EmbeddedImages(embeddings=embeddings, images=images)
    for shard in range(shards.count):  # each is finished, unless it was removed
        _make_shard(
            snapshot, config, places.folder, shards, shard, cache=places.image_cache, callbacks=callbacks, embed=None
        )
    scaling, device = inputs_of(config)
    callbacks.report(Progress("reading embeddings", fold, config.folds))
    embeddings = probe.join_embeddings(
        config,
        scaling,
        snapshot.seen_hashes,
        [shard_file(places.folder, shard) for shard in range(shards.count)],
        cache=places.image_cache,
        callbacks=callbacks,
    )
    none = np.empty((0, config.input_size, config.input_size, channels), np.uint8)

    def read(rows: IntArray) -> ImageBatches:
        some = _images_of(snapshot, rows)
        reading = Progress("reading images", fold, config.folds)
        return ImageBatches(_decode(config, some, places.image_cache, reading, callbacks), scaling, device)

    return EmbeddedImages(embeddings=embeddings, images=ImageBatches(none, scaling, device), read=read)


def fetch_weights(config: RoundConfig, progress: Progress, callbacks: FoldCallbacks) -> None:
    """Download the published weights that a network begins with, if they are not here."""
    if config.weights is Weights.PRETRAINED and is_timm_network(config.model):
        fetch(config.model, lambda text: callbacks.report(replace(progress, message=text)), callbacks.should_stop)


def share_of_network(report: Report, number: int, networks: int) -> Report:
    """Return a report for one of several networks, with its share of the piece's work and its number."""
    if networks == 1:
        return report

    def shared(progress: Progress) -> None:
        fraction = (number + progress.fraction) / networks
        report(replace(progress, stage=f"network {number + 1} of {networks}: {progress.stage}", fraction=fraction))

    return shared


def embed_here(
    config: RoundConfig, images: ShardImages, cache: Path, progress: Progress, callbacks: FoldCallbacks
) -> FloatArray:
    """Decode and embed images in this process and those that it starts; an `EmbedImages`."""
    scaling, device = inputs_of(config)
    decoded = _decode(config, images, cache, progress, callbacks)
    build = partial(task_of(images.snapshot).build_network, config, decoded.shape[3], 0)
    batches = ImageBatches(decoded, scaling, device)
    return probe.embed(
        config,
        batches,
        build,
        torch.arange(len(batches)),
        progress=progress,
        between=(READING_SHARE, 1.0),
        callbacks=callbacks,
    )


def _make_shard(
    snapshot: Snapshot,
    config: RoundConfig,
    folder: Path,
    shards: Shards,
    shard: int,
    *,
    cache: Path,
    callbacks: FoldCallbacks,
    embed: EmbedImages | None,
) -> None:
    """Write a shard of a network into its folder, unless it is there; images embedded before are copied."""
    path = shard_file(folder, shard)
    if path.exists():
        return
    progress = Progress("reading images", shard, shards.count)
    fetch_weights(config, replace(progress, stage="downloading"), callbacks)
    images = _images_of(snapshot, np.array(shards.rows(shard)))
    cached = array_path(cache, images.keys, probe.embeddings_kind(config, inputs_of(config)[0]))

    def embed_missing(rows: IntArray) -> FloatArray:
        missing = replace(images, paths=[images.paths[row] for row in rows], keys=[images.keys[row] for row in rows])
        return (embed or embed_here)(config, missing, cache, progress, callbacks)

    embeddings = probe.extend_embeddings(cached, images.keys, embed_missing)
    stop_if(callbacks.should_stop)
    if not path.exists():
        save_array(path, embeddings)


def _images_of(snapshot: Snapshot, rows: IntArray) -> ShardImages:
    hashes = snapshot.seen_hashes
    return ShardImages(
        paths=[snapshot.paths[row] for row in rows.tolist()],
        keys=[hashes[row] for row in rows.tolist()],
        snapshot=snapshot,
    )


def inputs_of(config: RoundConfig) -> tuple[Scaling, torch.device]:
    """Return the scaling and the device of a frozen network, and let this process use as many threads as suit it."""
    devices.use_fitting_threads(config.batch_size * config.seen_size**2)
    return initial_scaling(config, 1 if config.grey else 3), devices.choose(config.device)


def _decode(
    config: RoundConfig, images: ShardImages, cache: Path, reading: Progress, callbacks: FoldCallbacks
) -> ByteArray:
    """Return the decoded images, (M, size, size, C)."""

    def report(done: int, count: int) -> None:
        share = READING_SHARE * done / max(1, count)
        callbacks.report(replace(reading, fraction=share, message=f"{done:,} of {count:,} images"))

    return decode_squares(
        images.paths,
        images.keys,
        size=config.input_size,
        grey=config.grey,
        cache=cache,
        report=report,
        should_stop=callbacks.should_stop,
        window=images.snapshot.window,
    )
