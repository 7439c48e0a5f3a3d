"""Evidence of audits: estimates and certificates of a fixed set from random verdicts.

A set contains the findings of a filter outside evaluation splits that were unjudged when it was fixed. Only
verdicts on the longest prefix of its random order in which every card is judged are evidence
(`core.judge.certificate`); where a verdict was given, in the audit or in the queue, does not matter.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from hashlib import blake2b
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from core.judge.certificate import ALPHA, Claim, Evidence, alpha_of, flawless_needed, follow
from core.judge.error_total import Interval
from core.judge.recalibration import LEAST_VERDICTS, CardVerdict, Findings, JudgedCards, fit, share_right
from core.types import FindingFilter, FindingKind, IntArray, Status
from db.loading import percent_of
from db.queries import audits as queries
from db.queries.audits import Audit, Card
from db.queries.findings import ReviewedRound, count_by_status

TARGET = "0.95"
LEVEL = 0.9  # of the intervals around shares
_MOST_KEPT = 64
_ORDERS: dict[Any, IntArray] = {}
_SHARES: dict[Any, Interval] = {}
_CLASSES = (("given", "given"), ("pseudo", "suggested"))
_AREAS = (("min_area", "at least"), ("max_area", "at most"))


@dataclass(frozen=True, slots=True)
class Gap:
    """The first card of the order without a verdict: it ends the evidence. `by` holds its lease."""

    place: int
    finding: int
    why: str  # leased, second_opinion or open
    by: str | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """A lower bound on the share of right suggestions in a fixed set, valid at every moment."""

    audit: int
    number: int
    target: float
    share: float  # lower bound on the share of right labels once the open part is accepted
    sure: float  # 1 - alpha
    judged: int
    size: int
    open: int
    waiting: int  # findings awaiting a second opinion: they are not accepted, so they count as wrong
    removed: int  # findings removed with their images: they count as wrong too

    @property
    def text(self) -> str:
        """Return the claim in words."""
        order = "" if self.number == 1 else f"; set {self.number} of this round that overlaps earlier ones"
        gone = f"; {self.removed:,} removed, counted as wrong" if self.removed else ""
        return (
            f"at least {floor_percent(self.share)} of the {self.size:,} then right "
            f"({self.sure * 100:.4g} % sure; {self.judged:,} random cards{order}{gone})"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the claim as JSON values, for pages, acts and exports."""
        return asdict(self) | {"text": self.text}


@dataclass(frozen=True, slots=True)
class Share:
    """Share of right suggestions with its interval, and the random verdicts it rests on."""

    share: float
    low: float
    high: float
    level: float
    verdicts: int
    of: str  # the set whose random sample was judged
    counted: bool  # every card of that set is judged: a count, without an interval


