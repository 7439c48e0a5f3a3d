"""Probabilities made elsewhere become a round like others; a round's own, brought back, give the same findings."""

import csv
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from app.services import predictions, reviews, rounds
from app.services.reviews import audits
from app.services.rounds import RoundInfo
from app.services.workspace import Workspace
from app.worker import steps
from core.config import RoundConfig
from core.data.formats.probabilities import WRITTEN, Probabilities, write_probabilities
from core.types import ConfigError, DatasetError, FindingFilter, Order, Recipe, RoundError, RoundStatus
from db.models import FindingRow, SampleRow
from tests.app.small import add_dataset

PETS = [0, 1, 2] * 20
NAMES = ("cat", "dog", "horse")


def go_on() -> bool:
    return False


def own_round(workspace: Workspace, dataset_id: int) -> RoundInfo:
    """Return a finished round whose folds predict with made-up logits."""
    rng = np.random.default_rng(0)
    started = rounds.start_round(workspace, dataset_id, RoundConfig(folds=2), "ada")
    steps.take_snapshot(workspace, go_on, round_id=started.id)
    for fold in range(2):
        rows = np.arange(fold, len(PETS), 2)
        logits = 2 * np.eye(3)[np.array(PETS)[rows]] + rng.normal(size=(len(rows), 3))
        np.savez(workspace.round_folder(started.id) / f"fold_{fold}.npz", rows=rows, logits=logits.astype(np.float32))
    steps.judge(workspace, go_on, round_id=started.id)
    return rounds.get_round(workspace, started.id)


def bring(workspace: Workspace, dataset_id: int, file: Path, *, out_of_fold: bool = True) -> RoundInfo:
    """Return the finished round of a file of probabilities."""
    settings = {"file": str(file), "out_of_fold": out_of_fold}
    started = rounds.start_round(
        workspace, dataset_id, RoundConfig(), "ada", recipe=Recipe.PREDICTIONS, recipe_config=settings
    )
    steps.take_snapshot(workspace, go_on, round_id=started.id)
    steps.train_fold(workspace, go_on, round_id=started.id, fold=0)
    steps.judge(workspace, go_on, round_id=started.id)
    return rounds.get_round(workspace, started.id)


def found(workspace: Workspace, round_id: int) -> list[tuple[int, ...]]:
    """Return sample, kind, given and suggested class, the most suspicious first."""
    columns = (FindingRow.sample_id, FindingRow.kind, FindingRow.given, FindingRow.pseudo)
    with workspace.database.read() as session:
        chosen = select(*columns).where(FindingRow.round_id == round_id).order_by(FindingRow.rank)
        return [tuple(map(int, row)) for row in session.execute(chosen)]


def drawn(workspace: Workspace, folder: Path) -> Path:
    """Write probabilities for every image."""
    with workspace.database.read() as session:
        names = list(session.scalars(select(SampleRow.name).order_by(SampleRow.id)))
    logits = np.eye(3)[np.array(PETS)] + np.random.default_rng(1).normal(size=(len(PETS), 3))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    write_probabilities(folder / "pred.csv", Probabilities(names, probs.astype(np.float32)), NAMES)
    return folder / "pred.csv"


@pytest.fixture
def dataset_id(workspace: Workspace) -> int:
    return add_dataset(workspace, PETS, classes=list(NAMES))


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_rounds_own_probabilities_give_the_same_findings(
    workspace: Workspace, dataset_id: int, tmp_path: Path, suffix: str
) -> None:
    own = own_round(workspace, dataset_id)
    file = tmp_path / f"pred{suffix}"
    assert predictions.export(workspace, own.id, file) == len(PETS)
    brought = bring(workspace, dataset_id, file)
    assert brought.status is RoundStatus.DONE
    assert found(workspace, brought.id) == found(workspace, own.id)
    assert brought.accuracy == own.accuracy
    assert not list((workspace.files / "predictions").iterdir())


