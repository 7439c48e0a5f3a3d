"""The process that asks the hub for the size of published weights: `python -m app.worker.download_size`.

One line of JSON on standard input (`{"model": "resnet18"}`), one on standard output: `{"bytes": 46807446}`, 0 where
the weights are here already and null where the hub does not answer, or `{"error": "..."}`. It downloads no weights.
"""

import json
import os
from typing import Any

from app.worker.parent import open_question
from core.types import ConfigError


def main() -> None:
    """Answer one line."""
    question, answers = open_question()
    answers.write(json.dumps(_answer(question["model"])) + "\n")


def _answer(model: str) -> dict[str, Any]:
    from core.learn.models.hub import download_size, is_network_of_timm  # noqa: PLC0415 timm and torch, seconds

    if not is_network_of_timm(model):
        return {"error": f"{model} is none of timm's own networks; how much is downloaded shows once the round runs"}
    try:
        return {"bytes": download_size(model)}
    except ConfigError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    main()
    os._exit(0)  # nothing waits for threads of libraries
