"""Agreeing findings without a row: read from their round's file as if they had one, and given one before they change.

A large round keeps findings that agree with their label in a file (`db.agreeing_file`). Each has its id from the start,
`first_finding_id` of the round + rank. Without a row a finding is open and as the round found it, so only its classes
may differ from the file: by merges, which are applied as it is read. Whoever decides on it, notes, leases, removes or
moves its image calls `make_rows` first, in the same transaction; which ranks have a row is noted in `made_finding`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Row, Select, func, select, union
from sqlalchemy.orm import Session

from core.types import (
    Act,
    Finding,
    FindingFilter,
    FindingKind,
    FloatArray,
    IntArray,
    JobStatus,
    Order,
    Status,
    StorageAwayError,
    StorageError,
)
from db.agreeing_file import FILES, WRITES, AgreeingFile, AgreeingFiles, Columns, count_cells
from db.loading import NewFinding, load_findings, load_rows, percents_of
from db.models import ChangesetRow, DatasetRow, DecisionRow, MadeFindingRow, RoundRow, SampleRow
from db.queries.datasets import Merges, read_merges
from db.queries.filters import ColumnsCondition, matching_columns, may_lack_rows, within_ranks
from db.visibility import WITH_DELETED

_CHUNK = 5_000  # findings made into rows at once
_NAMED = 500  # ids named in one statement
_NO_SAMPLE = -1
_SAMPLES = SampleRow.__table__
_ROUNDS = RoundRow.__table__
_KEYS: Mapping[Order, tuple[str, ...]] = {
    Order.SUSPICION: ("rank",),
    Order.CONFIDENCE: ("confidence", "rank"),  # both downwards
    Order.PAIR: ("given", "pseudo", "rank"),
    Order.SIMILARITY: ("similarity_rank",),
}
_BOUNDED_BY: Mapping[Order, str] = {Order.PAIR: "label"}  # whose bounds are those of an order's first key, if another's


@dataclass(frozen=True, slots=True)
class _RoundFile:
    """A round's file, and the values needed to read its current state."""

    round_id: int
    first_id: int
    file: AgreeingFile
    merges: Merges
    made: IntArray  # ranks that have a row, ascending


def rounds_with_files() -> Select[int]:
    """Select the rounds of which some findings may have no row."""
    return select(RoundRow.id).where(RoundRow.findings_in_file > 0)


def open_files(session: Session, dataset_id: int, apart_from: int) -> None:
    """Open the files of a dataset's rounds but one, so that those that are not here are fetched.

    Skip files that are lost: reading one later raises the error.
    """
    others = rounds_with_files().where(RoundRow.dataset_id == dataset_id, RoundRow.id != apart_from)
    for round_id in session.scalars(others.order_by(RoundRow.id), execution_options=WITH_DELETED).all():
        try:
            _round_file(session, round_id)
        except StorageAwayError:
            raise
        except StorageError:
            continue


def max_rank(session: Session, round_id: int) -> int:
    """Return the largest rank in a round's file, 0 without a file."""
    kept = _round_file(session, round_id)
    return 0 if kept is None else int(kept.file.bounds("rank")[1].max())


def has_similarity(session: Session, round_id: int) -> bool:
    """Return whether the findings in a round's file have an order by similarity."""
    kept = _round_file(session, round_id)
    return kept is not None and bool(kept.file.bounds("similarity_rank")[1].max() >= 0)


def columns_of(
    session: Session, chosen: FindingFilter, *names: str, ranks: tuple[int, int] | None = None
) -> Iterator[Columns]:
    """Yield columns of a filter's findings without a row, part by part in the order of rank.

    `names` are columns of the file, or `given`, `pseudo` (present classes), `percent` and `id`. With `ranks` only those
    from the first to the last of these ranks.
    """
    kept = _round_file(session, chosen.round_id) if may_lack_rows(chosen) else None
    if kept is None:
        return
    needed, mask = matching_columns(session, chosen, kept.file.splits)
    parts: Iterable[int] = kept.file.parts
    if ranks is not None:
        low, high = kept.file.bounds("rank")
        parts = np.flatnonzero((high >= ranks[0]) & (low <= ranks[1])).tolist()
        mask = within_ranks(mask, *ranks)
    for part in parts:
        columns = _read(kept, part, needed | set(names), mask)
        if len(columns["rank"]):
            yield columns


def count(session: Session, chosen: FindingFilter) -> int:
    """Count the findings without a row that match a filter."""
    return sum(len(columns["rank"]) for columns in columns_of(session, chosen))


