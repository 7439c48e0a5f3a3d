"""Detection of wrong labels by rounds: average precision, precision at k and 100, AUROC, and seconds.

    python bench/detection.py [DATA] [--json FILE] [--full] [--drawn]

DATA is the folder with `cifar10_jpg.tar.xz`, `cifar10_labels.npz`, `cifar10n_random1.npz`, `mnist_png.tar.gz` and
`mobilenetv2_100_same_imagenet.safetensors`, or `$OUTFOLD_DATA`. Real labels of people come first: 15,000 photographs of
CIFAR-10 from index 25,000 on with the labels that one person each gave them, with three seeds of the folds. Then one
drawn noise a data set (`--full`: uniform, class-dependent and instance-dependent noise at 5, 10, 20 and 40 %, three
seeds each; `--drawn`: only these). Instance-dependent errors are mistakes of a second, weaker model: a regression on a
tenth of the labels and on pixels, where it is least sure of them. Settings were chosen on the photographs below index
25,000. Drawn scenes have masks: there the class of whole objects is wrong, a round of masks ranks regions, and the
figures are those of objects (`bench/_drawn_scenes.py`). Errors of other kinds in masks are measured by
`bench/planted_masks.py`.

Rows of a setting: the default round (its order is by self-confidence), each further network alone, their mix,
cleanlab's ranking and Flath's rule on the default round's probabilities. On human labels also the former
default, a network from scratch, with the first seed alone (`--full`: with all). Decoded images and embeddings are
shared by the rounds, so the seconds of the default round are those of the first one, from files to findings; those of
the mix are what its further networks add to a finished round. The former default learns two folds at a time.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from cleanlab.rank import get_label_quality_scores
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._data import data_parser, parse_with_data, unpack
from bench._drawn_scenes import Scenes, draw, suspicions
from core.config import (
    SMALL_NETWORK,
    DatasetSummary,
    Member,
    RoundConfig,
    Weights,
    propose_config,
    with_file_facts,
)
from core.data.networks import network_folder
from core.data.snapshot import Snapshot
from core.judge.judgement import PROBABILITIES
from core.rounds import run_fold, run_round
from core.types import FloatArray, IntArray

CLASSES, FIRST, PHOTOS, DIGITS, SEEDS = 10, 25_000, 15_000, 10_000, 3
DEFAULT, FORMER, MIX, ALONE = "default round", "former default", "mix", "alone: "
SHARES, NOISES = (0.05, 0.1, 0.2, 0.4), ("uniform", "class-dependent", "instance-dependent")


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one data set: files, true classes, (N,), and small grey pixels, (N, 64), of the second model."""

    name: str
    paths: list[str]
    true: IntArray
    pixels: FloatArray
    summary: DatasetSummary


@dataclass(frozen=True)
class Found:
    """Detection metrics of one order of the images."""

    average_precision: float
    at_errors: float  # precision among as many findings as there are errors
    at_100: float
    auroc: float
    seconds: float = 0.0


