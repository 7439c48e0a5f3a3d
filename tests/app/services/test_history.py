from dataclasses import replace
from typing import Any

from app.services import rounds
from app.services.history import history
from app.services.workspace import Workspace
from core.config import RoundConfig
from core.types import Recipe
from db.models import RoundRow
from tests.app.small import METRICS, add_dataset, add_done_round

CHANGES: dict[str, Any] = {
    "given": {
        "images": 19, "changed": 7, "new": 0, "left_out": 1, "pairs": [[1, 0, 6], [0, 1, 1]], "pixels": None,
        "pixels_changed": None,
    },
    "before": {
        "images": 19, "changed": 4, "new": 0, "left_out": 1, "pairs": [[1, 0, 3], [-1, 1, 1]], "pixels": None,
        "pixels_changed": None, "round": 1, "round_id": 1,
    },
    "verdicts": {"accept": 3, "bulk": 1200, "exclude": 2, "ambiguous": 1},
}  # fmt: skip


def add_past(workspace: Workspace) -> int:
    """Store two finished rounds, the second of which noted what changed, and return the dataset's id."""
    dataset_id = add_dataset(workspace, [0, 1] * 10)
    config = RoundConfig(folds=2)
    add_done_round(workspace, dataset_id, config)
    second = add_done_round(workspace, dataset_id, replace(config, epochs=8, seed=1))
    with workspace.database.write() as session:
        row = session.get(RoundRow, second)
        assert row is not None
        row.metrics = METRICS | {"label_changes": CHANGES}
    return dataset_id


def test_a_round_is_told_with_what_changed_since_the_one_before(workspace: Workspace) -> None:
    listed = rounds.list_rounds(workspace, add_past(workspace))
    second, first = history(workspace, listed)
    assert (second.round.number, first.round.number) == (2, 1)
    assert second.settings == {"epochs": (4, 8), "seed": (0, 1)}
    assert second.changed_settings == "epochs 4 → 8, seed 0 → 1"
    assert second.before is not None
    assert second.before["changed"] == 4
    assert second.verdicts == CHANGES["verdicts"]
    assert (first.settings, first.before, first.given, first.verdicts) == ({}, None, None, None)


def test_a_round_at_work_has_no_results_yet(workspace: Workspace) -> None:
    dataset_id = add_past(workspace)
    rounds.start_round(workspace, dataset_id, RoundConfig(folds=3, epochs=8, seed=1), "ada")
    listed = rounds.list_rounds(workspace, dataset_id)
    newest, *_ = history(workspace, listed)
    assert (newest.compared, newest.given, newest.settings) == (None, None, {"folds": (2, 3)})


def test_the_settings_of_another_recipe_are_not_told_one_by_one(workspace: Workspace) -> None:
    dataset_id = add_past(workspace)
    with workspace.database.write() as session:
        row = session.get(RoundRow, 2)
        assert row is not None
        row.recipe, row.recipe_config = Recipe.ITERATED, {"iterations": 3}
    newest, *_ = history(workspace, rounds.list_rounds(workspace, dataset_id))
    assert newest.settings == {"recipe": ("cross-fold", "iterated"), "epochs": (4, 8), "seed": (0, 1)}


def test_a_recipes_setting_hides_none_of_its_networks_of_the_same_name(workspace: Workspace) -> None:
    dataset_id = add_past(workspace)
    with workspace.database.write() as session:
        for number, batch_size in ((1, 4), (2, 16)):
            row = session.get(RoundRow, number)
            assert row is not None
            row.recipe, row.recipe_config = Recipe.CROSS_TRAINING, {"batch_size": 8, "steps": 100 * number}
            row.config = row.config | {"batch_size": batch_size, "epochs": 4, "seed": 0}
    newest, *_ = history(workspace, rounds.list_rounds(workspace, dataset_id))
    assert newest.settings == {"batch_size": (4, 16), "cross-training: steps": (100, 200)}
