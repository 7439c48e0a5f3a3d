from pathlib import Path

import pytest

from app.services import datasets, imports, rounds
from app.services.imports import ImportRequest
from app.services.workspace import Workspace
from core.config import RoundConfig
from core.data.demo import read_truth, write_demo
from core.types import DatasetError, RoundStatus
from tests.app.services.reviewed import digits, digits_home

__all__ = ["digits", "digits_home"]


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


def test_a_new_installation_begins_with_the_demo_at_work(
    workspace: Workspace, started: list[tuple[int, RoundConfig]]
) -> None:
    new = demo_workspace(workspace)
    demo = datasets.ensure_demo(new)
    assert demo is not None
    [card] = datasets.list_datasets(new)
    assert (card.dataset.id, card.images, card.problems, len(card.covers)) == (demo, 1797, 0, 10)
    assert started[0][0] == demo
    assert started[0][1].grey
    # the round was not stored (a kill came first): the next start makes up for it, and imports nothing twice
    assert datasets.ensure_demo(new) == demo
    assert len(started) == 2
    assert len(datasets.list_datasets(new)) == 1


def test_no_demo_where_it_is_not_wanted_or_something_else_is(
    workspace: Workspace, digits_folder: Path, started: list[tuple[int, RoundConfig]]
) -> None:
    assert datasets.ensure_demo(workspace) is None
    imports.start_import(workspace, ImportRequest(name="mine", source=str(digits_folder)))
    assert datasets.ensure_demo(demo_workspace(workspace)) is None
    assert started == []


def test_a_card_says_what_is_left_to_review(digits: Workspace) -> None:
    [card] = datasets.list_datasets(digits)
    assert card.images == 300
    assert card.class_counts == {str(number): 30 for number in range(10)}
    assert card.reviewable is not None
    assert card.newest == card.reviewable
    assert card.reviewable.status is RoundStatus.DONE
    assert card.reviewable.left > 0
    assert card.reviewable.decided == 0
    assert card.rounds == 1
    assert datasets.overview(digits).at_work == ([], [])
    assert not datasets.overview(digits).is_empty


def test_a_dataset_can_be_renamed_but_not_to_anothers_name(workspace: Workspace, digits_folder: Path) -> None:
    for name in ("one", "two"):
        asked = imports.start_import(workspace, ImportRequest(name=name, source=str(digits_folder)))
        imports.run_import(workspace, asked)
    one = datasets.find_dataset(workspace, "one")
    assert one is not None
    datasets.rename(workspace, one.id, " 1 ")
    assert datasets.get_dataset(workspace, one.id).name == "1"
    assert imports.request_again(workspace, one.id).name == "1"
    for name in ("two", " ", "x" * 201, "\udcff"):
        with pytest.raises(DatasetError, match="choose another"):
            datasets.rename(workspace, one.id, name)
    with pytest.raises(DatasetError, match="no dataset"):
        datasets.rename(workspace, 99, "three")


def test_a_dataset_that_is_not_there_says_so(workspace: Workspace) -> None:
    assert datasets.overview(workspace).is_empty
    assert datasets.find_dataset(workspace, "none") is None
    with pytest.raises(DatasetError, match="no dataset 7"):
        datasets.get_dataset(workspace, 7)
