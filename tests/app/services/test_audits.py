"""Random samples of fixed sets: one order for good, evidence from its judged prefix, certificates that acts carry."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update

from app.services import reviews
from app.services.app_context import AppContext
from app.services.reviews import AuditView, Choice, RefusedError, audits, evidence, precision
from app.services.reviews.precision import Recalibration
from core.config import RoundConfig
from core.judge.certificate import Claim, follow
from core.types import FindingFilter, FindingKind, JobStatus, Status, Verdict
from db.loading import NewFinding
from db.models import AuditLeaseRow, ChangesetRow, DatasetRow, SampleRow
from db.queries import audits as queries, findings, rounds
from tests.app.small import NOW, add_dataset
from tools.fixtures import scenes as masked

pytestmark = pytest.mark.usefixtures("kept")

SIZE, AGREEING = 150, 60


def add_round(
    app_context: AppContext, dataset_id: int, *, size: int = SIZE, agreeing: int = AGREEING, offset: int = 0
) -> int:
    """Store a finished round: `size` suspicious findings with confidences from .5 to .99, then agreeing ones."""
    with app_context.database.write() as session:
        samples = session.scalars(select(SampleRow.id).where(SampleRow.dataset_id == dataset_id)).all()
        round_id = rounds.add_round(session, dataset_id, RoundConfig(folds=2).to_json(), "ada", NOW)
        rounds.begin_round(session, round_id, "training", NOW)
        rows = []
        for rank, sample_id in enumerate(samples[offset : offset + size + agreeing]):
            is_wrong = rank < size
            confidence = 0.5 + 0.49 * (rank % size) / max(1, size - 1)
            rows.append(
                NewFinding(
                    sample_id=sample_id, row=rank, rank=rank,
                    kind=FindingKind.SUSPICIOUS if is_wrong else FindingKind.AGREEING,
                    given=0, pseudo=1 if is_wrong else 0, confidence=confidence, self_confidence=1 - confidence,
                    margin=0.1, fold=rank % 2, split="", top=[[1, confidence]], similarity_rank=None,
                )
            )  # fmt: skip
        findings.add_findings(session, round_id, rows)
        findings.open_findings(session, round_id)
        rounds.set_facts(session, round_id, {"metrics": {"accuracy": 0.9}, "snapshot_hash": "00ff"})
        rounds.end_round(session, round_id, JobStatus.DONE, "", NOW)
    return round_id


@pytest.fixture
def round_id(app_context: AppContext) -> int:
    return add_round(app_context, add_dataset(app_context, [0] * 2 * (SIZE + AGREEING)))


def everything(round_id: int, **narrower: object) -> FindingFilter:
    return FindingFilter(round_id=round_id, **narrower)  # type: ignore[arg-type]


def order_of(app_context: AppContext, seen: AuditView) -> list[int]:
    with app_context.database.read() as session:
        return queries.finding_ids(session, seen.audit.id).tolist()


def recalibrated(app_context: AppContext, round_id: int) -> Recalibration:
    found = reviews.recalibration(app_context, round_id)
    assert found is not None
    return found


def judge(app_context: AppContext, ids: Iterable[int], verdict: Verdict = Verdict.ACCEPT, by: str = "ada") -> None:
    reviews.decide(app_context, [Choice(one, verdict) for one in ids], by=by)


def test_people_who_open_a_sample_at_once_get_one_that_is_drawn_once(
    app_context: AppContext, round_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def draw(*values: Any, **more: Any) -> Any:
        drawn.append(1)
        return random_order(*values, **more)

    random_order = queries.random_order
    monkeypatch.setattr(queries, "random_order", draw)
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda name: audits.start(app_context, everything(round_id), by=name), "abcdefgh"))
    assert {one.audit.id for one in seen} == {1}
    assert len(drawn) == 2  # the set, and what people had judged before


def test_a_set_has_one_permanent_random_order(app_context: AppContext, round_id: int) -> None:
    first = audits.start(app_context, everything(round_id, min_confidence=0.7), by="ada")
    again = audits.start(
        app_context, everything(round_id, min_confidence=0.7, statuses=frozenset({Status.OPEN})), by="bob"
    )
    assert again.audit.id == first.audit.id
    order = order_of(app_context, first)
    assert len(order) == len(set(order)) == first.audit.size
    with app_context.database.read() as session:
        cards = list(queries.cards(session, sorted(order)))
        assert all(card.confidence >= 0.7 for card in cards)
    assert order != sorted(order)


def test_the_dialog_shows_the_first_cards_in_the_order_of_the_audit(app_context: AppContext, round_id: int) -> None:
    chosen = everything(round_id, min_confidence=0.6)
    shown = [one.id for one in reviews.preview(app_context, chosen).sample]
    assert len(shown) == 24
    assert shown == order_of(app_context, audits.start(app_context, chosen, by="ada"))[:24]
    judge(app_context, shown[:3])
    assert [one.id for one in reviews.preview(app_context, chosen).sample] == shown


@pytest.mark.parametrize("first", [1, 24, 150, 400])
def test_the_first_cards_of_an_order_are_found_without_reading_the_set(
    app_context: AppContext, round_id: int, first: int
) -> None:
    fixed = evidence.fixed_set(everything(round_id), [])
    with app_context.database.read() as session:
        whole = queries.random_order(session, fixed, 7)
        assert queries.random_order(session, fixed, 7, first).tolist() == whole.tolist()[:first]


def test_each_card_is_equally_likely_to_come_first(app_context: AppContext, round_id: int) -> None:
    fixed = evidence.fixed_set(everything(round_id, min_confidence=0.9), [])
    with app_context.database.read() as session:
        size = findings.count(session, fixed)
        firsts = [int(queries.random_order(session, fixed, seed, 1)[0]) for seed in range(20 * size)]
    _, times = np.unique(firsts, return_counts=True)
    assert len(times) == size
    assert times.min() > 4
    assert times.max() < 45


def test_only_the_judged_prefix_is_evidence(app_context: AppContext, round_id: int) -> None:
    seen = audits.start(app_context, everything(round_id), by="ada")
    order = order_of(app_context, seen)
    judge(app_context, order[:5] + order[6:9])
    seen = audits.view_audit(app_context, seen.audit.id)
    assert (seen.judged, seen.right, seen.beyond) == (5, 5, 3)
    assert seen.gap is not None
    assert (seen.gap.place, seen.gap.finding, seen.gap.why) == (5, order[5], "open")
    judge(app_context, [order[5]], Verdict.KEEP)
    seen = audits.view_audit(app_context, seen.audit.id)
    assert (seen.judged, seen.right, seen.beyond) == (9, 8, 0)
    assert seen.evidence == follow(Claim(size=SIZE), [True] * 5 + [False] + [True] * 3)


def test_a_card_judged_in_the_queue_counts_when_the_order_reaches_it(app_context: AppContext, round_id: int) -> None:
    chosen = everything(round_id)
    audit_id = audits.start(app_context, chosen, by="ada").audit.id
    judge(app_context, [one.id for one in reviews.page(app_context, chosen, limit=40).items])
    seen = audits.view_audit(app_context, audit_id)
    assert seen.estimate is None
    assert seen.judged + seen.beyond == 40
    assert "unknown" in reviews.preview(app_context, chosen).known.text


@pytest.mark.parametrize("verdict", [Verdict.KEEP, Verdict.AMBIGUOUS, Verdict.EXCLUDE])
def test_only_accepting_the_suggestion_counts_as_right(
    app_context: AppContext, round_id: int, verdict: Verdict
) -> None:
    seen = audits.start(app_context, everything(round_id), by="ada")
    judge(app_context, order_of(app_context, seen)[:1], verdict)
    assert audits.view_audit(app_context, seen.audit.id).right == 0


def test_the_judged_prefix_ends_at_a_second_opinion_or_a_leased_card(app_context: AppContext, round_id: int) -> None:
    seen = audits.start(app_context, everything(round_id), by="ada")
    order = order_of(app_context, seen)
    hand, _ = audits.hand_out(app_context, seen.audit.id, by="bob", limit=2)
    gap = audits.view_audit(app_context, seen.audit.id).gap
    assert gap is not None
    assert (gap.why, gap.by, gap.place) == ("leased", "bob", 0)
    judge(app_context, [finding.id for _, finding in hand], by="bob")
    judge(app_context, order[2:3], Verdict.SECOND_OPINION)
    gap = audits.view_audit(app_context, seen.audit.id).gap
    assert gap is not None
    assert (gap.why, gap.place) == ("second_opinion", 2)


def test_changing_or_undoing_a_verdict_updates_the_audit(app_context: AppContext, round_id: int) -> None:
    seen = audits.start(app_context, everything(round_id), by="ada")
    order = order_of(app_context, seen)
    judge(app_context, order[:60])
    certified = audits.view_audit(app_context, seen.audit.id)
    assert certified.state == "certified"
    judge(app_context, order[10:11], Verdict.KEEP)
    judge(app_context, order[20:25], Verdict.KEEP)
    changed = audits.view_audit(app_context, seen.audit.id)
    assert changed.right == 54
    assert changed.certificate is None
    reviews.undo(app_context, changed.audit.dataset_id, by="ada")
    assert audits.view_audit(app_context, seen.audit.id).right == 59


def test_a_skipped_card_counts_as_wrong_once_the_audit_is_closed(app_context: AppContext, round_id: int) -> None:
    seen = audits.start(app_context, everything(round_id), by="ada")
    hand, _ = audits.hand_out(app_context, seen.audit.id, by="ada", limit=10)
    ids = [finding.id for _, finding in hand]
    judge(app_context, ids[:4] + ids[5:8])
    closed = audits.close(app_context, seen.audit.id)
    assert (closed.judged, closed.right, closed.state) == (8, 7, "closed")  # two more were handed out and not reached
    opened = audits.close(app_context, seen.audit.id, closed=False)
    assert (opened.judged, opened.right, opened.state) == (4, 4, "open")


def test_two_people_get_different_cards_and_none_is_lost(app_context: AppContext, round_id: int) -> None:
    seen = audits.start(app_context, everything(round_id), by="ada")
    order = order_of(app_context, seen)
    ada, last = audits.hand_out(app_context, seen.audit.id, by="ada", limit=10)
    bob, _ = audits.hand_out(app_context, seen.audit.id, by="bob", limit=10)
    assert [one.id for _, one in ada] == order[:10]
    assert [one.id for _, one in bob] == order[10:20]
    assert last == 9
    more, _ = audits.hand_out(app_context, seen.audit.id, by="ada", after=9, limit=5)
    assert [place for place, _ in more] == [20, 21, 22, 23, 24]
    again, _ = audits.hand_out(app_context, seen.audit.id, by="ada", limit=15)  # a reload
    assert [one.id for _, one in again] == order[:10] + order[20:25]
    with app_context.database.write() as session:  # bob has gone home
        session.execute(update(AuditLeaseRow).values(until=NOW - timedelta(days=1)))
    rest, _ = audits.hand_out(app_context, seen.audit.id, by="ada", limit=15)
    assert [one.id for _, one in rest] == order[:15]


def test_concurrent_requests_get_different_cards(app_context: AppContext, round_id: int) -> None:
    audit_id = audits.start(app_context, everything(round_id), by="ada").audit.id
    people = [f"person {number}" for number in range(6)]

    def ask(name: str) -> list[int]:
        return [one.id for _, one in audits.hand_out(app_context, audit_id, by=name, limit=10)[0]]

    with ThreadPoolExecutor(len(people)) as pool:
        hands = list(pool.map(ask, people))
    given = [one for hand in hands for one in hand]
    assert len(given) == len(set(given)) == 60


def test_starting_the_same_audit_concurrently_creates_one(app_context: AppContext, round_id: int) -> None:
    def begin(name: str) -> int:
        return audits.start(app_context, everything(round_id), by=name).audit.id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(begin, ["ada", "bob", "eve", "kim"]))) == 1


def test_a_later_overlapping_set_gets_a_smaller_alpha(app_context: AppContext, round_id: int) -> None:
    sets = [everything(round_id, min_confidence=least) for least in (0.5, 0.7, 0.9)]
    seen = [audits.start(app_context, one, by="ada") for one in sets]
    assert [one.audit.number for one in seen] == [1, 2, 3]
    assert [one.audit.alpha for one in seen] == [0.05, 0.05 / 4, 0.05 / 8]
    first = audits.start(app_context, everything(round_id, min_confidence=0.5, max_confidence=0.6), by="ada")
    assert (first.audit.number, first.audit.alpha) == (4, 0.05 / 16), "it overlaps the first set alone"
    beside = audits.start(app_context, everything(round_id, kinds=frozenset({FindingKind.AGREEING})), by="ada")
    assert (beside.audit.number, beside.audit.alpha) == (1, 0.05)


def test_the_certificate_is_about_the_set_after_acceptance(app_context: AppContext, round_id: int) -> None:
    chosen = everything(round_id, min_confidence=0.6)
    seen = audits.start(app_context, chosen, by="ada")
    with pytest.raises(RefusedError, match="no certificate"):
        reviews.accept_all(app_context, chosen, by="ada", certified=True)
    judge(app_context, order_of(app_context, seen)[:60])
    known = reviews.preview(app_context, chosen).known
    assert known.certificate is not None
    assert known.certificate.open == seen.audit.size - 60
    assert known.certificate.share >= 0.95
    assert "60 random cards" in known.certificate.text
    saved = reviews.accept_all(app_context, chosen, by="ada", certified=True)
    assert saved.size == seen.audit.size - 60
    assert saved.known is not None
    assert saved.known["certificate"]["text"] == known.certificate.text
    after = audits.view_audit(app_context, seen.audit.id)
    assert after.certificate is not None
    assert (after.judged, after.certificate.open) == (60, 0)
    reviews.undo(app_context, seen.audit.dataset_id, by="ada")
    assert audits.view_audit(app_context, seen.audit.id).certificate == known.certificate


def test_another_threshold_is_another_set_without_a_certificate(app_context: AppContext, round_id: int) -> None:
    chosen = everything(round_id, min_confidence=0.6)
    judge(app_context, order_of(app_context, audits.start(app_context, chosen, by="ada"))[:60])
    other = everything(round_id, min_confidence=0.61)
    assert reviews.preview(app_context, other).known.certificate is None
    saved = reviews.accept_all(app_context, other, by="ada")
    assert saved.known is not None
    assert saved.known["certified"] is False


def test_protecting_an_evaluation_split_later_voids_the_certificate(app_context: AppContext, round_id: int) -> None:
    chosen = everything(round_id)
    seen = audits.start(app_context, chosen, by="ada")
    judge(app_context, order_of(app_context, seen)[:60])
    with app_context.database.write() as session:
        session.execute(update(DatasetRow).values(evaluation_splits=["test"]))
    assert reviews.preview(app_context, chosen).known.certificate is None


def test_a_card_that_waits_for_a_second_opinion_lowers_the_claim(app_context: AppContext, round_id: int) -> None:
    seen = audits.start(app_context, everything(round_id), by="ada")
    order = order_of(app_context, seen)
    judge(app_context, order[:80])
    before = audits.view_audit(app_context, seen.audit.id).certificate
    judge(app_context, order[-1:], Verdict.SECOND_OPINION)
    after = audits.view_audit(app_context, seen.audit.id).certificate
    assert before is not None
    assert after is not None
    assert isclose(after.share, before.share - 1 / SIZE)


def test_verdicts_record_their_audit(app_context: AppContext, round_id: int) -> None:
    seen = audits.start(app_context, everything(round_id, min_confidence=0.9), by="ada")
    inside = order_of(app_context, seen)[0]
    reviews.decide(app_context, [Choice(inside, Verdict.ACCEPT)], by="ada", audit_id=seen.audit.id, blind=True)
    with app_context.database.read() as session:
        row = session.execute(select(ChangesetRow.audit_id, ChangesetRow.note)).one()
    assert tuple(row) == (seen.audit.id, {"blind": True})
    outside = reviews.page(app_context, everything(round_id, max_confidence=0.9)).items[0].id
    with pytest.raises(RefusedError, match="not in the set"):
        reviews.decide(app_context, [Choice(outside, Verdict.ACCEPT)], by="ada", audit_id=seen.audit.id)


@pytest.mark.parametrize(
    ("narrower", "why"),
    [
        ({"annotator": "ada"}, "annotator"),
        ({"sample_id": 1}, "one image"),
        ({"kinds": frozenset(FindingKind)}, "one kind"),
    ],
)
def test_a_set_that_cannot_be_fixed_is_refused(
    app_context: AppContext, round_id: int, narrower: dict[str, object], why: str
) -> None:
    chosen = everything(round_id, **narrower)
    with pytest.raises(RefusedError, match=why):
        audits.start(app_context, chosen, by="ada")
    assert reviews.preview(app_context, chosen).known.precision is None


@pytest.mark.parametrize("target", ["", "x", "1", "0.2", "1/0"])
def test_a_target_that_cannot_be_certified_is_refused(app_context: AppContext, round_id: int, target: str) -> None:
    with pytest.raises(RefusedError):
        audits.start(app_context, everything(round_id), by="ada", target=target)


def test_the_target_of_a_set_does_not_change(app_context: AppContext, round_id: int) -> None:
    audits.start(app_context, everything(round_id), by="ada", target="0.9")
    with pytest.raises(RefusedError, match="90 % already"):
        audits.start(app_context, everything(round_id), by="ada")


def test_quarters_of_a_closed_audit_share_its_order_and_its_verdicts(app_context: AppContext, round_id: int) -> None:
    seen = audits.start(app_context, everything(round_id), by="ada")
    order = order_of(app_context, seen)
    with pytest.raises(RefusedError, match="quarters"):
        audits.split_into_quarters(app_context, seen.audit.id, by="ada")
    audits.hand_out(app_context, seen.audit.id, by="ada", limit=48)
    judge(app_context, order[:48])
    audits.close(app_context, seen.audit.id)
    split = audits.split_into_quarters(app_context, seen.audit.id, by="ada")
    assert sum(one.audit.size for one in split.quarters) == SIZE
    assert {one.audit.alpha for one in split.quarters} == {0.05 / 4}
    for quarter in split.quarters:
        own = order_of(app_context, quarter)
        assert own == [one for one in order if one in set(own)]
        with app_context.database.read() as session:
            every = replace(evidence.stored_filter(quarter.audit), statuses=frozenset())
            assert findings.count(session, every) == quarter.audit.size == sum(quarter.audit.levels)
    assert sum(one.judged for one in split.quarters) >= 48
    again = audits.split_into_quarters(app_context, seen.audit.id, by="ada")
    assert [one.audit.id for one in again.quarters] == [one.audit.id for one in split.quarters]


def test_nothing_is_estimated_without_a_random_sample(app_context: AppContext, round_id: int) -> None:
    judge(app_context, [one.id for one in reviews.page(app_context, everything(round_id), limit=100).items])
    found = recalibrated(app_context, round_id)
    assert (found.share, found.proposed, found.curve) == (None, None, ())
    assert found.wrong is not None
    assert (found.wrong.short, found.wrong.basis) == ("unknown", "")
    known = reviews.preview(app_context, everything(round_id)).known
    assert known.precision is None
    assert known.text.startswith("Precision unknown")


def test_random_samples_estimate_precision_threshold_and_wrong_labels(app_context: AppContext, round_id: int) -> None:
    for kind in (FindingKind.SUSPICIOUS, FindingKind.AGREEING):
        seen = audits.start(app_context, everything(round_id, kinds=frozenset({kind})), by="ada")
        order = order_of(app_context, seen)[:50]
        with app_context.database.read() as session:
            cards = list(queries.cards(session, order))
        sure = [card.id for card in cards if kind is FindingKind.AGREEING or card.confidence >= 0.7]
        judge(app_context, sure)
        if len(sure) < len(order):
            judge(app_context, set(order) - set(sure), Verdict.KEEP)
    found = recalibrated(app_context, round_id)
    assert found.share is not None
    assert found.wrong is not None
    assert found.wrong.errors is not None
    assert found.wrong.basis == "estimated from 100 random verdicts"
    assert found.proposed is not None
    assert abs(found.share.share - 90 / SIZE) < 0.15
    assert found.wrong.errors.low <= 90 <= found.wrong.errors.high
    assert 0.6 <= found.proposed.threshold <= 0.85
    above = reviews.preview(app_context, everything(round_id, min_confidence=0.8)).known
    assert above.precision is not None
    assert above.precision.of == "all suspicious findings"
    assert above.precision.low > 0.7


def test_a_completely_judged_set_gives_an_exact_count(app_context: AppContext, round_id: int) -> None:
    for kind in (FindingKind.SUSPICIOUS, FindingKind.AGREEING):
        seen = audits.start(app_context, everything(round_id, kinds=frozenset({kind})), by="ada")
        assert seen.estimate is None
        order = order_of(app_context, seen)
        judge(app_context, order[:40])
        judge(app_context, order[40:], Verdict.AMBIGUOUS)
        share = audits.view_audit(app_context, seen.audit.id).estimate
        assert share is not None
        assert share.counted
        assert share.low == share.high == share.share == 40 / len(order)
        assert "a count: all" in reviews.share_text(share)
    wrong = recalibrated(app_context, round_id).wrong
    assert wrong is not None
    assert wrong.counted
    assert "interval" not in wrong.text
    assert wrong.short == str(int(wrong.short))
    assert wrong.basis == f"counted, all {wrong.size} judged"


def test_confidence_is_reported_as_misleading_when_the_surest_suggestions_are_wrong(
    app_context: AppContext, round_id: int
) -> None:
    seen = audits.start(app_context, everything(round_id), by="ada")
    with app_context.database.read() as session:
        cards = list(queries.cards(session, order_of(app_context, seen)[:60]))
    middle = sorted(card.confidence for card in cards)[30]
    judge(app_context, [card.id for card in cards if card.confidence < middle])
    judge(app_context, [card.id for card in cards if card.confidence >= middle], Verdict.KEEP)
    found = recalibrated(app_context, round_id)
    assert "right less often" in found.warning
    assert found.as_json()["warning"] == found.warning


def test_no_threshold_is_proposed_when_suggestions_are_wrong(app_context: AppContext, round_id: int) -> None:
    seen = audits.start(app_context, everything(round_id), by="ada")
    judge(app_context, order_of(app_context, seen)[:60], Verdict.KEEP)
    found = recalibrated(app_context, round_id)
    assert found.proposed is None
    assert "no threshold" in found.reason


def test_a_later_round_has_no_estimate_before_its_own_sample(app_context: AppContext, round_id: int) -> None:
    first = audits.start(app_context, everything(round_id), by="ada")
    judge(app_context, order_of(app_context, first)[:60], Verdict.KEEP)
    following = add_round(app_context, first.audit.dataset_id, offset=SIZE + AGREEING)
    assert recalibrated(app_context, following).share is None
    order = order_of(app_context, audits.start(app_context, everything(following), by="ada"))
    judge(app_context, order[:29])
    assert recalibrated(app_context, following).share is None
    judge(app_context, order[29:30])
    later = recalibrated(app_context, following)
    assert later.share is not None
    assert later.share.verdicts == 30
    assert later.share.share < 1 - 1 / SIZE  # the round before says that suggestions are wrong


def test_the_evidence_is_stored_with_the_act(app_context: AppContext, round_id: int) -> None:
    saved = reviews.accept_all(app_context, everything(round_id, min_confidence=0.9), by="ada")
    assert saved.known is not None
    assert saved.known["precision"] is None
    assert saved.known["text"].startswith("Precision unknown")
    act = reviews.view_round(app_context, round_id).bulk_acts[0]
    assert act.note["known"] == saved.known


def test_small_sets_are_counted_and_not_estimated(app_context: AppContext) -> None:
    round_id = add_round(app_context, add_dataset(app_context, [0] * 12), size=8, agreeing=4)
    seen = audits.start(app_context, everything(round_id), by="ada")
    judge(app_context, order_of(app_context, seen))
    seen = audits.view_audit(app_context, seen.audit.id)
    assert seen.estimate is not None
    assert (seen.estimate.share, seen.estimate.low, seen.estimate.high) == (1.0, 1.0, 1.0)
    assert seen.state == "certified"
    assert seen.certificate is not None
    assert seen.certificate.share == 1.0
    assert precision.LEAST_VERDICTS > 8


def test_regions_of_masks_are_certified_and_their_pixels_estimated(app_context: AppContext, tmp_path: Path) -> None:
    scenes = masked.add_scenes(app_context, tmp_path / "scenes", 40, width=80, height=60)
    seen = audits.start(app_context, everything(masked.add_round(app_context, scenes)), by="ada")
    order = order_of(app_context, seen)
    with app_context.database.read() as session:
        areas = {card.id: card.area or 0 for card in queries.cards(session, order)}
    small = {one for one in order if areas[one] == min(areas.values()) and one % 3}
    judge(app_context, [one for one in order[:45] if one not in small])
    judge(app_context, [one for one in order[:45] if one in small], Verdict.KEEP)
    seen = audits.view_audit(app_context, seen.audit.id)
    right = len(order) - len(small)
    assert seen.estimate is not None
    assert seen.pixels is not None
    assert seen.estimate.low <= right / len(order) <= seen.estimate.high
    pixels = sum(area for one, area in areas.items() if one not in small) / sum(areas.values())
    assert seen.pixels.low <= pixels <= seen.pixels.high
    assert seen.pixels.share > seen.estimate.share  # the wrong ones are small
    assert seen.state == "failed"


def test_findings_judged_before_are_not_part_of_the_set(app_context: AppContext, round_id: int) -> None:
    before = [one.id for one in reviews.page(app_context, everything(round_id), limit=60).items]
    judge(app_context, before, Verdict.KEEP)
    seen = audits.start(app_context, everything(round_id), by="ada")
    order = order_of(app_context, seen)
    assert set(order).isdisjoint(before)
    assert (seen.audit.size, seen.beyond) == (SIZE - 60, 0)
    judge(app_context, order[:60])
    certified = audits.view_audit(app_context, seen.audit.id)
    assert certified.state == "certified"
    assert certified.estimate is not None
    assert certified.estimate.low > 0.9  # of what is open, not of what was kept before
    found = recalibrated(app_context, round_id)
    assert found.proposed is not None
    assert reviews.preview(app_context, everything(round_id)).known.size == SIZE - 60
    reviews.undo(app_context, seen.audit.dataset_id, by="ada")
    reviews.undo(app_context, seen.audit.dataset_id, by="ada")
    judge(app_context, order[:60])
    assert (
        audits.view_audit(app_context, seen.audit.id).certificate is None
    )  # 60 cards that nobody vouches for are open again
