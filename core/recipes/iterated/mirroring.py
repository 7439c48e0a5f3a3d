"""Choice of mirrored views for images with class labels, by validation labels.

A mirrored digit is another one, a mirrored photograph of a dog is none. Two questions are put to the validation images,
both about the log probability of each given label: has the network of the labels alone, which saw no mirrored image,
less to say for the labels of mirror images than of the images themselves? And has a second network, which learnt
mirrored images too, less to say for them than the first? Less is a mean difference above two of its standard errors. If
neither, all later networks learn mirrored images. Fewer than `LEAST` validation images decide nothing.

M validation images, K classes.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from core.judge import calibration
from core.recipes.iterated.stages import IteratedContext, predictor
from core.types import FloatArray

LEAST = 10  # validation images
_ERRORS = 2.0  # standard errors


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorChoice:
    """Choice by M validation images, with the shares that are right and both mean differences in nats, if measured."""

    mirror: bool
    images: int
    right: float | None = None  # by the network of the labels only
    right_mirrored: float | None = None  # the same network, of the mirror images
    lost: float | None = None  # log probability of a label by which a mirror image is less certain
    lost_by_learning: float | None = None  # the same of the network that learnt mirrored images, of the images
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def is_symmetric(context: IteratedContext, name: str, *, stage: int) -> MirrorChoice:
    """Return whether a network that saw no mirrored image knows the mirrored validation images as well."""
    count = len(context.data.validation)
    if count < LEAST:
        return MirrorChoice(mirror=False, images=count, why=f"fewer than {LEAST} validation images")
    plain, turned = (_logits(context, name, stage=stage, mirrored=mirrored) for mirrored in (False, True))
    given = context.data.snapshot.labels[context.data.validation].astype(np.int64)
    temperature = calibration.temperature(plain, given)
    lost = _likely(plain, given, temperature) - _likely(turned, given, temperature)
    is_less = shows_loss(lost)
    return MirrorChoice(
        mirror=not is_less,
        images=count,
        right=float((plain.argmax(axis=1) == given).mean()),
        right_mirrored=float((turned.argmax(axis=1) == given).mean()),
        lost=float(lost.mean()),
        why="mirror images are other images to the network of the labels" if is_less else "",
    )


def is_no_loss(context: IteratedContext, before: MirrorChoice, names: tuple[str, str], *, stage: int) -> MirrorChoice:
    """Return the choice after a second network learnt mirrored images; `names` are the first network and this one."""
    given = context.data.snapshot.labels[context.data.validation].astype(np.int64)
    first, second = (_logits(context, name, stage=stage, mirrored=False) for name in names)
    likely = [_likely(logits, given, calibration.temperature(logits, given)) for logits in (first, second)]
    lost = likely[0] - likely[1]
    is_less = shows_loss(lost)
    return MirrorChoice(
        mirror=not is_less,
        images=before.images,
        right=before.right,
        right_mirrored=before.right_mirrored,
        lost=before.lost,
        lost_by_learning=float(lost.mean()),
        why="the network that learnt mirrored images is worse" if is_less else "",
    )


def shows_loss(differences: FloatArray) -> bool:
    """Return True if the mean of these differences, (M,), lies above two of its standard errors."""
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return bool(differences.mean() > _ERRORS * error)


def _logits(context: IteratedContext, name: str, *, stage: int, mirrored: bool) -> FloatArray:
    predict = predictor(context, name, stage, mirrored=mirrored)
    found = [own.cpu().numpy() for _, own in predict(context.data.validation, "predicting")]
    logits: FloatArray = np.concatenate(found).astype(np.float32)
    return logits


def _likely(logits: FloatArray, given: np.ndarray[Any, Any], temperature: float) -> FloatArray:
    """Return the log probability of each given label, (M,)."""
    probs = calibration.probabilities(logits.copy(), temperature)
    found: FloatArray = np.log(np.maximum(probs[np.arange(len(given)), given], np.finfo(np.float32).tiny))
    return found
