"""Where the mask editor begins: which image of which round."""

from dataclasses import dataclass

from app.services import rounds
from app.services.rounds import RoundInfo
from app.services.workspace import Workspace
from db.queries import masks


@dataclass(frozen=True, slots=True)
class Opening:
    """An image of a finished round that found regions of masks."""

    round: RoundInfo
    sample_id: int


def find_opening(workspace: Workspace, round_id: int | None = None, sample_id: int | None = None) -> Opening | None:
    """Return where to begin: the round and image asked for where they can be, else the newest round, its worst image.

    None: the round asked for, or every round, found no regions of masks.
    """
    known = rounds.list_rounds(workspace)  # the newest first
    asked = [info for info in known if info.id == round_id]
    with workspace.database.read() as session:
        for info in asked or known:
            first = masks.first_image(session, info.id) if info.is_reviewable else None
            if first is None:
                continue
            wanted = None if sample_id is None else masks.find_sample(session, sample_id)
            fits = wanted is not None and wanted.dataset_id == info.dataset_id
            return Opening(info, wanted.id if wanted is not None and fits else first)
    return None