def main() -> None:
    """Print the table and write the figures of the human labels."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        print(f"{'data, noise':34}{'order':24}{'AP':>7}{'P@k':>7}{'P@100':>7}{'AUROC':>7}{'s':>7}")
        photos = photographs(arguments.data, scratch)
        further = further_networks(photos, arguments.data)
        if not arguments.drawn:
            rows = of_people(photos, arguments, scratch, further)
            if arguments.json:
                arguments.json.write_text(json.dumps(figures_of(rows), indent=1))
        for images, members in ((photos, further), (digits(arguments.data, scratch), {})):
            simulated_noise(images, scratch, members, full=arguments.full)
        seeds = range(SEEDS if arguments.full else 1)
        scenes = draw(scratch / "scenes")
        for noise, share in settings(full=arguments.full):
            place = scratch / f"scenes-{noise}-{share}"
            show_mean(
                f"scenes, {noise} {share:.0%}",
                [of_scenes(scenes, noise, share, seed, place / str(seed)) for seed in seeds],
            )


def of_people(
    photos: Images, arguments: argparse.Namespace, scratch: Path, further: dict[str, Member]
) -> dict[str, Found]:
    """Print and return the figures of the labels that people gave."""
    with np.load(arguments.data / "cifar10n_random1.npz") as file:
        human = file["labels"][FIRST : FIRST + PHOTOS].astype(np.int64)
    runs = [of_round(photos, human, seed, scratch / f"people-{seed}", further) for seed in range(SEEDS)]
    former = [former_default(photos, human, seed, scratch) for seed in range(SEEDS if arguments.full else 1)]
    rows = {order: average([run[order] for run in runs]) for order in runs[0]} | {FORMER: average(former)}
    rows[DEFAULT] = replace(rows[DEFAULT], seconds=runs[0][DEFAULT].seconds)
    show(f"CIFAR-10, people ({(human != photos.true).mean():.0%})", rows)
    return rows


def simulated_noise(images: Images, scratch: Path, further: dict[str, Member], *, full: bool) -> None:
    """Print the figures of labels that drawn noise made wrong."""
    for noise, share in settings(full=full):
        runs = []
        for seed in range(SEEDS if full else 1):
            given = with_wrong_labels(images.true, images.pixels, noise, share, seed)
            runs.append(of_round(images, given, seed, scratch / f"{images.name}-{noise}-{share}-{seed}", further))
        show_mean(f"{images.name}, {noise} {share:.0%}", runs)


def figures_of(rows: dict[str, Found]) -> dict[str, float]:
    """Return the figures of the human labels by their names in the JSON file."""
    alone = [found.average_precision for order, found in rows.items() if order == DEFAULT or order.startswith(ALONE)]
    return {
        "ap_default": rows[DEFAULT].average_precision,
        "ap_former": rows[FORMER].average_precision,
        "ap_best_single": max(alone),
        "ap_mix": rows[MIX].average_precision,
        "ap_cleanlab": rows["cleanlab"].average_precision,
        "ap_flath": rows["Flath's rule"].average_precision,
        "seconds_default": rows[DEFAULT].seconds,
    }


def further_networks(photos: Images, data: Path) -> dict[str, Member]:
    """Return the further networks that photographs are judged by, by name."""
    default = propose_config(photos.summary)
    file = data / "mobilenetv2_100_same_imagenet.safetensors"
    other = with_file_facts(
        replace(default, model="mobilenetv2_100", weights=Weights.FILE, weights_file=os.fspath(file))
    )
    return {"MobileNetV2": Member.of(other)}


def former_default(photos: Images, given: IntArray, seed: int, scratch: Path) -> Found:
    """Return the figures of the network from scratch that was the default."""
    config = RoundConfig(model=SMALL_NETWORK, input_size=32, epochs=8, batch_size=64, seed=seed)
    probs, seconds = train_and_predict(
        photos, given, config, scratch / f"former-{seed}", scratch / "images", processes=2
    )
    return metrics_of(-own(probs, given), given != photos.true, seconds)


def of_round(images: Images, given: IntArray, seed: int, scratch: Path, further: dict[str, Member]) -> dict[str, Found]:
    """Return the figures of the default round's order, of further networks and the mix, and of others' orders."""
    config, cache = replace(propose_config(images.summary), seed=seed), scratch.parent / "images"
    probs, seconds = train_and_predict(images, given, config, scratch, cache)
    wrong, pseudo = given != images.true, probs.argmax(axis=1)
    cleanlab = get_label_quality_scores(given, probs, method="normalized_margin", adjust_pred_probs=False)
    flath = np.where(pseudo != given, probs.max(axis=1), -probs.max(axis=1))
    found = {
        DEFAULT: metrics_of(-own(probs, given), wrong, seconds),
        "cleanlab": metrics_of(-cleanlab, wrong),
        "Flath's rule": metrics_of(flath, wrong),
    }
    if not further:
        return found
    mixed = replace(config, members=tuple(further.values()))
    probs, seconds = train_and_predict(images, given, mixed, scratch, cache)  # continues where the default round ended
    found[MIX] = metrics_of(-own(probs, given), wrong, seconds)
    for number, name in enumerate(further, 1):  # whose folds are done
        probs, _ = train_and_predict(images, given, mixed.networks[number], network_folder(scratch, number), cache)
        found[f"{ALONE}{name}"] = metrics_of(-own(probs, given), wrong)
    return found


def of_scenes(scenes: Scenes, noise: str, share: float, seed: int, scratch: Path) -> dict[str, Found]:
    """Return the figures of the objects of drawn scenes, by order."""
    given = with_wrong_labels(scenes.true, scenes.pixels, noise, share, seed)
    orders, seconds = suspicions(scenes, given, seed, scratch)
    found = {order: metrics_of(suspicion, given != scenes.true) for order, suspicion in orders.items()}
    return found | {DEFAULT: replace(found[DEFAULT], seconds=seconds)}


def train_and_predict(
    images: Images, given: IntArray, config: RoundConfig, scratch: Path, cache: Path, *, processes: int = 1
) -> tuple[FloatArray, float]:
    """Return a round's probabilities, (N, K), and the seconds that it took from files to findings.

    A small network trains in one thread: several `processes` then learn a fold each at the same time.
    """
    count = len(given)
    hashes = [blake2b(path.encode(), digest_size=16).hexdigest() for path in images.paths]
    names = [str(number) for number in range(CLASSES)]
    snapshot = Snapshot(np.arange(1, count + 1), images.paths, given.astype(np.int32), [""] * count, hashes, names)
    started = time.perf_counter()
    if processes > 1:
        snapshot.save(scratch)
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            list(pool.map(partial(learn_fold, scratch, config, cache), range(config.folds)))
    run_round(snapshot, config, scratch, image_cache=cache, report=lambda _: None)  # learns the folds that are missing
    seconds = time.perf_counter() - started
    return np.load(scratch / PROBABILITIES).astype(np.float32), seconds


def learn_fold(scratch: Path, config: RoundConfig, cache: Path, fold: int) -> None:
    """Learn one fold of a round whose snapshot lies in `scratch`."""
    run_fold(scratch, config, fold, image_cache=cache, report=lambda _: None, should_stop=lambda: False)


def own(probs: FloatArray, given: IntArray) -> FloatArray:
    """Return each given label's probability, (N,)."""
    taken: FloatArray = np.take_along_axis(probs, given[:, None], axis=1)[:, 0]
    return taken


