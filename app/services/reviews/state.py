"""Whether anybody did anything since: one number, cheap enough to be asked for all day."""

from app.services.workspace import Workspace
from db.queries import decisions


def state(workspace: Workspace) -> int:
    """Return a number that every act raises, also an undo."""
    with workspace.database.read() as session:
        return decisions.newest_changeset(session)
