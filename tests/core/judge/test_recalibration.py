import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.special import expit, logit

from core.judge.class_thresholds import LEVELS, level_of
from core.judge.recalibration import (
    CardVerdict,
    Findings,
    JudgedCards,
    Prior,
    curve,
    expected_errors,
    fit,
    propose,
    share_right,
)
from tools.fixtures.audits import simulate_audit
from tools.fixtures.labels import calibrate, draw_case, propose_labels

BINS = np.arange(LEVELS)


def drawn(seed: int, size: int, offset: float, slope: float, kept: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Return levels and outcomes of findings whose confidence tells as much as offset and slope say."""
    rng = np.random.default_rng(seed)
    level = rng.integers(20, 100, size)
    right = rng.random(size) < expit(offset + slope * logit((level + 0.5) / 100))
    return level, np.where(
        right, CardVerdict.RIGHT, np.where(rng.random(size) < kept, CardVerdict.KEPT, CardVerdict.OTHER)
    )


def sampled(seed: int, level: np.ndarray, outcome: np.ndarray, size: int) -> JudgedCards:
    rows = np.random.default_rng(seed).choice(len(level), size, replace=False)
    return JudgedCards(level[rows], outcome[rows])


def counted(level: np.ndarray) -> Findings:
    return Findings(np.bincount(level, minlength=LEVELS))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 40), st.integers(0, 60), st.integers(0, 999))
def test_shares_are_valid_and_independent_of_the_order_of_verdicts(judged: int, more: int, seed: int) -> None:
    level, outcome = drawn(seed, judged + more, 0.0, 1.0)
    sample = JudgedCards(level[:judged], outcome[:judged])
    mixed = np.random.default_rng(seed).permutation(judged)
    found = share_right(fit(sample), counted(level), sample)
    again = share_right(fit(JudgedCards(level[mixed], outcome[mixed])), counted(level), sample)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert again.estimate == pytest.approx(found.estimate, abs=1e-3)


def test_a_completely_judged_set_has_no_uncertainty() -> None:
    level, outcome = drawn(0, 150, 0.0, 1.0)
    sample = JudgedCards(level, outcome)
    found = share_right(fit(sample), counted(level), sample)
    assert found.low == found.high == found.estimate == pytest.approx((outcome == CardVerdict.RIGHT).mean())


def test_the_posterior_equals_that_of_a_fine_grid() -> None:
    level, outcome = drawn(1, 60, -4.0, 1.0)  # hardly any is right: a normal approximation would be off
    line = fit(JudgedCards(level, outcome)).right
    offset, slope = np.meshgrid(np.linspace(-11, 5, 400), np.linspace(-2, 4, 400), indexing="ij")
    logits = logit((level + 0.5) / 100)
    signs = np.where(outcome == CardVerdict.RIGHT, 1, -1)
    log = -((offset / 2) ** 2 + ((slope - 0.7) / 0.4) ** 2) / 2
    log -= sum(np.logaddexp(0, -sign * (offset + slope * x)) for sign, x in zip(signs, logits, strict=True))
    weight = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    assert line.draws.mean(axis=0) == pytest.approx([(weight * offset).sum(), (weight * slope).sum()], abs=0.06)
    spread = (weight * (offset - (weight * offset).sum()) ** 2).sum()
    assert line.draws[:, 0].var() == pytest.approx(spread, rel=0.15)


@pytest.mark.slow
def test_the_interval_contains_the_share_in_nine_of_ten_samples() -> None:
    level, outcome = drawn(2, 3000, -1.0, 0.5)
    true = (outcome == CardVerdict.RIGHT).mean()
    held, gaps = [], []
    for seed in range(100):
        sample = sampled(seed, level, outcome, 60)
        found = share_right(fit(sample), counted(level), sample)
        held.append(found.low <= true <= found.high)
        gaps.append(abs(found.estimate - true))
    assert np.mean(held) >= 0.85
    assert np.mean(gaps) <= 0.06


def test_no_threshold_is_proposed_when_given_labels_are_kept() -> None:
    level, _ = drawn(3, 600, 0.0, 1.0)
    sample = sampled(0, level, np.full(600, CardVerdict.KEPT), 60)
    assert propose(curve(fit(sample), counted(level), sample), 6000) is None


@pytest.mark.parametrize("slope", [-1.0, 1.0])
def test_the_sign_of_the_slope_shows_whether_confidence_orders_the_queue(slope: float) -> None:
    level, outcome = drawn(5, 2000, 0.0, slope)
    fitted = fit(sampled(0, level, outcome, 60))
    assert fitted.rises == (slope > 0)
    mean = fitted.right.probabilities().mean(axis=0)
    assert (np.sign(np.diff(mean[20:100:10])) == np.sign(slope)).all()


def test_everything_is_proposed_when_all_suggestions_are_right() -> None:
    level, _ = drawn(4, 2000, 0.0, 1.0)
    sample = sampled(0, level, np.full(2000, CardVerdict.RIGHT), 60)
    proposed = propose(curve(fit(sample), counted(level), sample), 20_000)
    assert proposed is not None
    assert proposed.changes == 2000
    assert proposed.right.low > 0.9


def test_a_higher_threshold_changes_fewer_labels() -> None:
    level, outcome = drawn(5, 2000, -1.0, 1.0)
    sample = sampled(0, level, outcome, 60)
    fitted = fit(sample)
    points = curve(fitted, counted(level), sample)
    assert [point.threshold for point in points] == [percent / 100 for percent in range(100)]
    assert (np.diff([point.changes for point in points]) <= 0).all()
    assert points[50].changes == (level >= 50).sum()
    assert points[50].judged == (sample.level >= 50).sum()
    assert all(point.right.low <= point.right.estimate <= point.right.high for point in points)


def test_a_threshold_without_judged_cards_nearby_is_not_proposed() -> None:
    level = np.where(np.arange(3000) < 100, 99, 20)
    outcome = np.where(np.arange(3000) % 2 == 0, CardVerdict.RIGHT, CardVerdict.KEPT)
    rows = np.arange(100, 160)  # half of them right, none of the sure ones judged
    sample = JudgedCards(level[rows], outcome[rows])
    points = curve(fit(sample), counted(level), sample)
    assert points[90].gain.low > 0
    assert points[90].judged == 0
    assert propose(points, 10_000) is None


def test_a_proposal_hardly_ever_loses_more_than_half_a_percent_of_the_labels() -> None:
    level = np.full(3000, 60)
    outcome = np.where(np.arange(3000) % 60 < 34, CardVerdict.RIGHT, CardVerdict.KEPT)
    sample = sampled(0, level, outcome, 120)
    points = curve(fit(sample), counted(level), sample)
    (point,) = [point for point in points if point.threshold == 0.6]
    if point.gain.low > 0:
        assert propose(points, 10**9) is not None
    assert point.rarely < 0
    assert propose(points, 3000) is None


@pytest.mark.slow
def test_the_band_contains_the_whole_curve_in_nine_of_ten_samples() -> None:
    level, outcome = drawn(12, 3000, -1.0, 0.7)
    right = [(outcome[level >= percent] == CardVerdict.RIGHT).mean() for percent in range(100)]
    held = []
    for seed in range(60):
        sample = sampled(seed, level, outcome, 60)
        points = curve(fit(sample), counted(level), sample)
        held.append(all(p.right.low <= share <= p.right.high for p, share in zip(points, right, strict=True)))
    assert np.mean(held) >= 0.85


def test_any_wrong_label_of_an_unlabelled_image_counts_as_a_loss() -> None:
    level, outcome = drawn(6, 2000, -1.0, 1.0, kept=0.0)  # neither right nor kept: what was wrong stays wrong
    sample = sampled(0, level, outcome, 60)
    labelled, unlabelled = (curve(fit(sample, labelled=given), counted(level), sample)[0] for given in (True, False))
    assert labelled.gain.low > 0
    assert unlabelled.gain.estimate < labelled.gain.estimate
    assert unlabelled.gain.estimate == pytest.approx(unlabelled.changes * (2 * unlabelled.right.estimate - 1), rel=0.01)


def test_the_previous_round_is_a_prior_that_new_verdicts_outweigh() -> None:
    level, outcome = drawn(7, 3000, 2.0, 1.0)
    before = Prior.after(fit(sampled(0, level, outcome, 60)).as_json())
    nothing = JudgedCards(np.zeros(0, np.int64), np.zeros(0, np.int64))
    expected = share_right(fit(nothing, prior=before), counted(level), nothing)
    assert expected.estimate == pytest.approx((outcome == CardVerdict.RIGHT).mean(), abs=0.1)
    kept = sampled(1, level, np.full(3000, CardVerdict.KEPT), 60)
    assert share_right(fit(kept, prior=before), counted(level), kept).high < 0.2


def test_large_regions_dominate_the_share_of_pixels() -> None:
    rng = np.random.default_rng(8)
    level, large = rng.integers(50, 100, 2000), rng.random(2000) < 0.5
    outcome = np.where(rng.random(2000) < np.where(large, 0.9, 0.1), CardVerdict.RIGHT, CardVerdict.KEPT)
    pixels = np.where(large, 900.0, 100.0)
    findings = Findings(np.bincount(level, minlength=LEVELS), np.bincount(level, weights=pixels, minlength=LEVELS))
    rows = rng.choice(2000, 100, replace=False)
    sample = JudgedCards(level[rows], outcome[rows], pixels[rows])
    found = share_right(fit(sample), findings, sample)
    assert found.low <= np.average(outcome == CardVerdict.RIGHT, weights=pixels) <= found.high
    assert found.low > 0.6


def test_the_expected_errors_of_the_next_hundred_match_the_outcome() -> None:
    level, outcome = drawn(9, 5000, -1.0, 1.0)
    fitted = fit(sampled(0, level, outcome, 300))
    found = expected_errors(fitted, level[:100])
    assert found.low <= (outcome[:100] != CardVerdict.KEPT).sum() <= found.high


def test_a_histogram_suffices_for_a_million_findings() -> None:
    level, outcome = drawn(10, 1_000_000, -1.0, 1.0)
    sample = sampled(0, level, outcome, 20_000)
    found = share_right(fit(sample), counted(level), sample)
    assert found.low <= (outcome == CardVerdict.RIGHT).mean() <= found.high
    assert found.high - found.low < 0.02


def test_cards_outside_the_set_are_refused() -> None:
    level, outcome = drawn(11, 60, 0.0, 1.0)
    sample = JudgedCards(level, outcome)
    with pytest.raises(ValueError, match="only those of the set"):
        share_right(fit(sample), Findings(np.zeros(LEVELS, np.int64)), sample)


@pytest.mark.parametrize(("signal", "wrong", "gains"), [(7.0, 0.08, 0.05), (0.5, 0.08, 0.0), (2.0, 0.0, 0.0)])
def test_accepting_after_an_audit_gains_with_strong_networks_and_changes_nothing_with_weak_ones(
    signal: float, wrong: float, gains: float
) -> None:
    case = draw_case(signal, each=100, wrong=wrong)
    _, pseudo, confidence, _ = propose_labels(calibrate(case), case.given)
    audit = simulate_audit(level_of(confidence), pseudo, case.given, case.true, 0)
    accepted = (pseudo != case.given) & (level_of(confidence) >= audit.percent)
    before, after = ((labels == case.true).mean() for labels in (case.given, np.where(accepted, pseudo, case.given)))
    assert (after > before + gains) if gains else (after == before)
    assert (audit.proposed is not None) == (gains > 0)
