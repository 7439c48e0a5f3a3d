"""The figures of a round of masks, put together from what was counted of its images. K classes, N samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from core.data.snapshot import Snapshot
from core.judge import bulk_thresholds, confusions, mask_scoring, region_ranking
from core.judge.mask_scoring import LEVELS
from core.judge.tallies import Tally
from core.types import FloatArray, IntArray

_WORST = 50  # images
_BINS = 10  # of confidence, in the calibration
_FEWEST_PIXELS = 500  # of each 16th: an object or two, not the pixels of one


class JudgedRegion(Protocol):
    """Attributes of a finding that the figures need."""

    @property
    def given(self) -> int:
        """The given class."""

    @property
    def pseudo(self) -> int:
        """The predicted class."""

    @property
    def confidence(self) -> float:
        """The mean probability of the predicted class."""


def round_metrics(
    snapshot: Snapshot, tally: Tally, findings: Sequence[JudgedRegion], scores: FloatArray
) -> dict[str, Any]:
    """Return the figures of the round's page, all JSON values; `scores` are the images', (N,)."""
    confusion = tally.confusion
    usual = region_ranking.usual_confidence(tally.seen, tally.likely)
    likely_wrong = [one.given for one in findings if one.confidence >= usual[one.pseudo]]
    errors = np.bincount(np.array(likely_wrong, dtype=np.int64), minlength=tally.classes)
    proposal = region_ranking.propose(tally.every, tally.right)
    return {
        "task": "segmentation",
        "miou": mask_scoring.mean_iou(confusion),
        "iou_per_class": mask_scoring.class_ious(confusion),
        "accuracy": mask_scoring.pixel_accuracy(confusion),
        "accuracy_per_fold": [right / count if count else None for right, count in tally.by_fold.tolist()],
        "confusion": confusions.as_json(confusion),
        "calibration": _calibration(tally),
        "estimated_errors": int(errors.sum()),
        "per_class": _class_rows(snapshot, confusion, errors, findings),
        "regions": len(findings),
        "wobble_regions": tally.wobble,
        "tiny_regions": tally.tiny,
        "worst_images": _worst_images(snapshot, scores),
        "proposed_threshold": proposal["threshold"],
        "proposal": proposal,
        "class_thresholds": bulk_thresholds.as_json(
            bulk_thresholds.estimate(
                tally.classes_every, tally.classes_right, tally.classes_open, fewest=_FEWEST_PIXELS
            )
        ),
    }


def _calibration(tally: Tally) -> list[dict[str, float]]:
    """Return, for bins of confidence, how often the given masks agree, in the shape of `calibration.reliability`."""
    level = np.arange(LEVELS)
    index = np.minimum(level * _BINS // (LEVELS - 1), _BINS - 1)
    count, right = (np.bincount(index, weights=counts, minlength=_BINS) for counts in (tally.every, tally.right))
    total = np.bincount(index, weights=tally.every * level / (LEVELS - 1), minlength=_BINS)
    return [
        {
            "lower": number / _BINS,
            "upper": (number + 1) / _BINS,
            "mean_confidence": float(total[number] / count[number]),
            "accuracy": float(right[number] / count[number]),
            "count": int(count[number]),
        }
        for number in np.flatnonzero(count).tolist()
    ]


def _class_rows(
    snapshot: Snapshot, confusion: IntArray, errors: IntArray, findings: Sequence[JudgedRegion]
) -> list[dict[str, Any]]:
    ious = mask_scoring.class_ious(confusion)
    pairs = np.zeros_like(confusion)
    for one in findings:
        pairs[one.given, one.pseudo] += 1
    rows = []
    for number, name in enumerate(snapshot.classes):
        count, worst = int(confusion[number].sum()), int(pairs[number].argmax())
        regions = int(pairs[number, worst])
        rows.append(
            {
                "class": number,
                "name": name,
                "count": count,  # pixels
                "iou": ious[number],
                "estimated_errors": int(errors[number]),
                "worst_pair": {"pseudo": worst, "count": regions} if regions else None,  # regions
                "agreement": float(confusion[number, number] / count) if count else None,
            }
        )
    return rows


def _worst_images(snapshot: Snapshot, scores: FloatArray) -> list[dict[str, Any]]:
    labelled = [row for row, name in enumerate(snapshot.masks.labels if snapshot.masks else []) if name]
    worst = sorted(labelled, key=lambda row: float(scores[row]))[:_WORST]
    return [
        {
            "row": row,
            "sample_id": int(snapshot.sample_ids[row]),
            "score": float(scores[row]),
            "name": Path(snapshot.paths[row]).name,
        }
        for row in worst
    ]
