"""What a round's labels changed against those that were given, and against those of the round before.

It is worked out when the round opens, kept in its folder, and becomes part of its metrics at its end, so that pages
need not read anything for it. It is no part of what the round finds: where it cannot be known the round goes on.
"""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.services.workspace import Workspace
from app.worker.opening import given_labels
from app.worker.recipes import RoundAtWork
from core.data.masks.store import MaskStore
from core.data.snapshot import Snapshot
from core.data.storage import write_atomically
from core.judge.label_changes import label_changes
from core.types import OutfoldError, RoundCancelledError, RoundStatus
from db.queries import history, rounds
from db.queries.rounds import RoundInfo

log = logging.getLogger("outfold.worker")
_FILE = "label_changes.json"


def note_changes(at_work: RoundAtWork, snapshot: Snapshot) -> None:
    """Compare the labels a round opens with, which lie in its folder already, and write down what changed."""
    workspace, info = at_work.workspace, at_work.info
    before = _round_before(workspace, info)
    masks = MaskStore(workspace.masks)

    def compared(read: Callable[[], Snapshot]) -> dict[str, Any] | None:
        try:
            return label_changes(read(), snapshot, masks, at_work.should_stop).to_json()
        except RoundCancelledError:
            raise
        except OutfoldError as error:
            log.warning("round %s: its labels cannot be compared: %s", info.id, error)
            return None

    told: dict[str, Any] = {"given": compared(lambda: given_labels(workspace, info.dataset_id)), "before": None}
    if before is not None:
        found = compared(lambda: Snapshot.load(workspace.round_folder(before.id)))
        told["before"] = None if found is None else found | {"round": before.number, "round_id": before.id}
    since = None if before is None else before.started_at
    with workspace.database.read() as session:
        told["verdicts"] = history.verdicts_between(session, info.dataset_id, since, datetime.now(UTC))
    write_atomically(at_work.folder / _FILE, json.dumps(told).encode())


def noted_changes(folder: Path) -> dict[str, Any]:
    """Return what was noted, as a part of the round's metrics; nothing of a round that opened before this was done."""
    try:
        return {"label_changes": json.loads((folder / _FILE).read_bytes())}
    except (FileNotFoundError, ValueError):
        return {}


def _round_before(workspace: Workspace, info: RoundInfo) -> RoundInfo | None:
    with workspace.database.read() as session:
        listed: Sequence[RoundInfo] = rounds.list_rounds(session, info.dataset_id)
    return next((one for one in listed if one.number < info.number and one.status is RoundStatus.DONE), None)
