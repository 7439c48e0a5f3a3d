"""Precision of bulk accepts: estimates from random samples of people's verdicts, for a set, a threshold, a dataset.

Nothing here is estimated from given labels alone: from one label per image and one set of probabilities, wrong labels
cannot be told from a network's structured mistakes (Liu, Cheng & Zhang, arXiv 2202.02016). Without a random sample
everything is unknown; the model's own estimate is reported as such.
"""

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.label_kinds import label_kind
from app.services.reviews import evidence
from app.services.reviews.evidence import AuditView, Certificate, Share
from core.judge import recalibration as method
from core.judge.error_total import Interval, Stratum, wrong_labels as count_wrong
from core.judge.recalibration import LEAST_VERDICTS, CardVerdict, Findings, Fit, JudgedCards, Point, Prior
from core.types import FindingFilter, FindingKind, IntArray, JobStatus, Order, Status, Task
from db.loading import percent_of, whole_percent
from db.queries import audits as queries, findings
from db.queries.findings import ReviewedRound

NEXT = 100  # next cards whose errors are predicted
_FALLS = (
    "In the random sample suggestions with higher confidence were right less often: the order by confidence shows the "
    "less reliable ones first, and a threshold keeps them."
)
_JUDGED = (FindingKind.SUSPICIOUS, FindingKind.AGREEING)


