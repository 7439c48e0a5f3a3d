"""Process that estimates the cost of rounds: `python -m app.worker.estimates`.

`app.services.rounds.preview` starts it. One line of JSON on standard input asks for one of two estimates, and the
answers are lines on standard output:

- durations, `{"trial": {...}, "configs": [{...}], "scratch": "/folder"}`: for each config
  `{"seconds": 41.5, "costs": {...}}`, with the fields of `core.config.TrainingCosts` or null, or `{"error": "..."}`;
- the download of published weights, `{"model": "resnet18"}`: `{"bytes": 46807446}`, 0 where the weights are here
  already and null if the hub does not answer, or `{"error": "..."}`. Nothing is downloaded.

The process ends with its input, and so with the process that started it.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from app.settings import settings
from app.worker.children import open_question
from core.config import allow_weights_in
from core.data.storage import TRIAL, remove_abandoned
from core.types import ConfigError, OutfoldError

_NICE = 15  # below the priority of rounds and pages


def main() -> None:
    """Answer one question."""
    question, answers = open_question()
    allow_weights_in(settings().real_roots)
    for answer in [_download(question["model"])] if "model" in question else _durations(question):
        answers.write(json.dumps(answer) + "\n")


def _durations(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    os.nice(_NICE)
    began = time.monotonic()
    from core.timing import TimingTrial  # noqa: PLC0415  # torch, whose import is a part of each round's time

    trial = TimingTrial(**question["trial"])
    starting = time.monotonic() - began
    scratch = Path(question["scratch"])
    remove_abandoned(scratch, TRIAL)
    for config in question["configs"]:
        yield _duration(trial, config, starting, scratch)


def _duration(trial: Any, config: dict[str, Any], starting: float, scratch: Path) -> dict[str, Any]:  # noqa: ANN401  # needs torch
    from core.config import RoundConfig  # noqa: PLC0415
    from core.timing import estimate_costs  # noqa: PLC0415

    try:
        seconds, costs = estimate_costs(trial, RoundConfig.from_json(config), scratch)
        if costs is not None:
            costs = replace(costs, once=starting + costs.once)
        return {"seconds": starting + seconds, "costs": costs and asdict(costs)}
    except OutfoldError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001  # the edge: a failed trial is an answer, which is logged
        return {"error": f"{type(error).__name__}: {error}"}


def _download(model: str) -> dict[str, Any]:
    from core.learn.models.weights import download_size, is_timm_network  # noqa: PLC0415  # timm and torch, seconds

    if not is_timm_network(model):
        return {"error": f"{model} is none of timm's own networks; how much is downloaded shows once the round runs"}
    try:
        return {"bytes": download_size(model)}
    except ConfigError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    main()
    os._exit(0)  # without waiting for threads of libraries
