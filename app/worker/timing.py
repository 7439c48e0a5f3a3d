"""The process that estimates how long rounds take: `python -m app.worker.timing`, started by `app.services.timings`.

One line of JSON on standard input (`{"trial": {...}, "configs": [{...}], "scratch": "/folder"}`), for each config one
on standard output (`{"seconds": 41.5}` or `{"error": "..."}`). It ends when its input does: with the one who asked.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from app.worker.parent import open_question
from core.data.scratch import TRIAL, remove_abandoned
from core.types import OutfoldError

_NICE = 10  # a round or a person that comes in between has the processor first


def main() -> None:
    """Answer one line."""
    os.nice(_NICE)
    line, answers = open_question()
    began = time.monotonic()
    from core.timing import Trial  # noqa: PLC0415  # torch, whose import is a part of each round's time

    trial = Trial(**line["trial"])
    starting = time.monotonic() - began
    scratch = Path(line["scratch"])
    remove_abandoned(scratch, TRIAL)
    for config in line["configs"]:
        answers.write(json.dumps(_answer(trial, config, starting, scratch)) + "\n")


def _answer(trial: Any, config: dict[str, Any], starting: float, scratch: Path) -> dict[str, Any]:  # noqa: ANN401  # needs torch
    from core.config import RoundConfig  # noqa: PLC0415
    from core.timing import estimate_seconds  # noqa: PLC0415

    try:
        return {"seconds": starting + estimate_seconds(trial, RoundConfig.from_json(config), scratch)}
    except OutfoldError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001  # the edge: a failed trial is an answer, which is logged
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main()
    os._exit(0)  # nothing waits for threads of libraries
