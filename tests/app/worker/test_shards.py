"""Shards of a large round as jobs: made once, by any worker of any home, with the bits of a round without them."""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.services import jobs
from app.services.app_context import AppContext, open_app
from app.services.imports import jobs as imports
from app.services.imports.jobs import ImportRequest
from app.services.rounds import jobs as rounds, resume as resuming
from app.services.rounds.jobs import RoundInfo
from app.settings import Settings, settings
from app.worker import steps
from core.config import ProbabilityMethod, RoundConfig
from core.data import shards as dividing
from core.data.shards import shard_file
from core.data.store import STATE, close_store
from core.embedding import EmbedImages, embed_here, embed_shard
from core.types import ConfigError, JobStatus
from db.queries import rounds as round_rows
from tests.app.worker.test_worker import children_of, ended, is_alive, start_worker, until
from tools.fixtures.object_store import ObjectStore

pytest_plugins = ["tests.object_store", "tests.postgres", "tests.ray_cluster"]
SETTINGS = {"folds": 2, "method": ProbabilityMethod.PROBE, "model": "test_resnet", "input_size": 32, "device": "cpu"}
CONFIG = RoundConfig(batch_size=32, **SETTINGS)
SLOW = RoundConfig(batch_size=16, upscale=320, **SETTINGS)  # seconds a shard
COUNT = 10  # shards of 300 digits, and of 32 images


def never() -> bool:
    return False


def new_home(home: Path, digits: Path | None = None, **settings: Any) -> AppContext:
    opened = open_app(Settings(home=home, demo=False, embedded_worker=False, **settings))
    if digits is not None:
        imports.run_import(opened, imports.add_import(opened, ImportRequest(name="digits", source=str(digits))))
    return opened


@pytest.fixture
def home(tmp_path: Path, digits_folder: Path) -> Iterator[AppContext]:
    opened = new_home(tmp_path / "home", digits_folder)
    yield opened
    opened.database.close()


def add_round(app_context: AppContext, config: RoundConfig = CONFIG) -> int:
    with app_context.database.write() as session:
        return round_rows.add_round(session, 1, config.to_json(), "ada", datetime.now(UTC))


def open_in_shards(app_context: AppContext, config: RoundConfig = CONFIG) -> int:
    """Open a round whose images are in shards of 32, and return its id; no worker runs it yet."""
    number = add_round(app_context, config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dividing, "IMAGES", 32)
        steps.take_snapshot(app_context, never, round_id=number)
    assert len(shard_runs(app_context, number)) == COUNT
    return number


def start(app_context: AppContext, number: int) -> RoundInfo:
    """Hand a round over to the workers."""
    info = rounds.get_round(app_context, number)
    jobs.enqueue_round(app_context, number, round_rows.pieces(info.recipe, info.config))
    return info


def shard_runs(app_context: AppContext, number: int = 1) -> list[round_rows.ShardRun]:
    with app_context.database.read() as session:
        return round_rows.shards_of(session, number)


def kept(folder: Path) -> dict[str, Any]:
    """Return what a finished round's folder holds, but its division and how long the folds took."""
    found: dict[str, Any] = {}
    for path in (path for path in folder.rglob("*") if path.is_file() and path.name not in {STATE, "shards.json"}):
        name = path.relative_to(folder).as_posix()
        if path.name.startswith("fold_") and path.suffix == ".npz":
            with np.load(path) as arrays:
                found |= {f"{name}/{one}": arrays[one].tobytes() for one in arrays.files if one != "summary"}
        elif path.suffix != ".lock":
            found[name] = path.read_bytes()
    return found


def measured(app_context: AppContext) -> dict[str, Any] | None:
    with app_context.database.read() as session:
        return round_rows.metrics_of(session, 1)


def run_whole(app_context: AppContext, config: RoundConfig) -> dict[str, Any]:
    """Run a round without shards in this process and return what it keeps."""
    number = add_round(app_context, config)
    steps.take_snapshot(app_context, never, round_id=number)
    assert shard_runs(app_context, number) == []
    for fold in range(config.folds):
        steps.train_fold(app_context, never, round_id=number, fold=fold)
    steps.judge(app_context, never, round_id=number)
    return kept(app_context.round_folder(number))


def test_a_round_that_fits_one_shard_has_no_shards(home: AppContext) -> None:
    number = add_round(home)
    steps.take_snapshot(home, never, round_id=number)
    assert shard_runs(home, number) == []
    assert not list(home.round_folder(number).glob("shards*"))


