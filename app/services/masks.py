"""The masks of images as they are now: read, edited, handed to the next round.

A mask's version is its hash in the store (see `mask_versions`), so an edit names the version it began from.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy.orm import Session

from app.services.mask_versions import present_version, reader, remember_version, settled_version, widened_version
from app.services.painting_over import note_edit
from app.services.reviews.answers import EDITED
from app.services.reviews.errors import NotFoundError, RefusedError, StaleMaskError
from app.services.reviews.storing import ActKey, Actor, finished_round, store_once
from app.services.taking_back import edits_to_undo, undo_edits
from app.services.workspace import Workspace
from core.data.masks.recent import keep_recent
from core.data.masks.store import MaskStore
from core.judge.masks import is_touched
from core.types import Act, IntArray, Status, Verdict, ignore_of, mask_dtype
from db.queries import decisions, findings, mask_images, masks, projection, tags
from db.queries.masks import FoundRegion, MaskedSample

_NEVER = 0  # the number of no decision


@dataclass(frozen=True, slots=True)
class ResolvedMask:
    """A mask and the pixels people have settled, by their names in the store; `settled_hash` "": none."""

    mask_hash: str
    settled_hash: str


@dataclass(frozen=True, slots=True)
class OpenedMask:
    """One image as the editor opens it; `previous` and `next` are those beside it, see `db.queries.mask_images`."""

    sample: MaskedSample
    version: str
    given: str | None  # the version it came with
    regions: list[FoundRegion]
    previous: int | None
    next: int | None
    tags: list[int] | None  # the tagged classes, None: untagged


@dataclass(frozen=True, slots=True)
class Edited:
    """A stored edit: the act, the mask's version now, when, and where its region and those it moved stand."""

    changeset: int | None
    version: str
    saved_at: datetime
    beside: Mapping[int, Status]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditAbout:
    """Context of an edit: a finding, else a round in which it was made, else neither (there was no round yet)."""

    finding_id: int | None = None
    round_id: int | None = None


def view_mask(workspace: Workspace, sample_id: int, round_id: int | None) -> OpenedMask:
    """Return an image with its present mask and what a round found in it: nothing where there is no round yet.

    Raises:
        NotFoundError: there is no such image, or its labels are no masks.
    """
    with workspace.database.read() as session:
        sample = _sample(session, sample_id)
        version = present_version(workspace, sample, masks.live_region_decisions(session, sample_id))
        found = [] if round_id is None else masks.regions_of(session, round_id, sample_id)
        previous, following = mask_images.beside(session, sample.dataset_id, round_id, sample_id)
        said = tags.newest(session, sample_id)
    given = None if sample.mask_hash is None else widened_version(workspace, sample.mask_hash, len(sample.classes))
    return OpenedMask(sample, version, given, found, previous, following, said.classes if said else None)


def labels(workspace: Workspace, sample_id: int, version: str | None = None) -> tuple[str, IntArray]:
    """Return the present mask of an image, or the one of a version, with its version.

    Raises:
        NotFoundError: there is no such image.
        DatasetError: there is no such version, or its file is damaged.
    """
    with workspace.database.read() as session:
        sample = _sample(session, sample_id)
        current = version or present_version(workspace, sample, masks.live_region_decisions(session, sample_id))
    mask = reader(workspace, sample)(current)
    if mask.shape != (sample.height, sample.width):
        raise NotFoundError(f"version {current} is no mask of this image", "load the mask again")
    return current, mask


