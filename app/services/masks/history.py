"""Masks of images after their decisions, each computed once, and regions completely painted over by edits.

A version is a mask's hash in the store, so equal versions are equal masks. A computed version is found again by a
pointer beside the store, named by the given mask and the content of the decisions that count. Given masks, edits and
verdicts are resolved as they were stored; pixels of merged classes are exchanged in the result.

A bulk act never changes pixels of a person's edit. So a region completely painted over by an edit is neither open nor
accepted in bulk: nothing is left of it to accept, and no count includes it. This is stored when an edit is made, undone
or redone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from core.data.masks.store import MaskStore, read_recent
from core.data.storage import write_atomically
from core.judge.masks import edited_pixels, is_painted, resolved_mask, settled_pixels
from core.types import (
    ByteArray,
    ClassState,
    IntArray,
    Region,
    RegionDecision,
    Verdict,
    exchange_values,
    mask_dtype,
    renumber_mask,
    widen,
)
from db.queries import masks, rounds
from db.queries.masks import Box, MaskedSample

Edit = tuple[str, str]  # the versions before and after
_ROWS = 256  # compared at once


@dataclass(frozen=True, slots=True)
class MaskHistory:
    """The mask of one image: the given one and the decisions that count, oldest first.

    Masks are (H, W), in the dtype of the dataset's classes, and read-only.
    """

    store: MaskStore
    sample: MaskedSample
    decisions: Sequence[RegionDecision]

    def first(self, count: int) -> "MaskHistory":
        """Return the history up to its first `count` decisions."""
        return replace(self, decisions=self.decisions[:count])

    def followed_by(self, decision: RegionDecision) -> "MaskHistory":
        """Return the history with one more decision at its end."""
        return replace(self, decisions=[*self.decisions, decision])

    def read(self, version: str) -> IntArray:
        """Return a stored mask in the dtype of the dataset's current classes."""
        return widen(read_recent(self.store, version), len(self.sample.classes))

    def given(self) -> IntArray:
        """Return the given mask of the image; all IGNORE without one."""
        if self.sample.mask_hash is not None:
            return self.read(self.sample.mask_hash)
        dtype = mask_dtype(len(self.sample.classes))
        return np.full((self.sample.height, self.sample.width), np.iinfo(dtype).max, dtype=dtype)

    def present(self) -> str:
        """Return the version of the current mask, computed and stored if necessary."""
        if not self.decisions and self.sample.mask_hash is not None:
            return seen_version(self.store, self.sample.mask_hash, self.sample.state)
        return self._computed(self._present_facts(), self._resolved)

    def settled(self) -> str:
        """Return the version of the pixels settled by people; "" if only bulk acts decided."""
        if all(one.decision.bulk for one in self.decisions):
            return ""
        return self._computed("settled", lambda: settled_pixels(self.given(), self.decisions, self.read))

    def exported(self, as_given: Sequence[Verdict]) -> str:
        """Return the version for an export; regions with the verdicts `as_given` are treated as kept.

        Its values are the positions of the classes in the exported list.
        """
        if any(one.decision.verdict in as_given for one in self.decisions):
            what = f"mask with {' '.join(as_given)} kept{_merges(self.sample.state)}"
            version = self._computed(what, lambda: self._resolved(as_given))
        else:
            version = self.present()
        return _numbered_version(self.store, version, self.sample.state)

    def remember(self, version: str) -> None:
        """Store the version of the current mask, known from an edit."""
        write_atomically(_pointer(self.store, self._facts(self._present_facts())), version.encode(), durable=False)

    def edited_pixels(self, window: tuple[slice, slice]) -> ByteArray:
        """Return 1 where edits changed the mask, within these rows and columns, (h, w) uint8."""
        return edited_pixels(self.given()[window], self.decisions, lambda version: self.read(version)[window])

    def _resolved(self, as_given: Sequence[Verdict] = ()) -> IntArray:
        resolved = resolved_mask(self.given(), self.decisions, self.read, as_given)
        return exchange_values(resolved, self.sample.state.merged)

    def _computed(self, what: str, compute: Callable[[], IntArray]) -> str:
        return _pointed(self.store, self._facts(what), compute)

    def _present_facts(self) -> str:
        return f"mask{_merges(self.sample.state)}"

    def _facts(self, what: str) -> bytes:
        """Return everything that a computed mask depends on.

        Row numbers alone would not suffice: they start anew if a database is lost and its files are not.
        """
        sample = self.sample
        facts = [f"{what} {mask_dtype(len(sample.classes))} {sample.mask_hash} {sample.width} {sample.height}".encode()]
        for one in self.decisions:
            decision = one.decision
            edit = (decision.mask_base, decision.mask_hash)
            values = (decision.finding_id, decision.verdict.value, decision.label, decision.bulk, edit, one.given)
            facts += [repr(values).encode(), b"" if one.region is None else one.region.to_bytes()]
        return b"\n".join(facts)


def load_history(session: Session, store: MaskStore, sample: MaskedSample) -> MaskHistory:
    """Return the history of an image's mask with the decisions that count now."""
    return MaskHistory(store, sample, masks.live_region_decisions(session, sample.id))


def exported_given(store: MaskStore, name: str, state: ClassState) -> str:
    """Return the hash of a given mask with the class values of an export."""
    return _numbered_version(store, seen_version(store, name, state), state)


def seen_version(store: MaskStore, name: str, state: ClassState) -> str:
    """Return the hash of a stored mask as displayed: in the dtype of the classes, with merged ones replaced."""
    wide = widened_version(store, name, len(state.names))
    if not state.merged:
        return wide
    return _pointed(
        store, f"merged{_merges(state)} {wide}".encode(), lambda: exchange_values(store.get(wide), state.merged)
    )