def test_a_shard_is_made_once_and_its_progress_counts(home: AppContext) -> None:
    number = open_in_shards(home)
    steps.make_shard(home, never, round_id=number, shard=3)
    path = shard_file(home.round_folder(number), 3)
    written = path.stat().st_mtime_ns
    steps.make_shard(home, never, round_id=number, shard=3)
    assert path.stat().st_mtime_ns == written
    shown = rounds.progress(home, number)
    assert [run.attempt for run in shown.shards] == [0, 0, 0, 1] + [0] * 6
    assert shown.shards[3].status is JobStatus.DONE
    assert shown.shards_done == 1
    assert shown.fraction == pytest.approx(0.09)
    assert shown.seconds_left is not None
    assert (shown.round.versions or {})["torch"]


def test_a_late_writer_of_a_shard_changes_nothing(home: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    number = open_in_shards(home)
    path = shard_file(home.own_round_folder(number), 0)

    def taken_over(*arguments: Any, **named: Any) -> None:
        """Let another worker take the shard up and finish it, while this one only begins."""
        monkeypatch.setattr("core.embedding.embed_shard", embed_shard)
        steps.make_shard(home, never, round_id=number, shard=0)
        path.write_bytes(b"of the newer attempt")
        embed_shard(*arguments, **named)

    monkeypatch.setattr("core.embedding.embed_shard", taken_over)
    steps.make_shard(home, never, round_id=number, shard=0)
    (first, *_) = shard_runs(home, number)
    assert (first.attempt, first.status) == (2, JobStatus.DONE)
    assert path.read_bytes() == b"of the newer attempt"


def test_the_shards_of_a_cancelled_round_resume_where_they_stopped(home: AppContext) -> None:
    number = open_in_shards(home)
    steps.make_shard(home, never, round_id=number, shard=0)
    assert rounds.cancel_round(home, number)
    statuses = [run.status for run in shard_runs(home, number)]
    assert statuses == [JobStatus.DONE] + [JobStatus.CANCELLED] * (COUNT - 1)
    steps.make_shard(home, never, round_id=number, shard=1)
    assert not shard_file(home.round_folder(number), 1).exists()
    resuming.resume_round(home, number)
    statuses = [run.status for run in shard_runs(home, number)]
    assert statuses == [JobStatus.DONE] + [JobStatus.QUEUED] * (COUNT - 1)
    steps.take_snapshot(home, never, round_id=number)
    steps.make_shard(home, never, round_id=number, shard=1)
    assert [run.attempt for run in shard_runs(home, number)][:3] == [1, 1, 0]


def test_a_setting_selects_a_cluster_for_the_shards(home: AppContext, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def embed_on_cluster(address: str) -> EmbedImages:
        asked.append(address)
        return embed_here

    monkeypatch.setattr("core.cluster.embed_on_cluster", embed_on_cluster)
    number = open_in_shards(home)
    chosen = home.settings.model_copy(update={"ray_address": "head:6379"})
    steps.make_shard(replace(home, settings=chosen), never, round_id=number, shard=0)
    assert asked == ["head:6379"]
    steps.make_shard(home, never, round_id=number, shard=1)
    assert asked == ["head:6379"]
    assert [run.status for run in shard_runs(home)[:2]] == [JobStatus.DONE] * 2


def test_a_cluster_address_without_ray_is_refused_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTFOLD_RAY_ADDRESS", "head:6379")
    monkeypatch.setattr("app.settings.find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"OUTFOLD_RAY_ADDRESS .*package ray is not installed.*install ray 2\.60"):
        settings.__wrapped__()
    monkeypatch.setattr("app.settings.find_spec", lambda name: name)
    assert settings.__wrapped__().ray_address == "head:6379"


@pytest.fixture
def homes(tmp_path: Path, bucket: ObjectStore, digits_folder: Path) -> Iterator[tuple[AppContext, AppContext]]:
    """Return two homes on one database and one bucket."""
    urls = {f"{name}_url": f"sqlite:///{tmp_path / name}.sqlite" for name in ("database", "engine")}
    opened = [
        new_home(tmp_path / name, digits, files_url=bucket.url, **urls)
        for name, digits in (("one", digits_folder), ("other", None))
    ]
    yield opened[0], opened[1]
    for one in opened:
        one.database.close()
        close_store(one.files)


@pytest.mark.slow
def test_shards_made_by_two_homes_give_the_same_round_as_a_plain_folder(
    homes: tuple[AppContext, AppContext], tmp_path: Path, digits_folder: Path
) -> None:
    plain = new_home(tmp_path / "plain", digits_folder)
    wanted = run_whole(plain, CONFIG)
    one, other = homes
    number = open_in_shards(one)
    for shard in range(COUNT):
        steps.make_shard(homes[shard % 2], never, round_id=number, shard=shard)
    assert shard_file(one.own_round_folder(number), 0).exists()
    assert not shard_file(one.own_round_folder(number), 1).exists()
    for fold, where in enumerate((other, one)):
        steps.train_fold(where, never, round_id=number, fold=fold)
    assert [run.attempt for run in shard_runs(other)] == [1] * COUNT
    steps.judge(other, never, round_id=number)
    for app_context in homes:
        assert kept(app_context.round_folder(number)) == wanted
    assert measured(one) == measured(plain)
    store = one.shared
    assert store is not None
    assert not [key for key in store.remote.list("rounds/1/files") if "/shards/" in key]
    plain.database.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cancel_ends_a_running_shard_and_the_resumed_round_repeats_no_finished_shard(
    home: AppContext, workers: list[subprocess.Popen[bytes]]
) -> None:
    number = open_in_shards(home, SLOW)
    workers.append(start_worker(home))
    started = start(home, number)
    until(lambda: rounds.progress(home, number).shards_done >= 1 and rounds.progress(home, number).current_shards)
    (child,) = children_of(workers[0].pid)
    assert rounds.cancel_round(home, number)
    until(lambda: not is_alive(child), seconds=60)
    done = {run.shard: run.finished_at for run in shard_runs(home) if run.status is JobStatus.DONE}
    assert len(done) < COUNT
    resuming.resume_round(home, number)
    info = ended(home, started)
    assert info.status is JobStatus.DONE, info.message
    after = {run.shard: run.finished_at for run in shard_runs(home)}
    assert {shard: after[shard] for shard in done} == done


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_four_workers_killed_at_random_give_the_same_round_as_one_without_shards(
    postgres_url: str, tmp_path: Path, digits_folder: Path, workers: list[subprocess.Popen[bytes]]
) -> None:
    plain = new_home(tmp_path / "plain", digits_folder)
    wanted = run_whole(plain, SLOW)
    fleet = new_home(tmp_path / "home", digits_folder, database_url=postgres_url, engine_url=postgres_url)
    number = open_in_shards(fleet, SLOW)
    slots = [
        replace(fleet, settings=fleet.settings.model_copy(update={"worker_slot": str(place)})) for place in range(4)
    ]
    workers += [start_worker(slot) for slot in slots]
    started = start(fleet, number)
    chance, kills = random.Random(5), 0
    until(lambda: rounds.progress(fleet, number).shards_done >= 1)
    while (before := rounds.progress(fleet, number).shards_done) < COUNT - 1 and kills < 6:
        place = chance.randrange(4)
        os.kill(workers[place].pid, signal.SIGKILL)
        workers[place].wait()
        workers[place] = start_worker(slots[place])
        kills += 1
        until(lambda before=before: rounds.progress(fleet, number).shards_done > before)  # type: ignore[misc]
    info = ended(fleet, started)
    assert info.status is JobStatus.DONE, info.message
    assert kills >= 3
    assert kept(fleet.round_folder(number)) == wanted
    assert measured(fleet) == measured(plain)
    assert not (fleet.round_folder(number) / dividing.FOLDER).exists()
    plain.database.close()
    fleet.database.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_worker_gets_the_same_embeddings_from_a_cluster_as_alone(
    nodes: Any, tmp_path: Path, digits_folder: Path, workers: list[subprocess.Popen[bytes]]
) -> None:
    plain = new_home(tmp_path / "plain", digits_folder)
    wanted = run_whole(plain, CONFIG)
    home = new_home(tmp_path / "home", digits_folder, ray_address=nodes.address)
    number = open_in_shards(home)
    workers.append(start_worker(home))
    started = start(home, number)
    until(lambda: any("cluster" in run.stage for run in shard_runs(home)))
    info = ended(home, started)
    assert info.status is JobStatus.DONE, info.message
    assert kept(home.round_folder(number)) == wanted
    for one in (plain, home):
        one.database.close()
