"""Reads of the review page: pages of the queue, counts, previews of bulk acts, history of a sample, acts of others.

The values come first, then the functions that return them.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.evaluation.split_names import splits_in_words
from app.services.reviews import audits, evidence, precision
from app.services.reviews.acts import open_part
from app.services.reviews.precision import KnownPrecision
from app.services.reviews.store import NotFoundError, RefusedError, refuse_deleted, refuse_without_suggestions
from core.data.predictions import EMBEDDINGS
from core.data.snapshot import sample_ids_in
from core.data.windows import Window, window_option
from core.judge.confusions import merged_metrics
from core.judge.hints import Hint, hints as hints_on
from core.judge.review import resolve
from core.judge.similarity import NEIGHBOURS, nearest_neighbours, neighbours_of, rows_around
from core.types import (
    NO_LABEL,
    ClassState,
    Decision,
    Finding,
    FindingFilter,
    FindingKind,
    JobStatus,
    Order,
    Resolution,
    Status,
    Verdict,
)
from db.queries import (
    audits as audit_queries,
    datasets,
    decisions,
    evaluation,
    filters as counting,
    findings as finding_queries,
    notes,
    snapshots,
)

_LARGEST_PAGE = 500
_LIKELIEST = 20
_SHOWN_BEFORE_BULK = 24
_ALIKE_STEPS = 3  # from neighbour to neighbour
_HAND_LABELLED_STEPS = 1  # without suggestions, which separate the classes
MOST_ALIKE = 200  # findings: an address names each
_MOST_OVERRULED = 200


@dataclass(frozen=True, slots=True)
class Page:
    """Findings in order, and the cursor of the next page (None: these were the last)."""

    items: list[Finding]
    next: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts under a filter. `total`, `todo`, `decided` and `by_status` disregard its statuses.

    `kinds`, `pairs` and `histogram` count open findings, each disregarding its own part of the filter.
    `kept_out` is the part of the histogram that no bulk act changes: findings of evaluation splits, or awaiting
    a second opinion. `labels` has the number of labelled images of each class and `images` all images, in a round
    for labelling, whatever the filter; empty and 0 for others.
    """

    total: int
    todo: int
    decided: int
    by_status: dict[Status, int]
    kinds: dict[FindingKind, int]
    pairs: list[tuple[int, int, int]]
    histogram: list[int]
    kept_out: list[int]
    evaluation_splits: list[str]
    labels: list[int] = field(default_factory=list)
    images: int = 0


@dataclass(frozen=True, slots=True)
class BulkPreview:
    """Preview of a bulk act: the number of findings it changes, by class pair, and its known precision.

    `sample` holds the first 24 findings of the set's random order, whatever their status; `left_out` open ones are of
    the evaluation splits, which no bulk act touches. `threshold` is None if each class has its own.
    """

    count: int
    changes: list[tuple[int, int, int]]
    sample: list[Finding]
    threshold: float | None
    known: KnownPrecision
    left_out: int = 0
    evaluation_splits: tuple[str, ...] = ()

    @property
    def left_out_words(self) -> str:
        """Return a sentence on the findings left out and how to judge them; "" without any."""
        if not self.left_out:
            return ""
        verb = "is" if self.left_out == 1 else "are"
        return (
            f"{self.left_out:,} of the {splits_in_words(self.evaluation_splits)} {verb} left out: judge them one by one"
        )


@dataclass(frozen=True, slots=True)
class Story:
    """History of a finding's sample, or of its region: findings of rounds, verdicts, and similar findings."""

    finding: Finding
    rounds: list[tuple[int, Finding]]
    decisions: list[tuple[int, Decision]]
    neighbours: list[Finding]
    notes: list[notes.Note]  # oldest first, undone ones too
    alike: tuple[int, ...] = ()  # ids, ascending, of the finding itself and the open ones of its pair that resemble it


@dataclass(frozen=True, slots=True)
class RoundView:
    """A round, its filter values, and other rounds and datasets: (id, number, status), (id, name, newest round)."""

    round: finding_queries.ReviewedRound
    rounds: list[tuple[int, int, JobStatus]]
    datasets: list[tuple[int, str, int]]
    splits: list[str]
    annotators: list[str]
    has_similarity: bool
    bulk_acts: list[decisions.Changeset]
    window: Window | None  # of greys of more than 8 bits that become black and white


@dataclass(frozen=True, slots=True)
class Overruled:
    """An own verdict that another annotator changed: the current finding, and the own verdict."""

    finding_id: int
    name: str
    by: str
    status: Status
    label: int | None
    own_verdict: Verdict
    own_label: int | None


