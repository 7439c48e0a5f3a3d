"""Gain of images without labels over a probe of few labels, on photographs of CIFAR-10 and frozen features.

    python bench/few_labels_photos.py [DATA] [--json FILE] [--folder DIR] [--seeds 5]

DATA is `cifar10_jpg.tar.xz` or the folder that holds it, or `$OUTFOLD_DATA`. The images are the first 1,000 of each
class of the training part, and the first 300 of each of the test part; they are embedded once, as the default round
embeds them. Of the training part 10, 40, 100 or 1,000 images are labelled, drawn evenly from the classes by each seed;
of the others nothing is known. Accuracy on the test images, which nothing is chosen by, mean over the seeds:

- `probe`: the regression of a round, fitted to the labels alone; its decay is chosen by cross-validation on them.
- `centred`: the same regression on features that are standardised by all images of the training part.
- `spread`: a regression on the labels as they spread to all images of the training part (`core.learn.propagation`).
- `method`: what the recipe *iterated* learns on a frozen network: `spread`, or the round's probe where cross-validation
  on the same labels says so.
- `ceiling`: the probe fitted to the labels of the whole training part, its decay chosen alike.

`gain_N`: of `method` over the better one of `probe` and `centred` with N labels, with its interval over the draws
(Student's t, 95 %); `closed_N`: the share of the gap to the ceiling that it closes.

With `--tail 100 10` the images are unbalanced instead, as people's are: of the classes, in an order that the seed
draws, the first keeps 1,000 images and each later one a constant share of those before, the last one a hundredth, then
a tenth of the first. 10, 40 or 100 of them are labelled, drawn `as they come` or evenly (`balanced`, all of the last
classes, where there are fewer). Accuracy is that of test images in the same shares: the mean of the classes' recalls by
their shares. Rows are `probe`, `spread` and `method`; the gain is of `method` over `probe`.

With `--folder` decoded images and embeddings are kept there.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._data import data_parser, parse_with_data, unpack
from bench._gains import mean_interval, shown_interval
from bench.iterated_cifar import ARCHIVE, read
from core.config import DatasetSummary, RoundConfig, propose_config
from core.config.iterated import SPREAD
from core.data.snapshot import Snapshot
from core.learn import probe, propagation
from core.learn.batches import ImageBatches
from core.learn.crossfold import FoldCallbacks, FoldSplit
from core.learn.folds import deal
from core.recipes.iterated.frozen import BASELINE, Features, fit_both, splits_of
from core.rounds import versions
from core.tasks import RoundPaths, task_of
from core.types import NO_LABEL, FloatArray, IntArray, Progress
from tools.fixtures.labels import balanced_draw

COUNTS = (10, 40, 100, 1_000)  # labels
FOLDS = 5  # of the cross-validation
TAIL_COUNTS = (10, 40, 100)  # labels
TAIL_WAYS = ("probe", "spread", "method")
CALLBACKS = FoldCallbacks(lambda _: None, lambda: False)


class Photographs:
    """Embedded images: the first `train` rows are the training part, the rest are the test part."""

    def __init__(self, snapshot: Snapshot, train: int, cache: Path) -> None:
        """Decode and embed the images as the default round does, or read them from `cache`."""
        summary = DatasetSummary(width=32, height=32, grey=False, count=len(snapshot), classes=len(snapshot.classes))
        self.config: RoundConfig = propose_config(summary)
        self.train, self.labels = train, snapshot.labels.astype(np.int64)
        self.classes = len(snapshot.classes)
        task, reading = task_of(snapshot), Progress("reading images", 0, 1)
        self.images: ImageBatches = task.training_data(
            snapshot, self.config, RoundPaths(cache, cache, None), reading, CALLBACKS
        ).images
        build = partial(task.build_network, self.config, self.images.channels, 0)
        found = probe.embed_images(
            self.config, self.images, snapshot.seen_hashes, build, cache=cache, fold=0, callbacks=CALLBACKS
        )
        self.features: FloatArray = np.asarray(found)  # (N, D) float16
        self.space = propagation.feature_space(self.features[:train])

    def accuracy(self, logits: FloatArray, shares: FloatArray | None = None) -> float:
        """Return the share of the test images whose largest logit, (M, K), is of their class.

        With `shares`, (K,), the mean of the classes' recalls by these.
        """
        given = self.labels[self.train :]
        right = logits.argmax(axis=1) == given
        if shares is None:
            return float(right.mean())
        return float(sum(share * right[given == label].mean() for label, share in enumerate(shares)))


def main() -> None:
    """Print the table and write the figures."""
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    started, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory(prefix="outfold-bench-") as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        snapshot, train = read(unpack(arguments.data, Path(scratch), ARCHIVE), arguments)
        photographs = Photographs(snapshot, train, folder)
        print(f"{photographs.features.shape} features: {since(started)}")
        if arguments.tail:
            figures: dict[str, Any] = run_tails(photographs, arguments.tail, arguments.seeds)
            figures |= {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
            print(f"{figures['seconds']:.0f} s, of them {figures['cpu_seconds']:.0f} s of CPU time")
            if arguments.json:
                arguments.json.write_text(json.dumps(figures, indent=1))
            return
        runs: dict[int, list[dict[str, float]]] = {count: [] for count in COUNTS}
        for seed in range(arguments.seeds):
            for count in COUNTS:
                runs[count].append(one_run(photographs, count, seed))
                scores = " ".join(f"{name} {value:.3f}" for name, value in runs[count][-1].items())
                print(f"seed {seed}, {count} labels: {scores}")
        print(f"{len(COUNTS)} x {arguments.seeds} runs: {since(started)}")
        ceiling = photographs.accuracy(probe_logits(photographs, np.arange(train), 0))
    figures = {"versions": versions(), "config": photographs.config.to_json()} | figures_of(runs, ceiling)
    print_table(runs, figures)
    figures |= {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    print(f"{figures['seconds']:.0f} s, of them {figures['cpu_seconds']:.0f} s of CPU time")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def run_tails(photographs: Photographs, ratios: Sequence[int], seeds: int) -> dict[str, Any]:
    """Return the figures of unbalanced images, and print them."""
    figures: dict[str, Any] = {"versions": versions(), "config": photographs.config.to_json()}
    print(
        f"{'draw':<13} {'first : last':>12} {'labels':>6}  "
        + " ".join(f"{way:>7}" for way in TAIL_WAYS)
        + "   gain, least"
    )
    for draw, ratio, count in product(("balanced", "as they come"), ratios, TAIL_COUNTS):
        runs = [one_tail(photographs, draw, ratio, count, seed) for seed in range(seeds)]
        gains = np.array([run["method"] - run["probe"] for run in runs])
        own = {way: float(np.mean([run[way] for run in runs])) for way in TAIL_WAYS}
        own |= {"gain": float(gains.mean()), "least": float(gains.min())}
        figures[f"{draw}, {ratio}:1, {count}"] = own | {"seeds": runs, "gain_interval": mean_interval(gains)}
        shown = " ".join(f"{own[way]:7.3f}" for way in TAIL_WAYS)
        print(f"{draw:<13} {ratio:>10}:1 {count:>6}  {shown}   {own['gain']:+.3f}, {own['least']:+.3f}")
    return figures


def one_tail(photographs: Photographs, draw: str, ratio: int, count: int, seed: int) -> dict[str, float]:
    """Return the accuracy of each method on unbalanced images, of which this number is labelled."""
    rng, classes = np.random.default_rng(1000 + seed), photographs.classes
    labels, kept = photographs.labels[: photographs.train], []
    for place, label in enumerate(rng.permutation(classes).tolist()):
        own = np.flatnonzero(labels == label)
        kept.append(rng.choice(own, max(1, round(len(own) * ratio ** (-place / (classes - 1)))), replace=False))
    pool = np.sort(np.concatenate(kept))
    if draw == "balanced":
        of_class = [pool[labels[pool] == label] for label in range(classes)]
        parts = [rng.choice(own, min(count // classes, len(own)), replace=False) for own in of_class]
        labelled = np.sort(np.concatenate(parts))
    else:
        labelled = np.sort(rng.choice(pool, count, replace=False))
    shares = np.bincount(labels[pool], minlength=classes) / len(pool)
    fitted = of_recipe(
        photographs, labelled, seed, (pool, propagation.feature_space(photographs.features[pool])), shares
    )
    return {"probe": fitted.pop(BASELINE)} | fitted


def one_run(photographs: Photographs, count: int, seed: int) -> dict[str, float]:
    """Return the test accuracy of each method with this number of labels, drawn by the seed."""
    labels = photographs.labels[: photographs.train]
    rows = balanced_draw(labels, count // photographs.classes, seed)
    found = {name: photographs.accuracy(way(photographs, rows, seed)) for name, way in BASELINES.items()}
    ways = of_recipe(photographs, rows, seed)
    return found | {name: value for name, value in ways.items() if name != BASELINE}


def of_recipe(
    photographs: Photographs,
    labelled: IntArray,
    seed: int,
    among: tuple[IntArray, propagation.FeatureSpace] | None = None,
    shares: FloatArray | None = None,
) -> dict[str, float]:
    """Return the test accuracy of the spread labels, of the probe, and of the recipe's choice by cross-validation.

    Labels spread `among` all training images, or these rows and their space.
    """
    pool, space = among or (np.arange(photographs.train), photographs.space)
    features = Features(
        network=photographs.config,
        embeddings=photographs.features,
        images=photographs.images,
        labels=photographs.labels,
        classes=photographs.classes,
        taught=labelled,
        pool=pool,
        space=space,
    )
    splits = splits_of(features, labelled, labelled, seed)
    with tempfile.TemporaryDirectory(prefix="outfold-decay-") as folder:
        fitted = fit_both(features, splits, Path(folder), CALLBACKS)
    tests, device = np.arange(photographs.train, len(photographs.labels)), photographs.images.device
    right = {
        name: photographs.accuracy(probe.logits_of(head, photographs.features, tests, device), shares)
        for name, head in fitted.heads.items()
    }
    chosen = SPREAD if fitted.choice.spread else BASELINE
    return right | {"method": right[chosen], "chose_spread": float(fitted.choice.spread)}


def probe_logits(photographs: Photographs, labelled: IntArray, seed: int) -> FloatArray:
    """Return the logits of the test images, (M, K), by the probe of a round that learns these rows."""
    features = photographs.features
    labels = np.full(len(photographs.labels), NO_LABEL, np.int64)
    labels[labelled] = photographs.labels[labelled]
    dealt = deal(labelled, labels[labelled], labelled, folds=FOLDS, seed=seed)
    splits = [FoldSplit(fold, labelled[dealt != fold], labelled[dealt == fold], labels) for fold in range(FOLDS)]
    with tempfile.TemporaryDirectory(prefix="outfold-decay-") as folder:
        choice = probe.choose_decay(
            features,
            splits,
            np.ones(len(labels), np.bool_),
            photographs.classes,
            path=Path(folder) / "decay.json",
            device=torch.device("cpu"),
            callbacks=CALLBACKS,
        )
    whole = FoldSplit(0, labelled, np.arange(photographs.train, len(labels)), labels)
    fitted = probe.probe_fold(
        photographs.config,
        photographs.images,
        features,
        whole,
        photographs.classes,
        decay=choice.decay,
        callbacks=CALLBACKS,
    )
    logits: FloatArray = fitted.kept.columns["logits"]
    return logits


def centred_logits(photographs: Photographs, labelled: IntArray, seed: int) -> FloatArray:
    """Return the logits of the test images, (M, K), by a regression on features standardised by all training images."""
    known, labels = photographs.features[: photographs.train].astype(np.float32), photographs.labels
    mean, std = known.mean(axis=0), known.std(axis=0).clip(1e-6)
    learn, wanted = torch.from_numpy((known[labelled] - mean) / std), torch.from_numpy(labels[labelled])
    dealt = torch.from_numpy(deal(labelled, labels[labelled], labelled, folds=FOLDS, seed=seed))

    def fitted(rows: torch.Tensor, decay: float, begin: torch.nn.Linear | None) -> torch.nn.Linear:
        return probe.fit_regression(
            learn[rows], wanted[rows], photographs.classes, decay=decay, should_stop=CALLBACKS.should_stop, begin=begin
        )

    likelihoods = np.zeros(len(probe.DECAYS))
    for fold in range(FOLDS):
        layer = None
        for number, decay in enumerate(probe.DECAYS):
            layer = fitted(dealt != fold, decay, layer)
            with torch.no_grad():
                logits = layer(learn[dealt == fold])
            likelihoods[number] -= float(cross_entropy(logits, wanted[dealt == fold], reduction="sum"))
    layer = fitted(dealt >= 0, probe.DECAYS[int(likelihoods.argmax())], None)
    tests = torch.from_numpy((photographs.features[photographs.train :].astype(np.float32) - mean) / std)
    with torch.no_grad():
        found: FloatArray = layer(tests).numpy()
    return found


BASELINES: dict[str, Callable[[Photographs, IntArray, int], FloatArray]] = {
    "probe": probe_logits,
    "centred": centred_logits,
}


WAYS = (*BASELINES, "spread", "method")


def figures_of(runs: dict[int, list[dict[str, float]]], ceiling: float) -> dict[str, Any]:
    """Return the mean of each way by number of labels, the gains with their intervals, and the runs."""
    figures: dict[str, Any] = {"ceiling": ceiling, "seeds": {str(count): own for count, own in runs.items()}}
    for count, own in runs.items():
        means = {way: float(np.mean([run[way] for run in own])) for way in WAYS}
        best = max(BASELINES, key=means.__getitem__)
        gains = np.array([run["method"] - run[best] for run in own])
        figures |= {f"{way}_{count}": mean for way, mean in means.items()}
        figures |= {
            f"gain_{count}": float(gains.mean()),
            f"gain_{count}_interval": mean_interval(gains),
            f"gain_{count}_over": best,
            f"gain_{count}_least": float(gains.min()),
            f"closed_{count}": float(gains.mean() / (ceiling - means[best])),
        }
    return figures


def print_table(runs: dict[int, list[dict[str, float]]], figures: dict[str, Any]) -> None:
    """Print the mean of each way, with its seeds, by number of labels."""
    print(f"{'labels':>7}  {'way':<12} {'mean':>6}   of {len(runs[COUNTS[0]])} seeds")
    for count, own in runs.items():
        for way in WAYS:
            values = " ".join(f"{run[way]:.3f}" for run in own)
            print(f"{count:>7}  {way:<12} {figures[f'{way}_{count}']:6.3f}   {values}")
        print(
            f"{count:>7}  gain over {figures[f'gain_{count}_over']} {figures[f'gain_{count}']:+.3f} "
            f"{shown_interval(figures[f'gain_{count}_interval'])}, closes {figures[f'closed_{count}']:.0%} of the gap; "
            f"spread chosen in {sum(run['chose_spread'] for run in own):.0f} of {len(own)}"
        )
    print(f"{'all':>7}  {'ceiling':<12} {figures['ceiling']:6.3f}")


def since(started: float) -> str:
    """Return the seconds since then, as a text."""
    return f"{time.perf_counter() - started:.0f} s"


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = data_parser(__doc__)
    parser.add_argument("--folder", type=Path, help="keep decoded images and embeddings here")
    parser.add_argument("--seeds", type=int, default=5, help="draws of the labels")
    parser.add_argument(
        "--tail", type=int, nargs="+", metavar="N", help="unbalanced images: N of the first class for one"
    )
    parser.add_argument("--images", type=int, default=10_000, help="of the training part")
    parser.add_argument("--tests", type=int, default=3_000, help="of the test part")
    return parse_with_data(parser)


if __name__ == "__main__":
    main()
