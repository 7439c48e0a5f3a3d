import shutil
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given as drawn, settings, strategies as st
from sqlalchemy import select, text
from sqlalchemy.dialects import sqlite

from app.services import deletions, reviews
from app.services.app_context import AppContext
from app.services.exports import jobs as exports
from app.services.exports.plan import plan_for
from app.services.masks import current as masks, round_masks
from app.services.reviews import ActKey, Choice, DeletedError, NotFoundError, RefusedError, StaleMaskError
from core.data.export.items import ExportFormat, ExportOptions
from core.data.export.mask_plan import MaskPlan, mask_summary
from core.data.masks.store import MaskStore
from core.judge.masks import edited_pixels, is_painted, resolved_mask, settled_pixels
from core.judge.review import finding_state
from core.types import (
    IGNORE,
    WIDE_IGNORE,
    Act,
    ByteArray,
    ClassTable,
    DatasetError,
    FindingFilter,
    IntArray,
    JobStatus,
    Region,
    RegionDecision,
    Status,
    Verdict,
)
from db.models import DatasetRow, FindingCountRow, FindingRow, RoundRow, SampleRow
from db.queries import decisions
from db.queries.projection import COUNTED, _winner
from tools.fixtures.scenes import CAR, ROAD, TREE, add_round, add_scenes, draw, open_home, prepare