def save_edit(
    workspace: Workspace, sample_id: int, about: EditAbout, packed: bytes, *, base: str, by: str, key: ActKey
) -> Edited:
    """Store a whole mask, edited by a person from the version `base`.

    It is the verdict on the finding it is about, if it changes pixels of that region. A mask that is again what it was
    before the person's last edits undoes these. One equal to `base` changes nothing. `packed` are the labels row by
    row, little-endian and deflated by zlib.

    Raises:
        NotFoundError: there is no such image, finding or round.
        RefusedError: the bytes are no mask of this image, or finding or round not of it, or unfinished.
        StaleMaskError: `base` is not the present mask.
    """
    with workspace.database.read() as session:
        sample = _sample(session, sample_id)
    store = MaskStore(workspace.masks)
    edited = _unpacked(packed, sample)
    version = store.put(edited)
    keep_recent(store, version, edited)
    moved: list[int] = []

    def act(session: Session, actor: Actor) -> int:
        round_id = _round_of(session, sample, about)
        before = masks.live_region_decisions(session, sample_id)
        present = present_version(workspace, sample, before)
        if present != base:
            raise StaleMaskError(present)
        former = edits_to_undo(workspace, sample, before, base=base, version=version, by=actor.name)
        if former and all(decisions.size_of(session, one.changeset_id) == 1 for one in former):
            changeset_id, others = undo_edits(workspace, session, actor, sample.dataset_id, former)
            moved.extend(others)
            return changeset_id
        finding_id = about.finding_id
        if finding_id is not None and not _touches(workspace, session, sample, finding_id, (base, version)):
            finding_id = None
        edit = decisions.NewDecision(sample_id, finding_id, Verdict.RELABEL, None, version, base)
        new = [edit] if version != base else []
        changeset = actor.changeset(Act.VERDICT, round_id, sample.dataset_id, size=len(new), note={EDITED: sample.name})
        changeset_id = decisions.add_changeset(session, changeset)
        if new:
            decisions.add_decisions(session, changeset_id, new)
            projection.project(session, decisions.findings_affected_by(Act.VERDICT, changeset_id))
            live = masks.live_region_decisions(session, sample_id)
            moved.extend(note_edit(workspace, session, sample, (base, version), live))
            remember_version(workspace, sample, live, version)  # which it is, being an edit of the present mask
        return changeset_id

    saved = store_once(workspace, by, key, act, [] if about.finding_id is None else [about.finding_id])
    with workspace.database.read() as session:
        stored = decisions.edited_mask(session, saved.changeset or _NEVER)
        asked = {*moved, *([] if about.finding_id is None else [about.finding_id])}
        beside = findings.findings_by_ids(session, list(asked)) if asked else []
    return Edited(saved.changeset, stored or version, saved.saved_at, {one.id: one.status for one in beside})


def resolved(workspace: Workspace, dataset_id: int) -> Mapping[int, ResolvedMask]:
    """Return the mask as it is now of every image of a dataset that people have decided on, by the sample's id."""
    found: dict[int, ResolvedMask] = {}
    with workspace.database.read() as session:
        samples = masks.samples_by_id(session, dataset_id)
        for sample_id, live in masks.region_decisions_by_sample(session, dataset_id):
            sample = samples[sample_id]
            found[sample_id] = ResolvedMask(
                present_version(workspace, sample, live), settled_version(workspace, sample, live)
            )
    return found


def _touches(
    workspace: Workspace, session: Session, sample: MaskedSample, finding_id: int, edit: tuple[str, str]
) -> bool:
    """Return whether an edit, from one mask to another, changes any pixel of a finding's region."""
    region = masks.region_of(session, finding_id)
    if region is None:
        return True
    before, after = map(reader(workspace, sample), edit)
    return is_touched(region, before != after)


def _round_of(session: Session, sample: MaskedSample, about: EditAbout) -> int | None:
    """Return the round that an edit of an image belongs to, None for none."""
    if about.finding_id is None:
        if about.round_id is None:
            return None
        in_round = finished_round(session, about.round_id)
        if in_round.dataset_id != sample.dataset_id:
            raise RefusedError(f"round {about.round_id} did not look at this image", "reload the page")
        return in_round.id
    card = next(iter(findings.findings_by_ids(session, [about.finding_id])), None)
    if card is None:
        raise NotFoundError(f"there is no finding {about.finding_id}", "reload the page")
    if card.sample_id != sample.id:
        raise RefusedError(f"finding {about.finding_id} is not of this image", "reload the page")
    return finished_round(session, card.round_id).id


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
    sent: IntArray = np.frombuffer(data, dtype).reshape(sample.height, sample.width)
    mask = sent.astype(dtype.newbyteorder("="), copy=False)
    if (mask + mask.dtype.type(1)).max() > len(sample.classes):  # IGNORE, the largest number, is 0 then
        wrong = mask[(mask >= len(sample.classes)) & (mask != ignore_of(mask))]
        raise RefusedError(f"label {wrong[0]} is no class", f"use 0 to {len(sample.classes) - 1}, or {ignore_of(mask)}")
    return mask


def _sample(session: Session, sample_id: int) -> MaskedSample:
    found = masks.find_sample(session, sample_id)
    if found is None:
        raise NotFoundError(f"there is no image {sample_id} with a mask", "choose one on the Masks page")
    return found