@dataclass(frozen=True, slots=True)
class AuditView:
    """An audit in its current state: its evidence, and the claims that follow."""

    audit: Audit
    evidence: Evidence
    judged: int  # verdicts that count
    right: int
    beyond: int  # verdicts after the gap: they do not count yet
    gap: Gap | None
    estimate: Share | None
    pixels: Share | None  # of masks: the share of right pixels
    certificate: Certificate | None
    quarters: tuple["AuditView", ...]

    @property
    def state(self) -> str:
        """Return the state in one word: certified, failed, closed or open."""
        if self.certificate:
            return "certified"
        if self.evidence.failed or self.evidence.flawless_needed is None:
            return "failed"
        return "closed" if self.audit.closed_at else "open"

    @property
    def text(self) -> str:
        """Return the state in one line."""
        target = percent_of_target(self.audit.target)
        text = f"{self.right:,} of {self.judged:,} right" if self.judged else "nothing judged yet"
        if self.audit.removed:
            text += f" ({self.audit.removed:,} of the set were removed with their images and count as wrong)"
        if self.certificate:
            return f"{text}: {self.certificate.text}"
        if self.state == "failed":
            return f"{text}: {target} cannot be certified for this set"
        needed = self.evidence.flawless_needed or 0
        more = " more" if self.judged else ""
        return f"{text}; {needed:,}{more} flawless {'card' if needed == 1 else 'cards'} in a row certify {target}"

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values; `filter` has the names of the review page's address."""
        audit, stored = self.audit, self.audit.filter
        same = {name: stored[name] for name in ("given", "pseudo", "split", "fold", "min_area", "max_area")}
        shown = {"show": ",".join(stored["kinds"]), "min": stored["min_confidence"], "max": stored["max_confidence"]}
        return {
            "id": audit.id,
            "round": audit.round_id,
            "dataset_id": audit.dataset_id,
            "kind": audit.kind.name.lower(),
            "filter": shown
            | same
            | {"path": stored["path_contains"], "similar": "-".join(map(str, stored.get("similar") or ()))},
            "by_class": bool(stored["class_percents"]),
            "threshold": audit.threshold,
            "size": audit.size,
            "order": audit.number,
            "alpha": audit.alpha,
            "sure": 100 * (1 - audit.alpha),
            "target": float(audit.target),
            "by": audit.annotator,
            "created_at": audit.created_at.isoformat(),
            "closed": audit.closed_at is not None,
            "judged": self.judged,
            "right": self.right,
            "wrong": self.judged - self.right,
            "beyond": self.beyond,
            "gap": asdict(self.gap) if self.gap else None,
            "state": self.state,
            "least_right": self.evidence.least_right_share if self.judged else None,
            "needed": self.evidence.flawless_needed or None,
            "estimate": asdict(self.estimate) if self.estimate else None,
            "pixels": asdict(self.pixels) if self.pixels else None,
            "certificate": self.certificate.as_json() if self.certificate else None,
            "text": self.text,
            "parent": audit.parent_id,
            "quarters": [one.as_json() for one in self.quarters] or None,
        }


def fixed_set(chosen: FindingFilter, protected: Sequence[str]) -> FindingFilter:
    """Return the set that a bulk act on a filter covers: unjudged findings outside evaluation splits."""
    return replace(chosen, statuses=queries.UNJUDGED, without_splits=frozenset(protected))


def identity_of(fixed: FindingFilter) -> str:
    """Return a hash that identifies a set within its round."""
    usual = filter_values(FindingFilter(round_id=fixed.round_id, statuses=fixed.statuses))
    values = {name: value for name, value in filter_values(fixed).items() if value != usual[name]}
    return blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()


def filter_values(chosen: FindingFilter) -> dict[str, Any]:
    """Return a filter as JSON values."""
    words = {name: sorted(one.name.lower() for one in getattr(chosen, name)) for name in ("kinds", "statuses")}
    values = {name: getattr(chosen, name) for name in FindingFilter.__slots__}
    return (
        values | words | {"without_splits": sorted(chosen.without_splits), "class_percents": [*chosen.class_percents]}
    )


def stored_filter(audit: Audit) -> FindingFilter:
    """Return the filter of an audit's set."""
    return filter_of(audit.filter)


def filter_of(stored: Mapping[str, Any]) -> FindingFilter:
    """Return the filter of these values; the inverse of `filter_values`."""
    values = dict(stored)
    values["kinds"] = frozenset(FindingKind[one.upper()] for one in values["kinds"])
    values["statuses"] = frozenset(Status[one.upper()] for one in values["statuses"])
    values["without_splits"] = frozenset(values["without_splits"])
    values["class_percents"] = tuple(values["class_percents"])
    values["similar"] = tuple(values.get("similar") or ())
    return FindingFilter(**values)


def sampling_problem(chosen: FindingFilter) -> str:
    """Return the reason why no fixed random sample of a filter can be drawn; "" if it can."""
    if len(chosen.kinds) != 1:
        return "a random sample is of one kind of findings: choose suspicious, agreeing or unlabelled"
    if chosen.annotator is not None:
        return "who decided changes from day to day: remove the filter by annotator to draw a random sample"
    if chosen.sample_id is not None:
        return "one image is not a set to sample: remove that filter"
    return ""


def order_of(app_context: AppContext, session: Session, audit: Audit) -> IntArray:
    """Return the ids of an audit's set in its random order, (N,); it never changes, so it is read once per process."""
    key = (app_context.database.url, audit.id, audit.identity)
    known = _ORDERS.get(key)
    if known is None:
        known = queries.finding_ids(session, audit.id)
        _keep(_ORDERS, key, known)
    return known


