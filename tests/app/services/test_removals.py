"""Removal of images: in no list and no count, restored as they were, final after a week, and left out by imports."""

# ruff: noqa: F811 fixtures

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import func, select, text

from app.services import datasets, deletions, image_checks, removals, reviews
from app.services.app_context import AppContext, open_app
from app.services.exports import jobs as exports
from app.services.imports import jobs as imports, undo as import_undo
from app.services.imports.jobs import ImportRequest
from app.services.removals import RemovalFilter
from app.services.reviews import Choice, audits
from app.services.rounds import jobs as rounds
from app.services.rounds.snapshots import refuse_removed
from app.settings import Settings
from core.types import DatasetError, FindingFilter, FindingKind, RoundError, Status, Verdict
from db.loading import percent_of
from db.models import FindingCountRow, FindingRow
from db.queries import snapshots
from db.visibility import WITH_DELETED
from tests.app.in_files import without_row
from tests.app.services.reviewed import add_round, digits, digits_home, import_folder  # noqa: F401 fixtures
from tests.core.data.formats.drawn import draw

pytestmark = pytest.mark.usefixtures("kept")

EVERYTHING = FindingFilter(round_id=1, kinds=frozenset(FindingKind), statuses=frozenset())
LATER = datetime.now(UTC) + timedelta(days=8)


