"""What a job's process does for each command. Every step may be killed at any moment and done again.

`should_stop` is asked between two batches. A round's findings are written while it still runs, in short transactions,
and become visible by the last one, which also ends the round: no half round is ever seen.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from app.services.networks import prune_networks
from app.services.painting_over import note_round
from app.services.second_opinions import ask_second_opinions
from app.services.workspace import Workspace
from app.worker.changes import note_changes, noted_changes
from app.worker.extending import take_over
from app.worker.opening import opening
from app.worker.recipes import RECIPES, RoundAtWork, ShouldStop
from app.worker.reporting import HeldFold
from app.worker.writing import OvertakenError, Writing, forget_unshown
from core.config import RoundConfig, Weights
from core.data.keeping import prune
from core.data.networks import hash_of_piece
from core.data.snapshot import Snapshot
from core.data.storage import beside, flush, is_partial_of
from core.judge.found import Found, Judged
from core.types import OutfoldError, Progress, RoundCancelledError, RoundStatus
from db.queries import evaluation, findings, folds, rounds, snapshots
from db.queries.findings import NewFinding
from db.queries.rounds import RoundInfo

CHUNK = 20_000  # findings in one transaction: well under a second of the write lock
NOTED_SECONDS = 1.0


def take_snapshot(workspace: Workspace, should_stop: ShouldStop, *, round_id: int) -> None:
    """Freeze the labels the round opens with: what people decided where they did, else what was given.

    All of it is made beside the round's folder and put into its place at once. A round that is open stays as it is,
    and so does what its folds have learnt by then.
    """
    if _is_open(workspace, round_id):
        return
    info = _begin(workspace, round_id, "collecting the labels")
    note = _Note(workspace, round_id, "collecting the labels")
    with beside(workspace.round_folder(round_id)) as folder:
        try:
            digest = _freeze(RoundAtWork(workspace, info, folder, note.report, should_stop))
        except (OutfoldError, OSError):
            if _is_open(workspace, round_id):
                return  # by another worker, whose round this must not end
            raise
        _put_in_place(workspace, round_id, folder, digest)


def _freeze(at_work: RoundAtWork) -> str:
    """Write what the round opens with and return the snapshot's hash."""
    recipe = RECIPES[at_work.info.recipe]
    name, snapshot, counts = opening(at_work.workspace, at_work.info.dataset_id)
    taken = take_over(at_work, snapshot)
    if taken is None:
        recipe.refuse(name, snapshot.classes, counts, at_work.config)
    snapshot = snapshot if taken is None else taken
    digest = snapshot.save(at_work.folder)
    note_changes(at_work, snapshot)
    recipe.open(at_work, snapshot)
    return digest


def _put_in_place(workspace: Workspace, round_id: int, made: Path, digest: str) -> None:
    """Make a folder the round's and note that the round is open, unless it is already or has ended."""
    folder = workspace.round_folder(round_id)
    with workspace.database.write() as session:
        info = rounds.get_round(session, round_id)
        if info.status is not RoundStatus.RUNNING or info.snapshot_hash is not None:
            return
        shutil.rmtree(folder, ignore_errors=True)  # of a round of the past: the database was lost and the files not
        made.rename(folder)
        flush(folder.parent)
        rounds.set_facts(session, round_id, {"snapshot_hash": digest, "stage": "waiting for a free worker"})
    for left in folder.parent.iterdir():
        if is_partial_of(left, folder):  # of a try that was cut off
            shutil.rmtree(left, ignore_errors=True)


def train_fold(workspace: Workspace, should_stop: ShouldStop, *, round_id: int, fold: int) -> None:
    """Train and predict one fold, unless it is done already; goes on from the last epoch's checkpoint."""
    with workspace.database.read() as session:
        asked = rounds.get_round(session, round_id)
    made_with = _versions(asked) if asked.recipe.trains else {}
    with workspace.database.write() as session:
        attempt = folds.begin_fold(session, round_id, fold, datetime.now(UTC))
        info = rounds.get_round(session, round_id)
        if attempt is None:
            return
        rounds.set_facts(session, round_id, {"stage": "training", "versions": made_with})
    held = HeldFold(workspace, round_id, fold, attempt)
    try:
        folder = workspace.round_folder(round_id)
        at_work = RoundAtWork(workspace, info, folder, held.report, lambda: should_stop() or held.is_lost())
        RECIPES[info.recipe].learn(at_work, fold)
    except RoundCancelledError:
        if not held.is_lost():
            raise
        return  # the row has said why: the round was cancelled, or a newer attempt does the fold
    model_hash = hash_of_piece(folder, fold)
    if made_with and any(network.weights is Weights.PRETRAINED for network in at_work.config.networks):
        made_with = _versions(asked)  # with the hashes of weights that were downloaded meanwhile
    with workspace.database.write() as session:
        rounds.set_facts(session, round_id, {"versions": made_with})
        folds.end_fold(session, round_id, fold, attempt, datetime.now(UTC), model_hash=model_hash)


