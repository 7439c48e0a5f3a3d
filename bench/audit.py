"""Gain of accepting after an audit: 60 random findings and 60 random agreeing images judged, then the proposal.

    OMP_NUM_THREADS=1 python bench/audit.py [DATA] [--json FILE] [--cache FOLDER] [--settings] [--former]
        [--seeds N]

Eight worlds whose wrong labels are not class-dependent (`bench/_audit_worlds.py`), 20 seeds each. DATA is a folder
with CIFAR-10, its human labels, MNIST and a MobileNetV2; without it `$OUTFOLD_DATA`. Settings were chosen on the images
below index 25,000 (`--settings`); figures come from the others. Verdicts are the truth: right, given label kept, or
neither. Everything from the proposed threshold on is accepted, judged cards included; where nothing is proposed, labels
stay as they were. Beside it everything that cleanlab's filter calls an issue, and everything that the network
contradicts (Flath's rule), gets the likeliest class.
"""

import json
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench._audit_worlds import WORLDS, Part, World, load
from bench._data import data_parser, parse_with_data
from core.judge.calibration import probabilities, temperature
from core.judge.class_thresholds import LEVELS, level_of
from core.judge.label_noise import fit_noise
from core.judge.pseudo_labels import posterior_confidence
from core.judge.recalibration import CardVerdict
from core.judge.scoring import confident_votes
from core.types import FloatArray, IntArray
from tools.fixtures.audits import outcomes, simulate_audit

SEEDS = 20
STRONG = ("strong, has learnt the noise",)  # worlds whose network is strong
HEADS = (
    ("agree", 7), ("right", 7), ("before", 8), ("gap", 7), ("gap'", 7), ("holds", 7), ("none", 6),
    ("labels", 8), ("after", 8), ("best", 8), ("cleanlab", 9), ("Flath", 8), ("errors", 8),
)  # fmt: skip
WIDTH = 33


@dataclass(frozen=True)
class Run:
    """One seed of one world; shares, and right labels as a share of all."""

    agreement: float
    right: float  # of all disagreements
    expected: float  # of them, by the round only
    estimated: float  # by the verdicts
    holds: bool | None  # the interval at the proposed threshold; None: nothing is proposed
    threshold: float | None
    labels: float
    after: float
    best: float  # at the best threshold in hindsight
    cleanlab: float
    flath: float
    errors_covered: bool  # the interval of all errors


@dataclass(frozen=True, eq=False)
class Judged:
    """A world as judged by a round: predictions, confidences, and the outcomes of the findings."""

    world: World
    probs: FloatArray
    pseudo: IntArray
    level: IntArray
    found: IntArray  # rows
    outcome: IntArray  # of the findings
    expected: float


