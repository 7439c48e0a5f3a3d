"""Snapshots of rounds: those that extend a finished round, and the changes of labels since."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from app.services import reviews
from app.services.app_context import AppContext
from app.services.evaluation import splits as evaluation
from app.services.recipes.cross_fold import CrossFoldSettings
from app.services.reviews import Choice
from app.services.rounds import jobs as rounds, networks
from app.services.rounds.resume import add_network
from app.worker import steps
from core import rounds as round_module
from core.config import Member, RoundConfig
from core.data.networks import drop_networks, kept_networks, network_folder
from core.data.predictions import fold_file
from core.data.snapshot import Snapshot
from core.types import ConfigError, FindingFilter, JobStatus, Order, RoundError, Verdict
from db.models import FindingRow
from tests.app.pairs import draw_stripes
from tests.app.small import add_dataset
from tests.app.trained import DIGITS, STRIPES, go_on, import_folder, open_home, run_round, trained  # noqa: F401 a fixture
from tests.app.worker.test_mask_steps import imported, opened, predict

OTHER = Member.of(replace(DIGITS, epochs=1, learning_rate=0.01))


@pytest.fixture
def finished(tmp_path: Path, digits_folder: Path) -> Iterator[tuple[AppContext, int]]:
    """Return an installation and a finished round of digits in it."""
    opened = open_home(tmp_path / "home")
    yield opened, run_round(opened, import_folder(opened, "digits", digits_folder), DIGITS)
    opened.database.close()


def extend(app_context: AppContext, round_id: int, member: Member = OTHER) -> int:
    """Do all steps of the round that adds a network and return its id."""
    added = add_network(app_context, round_id, member, "ada")
    steps.take_snapshot(app_context, go_on, round_id=added.id)
    for fold in range(DIGITS.folds):
        steps.train_fold(app_context, go_on, round_id=added.id, fold=fold)
    steps.judge(app_context, go_on, round_id=added.id)
    return added.id


def test_only_the_added_network_is_trained_on_unchanged_labels(
    finished: tuple[AppContext, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    app_context, first = finished
    suspect = reviews.page(app_context, FindingFilter(round_id=first), limit=1).items[0]
    reviews.decide(app_context, [Choice(suspect.id, Verdict.ACCEPT)], by="ada")
    learnt: list[float] = []
    learn = round_module.train_and_predict

    def counted(snapshot, config, held, **rest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202
        learnt.append(config.learning_rate)
        return learn(snapshot, config, held, **rest)

    monkeypatch.setattr(round_module, "train_and_predict", counted)
    second = extend(app_context, first)
    assert learnt == [0.01] * DIGITS.folds
    old, new = app_context.round_folder(first), app_context.round_folder(second)
    assert Snapshot.load(new).hash == Snapshot.load(old).hash
    for fold in range(DIGITS.folds):
        np.testing.assert_array_equal(np.load(fold_file(old, fold))["logits"], np.load(fold_file(new, fold))["logits"])
    info, measured = rounds.get_round(app_context, second), rounds.metrics(app_context, second)
    assert info.status is JobStatus.DONE
    assert info.recipe_config == {"extends": 1}
    assert RoundConfig.from_json(info.config).members == (OTHER,)
    assert measured is not None
    *networks, mix = measured["networks"]
    assert len(networks) == 2
    assert mix["log_likelihood"] >= max(one["log_likelihood"] for one in networks)
    third = extend(app_context, second, replace(OTHER, learning_rate=0.02))
    assert learnt == [0.01] * DIGITS.folds + [0.02] * DIGITS.folds
    assert len(RoundConfig.from_json(rounds.get_round(app_context, third).config).members) == 2


def test_findings_count_the_networks_that_contradict(finished: tuple[AppContext, int]) -> None:
    app_context, first = finished
    before = reviews.page(app_context, FindingFilter(round_id=first), limit=100).items
    assert {one.contradicting for one in before} == {None}
    after = reviews.page(app_context, FindingFilter(round_id=extend(app_context, first)), limit=100).items
    assert {one.contradicting for one in after} <= {0, 1, 2}
    assert any(one.contradicting for one in after)


def test_the_extended_round_keeps_its_networks_unchanged(finished: tuple[AppContext, int]) -> None:
    app_context, first = finished
    before = kept_networks(app_context.round_folder(first))
    second = extend(app_context, first)
    assert kept_networks(app_context.round_folder(first)) == before
    for number in range(2):
        kept = kept_networks(network_folder(app_context.round_folder(second), number))
        assert [one.name for one in kept] == ["fold_0", "fold_1"]
    assert sum(
        kept_networks(network_folder(app_context.round_folder(second), number))[0].about.weight for number in range(2)
    ) == pytest.approx(1)


def test_new_images_are_predicted_by_the_whole_mix_or_refused(finished: tuple[AppContext, int]) -> None:
    app_context, first = finished
    second = extend(app_context, first)
    dataset_id = rounds.get_round(app_context, first).dataset_id
    with networks.hold_networks(app_context, dataset_id, 2) as asked:
        assert [one.full_name for one in asked.predicting] == ["fold_0", "fold_1", "member_1/fold_0", "member_1/fold_1"]
    drop_networks(network_folder(app_context.round_folder(second), 1))
    with (
        pytest.raises(RoundError, match="Round 2 mixes 2 networks, and network 2 is not kept whole"),
        networks.hold_networks(app_context, dataset_id, 2),
    ):
        pass


def test_a_killed_opening_is_repeated(finished: tuple[AppContext, int], monkeypatch: pytest.MonkeyPatch) -> None:
    app_context, first = finished
    added = add_network(app_context, first, OTHER, "ada")
    note = steps.store_changes

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "store_changes", killed)
    with pytest.raises(KeyboardInterrupt):
        steps.take_snapshot(app_context, go_on, round_id=added.id)
    assert not app_context.round_folder(added.id).exists()
    monkeypatch.setattr(steps, "store_changes", note)
    steps.take_snapshot(app_context, go_on, round_id=added.id)
    assert fold_file(app_context.round_folder(added.id), 1).exists()


def test_a_round_with_missing_files_is_refused_with_the_cause(finished: tuple[AppContext, int]) -> None:
    app_context, first = finished
    added = add_network(app_context, first, OTHER, "ada")
    fold_file(app_context.round_folder(first), 1).unlink()
    with pytest.raises(RoundError, match=r"fold_1.npz is gone, in which Round 1 kept what its network learnt"):
        steps.take_snapshot(app_context, go_on, round_id=added.id)
    rounds.cancel_round(app_context, added.id)
    with pytest.raises(RoundError, match="start a new round with all networks"):
        add_network(app_context, first, OTHER, "ada")


def test_images_of_an_evaluation_split_in_the_training_set_of_the_old_round_are_refused(
    finished: tuple[AppContext, int],
) -> None:
    app_context, first = finished
    evaluation.draw(app_context, rounds.get_round(app_context, first).dataset_id, share=0.2)
    added = add_network(app_context, first, OTHER, "ada")
    with pytest.raises(RoundError, match="of an evaluation split now"):
        steps.take_snapshot(app_context, go_on, round_id=added.id)


def test_extending_an_unfinished_round_is_refused(app_context: AppContext, digits_folder: Path) -> None:
    dataset_id = import_folder(app_context, "digits", digits_folder)
    waiting = rounds.start_round(app_context, dataset_id, DIGITS, "ada")
    with pytest.raises(RoundError, match=r"cross-fold, queued\) cannot be extended"):
        add_network(app_context, waiting.id, OTHER, "ada")


def test_settings_that_differ_from_the_extended_round_are_refused(finished: tuple[AppContext, int]) -> None:
    app_context, first = finished
    dataset_id = rounds.get_round(app_context, first).dataset_id
    other = replace(DIGITS, seed=9, members=(OTHER,))
    added = rounds.start_round(
        app_context, dataset_id, other, "ada", recipe_config=CrossFoldSettings(extends=1).to_json()
    )
    with pytest.raises(RoundError, match="trained other networks, or by other folds"):
        steps.take_snapshot(app_context, go_on, round_id=added.id)


def test_several_networks_are_refused_for_masks(trained: AppContext) -> None:  # noqa: F811 the fixture
    of_masks = rounds.list_rounds(trained, 2)[0]
    with pytest.raises(ConfigError, match="for class labels only; name one network"):
        add_network(trained, of_masks.id, Member.of(STRIPES), "ada")
    with pytest.raises(ConfigError, match="for class labels only; name one network"):
        rounds.start_round(trained, 2, replace(STRIPES, members=(Member.of(STRIPES),)), "ada")


@pytest.mark.parametrize("act", ["moved", "changed"])
def test_moved_images_are_found_and_changed_ones_refused(tmp_path: Path, digits_folder: Path, act: str) -> None:
    source = tmp_path / "digits"
    shutil.copytree(digits_folder, source)
    opened = open_home(tmp_path / "home")
    dataset_id = import_folder(opened, "digits", source)
    first = run_round(opened, dataset_id, DIGITS)
    if act == "moved":
        for path in source.glob("*/*.png"):
            path.rename(path.with_name(f"new_{path.name}"))
    else:
        changed = min(source.glob("*/*.png"))
        Image.open(changed).transpose(Image.Transpose.ROTATE_180).save(changed)
    assert import_folder(opened, "digits", source) == dataset_id
    if act == "moved":
        assert rounds.get_round(opened, extend(opened, first)).status is JobStatus.DONE
    else:
        added = add_network(opened, first, OTHER, "ada")
        with pytest.raises(RoundError, match="1 images of Round 1 are gone, left out or changed"):
            steps.take_snapshot(opened, go_on, round_id=added.id)
    opened.database.close()


LABELS = [0, 1] * 10


def next_round(app_context: AppContext, dataset_id: int, wrong: dict[int, int]) -> tuple[int, dict[str, Any]]:
    """Run a round that predicts these samples, sample -> class, otherwise than given, and return what it noted."""
    round_id = rounds.start_round(app_context, dataset_id, RoundConfig(folds=2), "ada").id
    steps.take_snapshot(app_context, go_on, round_id=round_id)
    snapshot = Snapshot.load(app_context.round_folder(round_id))
    said = [wrong.get(sample, label) for sample, label in zip(snapshot.sample_ids, snapshot.labels, strict=True)]
    for fold in range(2):
        rows = np.arange(fold, len(snapshot), 2)
        logits = 4 * np.eye(2, dtype=np.float32)[np.array(said)[rows]]
        np.savez(app_context.round_folder(round_id) / f"fold_{fold}.npz", rows=rows, logits=logits)
    steps.judge(app_context, go_on, round_id=round_id)
    metrics = rounds.metrics(app_context, round_id)
    assert metrics is not None
    return round_id, metrics["label_changes"]


def found_by_sample(app_context: AppContext, round_id: int) -> dict[int, int]:
    with app_context.database.read() as session:
        query = select(FindingRow.sample_id, FindingRow.id).where(FindingRow.round_id == round_id)
        return {row[0]: row[1] for row in session.execute(query)}


def test_a_round_counts_changes_since_the_previous_round_and_the_given_labels(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, LABELS)
    first, noted = next_round(app_context, dataset_id, {sample: sample % 2 for sample in range(1, 13)})
    assert noted["given"] == {
        "images": 20, "changed": 0, "new": 0, "left_out": 0, "pairs": [], "pixels": None, "pixels_changed": None,
    }  # fmt: skip
    assert (noted["before"], noted["verdicts"]) == (None, {})
    listed = found_by_sample(app_context, first)
    accept, keep, exclude, undone = (listed[sample] for sample in (1, 3, 5, 7))
    reviews.decide(app_context, [Choice(accept, Verdict.ACCEPT), Choice(keep, Verdict.KEEP)], by="ada")
    reviews.decide(app_context, [Choice(exclude, Verdict.AMBIGUOUS)], by="ada")
    reviews.decide(app_context, [Choice(exclude, Verdict.EXCLUDE)], by="ada")  # the last word counts
    reviews.decide(app_context, [Choice(undone, Verdict.EXCLUDE)], by="bob")
    reviews.undo(app_context, dataset_id, by="bob")
    bulk = reviews.accept_all(app_context, FindingFilter(round_id=first, given=1), by="ada").size
    second, noted = next_round(app_context, dataset_id, {0: 1})
    assert noted["verdicts"] == {"accept": 1, "keep": 1, "exclude": 1, "bulk": bulk}
    assert bulk == 6
    before = noted["before"]
    assert (before["round"], before["round_id"]) == (1, first)
    assert (before["images"], before["changed"], before["left_out"]) == (19, 7, 1)
    assert before["pairs"] == [[1, 0, 6], [0, 1, 1]]
    assert {name: noted["given"][name] for name in ("images", "changed")} == {"images": 19, "changed": 7}
    reviews.decide(app_context, [Choice(found_by_sample(app_context, second)[9], Verdict.RELABEL, 1)], by="ada")
    _, noted = next_round(app_context, dataset_id, {0: 1})
    assert (noted["verdicts"], noted["before"]["changed"], noted["given"]["changed"]) == ({"relabel": 1}, 1, 8)


def test_a_round_of_masks_counts_changes_in_images_and_pixels(app_context: AppContext, tmp_path: Path) -> None:
    dataset_id = imported(app_context, draw_stripes(tmp_path / "set"))
    first, _ = opened(app_context, dataset_id)
    predict(app_context, first, {0: (slice(1, 5), slice(0, 4), 2), 3: (slice(0, 3), slice(8, 12), 0)})
    steps.judge(app_context, go_on, round_id=first)
    chosen = FindingFilter(round_id=first)
    listed = {one.row: one.id for one in reviews.page(app_context, chosen, Order.SUSPICION).items}
    reviews.decide(app_context, [Choice(listed[0], Verdict.ACCEPT), Choice(listed[3], Verdict.KEEP)], by="ada")
    second, _ = opened(app_context, dataset_id)
    predict(app_context, second, {})
    steps.judge(app_context, go_on, round_id=second)
    metrics = rounds.metrics(app_context, second)
    assert metrics is not None
    noted = metrics["label_changes"]
    for compared in (noted["before"], noted["given"]):
        assert (compared["images"], compared["changed"]) == (12, 1)
        assert (compared["pixels"], compared["pixels_changed"]) == (12 * 96, 16)
        assert compared["pairs"] == [[0, 2, 16]]
    assert noted["verdicts"] == {"accept": 1, "keep": 1}


def test_a_round_works_when_the_previous_one_cannot_be_compared(app_context: AppContext) -> None:
    dataset_id = add_dataset(app_context, LABELS)
    first, _ = next_round(app_context, dataset_id, {0: 1})
    (app_context.round_folder(first) / "snapshot.npz").unlink()
    _, noted = next_round(app_context, dataset_id, {0: 1})
    assert noted["before"] is None
    assert noted["given"]["changed"] == 0
