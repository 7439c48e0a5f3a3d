"""What people said of the regions of one image, brought together: its mask now, and the pixels that are settled.

Letters: H, W the image's height and width; masks (H, W), uint8 or uint16, see `core.types.masks`.

Only live decisions count, and of one finding's human decisions only the newest; SECOND_OPINION as the newest settles
nothing. The mask is built in this order:

1. the newest edit, which replaces the whole mask, else the given mask;
2. bulk accepts made after that edit paint the pixels that still carry their region's given class and that no person
   has settled, so a human verdict is never overwritten by a bulk act;
3. human decisions made after that edit, oldest first: accept and relabel paint their whole region, ambiguous and
   exclude paint it IGNORE, keep gives it the class it had back, but leaves alone what the edit changed.

Everything here is pure: taking a decision back and asking again gives the former mask bit for bit.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.types import ByteArray, Decision, IntArray, Region, RegionDecision, Verdict, ignore_of

ReadMask = Callable[[str], IntArray]  # from a hash to the mask, (H, W)


def resolved_mask(
    given: IntArray, decisions: Iterable[RegionDecision], read: ReadMask, as_given: Collection[Verdict] = ()
) -> IntArray:
    """Return the mask as it is now, (H, W); `read` fetches an edited one by its hash.

    Regions whose newest verdict is in `as_given` are as if they had been kept, also where an edit came later.
    """
    live = _live(decisions)
    edit = _newest_edit(live)
    if edit is None:
        return _painted(given, _kept(live, as_given), None, _settled_regions(given.shape, live))
    settled, changed = _settled(given, live, edit, read)
    after = [one for one in live if one.decision.number > edit.number]
    base = _edited(given, edit, read).copy()
    for one in _newest_words(live):
        if one.decision.verdict in as_given and one.decision.number < edit.number:
            window, inside = _window(one.region)
            part = base[window]
            part[inside & (part == ignore_of(part)) & (changed[window] == 0)] = one.given
    return _painted(base, _kept(after, as_given), changed, settled)


def settled_pixels(given: IntArray, decisions: Iterable[RegionDecision], read: ReadMask) -> ByteArray:
    """Return 1 where a person has judged, (H, W) uint8: in regions they decided on, and where an edit changed the mask.

    An edit changed what differs from the mask as it would have been at that moment without any edit.
    """
    live = _live(decisions)
    edit = _newest_edit(live)
    if edit is None:
        return _settled_regions(given.shape, live)
    return _settled(given, live, edit, read)[0]


def deciding(decisions: Iterable[RegionDecision]) -> list[RegionDecision]:
    """Return the decision that stands on each region, oldest first: people's newest word, else the newest bulk one."""
    live = _live(decisions)
    standing = {one.decision.finding_id: one for one in live if one.decision.bulk}
    standing |= {one.decision.finding_id: one for one in _newest_words(live)}
    return sorted(standing.values(), key=lambda one: one.decision.number)


def _settled(
    given: IntArray, live: Sequence[RegionDecision], edit: Decision, read: ReadMask
) -> tuple[ByteArray, ByteArray]:
    """Return the settled pixels and those the edit changed, (H, W) each."""
    before = [one for one in live if one.decision.number < edit.number and one.decision.mask_hash is None]
    unedited = _painted(given, before, None, _settled_regions(given.shape, before))
    changed = (_edited(given, edit, read) != unedited).astype(np.uint8)
    return changed | _settled_regions(given.shape, live), changed


def _painted(base: IntArray, live: Sequence[RegionDecision], changed: ByteArray | None, settled: ByteArray) -> IntArray:
    """Return `base` after these decisions; `changed` marks what an edit put there, None: nothing."""
    mask = base.copy()
    for one in live:
        if one.decision.bulk and one.decision.label is not None:
            window, inside = _window(one.region)
            part = mask[window]
            part[inside & (part == one.given) & (settled[window] == 0)] = one.decision.label
    for one in _said(live):
        if one.decision.verdict is Verdict.KEEP and changed is not None:
            window, inside = _window(one.region)
            mask[window][inside & (changed[window] == 0)] = one.given
        else:
            label = one.decision.label
            one.region.paint(mask, ignore_of(mask) if label is None else label)
    return mask


def _said(live: Sequence[RegionDecision]) -> list[RegionDecision]:
    """Return people's newest word on each region where it settles it by a class or by none, oldest first."""
    return [one for one in _newest_words(live) if one.decision.mask_hash is None]


def _newest_words(live: Sequence[RegionDecision]) -> list[RegionDecision]:
    newest = {one.decision.finding_id: one for one in live if not one.decision.bulk}  # `live` is in order of number
    settled = (one for one in newest.values() if one.decision.verdict.settles)
    return sorted(settled, key=lambda one: one.decision.number)


def _kept(live: Sequence[RegionDecision], as_given: Collection[Verdict]) -> list[RegionDecision]:
    """Return the decisions with the verdicts `as_given` turned into keep."""
    return [
        replace(one, decision=replace(one.decision, verdict=Verdict.KEEP, label=one.given))
        if one.decision.verdict in as_given
        else one
        for one in live
    ]


def _settled_regions(shape: tuple[int, ...], live: Sequence[RegionDecision]) -> ByteArray:
    settled = np.zeros(shape, dtype=np.uint8)
    for one in _newest_words(live):
        one.region.paint(settled, 1)
    return settled


def _live(decisions: Iterable[RegionDecision]) -> list[RegionDecision]:
    return sorted((one for one in decisions if one.decision.live), key=lambda one: one.decision.number)


def _newest_edit(live: Sequence[RegionDecision]) -> Decision | None:
    return next((one.decision for one in reversed(live) if one.decision.mask_hash), None)


def _edited(given: IntArray, edit: Decision, read: ReadMask) -> IntArray:
    mask = read(edit.mask_hash or "")
    if mask.shape != given.shape or mask.dtype != given.dtype:
        msg = f"an edited mask is {mask.shape} {mask.dtype}, the given one {given.shape} {given.dtype}"
        raise ValueError(msg)
    return mask


def _window(region: Region) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return where the region's box lies in the image, and which pixels in it are the region's, (h, w)."""
    x, y, width, height = region.box
    inside = np.zeros((height, width), dtype=np.uint8)
    Region(region.runs - np.array([y, x, 0])).paint(inside, 1)
    return (slice(y, y + height), slice(x, x + width)), inside != 0