def metrics_of(suspicion: FloatArray, wrong: IntArray, seconds: float = 0.0) -> Found:
    """Return how well this order, most suspicious first, finds the wrong labels."""
    order = np.argsort(-suspicion, kind="stable")
    return Found(
        float(average_precision_score(wrong, suspicion)),
        float(wrong[order[: int(wrong.sum())]].mean()),
        float(wrong[order[:100]].mean()),
        float(roc_auc_score(wrong, suspicion)),
        seconds,
    )


def average(runs: list[Found]) -> Found:
    """Return the mean of each figure."""
    names = ("average_precision", "at_errors", "at_100", "auroc", "seconds")
    return Found(*(float(np.mean([getattr(run, name) for run in runs])) for name in names))


def show(setting: str, rows: dict[str, Found]) -> None:
    """Print a setting's rows."""
    for order, found in rows.items():
        seconds = f"{found.seconds:7.0f}" if found.seconds else f"{'':7}"
        print(
            f"{setting:34}{order:24}{found.average_precision:7.3f}{found.at_errors:7.3f}{found.at_100:7.2f}"
            f"{found.auroc:7.3f}{seconds}",
            flush=True,
        )
        setting = ""


def show_mean(setting: str, runs: list[dict[str, Found]]) -> None:
    """Print the mean of a setting's runs, order by order."""
    show(setting, {order: average([run[order] for run in runs]) for order in runs[0]})


def settings(*, full: bool) -> Iterator[tuple[str, float]]:
    """Yield kinds of noise and shares of wrong labels."""
    if not full:
        yield "instance-dependent", 0.1
        return
    for noise in NOISES:
        for share in SHARES:
            yield noise, share


def with_wrong_labels(true: IntArray, pixels: FloatArray, noise: str, share: float, seed: int) -> IntArray:
    """Return labels of which this share is wrong."""
    rng = np.random.default_rng(seed)
    count, classes = len(true), int(true.max()) + 1
    given = true.copy()
    wanted = round(share * count)
    if noise == "instance-dependent":
        taught = rng.permutation(count)[: count // 10]
        model = LogisticRegression(max_iter=200).fit(pixels[taught], true[taught])
        probs = model.predict_proba(pixels)
        probs[np.arange(count), true] = 0
        chosen = np.argsort(-probs.max(axis=1) - 0.05 * rng.random(count), kind="stable")[:wanted]
        given[chosen] = probs[chosen].argmax(axis=1)
        return given
    chosen = rng.permutation(count)[:wanted]
    if noise == "uniform":
        given[chosen] = (true[chosen] + rng.integers(1, classes, wanted)) % classes
    else:
        given[chosen] = (true[chosen] + 1) % classes  # each class is taken for one other
    return given


def photographs(data: Path, scratch: Path) -> Images:
    """Return the photographs of CIFAR-10 that figures come from."""
    root = unpack(data, scratch, "cifar10_jpg.tar.xz") / "train"
    with np.load(data / "cifar10_labels.npz") as file:
        true = file["train"][FIRST : FIRST + PHOTOS].astype(np.int64)
    names = sorted(folder.name for folder in root.iterdir())
    paths = [str(root / names[label] / f"{FIRST + place:05d}.jpg") for place, label in enumerate(true)]
    summary = DatasetSummary(width=32, height=32, grey=False, count=len(paths), classes=CLASSES)
    return Images("CIFAR-10", paths, true, small(paths), summary)


def digits(data: Path, scratch: Path) -> Images:
    """Return digits of MNIST, every seventh."""
    root = unpack(data, scratch, "mnist_png.tar.gz")
    paths = [str(path) for path in sorted(root.rglob("*.png"))[::7]][:DIGITS]
    true = np.array([int(Path(path).parent.name) for path in paths])
    return Images(
        "MNIST", paths, true, small(paths), DatasetSummary(width=28, height=28, grey=True, count=len(paths), classes=10)
    )


def small(paths: list[str]) -> FloatArray:
    """Return each image as 8 x 8 grey pixels, (N, 64), in [0, 1]."""
    rows = [np.asarray(Image.open(path).convert("L").resize((8, 8)), np.float32).reshape(-1) for path in paths]
    return np.stack(rows) / 255


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = data_parser(__doc__)
    parser.add_argument("--full", action="store_true", help="all kinds and shares of noise, three seeds each")
    parser.add_argument("--drawn", action="store_true", help="without the labels that people gave")
    return parse_with_data(parser)


if __name__ == "__main__":
    main()
