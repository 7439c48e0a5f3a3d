"""Resolution of the verdicts on the regions of one image: its current mask, and the settled pixels.

Letters: H, W the image's height and width; masks (H, W), uint8 or uint16, see `core.types.masks`.

Only live decisions count. The mask is built in this order:

1. the given mask;
2. bulk accepts paint the pixels that still carry their region's given class (IGNORE, where nothing was given) and that
   no person has settled, so a human verdict is never overwritten by a bulk act;
3. what people did, oldest first. Of their verdicts on one region the newest counts (SECOND_OPINION settles nothing):
   accept and relabel paint the whole region, ambiguous and exclude paint it IGNORE, keep gives it the class it had
   back, but leaves alone what edits changed. An edit paints the pixels in which it differs from the mask it began
   from, so an older act that is undone or redone later shows everywhere else. An edit
   belongs to a region or to none.

Everything here is pure: taking a decision back and asking again gives the former mask bit for bit, and an edit of the
mask as it is gives the edited mask.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.types import ByteArray, DatasetError, IntArray, Region, RegionDecision, Verdict, pixel_of

ReadMask = Callable[[str], IntArray]  # from a hash to the mask, (H, W)
Edit = tuple[IntArray, NDArray[np.bool_]]  # an edited mask and where it differs from the one it began from, (H, W) each


def resolved_mask(
    given: IntArray, decisions: Iterable[RegionDecision], read: ReadMask, as_given: Collection[Verdict] = ()
) -> IntArray:
    """Return the mask as it is now, (H, W); `read` fetches an edited one by its hash.

    Regions whose newest verdict is in `as_given` are as if they had been kept.
    """
    live = _live(decisions)
    acts = list(_acts(_kept(live, as_given), given, read))
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
    """Return 1 where a person has judged, (H, W) uint8: regions decided or edited, and pixels that edits changed."""
    live = _live(decisions)
    settled = _by_hand(given, _acts(live, given, read))
    for one in _newest_words(live):
        _mark(settled, one)
    return settled


def edited_pixels(given: IntArray, decisions: Iterable[RegionDecision], read: ReadMask) -> ByteArray:
    """Return 1 where edits changed what they began from, (H, W) uint8: there no bulk act paints."""
    edits = [one for one in _live(decisions) if one.decision.mask_hash is not None]
    return _by_hand(given, _acts(edits, given, read))


def is_painted(region: Region, edited: ByteArray) -> bool:
    """Return whether every pixel of a region is marked in `edited`, (H, W)."""
    window, inside = _window(region)
    return bool((edited[window][inside] != 0).all())


def is_touched(region: Region, changed: NDArray[np.bool_]) -> bool:
    """Return whether any pixel of a region is marked in `changed`, (H, W)."""
    window, inside = _window(region)
    return bool(changed[window][inside].any())


def deciding(decisions: Iterable[RegionDecision]) -> list[RegionDecision]:
    """Return the decision that stands on each region, oldest first: people's newest word, else the newest bulk one.

    Of the edits of no region each person's newest one of each round stands.
    """
    live = _live(decisions)
    standing = {_about(one): one for one in live if one.decision.bulk}
    standing |= {_about(one): one for one in _newest_words(live)}
    return sorted(standing.values(), key=lambda one: one.decision.number)


def _acts(live: Sequence[RegionDecision], given: IntArray, read: ReadMask) -> Iterator[RegionDecision | Edit]:
    """Yield what people did that changes masks, oldest first.

    Edits that follow one another, each from where the one before ended, are one: a stroke is saved at a time.
    """
    verdicts = _newest_words([one for one in live if one.decision.mask_hash is None])
    edits = [one for one in live if one.decision.mask_hash is not None]
    begun: tuple[str, str] | None = None  # the mask that a row of edits began from, and where it is now
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
                f"an edited mask is {mask.shape} {mask.dtype}, the given one {given.shape} {given.dtype}; the image "
                "has changed since: put the former one back and import again"
            )
    return edited, edited != base


def _by_hand(given: IntArray, acts: Iterable[RegionDecision | Edit]) -> ByteArray:
    """Return 1 where a person's verdict or edit says what a pixel is, (H, W) uint8: there no bulk act paints."""
    settled = np.zeros(given.shape, dtype=np.uint8)
    for act in acts:
        if isinstance(act, RegionDecision):
            _mark(settled, act)
        else:
            np.bitwise_or(settled, act[1], out=settled)
    return settled


def _paint_bulk(mask: IntArray, live: Sequence[RegionDecision], by_hand: ByteArray) -> None:
    """Paint what bulk acts accepted, but not what people say of a pixel, nor the region of an edit made before."""
    settled = by_hand.copy()
    for one in live:
        if one.decision.mask_hash is not None:
            _mark(settled, one)
        elif one.decision.bulk and one.decision.label is not None and one.region is not None:
            window, inside = _window(one.region)
            part = mask[window]
            part[inside & (part == pixel_of(mask, one.given)) & (settled[window] == 0)] = one.decision.label


def _paint(mask: IntArray, one: RegionDecision, changed: ByteArray) -> None:
    """Paint one region by a person's verdict; `changed` marks what edits before it put there."""
    if one.region is None or one.given is None:
        raise ValueError(f"decision {one.decision.number} is a verdict on no region")
    if one.decision.verdict is Verdict.KEEP:
        window, inside = _window(one.region)
        mask[window][inside & (changed[window] == 0)] = pixel_of(mask, one.given)
    else:
        one.region.paint(mask, pixel_of(mask, one.decision.label))


def _newest_words(live: Sequence[RegionDecision]) -> list[RegionDecision]:
    newest = {_about(one): one for one in live if not one.decision.bulk}  # `live` is in order of number
    settled = (one for one in newest.values() if one.decision.verdict.settles)
    return sorted(settled, key=lambda one: one.decision.number)


def _about(one: RegionDecision) -> Hashable:
    """Return what a decision is about, the same for those of which only the newest counts."""
    said = one.decision
    return (said.round_id, said.annotator) if said.finding_id is None else said.finding_id


def _mark(settled: ByteArray, one: RegionDecision) -> None:
    if one.region is not None:
        one.region.paint(settled, 1)


def _kept(live: Sequence[RegionDecision], as_given: Collection[Verdict]) -> list[RegionDecision]:
    """Return the decisions with the verdicts `as_given` turned into keep."""
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
    """Return where the region's box lies in the image, and which pixels in it are the region's, (h, w)."""
    x, y, width, height = region.box
    inside = np.zeros((height, width), dtype=np.uint8)
    Region(region.runs - np.array([y, x, 0])).paint(inside, 1)
    return (slice(y, y + height), slice(x, x + width)), inside != 0