def widened_version(store: MaskStore, name: str, classes: int) -> str:
    """Return the hash of a stored mask in the dtype of this number of classes; it changes above 255."""
    if mask_dtype(classes) == np.uint8:
        return name
    return _pointed(store, f"widened {name}".encode(), lambda: widen(store.get(name), classes))


def _numbered_version(store: MaskStore, name: str, state: ClassState) -> str:
    """Return the hash of a mask whose values are the positions of its classes in the offered list."""
    if state.is_plain:
        return name
    places, count = state.places, len(state.offered)
    facts = f"renumber_mask {count} {sorted(places.items())} {name}"
    return _pointed(store, facts.encode(), lambda: renumber_mask(store.get(name), places, count))


def _merges(state: ClassState) -> str:
    """Return a text that identifies the merges; "" for none."""
    return "".join(f" {one}>{into}" for one, into in sorted(state.merged.items()))


def _pointer(store: MaskStore, facts: bytes) -> Path:
    key = blake2b(facts, digest_size=16).hexdigest()
    return store.folder / "resolved" / key[:2] / key


def _pointed(store: MaskStore, facts: bytes, compute: Callable[[], IntArray]) -> str:
    """Return the hash of the mask that `facts` determine, computed only the first time."""
    pointer = _pointer(store, facts)
    if pointer.is_file():
        known = pointer.read_text()
        if known and store.path(known).is_file():
            return known
    computed = store.put(compute())
    write_atomically(pointer, computed.encode(), durable=False)
    return computed


def note_edit(session: Session, history: MaskHistory, edit: Edit) -> list[int]:
    """Store the painted-over regions after an edit was made, undone or redone; return those that changed.

    The history is the present one.
    """
    return _note(session, history, _changed_box(history, edit))


def painted_after(session: Session, history: MaskHistory, edit: Edit) -> dict[int, bool]:
    """Return the result of `note_edit` without storing it."""
    return _moved(session, history, _changed_box(history, edit))


def note_act(app_context: AppContext, session: Session, changeset_id: int) -> list[int]:
    """Store the same after an act was undone or redone; most acts have no edits."""
    moved: list[int] = []
    for sample_id, *edit in masks.edits_in(session, changeset_id):
        history = _find_history(app_context, session, sample_id)
        if history is not None:
            moved += note_edit(session, history, (edit[0], edit[1]))
    return moved


def note_round(app_context: AppContext, session: Session, round_id: int) -> None:
    """Store the same for the findings of a round about to be shown: people may have edited while it ran."""
    info = rounds.get_round(session, round_id)
    for sample_id in masks.edited_since(session, info.dataset_id, info.started_at or info.created_at):
        _note_image(app_context, session, sample_id)


def note_samples(app_context: AppContext, session: Session, sample_ids: Iterable[int]) -> None:
    """Store the same for the edited ones of these images: edits may have been undone while they were removed."""
    for sample_id in sample_ids:
        _note_image(app_context, session, sample_id)


def _differing_box(one: IntArray, other: IntArray) -> Box | None:
    """Return the smallest box around the pixels in which two masks, (H, W), differ; None if they are equal.

    Compared a few rows at a time: two states of a large mask are equal nearly everywhere.
    """
    left, top, right, bottom = one.shape[1], one.shape[0], 0, 0
    for first in range(0, one.shape[0], _ROWS):
        some, others = one[first : first + _ROWS], other[first : first + _ROWS]
        if np.array_equal(some, others):
            continue
        changed = some != others
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        left, right = min(left, int(columns[0])), max(right, int(columns[-1]) + 1)
        top, bottom = min(top, first + int(rows[0])), first + int(rows[-1]) + 1
    return None if bottom == 0 else (left, top, right - left, bottom - top)


def _find_history(app_context: AppContext, session: Session, sample_id: int) -> MaskHistory | None:
    sample = masks.find_sample(session, sample_id)
    return None if sample is None else load_history(session, MaskStore(app_context.masks), sample)


def _changed_box(history: MaskHistory, edit: Edit) -> Box | None:
    return _differing_box(*map(history.read, edit))


def _note_image(app_context: AppContext, session: Session, sample_id: int) -> None:
    """Store the painted-over regions of a whole image."""
    history = _find_history(app_context, session, sample_id)
    if history is not None:
        _note(session, history, (0, 0, history.sample.width, history.sample.height))


def _note(session: Session, history: MaskHistory, box: Box | None) -> list[int]:
    moved = _moved(session, history, box)
    masks.note_painted(session, moved)
    return list(moved)


def _moved(session: Session, history: MaskHistory, box: Box | None) -> dict[int, bool]:
    """Return the regions within a box whose painted-over state changed."""
    regions = {} if box is None else masks.regions_within(session, history.sample.id, box)
    if not regions:
        return {}
    rows, columns = window = _window_around([region for region, _ in regions.values()])
    edited = history.edited_pixels(window)
    moved = {}
    for finding, (region, painted) in regions.items():
        now = is_painted(region.shift(-columns.start, -rows.start), edited)
        if now is not painted:
            moved[finding] = now
    return moved


def _window_around(regions: Sequence[Region]) -> tuple[slice, slice]:
    """Return the rows and columns that contain these regions, at least one."""
    boxes = np.array([one.box for one in regions])
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = (boxes[:, :2] + boxes[:, 2:]).max(axis=0).tolist()
    return slice(top, bottom), slice(left, right)
