"""Eight worlds for `bench/audit.py`: given and true labels of real images, and out-of-fold logits about them.

N images, K = 10 classes. Wrong labels come from a second model's mistakes or from people, so they are not
class-dependent. `Part.SETTINGS` holds the images below index 25,000 of CIFAR-10 and MNIST, `Part.FIGURES` the others.
A world is a pure function of its part and a seed, which draws images, wrong labels and folds.
"""

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold

from core.types import ByteArray, FloatArray, IntArray

CLASSES, FOLDS, SPLIT = 10, 5, 25_000
PHOTOS_USED, DIGITS_USED = 12_000, 20_000  # of a part; a seed draws from these
FORMER = "mobilenetv2_100_same_imagenet.safetensors"  # the features of the first figures, at 96 pixels
SIDE, FORMER_SIDE = 160, 96  # pixels


class Part(StrEnum):
    """The images that settings are chosen on, and those that figures come from."""

    SETTINGS = "settings"
    FIGURES = "figures"


@dataclass(frozen=True, eq=False)
class World:
    """Given and true classes, (N,), out-of-fold logits, (N, K), and the fold of each image, (N,)."""

    given: IntArray
    true: IntArray
    logits: FloatArray
    fold: IntArray


@dataclass(frozen=True, eq=False)
class Images:
    """Features of one part's images: of photos a network's and small pixels, of digits the pixels."""

    photos: FloatArray  # (P, 128)
    photo_pixels: FloatArray  # (P, 192)
    photo_true: IntArray
    photo_human: IntArray  # as one person labelled them
    digits: ByteArray  # (D, 28, 28)
    digit_true: IntArray


def load(data: Path, part: Part, cache: Path, *, former: bool = False) -> Images:
    """Return a part's images; the features of its photos are kept in `cache`, since they take two minutes.

    They are those of the packaged backbone, or, if `former`, of a MobileNetV2 in `data`.
    """
    photos, indexes = _photos(data, part)
    kept = cache / f"photos-{part.value}-{len(photos)}{'' if former else '-packaged'}.npy"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(kept, _embedded(photos, data / FORMER if former else None))
    features = np.load(kept).astype(np.float32)
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-3)
    reduced = PCA(128, random_state=0).fit_transform(features) / 5
    with np.load(data / "cifar10_labels.npz") as file:
        true = file["train"][indexes].astype(np.int64)
    with np.load(data / "cifar10n_random1.npz") as file:
        human = file["labels"][indexes].astype(np.int64)
    small = photos.reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4)).reshape(len(photos), -1) / 255 - 0.5
    digits, digit_true = _digits(data, part)
    return Images(reduced, small.astype(np.float32), true, human, digits, digit_true)


def weak_writer(images: Images, seed: int) -> World:
    """Labels by a weak network wherever it is unsure: a quarter of 6,000 digits, judged by a strong one."""
    rng = np.random.default_rng(seed)
    rows, taught = _split(rng, len(images.digits), 6000, 300)
    writer = _classifier().fit(_coarse(images.digits[taught]), images.digit_true[taught])
    written = writer.predict_proba(_coarse(images.digits[rows]))
    true = images.digit_true[rows]
    unsure = written.max(axis=1) <= np.quantile(written.max(axis=1), 0.25)
    given = np.where(unsure, written.argmax(axis=1), true)
    return _world(_kernel(images.digits[rows], seed), given, true, seed)


def wrong_cluster(images: Images, seed: int) -> World:
    """A cluster of look-alikes lies in one fold, and the model that never saw one is wrong about it; 3 % wrong."""
    rng = np.random.default_rng(seed)
    rows, taught = _split(rng, len(images.photos), 5000, 2000)
    features, true = images.photos[rows], images.photo_true[rows]
    given = _mistaken(rng, images, rows, taught, 0.03)
    cluster, lost = np.zeros(0, np.int64), -1
    for label in range(CLASSES):
        own = np.flatnonzero(true == label)
        found = KMeans(3, n_init=1, random_state=seed).fit_predict(features[own])
        for number in range(3):
            members = own[found == number]
            others = np.setdiff1d(np.arange(len(rows)), members)[::4]
            wrong = int((_classifier().fit(features[others], true[others]).predict(features[members]) != label).sum())
            if wrong > lost:
                cluster, lost = members, wrong
    groups = np.arange(len(rows))
    groups[cluster] = cluster[0]
    return _world(features, given, true, seed, groups=groups)


def shifted(images: Images, seed: int) -> World:
    """A fifth of 5,000 digits, from another camera and so in one fold, is moved by four pixels; 4 % wrong."""
    rng = np.random.default_rng(seed)
    rows, taught = _split(rng, len(images.digits), 5000, 300)
    digits, true = images.digits[rows].copy(), images.digit_true[rows]
    second = _classifier().fit(_coarse(images.digits[taught]), images.digit_true[taught])
    given = _confused(rng, second.predict_proba(_coarse(digits)), true, 0.04)
    moved = rng.random(len(rows)) < 0.2
    digits[moved] = np.roll(digits[moved], (4, 4), axis=(1, 2))
    groups = np.where(moved, -1, np.arange(len(rows)))
    return _world(_flat(digits), given, true, seed, groups=groups)


