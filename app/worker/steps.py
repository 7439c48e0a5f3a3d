"""What a job's process does for each command. Every step may be killed at any moment and done again.

`should_stop` is asked between two batches. A round's findings are written while it still runs, in short transactions,
and become visible by the last one, which also ends the round: no half round is ever seen.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice

import numpy as np

from app.services import reviews
from app.services.learnable import refuse_unlearnable
from app.services.workspace import Workspace
from app.worker.reporting import HeldFold
from core.config import RoundConfig
from core.data.snapshot import Snapshot
from core.judge.judgement import Judgement, judge_round
from core.types import NO_LABEL, FindingKind, Resolution, RoundCancelledError, RoundStatus
from db.queries import findings, rounds, snapshots
from db.queries.findings import NewFinding
from db.queries.rounds import RoundInfo
from db.queries.snapshots import RoundSample

ShouldStop = Callable[[], bool]
CHUNK = 20_000  # findings in one transaction: well under a second of the write lock


def take_snapshot(workspace: Workspace, _should_stop: ShouldStop, *, round_id: int) -> None:
    """Freeze the labels the round opens with: what people decided where they did, else what was given."""
    info = _begin(workspace, round_id, "collecting the labels")
    resolved = reviews.resolved_labels(workspace, info.dataset_id)
    with workspace.database.read() as session:
        name, classes = snapshots.dataset_of(session, info.dataset_id)
        samples = snapshots.samples_for_round(session, info.dataset_id)
    samples = [sample for sample in samples if _is_usable(sample, resolved)]
    snapshot = _snapshot(samples, resolved, classes)
    labels, counts = np.unique(snapshot.labels[snapshot.labels != NO_LABEL], return_counts=True)
    known: dict[int | None, int] = {int(label): int(count) for label, count in zip(labels, counts, strict=True)}
    refuse_unlearnable(name, classes, known, RoundConfig.from_json(info.config))
    folder = workspace.round_folder(round_id)
    shutil.rmtree(folder, ignore_errors=True)  # of a round of the past, when the database was lost and the files not
    digest = snapshot.save(folder)
    with workspace.database.write() as session:
        rounds.set_facts(session, round_id, {"snapshot_hash": digest, "stage": "waiting for a free worker"})


def train_fold(workspace: Workspace, should_stop: ShouldStop, *, round_id: int, fold: int) -> None:
    """Train and predict one fold, unless it is done already; goes on from the last epoch's checkpoint."""
    from core.rounds import run_fold, versions  # noqa: PLC0415  # torch, which imports and exports must not pay for

    with workspace.database.write() as session:
        attempt = rounds.begin_fold(session, round_id, fold, datetime.now(UTC))
        info = rounds.get_round(session, round_id)
        if attempt is None:
            return
        rounds.set_facts(session, round_id, {"stage": "training", "versions": versions()})
    held = HeldFold(workspace, round_id, fold, attempt)
    try:
        run_fold(
            workspace.round_folder(round_id),
            RoundConfig.from_json(info.config),
            fold,
            image_cache=workspace.image_caches,
            report=held.report,
            should_stop=lambda: should_stop() or held.is_lost(),
        )
    except RoundCancelledError:
        if not held.is_lost():
            raise
        return  # the row has said why: the round was cancelled, or a newer attempt does the fold
    with workspace.database.write() as session:
        rounds.end_fold(session, round_id, fold, attempt, datetime.now(UTC))


