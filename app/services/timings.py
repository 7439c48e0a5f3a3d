"""Times that proposed rounds take, estimated by a trial on the dataset's first images in a process of its own.

An estimate is kept as JSON below the files' folder, by all that it depends on: content of the images, how many there
are, config, device, and versions of the libraries. Only one trial runs at a time, and none beside a round, whose work
would slow it down.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from app.services.asking import answers_of
from app.services.workers import device_name, has_gpu
from app.services.workspace import Workspace
from core.config import RoundConfig
from core.data.children import cores
from core.data.storage import write_atomically
from core.types import ConfigError, StorageError, Task
from db.queries import rounds, snapshots

log = logging.getLogger("outfold.timings")

_LIBRARIES = ("torch", "torchvision", "timm", "pillow", "numpy", "segmentation-models-pytorch")
_TRIED = {Task.CLASSIFICATION: 64, Task.SEGMENTATION: 8}  # images; those of masks are large
_LONGEST_SECONDS = 300.0  # a trial that takes longer tells nothing in time
_MODULE = "app.worker.timing"
_MINUTE, _HOUR = 60, 3600

_running: set[Path] = set()  # where the answers of trials will lie that run in this process
_failed: set[Path] = set()
_turn, _noting = Lock(), Lock()


@dataclass(frozen=True, slots=True)
class Estimates:
    """Seconds of each config, None where unknown; `pending` while a trial that will tell runs or waits."""

    seconds: tuple[float | None, ...]
    pending: bool


def known_times(workspace: Workspace, dataset_id: int, configs: Sequence[RoundConfig]) -> Estimates:
    """Return what is known, and begin a trial for the rest in the background; a trial that failed stays unknown."""
    place, asked = _question(workspace, dataset_id, configs)
    found = _kept(place)
    if found is not None:
        return Estimates(found, pending=False)
    unknown: tuple[float | None, ...] = (None,) * len(configs)
    with _noting:
        if place in _failed:
            return Estimates(unknown, pending=False)
        if place not in _running:
            if _is_busy(workspace):
                return Estimates(unknown, pending=False)
            _running.add(place)
            Thread(target=_try_behind, args=(place, asked), name="trial", daemon=True).start()
    return Estimates(unknown, pending=True)


def estimate_times(workspace: Workspace, dataset_id: int, configs: Sequence[RoundConfig]) -> tuple[float, ...]:
    """Return the seconds of each config, by a trial now where nothing is known.

    Raises:
        ConfigError: the trial failed; says why.
    """
    place, asked = _question(workspace, dataset_id, configs)
    found = _kept(place)
    if found is None:
        found = _tried(asked)
        _keep(place, found)
    return found


def about(seconds: float) -> str:
    """Return an estimate as coarsely as it is known: about 40 s, about 25 min, about 3 h."""
    if seconds < _MINUTE - 2.5:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    minutes = seconds / _MINUTE
    if minutes < 10:  # noqa: PLR2004 below, whole minutes are no more than a tenth off
        return f"about {max(1, round(minutes))} min"
    return f"about {5 * round(minutes / 5)} min" if seconds < 1.5 * _HOUR else f"about {round(seconds / _HOUR)} h"


def _question(workspace: Workspace, dataset_id: int, configs: Sequence[RoundConfig]) -> tuple[Path, dict[str, Any]]:
    """Return where the answer is kept, and the question."""
    with workspace.database.read() as session:
        task = snapshots.task_of(session, dataset_id)
        _, classes = snapshots.dataset_of(session, dataset_id)
        samples = snapshots.first_samples(session, dataset_id, _TRIED[task])
        count = sum(count for *_, count in snapshots.image_sizes(session, dataset_id))
    trial: dict[str, Any] = {
        "paths": [one.path for one in samples],
        "content_hashes": [one.content_hash for one in samples],
        "count": count,
        "classes": len(classes),
    }
    if any(one.mask_hash for one in samples):
        trial |= {
            "masks": [one.mask_hash or "" for one in samples],
            "sizes": [(one.height, one.width) for one in samples],
            "mask_store": str(workspace.masks),
        }
    asked = {"trial": trial, "configs": [config.to_json() for config in configs]}
    machine = [device_name() if has_gpu() else f"{cores()} CPU cores", *map(_version, _LIBRARIES)]
    facts: dict[str, Any] = {**asked, "trial": {**trial, "paths": len(samples), "mask_store": ""}, "machine": machine}
    digest = blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=12).hexdigest()
    return workspace.files / "timings" / f"{digest}.json", asked


def _try_behind(place: Path, asked: dict[str, Any]) -> None:
    """Run a trial and keep its answer; a failure is logged and shown nowhere."""
    try:
        with _turn:
            _keep(place, _tried(asked))
    except (ConfigError, StorageError, OSError) as error:
        log.warning("no estimate of a round's time: %s", error)
        with _noting:
            _failed.add(place)
    finally:
        with _noting:
            _running.discard(place)


def _tried(asked: dict[str, Any]) -> tuple[float, ...]:
    """Return the seconds of each config, from a trial in a process of its own."""
    answers = answers_of(_MODULE, asked, _LONGEST_SECONDS)
    errors = [one["error"] for one in answers if "error" in one]
    if errors:
        raise ConfigError(errors[0])
    if len(answers) != len(asked["configs"]):
        raise ConfigError(
            f"a trial of the round ended early or took over {_LONGEST_SECONDS:.0f} s; close other programs, then try "
            "again"
        )
    seconds = tuple(float(one["seconds"]) for one in answers)
    if not all(map(isfinite, seconds)):
        raise ConfigError("a trial of the round measured no time; try again")
    return seconds


def _kept(place: Path) -> tuple[float, ...] | None:
    try:
        seconds = tuple(float(seconds) for seconds in json.loads(place.read_text(encoding="utf-8"))["seconds"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return seconds if all(map(isfinite, seconds)) else None


def _keep(place: Path, seconds: tuple[float, ...]) -> None:
    write_atomically(place, json.dumps({"seconds": seconds}).encode(), durable=False)


def _is_busy(workspace: Workspace) -> bool:
    with workspace.database.read() as session:
        return bool(rounds.unfinished_rounds(session))


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
