"""The masks of images as they are now: read, edited, handed to the next round.

A mask's version is its hash in the store, so equal versions are equal masks. A mask made of decisions is computed once
and found again by a pointer beside the store, named by the given mask and what the decisions that count say.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

import numpy as np
from sqlalchemy.orm import Session

from app.services.reviews.answers import EDITED
from app.services.reviews.errors import NotFoundError, RefusedError, StaleMaskError
from app.services.reviews.storing import ActKey, Actor, finished_round, store_once
from app.services.workspace import Workspace
from core.data.masks.store import MaskStore
from core.data.storage import write_atomically
from core.judge.masks import ReadMask, resolved_mask, settled_pixels
from core.types import Act, IntArray, RegionDecision, Verdict, ignore_of, mask_dtype, widened
from db.queries import decisions, findings, masks, projection
from db.queries.masks import FoundRegion, MaskedSample

_NEVER = 0  # the number of no decision


@dataclass(frozen=True, slots=True)
class ResolvedMask:
    """A mask and the pixels people have settled, by their names in the store; `settled_hash` "": none."""

    mask_hash: str
    settled_hash: str


@dataclass(frozen=True, slots=True)
class OpenedMask:
    """One image as the editor opens it; `previous` and `next` are the images beside it in the round's order."""

    sample: MaskedSample
    version: str
    given: str | None  # the version it came with
    regions: list[FoundRegion]
    previous: int | None
    next: int | None


@dataclass(frozen=True, slots=True)
class Edited:
    """A stored edit: the act, the mask's version now, and when."""

    changeset: int | None
    version: str
    saved_at: datetime


def view_mask(workspace: Workspace, sample_id: int, round_id: int) -> OpenedMask:
    """Return an image with its present mask and what a round found in it.

    Raises:
        NotFoundError: there is no such image, or its labels are no masks.
    """
    with workspace.database.read() as session:
        sample = _sample(session, sample_id)
        version = _version(workspace, sample, masks.live_region_decisions(session, sample_id))
        found = masks.regions_of(session, round_id, sample_id)
        previous, following = masks.beside(session, round_id, sample_id)
    given = None if sample.mask_hash is None else widened_version(workspace, sample.mask_hash, len(sample.classes))
    return OpenedMask(sample, version, given, found, previous, following)


def labels(workspace: Workspace, sample_id: int, version: str | None = None) -> tuple[str, IntArray]:
    """Return the present mask of an image, or the one of a version, with its version.

    Raises:
        NotFoundError: there is no such image.
        DatasetError: there is no such version, or its file is damaged.
    """
    with workspace.database.read() as session:
        sample = _sample(session, sample_id)
        current = version or _version(workspace, sample, masks.live_region_decisions(session, sample_id))
    mask = _reader(workspace, sample)(current)
    if mask.shape != (sample.height, sample.width):
        raise NotFoundError(f"version {current} is no mask of this image", "load the mask again")
    return current, mask


def save_edit(
    workspace: Workspace, sample_id: int, finding_id: int, packed: bytes, *, base: str, by: str, key: ActKey
) -> Edited:
    """Store a whole mask, edited by a person from the version `base`, as the verdict on a finding of its image.

    `packed` are the labels row by row, little-endian and deflated by zlib. A mask equal to `base` changes nothing.

    Raises:
        NotFoundError: there is no such image or finding.
        RefusedError: the bytes are no mask of this image, or the finding is not of it, or of an unfinished round.
        StaleMaskError: `base` is not the present mask.
    """
    with workspace.database.read() as session:
        sample = _sample(session, sample_id)
    store = MaskStore(workspace.masks)
    version = store.put(_unpacked(packed, sample))

    def act(session: Session, actor: Actor) -> int:
        card = next(iter(findings.findings_by_ids(session, [finding_id])), None)
        if card is None:
            raise NotFoundError(f"there is no finding {finding_id}", "reload the page")
        if card.sample_id != sample_id:
            raise RefusedError(f"finding {finding_id} is not of this image", "reload the page")
        in_round = finished_round(session, card.round_id)
        present = _version(workspace, sample, masks.live_region_decisions(session, sample_id))
        if present != base:
            raise StaleMaskError(present)
        new = [decisions.NewDecision(sample_id, finding_id, Verdict.RELABEL, None, version)] if version != base else []
        changeset = actor.changeset(
            Act.VERDICT, in_round.id, in_round.dataset_id, size=len(new), note={EDITED: sample.name}
        )
        changeset_id = decisions.add_changeset(session, changeset)
        if new:
            decisions.add_decisions(session, changeset_id, new)
            projection.project(session, decisions.findings_affected_by(Act.VERDICT, changeset_id))
        return changeset_id

    saved = store_once(workspace, by, key, act, [finding_id])
    with workspace.database.read() as session:
        stored = decisions.edited_mask(session, saved.changeset or _NEVER)
    return Edited(saved.changeset, stored or base, saved.saved_at)


def resolved(workspace: Workspace, dataset_id: int) -> Mapping[int, ResolvedMask]:
    """Return the mask as it is now of every image of a dataset that people have decided on, by the sample's id."""
    found: dict[int, ResolvedMask] = {}
    with workspace.database.read() as session:
        samples = masks.samples_by_id(session, dataset_id)
        for sample_id, live in masks.region_decisions_by_sample(session, dataset_id):
            sample = samples[sample_id]
            found[sample_id] = ResolvedMask(_version(workspace, sample, live), _settled(workspace, sample, live))
    return found


