"""Masks of a round: snapshot, predictions, and pictures of its findings.

Pictures are kept by what they show, beside the thumbnails.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np

from app.services.app_context import AppContext
from app.services.images import file_of, window_in_use
from app.services.masks.history import MaskHistory
from app.services.reviews.store import NotFoundError
from core.data import pictures
from core.data.images import crop as cut_out
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.data.windows import Window, window_text
from core.types import Finding, IntArray, Region, exchange_values, widen
from db.queries import findings, masks, rounds
from db.queries.masks import MaskedSample

EDGES = (192, 384, 1024)  # pixels of a crop's longer side


class Layer(StrEnum):
    """Layer of a crop: the image itself, or an overlay."""

    IMAGE = "image"
    CONTOUR = "contour"
    FILL = "fill"


class Overlay(StrEnum):
    """Mask over a whole image: that of the snapshot, with a suggestion, or the difference."""

    GIVEN = "given"
    SUGGESTED = "suggested"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True)
class _Card:
    finding: Finding
    box: pictures.Box
    region: Region
    sample: MaskedSample


def crop_of(finding: Finding) -> pictures.Box | None:
    """Return the crop of a finding's pictures, (x, y, width, height); None without a region."""
    return None if finding.box is None else pictures.crop_around(finding.box, finding.width, finding.height)


def picture_version(finding: Finding) -> str:
    """Return 8 hex digits that identify the content of a finding's pictures."""
    facts = f"{finding.content_hash} {finding.box} {finding.area} {finding.given} {finding.pseudo}"
    return blake2b(facts.encode(), digest_size=4).hexdigest()


def picture(
    app_context: AppContext, finding_id: int, layer: Layer, edge: int, window: Window | None = None
) -> tuple[bytes, str]:
    """Return one layer of a region with its surroundings as WebP, and its version.

    Greys of more than 8 bits are shown through `window`, or through that of the dataset.

    Raises:
        NotFoundError: there is no such region, or its image is gone or has changed since the import.
        DatasetError: the image cannot be read any more.
    """
    card = _card(app_context, finding_id)
    crop = pictures.crop_around(card.box, card.sample.width, card.sample.height)
    in_use = window_in_use(app_context, card.sample.content_hash) if window is None and layer is Layer.IMAGE else None
    window = window or in_use
    seen = "" if window is None else f"{window_text(window)} "
    shown = f"{seen}{card.sample.content_hash}".encode() if layer is Layer.IMAGE else card.region.to_bytes()
    key = blake2b(f"{layer} {crop} {edge} ".encode() + shown, digest_size=16).hexdigest()
    kept = app_context.thumbnails / key[:2] / f"{key}-region.webp"
    found = pictures.find(kept)
    if found is None:
        found = (
            _photo(app_context, card, edge, window) if layer is Layer.IMAGE else _LAYERS[layer](card.region, crop, edge)
        )
        pictures.keep(kept, found)
    version = picture_version(card.finding)
    return found, version if in_use is None else f"{version}-{window_text(in_use)}"  # a dataset's window may be changed


def overlay(app_context: AppContext, finding_id: int, which: Overlay) -> tuple[bytes, str]:
    """Return a mask in its classes' colours over the whole image of a finding, as PNG, and its version.

    Raises:
        NotFoundError: there is no such region.
        RoundError: the round's folder is gone.
        DatasetError: the mask is.
    """
    card = _card(app_context, finding_id)
    opened = opened_mask(app_context, card.finding.round_id, card.sample)
    colours = card.sample.colours
    return pictures.colour_mask(_OVERLAYS[which](opened, card), colours), picture_version(card.finding)


def opened_mask(app_context: AppContext, round_id: int, sample: MaskedSample) -> IntArray:
    """Return the mask of an image in a round's snapshot, (H, W).

    Raises:
        RoundError: the round's folder is gone.
        NotFoundError: the round did not see this image.
    """
    seen = _snapshot_masks(app_context.round_folder(round_id))
    name = seen.labels[seen.row(sample.id)]
    store = MaskStore(app_context.masks)
    mask = widen(store.get(name), len(sample.classes)) if name else MaskHistory(store, sample, ()).given()
    return exchange_values(mask, sample.state.merged)


