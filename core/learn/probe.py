"""Probe: embeddings of a frozen network, and a multinomial logistic regression fitted by each fold.

The network was not trained on the labels, so one embedding serves all folds. Embeddings (N, D) float16 are stored per
content, network and weights, so a later round embeds only images that are new.

The weight decay of the regressions is chosen once per round, by the likelihood of held-out given labels.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 torch's own habit
from numpy.typing import NDArray
from torch import Tensor, nn

from core.config import RoundConfig, Weights, open_weights, weights_path
from core.data.array_cache import array_path, building, find_earlier, lock_path, note_rows, open_array
from core.data.storage import atomic_path, exclusive_lock, save_array
from core.learn.batches import ImageBatches, Scaling
from core.learn.crossfold import FoldCallbacks, FoldResult, FoldSplit, Keep, keep_logits
from core.learn.devices import for_inference
from core.learn.models.probes import LinearHead
from core.learn.training import predict_batches, stop_if
from core.types import EMBEDDING_SHARE, NO_LABEL, FloatArray, IntArray, Progress, RoundError

DECAYS = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.003, 0.001)  # of the weights; features have unit variance
ENOUGH_LABELS = 2000  # held-out labels that are enough to choose a decay
_WORSE = 2  # decays in a row with falling likelihood end the search
_ITERATIONS = 100
_CHUNK = 65_536  # rows whose logits exist at once


def embed_images(
    config: RoundConfig,
    images: ImageBatches,
    content_hashes: Sequence[str],
    build: Callable[[], nn.Module],
    *,
    cache: Path,
    fold: int,
    callbacks: FoldCallbacks,
) -> FloatArray:
    """Return the embeddings of all images as a memory map, (N, D); the first caller computes them, others wait."""
    path = array_path(cache, content_hashes, embeddings_kind(config, images.scaling))

    def embed_missing(rows: IntArray) -> FloatArray:
        progress, wanted = Progress("embedding", fold, config.folds), torch.from_numpy(rows)
        return embed(
            config, images, build, wanted, progress=progress, between=(0.0, EMBEDDING_SHARE), callbacks=callbacks
        )

    def make() -> None:
        array = extend_embeddings(path, content_hashes, embed_missing)
        note_rows(path, content_hashes)
        save_array(path, array)

    return _open_or_make(path, make, callbacks)


def join_embeddings(
    config: RoundConfig,
    scaling: Scaling,
    content_hashes: Sequence[str],
    parts: Sequence[Path],
    *,
    cache: Path,
    callbacks: FoldCallbacks,
) -> FloatArray:
    """Return the embeddings of all images as a memory map, (N, D), from files of some of them, one after another."""
    path = array_path(cache, content_hashes, embeddings_kind(config, scaling))

    def make() -> None:
        opened = [np.load(part, mmap_mode="r", allow_pickle=False) for part in parts]
        shape = len(content_hashes), opened[0].shape[1]
        with atomic_path(path) as partial:
            array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
            start = 0
            for part in opened:
                stop_if(callbacks.should_stop)
                array[start : start + len(part)] = part
                start += len(part)
            array.flush()
            note_rows(path, content_hashes)

    return _open_or_make(path, make, callbacks)


def extend_embeddings(
    path: Path, content_hashes: Sequence[str], embed_missing: Callable[[IntArray], FloatArray]
) -> FloatArray:
    """Return the embeddings of these images, (N, D) float16: those in an array of the kind of `path`, and others.

    `embed_missing` takes the rows that are in no earlier array, (M,), and returns theirs, (M, D).
    """
    earlier = find_earlier(path, content_hashes, lambda array: array.dtype == np.float16)
    missing = np.arange(len(content_hashes)) if earlier is None else earlier.missing
    width = 0 if earlier is None else earlier.array.shape[1]
    if len(missing):
        found = embed_missing(missing)
        width = found.shape[1]
    array = np.empty((len(content_hashes), width), dtype=np.float16)
    if len(missing):
        array[missing] = found
    if earlier is not None:
        earlier.copy_to(array)
    return array


@dataclass(frozen=True, slots=True)
class DecayChoice:
    """Chosen weight decay, and the mean log likelihood of the held-out given labels under each decay that was tried."""

    decay: float
    held_out: int  # labels that chose
    log_likelihood: dict[str, float]  # decay -> nats a label


def choose_decay(
    embeddings: FloatArray,
    splits: Iterable[FoldSplit],
    learnable: NDArray[np.bool_],
    classes: int,
    *,
    path: Path,
    device: torch.device,
    callbacks: FoldCallbacks,
) -> DecayChoice:
    """Return the round's decay; the first caller chooses it and writes it to `path`, others wait and read.

    Regressions of a fold are fitted from the strongest decay down, each starting from the last one, until the
    likelihood of the held-out labels has fallen twice. Folds are added until 2,000 labels are held out. Labels of
    evaluation splits (not `learnable`) are not used.
    """
    while not path.exists():
        with exclusive_lock(lock_path(path), callbacks.should_stop):
            if not path.exists():
                choice = _choose(embeddings, splits, learnable, classes, device=device, callbacks=callbacks)
                with atomic_path(path) as partial:
                    partial.write_text(json.dumps(asdict(choice)), encoding="utf-8")
    return DecayChoice(**json.loads(path.read_text(encoding="utf-8")))


def probe_fold(
    config: RoundConfig,
    images: ImageBatches,
    embeddings: FloatArray,
    split: FoldSplit,
    classes: int,
    *,
    decay: float,
    callbacks: FoldCallbacks,
    keep: Keep = keep_logits,
) -> FoldResult:
    """Fit the regression of a fold to its training rows and keep its answers to its held-out rows."""
    progress = Progress("training", split.fold, config.folds, fraction=EMBEDDING_SHARE)
    callbacks.report(progress)
    mean, std, learn = _standardise(embeddings, split.learn_rows, images.device)
    labels = torch.from_numpy(split.labels[split.learn_rows]).to(images.device)
    head = LinearHead(mean, std, fit_regression(learn, labels, classes, decay=decay, should_stop=callbacks.should_stop))

    def predict(rows: IntArray, _stage: str) -> Iterator[tuple[IntArray, Tensor]]:
        for some in np.split(rows, range(_CHUNK, len(rows), _CHUNK)):
            yield some, torch.from_numpy(logits_of(head, embeddings, some, images.device))

    return FoldResult(keep(split, predict), 0.0, config.batch_size, "", head, images)


def _choose(
    embeddings: FloatArray,
    splits: Iterable[FoldSplit],
    learnable: NDArray[np.bool_],
    classes: int,
    *,
    device: torch.device,
    callbacks: FoldCallbacks,
) -> DecayChoice:
    totals, scored = np.zeros(len(DECAYS)), 0
    tried = len(DECAYS)  # decays that every fold so far has tried
    for split in splits:
        rows = split.held_rows[learnable[split.held_rows] & (split.labels[split.held_rows] != NO_LABEL)]
        if not len(rows):
            continue
        found = _likelihoods(embeddings, split, rows, classes, tried, device=device, callbacks=callbacks)
        tried = len(found)
        totals[:tried] += found
        scored += len(rows)
        if scored >= ENOUGH_LABELS:
            break
    if not scored:
        return DecayChoice(DECAYS[0], 0, {})
    means = (totals[:tried] / scored).tolist()
    return DecayChoice(
        DECAYS[int(np.argmax(means))], scored, {f"{decay:g}": mean for decay, mean in zip(DECAYS, means, strict=False)}
    )


def _likelihoods(
    embeddings: FloatArray,
    split: FoldSplit,
    rows: IntArray,
    classes: int,
    most: int,
    *,
    device: torch.device,
    callbacks: FoldCallbacks,
) -> list[float]:
    """Return the log likelihood of the labels of these held-out rows under at most `most` decays, strongest first."""
    mean, std, learn = _standardise(embeddings, split.learn_rows, device)
    labels = torch.from_numpy(split.labels[split.learn_rows]).to(device)
    wanted = torch.from_numpy(split.labels[rows])
    layer: nn.Linear | None = None
    found: list[float] = []
    for decay in DECAYS[:most]:
        layer = fit_regression(learn, labels, classes, decay=decay, should_stop=callbacks.should_stop, begin=layer)
        logits = torch.from_numpy(logits_of(LinearHead(mean, std, layer), embeddings, rows, device))
        found.append(-float(F.cross_entropy(logits, wanted, reduction="sum")))
        if len(found) - 1 - int(np.argmax(found)) >= _WORSE:
            break
    return found


def _standardise(embeddings: FloatArray, rows: IntArray, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and deviation of the features of these rows, (D,) each, and the standardised features, (M, D)."""
    features = torch.from_numpy(np.asarray(embeddings[rows], dtype=np.float32)).to(device)
    mean, std = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    return mean, std, features.sub_(mean).div_(std)


