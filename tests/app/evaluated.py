"""Datasets with an evaluation split, ready for a comparison, and comparisons that ended without training."""

from dataclasses import replace
from typing import Any

from sqlalchemy import update

from app.services import reviews
from app.services.app_context import AppContext
from app.services.evaluation import splits as evaluation
from app.services.reviews import Choice
from core.config import RoundConfig
from core.types import Finding, FindingFilter, FindingKind, JobStatus, Order, Recipe, Status, Verdict
from db.models import FindingRow, SampleRow
from db.queries import findings, rounds
from db.queries.projection import count_again
from tests.app.small import NOW

CONFIG = RoundConfig(folds=2, input_size=8, grey=True, epochs=8, batch_size=32, device="cpu")


def deal_splits(app_context: AppContext, round_id: int = 1, every: int = 4) -> None:
    """Put every fourth sample of dataset 1 into `test`, the others into `train`, also in a round's findings."""
    with app_context.database.write() as session:
        for row, split in ((SampleRow, "train"), (FindingRow, "train")):
            session.execute(update(row).values(split=split))
        session.execute(update(SampleRow).where(SampleRow.id % every == 0).values(split="test"))
        session.execute(update(FindingRow).where(FindingRow.sample_id % every == 0).values(split="test"))
        count_again(session, round_id)


def protect(app_context: AppContext, dataset_id: int = 1) -> None:
    """Deal the splits and protect `test`."""
    deal_splits(app_context)
    evaluation.protect(app_context, dataset_id, "test")


def everything(round_id: int = 1) -> FindingFilter:
    """Return a filter of all findings of a round."""
    return FindingFilter(round_id=round_id, kinds=frozenset(FindingKind), statuses=frozenset(Status))


def shown(app_context: AppContext, chosen: FindingFilter) -> list[Finding]:
    """Return everything a filter holds."""
    with app_context.database.read() as session:
        return findings.findings_page(session, chosen, Order.SUSPICION, None, 500)


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
