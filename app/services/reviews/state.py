"""State counter: one number that rises with every act, cheap enough for polling."""

from app.services.workspace import Workspace
from db.queries import decisions


def state(workspace: Workspace) -> int:
    """Return a number that every act raises, also an undo."""
    with workspace.database.read() as session:
        return decisions.newest_changeset(session)