@dataclass(frozen=True, slots=True)
class News:
    """Number of the newest act, whether another client acted since the requested one, and overruled own verdicts."""

    state: int
    acted: bool
    overruled: list[Overruled]


def view_round(app_context: AppContext, round_id: int) -> RoundView:
    """Return a round with the values of the review page.

    Raises:
        DeletedError: it is deleted and can be restored.
        NotFoundError: there is no such round.
    """
    with app_context.database.read() as session:
        found = finding_queries.find_round(session, round_id)
        if found is None:
            refuse_deleted(session, round_id)
            raise NotFoundError(f"there is no round {round_id}", "choose a round on the Rounds page")
        return RoundView(
            found,
            finding_queries.rounds_of(session, found.dataset_id),
            finding_queries.reviewable_datasets(session),
            finding_queries.splits_of(session, round_id),
            decisions.annotator_names(session, found.dataset_id),
            finding_queries.has_similarity(session, round_id),
            decisions.bulk_acts(session, round_id),
            window_option(datasets.get_dataset(session, found.dataset_id).options),
        )


def page(
    app_context: AppContext,
    chosen: FindingFilter,
    order: Order = Order.SUSPICION,
    after: str | None = None,
    limit: int = 50,
) -> Page:
    """Return the findings after the cursor `after`; by suspicion if there is no order by similarity.

    Raises:
        RefusedError: the cursor is not one of this order, or the limit is out of range.
    """
    if not 1 <= limit <= _LARGEST_PAGE:
        raise RefusedError(f"limit is {limit}", f"ask for 1 to {_LARGEST_PAGE} findings")
    with app_context.database.read() as session:
        if order is Order.SIMILARITY and not finding_queries.has_similarity(session, chosen.round_id):
            order = Order.SUSPICION
        key = None if after is None else _read_cursor(after, order)
        found = finding_queries.findings_page(session, chosen, order, key, limit + 1)
    shown = found[:limit]
    return Page(shown, _cursor(shown[-1], order) if len(found) > limit else None)


def findings(app_context: AppContext, ids: Sequence[int]) -> list[Finding]:
    """Return these findings in the requested order; unknown ids are left out."""
    with app_context.database.read() as session:
        return finding_queries.findings_by_ids(session, ids[:_LARGEST_PAGE])


def count(app_context: AppContext, chosen: FindingFilter) -> int:
    """Count the findings of a filter."""
    with app_context.database.read() as session:
        return finding_queries.count(session, chosen)


def counts(app_context: AppContext, chosen: FindingFilter) -> Counts:
    """Return every number on the review page, from one consistent state."""
    unpaired = replace(chosen, given=None, pseudo=None, statuses=counting.TODO)
    with app_context.database.read() as session:
        by_status = finding_queries.count_by_status(session, chosen)
        todo = sum(n for status, n in by_status.items() if not status.settled)
        total = sum(by_status.values())
        histogram = finding_queries.histogram(session, chosen)
        protected = evaluation.splits_of_round(session, chosen.round_id)
        rest = replace(chosen, without_splits=frozenset(protected))
        touched = finding_queries.histogram(session, rest, frozenset({Status.OPEN}))
        return Counts(
            total,
            todo,
            total - todo,
            by_status,
            finding_queries.count_by_kind(session, chosen),
            finding_queries.count_by_pair(session, unpaired),
            histogram,
            [every - some for every, some in zip(histogram, touched, strict=True)],
            protected,
            *_labels(session, chosen.round_id),
        )


def preview(app_context: AppContext, chosen: FindingFilter) -> BulkPreview:
    """Return the changes of accepting all findings of a filter, and their known precision.

    Raises:
        NotFoundError: there is no such round.
    """
    threshold = None if chosen.class_percents else chosen.min_confidence
    with app_context.database.read() as session:
        in_round = finding_queries.find_round(session, chosen.round_id)
        if in_round is None:
            raise NotFoundError(f"there is no round {chosen.round_id}", "choose a round on the Rounds page")
        refuse_without_suggestions(in_round)
        protected = in_round.evaluation_splits
        known = precision.known_precision(app_context, session, in_round, chosen)
        opened = open_part(chosen, protected)
        if opened is None:
            return BulkPreview(0, [], [], threshold, known)
        count = finding_queries.count(session, opened)
        ids = _first_of_order(app_context, session, chosen, in_round, known)
        sample = finding_queries.findings_by_ids(session, ids)
        changes = finding_queries.count_by_pair(session, opened)
        left_out = (
            finding_queries.count(session, replace(opened, without_splits=frozenset())) - count if protected else 0
        )
    return BulkPreview(count, changes, sample, threshold, known, left_out, tuple(protected))


