"""Audits: random samples of fixed sets of findings, started, handed out card by card, closed.

The random order of a set never changes, so a stored audit can be continued but not redrawn. `evidence` turns the
verdicts into estimates.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from hashlib import blake2b
from itertools import pairwise
from threading import Lock

import numpy as np
from sqlalchemy.orm import Session

from app.services.annotators import clean_name
from app.services.app_context import AppContext
from app.services.reviews.evidence import (
    TARGET,
    AuditView,
    filter_values,
    fixed_set,
    identity_of,
    order_of,
    percent_of_target,
    sampling_problem,
    stored_filter,
    view,
)
from app.services.reviews.store import NotFoundError, RefusedError, finished_round, refuse_without_suggestions
from core.judge.certificate import ALPHA, QUARTERS, alpha_of
from core.types import Finding, FindingFilter, IntArray
from db.agreeing_file import again_once_fetched
from db.loading import percent_of
from db.queries import audits as queries, decisions, findings as finding_queries
from db.queries.audits import Audit

LEASE = timedelta(minutes=15)
LARGEST_HAND = 200  # cards handed out at once
_SEED_BYTES = 7  # a seed is an integer that every database can hold
_drawing = Lock()


@again_once_fetched
def start(app_context: AppContext, chosen: FindingFilter, *, by: str, target: str = TARGET) -> AuditView:
    """Return the audit of a filter's set, created if necessary.

    Raises:
        NotFoundError: the round does not exist.
        RefusedError: it is not finished, the set is empty or cannot be fixed, or has an audit with another target.
    """
    why = sampling_problem(chosen)
    if why:
        raise RefusedError(*why.split(": ", 1))
    _exact(target)
    found = _known(app_context, chosen, target)
    if found is None:
        with _drawing:  # people who open the same sample at once wait for one of them
            found = _known(app_context, chosen, target) or _draw(app_context, chosen, by, target)
    return found


def _known(app_context: AppContext, chosen: FindingFilter, target: str) -> AuditView | None:
    """Return the audit of a filter's set, None while it has none."""
    with app_context.database.read() as session:
        in_round = finished_round(session, chosen.round_id)
        refuse_without_suggestions(in_round)
        identity = identity_of(fixed_set(chosen, in_round.evaluation_splits))
        known = queries.find_by_identity(session, chosen.round_id, identity)
        if known is None:
            return None
        _refuse_other_target(known, target)
        return view(app_context, session, known)


def _draw(app_context: AppContext, chosen: FindingFilter, by: str, target: str) -> AuditView:
    with app_context.database.read() as session:
        in_round = finished_round(session, chosen.round_id)
        fixed = fixed_set(chosen, in_round.evaluation_splits)
        identity = identity_of(fixed)
        seed = order_seed(chosen.round_id, identity)
        ids = queries.random_order(session, fixed, seed)
        settled = queries.random_order(session, replace(fixed, statuses=queries.SETTLED_BY_PEOPLE), seed)
        levels = finding_queries.count_by_percent(session, fixed)
        pixels = finding_queries.pixels_by_percent(session, fixed)
    if not len(ids):
        raise RefusedError("the set is empty", "choose a lower threshold or a wider filter")
    now = datetime.now(UTC)
    with app_context.database.write() as session:
        known = queries.find_by_identity(session, chosen.round_id, identity)
        if known is None:
            number = _number(session, chosen, ids)
            audit_id = queries.add_audit(
                session,
                queries.NewAudit(
                    dataset_id=in_round.dataset_id,
                    round_id=in_round.id,
                    kind=next(iter(chosen.kinds)),
                    identity=identity,
                    filter=filter_values(fixed),
                    threshold=None if chosen.class_percents else chosen.min_confidence,
                    finding_ids=ids,
                    settled_ids=settled,
                    levels=levels,
                    pixels=pixels if any(pixels) else None,
                    seed=seed,
                    number=number,
                    alpha=alpha_of(number, ALPHA),
                    target=target,
                    annotator_id=decisions.annotator_id(session, clean_name(by), now),
                    created_at=now,
                ),
            )
            known = stored(session, audit_id)
        _refuse_other_target(known, target)
        return view(app_context, session, known)