def logits_of(head: LinearHead, embeddings: FloatArray, rows: IntArray, device: torch.device) -> FloatArray:
    """Return the logits of these rows, (M, K)."""
    with torch.inference_mode():
        parts = [
            head(torch.from_numpy(np.asarray(embeddings[some], dtype=np.float32)).to(device)).cpu()
            for some in np.split(rows, range(_CHUNK, len(rows), _CHUNK))
        ]
    logits: FloatArray = torch.cat(parts).numpy()
    return logits


def build_frozen(config: RoundConfig, build: Callable[[], nn.Module]) -> nn.Module:
    """Return the frozen network; its random initial weights, if any, depend on the config's seed alone."""
    torch.manual_seed(config.seed)
    return build()


def fit_regression(
    features: Tensor,
    labels: Tensor,
    classes: int,
    *,
    decay: float,
    should_stop: Callable[[], bool],
    begin: nn.Linear | None = None,
) -> nn.Linear:
    """Return the multinomial logistic regression of labels (M,) on features (M, D), by L-BFGS over all of them.

    It minimises the mean cross entropy plus `decay` / 2 times the sum of the squared weights, starting from `begin`.
    """
    layer = nn.Linear(features.shape[1], classes, device=features.device)
    if begin is None:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    else:
        layer.load_state_dict(begin.state_dict())
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=_ITERATIONS, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        stop_if(should_stop)
        optimizer.zero_grad()
        penalty = 0.5 * decay * layer.weight.square().sum()
        penalty.backward()  # type: ignore[no-untyped-call]
        total = penalty.detach()
        for start in range(0, len(features), _CHUNK):
            part = slice(start, start + _CHUNK)
            loss = F.cross_entropy(layer(features[part]), labels[part], reduction="sum") / len(features)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return layer


