"""The Python API: label issues of probabilities and of a folder, and a round of one's own settings."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

import core
from core.api import Round, find_label_issues, run_round
from core.config import ProbabilityMethod, RoundConfig
from core.types import DatasetError, RoundError

CONFIG = RoundConfig(
    folds=2, method=ProbabilityMethod.PROBE, model="test_resnet", input_size=32, batch_size=32, device="cpu"
)


def probabilities(truth: Any, sure: float = 0.9, classes: int = 3) -> Any:
    """Return probabilities (N, K) that give each true class the same likelihood."""
    values = np.full((len(truth), classes), (1 - sure) / (classes - 1))
    values[np.arange(len(truth)), truth] = sure
    return values


def write_folder(root: Path, wrong: int = 0) -> Path:
    """Write 12 dark and 12 bright images; the first `wrong` ones of each class lie in the other one's folder."""
    random = np.random.default_rng(0)
    for number in range(24):
        bright, is_wrong = number % 2, number // 2 < wrong
        path = root / ("bright" if bool(bright) != is_wrong else "dark") / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(200, 255, (40, 40, 3)) if bright else random.integers(0, 55, (40, 40, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), wrong=st.integers(0, 5))
def test_the_issues_found_with_confident_probabilities_are_the_wrong_labels(seed: int, wrong: int) -> None:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, 60)
    labels = truth.copy()
    rows = random.choice(60, wrong, replace=False)
    labels[rows] = (labels[rows] + 1) % 3
    found = find_label_issues(probabilities(truth), labels)
    assert sorted(found.index) == sorted(rows.tolist())
    assert found["suggested"].tolist() == [str(truth[row]) for row in found.index]
    assert found["given"].tolist() == [str(labels[row]) for row in found.index]


def test_the_most_suspicious_label_comes_first() -> None:
    truth = np.array([0, 1] * 20)
    probs = probabilities(truth, classes=2)
    probs[1], probs[2] = (0.4, 0.6), (0.99, 0.01)
    labels = truth.copy()
    labels[[1, 2]] = 0, 1
    found = find_label_issues(probs, labels, classes=["cat", "dog"])
    assert found.index.tolist() == [2, 1]
    assert found["given"].tolist() == ["dog", "cat"]
    assert found["label_quality"].tolist() == pytest.approx([0.01, 0.4])


def test_labels_can_be_names_and_an_unlabelled_image_is_no_issue() -> None:
    truth = np.array([0, 1] * 10)
    names = ["cat", "dog"] * 10
    names[4] = "dog"
    labels: list[str | None] = [*names[:-1], None]
    assert find_label_issues(probabilities(truth, classes=2), labels, classes=["cat", "dog"]).index.tolist() == [4]


@pytest.mark.parametrize(
    ("probs", "labels", "classes", "message"),
    [
        (np.full((2, 2), 0.5), None, None, "give labels"),
        (np.full(4, 0.5), [0] * 4, None, r"shape \(4,\)"),
        (np.ones((4, 1)), [0] * 4, None, r"shape \(4, 1\)"),
        (np.full((2, 2), 0.7), [0, 1], None, "apply a softmax"),
        (np.full((2, 2), np.nan), [0, 1], None, "hold no number"),
        (np.full((2, 2), 0.5), [0, 1, 1], None, r"must be \(2,\)"),
        (np.full((2, 2), 0.5), [0, 2], None, "label 2 is not a class"),
        (np.full((2, 2), 0.5), ["cat", "cow"], ["cat", "dog"], "label 'cow' is none of the classes"),
        (np.full((2, 2), 0.5), [0, 1], ["cat"], "has 1 classes"),
        (np.array([["a", "b"]]), [0], None, "give numbers"),
    ],
)
def test_inconsistent_input_is_refused_with_a_cure(probs: Any, labels: Any, classes: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        find_label_issues(probs, labels, classes=classes)


def test_a_round_judges_every_image_of_a_folder_and_can_be_resumed(tmp_path: Path) -> None:
    source, to = write_folder(tmp_path / "set", wrong=1), tmp_path / "round"
    (source / "dark" / "broken.png").write_bytes(b"no image")
    stages: list[str] = []
    found = run_round(source, to, config=CONFIG, report=lambda progress: stages.append(progress.stage))
    assert len(found.images) == 24
    assert found.classes == ["bright", "dark"]
    assert found.probabilities.shape == (24, 2)
    assert {Path(path).name for path in found.issues["path"]} == {"00.png", "01.png"}
    assert len(found.left_out) == 1
    assert found.left_out[0].startswith("dark/broken.png: ")
    assert "training" in stages
    stages.clear()
    again = run_round(source, to, config=CONFIG, report=lambda progress: stages.append(progress.stage))
    assert again.images.equals(found.images)
    assert "training" not in stages


def test_a_folder_of_another_round_is_refused(tmp_path: Path) -> None:
    source, to = write_folder(tmp_path / "set"), tmp_path / "round"
    run_round(source, to, config=CONFIG, keep_networks=False)
    with pytest.raises(RoundError, match="other labels or settings; name a new folder"):
        run_round(source, to, config=RoundConfig.from_json(CONFIG.to_json() | {"seed": 1}))
    (source / "dark" / "00.png").rename(source / "bright" / "00.png")
    with pytest.raises(RoundError, match="other labels or settings"):
        run_round(source, to, config=CONFIG)


def test_a_folder_with_unusable_labels_is_refused_with_a_cure(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "1.png")
    with pytest.raises(RoundError, match="one folder per class"):
        find_label_issues(tmp_path)
    with pytest.raises(DatasetError, match="give labels and classes with probabilities only"):
        find_label_issues(tmp_path, [0])  # type: ignore[call-overload]
    with pytest.raises(DatasetError, match="there is no format gif"):
        run_round(tmp_path, tmp_path / "round", format="gif")


def test_importing_the_package_loads_neither_torch_nor_pandas() -> None:
    code = "import sys, core; sys.exit(bool({'torch', 'pandas', 'core.api'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
    assert core.find_label_issues is find_label_issues
    assert core.run_round is run_round
    assert core.Round is Round
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = core.nothing
