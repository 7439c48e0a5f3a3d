"""Labels of an evaluation split are judged like all others, and decide nothing about those."""

from pathlib import Path

import numpy as np

from core.config import RoundConfig
from core.data.predictions import fold_file
from core.data.snapshot import Snapshot
from core.judge.judgement import Judgement, judge_round
from core.types import FindingKind, IntArray

COUNT, CLASSES, FREE = 600, 3, 400  # the last ones are protected


def judged(folder: Path, labels: IntArray, logits: np.ndarray) -> Judgement:
    """Judge these labels by two folds that predicted these logits."""
    names = [f"{row}.png" for row in range(COUNT)]
    protected = np.arange(COUNT) >= FREE
    folder.mkdir()
    Snapshot(
        np.arange(COUNT), names, labels.astype(np.int32), [""] * COUNT, names, list("abc"), protected=protected
    ).save(folder)
    for fold in range(2):
        rows = np.arange(fold, COUNT, 2)
        np.savez(fold_file(folder, fold), rows=rows, logits=logits[rows])
    return judge_round(folder, RoundConfig(folds=2))


def test_labels_of_an_evaluation_split_affect_nothing_outside_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, CLASSES, COUNT)
    logits = (rng.normal(size=(COUNT, CLASSES)) + 3 * np.eye(CLASSES)[true]).astype(np.float32)
    wrong = true.copy()
    flipped = np.arange(FREE, COUNT)[rng.random(COUNT - FREE) < 0.5]
    wrong[flipped] = (wrong[flipped] + 1) % CLASSES
    with_right, with_wrong = (judged(tmp_path / str(n), labels, logits) for n, labels in enumerate((true, wrong)))
    for name in ("confidence", "self_confidence", "margin", "pseudo"):
        np.testing.assert_array_equal(getattr(with_wrong, name)[:FREE], getattr(with_right, name)[:FREE])
    for figure in ("temperature", "proposed_threshold", "proposal", "class_thresholds"):
        assert with_wrong.metrics[figure] == with_right.metrics[figure]
    assert (with_wrong.kind[flipped] == FindingKind.SUSPICIOUS).mean() > 0.8  # they are judged all the same
    assert with_wrong.metrics["accuracy"] < with_right.metrics["accuracy"]
