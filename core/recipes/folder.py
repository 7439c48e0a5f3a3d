"""A recipe's folder: what is run there and what each stage came to, so that a killed run goes on where it was."""

import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from core.data.storage import write_atomically
from core.types import IntArray, RoundError

_FILE = "recipe.json"


def claim(folder: Path, wanted: dict[str, Any]) -> None:
    """Write down what is run here, JSON values, or check that it is the same as before.

    Raises:
        RoundError: something else was begun in this folder.
    """
    path = folder / _FILE
    if not path.exists():
        write_atomically(path, json.dumps(wanted).encode())
        return
    if json.loads(path.read_text(encoding="utf-8")) != json.loads(json.dumps(wanted)):
        raise RoundError(
            f"{folder} holds a run with another config or other data; start a new round, or choose another folder"
        )


def digest_of(parts: tuple[IntArray, ...], beside: bytes = b"") -> str:
    """Return 32 hex digits of the rows of all parts, and of what else decides."""
    digest = blake2b(beside, digest_size=16)
    for rows in parts:
        digest.update(rows.astype("<i8").tobytes() + b"|")
    return digest.hexdigest()


def stage(folder: Path, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a stage came to, as JSON values: read, or worked out and written."""
    path = folder / f"{name}.json"
    if not path.exists():
        write_atomically(path, json.dumps(work()).encode())
    (folder / f"{name}.checkpoint").unlink(missing_ok=True)
    done: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return done