def judge(workspace: Workspace, should_stop: ShouldStop, *, round_id: int) -> None:
    """Weigh all labels by the folds' predictions and write the findings; the last transaction shows them all."""
    info = _begin(workspace, round_id, "judging the labels")
    folder = workspace.round_folder(round_id)
    judgement = judge_round(folder, RoundConfig.from_json(info.config))
    snapshot = Snapshot.load(folder)
    with workspace.database.read() as session:
        samples = snapshots.samples_for_round(session, info.dataset_id)
    splits = {sample.id: sample.split for sample in samples}
    with workspace.database.write() as session:
        findings.remove_findings(session, round_id)  # of a try that was cut off
        rounds.set_facts(session, round_id, {"stage": "writing the findings"})
    rows = iter(_findings(snapshot, judgement, splits))
    while chunk := list(islice(rows, CHUNK)):
        if should_stop():
            raise RoundCancelledError(f"round {round_id} was cancelled")
        with workspace.database.write() as session:
            findings.add_findings(session, round_id, chunk)
    with workspace.database.write() as session:
        findings.open_findings(session, round_id)
        rounds.set_facts(session, round_id, {"metrics": judgement.metrics})
        if not rounds.end_round(session, round_id, RoundStatus.DONE, "", datetime.now(UTC)):
            findings.remove_findings(session, round_id)  # cancelled meanwhile


def import_images(workspace: Workspace, should_stop: ShouldStop, *, import_id: int) -> None:
    """Do an import that waits."""
    from app.services import imports  # noqa: PLC0415  # each process loads only what its job needs

    imports.run_import(workspace, import_id, should_stop=should_stop)


def export_labels(workspace: Workspace, should_stop: ShouldStop, *, export_id: int) -> None:
    """Do an export that waits."""
    from app.services import exports  # noqa: PLC0415

    exports.run_export(workspace, export_id, should_stop=should_stop)


COMMANDS: Mapping[str, Callable[..., None]] = {
    "snapshot": take_snapshot,
    "fold": train_fold,
    "judge": judge,
    "import": import_images,
    "export": export_labels,
}


def _begin(workspace: Workspace, round_id: int, stage: str) -> RoundInfo:
    with workspace.database.write() as session:
        if not rounds.begin_round(session, round_id, stage, datetime.now(UTC)):
            raise RoundCancelledError(f"round {round_id} was cancelled")
        return rounds.get_round(session, round_id)


def _is_usable(sample: RoundSample, resolved: Mapping[int, Resolution]) -> bool:
    """Whether a sample takes part: not when somebody decided that it has no usable label."""
    resolution = resolved.get(sample.id)
    return resolution is None or resolution.label is not None or resolution.decision is None


def _snapshot(samples: list[RoundSample], resolved: Mapping[int, Resolution], classes: list[str]) -> Snapshot:
    labels = [resolved[sample.id].label if sample.id in resolved else sample.label for sample in samples]
    return Snapshot(
        sample_ids=np.array([sample.id for sample in samples], dtype=np.int64),
        paths=[sample.path for sample in samples],
        labels=np.array([NO_LABEL if label is None else label for label in labels], dtype=np.int32),
        groups=[sample.group for sample in samples],
        content_hashes=[sample.content_hash for sample in samples],
        classes=classes,
    )


def _findings(snapshot: Snapshot, judgement: Judgement, splits: Mapping[int, str]) -> Iterator[NewFinding]:
    """Yield a finding for every sample, the most suspicious first."""
    similarity = judgement.similarity_rank
    for row in np.argsort(judgement.rank, kind="stable"):
        sample_id = int(snapshot.sample_ids[row])
        likeliest = zip(judgement.top[row], judgement.top_probs[row], strict=True)
        yield NewFinding(
            sample_id=sample_id,
            row=int(row),
            rank=int(judgement.rank[row]),
            kind=FindingKind(int(judgement.kind[row])),
            given=int(snapshot.labels[row]),
            pseudo=int(judgement.pseudo[row]),
            confidence=float(judgement.confidence[row]),
            self_confidence=float(judgement.self_confidence[row]),
            margin=float(judgement.margin[row]),
            fold=int(judgement.fold[row]),
            split=splits.get(sample_id, ""),
            top=[[int(label), round(float(probability), 6)] for label, probability in likeliest],
            similarity_rank=None if similarity is None else int(similarity[row]),
        )
