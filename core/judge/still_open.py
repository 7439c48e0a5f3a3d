"""Unlabelled pixels of an image that have no verdict."""

from core.data.canvases import read_mask
from core.data.masks.store import MaskStore
from core.data.snapshot import BoolArray, Masks, Snapshot
from core.types import DatasetError, IntArray, RoundError, ignore_of

_OPEN_SHARE = 0.05  # of an image's pixels; with more of them to be labelled its mask is merely begun


def given_and_settled(snapshot: Snapshot, masks: Masks, store: MaskStore, row: int) -> tuple[IntArray, IntArray | None]:
    """Return an image's given mask, IGNORE throughout where it has none, and the pixels people have judged or None.

    Both are (H, W); judged pixels are nonzero.

    Raises:
        RoundError: one of them cannot be read, or is of another size; names the image.
    """
    height, width = masks.sizes[row].tolist()
    try:
        given = read_mask(store, masks.labels[row], height, width, len(snapshot.classes))
        settled = store.get(masks.settled[row]) if masks.settled[row] else None
    except DatasetError as error:
        raise RoundError(f"{snapshot.paths[row]}: {error}") from error
    if settled is not None and settled.shape != given.shape:
        raise RoundError(f"{snapshot.paths[row]}: what was judged of it has another size; start a new round")
    return given, settled


def still_open(predicted: IntArray, given: IntArray, settled: IntArray | None) -> IntArray:
    """Return the prediction on unlabelled pixels without a verdict, IGNORE elsewhere, (H, W)."""
    unlabelled = predicted.copy()
    unlabelled[~_waiting(given, settled)] = ignore_of(unlabelled)
    return unlabelled


def open_share(given: IntArray, settled: IntArray | None = None) -> float:
    """Return the share of an image's pixels that are still to be labelled."""
    return float(_waiting(given, settled).mean())


def is_begun(given: IntArray, settled: IntArray | None = None) -> bool:
    """Return whether the mask, (H, W), of an image that came without one is far from finished."""
    return open_share(given, settled) > _OPEN_SHARE


def _waiting(given: IntArray, settled: IntArray | None) -> BoolArray:
    """Return the unlabelled pixels without a verdict, (H, W)."""
    waiting: BoolArray = given == ignore_of(given)
    return waiting if settled is None else waiting & (settled == 0)