def consistent(app_context: AppContext) -> None:
    """Check that stored counts are those of the findings, and that nothing refers to what is gone."""
    names = ("round_id", "kind", "status", "split", "given", "pseudo", "percent")
    with app_context.database.read() as session:
        counted = [getattr(FindingCountRow, name) for name in names]
        stored = session.execute(
            select(*counted, FindingCountRow.count).where(FindingCountRow.count != 0), execution_options=WITH_DELETED
        )
        found = [getattr(FindingRow, name) for name in names]
        real = session.execute(select(*found, func.count()).group_by(*found), execution_options=WITH_DELETED)
        every = Counter({tuple(row[:-1]): row[-1] for row in real})
        for one in without_row(session):
            own = {name: getattr(one, name) for name in names if name != "percent"}
            every[*own.values(), percent_of(one.confidence)] += 1
        assert {tuple(row[:-1]): row[-1] for row in stored} == every
        wrong = text(
            "SELECT count(*) FROM finding JOIN sample ON sample.id = finding.sample_id "
            "WHERE (finding.status = 9) != (sample.removed_by IS NOT NULL)"
        )
        assert session.scalar(wrong) == 0
    with sqlite3.connect(app_context.settings.app_url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def images(app_context: AppContext, dataset_id: int = 1) -> set[int]:
    with app_context.database.read() as session:
        return {one.id for one in snapshots.samples_of(session, dataset_id)}


def judged(app_context: AppContext) -> list[int]:
    """Keep the label of the four most suspicious digits and return the images."""
    found = reviews.page(app_context, FindingFilter(round_id=1), limit=4).items
    for finding in found:
        reviews.decide(app_context, [Choice(finding.id, Verdict.KEEP)], by="Ada")
    return [finding.sample_id for finding in found]


def test_removed_images_are_hidden_everywhere_and_restored_unchanged(digits: AppContext) -> None:
    four = judged(digits)
    labels, total, card = reviews.resolved_labels(digits, 1), reviews.count(digits, EVERYTHING), images(digits)
    said = removals.preview_removal(digits, 1, four)
    assert said.text == "4 images with their 4 verdicts"
    gone = removals.remove(digits, 1, four, "Ada", what="by hand", expected=4)
    assert gone.name == "digits, by hand"
    assert images(digits) == card - set(four)
    assert reviews.count(digits, EVERYTHING) == total - 4
    assert sum(reviews.counts(digits, EVERYTHING).by_status.values()) == total - 4
    assert not set(reviews.resolved_labels(digits, 1)) & set(four)
    assert datasets.list_datasets(digits)[0].images == len(card) - 4
    assert rounds.compare(digits, [1])[0].decided == 0
    assert removals.preview_removal(digits, 1, four).ids == ()
    consistent(digits)
    assert deletions.restore(digits, gone.id) == gone.name
    assert reviews.resolved_labels(digits, 1) == labels
    assert reviews.count(digits, EVERYTHING) == total
    assert datasets.list_datasets(digits)[0].images == len(card)
    consistent(digits)


def test_a_removal_affects_exactly_the_previewed_images_or_none(digits: AppContext) -> None:
    some = sorted(images(digits))[:3]
    with pytest.raises(DatasetError, match="3 images are chosen now, not 2"):
        removals.remove(digits, 1, some, "Ada", expected=2)
    with pytest.raises(DatasetError, match="no such image"):
        removals.remove(digits, 1, RemovalFilter(dataset_id=1, path_contains="no such"), "Ada")
    assert len(images(digits)) == datasets.list_datasets(digits)[0].images


def test_images_are_chosen_by_class_path_split_and_by_a_filter_of_the_review(digits: AppContext) -> None:
    with digits.database.read() as session:
        samples = snapshots.samples_of(session, 1)
    of_class = {one.id for one in samples if one.label == 3}
    assert set(removals.preview_removal(digits, 1, RemovalFilter(dataset_id=1, label=3)).ids) == of_class
    part = samples[0].name
    named = {one.id for one in samples if part in one.name}
    assert set(removals.preview_removal(digits, 1, RemovalFilter(dataset_id=1, path_contains=part)).ids) == named
    assert removals.preview_removal(digits, 1, RemovalFilter(dataset_id=1, split="no such")).ids == ()
    suspicious = FindingFilter(round_id=1, min_confidence=0.9)
    assert len(removals.preview_removal(digits, 1, suspicious).ids) == reviews.count(digits, suspicious)


def test_an_undo_of_a_bulk_act_leaves_removed_images_removed(digits: AppContext) -> None:
    chosen = FindingFilter(round_id=1, min_confidence=0.8)
    some = list(removals.preview_removal(digits, 1, chosen).ids)[:5]
    reviews.accept_all(digits, chosen, by="Ada", expected=reviews.count(digits, chosen))
    gone = removals.remove(digits, 1, some, "Ada")
    reviews.undo(digits, 1, by="Ada")
    consistent(digits)
    reviews.redo(digits, 1, by="Ada")
    consistent(digits)
    deletions.restore(digits, gone.id)
    consistent(digits)
    assert reviews.count(digits, FindingFilter(round_id=1, statuses=frozenset({Status.BULK}))) == reviews.count(
        digits, FindingFilter(round_id=1, min_confidence=0.8, statuses=frozenset())
    )


def test_later_rounds_and_exports_exclude_removed_images(digits: AppContext, tmp_path: Path) -> None:
    some = sorted(images(digits))[:7]
    before = len(images(digits))
    removals.remove(digits, 1, some, "Ada")
    second = FindingFilter(round_id=add_round(digits, 1), kinds=frozenset(FindingKind), statuses=frozenset())
    assert reviews.count(digits, second) == before - 7
    request = exports.ExportRequest(dataset_id=1, folder=str(tmp_path / "out"))
    done = exports.run_export(digits, exports.add_export(digits, request).id)
    assert done.manifest is not None, done.message
    assert done.manifest["counts"]["removed"] == 7
    consistent(digits)


def test_an_audit_counts_removed_cards_as_wrong_and_reports_it(digits: AppContext) -> None:
    chosen = FindingFilter(round_id=1)
    audit = audits.start(digits, chosen, by="Ada")
    hand, _ = audits.hand_out(digits, audit.audit.id, by="Ada", limit=12)
    for _, card in hand:
        reviews.decide(digits, [Choice(card.id, Verdict.ACCEPT)], by="Ada", audit_id=audit.audit.id)
    before = audits.view_audit(digits, audit.audit.id)
    removed = [hand[0][1].sample_id]
    gone = removals.remove(digits, 1, removed, "Ada")
    now = audits.view_audit(digits, audit.audit.id)
    assert (before.judged, now.judged, now.evidence.wrong, now.audit.removed) == (12, 11, 1, 1)
    assert "1 of the set were removed" in now.text
    assert now.evidence.least_right_share < before.evidence.least_right_share
    after, _ = audits.hand_out(digits, audit.audit.id, by="Ada", limit=3, judged=True)
    assert hand[0][1].id not in [card.id for _, card in after]
    deletions.restore(digits, gone.id)
    assert audits.view_audit(digits, audit.audit.id).evidence == before.evidence


def test_a_certificate_is_lowered_by_removed_images(digits: AppContext) -> None:
    audit = audits.start(digits, FindingFilter(round_id=1), by="Ada").audit
    hand, _ = audits.hand_out(digits, audit.id, by="Ada", limit=audits.LARGEST_HAND)
    reviews.decide(digits, [Choice(card.id, Verdict.ACCEPT) for _, card in hand], by="Ada", audit_id=audit.id)
    before = audits.view_audit(digits, audit.id).certificate
    assert before is not None
    assert before.share == 1
    removals.remove(digits, 1, [card.sample_id for _, card in hand[:2]], "Ada")
    after = audits.view_audit(digits, audit.id).certificate
    assert after is not None
    assert after.share <= 1 - 2 / audit.size
    assert "2 removed, counted as wrong" in after.text
    removals.remove(digits, 1, [card.sample_id for _, card in hand[2:9]], "Ada")
    assert audits.view_audit(digits, audit.id).certificate is None, "95 % are no longer sure"


def test_removed_images_are_purged_after_a_week_with_their_findings_and_verdicts(digits: AppContext) -> None:
    four = judged(digits)
    audit = audits.start(digits, FindingFilter(round_id=1, kinds=frozenset({FindingKind.AGREEING})), by="Ada")
    hand, _ = audits.hand_out(digits, audit.audit.id, by="Ada", limit=5)
    total = reviews.count(digits, EVERYTHING)
    removals.remove(digits, 1, [*four, *(card.sample_id for _, card in hand)], "Ada")
    assert deletions.purge(digits) == 0
    assert deletions.purge(digits, LATER) == 1
    assert deletions.purge(digits, LATER) == 0
    assert reviews.count(digits, EVERYTHING) == total - 9
    assert audits.view_audit(digits, audit.audit.id).audit.removed == 5
    with digits.database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM decision")) == 0
    consistent(digits)


def test_a_round_with_removed_images_cannot_be_resumed(digits: AppContext) -> None:
    with digits.database.read() as session:
        samples = snapshots.samples_of(session, 1)
    removals.remove(digits, 1, [samples[0].id], "Ada")
    with pytest.raises(RoundError, match="1 image of Round 1 was removed"):
        refuse_removed(digits, rounds.get_round(digits, 1), [one.id for one in samples])


def test_removed_images_stay_removed_when_their_folder_is_imported_again(
    app_context: AppContext, tmp_path: Path
) -> None:
    folder = pets(tmp_path / "pets")
    import_folder(app_context, folder, "pets")
    some = sorted(images(app_context))[:2]
    gone = removals.remove(app_context, 1, some, "Ada")
    draw(folder / "cats" / "new.png")
    done = again(app_context)
    assert done.report is not None
    assert (done.report["stays_removed"], done.report["images"], done.report["changes"]["added"]) == (2, 5, 1)
    assert done.report["changes"]["vanished"] == 0
    assert len(images(app_context)) == 5
    back = again(app_context, bring_back=True)
    assert back.report is not None
    assert "stays_removed" not in back.report
    assert len(images(app_context)) == 7
    assert deletions.restorable(app_context) == [], "nothing is left to restore"
    assert gone.id
    consistent(app_context)


def test_removed_images_disappear_from_image_checks(digits: AppContext) -> None:
    found = image_checks.find(digits, 1)
    removals.remove(digits, 1, [found.images[0].id], "Ada")
    assert image_checks.find_known(digits, 1) is None, "the images are others now"
    assert len(image_checks.find(digits, 1).images) == len(found.images) - 1


def pets(folder: Path, count: int = 6, first: int = 0) -> Path:
    for number in range(first, first + count):
        draw(folder / ("cats" if number % 2 else "dogs") / f"{number}.png")
    return folder


def again(app_context: AppContext, *, bring_back: bool = False) -> imports.ImportInfo:
    values = imports.repeat_request(app_context, 1).to_json() | {"bring_back": bring_back}
    return imports.run_import(app_context, imports.add_import(app_context, ImportRequest.from_json(values)))


def imports_more(opened: AppContext, folder: Path, number: int) -> None:
    first = 100 + len(list(folder.rglob("*.png")))
    pets(folder, count=1 + number, first=first * 10)
    again(opened, bring_back=number == 5)


def removes(opened: AppContext, _: Path, number: int) -> None:
    if there := sorted(images(opened)):
        removals.remove(opened, 1, there[number::4] or there[:1], "Ada")


def restores(opened: AppContext, _: Path, number: int) -> None:
    if waiting := deletions.restorable(opened):
        deletions.restore(opened, waiting[number % len(waiting)].id)


def undoes_an_import(opened: AppContext, _: Path, number: int) -> None:
    if possible := [info.id for info, why_not in import_undo.list_imports(opened, 1) if not why_not]:
        import_undo.undo(opened, possible[number % len(possible)], "Ada")


def judges(opened: AppContext, _: Path, number: int) -> None:
    if found := reviews.page(opened, FindingFilter(round_id=1, statuses=frozenset())).items:
        reviews.decide(opened, [Choice(found[number % len(found)].id, Verdict.KEEP)], by="Ada")


def accepts_all(opened: AppContext, _: Path, number: int) -> None:
    reviews.accept_all(opened, FindingFilter(round_id=1, min_confidence=number / 10), by="Ada")


def takes_back(opened: AppContext, _: Path, number: int) -> None:
    with suppress(reviews.ReviewError):  # nothing is left to take back, or to do again
        (reviews.undo if number % 3 else reviews.redo)(opened, 1, by="Ada")


def adds_a_round(opened: AppContext, _: Path, __: int) -> None:
    if images(opened):
        add_round(opened, 1)


def deletes_files(opened: AppContext, folder: Path, number: int) -> None:
    for path in sorted(folder.rglob("*.png"))[number + 1 :: 5]:
        path.unlink()
    again(opened)


def purges(opened: AppContext, _: Path, __: int) -> None:
    deletions.purge(opened, LATER)


DOES = (
    imports_more, removes, restores, undoes_an_import, judges, accepts_all, takes_back, adds_a_round, deletes_files,
    purges,
)  # fmt: skip


@given(acts=st.lists(st.tuples(st.sampled_from(DOES), st.integers(0, 5)), min_size=4, max_size=14))
@settings(max_examples=15, deadline=None)
def test_removals_in_any_order_leave_the_database_consistent(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[Callable[[AppContext, Path, int], None], int]]
) -> None:
    home = tmp_path_factory.mktemp("acts")
    opened = open_app(Settings(home=home / "home", demo=False, embedded_worker=False))
    folder = pets(home / "pets")
    import_folder(opened, folder, "pets")
    add_round(opened, 1, wrong_every=2)
    try:
        for act, number in acts:
            act(opened, folder, number)
            consistent(opened)
            assert datasets.list_datasets(opened)[0].images == len(images(opened))
        for deletion in deletions.restorable(opened):
            deletions.restore(opened, deletion.id)
            consistent(opened)
        with opened.database.read() as session:
            assert session.scalar(text("SELECT count(*) FROM sample WHERE removed_by IS NOT NULL")) == 0
    finally:
        opened.database.close()
