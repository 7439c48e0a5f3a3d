"""How often the interval of what cleaning was worth holds the truth, by simulation (pure numpy, no network).

    python bench/worth_coverage.py [--json FILE] [--simulations 2000]

Each simulation draws a new set of judged items from a population whose true difference is known, and asks the same
functions as the application. Accuracy: items that both, one or neither of two models gets right, also with three
seeds that agree in part. Mean IoU: images whose classes, areas and hardness vary, rare classes among them, the truth
from 200,000 images. At a nominal 95 % an interval should hold the truth in at least 93 % of the simulations.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.judge.mask_worth import worth_of_masks
from core.judge.paired import Interval
from core.judge.worth import worth_of_labels
from core.types import IntArray

POPULATION = 200_000
LABELS = (  # items, seeds, share that the cleaned side alone gets right, that the original side alone does
    *((count, 1, 0.05, 0.05) for count in (30, 100, 1000)),
    *((count, 1, 0.05, 0.02) for count in (30, 100, 1000)),
    *((count, 1, 0.20, 0.10) for count in (30, 100, 1000)),
    *((count, 1, 0.02, 0.00) for count in (30, 100, 300)),
    *((count, 1, 0.04, 0.00) for count in (30, 100, 300)),
    *((count, 3, 0.05, 0.02) for count in (30, 100, 1000)),
)
MASKS = (  # images, classes, how often an image has a class, what the cleaned side gains (log odds of a right pixel)
    *((count, 5, 0.9, 0.0) for count in (20, 60, 150)),
    *((count, 11, 0.6, 0.3) for count in (20, 60, 150)),
    *((count, 11, 0.2, 0.1) for count in (20, 60, 150)),
)


def main() -> None:
    """Simulate all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--simulations", type=int, default=2000, help="of each population")
    arguments = parser.parse_args()
    figures: dict[str, float] = {"seconds_of_10000_labels": seconds_of_labels()}
    for settings in LABELS:
        name = "accuracy {} items {} seeds +{} -{}".format(*settings)
        figures[name] = label_coverage(*settings, simulations=arguments.simulations)
        print(f"{name:<48} {figures[name]:.4f}", flush=True)
    for settings in MASKS:
        name = "mean IoU {} images {} classes in {} gain {}".format(*settings)
        figures[name] = mask_coverage(*settings, simulations=arguments.simulations)
        print(f"{name:<48} {figures[name]:.4f}", flush=True)
    figures["least_coverage"] = min(figures[name] for name in figures if name.startswith(("accuracy", "mean")))
    for name in ("least_coverage", "seconds_of_10000_labels"):
        print(f"{name:<48} {figures[name]:.4f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def label_coverage(count: int, seeds: int, better: float, worse: float, *, simulations: int) -> float:
    """Return how often the interval of the difference in accuracy holds the true one."""

    def interval(simulation: int) -> Interval:
        return worth_of_labels(*draw_labels(simulation, count, seeds, better, worse), seed=simulation).interval

    return coverage(interval, better - worse, simulations)


def draw_labels(seed: int, count: int, seeds: int, better: float, worse: float) -> tuple[IntArray, IntArray, IntArray]:
    """Return true labels, (N,), all of one class, and both sides' predictions, (S, N), with these shares of pairs.

    Half of what an item is goes for all its seeds, the other half is drawn for each.
    """
    random = np.random.default_rng(seed)
    shares = [better, worse, (1 - better - worse) * 0.8, (1 - better - worse) * 0.2]
    common = random.choice(4, size=count, p=shares)
    kind = np.where(random.random((seeds, count)) < 0.5, common, random.choice(4, size=(seeds, count), p=shares))
    cleaned, original = np.isin(kind, (0, 2)), np.isin(kind, (1, 2))
    return np.zeros(count, np.int64), 1 - original.astype(np.int64), 1 - cleaned.astype(np.int64)


def mask_coverage(count: int, classes: int, presence: float, gain: float, *, simulations: int) -> float:
    """Return how often the interval of the difference in mean IoU holds the true one."""
    right, given, predicted = np.moveaxis(draw_masks(0, POPULATION, classes, presence, gain).sum(axis=1), 1, 0)
    ious = (right / (given + predicted - right)).mean(axis=1)

    def interval(simulation: int) -> Interval:
        original, cleaned = draw_masks(simulation + 1, count, classes, presence, gain)
        return worth_of_masks(original[None], cleaned[None], seed=simulation).interval

    return coverage(interval, float(ious[1] - ious[0]), simulations)


def draw_masks(seed: int, count: int, classes: int, presence: float, gain: float) -> IntArray:
    """Return both sides' pixel counts, (2, N, 3, K): right, given and predicted.

    Classes become rarer from the first, which every image has, to the last; an image and each class in it is hard or
    easy for both sides, which differ a little on it; missed pixels go to other classes.
    """
    random = np.random.default_rng(seed)
    there = random.random((count, classes)) < presence
    there[:, 0] = True
    area = there * random.gamma(1.0, 1.0, (count, classes)) * np.geomspace(1, 0.05, classes)
    given = 10_000 * area / area.sum(axis=1, keepdims=True)
    hardness = random.normal(0, 0.8, (count, 1)) + random.normal(0, 0.6, (count, classes))
    sides = []
    for better in (0.0, gain):
        missed = given / (1 + np.exp(1.5 + better - hardness - random.normal(0, 0.4, (count, classes))))
        elsewhere = missed.sum(axis=1, keepdims=True) * random.dirichlet(np.full(classes, 0.5), count)
        sides.append(np.stack([given - missed, given, given - missed + elsewhere], axis=1))
    return np.round(sides).astype(np.int64)


def coverage(interval: Callable[[int], Interval], true: float, simulations: int) -> float:
    """Return how many of the simulations' intervals hold the truth, as a share."""
    held = 0
    for simulation in range(simulations):
        found = interval(simulation)
        held += found.low <= true <= found.high
    return held / simulations


def seconds_of_labels() -> float:
    """Return how long 10,000 items and 2,000 resamples take, with ten classes, in CPU seconds."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 10, 10_000)
    original, cleaned = (np.where(random.random((1, 10_000)) < 0.9, truth, 0) for _ in range(2))
    started = time.process_time()
    worth_of_labels(truth, original, cleaned)
    return time.process_time() - started


if __name__ == "__main__":
    main()