def view(app_context: AppContext, session: Session, audit: Audit) -> AuditView:
    """Return an audit in its present state, read in a session."""
    claim = Claim(size=audit.size, target=Fraction(audit.target), alpha=audit.alpha)
    prefix, gap = prefix_of(app_context, session, audit)
    right = np.array([card.right for card in prefix], dtype=np.bool_)
    evidence = follow(claim, right)
    status = count_by_status(session, stored_filter(audit))
    judged_since = audit.size - audit.removed - sum(n for one, n in status.items() if one in queries.UNJUDGED)
    estimate, pixels = estimates(prefix, audit)
    children = tuple(view(app_context, session, one) for one in queries.quarters_of(session, audit.id))
    return AuditView(
        audit,
        evidence,
        sum(not card.removed for card in prefix),
        int(right.sum()),
        max(0, judged_since - sum(card.judged for card in prefix)),
        gap,
        estimate,
        pixels,
        _certificate(session, audit, evidence, status, sum(card.removed for card in prefix)),
        children,
    )


def prefix_of(app_context: AppContext, session: Session, audit: Audit) -> tuple[list[Card], Gap | None]:
    """Return the cards that are evidence, in random order, and the first one without a verdict.

    A card whose image was removed counts as not right, so that removing wrong cards does not improve the rest.
    Once an audit is closed they reach to the last judged card of those handed out; skipped cards before it
    count as not right.
    """
    ids = order_of(app_context, session, audit)
    shown = _shown(session, audit, ids) if audit.closed_at else 0
    prefix: list[Card] = []
    for place, card in enumerate(queries.cards(session, ids)):
        if not card.judged and not card.removed and place >= shown:
            return prefix, _gap(session, audit, place, card)
        prefix.append(card)
    return prefix, None


def sample_of(prefix: Sequence[Card]) -> JudgedCards:
    """Return the verdicts of a prefix for the recalibration, without cards of removed images."""
    prefix = [card for card in prefix if not card.removed]
    outcome = [
        CardVerdict.RIGHT if card.right else CardVerdict.KEPT if card.kept else CardVerdict.OTHER for card in prefix
    ]
    level = [percent_of(card.confidence) for card in prefix]
    return JudgedCards(np.array(level, dtype=np.int64), np.array(outcome, dtype=np.int64))


def estimates(prefix: Sequence[Card], audit: Audit) -> tuple[Share | None, Share | None]:
    """Return the share of right suggestions in a set by its own random sample, and for masks that of right pixels."""
    prefix = [card for card in prefix if not card.removed]
    if len(prefix) < min(LEAST_VERDICTS, audit.size - audit.removed) or not prefix:
        return None, None
    sample, labelled = sample_of(prefix), audit.kind is not FindingKind.UNLABELLED
    levels = np.array(audit.levels, dtype=np.int64)
    counted = len(prefix) == audit.size and all(card.judged for card in prefix)  # closed: skipped ones count as wrong
    found = replace(_share(sample, levels, None, labelled=labelled), counted=counted)
    if audit.pixels is None:
        return found, None
    pixels = np.array([card.area or 0 for card in prefix], dtype=np.float64)
    total = np.array(audit.pixels, dtype=np.float64)
    return found, replace(_share(replace(sample, pixels=pixels), levels, total, labelled=labelled), counted=counted)


def share_of(interval: Interval, verdicts: int, of: str = "this set", *, counted: bool = False) -> Share:
    """Return an interval as the share of right suggestions of a set, `counted` where all its cards are judged."""
    return Share(interval.estimate, interval.low, interval.high, LEVEL, verdicts, of, counted)


def cards_to_certify(size: int, target: str = TARGET, number: int = 1) -> int | None:
    """Return the number of flawless cards that a set needs from its first card on."""
    return flawless_needed(Claim(size=size, target=Fraction(target), alpha=alpha_of(number, ALPHA))) if size else None


def floor_percent(share: float) -> str:
    """Return 0.9537 as "95.3 %": rounded down, since it is a lower bound."""
    return f"{int(share * 1000 + 1e-9) / 10:g} %"


def percent_of_target(target: str) -> str:
    """Return "0.95" as "95 %"."""
    return f"{float(Fraction(target) * 100):g} %"


def whole_kind(in_round: ReviewedRound, kind: FindingKind) -> FindingFilter:
    """Return the set of all findings of one kind of a round."""
    chosen = FindingFilter(round_id=in_round.id, kinds=frozenset({kind}))
    return fixed_set(chosen, in_round.evaluation_splits)


