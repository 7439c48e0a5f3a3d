"""Folder of a recipe: its settings and the results of its stages, from which an interrupted run continues."""

import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from core.data.storage import write_atomically
from core.types import IntArray, RoundError

_FILE = "recipe.json"


def claim(folder: Path, wanted: dict[str, Any]) -> None:
    """Write the settings of the run, JSON values, into its folder, or check that they are the same as before.

    Raises:
        RoundError: the folder holds another run.
    """
    path = folder / _FILE
    if not path.exists():
        write_atomically(path, json.dumps(wanted).encode())
        return
    stored, now = json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(wanted))
    for name in {"network", "settings"} & now.keys() & stored.keys():  # an older version knew fewer settings
        stored[name] = now[name] | stored[name]
    if stored != now:
        raise RoundError(
            f"{folder} holds a run with another config or other data", "start a new round, or choose another folder"
        )


def digest_rows(parts: tuple[IntArray, ...], more: bytes = b"") -> str:
    """Return 32 hex digits of the rows of all roles, and of `more`."""
    digest = blake2b(more, digest_size=16)
    for rows in parts:
        digest.update(rows.astype("<i8").tobytes() + b"|")
    return digest.hexdigest()


def run_stage(folder: Path, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the result of a stage as JSON values, read from its file, or else from `work` and written."""
    path = folder / f"{name}.json"
    if not path.exists():
        write_atomically(path, json.dumps(work()).encode())
    (folder / f"{name}.checkpoint").unlink(missing_ok=True)
    return read_stage(folder, name)


def read_stage(folder: Path, name: str) -> dict[str, Any]:
    """Return the result of a stage that has ended.

    Raises:
        FileNotFoundError: it has not.
    """
    path = folder / f"{name}.json"
    done: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return done
