"""Users who sign in by name and password or by OpenID Connect, their sessions, and the audit log.

With neither a user nor a provider of OpenID Connect there is no login. Passwords are kept as Argon2id hashes, of a
session's secret only its SHA-256; neither is ever logged. After ten failed sign-ins of a name or fifty from an address
within a quarter of an hour, further ones are refused.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
LONGEST_EMAIL = 254
BY_PROVIDER = "OpenID Connect"  # who adds users and changes roles, in the audit log
SESSION = "outfold_session"  # cookie; `cookie_name` adds to it
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


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as a provider of OpenID Connect knows them: issuer and subject, verified e-mail address in lower case.

    `role` is set by the provider's claim; None without one.
    """

    subject: str
    email: str
    role: Role | None


def has_login(app_context: AppContext) -> bool:
    """Return whether people have to sign in: there are users, or a provider of OpenID Connect."""
    if app_context.settings.oidc_issuer:
        return True
    with app_context.database.read() as session:
        return people.has_users(session)


def has_passwords(app_context: AppContext) -> bool:
    """Return whether anybody can sign in by password."""
    with app_context.database.read() as session:
        return people.has_passwords(session)


def list_users(app_context: AppContext) -> list[User]:
    """Return all users by name."""
    with app_context.database.read() as session:
        return people.list_users(session)


def add_user(
    app_context: AppContext, text: str, password: str | None, role: Role, *, by: str, email: str | None = None
) -> str:
    """Add a user and return the name as it is kept; the first one has to be an admin.

    Args:
        app_context: the installation.
        text: the name.
        password: None for a person who signs in only by OpenID Connect.
        role: the person's role.
        by: the acting user.
        email: the person's address at the OpenID Connect provider.

    Raises:
        PersonError: the name or the address is taken or no address, or the password too short.
    """
    name = clean_name(text)
    password_hash = "" if password is None else _hash(password)
    address = None if email is None else clean_email(email)
    with app_context.database.write() as session:
        if people.find_user(session, name) is not None:
            raise PersonError(f"there is a user called {name} already", "choose another name")
        if role is not Role.ADMIN and not people.has_users(session):
            raise PersonError("the first user has to be an admin", "give this one the role admin")
        if address is not None:
            _refuse_taken_email(session, address)
        people.add_user(session, name, password_hash, role, datetime.now(UTC), email=address)
        log_act(session, LoggedAct.USER_ADDED, by, name, {"role": role} | ({"email": address} if address else {}))
    return name


def set_email(app_context: AppContext, name: str, email: str | None, *, by: str) -> None:
    """Allow a user to sign in by OpenID Connect with this address (None: no longer) and end all sessions.

    Raises:
        PersonError: there is no such user, or the address is another user's or no address.
    """
    address = None if email is None else clean_email(email)
    with app_context.database.write() as session:
        user, _ = _get(session, name)
        if address is not None and address != user.email:
            _refuse_taken_email(session, address)
        people.set_email(session, user.id, address)
        people.end_sessions(session, user.id)
        log_act(session, LoggedAct.EMAIL_CHANGED, by, user.name, {"email": address or ""})


def clean_email(text: str) -> str:
    """Return an e-mail address in lower case.

    Raises:
        PersonError: it is not an address.
    """
    address = text.strip().casefold()
    name, at, domain = address.rpartition("@")
    if not (name and at and domain) or len(address) > LONGEST_EMAIL or not address.isprintable() or " " in address:
        raise PersonError(f"{text.strip()[:80]!r} is not an e-mail address", "write one as ada@example.org")
    return address


