"""Users with their sessions, and the audit log."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.types import LoggedAct, Role
from db.models.base import Base, primary_key


class UserRow(Base):
    """A person who signs in; the name is the one that verdicts carry. `folded_name`: without case, so unique.

    `password_hash` is empty without a password. `email` admits the person with that address at the OpenID Connect
    provider; `identity`, its issuer and subject, is set by the first sign-in and stays if the address changes.
    """

    __tablename__ = "user_account"
    id: Mapped[primary_key]
    name: Mapped[str] = mapped_column(String(80))
    folded_name: Mapped[str] = mapped_column(String(240), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[Role]
    email: Mapped[str | None] = mapped_column(String(254), index=True, unique=True)
    identity: Mapped[str | None] = mapped_column(String(600), index=True, unique=True)
    created_at: Mapped[datetime]


class LoginSessionRow(Base):
    """A browser in which a user is signed in. Of its secret only the SHA-256 is kept."""

    __tablename__ = "login_session"
    id: Mapped[primary_key]
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class SigningKeyRow(Base):
    """The key that signs the cookies of sessions; one row."""

    __tablename__ = "signing_key"
    id: Mapped[primary_key]
    key: Mapped[str] = mapped_column(String(64))


class LogEntryRow(Base):
    """One entry of the audit log; rows are only ever added. `actor` and `subject` are names, so they outlive users."""

    __tablename__ = "log_entry"
    __table_args__ = (
        Index("ix_log_entry_act_subject_happened_at", "act", "subject", "happened_at"),
        Index("ix_log_entry_act_address_happened_at", "act", "address", "happened_at"),
    )
    id: Mapped[primary_key]
    act: Mapped[LoggedAct]
    actor: Mapped[str] = mapped_column(String(80))
    subject: Mapped[str] = mapped_column(String(240))
    address: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, Any]]
    happened_at: Mapped[datetime]
