"""Users, their sessions, and the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from core.types import LoggedAct, Role
from db.models import LogEntryRow, LoginSessionRow, SigningKeyRow, UserRow


@dataclass(frozen=True, slots=True)
class User:
    """A user who signs in by password, by OpenID Connect or by either.

    `email` is the address admitted by an admin; `identity`, issuer and subject, is set by a sign-in by OpenID Connect.
    """

    id: int
    name: str
    role: Role
    created_at: datetime
    has_password: bool = True
    email: str | None = None
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of the audit log: `actor` did `act` to `subject` from `address`; "" if missing."""

    act: LoggedAct
    actor: str
    subject: str
    address: str
    details: dict[str, Any]
    happened_at: datetime


def has_users(session: Session) -> bool:
    """Return whether anybody can sign in."""
    return bool(session.scalar(select(exists().where(UserRow.id > 0))))


def has_passwords(session: Session) -> bool:
    """Return whether anybody can sign in by password."""
    return bool(session.scalar(select(exists().where(UserRow.password_hash != ""))))


def list_users(session: Session) -> list[User]:
    """Return all users by name."""
    return [_user(row) for row in session.scalars(select(UserRow).order_by(UserRow.folded_name))]


def find_user(session: Session, name: str) -> tuple[User, str] | None:
    """Return the user of a name without regard to case, and the hash of the password; None without one."""
    row = session.scalar(select(UserRow).where(UserRow.folded_name == name.casefold()))
    return None if row is None else (_user(row), row.password_hash)


def find_identity(session: Session, identity: str) -> User | None:
    """Return the user who came as this issuer's subject."""
    row = session.scalar(select(UserRow).where(UserRow.identity == identity))
    return None if row is None else _user(row)


def find_email(session: Session, email: str) -> User | None:
    """Return the user who was let in by this address, in lower case."""
    row = session.scalar(select(UserRow).where(UserRow.email == email))
    return None if row is None else _user(row)


def add_user(
    session: Session,
    name: str,
    password_hash: str,
    role: Role,
    now: datetime,
    *,
    email: str | None = None,
    identity: str | None = None,
) -> User:
    """Add a user and return it; the name, e-mail address and identity must be new."""
    row = UserRow(
        name=name, folded_name=name.casefold(), password_hash=password_hash, role=role, created_at=now,
        email=email, identity=identity,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return _user(row)


def set_email(session: Session, user_id: int, email: str | None) -> None:
    """Store the address that lets a user in, None: none; the identity that came by the former one is forgotten."""
    row = session.get_one(UserRow, user_id)
    row.email, row.identity = email, None
    session.flush()


def bind_identity(session: Session, user_id: int, identity: str) -> None:
    """Note who came by a user's address."""
    session.get_one(UserRow, user_id).identity = identity
    session.flush()


def remove_user(session: Session, user_id: int) -> None:
    """Remove a user with all sessions."""
    end_sessions(session, user_id)
    session.execute(delete(UserRow).where(UserRow.id == user_id))


def change_user(session: Session, user_id: int, *, password_hash: str | None = None, role: Role | None = None) -> None:
    """Store another password or role."""
    row = session.get_one(UserRow, user_id)
    row.password_hash, row.role = password_hash or row.password_hash, role or row.role
    session.flush()


def add_session(session: Session, user_id: int, secret_hash: str, now: datetime, expires_at: datetime) -> None:
    """Add a session, and remove those that have expired."""
    session.execute(delete(LoginSessionRow).where(LoginSessionRow.expires_at <= now))
    row = LoginSessionRow(user_id=user_id, secret_hash=secret_hash, created_at=now, expires_at=expires_at)
    session.add(row)
    session.flush()


def user_of_session(session: Session, secret_hash: str, now: datetime) -> User | None:
    """Return the user of a session that has not ended, None without one."""
    query = select(UserRow).join(LoginSessionRow, LoginSessionRow.user_id == UserRow.id)
    row = session.scalar(query.where(LoginSessionRow.secret_hash == secret_hash, LoginSessionRow.expires_at > now))
    return None if row is None else _user(row)


def end_session(session: Session, secret_hash: str) -> None:
    """End a session."""
    session.execute(delete(LoginSessionRow).where(LoginSessionRow.secret_hash == secret_hash))


def end_sessions(session: Session, user_id: int) -> None:
    """End all sessions of a user."""
    session.execute(delete(LoginSessionRow).where(LoginSessionRow.user_id == user_id))


def find_signing_key(session: Session) -> str | None:
    """Return the key that signs cookies, None before the first."""
    return session.scalar(select(SigningKeyRow.key).order_by(SigningKeyRow.id).limit(1))


def add_signing_key(session: Session, key: str) -> None:
    """Store the key that signs cookies."""
    session.add(SigningKeyRow(key=key))
    session.flush()


def add_log_entry(session: Session, entry: LogEntry) -> None:
    """Add an entry to the audit log."""
    row = LogEntryRow(
        act=entry.act, actor=entry.actor[:80], subject=entry.subject[:240], address=entry.address[:64],
        details=entry.details, happened_at=entry.happened_at,
    )  # fmt: skip
    session.add(row)
    session.flush()


def count_failed(session: Session, since: datetime, *, subject: str | None = None, address: str | None = None) -> int:
    """Return the number of sign-ins that failed since then, of a name or from an address."""
    where = [LogEntryRow.act == LoggedAct.SIGN_IN_FAILED, LogEntryRow.happened_at > since]
    if subject is not None:
        where.append(LogEntryRow.subject == subject[:240])
    if address is not None:
        where.append(LogEntryRow.address == address[:64])
    return session.scalar(select(func.count()).select_from(LogEntryRow).where(*where)) or 0


def log_entries(session: Session, acts: Sequence[LoggedAct], limit: int) -> list[LogEntry]:
    """Return the newest entries of these acts, of all without one; the newest first."""
    query = select(LogEntryRow).order_by(LogEntryRow.id.desc()).limit(limit)
    rows = session.scalars(query.where(LogEntryRow.act.in_(acts)) if acts else query)
    return [LogEntry(row.act, row.actor, row.subject, row.address, row.details, row.happened_at) for row in rows]


def _user(row: UserRow) -> User:
    return User(row.id, row.name, row.role, row.created_at, bool(row.password_hash), row.email, row.identity)
