"""The seam between kinds of labels: two values, compared nowhere else in the method."""

import ast
from pathlib import Path

import numpy as np
import pytest

from core.config import RoundConfig
from core.data.snapshot import Snapshot, SnapshotMasks
from core.learn.crossfold import FoldCallbacks
from core.tasks import CLASSIFICATION, SEGMENTATION, RoundPaths, task_of
from core.types import Progress, RoundError

CORE = Path(__file__).parents[2] / "core"
SEAM = {CORE / "tasks.py", CORE / "data" / "snapshot.py"}  # the snapshot says what it holds, the tasks follow


def snapshot(masks: SnapshotMasks | None = None) -> Snapshot:
    return Snapshot(np.array([1]), ["a.png"], np.array([0]), [""], ["a"], ["sky", "road"], masks)


def test_the_task_is_derived_from_the_snapshot() -> None:
    assert task_of(snapshot()) is CLASSIFICATION
    assert task_of(snapshot(SnapshotMasks([""], [""], np.array([[4, 4]])))) is SEGMENTATION


def asks(test: ast.expr) -> bool:
    """Return whether an expression compares with a task or asks whether a snapshot has masks."""
    for node in ast.walk(test):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(ast.unparse(side).endswith(("snapshot.masks", ".task")) for side in sides):
                return True
            if any(word in ast.unparse(node) for word in ("Task.", "CLASSIFICATION", "SEGMENTATION")):
                return True
    return False


def refuses(node: ast.AST) -> bool:
    """Return whether a branch only raises an error."""
    return isinstance(node, ast.If) and not node.orelse and all(isinstance(inner, ast.Raise) for inner in node.body)


def branches(tree: ast.AST) -> list[int]:
    kinds = (ast.If, ast.IfExp, ast.While, ast.Assert)
    found = [
        node.lineno for node in ast.walk(tree) if isinstance(node, kinds) and not refuses(node) and asks(node.test)
    ]
    cases = [node.subject for node in ast.walk(tree) if isinstance(node, ast.Match)]
    return found + [subject.lineno for subject in cases if "task" in ast.unparse(subject).lower()]


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("if snapshot.masks is None:\n    judge()", 1),
        ("x = a if info.task == Task.SEGMENTATION else b", 1),
        ("while task is SEGMENTATION: pass", 1),
        ("match snapshot.task:\n    case 1: pass", 1),
        ("if snapshot.masks is None:\n    raise RoundError('no masks')", 0),
        ("TABLE[snapshot.task](folder)", 0),
    ],
)
def test_a_branch_on_the_task_is_detected(code: str, count: int) -> None:
    assert len(branches(ast.parse(code))) == count


def test_no_other_module_branches_on_the_task() -> None:
    asking = [
        f"{path.relative_to(CORE)}:{line}"
        for path in sorted(CORE.rglob("*.py"))
        if path not in SEAM
        for line in branches(ast.parse(path.read_text()))
    ]
    assert asking == []


def test_masks_without_their_store_are_refused() -> None:
    opened = snapshot(SnapshotMasks([""], [""], np.array([[4, 4]])))
    places = RoundPaths(Path("round"), Path("cache"), None)
    callbacks = FoldCallbacks(lambda _: None, lambda: False)
    with pytest.raises(RoundError, match="start it again with the folder of their store"):
        SEGMENTATION.training_data(opened, RoundConfig(), places, Progress("reading images", 0, 2), callbacks)
