"""Kept networks: recorded with their folds, locked while in use, removed with old rounds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.services.app_context import AppContext
from app.services.rounds import jobs as rounds, networks
from app.worker import steps
from core.config import RoundConfig
from core.data.networks import kept_networks
from core.types import JobStatus, RoundError
from db.models import FoldRunRow, RoundRow
from db.queries.rounds import folds_of
from tests.app.small import add_dataset, add_done_round
from tests.app.trained import DIGITS, STRIPES, go_on, import_folder, run_round, trained  # noqa: F401 a fixture
from tests.core.data.test_networks import keep


def test_a_fold_is_stored_with_the_hash_of_its_network(trained: AppContext) -> None:  # noqa: F811
    for round_id in (1, 2):
        with trained.database.read() as session:
            noted = [run.model_hash for run in folds_of(session, round_id)]
        kept = kept_networks(trained.round_folder(round_id))
        assert noted == [one.hash for one in kept]
        assert [one.name for one in kept] == ["fold_0", "fold_1"]
    (stripes,) = networks.networks_of(trained, 2)
    assert {one.about.colours for one in stripes.predicting} == {("#e6194b", "#3cb44b", "#ffe119")}
    assert all(one.about.temperature != 1.0 for one in stripes.predicting)


def test_the_networks_of_the_newest_or_the_named_round_are_used(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, [0, 1])
    first, second, third = (add_done_round(app_context, dataset_id) for _ in range(3))
    for round_id in (first, second):
        keep_two(app_context, round_id)
    assert [one.round.number for one in networks.networks_of(app_context, dataset_id)] == [2, 1]
    with networks.hold_networks(app_context, dataset_id) as asked:
        assert (asked.round.id, [one.name for one in asked.predicting]) == (second, ["fold_0", "fold_1"])
    with networks.hold_networks(app_context, dataset_id, 1) as asked:
        assert asked.round.id == first
    with (
        pytest.raises(RoundError, match=r"round 3 keeps no networks .* choose one of the rounds 2, 1"),
        networks.hold_networks(app_context, dataset_id, 3),
    ):
        pass
    assert rounds.get_round(app_context, third).status is JobStatus.DONE


def test_a_new_round_is_the_cure_without_any_network(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, [0, 1])
    with (
        pytest.raises(RoundError, match=r"no finished round keeps networks .* start a new round"),
        networks.hold_networks(app_context, dataset_id),
    ):
        pass


def test_a_missing_network_of_a_fold_is_named(trained: AppContext) -> None:  # noqa: F811
    folder = trained.round_folder(1)
    facts = folder / "fold_1.network.json"
    whole = facts.read_bytes()
    try:
        facts.unlink()
        with (
            pytest.raises(RoundError, match=r"has lost the network [0-9a-f]{32} of fold 2; put fold_1\.safetensors"),
            networks.hold_networks(trained, 1),
        ):
            pass
        facts.write_text(json.dumps(json.loads(whole) | {"hash": "0" * 32}))
        with pytest.raises(RoundError, match="of fold 2"), networks.hold_networks(trained, 1):
            pass
    finally:
        facts.write_bytes(whole)


def test_networks_of_older_rounds_are_removed_except_those_in_use_or_unfinished(app_context: AppContext) -> None:
    few = replace(app_context, settings=app_context.settings.model_copy(update={"keep_rounds": 1}))
    dataset_id, other = add_dataset(few, [0, 1]), add_dataset(few, [0, 1], name="others")
    first, second, failed, third = (add_done_round(few, dataset_id) for _ in range(4))
    elsewhere = add_done_round(few, other)
    unfinished = rounds.start_round(few, add_dataset(few, [0, 1] * 10, name="third"), RoundConfig(folds=2), "ada").id
    with few.database.write() as session:
        session.get(RoundRow, failed).status = JobStatus.FAILED
    for round_id in (first, second, failed, third, elsewhere, unfinished):
        keep_two(few, round_id)
    with networks.hold_networks(few, dataset_id, 1):
        assert networks.prune_networks(few, dataset_id) == 4 * 7
    assert [names(few, one) for one in (first, second, failed, third)] == [2, 0, 0, 2]
    assert networks.prune_networks(few, dataset_id) == 2 * 7
    assert [names(few, one) for one in (first, third, elsewhere, unfinished)] == [0, 2, 2, 2]
    assert not list(few.round_folder(first).iterdir())


def test_finishing_a_round_removes_networks_of_older_rounds(app_context: AppContext, digits_folder: Path) -> None:
    few = replace(app_context, settings=app_context.settings.model_copy(update={"keep_rounds": 1}))
    dataset_id = import_folder(few, "digits", digits_folder)
    config = replace(DIGITS, epochs=1)
    first, second = (run_round(few, dataset_id, replace(config, seed=seed)) for seed in (0, 1))
    assert [names(few, one) for one in (first, second)] == [0, 2]
    assert (few.round_folder(first) / "fold_0.npz").exists()


def test_repeating_a_fold_gives_the_same_hash(app_context: AppContext, digits_folder: Path) -> None:
    dataset_id = import_folder(app_context, "digits", digits_folder)
    round_id = rounds.start_round(app_context, dataset_id, replace(DIGITS, epochs=1), "ada").id
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    steps.train_fold(app_context, go_on, round_id=round_id, fold=0)
    (first,) = kept_networks(app_context.round_folder(round_id))
    for left in app_context.round_folder(round_id).glob("fold_0.*"):
        left.unlink()
    with app_context.database.write() as session:
        session.query(FoldRunRow).filter_by(fold=0).update({"status": JobStatus.QUEUED})
    steps.train_fold(app_context, go_on, round_id=round_id, fold=0)
    (again,) = kept_networks(app_context.round_folder(round_id))
    assert again.hash == first.hash


def keep_two(app_context: AppContext, round_id: int) -> None:
    folder = app_context.round_folder(round_id)
    folder.mkdir(parents=True)
    for fold in range(2):
        keep(folder, f"fold_{fold}")


def names(app_context: AppContext, round_id: int) -> int:
    return len(kept_networks(app_context.round_folder(round_id)))
