"""Deletion of datasets and rounds: hidden everywhere, restorable bit for bit, and final after a week."""

# ruff: noqa: F811 fixtures

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.services import datasets, deletions, reviews
from app.services.app_context import AppContext
from app.services.imports import jobs as imports
from app.services.reviews import Choice
from app.services.rounds import jobs as rounds
from core.types import DatasetError, FindingFilter, JobStatus, RoundError, Verdict
from db.models import Base, ImportRow
from db.queries import deletions as queries
from tests.app.services.reviewed import add_round, digits, digits_home, import_folder  # noqa: F401 fixtures

pytestmark = pytest.mark.usefixtures("kept")

LATER = datetime.now(UTC) + timedelta(days=8)


def rows(app_context: AppContext) -> dict[str, int]:
    """Count the rows of each table."""
    with app_context.database.read() as session:
        return {
            name: session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }


def judged(app_context: AppContext) -> dict[int, int | None]:
    """Give three verdicts, accept the rest, undo one, and return the labels."""
    found = reviews.page(app_context, FindingFilter(round_id=1), limit=4).items
    for finding in found[:3]:
        reviews.decide(app_context, [Choice(finding.id, Verdict.KEEP)], by="Ada")
    reviews.undo(app_context, 1, by="Ada")
    chosen = FindingFilter(round_id=1, min_confidence=0.5)
    reviews.accept_all(app_context, chosen, expected=reviews.count(app_context, chosen), by="Ada")
    return reviews.resolved_labels(app_context, 1)


def test_the_contents_of_a_dataset_are_counted_before_deletion(digits: AppContext) -> None:
    judged(digits)
    (digits.round_folder(1)).mkdir(parents=True, exist_ok=True)
    agreeing = sum(path.stat().st_size for path in digits.round_folder(1).iterdir())
    (digits.round_folder(1) / "probabilities.npy").write_bytes(bytes(2_500))
    held = deletions.dataset_contents(digits, 1)
    assert (held["verdicts"], held["rounds"], held["bytes"]) == (2, 1, 2_500 + agreeing)
    assert held["images"] == datasets.list_datasets(digits)[0].images
    text = deletions.contents_text({"images": 1, "verdicts": 1_200, "exports": 0, "bytes": 2_500})
    assert text == "1 image, 1,200 verdicts and 2.5 kB of files"
    assert deletions.contents_text({"images": 0, "bytes": 0}) == "nothing"


def test_a_deleted_dataset_is_hidden_everywhere_and_restored_unchanged(digits: AppContext, digits_folder: Path) -> None:
    labels, before = judged(digits), rows(digits)
    gone = deletions.delete_dataset(digits, 1, "Ada")
    assert (gone.name, gone.deleted_by) == ("digits", "Ada")
    assert datasets.overview(digits).is_empty
    assert datasets.find_dataset(digits, "digits") is None
    assert rounds.list_rounds(digits) == []
    with pytest.raises(DatasetError, match="no dataset 1"):
        datasets.get_dataset(digits, 1)
    with pytest.raises(RoundError, match="no round 1"):
        rounds.get_round(digits, 1)
    with pytest.raises(reviews.DeletedError, match="digits was deleted by Ada; restore it"):
        reviews.view_round(digits, 1)

    assert [one.id for one in deletions.restorable(digits)] == [gone.id]
    assert deletions.restore(digits, gone.id) == "digits"
    assert deletions.restorable(digits) == []
    assert reviews.resolved_labels(digits, 1) == labels
    assert rows(digits) == before | {"deletion": 1}
    with pytest.raises(DatasetError, match="cannot be restored any more"):
        deletions.restore(digits, gone.id)


def test_the_name_of_a_deleted_dataset_can_be_reused(digits: AppContext, digits_folder: Path) -> None:
    gone = deletions.delete_dataset(digits, 1, "Ada")
    assert import_folder(digits, digits_folder) == 2
    assert deletions.restore(digits, gone.id) == "digits 2"
    assert {card.dataset.name for card in datasets.list_datasets(digits)} == {"digits", "digits 2"}


def test_a_deleted_round_loses_its_findings_and_its_verdicts_stay(digits: AppContext) -> None:
    labels = judged(digits)
    second = add_round(digits, 1)
    gone = deletions.delete_round(digits, 1, "Ada")
    assert gone.name == "digits, Round 1"
    assert [one.id for one in rounds.list_rounds(digits, 1)] == [second]
    assert reviews.resolved_labels(digits, 1) == labels
    assert add_round(digits, 1) == 3
    assert [one.number for one in rounds.list_rounds(digits, 1)] == [3, 2], "a number is never given twice"
    deletions.restore(digits, gone.id)
    assert [one.number for one in rounds.list_rounds(digits, 1)] == [3, 2, 1]


