"""Masks of an import: read on all cores, stored by content, checked against their image's size, accepted as edits.

Mended masks were changed outside of Outfold and are taken as a person's edits when their dataset is imported again. The
given mask stays as it was imported; the one that the source has now is an edit of it, all of one import in one act that
can be undone. An image on which people decided here since keeps their decisions, and is named. A mask that is again as
it was first imported is not a corrected one: undo takes such edits back.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.services.app_context import AppContext
from app.services.masks.history import load_history, painted_after, seen_version, widened_version
from core.data.formats.source import Problems
from core.data.images import MaskError
from core.data.masks.colours import class_table
from core.data.masks.reading import read_masks
from core.data.masks.store import MaskStore, class_pixels
from core.types import Act, ClassTable, DatasetError, Decision, IntArray, RegionDecision, Verdict
from db.queries import decisions, incoming, masks, masks as mask_queries, projection
from db.queries.decisions import EDITED, TAKEN

Rows = Callable[[], Iterator[list[Any]]]  # each a sample's values, then its facts; from the start
_NAME, _MASK, _WIDTH, _HEIGHT = 1, 5, 9, 10  # columns of such a row
_CHUNK = 4_000  # rows in one statement or transaction


@dataclass(frozen=True, slots=True)
class ImportedMasks:
    """The store of an import's masks, and the counts of images and pixels of each class.

    None: images without a mask, and pixels that are IGNORE.
    """

    store: MaskStore
    images: Counter[int | None] = field(default_factory=Counter)
    pixels: Counter[int | None] = field(default_factory=Counter)
    names: set[str] = field(default_factory=set)

    def keep(
        self, rows: Rows, table: ClassTable, into: ClassTable, problems: Problems, note: Callable[[int], None]
    ) -> Iterator[tuple[str | None]]:
        """Yield the hash of each row's mask in the ids of `into`; None: no usable mask."""
        warnings: dict[int, MaskError] = {}
        references = ((row[_MASK], row[_WIDTH], row[_HEIGHT]) for row in rows() if row[_MASK] is not None)
        masks = enumerate(read_masks(references, table, into=into, warn=warnings.__setitem__))
        for done, row in enumerate(rows(), start=1):
            number, mask = (None, None) if row[_MASK] is None else next(masks)
            if number in warnings:
                warning = warnings.pop(number)
                problems.warn(warning.kind, row[_NAME], str(warning), warning.cure)
            if isinstance(mask, MaskError):
                message = f"{mask}; the image is imported without a mask"
                problems.error(mask.kind, row[_NAME], message, mask.cure)
            yield (self._kept(mask),)
            note(done)
        os.sync()  # all at once; from here on rows may name them
        self.store.publish(self.names)

    def count(self, name: str | None, times: int = 1) -> None:
        """Count the classes of a stored mask this many more times."""
        if name is None:
            self.images[None] += times
        else:
            self._add(self.store.get(name), times)

    def _kept(self, mask: IntArray | MaskError | None) -> str | None:
        if mask is None or isinstance(mask, MaskError):
            self.images[None] += 1
            return None
        self._add(mask, 1)
        name = self.store.put(mask, durable=False)
        self.names.add(name)
        return name

    def _add(self, mask: IntArray, times: int) -> None:
        counts = class_pixels(mask)
        found = np.flatnonzero(counts).tolist()
        self.images.update(dict.fromkeys(found, times))
        self.pixels.update({number: times * int(counts[number]) for number in found})
        self.pixels[None] += times * (mask.size - int(counts.sum()))


@dataclass(frozen=True, slots=True)
class CorrectedMask:
    """An image whose mask in the source differs from its current one."""

    sample_id: int
    base: str  # the mask it began from
    version: str  # the mask that the source has
    decided: bool  # people have decided on the image here since, so it is left
    painted: dict[int, bool]  # findings that become painted over by it, or no longer are


def with_present_class_names(table: ClassTable, names: Mapping[str, str]) -> ClassTable:
    """Return the table with the classes by their present names; ids and colours stay.

    Raises:
        DatasetError: two classes of the source would have one name.
    """
    now = tuple(names.get(name, name) for name in table.names)
    twice = sorted({name for name in now if now.count(name) > 1})
    if twice:
        raise DatasetError(f"two classes of the source are called {twice[0]} here", "rename that class of the dataset")
    return replace(table, names=now)