def test_issues_are_those_of_the_round_in_cleanlabs_columns(
    workspace: Workspace, dataset_id: int, tmp_path: Path
) -> None:
    own = own_round(workspace, dataset_id)
    assert predictions.export_issues(workspace, own.id, tmp_path / "issues.csv") == len(PETS)
    with (tmp_path / "issues.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "is_label_issue", "label_score", "given_label", "predicted_label"]
    known = {f"{sample - 1}.png": (given, pseudo) for sample, _, given, pseudo in found(workspace, own.id)}
    for row in rows:
        given, pseudo = known[row["image"]]
        assert (row["given_label"], row["predicted_label"]) == (NAMES[given], NAMES[pseudo])
        assert row["is_label_issue"] == str(given != pseudo)
        assert 0 <= float(row["label_score"]) <= 1


def test_a_round_of_predictions_is_reviewed_and_audited_like_others(
    workspace: Workspace, dataset_id: int, tmp_path: Path
) -> None:
    brought = bring(workspace, dataset_id, drawn(workspace, tmp_path))
    wanted = FindingFilter(round_id=brought.id)
    count = reviews.count(workspace, wanted)
    assert 5 < count < len(PETS)
    assert len(reviews.page(workspace, wanted, Order.SUSPICION, limit=5).items) == 5
    assert audits.start(workspace, wanted, by="ada").audit.size == count
    assert brought.config["model"] == "pred.csv"


@pytest.mark.parametrize(("out_of_fold", "warned"), [(True, False), (False, True)])
def test_predictions_of_models_that_learnt_the_labels_are_warned_of(
    workspace: Workspace, dataset_id: int, tmp_path: Path, *, out_of_fold: bool, warned: bool
) -> None:
    brought = bring(workspace, dataset_id, drawn(workspace, tmp_path), out_of_fold=out_of_fold)
    assert ("seen" in [hint.key for hint in reviews.hints(workspace, brought.id)]) == warned


def test_columns_without_names_in_another_order_are_refused(
    workspace: Workspace, dataset_id: int, tmp_path: Path
) -> None:
    with workspace.database.read() as session:
        names = list(session.scalars(select(SampleRow.name).order_by(SampleRow.id)))
    probs = np.full((len(PETS), 3), 0.1, np.float32)
    probs[np.arange(len(PETS)), (np.array(PETS) + 1) % 3] = 0.8
    np.savez(tmp_path / "pred.npz", pred_probs=probs, ids=np.array(names))
    with pytest.raises(DatasetError, match="0% of the labels agree with it, in another order 100%"):
        bring(workspace, dataset_id, tmp_path / "pred.npz")


@pytest.mark.parametrize(
    ("file", "error"), [("", ConfigError), ("/nowhere/pred.csv", DatasetError)], ids=["none named", "no such file"]
)
def test_a_file_that_is_not_there_is_refused_before_a_round_begins(
    workspace: Workspace, dataset_id: int, file: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        rounds.start_round(
            workspace, dataset_id, RoundConfig(), "ada", recipe=Recipe.PREDICTIONS, recipe_config={"file": file}
        )
    assert rounds.list_rounds(workspace, dataset_id) == []


def test_images_that_came_since_the_file_was_read_end_the_round_with_the_reason(
    workspace: Workspace, dataset_id: int, tmp_path: Path
) -> None:
    settings = {"file": str(drawn(workspace, tmp_path)), "out_of_fold": True}
    started = rounds.start_round(
        workspace, dataset_id, RoundConfig(), "ada", recipe=Recipe.PREDICTIONS, recipe_config=settings
    )
    stored = predictions.stored_path(workspace, (started.recipe_config or {})["stored"])
    with np.load(stored) as kept:
        ids, probs = kept["sample_ids"], kept["probs"]
    np.savez(stored, sample_ids=ids[1:], probs=probs[1:])
    with pytest.raises(RoundError, match="1 images have come"):
        steps.take_snapshot(workspace, go_on, round_id=started.id)
