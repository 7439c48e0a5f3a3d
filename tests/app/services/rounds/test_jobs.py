"""Rounds without a worker: start, refusals with reasons, durations, comparison of two."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import case, update

from app.services import jobs, reviews
from app.services.app_context import AppContext
from app.services.rounds import jobs as rounds
from app.services.rounds.jobs import FoldRun, ShardRun
from app.services.rounds.request import model_names
from core.config import SMALL_NETWORK, Member, ProbabilityMethod, RoundConfig, Weights
from core.types import (
    EVERY_FOLD,
    NO_LABEL,
    ConfigError,
    DatasetError,
    FindingFilter,
    FindingKind,
    JobStatus,
    Progress,
    Recipe,
    RoundError,
)
from db.loading import NewFinding
from db.models import SampleRow
from db.queries import findings as finding_rows, rounds as rows
from tests.app.small import NOW, add_dataset, add_done_round

PETS = [0, 1] * 10
CONFIG = RoundConfig(folds=2)


def test_a_started_round_is_queued_with_its_folds_on_the_engine(app_context: AppContext) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, PETS), CONFIG, "ada")
    shown = rounds.progress(app_context, started.id)
    assert (started.number, started.status, started.created_by) == (1, JobStatus.QUEUED, "ada")
    assert [fold.status for fold in shown.folds] == [JobStatus.QUEUED] * 2
    assert shown.fraction == 0
    assert not shown.worker.is_alive
    assert "one is starting" in shown.worker.text
    assert jobs.is_active(app_context, jobs.round_job(started.id))


def test_labels_given_to_unlabelled_images_count_at_the_start(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, [0, 1, 0, 1] + [None] * 30)
    with pytest.raises(RoundError, match="4 labelled images, too few for 5 folds"):
        rounds.start_round(app_context, dataset_id, RoundConfig(folds=5), "ada")
    accept_proposals(app_context, dataset_id, range(5, 35))
    reviews.undo(app_context, dataset_id, by="ada")
    with pytest.raises(RoundError, match="4 labelled images"):
        rounds.start_round(app_context, dataset_id, RoundConfig(folds=5), "ada")
    reviews.redo(app_context, dataset_id, by="ada")
    assert rounds.start_round(app_context, dataset_id, RoundConfig(folds=5), "ada").status is JobStatus.QUEUED


def accept_proposals(app_context: AppContext, dataset_id: int, sample_ids: Iterable[int]) -> None:
    """Let a finished round propose a class for each of these images, and accept all of them."""
    found = [
        NewFinding(
            sample_id=number, row=number - 1, rank=number, kind=FindingKind.UNLABELLED, given=NO_LABEL,
            pseudo=number % 2, confidence=0.99, self_confidence=1.0, margin=1.0, fold=EVERY_FOLD, split="",
            top=[[number % 2, 0.99]], similarity_rank=None,
        )
        for number in sample_ids
    ]  # fmt: skip
    with app_context.database.write() as session:
        round_id = rows.add_round(session, dataset_id, CONFIG.to_json(), "ada", NOW)
        rows.begin_round(session, round_id, "x", NOW)
        finding_rows.add_findings(session, round_id, found)
        finding_rows.open_findings(session, round_id)
        rows.end_round(session, round_id, JobStatus.DONE, "", NOW)
    kinds = frozenset({FindingKind.UNLABELLED})
    reviews.accept_all(app_context, FindingFilter(round_id=round_id, kinds=kinds, min_confidence=0.5), by="ada")


def test_eight_simultaneous_clicks_start_one_round(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)

    def click(_: int) -> bool:
        try:
            rounds.start_round(app_context, dataset_id, CONFIG, "ada")
        except RoundError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(click, range(8))) == 1
    assert len(rounds.list_rounds(app_context, dataset_id)) == 1


def test_a_second_round_is_refused_until_the_first_is_cancelled(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    first = rounds.start_round(app_context, dataset_id, CONFIG, "ada")
    with pytest.raises(RoundError, match="Round 1 of pets is still queued; wait for it or cancel it"):
        rounds.start_round(app_context, dataset_id, CONFIG, "bob")
    assert rounds.cancel_round(app_context, first.id)
    assert not jobs.is_active(app_context, jobs.round_job(first.id))
    assert rounds.start_round(app_context, dataset_id, CONFIG, "bob").number == 2


def test_more_folds_than_groups_are_refused_at_the_start_and_never_proposed(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    with app_context.database.write() as session:
        session.execute(update(SampleRow).values(group=case((SampleRow.id <= 12, "monday"), else_="tuesday")))
    assert rounds.propose_config(app_context, dataset_id).folds == 2
    with pytest.raises(RoundError, match="of 2 groups that must stay whole, too few for 5 folds; choose at most 2"):
        rounds.start_round(app_context, dataset_id, RoundConfig(folds=5), "ada")
    with app_context.database.write() as session:
        session.execute(update(SampleRow).values(group="monday"))
    with pytest.raises(RoundError, match="of 1 group that must stay whole, too few for 2 folds; give its images"):
        rounds.start_round(app_context, dataset_id, CONFIG, "ada")


def test_another_dataset_may_have_a_round_at_the_same_time(app_context: AppContext) -> None:
    first = rounds.start_round(app_context, add_dataset(app_context, PETS), CONFIG, "ada")
    second = rounds.start_round(app_context, add_dataset(app_context, PETS, name="others"), CONFIG, "ada")
    assert first.number == second.number == 1
    assert rounds.progress(app_context, second.id).ahead == 1


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([None] * 8, "no labels to learn from"),
        ([0] * 8, "every label of pets is 'cat'"),
        ([0, 0, 0, 1, 1, 1, 1, None], "choose at most 3 folds"),
        ([0, 1], "import more labelled images"),
    ],
)
def test_labels_that_cannot_be_cross_validated_are_refused_with_a_cure(
    app_context: AppContext, labels: list[int | None], said: str
) -> None:
    with pytest.raises(RoundError, match=said):
        rounds.start_round(app_context, add_dataset(app_context, labels), RoundConfig(folds=4), "ada")


def test_a_probe_is_refused_by_recipes_that_train_networks(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    config = RoundConfig(folds=2, method=ProbabilityMethod.PROBE, model="resnet18")
    with pytest.raises(ConfigError, match="trains whole networks; choose method 'fine-tune'"):
        rounds.start_round(app_context, dataset_id, config, "ada", recipe=Recipe.CROSS_TRAINING)


def test_a_probe_can_label_the_other_images(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, [0, 0, 1, 1, None, None])
    config = RoundConfig(folds=2, method=ProbabilityMethod.PROBE, model="resnet18")
    started = rounds.start_round(app_context, dataset_id, config, "ada", recipe=Recipe.ITERATED)
    assert started.config["method"] == "probe"


def test_an_unknown_network_is_refused_with_similar_names(app_context: AppContext) -> None:
    with pytest.raises(RoundError, match="did you mean resnet18"):
        rounds.start_round(app_context, add_dataset(app_context, PETS), RoundConfig(model="resnet_18"), "ada")


def test_networks_are_listed_without_loading_any() -> None:
    assert model_names()[0] == SMALL_NETWORK
    assert {"resnet18", "convnext_tiny", "vit_small_patch16_224"} <= set(model_names())


def test_the_proposed_config_suits_the_images(app_context: AppContext) -> None:
    proposal = rounds.propose(app_context, add_dataset(app_context, PETS))
    assert (proposal.config.model, proposal.config.input_size, proposal.config.grey) == (SMALL_NETWORK, 28, True)
    assert proposal.images == "28 x 28 grey images"


def test_a_missing_dataset_or_round_is_refused(app_context: AppContext) -> None:
    with pytest.raises(RoundError, match="no dataset 7"):
        rounds.propose(app_context, 7)
    with pytest.raises(RoundError, match="no round 7"):
        rounds.get_round(app_context, 7)


def test_a_superseded_attempt_writes_nothing(app_context: AppContext) -> None:
    started = rounds.start_round(app_context, add_dataset(app_context, PETS), CONFIG, "ada")
    progress = Progress("training", 0, 2, 3, 6, 0.5, loss=0.25)
    with app_context.database.write() as session:
        assert rows.begin_fold(session, started.id, 0, NOW) is None  # the round does not run yet
        rows.begin_round(session, started.id, "training", NOW)
        first = rows.begin_fold(session, started.id, 0, NOW)
        second = rows.begin_fold(session, started.id, 0, NOW)
        assert (first, second) == (1, 2)
        assert first is not None
        assert second is not None
        assert not rows.write_fold(session, started.id, 0, first, progress, now=NOW)
        assert not rows.end_fold(session, started.id, 0, first, NOW)
        assert rows.write_fold(session, started.id, 0, second, progress, now=NOW)
        assert rows.holds_fold(session, started.id, 0, second)
    assert rounds.progress(app_context, started.id).folds[0].loss == 0.25
    rounds.cancel_round(app_context, started.id)
    with app_context.database.write() as session:
        assert not rows.write_fold(session, started.id, 0, second, progress, now=NOW)
        assert not rows.end_round(session, started.id, JobStatus.DONE, "", NOW)


def test_the_remaining_time_follows_from_finished_folds_or_the_running_one() -> None:
    def fold(number: int, status: JobStatus, fraction: float, seconds: float) -> FoldRun:
        start = now - timedelta(seconds=seconds)
        finished = now if status is JobStatus.DONE else None
        return FoldRun(number, 1, status, "", 0, 0, fraction, None, None, None, None, "", None, start, None, finished)

    now = datetime.now(UTC)
    waiting = FoldRun(2, 0, JobStatus.QUEUED, "", 0, 0, 0.0, None, None, None, None, "", None, None, None, None)
    running = fold(1, JobStatus.RUNNING, 0.5, 5)
    assert rounds.seconds_left([waiting], now) is None
    assert rounds.seconds_left([running, waiting], now) == pytest.approx(15, rel=0.01)
    assert rounds.seconds_left([fold(0, JobStatus.DONE, 1.0, 20), running, waiting], now) == pytest.approx(25)


def test_the_remaining_time_of_shards_is_divided_by_the_running_ones() -> None:
    def shard(number: int, status: JobStatus, fraction: float) -> ShardRun:
        finished = now if status is JobStatus.DONE else None
        return ShardRun(number, 1, status, "", fraction, None, "", now - timedelta(seconds=20), None, finished)

    now = datetime.now(UTC)
    fold = FoldRun(0, 0, JobStatus.QUEUED, "", 0, 0, 0.0, None, None, None, None, "", None, None, None, None)
    waiting = ShardRun(9, 0, JobStatus.QUEUED, "", 0.0, None, "", None, None, None)
    done, running = shard(0, JobStatus.DONE, 1.0), [shard(one, JobStatus.RUNNING, 0.5) for one in (1, 2)]
    assert rounds.round_seconds_left([fold], [waiting], now) is None
    assert rounds.round_seconds_left([fold], [done, *running, waiting, waiting], now) == pytest.approx(40)
    assert rounds.round_seconds_left([fold], [done, waiting], now) == pytest.approx(20)
    assert rounds.round_seconds_left([fold], [done, done], now) is None


def test_the_remaining_time_decreases_between_two_reports() -> None:
    start = datetime.now(UTC)
    reported = start + timedelta(seconds=10)
    running = FoldRun(0, 1, JobStatus.RUNNING, "", 1, 4, 0.25, None, None, None, None, "", None, start, reported, None)
    left = [rounds.seconds_left([running], reported + timedelta(seconds=later)) for later in range(40)]
    assert left[0] == pytest.approx(30)
    assert left == sorted(left, key=lambda seconds: -(seconds or 0.0))
    assert left[-1] == 0


def test_rounds_are_compared_in_the_requested_order_without_unfinished_ones(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, PETS)
    first = add_done_round(app_context, dataset_id)
    second = add_done_round(app_context, dataset_id, RoundConfig(folds=2, epochs=9))
    third = rounds.start_round(app_context, dataset_id, CONFIG, "ada").id
    compared = rounds.compare(app_context, [second, third, first])
    assert [one.round.id for one in compared] == [second, first]
    assert [(one.suspicious, one.decided, one.model_count) for one in compared] == [(2, 0, 1)] * 2
    assert [one.wrong and one.wrong.short for one in compared] == ["unknown"] * 2
    assert "estimated_errors" not in compared[0].numbers
    assert rounds.list_rounds(app_context, dataset_id)[1].accuracy == 0.9


@pytest.mark.parametrize("place", ["outside/w.safetensors", "allowed/link.safetensors", "allowed/folder", "outside"])
@pytest.mark.parametrize("where", ["first", "member"])
def test_weights_are_read_only_from_allowed_folders(
    place: str, where: str, app_context: AppContext, tmp_path: Path
) -> None:
    outside, allowed = tmp_path / "outside", tmp_path / "allowed"
    (allowed / "folder").mkdir(parents=True)
    outside.mkdir()
    (outside / "w.safetensors").write_bytes(b"")
    (outside / "config.json").write_text("no config")
    for link in (allowed / "link.safetensors", allowed / "folder" / "model.safetensors"):
        link.symlink_to(outside / "w.safetensors")
    settings = app_context.settings.model_copy(update={"allowed_roots": str(allowed)})
    confined = AppContext(app_context.database, app_context.files, settings)
    named = {"weights": Weights.FILE, "weights_file": str(tmp_path / place)}
    member = RoundConfig(folds=2, members=(Member(**named),))
    config = replace(CONFIG, **named) if where == "first" else member
    dataset_id = add_dataset(app_context, PETS)
    with pytest.raises(DatasetError, match="outside the folders"):
        rounds.start_round(confined, dataset_id, config, "ada")
    assert rounds.list_rounds(app_context, dataset_id) == []