def grouped(session: Session, chosen: FindingFilter, names: Sequence[str]) -> Counter[tuple[Any, ...]]:
    """Return counts of a filter's findings without a row, by the values of some columns of `finding_count`."""
    same: dict[str, Any] = {"kind": FindingKind.AGREEING, "status": Status.OPEN, "round_id": chosen.round_id}
    counted: Counter[tuple[Any, ...]] = Counter()
    for columns in columns_of(session, chosen, *(name for name in names if name not in same)):
        for values, size in count_cells([columns[name] for name in names if name not in same], len(columns["rank"])):
            found = iter(values)
            counted[tuple(same[name] if name in same else next(found) for name in names)] += size
    return counted


def count_of_round(session: Session, round_id: int) -> int:
    """Count the findings of a round that have no row; the file itself may be missing."""
    in_file = session.scalar(select(RoundRow.findings_in_file).where(RoundRow.id == round_id)) or 0
    made = session.scalar(select(func.count(MadeFindingRow.id)).where(MadeFindingRow.round_id == round_id)) or 0
    return in_file - made


def counts_of_round(session: Session, round_id: int) -> list[dict[str, Any]]:
    """Return the rows of `finding_count` that a round's findings without a row make up."""
    kept = _round_file(session, round_id)
    if kept is None:
        return []
    names = ("round_id", "kind", "status", "split", "given", "pseudo", "percent")
    everything = FindingFilter(round_id=round_id, kinds=frozenset(), statuses=frozenset())
    counted = grouped(session, everything, names)
    split = names.index("split")
    named = {(*key[:split], kept.file.splits[key[split]], *key[split + 1 :]): n for key, n in counted.items()}
    return [dict(zip(names, key, strict=True)) | {"count": n} for key, n in named.items()]


def ids_of_round(session: Session, round_id: int) -> IntArray:
    """Return the ids of a round's findings without a row."""
    everything = FindingFilter(round_id=round_id, kinds=frozenset(), statuses=frozenset())
    return _joined(columns["id"] for columns in columns_of(session, everything, "id"))


def first_ids(
    session: Session, chosen: FindingFilter, order: Order, after: Sequence[float] | None, limit: int
) -> list[int]:
    """Return the ids of the first `limit` of a filter's findings without a row after a key, in order.

    Parts are read by their bounds, those with the first keys first, until no other can hold an earlier one.
    """
    kept = _round_file(session, chosen.round_id) if may_lack_rows(chosen) else None
    if kept is None:
        return []
    needed, mask = matching_columns(session, chosen, kept.file.splits)
    names = _KEYS[order]
    sign = -1.0 if order is Order.CONFIDENCE else 1.0
    mark = None if after is None else tuple(sign * value for value in after)
    low, high = _bounds_of(kept, _BOUNDED_BY.get(order, names[0]), sign)
    best = np.empty((0, len(names) + 1))  # the keys, all upwards, and the id
    for part in np.argsort(low, kind="stable").tolist():
        if len(best) == limit and low[part] > best[-1, 0]:
            break
        if mark is not None and high[part] < mark[0]:
            continue
        columns = _read(kept, part, needed | set(names) | {"id"}, mask)
        keys = np.stack([*(sign * columns[name] for name in names), columns["id"]], axis=1)
        if mark is not None:
            keys = keys[_after(keys, mark)]
        best = np.concatenate([best, keys])
        best = best[np.lexsort(best[:, -2::-1].T)][:limit]
    ids: list[int] = best[:, -1].astype(np.int64).tolist()
    return ids


def labels_of_round(session: Session, round_id: int) -> Callable[[int], tuple[int, int, float] | None]:
    """Return a function from a sample to (given and suggested class, self-confidence) of its finding without a row."""
    everything = FindingFilter(round_id=round_id, kinds=frozenset(), statuses=frozenset())
    names = ("sample_id", "given", "self_confidence")
    parts = list(columns_of(session, everything, *names))
    ids, given, own = (np.concatenate([np.empty(0), *(part[name] for part in parts)]) for name in names)
    order = np.argsort(ids, kind="stable")
    ids = ids[order]

    def find(sample_id: int) -> tuple[int, int, float] | None:
        place = int(np.searchsorted(ids, sample_id))
        if place == len(ids) or ids[place] != sample_id:
            return None
        label = int(given[order[place]])
        return label, label, float(own[order[place]])

    return find


def findings_by_ids(session: Session, ids: Iterable[int]) -> dict[int, Finding]:
    """Return those of these findings that have no row and whose image is there, by id."""
    found: dict[int, Finding] = {}
    for kept, ranks in _by_round(session, ids):
        found |= {one.id: one for one in _findings(session, kept, kept.file.places_of_ranks(ranks))}
    return found