def hints(app_context: AppContext, round_id: int) -> list[Hint]:
    """Return the hints on a round: reasons to look before accepting anything; none of them is a verdict."""
    with app_context.database.read() as session:
        found = finding_queries.find_round(session, round_id)
    return hints_on(merged_metrics(found.metrics or {}, found.class_state)) if found else []


def history(app_context: AppContext, finding_id: int) -> Story:
    """Return the history of a finding's sample, oldest first; of a region, only that region's.

    Raises:
        NotFoundError: there is no such finding.
    """
    with app_context.database.read() as session:
        found = finding_queries.findings_by_ids(session, [finding_id])
        if not found:
            raise NotFoundError(f"there is no finding {finding_id}", "reload the page")
        finding = found[0]
        in_round = finding_queries.find_round(session, finding.round_id)
        rounds = finding_queries.rounds_of(session, in_round.dataset_id) if in_round else []
        numbers = {round_id: number for round_id, number, status in rounds if status is JobStatus.DONE}
        rows = finding_queries.findings_of_sample(session, finding)
        own = None if finding.area is None else finding.id
        judged = decisions.decisions_of_sample(session, finding.sample_id, own)
        noted = notes.notes_of_sample(session, finding.sample_id, own)
        near = finding_queries.findings_of_samples(session, finding.round_id, _nearest(app_context, finding))
        alike = _alike(app_context, session, finding)
    return Story(
        finding,
        [(numbers[one.round_id], one) for one in rows if one.round_id in numbers],
        [(numbers.get(one.round_id or 0, 0), one) for one in judged],
        near,
        noted,
        alike,
    )


def resolved_labels(app_context: AppContext, dataset_id: int) -> dict[int, Resolution]:
    """Return the current label of every sample of a dataset."""
    with app_context.database.read() as session:
        given = snapshots.given_labels(session, dataset_id)
        live = decisions.live_decisions(session, dataset_id)
    return resolve(given, live)


def likeliest_classes(app_context: AppContext, shown: Sequence[Finding]) -> dict[int, list[list[float]]]:
    """Return, per finding, [class, probability], likeliest first: up to 20, or the five that are stored.

    Only offered classes; the target of a merge has the probabilities of the merged ones too.
    """
    best = {finding.id: finding.top for finding in shown}
    for round_id in {finding.round_id for finding in shown}:
        of_round = [finding for finding in shown if finding.round_id == round_id]
        path = app_context.round_folder(round_id) / "probabilities.npy"
        if path.is_file():
            best |= _read_likely(path, of_round)
        with app_context.database.read() as session:
            found = finding_queries.find_round(session, round_id)
        if found is not None and not found.class_state.is_plain:
            best |= {finding.id: _offered(best[finding.id], found.class_state) for finding in of_round}
    return best


def news(
    app_context: AppContext,
    round_id: int | None = None,
    *,
    after: int | None = None,
    client: str = "",
    by: str | None = None,
) -> News:
    """Return the news of a round after act `after`, for a browser's client and the annotator `by`.

    Without `after`, only the number of the newest act. While a bulk act of another client is stored in parts,
    there is always news, and the state stays before that act, so that its end is news once more.
    """
    with app_context.database.read() as session:
        state = decisions.newest_changeset(session)
        if after is None:
            return News(state, acted=False, overruled=[])
        left = decisions.unfinished_bulk_acts(session, round_id=round_id, apart_from=client) if round_id else []
        if left:
            state = min(state, left[0].id - 1)
        elif state <= after or not decisions.has_newer_act(session, after, client):
            return News(state, acted=False, overruled=[])
        mine = decisions.find_annotator(session, by) if by else None
        found = (
            decisions.overruled_verdicts(session, round_id, mine, after, _MOST_OVERRULED) if mine and round_id else []
        )
    return News(state, acted=True, overruled=[Overruled(*row) for row in found if _differs(*row[3:])])


def _labels(session: Session, round_id: int) -> tuple[list[int], int]:
    """Return the number of labelled images of each class, and of all images, of a round for labelling."""
    recipe = finding_queries.recipe_of(session, round_id)
    in_round = None if recipe is None or recipe.suggests else finding_queries.find_round(session, round_id)
    if in_round is None:
        return [], 0
    before = (in_round.metrics or {}).get("labelled", [])
    counted = finding_queries.count_by_label(session, round_id)
    merged = in_round.class_state.merged
    for number, count in enumerate(before):
        now = merged.get(number, number)
        counted[now] = counted.get(now, 0) + count
    labels = [counted.get(number, 0) for number in range(len(in_round.classes))]
    everything = FindingFilter(round_id=round_id, kinds=frozenset(), statuses=frozenset())
    return labels, finding_queries.count(session, everything) + sum(before)