def view_audit(app_context: AppContext, audit_id: int) -> AuditView:
    """Return an audit in its present state.

    Raises:
        NotFoundError: there is none with this id.
    """
    with app_context.database.read() as session:
        return view(app_context, session, stored(session, audit_id))


def list_audits(app_context: AppContext, round_id: int) -> list[AuditView]:
    """Return the audits of a round, oldest first; those of quarters are nested in the audit of the whole set."""
    with app_context.database.read() as session:
        return [
            view(app_context, session, one) for one in queries.audits_of_round(session, round_id) if not one.parent_id
        ]


@again_once_fetched
def hand_out(
    app_context: AppContext, audit_id: int, *, by: str, after: int = -1, limit: int = 24, judged: bool = False
) -> tuple[list[tuple[int, Finding]], int | None]:
    """Lease the next cards of an audit to a person; return (place, finding) and the next place, None at the end.

    Cards leased to others are left out, and judged ones unless `judged` is set.

    Raises:
        NotFoundError: there is no such audit.
        RefusedError: too many cards are requested.
    """
    if not 1 <= limit <= LARGEST_HAND:
        raise RefusedError(f"limit is {limit}", f"ask for 1 to {LARGEST_HAND} cards")
    name, now = clean_name(by), datetime.now(UTC)
    with app_context.database.write() as session:
        audit = stored(session, audit_id)
        ids = order_of(app_context, session, audit)
        taken = queries.leases(session, audit.id, now)
        hand: list[tuple[int, int]] = []
        mine: list[int] = []
        last = None
        for place, card in enumerate(queries.cards(session, ids[after + 1 :]), after + 1):
            if len(hand) == limit:
                last = hand[-1][0]
                break
            if card.removed or (card.judged and not judged):
                continue
            if not card.judged:
                if taken.get(card.id, name) != name:
                    continue
                mine.append(card.id)
            hand.append((place, card.id))
        queries.lease(session, audit.id, mine, decisions.annotator_id(session, name, now), now + LEASE)
        found = {one.id: one for one in finding_queries.findings_by_ids(session, [one for _, one in hand])}
    return [(place, found[one]) for place, one in hand], last


def first_cards(app_context: AppContext, audit_id: int, size: int) -> list[Finding]:
    """Return the first cards of an audit's random order, judged or not.

    Raises:
        NotFoundError: there is no such audit.
    """
    with app_context.database.read() as session:
        ids = order_of(app_context, session, stored(session, audit_id))[:size]
        return finding_queries.findings_by_ids(session, ids.tolist())


@again_once_fetched
def close(app_context: AppContext, audit_id: int, *, closed: bool = True) -> AuditView:
    """Close an audit, so that cards skipped before the last judged one count as wrong until judged; or reopen it.

    Raises:
        NotFoundError: there is no such audit.
    """
    with app_context.database.write() as session:
        audit = stored(session, audit_id)
        if closed != (audit.closed_at is not None):
            queries.set_closed(session, audit.id, datetime.now(UTC) if closed else None)
        return view(app_context, session, stored(session, audit_id))


@again_once_fetched
def split_into_quarters(app_context: AppContext, audit_id: int, *, by: str) -> AuditView:
    """Split a set into quarters by confidence, each with a quarter of alpha and the order of the set's permutation.

    Raises:
        NotFoundError: there is no such audit.
        RefusedError: the audit neither failed nor was closed, or is of a quarter itself, or its set is too small.
    """
    now = datetime.now(UTC)
    with app_context.database.write() as session:
        audit = stored(session, audit_id)
        seen = view(app_context, session, audit)
        if seen.state not in ("failed", "closed") or audit.parent_id:
            raise RefusedError("quarters follow a failed or closed audit of a whole set", "finish or close it first")
        if audit.removed:
            raise RefusedError("images of this set were removed", "restore them, or choose another set")
        if not seen.quarters:
            _store_quarters(session, app_context, audit, decisions.annotator_id(session, clean_name(by), now), now)
        return view(app_context, session, audit)


