"""Rounds without a worker: what may start, what is refused and why, how long it takes, how two compare."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import case, update

from app.services import jobs, reviews, rounds
from app.services.models import model_names
from app.services.rounds import FoldRun
from app.services.workspace import Workspace
from core.config import SMALL_NETWORK, RoundConfig
from core.types import EVERY_FOLD, NO_LABEL, FindingFilter, FindingKind, Progress, RoundError, RoundStatus
from db.models import SampleRow
from db.queries import findings as finding_rows
from db.queries import folds as fold_rows
from db.queries import rounds as rows
from db.queries.findings import NewFinding
from tests.app.small import NOW, add_dataset, add_done_round

PETS = [0, 1] * 10
CONFIG = RoundConfig(folds=2)


def test_a_started_round_waits_with_its_folds_and_the_engine_knows_it(workspace: Workspace) -> None:
    started = rounds.start_round(workspace, add_dataset(workspace, PETS), CONFIG, "ada")
    shown = rounds.progress(workspace, started.id)
    assert (started.number, started.status, started.created_by) == (1, RoundStatus.QUEUED, "ada")
    assert [fold.status for fold in shown.folds] == [RoundStatus.QUEUED] * 2
    assert shown.fraction == 0
    assert not shown.worker.is_alive
    assert "python -m app worker" in shown.worker.text
    assert jobs.is_active(workspace, jobs.round_job(started.id))


def test_labels_that_people_gave_to_what_had_none_count_at_the_start(workspace: Workspace) -> None:
    dataset_id = add_dataset(workspace, [0, 1, 0, 1] + [None] * 30)
    with pytest.raises(RoundError, match="4 labelled images, too few for 5 folds"):
        rounds.start_round(workspace, dataset_id, RoundConfig(folds=5), "ada")
    accept_proposals(workspace, dataset_id, range(5, 35))
    reviews.undo(workspace, dataset_id, by="ada")
    with pytest.raises(RoundError, match="4 labelled images"):
        rounds.start_round(workspace, dataset_id, RoundConfig(folds=5), "ada")
    reviews.redo(workspace, dataset_id, by="ada")
    assert rounds.start_round(workspace, dataset_id, RoundConfig(folds=5), "ada").status is RoundStatus.QUEUED


def accept_proposals(workspace: Workspace, dataset_id: int, sample_ids: Iterable[int]) -> None:
    """Let a finished round propose a class for each of these images, and accept all of them."""
    found = [
        NewFinding(
            sample_id=number, row=number - 1, rank=number, kind=FindingKind.UNLABELLED, given=NO_LABEL,
            pseudo=number % 2, confidence=0.99, self_confidence=1.0, margin=1.0, fold=EVERY_FOLD, split="",
            top=[[number % 2, 0.99]], similarity_rank=None,
        )
        for number in sample_ids
    ]  # fmt: skip
    with workspace.database.write() as session:
        round_id = rows.add_round(session, dataset_id, CONFIG.to_json(), "ada", NOW)
        rows.begin_round(session, round_id, "x", NOW)
        finding_rows.add_findings(session, round_id, found)
        finding_rows.open_findings(session, round_id)
        rows.end_round(session, round_id, RoundStatus.DONE, "", NOW)
    kinds = frozenset({FindingKind.UNLABELLED})
    reviews.accept_all(workspace, FindingFilter(round_id=round_id, kinds=kinds, min_confidence=0.5), by="ada")


def test_eight_clicks_at_once_make_one_round(workspace: Workspace) -> None:
    dataset_id = add_dataset(workspace, PETS)

    def click(_: int) -> bool:
        try:
            rounds.start_round(workspace, dataset_id, CONFIG, "ada")
        except RoundError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(click, range(8))) == 1
    assert len(rounds.list_rounds(workspace, dataset_id)) == 1


def test_a_second_round_is_refused_until_the_first_is_cancelled(workspace: Workspace) -> None:
    dataset_id = add_dataset(workspace, PETS)
    first = rounds.start_round(workspace, dataset_id, CONFIG, "ada")
    with pytest.raises(RoundError, match="Round 1 of pets is still queued; wait for it or cancel it"):
        rounds.start_round(workspace, dataset_id, CONFIG, "bob")
    assert rounds.cancel_round(workspace, first.id)
    assert not jobs.is_active(workspace, jobs.round_job(first.id))
    assert rounds.start_round(workspace, dataset_id, CONFIG, "bob").number == 2


def test_more_folds_than_groups_are_refused_at_the_start_and_never_proposed(workspace: Workspace) -> None:
    dataset_id = add_dataset(workspace, PETS)
    with workspace.database.write() as session:
        session.execute(update(SampleRow).values(group=case((SampleRow.id <= 12, "monday"), else_="tuesday")))
    assert rounds.propose_config(workspace, dataset_id).folds == 2
    with pytest.raises(RoundError, match="of 2 groups that must stay whole, too few for 5 folds; choose at most 2"):
        rounds.start_round(workspace, dataset_id, RoundConfig(folds=5), "ada")
    with workspace.database.write() as session:
        session.execute(update(SampleRow).values(group="monday"))
    with pytest.raises(RoundError, match="of 1 group that must stay whole, too few for 2 folds; give its images"):
        rounds.start_round(workspace, dataset_id, CONFIG, "ada")


def test_another_dataset_may_have_a_round_at_the_same_time(workspace: Workspace) -> None:
    first = rounds.start_round(workspace, add_dataset(workspace, PETS), CONFIG, "ada")
    second = rounds.start_round(workspace, add_dataset(workspace, PETS, name="others"), CONFIG, "ada")
    assert first.number == second.number == 1
    assert rounds.progress(workspace, second.id).ahead == 1


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
    workspace: Workspace, labels: list[int | None], said: str
) -> None:
    with pytest.raises(RoundError, match=said):
        rounds.start_round(workspace, add_dataset(workspace, labels), RoundConfig(folds=4), "ada")


def test_an_unknown_network_is_refused_with_names_like_it(workspace: Workspace) -> None:
    with pytest.raises(RoundError, match="did you mean resnet18"):
        rounds.start_round(workspace, add_dataset(workspace, PETS), RoundConfig(model="resnet_18"), "ada")


def test_networks_are_known_without_loading_any() -> None:
    assert model_names()[0] == SMALL_NETWORK
    assert {"resnet18", "convnext_tiny", "vit_small_patch16_224"} <= set(model_names())


def test_what_is_proposed_follows_from_the_images(workspace: Workspace) -> None:
    proposal = rounds.propose(workspace, add_dataset(workspace, PETS))
    assert (proposal.config.model, proposal.config.input_size, proposal.config.grey) == (SMALL_NETWORK, 28, True)
    assert proposal.images == "28 x 28 grey images"


def test_a_dataset_or_round_that_is_not_there_is_said_so(workspace: Workspace) -> None:
    with pytest.raises(RoundError, match="no dataset 7"):
        rounds.propose(workspace, 7)
    with pytest.raises(RoundError, match="no round 7"):
        rounds.get_round(workspace, 7)


def test_an_older_attempt_writes_nothing(workspace: Workspace) -> None:
    started = rounds.start_round(workspace, add_dataset(workspace, PETS), CONFIG, "ada")
    progress = Progress("training", 0, 2, 3, 6, 0.5, loss=0.25)
    with workspace.database.write() as session:
        assert fold_rows.begin_fold(session, started.id, 0, NOW) is None  # the round does not run yet
        rows.begin_round(session, started.id, "training", NOW)
        first = fold_rows.begin_fold(session, started.id, 0, NOW)
        second = fold_rows.begin_fold(session, started.id, 0, NOW)
        assert (first, second) == (1, 2)
        assert first is not None
        assert second is not None
        assert not fold_rows.write_fold(session, started.id, 0, first, progress, now=NOW)
        assert not fold_rows.end_fold(session, started.id, 0, first, NOW)
        assert fold_rows.write_fold(session, started.id, 0, second, progress, now=NOW)
        assert fold_rows.holds_fold(session, started.id, 0, second)
    assert rounds.progress(workspace, started.id).folds[0].loss == 0.25
    rounds.cancel_round(workspace, started.id)
    with workspace.database.write() as session:
        assert not fold_rows.write_fold(session, started.id, 0, second, progress, now=NOW)
        assert not rows.end_round(session, started.id, RoundStatus.DONE, "", NOW)


def test_time_left_follows_from_finished_folds_or_the_first_one() -> None:
    def fold(number: int, status: RoundStatus, fraction: float, seconds: float) -> FoldRun:
        start = now - timedelta(seconds=seconds)
        finished = now if status is RoundStatus.DONE else None
        return FoldRun(number, 1, status, "", 0, 0, fraction, None, None, None, None, "", None, start, finished)

    now = datetime.now(UTC)
    waiting = FoldRun(2, 0, RoundStatus.QUEUED, "", 0, 0, 0.0, None, None, None, None, "", None, None, None)
    running = fold(1, RoundStatus.RUNNING, 0.5, 5)
    assert rounds.seconds_left([waiting], now) is None
    assert rounds.seconds_left([running, waiting], now) == pytest.approx(15, rel=0.01)
    assert rounds.seconds_left([fold(0, RoundStatus.DONE, 1.0, 20), running, waiting], now) == pytest.approx(30)


def test_rounds_are_compared_in_the_order_asked_for_and_unfinished_ones_left_out(workspace: Workspace) -> None:
    dataset_id = add_dataset(workspace, PETS)
    first = add_done_round(workspace, dataset_id)
    second = add_done_round(workspace, dataset_id, RoundConfig(folds=2, epochs=9))
    third = rounds.start_round(workspace, dataset_id, CONFIG, "ada").id
    compared = rounds.compare(workspace, [second, third, first])
    assert [one.round.id for one in compared] == [second, first]
    assert [(one.suspicious, one.decided, one.model_count) for one in compared] == [(2, 0, 1)] * 2
    assert [one.wrong and one.wrong.short for one in compared] == ["unknown"] * 2
    assert "estimated_errors" not in compared[0].numbers
    assert rounds.list_rounds(workspace, dataset_id)[1].accuracy == 0.9
