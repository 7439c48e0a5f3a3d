"""Number of the home whose files a database goes with, kept where it needs no table.

In SQLite it is the file's `application_id`, in PostgreSQL the comment on the table of the schema's version; copies and
backups take both along.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import VERSION_TABLE

LARGEST = 2**31 - 1
_WORDS = "goes with the files of home "


def find_home_id(session: Session) -> int | None:
    """Return the number, None where none is noted."""
    if session.get_bind().dialect.name == "sqlite":
        return session.scalar(text("PRAGMA application_id")) or None
    comment = session.scalar(text(f"SELECT obj_description('{VERSION_TABLE}'::regclass)"))
    number = (comment or "").removeprefix(_WORDS)
    return int(number) if number.isdecimal() else None


def note_home_id(session: Session, number: int) -> None:
    """Note the number, from 1 to `LARGEST`."""
    if session.get_bind().dialect.name == "sqlite":
        session.execute(text(f"PRAGMA application_id = {number:d}"))  # neither takes a parameter
    else:
        session.execute(text(f"COMMENT ON TABLE {VERSION_TABLE} IS '{_WORDS}{number:d}'"))
