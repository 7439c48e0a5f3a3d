"""Rows spooled to a file instead of kept in memory: JSON lines, written once and read from the start."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def spool(path: Path, rows: Iterable[tuple[Any, ...]]) -> int:
    """Write rows of plain values and return their number."""
    count = 0
    with path.open("w", encoding="ascii") as file:
        for count, row in enumerate(rows, start=1):  # noqa: B007 the last number is the answer
            file.write(json.dumps(row) + "\n")
    return count


def unspool(path: Path) -> Iterator[list[Any]]:
    """Yield the rows in the order they were written."""
    with path.open(encoding="ascii") as file:
        for line in file:
            yield json.loads(line)
