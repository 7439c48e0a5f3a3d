"""A network added to a finished round costs that network alone, and the labels are those that the round had."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.services import evaluation, networks, reviews, rounds
from app.services.extending import add_network
from app.services.reviews import Choice
from app.services.workspace import Workspace
from app.worker import steps
from core import rounds as round_module
from core.config import CrossFoldSettings, Member, RoundConfig
from core.data.networks import drop_networks, kept_networks, network_folder
from core.data.snapshot import Snapshot
from core.judge.judgement import fold_file
from core.types import ConfigError, FindingFilter, RoundError, RoundStatus, Verdict
from tests.app.trained import DIGITS, STRIPES, go_on, import_folder, open_home, run_round, trained  # noqa: F401 a fixture

OTHER = Member.of(replace(DIGITS, epochs=1, learning_rate=0.01))


@pytest.fixture
def finished(tmp_path: Path, digits_folder: Path) -> Iterator[tuple[Workspace, int]]:
    """Return an installation and a finished round of digits in it."""
    opened = open_home(tmp_path / "home")
    yield opened, run_round(opened, import_folder(opened, "digits", digits_folder), DIGITS)
    opened.database.close()


def extend(workspace: Workspace, round_id: int, member: Member = OTHER) -> int:
    """Do all steps of the round that adds a network and return its id."""
    added = add_network(workspace, round_id, member, "ada")
    steps.take_snapshot(workspace, go_on, round_id=added.id)
    for fold in range(DIGITS.folds):
        steps.train_fold(workspace, go_on, round_id=added.id, fold=fold)
    steps.judge(workspace, go_on, round_id=added.id)
    return added.id


def test_only_the_added_network_is_learnt_and_the_labels_stay(
    finished: tuple[Workspace, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, first = finished
    suspect = reviews.page(workspace, FindingFilter(round_id=first), limit=1).items[0]
    reviews.decide(workspace, [Choice(suspect.id, Verdict.ACCEPT)], by="ada")
    learnt: list[float] = []
    learn = round_module.learn_held

    def counted(snapshot, config, held, **rest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN003, ANN202
        learnt.append(config.learning_rate)
        return learn(snapshot, config, held, **rest)

    monkeypatch.setattr(round_module, "learn_held", counted)
    second = extend(workspace, first)
    assert learnt == [0.01] * DIGITS.folds
    old, new = workspace.round_folder(first), workspace.round_folder(second)
    assert Snapshot.load(new).hash == Snapshot.load(old).hash
    for fold in range(DIGITS.folds):
        np.testing.assert_array_equal(np.load(fold_file(old, fold))["logits"], np.load(fold_file(new, fold))["logits"])
    info, measured = rounds.get_round(workspace, second), rounds.metrics(workspace, second)
    assert info.status is RoundStatus.DONE
    assert info.recipe_config == {"extends": 1}
    assert RoundConfig.from_json(info.config).members == (OTHER,)
    assert measured is not None
    *networks, mix = measured["networks"]
    assert len(networks) == 2
    assert mix["log_likelihood"] >= max(one["log_likelihood"] for one in networks)
    third = extend(workspace, second, replace(OTHER, learning_rate=0.02))
    assert learnt == [0.01] * DIGITS.folds + [0.02] * DIGITS.folds
    assert len(RoundConfig.from_json(rounds.get_round(workspace, third).config).members) == 2


def test_findings_count_the_networks_that_contradict(finished: tuple[Workspace, int]) -> None:
    workspace, first = finished
    before = reviews.page(workspace, FindingFilter(round_id=first), limit=100).items
    assert {one.contradicting for one in before} == {None}
    after = reviews.page(workspace, FindingFilter(round_id=extend(workspace, first)), limit=100).items
    assert {one.contradicting for one in after} <= {0, 1, 2}
    assert any(one.contradicting for one in after)


def test_the_old_round_keeps_its_networks_as_they_were(finished: tuple[Workspace, int]) -> None:
    workspace, first = finished
    before = kept_networks(workspace.round_folder(first))
    second = extend(workspace, first)
    assert kept_networks(workspace.round_folder(first)) == before
    for number in range(2):
        kept = kept_networks(network_folder(workspace.round_folder(second), number))
        assert [one.name for one in kept] == ["fold_0", "fold_1"]
    assert sum(
        kept_networks(network_folder(workspace.round_folder(second), number))[0].about.weight for number in range(2)
    ) == pytest.approx(1)


def test_new_images_are_asked_of_the_whole_mix_or_refused(finished: tuple[Workspace, int]) -> None:
    workspace, first = finished
    second = extend(workspace, first)
    dataset_id = rounds.get_round(workspace, first).dataset_id
    with networks.asked_networks(workspace, dataset_id, 2) as asked:
        assert [one.full_name for one in asked.asked] == ["fold_0", "fold_1", "member_1/fold_0", "member_1/fold_1"]
    drop_networks(network_folder(workspace.round_folder(second), 1))
    with (
        pytest.raises(RoundError, match="Round 2 mixes 2 networks, and network 2 is not kept whole"),
        networks.asked_networks(workspace, dataset_id, 2),
    ):
        pass


def test_an_opening_that_was_killed_is_done_again(
    finished: tuple[Workspace, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, first = finished
    added = add_network(workspace, first, OTHER, "ada")
    note = steps.note_changes

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "note_changes", killed)
    with pytest.raises(KeyboardInterrupt):
        steps.take_snapshot(workspace, go_on, round_id=added.id)
    assert not workspace.round_folder(added.id).exists()
    monkeypatch.setattr(steps, "note_changes", note)
    steps.take_snapshot(workspace, go_on, round_id=added.id)
    assert fold_file(workspace.round_folder(added.id), 1).exists()


def test_a_round_whose_files_are_gone_is_refused_with_the_cause(finished: tuple[Workspace, int]) -> None:
    workspace, first = finished
    added = add_network(workspace, first, OTHER, "ada")
    fold_file(workspace.round_folder(first), 1).unlink()
    with pytest.raises(RoundError, match=r"fold_1.npz is gone, in which Round 1 kept what its network learnt"):
        steps.take_snapshot(workspace, go_on, round_id=added.id)
    rounds.cancel_round(workspace, added.id)
    with pytest.raises(RoundError, match="start a new round with all networks"):
        add_network(workspace, first, OTHER, "ada")


def test_images_of_an_evaluation_split_that_taught_the_old_round_are_refused(finished: tuple[Workspace, int]) -> None:
    workspace, first = finished
    evaluation.draw(workspace, rounds.get_round(workspace, first).dataset_id, share=0.2)
    added = add_network(workspace, first, OTHER, "ada")
    with pytest.raises(RoundError, match="of an evaluation split now"):
        steps.take_snapshot(workspace, go_on, round_id=added.id)


def test_a_round_that_is_not_finished_is_refused(workspace: Workspace, digits_folder: Path) -> None:
    dataset_id = import_folder(workspace, "digits", digits_folder)
    waiting = rounds.start_round(workspace, dataset_id, DIGITS, "ada")
    with pytest.raises(RoundError, match=r"cross-fold, queued\) cannot be extended"):
        add_network(workspace, waiting.id, OTHER, "ada")


def test_settings_that_extend_another_networks_round_are_refused(finished: tuple[Workspace, int]) -> None:
    workspace, first = finished
    dataset_id = rounds.get_round(workspace, first).dataset_id
    other = replace(DIGITS, seed=9, members=(OTHER,))
    added = rounds.start_round(
        workspace, dataset_id, other, "ada", recipe_config=CrossFoldSettings(extends=1).to_json()
    )
    with pytest.raises(RoundError, match="trained other networks, or by other folds"):
        steps.take_snapshot(workspace, go_on, round_id=added.id)


def test_masks_have_one_network(trained: Workspace) -> None:  # noqa: F811 the fixture
    of_masks = rounds.list_rounds(trained, 2)[0]
    with pytest.raises(ConfigError, match="for class labels only; name one network"):
        add_network(trained, of_masks.id, Member.of(STRIPES), "ada")
    with pytest.raises(ConfigError, match="for class labels only; name one network"):
        rounds.start_round(trained, 2, replace(STRIPES, members=(Member.of(STRIPES),)), "ada")


@pytest.mark.parametrize("act", ["moved", "changed"])
def test_images_that_moved_are_found_and_those_that_changed_are_refused(
    tmp_path: Path, digits_folder: Path, act: str
) -> None:
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
        assert rounds.get_round(opened, extend(opened, first)).status is RoundStatus.DONE
    else:
        added = add_network(opened, first, OTHER, "ada")
        with pytest.raises(RoundError, match="1 images of Round 1 are gone, left out or changed"):
            steps.take_snapshot(opened, go_on, round_id=added.id)
    opened.database.close()
