"""Masks of images after their decisions, each computed once.

A version is a mask's hash in the store, so equal versions are equal masks. A computed version is found again by a
pointer beside the store, named by the given mask and the content of the decisions that count. Given masks, edits and
verdicts are resolved as they were stored; pixels of merged classes are exchanged in the result.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from core.data.masks.store import MaskStore, read_recent
from core.data.storage import write_atomically
from core.judge.masks import edited_pixels, resolved_mask, settled_pixels
from core.types import (
    ByteArray,
    ClassState,
    IntArray,
    RegionDecision,
    Verdict,
    exchange_values,
    mask_dtype,
    renumber_mask,
    widen,
)
from db.queries import masks
from db.queries.masks import MaskedSample

Edit = tuple[str, str]  # the versions before and after


@dataclass(frozen=True, slots=True)
class MaskHistory:
    """The mask of one image, from the given one through the decisions that count, oldest first.

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
        """Return a mask of the store as the dataset's classes need it now."""
        return widen(read_recent(self.store, version), len(self.sample.classes))

    def given(self) -> IntArray:
        """Return the mask the image came with; all IGNORE where it came without one."""
        if self.sample.mask_hash is not None:
            return self.read(self.sample.mask_hash)
        dtype = mask_dtype(len(self.sample.classes))
        return np.full((self.sample.height, self.sample.width), np.iinfo(dtype).max, dtype=dtype)

    def present(self) -> str:
        """Return the version of the present mask, which lies in the store then."""
        if not self.decisions and self.sample.mask_hash is not None:
            return seen_version(self.store, self.sample.mask_hash, self.sample.state)
        return self._computed(self._present_facts(), self._resolved)

    def settled(self) -> str:
        """Return the version of the pixels people settled; "" where only bulk acts decided."""
        if all(one.decision.bulk for one in self.decisions):
            return ""
        return self._computed("settled", lambda: settled_pixels(self.given(), self.decisions, self.read))

    def exported(self, as_given: Sequence[Verdict]) -> str:
        """Return the version that an export writes; regions of the verdicts `as_given` are as if they were kept.

        Its values are the places of the classes in the list that is exported.
        """
        if any(one.decision.verdict in as_given for one in self.decisions):
            what = f"mask with {' '.join(as_given)} kept{_merges(self.sample.state)}"
            version = self._computed(what, lambda: self._resolved(as_given))
        else:
            version = self.present()
        return _numbered_version(self.store, version, self.sample.state)

    def remember(self, version: str) -> None:
        """Note the version of the present mask, known from an edit."""
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
        """Return all that a computed mask depends on.

        Numbers of rows alone would not do: they begin anew when a database is lost and its files are not.
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
    """Return the history of an image's mask by the decisions that count now."""
    return MaskHistory(store, sample, masks.live_region_decisions(session, sample.id))


def exported_given(store: MaskStore, name: str, state: ClassState) -> str:
    """Return the hash of a given mask with the values that an export gives to its classes."""
    return _numbered_version(store, seen_version(store, name, state), state)


def seen_version(store: MaskStore, name: str, state: ClassState) -> str:
    """Return the hash of a kept mask as it is seen: in the dtype of the classes, merged ones exchanged."""
    wide = widened_version(store, name, len(state.names))
    if not state.merged:
        return wide
    return _pointed(
        store, f"merged{_merges(state)} {wide}".encode(), lambda: exchange_values(store.get(wide), state.merged)
    )


def widened_version(store: MaskStore, name: str, classes: int) -> str:
    """Return the hash of a kept mask in the dtype of so many classes: another one once they outgrew a byte."""
    if mask_dtype(classes) == np.uint8:
        return name
    return _pointed(store, f"widened {name}".encode(), lambda: widen(store.get(name), classes))


def _numbered_version(store: MaskStore, name: str, state: ClassState) -> str:
    """Return the hash of a mask of present classes with their places in the list of the offered ones as values."""
    if state.is_plain:
        return name
    places, count = state.places, len(state.offered)
    facts = f"renumber_mask {count} {sorted(places.items())} {name}"
    return _pointed(store, facts.encode(), lambda: renumber_mask(store.get(name), places, count))


def _merges(state: ClassState) -> str:
    """Return a text that differs between merges; "" for none."""
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
