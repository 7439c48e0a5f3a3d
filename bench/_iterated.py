"""Timed runs of the recipe "iterated", their figures and table, for its two benchmarks."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.config import IteratedSettings, RoundConfig
from core.recipes.data import RecipeData
from core.recipes.iterated.recipe import IteratedResult, run_iterated
from core.rounds import versions
from core.types import Progress

TESTED = ("baseline", "best", "gain")


class StagePrinter:
    """Prints one line per stage, with its seconds; it is given to a recipe as its `report`."""

    def __init__(self) -> None:
        """Begin before the first stage."""
        self.line, self.since = "", time.perf_counter()

    def __call__(self, progress: Progress) -> None:
        """Print a stage that begins."""
        line = f"stage {progress.fold + 1} of {progress.folds}, {progress.stage}"
        if line != self.line:
            now = time.perf_counter()
            print(f"  {now - self.since:6.1f} s | {line} {progress.message}", flush=True)
            self.line, self.since = line, now


def one_run(
    data: RecipeData,
    network: RoundConfig,
    settings: IteratedSettings,
    folder: Path,
    *,
    cache: Path,
    masks: Path | None = None,
) -> dict[str, Any]:
    """Return the figures of one seed; a finished part is only read, and takes no time."""
    started, cpu = time.perf_counter(), time.process_time()
    result = run_iterated(data, network, settings, folder, image_cache=cache, masks=masks, report=StagePrinter())
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    own = figures_of_run(result) | {"seed": network.seed, "seconds": seconds, "cpu_seconds": cpu_seconds}
    print(f"  baseline {own['baseline']:.3f}, {result.best} {own['best']:.3f}, {seconds:.0f} s", flush=True)
    return own


def figures_of_run(result: IteratedResult) -> dict[str, Any]:
    """Return the figures of one run; `baseline` and `best` on the test images, all else on the validation images."""
    if result.test is None or result.baseline_test is None:
        raise RuntimeError("the bench was run without test images")
    baseline, best = result.baseline_test.value or 0.0, result.test.value or 0.0
    return {
        "baseline": baseline,
        "best": best,
        "gain": best - baseline,
        "network": result.best,
        "baseline_validation": result.baseline.value,
        "teacher_validation": None if result.teacher is None else result.teacher.value,
        "iterations": [
            {
                "teacher": one.teacher,
                "student": one.student.value,
                "tuned": None if one.tuned is None else one.tuned.value,
                "better": one.better,
                "thresholds": [round(value, 4) for value in one.thresholds],
                "taken_share": [round(of / max(1, all_), 4) for of, all_ in zip(one.taken, one.predicted, strict=True)],
            }
            for one in result.iterations
        ],
    }


def figures_of(runs: list[dict[str, Any]], network: RoundConfig, settings: IteratedSettings) -> dict[str, Any]:
    """Return the figures of all runs: means and spreads, and the runs themselves as `seeds`."""
    figures: dict[str, Any] = {
        "versions": versions(network.device),
        "config": network.to_json(),
        "settings": settings.to_json(),
        "seeds": runs,
    }
    figures |= mean_and_spread(runs, TESTED)
    reached = [[max(one["student"] or 0.0, one["tuned"] or 0.0) for one in run["iterations"]] for run in runs]
    figures["iterations"] = np.array(reached).mean(axis=0).tolist()
    figures["baseline_validation"] = float(np.mean([run["baseline_validation"] for run in runs]))
    return figures | {name: sum(run[name] for run in runs) for name in ("seconds", "cpu_seconds")}


def mean_and_spread(runs: list[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return the mean of each named figure over the runs, and its standard deviation, None of a single run."""
    figures: dict[str, Any] = {}
    for name in names:
        values = np.array([run[name] for run in runs])
        figures[name] = float(values.mean())
        figures[f"{name}_spread"] = float(values.std(ddof=1)) if len(runs) > 1 else None
    return figures


def print_table(measure: str, figures: dict[str, Any]) -> None:
    """Print the means with their spread, the single seeds, and the iterations."""
    runs = figures["seeds"]
    print(f"{'test ' + measure:<14} {'mean':>7} {'spread':>7}   of {len(runs)} seeds")
    for name in TESTED:
        spread = figures[f"{name}_spread"]
        shown = "" if spread is None else f"{spread:7.3f}"
        print(f"{name:<14} {figures[name]:7.3f} {shown:>7}   {' '.join(f'{run[name]:.3f}' for run in runs)}")
    steps = " ".join(f"{value:.3f}" for value in figures["iterations"])
    print(f"validation {measure}: baseline {figures['baseline_validation']:.3f}, then by iteration {steps}")
    print(f"{figures['seconds']:.0f} s, of them {figures['cpu_seconds']:.0f} s of CPU time")
