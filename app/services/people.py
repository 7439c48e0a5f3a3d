"""Users who sign in by name and password, their sessions, and the audit log.

With no user there is no login. Passwords are kept as Argon2id hashes, of a session's secret only its SHA-256; neither
is ever logged. Ten failed sign-ins of a name, or fifty from an address, within a quarter of an hour refuse more.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b, sha256
from threading import Lock
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from itsdangerous import BadSignature, Signer
from sqlalchemy.orm import Session

from app.services.annotators import clean_name
from app.services.app_context import AppContext
from core.types import LoggedAct, OutfoldError, Role
from db.queries import people
from db.queries.people import LogEntry, User

SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 1000  # characters
MOST_FAILED_OF_NAME, MOST_FAILED_OF_ADDRESS = 10, 50
FAILED_WITHIN = timedelta(minutes=15)
_SECRET_BYTES = 32
_SALT = b"outfold session"
_LOG_KEY = secrets.token_bytes(_SECRET_BYTES)  # of this process
_ONE_AT_A_TIME = Lock()
_HASHER = PasswordHasher()  # Argon2id with the parameters of RFC 9106 for little memory


class PersonError(OutfoldError):
    """A user cannot be added, changed or signed in."""


class SignInRefusedError(PersonError):
    """Too many sign-ins have failed."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user with the cookie of the new session, and the time until it expires."""

    user: User
    cookie: str
    seconds: int


def has_users(app_context: AppContext) -> bool:
    """Return whether there is a login: whether anybody can sign in."""
    with app_context.database.read() as session:
        return people.has_users(session)


def list_users(app_context: AppContext) -> list[User]:
    """Return all users by name."""
    with app_context.database.read() as session:
        return people.list_users(session)


def add_user(app_context: AppContext, text: str, password: str, role: Role, *, by: str) -> str:
    """Add a user and return the name as it is kept; the first one has to be an admin.

    Raises:
        PersonError: the name is taken, or the password too short.
    """
    name = clean_name(text)
    password_hash = _hash(password)
    with app_context.database.write() as session:
        if people.find_user(session, name) is not None:
            raise PersonError(f"there is a user called {name} already", "choose another name")
        if role is not Role.ADMIN and not people.has_users(session):
            raise PersonError("the first user has to be an admin", "give this one the role admin")
        people.add_user(session, name, password_hash, role, datetime.now(UTC))
        log_act(session, LoggedAct.USER_ADDED, by, name, {"role": role})
    return name


def remove_user(app_context: AppContext, name: str, *, by: str) -> None:
    """Remove a user and end all sessions; what the person decided stays.

    Raises:
        PersonError: there is no such user, or it is the last admin of several users.
    """
    with app_context.database.write() as session:
        user, _ = _get(session, name)
        if len(people.list_users(session)) > 1:
            _refuse_last_admin(session, user)
        people.remove_user(session, user.id)
        log_act(session, LoggedAct.USER_REMOVED, by, user.name)


def set_password(app_context: AppContext, name: str, password: str, *, by: str) -> None:
    """Store another password of a user and end all sessions.

    Raises:
        PersonError: there is no such user, or the password is too short.
    """
    password_hash = _hash(password)
    with app_context.database.write() as session:
        user, _ = _get(session, name)
        people.change_user(session, user.id, password_hash=password_hash)
        people.end_sessions(session, user.id)
        log_act(session, LoggedAct.PASSWORD_CHANGED, by, user.name)


def set_role(app_context: AppContext, name: str, role: Role, *, by: str) -> None:
    """Give a user another role.

    Raises:
        PersonError: there is no such user, or it is the last admin.
    """
    with app_context.database.write() as session:
        user, _ = _get(session, name)
        if role is not Role.ADMIN:
            _refuse_last_admin(session, user)
        people.change_user(session, user.id, role=role)
        log_act(session, LoggedAct.ROLE_CHANGED, by, user.name, {"before": user.role, "after": role})


def sign_in(app_context: AppContext, text: str, password: str, address: str) -> SignedIn:
    """Check a password and begin a session.

    Raises:
        SignInRefusedError: too many have failed.
        PersonError: no user has this name and password; the text does not say which.
    """
    name = " ".join(text.split()).casefold()
    with _ONE_AT_A_TIME:  # attempts made at once count one after the other
        now = datetime.now(UTC)
        with app_context.database.read() as session:
            found = people.find_user(session, name)
            subject = name if found else _unknown(name)
            failed = people.count_failed(session, now - FAILED_WITHIN, subject=subject)
            from_there = people.count_failed(session, now - FAILED_WITHIN, address=address)
        if failed >= MOST_FAILED_OF_NAME or from_there >= MOST_FAILED_OF_ADDRESS:
            minutes = round(FAILED_WITHIN.total_seconds() / 60)
            raise SignInRefusedError("too many sign-ins have failed", f"wait {minutes} minutes and try again")
        # the hash of an unknown name is computed too, so that time does not tell which names exist
        matches = _matches(found[1] if found else _hash_of_no_password(), password)
        if found is None or not matches:
            with app_context.database.write() as session:
                log_act(session, LoggedAct.SIGN_IN_FAILED, "", subject, address=address)
                if failed + 1 == MOST_FAILED_OF_NAME or from_there + 1 == MOST_FAILED_OF_ADDRESS:
                    log_act(session, LoggedAct.SIGN_IN_REFUSED, "", subject, address=address)
            raise PersonError("no user has this name and password", "check both, or ask an admin for a new password")
    return _begin(app_context, found[0], address)