def refuse_strangers(app_context: AppContext, session: Session, audit_id: int, finding_ids: Sequence[int]) -> None:
    """Refuse verdicts of an audit on findings outside its set.

    Raises:
        NotFoundError: there is no such audit.
        RefusedError: a finding is not of its set.
    """
    audit = stored(session, audit_id)
    strange = np.setdiff1d(np.asarray(finding_ids), order_of(app_context, session, audit))
    if len(strange):
        raise RefusedError(f"finding {strange[0]} is not in the set of audit {audit_id}", "judge it in the queue")


def order_seed(round_id: int, identity: str) -> int:
    """Return the seed of a set's random order."""
    return int.from_bytes(blake2b(f"{round_id}:{identity}".encode(), digest_size=_SEED_BYTES).digest())


def _number(session: Session, chosen: FindingFilter, ids: IntArray) -> int:
    """Return k for the k-th set of its kind in a round, 1 if it shares no finding with an earlier one.

    Counting only overlapping sets would give k = 2 to any number of sets that overlap the same one.
    """
    audits = queries.audits_of_round(session, chosen.round_id)
    earlier = [one for one in audits if one.kind in chosen.kinds and not one.parent_id]
    overlaps = any(np.isin(queries.finding_ids(session, one.id), ids).any() for one in earlier)
    return 1 + len(earlier) if overlaps else 1


def _store_quarters(session: Session, app_context: AppContext, audit: Audit, annotator_id: int, now: datetime) -> None:
    ids, fixed = order_of(app_context, session, audit), stored_filter(audit)
    members = list(queries.cards(session, ids))
    confidence = np.array([card.confidence for card in members])
    percent = np.array([percent_of(card.confidence) for card in members])
    area = np.array([card.area or 0 for card in members])
    cuts = np.unique(np.quantile(confidence, [0.25, 0.5, 0.75], method="higher")).tolist()
    if audit.size < QUARTERS or not cuts:
        raise RefusedError("the set is too small or too uniform to be split", "judge it all, or choose another set")
    bounds = sorted({fixed.min_confidence, *cuts, fixed.max_confidence})
    for low, high in pairwise(bounds):
        inside = (confidence >= low) & ((confidence < high) | (high == fixed.max_confidence))
        if not inside.any():
            continue
        part = replace(fixed, min_confidence=low, max_confidence=high)
        quarter = queries.NewAudit(
            dataset_id=audit.dataset_id,
            round_id=audit.round_id,
            kind=audit.kind,
            identity=identity_of(part),
            filter=filter_values(part),
            threshold=low,
            finding_ids=ids[inside],
            settled_ids=queries.settled_ids(session, audit.id),
            levels=np.bincount(percent[inside], minlength=len(audit.levels)).tolist(),
            pixels=_pixels(percent[inside], area[inside], len(audit.levels)) if audit.pixels else None,
            seed=order_seed(audit.round_id, audit.identity),  # the order is that of the whole set
            number=audit.number,
            alpha=audit.alpha / QUARTERS,
            target=audit.target,
            annotator_id=annotator_id,
            created_at=now,
            parent_id=audit.id,
        )
        if queries.find_by_identity(session, audit.round_id, quarter.identity) is None:
            queries.add_audit(session, quarter)


def _refuse_other_target(known: Audit, target: str) -> None:
    if Fraction(known.target) != Fraction(target):
        raise RefusedError(
            f"this set is being checked against {percent_of_target(known.target)} already",
            "go on with that target, or choose another threshold",
        )


def _exact(target: str) -> Fraction:
    try:
        share = Fraction(target)
    except (ValueError, ZeroDivisionError):
        raise RefusedError(f"the target {target!r} is not a number", "write a share such as 0.95") from None
    if not Fraction(1, 2) <= share < 1:
        raise RefusedError(f"the target {target} is out of range", "choose a share from 0.5 to below 1, such as 0.95")
    return share


def _pixels(percent: IntArray, area: IntArray, levels: int) -> list[int]:
    return [int(one) for one in np.bincount(percent, weights=area, minlength=levels)]


def stored(session: Session, audit_id: int) -> Audit:
    """Return an audit.

    Raises:
        NotFoundError: there is none with this id.
    """
    found = queries.find_audit(session, audit_id)
    if found is None:
        raise NotFoundError(f"there is no audit {audit_id}", "reload the page")
    return found
