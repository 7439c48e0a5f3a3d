"""Flath's experiment: 7,000 of MNIST's 70,000 labels are overwritten by a uniform class, and cleaned.

    python bench/mnist_noise.py mnist_png.tar.gz [--json FILE] [--fastai]

Labels are accepted as a user now would: 60 random findings and 60 random agreeing images are judged (verdicts are the
truth), then everything from the threshold that follows is accepted. Beside it the round's own estimates and threshold,
which no verdict backs. DATA is the archive, its unpacked folder, or a folder with the archive in it; without it
`$OUTFOLD_DATA`. Every round goes through `core.rounds.run_round` on the PNG files, as the app's do. `--fastai` also
measures the pipeline of the original (`bench/fastai_speed.py`) in `.venv-fastai`, which is made if it is missing.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._data import data_parser, parse_with_data, unpack
from core.config import DatasetSummary, RoundConfig, propose_config
from core.data.images import read_facts
from core.data.snapshot import Snapshot
from core.judge.class_thresholds import level_of
from core.judge.judgement import PROBABILITIES, Judgement
from core.judge.scoring import margin, self_confidence
from core.rounds import run_round, versions
from core.types import FindingKind, IntArray, Progress
from tools.fixtures.audits import simulate_audit

ARCHIVE = "mnist_png.tar.gz"
NOISE_SEED, OVERWRITTEN, LOOKED_AT = 2021, 7_000, 5_000
SAMPLES = 20  # audits of the same round; the first one's threshold is accepted
EPOCHS_OF_HIS, BATCHES_MEASURED = 3, 300


@dataclass
class Stopwatch:
    """Adds up the seconds of each stage; it is given to a round as its `report`."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    stage: str = "preparing"
    since: float = field(default_factory=time.perf_counter)

    def __call__(self, progress: Progress) -> None:
        """Count the time since the last call to the stage that was running."""
        self.enter(progress.stage)

    def enter(self, stage: str) -> None:
        """Begin another stage."""
        now = time.perf_counter()
        self.seconds[self.stage] += now - self.since
        self.stage, self.since = stage, now


