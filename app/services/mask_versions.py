"""Masks of images after some decisions, each computed once.

A version is a mask's hash in the store, so equal versions are equal masks. What is computed is found again by a pointer
beside the store, named by the given mask and what the decisions that count say.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from app.services.workspace import Workspace
from core.data.masks.recent import read_recent
from core.data.masks.store import MaskStore
from core.data.storage import write_atomically
from core.judge.masks import ReadMask, resolved_mask, settled_pixels
from core.types import IntArray, RegionDecision, Verdict, mask_dtype, widened
from db.queries.masks import MaskedSample


def exported_mask(
    workspace: Workspace, sample: MaskedSample, live: Sequence[RegionDecision], as_given: Sequence[Verdict]
) -> str:
    """Return the hash of the mask an image leaves with; regions of the verdicts `as_given` are as if they were kept."""
    if not any(one.decision.verdict in as_given for one in live):
        return present_version(workspace, sample, live)
    read = reader(workspace, sample)
    what = f"mask with {' '.join(as_given)} kept"
    make = lambda: resolved_mask(given_mask(workspace, sample), live, read, as_given)  # noqa: E731
    return kept(workspace, what, sample, live, make)


def given_mask(workspace: Workspace, sample: MaskedSample) -> IntArray:
    """Return the mask an image came with, (H, W); all IGNORE where it came without one."""
    if sample.mask_hash is not None:
        return reader(workspace, sample)(sample.mask_hash)
    dtype = mask_dtype(len(sample.classes))
    return np.full((sample.height, sample.width), np.iinfo(dtype).max, dtype=dtype)


def widened_version(workspace: Workspace, name: str, classes: int) -> str:
    """Return the hash of a kept mask in the dtype of so many classes: another one once they outgrew a byte."""
    if mask_dtype(classes) == np.uint8:
        return name
    store = MaskStore(workspace.masks)
    return _pointed(workspace, f"widened {name}".encode(), lambda: widened(store.get(name), classes))


def reader(workspace: Workspace, sample: MaskedSample) -> ReadMask:
    """Return what reads masks of the store as the dataset's classes need them now; what it returns is read-only."""
    store = MaskStore(workspace.masks)
    return lambda name: widened(read_recent(store, name), len(sample.classes))


def present_version(workspace: Workspace, sample: MaskedSample, live: Sequence[RegionDecision]) -> str:
    """Return the hash of an image's mask after these decisions, which lies in the store then."""
    if not live and sample.mask_hash is not None:
        return widened_version(workspace, sample.mask_hash, len(sample.classes))
    read = reader(workspace, sample)
    return kept(workspace, "mask", sample, live, lambda: resolved_mask(given_mask(workspace, sample), live, read))


def settled_version(workspace: Workspace, sample: MaskedSample, live: Sequence[RegionDecision]) -> str:
    """Return the hash of the pixels people settled by these decisions; "" where only bulk acts decided."""
    if all(one.decision.bulk for one in live):
        return ""
    read = reader(workspace, sample)
    return kept(workspace, "settled", sample, live, lambda: settled_pixels(given_mask(workspace, sample), live, read))


def kept(
    workspace: Workspace, what: str, sample: MaskedSample, live: Sequence[RegionDecision], make: Callable[[], IntArray]
) -> str:
    """Return the hash of a mask that follows from these decisions, computed only the first time."""
    return _pointed(workspace, _told(what, sample, live), make)


def remember_version(workspace: Workspace, sample: MaskedSample, live: Sequence[RegionDecision], version: str) -> None:
    """Note which mask of the store is the current one after these decisions, known from an edit."""
    write_atomically(_pointer(workspace, _told("mask", sample, live)), version.encode(), durable=False)


def _told(what: str, sample: MaskedSample, live: Sequence[RegionDecision]) -> bytes:
    """Return all that a mask follows from.

    Numbers of rows alone would not do: they begin anew when a database is lost and its files are not.
    """
    told = [f"{what} {mask_dtype(len(sample.classes))} {sample.mask_hash} {sample.width} {sample.height}".encode()]
    for one in live:
        said = one.decision
        edit = (said.mask_base, said.mask_hash)
        facts = (said.finding_id, said.verdict.value, said.label, said.bulk, edit, one.given)
        told += [repr(facts).encode(), b"" if one.region is None else one.region.to_bytes()]
    return b"\n".join(told)


def _pointer(workspace: Workspace, what: bytes) -> Path:
    key = blake2b(what, digest_size=16).hexdigest()
    return workspace.masks / "resolved" / key[:2] / key


def _pointed(workspace: Workspace, what: bytes, make: Callable[[], IntArray]) -> str:
    """Return the hash of the mask that `what` describes, made only the first time."""
    pointer = _pointer(workspace, what)
    store = MaskStore(workspace.masks)
    if pointer.is_file():
        known = pointer.read_text()
        if known and store.path(known).is_file():
            return known
    made = store.put(make())
    write_atomically(pointer, made.encode(), durable=False)
    return made
