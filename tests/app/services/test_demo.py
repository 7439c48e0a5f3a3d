from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.services import datasets, deletions, demo
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.rounds import jobs as rounds
from core.config import RoundConfig
from core.data.demo import write_demo
from core.types import JobStatus
from db.queries import rounds as rows
from tools.fixtures.labels import read_truth

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def demo_workspace(app_context: AppContext) -> AppContext:
    chosen = app_context.settings.model_copy(update={"demo": True})
    return AppContext(app_context.database, app_context.files, chosen)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, RoundConfig]]:
    calls: list[tuple[int, RoundConfig]] = []

    def note(app_context: AppContext, dataset_id: int, config: RoundConfig, by: str) -> None:
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


def test_a_new_installation_starts_with_rounds_of_both_demos(
    app_context: AppContext, started: list[tuple[int, RoundConfig]]
) -> None:
    new = demo_workspace(app_context)
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


def test_no_demo_is_added_if_disabled_or_if_other_datasets_exist(
    app_context: AppContext, digits_folder: Path, started: list[tuple[int, RoundConfig]]
) -> None:
    assert demo.ensure_demos(app_context) == []
    imports.add_import(app_context, ImportRequest(name="mine", source=str(digits_folder)))
    assert demo.ensure_demos(demo_workspace(app_context)) == []
    assert started == []


def test_deleted_demos_and_their_rounds_are_not_recreated(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "start_round", lambda *_arguments, **_options: None)
    new = demo_workspace(app_context)
    digits, scenes = demo.ensure_demos(new)
    deletions.delete_dataset(new, scenes, "Ada")
    with new.database.write() as session:
        round_id = rows.add_round(session, digits, RoundConfig().to_json(), "Ada", NOW)
        rows.end_round(session, round_id, JobStatus.DONE, "", NOW)
    deletions.delete_round(new, round_id, "Ada")
    assert demo.ensure_demos(new) == []
    assert deletions.purge(new, NOW + timedelta(days=3650)) == 2
    assert demo.ensure_demos(new) == []
    assert [card.dataset.id for card in datasets.list_datasets(new)] == [digits]
