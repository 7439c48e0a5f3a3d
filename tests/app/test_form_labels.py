"""Labels of the form by which a round is started: a rename in the code must not reach what people read."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

from app.services.app_context import AppContext
from app.services.rounds.preview import Estimates
from core.config import Weights
from core.types import Recipe, Task
from tests.app.small import add_dataset
from tools.fixtures.scenes import add_scenes

MAIN = Path(__file__).parents[2] / "app" / "main.py"
NETWORK = ["Network", "Initial weights"]
WEIGHTS_FILE = ["File or folder", "Mean", "Deviation", "Padding"]
SIZES = ["Epochs", "Pixels"]
REGIONS = ["Crop", "Min area", "Boundary"]
MORE = ["More", "Batch", "Device", "Seed", "Learning rate", "Grey images"]
SCENES = ["Rare classes weigh more", "Scales of held-out images", "and mirrored"]
ITERATED = [
    "Iterations",
    "Set apart",
    "Weak and strong views too",
    "Votes of five folds",
    "Choose by split",
    "Test on split",
    "Pseudo labels",
    "Mirror images",
    "Share of each class that is trained on, first and last",
    "Least confidence",
    "Unlabelled views",
    "Minutes per network",
    "Few unlabelled images at first",
]
CROSS_TRAINING = [
    "Steps together",
    "Images per step",
    "Choose by split",
    "Test on split",
    "Parts and lists",
    "Background class",
    "Only the first masks",
    "List of images with masks",
    "List of test images",
    "Also train on only the masks, to compare",
]
PREDICTIONS = [
    "File of probabilities, or folder of predicted masks",
    "Was a model trained on the images that it predicted?",
]
OF_CLASSES = [*NETWORK, *SIZES, *MORE]
OF_MASKS = [*NETWORK, *SIZES, *REGIONS, *MORE, *SCENES]
LABELS: Mapping[Task, Mapping[Recipe, list[str]]] = {
    Task.CLASSIFICATION: {
        Recipe.CROSS_FOLD: ["Method", *NETWORK, "Folds", *SIZES, *MORE, "Further networks"],
        Recipe.ITERATED: [*ITERATED, "Method", *OF_CLASSES],
        Recipe.COMPARISON: ["Seeds", "Method", *OF_CLASSES],
        Recipe.PREDICTIONS: PREDICTIONS,
    },
    Task.SEGMENTATION: {
        Recipe.CROSS_FOLD: ["Method", *NETWORK, "Folds", *SIZES, *REGIONS, *MORE, *SCENES],
        Recipe.ITERATED: [*(label for label in ITERATED if label != "Mirror images"), *OF_MASKS],
        Recipe.CROSS_TRAINING: [*CROSS_TRAINING, *OF_MASKS],
        Recipe.COMPARISON: ["Seeds", "Method", *OF_MASKS],
        Recipe.PREDICTIONS: PREDICTIONS,
    },
}


@pytest.fixture
def screen(app_context: AppContext, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr("app.services.app_context.app_context", lambda: app_context)
    monkeypatch.setattr("app.services.rounds.preview.known_times", lambda *_: Estimates((), pending=False))
    return AppTest.from_file(str(MAIN), default_timeout=30).switch_page("pages/rounds.py")


def labels(block: Block) -> Iterator[str]:
    """Yield the labels of widgets and expanders below a block, in their order."""
    for child in block.children.values():
        if label := getattr(child, "label", ""):
            yield label
        if isinstance(child, Block):
            yield from labels(child)


@pytest.mark.parametrize("task", Task)
def test_the_form_of_each_recipe_has_its_labels(
    task: Task, screen: AppTest, app_context: AppContext, tmp_path: Path
) -> None:
    is_mask = task is Task.SEGMENTATION
    dataset_id = add_scenes(app_context, tmp_path) if is_mask else add_dataset(app_context, [0, 1] * 10)
    goal = screen.run().selectbox(f"form_{dataset_id}_recipe")
    assert goal.label == "Goal"
    assert len(goal.options) == len(LABELS[task])
    for recipe, expected in LABELS[task].items():
        screen.selectbox(f"form_{dataset_id}_recipe").set_value(recipe).run()
        assert not screen.exception
        assert list(labels(screen.main)) == ["Dataset", "Goal", *expected, "Start round"], recipe


def test_a_weights_file_has_its_own_fields(screen: AppTest, app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, [0, 1] * 10)
    screen.run().selectbox(f"form_{dataset_id}_weights").set_value(Weights.FILE).run()
    shown = list(labels(screen.main))
    after = shown.index("Initial weights") + 1
    assert shown[after : after + len(WEIGHTS_FILE)] == WEIGHTS_FILE