def judge(workspace: Workspace, should_stop: ShouldStop, *, round_id: int) -> None:
    """Weigh all labels by the folds' predictions and write the findings; the last transaction shows them all."""
    info = _begin(workspace, round_id, "judging the labels")
    writing = Writing(workspace, round_id)
    note = _Note(workspace, round_id, "judging the labels")
    folder = workspace.round_folder(round_id)
    judged = RECIPES[info.recipe].judge(RoundAtWork(workspace, info, folder, note.report, should_stop))
    try:
        _show(workspace, info, writing, judged, should_stop)
    except OvertakenError:  # the round was cancelled, or another worker has taken it over
        forget_unshown(workspace, round_id)
        return
    prune(workspace.image_caches, workspace.settings.cache_bytes)
    prune_networks(workspace, info.dataset_id)


def _show(workspace: Workspace, info: RoundInfo, writing: Writing, judged: Judged, should_stop: ShouldStop) -> None:
    """Write what was found and end the round."""
    snapshot = Snapshot.load(workspace.round_folder(info.id))
    with workspace.database.read() as session:
        samples = snapshots.samples_for_round(session, info.dataset_id)
    rows = _findings(snapshot, judged.found, {sample.id: sample.split for sample in samples})
    with writing.transaction() as session:
        findings.remove_findings(session, info.id)  # of a try that was cut off
        rounds.set_facts(session, info.id, {"stage": "writing the findings"})
    while chunk := list(islice(rows, CHUNK)):
        if should_stop():
            raise RoundCancelledError(f"round {info.id} was cancelled")
        with writing.transaction() as session:
            findings.add_findings(session, info.id, chunk)
    with writing.transaction() as session:
        evaluation.take_round_along(session, info.id)  # images may have moved to another split since
        findings.open_findings(session, info.id)
        note_round(workspace, session, info.id)
        asked = ask_second_opinions(session, info)
        metrics = judged.metrics | noted_changes(workspace.round_folder(info.id))
        metrics |= {"second_opinions": asked} if asked else {}
        rounds.set_facts(session, info.id, {"metrics": metrics})
        rounds.end_round(session, info.id, RoundStatus.DONE, "", datetime.now(UTC))


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


def _versions(info: RoundInfo) -> dict[str, str]:
    """Return what networks are trained with; reads a file of weights, which no other writer should wait for."""
    from core.rounds import versions  # noqa: PLC0415  # torch, which imports and exports must not pay for

    return versions(config=RoundConfig.from_json(info.config))


def _begin(workspace: Workspace, round_id: int, stage: str) -> RoundInfo:
    with workspace.database.write() as session:
        if not rounds.begin_round(session, round_id, stage, datetime.now(UTC)):
            raise RoundCancelledError(f"round {round_id} was cancelled")
        return rounds.get_round(session, round_id)


def _is_open(workspace: Workspace, round_id: int) -> bool:
    """Whether the labels a round opens with are frozen."""
    with workspace.database.read() as session:
        return rounds.get_round(session, round_id).snapshot_hash is not None


class _Note:
    """Writes how far a stage is into the round's row, not too often."""

    def __init__(self, workspace: Workspace, round_id: int, stage: str) -> None:
        self._workspace = workspace
        self._round_id = round_id
        self._stage = stage
        self._noted = time.monotonic()

    def report(self, progress: Progress) -> None:
        """Write how far it is."""
        now = time.monotonic()
        if now - self._noted < NOTED_SECONDS:
            return
        self._noted = now
        with self._workspace.database.write() as session:
            rounds.set_facts(session, self._round_id, {"stage": f"{self._stage}: {progress.fraction:.0%}"})


def _findings(snapshot: Snapshot, found: Iterable[Found], splits: Mapping[int, str]) -> Iterator[NewFinding]:
    """Yield the rows to store; `found` comes most suspicious first."""
    for rank, one in enumerate(found):
        sample_id = int(snapshot.sample_ids[one.row])
        x, y, width, height = (None,) * 4 if one.region is None else one.region.box
        yield NewFinding(
            sample_id=sample_id,
            row=one.row,
            rank=rank,
            kind=one.kind,
            given=one.given,
            pseudo=one.pseudo,
            confidence=one.confidence,
            self_confidence=one.self_confidence,
            margin=one.margin,
            fold=one.fold,
            split=splits.get(sample_id, ""),
            top=one.top,
            similarity_rank=one.similarity_rank,
            contradicting=one.contradicting,
            x=x,
            y=y,
            width=width,
            height=height,
            area=None if one.region is None else one.region.area,
            region=None if one.region is None else one.region.to_bytes(),
        )
