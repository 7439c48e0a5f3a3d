"""Coverage of the interval for the gain of cleaning, by simulation (pure numpy, no network).

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
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.judge.impact import impact_of_labels
from tools.fixtures.coverage import coverage_together, label_coverage, mask_coverage

LABELS = (  # items, seeds, share right only on the cleaned side, share right only on the original side
    *((count, 1, 0.05, 0.05) for count in (30, 100, 1000)),
    *((count, 1, 0.05, 0.02) for count in (30, 100, 1000)),
    *((count, 1, 0.20, 0.10) for count in (30, 100, 1000)),
    *((count, 1, 0.02, 0.00) for count in (30, 100, 300)),
    *((count, 1, 0.04, 0.00) for count in (30, 100, 300)),
    *((count, 3, 0.05, 0.02) for count in (30, 100, 1000)),
)
TOGETHER = ((10, 100), (100, 100), (200, 40))  # classes, items of each
MASKS = (  # images, classes, share of images with a class, gain of the cleaned side (log odds of a right pixel)
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
    for classes, count in TOGETHER:
        name = f"accuracy of {classes} classes of {count} items, all together"
        figures[name] = coverage_together(classes, count, simulations=max(1, arguments.simulations // 10))
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


def seconds_of_labels() -> float:
    """Return the CPU seconds of the impact on 10,000 labels of ten classes."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 10, 10_000)
    original, cleaned = (np.where(random.random((1, 10_000)) < 0.9, truth, 0) for _ in range(2))
    started = time.process_time()
    impact_of_labels(truth, original, cleaned)
    return time.process_time() - started


if __name__ == "__main__":
    main()