def remove_user(app_context: AppContext, name: str, *, by: str) -> None:
    """Remove a user and end all sessions; the person's decisions stay.

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
    """Change a user's password and end all sessions.

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
    """Check a password and start a session.

    Raises:
        SignInRefusedError: too many have failed.
        PersonError: no user has this name and password; the text does not say which.
    """
    name = " ".join(text.split()).casefold()
    with _ONE_AT_A_TIME:  # concurrent attempts count one after the other
        now = datetime.now(UTC)
        with app_context.database.read() as session:
            found = people.find_user(session, name)
            subject = name if found else _unknown(name)
            failed = people.count_failed(session, now - FAILED_WITHIN, subject=subject)
            from_there = people.count_failed(session, now - FAILED_WITHIN, address=address)
        if failed >= MOST_FAILED_OF_NAME or from_there >= MOST_FAILED_OF_ADDRESS:
            raise _too_many_failed()
        # the hash of an unknown name is computed too, so that timing does not reveal which names exist
        matches = _matches(found[1] if found else _hash_of_no_password(), password)
        if found is None or not matches:
            with app_context.database.write() as session:
                log_act(session, LoggedAct.SIGN_IN_FAILED, "", subject, address=address)
                if failed + 1 == MOST_FAILED_OF_NAME or from_there + 1 == MOST_FAILED_OF_ADDRESS:
                    log_act(session, LoggedAct.SIGN_IN_REFUSED, "", subject, address=address)
            raise PersonError("no user has this name and password", "check both, or ask an admin for a new password")
    return _begin(app_context, found[0], address)


def refuse_after_failures(app_context: AppContext, address: str) -> None:
    """Check that not too many sign-ins from an address have failed.

    Raises:
        SignInRefusedError: too many have failed.
    """
    with app_context.database.read() as session:
        failed = people.count_failed(session, datetime.now(UTC) - FAILED_WITHIN, address=address)
    if failed >= MOST_FAILED_OF_ADDRESS:
        raise _too_many_failed()


def log_failed_identity(app_context: AppContext, reason: str, address: str) -> None:
    """Add a sign-in by OpenID Connect that failed to the audit log."""
    with app_context.database.write() as session:
        log_act(session, LoggedAct.SIGN_IN_FAILED, "", BY_PROVIDER, {"reason": reason}, address=address)


def sign_in_by_identity(app_context: AppContext, identity: Identity, address: str) -> SignedIn:
    """Start a session of a person identified by the provider, who is added if the settings allow the address.

    A user is identified by issuer and subject from the first sign-in on, before that by the e-mail address that
    an admin added. Others need an address of an allowed domain at every sign-in.

    Raises:
        PersonError: the person may not sign in here.
    """
    chosen = app_context.settings
    is_of_domain = identity.email.rpartition("@")[2] in chosen.oidc_domain_names
    with app_context.database.write() as session:
        user = people.find_identity(session, identity.subject)
        if user is None:
            invited = people.find_email(session, identity.email)
            if invited is not None and invited.identity is None:
                people.bind_identity(session, invited.id, identity.subject)
                user = invited
        if user is None and is_of_domain:
            user = _add_identity(session, identity)
        if user is None or (user.email is None and not is_of_domain):
            raise PersonError(f"the address {identity.email} may not sign in here", "ask an admin to let it in")
        if identity.role is not None and identity.role is not user.role:
            people.change_user(session, user.id, role=identity.role)
            details = {"before": user.role, "after": identity.role}
            log_act(session, LoggedAct.ROLE_CHANGED, BY_PROVIDER, user.name, details)
            user = replace(user, role=identity.role)
    return _begin(app_context, user, address, {"by": BY_PROVIDER})


def _add_identity(session: Session, identity: Identity) -> User:
    name, role = clean_name(identity.email), identity.role or Role.ANNOTATOR
    if people.find_user(session, name) is not None:
        raise PersonError(
            f"{name} is the name of another user",
            "ask an admin to let you in: users email NAME ADDRESS",
        )
    log_act(session, LoggedAct.USER_ADDED, BY_PROVIDER, name, {"role": role})
    return people.add_user(session, name, "", role, datetime.now(UTC), identity=identity.subject)