def stored_by_ids(session: Session, ids: Iterable[int]) -> dict[int, NewFinding]:
    """Return those of these findings that have no row, by id, their classes as they are now."""
    found: dict[int, NewFinding] = {}
    for kept, ranks in _by_round(session, ids):
        found |= {kept.first_id + one.rank: one for one in _taken(kept, kept.file.places_of_ranks(ranks))}
    return found


def findings_of_samples(session: Session, round_id: int, sample_ids: Sequence[int]) -> list[Finding]:
    """Return a round's findings of these samples that have no row."""
    kept = _round_file(session, round_id) if len(sample_ids) else None
    return [] if kept is None else _findings(session, kept, kept.file.places_of_samples(_array(sample_ids)))


def finished_rounds_of(session: Session, sample_id: int) -> list[int]:
    """Return the finished rounds, with a file, of the dataset of a sample."""
    of_dataset = RoundRow.dataset_id == select(SampleRow.dataset_id).where(SampleRow.id == sample_id).scalar_subquery()
    finished = rounds_with_files().where(of_dataset, RoundRow.status == JobStatus.DONE)
    return list(session.scalars(finished.order_by(RoundRow.id)))


def count_of_samples(session: Session, round_id: int, sample_ids: Sequence[int]) -> int:
    """Count those of these samples that are in a round's file."""
    kept = _round_file(session, round_id) if len(sample_ids) else None
    return 0 if kept is None else len(kept.file.places_of_samples(_array(sample_ids)))


def concerned_samples(session: Session, round_id: int) -> IntArray:
    """Return the samples of a round's file whose finding needs a row from the start.

    People decided on them in an earlier round, their annotators differ in the source, or they are in another split than
    the file has.
    """
    kept = _round_file(session, round_id)
    if kept is None:
        return np.empty(0, np.int64)
    dataset_id = select(_ROUNDS.c.dataset_id).where(_ROUNDS.c.id == round_id).scalar_subquery()
    of_dataset = _SAMPLES.c.dataset_id == dataset_id
    decided = (
        select(DecisionRow.sample_id)
        .join(ChangesetRow, ChangesetRow.id == DecisionRow.changeset_id)
        .where(ChangesetRow.dataset_id == dataset_id, ChangesetRow.act != Act.ACCEPT_ALL)
    )
    marked = select(_SAMPLES.c.id).where(of_dataset, _SAMPLES.c.annotators_differ)
    found = np.fromiter(session.scalars(union(decided, marked)), np.int64)
    return np.unique(_joined([found, *_moved(session, kept, of_dataset)]))


def make_rows(session: Session, sample_ids: Iterable[int]) -> None:
    """Give rows to the findings of these samples, of one dataset, in every round that has some of them in its file."""
    wanted = _array(sample_ids)
    if not len(wanted):
        return
    dataset_id = select(_SAMPLES.c.dataset_id).where(_SAMPLES.c.id == int(wanted[0])).scalar_subquery()
    of_dataset = rounds_with_files().where(RoundRow.dataset_id == dataset_id)
    for round_id in session.scalars(of_dataset.order_by(RoundRow.id), execution_options=WITH_DELETED).all():
        if (kept := _round_file_or_none(session, round_id)) is not None:
            _make(session, kept, kept.file.places_of_samples(wanted))


def make_rows_of_ids(session: Session, ids: Iterable[int]) -> None:
    """Give rows to those of these findings that are in a file."""
    for kept, ranks in _by_round(session, ids):
        _make(session, kept, kept.file.places_of_ranks(ranks))


def make_rows_of(session: Session, chosen: FindingFilter, ranks: tuple[int, int] | None = None) -> None:
    """Give rows to everything that a filter holds, with `ranks` from the first to the last of these ranks."""
    kept = _round_file(session, chosen.round_id)
    if kept is not None:
        found = columns_of(session, chosen, "place", ranks=ranks)
        _make(session, kept, _joined(columns["place"] for columns in found))


def _round_file(session: Session, round_id: int) -> _RoundFile | None:
    """Return a round's file, None if every finding of the round has a row."""
    query = (
        select(RoundRow.first_finding_id, RoundRow.findings_in_file, DatasetRow.merged_classes)
        .join(DatasetRow, DatasetRow.id == RoundRow.dataset_id)
        .where(RoundRow.id == round_id, RoundRow.findings_in_file > 0)
    )
    row: Any = session.execute(query, execution_options=WITH_DELETED).one_or_none()
    return None if row is None else _opened(session, round_id, *row)