def sign_out(app_context: AppContext, cookie: str, address: str, *, everywhere: bool = False) -> None:
    """End the session of a cookie, `everywhere`: all sessions of its user; without effect where it has ended."""
    secret = _secret_in(app_context, cookie)
    if secret is None:
        return
    with app_context.database.write() as session:
        user = people.user_of_session(session, _digest(secret), datetime.now(UTC))
        people.end_session(session, _digest(secret))
        if user is not None and everywhere:
            people.end_sessions(session, user.id)
        if user is not None:
            act = LoggedAct.SIGN_OUT_EVERYWHERE if everywhere else LoggedAct.SIGN_OUT
            log_act(session, act, user.name, user.name, address=address)


def user_of(app_context: AppContext, cookie: str) -> User | None:
    """Return the user who is signed in with a cookie; None where it is forged, has expired or was signed out."""
    secret = _secret_in(app_context, cookie)
    if secret is None:
        return None
    with app_context.database.read() as session:
        return people.user_of_session(session, _digest(secret), datetime.now(UTC))


def change_own_password(app_context: AppContext, user: User, before: str, after: str, address: str) -> SignedIn:
    """Store a user's new password, end all sessions and begin one.

    Raises:
        PersonError: the present password is another, or the new one too short.
        SignInRefusedError: too many attempts have failed.
    """
    _check(after)
    sign_in(app_context, user.name, before, address)
    set_password(app_context, user.name, after, by=user.name)
    return sign_in(app_context, user.name, after, address)


def log_act(
    session: Session,
    act: LoggedAct,
    by: str,
    subject: str,
    details: dict[str, Any] | None = None,
    *,
    address: str = "",
) -> None:
    """Add an entry to the audit log, in the transaction of its act."""
    people.add_log_entry(session, LogEntry(act, by, subject, address, details or {}, datetime.now(UTC)))


def log_entries(app_context: AppContext, acts: Sequence[LoggedAct], limit: int) -> list[LogEntry]:
    """Return the newest entries of the audit log, of these acts or of all; the newest first."""
    with app_context.database.read() as session:
        return people.log_entries(session, acts, limit)


def _begin(app_context: AppContext, user: User, address: str) -> SignedIn:
    secret, lasts = secrets.token_urlsafe(_SECRET_BYTES), timedelta(hours=app_context.settings.session_hours)
    with app_context.database.write() as session:
        key = people.find_signing_key(session)
        if key is None:
            key = secrets.token_urlsafe(_SECRET_BYTES)
            people.add_signing_key(session, key)
        now = datetime.now(UTC)
        people.add_session(session, user.id, _digest(secret), now, now + lasts)
        log_act(session, LoggedAct.SIGN_IN, user.name, user.name, address=address)
    return SignedIn(user, _signer(key).sign(secret).decode(), round(lasts.total_seconds()))


def _secret_in(app_context: AppContext, cookie: str) -> str | None:
    with app_context.database.read() as session:
        key = people.find_signing_key(session)
    try:
        return None if key is None else _signer(key).unsign(cookie).decode()
    except (BadSignature, UnicodeError):
        return None


def _signer(key: str) -> Signer:
    return Signer(key, salt=_SALT, digest_method=sha256)


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _get(session: Session, name: str) -> tuple[User, str]:
    found = people.find_user(session, " ".join(name.split()))
    if found is None:
        known = ", ".join(user.name for user in people.list_users(session))
        raise PersonError(f"there is no user called {name}", f"there are: {known}" if known else "add one first")
    return found


def _refuse_last_admin(session: Session, user: User) -> None:
    admins = [one for one in people.list_users(session) if one.role is Role.ADMIN]
    if [one.id for one in admins] == [user.id]:
        raise PersonError(f"{user.name} is the only admin", "give another user the role admin first")


def _check(password: str) -> None:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise PersonError(
            f"the password has {len(password)} characters", f"use {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}"
        )


def _hash(password: str) -> str:
    _check(password)
    return _HASHER.hash(password)


def _matches(password_hash: str, password: str) -> bool:
    try:
        return len(password) <= LONGEST_PASSWORD and _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _unknown(name: str) -> str:
    """Return what the audit log calls a name of no user: people type passwords there by mistake."""
    return f"unknown name {blake2b(name.encode(), key=_LOG_KEY, digest_size=6).hexdigest()}"


@cache
def _hash_of_no_password() -> str:
    return _HASHER.hash(secrets.token_urlsafe(_SECRET_BYTES))
