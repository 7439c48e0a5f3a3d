"""Resolution of the verdicts on the regions of one image: its current mask, and its settled pixels.

Letters: H, W the image's height and width; masks (H, W), uint8 or uint16, see `core.types.labels`.

Only live decisions count. The mask is built in this order:

1. the given mask;
2. bulk accepts paint the pixels that still carry their region's given class (IGNORE, where nothing was given) and that
   no person has settled, so a human verdict is never overwritten by a bulk act;
3. people's acts, oldest first. Of the verdicts on one region the newest counts (SECOND_OPINION settles nothing):
   accept and relabel paint the whole region, ambiguous and exclude paint it IGNORE, keep restores its given class
   except where edits changed it. An edit paints the pixels in which it differs from the mask it began from, so an
   older act that is undone or redone later shows everywhere else. An edit belongs to a region or to none.

All functions are pure: without a decision the mask is bit for bit the former one, and an edit of the current mask gives
the edited mask.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.types import ByteArray, DatasetError, IntArray, Region, RegionDecision, Verdict, pixel_of

ReadMask = Callable[[str], IntArray]  # from a hash to the mask, (H, W)
Edit = tuple[IntArray, NDArray[np.bool_]]  # edited mask, and the pixels in which it differs from its base, (H, W) each


def resolved_mask(
    given: IntArray, decisions: Iterable[RegionDecision], read: ReadMask, as_given: Collection[Verdict] = ()
) -> IntArray:
    """Return the current mask, (H, W); `read` returns an edited mask by its hash.

    Newest verdicts in `as_given` count as KEEP.
    """
    live = _live(decisions)
    acts = list(_painting_acts(_with_kept(live, as_given), given, read))
    mask = given.copy()
    _paint_bulk(mask, live, _by_hand(given, acts))
    changed: ByteArray = np.zeros(given.shape, dtype=np.uint8)
    for one in acts:
        if isinstance(one, RegionDecision):
            _paint(mask, one, changed)
        else:
            edited, different = one
            np.copyto(mask, edited, where=different)
            np.bitwise_or(changed, different, out=changed)
    return mask


def settled_pixels(given: IntArray, decisions: Iterable[RegionDecision], read: ReadMask) -> ByteArray:
    """Return 1 for settled pixels, (H, W) uint8: those of decided or edited regions, and those that edits changed."""
    live = _live(decisions)
    settled = _by_hand(given, _painting_acts(live, given, read))
    for one in _newest_words(live):
        _mark(settled, one)
    return settled


def edited_pixels(given: IntArray, decisions: Iterable[RegionDecision], read: ReadMask) -> ByteArray:
    """Return 1 for pixels that edits changed, (H, W) uint8, where no bulk act paints."""
    edits = [one for one in _live(decisions) if one.decision.mask_hash is not None]
    return _by_hand(given, _painting_acts(edits, given, read))


def is_painted(region: Region, edited: ByteArray) -> bool:
    """Return True if every pixel of a region is marked in `edited`, (H, W)."""
    window, inside = _window(region)
    return bool((edited[window][inside] != 0).all())


def is_touched(region: Region, changed: NDArray[np.bool_]) -> bool:
    """Return True if any pixel of a region is marked in `changed`, (H, W)."""
    window, inside = _window(region)
    return bool(changed[window][inside].any())


def final_decisions(decisions: Iterable[RegionDecision]) -> list[RegionDecision]:
    """Return the decision that counts for each region, oldest first: the newest human one, else the newest bulk one.

    Of edits without a region the newest one of each person and round counts.
    """
    live = _live(decisions)
    final = {_decided_object(one): one for one in live if one.decision.bulk}
    final |= {_decided_object(one): one for one in _newest_words(live)}
    return sorted(final.values(), key=lambda one: one.decision.number)


def _painting_acts(live: Sequence[RegionDecision], given: IntArray, read: ReadMask) -> Iterator[RegionDecision | Edit]:
    """Yield the verdicts and edits of people that change masks, oldest first.

    Consecutive edits, each of the result of the one before, are merged to one, since each stroke is saved by itself.
    """
    verdicts = _newest_words([one for one in live if one.decision.mask_hash is None])
    edits = [one for one in live if one.decision.mask_hash is not None]
    begun: tuple[str, str] | None = None  # base of consecutive edits, and their result so far
    for one in sorted([*verdicts, *edits], key=lambda one: one.decision.number):
        base, edited = one.decision.mask_base or "", one.decision.mask_hash
        if edited is not None and begun is not None and begun[1] == base:
            begun = begun[0], edited
            continue
        if begun is not None:
            yield _edit(given, begun, read)
        begun = None if edited is None else (base, edited)
        if edited is None:
            yield one
    if begun is not None:
        yield _edit(given, begun, read)


def _edit(given: IntArray, edit: tuple[str, str], read: ReadMask) -> Edit:
    base, edited = read(edit[0]), read(edit[1])
    for mask in (base, edited):
        if mask.shape != given.shape or mask.dtype != given.dtype:
            raise DatasetError(
                f"an edited mask is {mask.shape} {mask.dtype}, the given one {given.shape} {given.dtype}",
                "the image has changed since: restore the former one and import again",
            )
    return edited, edited != base


def _by_hand(given: IntArray, acts: Iterable[RegionDecision | Edit]) -> ByteArray:
    """Return 1 for pixels with a human verdict or edit, (H, W) uint8, where no bulk act paints."""
    settled = np.zeros(given.shape, dtype=np.uint8)
    for act in acts:
        if isinstance(act, RegionDecision):
            _mark(settled, act)
        else:
            np.bitwise_or(settled, act[1], out=settled)
    return settled


def _paint_bulk(mask: IntArray, live: Sequence[RegionDecision], by_hand: ByteArray) -> None:
    """Paint regions accepted in bulk, except pixels settled by people and regions that were edited before."""
    settled = by_hand.copy()
    for one in live:
        if one.decision.mask_hash is not None:
            _mark(settled, one)
        elif one.decision.bulk and one.decision.label is not None and one.region is not None:
            window, inside = _window(one.region)
            part = mask[window]
            part[inside & (part == pixel_of(mask, one.given)) & (settled[window] == 0)] = one.decision.label


def _paint(mask: IntArray, one: RegionDecision, changed: ByteArray) -> None:
    """Paint one region by a human verdict; `changed` marks the pixels of earlier edits."""
    if one.region is None or one.given is None:
        raise ValueError(f"decision {one.decision.number} is a verdict on no region")
    if one.decision.verdict is Verdict.KEEP:
        window, inside = _window(one.region)
        mask[window][inside & (changed[window] == 0)] = pixel_of(mask, one.given)
    else:
        one.region.paint(mask, pixel_of(mask, one.decision.label))


def _newest_words(live: Sequence[RegionDecision]) -> list[RegionDecision]:
    newest = {_decided_object(one): one for one in live if not one.decision.bulk}  # `live` is in order of number
    settled = (one for one in newest.values() if one.decision.verdict.settles)
    return sorted(settled, key=lambda one: one.decision.number)


def _decided_object(one: RegionDecision) -> Hashable:
    """Return the key of the decided object; of decisions with one key only the newest counts."""
    own = one.decision
    return (own.round_id, own.annotator) if own.finding_id is None else own.finding_id


def _mark(settled: ByteArray, one: RegionDecision) -> None:
    if one.region is not None:
        one.region.paint(settled, 1)


def _with_kept(live: Sequence[RegionDecision], as_given: Collection[Verdict]) -> list[RegionDecision]:
    """Return the decisions with verdicts in `as_given` replaced by KEEP."""
    return [
        replace(one, decision=replace(one.decision, verdict=Verdict.KEEP, label=one.given))
        if one.decision.verdict in as_given
        else one
        for one in live
    ]


def _live(decisions: Iterable[RegionDecision]) -> list[RegionDecision]:
    live = {one.decision.number: one for one in decisions if one.decision.live}
    return [live[number] for number in sorted(live)]


def _window(region: Region) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return the slices of the region's box, and the mask of its pixels in the box, (h, w)."""
    x, y, width, height = region.box
    inside = np.zeros((height, width), dtype=np.uint8)
    region.shift(-x, -y).paint(inside, 1)
    return (slice(y, y + height), slice(x, x + width)), inside != 0
