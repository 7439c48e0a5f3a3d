"""Cards of datasets: text of a running round, time to the first findings."""

from dataclasses import replace
from datetime import UTC, datetime

from app.components.dataset_cards import card_html, first_wait
from app.services import datasets
from app.services.app_context import AppContext
from app.services.demo import DEMO
from core.config import RoundConfig
from db.queries import rounds
from tests.app.small import add_dataset

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def test_the_card_of_a_running_round_shows_the_remaining_time(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, [0, 1])
    with app_context.database.write() as session:
        round_id = rounds.add_round(session, dataset_id, RoundConfig(folds=2).to_json(), DEMO, NOW)
    now = datasets.overview(app_context)
    assert now.at_work == ([], [round_id])
    [card], progress = now.cards, now.progress[dataset_id]
    assert "left" not in card_html(card, None, progress)
    assert "its time left shows soon" in first_wait([progress])
    later = replace(progress, seconds_left=42.0)
    assert "<span>about 40 s left</span>" in card_html(card, None, later)
    assert first_wait([progress, later]).endswith("the first cards can be reviewed in about 40 s.")
    assert first_wait([later]).startswith("Two demo datasets")
    assert first_wait([replace(later, round=replace(later.round, created_by="Ada"))]).startswith("Outfold is looking")
