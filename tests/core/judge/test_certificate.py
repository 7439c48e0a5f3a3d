"""The certificate of a bulk accept: against scipy, by properties, by hand, and by simulation."""

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy.stats import betabinom, hypergeom

from core.judge.certificate import (
    ALPHA,
    Claim,
    alpha_of,
    credible_counts,
    flawless_needed,
    follow,
    log_evidence,
)
from core.types import ConfigError
from tools.fixtures.audits import certificate_limits, draw_wrong, stopped_at

targets = st.sampled_from([Fraction(1, 2), Fraction(8, 10), Fraction(9, 10), Fraction(95, 100), Fraction(99, 100)])
alphas = st.sampled_from([0.001, 0.0125, 0.05, 0.5])


@st.composite
def claims(draw: st.DrawFn, largest: int = 300) -> Claim:
    target = draw(targets | st.just(Fraction(1)))
    return Claim(size=draw(st.integers(1, largest)), target=target, alpha=draw(alphas))


@st.composite
def audits(draw: st.DrawFn, largest: int = 300) -> tuple[Claim, list[bool]]:
    """Return a claim and verdicts on some of its cards, of any share of right ones, with runs."""
    claim = draw(claims(largest))
    judged = draw(st.integers(0, claim.size))
    wrong = draw(st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0]))
    later = draw(st.sampled_from([wrong, 0.0, 0.05, 1.0]))
    turn = draw(st.integers(0, judged))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random(judged)
    return claim, (chance >= np.where(np.arange(judged) < turn, wrong, later)).tolist()


def evidence(claim: Claim, judged: int, wrong: int, count: int) -> float:
    return float(log_evidence(claim, *(np.array([value]) for value in (judged, wrong, count)))[0])


def interval(claim: Claim, judged: int, wrong: int) -> tuple[int, int]:
    least, most = credible_counts(claim, np.array([judged]), np.array([wrong]))
    return int(least[0]), int(most[0])


def is_consistent(claim: Claim, right: list[bool]) -> bool:
    """Return true if no verdict contradicts the interval of the earlier ones."""
    judged = np.arange(len(right) + 1)
    least, most = credible_counts(claim, judged, judged - np.cumsum([0, *right]))
    return bool(least.max() <= most.min())


@settings(deadline=None)
@given(st.integers(1, 10_000_000), targets, st.data())
def test_the_evidence_equals_scipys_for_the_unordered_verdicts(
    size: int, target: Fraction, data: st.DataObject
) -> None:
    judged = data.draw(st.integers(0, min(size, 3_000)))
    wrong = data.draw(st.integers(0, judged))
    count = data.draw(st.integers(wrong, size - (judged - wrong)))
    claim = Claim(size=size, target=target)
    theirs = betabinom.logpmf(wrong, judged, 1, claim.prior) - hypergeom.logpmf(wrong, size, count, judged)
    assert evidence(claim, judged, wrong, count) == pytest.approx(theirs, abs=1e-5, rel=1e-7)


@settings(deadline=None)
@given(audits(60))
def test_counts_excluded_by_the_verdicts_are_rejected_with_certainty(audit: tuple[Claim, list[bool]]) -> None:
    claim, right = audit
    wrong = right.count(False)
    for count in range(claim.size + 1):
        impossible = count < wrong or claim.size - count < len(right) - wrong
        assert np.isinf(evidence(claim, len(right), wrong, count)) == impossible


@settings(deadline=None)
@given(audits(60))
def test_the_credible_counts_equal_those_of_an_exhaustive_search(audit: tuple[Claim, list[bool]]) -> None:
    claim, right = audit
    wrong = right.count(False)
    credible = [count for count in range(claim.size + 1) if evidence(claim, len(right), wrong, count) < claim.threshold]
    assert credible == list(range(credible[0], credible[-1] + 1))
    assert interval(claim, len(right), wrong) == (credible[0], credible[-1])


@settings(deadline=None)
@given(claims(40), st.integers(0, 40))
def test_the_likelihood_ratio_has_mean_one_under_every_count(claim: Claim, count: int) -> None:
    """So its supremum over time exceeds 1 / alpha with probability alpha at most."""
    count = min(count, claim.size)
    for judged in range(claim.size + 1):
        wrong = np.arange(max(0, judged - (claim.size - count)), min(judged, count) + 1)
        ratios = np.exp(log_evidence(claim, np.full_like(wrong, judged), wrong, np.full_like(wrong, count)))
        assert float(ratios @ hypergeom.pmf(wrong, claim.size, count, judged)) <= 1 + 1e-9


