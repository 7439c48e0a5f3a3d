"""Number of the home whose files belong to a database, stored without a table.

In SQLite it is the file's `application_id`, in PostgreSQL a comment on the table of the schema's version; copies and
backups include both.
"""

import secrets
from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import VERSION_TABLE, Database

LARGEST = 2**31 - 1
_WORDS = "goes with the files of home "


def agree_on_home_id(
    database: Database,
    read: Callable[[], int | None],
    write: Callable[[int], None],
    refuse: Callable[[int | None], None] = lambda _known: None,
) -> tuple[int, int | None]:
    """Return the numbers of the database and of its files, which differ if they do not belong together.

    A database without one gets that of the files, or a new one, stored in both. `read` and `write` are of the files;
    `refuse` may raise before their number (None without one) is used for a new database.
    """
    with database.read() as session:
        noted = find_home_id(session)
    known = read()  # after the other one: it is written before
    if noted is None:
        with database.write() as session:
            noted = find_home_id(session)  # another process may have been faster
            if noted is None:
                refuse(known)
                noted = known or new_home_id()
                write(noted)
                note_home_id(session, noted)
            known = read()
    return noted, known


def new_home_id() -> int:
    """Return a random number, from 1 to `LARGEST`."""
    return 1 + secrets.randbelow(LARGEST)


def find_home_id(session: Session) -> int | None:
    """Return the number, None without one."""
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
