"""The steps of a round around the training: the labels it opens with, and findings that appear all at once."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from app.services import reviews
from app.services.app_context import AppContext
from app.services.evaluation import splits as evaluation
from app.services.reviews import Choice, RefusedError
from app.services.rounds import jobs as rounds
from app.worker import finding_writer, steps
from core.config import Member, ProbabilityMethod, RoundConfig, Weights
from core.data.snapshot import Snapshot
from core.rounds import fold_split
from core.types import (
    NO_LABEL,
    FindingFilter,
    FindingKind,
    JobStatus,
    Progress,
    RoundCancelledError,
    RoundError,
    Verdict,
)
from db.models import FindingRow, SampleRow
from db.queries import evaluation as evaluation_rows, findings, projection, rounds as round_rows
from tests.app.small import NOW, add_dataset, add_done_round

PETS = [0, 1] * 10


def go_on() -> bool:
    return False


def found(app_context: AppContext, round_id: int) -> int:
    with app_context.database.read() as session:
        return findings.count(session, FindingFilter(round_id=round_id, kinds=frozenset(), statuses=frozenset()))


def opened_round(app_context: AppContext) -> int:
    """Return a round whose labels are frozen and whose folds all predict class 1 for the first sample."""
    round_id = rounds.start_round(app_context, add_dataset(app_context, PETS), RoundConfig(folds=2), "ada").id
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    for fold in range(2):
        rows = np.arange(fold, len(PETS), 2)
        predicted = np.where(rows == 0, 1, np.array(PETS)[rows])
        logits = 4 * np.eye(2, dtype=np.float32)[predicted]
        np.savez(app_context.round_folder(round_id) / f"fold_{fold}.npz", rows=rows, logits=logits)
    return round_id


def test_progress_is_written_twice_a_second_and_new_stages_immediately(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_id = opened_round(app_context)
    with app_context.database.write() as session:
        attempt = round_rows.begin_fold(session, round_id, 0, NOW)
    assert attempt is not None
    held = steps.HeldPiece(
        app_context,
        write=lambda session, progress, at: round_rows.write_fold(session, round_id, 0, attempt, progress, now=at),
        holds=lambda session: round_rows.holds_fold(session, round_id, 0, attempt),
    )
    now = 100.0
    monkeypatch.setattr(steps.time, "monotonic", lambda: now)
    seen: list[tuple[str, int]] = []
    for epoch in range(40):
        held.report(Progress("training", 0, 2, epoch, 40))
        now += 0.0625
        run = rounds.progress(app_context, round_id).folds[0]
        seen.append((run.stage, run.epoch))
    assert len(set(seen)) == 5
    assert seen[-1] == ("training", 32)
    held.report(Progress("predicting", 0, 2, 40, 40))
    assert rounds.progress(app_context, round_id).folds[0].epoch == 40


def test_a_round_never_uses_the_folds_of_another_round(app_context: AppContext) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, PETS), RoundConfig(folds=2), "ada")
    folder = app_context.round_folder(started.id)
    folder.mkdir(parents=True)
    (folder / "fold_0.npz").write_bytes(b"of the same number, before the database was lost")
    steps.take_snapshot(app_context, go_on, round_id=started.id)
    assert sorted(path.name for path in folder.iterdir()) == ["label_changes.json", "snapshot.npz"]


def test_finishing_a_round_prunes_decoded_images_to_the_budget(app_context: AppContext) -> None:
    chosen = app_context.settings.model_copy(update={"cache_gigabytes": 1e-6})
    small = replace(app_context, settings=chosen)
    small.image_caches.mkdir(parents=True)
    for name, used_at in [("old", 1), ("new", 2)]:
        array = small.image_caches / f"{name}-8-rgb.npy"
        np.save(array, np.zeros(800, np.uint8))
        os.utime(array, (used_at, used_at))
    steps.judge(small, go_on, round_id=opened_round(small))
    assert [path.name for path in small.image_caches.iterdir()] == ["new-8-rgb.npy"]


def test_a_round_opens_with_decided_labels_and_without_samples_that_have_no_label(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, [0, 0, 0, 1, 1, 1, 1, None])
    first = add_done_round(app_context, dataset_id)
    with app_context.database.read() as session:
        listed = {sample: finding for finding, sample in _findings(session, first)}
    reviews.decide(app_context, [Choice(listed[1], Verdict.ACCEPT)], by="ada")
    reviews.decide(app_context, [Choice(listed[2], Verdict.AMBIGUOUS)], by="ada")
    with app_context.database.write() as session:
        gone = session.get(SampleRow, 7)
        assert gone is not None
        gone.vanished_at = NOW
    started = rounds.start_round(app_context, dataset_id, RoundConfig(folds=2), "ada")
    steps.take_snapshot(app_context, go_on, round_id=started.id)
    snapshot = Snapshot.load(app_context.round_folder(started.id))
    labels = dict(zip(snapshot.sample_ids.tolist(), snapshot.labels.tolist(), strict=True))
    assert labels == {1: 1, 3: 0, 4: 1, 5: 1, 6: 1, 8: NO_LABEL}
    info = rounds.get_round(app_context, started.id)
    assert info.status is JobStatus.RUNNING
    assert info.snapshot_hash == snapshot.hash


def test_a_round_opens_with_the_evaluation_split_marked(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    with app_context.database.write() as session:
        for sample in session.query(SampleRow).where(SampleRow.id > 10):
            sample.split = "test"
    evaluation.protect(app_context, dataset_id, "test")
    started = rounds.start_round(app_context, dataset_id, RoundConfig(folds=2), "ada")
    steps.take_snapshot(app_context, go_on, round_id=started.id)
    snapshot = Snapshot.load(app_context.round_folder(started.id))
    assert snapshot.protected is not None
    assert snapshot.sample_ids[snapshot.protected].tolist() == list(range(11, 21))


def test_accepted_labels_of_unlabelled_images_are_judged_by_the_fold_not_trained_on_them(
    app_context: AppContext,
) -> None:
    dataset_id = add_dataset(app_context, [None, None] + [0, 1] * 6)
    first = add_done_round(app_context, dataset_id)
    with app_context.database.write() as session:
        session.execute(update(FindingRow).values(kind=FindingKind.UNLABELLED, given=NO_LABEL))
        projection.count_again(session, first)
    unlabelled = FindingFilter(round_id=first, kinds=frozenset({FindingKind.UNLABELLED}))
    assert reviews.accept_all(app_context, unlabelled, by="ada").size == 2
    started = rounds.start_round(app_context, dataset_id, RoundConfig(folds=3), "ada")
    steps.take_snapshot(app_context, go_on, round_id=started.id)
    snapshot = Snapshot.load(app_context.round_folder(started.id))
    held = [fold_split(snapshot, RoundConfig(folds=3), fold) for fold in range(3)]
    for row in np.flatnonzero(snapshot.sample_ids <= 2).tolist():
        judges = [row in one.held_rows for one in held]
        assert sum(judges) == 1
        assert [row in one.learn_rows for one in held] == [not judging for judging in judges]


def test_a_round_whose_labels_were_all_removed_fails_with_the_cause(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    started = rounds.start_round(app_context, dataset_id, RoundConfig(folds=2), "ada")
    with app_context.database.write() as session:
        for sample in session.query(SampleRow).where(SampleRow.label == 1):
            sample.vanished_at = NOW
    with pytest.raises(RoundError, match="every label of pets is 'cat'"):
        steps.take_snapshot(app_context, go_on, round_id=started.id)


def test_findings_appear_with_the_round_and_a_repeated_step_changes_nothing(app_context: AppContext) -> None:
    round_id = opened_round(app_context)
    steps.judge(app_context, go_on, round_id=round_id)
    info = rounds.get_round(app_context, round_id)
    assert info.status is JobStatus.DONE
    assert info.accuracy == 0.95
    assert found(app_context, round_id) == len(PETS)
    with app_context.database.read() as session:
        suspicious = FindingFilter(round_id=round_id, kinds=frozenset({FindingKind.SUSPICIOUS}))
        assert findings.count(session, suspicious) == 1
    with pytest.raises(RoundCancelledError):
        steps.judge(app_context, go_on, round_id=round_id)
    assert found(app_context, round_id) == len(PETS)


def test_a_step_interrupted_between_two_chunks_restarts_cleanly_before_any_decision(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_id = opened_round(app_context)
    monkeypatch.setattr(finding_writer, "CHUNK", 6)
    with pytest.raises(RoundCancelledError):
        steps.judge(app_context, _true_from(3), round_id=round_id)
    assert rounds.get_round(app_context, round_id).status is JobStatus.RUNNING
    with pytest.raises(RefusedError, match="running"):
        reviews.accept_all(app_context, FindingFilter(round_id=round_id, fold=0), by="ada")
    with app_context.database.read() as session:
        written = _findings(session, round_id)
    with pytest.raises(RefusedError, match="running"):
        reviews.decide(app_context, [Choice(written[0][0], Verdict.ACCEPT)], by="ada")
    steps.judge(app_context, go_on, round_id=round_id)
    assert found(app_context, round_id) == len(PETS)


def test_a_round_cancelled_while_writing_findings_keeps_none(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    round_id = opened_round(app_context)
    monkeypatch.setattr(finding_writer, "CHUNK", 6)

    def cancel() -> bool:
        rounds.cancel_round(app_context, round_id)
        return False

    steps.judge(app_context, cancel, round_id=round_id)
    assert rounds.get_round(app_context, round_id).status is JobStatus.CANCELLED
    assert found(app_context, round_id) == 0


def test_images_moved_to_the_evaluation_split_while_findings_are_written_are_shown_there(
    app_context: AppContext,
) -> None:
    round_id = opened_round(app_context)
    with app_context.database.write() as session:
        session.execute(update(SampleRow).values(split="train"))
        session.execute(update(SampleRow).where(SampleRow.id > 10).values(split="test"))
        session.execute(update(SampleRow).where(SampleRow.id == 3).values(split="test", vanished_at=NOW))
    evaluation.protect(app_context, 1, "test")

    def move() -> bool:
        with app_context.database.write() as session:
            evaluation_rows.move_to_split(session, [1], "test")  # as an import does
        return False

    steps.judge(app_context, move, round_id=round_id)
    with app_context.database.read() as session:
        splits = dict(session.execute(select(FindingRow.sample_id, FindingRow.split)).all())
    assert splits == {sample: "train" if sample in (2, *range(4, 11)) else "test" for sample in range(1, 21)}
    everything = FindingFilter(round_id=round_id, kinds=frozenset(FindingKind), min_confidence=0)
    assert reviews.accept_all(app_context, everything, by="ada").size == 8


def _true_from(call: int) -> Callable[[], bool]:
    calls = iter(range(1, 1000))
    return lambda: next(calls) >= call


def _findings(session: object, round_id: int) -> list[tuple[int, int]]:
    from sqlalchemy import select
    from sqlalchemy.orm import Session

    from db.models import FindingRow

    assert isinstance(session, Session)
    query = select(FindingRow.id, FindingRow.sample_id).where(FindingRow.round_id == round_id)
    return [(finding, sample) for finding, sample in session.execute(query)]


def test_the_round_has_the_hashes_of_downloaded_weights_once_its_first_fold_is_done(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    monkeypatch.setattr(
        "core.learn.models.weights.find_cached", lambda _: file if (tmp_path / "downloaded").exists() else None
    )

    def learn(*_arguments: object, **_options: object) -> None:
        (tmp_path / "downloaded").touch()

    monkeypatch.setattr("core.rounds.run_fold", learn)
    probe = {"method": ProbabilityMethod.PROBE, "weights": Weights.PRETRAINED}
    further = Member(model="convnext_tiny", input_size=64, **probe)
    config = RoundConfig(folds=2, model="resnet18", input_size=64, members=(further,), **probe)
    round_id = rounds.start_round(app_context, add_dataset(app_context, PETS), config, "ada").id
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    steps.train_fold(app_context, go_on, round_id=round_id, fold=0)
    versions = rounds.get_round(app_context, round_id).versions or {}
    digest = hashlib.sha256(b"weights").hexdigest()
    assert "resnet18" in versions["weights"]
    assert "convnext_tiny" in versions["weights of network 2"]
    assert all(digest in versions[name] for name in ("weights", "weights of network 2"))