def find_audit(session: Session, fixed: FindingFilter) -> Audit | None:
    """Return the audit of a set, None if it has none."""
    return queries.find_by_identity(session, fixed.round_id, identity_of(fixed))


def set_name(stored: Mapping[str, Any], classes: Sequence[str]) -> str:
    """Return "suspicious from 0.95 on, given cat, suggested dog" for the filter that an act or audit stored."""
    kinds = " and ".join(stored.get("kinds", ())) or "findings"
    parts = [f"{word} {_class(classes, stored[name])}" for name, word in _CLASSES if stored.get(name) is not None]
    parts += [f"split {stored['split'] or '(none)'}"] if stored.get("split") is not None else []
    parts += [f"fold {stored['fold'] + 1}"] if stored.get("fold") is not None else []
    parts += [f"path with {stored['path_contains']}"] if stored.get("path_contains") else []
    parts += [f"{word} {stored[name]:,} pixels" for name, word in _AREAS if stored.get(name) is not None]
    parts += ["look-alikes of one card"] if stored.get("similar") else []
    above = _confidence(stored)
    return ", ".join([kinds + above if parts or above else f"all {kinds}", *parts])


def _share(sample: JudgedCards, levels: IntArray, pixels: Any, *, labelled: bool) -> Share:  # noqa: ANN401  (L,) or None
    arrays = (sample.level, sample.outcome, levels, *(() if pixels is None else (sample.pixels, pixels)))
    key = (labelled, *(array.tobytes() for array in arrays if array is not None))
    known = _SHARES.get(key)  # the page requests this after every verdict, and a fit takes tens of milliseconds
    if known is None:
        findings = Findings(levels, pixels)
        known = share_right(fit(sample, labelled=labelled), findings, sample, level=LEVEL)
        _keep(_SHARES, key, known)
    return share_of(known, len(sample.level))


def _keep(kept: dict[Any, Any], key: object, value: object) -> None:
    """Cache a value that never changes; the oldest is dropped if there are too many."""
    kept[key] = value
    while len(kept) > _MOST_KEPT:
        kept.pop(next(iter(kept)), None)


def _certificate(
    session: Session, audit: Audit, evidence: Evidence, status: dict[Status, int], removed_in_prefix: int
) -> Certificate | None:
    waiting = status.get(Status.SECOND_OPINION, 0)
    lost = waiting + audit.removed + removed_in_prefix  # removed ones in the prefix were not corrected
    share = evidence.least_right_share - lost / audit.size
    if not evidence.certified or share < float(Fraction(audit.target)) or queries.voided(session, audit.id):
        return None
    return Certificate(
        audit=audit.id,
        number=audit.number,
        target=float(Fraction(audit.target)),
        share=share,
        sure=1 - audit.alpha,
        judged=evidence.judged,
        size=audit.size,
        open=status.get(Status.OPEN, 0),
        waiting=waiting,
        removed=audit.removed,
    )


def _gap(session: Session, audit: Audit, place: int, card: Card) -> Gap:
    if card.status is Status.SECOND_OPINION:
        return Gap(place, card.id, "second_opinion", card.annotator)
    holder = queries.leases(session, audit.id, datetime.now(UTC)).get(card.id)
    return Gap(place, card.id, "leased" if holder else "open", holder)


def _shown(session: Session, audit: Audit, ids: IntArray) -> int:
    """Return the number of cards up to the last one that was handed out and judged."""
    handed = queries.handed_out(session, audit.id)
    judged = [card.id for card in queries.cards(session, handed) if card.judged]
    places = np.flatnonzero(np.isin(ids, judged))
    return int(places[-1]) + 1 if len(places) else 0


def _confidence(stored: Mapping[str, Any]) -> str:
    if stored.get("class_percents"):
        return " from each class's own threshold on"
    low, high = stored.get("min_confidence", 0.0), stored.get("max_confidence", 1.0)
    if high < 1:
        return f" from {low:g} to {high:g}"
    return f" from {low:g} on" if low else ""


def _class(classes: Sequence[str], number: int) -> str:
    return classes[number] if 0 <= number < len(classes) else "nothing"