def exported_mask(
    workspace: Workspace, sample: MaskedSample, live: Sequence[RegionDecision], as_given: Sequence[Verdict]
) -> str:
    """Return the hash of the mask an image leaves with; regions of the verdicts `as_given` are as if they were kept."""
    if not any(one.decision.verdict in as_given for one in live):
        return _version(workspace, sample, live)
    read = _reader(workspace, sample)
    what = f"mask with {' '.join(as_given)} kept"
    make = lambda: resolved_mask(given_mask(workspace, sample), live, read, as_given)  # noqa: E731
    return _kept(workspace, what, sample, live, make)


def given_mask(workspace: Workspace, sample: MaskedSample) -> IntArray:
    """Return the mask an image came with, (H, W); all IGNORE where it came without one."""
    if sample.mask_hash is not None:
        return _reader(workspace, sample)(sample.mask_hash)
    dtype = mask_dtype(len(sample.classes))
    return np.full((sample.height, sample.width), np.iinfo(dtype).max, dtype=dtype)


def widened_version(workspace: Workspace, name: str, classes: int) -> str:
    """Return the hash of a kept mask in the dtype of so many classes: another one once they outgrew a byte."""
    if mask_dtype(classes) == np.uint8:
        return name
    store = MaskStore(workspace.masks)
    return _pointed(workspace, f"widened {name}".encode(), lambda: widened(store.get(name), classes))


def _reader(workspace: Workspace, sample: MaskedSample) -> ReadMask:
    """Return what reads masks of the store as the dataset's classes need them now."""
    store = MaskStore(workspace.masks)
    return lambda name: widened(store.get(name), len(sample.classes))


def _version(workspace: Workspace, sample: MaskedSample, live: Sequence[RegionDecision]) -> str:
    """Return the hash of an image's mask after these decisions, which lies in the store then."""
    if not live and sample.mask_hash is not None:
        return widened_version(workspace, sample.mask_hash, len(sample.classes))
    if live and live[-1].decision.mask_hash is not None:  # an edit replaces everything before it
        return widened_version(workspace, live[-1].decision.mask_hash, len(sample.classes))
    read = _reader(workspace, sample)
    return _kept(workspace, "mask", sample, live, lambda: resolved_mask(given_mask(workspace, sample), live, read))


def _settled(workspace: Workspace, sample: MaskedSample, live: Sequence[RegionDecision]) -> str:
    if all(one.decision.bulk for one in live):
        return ""
    read = _reader(workspace, sample)
    return _kept(workspace, "settled", sample, live, lambda: settled_pixels(given_mask(workspace, sample), live, read))


def _kept(
    workspace: Workspace, what: str, sample: MaskedSample, live: Sequence[RegionDecision], make: Callable[[], IntArray]
) -> str:
    """Return the hash of a mask that follows from these decisions, computed only the first time.

    Numbers of rows alone would not do: they begin anew when a database is lost and its files are not.
    """
    told = [f"{what} {mask_dtype(len(sample.classes))} {sample.mask_hash} {sample.width} {sample.height}".encode()]
    for one in live:
        said = one.decision
        facts = (said.finding_id, said.verdict.value, said.label, said.bulk, said.mask_hash, one.given)
        told += [repr(facts).encode(), one.region.to_bytes()]
    return _pointed(workspace, b"\n".join(told), make)


def _pointed(workspace: Workspace, what: bytes, make: Callable[[], IntArray]) -> str:
    """Return the hash of the mask that `what` describes, made only the first time."""
    key = blake2b(what, digest_size=16).hexdigest()
    pointer = workspace.masks / "resolved" / key[:2] / key
    store = MaskStore(workspace.masks)
    if pointer.is_file():
        known = pointer.read_text()
        if known and store.path(known).is_file():
            return known
    made = store.put(make())
    write_atomically(pointer, made.encode(), durable=False)
    return made


def _unpacked(packed: bytes, sample: MaskedSample) -> IntArray:
    """Return the mask that a browser sent; nothing larger than this image's mask is ever unpacked."""
    dtype = mask_dtype(len(sample.classes)).newbyteorder("<")
    size = sample.width * sample.height * dtype.itemsize
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(packed, size + 1)
    except zlib.error as error:
        raise RefusedError(f"the body cannot be inflated ({error})", "send labels deflated by zlib") from None
    if len(data) != size or not inflate.eof or inflate.unused_data:
        what = "more" if len(data) > size or inflate.unused_data else "less"
        cure = f"send {sample.width} x {sample.height} labels of {dtype.itemsize} bytes"
        raise RefusedError(f"the body holds {what} than one mask", cure)
    mask: IntArray = np.frombuffer(data, dtype).astype(dtype.newbyteorder("=")).reshape(sample.height, sample.width)
    wrong = mask[(mask >= len(sample.classes)) & (mask != ignore_of(mask))]
    if wrong.size:
        raise RefusedError(f"label {wrong[0]} is no class", f"use 0 to {len(sample.classes) - 1}, or {ignore_of(mask)}")
    return mask


def _sample(session: Session, sample_id: int) -> MaskedSample:
    found = masks.find_sample(session, sample_id)
    if found is None:
        raise NotFoundError(f"there is no image {sample_id} with a mask", "choose a finding on the Review page")
    return found
