"""Probing: a frozen network embeds every image once, then each fold is a multinomial logistic regression.

The network has seen none of the labels, so one embedding serves all folds. Embeddings (N, D) float16 are kept per
content, network and weights, so a second round embeds nothing, and one over a few more images only those.
"""

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from torch import Tensor, nn

from core.config import RoundConfig, Weights
from core.data.keeping import find_earlier, kept_path, lock_of, note_rows, opened
from core.data.locks import alone
from core.data.storage import atomic_path
from core.learn.batches import Images, Scaling
from core.learn.crossfold import Held, Outcome, Telling, kept_logits
from core.learn.models.probes import Head
from core.learn.training import predicted, stop_if
from core.types import FloatArray, Progress, RoundError

_DECAY = 1e-3  # of the weights; features have unit variance
_ITERATIONS = 100
_CHUNK = 65_536  # rows whose logits exist at once
_EMBEDDING_SHARE = 0.9  # of the first fold's work


def embedded(
    config: RoundConfig,
    images: Images,
    content_hashes: list[str],
    build: Callable[[], nn.Module],
    *,
    cache: Path,
    fold: int,
    telling: Telling,
) -> FloatArray:
    """Return all images' embeddings as a memory map, (N, D); the first who asks computes them, others wait."""
    path = kept_path(cache, content_hashes, f"{features_key(config, images.scaling)}.embeddings")
    cache.mkdir(parents=True, exist_ok=True)
    while (array := opened(path)) is None:
        with alone(lock_of(path), telling.should_stop):
            if not path.exists():
                _embed(config, images, build, content_hashes, path=path, fold=fold, telling=telling)
    return array


def probe_fold(
    config: RoundConfig, images: Images, embeddings: FloatArray, held: Held, classes: int, *, telling: Telling
) -> Outcome:
    """Fit the fold's regression on its learn rows and return the held rows' logits."""
    device = images.device
    learn = torch.from_numpy(np.asarray(embeddings[held.learn_rows], dtype=np.float32)).to(device)
    mean, std = learn.mean(dim=0), learn.std(dim=0).clamp_min(1e-6)
    learn = (learn - mean) / std
    labels = torch.from_numpy(held.labels[held.learn_rows]).to(device)
    progress = Progress("training", held.fold, config.folds, fraction=_EMBEDDING_SHARE)
    telling.report(progress)
    head = Head(mean, std, fitted_regression(learn, labels, classes, telling.should_stop))
    rows = torch.from_numpy(np.asarray(embeddings[held.held_rows], dtype=np.float32)).to(device)
    with torch.inference_mode():
        logits = torch.cat([head(part) for part in torch.split(rows, _CHUNK)])
    return Outcome(kept_logits(held, logits.cpu().numpy()), 0.0, config.batch_size, "", head, images)


def frozen(config: RoundConfig, build: Callable[[], nn.Module]) -> nn.Module:
    """Return the network that embeds; one without first weights is also the same each time."""
    torch.manual_seed(config.seed)
    return build()


def fitted_regression(features: Tensor, labels: Tensor, classes: int, should_stop: Callable[[], bool]) -> nn.Linear:
    """Return the multinomial logistic regression of labels (M,) on features (M, D), by L-BFGS over all of them."""
    layer = nn.Linear(features.shape[1], classes, device=features.device)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=_ITERATIONS, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        stop_if(should_stop)
        optimizer.zero_grad()
        decay = 0.5 * _DECAY * layer.weight.square().sum()
        decay.backward()  # type: ignore[no-untyped-call]
        total = decay.detach()
        for start in range(0, len(features), _CHUNK):
            part = slice(start, start + _CHUNK)
            loss = F.cross_entropy(layer(features[part]), labels[part], reduction="sum") / len(features)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return layer


def _embed(
    config: RoundConfig,
    images: Images,
    build: Callable[[], nn.Module],
    content_hashes: list[str],
    *,
    path: Path,
    fold: int,
    telling: Telling,
) -> None:
    """Embed the images that no earlier array holds and write all of them."""
    earlier = find_earlier(path, content_hashes, lambda array: array.dtype == np.float16)
    missing = np.arange(len(content_hashes)) if earlier is None else earlier.missing
    width = 0 if earlier is None else earlier.array.shape[1]
    if len(missing):
        found = _embeddings(config, images, build, torch.from_numpy(missing), fold=fold, telling=telling)
        width = found.shape[1]
    array = np.empty((len(content_hashes), width), dtype=np.float16)
    if len(missing):
        array[missing] = found
    if earlier is not None:
        earlier.copy_to(array)
    note_rows(path, content_hashes)
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _embeddings(
    config: RoundConfig,
    images: Images,
    build: Callable[[], nn.Module],
    rows: Tensor,
    *,
    fold: int,
    telling: Telling,
) -> FloatArray:
    """Return the embeddings of these rows, (M, D)."""
    network = frozen(config, build).to(memory_format=torch.channels_last).to(images.device)
    batch_size = config.batch_size
    while True:
        progress = Progress("embedding", fold, config.folds, batch_size=batch_size)

        def look(share: float, images_per_second: float, progress: Progress = progress) -> None:
            telling.report(replace(progress, fraction=_EMBEDDING_SHARE * share, images_per_second=images_per_second))

        try:
            parts = predicted(network, images, rows, batch_size, on_look=look, should_stop=telling.should_stop)
            found: FloatArray = torch.cat([embedding for _, embedding in parts]).cpu().numpy()
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise RoundError("not even one image fits into the device's memory; choose a smaller network") from None
            batch_size //= 2
        else:
            return found


def features_key(config: RoundConfig, scaling: Scaling) -> str:
    """Return what embeddings depend on beside the image."""
    weights = [config.weights.value]
    if config.weights is Weights.FILE:
        file = Path(config.weights_file)
        weights.append(blake2b(file.read_bytes(), digest_size=12).hexdigest() if file.exists() else "missing")
    if config.weights is Weights.NONE:
        weights.append(str(config.seed))
    parts = [config.model, *weights, str(config.input_size), str(config.grey), str(scaling)]
    return blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