def main() -> None:
    """Run all worlds and print the table."""
    parser = data_parser(__doc__)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "outfold-bench")
    parser.add_argument("--settings", action="store_true", help="the images that settings are chosen on")
    parser.add_argument("--former", action="store_true", help="features of a MobileNetV2 instead of the packaged ones")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    arguments = parse_with_data(parser)
    warnings.filterwarnings("ignore")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    part = Part.SETTINGS if arguments.settings else Part.FIGURES
    images = load(arguments.data, part, arguments.cache, former=arguments.former)
    print(" " * WIDTH + "".join(f"{name:>{width}}" for name, width in HEADS))
    runs: dict[str, list[Run]] = {}
    for name, make in WORLDS.items():
        runs[name] = [audit_world(predict_world(make(images, seed)), seed) for seed in range(arguments.seeds)]
        print(f"{name:<{WIDTH}}{line_of(runs[name])}")
    figures = headline(runs)
    print("  ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    if arguments.json:
        rows = {name: [asdict(run) for run in own] for name, own in runs.items()}
        arguments.json.write_text(json.dumps(figures | {"worlds": rows}, indent=1))


def predict_world(world: World) -> Judged:
    """Return the findings of a round on a world, by the functions of a round."""
    logits, given = world.logits.copy(), world.given
    for number in np.unique(world.fold):
        own = world.fold == number
        logits[own] /= np.float32(temperature(logits[own], given[own]))
    unsharpened = probabilities(logits)
    noise, sharper = fit_noise(logits, given, confident_votes(unsharpened, given))
    probs = probabilities(logits, sharper)
    confidence, _ = posterior_confidence(probs, given, noise)
    pseudo = probs.argmax(axis=1)
    found = np.flatnonzero(pseudo != given)
    outcome = outcomes(pseudo[found], given[found], world.true[found])
    expected = float(confidence[found].mean())
    return Judged(world, unsharpened, pseudo, level_of(confidence), found, outcome, expected)


def audit_world(case: Judged, seed: int) -> Run:
    """Return the estimates of an audit of a world, and the result of accepting as it proposes."""
    from cleanlab.filter import find_label_issues  # noqa: PLC0415 seconds

    given, true = case.world.given, case.world.true
    audit = simulate_audit(case.level, case.pseudo, given, true, seed)
    level, outcome = case.level[case.found], case.outcome
    accepted = outcome[level >= audit.percent]
    right = float((accepted == CardVerdict.RIGHT).mean()) if len(accepted) else 0.0
    gains = [gain(outcome[level >= percent]) / len(given) for percent in range(LEVELS)]
    labels = float((given == true).mean())
    issues = find_label_issues(given, case.probs.astype(np.float64), n_jobs=1)
    proposed = audit.proposed
    return Run(
        agreement=float((case.pseudo == given).mean()),
        right=float((outcome == CardVerdict.RIGHT).mean()),
        expected=case.expected,
        estimated=audit.right.estimate,
        holds=None if proposed is None else bool(proposed.right.low <= right <= proposed.right.high),
        threshold=None if proposed is None else proposed.threshold,
        labels=labels,
        after=labels + gain(accepted) / len(given),
        best=labels + max(0.0, *gains),
        cleanlab=float((np.where(issues, case.pseudo, given) == true).mean()),
        flath=float((case.pseudo == true).mean()),
        errors_covered=bool(audit.errors.low <= (given != true).sum() <= audit.errors.high),
    )


def gain(accepted: IntArray) -> int:
    """Return labels made right less labels made wrong, of the accepted findings' outcomes."""
    return int((accepted == CardVerdict.RIGHT).sum() - (accepted == CardVerdict.KEPT).sum())


def mean(runs: Sequence[Run], name: str) -> float:
    """Return a field's mean over runs."""
    return float(np.mean([getattr(run, name) for run in runs]))


def gap(runs: Sequence[Run], name: str) -> float:
    """Return the mean error of an estimate of the share right."""
    return float(np.mean([abs(getattr(run, name) - run.right) for run in runs]))


def holding(runs: Sequence[Run]) -> list[bool]:
    """Return for each run that proposes a threshold whether the interval there holds the truth."""
    return [run.holds for run in runs if run.holds is not None]


def line_of(runs: Sequence[Run]) -> str:
    """Return a world's line of the table."""
    covered = holding(runs)
    values = (
        f"{mean(runs, 'agreement'):7.2f}{mean(runs, 'right'):7.2f}{mean(runs, 'expected'):8.2f}"
        f"{gap(runs, 'expected'):7.3f}{gap(runs, 'estimated'):7.3f}"
    )
    covered_share = f"{np.mean(covered):7.2f}" if covered else f"{'':7}"
    rest = "".join(f"{mean(runs, name):8.4f}" for name in ("labels", "after", "best"))
    others = f"{mean(runs, 'cleanlab'):9.4f}{mean(runs, 'flath'):8.4f}{mean(runs, 'errors_covered'):8.2f}"
    return f"{values}{covered_share}{len(runs) - len(covered):6}{rest}{others}"


def headline(worlds: dict[str, list[Run]]) -> dict[str, Any]:
    """Return the figures under the names that stay."""
    every = [run for runs in worlds.values() for run in runs]
    strong = [run for name in STRONG for run in worlds[name]]
    return {
        "gap_before": max(gap(runs, "expected") for runs in worlds.values()),
        "gap_after": max(gap(runs, "estimated") for runs in worlds.values()),
        "coverage": float(np.mean(holding(every))) if holding(every) else 1.0,
        "worst_mean_loss": max(0.0, *(mean(runs, "labels") - mean(runs, "after") for runs in worlds.values())),
        "worst_run_loss": max(0.0, *(run.labels - run.after for run in every)),
        "share_of_best_gain": (mean(strong, "after") - mean(strong, "labels"))
        / (mean(strong, "best") - mean(strong, "labels")),
        "beats_cleanlab": sum(mean(runs, "after") >= mean(runs, "cleanlab") for runs in worlds.values()),
        "errors_coverage": float(np.mean([run.errors_covered for run in every])),
    }


if __name__ == "__main__":
    main()
