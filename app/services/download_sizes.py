"""Size of the published weights that a round would download: asked of the hub when a person asks for it.

The question takes seconds and may meet no network, so a thread and a process of its own ask; nothing is downloaded.
"""

import json
import logging
import time
from threading import Lock, Thread

from app.services.asking import answers_of

log = logging.getLogger("outfold.download_sizes")

_MODULE = "app.worker.download_size"
_LONGEST_SECONDS = 60.0
_HOLDS_SECONDS = 300.0  # an answer, since a round may download the weights meanwhile
_MEGABYTE = 1e6
_UNKNOWN = (
    "the hub does not say how much is downloaded; check the connection, or download the weights elsewhere and choose "
    "a local file"
)

_found: dict[str, tuple[str, float]] = {}  # network -> the last answer in words, and when it came
_asking: set[str] = set()
_noting = Lock()


def ask_size(model: str) -> None:
    """Begin to ask for the size of a network's weights, unless that is going on."""
    with _noting:
        if model in _asking:
            return
        _asking.add(model)
        _found.pop(model, None)
    Thread(target=_ask, args=(model,), name="download size", daemon=True).start()


def is_asking(model: str) -> bool:
    """Return whether the answer for a network is still to come."""
    with _noting:
        return model in _asking


def known_size(model: str) -> str:
    """Return the last answer for a network in words, "" where there is none of the last minutes."""
    with _noting:
        words, since = _found.get(model, ("", 0.0))
    return words if time.monotonic() - since < _HOLDS_SECONDS else ""


def _ask(model: str) -> None:
    words = _UNKNOWN
    try:
        answers = answers_of(_MODULE, {"model": model}, _LONGEST_SECONDS)
        words = _in_words(answers[0]) if answers else _UNKNOWN
    except (OSError, json.JSONDecodeError) as error:
        log.warning("no size of the weights of %s: %s", model, error)
    finally:
        with _noting:
            _found[model] = words, time.monotonic()
            _asking.discard(model)


def _in_words(answer: dict[str, object]) -> str:
    if "error" in answer:
        return str(answer["error"])
    size = answer["bytes"]
    if not isinstance(size, int):
        return _UNKNOWN
    return f"downloads {max(1, round(size / _MEGABYTE)):,} MB" if size else "downloads nothing: the weights are here"