def embed(
    config: RoundConfig,
    images: ImageBatches,
    build: Callable[[], nn.Module],
    rows: Tensor,
    *,
    progress: Progress,
    between: tuple[float, float],
    callbacks: FoldCallbacks,
) -> FloatArray:
    """Return the embeddings of these rows, (M, D); reported progress rises from one to the other value of `between`."""
    first, last = between
    loading = replace(progress, stage="loading the network", fraction=first)
    callbacks.report(loading)  # the first time in a process takes seconds
    network = for_inference(build_frozen(config, build), images.device, images.channels, config.input_size)
    batch_size = config.batch_size
    while True:
        embedding = replace(progress, stage="embedding", batch_size=batch_size)

        def look(share: float, images_per_second: float, embedding: Progress = embedding) -> None:
            done = first + (last - first) * share
            callbacks.report(replace(embedding, fraction=done, images_per_second=images_per_second))

        try:
            parts = predict_batches(
                network, images, rows, batch_size, on_progress=look, should_stop=callbacks.should_stop
            )
            found: FloatArray = torch.cat([embedding for _, embedding in parts]).cpu().numpy()
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise RoundError(
                    "not even one image fits into the device's memory", "choose a smaller network"
                ) from None
            batch_size //= 2
        else:
            return found


def embeddings_kind(config: RoundConfig, scaling: Scaling) -> str:
    """Return the kind of arrays that hold the embeddings of these settings."""
    return f"{features_key(config, scaling)}.embeddings"


def _open_or_make(path: Path, make: Callable[[], None], callbacks: FoldCallbacks) -> FloatArray:
    """Return an array of embeddings; the first process to ask for it makes it, others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while (array := open_array(path)) is None:
        with building(path, callbacks.should_stop) as is_wanted:
            if is_wanted:
                make()
    return array


def _hash_of(file: Path) -> str:
    with open_weights(file) as opened:
        return blake2b(opened.read(), digest_size=12).hexdigest()


def features_key(config: RoundConfig, scaling: Scaling) -> str:
    """Return a key of everything but the image that embeddings depend on."""
    weights = [config.weights.value]
    if config.weights is Weights.FILE:
        file = weights_path(config)
        weights.append(_hash_of(file) if file.exists() else "missing")
    if config.weights is Weights.NONE:
        weights.append(str(config.seed))
    sight = [config.upscale, config.all_stages, config.flip, config.weights_padding]
    parts = [config.model, *weights, str(config.input_size), str(config.grey), str(scaling), *map(str, sight)]
    return blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