def _first_of_order(
    app_context: AppContext,
    session: Session,
    chosen: FindingFilter,
    in_round: finding_queries.ReviewedRound,
    known: KnownPrecision,
) -> list[int]:
    """Return the first ids of a set's random order, whether or not its audit has started."""
    if known.audit:
        order = evidence.order_of(app_context, session, known.audit.audit)
        return [int(one) for one in order[:_SHOWN_BEFORE_BULK]]
    fixed = evidence.fixed_set(chosen, in_round.evaluation_splits)
    seed = audits.order_seed(chosen.round_id, evidence.identity_of(fixed))
    return [int(one) for one in audit_queries.random_order(session, fixed, seed, _SHOWN_BEFORE_BULK)]


def _nearest(app_context: AppContext, finding: Finding) -> list[int]:
    """Return the samples whose embeddings are nearest to a finding's, nearest first; none without embeddings."""
    if finding.area is not None:
        return []
    folder = app_context.round_folder(finding.round_id)
    rows = neighbours_of(folder, finding.row)
    if not rows and (folder / EMBEDDINGS).is_file() and not (folder / NEIGHBOURS).is_file():  # of an earlier release
        rows = nearest_neighbours(folder / EMBEDDINGS, finding.row)
    if not rows:
        return []
    sample_ids: list[int] = sample_ids_in(folder)[rows].tolist()
    return sample_ids


def _alike(app_context: AppContext, session: Session, finding: Finding) -> tuple[int, ...]:
    """Return the ids of a finding and of similar open ones of its class pair; none without similar ones.

    Similar findings are a few nearest-neighbour steps away; of too many, the nearest are returned.
    """
    if finding.area is not None:
        return ()
    steps = _HAND_LABELLED_STEPS if finding.pseudo == NO_LABEL else _ALIKE_STEPS
    around = rows_around(app_context.round_folder(finding.round_id), finding.row, steps)
    if not len(around):
        return ()
    pair = FindingFilter(
        round_id=finding.round_id,
        kinds=frozenset({finding.kind}),
        statuses=frozenset({Status.OPEN}),
        given=finding.given,
        pseudo=finding.pseudo,
    )
    rows = around.tolist()
    ids = finding_queries.rows_of_findings(session, pair, rows)
    alike = [ids[row] for row in rows if row in ids][:MOST_ALIKE]
    return tuple(sorted([finding.id, *alike])) if alike else ()


def _offered(likeliest: Sequence[Sequence[float]], state: ClassState) -> list[list[float]]:
    together: dict[int, float] = {}
    offered = set(state.offered)
    for label, probability in likeliest:
        present = state.merged.get(int(label), int(label))
        if present in offered:
            together[present] = together.get(present, 0.0) + probability
    return [[label, round(share, 4)] for label, share in sorted(together.items(), key=lambda one: -one[1])]


def _read_likely(path: Path, shown: Sequence[Finding]) -> dict[int, list[list[float]]]:
    everything = np.load(path, mmap_mode="r")  # (N, K)
    if everything.shape[1] <= len(shown[0].top):
        return {}
    probabilities = np.asarray(everything[[finding.row for finding in shown]], dtype=np.float32)  # (shown, K)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :_LIKELIEST]
    values = np.take_along_axis(probabilities, order, axis=1)
    pairs = zip(order.tolist(), values.round(4).tolist(), strict=True)
    rows = [[list(pair) for pair in zip(classes, values, strict=True)] for classes, values in pairs]
    return {finding.id: row for finding, row in zip(shown, rows, strict=True)}


def _cursor(finding: Finding, order: Order) -> str:
    key: list[Any] = [order.value, *finding_queries.page_end(finding, order)]
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _read_cursor(cursor: str, order: Order) -> list[float]:
    try:
        name, *key = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii", "replace")))
    except (ValueError, TypeError, binascii.Error):
        name, key = None, []
    numbers = all(isinstance(value, int | float) for value in key)
    if name != order.value or len(key) != len(finding_queries.ORDER_COLUMNS[order]) or not numbers:
        raise RefusedError("'after' is not a cursor of this order", "begin again without 'after'")
    return [float(value) if isinstance(value, float) else int(value) for value in key]


def _differs(status: Status, label: int | None, own_verdict: Verdict, own_label: int | None) -> bool:
    if not own_verdict.settles:
        return False  # a second opinion was requested and given
    if label is not None or own_label is not None:
        return label != own_label
    return status.name != own_verdict.name