def rare_classes(images: Images, seed: int) -> World:
    """Classes fall off to a twentieth, the network weighs them alike; 6 % wrong."""
    rng = np.random.default_rng(seed)
    rows, taught = _split(rng, len(images.photos), 9000, 2000)
    share = 0.05 ** (rng.permutation(CLASSES) / (CLASSES - 1))
    rows = rows[rng.random(len(rows)) < share[images.photo_true[rows]]]
    given = _mistaken(rng, images, rows, taught, 0.06)
    model = LogisticRegression(C=0.1, max_iter=100, class_weight="balanced")
    return _world(images.photos[rows], given, images.photo_true[rows], seed, model=model)


def same_doubt(images: Images, seed: int) -> World:
    """People err where the network is in doubt: labels are drawn from what a like network believes."""
    rng = np.random.default_rng(seed)
    rows, taught = _split(rng, len(images.photos), 5000, 3000)
    like = _classifier().fit(images.photos[taught], images.photo_true[taught])
    believed = like.predict_proba(images.photos[rows])
    true = images.photo_true[rows]
    believed[np.arange(len(rows)), true] += 0.5  # people look better than networks do
    believed /= believed.sum(axis=1, keepdims=True)
    labels = (believed.cumsum(axis=1) > rng.random((len(rows), 1))).argmax(axis=1)
    return _world(images.photos[rows], labels, true, seed)


def learnt_noise(images: Images, seed: int) -> World:
    """A strong network that predicts the wrong labels, too: 40 % of 6,000 digits, drawn beside its own knowledge."""
    rng = np.random.default_rng(seed)
    rows, taught = _split(rng, len(images.digits), 6000, 300)
    true = images.digit_true[rows]
    second = _classifier().fit(_coarse(images.digits[taught]), images.digit_true[taught])
    mistaken = second.predict_proba(_coarse(images.digits[rows]))
    given = _confused(rng, mistaken, true, 0.4)
    knows = _world(_kernel(images.digits[rows], seed), true, true, seed)
    mistaken[np.arange(len(rows)), true] = 0
    mistaken /= np.maximum(mistaken.sum(axis=1, keepdims=True), 1e-9)
    probs = 0.6 * _softmax(knows.logits) + 0.4 * mistaken
    return World(given, true, np.log(np.maximum(probs, 1e-6)).astype(np.float32), knows.fold)


def none_wrong(images: Images, seed: int) -> World:
    """600 photos, no label wrong, a network that sees 64 pixels."""
    rng = np.random.default_rng(seed)
    rows, _ = _split(rng, len(images.photos), 600, 0)
    true = images.photo_true[rows]
    return _world(images.photo_pixels[rows], true, true, seed, model=LogisticRegression(C=1.0, max_iter=100))


def people(images: Images, seed: int) -> World:
    """5,000 photos as people labelled them (CIFAR-10N)."""
    rng = np.random.default_rng(seed)
    rows, _ = _split(rng, len(images.photos), 5000, 0)
    return _world(images.photos[rows], images.photo_human[rows], images.photo_true[rows], seed)


WORLDS: Mapping[str, Callable[[Images, int], World]] = {
    "written by a weak network": weak_writer,
    "a cluster surely wrong": wrong_cluster,
    "shifted images": shifted,
    "rare classes, balanced network": rare_classes,
    "in doubt about the same images": same_doubt,
    "strong, has learnt the noise": learnt_noise,
    "none wrong, weak network": none_wrong,
    "people (CIFAR-10N)": people,
}


def _world(
    features: FloatArray,
    given: IntArray,
    true: IntArray,
    seed: int,
    *,
    model: LogisticRegression | None = None,
    groups: IntArray | None = None,
) -> World:
    """Return the world as a model sees it that is taught the given labels, each fold by the others."""
    model = model or _classifier()
    logits, fold = np.zeros((len(given), CLASSES), np.float32), np.zeros(len(given), np.int64)
    if groups is None:
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, given)
    else:
        folds = GroupKFold(FOLDS, shuffle=True, random_state=seed).split(features, given, groups)
    for number, (learnt, held_out) in enumerate(folds):
        model.fit(features[learnt], given[learnt])
        held_logits = np.full((len(held_out), CLASSES), -20.0)  # of a class that was not learnt
        held_logits[:, model.classes_] = model.decision_function(features[held_out])
        logits[held_out], fold[held_out] = held_logits, number
    return World(given, true, logits, fold)