def main() -> None:
    """Run the experiment and print its table."""
    arguments = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    figures: dict[str, Any] = {"versions": versions()}
    with tempfile.TemporaryDirectory(prefix="outfold-bench-") as scratch:
        started = time.perf_counter()
        root = unpack(arguments.data, Path(scratch), ARCHIVE)
        snapshot, truth = read(root)
        print(
            f"{len(truth):,} images, {(snapshot.labels != truth).sum():,} wrong labels, "
            f"read in {time.perf_counter() - started:.1f} s"
        )
        config = replace(
            propose_config(DatasetSummary(width=28, height=28, grey=True, count=len(truth), classes=10)), seed=0
        )
        if arguments.epochs:
            config = replace(config, epochs=arguments.epochs)
        for folds in arguments.folds:
            figures[f"folds_{folds}"] = experiment(snapshot, truth, replace(config, folds=folds), Path(scratch))
        if arguments.fastai:
            figures["fastai"] = fastai_speed(root, len(truth))
    figures |= headline(figures, max(arguments.folds))
    figures["peak_memory_mb"] = peak_memory_mb()
    print(
        f"peak memory {figures['peak_memory_mb']:.0f} MB, speed-up over fastai "
        f"{figures['speedup_over_fastai'] or 'not measured (--fastai)'}"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


def experiment(snapshot: Snapshot, truth: IntArray, config: RoundConfig, scratch: Path) -> dict[str, Any]:
    """Run two rounds, the second on the labels after an audit and accept-all."""
    print(f"\n{config.folds} folds, {config.epochs} epochs of {config.model}")
    figures: dict[str, Any] = {"epochs": config.epochs}
    for number in (1, 2):
        watch = Stopwatch()
        folder = scratch / f"folds-{config.folds}-round-{number}"
        judged = run_round(snapshot, config, folder, image_cache=scratch / "images", report=watch)
        watch.enter("end")
        measured, labels = measure(judged, snapshot.labels, truth)
        measured |= other_rankings(folder, judged, snapshot.labels, truth)
        seconds = {stage: round(spent, 2) for stage, spent in watch.seconds.items()}
        learning = seconds.get("training", 0.0) + seconds.get("predicting", 0.0)
        figures[f"round_{number}"] = measured | {
            "stage_seconds": seconds,
            "learning_seconds": learning,
            "seconds": sum(seconds.values()),
        }
        print(f"  round {number}: " + ", ".join(f"{stage} {spent:.1f} s" for stage, spent in seconds.items()))
        for name, value in measured.items():
            print(f"    {name:<40} {value:,.4f}" if isinstance(value, float) else f"    {name:<40} {value:,}")
        snapshot = replace(snapshot, labels=labels)
    return figures


def measure(judged: Judgement, given: IntArray, truth: IntArray) -> tuple[dict[str, Any], IntArray]:
    """Return the scores of a round, and the labels after accept-all at the threshold that an audit proposes."""
    wrong, suspicious = given != truth, judged.kind == FindingKind.SUSPICIOUS
    right, level = judged.pseudo == truth, level_of(judged.confidence)
    audits = [simulate_audit(level, judged.pseudo, given, truth, seed) for seed in range(SAMPLES)]
    after = [np.where(suspicious & (level >= audit.percent), judged.pseudo, given) for audit in audits]
    own = suspicious & (level >= round(judged.metrics["proposed_threshold"] * 100))
    accepted, labels = suspicious & (level >= audits[0].percent), after[0].astype(np.int32)
    surest = np.flatnonzero(suspicious)[np.argsort(-judged.confidence[suspicious], kind="stable")]  # Flath's rule
    gained = np.cumsum(right[surest].astype(int) - ~wrong[surest])
    figures = {
        "average_precision": float(average_precision_score(wrong, -judged.rank)),
        "precision_at_5000": float(wrong[surest[:LOOKED_AT]].mean()),
        "right_suggestions": float(right[suspicious].mean()),
        "right_suggestions_sample": audits[0].right.estimate,
        "right_suggestions_at_5000": float(right[surest[:LOOKED_AT]].mean()),
        "out_of_fold_accuracy": judged.metrics["accuracy"],
        "out_of_fold_accuracy_truth": float(right.mean()),
        "wrong_labels": int(wrong.sum()),
        "estimated_errors_own": judged.metrics["estimated_errors"],
        "errors_sample": audits[0].errors.estimate,
        "errors_sample_low": audits[0].errors.low,
        "errors_sample_high": audits[0].errors.high,
        "own_threshold": judged.metrics["proposed_threshold"],
        "proposed_threshold": audits[0].percent / 100,  # 1.01: none
        "accepted": int(accepted.sum()),
        "precision_of_accepted": float(right[accepted].mean()) if accepted.any() else 1.0,
        "label_accuracy_before": float(1 - wrong.mean()),
        "label_accuracy_after_own": float((np.where(own, judged.pseudo, given) == truth).mean()),
        "label_accuracy_after": float((labels == truth).mean()),
        "label_accuracy_after_mean": float(np.mean([(one == truth).mean() for one in after])),
        "label_accuracy_after_least": float(min((one == truth).mean() for one in after)),
        "label_accuracy_best_threshold": float(((~wrong).sum() + max(0, *gained)) / len(truth)),
    }
    return figures, labels


def other_rankings(folder: Path, judged: Judgement, given: IntArray, truth: IntArray) -> dict[str, float]:
    """Return the average precision of the rankings that the app does not begin with."""
    probs, labels = np.load(folder / PROBABILITIES).astype(np.float64), given.astype(np.int64)
    wrong, suspicious = given != truth, judged.kind == FindingKind.SUSPICIOUS
    flath = np.where(suspicious, judged.confidence, -judged.confidence)
    scores = {
        "self-confidence": -self_confidence(probs, labels),
        "normalized margin": -margin(probs, labels),
        "Flath's rule": flath,
    }
    return {
        f"average_precision, {name}": float(average_precision_score(wrong, score)) for name, score in scores.items()
    }


def headline(figures: dict[str, Any], folds: int) -> dict[str, Any]:
    """Return the figures under the names that stay, of the experiment with the most folds."""
    first, second = figures[f"folds_{folds}"]["round_1"], figures[f"folds_{folds}"]["round_2"]
    his, ours = figures.get("fastai"), figures.get("folds_2", {}).get("round_1")
    return {name: first[name] for name in ("average_precision", "precision_at_5000", "label_accuracy_before")} | {
        "label_accuracy_after": first["label_accuracy_after"],
        "label_accuracy_after_round_2": second["label_accuracy_after"],
        "seconds": first["seconds"],
        "speedup_over_fastai": his["seconds"] / ours["learning_seconds"] if his and ours else None,
    }


def fastai_speed(root: Path, count: int) -> dict[str, float]:
    """Return the seconds of the original's two folds here, from its speed over a few hundred batches."""
    home = ROOT / ".venv-fastai"
    python = home / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if uv is None:
            raise SystemExit("uv is needed to make .venv-fastai; install it with `pip install uv`")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, home], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "fastai"], check=True)
    command = [str(python), "-W", "ignore", str(ROOT / "bench" / "fastai_speed.py"), str(root), str(BATCHES_MEASURED)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    speed: dict[str, float] = json.loads(output.splitlines()[-1])
    train = EPOCHS_OF_HIS * count / speed["train_images_per_second"]  # two folds of half the images each
    predict = count / speed["predict_images_per_second"]
    print(
        f"\nfastai: {speed['train_images_per_second']:.0f} images/s training, "
        f"{speed['predict_images_per_second']:.0f} predicting; 2 folds x 3 epochs: {train + predict:,.0f} s"
    )
    return speed | {"seconds": train + predict}


def read(root: Path) -> tuple[Snapshot, IntArray]:
    """Return the images with their spoilt labels, and the true labels."""
    paths = sorted(root.rglob("*.png"))
    truth = np.array([int(path.parent.name) for path in paths])
    hashes = [read_facts(path, 10_000).content_hash for path in paths]
    rng = np.random.default_rng(NOISE_SEED)
    given = truth.copy()
    rows = rng.permutation(len(truth))[:OVERWRITTEN]
    given[rows] = rng.integers(0, 10, len(rows))
    names, nothing = [str(digit) for digit in range(10)], [""] * len(paths)
    ids = np.arange(1, len(paths) + 1)
    return Snapshot(ids, [str(path) for path in paths], given.astype(np.int32), nothing, hashes, names), truth


def peak_memory_mb() -> float:
    """Return the most memory this process held, in MB; those that decode stay far below it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def parse_arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = data_parser(__doc__)
    parser.add_argument("--folds", type=int, nargs="+", default=[2, 5])
    parser.add_argument("--epochs", type=int, default=0, help="instead of the proposed number")
    parser.add_argument("--fastai", action="store_true", help="measure the original's speed too (makes .venv-fastai)")
    return parse_with_data(parser)


if __name__ == "__main__":
    main()
