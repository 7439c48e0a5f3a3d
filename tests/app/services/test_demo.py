from pathlib import Path

import pytest

from app.services import datasets, demo, imports, rounds
from app.services.imports import ImportRequest
from app.services.workspace import Workspace
from core.config import RoundConfig
from core.data.demo import read_truth, write_demo


def demo_workspace(workspace: Workspace) -> Workspace:
    chosen = workspace.settings.model_copy(update={"demo": True})
    return Workspace(workspace.database, workspace.files, chosen)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, RoundConfig]]:
    calls: list[tuple[int, RoundConfig]] = []

    def note(workspace: Workspace, dataset_id: int, config: RoundConfig, by: str) -> None:
        calls.append((dataset_id, config))

    monkeypatch.setattr(rounds, "start_round", note)
    return calls


def test_the_demo_is_real_digits_with_known_wrong_labels(tmp_path: Path) -> None:
    write_demo(tmp_path / "digits")
    truth = read_truth(tmp_path / "digits")
    assert len(truth) == 1797
    assert sum(given != true for given, true in truth.values()) == round(0.08 * 1797)
    assert all(path.startswith(f"{given}/") for path, (given, _) in truth.items())
    assert {str(path.relative_to(tmp_path / "digits")) for path in tmp_path.rglob("*.png")} == set(truth)
    write_demo(tmp_path / "again")
    assert read_truth(tmp_path / "again") == truth


def test_a_new_installation_begins_with_both_demos_at_work(
    workspace: Workspace, started: list[tuple[int, RoundConfig]]
) -> None:
    new = demo_workspace(workspace)
    digits, scenes = demo.ensure_demos(new)
    cards = {card.dataset.id: card for card in datasets.list_datasets(new)}
    shown = cards[digits]
    assert (shown.dataset.name, shown.images, shown.masks, shown.problems, len(shown.covers)) == (
        demo.DIGITS.name, 1797, None, 0, 10,
    )  # fmt: skip
    shown = cards[scenes]
    assert (shown.dataset.name, shown.problems) == (demo.SCENES.name, 0)
    assert shown.images == shown.masks
    assert shown.dataset.colours is not None
    assert [dataset for dataset, _ in started] == [digits, scenes]
    assert started[0][1].grey
    # the rounds were not stored (a kill came first): the next start makes up for it, and imports nothing twice
    assert demo.ensure_demos(new) == [digits, scenes]
    assert len(started) == 4
    assert len(datasets.list_datasets(new)) == 2


def test_no_demo_where_it_is_not_wanted_or_something_else_is(
    workspace: Workspace, digits_folder: Path, started: list[tuple[int, RoundConfig]]
) -> None:
    assert demo.ensure_demos(workspace) == []
    imports.start_import(workspace, ImportRequest(name="mine", source=str(digits_folder)))
    assert demo.ensure_demos(demo_workspace(workspace)) == []
    assert started == []
