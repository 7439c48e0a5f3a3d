"""Masks that were mended outside of Outfold, and are taken as a person's edits when their dataset is imported again.

The given mask stays as it was imported; the one that the source has now is an edit of it, all of one import in one act
that can be undone. An image on which people decided here since keeps what they decided, and is named. A mask that is
again as it was first imported is no mended one: undo takes such edits back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from app.services.mask_versions import present_version, widened_version
from app.services.painting_over import painted_by
from app.services.reviews.answers import EDITED, TAKEN
from app.services.workspace import Workspace
from core.types import Act, Decision, RegionDecision, Verdict
from db.queries import annotators, decisions, incoming, masks, projection


@dataclass(frozen=True, slots=True)
class Mended:
    """An image whose source has another mask than the image has now."""

    sample_id: int
    base: str  # the mask it began from
    version: str  # the mask that the source has
    decided: bool  # people have decided on the image here since, so it is left
    painted: dict[int, bool]  # findings that are painted over by it, or no more


@dataclass(frozen=True, slots=True)
class Mending:
    """All of an import, found when the newest act had the number `acts`."""

    found: list[Mended]
    acts: int

    @property
    def takeable(self) -> list[Mended]:
        """Return the images without a later decision."""
        return [one for one in self.found if not one.decided]


def find_mended(
    workspace: Workspace, session: Session, import_id: int, dataset_id: int, classes: Sequence[str]
) -> Mending:
    """Return the staged masks that differ from what their images have; `classes` as they are after the import."""
    acts = decisions.newest_changeset(session)
    taken = decisions.acts_noting(session, dataset_id, TAKEN)
    found = []
    for arrival in incoming.arrivals(session, import_id, dataset_id):
        old, new = arrival.old.mask_hash, arrival.new.mask_hash
        if old is None or new is None:
            continue
        given = widened_version(workspace, old, len(classes))
        stored = masks.find_sample(session, arrival.sample_id)
        if given == new or stored is None:
            continue
        sample = replace(stored, classes=list(classes))
        live = masks.live_region_decisions(session, sample.id)
        if present_version(workspace, sample, live) == new:
            continue
        own = [one.decision for one in live if not one.decision.bulk and one.decision.verdict.settles]
        decided = any(one.changeset_id not in taken for one in own)
        base = (own[-1].mask_hash or given) if own and not decided else given
        if base == new:
            continue
        edit = RegionDecision(_edit(sample.id, base, new), None, None)
        painted = {} if decided else painted_by(workspace, session, sample, (base, new), [*live, edit])
        found.append(Mended(sample.id, base, new, decided, painted))
    return Mending(found, acts)


def take_mended(session: Session, mending: Mending, *, import_id: int, dataset_id: int, by: str, at: datetime) -> None:
    """Store the masks as edits of a person, in one act."""
    taken = mending.takeable
    if not taken:
        return
    act = decisions.NewChangeset(
        dataset_id=dataset_id,
        round_id=None,
        annotator_id=annotators.annotator_id(session, by, at),
        act=Act.VERDICT,
        decided_at=at,
        size=len(taken),
        note={EDITED: f"{len(taken):,} masks mended elsewhere", TAKEN: import_id},
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
