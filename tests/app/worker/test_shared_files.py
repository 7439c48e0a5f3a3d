"""Two homes that share a database and a store of files: what one makes the other works with, bit for bit."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from app.services.app_context import AppContext, open_app
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.rounds import jobs as rounds
from app.services.tags import current as tags
from app.settings import Settings
from app.worker import sharing, steps
from core.config import SMALL_MASK_NETWORK, RoundConfig
from core.data.shared_rounds import _read_manifest, pieces_of
from core.data.store import STATE, close_store, prune_copies
from core.learn import cross_training, crossfold, training
from core.types import JobStatus, Progress, Recipe, RoundCancelledError
from db.models import SampleRow
from db.queries import rounds as round_rows
from tests.app.evaluated import spoil_and_clean
from tests.app.services import reviewed
from tests.app.worker.test_worker import TINY, children_of, ended, is_alive, start_worker, until
from tools.fixtures.object_store import ObjectStore
from tools.fixtures.scenes import HOUSE, ROAD, SKY, TREE, add_scenes

pytest_plugins = ["tests.object_store", "tests.postgres"]
CONFIG = RoundConfig(epochs=2, **TINY)
MASKS = {"folds": 2, "model": SMALL_MASK_NETWORK, "input_size": 32, "epochs": 1, "batch_size": 4, "device": "cpu"}


def never() -> bool:
    return False


def new_home(home: Path, **settings: Any) -> AppContext:
    return open_app(Settings(home=home, demo=False, embedded_worker=False, **settings))


@pytest.fixture
def homes(
    tmp_path: Path, bucket: ObjectStore, request: pytest.FixtureRequest
) -> Iterator[tuple[AppContext, AppContext]]:
    """Return two homes on one database, SQLite unless a parameter says otherwise, and one bucket."""
    urls = [f"sqlite:///{tmp_path / name}.sqlite" for name in ("shared", "engine")]
    if getattr(request, "param", "") == "postgresql":
        urls = [request.getfixturevalue("postgres_url")] * 2
    shared = {"database_url": urls[0], "engine_url": urls[1], "files_url": bucket.url}
    opened = [new_home(tmp_path / name, **shared) for name in ("one", "other")]
    yield opened[0], opened[1]
    for one in opened:
        one.database.close()
        close_store(one.files)


def import_digits(app_context: AppContext, folder: Path) -> None:
    imports.run_import(app_context, imports.add_import(app_context, ImportRequest(name="digits", source=str(folder))))


def measured(app_context: AppContext, round_id: int = 1) -> dict[str, Any] | None:
    with app_context.database.read() as session:
        return round_rows.metrics_of(session, round_id)


def queue_round(app_context: AppContext, config: RoundConfig = CONFIG) -> int:
    with app_context.database.write() as session:
        return round_rows.add_round(session, 1, config.to_json(), "ada", datetime.now(UTC))


def kept(folder: Path) -> dict[str, Any]:
    """Return what a round's folder holds, but how long the folds took."""
    found: dict[str, Any] = {}
    for path in (path for path in folder.rglob("*") if path.is_file() and path.name != STATE):
        name = path.relative_to(folder).as_posix()
        if path.name.startswith("fold_") and path.suffix == ".npz":
            with np.load(path) as arrays:
                found |= {f"{name}/{one}": arrays[one].tobytes() for one in arrays.files if one != "summary"}
        elif path.suffix != ".lock":
            found[name] = path.read_bytes()
    return found


@pytest.mark.slow
def test_a_round_done_in_turn_by_two_homes_equals_that_of_a_plain_folder(
    homes: tuple[AppContext, AppContext], tmp_path: Path, digits_folder: Path
) -> None:
    plain = new_home(tmp_path / "plain")
    import_digits(plain, digits_folder)
    one, other = homes
    import_digits(one, digits_folder)
    for app_contexts in ((plain,) * 4, (one, other, one, other)):
        opening, *training, judging = app_contexts
        number = queue_round(opening)
        steps.take_snapshot(opening, never, round_id=number)
        for fold, where in enumerate(training):
            steps.train_fold(where, never, round_id=number, fold=fold)
        steps.judge(judging, never, round_id=number)
    wanted = kept(plain.round_folder(1))
    assert wanted["probabilities.npy"]
    for app_context in homes:
        assert rounds.get_round(app_context, 1).status is JobStatus.DONE
        assert kept(app_context.round_folder(1)) == wanted
    assert measured(other) == measured(plain)
    plain.database.close()