@settings(deadline=None)
@given(audits())
def test_the_bound_never_grows_without_a_contradicting_verdict(audit: tuple[Claim, list[bool]]) -> None:
    claim, right = audit
    found = [follow(claim, right[:judged]) for judged in range(0, len(right) + 1, max(1, len(right) // 20))]
    if is_consistent(claim, right):
        assert [one.most_wrong for one in found] == sorted((one.most_wrong for one in found), reverse=True)
        assert [one.least_wrong for one in found] == sorted(one.least_wrong for one in found)


@settings(deadline=None)
@given(audits())
def test_the_bounds_enclose_counts_that_are_still_possible(audit: tuple[Claim, list[bool]]) -> None:
    claim, right = audit
    found = follow(claim, right)
    assert 0 <= found.wrong <= found.least_wrong <= found.most_wrong <= claim.size - (found.judged - found.wrong)
    assert not (found.certified and found.failed)


@settings(deadline=None)
@given(audits())
@example((Claim(size=1, target=Fraction(1)), [True]))
@example((Claim(size=1, target=Fraction(1, 2)), [False]))
def test_the_certificate_equals_the_count_once_everything_is_judged(audit: tuple[Claim, list[bool]]) -> None:
    claim, right = audit
    right = right + right[: claim.size - len(right)]
    right += [True] * (claim.size - len(right))
    found = follow(claim, right)
    wrong = right.count(False)
    assert (found.least_wrong, found.most_wrong) == (wrong, wrong)
    assert found.certified == (claim.size - wrong >= claim.target * claim.size) != found.failed
    assert found.least_right_share == 1


@settings(deadline=None)
@given(audits())
def test_a_set_is_certified_exactly_when_the_bound_meets_the_target(audit: tuple[Claim, list[bool]]) -> None:
    claim, right = audit
    found = follow(claim, right)
    assert found.certified == (claim.size - found.most_wrong >= claim.target * claim.size)
    if found.certified:
        assert found.certified_at is not None
        assert follow(claim, right[: found.certified_at]).certified
    else:
        assert found.certified_at is None


@settings(deadline=None)
@given(audits(80))
def test_the_certificate_is_issued_when_the_evidence_crosses_its_limit(audit: tuple[Claim, list[bool]]) -> None:
    claim, right = audit
    crossed = [
        judged for judged in range(len(right) + 1) if follow(claim, right[:judged]).log_evidence >= claim.threshold
    ]
    found = follow(claim, right)
    if is_consistent(claim, right):
        assert found.certified_at == (crossed[0] if crossed else None)


@settings(deadline=None)
@given(audits(120))
def test_one_more_wrong_card_never_helps(audit: tuple[Claim, list[bool]]) -> None:
    claim, right = audit
    wrong = right.count(False)
    least, most = interval(claim, len(right), wrong)
    if wrong < len(right):
        worse_least, worse_most = interval(claim, len(right), wrong + 1)
        assert worse_least >= least
        assert worse_most >= most
    if len(right) < claim.size:
        kept, found = follow(claim, [*right, True]), follow(claim, [*right, False])
        assert found.most_wrong >= kept.most_wrong
        assert found.certified <= kept.certified
        assert found.failed >= kept.failed


@settings(deadline=None)
@given(audits(120), st.data())
def test_changing_a_right_verdict_to_wrong_never_yields_a_certificate(
    audit: tuple[Claim, list[bool]], data: st.DataObject
) -> None:
    claim, right = audit
    if right and is_consistent(claim, right):
        index = data.draw(st.integers(0, len(right) - 1))
        worse = follow(claim, [*right[:index], False, *right[index + 1 :]])
        assert worse.certified <= follow(claim, right).certified


@settings(deadline=None)
@given(audits(120), st.randoms(use_true_random=False))
def test_the_evidence_depends_on_the_counts_and_not_on_their_order(
    audit: tuple[Claim, list[bool]], random: Random
) -> None:
    claim, right = audit
    shuffled = list(right)
    random.shuffle(shuffled)
    assert follow(claim, shuffled).log_evidence == follow(claim, right).log_evidence
    least, most = interval(claim, len(right), right.count(False))
    for verdicts in (right, shuffled):
        if is_consistent(claim, verdicts):
            found = follow(claim, verdicts)
            assert least <= found.least_wrong <= found.most_wrong <= most


@settings(deadline=None)
@given(audits())
def test_the_flawless_verdicts_needed_lead_to_a_certificate(audit: tuple[Claim, list[bool]]) -> None:
    claim, right = audit
    found = follow(claim, right)
    if found.flawless_needed is None:
        assert found.wrong >= claim.least_breaking
        assert found.failed
        assert not follow(claim, right + [True] * (claim.size - len(right))).certified
    else:
        assert follow(claim, right + [True] * found.flawless_needed).certified
        if found.flawless_needed:
            assert not follow(claim, right + [True] * (found.flawless_needed - 1)).certified
        assert (found.flawless_needed == 0) == found.certified


@pytest.mark.parametrize(
    ("size", "needed"), [(1, 1), (19, 19), (20, 16), (100, 47), (200, 61), (2_000, 82), (20_000, 85), (10_000_000, 85)]
)
def test_flawless_verdicts_to_a_certificate_by_size(size: int, needed: int) -> None:
    claim = Claim(size=size)
    assert flawless_needed(claim) == needed
    assert follow(claim, [True] * needed).certified_at == needed


@pytest.mark.parametrize(("size", "needed"), [(200, 92), (2_000, 128), (20_000, 133)])
def test_one_wrong_card_requires_more_verdicts(size: int, needed: int) -> None:
    assert follow(Claim(size=size), [False] + [True] * (needed - 1)).certified_at == needed


def test_88_flawless_cards_of_1204_leave_at_most_56_wrong_cards() -> None:
    found = follow(Claim(size=1_204), [True] * 88)
    assert (found.certified, found.most_wrong, found.wrong) == (True, 56, 0)
    assert found.least_right_share == pytest.approx(0.9535, abs=5e-5)


def test_a_certificate_survives_a_few_errors_but_not_verdicts_that_reject_it() -> None:
    claim = Claim(size=1_204)
    assert follow(claim, [True] * 88 + [False] * 2).certified
    assert follow(claim, [True] * 88 + [False] * 2).certified_at == 80
    rejected = follow(claim, [True] * 88 + [False] * 30)
    assert not rejected.certified
    assert rejected.certified_at is None
    assert rejected.failed


def test_a_set_far_below_the_target_fails_long_before_it_is_counted() -> None:
    claim = Claim(size=1_204)
    found = follow(claim, [False, True, True] * 15)
    assert found.failed
    assert found.wrong < claim.least_breaking


@settings(deadline=None)
@given(st.integers(1, 10_000_000), st.integers(1, 1_000))
def test_the_least_breaking_count_breaks_the_claim_and_one_less_does_not(size: int, thousandths: int) -> None:
    claim = Claim(size=size, target=Fraction(thousandths, 1_000))
    assert 1 <= claim.least_breaking <= size
    assert size - claim.least_breaking < claim.target * size <= size - claim.least_breaking + 1


def test_the_target_is_exact() -> None:
    assert Claim(size=10, target=Fraction(9, 10)).least_breaking == 2
    assert Claim(size=10_000_000, target=Fraction("0.8")).least_breaking == 2_000_001
    with pytest.raises(ConfigError, match=r"Fraction\('0.95'\)"):
        Claim(size=10, target=0.95)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values", [{"size": 0}, {"target": Fraction(0)}, {"target": Fraction(101, 100)}, {"alpha": 0.0}, {"alpha": 1.0}]
)
def test_an_invalid_claim_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Claim(**{"size": 10} | values)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="3 verdicts on a set of 2 cards"):
        follow(Claim(size=2), [True] * 3)
    with pytest.raises(ValueError, match="2 wrong of 1 judged"):
        flawless_needed(Claim(size=5), 1, 2)
    with pytest.raises(ValueError, match="counted from 1"):
        alpha_of(0)


def test_a_claim_without_verdicts_excludes_no_count() -> None:
    found = follow(Claim(size=50), [])
    assert (found.judged, found.wrong, found.least_wrong, found.most_wrong, found.log_evidence) == (0, 0, 0, 50, 0)
    assert not found.certified
    assert not found.failed
    assert found.least_right_share == 0


def test_overlapping_sets_share_the_error_rate() -> None:
    assert [alpha_of(kth) for kth in (1, 2, 3)] == [ALPHA, ALPHA / 4, ALPHA / 8]
    assert sum(alpha_of(kth) for kth in range(1, 60)) == pytest.approx(1.5 * ALPHA)
    assert alpha_of(2, 0.1) == 0.025


def test_false_certificates_are_as_rare_as_promised() -> None:
    claim = Claim(size=2_000)
    stopped = stopped_at(draw_wrong(2_000, claim.least_breaking, 2_000), certificate_limits(claim))
    assert np.mean(stopped < claim.size) <= ALPHA


@pytest.mark.parametrize("wrong", [0, 2, 11, 30])
def test_a_simulated_audit_stops_at_the_certificate_of_the_app(wrong: int) -> None:
    claim = Claim(size=200)
    found = draw_wrong(200, wrong, 20)
    for places, stopped in zip(found, stopped_at(found, certificate_limits(claim)), strict=True):
        right = np.ones(200, np.bool_)
        right[places - 1] = False
        before = follow(claim, right[: min(stopped, 200) - 1])
        assert not before.certified
        assert follow(claim, right[:stopped]).certified_at == (stopped if stopped <= 200 else None)
