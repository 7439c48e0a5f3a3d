"""Preview of a round: estimated duration, and size of its downloads.

A child interpreter answers both questions, since it may import torch, which the web process must not
(`_ask_child`); threads wait for the answers.

Times are estimated by a trial on the dataset's first images. An estimate is stored as JSON in the folder of files, by
all that it depends on: content of the images, how many there are, config, device, versions of the libraries, and what
the cache of arrays may hold of a round of the same images. Only one trial runs at a time, and none beside a round,
which it would slow down.
"""

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from pathlib import Path
from threading import Lock, Thread, Timer
from typing import Any

from app.services.app_context import AppContext
from app.services.workers import device_name, has_gpu
from core.config import RoundConfig, TrainingCosts
from core.data.array_cache import name_of_list, names_of_length
from core.data.children import cores, start
from core.data.storage import write_atomically
from core.data.windows import window_option, window_text
from core.judge.similarity import KIND
from core.types import ConfigError, StorageError, Task
from db.queries import datasets, rounds, snapshots

log = logging.getLogger("outfold.timings")
_LIBRARIES = ("torch", "torchvision", "timm", "pillow", "numpy", "segmentation-models-pytorch")
_TRIED_IMAGES = {Task.CLASSIFICATION: 64, Task.SEGMENTATION: 8}  # images; scenes with masks are large
_LONGEST_TRIAL_SECONDS = 300.0  # a longer trial ends too late to be of use
_MODULE = "app.worker.estimates"
_MINUTE, _HOUR = 60, 3600
_trials_running: set[Path] = set()  # paths of the answers of trials that run in this process
_trials_failed: set[Path] = set()
_trial_lock, _trials_lock = Lock(), Lock()
_LONGEST_QUESTION_SECONDS = 60.0
_SIZE_HOLDS_SECONDS = 300.0  # seconds of validity, since a round may download the weights meanwhile
_MEGABYTE = 1e6
_UNKNOWN_SIZE = (
    "the hub does not say how much is downloaded; check the connection, or download the weights elsewhere and choose "
    "a local file"
)
_sizes: dict[str, tuple[str, float]] = {}  # network -> the last answer in words, and its time
_sizes_pending: set[str] = set()
_size_lock = Lock()


@dataclass(frozen=True, slots=True)
class Estimates:
    """Seconds of each config in folds, and costs of its parts, None if unknown.

    `pending` while a trial is queued or running.
    """

    seconds: tuple[float | None, ...]
    pending: bool
    costs: tuple[TrainingCosts | None, ...] = ()


def known_times(app_context: AppContext, dataset_id: int, configs: Sequence[RoundConfig]) -> Estimates:
    """Return known times, and start a trial for the rest in the background; after a failed trial they stay unknown."""
    place, question = _trial_question(app_context, dataset_id, configs)
    found = _read_estimate(place)
    if found is not None:
        return found
    unknown: tuple[float | None, ...] = (None,) * len(configs)
    with _trials_lock:
        if place in _trials_failed:
            return Estimates(unknown, pending=False)
        if place not in _trials_running:
            if _is_busy(app_context):
                return Estimates(unknown, pending=False)
            _trials_running.add(place)
            arguments = (app_context, dataset_id, place, question)
            Thread(target=_run_trial_behind, args=arguments, name="trial", daemon=True).start()
    return Estimates(unknown, pending=True)


def estimate_times(app_context: AppContext, dataset_id: int, configs: Sequence[RoundConfig]) -> Estimates:
    """Return the times of each config, running a trial for unknown ones.

    Raises:
        ConfigError: the trial failed, with the reason.
    """
    place, question = _trial_question(app_context, dataset_id, configs)
    found = _read_estimate(place)
    if found is None:
        found = _run_trial(app_context, dataset_id, question)
        _write_estimate(place, found)
    return found


def about_time(seconds: float) -> str:
    """Return a rounded estimate: about 40 s, about 25 min, about 3 h."""
    if seconds < _MINUTE - 2.5:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    minutes = seconds / _MINUTE
    if minutes < 10:  # noqa: PLR2004 below, whole minutes are no more than a tenth off
        return f"about {max(1, round(minutes))} min"
    return f"about {5 * round(minutes / 5)} min" if seconds < 1.5 * _HOUR else f"about {round(seconds / _HOUR)} h"


def ask_size(model: str) -> None:
    """Start a request to the hub for the size of a network's published weights, unless one is running.

    The request takes seconds and may fail without a connection; nothing is downloaded.
    """
    with _size_lock:
        if model in _sizes_pending:
            return
        _sizes_pending.add(model)
        _sizes.pop(model, None)
    Thread(target=_ask_hub, args=(model,), name="download size", daemon=True).start()


def is_asking(model: str) -> bool:
    """Return whether the answer for a network is pending."""
    with _size_lock:
        return model in _sizes_pending


def known_size(model: str) -> str:
    """Return the last answer for a network in words, "" without one from the last minutes."""
    with _size_lock:
        words, since = _sizes.get(model, ("", 0.0))
    return words if time.monotonic() - since < _SIZE_HOLDS_SECONDS else ""


def _ask_child(module: str, question: object, longest_seconds: float) -> list[dict[str, Any]]:
    """Return the answers of a module run as a program; fewer if it ended early or was killed for taking too long.

    The question is a line of JSON on the child's input, each answer one on its output. The child ends with the process
    that started it, because its input ends then.
    """
    process = start(module, ())
    assert process.stdin is not None  # started with pipes
    assert process.stdout is not None
    latest = Timer(longest_seconds, process.kill)
    latest.start()
    try:
        with suppress(BrokenPipeError):  # it died immediately; its answer is missing then
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()  # not closed, which would end it
        return [json.loads(line) for line in process.stdout]
    finally:
        latest.cancel()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()


