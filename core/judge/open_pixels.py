"""Open pixels of an image: unlabelled and without a verdict."""

from core.data.arrays import read_mask
from core.data.masks.store import MaskStore
from core.data.snapshot import BoolArray, Snapshot, SnapshotMasks
from core.types import DatasetError, IntArray, RoundError, ignore_of

_OPEN_SHARE = 0.05  # of an image's pixels; with more open pixels its mask is unfinished


def given_and_settled(
    snapshot: Snapshot, masks: SnapshotMasks, store: MaskStore, row: int
) -> tuple[IntArray, IntArray | None]:
    """Return the given mask of an image, IGNORE throughout without one, and its settled pixels or None.

    Both are (H, W); settled pixels are nonzero.

    Raises:
        RoundError: one of them cannot be read or has another size; names the image.
    """
    height, width = masks.sizes[row].tolist()
    try:
        given = read_mask(store, masks.labels[row], height, width, len(snapshot.classes))
        settled = store.get(masks.settled[row]) if masks.settled[row] else None
    except DatasetError as error:
        raise RoundError(f"{snapshot.paths[row]}: {error.message}", error.cure) from error
    if settled is not None and settled.shape != given.shape:
        raise RoundError(f"{snapshot.paths[row]}: its settled pixels have another size", "start a new round")
    return given, settled


def open_pixels(predicted: IntArray, given: IntArray, settled: IntArray | None) -> IntArray:
    """Return the prediction of the open pixels, IGNORE elsewhere, (H, W)."""
    unlabelled = predicted.copy()
    unlabelled[~_waiting(given, settled)] = ignore_of(unlabelled)
    return unlabelled


def open_share(given: IntArray, settled: IntArray | None = None) -> float:
    """Return the share of open pixels of an image."""
    return float(_waiting(given, settled).mean())


def is_begun(given: IntArray, settled: IntArray | None = None) -> bool:
    """Return True if the mask, (H, W), of an image that came without one is unfinished."""
    return open_share(given, settled) > _OPEN_SHARE


def _waiting(given: IntArray, settled: IntArray | None) -> BoolArray:
    """Return the open pixels, (H, W)."""
    waiting: BoolArray = given == ignore_of(given)
    return waiting if settled is None else waiting & (settled == 0)
