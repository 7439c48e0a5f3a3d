"""Effect of accepting in bulk on labels, from networks that are strong, weak or know nothing; the truth is known.

    python bench/bulk_accept.py [--json FILE]

Logits are drawn, or come out of fold from scikit-learn's models on its 1,797 real digits; some labels are changed. As a
user now would, 60 random findings and 60 random agreeing images are judged first (verdicts are the truth), and all
findings from the threshold that is then proposed are accepted, or none. Of each case: the share right of all findings
before the sample (the round's own estimate, unverified), as it is, and after the sample; the same of the errors; the
labels right before, after accepting at the round's own threshold (as was done without a sample), at the one proposed
after it, and after everything that cleanlab's filter calls an issue got the likeliest class. `worst_loss` is the most
that accepting cost, in right labels, over all cases.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.data.demo import wrong_labels
from core.judge.calibration import probabilities
from core.judge.class_thresholds import level_of
from tools.fixtures.audits import simulate_audit
from tools.fixtures.labels import Case, calibrate, draw_case, propose_labels

SIMULATED = (  # classes, items of each, how good the networks are, wrong labels
    (10, 1000, 0.5, 0.08), (10, 1000, 1.5, 0.08), (10, 1000, 2.5, 0.08), (10, 1000, 4.0, 0.08), (10, 1000, 7.0, 0.08),
    (10, 300, 2.0, 0.0), (100, 30, 2.5, 0.08), (100, 30, 5.0, 0.08), (1000, 4, 6.0, 0.05), (1000, 2, 1.0, 0.0),
)  # fmt: skip
WRONG = (0.0, 0.02, 0.08, 0.2)  # of the digits
WIDTH = 40
HEADS = (
    ("agree", 7), ("right", 7), ("own", 6), ("sample", 8), ("errors", 8), ("own", 7), ("sample", 8),
    ("labels", 8), ("own", 8), ("sample", 8), ("cleanlab", 10),
)  # fmt: skip


def main() -> None:
    """Judge all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    rows = []
    print(" " * WIDTH + "".join(f"{name:>{width}}" for name, width in HEADS))
    for case in (*simulated_cases(), *digit_cases()):
        row = judge(case)
        rows.append(row)
        shares = f"{row['agreement']:7.2f}{row['right']:7.2f}{row['right_own']:6.2f}{row['right_sample']:8.2f}"
        errors = f"{row['errors']:8}{row['errors_own']:7}{row['errors_sample']:8.0f}"
        labels = f"{row['before']:8.4f}{row['after_own']:8.4f}{row['after']:8.4f}{row['after_cleanlab']:10.4f}"
        print(f"{row['name']:<{WIDTH}}{shares}{errors}{labels}")
    losses = {
        name: max(0.0, *(row["before"] - row[after] for row in rows))
        for name, after in (
            ("worst_loss", "after"),
            ("worst_loss_own", "after_own"),
            ("worst_loss_cleanlab", "after_cleanlab"),
        )
    }
    print("  ".join(f"{name} {value:.4f}" for name, value in losses.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps({"cases": rows, **losses}, indent=1))


def judge(case: Case) -> dict[str, Any]:
    """Return the results of accepting: by the round's own threshold, after a sample, and by cleanlab's filter."""
    from cleanlab.filter import find_label_issues  # noqa: PLC0415 seconds

    given, true, logits = case.given, case.true, calibrate(case)
    own, pseudo, confidence, given_true = propose_labels(logits, given)
    level, found = level_of(confidence), pseudo != given
    audit = simulate_audit(level, pseudo, given, true, 0)
    issues = find_label_issues(given, probabilities(logits).astype(np.float64), n_jobs=1)
    after = {
        "after_own": found & (level >= round(own.threshold * 100)),
        "after": found & (level >= audit.percent),
        "after_cleanlab": issues,
    }
    return {
        "name": case.name,
        "agreement": float((pseudo == given).mean()),
        "right": float((pseudo == true)[found].mean()),
        "right_own": float(confidence[found].mean()),
        "right_sample": audit.right.estimate,
        "right_interval": [audit.right.low, audit.right.high],
        "errors": int((given != true).sum()),
        "errors_own": round(float((1 - given_true).sum())),
        "errors_sample": audit.errors.estimate,
        "errors_interval": [audit.errors.low, audit.errors.high],
        "threshold_own": own.threshold,
        "threshold": None if audit.proposed is None else audit.proposed.threshold,
        "before": float((given == true).mean()),
    } | {name: float((np.where(rows, pseudo, given) == true).mean()) for name, rows in after.items()}


def simulated_cases() -> Iterator[Case]:
    """Yield the drawn cases."""
    for classes, each, signal, wrong in SIMULATED:
        yield draw_case(signal, classes=classes, each=each, wrong=wrong)


def digit_cases() -> Iterator[Case]:
    """Yield cases of real digits, judged by models that never saw them."""
    from sklearn.datasets import load_digits  # noqa: PLC0415
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.model_selection import cross_val_predict  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    images, true = load_digits(return_X_y=True)
    models: dict[str, tuple[Any, dict[str, Any]]] = {
        "trees": (ExtraTreesClassifier, {"n_estimators": 200, "random_state": 0}),
        "logistic regression": (LogisticRegression, {"C": 0.1, "max_iter": 300}),
        "small network": (MLPClassifier, {"hidden_layer_sizes": (64,), "max_iter": 30, "random_state": 0}),
        "stumps": (RandomForestClassifier, {"n_estimators": 20, "max_depth": 2, "random_state": 0}),
    }
    for name, (model, settings) in models.items():
        for wrong in WRONG:
            given = wrong_labels(true.astype(np.int64), wrong, 0) if wrong else true.astype(np.int64)
            probs = cross_val_predict(model(**settings), images / 16, given, cv=3, method="predict_proba")
            logits = np.log(np.clip(probs, 1e-4, 1)).astype(np.float32)
            yield Case(f"digits, {name}, {wrong:.0%} wrong", logits, given, true)


if __name__ == "__main__":
    main()
