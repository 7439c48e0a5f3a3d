"""Reads of the review page: the queue by pages, counts, previews of bulk acts, the history of one sample."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.services.reviews import audits, evidence, precision
from app.services.reviews.acts import open_part
from app.services.reviews.errors import NotFoundError, RefusedError
from app.services.reviews.precision import Known
from app.services.reviews.shown import Counts, Page, Preview, RoundView, Story
from app.services.workspace import Workspace
from core.data.snapshot import sample_ids_in
from core.data.windows import in_options
from core.judge.hints import Hint
from core.judge.hints import hints as hints_on
from core.judge.judgement import EMBEDDINGS
from core.judge.review import resolve
from core.judge.similarity import NEIGHBOURS, nearest_of, neighbours_of, rows_around
from core.types import Finding, FindingFilter, Order, Resolution, RoundStatus, Status
from db.queries import annotators, datasets, decisions, evaluation, queue
from db.queries import audits as audit_queries
from db.queries import counts as counting
from db.queries import findings as finding_queries
from db.queries import reviews as review_queries

LARGEST_PAGE = 500
LIKELIEST = 20
SHOWN_BEFORE_BULK = 24
ALIKE_STEPS = 3  # from neighbour to neighbour
MOST_ALIKE = 200  # findings: an address names each


def view_round(workspace: Workspace, round_id: int) -> RoundView:
    """Return a round as the review page needs it.

    Raises:
        NotFoundError: there is no such round.
    """
    with workspace.database.read() as session:
        found = review_queries.find_round(session, round_id)
        if found is None:
            raise NotFoundError(f"there is no round {round_id}", "choose a round on the Rounds page")
        return RoundView(
            found,
            review_queries.rounds_of(session, found.dataset_id),
            review_queries.reviewable_datasets(session),
            review_queries.splits_of(session, round_id),
            annotators.annotator_names(session, found.dataset_id),
            review_queries.has_similarity(session, round_id),
            decisions.bulk_acts(session, round_id),
            in_options(datasets.get_dataset(session, found.dataset_id).options),
        )


def page(
    workspace: Workspace,
    chosen: FindingFilter,
    order: Order = Order.SUSPICION,
    after: str | None = None,
    limit: int = 50,
) -> Page:
    """Return the findings after the cursor `after`; without an order by similarity, by suspicion.

    Raises:
        RefusedError: the cursor is not one of this order, or the limit is out of range.
    """
    if not 1 <= limit <= LARGEST_PAGE:
        raise RefusedError(f"limit is {limit}", f"ask for 1 to {LARGEST_PAGE} findings")
    with workspace.database.read() as session:
        if order is Order.SIMILARITY and not review_queries.has_similarity(session, chosen.round_id):
            order = Order.SUSPICION
        key = None if after is None else _read_cursor(after, order)
        found = queue.findings_page(session, chosen, order, key, limit + 1)
    shown = found[:limit]
    return Page(shown, _cursor(shown[-1], order) if len(found) > limit else None)


def findings(workspace: Workspace, ids: Sequence[int]) -> list[Finding]:
    """Return these findings in the order asked for; unknown ids are left out."""
    with workspace.database.read() as session:
        return finding_queries.findings_by_ids(session, ids[:LARGEST_PAGE])


def count(workspace: Workspace, chosen: FindingFilter) -> int:
    """Return how many findings a filter holds."""
    with workspace.database.read() as session:
        return counting.count(session, chosen)


def counts(workspace: Workspace, chosen: FindingFilter) -> Counts:
    """Return every number on the review page, of one moment."""
    unpaired = replace(chosen, given=None, pseudo=None, statuses=counting.TODO)
    with workspace.database.read() as session:
        by_status = counting.count_by_status(session, chosen)
        todo = sum(n for status, n in by_status.items() if not status.settled)
        total = sum(by_status.values())
        histogram = counting.histogram(session, chosen)
        protected = evaluation.splits_of_round(session, chosen.round_id)
        rest = replace(chosen, without_splits=frozenset(protected))
        touched = counting.histogram(session, rest, frozenset({Status.OPEN}))
        return Counts(
            total,
            todo,
            total - todo,
            by_status,
            counting.count_by_kind(session, chosen),
            counting.count_by_pair(session, unpaired),
            histogram,
            [every - some for every, some in zip(histogram, touched, strict=True)],
            protected,
        )


def preview(workspace: Workspace, chosen: FindingFilter) -> Preview:
    """Return what accepting everything a filter holds would change, and what is known of how right that is.

    Raises:
        NotFoundError: there is no such round.
    """
    threshold = None if chosen.class_percents else chosen.min_confidence
    with workspace.database.read() as session:
        in_round = review_queries.find_round(session, chosen.round_id)
        if in_round is None:
            raise NotFoundError(f"there is no round {chosen.round_id}", "choose a round on the Rounds page")
        protected = in_round.evaluation_splits
        known = precision.known(workspace, session, in_round, chosen)
        opened = open_part(chosen, protected)
        if opened is None:
            return Preview(0, [], [], threshold, known)
        count = counting.count(session, opened)
        drawn = _first_of_order(workspace, session, chosen, in_round, known)
        sample = finding_queries.findings_by_ids(session, drawn)
        changes = counting.count_by_pair(session, opened)
        left_out = counting.count(session, replace(opened, without_splits=frozenset())) - count if protected else 0
    return Preview(count, changes, sample, threshold, known, left_out, tuple(protected))


def hints(workspace: Workspace, round_id: int) -> list[Hint]:
    """Return the hints on a round: what calls for a look before anything is accepted; none of them is a verdict."""
    with workspace.database.read() as session:
        found = review_queries.find_round(session, round_id)
    return hints_on(found.metrics or {}) if found else []


def _first_of_order(
    workspace: Workspace, session: Session, chosen: FindingFilter, in_round: review_queries.ReviewedRound, known: Known
) -> list[int]:
    """Return the first ids of a set's random order, whether its audit has begun or not."""
    if known.audit:
        order = evidence.order_of(workspace, session, known.audit.audit)
        return [int(one) for one in order[:SHOWN_BEFORE_BULK]]
    fixed = evidence.fixed_set(chosen, in_round.evaluation_splits)
    seed = audits.seed_of(chosen.round_id, evidence.identity_of(fixed))
    return [int(one) for one in audit_queries.random_order(session, fixed, seed, SHOWN_BEFORE_BULK)]