def _round_file_or_none(session: Session, round_id: int) -> _RoundFile | None:
    """Return a round's file; also None if the round is deleted and the file is missing, as its cure says."""
    try:
        return _round_file(session, round_id)
    except StorageAwayError:
        raise
    except StorageError:
        if session.scalar(select(_ROUNDS.c.deleted_at).where(_ROUNDS.c.id == round_id)) is None:
            raise
        return None


def _opened(session: Session, round_id: int, first_id: int, in_file: int, merged: list[list[int]] | None) -> _RoundFile:
    files: AgreeingFiles = session.info[FILES]
    file = files.open(round_id, first_id, in_file, fetch=not session.info.get(WRITES))
    ranks = _ranks_with_rows(session, files, round_id, first_id)
    return _RoundFile(round_id, first_id, file, read_merges(merged or []), ranks)


def _by_round(session: Session, ids: Iterable[int]) -> Iterator[tuple[_RoundFile, IntArray]]:
    """Yield the rounds whose block contains some of these ids, with the corresponding ranks."""
    wanted = _array(ids)
    while len(wanted):
        block = (RoundRow.first_finding_id, RoundRow.findings_in_file, RoundRow.reserved_ids)
        query = (
            select(RoundRow.id, *block, DatasetRow.merged_classes)
            .join(DatasetRow, DatasetRow.id == RoundRow.dataset_id)
            .where(RoundRow.findings_in_file > 0, block[0] + block[2] > int(wanted[0]))
            .order_by(block[0])
            .limit(1)
        )
        row: Any = session.execute(query, execution_options=WITH_DELETED).one_or_none()
        if row is None:
            return
        round_id, first_id, in_file, reserved, merged = row
        inside = wanted[(wanted >= first_id) & (wanted < first_id + reserved)]
        if len(inside):
            yield _opened(session, round_id, first_id, in_file, merged), inside - first_id
        wanted = wanted[wanted >= first_id + reserved]


def _ranks_with_rows(session: Session, files: AgreeingFiles, round_id: int, first_id: int) -> IntArray:
    """Return the ranks of a round that already have a row, ascending.

    Rows of `made_finding` are only ever added, by one writer at a time: rows read by a process stay valid, and only
    newer ones are read. A writing transaction may be rolled back, so its reads are not cached.
    """
    of_round = MadeFindingRow.round_id == round_id
    newest = session.scalar(select(func.max(MadeFindingRow.id)).where(of_round)) or 0
    none = np.empty(0, np.int64)
    ids, ranks = files.made.get((round_id, first_id), (none, none))
    known = int(ids[-1]) if len(ids) else 0
    if newest > known:
        newer = select(MadeFindingRow.id, MadeFindingRow.rank).where(of_round, MadeFindingRow.id > known)
        rows = session.execute(newer.order_by(MadeFindingRow.id)).all()
        more = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 2)
        ids, ranks = np.concatenate([ids, more[:, 0]]), np.concatenate([ranks, more[:, 1]])
        if not session.info.get(WRITES):
            files.made[round_id, first_id] = (ids, ranks)
    return np.sort(ranks[: np.searchsorted(ids, newest, side="right")])


def _read(kept: _RoundFile, part: int, names: Iterable[str], mask: ColumnsCondition) -> Columns:
    """Return columns of those findings of a part that have no row and that a condition holds."""
    wanted = {"rank", *names}
    sources = {"given": "label", "pseudo": "label", "percent": "confidence", "id": "rank"}
    columns = kept.file.read(part, {sources.get(name, name) for name in wanted})
    if wanted & {"given", "pseudo"}:
        label = columns["label"]
        for merged, into in kept.merges.items():
            label = np.where(columns["label"] == merged, into, label)
        columns["given"] = columns["pseudo"] = label
    if "percent" in wanted:
        columns["percent"] = percents_of(columns["confidence"])
    if "id" in wanted:
        columns["id"] = kept.first_id + columns["rank"].astype(np.int64)
    ranks = columns["rank"]
    held = mask(columns)
    if len(kept.made):
        places = np.minimum(np.searchsorted(kept.made, ranks), len(kept.made) - 1)
        held &= kept.made[places] != ranks
    return {name: values[held] for name, values in columns.items()}


def _bounds_of(kept: _RoundFile, name: str, sign: float) -> tuple[FloatArray, FloatArray]:
    """Return the least and largest first key in each part; merged classes are anywhere."""
    low, high = kept.file.bounds(name)
    if name == "label" and kept.merges:
        return np.full(len(low), -np.inf), np.full(len(low), np.inf)
    return (low, high) if sign > 0 else (sign * high, sign * low)


