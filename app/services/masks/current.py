"""Current masks of images: read, edited, used by the next round.

A mask's version is its hash in the store (see `history`), so an edit names the version it began from. An edit that
returns a mask to what it was before a person's last edits undoes these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.masks.history import Edit, MaskHistory, load_history, note_act, note_edit, seen_version
from app.services.masks.request import painted_tiles, whole_mask
from app.services.reviews.store import (
    ActKey,
    Actor,
    NotFoundError,
    RefusedError,
    StaleMaskError,
    finished_round,
    refuse_deleted_image,
    store_once,
)
from core.data.masks.png import to_png
from core.data.masks.store import MaskStore, is_recent, keep_recent, mask_hash
from core.judge.masks import is_touched
from core.types import Act, DatasetError, Decision, IntArray, Status, Verdict, mask_dtype, merged_ids
from db.queries import decisions, findings, masks, projection, tags
from db.queries.decisions import EDITED
from db.queries.masks import FoundRegion, MaskedSample

_NEVER = 0  # no decision has this number
_EDITS = 50  # returned of an image, newest first


@dataclass(frozen=True, slots=True)
class ResolvedMask:
    """A mask and the pixels people have settled, by their names in the store; `settled_hash` "": none."""

    mask_hash: str
    settled_hash: str


@dataclass(frozen=True, slots=True)
class LastEdit:
    """An edit that can be undone: its annotator, and the version it started from."""

    by: str
    base: str


@dataclass(frozen=True, slots=True)
class OpenedMask:
    """One image as the editor opens it; `previous` and `next` are its neighbours, see `db.queries.masks`."""

    sample: MaskedSample
    version: str
    given: str | None  # the version of the import
    regions: list[FoundRegion]
    previous: int | None
    next: int | None
    tags: list[int] | None  # the tagged classes, None: untagged
    edits: list[LastEdit]  # the uninterrupted edits that led to `version`, newest first
    merged_since: bool  # the edit before these precedes a merge of classes


@dataclass(frozen=True, slots=True)
class SavedEdit:
    """A stored edit: act, current version of the mask, time, and the statuses of its region and of the changed ones."""

    changeset: int | None
    version: str
    saved_at: datetime
    statuses: Mapping[int, Status]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditContext:
    """Context of an edit: a finding, else the round in which it was made, else neither (before the first round)."""

    finding_id: int | None = None
    round_id: int | None = None


def view_mask(app_context: AppContext, sample_id: int, round_id: int | None) -> OpenedMask:
    """Return an image with its current mask and the findings of a round in it, none before the first round.

    Raises:
        DeletedError: the dataset is deleted and can be restored.
        NotFoundError: there is no such image, or its labels are not masks.
    """
    with app_context.database.read() as session:
        sample = _find_sample(session, sample_id)
        history = load_history(session, MaskStore(app_context.masks), sample)
        version = history.present()
        found = [] if round_id is None else masks.regions_of(session, round_id, sample_id)
        previous, following = masks.neighbours(session, sample.dataset_id, round_id, sample_id)
        newest = tags.newest(session, sample_id)
    given = None if sample.mask_hash is None else seen_version(history.store, sample.mask_hash, sample.state)
    tagged = merged_ids(newest.classes, sample.state.merged) if newest and newest.classes is not None else None
    edits = _last_edits(history, version)
    before = history.first(len(history.decisions) - len(edits))
    merged = _is_merged_edit(before, edits[-1].base if edits else version)
    return OpenedMask(sample, version, given, found, previous, following, tagged, edits, merged)


def read_mask(app_context: AppContext, sample_id: int, version: str | None = None) -> tuple[str, IntArray]:
    """Return the current mask of an image, or that of a version, with its version.

    Raises:
        NotFoundError: there is no such image.
        DatasetError: there is no such version, or its file is damaged.
    """
    history, current = _find_version(app_context, sample_id, version)
    mask = history.read(current)
    if mask.shape != (history.sample.height, history.sample.width):
        raise NotFoundError(f"version {current} is not a mask of this image", "load the mask again")
    return current, mask


def read_mask_file(app_context: AppContext, sample_id: int, version: str | None = None) -> tuple[str, bytes]:
    """Return the result of `read_mask` as its stored grey PNG.

    Raises:
        NotFoundError: there is no such image.
        DatasetError: there is no such version, or its file is damaged.
    """
    history, current = _find_version(app_context, sample_id, version)
    sample = history.sample
    itemsize = mask_dtype(len(sample.classes)).itemsize
    found = history.store.data(current, (sample.height, sample.width), itemsize)
    return current, found if found is not None else to_png(read_mask(app_context, sample_id, current)[1])


def save_edit(
    app_context: AppContext,
    sample_id: int,
    about: EditContext,
    packed: bytes,
    *,
    base: str,
    by: str,
    key: ActKey,
    tiles: bool = False,
) -> SavedEdit:
    """Store a mask, edited by a person from the version `base`.

    It is the verdict on its finding, if it changes pixels of that region. A mask that is again what it was before the
    person's last edits undoes these. One equal to `base` changes nothing. `packed` is the whole mask or, with `tiles`,
    its changed tiles, see `request`.

    Raises:
        DeletedError: the dataset or the round is deleted and can be restored.
        NotFoundError: there is no such image, finding or round.
        RefusedError: the bytes are not a mask of this image, or finding or round not of it, or unfinished.
        StaleMaskError: `base` is not the present mask.
    """
    with app_context.database.read() as session:
        sample = _find_sample(session, sample_id)
    store = MaskStore(app_context.masks)
    if tiles:
        version = _keep_painted(app_context, MaskHistory(store, sample, ()), packed, base)
    else:
        edited = whole_mask(packed, sample)
        version = store.put(edited)
        keep_recent(store, version, edited)
    moved: list[int] = []

    def act(session: Session, actor: Actor) -> int:
        round_id = _round_of(session, sample, about)
        before = load_history(session, store, sample)
        present = before.present()
        if present != base:
            raise StaleMaskError(present)
        former = _edits_to_undo(before, (base, version), by=actor.name)
        if former and all(decisions.size_of(session, one.changeset_id) == 1 for one in former):
            changeset_id, others = _undo_edits(app_context, session, actor, sample.dataset_id, former)
            moved.extend(others)
            return changeset_id
        finding_id = about.finding_id
        if finding_id is not None and not _touches(session, before, finding_id, (base, version)):
            finding_id = None
        edit = decisions.NewDecision(sample_id, finding_id, Verdict.RELABEL, None, version, base)
        new = [edit] if version != base else []
        changeset = actor.changeset(Act.VERDICT, round_id, sample.dataset_id, size=len(new), note={EDITED: sample.name})
        changeset_id = decisions.add_changeset(session, changeset)
        if new:
            decisions.add_decisions(session, changeset_id, new)
            projection.project(session, decisions.findings_affected_by(Act.VERDICT, changeset_id))
            after = load_history(session, store, sample)
            moved.extend(note_edit(session, after, (base, version)))
            after.remember(version)  # now the current one, as an edit of the former current mask
        return changeset_id

    saved = store_once(app_context, by, key, act, [] if about.finding_id is None else [about.finding_id])
    with app_context.database.read() as session:
        stored = decisions.edited_mask(session, saved.changeset or _NEVER)
        affected = {*moved, *([] if about.finding_id is None else [about.finding_id])}
        found = findings.findings_by_ids(session, list(affected)) if affected else []
    return SavedEdit(saved.changeset, stored or version, saved.saved_at, {one.id: one.status for one in found})


def resolved_masks(app_context: AppContext, dataset_id: int) -> Mapping[int, ResolvedMask]:
    """Return the current mask of every image of a dataset that people decided on, by the sample's id."""
    found: dict[int, ResolvedMask] = {}
    store = MaskStore(app_context.masks)
    with app_context.database.read() as session:
        samples = masks.samples_by_id(session, dataset_id)
        for sample_id, live in masks.region_decisions_by_sample(session, dataset_id):
            sample = samples.get(sample_id)
            if sample is None:
                continue  # its image was removed
            history = MaskHistory(store, sample, live)
            found[sample_id] = ResolvedMask(history.present(), history.settled())
    return found