def history(workspace: Workspace, finding_id: int) -> Story:
    """Return everything known of a finding's sample, oldest first; of a region, what concerns that region.

    Raises:
        NotFoundError: there is no such finding.
    """
    with workspace.database.read() as session:
        found = finding_queries.findings_by_ids(session, [finding_id])
        if not found:
            raise NotFoundError(f"there is no finding {finding_id}", "reload the page")
        finding = found[0]
        in_round = review_queries.find_round(session, finding.round_id)
        rounds = review_queries.rounds_of(session, in_round.dataset_id) if in_round else []
        numbers = {round_id: number for round_id, number, status in rounds if status is RoundStatus.DONE}
        said = finding_queries.findings_of_sample(session, finding)
        own = None if finding.area is None else finding.id
        judged = decisions.decisions_of_sample(session, finding.sample_id, own)
        near = finding_queries.findings_of_samples(session, finding.round_id, _nearest(workspace, finding))
        alike = _alike(workspace, session, finding)
    return Story(
        finding,
        [(numbers[one.round_id], one) for one in said if one.round_id in numbers],
        [(numbers.get(one.round_id or 0, 0), one) for one in judged],
        near,
        alike,
    )


def _nearest(workspace: Workspace, finding: Finding) -> list[int]:
    """Return the samples whose embeddings are nearest to a finding's, nearest first; none without embeddings."""
    if finding.area is not None:
        return []
    folder = workspace.round_folder(finding.round_id)
    rows = neighbours_of(folder, finding.row)
    if not rows and (folder / EMBEDDINGS).is_file() and not (folder / NEIGHBOURS).is_file():  # of an earlier release
        rows = nearest_of(folder / EMBEDDINGS, finding.row)
    if not rows:
        return []
    sample_ids: list[int] = sample_ids_in(folder)[rows].tolist()
    return sample_ids


def _alike(workspace: Workspace, session: Session, finding: Finding) -> tuple[int, ...]:
    """Return the ids of a finding and of the open ones of its pair of classes that resemble it; none without others.

    Findings resemble it that few steps from nearest neighbour to nearest neighbour lead to; of too many the nearest.
    """
    if finding.area is not None:
        return ()
    around = rows_around(workspace.round_folder(finding.round_id), finding.row, ALIKE_STEPS)
    if not len(around):
        return ()
    pair = FindingFilter(
        round_id=finding.round_id,
        kinds=frozenset({finding.kind}),
        statuses=frozenset({Status.OPEN}),
        given=finding.given,
        pseudo=finding.pseudo,
    )
    ids = finding_queries.rows_of_findings(session, pair)
    alike = [ids[row] for row in around.tolist() if row in ids][:MOST_ALIKE]
    return tuple(sorted([finding.id, *alike])) if alike else ()


def resolved_labels(workspace: Workspace, dataset_id: int) -> dict[int, Resolution]:
    """Return what the label of every sample of a dataset is now."""
    with workspace.database.read() as session:
        given = decisions.given_labels(session, dataset_id)
        live = decisions.live_decisions(session, dataset_id)
    return resolve(given, live)


def likely(workspace: Workspace, shown: Sequence[Finding]) -> dict[int, list[list[float]]]:
    """Return, per finding, [class, probability] likeliest first: 20 of them, or the five kept where that is all."""
    best = {finding.id: finding.top for finding in shown}
    for round_id in {finding.round_id for finding in shown}:
        of_round = [finding for finding in shown if finding.round_id == round_id]
        path = workspace.round_folder(round_id) / "probabilities.npy"
        if path.is_file():
            best |= _read_likely(path, of_round)
    return best


def _read_likely(path: Path, shown: Sequence[Finding]) -> dict[int, list[list[float]]]:
    everything = np.load(path, mmap_mode="r")  # (N, K)
    if everything.shape[1] <= len(shown[0].top):
        return {}
    probabilities = np.asarray(everything[[finding.row for finding in shown]], dtype=np.float32)  # (shown, K)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :LIKELIEST]
    values = np.take_along_axis(probabilities, order, axis=1)
    pairs = zip(order.tolist(), values.round(4).tolist(), strict=True)
    rows = [[list(pair) for pair in zip(classes, values, strict=True)] for classes, values in pairs]
    return {finding.id: row for finding, row in zip(shown, rows, strict=True)}


def _cursor(finding: Finding, order: Order) -> str:
    key: list[Any] = [order.value, *queue.key_of(finding, order)]
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _read_cursor(cursor: str, order: Order) -> list[float]:
    try:
        name, *key = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii", "replace")))
    except (ValueError, TypeError, binascii.Error):
        name, key = None, []
    numbers = all(isinstance(value, int | float) for value in key)
    if name != order.value or len(key) != len(queue.KEYS[order]) or not numbers:
        raise RefusedError("'after' is no cursor of this order", "begin again without 'after'")
    return [float(value) if isinstance(value, float) else int(value) for value in key]