def _trial_question(
    app_context: AppContext, dataset_id: int, configs: Sequence[RoundConfig]
) -> tuple[Path, dict[str, Any]]:
    """Return the path of the stored answer, and the question."""
    with app_context.database.read() as session:
        task = snapshots.task_of(session, dataset_id)
        _, classes = snapshots.dataset_of(session, dataset_id)
        samples = snapshots.first_samples(session, dataset_id, _TRIED_IMAGES[task])
        count = sum(count for *_, count in snapshots.image_sizes(session, dataset_id))
    trial: dict[str, Any] = {
        "paths": [one.path for one in samples],
        "content_hashes": [one.content_hash for one in samples],
        "count": count,
        "classes": len(classes),
        "image_cache": str(app_context.image_caches),
    }
    if any(one.mask_hash for one in samples):
        trial |= {
            "masks": [one.mask_hash or "" for one in samples],
            "sizes": [(one.height, one.width) for one in samples],
            "mask_store": str(app_context.masks),
        }
    kept = names_of_length(app_context.image_caches, count)
    if not any(name.endswith(f"-{KIND}.npy") for name in kept):
        kept = []  # neighbours are kept last: embeddings alone are those of a round that is running
    question = {"trial": trial, "configs": [config.to_json() for config in configs], "kept": kept}
    machine = [device_name() if has_gpu() else f"{cores()} CPU cores", *map(_library_version, _LIBRARIES)]
    facts: dict[str, Any] = {
        **question,
        "trial": {**trial, "paths": len(samples), "mask_store": "", "image_cache": ""},
        "machine": machine,
    }
    digest = blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=12).hexdigest()
    return app_context.files / "timings" / f"{digest}.json", {**question, "scratch": str(app_context.files)}


def _run_trial_behind(app_context: AppContext, dataset_id: int, place: Path, question: dict[str, Any]) -> None:
    """Run a trial and store its answer; a failure is only logged."""
    try:
        with _trial_lock:
            _write_estimate(place, _run_trial(app_context, dataset_id, question))
    except (ConfigError, StorageError, OSError) as error:
        log.warning("no estimate of a round's time: %s", error)
        with _trials_lock:
            _trials_failed.add(place)
    finally:
        with _trials_lock:
            _trials_running.discard(place)


def _run_trial(app_context: AppContext, dataset_id: int, question: dict[str, Any]) -> Estimates:
    """Return the estimates of all configs, from a trial in a process of its own."""
    if question.pop("kept"):
        question["trial"]["rows"] = _name_of_images(app_context, dataset_id)
    answers = _ask_child(_MODULE, question, _LONGEST_TRIAL_SECONDS)
    errors = [one["error"] for one in answers if "error" in one]
    if errors:
        raise ConfigError(errors[0])
    if len(answers) != len(question["configs"]):
        raise ConfigError(
            f"a trial of the round ended early or took over {_LONGEST_TRIAL_SECONDS:.0f} s",
            "close other programs, then try again",
        )
    known = _parse_estimates(answers)
    if known is None:
        raise ConfigError("a trial of the round measured no time", "try again")
    return known


def _name_of_images(app_context: AppContext, dataset_id: int) -> str:
    """Return the name of a dataset's list of images in the cache of arrays, as a round would name it now."""
    with app_context.database.read() as session:
        window = window_option(datasets.get_dataset(session, dataset_id).options)
        ending = "" if window is None else f"-{window_text(window)}"
        parts = ([f"{one}{ending}" for one in hashes] for (hashes,) in snapshots.hash_columns(session, dataset_id))
        return name_of_list(parts)


def _parse_estimates(answers: list[dict[str, Any]]) -> Estimates | None:
    """Return the estimates in answers, None for one that is not finite."""
    costs = [{name: float(value) for name, value in (one["costs"] or {}).items()} for one in answers]
    seconds = tuple(float(one["seconds"]) for one in answers)
    if not all(map(isfinite, [*seconds, *(value for one in costs for value in one.values())])):
        return None
    return Estimates(seconds, pending=False, costs=tuple(TrainingCosts(**one) if one else None for one in costs))


def _read_estimate(place: Path) -> Estimates | None:
    try:
        return _parse_estimates(json.loads(place.read_text(encoding="utf-8"))["configs"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None  # missing, damaged, or of an earlier version: measured again


def _write_estimate(place: Path, known: Estimates) -> None:
    answers = [
        {"seconds": seconds, "costs": costs and asdict(costs)}
        for seconds, costs in zip(known.seconds, known.costs, strict=True)
    ]
    write_atomically(place, json.dumps({"configs": answers}).encode(), durable=False)


def _is_busy(app_context: AppContext) -> bool:
    with app_context.database.read() as session:
        return bool(rounds.unfinished_rounds(session))


def _library_version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _ask_hub(model: str) -> None:
    words = _UNKNOWN_SIZE
    try:
        answers = _ask_child(_MODULE, {"model": model}, _LONGEST_QUESTION_SECONDS)
        words = _size_in_words(answers[0]) if answers else _UNKNOWN_SIZE
    except (OSError, json.JSONDecodeError) as error:
        log.warning("no size of the weights of %s: %s", model, error)
    finally:
        with _size_lock:
            _sizes[model] = words, time.monotonic()
            _sizes_pending.discard(model)


def _size_in_words(answer: dict[str, object]) -> str:
    if "error" in answer:
        return str(answer["error"])
    size = answer["bytes"]
    if not isinstance(size, int):
        return _UNKNOWN_SIZE
    return f"downloads {max(1, round(size / _MEGABYTE)):,} MB" if size else "downloads nothing: the weights are here"
