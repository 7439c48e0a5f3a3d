"""Probabilities made elsewhere become a round like others; a round's own, brought back, give the same findings."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from app.services import reviews
from app.services.app_context import AppContext
from app.services.reviews import audits
from app.services.rounds import jobs as rounds, predictions
from app.services.rounds.jobs import RoundInfo
from app.worker import steps
from core.config import RoundConfig
from core.data import likeliest
from core.data.formats.probabilities import WRITTEN, read_probabilities, write_probabilities
from core.judge import row_blocks
from core.types import ConfigError, DatasetError, FindingFilter, JobStatus, Order, Recipe, RoundError
from db.models import SampleRow
from tests.app.small import add_dataset

pytestmark = pytest.mark.usefixtures("kept")

PETS = [0, 1, 2] * 20
NAMES = ("cat", "dog", "horse")


def go_on() -> bool:
    return False


def own_round(app_context: AppContext, dataset_id: int, classes: int = len(NAMES)) -> RoundInfo:
    """Return a finished round whose folds predict with made-up logits."""
    rng = np.random.default_rng(0)
    started = rounds.start_round(app_context, dataset_id, RoundConfig(folds=2), "ada")
    steps.take_snapshot(app_context, go_on, round_id=started.id)
    for fold in range(2):
        rows = np.arange(fold, len(PETS), 2)
        logits = 2 * np.eye(classes)[np.array(PETS)[rows]] + rng.normal(size=(len(rows), classes))
        np.savez(app_context.round_folder(started.id) / f"fold_{fold}.npz", rows=rows, logits=logits.astype(np.float32))
    steps.judge(app_context, go_on, round_id=started.id)
    return rounds.get_round(app_context, started.id)


def bring(app_context: AppContext, dataset_id: int, file: Path, *, out_of_fold: bool = True) -> RoundInfo:
    """Return the finished round of a file of probabilities."""
    settings = {"file": str(file), "out_of_fold": out_of_fold}
    started = rounds.start_round(
        app_context, dataset_id, RoundConfig(), "ada", recipe=Recipe.PREDICTIONS, recipe_config=settings
    )
    steps.take_snapshot(app_context, go_on, round_id=started.id)
    steps.train_fold(app_context, go_on, round_id=started.id, fold=0)
    steps.judge(app_context, go_on, round_id=started.id)
    return rounds.get_round(app_context, started.id)


def found(app_context: AppContext, round_id: int) -> list[tuple[int, ...]]:
    """Return sample, kind, given and suggested class, the most suspicious first."""
    everything = FindingFilter(round_id=round_id, kinds=frozenset(), statuses=frozenset())
    shown = reviews.page(app_context, everything, limit=len(PETS)).items
    return [(one.sample_id, int(one.kind), one.given, one.pseudo) for one in shown]


def drawn(app_context: AppContext, folder: Path) -> Path:
    """Write probabilities for every image."""
    with app_context.database.read() as session:
        names = list(session.scalars(select(SampleRow.name).order_by(SampleRow.id)))
    logits = np.eye(3)[np.array(PETS)] + np.random.default_rng(1).normal(size=(len(PETS), 3))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    write_probabilities(folder / "pred.csv", names, [probs.astype(np.float32)], NAMES)
    return folder / "pred.csv"


@pytest.fixture
def dataset_id(app_context: AppContext) -> int:
    return add_dataset(app_context, PETS, classes=list(NAMES))


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_rounds_own_probabilities_give_the_same_findings(
    app_context: AppContext, dataset_id: int, tmp_path: Path, suffix: str
) -> None:
    own = own_round(app_context, dataset_id)
    file = tmp_path / f"pred{suffix}"
    assert predictions.export(app_context, own.id, file) == len(PETS)
    brought = bring(app_context, dataset_id, file)
    assert brought.status is JobStatus.DONE
    assert found(app_context, brought.id) == found(app_context, own.id)
    assert brought.accuracy == own.accuracy
    assert not list((app_context.files / "predictions").iterdir())


@pytest.mark.parametrize("rows", [7, len(PETS) - 1])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_an_export_in_blocks_of_rows_equals_one_in_a_single_block(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, rows: int
) -> None:
    names = [f"class {number}" for number in range(14)]
    own = own_round(app_context, add_dataset(app_context, PETS, classes=names), len(names))
    whole, parts = (tmp_path / f"{name}{suffix}" for name in ("whole", "parts"))
    predictions.export(app_context, own.id, whole)
    monkeypatch.setattr(row_blocks, "_VALUES", rows * len(names))
    predictions.export(app_context, own.id, parts)
    if suffix != ".parquet":  # which has a row group a block
        assert parts.read_bytes() == whole.read_bytes()
    if suffix in {".parquet", ".npz"}:  # whose numbers are not rounded
        probs = np.load(app_context.round_folder(own.id) / "probabilities.npy").astype(np.float32)
        wanted = probs[:, list(range(14))]
        wanted /= wanted.sum(axis=1, keepdims=True)
        found = np.load(parts)["pred_probs"] if suffix == ".npz" else pd.read_parquet(parts).iloc[:, 1:].to_numpy()
        np.testing.assert_array_equal(found, wanted)
    ids, other = (read_probabilities(file, names).ids for file in (whole, parts))
    assert ids == other
    assert len(ids) == len(PETS)


def test_the_exported_likeliest_classes_of_very_many_images_give_the_same_findings(
    app_context: AppContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likeliest, "_MOST_WHOLE", 0)
    names = [f"class {number}" for number in range(14)]
    own = own_round(app_context, add_dataset(app_context, PETS, classes=names), len(names))
    assert not (app_context.round_folder(own.id) / "probabilities.npy").exists()
    assert predictions.exports_likeliest(app_context, own.id)
    assert predictions.export(app_context, own.id, tmp_path / "pred.npz") == len(PETS)
    written = read_probabilities(tmp_path / "pred.npz", names).probs
    np.testing.assert_allclose(written.sum(axis=1), 1, atol=1e-3)
    assert all(len(np.unique(row)) <= 7 for row in written)  # five likeliest, the given one, and all others alike
    brought = bring(app_context, own.dataset_id, tmp_path / "pred.npz")
    assert sorted(found(app_context, brought.id)) == sorted(found(app_context, own.id))
    assert predictions.export_issues(app_context, own.id, tmp_path / "issues.csv") == len(PETS)


def test_issues_of_a_round_are_exported_in_cleanlabs_columns(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    own = own_round(app_context, dataset_id)
    assert predictions.export_issues(app_context, own.id, tmp_path / "issues.csv") == len(PETS)
    with (tmp_path / "issues.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "is_label_issue", "label_score", "given_label", "predicted_label"]
    known = {f"{sample - 1}.png": (given, pseudo) for sample, _, given, pseudo in found(app_context, own.id)}
    for row in rows:
        given, pseudo = known[row["image"]]
        assert (row["given_label"], row["predicted_label"]) == (NAMES[given], NAMES[pseudo])
        assert row["is_label_issue"] == str(given != pseudo)
        assert 0 <= float(row["label_score"]) <= 1


def test_a_round_of_predictions_is_reviewed_and_audited_like_any_round(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    brought = bring(app_context, dataset_id, drawn(app_context, tmp_path))
    wanted = FindingFilter(round_id=brought.id)
    count = reviews.count(app_context, wanted)
    assert 5 < count < len(PETS)
    assert len(reviews.page(app_context, wanted, Order.SUSPICION, limit=5).items) == 5
    assert audits.start(app_context, wanted, by="ada").audit.size == count
    assert brought.config["model"] == "pred.csv"


@pytest.mark.parametrize(("out_of_fold", "warned"), [(True, False), (False, True)])
def test_predictions_of_models_trained_on_the_labels_are_warned_of(
    app_context: AppContext, dataset_id: int, tmp_path: Path, *, out_of_fold: bool, warned: bool
) -> None:
    brought = bring(app_context, dataset_id, drawn(app_context, tmp_path), out_of_fold=out_of_fold)
    assert ("seen" in [hint.key for hint in reviews.hints(app_context, brought.id)]) == warned


def test_unnamed_columns_in_another_order_are_refused(app_context: AppContext, dataset_id: int, tmp_path: Path) -> None:
    with app_context.database.read() as session:
        names = list(session.scalars(select(SampleRow.name).order_by(SampleRow.id)))
    probs = np.full((len(PETS), 3), 0.1, np.float32)
    probs[np.arange(len(PETS)), (np.array(PETS) + 1) % 3] = 0.8
    np.savez(tmp_path / "pred.npz", pred_probs=probs, ids=np.array(names))
    with pytest.raises(DatasetError, match="0% of the labels agree with it, in another order 100%"):
        bring(app_context, dataset_id, tmp_path / "pred.npz")


@pytest.mark.parametrize(
    ("file", "error"), [("", ConfigError), ("/nowhere/pred.csv", DatasetError)], ids=["none named", "no such file"]
)
def test_a_missing_file_is_refused_before_a_round_starts(
    app_context: AppContext, dataset_id: int, file: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        rounds.start_round(
            app_context, dataset_id, RoundConfig(), "ada", recipe=Recipe.PREDICTIONS, recipe_config={"file": file}
        )
    assert rounds.list_rounds(app_context, dataset_id) == []


def test_images_added_after_the_file_was_read_fail_the_round_with_the_cause(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    settings = {"file": str(drawn(app_context, tmp_path)), "out_of_fold": True}
    started = rounds.start_round(
        app_context, dataset_id, RoundConfig(), "ada", recipe=Recipe.PREDICTIONS, recipe_config=settings
    )
    stored = predictions.stored_path(app_context, (started.recipe_config or {})["stored"])
    with np.load(stored) as kept:
        ids, probs = kept["sample_ids"], kept["probs"]
    np.savez(stored, sample_ids=ids[1:], probs=probs[1:])
    with pytest.raises(RoundError, match="1 images have come"):
        steps.take_snapshot(app_context, go_on, round_id=started.id)
