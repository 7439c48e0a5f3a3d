import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given as drawn, settings, strategies as st
from sqlalchemy import select

from app.services import reviews
from app.services.app_context import AppContext
from app.services.reviews import ActKey, Choice, audits
from app.services.rounds.snapshots import current_snapshot
from app.settings import Settings
from core.data.snapshot import Snapshot
from core.judge.review import finding_state, resolve
from core.judge.similarity import order_by_similarity
from core.types import NO_LABEL, Decision, FindingFilter, FindingKind, FloatArray, Order, Recipe, Status, Verdict
from db.engine import Database, migrate
from db.loading import percent_of
from db.models import FindingCountRow, FindingRow, RoundRow, SampleRow
from db.queries import decisions
from db.queries.findings import findings_page
from db.queries.projection import COUNTED
from tests.app.in_files import move_into_file
from tools.fixtures.reviews import add_round, fill

pytestmark = pytest.mark.usefixtures("kept")

COUNT = 28
EVERYTHING = FindingFilter(round_id=1, kinds=frozenset(), statuses=frozenset())


@pytest.fixture(scope="module")
def one_round(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database file with one round, to be copied: migrating anew for each test would take most of the time."""
    path = tmp_path_factory.mktemp("one") / "outfold.sqlite"
    migrate(f"sqlite:///{path}")
    with opened(path) as made:
        fill(made, COUNT)
    return path


@pytest.fixture(scope="module")
def two_rounds(one_round: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database file with two rounds over the same samples, to be copied."""
    path = Path(shutil.copy(one_round, tmp_path_factory.mktemp("two") / "outfold.sqlite"))
    with opened(path) as made:
        add_round(made, 1, range(1, COUNT + 1), seed=1, number=2)
    return path


@pytest.fixture
def filled(one_round: Path, tmp_path: Path, kept: str) -> Iterator[AppContext]:
    with copied(one_round, tmp_path, kept) as app_context:
        yield app_context


@contextmanager
def opened(path: Path) -> Iterator[AppContext]:
    app_context = AppContext(Database(f"sqlite:///{path}"), path.parent, Settings(home=path.parent))
    try:
        yield app_context
    finally:
        app_context.database.close()


@contextmanager
def copied(template: Path, folder: Path, kept: str) -> Iterator[AppContext]:
    path = folder / "copy.sqlite"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copy(template, path)
    with opened(path) as app_context:
        for round_id in round_ids(app_context) if kept == "file" else ():
            move_into_file(app_context, round_id)
        yield app_context


def round_ids(app_context: AppContext) -> list[int]:
    with app_context.database.read() as session:
        return list(session.scalars(select(RoundRow.id).order_by(RoundRow.id)))


def all_decisions(app_context: AppContext) -> list[Decision]:
    with app_context.database.read() as session:
        samples = session.scalars(select(SampleRow.id).order_by(SampleRow.id))
        return [one for sample in samples.all() for one in decisions.decisions_of_sample(session, sample)]


def assert_projections_hold(app_context: AppContext) -> None:
    """Assert that projections equal the pure functions of the decisions."""
    made = all_decisions(app_context)
    with app_context.database.read() as session:
        findings = session.scalars(select(FindingRow)).all()
        everything = [replace(EVERYTHING, round_id=one) for one in round_ids(app_context)]
        shown = [one for chosen in everything for one in findings_page(session, chosen, Order.SUSPICION, None, 10_000)]
        counted = Counter(
            {
                tuple(getattr(row, name) for name in COUNTED): row.count
                for row in session.scalars(select(FindingCountRow))
            }
        )
    for finding in findings:
        expected = finding_state(finding.round_id, [one for one in made if one.sample_id == finding.sample_id])
        number = expected.decision.number if expected.decision else None
        assert (finding.status, finding.label, finding.decision_id) == (expected.status, expected.label, number)
    for one in shown:  # those without a row too
        expected = finding_state(one.round_id, [decision for decision in made if decision.sample_id == one.sample_id])
        assert (one.status, one.label) == (expected.status, expected.label)
    percents = [percent_of(one.confidence) for one in shown]
    cells = [
        tuple(percent if name == "percent" else getattr(one, name) for name in COUNTED)
        for one, percent in zip(shown, percents, strict=True)
    ]
    assert +counted == Counter(cells)
    with app_context.database.read() as session:
        given = {row.id: row.label for row in session.scalars(select(SampleRow))}
    resolved = reviews.resolved_labels(app_context, 1)
    assert resolved == resolve(given, made)
    opened = current_snapshot(app_context, 1)[1]  # what a round opens with: the same, without what has no usable label
    usable = {key: one.label for key, one in resolved.items() if one.label is not None or one.decision is None}
    labels = dict(zip(opened.sample_ids.tolist(), opened.labels.tolist(), strict=True))
    assert labels == {key: NO_LABEL if label is None else label for key, label in usable.items()}


def first(app_context: AppContext, number: int = 1, **narrowed: object) -> list[int]:
    chosen = replace(FindingFilter(round_id=1), **narrowed)  # type: ignore[arg-type]
    return [finding.id for finding in reviews.page(app_context, chosen, limit=number).items]


def status_of(app_context: AppContext, finding_id: int) -> Status:
    return reviews.findings(app_context, [finding_id])[0].status


Step = Callable[[AppContext], object]
people = st.sampled_from(["ada", "bob"])
cards = st.lists(st.integers(1, COUNT), min_size=1, max_size=3)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    kind = draw(st.sampled_from(["decide", "decide", "accept_all", "undo", "redo"]))
    by = draw(people)
    if kind == "undo":
        return lambda app_context: reviews.undo(app_context, 1, by=by)
    if kind == "redo":
        return lambda app_context: reviews.redo(app_context, 1, by=by)
    round_id = draw(st.sampled_from([1, 2]))
    if kind == "accept_all":
        chosen = FindingFilter(round_id=round_id, min_confidence=draw(st.sampled_from([0.0, 0.7, 0.855, 0.9])))
        return lambda app_context: reviews.accept_all(app_context, chosen, by=by)
    verdict, label = draw(st.sampled_from(list(Verdict))), draw(st.integers(0, 9))
    choices = [Choice(card + COUNT * (round_id - 1), verdict, label) for card in draw(cards)]
    return lambda app_context: reviews.decide(app_context, choices, by=by)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@drawn(history=st.lists(steps(), min_size=3, max_size=12))
def test_stored_labels_and_states_equal_the_pure_functions(
    history: list[Step], two_rounds: Path, tmp_path: Path, kept: str
) -> None:
    with copied(two_rounds, tmp_path, kept) as app_context:
        for step in history:
            step(app_context)
        assert_projections_hold(app_context)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@drawn(history=st.lists(steps(), min_size=1, max_size=8))
def test_undoing_everything_removes_and_redoing_everything_restores_all_decisions(
    history: list[Step], two_rounds: Path, tmp_path: Path, kept: str
) -> None:
    with copied(two_rounds, tmp_path, kept) as app_context:
        for step in history:
            step(app_context)
        stood = [finding.status for finding in reviews.page(app_context, EVERYTHING, limit=COUNT).items]
        undone = {by: _times(lambda by=by: reviews.undo(app_context, 1, by=by).changeset) for by in ("ada", "bob")}
        assert not reviews.page(app_context, replace(EVERYTHING, statuses=frozenset(Status) - {Status.OPEN})).items
        for by in ("bob", "ada"):
            for _ in range(undone[by]):
                reviews.redo(app_context, 1, by=by)
        assert [finding.status for finding in reviews.page(app_context, EVERYTHING, limit=COUNT).items] == stood
        assert_projections_hold(app_context)


def _times(act: Callable[[], int | None]) -> int:
    times = 0
    while act() is not None:
        times += 1
    return times


def test_keyset_pages_show_every_finding_once_in_order(filled: AppContext) -> None:
    for order in Order:
        seen, after = [], None
        while True:
            page = reviews.page(filled, EVERYTHING, order, after, limit=7)
            seen += page.items
            after = page.next
            if after is None:
                break
        assert len({finding.id for finding in seen}) == len(seen) == COUNT
        if order is Order.SUSPICION:
            assert [finding.rank for finding in seen] == list(range(COUNT))
        if order is Order.CONFIDENCE:
            assert [finding.confidence for finding in seen] == sorted((one.confidence for one in seen), reverse=True)


def test_a_page_does_not_change_after_the_previous_page_was_decided(filled: AppContext) -> None:
    page = reviews.page(filled, FindingFilter(round_id=1), limit=3)
    following = reviews.page(filled, FindingFilter(round_id=1), after=page.next, limit=3)
    reviews.decide(filled, [Choice(one.id, Verdict.ACCEPT) for one in page.items], by="ada")
    assert reviews.page(filled, FindingFilter(round_id=1), after=page.next, limit=3) == following


@pytest.mark.parametrize(
    "chosen",
    [
        EVERYTHING,
        FindingFilter(round_id=1),
        replace(EVERYTHING, min_confidence=0.29, max_confidence=0.9),
        replace(EVERYTHING, min_confidence=0.8123),
        replace(EVERYTHING, given=3),
        replace(EVERYTHING, pseudo=4, split="train"),
        replace(EVERYTHING, fold=2),
        replace(EVERYTHING, path_contains="/00000"),
        replace(EVERYTHING, annotator="ada"),
        FindingFilter(round_id=1, statuses=frozenset({Status.KEEP}), kinds=frozenset({FindingKind.SUSPICIOUS})),
    ],
)
def test_counts_equal_the_number_of_findings_shown(filled: AppContext, chosen: FindingFilter) -> None:
    reviews.decide(filled, [Choice(one, Verdict.KEEP) for one in first(filled, 2)], by="ada")
    reviews.decide(filled, [Choice(first(filled)[0], Verdict.SECOND_OPINION)], by="bob")

    def shown(wanted: FindingFilter) -> list[object]:
        return list(reviews.page(filled, wanted, limit=COUNT).items)

    todo = frozenset({Status.OPEN, Status.SECOND_OPINION})
    found = reviews.counts(filled, chosen)
    assert found.total == len(shown(replace(chosen, statuses=frozenset())))
    assert found.todo == len(shown(replace(chosen, statuses=todo)))
    assert found.decided == found.total - found.todo
    assert sum(found.kinds.values()) == len(shown(replace(chosen, statuses=todo, kinds=frozenset())))
    assert sum(n for _, _, n in found.pairs) == len(shown(replace(chosen, statuses=todo, given=None, pseudo=None)))
    anywhere = replace(chosen, statuses=todo, min_confidence=0.0, max_confidence=1.0)
    assert sum(found.histogram) == len(shown(anywhere))
    assert reviews.preview(filled, chosen).count == len(shown(replace(chosen, statuses=frozenset({Status.OPEN})))) * (
        not chosen.statuses or Status.OPEN in chosen.statuses
    )


def test_wildcards_in_the_path_filter_are_literal(filled: AppContext) -> None:
    for text in ("%", "_", "\\", "/%"):
        assert not reviews.page(filled, replace(EVERYTHING, path_contains=text)).items


def test_accept_all_changes_exactly_the_set_that_was_shown(filled: AppContext) -> None:
    chosen = FindingFilter(round_id=1, min_confidence=0.8)
    shown = reviews.preview(filled, chosen)
    reviews.accept_all(filled, chosen, by="ada", expected=shown.count)
    changed = reviews.page(filled, replace(EVERYTHING, statuses=frozenset({Status.BULK})), limit=COUNT).items
    assert len(changed) == shown.count > 0
    assert all(finding.confidence >= 0.8 and finding.label == finding.pseudo for finding in changed)
    assert {finding.id for finding in shown.sample} <= {finding.id for finding in changed}


def test_accept_all_is_refused_when_the_set_has_changed_since_it_was_shown(filled: AppContext) -> None:
    chosen = FindingFilter(round_id=1)
    shown = reviews.preview(filled, chosen).count
    reviews.decide(filled, [Choice(first(filled)[0], Verdict.KEEP)], by="bob")
    with pytest.raises(reviews.CountChangedError) as refused:
        reviews.accept_all(filled, chosen, by="ada", expected=shown)
    assert refused.value.count == shown - 1
    assert_projections_hold(filled)


def test_second_opinions_are_counted_apart_from_findings_open_to_bulk_acts(filled: AppContext) -> None:
    chosen, (asked, accepted) = FindingFilter(round_id=1), first(filled, 2)
    reviews.decide(filled, [Choice(asked, Verdict.SECOND_OPINION)], by="ada")
    reviews.decide(filled, [Choice(accepted, Verdict.ACCEPT)], by="ada")
    counted = reviews.counts(filled, chosen)
    assert sum(counted.kept_out) == 1
    assert sum(counted.histogram) - sum(counted.kept_out) == reviews.preview(filled, chosen).count


def test_accept_all_never_changes_decisions_of_people(filled: AppContext) -> None:
    kept, asked = first(filled, 2)
    reviews.decide(filled, [Choice(kept, Verdict.KEEP)], by="bob")
    reviews.decide(filled, [Choice(asked, Verdict.SECOND_OPINION)], by="bob")
    reviews.accept_all(filled, EVERYTHING, by="ada")
    assert (status_of(filled, kept), status_of(filled, asked)) == (Status.KEEP, Status.SECOND_OPINION)


def test_undoing_accept_all_keeps_later_changes_by_people(filled: AppContext) -> None:
    bulk = reviews.accept_all(filled, FindingFilter(round_id=1), by="ada")
    changed, left = first(filled, 2, statuses=frozenset({Status.BULK}))
    reviews.decide(filled, [Choice(changed, Verdict.KEEP)], by="bob")
    undone = reviews.undo(filled, 1, by="ada").undone
    assert undone is not None
    assert (undone.changeset, undone.text) == (bulk.changeset, f"accepted {bulk.size}")
    assert (status_of(filled, changed), status_of(filled, left)) == (Status.KEEP, Status.OPEN)
    reviews.redo(filled, 1, by="ada")
    assert (status_of(filled, changed), status_of(filled, left)) == (Status.KEEP, Status.BULK)
    assert_projections_hold(filled)


def test_a_bulk_act_can_be_undone_by_name_after_later_verdicts(filled: AppContext) -> None:
    bulk = reviews.accept_all(filled, FindingFilter(round_id=1), by="ada")
    changed, left = first(filled, 2, statuses=frozenset({Status.BULK}))
    reviews.decide(filled, [Choice(changed, Verdict.EXCLUDE)], by="ada")
    reviews.undo(filled, 1, by="bob", changeset_id=bulk.changeset)
    assert (status_of(filled, changed), status_of(filled, left)) == (Status.EXCLUDE, Status.OPEN)


def test_a_verdict_of_another_person_cannot_be_undone(filled: AppContext) -> None:
    saved = reviews.decide(filled, [Choice(1, Verdict.ACCEPT)], by="ada")
    with pytest.raises(reviews.RefusedError):
        reviews.undo(filled, 1, by="bob", changeset_id=saved.changeset)
    assert reviews.undo(filled, 1, by="bob").changeset is None


def test_redo_is_unavailable_after_a_new_act(filled: AppContext) -> None:
    reviews.decide(filled, [Choice(1, Verdict.ACCEPT)], by="ada")
    reviews.undo(filled, 1, by="ada")
    reviews.decide(filled, [Choice(2, Verdict.ACCEPT)], by="ada")
    assert reviews.redo(filled, 1, by="ada").changeset is None


def test_the_same_verdict_twice_is_one_decision_and_one_undo(filled: AppContext) -> None:
    for _ in range(2):
        reviews.decide(filled, [Choice(1, Verdict.ACCEPT)], by="ada")
    assert len(all_decisions(filled)) == 1
    reviews.undo(filled, 1, by="ada")
    assert status_of(filled, 1) is Status.OPEN


def test_a_retry_returns_the_first_answer_and_adds_nothing(filled: AppContext) -> None:
    key = ActKey("browser", 1)
    once = reviews.decide(filled, [Choice(1, Verdict.ACCEPT)], by="ada", key=key)
    assert reviews.decide(filled, [Choice(1, Verdict.ACCEPT)], by="ada", key=key) == once
    undone = reviews.undo(filled, 1, by="ada", key=ActKey("browser", 2))
    assert reviews.undo(filled, 1, by="ada", key=ActKey("browser", 2)) == undone
    bulk = reviews.accept_all(filled, EVERYTHING, by="ada", expected=COUNT, key=ActKey("browser", 3))
    assert reviews.accept_all(filled, EVERYTHING, by="ada", expected=COUNT, key=ActKey("browser", 3)) == bulk


def test_retrying_an_undo_that_found_nothing_does_not_undo_later_acts(filled: AppContext) -> None:
    for turn, key in ((reviews.undo, ActKey("browser", 1)), (reviews.redo, ActKey("browser", 2))):
        once = turn(filled, 1, by="ada", key=key)
        assert (once.changeset, once.items) == (None, [])
        reviews.decide(filled, [Choice(1, Verdict.ACCEPT)], by="ada", key=ActKey("other tab", key.seq))
        if turn is reviews.redo:
            reviews.undo(filled, 1, by="ada", key=ActKey("other tab", 3))
        before = reviews.history(filled, 1).decisions
        assert turn(filled, 1, by="ada", key=key) == once
        assert reviews.history(filled, 1).decisions == before


def test_a_new_round_keeps_verdicts_of_people_but_not_of_bulk_acts(filled: AppContext) -> None:
    kept = first(filled)[0]
    reviews.decide(filled, [Choice(kept, Verdict.KEEP)], by="ada")
    reviews.accept_all(filled, EVERYTHING, by="ada")
    add_round(filled, 1, range(1, COUNT + 1), seed=3, number=2)
    statuses = Counter(one.status for one in reviews.page(filled, replace(EVERYTHING, round_id=2), limit=COUNT).items)
    assert statuses == {Status.KEEP: 1, Status.OPEN: COUNT - 1}
    assert_projections_hold(filled)


def test_a_verdict_holds_in_every_round(filled: AppContext) -> None:
    add_round(filled, 1, range(1, COUNT + 1), seed=3, number=2)
    finding = reviews.page(filled, replace(EVERYTHING, round_id=2), limit=1).items[0]
    reviews.decide(filled, [Choice(finding.id, Verdict.RELABEL, 7)], by="ada")
    story = reviews.history(filled, finding.id)
    assert [one.label for _, one in story.rounds] == [7, 7]
    assert [(number, one.verdict) for number, one in story.decisions] == [(2, Verdict.RELABEL)]


def test_keeping_an_agreeing_label_counts_as_keep_with_a_right_suggestion(filled: AppContext) -> None:
    agreeing = frozenset({FindingKind.AGREEING})
    [kept] = first(filled, kinds=agreeing)
    reviews.decide(filled, [Choice(kept, Verdict.KEEP)], by="ada")
    assert status_of(filled, kept) is Status.KEEP
    chosen = FindingFilter(round_id=1, kinds=agreeing)
    counted = reviews.counts(filled, chosen)
    assert (counted.decided, counted.by_status[Status.KEEP]) == (1, 1)
    assert_projections_hold(filled)


def test_the_models_own_estimate_is_reported_apart_from_precision(filled: AppContext) -> None:
    chosen = FindingFilter(round_id=1, min_confidence=0.6)
    held = [finding.confidence for finding in reviews.page(filled, chosen, limit=500).items]
    assert reviews.preview(filled, chosen).known.model == pytest.approx(sum(held) / len(held), abs=0.005)
    assert reviews.preview(filled, chosen).known.precision is None
    by_path = replace(chosen, path_contains=".")  # which the counts cannot tell
    assert reviews.preview(filled, by_path).known.model == pytest.approx(sum(held) / len(held), abs=0.005)
    assert reviews.preview(filled, replace(chosen, min_confidence=1.0, max_confidence=1.0)).known.model is None
    with filled.database.write() as session:
        session.get_one(RoundRow, 1).recipe = Recipe.ITERATED
    assert reviews.preview(filled, chosen).known.model is None


@pytest.mark.parametrize(
    "choices",
    [
        [],
        [Choice(1, Verdict.RELABEL)],
        [Choice(1, Verdict.RELABEL, 10)],
        [Choice(1, Verdict.RELABEL, -1)],
        [Choice(1, Verdict.KEEP), Choice(COUNT + 1, Verdict.KEEP)],
        [Choice(number, Verdict.KEEP) for number in range(1, 1002)],
    ],
)
def test_an_invalid_act_is_refused_and_stores_nothing(filled: AppContext, choices: list[Choice]) -> None:
    add_round(filled, 1, range(1, COUNT + 1), seed=3, number=2)
    with pytest.raises(reviews.RefusedError):
        reviews.decide(filled, choices, by="ada")
    assert not all_decisions(filled)


def test_a_missing_given_label_cannot_be_kept(filled: AppContext) -> None:
    with filled.database.write() as session:
        session.get_one(FindingRow, 1).given = -1
    with pytest.raises(reviews.RefusedError):
        reviews.decide(filled, [Choice(1, Verdict.KEEP)], by="ada")


def test_unknown_findings_and_rounds_are_reported_as_unknown(filled: AppContext) -> None:
    with pytest.raises(reviews.NotFoundError):
        reviews.decide(filled, [Choice(999, Verdict.KEEP)], by="ada")
    with pytest.raises(reviews.NotFoundError):
        reviews.history(filled, 999)
    with pytest.raises(reviews.NotFoundError):
        reviews.accept_all(filled, FindingFilter(round_id=9), by="ada")


@pytest.mark.parametrize("cursor", ["", "x", "WyJwYWlyIiwgMV0=", "WyJzdXNwaWNpb24iLCAieCJd", "é", "W10="])
def test_an_invalid_cursor_is_refused(filled: AppContext, cursor: str) -> None:
    with pytest.raises(reviews.RefusedError):
        reviews.page(filled, EVERYTHING, Order.SUSPICION, after=cursor)


def test_findings_are_ordered_by_suspicion_without_similarity(one_round: Path, tmp_path: Path, kept: str) -> None:
    with copied(one_round, tmp_path, "rows") as app_context:
        with app_context.database.write() as session:
            for row in session.scalars(select(FindingRow)):
                row.similarity_rank = None
        if kept == "file":
            move_into_file(app_context, 1)
        by_likeness = reviews.page(app_context, EVERYTHING, Order.SIMILARITY, limit=4)
        assert by_likeness == reviews.page(app_context, EVERYTHING, Order.SUSPICION, limit=4)


def test_a_round_lists_the_available_filter_values(filled: AppContext) -> None:
    reviews.accept_all(filled, EVERYTHING, by="ada")
    view = reviews.view_round(filled, 1)
    assert (view.splits, view.annotators, view.has_similarity) == (["test", "train"], ["ada"], True)
    assert [(act.size, act.live) for act in view.bulk_acts] == [(COUNT, True)]
    with filled.database.read() as session:
        assert session.get_one(RoundRow, 1).number == 1


def embedded(app_context: AppContext, points: FloatArray) -> None:
    """Store the neighbours of a round's samples by these embeddings, (N, D)."""
    with app_context.database.read() as session:
        shown = findings_page(session, EVERYTHING, Order.SUSPICION, None, len(points))
    rows = {one.row: one.sample_id for one in shown}
    count, folder = len(points), app_context.round_folder(1)
    ids, nothing = np.array([rows[row] for row in range(count)]), [""] * count
    Snapshot(ids, nothing, np.zeros(count, np.int32), nothing, nothing, ["cat"]).save(folder)
    order_by_similarity(folder, points)


def test_images_similar_to_a_card_can_be_filtered(app_context: AppContext) -> None:
    fill(app_context, 400, suspicious=1)
    cards = reviews.page(app_context, FindingFilter(round_id=1), limit=40).items
    assert reviews.history(app_context, cards[0].id).alike == ()  # a round without neighbours
    points = np.random.default_rng(0).normal(size=(400, 3))
    embedded(app_context, points)
    focused = max(cards, key=lambda one: len(reviews.history(app_context, one.id).alike))
    story = reviews.history(app_context, focused.id)
    chosen = FindingFilter(round_id=1, similar=story.alike)
    alike = reviews.page(app_context, chosen, limit=400).items
    assert sorted(one.id for one in alike) == list(story.alike)
    assert focused.id in story.alike
    assert len(alike) > 1
    assert {(one.given, one.pseudo) for one in alike} == {(focused.given, focused.pseudo)}
    pair = FindingFilter(round_id=1, given=focused.given, pseudo=focused.pseudo)
    rest = [one for one in reviews.page(app_context, pair, limit=400).items if one.id not in story.alike]
    near, far = (
        np.mean([np.linalg.norm(points[one.row] - points[focused.row]) for one in some if one.id != focused.id])
        for some in (alike, rest)
    )
    assert near < far
    assert reviews.count(app_context, chosen) == len(alike)
    seen = audits.start(app_context, chosen, by="ada")
    assert seen.audit.size == len(alike)
    assert seen.as_json()["filter"]["similar"] == "-".join(map(str, story.alike))
    assert reviews.accept_all(app_context, chosen, by="ada").size == len(alike)
    assert reviews.history(app_context, focused.id).alike == ()  # nothing else is open


def test_only_the_nearest_of_too_many_similar_images_are_taken(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(app_context, 400, suspicious=1)
    embedded(app_context, np.random.default_rng(0).normal(size=(400, 3)))
    focused = max(
        reviews.page(app_context, FindingFilter(round_id=1), limit=40).items,
        key=lambda one: len(reviews.history(app_context, one.id).alike),
    )
    monkeypatch.setattr("app.services.reviews.reading.MOST_ALIKE", 2)
    alike = reviews.history(app_context, focused.id).alike
    assert len(alike) == 3
    assert focused.id in alike


def test_a_card_shows_its_nearest_neighbours_nearest_first(filled: AppContext) -> None:
    card = reviews.page(filled, EVERYTHING, limit=1).items[0]
    assert reviews.history(filled, card.id).neighbours == []  # a round without embeddings has none
    folder, angle = filled.round_folder(card.round_id), np.linspace(0, np.pi, COUNT)
    embedded(filled, np.stack([np.cos(angle), np.sin(angle), angle], axis=1))
    near = reviews.history(filled, card.id).neighbours
    (folder / "neighbours.npy").unlink()
    np.save(folder / "embeddings.npy", np.stack([np.cos(angle), np.sin(angle), angle], axis=1))
    assert reviews.history(filled, card.id).neighbours == near, "a round of an earlier release stored none"
    assert len(near) == 6
    distances = [abs(one.row - card.row) for one in near]
    assert distances == sorted(distances)
    assert max(distances) <= 6
