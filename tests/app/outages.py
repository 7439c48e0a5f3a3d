"""A database server that goes away at one transaction, as a killed PostgreSQL does, and is back for the next."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy.orm import Session

from db.engine import Database
from db.faults import DatabaseAwayError

Transactions = Callable[[Database], AbstractContextManager[Session]]


@dataclass
class Outage:
    """Transactions until the one that fails: before it begins or, `committed`, after its commit."""

    left: int
    committed: bool
    happened: bool = False

    def around(self, begin: Transactions) -> Transactions:
        @contextmanager
        def transaction(database: Database) -> Iterator[Session]:
            self.left -= 1
            fails = not self.left
            if fails and not self.committed:
                self._fail()
            with begin(database) as session:
                yield session
            if fails:
                self._fail()

        return transaction

    def _fail(self) -> None:
        self.happened = True
        raise DatabaseAwayError("postgresql://127.0.0.1: the connection broke", "start the server")


@contextmanager
def outage_at(monkeypatch: pytest.MonkeyPatch, number: int, *, committed: bool) -> Iterator[Outage]:
    """Let the transaction of this number, from 1, fail during the block."""
    outage = Outage(number, committed)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "read", outage.around(Database.read))
        patch.setattr(Database, "write", outage.around(Database.write))
        yield outage
