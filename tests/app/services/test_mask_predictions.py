"""Predicted masks made elsewhere become a round like others; a round's own, brought back, give the same findings."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from app.services import reviews
from app.services.app_context import AppContext
from app.services.reviews import Choice, audits
from app.services.rounds import jobs as rounds, predictions
from app.services.rounds.jobs import RoundInfo
from app.worker import steps
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.types import (
    DatasetError,
    ExportError,
    FindingFilter,
    JobStatus,
    Order,
    Recipe,
    RoundError,
    Verdict,
)
from db.models import FindingRow, RoundRow
from tests.app.pairs import draw_pair, draw_stripes
from tests.app.worker.test_mask_steps import CONFIG, go_on, imported, opened, predict


@pytest.fixture
def dataset_id(app_context: AppContext, tmp_path: Path) -> int:
    root = draw_stripes(tmp_path / "set")
    draw_pair(root, "none", None)
    return imported(app_context, root)


def own_round(app_context: AppContext, dataset_id: int) -> RoundInfo:
    """Return a finished round whose folds contradict boxes in some masks."""
    round_id, _ = opened(app_context, dataset_id)
    boxes = {row: (slice(row, row + 4 + row), slice(2, 7 + row), 1 + row % 2) for row in (0, 1, 2, 3)}
    predict(app_context, round_id, boxes)
    steps.judge(app_context, go_on, round_id=round_id)
    return rounds.get_round(app_context, round_id)


def bring(app_context: AppContext, dataset_id: int, folder: Path, *, out_of_fold: bool = True) -> RoundInfo:
    """Return the finished round of a folder of predicted masks."""
    settings = {"file": str(folder), "out_of_fold": out_of_fold}
    started = rounds.start_round(
        app_context, dataset_id, CONFIG, "ada", recipe=Recipe.PREDICTIONS, recipe_config=settings
    )
    steps.take_snapshot(app_context, go_on, round_id=started.id)
    steps.train_fold(app_context, go_on, round_id=started.id, fold=0)
    steps.judge(app_context, go_on, round_id=started.id)
    return rounds.get_round(app_context, started.id)


def found(app_context: AppContext, round_id: int) -> list[tuple[object, ...]]:
    """Return what a round says of each region, the most suspicious first."""
    columns = (
        FindingRow.sample_id, FindingRow.kind, FindingRow.given, FindingRow.pseudo, FindingRow.confidence,
        FindingRow.self_confidence, FindingRow.margin, FindingRow.fold, FindingRow.region,
    )  # fmt: skip
    with app_context.database.read() as session:
        chosen = select(*columns).where(FindingRow.round_id == round_id).order_by(FindingRow.rank)
        return [tuple(row) for row in session.execute(chosen)]


def metrics(app_context: AppContext, round_id: int) -> dict[str, Any]:
    with app_context.database.read() as session:
        return session.get_one(RoundRow, round_id).metrics or {}


@pytest.mark.parametrize("archives", [False, True], ids=["PNGs", "npz"])
def test_a_rounds_own_predictions_give_the_same_findings(
    app_context: AppContext, dataset_id: int, tmp_path: Path, *, archives: bool
) -> None:
    own = own_round(app_context, dataset_id)
    snapshot = Snapshot.load(app_context.round_folder(own.id))
    target = tmp_path / "predicted"
    assert predictions.export(app_context, own.id, target, archives=archives) == len(snapshot)
    brought = bring(app_context, dataset_id, target)
    assert (brought.status, brought.recipe, brought.config["model"]) == (
        JobStatus.DONE,
        Recipe.PREDICTIONS,
        "predicted",
    )
    assert len(found(app_context, own.id)) > 2
    assert found(app_context, brought.id) == found(app_context, own.id)
    told = metrics(app_context, own.id)
    del told["label_changes"]  # which compares a round with the one before
    assert {key: metrics(app_context, brought.id)[key] for key in told} == told


def drawn(app_context: AppContext, dataset_id: int, folder: Path) -> Path:
    """Write PNGs that contradict a box in every mask; a pixel IGNORE is predicted as the first class."""
    snapshot = opened_snapshot(app_context, dataset_id)
    assert snapshot.masks is not None
    for path, name, size in zip(snapshot.paths, snapshot.masks.labels, snapshot.masks.sizes.tolist(), strict=True):
        mask = MaskStore(app_context.masks).get(name) if name else np.zeros(size, np.uint8)
        mask = np.where(mask == 255, 0, mask).astype(np.uint8)
        mask[3:12, 3:12] = (mask[3:12, 3:12] + 1) % len(snapshot.classes)
        for layer, values in (("labels", mask), ("confidence", np.full(mask.shape, 60_000, np.uint16))):
            (folder / layer).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(folder / layer / f"{Path(path).stem}.png")
    return folder


def opened_snapshot(app_context: AppContext, dataset_id: int) -> Snapshot:
    round_id, snapshot = opened(app_context, dataset_id)
    rounds.cancel_round(app_context, round_id)
    return snapshot


def test_a_round_of_predicted_masks_is_reviewed_and_audited_like_any_round(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    brought = bring(app_context, dataset_id, drawn(app_context, dataset_id, tmp_path / "masks"))
    wanted = FindingFilter(round_id=brought.id)
    count = reviews.count(app_context, wanted)
    assert count > 3
    first = reviews.page(app_context, wanted, Order.SUSPICION, limit=1).items[0]
    assert first.confidence == pytest.approx(233 / 255)
    reviews.decide(app_context, [Choice(first.id, Verdict.ACCEPT)], by="ada")
    assert reviews.count(app_context, wanted) == count - 1
    assert audits.start(app_context, wanted, by="ada").audit.size == count - 1


@pytest.mark.parametrize(("out_of_fold", "warned"), [(True, False), (False, True)])
def test_predictions_of_models_trained_on_the_masks_are_warned_of(
    app_context: AppContext, dataset_id: int, tmp_path: Path, *, out_of_fold: bool, warned: bool
) -> None:
    brought = bring(
        app_context, dataset_id, drawn(app_context, dataset_id, tmp_path / "masks"), out_of_fold=out_of_fold
    )
    assert ("seen" in [hint.key for hint in reviews.hints(app_context, brought.id)]) == warned


def test_predictions_that_repeat_every_pixel_are_warned_of(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    folder = drawn(app_context, dataset_id, tmp_path / "masks")
    snapshot = Snapshot.load(app_context.round_folder(rounds.list_rounds(app_context, dataset_id)[0].id))
    assert snapshot.masks is not None
    for path, name in zip(snapshot.paths, snapshot.masks.labels, strict=True):
        if name:
            mask = MaskStore(app_context.masks).get(name)
            Image.fromarray(np.where(mask == 255, 0, mask)).save(folder / "labels" / f"{Path(path).stem}.png")
    brought = bring(app_context, dataset_id, folder)
    assert "seen" in [hint.key for hint in reviews.hints(app_context, brought.id)]


def test_ids_in_another_order_are_refused(app_context: AppContext, dataset_id: int, tmp_path: Path) -> None:
    folder = drawn(app_context, dataset_id, tmp_path / "masks")
    for path in (folder / "labels").iterdir():
        values = np.asarray(Image.open(path))
        Image.fromarray(np.array([1, 2, 0], np.uint8)[values]).save(path)
    with pytest.raises(RoundError, match=r"does not name its classes.*put a classes\.csv"):
        bring(app_context, dataset_id, folder)


def test_class_names_in_archives_are_used(app_context: AppContext, dataset_id: int, tmp_path: Path) -> None:
    folder = drawn(app_context, dataset_id, tmp_path / "masks")
    (tmp_path / "archives").mkdir()
    classes = np.array(opened_snapshot(app_context, dataset_id).classes)
    for path in (folder / "labels").iterdir():
        values = np.array([1, 2, 0], np.uint8)[np.asarray(Image.open(path))]
        confidence = np.asarray(Image.open(folder / "confidence" / path.name)).astype(np.float32) / 65_535
        columns = {"class": values, "confidence": confidence, "classes": classes}
        np.savez(tmp_path / "archives" / f"{path.stem}.npz", **columns)
    assert bring(app_context, dataset_id, tmp_path / "archives").is_reviewable


def test_a_folder_with_a_missing_image_is_refused_before_a_round_starts(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    folder = drawn(app_context, dataset_id, tmp_path / "masks")
    before = rounds.list_rounds(app_context, dataset_id)
    for layer in ("labels", "confidence"):
        (folder / layer / "none.png").unlink()
    with pytest.raises(DatasetError, match=r"1 images have no file \(images/none\.png\); predict them too"):
        bring(app_context, dataset_id, folder)
    shutil.rmtree(folder)
    with pytest.raises(DatasetError, match="there is no such folder"):
        bring(app_context, dataset_id, folder)
    assert rounds.list_rounds(app_context, dataset_id) == before


def test_a_damaged_file_fails_the_round_with_the_cause(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    folder = drawn(app_context, dataset_id, tmp_path / "masks")
    (folder / "labels" / "none.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"none\.png: it is not an image"):
        bring(app_context, dataset_id, folder)


def test_predictions_are_written_only_into_a_new_folder(
    app_context: AppContext, dataset_id: int, tmp_path: Path
) -> None:
    own = own_round(app_context, dataset_id)
    (tmp_path / "there").mkdir()
    with pytest.raises(ExportError, match="exists already"):
        predictions.export(app_context, own.id, tmp_path / "there")