SAMPLES, REGIONS = 3, 6
Step = Callable[[AppContext], object]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with three scenes and two rounds over them, to be copied."""
    folder = tmp_path_factory.mktemp("masks")
    prepare(folder / "home", folder / "scenes", SAMPLES, width=48, height=36)
    opened = open_home(folder / "home")
    add_round(opened, 1)
    opened.database.close()
    return folder / "home"


@contextmanager
def copied(template: Path, home: Path) -> Iterator[AppContext]:
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(template, home)
    opened = open_home(home)
    try:
        yield opened
    finally:
        opened.database.close()


@pytest.fixture
def app_context(template: Path, tmp_path: Path) -> Iterator[AppContext]:
    with copied(template, tmp_path / "home") as opened:
        yield opened


def mask_of(app_context: AppContext, sample: int = 1) -> IntArray:
    return masks.read_mask(app_context, sample)[1]


def edit(
    app_context: AppContext, change: IntArray, *, finding: int = 1, by: str = "ada", seq: int = 1
) -> masks.SavedEdit:
    """Save a mask from the present version as the verdict on a finding, as the editor does."""
    with app_context.database.read() as session:
        sample = session.get_one(FindingRow, finding).sample_id
    return paint(app_context, sample, change, masks.EditContext(finding_id=finding), by=by, seq=seq)


def paint(
    app_context: AppContext, sample: int, change: IntArray, about: masks.EditContext, *, by: str = "ada", seq: int = 1
) -> masks.SavedEdit:
    base, _ = masks.read_mask(app_context, sample)
    packed = zlib.compress(change.tobytes())
    return masks.save_edit(app_context, sample, about, packed, base=base, by=by, key=ActKey(f"{by}'s", seq))


def region_of(app_context: AppContext, finding: int) -> tuple[Region, FindingRow]:
    with app_context.database.read() as session:
        row = session.get_one(FindingRow, finding)
        return Region.from_bytes(row.region or b""), row


def assert_everything_holds(app_context: AppContext) -> None:
    """Assert that projections and masks equal the pure functions of the decisions."""
    store = MaskStore(app_context.masks)
    with app_context.database.read() as session:
        findings = session.scalars(select(FindingRow)).all()
        made = [one for sample in range(1, SAMPLES + 1) for one in decisions.decisions_of_sample(session, sample)]
        regions = {one.id: Region.from_bytes(one.region or b"") for one in findings}
        given = {one.id: one.mask_hash or "" for one in session.scalars(select(SampleRow))}
        counted = Counter(
            {
                tuple(getattr(row, name) for name in COUNTED): row.count
                for row in session.scalars(select(FindingCountRow))
            }
        )

    def edited_of(sample: int) -> ByteArray:
        """Return what the edits of an image, and nothing but they, changed."""
        edits = [RegionDecision(one, None, None) for one in made if one.sample_id == sample and one.mask_hash]
        return edited_pixels(store.get(given[sample]), edits, store.get)

    for finding in findings:
        edited = edited_of(finding.sample_id)
        painted = is_painted(regions[finding.id], edited)
        on_it = [one for one in made if one.finding_id == finding.id]
        expected = finding_state(finding.round_id, on_it, painted=painted)
        number = expected.decision.number if expected.decision else None
        assert (finding.status, finding.label, finding.decision_id) == (expected.status, expected.label, number)
    assert +counted == Counter(tuple(getattr(finding, name) for name in COUNTED) for finding in findings)
    begun = {one.id: one.given for one in findings}
    resolved = masks.resolved_masks(app_context, 1)
    for sample, name in given.items():
        said = [
            RegionDecision(one, begun[one.finding_id], regions[one.finding_id])
            if one.finding_id
            else RegionDecision(one, None, None)
            for one in made
            if one.sample_id == sample
        ]
        expected_mask = resolved_mask(store.get(name), said, store.get)
        np.testing.assert_array_equal(mask_of(app_context, sample), expected_mask)
        if any(one.decision.live for one in said):
            np.testing.assert_array_equal(store.get(resolved[sample].mask_hash), expected_mask)
            settled = settled_pixels(store.get(name), said, store.get)
            kept = resolved[sample].settled_hash
            np.testing.assert_array_equal(store.get(kept) if kept else np.zeros_like(settled), settled)
        else:
            assert sample not in resolved


@st.composite
def steps(draw: st.DrawFn) -> Step:
    kind = draw(st.sampled_from(["decide", "decide", "edit", "accept_all", "undo", "redo"]))
    by = draw(st.sampled_from(["ada", "bob"]))
    if kind == "undo":
        return lambda app_context: reviews.undo(app_context, 1, by=by)
    if kind == "redo":
        return lambda app_context: reviews.redo(app_context, 1, by=by)
    round_id = draw(st.sampled_from([1, 2]))
    if kind == "accept_all":
        chosen = FindingFilter(round_id=round_id, min_confidence=draw(st.sampled_from([0.0, 0.7])),
                               max_area=draw(st.sampled_from([None, 40])))  # fmt: skip
        return lambda app_context: reviews.accept_all(app_context, chosen, by=by)
    finding = draw(st.integers(1, REGIONS)) + REGIONS * (round_id - 1)
    if kind == "edit":
        x, label, seq = draw(st.integers(0, 40)), draw(st.integers(0, 4)), draw(st.integers(0, 10**9))
        about = draw(st.sampled_from([None, None, masks.EditContext(), masks.EditContext(round_id=round_id)]))

        def stroke(app_context: AppContext) -> None:
            mask = mask_of(app_context, region_of(app_context, finding)[1].sample_id).copy()
            mask[20:34, x : x + 8] = label
            if about is None:
                edit(app_context, mask, finding=finding, by=by, seq=seq)
            else:
                paint(app_context, region_of(app_context, finding)[1].sample_id, mask, about, by=by, seq=seq)

        return stroke
    verdict, label = draw(st.sampled_from(list(Verdict))), draw(st.integers(0, 4))
    return lambda app_context: reviews.decide(app_context, [Choice(finding, verdict, label)], by=by)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@drawn(history=st.lists(steps(), min_size=3, max_size=10))
def test_stored_rows_and_masks_equal_the_pure_functions(history: list[Step], template: Path, tmp_path: Path) -> None:
    with copied(template, tmp_path / "home") as app_context:
        for step in history:
            step(app_context)
        assert_everything_holds(app_context)


def test_a_verdict_affects_only_its_region(app_context: AppContext) -> None:
    before = mask_of(app_context)
    reviews.decide(app_context, [Choice(1, Verdict.ACCEPT)], by="ada")
    region, row = region_of(app_context, 1)
    expected = before.copy()
    region.paint(expected, row.pseudo)
    np.testing.assert_array_equal(mask_of(app_context), expected)
    with app_context.database.read() as session:
        standings = {one.id: one.status for one in session.scalars(select(FindingRow))}
    assert {one for one, status in standings.items() if status is not Status.OPEN} == {1}
    story = reviews.history(app_context, 1)
    assert ([one.id for _, one in story.rounds], len(story.decisions)) == ([1], 1)
    assert reviews.history(app_context, REGIONS + 1).decisions == []


def test_undoing_accept_all_restores_every_mask_bit_for_bit(app_context: AppContext) -> None:
    before = [mask_of(app_context, sample).tobytes() for sample in range(1, SAMPLES + 1)]
    edited = mask_of(app_context).copy()
    region, row = region_of(app_context, 1)
    done = reviews.accept_all(app_context, FindingFilter(round_id=1, pseudo=row.pseudo), by="ada")
    assert done.size == SAMPLES
    assert all((mask_of(app_context, one) == CAR).any() for one in range(1, SAMPLES + 1))
    region.paint(edited, row.pseudo)
    assert mask_of(app_context).tobytes() == edited.tobytes()
    reviews.undo(app_context, 1, by="ada")
    assert [mask_of(app_context, sample).tobytes() for sample in range(1, SAMPLES + 1)] == before


def test_accept_all_does_not_change_a_region_that_a_person_judged(app_context: AppContext) -> None:
    reviews.decide(app_context, [Choice(1, Verdict.KEEP)], by="bob")
    region, _ = region_of(app_context, 1)
    for round_id in (1, 2):
        reviews.accept_all(app_context, FindingFilter(round_id=round_id), by="ada")
    inside = np.zeros((36, 48), np.uint8)
    region.paint(inside, 1)
    assert (mask_of(app_context)[inside == 1] == ROAD).all()
    assert_everything_holds(app_context)


def test_the_later_of_two_edits_of_one_mask_is_refused_as_stale(app_context: AppContext) -> None:
    base, mask = masks.read_mask(app_context, 1)
    first, second = mask.copy(), mask.copy()
    first[0], second[1] = CAR, CAR
    told: list[object] = []
    ready = threading.Barrier(2)

    def save(by: str, edited: IntArray) -> None:
        ready.wait()
        try:
            packed = zlib.compress(edited.tobytes())
            told.append(
                masks.save_edit(
                    app_context, 1, masks.EditContext(finding_id=1), packed, base=base, by=by, key=ActKey(by, 1)
                )
            )
        except StaleMaskError as error:
            told.append(error)

    people = [threading.Thread(target=save, args=one) for one in (("ada", first), ("bob", second))]
    for one in people:
        one.start()
    for one in people:
        one.join()
    (stored,) = [one for one in told if isinstance(one, masks.SavedEdit)]
    (refused,) = [one for one in told if isinstance(one, StaleMaskError)]
    assert refused.version == stored.version == masks.read_mask(app_context, 1)[0]


def test_an_edit_of_a_deleted_dataset_or_round_is_refused_by_name_until_it_is_restored(app_context: AppContext) -> None:
    base, before = masks.read_mask(app_context, 1)
    painted = zlib.compress(np.full_like(before, CAR).tobytes())

    def save(seq: int, about: masks.EditContext) -> masks.SavedEdit:
        return masks.save_edit(app_context, 1, about, painted, base=base, by="ada", key=ActKey("tab", seq))

    gone = deletions.delete_dataset(app_context, 1, "Ben")
    with pytest.raises(DeletedError, match=f"{gone.name} was deleted by Ben; restore it") as told:
        save(1, masks.EditContext())
    assert told.value.images == ["scene_000.png"]
    with pytest.raises(DeletedError):
        masks.view_mask(app_context, 1, None)
    deletions.restore(app_context, gone.id)
    deletions.delete_round(app_context, 1, "Ben")
    with pytest.raises(DeletedError, match="Round 1 was deleted by Ben"):
        save(1, masks.EditContext(round_id=1))
    np.testing.assert_array_equal(mask_of(app_context), before)
    deletions.restore(app_context, deletions.restorable(app_context)[0].id)
    assert save(1, masks.EditContext(round_id=1)).changeset is not None
    assert (mask_of(app_context) == CAR).all()


def test_edits_are_undone_one_by_one(app_context: AppContext) -> None:
    seen = [mask_of(app_context)]
    for seq in range(3):
        mask = seen[-1].copy()
        mask[seq] = CAR
        edit(app_context, mask, seq=seq)
        seen.append(mask)
    for before in reversed(seen[:-1]):
        reviews.undo(app_context, 1, by="ada")
        np.testing.assert_array_equal(mask_of(app_context), before)
    reviews.redo(app_context, 1, by="ada")
    np.testing.assert_array_equal(mask_of(app_context), seen[1])


def test_a_current_mask_is_computed_once(app_context: AppContext) -> None:
    reviews.decide(app_context, [Choice(1, Verdict.ACCEPT)], by="ada")
    first = masks.resolved_masks(app_context, 1)
    pointers = sorted((app_context.masks / "resolved").rglob("*"))
    written = [one.stat().st_mtime_ns for one in pointers]
    assert masks.resolved_masks(app_context, 1) == first
    assert [one.stat().st_mtime_ns for one in sorted((app_context.masks / "resolved").rglob("*"))] == written
    MaskStore(app_context.masks).path(first[1].mask_hash).unlink()  # a cleared store is filled again
    assert masks.resolved_masks(app_context, 1) == first
    assert mask_of(app_context).any()


def test_an_image_without_a_mask_can_be_labelled_by_an_edit(template: Path, app_context: AppContext) -> None:
    with app_context.database.write() as session:
        session.get_one(SampleRow, 1).mask_hash = None
    mask = mask_of(app_context)
    assert (mask == IGNORE).all()
    drawn_mask = mask.copy()
    drawn_mask[:5] = 0
    edit(app_context, drawn_mask)
    np.testing.assert_array_equal(mask_of(app_context), drawn_mask)


def test_the_masks_of_a_round_do_not_change_during_review(app_context: AppContext) -> None:
    sample = masks.view_mask(app_context, 1, 1).sample
    reviews.decide(app_context, [Choice(1, Verdict.ACCEPT)], by="ada")
    np.testing.assert_array_equal(round_masks.opened_mask(app_context, 1, sample), draw(0, 48, 36).given)
    np.testing.assert_array_equal(round_masks.predicted_mask(app_context, 1, 1), draw(0, 48, 36).truth)
    (app_context.round_folder(1) / "predicted.npy").unlink()
    with pytest.raises(NotFoundError, match="predicted"):
        round_masks.predicted_mask(app_context, 1, 1)


def test_repeating_a_verdict_after_an_edit_over_its_region_is_a_new_decision(app_context: AppContext) -> None:
    region, row = region_of(app_context, 1)
    reviews.decide(app_context, [Choice(1, Verdict.ACCEPT)], by="ada")
    accepted = mask_of(app_context).copy()
    with app_context.database.read() as session:
        beside = session.scalars(select(FindingRow.id).where(FindingRow.sample_id == 1, FindingRow.id != 1)).first()
    erased = accepted.copy()
    region.paint(erased, row.given)
    edit(app_context, erased, finding=beside or 0, by="bob")
    again = reviews.decide(app_context, [Choice(1, Verdict.ACCEPT)], by="ada")
    np.testing.assert_array_equal(mask_of(app_context), accepted)
    assert again.size == 1
    assert reviews.decide(app_context, [Choice(1, Verdict.ACCEPT)], by="ada").size == 0  # a double click
    reviews.undo(app_context, 1, by="ada", changeset_id=again.changeset)
    np.testing.assert_array_equal(mask_of(app_context), erased)
    assert_everything_holds(app_context)


def statuses(app_context: AppContext) -> dict[int, Status]:
    with app_context.database.read() as session:
        return {one.id: one.status for one in session.scalars(select(FindingRow))}


def test_a_stroke_elsewhere_does_not_settle_the_open_region(app_context: AppContext) -> None:
    region, _ = region_of(app_context, 1)
    change = mask_of(app_context).copy()
    outside = np.ones(change.shape, np.uint8)
    region.paint(outside, 0)
    y, x = np.argwhere(outside == 1)[0]
    change[y, x] = (int(change[y, x]) + 1) % 3
    assert edit(app_context, change).statuses == {1: Status.OPEN}
    np.testing.assert_array_equal(mask_of(app_context), change)
    region.paint(change, 3)
    assert edit(app_context, change, seq=2).statuses[1] is Status.RELABEL
    assert_everything_holds(app_context)


def test_undoing_strokes_restores_the_status_of_the_region(app_context: AppContext) -> None:
    region, _ = region_of(app_context, 1)
    versions = [mask_of(app_context).copy()]
    for seq, label in enumerate((2, 3), start=1):
        change = versions[-1].copy()
        region.paint(change, label)
        change[0, label] = label
        versions.append(change)
        assert edit(app_context, change, seq=seq).statuses[1] is Status.RELABEL
    assert edit(app_context, versions[1], seq=3).statuses[1] is Status.RELABEL  # one of the two is left
    back = edit(app_context, versions[0], seq=4)
    assert back.statuses[1] is Status.OPEN
    assert back.version == masks.read_mask(app_context, 1)[0]
    np.testing.assert_array_equal(mask_of(app_context), versions[0])
    again = edit(app_context, versions[0], seq=4)  # sent once more
    assert (again.changeset, again.version) == (back.changeset, back.version)
    assert_everything_holds(app_context)
    for number, change in enumerate(versions[1:]):
        edit(app_context, change, seq=5 + number)
    assert edit(app_context, versions[0], seq=7).statuses[1] is Status.OPEN  # both at once
    assert reviews.history(app_context, 1).decisions
    assert_everything_holds(app_context)


def test_an_opened_image_lists_the_undoable_edits_newest_first(app_context: AppContext) -> None:
    given = masks.view_mask(app_context, 1, 1)
    assert given.edits == []
    versions = [given.version]
    for seq, by in enumerate(("bob", "ada", "ada"), start=1):
        change = mask_of(app_context).copy()
        change[0, seq] = (int(change[0, seq]) + 1) % 3
        versions.append(edit(app_context, change, seq=seq, by=by).version)
    opened = masks.view_mask(app_context, 1, 1)
    assert [(one.by, one.base) for one in opened.edits] == [
        ("ada", versions[2]), ("ada", versions[1]), ("bob", versions[0])
    ]  # fmt: skip
    edit(app_context, masks.read_mask(app_context, 1, versions[2])[1].copy(), seq=4, by="ada")
    assert masks.view_mask(app_context, 1, 1).edits == opened.edits[1:]
    reviews.decide(app_context, [Choice(1, Verdict.ACCEPT)], by="ada")
    assert masks.view_mask(app_context, 1, 1).edits == []  # the review's undo takes a verdict back


def test_edits_before_a_class_merge_cannot_be_undone_until_the_merge_is(app_context: AppContext) -> None:
    change = mask_of(app_context).copy()
    change[:4, :4] = CAR
    edit(app_context, change)
    reviews.merge_classes(app_context, 1, [CAR], ROAD, by="bob")
    opened = masks.view_mask(app_context, 1, 1)
    assert (opened.edits, opened.merged_since) == ([], True)
    later = mask_of(app_context).copy()
    later[4:8, :4] = TREE
    edit(app_context, later, seq=2)
    opened = masks.view_mask(app_context, 1, 1)
    assert ([one.by for one in opened.edits], opened.merged_since) == (["ada"], True)
    edit(app_context, masks.read_mask(app_context, 1, opened.edits[0].base)[1], seq=3)  # taken back
    reviews.undo(app_context, 1, by="bob")
    opened = masks.view_mask(app_context, 1, 1)
    assert ([one.by for one in opened.edits], opened.merged_since) == (["ada"], False)


def test_painting_over_the_strokes_of_another_person_is_a_new_decision(app_context: AppContext) -> None:
    region, _ = region_of(app_context, 1)
    given = mask_of(app_context).copy()
    change = given.copy()
    region.paint(change, 3)
    edit(app_context, change, by="bob")
    assert edit(app_context, given, by="ada").statuses[1] is Status.RELABEL  # ada says what bob found is wrong
    np.testing.assert_array_equal(mask_of(app_context), given)
    assert_everything_holds(app_context)


def test_a_region_painted_over_by_an_edit_is_left_out_of_bulk_acts(app_context: AppContext) -> None:
    """Nothing is left of it to accept: what people painted stays, so no count may say that it was accepted."""
    reviews.decide(app_context, [Choice(4, Verdict.KEEP)], by="ada")
    region, row = region_of(app_context, 1)
    before = mask_of(app_context).copy()
    half = before.copy()
    y, x, width, height = (row.y or 0), (row.x or 0), (row.width or 0), (row.height or 0)
    half[y : y + height // 2, x : x + width] = 3
    edit(app_context, half, finding=4, seq=1)
    assert statuses(app_context)[1] is Status.OPEN
    whole = half.copy()
    whole[y : y + height, x : x + width] = 3
    saved = edit(app_context, whole, finding=4, seq=2)
    # the same pixels, in both rounds; the region at hand was not touched
    assert saved.statuses == {1: Status.PAINTED, REGIONS + 1: Status.PAINTED, 4: Status.KEEP}
    todo = FindingFilter(round_id=1)
    assert reviews.counts(app_context, todo).by_status == {Status.OPEN: 4, Status.KEEP: 1, Status.PAINTED: 1}
    assert reviews.preview(app_context, todo).count == reviews.accept_all(app_context, todo, by="bob").size == 4
    inside = np.zeros(before.shape, np.uint8)
    region.paint(inside, 1)
    assert (mask_of(app_context)[inside == 1] == 3).all()
    assert_everything_holds(app_context)
    laid_bare = whole.copy()
    laid_bare[y : y + height, x : x + width] = before[y : y + height, x : x + width]
    now = mask_of(app_context).copy()
    now[inside == 1] = laid_bare[inside == 1]
    now[-1, -1] = (int(now[-1, -1]) + 1) % 3  # or it would be the former strokes taken back
    assert edit(app_context, now, finding=4, seq=3).statuses[1] is Status.OPEN
    assert_everything_holds(app_context)
    reviews.undo(app_context, 1, by="ada")
    assert statuses(app_context)[1] is Status.PAINTED
    reviews.undo(app_context, 1, by="ada")
    assert statuses(app_context)[1] is Status.OPEN
    reviews.redo(app_context, 1, by="ada")
    assert statuses(app_context)[1] is Status.PAINTED
    reviews.decide(app_context, [Choice(1, Verdict.ACCEPT)], by="bob")  # a person may say so all the same
    assert (mask_of(app_context)[inside == 1] == CAR).all()
    assert_everything_holds(app_context)


def test_a_bulk_accepted_region_painted_over_later_does_not_count_as_accepted(app_context: AppContext) -> None:
    reviews.accept_all(app_context, FindingFilter(round_id=1), by="bob")
    region, _ = region_of(app_context, 1)
    painted = mask_of(app_context).copy()
    region.paint(painted, 3)
    paint(app_context, 1, painted, masks.EditContext(round_id=1))
    assert statuses(app_context)[1] is Status.PAINTED
    reviews.undo(app_context, 1, by="bob")
    assert statuses(app_context)[1] is Status.PAINTED
    reviews.redo(app_context, 1, by="bob")
    assert_everything_holds(app_context)
    reviews.undo(app_context, 1, by="ada")
    assert statuses(app_context)[1] is Status.BULK
    assert_everything_holds(app_context)


def test_cached_masks_of_a_lost_database_are_not_used_for_a_new_one(template: Path, tmp_path: Path) -> None:
    """Ids and numbers begin anew; masks and what points to them are still there."""
    with copied(template, tmp_path / "home") as app_context:
        reviews.decide(app_context, [Choice(1, Verdict.ACCEPT)], by="ada")
        accepted = mask_of(app_context)
    for path in (tmp_path / "home").glob("outfold.sqlite*"):
        path.unlink()
    shutil.copy(template / "outfold.sqlite", tmp_path / "home" / "outfold.sqlite")
    app_context = open_home(tmp_path / "home")
    reviews.decide(app_context, [Choice(1, Verdict.EXCLUDE)], by="ada")
    assert (mask_of(app_context) != accepted).any()
    assert_everything_holds(app_context)
    app_context.database.close()


def test_8_bit_masks_stay_usable_when_classes_exceed_255(tmp_path: Path) -> None:
    """A re-import may bring the 256th class: then IGNORE is 65535, and 255 a class."""
    table = ClassTable(tuple(f"class {number}" for number in range(255)), tuple(f"#{n:06x}" for n in range(255)))
    app_context = open_home(tmp_path / "home")
    add_round(app_context, add_scenes(app_context, tmp_path / "scenes", 3, width=48, height=36, table=table))
    drawn_mask = mask_of(app_context).copy()
    drawn_mask[20:22] = 254
    edit(app_context, drawn_mask, by="bob")
    reviews.decide(app_context, [Choice(2, Verdict.ACCEPT)], by="ada")
    before = {sample: mask_of(app_context, sample) for sample in (1, 2, 3)}
    with app_context.database.write() as session:
        dataset = session.get_one(DatasetRow, 1)
        dataset.classes, dataset.colours = [*dataset.classes, "new"], [*(dataset.colours or []), "#ffffff"]
    for sample, narrow in before.items():
        wide = mask_of(app_context, sample)
        assert wide.dtype == np.uint16
        np.testing.assert_array_equal(wide, np.where(narrow == IGNORE, WIDE_IGNORE, narrow.astype(np.uint16)))
    assert {round_masks.predicted_mask(app_context, 1, 1).dtype, mask_of(app_context).dtype} == {np.dtype(np.uint16)}
    opened = masks.view_mask(app_context, 1, 1)
    assert masks.read_mask(app_context, 1, opened.given)[1].dtype == np.uint16
    assert (round_masks.opened_mask(app_context, 1, opened.sample)[:2] == WIDE_IGNORE).all()
    assert edit(app_context, mask_of(app_context, 3), finding=3).version == masks.view_mask(app_context, 3, 1).given
    reviews.decide(app_context, [Choice(5, Verdict.RELABEL, 255), Choice(3, Verdict.EXCLUDE)], by="ada")
    region, row = region_of(app_context, 5)
    painted = mask_of(app_context, row.sample_id)
    y, x, _ = region.runs[0].tolist()
    assert painted[y, x] == 255
    assert (painted[:2] == WIDE_IGNORE).all()
    plan = plan_for(app_context, 1, ExportOptions(format=ExportFormat.MASK_PAIRS))
    assert isinstance(plan, MaskPlan)
    assert {plan.store.get(image.mask or "").dtype for image in plan.images} == {np.dtype(np.uint16)}
    assert (None, "new") not in {(pair["given"], pair["label"]) for pair in mask_summary(plan)["by_pair"]}
    options = ExportOptions(format=ExportFormat.MASK_PAIRS)
    request = exports.ExportRequest(dataset_id=1, options=options, folder=str(tmp_path / "out"))
    done = exports.run_export(app_context, exports.add_export(app_context, request).id)
    assert done.status is JobStatus.DONE, done.message
    app_context.database.close()


def test_predictions_removed_with_their_round_are_not_found(app_context: AppContext) -> None:
    shutil.rmtree(app_context.round_folder(1))
    with pytest.raises(NotFoundError, match="predicted"):
        round_masks.predicted_mask(app_context, 1, 1)


def test_a_damaged_mask_is_named(app_context: AppContext) -> None:
    version, _ = masks.read_mask(app_context, 1)
    MaskStore(app_context.masks).path(version).write_bytes(b"no mask")
    with pytest.raises(DatasetError, match=version):
        masks.read_mask(app_context, 1)


def test_an_edit_of_an_image_without_findings_is_stored_undone_and_redone(
    app_context: AppContext, tmp_path: Path
) -> None:
    add_scenes(app_context, tmp_path / "more", 2, width=48, height=36, name="no round yet", unlabelled=1)
    given, unlabelled = mask_of(app_context, 4), mask_of(app_context, 5)
    assert (unlabelled == IGNORE).all()
    for sample, seq in ((4, 1), (5, 2)):
        painted = mask_of(app_context, sample).copy()
        painted[3:9, 4:20] = CAR
        saved = paint(app_context, sample, painted, masks.EditContext(), seq=seq)
        assert saved.version == masks.view_mask(app_context, sample, None).version
        np.testing.assert_array_equal(mask_of(app_context, sample), painted)
    (settled,) = {
        MaskStore(app_context.masks).get(one.settled_hash).sum()
        for one in masks.resolved_masks(app_context, 2).values()
    }
    assert settled == 6 * 16
    assert reviews.undo(app_context, 2, by="ada").undone.text == "edited a mask"  # type: ignore[union-attr]
    np.testing.assert_array_equal(mask_of(app_context, 5), unlabelled)
    reviews.undo(app_context, 2, by="ada")
    np.testing.assert_array_equal(mask_of(app_context, 4), given)
    reviews.redo(app_context, 2, by="ada")
    np.testing.assert_array_equal(mask_of(app_context, 4)[3:9, 4:20], CAR)


def test_an_edit_must_name_a_finished_round_of_its_dataset(app_context: AppContext, tmp_path: Path) -> None:
    other = add_round(app_context, add_scenes(app_context, tmp_path / "more", 1, width=48, height=36, name="more"))
    mask = mask_of(app_context).copy()
    mask[0] = CAR
    with pytest.raises(RefusedError, match="did not look"):
        paint(app_context, 1, mask, masks.EditContext(round_id=other))
    with pytest.raises(NotFoundError, match="no round 99"):
        paint(app_context, 1, mask, masks.EditContext(round_id=99))
    with app_context.database.write() as session:
        session.get_one(RoundRow, 2).status = JobStatus.RUNNING
    with pytest.raises(RefusedError, match="running"):
        paint(app_context, 1, mask, masks.EditContext(round_id=2))
    paint(app_context, 1, mask, masks.EditContext(round_id=1))
    np.testing.assert_array_equal(mask_of(app_context), mask)


def test_images_are_ordered_by_their_most_suspicious_region(app_context: AppContext) -> None:
    seen, at = [], 1
    while at is not None:
        opened = masks.view_mask(app_context, at, 1)
        assert opened.previous == (seen[-1] if seen else None)
        seen.append(at)
        at = opened.next
    assert seen == [1, 2, 3]


def test_findings_of_decisions_are_found_through_one_index(app_context: AppContext) -> None:
    """A hundred regions of an image, each decided, must not be compared each with each."""
    for act in (Act.VERDICT, Act.ACCEPT_ALL):
        asked = _winner(decisions.findings_affected_by(act, 1))
        statement = asked.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
        with app_context.database.read() as session:
            plan = [row[3] for row in session.execute(text(f"EXPLAIN QUERY PLAN {statement}"))]
        joined = [line for line in plan if "ix_decision_sample_id_finding_id" in line]
        assert joined, plan
        assert "sample_id=? AND finding_id>? AND finding_id<?" in joined[0]
        assert not [line for line in plan if line.startswith("SCAN")]
