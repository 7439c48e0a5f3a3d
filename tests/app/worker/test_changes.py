"""What a round notes of its labels when it opens, and shows when it is done."""

from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from app.services import reviews, rounds
from app.services.reviews import Choice
from app.services.workspace import Workspace
from app.worker import steps
from core.config import RoundConfig
from core.data.snapshot import Snapshot
from core.types import FindingFilter, Order, Verdict
from db.models import FindingRow
from tests.app.pairs import draw_stripes
from tests.app.small import add_dataset
from tests.app.worker.test_mask_steps import imported, opened, predict
from tests.app.worker.test_steps import go_on

LABELS = [0, 1] * 10


def next_round(workspace: Workspace, dataset_id: int, wrong: dict[int, int]) -> tuple[int, dict[str, Any]]:
    """Run a round that predicts these samples, sample -> class, otherwise than given, and return what it noted."""
    round_id = rounds.start_round(workspace, dataset_id, RoundConfig(folds=2), "ada").id
    steps.take_snapshot(workspace, go_on, round_id=round_id)
    snapshot = Snapshot.load(workspace.round_folder(round_id))
    said = [wrong.get(sample, label) for sample, label in zip(snapshot.sample_ids, snapshot.labels, strict=True)]
    for fold in range(2):
        rows = np.arange(fold, len(snapshot), 2)
        logits = 4 * np.eye(2, dtype=np.float32)[np.array(said)[rows]]
        np.savez(workspace.round_folder(round_id) / f"fold_{fold}.npz", rows=rows, logits=logits)
    steps.judge(workspace, go_on, round_id=round_id)
    metrics = rounds.metrics(workspace, round_id)
    assert metrics is not None
    return round_id, metrics["label_changes"]


def found_by_sample(workspace: Workspace, round_id: int) -> dict[int, int]:
    with workspace.database.read() as session:
        query = select(FindingRow.sample_id, FindingRow.id).where(FindingRow.round_id == round_id)
        return {row[0]: row[1] for row in session.execute(query)}


def test_a_round_says_what_changed_since_the_one_before_and_against_what_was_given(workspace: Workspace) -> None:
    dataset_id = add_dataset(workspace, LABELS)
    first, noted = next_round(workspace, dataset_id, {sample: sample % 2 for sample in range(1, 13)})
    assert noted["given"] == {
        "images": 20, "changed": 0, "new": 0, "left_out": 0, "pairs": [], "pixels": None, "pixels_changed": None,
    }  # fmt: skip
    assert (noted["before"], noted["verdicts"]) == (None, {})
    listed = found_by_sample(workspace, first)
    accept, keep, exclude, undone = (listed[sample] for sample in (1, 3, 5, 7))
    reviews.decide(workspace, [Choice(accept, Verdict.ACCEPT), Choice(keep, Verdict.KEEP)], by="ada")
    reviews.decide(workspace, [Choice(exclude, Verdict.AMBIGUOUS)], by="ada")
    reviews.decide(workspace, [Choice(exclude, Verdict.EXCLUDE)], by="ada")  # the last word counts
    reviews.decide(workspace, [Choice(undone, Verdict.EXCLUDE)], by="bob")
    reviews.undo(workspace, dataset_id, by="bob")
    bulk = reviews.accept_all(workspace, FindingFilter(round_id=first, given=1), by="ada").size
    second, noted = next_round(workspace, dataset_id, {0: 1})
    assert noted["verdicts"] == {"accept": 1, "keep": 1, "exclude": 1, "bulk": bulk}
    assert bulk == 6
    before = noted["before"]
    assert (before["round"], before["round_id"]) == (1, first)
    assert (before["images"], before["changed"], before["left_out"]) == (19, 7, 1)
    assert before["pairs"] == [[1, 0, 6], [0, 1, 1]]
    assert {name: noted["given"][name] for name in ("images", "changed")} == {"images": 19, "changed": 7}
    reviews.decide(workspace, [Choice(found_by_sample(workspace, second)[9], Verdict.RELABEL, 1)], by="ada")
    _, noted = next_round(workspace, dataset_id, {0: 1})
    assert (noted["verdicts"], noted["before"]["changed"], noted["given"]["changed"]) == ({"relabel": 1}, 1, 8)


def test_a_round_of_masks_says_it_in_images_and_pixels(workspace: Workspace, tmp_path: Path) -> None:
    dataset_id = imported(workspace, draw_stripes(tmp_path / "set"))
    first, _ = opened(workspace, dataset_id)
    predict(workspace, first, {0: (slice(1, 5), slice(0, 4), 2), 3: (slice(0, 3), slice(8, 12), 0)})
    steps.judge(workspace, go_on, round_id=first)
    chosen = FindingFilter(round_id=first)
    listed = {one.row: one.id for one in reviews.page(workspace, chosen, Order.SUSPICION).items}
    reviews.decide(workspace, [Choice(listed[0], Verdict.ACCEPT), Choice(listed[3], Verdict.KEEP)], by="ada")
    second, _ = opened(workspace, dataset_id)
    predict(workspace, second, {})
    steps.judge(workspace, go_on, round_id=second)
    metrics = rounds.metrics(workspace, second)
    assert metrics is not None
    noted = metrics["label_changes"]
    for compared in (noted["before"], noted["given"]):
        assert (compared["images"], compared["changed"]) == (12, 1)
        assert (compared["pixels"], compared["pixels_changed"]) == (12 * 96, 16)
        assert compared["pairs"] == [[0, 2, 16]]
    assert noted["verdicts"] == {"accept": 1, "keep": 1}


def test_a_round_goes_on_where_the_one_before_cannot_be_compared(workspace: Workspace) -> None:
    dataset_id = add_dataset(workspace, LABELS)
    first, _ = next_round(workspace, dataset_id, {0: 1})
    (workspace.round_folder(first) / "snapshot.npz").unlink()
    _, noted = next_round(workspace, dataset_id, {0: 1})
    assert noted["before"] is None
    assert noted["given"]["changed"] == 0