def _after(keys: NDArray[np.float64], mark: Sequence[float]) -> NDArray[np.bool_]:
    """Return which keys come after a mark, compared value by value."""
    beyond = np.zeros(len(keys), np.bool_)
    same = np.ones(len(keys), np.bool_)
    for place, value in enumerate(mark):
        beyond |= same & (keys[:, place] > value)
        same &= keys[:, place] == value
    return beyond


def _findings(session: Session, kept: _RoundFile, places: IntArray) -> list[Finding]:
    """Return findings of a file with their samples; those whose image is removed are left out."""
    taken = _taken(kept, places)
    samples: dict[int, Row[Any]] = {}
    columns = (
        SampleRow.id, SampleRow.name, SampleRow.path, SampleRow.content_hash, SampleRow.width, SampleRow.height,
    )  # fmt: skip
    for some in _chunks([one.sample_id for one in taken], _NAMED):
        samples |= {row.id: row for row in session.execute(select(*columns).where(SampleRow.id.in_(some)))}
    return [
        Finding(
            id=kept.first_id + one.rank,
            round_id=kept.round_id,
            **{name: getattr(one, name) for name in _SAME},
            status=Status.OPEN,
            label=None,
            annotator=None,
            **{name: getattr(samples[one.sample_id], name) for name in _OF_SAMPLE},
        )
        for one in taken
        if one.sample_id in samples
    ]


_SAME = (
    "sample_id", "row", "rank", "kind", "given", "pseudo", "confidence", "self_confidence", "fold", "split", "top",
    "similarity_rank", "contradicting", "own_given", "own_pseudo",
)  # fmt: skip
_OF_SAMPLE = ("name", "path", "content_hash", "width", "height")


def _taken(kept: _RoundFile, places: IntArray) -> list[NewFinding]:
    """Return those findings of a file that have no row, their classes as they are now."""
    found = []
    for one in kept.file.take(places):
        if _holds(kept.made, one.rank):
            continue
        now = kept.merges.get(one.given)
        if now is None:
            found.append(one)
        else:
            found.append(one._replace(given=now, pseudo=now, own_given=one.given, own_pseudo=one.pseudo))
    return found


def _make(session: Session, kept: _RoundFile, places: IntArray) -> None:
    """Give rows to the findings at these places that have none."""
    for start in range(0, len(places), _CHUNK):
        taken = _taken(kept, places[start : start + _CHUNK])
        if taken:
            load_findings(session, kept.round_id, ((kept.first_id + one.rank, one) for one in taken))
            noted = ((kept.round_id, one.rank) for one in taken)
            load_rows(session.connection(), MadeFindingRow.__tablename__, ("round_id", "rank"), noted)


def _holds(values: IntArray, value: int) -> bool:
    place = int(np.searchsorted(values, value))
    return place < len(values) and int(values[place]) == value


def _moved(session: Session, kept: _RoundFile, of_dataset: ColumnElement[bool]) -> Iterator[IntArray]:
    """Yield the samples of a file that are in another split now than the file has."""
    codes = {name: code for code, name in enumerate(kept.file.splits)}
    query = select(_SAMPLES.c.id, _SAMPLES.c.split).where(of_dataset).order_by(_SAMPLES.c.id)
    rows = session.execute(query, execution_options={"yield_per": 50_000})
    ids: list[IntArray] = []
    now: list[IntArray] = []
    for batch in rows.partitions():
        numbers, splits = zip(*batch, strict=True)
        ids.append(np.array(numbers, np.int64))
        now.append(np.array([codes.get(split, -1) for split in splits], np.int64))
    known, present = _joined([*ids, np.array([_NO_SAMPLE])]), _joined([*now, np.array([_NO_SAMPLE])])
    for part in kept.file.parts:
        columns = kept.file.read(part, ["sample_id", "split"])
        places = np.searchsorted(known[:-1], columns["sample_id"])
        here = known[places] == columns["sample_id"]
        yield columns["sample_id"][here & (present[places] != columns["split"])]


def _array(ids: Iterable[int]) -> IntArray:
    """Return ids, each once and ascending."""
    return np.unique(ids if isinstance(ids, np.ndarray) else np.fromiter(ids, np.int64))


def _joined(arrays: Iterable[IntArray]) -> IntArray:
    return np.concatenate([np.empty(0, np.int64), *arrays])


def _chunks(values: Iterable[int], size: int) -> Iterator[list[int]]:
    remaining = iter(values)
    while some := list(islice(remaining, size)):
        yield some
