from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from app.services import reviews
from app.services.app_context import AppContext
from app.services.reviews import audits
from app.services.rounds import jobs as rounds
from app.services.rounds.history import BulkAct, history
from core.config import RoundConfig
from core.types import Recipe, Verdict
from db.models import ChangesetRow, RoundRow
from tests.app.sampled import order_of, suspicious_from
from tests.app.services.reviewed import digits, digits_home  # noqa: F401 fixtures
from tests.app.small import METRICS, add_dataset, add_done_round

pytestmark = pytest.mark.usefixtures("kept")

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


def add_past(app_context: AppContext) -> int:
    """Store two finished rounds, the second of which noted what changed, and return the dataset's id."""
    dataset_id = add_dataset(app_context, [0, 1] * 10)
    config = RoundConfig(folds=2)
    add_done_round(app_context, dataset_id, config)
    second = add_done_round(app_context, dataset_id, replace(config, epochs=8, seed=1))
    with app_context.database.write() as session:
        row = session.get(RoundRow, second)
        assert row is not None
        row.metrics = METRICS | {"label_changes": CHANGES}
    return dataset_id


def test_a_round_is_described_with_the_changes_since_the_previous_one(app_context: AppContext) -> None:
    listed = rounds.list_rounds(app_context, add_past(app_context))
    second, first = history(app_context, listed)
    assert (second.round.number, first.round.number) == (2, 1)
    assert second.settings == {"epochs": (4, 8), "seed": (0, 1)}
    assert second.changed_settings == "epochs 4 → 8, seed 0 → 1"
    assert second.before is not None
    assert second.before["changed"] == 4
    assert second.verdicts == CHANGES["verdicts"]
    assert (first.settings, first.before, first.given, first.verdicts) == ({}, None, None, None)


def test_bulk_accepts_keep_the_evidence_of_their_time(digits: AppContext) -> None:  # noqa: F811
    def acts() -> tuple[BulkAct, ...]:
        (past,) = history(digits, rounds.list_rounds(digits))
        return past.bulk_acts

    assert acts() == ()
    reviews.accept_all(digits, suspicious_from(1, 0.9), by="Ada")
    (act,) = acts()
    assert (act.round, act.annotator, act.threshold, act.certified) == (1, "Ada", 0.9, False)
    assert act.set == "suspicious from 0.9 on"
    assert act.text == "Not certified. Precision unknown: no random sample of this set has been judged."
    reviews.undo(digits, 1, by="Ada")
    assert acts() == ()
    certify(digits)
    saved = reviews.accept_all(digits, suspicious_from(1, 0.75), by="Ada", certified=True)
    (act,) = acts()
    assert (act.size, act.certified) == (saved.size, True)
    assert act.text.startswith("Certified: at least ")
    assert act.as_json()["certificate"]["size"] > saved.size


def certify(app_context: AppContext) -> None:
    """Judge so much of the set from .75 on that it is certified."""
    seen = audits.start(app_context, suspicious_from(1, 0.75), by="Ada")
    for one in order_of(app_context, seen):
        reviews.decide(app_context, [reviews.Choice(one, Verdict.ACCEPT)], by="Ada")
        if audits.view_audit(app_context, seen.audit.id).certificate:
            return


def test_an_act_without_stored_evidence_is_not_certified(digits: AppContext) -> None:  # noqa: F811
    reviews.accept_all(digits, suspicious_from(1, 0.9), by="Ada")
    with digits.database.write() as session:
        session.execute(update(ChangesetRow).values(note={"threshold": 0.9}))
    (past,) = history(digits, rounds.list_rounds(digits))
    (act,) = past.bulk_acts
    assert (act.certified, act.set) == (False, "all findings")
    assert "was not recorded" in act.text


def test_a_running_round_has_no_results(app_context: AppContext) -> None:
    dataset_id = add_past(app_context)
    rounds.start_round(app_context, dataset_id, RoundConfig(folds=3, epochs=8, seed=1), "ada")
    listed = rounds.list_rounds(app_context, dataset_id)
    newest, *_ = history(app_context, listed)
    assert (newest.compared, newest.given, newest.settings) == (None, None, {"folds": (2, 3)})


def test_settings_of_another_recipe_are_not_listed_one_by_one(app_context: AppContext) -> None:
    dataset_id = add_past(app_context)
    with app_context.database.write() as session:
        row = session.get(RoundRow, 2)
        assert row is not None
        row.recipe, row.recipe_config = Recipe.ITERATED, {"iterations": 3}
    newest, *_ = history(app_context, rounds.list_rounds(app_context, dataset_id))
    assert newest.settings == {"recipe": ("cross-fold", "iterated"), "epochs": (4, 8), "seed": (0, 1)}


def test_recipe_and_network_settings_of_the_same_name_are_both_listed(app_context: AppContext) -> None:
    dataset_id = add_past(app_context)
    with app_context.database.write() as session:
        for number, batch_size in ((1, 4), (2, 16)):
            row = session.get(RoundRow, number)
            assert row is not None
            row.recipe, row.recipe_config = Recipe.CROSS_TRAINING, {"batch_size": 8, "steps": 100 * number}
            row.config = row.config | {"batch_size": batch_size, "epochs": 4, "seed": 0}
    newest, *_ = history(app_context, rounds.list_rounds(app_context, dataset_id))
    assert newest.settings == {"batch_size": (4, 16), "cross-training: steps": (100, 200)}
