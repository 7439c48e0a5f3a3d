"""A dataset that is ready for a comparison, and comparisons that ended without training."""

from dataclasses import replace
from typing import Any

from sqlalchemy import update

from app.services import reviews
from app.services.app_context import AppContext
from app.services.reviews import Choice
from core.config import RoundConfig
from core.types import JobStatus, Recipe, Verdict
from db.models import SampleRow
from db.queries import findings, rounds
from tests.app.small import NOW
from tests.app.splits import everything, protect, shown

CONFIG = RoundConfig(folds=2, input_size=8, grey=True, epochs=8, batch_size=32, device="cpu")


def spoil_and_clean(app_context: AppContext, *, judged: int = 75, wrong: int = 2) -> None:
    """Give every second digit of `train` a wrong label and let a person put it right; protect `test` and judge it.

    `judged` of its 75 images are judged.
    """
    protect(app_context)
    train = [one for one in shown(app_context, replace(everything(), split="train")) if one.row % wrong == 0]
    with app_context.database.write() as session:
        for one in train:
            spoilt = update(SampleRow).where(SampleRow.id == one.sample_id).values(label=(one.given + 3) % 10)
            session.execute(spoilt)
    reviews.decide(app_context, [Choice(one.id, Verdict.RELABEL, one.given) for one in train], by="ada")
    judge(app_context, judged)


def judge(app_context: AppContext, count: int) -> None:
    """Let a person keep the labels of so many images of `test`."""
    cards = shown(app_context, replace(everything(), split="test"))[:count]
    if cards:
        reviews.decide(app_context, [Choice(one.id, Verdict.KEEP) for one in cards], by="ada")


def impact_of(difference: float = 0.018, low: float = 0.006, high: float = 0.031) -> dict[str, Any]:
    """Return what a comparison of three seeds and two classes may say."""
    interval = {"low": low, "high": high, "level": 0.95}
    of_class = interval | {"level": 0.975}  # of two classes together at 95 %
    test = {"better": 12, "worse": 3, "p": 0.035, "p_mid": 0.02}
    sides = {"original": 0.94, "cleaned": 0.94 + difference, "difference": difference}
    return {
        "measure": "accuracy", **sides, "interval": interval, "test": test, "count": 60, "images": 75,
        "seeds": [difference, difference + 0.01, difference - 0.01], "spread": 0.01, "sentence": "Cleaning pays.",
        "note": "p_adjusted allows for their number", "learnt": {"original": 200, "cleaned": 190}, "changed": 40,
        "message": "",
        "per_class": [
            {"label": 0, "name": "zero", "count": 40, **sides, "interval": of_class, "test": test, "p_adjusted": 0.04},
            {"label": 1, "name": "one", "count": 20, **sides, "interval": None, "test": test, "p_adjusted": 1.0},
        ],
    }  # fmt: skip


def add_comparison(app_context: AppContext, dataset_id: int, worth: dict[str, Any]) -> int:
    """Store a finished comparison and return its round's id."""
    with app_context.database.write() as session:
        round_id = rounds.add_round(
            session, dataset_id, CONFIG.to_json(), "ada", NOW, recipe=Recipe.COMPARISON, recipe_config={"seeds": 3}
        )
        rounds.begin_round(session, round_id, "training", NOW)
        findings.open_findings(session, round_id)
        rounds.set_facts(session, round_id, {"metrics": {"worth": worth}, "snapshot_hash": "00ff"})
        rounds.end_round(session, round_id, JobStatus.DONE, "", NOW)
    return round_id