@dataclass(frozen=True, slots=True)
class KnownPrecision:
    """Known precision of accepting a set.

    `precision` and `certificate` rest on random samples of people's verdicts; `model` is the model's own estimate,
    unverified; `to_certify` counts the flawless random cards that a certificate of the set needs from the
    first one on.
    """

    precision: Share | None
    certificate: Certificate | None
    model: float | None
    audit: AuditView | None
    size: int
    to_certify: int | None
    why_not: str  # reason why no random sample of the set can be drawn; "" if it can

    @property
    def text(self) -> str:
        """Return it in a sentence."""
        if self.certificate:
            return f"Certified: {self.certificate.text}."
        if self.precision:
            return f"{share_text(self.precision)}."
        if self.why_not:
            return f"Precision unknown: {self.why_not}."
        if self.audit and self.audit.judged:
            least = min(LEAST_VERDICTS, self.size)
            return f"Precision unknown: {self.audit.judged} of at least {least} random cards are judged."
        return "Precision unknown: no random sample of this set has been judged."

    def as_note(self) -> dict[str, Any]:
        """Return JSON values to be stored with an act as its evidence."""
        certificate = self.certificate
        return {
            "precision": asdict(self.precision) if self.precision else None,
            "certificate": certificate.as_json() if certificate else None,
            "certified": certificate is not None,
            "model": self.model,
            "audit": self.audit.audit.id if self.audit else None,
            "size": self.size,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class WrongLabels:
    """Wrong labels of a round, from random samples of its suspicious and its agreeing findings.

    Counted among the `size` findings outside evaluation splits that were unjudged when the samples were drawn; of
    masks, regions. `errors` is None while a sample is missing: then their number is unknown. `missing` are the verdicts
    still needed on (suspicious, agreeing) findings.
    """

    round: int  # its number
    errors: Interval | None
    size: int
    verdicts: int
    missing: tuple[int, int]
    task: Task

    @property
    def counted(self) -> bool:
        """All of them are judged: a count, without an interval."""
        return self.verdicts == self.size

    @property
    def short(self) -> str:
        """Return "90 (71 to 118)", "90" if all are judged, or "unknown"."""
        if self.errors is None:
            return "unknown"
        if self.counted:
            return f"{self.errors.estimate:,.0f}"
        return f"{self.errors.estimate:,.0f} ({self.errors.low:,.0f} to {self.errors.high:,.0f})"

    @property
    def basis(self) -> str:
        """Return the basis of the number: "estimated from 80 random verdicts"."""
        if self.errors is None:
            return ""
        return (
            f"counted, all {self.size:,} judged"
            if self.counted
            else f"estimated from {self.verdicts:,} random verdicts"
        )

    @property
    def text(self) -> str:
        """Return a sentence; if unknown, with the next step to know."""
        what = label_kind(self.task).reviewed
        if self.errors is None:
            needed = [f"{n:,} {kind.name.lower()}" for n, kind in zip(self.missing, _JUDGED, strict=True) if n]
            if not needed:
                return f"Wrong {what}: unknown; this round has nothing to sample."
            cards = "finding" if sum(self.missing) == 1 else "findings"
            return f"Wrong {what}: unknown until a random sample is judged: {' and '.join(needed)} {cards}."
        if self.counted:
            return f"Wrong {what}: {self.short} of {self.size:,} (a count: all are judged; round {self.round})."
        return (
            f"Wrong {what}: about {self.errors.estimate:,.0f} of the {self.size:,} not judged before sampling "
            f"(95 % interval {self.errors.low:,.0f} to {self.errors.high:,.0f}; {self.verdicts:,} random verdicts, "
            f"round {self.round})."
        )

    def as_json(self) -> dict[str, Any]:
        """Return JSON values; `estimate` is None if unknown."""
        bounds = asdict(self.errors) if self.errors else dict.fromkeys(("estimate", "low", "high"))
        return {
            "round": self.round,
            **bounds,
            "level": 0.95,
            "counted": self.errors is not None and self.counted,
            "of": self.size,
            "verdicts": self.verdicts,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Recalibration:
    """A round's confidences recalibrated by random verdicts; None for parts with too few verdicts.

    `curve` is of suspicious findings, in whole percents from 0 on; `next_errors` are expected among the next cards of
    the queue. `wrong` is None for a round that judges no labels.
    """

    verdicts: int
    agreeing_verdicts: int
    share: Share | None  # of all suspicious findings
    curve: tuple[Point, ...]
    proposed: Point | None
    reason: str  # reason for the proposed threshold, or for none
    wrong: WrongLabels | None
    next_errors: Interval | None
    next_cards: int
    warning: str = ""  # the sample contradicts the order by confidence

    @property
    def proposed_threshold(self) -> float | None:
        """Return the proposed threshold, if any."""
        return self.proposed.threshold if self.proposed else None

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "verdicts": self.verdicts,
            "agreeing_verdicts": self.agreeing_verdicts,
            "least_verdicts": LEAST_VERDICTS,
            "share": asdict(self.share) if self.share else None,
            "proposed_threshold": self.proposed_threshold,
            "reason": self.reason,
            "errors": self.wrong.as_json() if self.wrong and self.wrong.errors else None,
            "next_errors": asdict(self.next_errors) if self.next_errors else None,
            "next_cards": self.next_cards,
            "warning": self.warning,
            "curve": [
                {"threshold": point.threshold, "changes": point.changes, "gain": asdict(point.gain)}
                | asdict(point.right)
                for point in self.curve
            ],
        }


def known_precision(
    app_context: AppContext, session: Session, in_round: ReviewedRound, chosen: FindingFilter
) -> KnownPrecision:
    """Return the known precision of accepting every open finding of a filter."""
    fixed = evidence.fixed_set(chosen, in_round.evaluation_splits)
    why_not = evidence.sampling_problem(chosen)
    audit = None if why_not else evidence.find_audit(session, fixed)
    seen = evidence.view(app_context, session, audit) if audit else None
    size = audit.size if audit else findings.count(session, fixed)
    opened = replace(fixed, statuses=frozenset({Status.OPEN}))
    model = findings.mean_confidence(session, opened) if in_round.expects else None
    precision = seen.estimate if seen else None
    if precision is None and not why_not:
        precision = _from_the_round(app_context, session, in_round, fixed)
    needed = None
    if not (why_not or seen):
        needed = evidence.cards_to_certify(size, number=_next_number(session, in_round.id, fixed))
    return KnownPrecision(precision, seen.certificate if seen else None, model, seen, size, needed, why_not)


def recalibration(app_context: AppContext, round_id: int) -> Recalibration | None:
    """Return a round's recalibration, None if the round does not exist."""
    with app_context.database.read() as session:
        in_round = findings.find_round(session, round_id)
        return None if in_round is None else recalibrated(app_context, session, in_round)


def recalibrated(app_context: AppContext, session: Session, in_round: ReviewedRound) -> Recalibration:
    """Return a round's recalibration by the random samples of all its suspicious and of all its agreeing findings."""
    suspicious = _sample_of_kind(app_context, session, in_round, FindingKind.SUSPICIOUS)
    agreeing = _sample_of_kind(app_context, session, in_round, FindingKind.AGREEING)
    verdicts, of_agreeing = suspicious.verdicts, agreeing.verdicts
    wrong = _wrong_labels(in_round, suspicious, agreeing)
    fitted = _fit(app_context, session, in_round, FindingKind.SUSPICIOUS)
    if fitted is None:
        missing = min(LEAST_VERDICTS, suspicious.size) - verdicts
        reason = f"a random sample of all suspicious findings says which threshold pays: {missing} more verdicts"
        if not suspicious.size:
            reason = "the round contradicts no label that a bulk act may change"
        return Recalibration(verdicts, of_agreeing, None, (), None, reason, wrong, None, 0)
    points = method.curve(fitted, Findings(suspicious.levels), suspicious.cards, level=evidence.LEVEL)
    proposed = method.propose(points, suspicious.size + agreeing.size)
    share = method.share_right(fitted, Findings(suspicious.levels), suspicious.cards, level=evidence.LEVEL)
    upcoming = _next_levels(session, in_round)
    return Recalibration(
        verdicts,
        of_agreeing,
        evidence.share_of(share, verdicts, "all suspicious findings", counted=verdicts == suspicious.size),
        tuple(points),
        proposed,
        _reason(proposed, verdicts),
        wrong,
        method.expected_errors(fitted, upcoming) if len(upcoming) else None,
        len(upcoming),
        "" if fitted.rises else _FALLS,
    )


def wrong_labels(app_context: AppContext, session: Session, in_round: ReviewedRound) -> WrongLabels | None:
    """Return the estimated number of wrong labels at the start of a round; None if it judges no labels."""
    suspicious, agreeing = (_sample_of_kind(app_context, session, in_round, kind) for kind in _JUDGED)
    return _wrong_labels(in_round, suspicious, agreeing)


def _wrong_labels(in_round: ReviewedRound, suspicious: "_JudgedKind", agreeing: "_JudgedKind") -> WrongLabels | None:
    if in_round.recipe.proposes:
        return None
    return WrongLabels(
        in_round.number,
        _errors(suspicious, agreeing),
        suspicious.size + agreeing.size,
        suspicious.verdicts + agreeing.verdicts,
        (suspicious.missing, agreeing.missing),
        in_round.task,
    )


def wrong_labels_of_dataset(app_context: AppContext, session: Session, dataset_id: int) -> WrongLabels | None:
    """Return the same for a dataset's newest finished round that judges labels; None before the first."""
    for round_id, _, status in findings.rounds_of(session, dataset_id):
        in_round = findings.find_round(session, round_id) if status is JobStatus.DONE else None
        if in_round is not None and not in_round.recipe.proposes:
            return wrong_labels(app_context, session, in_round)
    return None


def share_text(share: Share) -> str:
    """Return the share in words; if every card is judged it is a count and not an estimate."""
    if share.counted:
        return f"{share.share * 100:.0f} % right (a count: all {share.verdicts:,} cards of {share.of} are judged)"
    return (
        f"About {share.share * 100:.0f} % right ({share.level * 100:.0f} % interval {share.low * 100:.0f} to "
        f"{share.high * 100:.0f} %; {share.verdicts:,} random verdicts on {share.of})"
    )


def _from_the_round(
    app_context: AppContext, session: Session, in_round: ReviewedRound, fixed: FindingFilter
) -> Share | None:
    """Return the share right of a set that a threshold alone defines, by the round's own sample of that kind."""
    kind = next(iter(fixed.kinds))
    whole = evidence.whole_kind(in_round, kind)
    least = whole_percent(fixed.min_confidence)
    if replace(whole, min_confidence=fixed.min_confidence) != fixed or least is None:
        return None  # a threshold between two whole percents cuts through a level of the sample
    fitted = _fit(app_context, session, in_round, kind)
    sample = _sample_of_kind(app_context, session, in_round, kind)
    if fitted is None:
        return None
    points = method.curve(fitted, Findings(sample.levels), sample.cards, level=evidence.LEVEL)
    if least >= len(points) or not points[least].changes:
        return None
    name, counted = f"all {kind.name.lower()} findings", sample.verdicts == sample.size
    return evidence.share_of(points[least].right, sample.verdicts, name, counted=counted)


def _errors(suspicious: "_JudgedKind", agreeing: "_JudgedKind") -> Interval | None:
    """Estimate the wrong given labels from the samples of both parts; None while one of them is too small."""
    parts = [(one, good) for one, good in ((suspicious, CardVerdict.KEPT), (agreeing, CardVerdict.RIGHT)) if one.size]
    if not parts or not all(one.is_enough for one, _ in parts):
        return None
    return count_wrong([Stratum(one.size, one.verdicts, int((one.cards.outcome != good).sum())) for one, good in parts])


def _fit(app_context: AppContext, session: Session, in_round: ReviewedRound, kind: FindingKind) -> Fit | None:
    """Return the fit to a round's own sample, with the previous round as prior; None while the sample is too small."""
    sample = _sample_of_kind(app_context, session, in_round, kind)
    if not sample.is_enough:
        return None
    before = _fit_before(app_context, session, in_round, kind)
    stored = json.dumps(before.as_json()) if before else ""
    level, outcome = sample.cards.level.tobytes(), sample.cards.outcome.tobytes()
    return _fitted(level, outcome, kind is not FindingKind.UNLABELLED, stored)


@lru_cache(maxsize=64)
def _fitted(level: bytes, outcome: bytes, labelled: bool, before: str) -> Fit:  # noqa: FBT001
    sample = JudgedCards(np.frombuffer(level, dtype=np.int64), np.frombuffer(outcome, dtype=np.int64))
    return method.fit(sample, prior=Prior.after(json.loads(before)) if before else None, labelled=labelled)


def _fit_before(app_context: AppContext, session: Session, in_round: ReviewedRound, kind: FindingKind) -> Fit | None:
    """Return the fit of the newest round before this one that has a sample of its own."""
    for round_id, number, status in findings.rounds_of(session, in_round.dataset_id):
        if number >= in_round.number or status is not JobStatus.DONE:
            continue
        before = findings.find_round(session, round_id)
        if before is None:
            continue
        fitted = _fit(app_context, session, before, kind)
        if fitted is not None:
            return fitted
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _JudgedKind:
    """The random verdicts on all findings of a kind, and the counts of these by percent of confidence, (L,)."""

    cards: JudgedCards
    levels: IntArray

    @property
    def verdicts(self) -> int:
        return len(self.cards.level)

    @property
    def size(self) -> int:
        return int(self.levels.sum())

    @property
    def missing(self) -> int:
        """Return the number of further verdicts that an estimate needs."""
        return max(0, min(LEAST_VERDICTS, self.size) - self.verdicts)

    @property
    def is_enough(self) -> bool:
        """Return whether there are enough verdicts for an estimate, or all are given."""
        return self.size > 0 and not self.missing


def _sample_of_kind(
    app_context: AppContext, session: Session, in_round: ReviewedRound, kind: FindingKind
) -> _JudgedKind:
    whole = evidence.whole_kind(in_round, kind)
    audit = evidence.find_audit(session, whole)
    prefix = evidence.prefix_of(app_context, session, audit)[0] if audit else []
    levels = audit.levels if audit else findings.count_by_percent(session, whole)
    return _JudgedKind(evidence.sample_of(prefix), np.array(levels, dtype=np.int64))


def _next_levels(session: Session, in_round: ReviewedRound) -> IntArray:
    waiting = FindingFilter(round_id=in_round.id, statuses=frozenset({Status.OPEN}))
    upcoming = findings.findings_page(session, waiting, Order.SUSPICION, None, NEXT)
    return np.array([percent_of(one.confidence) for one in upcoming], dtype=np.int64)


def _next_number(session: Session, round_id: int, fixed: FindingFilter) -> int:
    """Return k of a new set that overlaps an earlier one of its kind: the smallest error rate that it can get."""
    kinds = [one for one in queries.audits_of_round(session, round_id) if one.kind in fixed.kinds and not one.parent_id]
    return 1 + len(kinds)


def _reason(proposed: Point | None, verdicts: int) -> str:
    if proposed is None:
        return f"after {verdicts:,} random verdicts no threshold surely makes more labels right than wrong"
    return (
        f"{verdicts:,} random verdicts: accepting from {proposed.threshold:.2f} on makes {proposed.gain.low:,.0f} more "
        "labels right than wrong, or more, with 95 % probability"
    )