def _mistaken(rng: np.random.Generator, images: Images, rows: IntArray, taught: IntArray, share: float) -> IntArray:
    """Return labels of photos, a share of which is replaced by the mistakes of a model of their pixels."""
    second = _classifier().fit(images.photo_pixels[taught], images.photo_true[taught])
    return _confused(rng, second.predict_proba(images.photo_pixels[rows]), images.photo_true[rows], share)


def _confused(rng: np.random.Generator, probs: FloatArray, true: IntArray, share: float) -> IntArray:
    """Return labels of which a share is the likeliest other class, the likelier the less sure the model is of truth."""
    line = np.arange(len(true))
    doubt = 1 - probs[line, true] + 1e-9
    chosen = rng.choice(len(true), round(share * len(true)), replace=False, p=doubt / doubt.sum())
    others = probs.copy()
    others[line, true] = -1
    given = true.copy()
    given[chosen] = others[chosen].argmax(axis=1)
    return given


def _classifier() -> LogisticRegression:
    return LogisticRegression(C=0.1, max_iter=100)


def _split(rng: np.random.Generator, size: int, first: int, second: int) -> tuple[IntArray, IntArray]:
    rows = rng.permutation(size)[: first + second]
    return rows[:first], rows[first:]


def _softmax(logits: FloatArray) -> FloatArray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    soft: FloatArray = raised / raised.sum(axis=1, keepdims=True)
    return soft


def _flat(digits: ByteArray) -> FloatArray:
    """Return digits at half their size, (N, 196)."""
    flat: FloatArray = digits.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4), dtype=np.float32).reshape(len(digits), -1)
    return flat / 255


def _kernel(digits: ByteArray, seed: int) -> FloatArray:
    """Return features of a radial kernel, (N, 300), upon which a linear model is strong."""
    found = Nystroem(gamma=0.02, n_components=300, random_state=seed).fit_transform(_flat(digits))
    return 60 * np.asarray(found, np.float32)


def _coarse(digits: ByteArray) -> FloatArray:
    """Return digits at a quarter of their size, (N, 49)."""
    coarse: FloatArray = digits.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4), dtype=np.float32).reshape(len(digits), -1)
    return coarse / 255


def _belongs(index: int, part: Part) -> bool:
    return (index < SPLIT) == (part is Part.SETTINGS)


def _photos(data: Path, part: Part) -> tuple[ByteArray, IntArray]:
    found = {
        index: np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        for index, _, content in _members(data / "cifar10_jpg.tar.xz", "train")
        if _belongs(index, part)
    }
    indexes = np.array(sorted(found))
    indexes = np.sort(np.random.default_rng(0).choice(indexes, PHOTOS_USED, replace=False))
    return np.stack([found[index] for index in indexes.tolist()]), indexes


def _digits(data: Path, part: Part) -> tuple[ByteArray, IntArray]:
    found = {
        index: (np.asarray(Image.open(io.BytesIO(content)).convert("L")), int(name))
        for index, name, content in _members(data / "mnist_png.tar.gz", "training")
        if _belongs(index, part)
    }
    chosen = sorted(found)[:DIGITS_USED]
    return np.stack([found[index][0] for index in chosen]), np.array([found[index][1] for index in chosen])


def _members(archive: Path, folder: str) -> Iterator[tuple[int, str, bytes]]:
    """Yield index, class and content of each image of one folder of an archive."""
    with tarfile.open(archive) as opened:
        for member in opened:
            path = Path(member.name)
            if member.isfile() and path.parts[1] == folder:
                file = opened.extractfile(member)
                if file is not None:
                    yield int(path.stem), path.parts[2], file.read()


def _embedded(photos: ByteArray, former: Path | None) -> FloatArray:
    """Return the embeddings of photos by the frozen packaged backbone, or a MobileNetV2 of these weights, (N, 1280)."""
    import timm  # noqa: PLC0415 seconds
    import torch  # noqa: PLC0415
    from safetensors.torch import load_file  # noqa: PLC0415

    from core.config import BACKBONE  # noqa: PLC0415
    from core.learn.models.weights import load_packaged  # noqa: PLC0415

    if former:
        model = timm.create_model("mobilenetv2_100", num_classes=0, pad_type="same")
        model.load_state_dict(load_file(former))
    else:
        model = timm.create_model(BACKBONE, num_classes=0)
        load_packaged(model, BACKBONE, 3)
    model.eval()
    side = FORMER_SIDE if former else SIDE
    found = []
    with torch.inference_mode():
        for start in range(0, len(photos), 250):
            batch = torch.from_numpy(photos[start : start + 250]).permute(0, 3, 1, 2).float() / 127.5 - 1
            larger = torch.nn.functional.interpolate(batch, size=(side, side), mode="bilinear")
            found.append(model(larger).numpy().astype(np.float16))
    return np.concatenate(found)
