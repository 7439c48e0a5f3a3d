"""Predicted masks made elsewhere become a round like others; a round's own, brought back, give the same findings."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from app.services import predictions, reviews, rounds
from app.services.reviews import Choice, audits
from app.services.rounds import RoundInfo
from app.services.workspace import Workspace
from app.worker import steps
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.types import (
    DatasetError,
    ExportError,
    FindingFilter,
    Order,
    Recipe,
    RoundError,
    RoundStatus,
    Verdict,
)
from db.models import FindingRow, RoundRow
from tests.app.pairs import draw_pair, draw_stripes
from tests.app.worker.test_mask_steps import CONFIG, go_on, imported, opened, predict


@pytest.fixture
def dataset_id(workspace: Workspace, tmp_path: Path) -> int:
    root = draw_stripes(tmp_path / "set")
    draw_pair(root, "none", None)
    return imported(workspace, root)


def own_round(workspace: Workspace, dataset_id: int) -> RoundInfo:
    """Return a finished round whose folds contradict boxes in some masks."""
    round_id, _ = opened(workspace, dataset_id)
    boxes = {row: (slice(row, row + 4 + row), slice(2, 7 + row), 1 + row % 2) for row in (0, 1, 2, 3)}
    predict(workspace, round_id, boxes)
    steps.judge(workspace, go_on, round_id=round_id)
    return rounds.get_round(workspace, round_id)


def bring(workspace: Workspace, dataset_id: int, folder: Path, *, out_of_fold: bool = True) -> RoundInfo:
    """Return the finished round of a folder of predicted masks."""
    settings = {"file": str(folder), "out_of_fold": out_of_fold}
    started = rounds.start_round(
        workspace, dataset_id, CONFIG, "ada", recipe=Recipe.PREDICTIONS, recipe_config=settings
    )
    steps.take_snapshot(workspace, go_on, round_id=started.id)
    steps.train_fold(workspace, go_on, round_id=started.id, fold=0)
    steps.judge(workspace, go_on, round_id=started.id)
    return rounds.get_round(workspace, started.id)


def found(workspace: Workspace, round_id: int) -> list[tuple[object, ...]]:
    """Return what a round says of each region, the most suspicious first."""
    columns = (
        FindingRow.sample_id, FindingRow.kind, FindingRow.given, FindingRow.pseudo, FindingRow.confidence,
        FindingRow.self_confidence, FindingRow.margin, FindingRow.fold, FindingRow.region,
    )  # fmt: skip
    with workspace.database.read() as session:
        chosen = select(*columns).where(FindingRow.round_id == round_id).order_by(FindingRow.rank)
        return [tuple(row) for row in session.execute(chosen)]


def metrics(workspace: Workspace, round_id: int) -> dict[str, Any]:
    with workspace.database.read() as session:
        return session.get_one(RoundRow, round_id).metrics or {}


@pytest.mark.parametrize("archives", [False, True], ids=["PNGs", "npz"])
def test_a_rounds_own_predictions_give_the_same_findings(
    workspace: Workspace, dataset_id: int, tmp_path: Path, *, archives: bool
) -> None:
    own = own_round(workspace, dataset_id)
    snapshot = Snapshot.load(workspace.round_folder(own.id))
    target = tmp_path / "predicted"
    assert predictions.export(workspace, own.id, target, archives=archives) == len(snapshot)
    brought = bring(workspace, dataset_id, target)
    assert (brought.status, brought.recipe, brought.config["model"]) == (
        RoundStatus.DONE,
        Recipe.PREDICTIONS,
        "predicted",
    )
    assert len(found(workspace, own.id)) > 2
    assert found(workspace, brought.id) == found(workspace, own.id)
    told = metrics(workspace, own.id)
    del told["label_changes"]  # which compares a round with the one before
    assert {key: metrics(workspace, brought.id)[key] for key in told} == told


def drawn(workspace: Workspace, dataset_id: int, folder: Path) -> Path:
    """Write PNGs that contradict a box in every mask; a pixel IGNORE is predicted as the first class."""
    snapshot = opened_snapshot(workspace, dataset_id)
    assert snapshot.masks is not None
    for path, name, size in zip(snapshot.paths, snapshot.masks.labels, snapshot.masks.sizes.tolist(), strict=True):
        mask = MaskStore(workspace.masks).get(name) if name else np.zeros(size, np.uint8)
        mask = np.where(mask == 255, 0, mask).astype(np.uint8)
        mask[3:12, 3:12] = (mask[3:12, 3:12] + 1) % len(snapshot.classes)
        for layer, values in (("labels", mask), ("confidence", np.full(mask.shape, 60_000, np.uint16))):
            (folder / layer).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(folder / layer / f"{Path(path).stem}.png")
    return folder


def opened_snapshot(workspace: Workspace, dataset_id: int) -> Snapshot:
    round_id, snapshot = opened(workspace, dataset_id)
    rounds.cancel_round(workspace, round_id)
    return snapshot


def test_a_round_of_predicted_masks_is_reviewed_and_audited_like_others(
    workspace: Workspace, dataset_id: int, tmp_path: Path
) -> None:
    brought = bring(workspace, dataset_id, drawn(workspace, dataset_id, tmp_path / "masks"))
    wanted = FindingFilter(round_id=brought.id)
    count = reviews.count(workspace, wanted)
    assert count > 3
    first = reviews.page(workspace, wanted, Order.SUSPICION, limit=1).items[0]
    assert first.confidence == pytest.approx(233 / 255)
    reviews.decide(workspace, [Choice(first.id, Verdict.ACCEPT)], by="ada")
    assert reviews.count(workspace, wanted) == count - 1
    assert audits.start(workspace, wanted, by="ada").audit.size == count - 1


@pytest.mark.parametrize(("out_of_fold", "warned"), [(True, False), (False, True)])
def test_predictions_of_models_that_learnt_the_masks_are_warned_of(
    workspace: Workspace, dataset_id: int, tmp_path: Path, *, out_of_fold: bool, warned: bool
) -> None:
    brought = bring(workspace, dataset_id, drawn(workspace, dataset_id, tmp_path / "masks"), out_of_fold=out_of_fold)
    assert ("seen" in [hint.key for hint in reviews.hints(workspace, brought.id)]) == warned


def test_predictions_that_repeat_every_pixel_are_warned_of(
    workspace: Workspace, dataset_id: int, tmp_path: Path
) -> None:
    folder = drawn(workspace, dataset_id, tmp_path / "masks")
    snapshot = Snapshot.load(workspace.round_folder(rounds.list_rounds(workspace, dataset_id)[0].id))
    assert snapshot.masks is not None
    for path, name in zip(snapshot.paths, snapshot.masks.labels, strict=True):
        if name:
            mask = MaskStore(workspace.masks).get(name)
            Image.fromarray(np.where(mask == 255, 0, mask)).save(folder / "labels" / f"{Path(path).stem}.png")
    brought = bring(workspace, dataset_id, folder)
    assert "seen" in [hint.key for hint in reviews.hints(workspace, brought.id)]


def test_ids_in_another_order_are_refused(workspace: Workspace, dataset_id: int, tmp_path: Path) -> None:
    folder = drawn(workspace, dataset_id, tmp_path / "masks")
    for path in (folder / "labels").iterdir():
        values = np.asarray(Image.open(path))
        Image.fromarray(np.array([1, 2, 0], np.uint8)[values]).save(path)
    with pytest.raises(RoundError, match=r"does not name its classes.*put a classes\.csv"):
        bring(workspace, dataset_id, folder)


def test_archives_that_name_their_classes_are_taken_at_their_word(
    workspace: Workspace, dataset_id: int, tmp_path: Path
) -> None:
    folder = drawn(workspace, dataset_id, tmp_path / "masks")
    (tmp_path / "archives").mkdir()
    classes = np.array(opened_snapshot(workspace, dataset_id).classes)
    for path in (folder / "labels").iterdir():
        values = np.array([1, 2, 0], np.uint8)[np.asarray(Image.open(path))]
        confidence = np.asarray(Image.open(folder / "confidence" / path.name)).astype(np.float32) / 65_535
        columns = {"class": values, "confidence": confidence, "classes": classes}
        np.savez(tmp_path / "archives" / f"{path.stem}.npz", **columns)
    assert bring(workspace, dataset_id, tmp_path / "archives").is_reviewable


def test_a_folder_is_refused_before_a_round_begins_where_an_image_is_missing(
    workspace: Workspace, dataset_id: int, tmp_path: Path
) -> None:
    folder = drawn(workspace, dataset_id, tmp_path / "masks")
    before = rounds.list_rounds(workspace, dataset_id)
    for layer in ("labels", "confidence"):
        (folder / layer / "none.png").unlink()
    with pytest.raises(DatasetError, match=r"1 images have no file \(images/none\.png\); predict them too"):
        bring(workspace, dataset_id, folder)
    shutil.rmtree(folder)
    with pytest.raises(DatasetError, match="there is no such folder"):
        bring(workspace, dataset_id, folder)
    assert rounds.list_rounds(workspace, dataset_id) == before


def test_a_damaged_file_ends_the_round_with_the_reason(workspace: Workspace, dataset_id: int, tmp_path: Path) -> None:
    folder = drawn(workspace, dataset_id, tmp_path / "masks")
    (folder / "labels" / "none.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"none\.png: it cannot be decoded"):
        bring(workspace, dataset_id, folder)


def test_predictions_go_into_a_new_folder_alone(workspace: Workspace, dataset_id: int, tmp_path: Path) -> None:
    own = own_round(workspace, dataset_id)
    (tmp_path / "there").mkdir()
    with pytest.raises(ExportError, match="exists already"):
        predictions.export(workspace, own.id, tmp_path / "there")