def sign_out(app_context: AppContext, cookie: str, address: str, *, everywhere: bool = False) -> bool:
    """End the session of a cookie, or with `everywhere` all sessions of its user; no effect if it has ended.

    Returns whether the cookie is of this installation.
    """
    secret = _secret_in(app_context, cookie)
    if secret is None:
        return False
    with app_context.database.write() as session:
        user = people.user_of_session(session, _digest(secret), datetime.now(UTC))
        people.end_session(session, _digest(secret))
        if user is not None and everywhere:
            people.end_sessions(session, user.id)
        if user is not None:
            act = LoggedAct.SIGN_OUT_EVERYWHERE if everywhere else LoggedAct.SIGN_OUT
            log_act(session, act, user.name, user.name, address=address)
    return True


def user_of(app_context: AppContext, cookie: str) -> User | None:
    """Return the user who is signed in with a cookie; None if it is forged, has expired or was signed out."""
    secret = _secret_in(app_context, cookie)
    if secret is None:
        return None
    with app_context.database.read() as session:
        return people.user_of_session(session, _digest(secret), datetime.now(UTC))


def change_own_password(app_context: AppContext, user: User, before: str, after: str, address: str) -> SignedIn:
    """Change a user's own password, end all sessions and start one.

    Raises:
        PersonError: the current password is wrong, or the new one too short.
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
    """Return the latest entries of the audit log, of these acts or of all, newest first."""
    with app_context.database.read() as session:
        return people.log_entries(session, acts, limit)


def cookie_name(app_context: AppContext, kind: str) -> str:
    """Return the name of a cookie of this kind in this installation.

    Browsers keep cookies by host, whatever the port: with one name, two installations of a host would end each other's
    sessions. The name follows from the signing key, so servers that share a database share it.
    """
    mark = blake2b(signing_key(app_context).encode(), digest_size=4, person=b"cookie name")
    return f"{kind}_{mark.hexdigest()}"


def session_cookie(cookies: Mapping[str, str], name: str) -> str:
    """Return the session cookie by its name, else by the former common name; "" without one."""
    return cookies.get(name) or cookies.get(SESSION, "")


def signing_key(app_context: AppContext) -> str:
    """Return the key that signs cookies, created on first use."""
    with app_context.database.read() as session:
        key = people.find_signing_key(session)
    if key is not None:
        return key
    with app_context.database.write() as session:
        return _signing_key(session)


def _signing_key(session: Session) -> str:
    key = people.find_signing_key(session)
    if key is None:
        key = secrets.token_urlsafe(_SECRET_BYTES)
        people.add_signing_key(session, key)
    return key


def _begin(app_context: AppContext, user: User, address: str, details: dict[str, Any] | None = None) -> SignedIn:
    secret, lasts = secrets.token_urlsafe(_SECRET_BYTES), timedelta(hours=app_context.settings.session_hours)
    with app_context.database.write() as session:
        key = _signing_key(session)
        now = datetime.now(UTC)
        people.add_session(session, user.id, _digest(secret), now, now + lasts)
        log_act(session, LoggedAct.SIGN_IN, user.name, user.name, details, address=address)
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


def _refuse_taken_email(session: Session, address: str) -> None:
    other = people.find_email(session, address)
    if other is not None:
        raise PersonError(f"{address} is the address of {other.name}", "give this user another one")


def _too_many_failed() -> SignInRefusedError:
    minutes = round(FAILED_WITHIN.total_seconds() / 60)
    return SignInRefusedError("too many sign-ins have failed", f"wait {minutes} minutes and try again")


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
    """Return the audit log's text for an unknown name, since people type passwords there by mistake."""
    return f"unknown name {blake2b(name.encode(), key=_LOG_KEY, digest_size=6).hexdigest()}"


@cache
def _hash_of_no_password() -> str:
    return _HASHER.hash(secrets.token_urlsafe(_SECRET_BYTES))
