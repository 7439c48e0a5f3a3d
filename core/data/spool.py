"""Rows on their way, in a file instead of in memory: JSON lines, written once, read from the start."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def spool(path: Path, rows: Iterable[tuple[Any, ...]]) -> int:
    """Write rows of plain values and return how many there were."""
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