@pytest.mark.slow
def test_a_fold_taken_over_by_another_home_continues_from_its_checkpoint_bit_for_bit(
    homes: tuple[AppContext, AppContext], tmp_path: Path, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RoundConfig(epochs=5, **TINY)
    plain = new_home(tmp_path / "plain")
    one, other = homes
    for app_context in (plain, one):
        import_digits(app_context, digits_folder)
        steps.take_snapshot(app_context, never, round_id=queue_round(app_context, config))
    for fold in range(2):
        steps.train_fold(plain, never, round_id=1, fold=fold)
    steps.judge(plain, never, round_id=1)
    monkeypatch.setattr(sharing, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(sharing, "CHECKPOINT_SHARE", 1000.0)
    monkeypatch.setattr(crossfold, "CHECKPOINT_SHARE", 1.0)
    monkeypatch.setattr(training, "LOOK_SECONDS", 0.0)
    epochs: list[int] = []
    report = steps.HeldPiece.report

    def noted(held: steps.HeldPiece, progress: Progress) -> None:
        epochs.append(progress.epoch)
        report(held, progress)

    monkeypatch.setattr(steps.HeldPiece, "report", noted)
    store = one.shared
    assert store is not None
    with pytest.raises(RoundCancelledError):
        steps.train_fold(one, lambda: 3 in epochs, round_id=1, fold=0)
    assert store.remote.list("rounds/1/under_way/fold_0")
    epochs.clear()
    steps.train_fold(other, never, round_id=1, fold=0)
    assert min(epoch for epoch in epochs if epoch) == 4
    assert not store.remote.list("rounds/1/under_way")
    steps.train_fold(one, never, round_id=1, fold=1)
    steps.judge(other, never, round_id=1)
    assert kept(other.round_folder(1)) == kept(plain.round_folder(1))
    assert measured(other) == measured(plain)
    plain.database.close()


def few_digits(app_context: AppContext, folder: Path) -> int:
    """Queue a round of teacher and student over digits of which every third has a label."""
    import_digits(app_context, folder)
    with app_context.database.write() as session:
        session.execute(update(SampleRow).where(SampleRow.id % 3 != 0).values(label=None))
    settings = {"iterations": 1, "least_confidence": 0.0}
    config = RoundConfig(epochs=2, seed=1, **TINY)
    return rounds.start_round(app_context, 1, config, "ada", recipe=Recipe.ITERATED, recipe_config=settings).id


def few_scenes(app_context: AppContext, folder: Path) -> int:
    """Queue a round of cross training over scenes of which half have no mask, but tags."""
    add_scenes(app_context, folder / "scenes", 12, unlabelled=6)
    for sample_id in (8, 9, 11, 12):
        tags.tag(app_context, sample_id, [SKY, ROAD, HOUSE, TREE], by="ada")
    settings = {"steps": 4, "batch_size": 4, "block": 2}
    config = RoundConfig(**MASKS)
    return rounds.start_round(app_context, 1, config, "ada", recipe=Recipe.CROSS_TRAINING, recipe_config=settings).id


def judged_digits(app_context: AppContext, folder: Path) -> int:
    """Queue a comparison of the given labels with those that a person put right."""
    import_digits(app_context, folder)
    reviewed.add_round(app_context, 1)
    spoil_and_clean(app_context)
    config = RoundConfig(epochs=3, **TINY)
    return rounds.start_round(app_context, 1, config, "ada", recipe=Recipe.COMPARISON, recipe_config={"seeds": 1}).id


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("prepare", "ends_in", "done_before"),
    [
        (few_digits, "student 1 of 1", {"baseline.json", "pseudo_1.json"}),
        (few_scenes, "training both", {"baseline.json"}),
        (few_scenes, "painting", {"baseline.json", "pair.json"}),
        (judged_digits, "cleaned labels, seed 0", {"original_0.npz"}),
    ],
)
def test_a_recipe_that_another_home_takes_over_continues_from_its_stages_to_the_same_bits(
    homes: tuple[AppContext, AppContext],
    tmp_path: Path,
    digits_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[AppContext, Path], int],
    ends_in: str,
    done_before: set[str],
) -> None:
    plain = new_home(tmp_path / "plain")
    one, other = homes
    source = tmp_path if prepare is few_scenes else digits_folder
    for app_context in (plain, one):
        number = prepare(app_context, source)
        steps.take_snapshot(app_context, never, round_id=number)
    steps.train_fold(plain, never, round_id=number, fold=0)
    steps.judge(plain, never, round_id=number)
    monkeypatch.setattr(sharing, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(sharing, "CHECKPOINT_SHARE", 1000.0)
    for module in (training, cross_training):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    reports: list[str] = []
    report = steps.HeldPiece.report

    def noted(held: steps.HeldPiece, progress: Progress) -> None:
        reports.append(f"{progress.stage} {progress.message}")
        report(held, progress)

    monkeypatch.setattr(steps.HeldPiece, "report", noted)
    store, unit = one.shared, f"rounds/{number}"
    assert store is not None
    with pytest.raises(RoundCancelledError):  # at the third report of the stage, so that it has a checkpoint
        steps.train_fold(one, lambda: sum(ends_in in text for text in reports) > 2, round_id=number, fold=0)
    assert "state.1" in pieces_of(store, unit)
    shutil.rmtree(one.own_round_folder(number))  # that home is lost
    reports.clear()
    ready: set[str] = set()
    fetch = sharing.SharedCheckpoint.fetch

    def fetched(checkpoint: sharing.SharedCheckpoint) -> None:
        fetch(checkpoint)
        ready.update(path.name for path in other.own_round_folder(number).rglob("*"))

    monkeypatch.setattr(sharing.SharedCheckpoint, "fetch", fetched)
    steps.train_fold(other, never, round_id=number, fold=0)
    assert done_before <= ready
    assert not [piece for piece in pieces_of(store, unit) if piece.startswith("state")]
    steps.judge(other, never, round_id=number)
    for app_context in homes:
        assert kept(app_context.round_folder(number)) == kept(plain.round_folder(number))
    assert measured(other, number) == measured(plain, number)
    whole = {f"{one.hash}/{name}" for name, one in _read_manifest(store, unit, "done").items()}
    assert {key.removeprefix(f"{unit}/files/") for key in store.remote.list(f"{unit}/files")} == whole
    plain.database.close()


@pytest.mark.slow
def test_folds_of_masks_trained_in_two_homes_predict_the_same_as_in_a_plain_folder(
    homes: tuple[AppContext, AppContext], tmp_path: Path
) -> None:
    plain = new_home(tmp_path / "plain")
    one, other = homes
    config = RoundConfig(**MASKS)
    for number, app_contexts in enumerate(((plain,) * 4, (one, other, one, other))):
        add_scenes(app_contexts[0], tmp_path / f"scenes{number}", unlabelled=2)
        queue_round(app_contexts[0], config)
        opening, *training, judging = app_contexts
        steps.take_snapshot(opening, never, round_id=1)
        for fold, where in enumerate(training):
            steps.train_fold(where, never, round_id=1, fold=fold)
        steps.judge(judging, never, round_id=1)
    names = ("predicted.npy", "confidence.npy", "given_probability.npy", "fold.npy")
    for app_context in homes:
        folder = app_context.round_folder(1)
        for name in names:
            assert np.array_equal(np.load(folder / name), np.load(plain.round_folder(1) / name)), name
        assert not (folder / "parts").exists()
        assert not (folder / "votes").exists()
    assert measured(one) == measured(plain)
    plain.database.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("homes", ["sqlite", "postgresql"], indirect=True)
def test_a_worker_killed_during_an_upload_is_replaced_by_one_of_another_home(
    homes: tuple[AppContext, AppContext], workers: list[subprocess.Popen[bytes]], digits_folder: Path
) -> None:
    one, other = homes
    import_digits(one, digits_folder)
    workers.append(start_worker(one))
    store = one.shared
    assert store is not None
    started = rounds.start_round(one, 1, CONFIG, "ada")
    until(lambda: store.remote.list("rounds/1/files"))  # its opening is under way, or is done
    os.kill(workers[0].pid, signal.SIGKILL)
    workers[0].wait()
    until(lambda: not any(map(is_alive, children_of(workers[0].pid))))
    workers.append(start_worker(other, impatient=True))
    done = ended(other, started)
    assert done.status is JobStatus.DONE, done.message
    shutil.rmtree(one.own_round_folder(1), ignore_errors=True)
    assert kept(one.round_folder(1)) == kept(other.round_folder(1))


@pytest.mark.slow
def test_copies_removed_to_make_room_are_fetched_again_on_access(
    homes: tuple[AppContext, AppContext], digits_folder: Path
) -> None:
    one, other = homes
    import_digits(one, digits_folder)
    queue_round(one)
    steps.take_snapshot(one, never, round_id=1)
    for fold in range(2):
        steps.train_fold(one, never, round_id=1, fold=fold)
    steps.judge(one, never, round_id=1)
    wanted = kept(other.round_folder(1))
    store = other.shared
    assert store is not None
    assert prune_copies(replace(store, budget=0), grace_seconds=-1) > 0
    assert not other.own_round_folder(1).exists()
    assert kept(other.round_folder(1)) == wanted
    before = one.round_bytes(1)
    other.remove_round(1)
    assert before > 0
    assert one.round_bytes(1) == 0