def test_late_verdicts_on_a_deleted_round_are_reported_with_their_images_until_it_is_purged(
    digits: AppContext,
) -> None:
    [finding, noted] = reviews.page(digits, FindingFilter(round_id=1), limit=2).items
    deletions.delete_round(digits, 1, "Ada")
    with pytest.raises(reviews.DeletedError, match="digits, Round 1 was deleted by Ada") as told:
        reviews.decide(digits, [Choice(finding.id, Verdict.KEEP)], by="Ben")
    assert told.value.images == [finding.name]
    with pytest.raises(reviews.DeletedError) as told:
        reviews.add_note(digits, noted.id, "late", by="Ben")
    assert told.value.images == [noted.name]
    deletions.purge(digits, LATER)
    with pytest.raises(reviews.NotFoundError, match="no finding") as gone:
        reviews.decide(digits, [Choice(finding.id, Verdict.KEEP)], by="Ben")
    assert not isinstance(gone.value, reviews.DeletedError)


def test_rounds_of_a_deleted_dataset_are_restored_only_with_it(digits: AppContext) -> None:
    of_round = deletions.delete_round(digits, 1, "Ada")
    of_dataset = deletions.delete_dataset(digits, 1, "Ada")
    assert [one.id for one in deletions.restorable(digits)] == [of_dataset.id]
    deletions.restore(digits, of_dataset.id)
    assert [one.id for one in deletions.restorable(digits)] == [of_round.id]


def test_running_work_is_not_deleted(digits: AppContext) -> None:
    with digits.database.write() as session:
        session.add(
            ImportRow(
                dataset_id=1, request={}, status=JobStatus.RUNNING, done=0, total=0, message="",
                created_at=datetime.now(UTC),
            )
        )  # fmt: skip
    with pytest.raises(DatasetError, match="its import is running"):
        deletions.delete_dataset(digits, 1, "Ada")
    assert not datasets.overview(digits).is_empty


def test_a_deleted_dataset_is_purged_after_a_week_and_others_are_untouched(
    digits: AppContext, digits_folder: Path
) -> None:
    judged(digits)
    kept = import_folder(digits, digits_folder, "kept")
    folder = digits.round_folder(1)
    folder.mkdir(parents=True, exist_ok=True)
    deletions.delete_dataset(digits, 1, "Ada")
    assert deletions.purge(digits) == 0, "the week is not over"
    assert deletions.purge(digits, LATER) == 1
    assert deletions.purge(digits, LATER) == 0
    left = rows(digits)
    assert not folder.exists()
    assert (left["dataset"], left["round"], left["finding"], left["decision"], left["changeset"]) == (1, 0, 0, 0, 0)
    assert left["sample"] == datasets.list_datasets(digits)[0].images
    assert datasets.get_dataset(digits, kept).name == "kept"
    assert deletions.restorable(digits) == []
    with sqlite3.connect(digits.settings.app_url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_decided_findings_of_a_purged_round_stay_with_their_verdicts(digits: AppContext) -> None:
    labels = judged(digits)
    decided = rows(digits)["decision"]
    deletions.delete_round(digits, 1, "Ada")
    assert deletions.purge(digits, LATER) == 1
    assert rows(digits)["decision"] == decided
    assert rows(digits)["finding"] <= decided
    assert reviews.resolved_labels(digits, 1) == labels


def test_an_interrupted_purge_is_resumed(digits: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(digits)
    deletions.delete_dataset(digits, 1, "Ada")
    monkeypatch.setattr(deletions, "CHUNK", 50)
    remove, times = queries.remove_some_of_dataset, iter(range(5))

    def dies(*arguments: object) -> int:
        if next(times, None) is None:
            raise KeyboardInterrupt
        return remove(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(queries, "remove_some_of_dataset", dies)
    with pytest.raises(KeyboardInterrupt):
        deletions.purge(digits, LATER)
    monkeypatch.setattr(queries, "remove_some_of_dataset", remove)
    assert deletions.purge(digits, LATER) == 1
    assert rows(digits)["sample"] == 0


def test_the_remaining_days_include_the_current_day(digits: AppContext) -> None:
    gone = deletions.delete_dataset(digits, 1, "Ada")
    assert deletions.days_left(gone) == 7
    assert deletions.days_left(gone, gone.deleted_at + timedelta(days=6, hours=1)) == 1
    assert deletions.days_left(gone, LATER) == 0


def test_importing_a_deleted_dataset_creates_a_new_one(digits: AppContext, digits_folder: Path) -> None:
    deletions.delete_dataset(digits, 1, "Ada")
    with pytest.raises(DatasetError, match="no dataset 1"):
        imports.repeat_request(digits, 1)