def _find_version(app_context: AppContext, sample_id: int, version: str | None) -> tuple[MaskHistory, str]:
    """Return the history of an image's mask and one of its versions, by default the current one."""
    with app_context.database.read() as session:
        history = load_history(session, MaskStore(app_context.masks), _find_sample(session, sample_id))
        return history, version or history.present()


def _last_edits(history: MaskHistory, version: str) -> list[LastEdit]:
    """Return the consecutive edits that led to a version, newest first, up to `_EDITS`."""
    found: list[LastEdit] = []
    for decision in (one.decision for one in reversed(history.decisions[-_EDITS:])):
        if decision.mask_hash != version or decision.mask_base is None:
            break
        found.append(LastEdit(decision.annotator, decision.mask_base))
        version = decision.mask_base
    return found


def _is_merged_edit(history: MaskHistory, version: str) -> bool:
    """Return whether a version is the result of the last decision, an edit, after classes were merged."""
    last = history.decisions[-1].decision.mask_hash if history.decisions else None
    state = history.sample.state
    if last is None or not state.merged:
        return False
    return last != version and seen_version(history.store, last, state) == version


def _touches(session: Session, history: MaskHistory, finding_id: int, edit: Edit) -> bool:
    """Return whether an edit, from one mask to another, changes any pixel of a finding's region."""
    region = masks.region_of(session, finding_id)
    if region is None:
        return True
    x, y, width, height = region.box
    before, after = (mask[y : y + height, x : x + width] for mask in map(history.read, edit))
    return is_touched(region.shift(-x, -y), before != after)


