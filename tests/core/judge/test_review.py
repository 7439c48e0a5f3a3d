from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given as drawn, strategies as st

from core.judge.review import CurrentLabels, finding_state, resolve
from core.types import NO_LABEL, Decision, Resolution, Status, Verdict

THEN = datetime(2026, 1, 1, tzinfo=UTC)
GIVEN = {1: 0, 2: 1, 3: None}


def decision(
    number: int,
    verdict: Verdict,
    label: int | None = None,
    *,
    sample: int = 1,
    bulk: bool = False,
    live: bool = True,
    round_id: int = 1,
) -> Decision:
    return Decision(number, sample, verdict, label, bulk, live, round_id, number, "ada", THEN)


@st.composite
def histories(draw: st.DrawFn) -> list[Decision]:
    """Draw decisions on a few samples as the database would hold them: numbered once, bulk ones always accepting."""
    made = []
    for number in range(draw(st.integers(0, 8))):
        bulk = draw(st.booleans())
        verdict = Verdict.ACCEPT if bulk else draw(st.sampled_from(list(Verdict)))
        settles_a_label = verdict in (Verdict.ACCEPT, Verdict.KEEP, Verdict.RELABEL)
        made.append(
            decision(
                number,
                verdict,
                draw(st.integers(0, 3)) if settles_a_label else None,
                sample=draw(st.sampled_from(sorted(GIVEN))),
                bulk=bulk,
                live=draw(st.booleans()),
                round_id=draw(st.integers(1, 2)),
            )
        )
    return made


@drawn(histories(), st.randoms(use_true_random=False))
def test_decisions_can_be_read_in_any_order(history: list[Decision], random: object) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert resolve(GIVEN, shuffled) == resolve(GIVEN, history)


@drawn(histories(), st.integers(1, 4))
def test_the_label_array_equals_the_resolution_of_each_sample(history: list[Decision], part: int) -> None:
    given = np.array([NO_LABEL if label is None else label for label in GIVEN.values()], np.int32)
    current = CurrentLabels(np.array(list(GIVEN)), given)
    live = [one for one in history if one.live] + [decision(99, Verdict.ACCEPT, 1, sample=7)]
    for start in range(0, len(live), part):
        some = live[start : start + part]
        ids, bulk = np.array([one.sample_id for one in some]), np.array([one.bulk for one in some])
        current.add(ids, [one.verdict for one in some], [one.label for one in some], bulk)
    labels, unusable = current.labels()
    for row, resolution in enumerate(resolve(GIVEN, history).values()):
        assert unusable[row] == (resolution.label is None and resolution.decision is not None)
        if not unusable[row]:
            assert labels[row] == (NO_LABEL if resolution.label is None else resolution.label)


def test_decisions_on_unknown_samples_change_nothing() -> None:
    current = CurrentLabels(np.zeros(0, np.int64), np.zeros(0, np.int32))
    current.add(np.array([1]), [Verdict.KEEP], [0], np.array([False]))
    assert [len(one) for one in current.labels()] == [0, 0]


@drawn(histories())
def test_reading_a_decision_twice_changes_nothing(history: list[Decision]) -> None:
    assert resolve(GIVEN, history + history) == resolve(GIVEN, history)


@drawn(histories())
def test_resolving_only_the_final_decisions_gives_the_same_labels(history: list[Decision]) -> None:
    once = resolve(GIVEN, history)
    winners = [resolution.decision for resolution in once.values() if resolution.decision is not None]
    assert resolve(GIVEN, winners) == once


@drawn(histories())
def test_undone_decisions_never_count(history: list[Decision]) -> None:
    assert resolve(GIVEN, history) == resolve(GIVEN, [one for one in history if one.live])


@drawn(histories(), st.integers(0, 3))
def test_a_later_bulk_act_never_changes_a_label_that_a_person_settled(history: list[Decision], label: int) -> None:
    before = resolve(GIVEN, history)
    later = [decision(100 + sample, Verdict.ACCEPT, label, sample=sample, bulk=True) for sample in GIVEN]
    after = resolve(GIVEN, history + later)
    for sample, resolution in before.items():
        if resolution.decision is not None and not resolution.decision.bulk:
            assert after[sample] == resolution


@drawn(histories())
def test_every_sample_has_exactly_one_resolution(history: list[Decision]) -> None:
    assert list(resolve(GIVEN, history)) == list(GIVEN)


@drawn(histories())
def test_the_label_of_a_settled_finding_equals_the_resolved_label(history: list[Decision]) -> None:
    for sample, resolution in resolve(GIVEN, history).items():
        stands = finding_state(1, [one for one in history if one.sample_id == sample])
        if stands.status.settled and resolution.decision is not None and not resolution.decision.bulk:
            assert (stands.label, stands.decision) == (resolution.label, resolution.decision)


def test_a_second_opinion_reopens_the_sample_and_keeps_the_bulk_label() -> None:
    bulk = decision(1, Verdict.ACCEPT, 2, bulk=True)
    history = [bulk, decision(2, Verdict.KEEP, 0), decision(3, Verdict.SECOND_OPINION)]
    assert resolve(GIVEN, history)[1] == Resolution(2, bulk)
    assert finding_state(1, history).status is Status.SECOND_OPINION
    assert finding_state(1, history).label is None


def test_a_second_opinion_alone_keeps_the_given_label() -> None:
    assert resolve(GIVEN, [decision(1, Verdict.SECOND_OPINION)])[1] == Resolution(0, None)


@pytest.mark.parametrize("verdict", [Verdict.AMBIGUOUS, Verdict.EXCLUDE])
def test_ambiguous_and_excluded_samples_have_no_label(verdict: Verdict) -> None:
    assert resolve(GIVEN, [decision(1, verdict)])[1].label is None


def test_a_bulk_act_of_a_former_round_sets_the_label_but_no_status_in_the_new_round() -> None:
    history = [decision(1, Verdict.ACCEPT, 2, bulk=True, round_id=1)]
    assert resolve(GIVEN, history)[1].label == 2
    assert finding_state(1, history).status is Status.BULK
    assert finding_state(2, history).status is Status.OPEN


def test_a_persons_verdict_holds_in_every_round() -> None:
    history = [decision(1, Verdict.RELABEL, 3, round_id=1), decision(2, Verdict.ACCEPT, 2, bulk=True, round_id=2)]
    assert finding_state(2, history).status is Status.RELABEL
    assert finding_state(2, history).label == 3


def test_a_finding_painted_over_is_neither_open_nor_bulk_accepted_but_keeps_a_persons_verdict() -> None:
    bulk = [decision(1, Verdict.ACCEPT, 2, bulk=True)]
    assert finding_state(1, [], painted=True).status is Status.PAINTED
    assert finding_state(1, bulk, painted=True) == finding_state(1, [], painted=True)
    assert finding_state(1, [*bulk, decision(2, Verdict.KEEP, 1)], painted=True).status is Status.KEEP
