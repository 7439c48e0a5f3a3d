"""What a round measured, as pages show it: beside the figures, the images they are about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.services.workspace import Workspace
from core.judge.mask_scoring import mean_iou
from core.types import RoundStatus
from db.queries import masks
from db.queries.folds import FoldRun


@dataclass(frozen=True, slots=True)
class WorstImage:
    """An image whose mask a round trusts least; `score` from 0, surely wrong, to 1."""

    sample_id: int
    name: str
    content_hash: str
    score: float


def worst_images(workspace: Workspace, metrics: dict[str, Any], most: int = 12) -> list[WorstImage]:
    """Return the images a round of masks trusts least, the worst first; none where it measured none."""
    found = []
    with workspace.database.read() as session:
        for one in metrics.get("worst_images", [])[:most]:
            sample = masks.find_sample(session, one["sample_id"])
            if sample is not None:
                found.append(WorstImage(sample.id, sample.name, sample.content_hash, one["score"]))
    return found


def mean_iou_so_far(workspace: Workspace, round_id: int, folds: Sequence[FoldRun]) -> float | None:
    """Return the mean IoU over a round's folds that are done; None before, and where labels are no masks."""
    total = None
    for fold in folds:
        path = workspace.round_folder(round_id) / f"fold_{fold.fold}.npz"
        if fold.status is not RoundStatus.DONE or not path.is_file():
            continue
        with np.load(path) as kept:
            if "confusion" in kept:
                total = kept["confusion"] + (0 if total is None else total)
    return None if total is None else mean_iou(total)
