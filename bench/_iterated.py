"""What the two benchmarks of the recipe "iterated" share: one timed run, its figures, and the table of all runs."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from core.config import IteratedSettings, RoundConfig
from core.recipes.data import RecipeData
from core.recipes.iterated import Iterated, run_iterated
from core.rounds import versions
from core.types import Progress

TESTED = ("baseline", "best", "gain")


class Teller:
    """Prints one line per stage, with its seconds; it is given to a recipe as its `report`."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self.said, self.since = "", time.perf_counter()

    def __call__(self, progress: Progress) -> None:
        """Say that another stage begins."""
        line = f"stage {progress.fold + 1} of {progress.folds}, {progress.stage}"
        if line != self.said:
            now = time.perf_counter()
            print(f"  {now - self.since:6.1f} s | {line} {progress.message}", flush=True)
            self.said, self.since = line, now


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
    result = run_iterated(data, network, settings, folder, image_cache=cache, masks=masks, report=Teller())
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    own = measured(result) | {"seed": network.seed, "seconds": seconds, "cpu_seconds": cpu_seconds}
    print(f"  baseline {own['baseline']:.3f}, {result.best} {own['best']:.3f}, {seconds:.0f} s", flush=True)
    return own


def measured(result: Iterated) -> dict[str, Any]:
    """Return what one run came to; `baseline` and `best` on the test images, all else on the validation images."""
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
                "tuned": one.tuned.value,
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
    for name in TESTED:
        values = np.array([run[name] for run in runs])
        figures[name] = float(values.mean())
        figures[f"{name}_spread"] = float(values.std(ddof=1)) if len(runs) > 1 else None
    tuned = np.array([[one["tuned"] or 0.0 for one in run["iterations"]] for run in runs])
    figures["iterations"] = tuned.mean(axis=0).tolist()
    figures["baseline_validation"] = float(np.mean([run["baseline_validation"] for run in runs]))
    return figures | {name: sum(run[name] for run in runs) for name in ("seconds", "cpu_seconds")}


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