def predicted_mask(app_context: AppContext, round_id: int, sample_id: int) -> IntArray:
    """Return the predicted class of each pixel of an image in a round, (H, W).

    Raises:
        NotFoundError: there is no such image, or the round did not see it, or keeps no predictions of masks any more.
    """
    folder = app_context.round_folder(round_id)
    with app_context.database.read() as session:
        sample = masks.find_sample(session, sample_id)
    if sample is None or not (folder / "predicted.npy").is_file():
        raise NotFoundError("this round keeps no predicted masks", "run another round")
    seen = _snapshot_masks(folder)
    row = seen.row(sample_id)
    with app_context.database.read() as session:
        proposes = rounds.get_round(session, round_id).recipe.proposes
    if proposes and int(np.load(folder / "fold.npy", mmap_mode="r")[row]) < 0:
        raise NotFoundError("this round predicted images without a mask only", "run a round that finds wrong labels")
    everything = np.load(folder / "predicted.npy", mmap_mode="r")
    height, width = seen.sizes[row].tolist()
    start = int(seen.offsets[row])
    mask = np.array(everything[start : start + height * width]).reshape(height, width)
    return exchange_values(widen(mask, len(sample.classes)), sample.state.merged)


@dataclass(frozen=True, slots=True, eq=False)
class _SnapshotMasks:
    """The masks of a round's snapshot, by their names in the store, and the position of each image in its arrays."""

    rows: Mapping[int, int]
    labels: list[str]
    sizes: IntArray  # (N, 2) height, width
    offsets: IntArray  # (N,)

    def row(self, sample_id: int) -> int:
        if sample_id not in self.rows:
            raise NotFoundError("this round did not see this image", "choose another round")
        return self.rows[sample_id]


def _snapshot_masks(folder: Path) -> _SnapshotMasks:
    file = folder / "snapshot.npz"
    return _read_seen(folder, file.stat().st_mtime_ns if file.is_file() else 0)


@lru_cache(maxsize=8)
def _read_seen(folder: Path, _written: int) -> _SnapshotMasks:
    snapshot = Snapshot.load(folder)
    if snapshot.masks is None:
        raise NotFoundError("this round is not about masks", "choose another round")
    sizes = snapshot.masks.sizes.astype(np.int64)
    offsets = np.cumsum(sizes.prod(axis=1)) - sizes.prod(axis=1)
    rows = {sample: row for row, sample in enumerate(snapshot.sample_ids.tolist())}
    return _SnapshotMasks(rows, snapshot.masks.labels, sizes, offsets)


def _card(app_context: AppContext, finding_id: int) -> _Card:
    with app_context.database.read() as session:
        found = findings.findings_by_ids(session, [finding_id])
        region = masks.region_of(session, finding_id)
        sample = masks.find_sample(session, found[0].sample_id) if found else None
    if not found or found[0].box is None or region is None or sample is None:
        raise NotFoundError(f"there is no region {finding_id}", "reload the page")
    return _Card(found[0], found[0].box, region, sample)


def _photo(app_context: AppContext, card: _Card, edge: int, window: Window | None) -> bytes:
    """Draw the image itself around a region."""
    path = file_of(app_context, card.sample.content_hash)
    if path is None:
        raise NotFoundError("the image is gone or has changed since its import", "import the dataset again")
    crop = pictures.crop_around(card.box, card.sample.width, card.sample.height)
    return cut_out(path, crop, edge, window)


def _suggested(opened: IntArray, card: _Card) -> IntArray:
    painted = opened.copy()
    card.region.paint(painted, card.finding.pseudo)
    return painted


def _difference(opened: IntArray, card: _Card) -> IntArray:
    alone = np.full_like(opened, np.iinfo(opened.dtype).max)
    card.region.paint(alone, card.finding.pseudo)
    return alone


_LAYERS: Mapping[Layer, Callable[[Region, pictures.Box, int], bytes]] = {
    Layer.CONTOUR: pictures.outline,
    Layer.FILL: pictures.fill_region,
}
_OVERLAYS: Mapping[Overlay, Callable[[IntArray, _Card], IntArray]] = {
    Overlay.GIVEN: lambda opened, _card: opened,
    Overlay.SUGGESTED: _suggested,
    Overlay.DIFFERENCE: _difference,
}
