"""Results of a round for the Insight page: its worst images, and the estimates from random samples of its findings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.services.app_context import AppContext
from app.services.reviews import AuditView, Recalibration, RefusedError, audits, evidence, precision
from core.judge.mask_scoring import mean_iou
from core.types import FindingFilter, FindingKind, JobStatus
from db.queries import findings, masks
from db.queries.rounds import FoldRun


@dataclass(frozen=True, slots=True)
class Samples:
    """Random samples of a round's findings, and the estimates that follow.

    `sizes` counts the findings of each kind from which a sample is drawn; `whole` has the samples of all findings
    of a kind, `listed` all samples, oldest first.
    """

    sizes: Mapping[FindingKind, int]
    whole: Mapping[FindingKind, AuditView]
    listed: Sequence[AuditView]
    recalibration: Recalibration


def samples(app_context: AppContext, round_id: int) -> Samples:
    """Return a finished round's random samples.

    Raises:
        RefusedError: there is no such round.
    """
    with app_context.database.read() as session:
        in_round = findings.find_round(session, round_id)
        if in_round is None:
            raise RefusedError(f"there is no round {round_id}", "choose another")
        sets = {kind: evidence.whole_kind(in_round, kind) for kind in FindingKind}
        sizes = {kind: findings.count(session, fixed) for kind, fixed in sets.items()}
        recalibration = precision.recalibrated(app_context, session, in_round)
    listed = audits.list_audits(app_context, round_id)
    identities = {evidence.identity_of(fixed): kind for kind, fixed in sets.items()}
    whole = {identities[one.audit.identity]: one for one in listed if one.audit.identity in identities}
    sizes |= {kind: one.audit.size for kind, one in whole.items()}
    return Samples({kind: size for kind, size in sizes.items() if size}, whole, listed, recalibration)


def start_sample(app_context: AppContext, round_id: int, kind: FindingKind, *, by: str) -> AuditView:
    """Return the random sample of all findings of a kind, drawn if there is none.

    Raises:
        RefusedError: there are none of this kind.
    """
    return audits.start(app_context, FindingFilter(round_id=round_id, kinds=frozenset({kind})), by=by)


def worst_images(app_context: AppContext, metrics: dict[str, Any], most: int = 12) -> list[tuple[int, str, str, float]]:
    """Return (sample, name, content hash, score) of the images with the lowest score in a round of masks, worst first.

    Scores range from 0, surely wrong, to 1. Empty without measured masks.
    """
    found = []
    with app_context.database.read() as session:
        for one in metrics.get("worst_images", [])[:most]:
            sample = masks.find_sample(session, one["sample_id"])
            if sample is not None:
                found.append((sample.id, sample.name, sample.content_hash, one["score"]))
    return found


def mean_iou_so_far(app_context: AppContext, round_id: int, folds: Sequence[FoldRun]) -> float | None:
    """Return the mean IoU over a round's finished folds; None before the first, and for classes."""
    total = None
    done = [fold.fold for fold in folds if fold.status is JobStatus.DONE]
    folder = app_context.round_folder(round_id) if done else app_context.own_round_folder(round_id)
    for path in (folder / f"fold_{number}.npz" for number in done):
        if not path.is_file():
            continue
        with np.load(path) as kept:
            if "confusion" in kept:
                total = kept["confusion"] + (0 if total is None else total)
    return None if total is None else mean_iou(total)