def _round_of(session: Session, sample: MaskedSample, about: EditContext) -> int | None:
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
    return finished_round(session, card.round_id, [card]).id


def _keep_painted(app_context: AppContext, history: MaskHistory, packed: bytes, base: str) -> str:
    """Store the mask `base` with tiles painted on it and return its hash."""
    store = history.store
    try:
        former = history.read(base)
    except DatasetError:
        with app_context.database.read() as session:
            present = load_history(session, store, history.sample).present()
        if present == base:
            raise
        raise StaleMaskError(present) from None
    painted = painted_tiles(packed, history.sample, former)
    version = mask_hash(painted.mask)
    if not is_recent(store, version):
        store.put_edited(painted.mask, base, painted.rows)
    keep_recent(store, version, painted.mask)
    return version


def _find_sample(session: Session, sample_id: int) -> MaskedSample:
    found = masks.find_sample(session, sample_id)
    if found is None:
        refuse_deleted_image(session, sample_id)
        raise NotFoundError(f"there is no image {sample_id} with a mask", "choose one on the Masks page")
    return found


def _edits_to_undo(history: MaskHistory, edit: Edit, *, by: str) -> list[Decision]:
    """Return a person's edits that an edit of the current mask reverts, newest first; none if others edited too.

    Otherwise a region whose strokes were all reverted would stay edited, and no later round would show it again.
    """
    found: list[Decision] = []
    present, version = edit
    for decision in (one.decision for one in reversed(history.decisions)):
        if decision.mask_hash != present or decision.annotator != by:
            return []
        found.append(decision)
        present = decision.mask_base or ""
        if present == version:
            without = history.first(len(history.decisions) - len(found))
            return found if without.present() == version else []
    return []


def _undo_edits(
    app_context: AppContext, session: Session, actor: Actor, dataset_id: int, edits: Sequence[Decision]
) -> tuple[int, list[int]]:
    """Undo these edits, at least one, and return the id of the last act and the findings whose status may change."""
    moved: list[int] = []
    changeset_id = 0
    for edit in edits:
        number = edit.changeset_id
        decisions.set_live(session, number, live=False)
        projection.project(session, decisions.findings_affected_by(Act.VERDICT, number))
        moved += note_act(app_context, session, number)
        moved += [] if edit.finding_id is None else [edit.finding_id]
        acting = actor if edit is edits[-1] else replace(actor, key=None)  # the number of a browser identifies one act
        undone = acting.changeset(Act.UNDO, edit.round_id, dataset_id, size=1, target_id=number)
        changeset_id = decisions.add_changeset(session, undone)
    return changeset_id, moved