def extend_table(classes: tuple[str, ...], colours: tuple[str, ...], table: ClassTable) -> ClassTable:
    """Return the known classes followed by the new ones of `table`, each with its own colour."""
    new = [(name, colour) for name, colour in zip(table.names, table.colours, strict=True) if name not in set(classes)]
    return class_table([*classes, *(name for name, _ in new)], [*colours, *(colour for _, colour in new)])


def leave_out_resized(
    app_context: AppContext, import_id: int, dataset_id: int, problems: Problems, masks: ImportedMasks
) -> None:
    """Leave out images whose size has changed: the first mask, which is kept, would not fit them.

    Nor would what people painted in an image that came without one, or the regions that rounds found there.
    """
    with app_context.database.read() as session:
        changed = [one for one in incoming.arrivals(session, import_id, dataset_id) if one.is_resized]
        bare = [one.old.path for one in changed if one.old.mask_hash is None]
        kept = {
            path
            for start in range(0, len(bare), _CHUNK)
            for path in mask_queries.painted_or_found(session, dataset_id, bare[start : start + _CHUNK])
        }
    resized = [one for one in changed if one.old.mask_hash is not None or one.old.path in kept]
    for arrival in resized:
        old, new = arrival.old, arrival.new
        what = "its regions are of an image of" if arrival.old.mask_hash is None else "the mask it was imported with"
        problems.error(
            "size changed",
            new.name,
            f"it is {new.width} x {new.height} now, {what} {old.width} x {old.height}",
            "give the new image another name, or import into a new dataset",
        )
        masks.count(new.mask_hash, -1)
    for start in range(0, len(resized), _CHUNK):
        with app_context.database.write() as session:
            incoming.leave_out(session, import_id, [one.new.path for one in resized[start : start + _CHUNK]])


def find_corrected(
    app_context: AppContext, session: Session, import_id: int, dataset_id: int, classes: Sequence[str]
) -> list[CorrectedMask]:
    """Return the staged masks that differ from their images' current ones; `classes` are those after the import."""
    store = MaskStore(app_context.masks)
    taken = decisions.acts_noting(session, dataset_id, TAKEN)
    found = []
    for arrival in incoming.arrivals(session, import_id, dataset_id):
        old, new = arrival.old.mask_hash, arrival.new.mask_hash
        if old is None or new is None:
            continue
        given = widened_version(store, old, len(classes))
        stored = masks.find_sample(session, arrival.old.id)
        if given == new or stored is None:
            continue
        sample = replace(stored, classes=list(classes))
        history = load_history(session, store, sample)
        if history.present() == seen_version(store, new, sample.state):
            continue
        own = [one.decision for one in history.decisions if not one.decision.bulk and one.decision.verdict.settles]
        decided = any(one.changeset_id not in taken for one in own)
        base = (own[-1].mask_hash or given) if own and not decided else given
        if base == new:
            continue
        edit = RegionDecision(_edit(sample.id, base, new), None, None)
        painted = {} if decided else painted_after(session, history.followed_by(edit), (base, new))
        found.append(CorrectedMask(sample.id, base, new, decided, painted))
    return found


def accept_corrected(
    session: Session, mending: Sequence[CorrectedMask], *, import_id: int, dataset_id: int, by: str, at: datetime
) -> None:
    """Store the masks of images without a later decision as edits of a person, in one act."""
    taken = [one for one in mending if not one.decided]
    if not taken:
        return
    act = decisions.NewChangeset(
        dataset_id=dataset_id,
        round_id=None,
        annotator_id=decisions.annotator_id(session, by, at),
        act=Act.VERDICT,
        decided_at=at,
        size=len(taken),
        note={EDITED: f"{len(taken):,} masks corrected elsewhere", TAKEN: import_id},
    )
    changeset_id = decisions.add_changeset(session, act)
    new = [decisions.NewDecision(one.sample_id, None, Verdict.RELABEL, None, one.version, one.base) for one in taken]
    decisions.add_decisions(session, changeset_id, new)
    masks.note_painted(session, {finding: whether for one in taken for finding, whether in one.painted.items()})
    projection.project(session, decisions.findings_affected_by(Act.VERDICT, changeset_id))


def _edit(sample_id: int, base: str, version: str) -> Decision:
    """Return an edit that is not stored yet, as it will count."""
    return Decision(
        number=0,
        sample_id=sample_id,
        verdict=Verdict.RELABEL,
        label=None,
        bulk=False,
        live=True,
        round_id=None,
        changeset_id=0,
        annotator="",
        decided_at=datetime.min,  # noqa: DTZ901 only the order of decisions matters, and it is the last
        mask_hash=version,
        mask_base=base,
    )
