"""Column types, naming of constraints, and references, shared by all tables."""

from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Annotated, Any, ClassVar

from sqlalchemy import JSON, DateTime, Enum, ForeignKey, MetaData, SmallInteger
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

from core.types import (
    Act,
    DeletionKind,
    FindingKind,
    JobStatus,
    LoggedAct,
    Recipe,
    Role,
    Severity,
    Status,
    Task,
    Verdict,
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time; SQLite forgets the zone, so it is given back here."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC without the zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"{value} has no time zone"
            raise ValueError(msg)
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC with the zone."""
        return None if value is None else value.replace(tzinfo=UTC)


class Code(TypeDecorator[IntEnum]):
    """An IntEnum as a small integer: with rows by the million, two bytes instead of a text."""

    impl = SmallInteger
    cache_ok = True

    def __init__(self, kind: type[IntEnum]) -> None:
        """Store members of `kind`."""
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: IntEnum | None, dialect: Dialect) -> int | None:
        """Return the member's number."""
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> IntEnum | None:
        """Return the member."""
        return None if value is None else self.kind(value)


def _by_value(kind: type[StrEnum]) -> Enum:
    return Enum(
        kind, native_enum=False, length=20, values_callable=lambda members: [member.value for member in members]
    )


class Base(DeclarativeBase):
    """Every row; constraints are named so that SQLite's batch migrations can find them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[int]: JSON(none_as_null=True),
        list[list[float]]: JSON,
        FindingKind: Code(FindingKind),
        Status: Code(Status),
        Verdict: _by_value(Verdict),
        Act: _by_value(Act),
        JobStatus: _by_value(JobStatus),
        DeletionKind: _by_value(DeletionKind),
        Recipe: _by_value(Recipe),
        Severity: _by_value(Severity),
        Task: _by_value(Task),
        Role: _by_value(Role),
        LoggedAct: _by_value(LoggedAct),
    }


primary_key = Annotated[int, mapped_column(primary_key=True)]
dataset_ref = Annotated[int, mapped_column(ForeignKey("dataset.id"))]
sample_ref = Annotated[int, mapped_column(ForeignKey("sample.id"))]
round_ref = Annotated[int, mapped_column(ForeignKey("round.id"))]
annotator_ref = Annotated[int, mapped_column(ForeignKey("annotator.id"))]
